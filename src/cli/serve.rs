//! Verbs of the service.

pub(crate) mod pause;
pub(crate) mod replicate_worker;
pub(crate) mod run;
pub(crate) mod status;
