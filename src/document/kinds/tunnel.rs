//! The kind `tunnel`: `ipip` and `ip6tnl` tunnels in collect-metadata mode, as a real server behind
//! an IPIP load balancer needs them.

use ipnet::IpNet;

use crate::kinds::kind::{Context, Section};
use crate::kinds::link::kind::RP_FILTER;
use crate::kinds::mtu::{MTU, Wanted};
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::text::escape::quoted;
use netkeel_core::value::DeviceKind;
use netkeel_core::{fact, rp_filter};
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::reading::Support;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

/// The kind `tunnel`.
pub(crate) struct Kind;

const FIELDS: &[Field] = &[
    Field {
        name: "mode",
        shape: Shape::Choice(&[("ipip", 0), ("ip6tnl", 1)]),
        required: true,
        doc: "`ipip` takes IPv4 in IPv4; `ip6tnl` takes IPv6 and IPv4 in IPv6.",
    },
    Field {
        name: "addresses",
        shape: Shape::List(&Shape::Text {
            check: address,
            what: "an address with a prefix length",
        }),
        required: false,
        doc: "Addresses that the tunnel must have; other addresses are kept. Loose reverse path filtering drops everything on an interface without one.",
    },
    Field {
        name: "mtu",
        shape: MTU,
        required: false,
        doc: "MTU: bytes, or a budget; what the tunnel receives does not depend on it.",
    },
    Field {
        name: "rp_filter",
        shape: RP_FILTER,
        required: false,
        doc: "The tunnel's own reverse path filter.",
    },
    Field {
        name: "up",
        shape: Shape::Switch,
        required: false,
        doc: "Administratively up (the default): a tunnel that is down receives nothing.",
    },
    Field {
        name: "force",
        shape: Shape::Switch,
        required: false,
        doc: "Creates an ipip tunnel although tunl0 is up, as it is where Calico runs IPIP: the new tunnel then takes Calico's packets.",
    },
];

