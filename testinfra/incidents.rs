//! Rebuilt incidents, each a bundle with the diagnosis that `netkeel doctor --bundle` prints.
//! NETKEEL_BLESS=1 rewrites the expected texts. Some are rebuilt in network namespaces too.

#[path = "doctor/incidents/golden.rs"]
mod golden;
#[path = "doctor/incidents/messages.rs"]
mod messages;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "doctor/incidents/net.rs"]
mod net;
#[path = "support/pod_net.rs"]
mod pod_net;
#[path = "doctor/incidents/provoked.rs"]
mod provoked;
#[path = "doctor/incidents/rebuilt.rs"]
mod rebuilt;
#[path = "doctor/incidents/secrets.rs"]
mod secrets;
#[path = "doctor/incidents/signs.rs"]
mod signs;
#[path = "doctor/incidents/versions.rs"]
mod versions;
