//! What is amiss with the CNI configurations of a host.

use std::path::Path;

use crate::cni::runtime::{Loaded, Name};
use crate::cni::{Cni, Runtime};
use crate::fact::Value;
use crate::finding::{Code, Findings};
use crate::snapshot::Snapshot;

/// Looks at the directory that the container runtime loads from.
pub(super) fn look(host: &Snapshot, findings: &mut Findings) {
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
                "the plugin tuning sets the MTU of the pod's end only: what is larger is dropped between the two ends",
                "set the MTU in the plugin that makes the interface",
            ),
            "calico" => calico(cni, plugin.mtu.as_ref(), &loaded.display(), findings),
            _ => {}
        }
    }
    copies(cni, loaded, findings);
}

/// Tells that a file stops the runtime.
pub(crate) fn stopped(runtime: &Runtime, path: &Path, why: &str, findings: &mut Findings) {
    let who = runtime.name.map_or("the container runtime", Name::word);
    let message = format!("{who} takes this CNI configuration first and cannot load it: {why}");
    let remedy = "mend it or take it away: no pod starts until then";
    findings.add(Code::NK041, path.display(), message, remedy);
}

/// Without an MTU, or with 0, Calico's plugin takes what Felix found (libcalico-go
/// `/var/lib/calico/mtu`).
fn calico(cni: &Cni, mtu: Option<&Value>, file: &dyn std::fmt::Display, findings: &mut Findings) {
    let automatic = matches!(mtu, None | Some(Value::Number(0)));
    if let (true, Some(found)) = (automatic, cni.calico_mtu) {
        let message =
            format!("it gives Calico no MTU: new pods get {found}, which Felix wrote to /var/lib/calico/mtu");
        let remedy = "it follows the host's interfaces; a `cni` entry of the document fixes it";
        findings.add(Code::NK044, file, message, remedy);
    }
}

/// Multus loads its own file, with a copy of what it delegates to: the original does nothing then.
fn copies(cni: &Cni, loaded: &Path, findings: &mut Findings) {
    let Some(Some(configuration)) = cni.file(loaded) else {
        return;
    };
    let others = cni.files.iter().filter(|(path, _)| path.as_path() != loaded);
    for (path, other) in others {
        for plugin in other.iter().flat_map(|other| other.plugins()) {
            let (here, there) = (configuration.mtu(&plugin.kind), &plugin.mtu);
            let known = configuration.of(&plugin.kind).next().is_some();
            if known && here != *there {
                let show = |mtu: &Option<Value>| mtu.as_ref().map_or("none".to_owned(), ToString::to_string);
                let message = format!(
                    "its {} has the MTU {}, and that of {}, which is loaded, has {}",
                    plugin.kind,
                    show(there),
                    loaded.display(),
                    show(&here)
                );
                let remedy = "set both: whoever makes one from the other (Multus, when it starts) brings the other value";
                findings.add(Code::NK042, path.display(), message, remedy);
            }
        }
    }
}
