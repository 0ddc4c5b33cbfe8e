//! The worker that replicates ICMP "packet too big" to all peers, and its supervisor. The worker is a
//! separate process, so that no process with netkeel's privileges reads hostile bytes.

pub mod control;
pub mod handover;
mod message;
mod privileges;
mod role;
mod seccomp;
pub mod supervisor;
pub mod worker;
