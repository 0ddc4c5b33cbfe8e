//! The drop-in that sets sysctls at boot and on interfaces that appear later.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::{Environment, UndefinedBehavior, context};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::sysctl::SysctlKey;

/// Permission bits of the drop-in: world-readable, like the sysctls themselves.
pub const MODE: u32 = 0o644;

const TEMPLATE: &str = include_str!("../../../templates/sysctl.d.conf");

/// The line before a setting that is not in the document: IPv6 forwarding would remove default routes without it.
pub const FOLLOWS: &str =
    "# Not of the document: IPv6 forwarding would remove the default routes that routers announced.";

/// The path of an owner's drop-in. Its name sorts after systemd's `50-default.conf`, whose
/// `net.ipv4.conf.*.rp_filter` udev applies to each new interface. If two files name a key, the
/// later one wins; an exact key exempts an interface from patterns (sysctl.d(5)).
pub fn path(owner: &str) -> PathBuf {
    let name = if owner == "default" {
        "90-netkeel.conf".to_owned()
    } else {
        format!("90-netkeel-{owner}.conf")
    };
    PathBuf::from("/etc/sysctl.d").join(name)
}

/// The settings of a drop-in that follow from others. `text` is the drop-in.
pub fn following(text: &str) -> impl Iterator<Item = (SysctlKey, &str)> {
    let pairs = text.lines().zip(text.lines().skip(1));
    let follow = pairs.filter(|(before, _)| *before == FOLLOWS);
    let settings = follow.filter_map(|(_, line)| line.split_once(" = "));
    settings.filter_map(|(key, value)| Some((key.parse().ok()?, value)))
}

/// The text of the drop-in: each key once, in the order in which keys must be written. Keys use
/// slashes, which systemd and procps read the same way for every interface name. `following` are settings that
/// follow from the others.
///
/// # Errors
/// When the template is broken, which is a bug in netkeel.
pub fn render(
    owner: &str,
    settings: &[(SysctlKey, String)],
    following: &[(SysctlKey, String)],
) -> Result<String, Error> {
    let following = following.iter().map(|setting| (setting, Some(FOLLOWS)));
    let ordered: BTreeMap<(u8, &SysctlKey), (&str, Option<&str>)> = following
        .chain(settings.iter().map(|setting| (setting, None)))
        .map(|((key, value), why)| ((key.rank(), key), (value.as_str(), why)))
        .collect();
    let settings: Vec<_> = ordered
        .iter()
        .map(|((_, key), (value, why))| context!(key => key.path(), value => *value, why => *why))
        .collect();
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates
        .render_str(TEMPLATE, context!(owner, settings))
        .map_err(|error| {
            Error::new(
                ErrorKind::Unreadable,
                format!("the template sysctl.d.conf is broken: {error}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_once_in_slash_form_and_in_writing_order() {
        let setting = |key: &str, value: &str| (key.parse().unwrap(), value.to_owned());
        let settings = [
            setting("net/ipv4/conf/eth0.100/rp_filter", "1"),
            setting("net.ipv4.conf.all.rp_filter", "0"),
            setting("net.ipv4.conf.all.rp_filter", "0"),
            setting("net.ipv4.conf.default.rp_filter", "1"),
            setting("net.ipv4.ip_forward", "1"),
            setting("net.ipv4.tcp_rmem", "4096 131072 6291456"),
        ];
        insta::assert_snapshot!(render("puppet", &settings, &[]).unwrap(), @r#"
        # netkeel keeps this file for the owner "puppet": change its document, not this.
        # At boot systemd-sysctl or procps apply it; udev applies an interface's lines when it appears.
        net/ipv4/ip_forward = 1
        net/ipv4/conf/all/rp_filter = 0
        net/ipv4/tcp_rmem = 4096 131072 6291456
        net/ipv4/conf/default/rp_filter = 1
        net/ipv4/conf/eth0.100/rp_filter = 1
        "#);
        assert_eq!(path("default").to_str(), Some("/etc/sysctl.d/90-netkeel.conf"));
        assert_eq!(
            path("puppet").to_str(),
            Some("/etc/sysctl.d/90-netkeel-puppet.conf")
        );
    }

    #[test]
    fn what_follows_from_other_settings_is_marked_and_found() {
        let setting = |key: &str, value: &str| (key.parse().unwrap(), value.to_owned());
        let declared = [
            setting("net.ipv6.conf.all.forwarding", "1"),
            setting("net.ipv6.conf.eth1.accept_ra", "2"),
        ];
        let follows = [
            setting("net/ipv6/conf/eth0.100/accept_ra", "2"),
            setting("net.ipv6.conf.eth1.accept_ra", "2"),
        ];
        let text = render("default", &declared, &follows).unwrap();
        insta::assert_snapshot!(text, @r#"
        # netkeel keeps this file for the owner "default": change its document, not this.
        # At boot systemd-sysctl or procps apply it; udev applies an interface's lines when it appears.
        # Not of the document: IPv6 forwarding would remove the default routes that routers announced.
        net/ipv6/conf/eth0.100/accept_ra = 2
        net/ipv6/conf/eth1/accept_ra = 2
        net/ipv6/conf/all/forwarding = 1
        "#);
        let found: Vec<_> = following(&text).collect();
        assert_eq!(found, [(follows[0].0.clone(), "2")]);
    }
}
