//! Explains one interface and all its known settings.

use ipnet::IpNet;
use serde::Serialize;

use crate::explain::declared::Declared;
use crate::explain::holder::{Held, held};
use crate::explain::inputs::Inputs;
use crate::explain::key::{KeyExplained, key};
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::device_owner;
use netkeel_host::snapshot::link::{Link, comes_in_pairs};
use netkeel_plan::ledger::Ledger;

/// The explanation of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkExplained {
    /// Its name.
    pub link: LinkName,
    /// Its properties.
    pub device: Device,
    /// The line of the document that wants its MTU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_mtu: Option<Declared>,
    /// Its owned facts other than sysctls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// Its sysctls.
    pub settings: Vec<KeyExplained>,
    /// Notes, a sentence each.
    pub notes: Vec<String>,
}

/// The properties of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// The rtnetlink kind; `physical` for hardware.
    pub kind: String,
    /// A tunnel in collect-metadata mode.
    pub external: bool,
    /// The driver's name, from ethtool.
    pub driver: Option<String>,
    /// Administratively up.
    pub up: bool,
    /// The MTU, bytes.
    pub mtu: u32,
    /// The smallest MTU that the device accepts, bytes; 0 for no limit.
    pub min_mtu: u32,
    /// The largest MTU that the device accepts, bytes; 0 for no limit.
    pub max_mtu: u32,
    /// The transmit queue length, packets.
    pub txqueuelen: u32,
    /// The alias.
    pub alias: Option<String>,
    /// The lower device.
    pub lower: Option<Other>,
    /// The other end, or the lower device, is in another namespace.
    pub peer_elsewhere: bool,
    /// The bridge or bond it is a port of.
    pub master: Option<Other>,
    /// The upper devices.
    pub upper: Vec<Other>,
    /// The addresses; `None` if they could not be read.
    pub addresses: Option<Vec<IpNet>>,
}

/// Another interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its name.
    pub link: LinkName,
    /// Its kind.
    pub kind: String,
    /// Its MTU, bytes.
    pub mtu: u32,
}

/// The sysctls that the explanation of an interface covers.
pub fn keys_of(name: LinkName) -> Vec<SysctlKey> {
    let keys = [
        ("ipv4", "rp_filter"),
        ("ipv4", "forwarding"),
        ("ipv6", "forwarding"),
        ("ipv6", "disable_ipv6"),
    ];
    keys.map(|(family, leaf)| SysctlKey::conf(family, name, leaf))
        .into()
}

/// Explains an interface; `None` if it does not exist.
pub fn link(host: &Inputs<'_>, name: LinkName) -> Option<LinkExplained> {
    let link = host.snapshot.links.get(&name)?;
    let device = device(host, link);
    let settings = keys_of(name).iter().map(|of| key(host, of)).collect();
    Some(LinkExplained {
        notes: notes(name, &device),
        declared_mtu: host
            .declaring
            .and_then(|documents| documents.of(&Fact::link(&host.snapshot.netns, name, Field::Mtu))),
        held: of_device(host, name),
        link: name,
        device,
        settings,
    })
}

/// The owned facts of an interface other than sysctls.
fn of_device(host: &Inputs<'_>, name: LinkName) -> Vec<Held> {
    let claims = host.kept.ledger.into_iter().flat_map(Ledger::claims);
    let of_it = claims.filter(|claim| matches!(claim.fact.object, Object::Link(link) if link == name));
    of_it
        .filter(|claim| claim.fact.field.sysctl_of(name).is_none())
        .filter_map(|claim| held(&host.kept, &claim.fact))
        .collect()
}

pub(crate) fn device(host: &Inputs<'_>, link: &Link) -> Device {
    let snapshot = host.snapshot;
    let other = |name: LinkName, link: &Link| Other {
        link: name,
        kind: link.kind_name().to_owned(),
        mtu: link.mtu,
    };
    let by_index = |index: u32| snapshot.by_index(index).map(|(name, link)| other(name, link));
    let above = |upper: &Link| upper.peer_netns.is_none() && upper.lower == Some(link.index);
    let is_paired = comes_in_pairs(link.kind_name());
    let read = snapshot.families.ipv4 && snapshot.families.ipv6;
    Device {
        index: link.index,
        kind: link.kind_name().to_owned(),
        external: link.external,
        driver: link.driver.as_deref().map(str::to_owned),
        up: link.up,
        mtu: link.mtu,
        min_mtu: link.min_mtu,
        max_mtu: link.max_mtu,
        txqueuelen: link.txqueuelen,
        alias: link.alias.as_deref().map(str::to_owned),
        lower: link
            .lower
            .filter(|_| link.peer_netns.is_none())
            .and_then(by_index),
        peer_elsewhere: link.peer_netns.is_some(),
        master: link.master.and_then(by_index),
        upper: snapshot
            .links
            .iter()
            .filter(|(_, upper)| !is_paired && above(upper))
            .map(|(name, link)| other(*name, link))
            .collect(),
        addresses: read.then(|| link.addresses.iter().copied().collect()),
    }
}

pub(crate) fn notes(name: LinkName, device: &Device) -> Vec<String> {
    let mut notes = Vec::new();
    let text = name.to_string();
    if let Some(why) = device_owner::refusal(&text) {
        notes.push(why.to_owned());
    }
    if let Some(keeper) = device_owner::keeper(&text) {
        notes.push(format!(
            "{keeper} manages it: patterns of a document do not match it"
        ));
    }
    if let Some(lower) = &device.lower
        && lower.mtu < device.mtu
        && !comes_in_pairs(&device.kind)
    {
        let below = lower.link;
        notes.push(format!(
            "its MTU {} is above that of {below} below it, {}",
            device.mtu, lower.mtu
        ));
    }
    if let Some(peer) = device.lower.as_ref().filter(|_| device.kind == "veth")
        && peer.mtu != device.mtu
    {
        notes.push(format!(
            "the other end {} has MTU {}, this one {}: packets larger than the smaller MTU are dropped without an ICMP error",
            peer.link, peer.mtu, device.mtu
        ));
    }
    if device.mtu < 1280 {
        notes.push("an MTU below 1280 removes IPv6 from it".into());
    }
    notes
}
