//! The drops of netlink sockets and of NFQUEUE, and the errors of IPsec, as /proc/net has them.

use std::collections::BTreeMap;

use netkeel_host::counters::counter::{Counter, NetlinkSocket};

/// The columns of /proc/net/netlink (`netlink_native_seq_show`, net/netlink/af_netlink.c).
const NETLINK: [&str; 10] = [
    "sk", "Eth", "Pid", "Groups", "Rmem", "Wmem", "Dump", "Locks", "Drops", "Inode",
];

/// The drops of each netlink socket; none if the file has another form.
pub(crate) fn netlink(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let mut lines = text.lines();
    if !lines.next()?.split_whitespace().eq(NETLINK) {
        return None;
    }
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let socket = NetlinkSocket {
            protocol: columns.get(1)?.parse().ok()?,
            port: columns.get(2)?.parse().ok()?,
            inode: columns.get(9)?.parse().ok()?,
        };
        Some((Counter::NetlinkDrops(socket), columns.get(8)?.parse().ok()?))
    };
    lines.map(socket).collect()
}

/// The packets that each queue lost: those that found it full, and those that its program could not take
/// (`seq_show`, net/netfilter/nfnetlink_queue.c). None if the file has another form.
pub(crate) fn queues(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let queue = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let full: u64 = columns.get(5)?.parse().ok()?;
        let refused: u64 = columns.get(6)?.parse().ok()?;
        let number = columns.first()?.parse().ok()?;
        Some((Counter::QueueDrops(number), full.saturating_add(refused)))
    };
    text.lines().map(queue).collect()
}

/// `XfrmInError 0`, as xfrm_stat has it; none if the file has another form.
pub(crate) fn xfrm(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let line = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let counter = Counter::protocol("Xfrm", name.strip_prefix("Xfrm")?);
        Some((counter, value.trim().parse().ok()?))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_drops_of_netlink_sockets() {
        let head =
            "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
        let line = "0000000000000000 12  4242       00000001 0        0        0     2        7        991\n";
        let socket = NetlinkSocket {
            protocol: 12,
            port: 4242,
            inode: 991,
        };
        let found = netlink(&format!("{head}{line}")).unwrap();
        assert_eq!(found, BTreeMap::from([(Counter::NetlinkDrops(socket), 7)]));
        assert_eq!(netlink(line), None);
        assert_eq!(netlink(&format!("{head}0 12 1\n")), None);
    }

    #[test]
    fn adds_both_losses_of_a_queue() {
        let found = queues("    3   1234     0 2 65531     5     2       90  1\n").unwrap();
        assert_eq!(found, BTreeMap::from([(Counter::QueueDrops(3), 7)]));
        assert_eq!(queues(""), Some(BTreeMap::new()));
        assert_eq!(queues("3 1234\n"), None);
    }

    #[test]
    fn reads_the_errors_of_ipsec() {
        let found = xfrm("XfrmInError             \t0\nXfrmInNoStates          \t4\n").unwrap();
        assert_eq!(found[&Counter::protocol("Xfrm", "InNoStates")], 4);
        assert_eq!(found.len(), 2);
        assert_eq!(xfrm("Tcp 1\n"), None);
    }
}
