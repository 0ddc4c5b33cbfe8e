//! Keys that the kernel writes when another key is written, and the values it accepts.

use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};

/// The keys whose write changes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Equivalent names of one setting.
    pub keys: &'static [&'static str],
    /// A write that does not change the setting has no side effect. IPv6 copies in any case.
    pub(crate) on_change: bool,
    /// The other key becomes 1 when the setting becomes 0, else 0.
    pub inverted: bool,
}

pub(crate) const IPV4: &[&str] = &["net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"];

const IPV6: &[&str] = &["net/ipv6/conf/all/forwarding"];

const LINKDOWN: &[&str] = &["net/ipv6/conf/all/ignore_routes_with_linkdown"];

const ADDR_GEN_MODE: &[&str] = &["net/ipv6/conf/all/addr_gen_mode"];

const DISABLE: &[&str] = &["net/ipv6/conf/all/disable_ipv6"];

/// The keys whose write also sets this key: `inet_forward_change` (net/ipv4/devinet.c),
/// `addrconf_fixup_forwarding` and similar functions (net/ipv6/addrconf.c; see
/// [`COPIED_FROM_ALL`](netkeel_core::name::sysctl::COPIED_FROM_ALL)).
pub(crate) fn sources(key: &SysctlKey) -> Option<Sources> {
    let ipv4 = |inverted| {
        Some(Sources {
            keys: IPV4,
            on_change: true,
            inverted,
        })
    };
    let ipv6 = |keys| {
        Some(Sources {
            keys,
            on_change: false,
            inverted: false,
        })
    };
    if key.path() == "net/ipv4/ip_forward" {
        return ipv4(false);
    }
    let PerInterface {
        family,
        table: "conf",
        slot,
        leaf,
    } = key.per_interface()?
    else {
        return None;
    };
    match (family, leaf, slot) {
        ("ipv4", "forwarding", _) => ipv4(false),
        ("ipv4", "accept_redirects", Slot::All) => ipv4(true),
        ("ipv6", "forwarding", Slot::Default | Slot::Link(_)) => ipv6(IPV6),
        ("ipv6", "disable_ipv6", Slot::Default | Slot::Link(_)) => ipv6(DISABLE),
        ("ipv6", "ignore_routes_with_linkdown", Slot::Default | Slot::Link(_)) => ipv6(LINKDOWN),
        ("ipv6", "addr_gen_mode", Slot::Default | Slot::Link(_)) => ipv6(ADDR_GEN_MODE),
        _ => None,
    }
}

/// The number that the kernel parses from a value (`proc_dointvec`): the first word, as decimal,
/// octal or hexadecimal.
pub(crate) fn number(value: &str) -> Option<i32> {
    let word = value.split([' ', '\t', '\n']).find(|word| !word.is_empty())?;
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", word),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hexadecimal) => (16, hexadecimal),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i32::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// Whether the kernel accepts only integers for a key, as far as the name shows it. Nearly all
/// settings of interfaces are integers.
pub(crate) fn is_integer(key: &SysctlKey) -> bool {
    key.per_interface()
        .is_some_and(|parts| parts.leaf != "stable_secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_kernel_reads_them() {
        for (text, value) in [("1", 1), ("-1", -1), (" 010 5", 8), ("0x1F", 31), ("0", 0)] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "x", "1x", "--1", "-+1", "08", "4294967296", "off"] {
            assert_eq!(number(text), None, "{text}");
        }
        let key: SysctlKey = "net.ipv4.conf.all.rp_filter".parse().unwrap();
        assert!(is_integer(&key));
        assert!(!is_integer(&"net.core.default_qdisc".parse().unwrap()));
    }
}
