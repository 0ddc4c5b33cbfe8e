//! The underlay of a budget: a number, an interface, the default routes of a host, or a measured path.

use std::fmt;
use std::net::IpAddr;

use crate::budget::{LEAST, MOST};
use crate::nodes;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number::decimal;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::next_hop::MAIN_TABLE;
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
    preferred_beside(host, family, &|_| false)
}

/// The same, where default routes of other tables than main over some devices do not count: what those devices carry is
/// judged elsewhere.
pub(crate) fn preferred_beside(
    host: &Snapshot,
    family: Option<Family>,
    left_out: &dyn Fn(LinkName) -> bool,
) -> Result<(i64, String), Error> {
    by_families(family, &|family| {
        let main = least(preferred_default_routes(host, Some(family), &|_| true));
        with_rules(host, family, main, left_out)
    })
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
    by_families(family, &|family| {
        least(preferred_default_routes(host, Some(family), usable))
    })
}

type Found = Result<(i64, String), Error>;

fn by_families(family: Option<Family>, by: &dyn Fn(Family) -> Found) -> Found {
    let is_unknown = |found: &Found| matches!(found, Err(error) if error.kind == ErrorKind::Unreadable);
    match family {
        Some(family) => by(family),
        None => match (by(Family::Ipv4), by(Family::Ipv6)) {
            // Packets of that family may leave by what is not known.
            (found, _) | (_, found) if is_unknown(&found) => found,
            (Ok(ipv4), Ok(ipv6)) if ipv6.0 > ipv4.0 => Ok(ipv6),
            (Ok(found), _) | (Err(_), Ok(found)) => Ok(found),
            (Err(error), Err(_)) => Err(error),
        },
    }
}

/// What the default routes of the table main are worth where rules of `ip rule` can send packets to other tables: the
/// underlay is known only where all their default routes have one MTU.
fn with_rules(host: &Snapshot, family: Family, main: Found, left_out: &dyn Fn(LinkName) -> bool) -> Found {
    let has_rules = host
        .policy_routing
        .as_ref()
        .is_some_and(|families| families.contains(&family));
    let others = of_other_tables(host, family, left_out);
    if !has_rules || others.is_empty() || matches!(&main, Err(error) if error.kind != ErrorKind::Missing) {
        return main;
    }
    let mut all: Vec<(i64, String)> = main.into_iter().chain(others).collect();
    if all
        .iter()
        .all(|(mtu, _)| Some(*mtu) == all.first().map(|(first, _)| *first))
    {
        return Ok(all.swap_remove(0));
    }
    let shown: Vec<String> = all
        .iter()
        .map(|(mtu, from)| format!("{from} with {mtu}"))
        .collect();
    Err(Error::new(
        ErrorKind::Unreadable,
        format!(
            "rules of `ip rule` choose among default routes: {}",
            shown.join(", ")
        ),
    )
    .hint("`--underlay IFACE` names the interface by which packets leave"))
}

/// The default routes of other tables than main, without those of VRFs, whose rule is for their ports.
fn of_other_tables(
    host: &Snapshot,
    family: Family,
    left_out: &dyn Fn(LinkName) -> bool,
) -> Vec<(i64, String)> {
    let hops = host.next_hops.iter().flatten();
    let of_family = hops.filter(|hop| hop.default && hop.ipv6 == (family == Family::Ipv6));
    let others = of_family.filter(|hop| hop.table != MAIN_TABLE && !left_out(hop.link));
    let ways = others.filter_map(|hop| {
        let link = host.link(hop.link).filter(|link| link.up)?;
        if nodes::stays_here(host, hop.link, link) {
            // Cilium's table for its proxy leads to cilium_host.
            return None;
        }
        let master = link.master.and_then(|index| host.by_index(index));
        let is_vrf = master.is_some_and(|(_, master)| master.kind_name() == "vrf");
        let from = format!("the default route's {} in table {}", hop.link, hop.table);
        (!is_vrf).then_some((i64::from(link.mtu), from))
    });
    ways.collect()
}

/// The least MTU over the default routes of a family, of all tables where rules can choose one: what fits it fits all.
pub fn least_of_all(host: &Snapshot, family: Option<Family>) -> Option<i64> {
    let families = family.map_or(vec![Family::Ipv4, Family::Ipv6], |family| vec![family]);
    let all = families.into_iter().flat_map(|family| {
        let main = least(preferred_default_routes(host, Some(family), &|_| true));
        main.into_iter().chain(of_other_tables(host, family, &|_| false))
    });
    all.map(|(mtu, _)| mtu).min()
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
