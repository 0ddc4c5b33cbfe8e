//! The last known peers of a cluster: they hold while its API server is away, also across a restart.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::store::{Store, log};
use netkeel_core::error::Error;
use netkeel_core::replication::cluster_peers::ClusterPeers;

impl Store {
    fn cluster_peers_path(&self) -> PathBuf {
        self.state.join("cluster-peers")
    }

    /// The peers that the same objects named last; `None` if none were kept.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn cluster_peers(&self, source: &ClusterPeers) -> Result<Option<BTreeSet<IpAddr>>, Error> {
        let text = log::read(&self.cluster_peers_path())?;
        Ok(text.and_then(|text| parse(&text, source)))
    }

    /// Keeps the peers.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_cluster_peers(&self, source: &ClusterPeers, peers: &BTreeSet<IpAddr>) -> Result<(), Error> {
        let mut text = heading(source);
        for peer in peers {
            let _ = write!(text, "\n{peer}");
        }
        text.push('\n');
        let path = self.cluster_peers_path();
        self.keep(&path, &text)
    }
}

fn heading(source: &ClusterPeers) -> String {
    format!("# {source}")
}

/// `None` for the list of other objects, and for one that is damaged.
fn parse(text: &str, source: &ClusterPeers) -> Option<BTreeSet<IpAddr>> {
    let mut lines = text.lines();
    if lines.next()? != heading(source) {
        return None;
    }
    lines.map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::replication::cluster_peers::{PeerFamily, PeerObjects};

    #[test]
    fn a_list_counts_for_the_objects_that_it_is_of() {
        let of = |name: &str| ClusterPeers {
            objects: PeerObjects::Endpoints {
                namespace: "a".to_owned(),
                service: name.to_owned(),
            },
            families: PeerFamily::all(),
        };
        let text = "# endpoints of a/b ipv4 ipv6\n192.0.2.1\n2001:db8::1\n";
        assert_eq!(parse(text, &of("b")).unwrap().len(), 2);
        assert_eq!(parse(text, &of("c")), None);
        assert_eq!(
            parse("# endpoints of a/b ipv4 ipv6\n192.0.2.1\nx\n", &of("b")),
            None
        );
        assert_eq!(parse("", &of("b")), None);
    }
}
