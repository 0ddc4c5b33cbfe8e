//! Options of the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;

/// Where the document comes from.
pub trait Source: Send {
    /// Reads the document. `policies` are documents to lay over the files, each with a name for messages. Without
    /// `needs_files` it may consist of them alone.
    ///
    /// # Errors
    /// All diagnostics, as text for people.
    fn read(&mut self, policies: Vec<(String, Vec<u8>)>, needs_files: bool) -> Result<Document, String>;

    /// The files and directories of the document.
    fn paths(&self) -> Vec<PathBuf>;

    /// The paths to watch for changes: those of [`Source::paths`], and directories that are read with them.
    fn watched(&self) -> Vec<PathBuf> {
        self.paths()
    }

    /// Whether there is no document, as opposed to one that cannot be read.
    fn is_empty(&self) -> bool;

    /// A hash of the current content, to detect changes.
    fn digest(&mut self) -> u64;
}

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network namespace to work on.
    pub netns: Netns,
    /// Whether the service corrects drift; otherwise it only reports drift.
    pub enforces: bool,
    /// Whether the replication worker sends no copies, whatever the document says.
    pub dry_run: bool,
    /// Maximum time between full scans.
    pub interval: Duration,
    /// Whether changes that cannot be undone exactly are allowed.
    pub lossy: bool,
    /// Whether changes to the management interface are allowed.
    pub management: bool,
    /// Size of the kernel event queue, bytes.
    pub queue: usize,
    /// Whether the metrics have series for each interface that a match finds.
    pub metrics_per_interface: bool,
    /// The node of a cluster whose policies the service follows.
    pub node: Option<String>,
    /// Whether clients beyond this host see the page.
    pub page_for_anyone: bool,
    /// Address of the page, /metrics and /healthz.
    pub listen: Option<SocketAddr>,
}
