//! The kind `route`: a metric (`mtu`, `advmss`, `window`) of a route that another program adds.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::kinds::kind::{Context, Section};
use crate::kinds::required;
use crate::kinds::required::Required;
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{self, Fact, Value};
use netkeel_core::finding::Code;
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::escape::quoted;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::route::Route;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Entry as NodeEntry, Node};
use netkeel_source::span::Span;

/// The kind `route`.
pub(crate) struct Kind;

/// The routing tables with a name (include/uapi/linux/rtnetlink.h).
const TABLES: &[(&str, u32)] = &[("default", 253), ("main", 254), ("local", 255)];

const FIELDS: &[Field] = &[
    Field {
        name: "family",
        shape: Shape::Word(&["ipv4", "ipv6"]),
        required: false,
        doc: "The family of the key `default`; `ipv4` if not given. A prefix has its own.",
    },
    Field {
        name: "table",
        shape: Shape::Either(&[
            Shape::Integer {
                min: 1,
                max: u32::MAX as i64,
                unit: "",
            },
            Shape::Text {
                check: table,
                what: "`main`, `local` or `default`",
            },
        ]),
        required: false,
        doc: "The number of the routing table; `main` if not given.",
    },
    Field {
        name: "metric",
        shape: Shape::Integer {
            min: 0,
            max: u32::MAX as i64,
            unit: "",
        },
        required: false,
        doc: "The metric (priority) of the route; needed if the table has several routes to the prefix.",
    },
    Field {
        name: "mtu",
        // The kernel lowers a larger value (`ip_metrics_convert`, net/ipv4/metrics.c).
        shape: Shape::Integer {
            min: 68,
            max: 65_520,
            unit: "bytes",
        },
        required: false,
        doc: "The MTU of the route; at least 1280 for IPv6.",
    },
    Field {
        name: "advmss",
        // TCP_MIN_MSS (include/net/tcp.h); the kernel lowers a larger value than the maximum.
        shape: Shape::Integer {
            min: 88,
            max: 65_495,
            unit: "bytes",
        },
        required: false,
        doc: "The largest TCP segment to advertise (MSS) to hosts behind the route.",
    },
    Field {
        name: "window",
        // From the default segment (RFC 9293) to 65535 with the largest window scale (RFC 7323).
        shape: Shape::Integer {
            min: 536,
            max: 65_535 << 14,
            unit: "bytes",
        },
        required: false,
        doc: "The largest TCP window to advertise to hosts behind the route.",
    },
    required::field(
        "An error if there is no such route; then nothing is applied. `apply --allow-missing`, as the boot unit runs it, applies the rest. Default: no, which is a finding.",
    ),
];

const FIELD: Field = Field {
    name: "route",
    shape: Shape::Table {
        key,
        key_doc: "`default`, or a prefix in canonical form (10.0.0.0/8, 2001:db8::/32).",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "Metrics of routes that another program adds. netkeel neither adds nor deletes a route.",
};

fn key(text: &str) -> Result<(), Error> {
    destination(text, false).map(|_| ())
}

/// The destination that a key names.
fn destination(text: &str, ipv6: bool) -> Result<IpNet, Error> {
    if text == "default" {
        return Ok(match ipv6 {
            true => Ipv6Net::default().into(),
            false => Ipv4Net::default().into(),
        });
    }
    let wrong = || {
        Error::new(
            ErrorKind::Input,
            format!("{} is not the destination of a route", quoted(text)),
        )
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(wrong().hint(format!("write {}", IpNet::from(address))));
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(wrong().hint("write `default`, or a prefix such as 10.0.0.0/8 or 2001:db8::/32"));
    };
    let canonical = net.trunc();
    if canonical.to_string() != text {
        return Err(wrong().hint(format!("write {canonical}")));
    }
    Ok(net)
}

fn table(text: &str) -> Result<(), Error> {
    if TABLES.iter().any(|(name, _)| *name == text) || text.parse::<u32>().is_ok_and(|number| number > 0) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Input,
        format!("{} is not a routing table", quoted(text)),
    )
    .hint("write its number, or `main`, `local` or `default`"))
}

#[derive(Debug)]
struct Routes {
    netns: Netns,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    path: String,
    span: Span,
    /// The destination and the table, with the default metric.
    place: RouteKey,
    /// The metric, if the document gives one.
    metric: Option<u32>,
    required: Required,
    settings: Vec<(Metric, i64, Span)>,
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let read = |entry: &NodeEntry| read(entry, context.diagnostics);
        Box::new(Routes {
            netns: context.netns.clone(),
            entries: entries.entries().iter().filter_map(read).collect(),
        })
    }
}

