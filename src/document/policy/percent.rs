//! The share of the nodes that take a new document first.

use netkeel_source::node::canonical::digest;

/// Whether a node is among the first `percent` of all nodes. The order of the nodes depends on their names alone: a
/// higher share adds nodes and removes none, and every agent agrees on it.
pub fn is_among_first(node: &str, percent: u8) -> bool {
    let digits = digest(node);
    let number = digits
        .get(..8)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    // 32 bits of SHA-256, spread evenly over 100 places.
    number.is_none_or(|number| u64::from(number) * 100 / (1 << 32) < u64::from(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_nodes_is_about_that_share_and_only_grows() {
        let nodes: Vec<String> = (0..1000).map(|number| format!("node-{number}")).collect();
        let first = |percent| -> Vec<&String> {
            let mut nodes: Vec<&String> = nodes.iter().collect();
            nodes.retain(|node| is_among_first(node, percent));
            nodes
        };
        assert!(first(0).is_empty());
        assert_eq!(first(100).len(), 1000);
        let (ten, thirty) = (first(10), first(30));
        assert!((70..130).contains(&ten.len()), "{}", ten.len());
        assert!((250..350).contains(&thirty.len()), "{}", thirty.len());
        assert!(ten.iter().all(|node| thirty.contains(node)));
    }
}
