//! An MTU in a document: bytes, or a budget with an underlay and layers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::shape::{Field, Shape};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Value;
use netkeel_core::finding::Findings;
use netkeel_core::text::escape::quoted;
use netkeel_host::snapshot::scope::Scope;
use netkeel_mtu::budget::{Budget, Derivation, LEAST, MOST};
use netkeel_mtu::layer::Layer;
use netkeel_mtu::underlay::Underlay;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;

/// The smallest MTU that the kernel accepts for IPv4 (ETH_MIN_MTU, 68 bytes), and the largest that
/// netlink can express for a device that netkeel writes.
pub(crate) const BYTES: Shape = Shape::Integer {
    min: LEAST,
    max: MOST,
    unit: "bytes",
};

/// The shape of an MTU in a document.
pub(crate) const MTU: Shape = Shape::Either(&[BYTES, Shape::Map(FIELDS)]);

const FIELDS: &[Field] = &[
    Field {
        name: "underlay",
        shape: Shape::Either(&[
            BYTES,
            Shape::Text {
                check: underlay,
                what: "the name of an interface, or `default-route`",
            },
            Shape::Map(&[Field {
                name: "probe",
                shape: Shape::Text {
                    check: probe,
                    what: "an IP address",
                },
                required: true,
                doc: "An address: the measured MTU of the path to it is followed.",
            }]),
        ]),
        required: true,
        doc: "The underlay of the layers: an MTU in bytes, an interface, or `default-route`: the least MTU of all default routes, also of those with a larger metric.",
    },
    Field {
        name: "layers",
        shape: Shape::List(&Shape::Text {
            check: layer,
            what: "a layer",
        }),
        required: false,
        doc: "Layers of encapsulation from the outer to the inner, as `netkeel mtu` takes them.",
    },
    Field {
        name: "margin",
        shape: Shape::Integer {
            min: 0,
            max: MOST,
            unit: "bytes",
        },
        required: false,
        doc: "Bytes to keep free. Default: 0.",
    },
    Field {
        name: "floor",
        shape: BYTES,
        required: false,
        doc: "The smallest result: `margin` gives way to it. An error if the headers leave less.",
    },
];

pub(crate) fn underlay(text: &str) -> Result<(), Error> {
    Underlay::parse(text).map(|_| ())
}

fn layer(text: &str) -> Result<(), Error> {
    Layer::parse(text, None).map(|_| ())
}

fn probe(text: &str) -> Result<(), Error> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Input,
            format!("{} is not the IP address of a host", quoted(text)),
        )
        .hint("use an address such as 192.0.2.1: names are not resolved")),
    }
}

/// A wanted value: either fixed, or a budget that depends on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The value; with its derivation if it comes from a budget over a number.
    Value(Value, Option<Arc<Derivation>>),
    /// An MTU that depends on the host.
    Budget(Arc<UnderlayBudget>),
}

/// A budget over an underlay of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderlayBudget {
    /// The underlay.
    pub underlay: Underlay,
    /// The layers between the underlay and the interface.
    pub budget: Budget,
}

impl From<Value> for Wanted {
    fn from(value: Value) -> Self {
        Wanted::Value(value, None)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Value(value, _) => value.fmt(f),
            Wanted::Budget(over) => write!(f, "a budget over {}", over.underlay),
        }
    }
}

impl Wanted {
    /// Reads an MTU that has the right shape; a budget over a number is derived at once.
    pub fn mtu(node: &Node, path: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        if let Some(bytes) = node.integer() {
            return Some(Value::Number(bytes).into());
        }
        let number = |key: &str| node.get(key).and_then(Node::integer);
        let below = node.get("underlay")?;
        let underlay = match below.get("probe") {
            Some(target) => Underlay::Path(target.text()?.parse().ok()?),
            None => Underlay::parse(&below.scalar()?).ok()?,
        };
        let layers = node.get("layers").map(Node::items).unwrap_or_default();
        let layers = layers.iter().map(|item| Layer::parse(item.text()?, None).ok());
        let over = UnderlayBudget {
            underlay,
            budget: Budget {
                layers: layers.collect::<Option<_>>()?,
                margin: number("margin").unwrap_or(0),
                floor: number("floor"),
                ..Budget::default()
            },
        };
        let Underlay::Mtu(mtu) = over.underlay else {
            return Some(Wanted::Budget(Arc::new(over)));
        };
        match over.budget.derive(mtu, "") {
            Ok(answer) => Some(Wanted::Value(Value::Number(answer.mtu), Some(Arc::new(answer)))),
            Err(error) => {
                let key = if over.budget.floor.is_some() {
                    "floor"
                } else {
                    "underlay"
                };
                let span = node.get(key).map_or(node.span, |node| node.span);
                diagnostics
                    .add(span, format!("{path}.{key}"), error.message)
                    .hints
                    .extend(error.hints);
                None
            }
        }
    }

    /// How the value was derived, where that is known already.
    pub fn derivation(&self) -> Option<Arc<str>> {
        match self {
            Wanted::Value(_, answer) => answer.as_deref().map(|answer| Budget::line(answer).into()),
            Wanted::Budget(_) => None,
        }
    }

    /// Adds findings about a budget over a number.
    pub fn tell(&self, path: &dyn fmt::Display, findings: &mut Findings) {
        if let Wanted::Value(_, Some(answer)) = self {
            answer.tell(path, findings);
        }
    }

    /// Whether it depends on the host.
    pub(crate) fn is_budget(&self) -> bool {
        matches!(self, Wanted::Budget(_))
    }

    /// Adds the facts about a budget's underlay.
    pub(crate) fn scope_of_underlay(&self, scope: &mut Scope) {
        if let Wanted::Budget(over) = self {
            scope.default_routes |= over.underlay == Underlay::DefaultRoute;
            if let Underlay::Path(target) = over.underlay {
                scope.paths.insert(target);
            }
        }
    }

    /// The wanted number; none while it depends on the host.
    pub fn number(&self) -> Option<i64> {
        match self {
            Wanted::Value(Value::Number(number), _) => Some(*number),
            Wanted::Value(..) | Wanted::Budget(_) => None,
        }
    }

    /// Adds the facts that are needed to write it to an interface, and those about its underlay.
    pub(crate) fn scope_of_mtu(&self, scope: &mut Scope) {
        self.scope_of_underlay(scope);
        // The budget's value is unknown and may be too small for IPv6.
        scope.of_mtu(self.number().unwrap_or(LEAST));
    }
}
