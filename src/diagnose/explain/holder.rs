//! The ownership of a fact: its owner, its earlier value, and its last write.

use serde::Serialize;

use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::nflog::entry_name::TABLE;
use netkeel_plan::ledger::Ledger;

/// The records of earlier runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records<'a> {
    /// The ownership records; `None` if they could not be read.
    pub ledger: Option<&'a Ledger>,
    /// The history of applies, oldest first.
    pub acts: &'a [Act],
}

/// One apply, release or recovery, from the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// Unix seconds.
    pub time: u64,
    /// The user, with pid and command.
    pub actor: String,
    /// The hash of the document.
    pub document: String,
    /// The result.
    pub result: String,
    /// The commands, as an operator would type them.
    #[serde(skip)]
    pub commands: Vec<String>,
}

/// A fact and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The fact, as text.
    pub fact: String,
    /// The owner.
    pub owner: String,
    /// The value before netkeel first wrote it; `absent` if it did not exist.
    pub found: String,
    /// The value that netkeel wrote last.
    pub wrote: String,
    /// The fact that netkeel wrote, if the kernel changed this one as a side effect, or netkeel wrote
    /// it only for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// The last write, as far as the history goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Act>,
}

/// The ownership record of a fact, as text.
pub fn held(records: &Records<'_>, fact: &Fact) -> Option<Held> {
    let claim = records.ledger?.get(fact)?;
    let written = claim.caused_by.as_deref().unwrap_or(fact);
    let wrote = |act: &&Act| act.commands.iter().any(|command| writes(command, written));
    Some(Held {
        fact: fact.to_string(),
        owner: claim.owner.to_string(),
        found: shown(fact, claim.found.as_ref()),
        wrote: shown(fact, claim.wrote.as_ref()),
        with: claim.caused_by.as_ref().map(ToString::to_string),
        last: records.acts.iter().rev().find(wrote).cloned(),
    })
}

/// A value as text. The text of a file is long, so only its length is given.
fn shown(fact: &Fact, value: Option<&Value>) -> String {
    if let (Object::File(_), Some(Value::Text(text))) = (&fact.object, value) {
        return format!("a file of {} bytes", text.len());
    }
    fact.show(value)
}

