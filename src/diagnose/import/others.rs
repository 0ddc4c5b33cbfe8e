//! Tunnels, sysctls and CNI configurations of a host as entries of a document.

use crate::import::default_value::default_value;
use crate::import::draft::{Draft, Entry, quoted};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::rp_filter::RpFilter;
use netkeel_host::cni::plugin_type;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::reading::SysctlReading;

/// Adds all of them.
pub(crate) fn add(host: &Snapshot, draft: &mut Draft) {
    tunnels(host, draft);
    sysctls(host, draft);
    cni(host, draft);
}

/// Tunnels in collect-metadata mode.
fn tunnels(host: &Snapshot, draft: &mut Draft) {
    for (name, link) in &host.links {
        let mode = link.device_kind().tunnel_mode().filter(|_| link.external);
        let Some(mode) = mode.filter(|_| device_owner::refusal(&name.to_string()).is_none()) else {
            continue;
        };
        let mut fields = vec![("mode", mode.to_string())];
        if !link.addresses.is_empty() {
            // The kernel adds link-local addresses by itself.
            let lasting = link.addresses.iter().filter(|net| match net {
                ipnet::IpNet::V4(_) => true,
                ipnet::IpNet::V6(net) => !net.addr().is_unicast_link_local(),
            });
            let addresses: Vec<String> = lasting.map(|net| quoted(&net.to_string())).collect();
            fields.push(("addresses", format!("[{}]", addresses.join(", "))));
        }
        fields.push(("mtu", link.mtu.to_string()));
        if let Some(mode) = link.rp_filter.and_then(|mode| RpFilter::from_number(mode.into())) {
            fields.push(("rp_filter", mode.to_string()));
        }
        if !link.up {
            fields.push(("up", "no".to_owned()));
        }
        draft.entries.push(Entry {
            section: "tunnel",
            key: name.to_string(),
            condition: None,
            fields,
            comment: String::new(),
        });
    }
}

/// Sysctls that differ from the kernel's default, where that is known.
fn sysctls(host: &Snapshot, draft: &mut Draft) {
    for (key, reading) in &host.sysctls {
        let SysctlReading::Value {
            value,
            writable: true,
        } = reading
        else {
            continue;
        };
        let (Some(default), false) = (default_value(key.path()), value.is_secret()) else {
            continue;
        };
        let value = value.to_string();
        if value == default {
            continue;
        }
        let number = value.parse::<i64>().is_ok();
        draft.entries.push(Entry {
            section: "sysctl",
            key: key.to_string(),
            condition: None,
            fields: vec![("", if number { value } else { quoted(&value) })],
            comment: format!("default {default}"),
        });
    }
}

/// The plugins of CNI configurations that have an MTU.
fn cni(host: &Snapshot, draft: &mut Draft) {
    let Some(cni) = &host.cni else { return };
    for file in cni.files.keys() {
        for (kind, _) in plugin_type::types() {
            let Lookup::Value(Value::Number(mtu)) = host.get(&Fact::plugin(file, kind)) else {
                continue;
            };
            let file = file.display().to_string();
            draft.entries.push(Entry {
                section: "cni",
                key: match draft
                    .entries
                    .iter()
                    .any(|entry| entry.section == "cni" && entry.key == kind)
                {
                    true => format!("{kind} of {file}"),
                    false => kind.to_owned(),
                },
                condition: None,
                fields: vec![
                    ("plugin", kind.to_owned()),
                    ("file", quoted(&file)),
                    ("mtu", mtu.to_string()),
                ],
                comment: String::new(),
            });
        }
    }
}
