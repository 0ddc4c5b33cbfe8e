//! The MTU that the next pod on a host would get, from the configuration that the container runtime loads.

use std::collections::{BTreeMap, BTreeSet};

use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::finding::{Code, Findings};
use netkeel_document::want::Want;
use netkeel_host::cni::configuration::{Contents, Plugin};
use netkeel_host::cni::plugin_type::{ReadsMtu, reads_mtu};
use netkeel_host::cni::runtime::Loaded;
use netkeel_host::cni::state::{Cni, StateFiles};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_mtu::detect::detect;
use netkeel_mtu::pods::of_cni;

/// Why a new pod would not get this MTU, or why nobody knows; `None` if it would.
pub fn fault(host: &Snapshot, wanted: i64) -> Option<String> {
    match new_pod_mtu(host) {
        Ok((mtu, _)) if mtu == wanted => None,
        Ok((mtu, from)) => Some(format!("{from} gives it {mtu}, and {wanted} is declared")),
        Err(why) => Some(why),
    }
}

/// Reports declared MTUs of pods that a new pod would not get by the declared MTU of its plugin: it would start with the
/// one, and netkeel would give it the other.
pub(crate) fn contradicted(after: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
    let declares_plugin = wants.keys().any(|fact| matches!(fact.object, Object::Plugin(_)));
    let Some((mtu, from)) = declares_plugin.then(|| new_pod_mtu(after).ok()).flatten() else {
        return;
    };
    let detected = detect(after);
    let of_cni = detected.map(|detected| {
        let pods = of_cni(after, detected.cni).into_iter();
        pods.map(|link| link.index).collect::<BTreeSet<u32>>()
    });
    let is_pod = |link: &Link| match &of_cni {
        Some(pods) => pods.contains(&link.index),
        None => link.leads_into_a_pod() && link.master.is_none(),
    };
    for (fact, want) in wants {
        let (Field::Mtu | Field::PodMtu, Value::Number(declared)) = (fact.field, &want.value) else {
            continue;
        };
        let Some(name) = fact.link_name() else { continue };
        if *declared != mtu && after.link(name).is_some_and(is_pod) {
            let message = format!("its MTU is declared {declared}, and {from} gives new pods {mtu}");
            let remedy =
                "declare one MTU for the pods and their plugin: each new pod starts with that of the plugin";
            findings.add(Code::NK065, name, message, remedy);
        }
    }
}

/// The MTU of the next pod, and the file that it is from.
fn new_pod_mtu(host: &Snapshot) -> Result<(i64, String), String> {
    let cni = host.cni.as_ref().ok_or("the CNI configuration was not read")?;
    let runtime = cni.runtime.as_ref();
    let runtime = runtime
        .filter(|runtime| runtime.name.is_some())
        .ok_or("no container runtime was found, so nobody knows which CNI configuration it loads")?;
    if let Some(unread) = runtime.unread.first() {
        let unread = unread.display();
        return Err(format!(
            "{unread} was not read, so nobody knows which CNI configuration the container runtime loads"
        ));
    }
    let path = match runtime.loads(&cni.files) {
        Loaded::File(path) => path,
        Loaded::Stopped(path, why) => return Err(format!("no pod can start: {}: {why}", path.display())),
        Loaded::Nothing => {
            let directory = runtime.directory.display();
            return Err(format!("no CNI configuration is in {directory}"));
        }
    };
    let Some(Some(configuration)) = cni.file(path) else {
        return Err(format!("{} was not read", path.display()));
    };
    let plugins = match &configuration.reading {
        Contents::Plugins(plugins) => plugins,
        other => return Err(format!("{}: {}", path.display(), other.refusal())),
    };
    let first = plugins.first();
    let first = first.ok_or_else(|| format!("{} has no plugin", path.display()))?;
    let (mtu, from) = of_plugin(first, cni, &path.display().to_string())?;
    for plugin in plugins.iter().filter(|plugin| &*plugin.kind == "tuning") {
        match &plugin.mtu {
            None | Some(Value::Number(0)) => {}
            // It sets the pod's end only.
            Some(Value::Number(tuned)) if *tuned == mtu => {}
            Some(tuned) => return Err(format!("the plugin tuning of {from} gives it {tuned}, not {mtu}")),
        }
    }
    Ok((mtu, from))
}

