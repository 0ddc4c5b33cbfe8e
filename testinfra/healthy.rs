//! Snapshots of healthy hosts, on which `netkeel lint` finds nothing, and twins of each with one fault, of which
//! it finds exactly that one. NETKEEL_BLESS=1 rewrites what lint prints of the twins; NETKEEL_CASE=NAME runs some.
//!
//! A file has the snapshot of a healthy host, with a document where the host runs by one. Each section
//! `fault NAME.json` changes values of the snapshot, by their JSON pointers (RFC 6901; null removes one). The
//! section `lint NAME` has what lint prints of the changed snapshot. The section `remedy NAME.yaml` is the remedy as a
//! part of a document: applied to the model of the changed host, it leaves no finding. `remedy NAME.json` is what an
//! operator changes in a file of the host. Where the fault is another program's, `by hand NAME` says what mends it.
//! The section `unread` has what lint prints without the default routes, and `pods` without the ends in pods.
//! The section `detect` has what `mtu --detect` prints of the healthy host.

#[path = "support/harmless.rs"]
mod harmless;
#[path = "support/remedy.rs"]
mod remedy;
#[path = "support/txtar.rs"]
mod txtar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use netkeel_host::snapshot::Snapshot;
use txtar::{Archive, files, golden, run_all};

/// The hosts that must have a file.
const HOSTS: &[&str] = &[
    "aks",
    "antrea",
    "aws-vpc",
    "bonded-two-networks",
    "calico-ipip",
    "calico-none",
    "calico-vxlan",
    "calico-wireguard",
    "cilium-native",
    "cilium-vxlan",
    "cilium-wireguard",
    "docker-host",
    "flannel-kubespan",
    "flannel-vxlan",
    "flannel-wireguard",
    "gke",
    "k3s",
    "katran-real-server",
    "kube-ovn",
    "kube-ovn-kubespan",
    "lvs-tun-real-server",
    "microk8s",
    "openshift",
    "plain-router",
    "wikimedia-worker",
];

/// Runs `netkeel lint` on a snapshot, with the document of a case.
fn lint(archive: &Archive, snapshot: &Value) -> Result<String, String> {
    netkeel(&["lint"], archive.get("document.yaml"), snapshot)
}

/// Runs netkeel on a snapshot: what it prints, unless it fails or prints errors.
fn netkeel(verb: &[&str], document: Option<&str>, snapshot: &Value) -> Result<String, String> {
    let scratch = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    // A typing error in a patch would make a snapshot that no host could have.
    Snapshot::from_json(&snapshot.to_string()).map_err(|error| format!("{error} {:?}", error.hints))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_netkeel"));
    command.env("NO_COLOR", "1").current_dir(scratch.path());
    command
        .args(verb)
        .arg("--snapshot")
        .arg(write("snapshot.json", &snapshot.to_string()));
    if let Some(document) = document {
        command.arg("-f").arg(write("document.yaml", document));
    }
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() && done.stderr.is_empty() {
        true => Ok(text(&done.stdout)),
        false => Err(format!(
            "{} ends with {}\n{}{}",
            verb.join(" "),
            done.status,
            text(&done.stdout),
            text(&done.stderr)
        )),
    }
}

/// Changes the values that a fault names, each of which must be there or have a place.
fn patched(snapshot: &Value, patch: &BTreeMap<String, Value>) -> Result<Value, String> {
    let mut changed = snapshot.clone();
    for (pointer, value) in patch {
        let (holder, key) = pointer
            .rsplit_once('/')
            .ok_or(format!("{pointer} is no pointer"))?;
        let key = key.replace("~1", "/").replace("~0", "~");
        let before = changed.pointer(pointer).cloned();
        if before.as_ref() == Some(value) {
            return Err(format!("{pointer} is {value} already"));
        }
        let holder = changed
            .pointer_mut(holder)
            .ok_or(format!("{holder} is not there"))?;
        match (holder, value) {
            (Value::Object(map), Value::Null) => drop(map.remove(&key).ok_or(format!("no {pointer}"))?),
            (Value::Object(map), value) => drop(map.insert(key, value.clone())),
            (Value::Array(list), value) => match key.parse::<usize>() {
                Ok(at) if at < list.len() => list[at] = value.clone(),
                Ok(at) if at == list.len() => list.push(value.clone()),
                _ => return Err(format!("{pointer} is beyond the list")),
            },
            _ => return Err(format!("{pointer} is in no map and no list")),
        }
    }
    Ok(changed)
}