const FIELD: Field = Field {
    name: "tunnel",
    shape: Shape::Table {
        key: name,
        key_doc: "The name of the interface.",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "Tunnels in collect-metadata mode (`external`) that netkeel creates and maintains.",
};

fn name(text: &str) -> Result<(), Error> {
    let name: LinkName = text.parse()?;
    match device_owner::refusal(text) {
        Some(reason) => Err(
            Error::new(ErrorKind::Input, format!("netkeel never makes {name}: {reason}"))
                .hint("choose another name, as ipip0 or ipip60"),
        ),
        None => Ok(()),
    }
}

fn address(text: &str) -> Result<(), Error> {
    if text.parse::<IpNet>().is_ok() {
        return Ok(());
    }
    let wrong = |what: &str| Error::new(ErrorKind::Input, format!("{} {what}", quoted(text)));
    if let Some((Ok(address), _)) = text
        .split_once('/')
        .map(|(address, rest)| (address.parse(), rest))
    {
        let address: std::net::IpAddr = address;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        return Err(wrong("has an invalid prefix length").hint(format!("it is from 0 to {longest}")));
    }
    let error = wrong("is not an address with a prefix length");
    Err(match text.parse::<std::net::IpAddr>() {
        Ok(address) => error.hint(format!(
            "write {address}/{}",
            if address.is_ipv4() { 32 } else { 128 }
        )),
        Err(_) => error.hint("as 127.0.0.42/32"),
    })
}

#[derive(Debug)]
struct Tunnels {
    netns: Netns,
    entries: Vec<Tunnel>,
}

#[derive(Debug)]
struct Tunnel {
    name: LinkName,
    span: Span,
    mode: TunnelKind,
    force: bool,
    settings: Vec<(fact::Field, Wanted, Span, &'static str)>,
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let mut tunnels = Tunnels {
            netns: context.netns.clone(),
            entries: Vec::new(),
        };
        for entry in entries.entries() {
            let mode = entry
                .value
                .get("mode")
                .and_then(Node::text)
                .and_then(TunnelKind::from_word);
            let (Ok(name), Some(mode)) = (entry.key.parse::<LinkName>(), mode) else {
                continue;
            };
            if let Some(first) = tunnels.entries.iter().find(|first| first.mode == mode) {
                context
                    .diagnostics
                    .add(
                        entry.key_span,
                        KeyPath::of(&["tunnel", &entry.key]),
                        format!("a namespace can have one external {mode} only"),
                    )
                    .other(first.span, format!("{} is one already", first.name));
            }
            tunnels.entries.push(tunnel(
                name,
                mode,
                &entry.value,
                entry.key_span,
                context.diagnostics,
            ));
        }
        Box::new(tunnels)
    }
}

fn tunnel(
    name: LinkName,
    mode: TunnelKind,
    node: &Node,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Tunnel {
    let mut settings = Vec::new();
    for item in node.get("addresses").map(Node::items).unwrap_or_default() {
        if let Some(address) = item.text().and_then(|text| text.parse::<IpNet>().ok()) {
            settings.push((
                fact::Field::Address(address),
                Value::Switch(true).into(),
                item.span,
                "addresses",
            ));
        }
    }
    if let Some(node) = node.get("mtu") {
        let path = KeyPath::of(&["tunnel", &name.to_string(), "mtu"]);
        let wanted = Wanted::mtu(node, &path, diagnostics);
        settings.extend(wanted.map(|wanted| (fact::Field::Mtu, wanted, node.span, "mtu")));
    }
    if let Some((node, mode)) = node
        .get("rp_filter")
        .and_then(|node| Some((node, node.choice(rp_filter::WORDS)?)))
    {
        settings.push((
            fact::Field::RpFilter,
            Value::Number(mode).into(),
            node.span,
            "rp_filter",
        ));
    }
    let up = node.get("up");
    let up_span = up.map_or(span, |node| node.span);
    settings.push((
        fact::Field::Up,
        Value::Switch(up.and_then(Node::switch).unwrap_or(true)).into(),
        up_span,
        "up",
    ));
    let force = node.get("force").and_then(Node::switch).unwrap_or(false);
    Tunnel {
        name,
        span,
        mode,
        force,
        settings,
    }
}

impl Section for Tunnels {
    fn scope(&self, scope: &mut Scope) {
        for tunnel in &self.entries {
            scope.tunnels.insert(tunnel.mode);
            for (field, wanted, ..) in &tunnel.settings {
                // IPv6 addresses are lost when a tunnel goes down, also when undo sets it down again.
                let of_ipv6 = matches!(field, fact::Field::Address(IpNet::V6(_)) | fact::Field::Up);
                scope.families.ipv6 |= of_ipv6;
                if *field == fact::Field::Mtu {
                    wanted.scope_of_mtu(scope);
                }
            }
        }
        if !self.entries.is_empty() {
            scope.families.ipv4 = true;
            let starts_with = [
                "net/ipv4/conf/default/rp_filter",
                "net/ipv4/conf/all/rp_filter",
                "net/ipv4/conf/default/forwarding",
            ];
            scope.sysctls.extend(starts_with.map(SysctlKey::known));
            scope.of_default_ipv6();
        }
    }

    fn makes(&self) -> Vec<LinkName> {
        self.entries.iter().map(|tunnel| tunnel.name).collect()
    }

    fn has_budgets(&self) -> bool {
        let mut settings = self.entries.iter().flat_map(|tunnel| &tunnel.settings);
        settings.any(|(_, wanted, ..)| wanted.is_budget())
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        for tunnel in &self.entries {
            let made = Fact::link(&self.netns, tunnel.name, fact::Field::Kind);
            if !tunnel.possible(host, &made, wants) {
                continue;
            }
            let name = tunnel.name.to_string();
            let origin = |span: Span, field: &str| {
                Origin::named(span, SectionName::Tunnel, KeyPath::of(&["tunnel", &name, field]))
            };
            let kind = Value::Device(DeviceKind::tunnel(tunnel.mode));
            wants.add(made, Want::new(kind, origin(tunnel.span, "mode")));
            for (field, wanted, span, key) in &tunnel.settings {
                let fact = Fact::link(&self.netns, tunnel.name, *field);
                let origin = Origin {
                    derivation: wanted.derivation(),
                    ..origin(*span, key)
                };
                wants.add_wanted(fact, wanted, origin);
            }
        }
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        let mut keys = Vec::new();
        for tunnel in &self.entries {
            for (field, value, ..) in &tunnel.settings {
                if let Some(key) = field.sysctl_of(tunnel.name) {
                    keys.push((key, value.to_string()));
                }
            }
        }
        keys
    }
}

impl Tunnel {
    /// Whether the kernel can create this tunnel; reports why not.
    fn possible(&self, host: &Snapshot, fact: &Fact, wants: &mut Wants) -> bool {
        let (name, mode) = (self.name, self.mode);
        let path = KeyPath::of(&["tunnel", &name.to_string()]);
        let existing = host.links.get(&name);
        let in_place = existing.is_some_and(|link| link.kind_name() == mode.kind() && link.external);
        let other = host
            .links
            .iter()
            .find(|(other, link)| **other != name && link.kind_name() == mode.kind() && link.external);
        if let (false, Some((other, _))) = (in_place, other) {
            wants
                .diagnostics
                .add(
                    self.span,
                    path,
                    format!("{other} is an external {mode} already, and a namespace can have one only"),
                )
                .concerns(fact)
                .hint(format!(
                    "declare {other} instead, or remove it first: ip link del dev {other}"
                ));
            return false;
        }
        let fallback = mode
            .fallback_device()
            .parse()
            .ok()
            .and_then(|name: LinkName| host.links.get(&name));
        if mode == TunnelKind::Ipip && !in_place && !self.force && fallback.is_some_and(|link| link.up) {
            wants
                .diagnostics
                .add(self.span, path, format!("tunl0 is up, as it is where Calico runs IPIP: {name} would take the packets that are Calico's"))
                .concerns(fact)
                .hint("switch Calico to VXLAN or no encapsulation, or set tunl0 down if nothing uses it")
                .hint(format!("tunnel.{name}.force: true makes it all the same"));
            return false;
        }
        if let (false, Some(Support::Missing { module })) = (in_place, host.tunnels.get(&mode)) {
            wants
                .diagnostics
                .add(
                    self.span,
                    path,
                    format!(
                        "the kernel {} has no module {module}, which makes {mode} tunnels",
                        host.kernel
                    ),
                )
                .concerns(fact)
                .hint(format!("it comes with a kernel built with {}", mode.config()));
            return false;
        }
        if let (false, Some(Support::Unknown)) = (in_place, host.tunnels.get(&mode)) {
            wants.findings.add(
                Code::NK075,
                name,
                format!("whether the kernel {} can make {mode} tunnels is unknown: there is no /lib/modules for it here", host.kernel),
                "mount /lib/modules of the host, or expect that the apply may fail and be rolled back",
            );
        }
        if let (false, Some(link)) = (in_place, existing) {
            if let Some(why) = self.not_to_be_deleted(link) {
                let message = format!(
                    "{name} is there as {}, and to make the tunnel it would have to be deleted: {why}",
                    link.kind_name()
                );
                wants
                    .diagnostics
                    .add(self.span, path, message)
                    .concerns(fact)
                    .hint("choose another name, or delete the device where nobody needs it");
                return false;
            }
            let is = link.device_kind();
            let wanted = DeviceKind::tunnel(mode);
            let message = format!("is there as {is}, not as {wanted}: it must be deleted and made again");
            wants.findings.add(
                Code::NK008,
                name,
                message,
                "its addresses and routes go with it: --allow-lossy lets apply do so",
            );
        }
        true
    }

    /// Why an existing device of this name is not deleted to make room for the tunnel.
    fn not_to_be_deleted(&self, link: &Link) -> Option<String> {
        /// Kinds without state beyond their configuration: point-to-point tunnels and dummies.
        const BARE: &[&str] = &[
            "dummy",
            "ipip",
            "ip6tnl",
            "sit",
            "gre",
            "gretap",
            "ip6gre",
            "ip6gretap",
            "vti",
            "vti6",
        ];
        if let Some(keeper) = device_owner::keeper(&self.name.as_text()) {
            return Some(format!("{keeper} keeps it"));
        }
        let is_bare = BARE.contains(&link.kind_name());
        (!is_bare).then(|| "netkeel deletes tunnels and dummies only".to_owned())
    }
}
