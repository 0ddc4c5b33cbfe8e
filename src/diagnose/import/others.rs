//! Tunnels, sysctls and CNI configurations of a host as entries of a document.

use crate::import::default_value::default_value;
use crate::import::selection::Selection;
use netkeel_core::fact::Value;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::rp_filter::RpFilter;
use netkeel_document::draft::{CNI, Draft, Entry, SYSCTL, TUNNEL, quoted, sysctl_value};
use netkeel_host::cni::configuration::Contents;
use netkeel_host::cni::plugin_type;
use netkeel_host::cni::state::Cni;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::sysctl_d::file::Dialect;
use netkeel_host::sysctl_d::reader::Judge;

/// Adds all of them. `host` is the selected part of a host.
pub(crate) fn add(host: &Snapshot, selection: &Selection, draft: &mut Draft) {
    tunnels(host, draft);
    sysctls(host, selection, draft);
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
            fields,
            ..Entry::named(
                TUNNEL,
                name.to_string(),
                format!("external {mode}, as `ip -d link` shows"),
            )
        });
    }
}

/// Sysctls that differ from the kernel's default, where that is known, those of an unknown default that a file of
/// sysctl.d sets, and those that a selector finds.
fn sysctls(host: &Snapshot, selection: &Selection, draft: &mut Draft) {
    let mut files = host.sysctl_d.as_ref().map(|sysctl_d| Judge::new(&sysctl_d.files));
    let mut set_by = |key: &SysctlKey| {
        let place = files.as_mut()?.answer(Dialect::Systemd, key, false).boot.place?;
        Some(format!("live value; {place} sets it"))
    };
    for (key, reading) in &host.sysctls {
        let SysctlReading::Value {
            value,
            writable: true,
        } = reading
        else {
            continue;
        };
        if value.is_secret() {
            if !selection.is_all() {
                draft.note(format!("sysctl.{key}: its value is a secret"));
            }
            continue;
        }
        let value = value.to_string();
        let comment = match (default_value(key.path()), selection.is_all()) {
            (Some(default), false) if value == default => "live value, the kernel's default".to_owned(),
            (Some(default), _) if value != default => {
                format!("live value; the kernel's default is {default}")
            }
            (None, false) => "live value; the kernel's default is not known".to_owned(),
            (None, true) => match set_by(key) {
                Some(comment) => comment,
                None => continue,
            },
            (Some(_), _) => continue,
        };
        draft.entries.push(Entry {
            fields: vec![("", sysctl_value(&value))],
            ..Entry::named(SYSCTL, key.to_string(), comment)
        });
    }
}

/// The plugins of CNI configurations that have an MTU.
fn cni(host: &Snapshot, draft: &mut Draft) {
    let Some(cni) = &host.cni else { return };
    add_cni(cni, draft);
}

/// The same of configurations whose host is not running.
pub(crate) fn add_cni(cni: &Cni, draft: &mut Draft) {
    for (file, configuration) in &cni.files {
        let Some(configuration) = configuration else {
            continue;
        };
        let file = file.display().to_string();
        if !matches!(configuration.reading, Contents::Plugins(_)) {
            draft.note(format!("{file}: {}", configuration.reading.refusal()));
        }
        for (kind, _) in plugin_type::types() {
            let Some(Value::Number(mtu)) = configuration.mtu(kind) else {
                continue;
            };
            let known = |entry: &Entry| entry.section == CNI && entry.key == kind;
            let key = match draft.entries.iter().any(known) {
                true => format!("{kind} of {file}"),
                false => kind.to_owned(),
            };
            draft.entries.push(Entry {
                fields: vec![
                    ("plugin", kind.to_owned()),
                    ("file", quoted(&file)),
                    ("mtu", mtu.to_string()),
                ],
                ..Entry::named(CNI, key, file.clone())
            });
        }
    }
}
