//! `netkeel probe replicate`: sends a packet too big to a served address, and asks all nodes for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use clap::Args;

use crate::arguments::{Documents, Format};
use crate::load::documents::{Host, load};
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::replicas::Verdict;
use netkeel_kernel::namespace::enter::inside;
use netkeel_render::mtu::replicas::replicas;
use netkeel_render::paint::Paint;
use netkeel_replicate::supervisor::peers_file::PeersFile;
use netkeel_service::http::replicas::{Packet, probe};

const EXAMPLES: &str = "Examples:
  netkeel probe replicate --vip 198.51.100.10 --peers 192.0.2.1,192.0.2.2,192.0.2.3
  netkeel probe replicate --vip 198.51.100.10 -f replicate.yaml --metrics-port 9440";

/// Send a packet too big to a served address, and ask all nodes for copies
///
/// netkeel sends one ICMP "packet too big" to the address, as a router on the path of its answers would. The message
/// is about a TCP segment to this host that nobody sent, so no kernel changes a path MTU. The worker of the node that
/// gets it judges it like any other and copies it to the peers. netkeel then asks the service of each node, at the
/// address of `netkeel run --listen`, what its worker did with the packet.
///
/// The nodes are those of --peers, or the peers of the document. Run the probe on a host that is no node: a worker
/// refuses packets from a peer. netkeel sends a second and a third packet if no worker got the one before, waits up to
/// four seconds after each, and needs CAP_NET_RAW.
///
/// Exit status: 0 a node copied the packet and all others got a copy; 2 not so, or the packet reached no worker; 1 a
/// node could not be asked, or an error.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Served address to which the packet is sent
    #[arg(long, value_name = "ADDRESS")]
    vip: IpAddr,
    /// Nodes to ask, separated by commas [default: the peers of the document]
    #[arg(long, value_name = "ADDRESS[:PORT]", value_delimiter = ',', value_parser = parse_node)]
    peers: Vec<Node>,
    /// Port of `netkeel run --listen` on nodes without a port of their own
    #[arg(long, value_name = "PORT", default_value_t = 9440, value_parser = clap::value_parser!(u16).range(1..))]
    metrics_port: u16,
    /// Source port of the TCP segment that the packet quotes
    #[arg(long, value_name = "PORT", default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// MTU in the packet
    ///
    /// The workers refuse one below their floor, and one that is not below the MTU of the interface by which the node
    /// answers this host.
    #[arg(long, value_name = "BYTES", default_value_t = 1280, value_parser = clap::value_parser!(u16).range(68..))]
    mtu: u16,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    documents: Documents,
}

/// A node, and the port of its service if it has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    address: IpAddr,
    port: Option<u16>,
}

fn parse_node(text: &str) -> Result<Node, Error> {
    let alone = text.parse::<IpAddr>().map(|address| Node { address, port: None });
    let both = || {
        text.parse::<SocketAddr>().map(|both| Node {
            address: both.ip(),
            port: Some(both.port()),
        })
    };
    alone.or_else(|_| both()).map_err(|_| {
        Error::new(
            ErrorKind::Input,
            "expected ADDRESS, IPv4:PORT or [IPv6]:PORT, e.g. 192.0.2.1:9440",
        )
    })
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let Some(nodes) = nodes(arguments)? else {
        return Ok(exit::ERROR);
    };
    let packet = Packet {
        vip: arguments.vip,
        port: arguments.port,
        mtu: arguments.mtu,
    };
    let result = inside(&arguments.documents.place.netns(), || probe(&packet, &nodes))??;
    output::print(&match arguments.output {
        Format::Text => replicas(&result, Paint(output::stdout_colour())),
        Format::Json => output::json(&result)?,
    })?;
    Ok(match result.verdict {
        Verdict::Replicated => exit::OK,
        Verdict::NotReplicated => exit::CHANGES,
        Verdict::Unknown => exit::ERROR,
    })
}

/// The services to ask; `None` for an invalid document, whose diagnostics were printed.
fn nodes(arguments: &Arguments) -> Result<Option<Vec<SocketAddr>>, Error> {
    let mut nodes = arguments.peers.clone();
    if nodes.is_empty() {
        let documents = &arguments.documents;
        let Some(loaded) = load(documents, documents.place.netns(), Host::Saved)? else {
            return Ok(None);
        };
        let wanted = loaded.document.replicate.ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "the document has no `replicate`, so its peers are unknown",
            )
            .hint("name the nodes with --peers")
        })?;
        let mut peers = wanted.settings.peers;
        if let Some(path) = wanted.peers_file {
            let mut file = PeersFile::new(&path);
            file.poll(Instant::now());
            if let Some(error) = file.error() {
                return Err(Error::new(ErrorKind::Unreadable, error).hint("name the nodes with --peers"));
            }
            peers.extend(file.peers());
        }
        nodes.extend(peers.into_iter().map(|address| Node { address, port: None }));
    }
    if nodes.is_empty() {
        return Err(
            Error::new(ErrorKind::Input, "the document has no peers").hint("name the nodes with --peers")
        );
    }
    let mut services: Vec<SocketAddr> = Vec::new();
    for node in nodes {
        if !services.iter().any(|known| known.ip() == node.address) {
            services.push(SocketAddr::new(
                node.address,
                node.port.unwrap_or(arguments.metrics_port),
            ));
        }
    }
    Ok(Some(services))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_an_address_with_or_without_a_port() {
        let read = |text: &str| {
            parse_node(text)
                .ok()
                .map(|node| (node.address.to_string(), node.port))
        };
        assert_eq!(read("192.0.2.1"), Some(("192.0.2.1".into(), None)));
        assert_eq!(read("192.0.2.1:9440"), Some(("192.0.2.1".into(), Some(9440))));
        assert_eq!(read("2001:db8::1"), Some(("2001:db8::1".into(), None)));
        assert_eq!(read("[2001:db8::1]:80"), Some(("2001:db8::1".into(), Some(80))));
        assert_eq!((read("node1"), read("192.0.2.1:http")), (None, None));
    }
}
