//! The worker that replicates ICMP "packet too big" to all peers, and its supervision: it is a
//! process of its own, so that hostile bytes are not read beside netkeel's privileges.

mod control;
mod ending;
mod nflog;
mod pace;
mod peers;
mod peers_file;
mod privileges;
mod seccomp;
mod send;
mod supervisor;
mod system;
mod worker;

pub use supervisor::{Note, Severity, Status, Supervisor};
pub use worker::run;
