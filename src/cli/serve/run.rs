//! `netkeel run`: the service that keeps the document true.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::arguments::{Documents, parse_duration};
use crate::exit;
use crate::load::documents::{digest, load_quietly};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_service::options::{Options, Source};
use netkeel_service::run;

/// Keeps the host as the document says, until it is told to end: looks again at what changes, and
/// at everything from time to time.
///
/// SIGHUP reads the document again, and so does a change of its files; when the new one is bad, the
/// old one stays in force. SIGTERM ends the service; it leaves the host as it is, but for the rules of
/// `nflog` that say `remove_on_stop`, as they do by default.
///
/// Exit status: 0; 1 when it could not begin.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Whether to write.
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Judge and count the packets that `replicate` is for, and send no copies. What else the document
    /// says is kept as --mode has it.
    #[arg(long)]
    dry_run: bool,
    /// Look at the whole host at least once in this time, for what the kernel does not tell.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5m")]
    interval: Duration,
    /// Allow what cannot be undone exactly: IPv6 addresses lost below 1280, a device made again.
    #[arg(long)]
    allow_lossy: bool,
    /// Change the interface that carries the default route.
    #[arg(long)]
    allow_management: bool,
    /// Answer /metrics and /healthz here, as 127.0.0.1:9440; without this nothing is answered over
    /// the network. With --netns it is an address outside of that namespace.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Bytes of events that the kernel may queue; when they are more, the whole host is looked at.
    #[arg(long, value_name = "BYTES", default_value_t = 4 * 1024 * 1024, hide_short_help = true)]
    event_queue: usize,
}

/// Whether to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Look, and report what differs.
    Observe,
    /// Put it right.
    #[default]
    Enforce,
}

/// The files of `-f`.
struct Files {
    documents: Documents,
    netns: Netns,
}

impl Source for Files {
    fn read(&mut self) -> Result<Document, String> {
        load_quietly(&self.documents, self.netns.clone())
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.documents.files.clone()
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
            "a service reads its document again and again, and standard input can be read once only",
        )
        .hint("put it into a file"));
    }
    if arguments.interval < Duration::from_secs(1) {
        return Err(Error::new(
            ErrorKind::Input,
            "an interval below a second would be a busy loop",
        ));
    }
    let options = Options {
        netns: netns.clone(),
        enforces: arguments.mode == Mode::Enforce,
        dry_run: arguments.dry_run,
        interval: arguments.interval,
        lossy: arguments.allow_lossy,
        management: arguments.allow_management,
        queue: arguments.event_queue,
        listen: arguments.listen,
    };
    let mut files = Files {
        documents: arguments.documents.clone(),
        netns,
    };
    run::run(&options, &mut files)?;
    Ok(exit::OK)
}
