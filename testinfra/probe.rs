//! `netkeel probe` on the real kernel: chains of namespaces play the host, the routers and the target. Needs
//! root, iproute2, nftables and ping.

#[path = "probe/chain.rs"]
mod chain;
#[path = "probe/ipip.rs"]
mod ipip;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "probe/pmtu.rs"]
mod pmtu;
#[path = "probe/topologies.rs"]
mod topologies;
