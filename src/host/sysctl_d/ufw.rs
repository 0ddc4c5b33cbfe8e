//! ufw applies a sysctl file of its own each time it starts, after sysctl.d (`ufw-init-functions` of ufw
//! 0.36: `sysctl -e -q -p "$IPT_SYSCTL"`).

use crate::sysctl_d::file::{Dialect, FileLine};
use crate::sysctl_d::parse::{Entry, parse};
use netkeel_core::name::sysctl::{SysctlKey, variable};

/// Whether ufw is enabled: `ENABLED=yes`.
pub const SWITCH: &str = "/etc/ufw/ufw.conf";

/// The file that names the sysctl file: `IPT_SYSCTL=`.
pub const DEFAULTS: &str = "/etc/default/ufw";

/// The sysctl file as packages set it.
pub const USUAL: &str = "/etc/ufw/sysctl.conf";

/// The sysctl file that ufw applies, from the texts of the two other files; `None` if ufw is disabled or
/// applies none.
pub fn file(switch: &str, defaults: &str) -> Option<String> {
    let enabled = variable_of(switch, "ENABLED")?;
    let path = variable_of(defaults, "IPT_SYSCTL").filter(|path| !path.is_empty())?;
    matches!(enabled, "yes" | "YES").then(|| path.to_owned())
}

/// The value that the sysctl file gives a key, with the line: the last one counts.
pub fn value(path: &str, text: &str, key: &SysctlKey) -> Option<(FileLine, String)> {
    let mut last = None;
    for line in parse(Dialect::Procps, text) {
        match line.entry {
            Entry::Assign { key: of, value } if variable(&of) == variable(key.path()) => {
                last = Some((line.number, value));
            }
            _ => {}
        }
    }
    let (line, value) = last?;
    let place = FileLine {
        file: path.to_owned(),
        target: None,
        line,
    };
    Some((place, value))
}

/// A variable of a shell file; the last assignment counts.
fn variable_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix('=');
    let value = text.lines().filter_map(value).next_back()?.trim();
    let unquoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    Some(unquoted('"').or_else(|| unquoted('\'')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ufw_that_is_enabled_names_its_file() {
        let defaults = "IPV6=yes\n# IPT_SYSCTL=/x\nIPT_SYSCTL=\"/etc/ufw/sysctl.conf\"\n";
        assert_eq!(file("ENABLED=yes\n", defaults).as_deref(), Some(USUAL));
        assert_eq!(file("# ENABLED=yes\nENABLED=no\n", defaults), None);
        assert_eq!(file("ENABLED=yes\n", "IPT_SYSCTL=\n"), None);
        assert_eq!(file("ENABLED=yes\n", ""), None);
    }

    #[test]
    fn the_last_line_counts() {
        let text = "net/ipv4/ip_forward=1\n#x\nnet.ipv4.ip_forward = 0\n";
        let key = "net.ipv4.ip_forward".parse().unwrap();
        let (place, found) = value(USUAL, text, &key).unwrap();
        assert_eq!((place.to_string(), &*found), (format!("{USUAL}:3"), "0"));
        assert_eq!(value(USUAL, text, &"net.ipv4.tcp_sack".parse().unwrap()), None);
    }
}
