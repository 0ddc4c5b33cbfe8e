//! The "packet too big" messages that a policy admits from routers, for the pods that it selects.

use crate::cluster::object::{Object, at};
use crate::cluster::selector::Selector;
use netkeel_source::node::Node;

/// The groups of Calico's own policies.
pub(super) const CALICO: [&str; 2] = ["projectcalico.org", "crd.projectcalico.org"];

pub(super) const CILIUM: &str = "cilium.io";

/// The keys of a rule of Calico that narrow nothing.
const RULE_OF_CALICO: [&str; 7] = [
    "action",
    "protocol",
    "icmp",
    "ipVersion",
    "source",
    "destination",
    "metadata",
];

/// The message of each family: ICMP type 3 code 4, and ICMPv6 type 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
}

impl Admitted {
    const BOTH: Admitted = Admitted {
        ipv4: true,
        ipv6: true,
    };

    pub(super) fn or(self, other: Admitted) -> Admitted {
        Admitted {
            ipv4: self.ipv4 || other.ipv4,
            ipv6: self.ipv6 || other.ipv6,
        }
    }

    fn and(self, other: Admitted) -> Admitted {
        Admitted {
            ipv4: self.ipv4 && other.ipv4,
            ipv6: self.ipv6 && other.ipv6,
        }
    }

    fn any_of(rules: impl Iterator<Item = Admitted>) -> Admitted {
        rules.fold(Admitted::default(), Admitted::or)
    }
}

/// The rules for incoming packets below a key.
fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

fn spec_list<'a>(policy: &Object<'a>, key: &str) -> &'a [Node] {
    policy.at(&["spec", key]).map(Node::items).unwrap_or_default()
}

/// What a NetworkPolicy of Kubernetes admits; `None` for one that isolates no pod for incoming packets.
pub(super) fn by_kubernetes(policy: &Object<'_>) -> Option<Admitted> {
    let types = spec_list(policy, "policyTypes");
    // The default includes it.
    let isolates = types.is_empty() || types.iter().any(|one| one.text() == Some("Ingress"));
    isolates.then(|| Admitted::any_of(spec_list(policy, "ingress").iter().map(by_rule)))
}

fn by_rule(rule: &Node) -> Admitted {
    let (ports, from) = (list(rule, "ports"), list(rule, "from"));
    match (ports, from) {
        ([], []) => Admitted::BOTH,
        ([], from) => Admitted::any_of(from.iter().map(by_peer)),
        _ => Admitted::default(),
    }
}

fn by_peer(peer: &Node) -> Admitted {
    let block = |key: &str| at(peer, &["ipBlock", key]);
    let has_gaps = block("except").is_some_and(|except| !except.items().is_empty());
    let network = block("cidr").and_then(Node::text);
    Admitted {
        ipv4: !has_gaps && network == Some("0.0.0.0/0"),
        ipv6: !has_gaps && network == Some("::/0"),
    }
}

/// What a policy of Calico admits, and the pods of a namespace for which it does; `None` for another object, and where a
/// part is not understood.
pub(super) fn by_calico(policy: &Object<'_>, namespace: &str) -> Option<(Selector, Admitted)> {
    let is_global = match &*policy.kind {
        "NetworkPolicy" => false,
        "GlobalNetworkPolicy" => true,
        _ => return None,
    };
    let text = |key: &str| policy.at(&["spec", key]).and_then(Node::text);
    let is_set = |key: &str| {
        policy
            .at(&["spec", key])
            .is_some_and(|value| value.switch() == Some(true))
    };
    let is_of_pods = CALICO.contains(&&*policy.group)
        && matches!(text("tier"), None | Some("default"))
        && matches!(text("serviceAccountSelector"), None | Some("" | "all()"))
        && !is_set("doNotTrack")
        && !is_set("preDNAT");
    let types = spec_list(policy, "types");
    let is_of_ingress = types.is_empty() || types.iter().any(|one| one.text() == Some("Ingress"));
    if !is_of_pods || !is_of_ingress {
        return None;
    }
    if is_global {
        let of_namespaces = Selector::of_calico(policy.at(&["spec", "namespaceSelector"]))?;
        let here = Selector::default()
            .with("projectcalico.org/name", namespace)
            .with("kubernetes.io/metadata.name", namespace);
        if !of_namespaces.covers(&here) {
            return None;
        }
    } else if policy.namespace != namespace {
        return None;
    }
    let mut admitted = Admitted::default();
    for rule in spec_list(policy, "ingress") {
        match rule.get("action").and_then(Node::text) {
            Some("Allow") => admitted = admitted.or(by_rule_of_calico(rule)),
            Some("Log") => {}
            // What follows a rule that denies or passes on is not judged.
            _ => break,
        }
    }
    let selector = Selector::of_calico(policy.at(&["spec", "selector"]))?;
    Some((selector, admitted))
}

