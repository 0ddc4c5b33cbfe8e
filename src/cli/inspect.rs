//! Verbs that only read.

pub(crate) mod bundle;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod lint;
pub(crate) mod mtu;
pub(crate) mod observe;
pub(crate) mod owners;
pub(crate) mod path;
pub(crate) mod plan;
pub(crate) mod pods;
pub(crate) mod probe;
pub(crate) mod review;
pub(crate) mod validate;
