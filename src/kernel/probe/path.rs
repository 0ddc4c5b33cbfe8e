//! The MTU of the path to a host, for documents that ask for it with `probe`.

use std::net::IpAddr;

use crate::probe::path_mtu::try_method;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_mtu::probe::reply::{Method, UDP_PORT};
use netkeel_mtu::probe::report::Outcome;

/// Measures the path in the calling thread's namespace with UDP, which needs no privilege.
///
/// # Errors
/// When the target does not answer a small datagram, so that nothing can be measured; when there is no route,
/// or no socket.
pub fn measure(target: IpAddr) -> Result<u32, Error> {
    match try_method(target, Method::Udp { port: UDP_PORT })? {
        Outcome::Measured(found) => Ok(found.mtu),
        Outcome::Unanswered { .. } | Outcome::Checked { .. } => Err(Error::new(
            ErrorKind::Missing,
            format!("{target} does not answer UDP port {UDP_PORT}, so nothing was measured"),
        )
        .hint("use a target that is not behind a firewall, or a number in place of `probe`")),
        Outcome::Failed { why } => Err(Error::new(ErrorKind::Refused, why)),
    }
}
