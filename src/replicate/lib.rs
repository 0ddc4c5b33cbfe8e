//! The worker that replicates ICMP "packet too big" to all peers, and its supervision: it is a
//! process of its own, so that hostile bytes are not read beside netkeel's privileges.

pub mod control;
mod message;
mod privileges;
mod seccomp;
pub mod supervisor;
pub mod worker;
