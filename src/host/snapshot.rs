//! The observed state of a host, as data that can be saved and read back. A fact that could not be
//! read is a [`Problem`], never "absent".

pub mod default_route;
pub mod firewall;
pub mod forwarding;
pub mod link;
pub mod lookup;
pub mod next_hop;
pub mod nflog;
pub mod outer;
pub mod pod;
pub mod problem;
pub mod reading;
pub mod replication;
pub mod route;
pub mod routes;
pub mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cni::state::Cni;
use crate::snapshot::default_route::DefaultRoute;
use crate::snapshot::firewall::Firewall;
use crate::snapshot::forwarding::{Family, Forwarding};
use crate::snapshot::link::{Families, Link};
use crate::snapshot::next_hop::NextHop;
use crate::snapshot::problem::Problem;
use crate::snapshot::reading::{File, Support, SysctlD, SysctlReading};
use crate::snapshot::replication::Replicating;
use crate::wireguard::copy::Copied;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::device::{BootId, DeviceId};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::name::tunnel::TunnelKind;

/// The newest version of the snapshot format that this netkeel reads.
pub const FORMAT: u32 = 1;

/// The state of one network namespace of one host at one moment: what `netkeel observe` prints and
/// `netkeel plan --snapshot` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "netkeel snapshot")]
pub struct Snapshot {
    /// The version of the format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The network namespace; null for the one in which netkeel was started.
    pub netns: Netns,
    /// The release of the kernel (`uname -r`).
    pub kernel: String,
    /// The boot in which it was read. A saved snapshot has none: it is compared with no record.
    #[serde(skip)]
    pub boot: BootId,
    /// All interfaces, by name.
    pub links: BTreeMap<LinkName, Arc<Link>>,
    /// The address families that were read.
    pub families: Families,
    /// The sysctls that were read, by path below /proc/sys.
    pub sysctls: BTreeMap<SysctlKey, SysctlReading>,
    /// The files that were read; null for one that does not exist.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, Option<File>>,
    /// The default routes of the main table; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_routes: Option<BTreeSet<DefaultRoute>>,
    /// The next hops of all routes; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hops: Option<BTreeSet<NextHop>>,
    /// The families for which a rule of `ip rule` can send a packet without a mark to another table than local, main
    /// and default; missing if the rules were not read. The rule of VRFs does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_routing: Option<BTreeSet<Family>>,
    /// The interfaces with a default route that a router announced and the kernel keeps (IPv6), each with its
    /// `accept_ra`, null if that was not read; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_routes: Option<BTreeMap<LinkName, Option<i64>>>,
    /// The prefixes and tables whose routes were read; the routes are with their interfaces.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub routes: BTreeSet<RouteKey>,
    /// State that decides the way of packets through the host; missing if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Box<Forwarding>>,
    /// The rules of the firewall that can drop packets; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Box<Firewall>>,
    /// Measured path MTUs in bytes, by address of the remote host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path_mtus: BTreeMap<IpAddr, u32>,
    /// The CNI configurations; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<Cni>,
    /// The copies of WireGuard configurations that were read, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wireguard: BTreeMap<PathBuf, Copied>,
    /// Whether the kernel supports a kind of tunnel, for the kinds that were checked.
    #[serde(default)]
    pub tunnels: BTreeMap<TunnelKind, Support>,
    /// Whether the kernel has a module, by name, for the modules that were checked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, Support>,
    /// Ticks per second (CONFIG_HZ), to which the kernel rounds times; missing if no sysctl needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<u32>,
    /// The number of CPUs that the machine can have (`nr_cpu_ids`), which bounds masks and lists of CPUs; missing if no sysctl
    /// needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// The files of sysctl.d; missing if they do not apply to this namespace or were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctl_d: Option<SysctlD>,
    /// The rules that log packets to NFLOG groups; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nflog: Option<nflog::NflogState>,
    /// The status of the replication worker; missing if the service was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replicating>,
    /// The parts that could not be read.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

impl Snapshot {
    /// An empty snapshot.
    pub fn empty(netns: Netns) -> Self {
        Snapshot {
            format: FORMAT,
            netns,
            kernel: String::new(),
            boot: BootId::default(),
            links: BTreeMap::new(),
            families: Families::default(),
            sysctls: BTreeMap::new(),
            files: BTreeMap::new(),
            default_routes: None,
            next_hops: None,
            policy_routing: None,
            announced_routes: None,
            routes: BTreeSet::new(),
            forwarding: None,
            firewall: None,
            path_mtus: BTreeMap::new(),
            cni: None,
            wireguard: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            modules: BTreeMap::new(),
            ticks: None,
            cpus: None,
            sysctl_d: None,
            nflog: None,
            replication: None,
            problems: Vec::new(),
        }
    }

