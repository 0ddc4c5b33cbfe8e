//! A bundle: all that a colleague needs to judge a host offline. It holds no secret.

mod left_out;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Finding;
use netkeel_host::cni::configuration::{Configuration, Contents};
use netkeel_host::cni::program::Program;
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::Reading;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::detect::detect;

use crate::bundle::left_out::{LEFT_OUT, without_text, without_type};
use crate::diagnosis::cause::Diagnosis;
use crate::diagnosis::diagnose;
use crate::lint::host;

/// The version of the format of bundles.
pub const FORMAT: u32 = 1;

/// The state of a host over a window of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The version of the format of the bundle.
    pub bundle: u32,
    /// The version of netkeel that wrote it.
    pub netkeel: String,
    /// The name of the host (`uname -n`).
    pub host: String,
    /// The end of the window, seconds since 1970.
    pub time: u64,
    /// The CNI, by the name of its convention; none if it is not known.
    pub cni: Option<String>,
    /// The types of the CNI's plugins, by file.
    pub plugins: BTreeMap<String, Vec<Arc<str>>>,
    /// The `cniVersion` of the CNI's configurations, by file.
    #[serde(default)]
    pub cni_versions: BTreeMap<String, Arc<str>>,
    /// The programs of the plugins that the CNI lists, by type. Older bundles have none, or lack those of IPAM.
    #[serde(default)]
    pub programs: BTreeMap<Arc<str>, Program>,
    /// The findings on the host.
    pub findings: Vec<Finding>,
    /// The last applies, newest first.
    pub applies: Vec<BundledApply>,
    /// The counters at the beginning of the window.
    pub first: Reading,
    /// The counters at its end.
    pub last: Reading,
    /// The state of the host at its end.
    pub snapshot: Snapshot,
}

/// An apply of netkeel, as a bundle has it: without its caller and without its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundledApply {
    /// Names the entry in `netkeel history`.
    pub id: String,
    /// Seconds since 1970.
    pub time: u64,
    /// The event, as `netkeel history` names it.
    pub event: String,
    /// The owner of the document.
    pub owner: String,
    /// The facts that were written, each with its old and its new value as far as those are numbers and words of
    /// netkeel.
    pub changes: Vec<(String, String, String)>,
}

/// Words of netkeel for values.
const WORDS: &[&str] = &[
    "absent", "differs", "down", "empty", "loose", "none", "off", "present", "strict", "up",
];

impl BundledApply {
    /// Leaves out values with text of people, such as an alias, a rule or a file.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        for (fact, from, to) in &mut self.changes {
            *fact = without_type(fact);
            for value in [from, to] {
                let mut words = value.split([' ', '(', ')', ',']).filter(|word| !word.is_empty());
                let is_plain = |word: &str| WORDS.contains(&word) || word.parse::<i32>().is_ok();
                if !words.all(is_plain) {
                    *value = LEFT_OUT.to_owned();
                }
            }
        }
        self
    }
}

/// The host and the time of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The version of netkeel.
    pub netkeel: String,
    /// The name of the host.
    pub host: String,
    /// Seconds since 1970.
    pub time: u64,
    /// The programs of the plugins that the CNI lists, by type.
    pub programs: BTreeMap<Arc<str>, Program>,
}

impl Bundle {
    /// Joins the readings. Text of other programs and of people is left out.
    pub fn new(
        origin: Origin,
        snapshot: Snapshot,
        (first, last): (Reading, Reading),
        applies: Vec<BundledApply>,
    ) -> Self {
        let (mut snapshot, programs) = without_text(snapshot, origin.programs);
        // A finding may quote the host, so the findings are made after that.
        let findings = host::host(&snapshot);
        snapshot.files.clear();
        snapshot.sysctl_d = None;
        let plugins = |contents: &Contents| match contents {
            Contents::Plugins(plugins) => plugins.iter().map(|plugin| plugin.kind.clone()).collect(),
            Contents::Unread(_) | Contents::Invalid(_) | Contents::Template(_) => Vec::new(),
        };
        let files = snapshot.cni.iter().flat_map(|cni| &cni.files);
        let files: Vec<(String, &Configuration)> = files
            .filter_map(|(path, file)| Some((path.display().to_string(), file.as_ref()?)))
            .collect();
        let version =
            |(path, file): &(String, &Configuration)| Some((path.clone(), file.cni_version.clone()?));
        Bundle {
            bundle: FORMAT,
            netkeel: origin.netkeel,
            host: origin.host,
            time: origin.time,
            cni: detect(&snapshot).map(|detected| detected.cni.to_owned()),
            cni_versions: files.iter().filter_map(version).collect(),
            plugins: files
                .iter()
                .map(|(path, file)| (path.clone(), plugins(&file.reading)))
                .collect(),
            programs,
            findings,
            applies: applies.into_iter().map(BundledApply::without_text).collect(),
            first,
            last,
            snapshot,
        }
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the text is not a bundle, or one of another format.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Header {
            bundle: u32,
        }
        let wrong = |error: serde_json::Error| {
            Error::new(ErrorKind::Input, format!("this is not a bundle: {error}"))
                .hint("make one with `netkeel doctor --record 5m -o FILE`")
        };
        let header: Header = serde_json::from_str(text).map_err(wrong)?;
        if header.bundle != FORMAT {
            let message = format!(
                "the bundle has format {}; this netkeel reads {FORMAT}",
                header.bundle
            );
            return Err(Error::new(ErrorKind::Input, message).hint("use the netkeel that wrote it"));
        }
        serde_json::from_str(text).map_err(wrong)
    }

    /// The growth of the counters over the window.
    pub fn deltas(&self) -> Deltas {
        Deltas::between(self.first.clone(), self.last.clone())
    }

    /// The diagnosis of the host.
    pub fn diagnosis(&self) -> Diagnosis {
        diagnose(&self.snapshot, &self.findings, Some(&self.deltas()))
    }
}
