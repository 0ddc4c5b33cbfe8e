//! `netkeel path`: drawings of saved hosts compared with golden ones, and the sizes that it states compared
//! with what the real kernel lets through. Needs root, iproute2 and python3.

#[path = "path/drawings.rs"]
mod drawings;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/pod_net.rs"]
mod pod_net;
#[path = "path/reality.rs"]
mod reality;
#[path = "support/txtar.rs"]
mod txtar;