fn by_rule_of_calico(rule: &Node) -> Admitted {
    let is_known = |key: &str| RULE_OF_CALICO.contains(&key);
    let is_empty = |key: &str| rule.get(key).is_none_or(|value| value.entries().is_empty());
    let is_plain = rule.entries().iter().all(|entry| is_known(&entry.key));
    if !is_plain || !is_empty("source") || !is_empty("destination") {
        return Admitted::default();
    }
    let of_version = match rule.get("ipVersion").map(Node::integer) {
        None => Admitted::BOTH,
        Some(version) => Admitted {
            ipv4: version == Some(4),
            ipv6: version == Some(6),
        },
    };
    let number = |key: &str| at(rule, &["icmp", key]).map(Node::integer);
    let (of_type, code) = (number("type"), number("code"));
    let protocol = rule.get("protocol");
    let protocol = protocol.map(|one| (one.text().unwrap_or_default(), one.integer()));
    let of_protocol = match protocol {
        None => match rule.get("icmp") {
            None => Admitted::BOTH,
            Some(_) => Admitted::default(),
        },
        Some(("ICMP" | "1", _) | (_, Some(1))) => Admitted {
            ipv4: matches!(
                (of_type, code),
                (None, None) | (Some(Some(3)), None | Some(Some(4)))
            ),
            ipv6: false,
        },
        Some(("ICMPv6" | "58", _) | (_, Some(58))) => Admitted {
            ipv4: false,
            ipv6: matches!(
                (of_type, code),
                (None, None) | (Some(Some(2)), None | Some(Some(0)))
            ),
        },
        Some(_) => Admitted::default(),
    };
    of_protocol.and(of_version)
}

/// What a policy of Cilium admits, for each of its rules, and the pods of a namespace for which it does.
pub(super) fn by_cilium(policy: &Object<'_>, namespace: &str) -> Vec<(Selector, Admitted)> {
    let is_here = match &*policy.kind {
        "CiliumNetworkPolicy" => policy.namespace == namespace,
        "CiliumClusterwideNetworkPolicy" => true,
        _ => false,
    };
    if policy.group != CILIUM || !is_here {
        return Vec::new();
    }
    let more = policy.at(&["specs"]).map(Node::items).unwrap_or_default();
    let specs = policy.at(&["spec"]).into_iter().chain(more);
    let of_pods =
        specs.filter(|spec| spec.get("nodeSelector").is_none() && list(spec, "ingressDeny").is_empty());
    of_pods
        .filter_map(|spec| {
            // Without a selector it is no policy for pods.
            let selector = Selector::of_labels(Some(spec.get("endpointSelector")?))?;
            let rules = list(spec, "ingress").iter();
            Some((selector, Admitted::any_of(rules.map(by_rule_of_cilium))))
        })
        .collect()
}

fn by_rule_of_cilium(rule: &Node) -> Admitted {
    let is_known = |key: &str| matches!(key, "icmps" | "fromEntities");
    if !rule.entries().iter().all(|entry| is_known(&entry.key)) {
        return Admitted::default();
    }
    let entities = list(rule, "fromEntities");
    let from_all = entities
        .iter()
        .any(|one| matches!(one.text(), Some("all" | "world")));
    match (rule.get("icmps"), rule.get("fromEntities").is_some()) {
        (None, true) if from_all => Admitted::BOTH,
        (Some(icmps), is_narrowed) if from_all || !is_narrowed => {
            let fields = icmps.items().iter().flat_map(|one| list(one, "fields"));
            Admitted::any_of(fields.map(by_field_of_cilium))
        }
        _ => Admitted::default(),
    }
}

/// The types may be numbers or names (cilium, pkg/policy/api/icmp.go).
fn by_field_of_cilium(field: &Node) -> Admitted {
    let of_type = field.get("type");
    let number = of_type.and_then(Node::integer);
    let text = of_type.and_then(Node::text);
    match field.get("family").map(Node::text) {
        None | Some(Some("IPv4")) => Admitted {
            ipv4: number == Some(3) || matches!(text, Some("3" | "DestinationUnreachable")),
            ipv6: false,
        },
        Some(Some("IPv6")) => Admitted {
            ipv4: false,
            ipv6: number == Some(2) || matches!(text, Some("2" | "PacketTooBig")),
        },
        Some(_) => Admitted::default(),
    }
}
