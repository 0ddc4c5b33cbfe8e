//! Findings: facts that a user should know, although they are not errors. Each has a stable code, a
//! severity and a remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The kind of finding.
    pub code: Code,
    /// The affected interfaces, keys or files, sorted.
    pub subjects: Vec<String>,
    /// The fact, one sentence without a full stop and without the subjects.
    pub message: String,
    /// The remedy.
    pub remedy: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The document is rejected as a whole, or it cannot work.
    Error,
    /// The document does not have the declared effect.
    Warning,
    /// Worth knowing.
    Note,
}

/// The codes: stable, documented in `docs/reference/findings/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// A wanted rp_filter has no effect, or a different effect than declared.
    NK001,
    /// Loose mode on an interface without IPv4 address drops everything.
    NK002,
    /// Writing `default` changes interfaces that the document does not name.
    NK003,
    /// An MTU below 1280 disables IPv6 on the interface.
    NK004,
    /// A named interface does not exist.
    NK005,
    /// A glob matches an interface that another program manages.
    NK006,
    /// A glob matches an interface that netkeel never changes.
    NK007,
    /// A device must be deleted and recreated.
    NK008,
    /// Reverse path filtering drops packets that come out of a tunnel.
    NK009,
    /// netkeel wrote a fact that its document no longer declares.
    NK010,
    /// Another program changed a fact that netkeel was to restore.
    NK011,
    /// The current effect of a wanted rp_filter, before the plan corrects it.
    NK012,
    /// The ends of a veth have different MTUs.
    NK013,
    /// A device has a larger MTU than its lower device, or than one of its ports.
    NK014,
    /// A bridge's MTU was set by hand and does not follow its ports.
    NK015,
    /// A tunnel does not fit its lower device.
    NK016,
    /// An Open vSwitch tunnel device whose MTU was lowered.
    NK017,
    /// Calico's strict filtering is effectively loose.
    NK018,
    /// A running Felix keeps the `default` that it read at start.
    NK019,
    /// An external ipip tunnel on a host that has Calico's tunl0.
    NK020,
    /// Path MTU discovery is off.
    NK021,
    /// The minimum path MTU is raised.
    NK022,
    /// ICMP errors are limited more than the kernel's default.
    NK023,
    /// Another file overrides the drop-in.
    NK024,
    /// A pattern in sysctl.d writes another value to interfaces that appear later.
    NK025,
    /// A sysctl that is read-only in this namespace.
    NK026,
    /// A file of sysctl.d that could not be read.
    NK027,
    /// The drop-in and other parts of the document are withheld: nothing tells whether this is the host.
    NK028,
    /// Switching IPv6 forwarding on removes default routes that routers announced.
    NK029,
    /// Rules of another program already log the packets of an nflog entry; netkeel adds none.
    NK030,
    /// A rule of another program logs some of the same packets to the same group.
    NK031,
    /// Another program added objects to netkeel's table.
    NK032,
    /// Felix uses the NFLOG group.
    NK033,
    /// Another program reads the NFLOG group.
    NK034,
    /// Packets that the document declares replicated are not replicated, or not as declared.
    NK035,
    /// The rules filter out packets that the worker would replicate.
    NK036,
    /// A named route does not exist.
    NK037,
    /// A router lies in the sources that a document ignores.
    NK038,
    /// Reverse path filtering drops the copies of peers.
    NK039,
    /// The named CNI configuration is missing, or the host has no CNI configuration.
    NK040,
    /// The first CNI configuration cannot be loaded.
    NK041,
    /// Another CNI configuration has the same plugin with another MTU.
    NK042,
    /// A CNI plugin sets the MTU of the pod's end of the veth only.
    NK043,
    /// A CNI plugin takes its MTU from another source.
    NK044,
    /// Another program manages the pod's end of a veth.
    NK045,
    /// A named WireGuard configuration does not exist.
    NK046,
    /// An MTU is larger than its encapsulation allows.
    NK047,
    /// A budget leaves less than the minimum MTU of IPv6.
    NK048,
    /// The `mtu` of a CNI plugin is not a number.
    NK049,
    /// A Talos machine configuration has a value that is not text in a map of texts.
    NK050,
    /// A Talos machine configuration has a key without a value.
    NK051,
    /// A document that this Talos version does not know.
    NK052,
    /// A form that the schema of this Talos version omits.
    NK053,
    /// Both forms of KubeSpan's configuration.
    NK054,
    /// An MTU of pods that does not fit the path of their packets.
    NK055,
    /// An MTU of pods above the default of kube-ovn.
    NK056,
    /// An MTU that Talos rejects.
    NK057,
    /// An argument sets a different MTU of pods than the values do.
    NK058,
    /// An MTU of pods above the maximum that CozyStack documents.
    NK059,
    /// Documents that Talos rejects in combination.
    NK060,
    /// A field of a machine configuration that differs slightly from one that Talos knows.
    NK061,
    /// NFLOG rules name a port, and IP packets arrive on its master.
    NK062,
    /// Reverse path filtering drops the packets of Cilium's pods.
    NK063,
    /// Forwarding is off where pods or containers need it.
    NK064,
    /// The declared MTUs of pods and of the plugin that makes them differ.
    NK065,
    /// A route of the host has a larger MTU than its interface.
    NK066,
    /// A change of a device's MTU resets an IPv6 MTU of its own.
    NK070,
    /// A change of a device's MTU changes the MTU of a device above it, or of its port.
    NK071,
    /// A declared `all` or `default` has no effect on some interfaces.
    NK072,
    /// An entry of a document matches nothing.
    NK073,
    /// A CNI plugin reads no `mtu`, or netkeel does not know whether it does.
    NK074,
    /// Whether the kernel can create a kind of tunnel is unknown.
    NK075,
    /// A setting of a Talos machine configuration is for an interface that netkeel cannot find.
    NK076,
    /// A default MTU of pods does not fit KubeSpan.
    NK077,
    /// Ports of a bridge have different MTUs.
    NK080,
    /// A pod that was created after an eviction is stale as well.
    NK090,
    /// A NetworkPolicy admits no ICMP from routers.
    NK091,
    /// A DNS server allows answers that do not fit the path.
    NK092,
    /// The MTU in an object of a CNI contradicts the nodes.
    NK093,
    /// Agents of a DaemonSet do not run.
    NK094,
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
        Code::NK028,
        Code::NK029,
        Code::NK030,
        Code::NK031,
        Code::NK032,
        Code::NK033,
        Code::NK034,
        Code::NK035,
        Code::NK036,
        Code::NK037,
        Code::NK038,
        Code::NK039,
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
        Code::NK062,
        Code::NK063,
        Code::NK064,
        Code::NK065,
        Code::NK066,
        Code::NK070,
        Code::NK071,
        Code::NK072,
        Code::NK073,
        Code::NK074,
        Code::NK075,
        Code::NK076,
        Code::NK077,
        Code::NK080,
        Code::NK090,
        Code::NK091,
        Code::NK092,
        Code::NK093,
        Code::NK094,
    ];

    /// It is about who logs and reads the packets that are replicated.
    pub fn is_about_replication(self) -> bool {
        matches!(
            self,
            Code::NK030
                | Code::NK031
                | Code::NK032
                | Code::NK033
                | Code::NK034
                | Code::NK035
                | Code::NK036
                | Code::NK038
                | Code::NK039
                | Code::NK062
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
            | Code::NK023
            | Code::NK026
            | Code::NK027
            | Code::NK044
            | Code::NK048
            | Code::NK053
            | Code::NK059
            | Code::NK071
            | Code::NK075
            | Code::NK091 => Severity::Note,
            _ => Severity::Warning,
        }
    }
}

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Code::ALL.iter().copied().find(|code| code.to_string() == text);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Input, format!("`{text}` is not a finding code")).hint("as NK001")
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

/// A set of findings. Findings with the same code, message and remedy become one with several subjects.
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

    /// Adds findings that are already grouped.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.0
                .entry((finding.code, finding.message, finding.remedy))
                .or_default()
                .extend(finding.subjects);
        }
    }

    /// All findings, sorted by code.
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
