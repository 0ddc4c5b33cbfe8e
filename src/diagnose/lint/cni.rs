//! Misconfigurations of a host's CNI.

use std::collections::BTreeSet;
use std::path::Path;

use netkeel_core::fact::Value;
use netkeel_core::finding::{Code, Findings};
use netkeel_host::cni::plugin_type::{elsewhere, reads_text};
use netkeel_host::cni::runtime::{Loaded, stopped};
use netkeel_host::cni::state::Cni;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::pods::of_cni;

/// Checks the directory from which the container runtime loads its configuration. `pods_too_large`: the MTUs of
/// pods are reported already.
pub(crate) fn check(host: &Snapshot, pods_too_large: bool, findings: &mut Findings) {
    let Some(cni) = &host.cni else { return };
    let Some(runtime) = &cni.runtime else { return };
    let loaded = match runtime.loads(&cni.files) {
        Loaded::Stopped(path, why) => {
            stopped(runtime, path, why, findings);
            runtime.intends(&cni.files)
        }
        Loaded::File(path) => Some(path),
        Loaded::Nothing => None,
    };
    let Some(loaded) = loaded else { return };
    let Some(Some(configuration)) = cni.file(loaded) else {
        return;
    };
    for plugin in configuration.plugins() {
        match &*plugin.kind {
            "tuning" if plugin.mtu.is_some() => findings.add(
                Code::NK043,
                loaded.display(),
                "the plugin tuning sets the MTU of the pod's end only: larger packets are dropped between the two ends",
                "set the MTU in the plugin that makes the interface",
            ),
            "calico" if !pods_too_large => {
                calico(host, cni, plugin.mtu.as_ref(), &loaded.display(), findings);
            }
            kind => {
                if let (Some(mtu), Some(place)) = (&plugin.mtu, elsewhere(kind)) {
                    let message = format!("its {kind} has the mtu {mtu}, which the plugin does not read");
                    findings.add(Code::NK074, loaded.display(), message, place);
                }
            }
        }
    }
    no_number(host, findings);
    copies(cni, loaded, findings);
}

/// An `mtu` in another form than the plugin's stops it (Go's encoding/json).
pub fn no_number(host: &Snapshot, findings: &mut Findings) {
    let loaded = host.cni.as_ref().and_then(|cni| {
        let path = cni.runtime.as_ref()?.intends(&cni.files)?;
        Some((path, cni.file(path)??))
    });
    let Some((path, configuration)) = loaded else {
        return;
    };
    for plugin in configuration.plugins() {
        let Some(Value::Text(text)) = &plugin.mtu else {
            continue;
        };
        if matches!(&**text, "null" | "-0") || elsewhere(&plugin.kind).is_some() {
            continue;
        }
        let (form, wanted) = match reads_text(&plugin.kind) {
            true => ("is not text with a whole number", "text, in quotes"),
            false => ("is not a whole number", "a number"),
        };
        let message = format!(
            "its {} has the mtu {text}, which {form}: the plugin cannot read it, and no pod starts",
            plugin.kind
        );
        let remedy = format!("write it as {wanted}, or declare it in a `cni` entry");
        findings.add(Code::NK049, path.display(), message, remedy);
    }
}

/// Without an MTU, or with 0, Calico's plugin uses the value that Felix detected (libcalico-go
/// `/var/lib/calico/mtu`). That is Calico's default; it is reported where running pods have another MTU.
fn calico(
    host: &Snapshot,
    cni: &Cni,
    mtu: Option<&Value>,
    file: &dyn std::fmt::Display,
    findings: &mut Findings,
) {
    let automatic = matches!(mtu, None | Some(Value::Number(0)));
    let (true, Some(found)) = (automatic, cni.calico_mtu) else {
        return;
    };
    // NK013 reports a pod whose two ends differ.
    let pods = of_cni(host, "calico").into_iter();
    let agreed = pods.filter(|link| link.pod.as_ref().is_none_or(|pod| pod.mtu == link.mtu));
    let others: BTreeSet<u32> = agreed
        .map(|link| link.mtu)
        .filter(|mtu| i64::from(*mtu) != found)
        .collect();
    if others.is_empty() {
        return;
    }
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let message = format!(
        "it gives Calico no MTU: new pods get {found}, which Felix wrote to /var/lib/calico/mtu, and running ones have {}",
        others.join(" and ")
    );
    let remedy = "declare a fixed MTU in a `cni` entry, or recreate the running pods";
    findings.add(Code::NK044, file, message, remedy);
}

