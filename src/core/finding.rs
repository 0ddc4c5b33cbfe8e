//! What a user should know although it is not an error: findings have stable codes, a severity
//! and a remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of finding.
    pub code: Code,
    /// What it concerns: interfaces, keys, files; sorted.
    pub subjects: Vec<String>,
    /// What is so, one sentence without a full stop and without the subjects.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is refused as a whole, or cannot work.
    Error,
    /// The document does not do what it says.
    Warning,
    /// Worth knowing.
    Note,
}

/// The codes: stable, documented in `docs/findings/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// A wanted rp_filter has no effect, or another one than it says.
    NK001,
    /// Loose mode on an interface without IPv4 address drops everything.
    NK002,
    /// Writing `default` changes interfaces that nobody named.
    NK003,
    /// An MTU below 1280 takes IPv6 off the interface.
    NK004,
    /// A named interface is not there.
    NK005,
    /// A glob met an interface that another program keeps.
    NK006,
    /// A glob met an interface that is never touched.
    NK007,
    /// A device must be deleted and made again.
    NK008,
    /// Reverse path filtering drops what comes out of a tunnel.
    NK009,
    /// Netkeel wrote a fact that its document no longer declares.
    NK010,
    /// A fact that is to be given back was changed by somebody else.
    NK011,
    /// What a wanted rp_filter does now, before the plan mends it.
    NK012,
    /// The ends of a veth have different MTUs.
    NK013,
    /// A device has a larger MTU than what it stands on.
    NK014,
    /// A bridge's MTU was set by hand and does not follow its ports.
    NK015,
    /// A vxlan does not fit its lower device.
    NK016,
    /// An Open vSwitch tunnel device, which is to be left alone.
    NK017,
    /// Calico's strict filtering is effectively loose.
    NK018,
    /// A running Felix keeps the `default` it read when it started.
    NK019,
    /// An external ipip tunnel beside Calico's tunl0.
    NK020,
    /// Path MTU discovery is off.
    NK021,
    /// The least path MTU is raised.
    NK022,
    /// ICMP errors are limited more than by default.
    NK023,
    /// The drop-in loses against another file.
    NK024,
    /// A pattern in sysctl.d writes another value to interfaces that appear later.
    NK025,
    /// A sysctl that is read-only in this namespace.
    NK026,
    /// A file of sysctl.d that could not be read.
    NK027,
    /// Rules of others log what an entry of nflog would: netkeel's stay away.
    NK030,
    /// A rule of others logs some of the same packets to the same group.
    NK031,
    /// Somebody has put something into netkeel's table.
    NK032,
    /// An NFLOG group that Felix uses.
    NK033,
    /// Another program reads the NFLOG group.
    NK034,
    /// What the document has replicated is not, or not as it says.
    NK035,
    /// The rules keep packets from the worker that it would replicate.
    NK036,
    /// A CNI configuration that is named, or any at all, is not there.
    NK040,
    /// A CNI configuration comes first and cannot be loaded.
    NK041,
    /// Another CNI configuration has the same plugin with another MTU.
    NK042,
    /// A CNI plugin sets the MTU of the pod's end only.
    NK043,
    /// A CNI plugin takes its MTU from elsewhere.
    NK044,
    /// The end of a veth in a pod, which somebody else keeps.
    NK045,
    /// A WireGuard configuration that is named is not there.
    NK046,
    /// An MTU is larger than what its encapsulation leaves.
    NK047,
    /// A budget leaves less than IPv6 needs.
    NK048,
    /// The `mtu` of a CNI plugin is no number.
    NK049,
    /// A value of a map of texts in a machine configuration of Talos that is no text.
    NK050,
    /// A key without a value in a machine configuration of Talos.
    NK051,
    /// A document that the version of Talos does not know.
    NK052,
    /// A form that the schema of the version of Talos has left out.
    NK053,
    /// Both forms of KubeSpan's configuration.
    NK054,
    /// An MTU of pods that does not fit what their packets go over.
    NK055,
    /// An MTU of pods above what kube-ovn would take itself.
    NK056,
    /// An MTU that Talos refuses.
    NK057,
    /// An argument that says another MTU of pods than the values do.
    NK058,
    /// An MTU of pods above what CozyStack documents.
    NK059,
    /// Documents that Talos refuses beside each other.
    NK060,
    /// A field of a machine configuration that is nearly one that Talos knows.
    NK061,
}

impl Code {
    /// All codes.
    pub const ALL: &[Code] = &[
        Code::NK001,
        Code::NK002,
        Code::NK003,
        Code::NK004,
        Code::NK005,
        Code::NK006,
        Code::NK007,
        Code::NK008,
        Code::NK009,
        Code::NK010,
        Code::NK011,
        Code::NK012,
        Code::NK013,
        Code::NK014,
        Code::NK015,
        Code::NK016,
        Code::NK017,
        Code::NK018,
        Code::NK019,
        Code::NK020,
        Code::NK021,
        Code::NK022,
        Code::NK023,
        Code::NK024,
        Code::NK025,
        Code::NK026,
        Code::NK027,
        Code::NK030,
        Code::NK031,
        Code::NK032,
        Code::NK033,
        Code::NK034,
        Code::NK035,
        Code::NK036,
        Code::NK040,
        Code::NK041,
        Code::NK042,
        Code::NK043,
        Code::NK044,
        Code::NK045,
        Code::NK046,
        Code::NK047,
        Code::NK048,
        Code::NK049,
        Code::NK050,
        Code::NK051,
        Code::NK052,
        Code::NK053,
        Code::NK054,
        Code::NK055,
        Code::NK056,
        Code::NK057,
        Code::NK058,
        Code::NK059,
        Code::NK060,
        Code::NK061,
    ];

    /// It is about who logs and reads the packets that are replicated.
    pub fn is_about_replication(self) -> bool {
        matches!(
            self,
            Code::NK030 | Code::NK031 | Code::NK032 | Code::NK033 | Code::NK034 | Code::NK035 | Code::NK036
        )
    }

    /// How bad findings of this code are.
    pub fn severity(self) -> Severity {
        match self {
            Code::NK051 | Code::NK052 | Code::NK054 | Code::NK055 | Code::NK057 | Code::NK060 => {
                Severity::Error
            }
            Code::NK006
            | Code::NK007
            | Code::NK012
            | Code::NK015
            | Code::NK017
            | Code::NK023
            | Code::NK026
            | Code::NK027
            | Code::NK044
            | Code::NK048
            | Code::NK053
            | Code::NK059 => Severity::Note,
            _ => Severity::Warning,
        }
    }
}

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Code::ALL.iter().copied().find(|code| code.to_string() == text);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Input, format!("`{text}` is not the code of a finding")).hint("as NK001")
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// Findings with the same code, message and remedy are one with several subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(BTreeMap<(Code, String, String), BTreeSet<String>>);

impl Findings {
    /// Adds one subject to a finding.
    pub fn add(
        &mut self,
        code: Code,
        subject: impl fmt::Display,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0
            .entry((code, message.into(), remedy.into()))
            .or_default()
            .insert(subject.to_string());
    }

    /// Adds findings that were sorted before.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.0
                .entry((finding.code, finding.message, finding.remedy))
                .or_default()
                .extend(finding.subjects);
        }
    }

    /// All, sorted by code.
    pub fn into_sorted(self) -> Vec<Finding> {
        let finding =
            |((code, message, remedy), subjects): ((Code, String, String), BTreeSet<String>)| Finding {
                code,
                subjects: subjects.into_iter().collect(),
                message,
                remedy,
            };
        self.0.into_iter().map(finding).collect()
    }
}