    /// Reads a saved snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the text is not a snapshot or is of another format. The error names the path of
    /// the field that is wrong.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        match serde_json::from_str::<Self>(text) {
            Ok(mut snapshot) if snapshot.format == FORMAT => {
                snapshot.mark_uplinks();
                Ok(snapshot)
            }
            Ok(snapshot) => Err(of_format(snapshot.format)),
            // Noting the path of each field takes time that only an error is worth.
            Err(_) => Err(why_not(text)),
        }
    }

    /// Marks the veths that are NICs of this namespace, as far as the default routes and the addresses that were read show
    /// them.
    pub fn mark_uplinks(&mut self) {
        let defaults = self.default_routes.iter().flatten();
        let defaults: BTreeSet<LinkName> = defaults.map(|route| route.link).collect();
        let has_hardware = self.links.iter().any(|(name, link)| link.is_hardware(*name));
        for (name, link) in &mut self.links {
            let is_hidden = link.pod.as_ref().is_none_or(|pod| pod.sandbox.is_none());
            if !link.uplink && link.is_own_nic(defaults.contains(name), is_hidden, has_hardware) {
                Arc::make_mut(link).uplink = true;
            }
        }
    }

    /// The interface with a name.
    pub fn link(&self, name: LinkName) -> Option<&Link> {
        self.links.get(&name).map(Arc::as_ref)
    }

    /// The interface that a fact is of now.
    pub fn device(&self, fact: &Fact) -> Option<DeviceId> {
        self.link(fact.link_name()?).map(|link| self.device_of(link))
    }

    /// All interfaces by their names.
    pub fn devices(&self) -> BTreeMap<LinkName, DeviceId> {
        let links = self.links.iter();
        links.map(|(name, link)| (*name, self.device_of(link))).collect()
    }

    fn device_of(&self, link: &Link) -> DeviceId {
        DeviceId {
            boot: self.boot,
            index: link.index,
        }
    }

    /// The interface with a name, mutable.
    pub fn link_mut(&mut self, name: LinkName) -> Option<&mut Link> {
        self.links.get_mut(&name).map(Arc::make_mut)
    }

    /// The interface that a name means: its own name, else one of its further names, else its alias where
    /// only one interface has that alias. A name that means no interface is returned as it is.
    pub fn resolve(&self, name: LinkName) -> LinkName {
        link::resolve(&self.links, name)
    }

    /// The interface that a word means, by its own name, a further name or an alias, as [`Snapshot::resolve`]
    /// says. The last two can be longer than a name.
    pub fn named(&self, word: &str) -> Option<LinkName> {
        let own = word.parse::<LinkName>().ok();
        own.filter(|name| self.links.contains_key(name))
            .or_else(|| link::by_other_name(&self.links, word))
    }

    /// The interface with an index.
    pub fn by_index(&self, index: u32) -> Option<(LinkName, &Link)> {
        let mut links = self.links.iter().map(|(name, link)| (*name, link.as_ref()));
        links.find(|(_, link)| link.index == index)
    }
}

/// The error for a text that is not a snapshot of this format.
fn why_not(text: &str) -> Error {
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }
    let wrong = |why: String| {
        Error::new(ErrorKind::Input, format!("this is not a snapshot: {why}"))
            .hint("make one with `netkeel observe`")
    };
    match serde_json::from_str::<Header>(text) {
        Ok(header) if header.format != FORMAT => return of_format(header.format),
        Ok(_) => {}
        Err(error) => return wrong(error.to_string()),
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Snapshot>(&mut reader) {
        Err(error) if error.path().iter().next().is_some() => {
            wrong(format!("field `{}`: {}", error.path(), error.inner()))
        }
        Err(error) => wrong(error.into_inner().to_string()),
        Ok(_) => wrong("text follows its end".to_owned()),
    }
}

fn of_format(format: u32) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("the snapshot has format {format}; this netkeel reads format {FORMAT}"),
    )
    .hint("use the netkeel that wrote it, or make a new one with `netkeel observe`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of a snapshot with a value in place of another one.
    fn error(pointer: &str, value: serde_json::Value) -> String {
        let mut snapshot = Snapshot::empty(Netns::CURRENT);
        let eth0 = Link {
            index: 2,
            mtu: 1500,
            ..Link::default()
        };
        snapshot.links.insert("eth0".parse().unwrap(), Arc::new(eth0));
        let absent = SysctlReading::Absent;
        let key = "net.core.rmem_max".parse().unwrap();
        snapshot.sysctls.insert(key, absent);
        let mut json = serde_json::to_value(&snapshot).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        Snapshot::from_json(&json.to_string()).unwrap_err().message
    }

    #[test]
    fn an_error_names_the_field() {
        let mtu = error("/links/eth0/mtu", "large".into());
        let start = "this is not a snapshot: field `links.eth0.mtu`: invalid type: string \"large\"";
        assert!(mtu.starts_with(start), "{mtu}");
        let sysctl = error("/sysctls/net~1core~1rmem_max", 7.into());
        let start =
            "this is not a snapshot: field `sysctls.net/core/rmem_max`: expected an object with `value`";
        assert!(sysctl.starts_with(start), "{sysctl}");
        let newer = error("/format", 9.into());
        assert_eq!(newer, "the snapshot has format 9; this netkeel reads format 1");
        let other = Snapshot::from_json("[]").unwrap_err().message;
        assert!(other.starts_with("this is not a snapshot: invalid"), "{other}");
    }
}
