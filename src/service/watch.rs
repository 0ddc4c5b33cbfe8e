//! Event sources.

pub(crate) mod files;
pub(crate) mod handshakes;
pub(crate) mod losses;
pub(crate) mod paths;
pub(crate) mod probes;
pub(crate) mod promise;
pub(crate) mod readable;
pub(crate) mod view;