#[test]
fn every_kind_of_host_has_a_case() {
    if std::env::var_os("NETKEEL_CASE").is_some() {
        return;
    }
    let files = files("healthy");
    let names: BTreeSet<_> = files
        .iter()
        .filter_map(|path| path.file_stem()?.to_str())
        .collect();
    assert_eq!(names, HOSTS.iter().copied().collect());
}

#[test]
fn lint_is_silent_on_a_healthy_host() {
    run_all("healthy", |_, archive| {
        let found = lint(archive, &snapshot(archive)?)?;
        match found == "0 findings.\n" {
            true => Ok(()),
            false => Err(format!("lint finds on the healthy host:\n{found}")),
        }
    });
}

/// A container, a tunnel that was left behind, a backup route, or a part that was not read makes no fault. Lint may say that it
/// could not judge what was not read.
#[test]
fn lint_is_silent_on_a_healthy_host_with_something_more_or_less() {
    run_all("healthy", |_, archive| {
        let healthy = snapshot(archive)?;
        let mut wrong = Vec::new();
        for (name, change) in harmless::HARMLESS {
            let mut changed = healthy.clone();
            change(&mut changed);
            let (Ok(said) | Err(said)) = lint(archive, &changed);
            let mut findings = said.lines().filter(|line| line.contains("NK0"));
            if findings.any(|line| !line.contains("is unknown")) || !said.contains(" finding") {
                wrong.push(format!("{name}: {said}"));
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    });
}

#[test]
fn the_mtus_and_the_pods_of_a_healthy_host_are_as_they_should_be() {
    run_all("healthy", |path, archive| {
        let healthy = snapshot(archive)?;
        // A host without a known CNI ends with an error, which says so.
        let detected = netkeel(&["mtu", "--detect"], None, &healthy).unwrap_or_else(|error| error);
        golden(path, archive, "detect", &detected)?;
        if detected.contains("NK0") || detected.contains("too many") {
            return Err(format!("mtu --detect finds a fault:\n{detected}"));
        }
        let pods = netkeel(&["pods"], None, &healthy)?;
        if !pods.contains(", 0 stale.\n") {
            return Err(format!("pods finds a stale one:\n{pods}"));
        }
        let plan = netkeel(&["plan"], Some("version: 1\npersist: no\n"), &healthy)?;
        match plan.contains("NK0") || !plan.starts_with("In sync: 0 facts") {
            true => Err(format!("plan of a document that declares nothing:\n{plan}")),
            false => Ok(()),
        }
    });
}

/// Lint judges pods without the default routes only where something else tells their underlay, which the section `unread`
/// of the host shows.
#[test]
fn what_was_not_read_is_said() {
    run_all("healthy", |path, archive| {
        let mut host = snapshot(archive)?;
        let has_pods = |host: &Value| {
            let mut links = host["links"].as_object().into_iter().flatten();
            links.any(|(_, link)| link.get("pod").is_some())
        };
        let had_pods = has_pods(&host);
        // The lower device of a tunnel is the underlay, and so is the interface with the node's address of Cilium, whatever the
        // default route is.
        let mut links = host["links"].as_object().into_iter().flatten();
        let is_told = links.any(|(_, link)| link["kind"] == "vxlan" && !link["lower"].is_null())
            || !host["cni"]["cilium_addresses"].is_null();
        harmless::without_default_routes(&mut host);
        // Routes to other nodes tell the underlay too.
        host.as_object_mut().map(|host| host.remove("next_hops"));
        let linted = lint(archive, &host);
        match &linted {
            Err(error) if error.contains("the snapshot does not hold the default routes") => {}
            Ok(_) if !had_pods || is_told => {}
            other => return Err(format!("lint without default routes: {other:?}")),
        }
        let (Ok(linted) | Err(linted)) = linted;
        harmless::without_the_ends_of_pods(&mut host);
        let pods = netkeel(&["pods"], None, &host);
        match &pods {
            Err(error) if error.contains("the snapshot does not hold it") && !error.contains("0 pods") => {}
            Ok(_) if !had_pods => {}
            other => return Err(format!("pods without their ends: {other:?}")),
        }
        let (Ok(pods) | Err(pods)) = pods;
        golden(path, archive, "unread", &format!("{linted}{pods}"))
    });
}

#[test]
fn lint_finds_the_one_fault_of_a_twin() {
    run_all("healthy", |path, archive| {
        let healthy = snapshot(archive)?;
        let faults: Vec<String> = archive
            .sections
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("fault ")?.strip_suffix(".json"))
            .map(str::to_owned)
            .collect();
        if faults.is_empty() {
            return Err("it has no twin with a fault".into());
        }
        let wrong: Vec<String> = faults
            .iter()
            .filter_map(|fault| {
                Some(format!(
                    "{fault}: {}",
                    twin(path, archive, &healthy, fault).err()?
                ))
            })
            .collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    });
}

#[test]
fn the_remedy_of_each_fault_mends_it_and_harms_nothing() {
    run_all("healthy", |_, archive| {
        let healthy = snapshot(archive)?;
        let mut wrong = Vec::new();
        for (name, patch) in &archive.sections {
            let Some(fault) = name
                .strip_prefix("fault ")
                .and_then(|name| name.strip_suffix(".json"))
            else {
                continue;
            };
            let read = |patch: &str| serde_json::from_str(patch).map_err(|error| error.to_string());
            let broken = patched(&healthy, &read(patch)?)?;
            let remedy = archive.get(&format!("remedy {fault}.yaml"));
            let file = archive.get(&format!("remedy {fault}.json"));
            let by_hand = archive.get(&format!("by hand {fault}"));
            let result = match (remedy, file, by_hand) {
                (Some(remedy), None, None) => {
                    let host = Snapshot::from_json(&broken.to_string()).map_err(|error| error.message)?;
                    let document = archive.get("document.yaml").unwrap_or("version: 1\n");
                    remedy::mends(document, remedy, &host)
                }
                (None, Some(file), None) => match lint(archive, &patched(&broken, &read(file)?)?)?.as_str() {
                    "0 findings.\n" => Ok(()),
                    found => Err(format!("after the remedy there is\n{found}")),
                },
                (None, None, Some(_)) => Ok(()),
                _ => Err("it needs either a remedy or what an operator does by hand".to_owned()),
            };
            wrong.extend(result.err().map(|why| format!("{fault}: {why}")));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    });
}

fn twin(path: &Path, archive: &mut Archive, healthy: &Value, fault: &str) -> Result<(), String> {
    let patch = archive
        .get(&format!("fault {fault}.json"))
        .ok_or("its section is gone")?;
    let patch: BTreeMap<String, Value> = serde_json::from_str(patch).map_err(|error| error.to_string())?;
    let found = lint(archive, &patched(healthy, &patch)?)?;
    if !found.ends_with("\n1 finding.\n") {
        return Err(format!("lint does not find exactly one:\n{found}"));
    }
    golden(path, archive, &format!("lint {fault}"), &found)
}

fn snapshot(archive: &Archive) -> Result<Value, String> {
    let text = archive.get("snapshot.json").ok_or("there is no snapshot.json")?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}
