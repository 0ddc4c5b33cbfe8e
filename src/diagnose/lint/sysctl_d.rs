//! Conflicts between netkeel's drop-in and other files of sysctl.d: files that override it, and patterns
//! that write another value to new interfaces.

use std::collections::BTreeMap;
use std::path::Path;

use crate::lint::rearmed::{Rearmed, Wanted};
use netkeel_core::fact::{Fact, Object};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::{Slot, SysctlKey};
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::UfwFile;
use netkeel_host::sysctl_d::answer::Outcome;
use netkeel_host::sysctl_d::file::{Content, Dialect, File, Files};
use netkeel_host::sysctl_d::mention::Fate;
use netkeel_host::sysctl_d::parse::{Entry, parse};
use netkeel_host::sysctl_d::reader::Judge;
use netkeel_host::sysctl_d::ufw;
use netkeel_host::sysctl_form::stored::is_same;

/// The directory of drop-ins, which has the highest priority in
/// [`netkeel_host::sysctl_d::order::DIRECTORIES`].
const ETC: usize = 0;

/// Directories whose files belong to packages.
const PACKAGED: [&str; 2] = ["/usr/lib/sysctl.d/", "/lib/sysctl.d/"];

/// The prefix of the names that [`netkeel_host::sysctl_d::drop_in::path`] returns.
const OURS: &str = "90-netkeel";

/// Checks the host in its current state.
pub(crate) fn host(host: &Snapshot, findings: &mut Findings) {
    let Some(found) = &host.sysctl_d else {
        return;
    };
    unreadable(&found.files, findings);
    let mut judge = Judge::new(&found.files);
    let mut rearmed = Rearmed::new(found.udev, host);
    let ours = |file: &&File| file.directory == ETC && file.name.starts_with(OURS);
    for file in found.files.dropins.iter().filter(ours) {
        if let Content::Text(text) = &file.content {
            drop_in(&file.name, text, &mut rearmed, &mut judge, findings);
            for line in parse(Dialect::Systemd, text) {
                if let (Entry::Assign { key, value }, Some(ufw)) = (line.entry, &found.ufw)
                    && let Ok(key) = key.parse::<SysctlKey>()
                {
                    overridden_by_ufw(ufw, &key, &value, findings);
                }
            }
        }
    }
    let default = SysctlKey::known("net/ipv4/conf/default/rp_filter");
    if let Some(value) = host.sysctl_number("net/ipv4/conf/default/rp_filter") {
        let wanted = value.to_string();
        rearmed.check(&default, &default, (&wanted, Wanted::Current), &mut judge);
    }
    rearmed.report(findings);
}

/// Checks the files together with the drop-in of a document, against the wants for interfaces. `own` is the
/// path and the text of the drop-in.
pub(crate) fn document(
    own: Option<(&Path, &str)>,
    wants: &BTreeMap<Fact, Want>,
    host: &Snapshot,
    findings: &mut Findings,
) {
    let Some(found) = &host.sysctl_d else {
        return;
    };
    unreadable(&found.files, findings);
    let own = own.and_then(|(path, text)| Some((path.file_name()?.to_str()?, text)));
    let mut files = found.files.clone();
    if let Some((name, text)) = own {
        files
            .dropins
            .retain(|file| file.directory != ETC || file.name != name);
        files.dropins.push(File {
            directory: ETC,
            name: name.to_owned(),
            target: format!("/etc/sysctl.d/{name}"),
            content: Content::Text(text.to_owned()),
        });
    }
    let mut judge = Judge::new(&files);
    let mut rearmed = Rearmed::new(found.udev, host);
    if let Some((name, text)) = own {
        drop_in(name, text, &mut rearmed, &mut judge, findings);
    }
    for (fact, want) in wants {
        if let Some(ufw) = &found.ufw
            && let Some(key) = key_of(fact)
        {
            overridden_by_ufw(ufw, &key, &want.value.to_string(), findings);
        }
        let value = want.value.to_text();
        match (&fact.object, fact.link_name()) {
            (_, Some(name)) => {
                if let Some(key) = fact.field.sysctl_of(name) {
                    rearmed.check(&key, &name, (&value, Wanted::Declared), &mut judge);
                }
            }
            (Object::Sysctl(key), None) if is_default(key) => {
                rearmed.check(key, key, (&value, Wanted::Declared), &mut judge);
            }
            (
                Object::Sysctl(_)
                | Object::Link(_)
                | Object::File(_)
                | Object::Plugin(_)
                | Object::Wireguard(_)
                | Object::Nflog(_)
                | Object::LogGroup(_),
                None,
            ) => {}
        }
    }
    rearmed.report(findings);
}

