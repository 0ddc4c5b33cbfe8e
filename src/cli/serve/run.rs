//! `netkeel run`: the service that keeps the host in sync.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::arguments::{Documents, parse_duration};
use crate::exit;
use crate::load::directory;
use crate::load::documents::{digest, is_empty, load_quietly};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_dialects::dialect::Dialect;
use netkeel_document::document::Document;
use netkeel_service::options::{Options, Source};
use netkeel_service::run;

/// Keep the host in sync until stopped
///
/// The service checks what kernel events report, and scans the whole host at regular intervals.
///
/// SIGHUP reloads the document, and so does a change of its files. When the new document is invalid,
/// the previous one stays in force. SIGTERM stops the service. The host keeps its settings, except
/// for `nflog` rules with `remove_on_stop`, which is the default.
///
/// Without any document the service waits for one.
///
/// Exit status: 0 stopped by a signal; 1 the service could not start.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Whether to correct drift or only report it
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Do not send copies of packets for `replicate`
    ///
    /// The worker still checks and counts the packets. --mode applies to the rest of the document.
    #[arg(long)]
    dry_run: bool,
    /// Maximum time between full scans
    ///
    /// Full scans find changes that the kernel does not report.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5m")]
    interval: Duration,
    /// Allow changes that cannot be undone exactly
    ///
    /// Examples: an MTU below 1280 deletes IPv6 addresses; some changes recreate a device.
    #[arg(long)]
    allow_lossy: bool,
    /// Allow changes to the interface of the default route
    #[arg(long)]
    allow_management: bool,
    /// Serve metrics and health here, e.g. 127.0.0.1:9440
    ///
    /// By default the service opens no network port. With --netns, the address is outside that
    /// namespace.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Show the page at / to clients beyond this host too
    ///
    /// The page has what `netkeel status` prints: settings, addresses, other programs.
    #[arg(long, requires = "listen", hide_short_help = true)]
    page_for_anyone: bool,
    /// Export the MTU of every interface, also of those that a match finds
    ///
    /// By default only interfaces that the document names have series of their own. The others, as those of pods,
    /// are counted by class and rule.
    #[arg(long)]
    metrics_per_interface: bool,
    /// Follow the NetkeelPolicy objects of a Kubernetes cluster for this node
    ///
    /// The documents of the policies are laid over those of the files. The state of the node goes to the object
    /// NetkeelNode of its name. This needs a netkeel that is built with the feature `kubernetes`.
    #[arg(long, value_name = "NODE")]
    node_name: Option<String>,
    /// Size of the kernel event queue
    ///
    /// When the queue overflows, the service scans the whole host.
    #[arg(long, value_name = "BYTES", default_value_t = 4 * 1024 * 1024, hide_short_help = true)]
    event_queue: usize,
}

/// An address and a port; IPv6 with or without brackets, since Kubernetes fills in bare addresses.
fn parse_listen(text: &str) -> Result<SocketAddr, Error> {
    let bare = || {
        let (address, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(
            address.parse::<IpAddr>().ok()?,
            port.parse().ok()?,
        ))
    };
    text.parse::<SocketAddr>().ok().or_else(bare).ok_or_else(|| {
        Error::new(
            ErrorKind::Input,
            "expected ADDRESS:PORT, e.g. 127.0.0.1:9440 or [::1]:9440",
        )
    })
}

/// Whether the service writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Report drift
    Observe,
    /// Correct drift
    #[default]
    Enforce,
}

/// The documents of `-f`.
struct DocumentSource {
    documents: Documents,
    netns: Netns,
}

impl Source for DocumentSource {
    fn read(&mut self, policies: Vec<(String, Vec<u8>)>, needs_files: bool) -> Result<Document, String> {
        load_quietly(&self.documents, policies, needs_files, self.netns.clone())
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.documents.files.clone()
    }

    fn watched(&self) -> Vec<PathBuf> {
        let files = self.documents.files.iter();
        files.flat_map(|file| directory::watched(file)).collect()
    }

    fn is_empty(&self) -> bool {
        is_empty(&self.documents)
    }

    fn digest(&mut self) -> u64 {
        digest(&self.documents)
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let paths = &arguments.documents.files;
    if paths.iter().any(|path| path == Path::new("-")) {
        return Err(Error::new(
            ErrorKind::Input,
            "the service rereads its document, but standard input can be read only once",
        )
        .hint("save the document to a file"));
    }
    if arguments.interval < Duration::from_secs(1) {
        return Err(Error::new(ErrorKind::Input, "the interval must be at least 1s"));
    }
    if arguments.node_name.is_some() {
        if !cfg!(feature = "kubernetes") {
            let message =
                "this netkeel is built without the feature `kubernetes`, so that it follows no policies";
            return Err(Error::new(ErrorKind::Input, message).hint("leave out --node-name, or use the image"));
        }
        if arguments.documents.origin.dialect() != Dialect::Native {
            let message = "policies are netkeel documents, and the files are in another format";
            return Err(Error::new(ErrorKind::Input, message).hint("leave out --from or --node-name"));
        }
    }
    let options = Options {
        netns: netns.clone(),
        enforces: arguments.mode == Mode::Enforce,
        dry_run: arguments.dry_run,
        interval: arguments.interval,
        lossy: arguments.allow_lossy,
        management: arguments.allow_management,
        queue: arguments.event_queue,
        metrics_per_interface: arguments.metrics_per_interface,
        page_for_anyone: arguments.page_for_anyone,
        node: arguments.node_name.clone(),
        listen: arguments.listen,
    };
    let mut source = DocumentSource {
        documents: arguments.documents.clone(),
        netns,
    };
    run::run(&options, &mut source)?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_needs_no_brackets() {
        let read = |text: &str| parse_listen(text).map(|address| address.to_string()).ok();
        assert_eq!(read("127.0.0.1:9440").as_deref(), Some("127.0.0.1:9440"));
        assert_eq!(read("2001:db8::1:9440").as_deref(), Some("[2001:db8::1]:9440"));
        assert_eq!(read("[::1]:9440").as_deref(), Some("[::1]:9440"));
        assert_eq!(
            (read("9440"), read("localhost:9440"), read("::1")),
            (None, None, None)
        );
    }
}
