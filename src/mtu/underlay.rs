//! The underlay of a budget: a number, an interface, the default routes of a host, or a measured path.

use std::fmt;
use std::net::IpAddr;

use crate::budget::{LEAST, MOST};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number::decimal;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::routes::{default_routes, preferred_default_routes};

/// The keyword for the default routes.
const DEFAULT_ROUTE: &str = "default-route";

/// The underlay of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underlay {
    /// An MTU, bytes.
    Mtu(i64),
    /// An interface.
    Link(LinkName),
    /// All interfaces with a default route, those of backups too; the smallest MTU counts.
    DefaultRoute,
    /// The path to a host, with its measured MTU.
    Path(IpAddr),
}

impl Underlay {
    /// Parses `1500`, `eth0` or `default-route`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text == DEFAULT_ROUTE {
            return Ok(Underlay::DefaultRoute);
        }
        if let Some(mtu) = decimal(text) {
            return if (LEAST..=MOST).contains(&mtu) {
                Ok(Underlay::Mtu(mtu))
            } else {
                Err(Error::new(
                    ErrorKind::Input,
                    format!("{mtu} is not a valid MTU: an MTU is from {LEAST} to {MOST} bytes"),
                ))
            };
        }
        match text.parse::<LinkName>() {
            Ok(name) => Ok(Underlay::Link(name)),
            Err(error) => Err(error
                .context(format!("the underlay {}", quoted(text)))
                .hint(format!(
                    "an underlay is an MTU, the name of an interface, or {DEFAULT_ROUTE}"
                ))),
        }
    }

    /// The MTU on a host, and its origin in a few words.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] when there is no such interface or no default route;
    /// [`ErrorKind::Unreadable`] when the default routes could not be read.
    pub fn on(self, host: &Snapshot) -> Result<(i64, String), Error> {
        match self {
            Underlay::Mtu(mtu) => Ok((mtu, "as given".to_owned())),
            Underlay::Link(name) => match host.links.get(&host.resolve(name)) {
                Some(link) => Ok((link.mtu.into(), name.to_string())),
                None => Err(Error::new(
                    ErrorKind::Missing,
                    format!("the underlay {name} does not exist"),
                )),
            },
            Underlay::DefaultRoute => least(default_routes(host)),
            Underlay::Path(target) => match host.path_mtus.get(&target) {
                Some(mtu) => Ok(((*mtu).into(), format!("the measured path to {target}"))),
                None => Err(Error::new(
                    ErrorKind::Unreadable,
                    format!("the MTU of the path to {target} was not measured"),
                )
                .hint("save the snapshot with `netkeel observe -f DOCUMENT`")),
            },
        }
    }
}

impl fmt::Display for Underlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Underlay::Mtu(mtu) => write!(f, "{mtu}"),
            Underlay::Link(name) => write!(f, "{name}"),
            Underlay::DefaultRoute => f.write_str(DEFAULT_ROUTE),
            Underlay::Path(target) => write!(f, "the path to {target}"),
        }
    }
}

/// The MTU of the default route by which packets leave, and its origin in a few words. `family` is that of the
/// packets, if it is known. With several such routes the smallest MTU counts. Without a known family, that of
/// the larger MTU counts: the packets may all be of it.
///
/// # Errors
/// As [`Underlay::on`].
pub fn preferred(host: &Snapshot, family: Option<Family>) -> Result<(i64, String), Error> {
    preferred_over(host, family, &|_| true)
}

/// The same without the default routes over interfaces that are not `usable`.
///
/// # Errors
/// As [`Underlay::on`].
pub fn preferred_over(
    host: &Snapshot,
    family: Option<Family>,
    usable: &dyn Fn(LinkName) -> bool,
) -> Result<(i64, String), Error> {
    let by = |family| least(preferred_default_routes(host, Some(family), usable));
    match family {
        Some(family) => by(family),
        None => match (by(Family::Ipv4), by(Family::Ipv6)) {
            (Ok(ipv4), Ok(ipv6)) if ipv6.0 > ipv4.0 => Ok(ipv6),
            (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
            (Err(error), Err(_)) => Err(error),
        },
    }
}

fn least(routes: Option<Vec<(LinkName, i64, bool)>>) -> Result<(i64, String), Error> {
    let found = routes.ok_or_else(|| {
        Error::new(
            ErrorKind::Unreadable,
            "the snapshot does not hold the default routes",
        )
        .hint("make a new one with `netkeel observe`")
    })?;
    let Some((name, mtu, of_route)) = found.iter().min_by_key(|(_, mtu, _)| *mtu) else {
        return Err(Error::new(
            ErrorKind::Missing,
            "there is no default route to take the underlay's MTU from",
        )
        .hint("name the interface, or give its MTU"));
    };
    let what = if *of_route {
        "the MTU of the route by"
    } else {
        "the default route's"
    };
    let others: Vec<String> = found
        .iter()
        .filter(|(other, ..)| other != name)
        .map(|(other, mtu, _)| format!("{other} {mtu}"))
        .collect();
    let more = match others.as_slice() {
        [] => String::new(),
        others => format!(", the smallest; also {}", others.join(", ")),
    };
    Ok((*mtu, format!("{what} {name}{more}")))
}
