//! Rebuilt incidents, each a bundle with the diagnosis that `netkeel doctor --bundle` prints.
//! NETKEEL_BLESS=1 rewrites the expected texts.

#[path = "doctor/incidents/golden.rs"]
mod golden;
