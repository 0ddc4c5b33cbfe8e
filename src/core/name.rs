//! Names of kernel objects and of netkeel's own. Each type holds valid names only.

pub mod device;
pub mod link;
pub mod mac;
pub mod netns;
pub mod route;
pub mod sandbox;
pub mod strictness;
pub mod sysctl;
pub mod tunnel;
