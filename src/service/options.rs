//! Options of the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;

/// Where the document comes from.
pub trait Source: Send {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong with it, as text for people.
    fn read(&mut self) -> Result<Document, String>;

    /// The files and directories that it is read from.
    fn paths(&self) -> Vec<PathBuf>;

    /// What tells what would be read from what was read before.
    fn digest(&mut self) -> u64;
}

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace.
    pub netns: Netns,
    /// It writes; else it only looks.
    pub enforces: bool,
    /// Its worker sends nothing, whatever the document says.
    pub dry_run: bool,
    /// The whole host is looked at once in this time at least.
    pub interval: Duration,
    /// It may lose what an undo does not bring back.
    pub lossy: bool,
    /// It may change the interface that the host is managed through.
    pub management: bool,
    /// Bytes of events that the kernel may queue.
    pub queue: usize,
    /// Where the metrics and the health are answered.
    pub listen: Option<SocketAddr>,
}
