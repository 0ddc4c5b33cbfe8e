//! HTML pages: their frame, and the page of the service.

pub(crate) mod page;
pub mod status;