/// Multus loads its own file, which has a copy of the delegate's configuration. The delegate's original
/// file then has no effect, until Multus copies it again. Without Multus, no one reads the other files.
fn copies(cni: &Cni, loaded: &Path, findings: &mut Findings) {
    let Some(Some(configuration)) = cni.file(loaded) else {
        return;
    };
    if !configuration.is_of_multus() {
        return;
    }
    let others = cni.files.iter().filter(|(path, _)| path.as_path() != loaded);
    for (path, other) in others {
        for plugin in other.iter().flat_map(|other| other.plugins()) {
            let (here, there) = (configuration.mtu(&plugin.kind), &plugin.mtu);
            let known = configuration.of(&plugin.kind).next().is_some();
            if known && here != *there {
                let show = |mtu: &Option<Value>| mtu.as_ref().map_or("none".to_owned(), ToString::to_string);
                let message = format!(
                    "its {} has the MTU {}, but that of the loaded {} has {}",
                    plugin.kind,
                    show(there),
                    loaded.display(),
                    show(&here)
                );
                let remedy = "set both files: Multus generates one from the other when it starts";
                findings.add(Code::NK042, path.display(), message, remedy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::Snapshot;

    fn check(plugins: &str) -> String {
        let text = format!(
            r#"{{"runtime": {{"directory": "/d"}}, "files": {{"/d/10-x.conflist": {{"sha256": "", "plugins": [{plugins}]}}}}}}"#
        );
        let mut host = Snapshot::empty(Netns::CURRENT);
        host.cni = Some(serde_json::from_str(&text).unwrap());
        let found = crate::lint::host::host(&host);
        let lines = found.iter().map(|one| format!("{} {}", one.code, one.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_file_that_nobody_reads_is_no_copy() {
        let check = |first: &str| {
            let text = format!(
                r#"{{"runtime": {{"directory": "/d"}}, "files": {{
                    "/d/10-x.conflist": {{"sha256": "", "plugins": [{first}{{"type": "bridge", "at": "plugins[0].mtu", "mtu": 1450}}]}},
                    "/d/20-y.conflist": {{"sha256": "", "plugins": [{{"type": "bridge", "at": "plugins[0].mtu"}}]}}}}}}"#
            );
            let mut host = Snapshot::empty(Netns::CURRENT);
            host.cni = Some(serde_json::from_str(&text).unwrap());
            let found = crate::lint::host::host(&host);
            found.iter().map(|one| one.code.to_string()).collect::<String>()
        };
        assert_eq!(check(""), "");
        assert_eq!(check(r#"{"type": "multus", "at": "mtu"},"#), "NK042");
    }

    #[test]
    fn an_mtu_that_is_text_stops_the_plugin() {
        insta::assert_snapshot!(check(
            r#"{"type": "calico", "at": "plugins[0].mtu", "mtu": "\"1460\""}, {"type": "portmap", "at": "plugins[1].mtu", "mtu": "\"1\""}"#
        ), @r#"
        NK049 its calico has the mtu "1460", which is not a whole number: the plugin cannot read it, and no pod starts
        NK074 its portmap has the mtu "1", which the plugin does not read
        "#);
        assert_eq!(
            check(r#"{"type": "calico", "at": "plugins[0].mtu", "mtu": "null"}"#),
            ""
        );
    }

    #[test]
    fn the_form_of_an_mtu_is_that_of_its_plugin() {
        // As `conflist` reads `"9001"` of aws-cni, and `9001`.
        assert_eq!(
            check(r#"{"type": "aws-cni", "at": "plugins[0].mtu", "mtu": 9001}"#),
            ""
        );
        insta::assert_snapshot!(check(
            r#"{"type": "aws-cni", "at": "plugins[0].mtu", "mtu": "9001"}, {"type": "multus-shim", "at": "plugins[1].mtu", "mtu": 1400}"#
        ), @r"
        NK049 its aws-cni has the mtu 9001, which is not text with a whole number: the plugin cannot read it, and no pod starts
        NK074 its multus-shim has the mtu 1400, which the plugin does not read
        ");
    }

    #[test]
    fn a_plugin_whose_mtu_is_set_elsewhere_is_no_fault() {
        assert_eq!(
            check(
                r#"{"type": "kube-ovn", "at": "plugins[0].mtu"}, {"type": "portmap", "at": "plugins[1].mtu"}"#
            ),
            ""
        );
        assert!(
            check(r#"{"type": "kube-ovn", "at": "plugins[0].mtu", "mtu": 1400}"#)
                .starts_with("NK074 its kube-ovn")
        );
    }

    #[test]
    fn the_mtu_that_felix_derives_is_reported_where_running_pods_have_another() {
        let check = |pod: u32| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},
                "links":{{"cali0":{{"index":5,"kind":"veth","mtu":{pod},"peer_netns":0}}}},
                "cni":{{"runtime":{{"directory":"/d"}},"calico_mtu":1450,"files":{{"/d/10-x.conflist":
                    {{"sha256":"","plugins":[{{"type":"calico","at":"plugins[0].mtu","mtu":0}}]}}}}}}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            let found = crate::lint::host::host(&host);
            found.iter().map(|one| one.message.clone()).collect::<String>()
        };
        assert_eq!(check(1450), "");
        assert_eq!(
            check(1500),
            "it gives Calico no MTU: new pods get 1450, which Felix wrote to /var/lib/calico/mtu, and running ones have 1500"
        );
    }
}
