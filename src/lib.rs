//! netkeel keeps a Linux host's network path settings true to a declared state.
//!
//! ```text
//!   YAML JSON TOML        /proc/sys  rtnetlink  files
//!         |                        |
//!      source                   kernel <------------------------+
//!         | nodes with spans       | snapshot                   | ops
//!      document ---- scope ------->|                            |
//!         | wants                  |                            |
//!         +--------> plan <--------+        apply: journal, execute, look again
//!                     |                                         ^
//!                     +---- ordered ops, each with its undo ----+
//! ```
//!
//! A document's kinds say which [values](want) they want of which [facts](fact). A
//! [plan](mod@plan) compares them with a [snapshot] of the host and orders the [ops](op) that are
//! missing, each with an undo that the [model kernel](snapshot::Model) computes. [Applying](mod@apply)
//! a plan leaves no choice to make.
//!
//! Purity is a place: the modules below the line do no I/O and read no clock. This and the other
//! invariants are in docs/explanation/architecture.md, each with the test that holds the code to it.

pub mod apply;
pub mod cli;
pub mod daemon;
pub mod kernel;
pub mod replicate;
pub mod store;
// ---------------- nothing below does I/O or reads a clock ----------------
pub mod cni;
pub mod document;
pub mod duration;
pub mod error;
pub mod explain;
pub mod fact;
pub mod finding;
pub mod from_text;
pub mod journal;
pub mod ledger;
pub mod limit;
pub mod link_name;
pub mod lint;
pub mod mtu;
pub mod netns;
pub mod nflog;
pub mod op;
pub mod packet;
pub mod persist;
pub mod plan;
pub mod pods;
pub mod reconcile;
pub mod render;
pub mod replication;
pub mod resource;
pub mod rpfilter;
pub mod saved_plan;
pub mod selector;
pub mod snapshot;
pub mod source;
pub mod sysctl_d;
pub mod sysctl_key;
pub mod templates;
pub mod tunnel_mode;
pub mod walk;
pub mod want;
pub mod wireguard;
