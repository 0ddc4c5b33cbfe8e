//! A file of realservers and services to probe.

use std::net::{IpAddr, SocketAddr};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;

/// A service on a realserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The host that decapsulates.
    pub(crate) realserver: IpAddr,
    /// The address and the TCP port of the service.
    pub(crate) service: SocketAddr,
}

/// Reads a file with a `realserver ADDRESS` or `service ADDRESS PORT` a line, and combines each realserver with each
/// service that an encapsulation exists for. `#` begins a comment.
///
/// # Errors
/// [`ErrorKind::Input`] with the number of a line that is neither; when nothing is left to ask.
pub(crate) fn targets(text: &str) -> Result<Vec<Target>, Error> {
    let (mut realservers, mut services) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || {
            let message = format!("line {}: {} is not a target", at + 1, quoted(line.trim()));
            Error::new(ErrorKind::Input, message)
                .hint("write `realserver ADDRESS` or `service ADDRESS PORT`, one a line")
        };
        match words.as_slice() {
            [] => {}
            ["realserver", address] => realservers.push(address.parse::<IpAddr>().map_err(|_| wrong())?),
            ["service", address, port] => {
                let address: IpAddr = address.parse().map_err(|_| wrong())?;
                let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
                services.push(SocketAddr::new(address, port));
            }
            _ => return Err(wrong()),
        }
    }
    let pairs = realservers
        .iter()
        .flat_map(|realserver| services.iter().map(|service| (*realserver, *service)));
    // An IPv4 realserver is no target of an IPv6 service, as its own IPv6 address is.
    let fitting = pairs.filter(|(realserver, service)| realserver.is_ipv6() || service.is_ipv4());
    let found: Vec<Target> = fitting
        .map(|(realserver, service)| Target { realserver, service })
        .collect();
    if found.is_empty() {
        return Err(
            Error::new(ErrorKind::Input, "it names no service on a realserver")
                .hint("write at least one `realserver ADDRESS` and one `service ADDRESS PORT`"),
        );
    }
    // IPv4 realservers without any IPv4 service would be left out without a word.
    for realserver in &realservers {
        if !found.iter().any(|target| target.realserver == *realserver) {
            let message = format!("the realserver {realserver} is IPv4, and all services are IPv6");
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    for service in &services {
        if !found.iter().any(|target| target.service == *service) {
            let message = format!("the service {service} is IPv6, and all realservers are IPv4");
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_realserver_is_combined_with_each_service_it_can_get() {
        let text = "realserver 192.0.2.1 # the first\nrealserver 2001:db8::1\n\nservice 203.0.113.9 443\nservice 2001:db8::9 80\n";
        let found = targets(text).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|target| format!("{} {}", target.realserver, target.service))
            .collect();
        assert_eq!(
            shown,
            [
                "192.0.2.1 203.0.113.9:443",
                "2001:db8::1 203.0.113.9:443",
                "2001:db8::1 [2001:db8::9]:80"
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_named_and_nothing_is_left_out_silently() {
        let message = |text: &str| targets(text).unwrap_err().message;
        assert_eq!(message("realserver x"), "line 1: `realserver x` is not a target");
        assert_eq!(
            message("realserver 192.0.2.1\nservice 203.0.113.9 0"),
            "line 2: `service 203.0.113.9 0` is not a target"
        );
        assert_eq!(
            message("realserver 192.0.2.1"),
            "it names no service on a realserver"
        );
        let one = "realserver 192.0.2.1\nrealserver 2001:db8::1\nservice 2001:db8::9 80";
        assert_eq!(
            message(one),
            "the realserver 192.0.2.1 is IPv4, and all services are IPv6"
        );
        let other = "realserver 192.0.2.1\nservice 203.0.113.9 80\nservice 2001:db8::9 80";
        assert_eq!(
            message(other),
            "the service [2001:db8::9]:80 is IPv6, and all realservers are IPv4"
        );
    }
}
