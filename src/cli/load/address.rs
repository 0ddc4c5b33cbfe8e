//! The address of a host that is named on the command line.

use std::net::{IpAddr, ToSocketAddrs};

use clap::ValueEnum;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpVersion {
    /// Its IPv4 addresses
    Ipv4,
    /// Its IPv6 addresses
    Ipv6,
}

/// The address of the target. A name is looked up in the namespace in which netkeel was started.
pub(crate) fn resolve(target: &str, family: Option<IpVersion>) -> Result<IpAddr, Error> {
    let wanted = |address: &IpAddr| match family {
        Some(IpVersion::Ipv4) => address.is_ipv4(),
        Some(IpVersion::Ipv6) => address.is_ipv6(),
        None => true,
    };
    let found = (target, 0).to_socket_addrs();
    let mut addresses = found.into_iter().flatten().map(|found| found.ip());
    addresses.find(wanted).ok_or_else(|| {
        let error = Error::new(
            ErrorKind::Input,
            format!("the host {} has no address here", quoted(target)),
        );
        match family {
            Some(IpVersion::Ipv4) => error.hint("--family ipv4 leaves out its IPv6 addresses"),
            Some(IpVersion::Ipv6) => error.hint("--family ipv6 leaves out its IPv4 addresses"),
            None => error.hint("give an address where names cannot be looked up"),
        }
    })
}