/// Whether a command of the history writes a fact. Commands have the form that [`netkeel_core::op::Op`]
/// displays.
fn writes(command: &str, fact: &Fact) -> bool {
    let plain = command.replace('\'', "");
    let sysctl = |key: &dyn std::fmt::Display| plain.contains(&format!("sysctl -w {key}="));
    let name = match &fact.object {
        Object::File(path) => {
            let words: Vec<&str> = plain.splitn(2, ' ').collect();
            return matches!(words.as_slice(), ["write" | "rm", file] if *file == path.to_string_lossy());
        }
        Object::Plugin(plugin) => {
            let of_it = plain.contains(&format!(r#".type == "{}""#, plugin.kind));
            return of_it && plain.ends_with(&format!(" {}", plugin.file.display()));
        }
        Object::Wireguard(wireguard) => {
            let to = wireguard.copy.display().to_string();
            return plain.ends_with(&format!(" > {to})")) || plain.ends_with(&format!(" {to}"));
        }
        Object::Nflog(name) => {
            let chain = format!(" chain inet {TABLE} {} ", name.chain());
            return format!("{plain} ").contains(&chain);
        }
        Object::LogGroup(group) => {
            let group = format!("--nflog-group {group} ");
            return format!("{plain} ").contains(&group);
        }
        Object::Sysctl(key) => return sysctl(key),
        Object::Link(name) => name,
    };
    let set = |what: &str| plain.contains(&format!(" link set dev {name} {what}"));
    match fact.field {
        Field::Mtu => set("mtu "),
        Field::Up => set("up") || set("down"),
        Field::TxQueueLength => set("txqueuelen "),
        Field::Alias => set("alias "),
        Field::Kind => {
            plain.contains(&format!(" link add name {name} "))
                || plain.ends_with(&format!(" link del dev {name}"))
        }
        Field::Address(address) => {
            let on = |verb: &str| plain.contains(&format!(" addr {verb} {address} dev {name}"));
            on("add") || on("del")
        }
        Field::RouteMetric(route, metric) => {
            let change = format!(" route change {route} ");
            plain.contains(&change) && plain.contains(&format!(" {metric} "))
        }
        Field::RpFilter | Field::Forwarding | Field::Forwarding6 | Field::DisableIpv6 => {
            let key = fact.field.sysctl_of(*name);
            key.is_some_and(|key| sysctl(&key))
        }
        // Such a command names the interface in the pod; the others are facts of other objects.
        Field::PodMtu
        | Field::PodRouteMtu(_)
        | Field::PodAddress(_)
        | Field::Content
        | Field::Value
        | Field::Rules => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;
    use netkeel_core::op::{Op, Target};
    use netkeel_plan::ledger::OwnershipRecord;

    fn link(field: Field) -> Fact {
        Fact::link(&Netns::CURRENT, "eth0".parse().unwrap(), field)
    }

    #[test]
    fn a_command_is_known_by_what_it_writes() {
        let target = Target {
            netns: Netns::named("pod"),
            index: 2,
            name: "eth0".parse().unwrap(),
        };
        let key = "net.ipv4.tcp_rmem".parse().unwrap();
        let address = "192.0.2.1/24".parse().unwrap();
        let written = [
            (
                link(Field::Mtu),
                Op::SetMtu {
                    target: target.clone(),
                    mtu: 1400,
                },
            ),
            (
                link(Field::Up),
                Op::SetUp {
                    target: target.clone(),
                    up: false,
                },
            ),
            (
                link(Field::Alias),
                Op::SetAlias {
                    target: target.clone(),
                    alias: "it's".into(),
                },
            ),
            (
                link(Field::Address(address)),
                Op::AddAddress {
                    target: target.clone(),
                    address,
                },
            ),
            (
                Fact::sysctl(&Netns::CURRENT, &key),
                Op::WriteSysctl {
                    netns: Netns::CURRENT,
                    key,
                    value: "1 2 3".into(),
                    link: None,
                },
            ),
            (
                Fact::file(std::path::Path::new("/etc/x.conf")),
                Op::RemoveFile {
                    path: std::path::Path::new("/etc/x.conf").into(),
                },
            ),
        ];
        for (number, (fact, _)) in written.iter().enumerate() {
            let by: Vec<usize> = (0..written.len())
                .filter(|at| writes(&written[*at].1.to_string(), fact))
                .collect();
            assert_eq!(by, [number], "{fact}");
        }
    }

    #[test]
    fn the_last_who_wrote_it_is_told() {
        let claim = |fact: Fact, caused_by: Option<Fact>| OwnershipRecord {
            device: None,
            fact,
            owner: "puppet".into(),
            found: Some(Value::Number(0)),
            wrote: Some(Value::Number(1)),
            caused_by: caused_by.map(Box::new),
        };
        let default = Fact::sysctl(
            &Netns::CURRENT,
            &"net.ipv4.conf.default.rp_filter".parse().unwrap(),
        );
        let claims = [
            claim(link(Field::RpFilter), Some(default.clone())),
            claim(default, None),
        ];
        let ledger = Ledger::from_iter(claims);
        let act = |time, command: &str| Act {
            time,
            actor: "root".into(),
            document: "d0c".into(),
            result: "applied".into(),
            commands: vec![command.to_owned()],
        };
        let acts = [
            act(1, "sysctl -w net.ipv4.conf.default.rp_filter=1"),
            act(2, "sysctl -w net.ipv4.conf.default.rp_filter=1"),
            act(3, "sysctl -w net.ipv4.conf.all.rp_filter=1"),
        ];
        let records = Records {
            ledger: Some(&ledger),
            acts: &acts,
        };
        let held = super::held(&records, &link(Field::RpFilter)).unwrap();
        assert_eq!(
            (held.owner.as_str(), held.found.as_str(), held.wrote.as_str()),
            ("puppet", "0 (off)", "1 (strict)")
        );
        assert_eq!(
            held.with.as_deref(),
            Some("sysctl net.ipv4.conf.default.rp_filter")
        );
        assert_eq!(held.last.map(|act| act.time), Some(2));
        assert_eq!(super::held(&records, &link(Field::Mtu)), None);
    }
}
