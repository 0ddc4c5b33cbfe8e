//! The key of a route, which distinguishes it from other routes of its namespace, and its metrics.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// RT_TABLE_MAIN (include/uapi/linux/rtnetlink.h).
const MAIN: u32 = 254;

/// IP6_RT_PRIO_USER (include/uapi/linux/ipv6_route.h): the metric of an IPv6 route without an explicit
/// one.
const USUAL_IPV6: u32 = 1024;

/// A route's key. It is written as `ip route` accepts it, without default values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The destination of the route.
    pub destination: IpNet,
    /// The metric: the kernel prefers the route with the smallest.
    pub metric: u32,
    /// The number of the routing table.
    pub table: u32,
}

impl RouteKey {
    /// A route of the main table with the default metric.
    pub fn new(destination: IpNet) -> Self {
        let metric = match destination {
            IpNet::V4(_) => 0,
            IpNet::V6(_) => USUAL_IPV6,
        };
        RouteKey {
            destination,
            metric,
            table: MAIN,
        }
    }

    /// The key of the same prefix and table with the default metric. Routes that differ by their metric
    /// alone have the same.
    #[must_use]
    pub fn place(self) -> Self {
        RouteKey {
            table: self.table,
            ..RouteKey::new(self.destination)
        }
    }
}

/// A metric of a route that netkeel writes (`RTA_METRICS`, include/uapi/linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The MTU, bytes.
    Mtu,
    /// The largest TCP segment to announce, bytes.
    Advmss,
    /// The largest TCP window to announce, bytes.
    Window,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 3] = [Metric::Mtu, Metric::Advmss, Metric::Window];

    /// The word of `ip route`.
    pub fn word(self) -> &'static str {
        match self {
            Metric::Mtu => "mtu",
            Metric::Advmss => "advmss",
            Metric::Window => "window",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = RouteKey::new(self.destination);
        write!(f, "{}", self.destination)?;
        if self.metric != usual.metric {
            write!(f, " metric {}", self.metric)?;
        }
        if self.table != usual.table {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

impl FromStr for RouteKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a destination, optionally with `metric` and `table`";
        let mut words = text.split(' ');
        let destination = words.next().and_then(|word| word.parse().ok()).ok_or(WRONG)?;
        let mut key = RouteKey::new(destination);
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse().ok()).ok_or(WRONG)?;
            match word {
                "metric" => key.metric = number,
                "table" => key.table = number,
                _ => return Err(WRONG),
            }
        }
        Ok(key)
    }
}

impl Serialize for RouteKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

crate::text::from_str::schema_as_text!(RouteKey, "RouteKey");

impl<'de> Deserialize<'de> for RouteKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_written_as_short_as_it_can_be_and_read_again() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "::/0 metric 100",
            "10.0.0.0/8 metric 7 table 5",
            "0.0.0.0/0 table 100",
        ] {
            let key: RouteKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<RouteKey>(&json).unwrap(), key);
        }
        for wrong in [
            "",
            "default",
            "0.0.0.0/0 metric",
            "0.0.0.0/0 via 1",
            "0.0.0.0/0 metric x",
        ] {
            assert!(wrong.parse::<RouteKey>().is_err(), "{wrong}");
        }
    }
}