/// Compares each line of a drop-in with the result of all files.
fn drop_in(name: &str, text: &str, rearmed: &mut Rearmed, judge: &mut Judge<'_>, findings: &mut Findings) {
    for line in parse(Dialect::Systemd, text) {
        let Entry::Assign { key, value } = line.entry else {
            continue;
        };
        let Ok(key) = key.parse::<SysctlKey>() else {
            continue;
        };
        let mut lost = |dialect| {
            let boot = judge.answer(dialect, &key, is_number(&value)).boot;
            let holds = boot
                .value
                .as_deref()
                .is_some_and(|found| is_same(&key, found, &value, None));
            (!holds).then(|| (winner(name, dialect, &key, &boot, judge), boot))
        };
        let (systemd, procps) = (lost(Dialect::Systemd), lost(Dialect::Procps));
        let outcomes = systemd.iter().chain(&procps).map(|(_, outcome)| outcome);
        let mut places = outcomes.filter_map(|outcome| Some(outcome.place.as_ref()?.file.clone()));
        let packaged = places.find(|file| PACKAGED.iter().any(|directory| file.starts_with(directory)));
        let message = match (systemd, procps) {
            (None, None) => {
                if is_default(&key) {
                    rearmed.check(&key, &key, (&value, Wanted::Declared), judge);
                }
                continue;
            }
            (Some((systemd, one)), Some((_, other))) if is_one_line(&one, &other) => {
                format!("at boot {systemd}")
            }
            (Some((systemd, _)), Some((procps, _))) => {
                format!("at boot {systemd}, by systemd's rules; by those of `sysctl --system` {procps}")
            }
            (Some((systemd, _)), None) => format!("at boot {systemd}, by systemd's rules"),
            (None, Some((procps, _))) => format!("where `sysctl --system` applies the files, {procps}"),
        };
        let remedy = match packaged {
            Some(file) => format!(
                "copy {file} to /etc/sysctl.d, which hides it, and remove the line from the copy: an update of its package undoes a change of {file}"
            ),
            None => format!("remove the line, or make its file sort before {name}"),
        };
        findings.add(Code::NK024, &key, message, remedy);
    }
}

/// The sysctl of a fact.
fn key_of(fact: &Fact) -> Option<SysctlKey> {
    match &fact.object {
        Object::Sysctl(key) => Some(key.clone()),
        Object::Link(name) => fact.field.sysctl_of(*name),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => None,
    }
}

/// Reports a key that ufw sets to another value each time it starts.
fn overridden_by_ufw(ufw: &UfwFile, key: &SysctlKey, wanted: &str, findings: &mut Findings) {
    let Some((place, value)) = ufw::value(&ufw.path, &ufw.text, key) else {
        return;
    };
    if key.is_secret() {
        // The text of a secret is in neither place.
        findings.add(
            Code::NK024,
            key,
            format!(
                "each time ufw starts, {place} sets it too; its value is a secret, which is not compared"
            ),
            format!("remove the line in {}", ufw.path),
        );
        return;
    }
    if !is_same(key, &value, wanted, None) {
        findings.add(
            Code::NK024,
            key,
            format!("each time ufw starts, {place} sets it to {value}, and {wanted} is declared"),
            format!("change or remove the line in {}", ufw.path),
        );
    }
}

/// Whether the same line decides in both orders. The file may have two names.
fn is_one_line(one: &Outcome, other: &Outcome) -> bool {
    let places = match (&one.place, &other.place) {
        (Some(one), Some(other)) => one.is_same(other),
        (one, other) => one == other,
    };
    places && one.value == other.value
}

/// The reason why a line of the drop-in has no effect, as part of a sentence.
fn winner(name: &str, dialect: Dialect, key: &SysctlKey, boot: &Outcome, judge: &Judge<'_>) -> String {
    if let (Some(place), Some(value)) = (&boot.place, &boot.value) {
        let place = match &place.target {
            Some(target) => format!("{place} ({target})"),
            None => place.to_string(),
        };
        return format!("{place} overrides {name} with {value}");
    }
    let own = format!("/etc/sysctl.d/{name}");
    let line = judge.lines(key).into_iter().find(|line| line.place.file == own);
    let fate = line.map(|line| match dialect {
        Dialect::Systemd => line.systemd,
        Dialect::Procps => line.procps,
    });
    match fate {
        Some(Fate::Replaced { by } | Fate::Overridden { by } | Fate::Exempt { by }) => {
            format!("{by} keeps the value in {name} from being applied")
        }
        _ => format!("the value in {name} is not applied"),
    }
}

fn unreadable(files: &Files, findings: &mut Findings) {
    for file in files.dropins.iter().chain(&files.sysctl_conf) {
        if let Content::Unreadable(why) = &file.content {
            let message = format!("it could not be read: {why}");
            let remedy = "its sysctls are unknown; run netkeel as root";
            findings.add(Code::NK027, &file.target, message, remedy);
        }
    }
}

/// Whether the key is one of `default`, with which a new interface starts.
fn is_default(key: &SysctlKey) -> bool {
    key.per_interface()
        .is_some_and(|parts| parts.slot == Slot::Default)
}

fn is_number(value: &str) -> bool {
    value.parse::<i64>().is_ok()
}