fn of_plugin(plugin: &Plugin, cni: &Cni, path: &str) -> Result<(i64, String), String> {
    let kind = &*plugin.kind;
    let files = StateFiles::of(cni.runtime.as_ref());
    match reads_mtu(kind) {
        None => {
            return Err(format!(
                "netkeel does not know how the plugin {kind} of {path} takes its MTU"
            ));
        }
        Some(ReadsMtu::Elsewhere(place)) => {
            return Err(format!(
                "the plugin {kind} of {path} has its MTU elsewhere: {place}"
            ));
        }
        Some(ReadsMtu::Number | ReadsMtu::Text) => {}
    }
    let from_state = |mtu: Option<i64>, file: &str| match mtu {
        Some(mtu) => Ok((mtu, file.to_owned())),
        None => Err(format!(
            "{path} gives the plugin {kind} no MTU, and {file} was not read"
        )),
    };
    match (&plugin.mtu, kind) {
        // The plugin takes that of the agent, which read the file when it started.
        (_, "cilium-cni") => from_state(cni.cilium_mtu, files.cilium),
        (Some(Value::Number(mtu)), _) if *mtu > 0 => Ok((*mtu, path.to_owned())),
        (None | Some(Value::Number(0)), "calico") => from_state(cni.calico_mtu, files.calico),
        (None | Some(Value::Number(0)), "flannel") => from_state(cni.flannel_mtu, files.flannel),
        (None | Some(Value::Number(_)), _) => Err(format!(
            "{path} gives the plugin {kind} no MTU, and its default is not known"
        )),
        (Some(other), _) => Err(format!("the plugin {kind} of {path} has the mtu {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;

    fn of(plugins: &str, more: &str) -> String {
        let text = format!(
            r#"{{"runtime": {{"name": "containerd", "directory": "/d"}}{more}, "files": {{"/d/10-x.conflist": {{"sha256": "", "plugins": [{plugins}]}}}}}}"#
        );
        let mut host = Snapshot::empty(Netns::CURRENT);
        host.cni = Some(serde_json::from_str(&text).unwrap());
        fault(&host, 1440).unwrap_or_else(|| "right".to_owned())
    }

    fn plugin(kind: &str, mtu: &str) -> String {
        let mtu = if mtu.is_empty() {
            String::new()
        } else {
            format!(r#", "mtu": {mtu}"#)
        };
        format!(r#"{{"type": "{kind}", "at": "plugins[0].mtu"{mtu}}}"#)
    }

    #[test]
    fn a_new_pod_is_right_only_where_its_mtu_is_known_and_the_declared_one() {
        for (plugins, more, wanted) in [
            (plugin("calico", "1440"), "", "right"),
            (
                plugin("calico", "1500"),
                "",
                "/d/10-x.conflist gives it 1500, and 1440 is declared",
            ),
            (plugin("calico", "0"), r#", "calico_mtu": 1440"#, "right"),
            (
                plugin("calico", ""),
                r#", "calico_mtu": 1450"#,
                "/var/lib/calico/mtu gives it 1450, and 1440 is declared",
            ),
            (
                plugin("calico", ""),
                "",
                "/d/10-x.conflist gives the plugin calico no MTU, and /var/lib/calico/mtu was not read",
            ),
            (plugin("flannel", ""), r#", "flannel_mtu": 1440"#, "right"),
            // The agent has not read the file since.
            (
                plugin("cilium-cni", "1440"),
                r#", "cilium_mtu": 1500"#,
                "/run/cilium/state/globals/node_config.h gives it 1500, and 1440 is declared",
            ),
            (
                plugin("bridge", ""),
                "",
                "/d/10-x.conflist gives the plugin bridge no MTU, and its default is not known",
            ),
            (
                plugin("my-own", "1440"),
                "",
                "netkeel does not know how the plugin my-own of /d/10-x.conflist takes its MTU",
            ),
            (
                format!("{}, {}", plugin("ptp", "1440"), plugin("tuning", "1400")),
                "",
                "the plugin tuning of /d/10-x.conflist gives it 1400, not 1440",
            ),
            (
                format!("{}, {}", plugin("ptp", "1440"), plugin("portmap", "")),
                "",
                "right",
            ),
        ] {
            assert_eq!(of(&plugins, more), wanted, "{plugins}");
        }
        assert!(of(&plugin("kube-ovn", ""), "").contains("elsewhere"));
        let mut host = Snapshot::empty(Netns::CURRENT);
        assert_eq!(fault(&host, 1440).unwrap(), "the CNI configuration was not read");
        // A part of its configuration is out of sight.
        let text = r#"{"runtime": {"name": "containerd", "directory": "/d", "unread": ["/more/a.toml"]}, "files": {"/d/10-x.conflist": {"sha256": "", "plugins": [{"type": "calico", "at": "plugins[0].mtu", "mtu": 1440}]}}}"#;
        host.cni = Some(serde_json::from_str(text).unwrap());
        let why = fault(&host, 1440).unwrap();
        assert!(why.starts_with("/more/a.toml was not read"), "{why}");
        // The defaults of no known runtime.
        let text = r#"{"runtime": {"directory": "/d"}, "files": {"/d/10-x.conflist": {"sha256": "", "plugins": [{"type": "calico", "at": "plugins[0].mtu", "mtu": 1440}]}}}"#;
        host.cni = Some(serde_json::from_str(text).unwrap());
        assert!(
            fault(&host, 1440)
                .unwrap()
                .contains("no container runtime was found")
        );
    }
}