fn read(entry: &NodeEntry, diagnostics: &mut Diagnostics) -> Option<Entry> {
    let value = |name: &str| entry.value.get(name);
    let path = KeyPath::of(&["route", &entry.key]);
    let family = value("family");
    if let Some(node) = family.filter(|_| entry.key != "default") {
        diagnostics
            .add(
                node.span,
                format!("{path}.family"),
                "`family` is only for the key `default`",
            )
            .hint("remove it: the prefix has its family");
        return None;
    }
    let destination = destination(&entry.key, family.and_then(Node::text) == Some("ipv6")).ok()?;
    let named = |node: &Node| {
        let text = node.text()?;
        TABLES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, number)| *number)
    };
    let number = |node: &Node| u32::try_from(node.integer()?).ok();
    let mut place = RouteKey::new(destination);
    if let Some(node) = value("table") {
        place.table = named(node).or_else(|| number(node))?;
    }
    let metric = value("metric").and_then(number);
    let mut settings = Vec::new();
    for metric in Metric::ALL {
        let Some((node, bytes)) = value(metric.word()).and_then(|node| Some((node, node.integer()?))) else {
            continue;
        };
        if metric == Metric::Mtu && destination.addr().is_ipv6() && bytes < IPV6_MIN_MTU.into() {
            let message = format!("an MTU of {bytes} bytes is too small for IPv6");
            diagnostics
                .add(node.span, format!("{path}.mtu"), message)
                .hint(format!("the minimum is {IPV6_MIN_MTU}"));
            return None;
        }
        settings.push((metric, bytes, node.span));
    }
    if settings.is_empty() {
        diagnostics
            .add(entry.key_span, &*path, "the route has no setting")
            .hint("add `mtu`, `advmss` or `window`");
        return None;
    }
    Some(Entry {
        path,
        span: entry.key_span,
        place,
        metric,
        required: Required::read(&entry.value),
        settings,
    })
}

impl Section for Routes {
    fn scope(&self, scope: &mut Scope) {
        for entry in &self.entries {
            let destination = entry.place.destination;
            // The service then follows the default routes of the main table: the kernel filters the
            // events of all others.
            scope.default_routes |=
                destination.prefix_len() == 0 && entry.place == RouteKey::new(destination);
            scope.routes.insert(entry.place);
        }
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        for entry in &self.entries {
            if !host.routes.contains(&entry.place) {
                let explained = host.problems.iter().any(|one| one.what == Subject::Routes);
                wants.problems.extend((!explained).then(|| {
                    Problem {
                        what: Subject::Other(format!("the routes to {}", entry.place)),
                        why: "the snapshot does not hold them; record it with `netkeel observe -f DOCUMENT`"
                            .to_owned(),
                    }
                }));
                continue;
            }
            match entry.found(host).as_slice() {
                [] => {
                    entry.required.not_found(&entry.path, "no such route", wants);
                    wants.findings.add(
                        Code::NK037,
                        entry.named(),
                        format!("`{}` names this route, which does not exist", entry.path),
                        "check the prefix, the table and the metric, or wait for the program that adds the route",
                    );
                }
                [(link, key, route)] if !route.several => {
                    entry.want(&self.netns, *link, *key, route, wants);
                }
                several => entry.report_several(&self.netns, several, wants),
            }
        }
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}

impl Entry {
    /// The routes that match the entry, in the order of their interfaces.
    fn found<'a>(&self, host: &'a Snapshot) -> Vec<(LinkName, RouteKey, &'a Route)> {
        let routes = host
            .links
            .iter()
            .flat_map(|(name, link)| link.routes.iter().map(|(key, route)| (*name, *key, route)));
        let matches = |key: &RouteKey| {
            key.place() == self.place && self.metric.is_none_or(|metric| metric == key.metric)
        };
        routes.filter(|(_, key, _)| matches(key)).collect()
    }

    /// The key of the route, as far as the document gives it.
    fn named(&self) -> RouteKey {
        RouteKey {
            metric: self.metric.unwrap_or(self.place.metric),
            ..self.place
        }
    }

    fn want(&self, netns: &Netns, link: LinkName, key: RouteKey, route: &Route, wants: &mut Wants) {
        for (metric, bytes, span) in &self.settings {
            let fact = Fact::link(netns, link, fact::Field::RouteMetric(key, *metric));
            let path = format!("{}.{metric}", self.path);
            let is = route.metrics.get(metric).copied().map(i64::from);
            if route.temporary && is != Some(*bytes) {
                let message =
                    format!("the route to {key} has a lifetime, which a change of its {metric} would remove");
                wants
                    .diagnostics
                    .add(*span, path, message)
                    .concerns(&fact)
                    .hint("change the router advertisement, or set the MTU of the interface");
                continue;
            }
            let origin = Origin::named(*span, SectionName::Route, path);
            wants.add(fact, Want::new(Value::Number(*bytes), origin));
        }
    }

    /// Reports that several routes match the entry.
    fn report_several(&self, netns: &Netns, found: &[(LinkName, RouteKey, &Route)], wants: &mut Wants) {
        let message = format!("there are several routes to {}", self.named());
        let diagnostic = wants.diagnostics.add(self.span, &*self.path, message);
        for (link, key, _) in found {
            for (metric, ..) in &self.settings {
                diagnostic.concerns(&Fact::link(netns, *link, fact::Field::RouteMetric(*key, *metric)));
            }
        }
        let same = |metric: u32| found.iter().filter(|(_, key, _)| key.metric == metric).count() > 1;
        if found
            .iter()
            .any(|(_, key, route)| route.several || same(key.metric))
        {
            diagnostic
                .hint("netkeel cannot distinguish routes with the same metric: give them different metrics");
            return;
        }
        let choices: Vec<String> = found
            .iter()
            .map(|(link, key, _)| format!("`metric: {}` for the route over {link}", key.metric))
            .collect();
        diagnostic.hint(format!("add {}", choices.join(", or ")));
    }
}
