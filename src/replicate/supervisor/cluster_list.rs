//! The peers that a cluster names, as they were learned last.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netkeel_core::replication::cluster_peers::PeerNews;

/// The error before anything was learned.
const NOT_YET: &str = "the peers of the cluster are not known yet";

/// The last known list.
#[derive(Debug, Default)]
pub(crate) struct ClusterList {
    peers: Option<BTreeSet<IpAddr>>,
    /// Why the list may not be up to date.
    error: Option<String>,
}

impl ClusterList {
    /// Takes news. Returns a line for the log about a trouble that begins.
    pub fn take(&mut self, news: PeerNews) -> Option<String> {
        match news {
            PeerNews::Peers { addresses, .. } => {
                (self.peers, self.error) = (Some(addresses), None);
                None
            }
            PeerNews::Trouble(why) => {
                let then = match self.peers {
                    Some(_) => "the previous peers stay in use",
                    None => "no peer of the cluster is known",
                };
                let text = format!("the peers of the cluster: {why}: {then}");
                let is_new = self.error.as_ref() != Some(&text);
                self.error = Some(text.clone());
                is_new.then_some(text)
            }
        }
    }

    /// The peers; none before anything was learned.
    pub fn peers(&self) -> impl Iterator<Item = IpAddr> {
        self.peers.iter().flatten().copied()
    }

    /// Why the list may not be up to date.
    pub fn error(&self) -> Option<&str> {
        let not_yet = self.peers.is_none().then_some(NOT_YET);
        self.error.as_deref().or(not_yet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_list_holds_while_there_is_trouble() {
        let mut list = ClusterList::default();
        assert_eq!(list.error(), Some(NOT_YET));
        let trouble = PeerNews::Trouble("connection refused".to_owned());
        let said = list.take(trouble.clone()).unwrap();
        assert!(said.ends_with("no peer of the cluster is known"), "{said}");
        let addresses = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
        let objects = 1;
        assert_eq!(list.take(PeerNews::Peers { addresses, objects }), None);
        assert_eq!((list.error(), list.peers().count()), (None, 1));
        let said = list.take(trouble.clone()).unwrap();
        assert!(said.ends_with("the previous peers stay in use"), "{said}");
        // The same trouble is logged once.
        assert_eq!(list.take(trouble), None);
        assert!(list.error().is_some() && list.peers().count() == 1);
    }
}
