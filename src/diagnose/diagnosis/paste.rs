//! Remedies and commands as somebody can paste them.

use crate::diagnosis::fix::Fix;
use netkeel_core::name::netns::Netns;
use netkeel_core::text::shell::Quoted;

/// The sections that fragments of a document have.
const SECTIONS: [&str; 2] = ["link", "sysctl"];

/// The remedies with one fragment for each section: a document with the same section twice is an error.
pub(crate) fn one_of_each_section(fixes: Vec<Fix>) -> Vec<Fix> {
    let mut out: Vec<Fix> = Vec::new();
    for fix in fixes {
        match split(&fix) {
            Some((section, entry)) => {
                let known = out.iter_mut().find_map(|known| {
                    split(known)
                        .filter(|(of, _)| *of == section)
                        .map(|(_, all)| all.to_owned())
                        .zip(Some(known))
                });
                match known {
                    Some((all, known)) => {
                        let entry = under_its_own_name(&all, entry);
                        *known = Fix::Document(format!("{section}: {{ {all}, {entry} }}"));
                    }
                    None => out.push(fix),
                }
            }
            None => out.push(fix),
        }
    }
    out
}

/// The section and the entries of a fragment.
fn split(fix: &Fix) -> Option<(&'static str, &str)> {
    let Fix::Document(text) = fix else { return None };
    SECTIONS.into_iter().find_map(|section| {
        let entries = text.strip_prefix(section)?.strip_prefix(": { ")?;
        Some((section, entries.strip_suffix(" }")?))
    })
}

/// An entry for a match under a name that the other entries do not have. Only matches have free names.
fn under_its_own_name(all: &str, entry: &str) -> String {
    let Some(rest) = entry.strip_prefix("pods: { match: ") else {
        return entry.to_owned();
    };
    let is_taken = |name: &str| all.contains(&format!("{name}: {{ match: "));
    let names = (1..).map(|number: u32| match number {
        1 => "pods".to_owned(),
        number => format!("pods-{number}"),
    });
    let free = names.into_iter().find(|name| !is_taken(name)).unwrap_or_default();
    format!("{free}: {{ match: {rest}")
}

/// A command for the namespace that was diagnosed.
pub(crate) fn inside(command: &str, netns: &Netns) -> String {
    let Some(name) = netns.name() else {
        return command.to_owned();
    };
    let name = Quoted(name);
    let is_several = command.contains("; ") || command.contains(" | ");
    match command.strip_prefix("netkeel ") {
        Some(rest) => format!("netkeel {rest} --netns {name}"),
        None if is_several => format!("ip netns exec {name} sh -c {}", Quoted(command)),
        None => format!("ip netns exec {name} {command}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_printed_once() {
        let document = |text: &str| Fix::Document(text.to_owned());
        let other = || Fix::Elsewhere("link: { the cable }".to_owned());
        let fixes = vec![
            document("link: { cali1: { mtu: 1400 } }"),
            document("sysctl: { net.ipv4.ip_forward: 1 }"),
            other(),
            document("link: { pods: { match: { name: \"lxc*\" }, mtu: 1300 } }"),
            document("link: { pods: { match: { name: \"cali*\" }, mtu: 1400 } }"),
        ];
        let whole = "link: { cali1: { mtu: 1400 }, pods: { match: { name: \"lxc*\" }, mtu: 1300 }, pods-2: { match: { name: \"cali*\" }, mtu: 1400 } }";
        assert_eq!(
            one_of_each_section(fixes),
            [
                document(whole),
                document("sysctl: { net.ipv4.ip_forward: 1 }"),
                other()
            ]
        );
    }

    #[test]
    fn a_command_names_the_namespace() {
        let named = Netns::named("nu-worker");
        for (command, wanted) in [
            (
                "netkeel probe pmtu TARGET",
                "netkeel probe pmtu TARGET --netns nu-worker",
            ),
            ("ss -uamn", "ip netns exec nu-worker ss -uamn"),
            (
                "nstat -n; sleep 10; nstat '*Errors'",
                r"ip netns exec nu-worker sh -c 'nstat -n; sleep 10; nstat '\''*Errors'\'''",
            ),
        ] {
            assert_eq!(inside(command, &named), wanted);
            assert_eq!(inside(command, &Netns::CURRENT), command);
        }
    }
}
