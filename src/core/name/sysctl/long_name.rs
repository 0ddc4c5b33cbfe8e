//! Keys that name an interface by a further name or an alias that is too long for the name of an interface.
//! /proc/sys has no such file. The key means that of the interface with this name.

use crate::name::link::{self, LinkName};
use crate::name::sysctl::SysctlKey;

impl SysctlKey {
    /// The long name. `None` for a key that is a file of /proc/sys.
    pub fn long_name(&self) -> Option<&str> {
        Some(self.long_parts()?.2)
    }

    /// The key of the interface that the long name means. `None` for a key without a long name.
    pub fn of_own_name(&self, own: LinkName) -> Option<Self> {
        let (family, table, _, leaf) = self.long_parts()?;
        Some(SysctlKey::of_interface(family, table, own, leaf))
    }

    /// The same setting of the interface that has this long name. `None` for a key that is not of an interface,
    /// and for a name that is not long.
    pub fn of_long_name(&self, name: &str) -> Option<Self> {
        let parts = self.per_interface()?;
        let (family, table, leaf) = (parts.family, parts.table, parts.leaf);
        let key = SysctlKey(format!("net/{family}/{table}/{name}/{leaf}").into());
        key.long_parts().is_some().then_some(key)
    }

    fn long_parts(&self) -> Option<(&str, &str, &str, &str)> {
        let mut parts = self.0.split('/');
        let mut next = || parts.next();
        let (net, family, table, name, leaf) = (next()?, next()?, next()?, next()?, next()?);
        let is_per_interface =
            net == "net" && matches!(family, "ipv4" | "ipv6") && matches!(table, "conf" | "neigh");
        let is_whole = next().is_none();
        (is_per_interface && is_whole && link::is_long(name)).then_some((family, table, name, leaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_kept_until_the_interface_is_known() {
        let key: SysctlKey = "net.ipv4.conf.enp3s0-of-the-uplink.rp_filter".parse().unwrap();
        assert_eq!(key.long_name(), Some("enp3s0-of-the-uplink"));
        assert_eq!((key.link(), key.per_interface()), (None, None));
        let own = key.of_own_name("a1".parse().unwrap()).unwrap();
        assert_eq!(own.path(), "net/ipv4/conf/a1/rp_filter");
        assert_eq!(own.long_name(), None);
        assert_eq!(own.of_long_name("enp3s0-of-the-uplink"), Some(key));
        assert_eq!(own.of_long_name("a2"), None);
        // Longer than any further name.
        let text = format!("net.ipv4.conf.{}.rp_filter", "x".repeat(128));
        assert!(text.parse::<SysctlKey>().is_err());
    }
}
