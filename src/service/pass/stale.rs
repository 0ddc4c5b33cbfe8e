//! Finds the pods whose MTU differs from a policy's and cannot be corrected while they run.

use std::collections::BTreeSet;

use crate::pass::{PassRunner, first};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_diagnose::new_pod;
use netkeel_document::document::Document;
use netkeel_document::policy::Policy;
use netkeel_document::want::wants::Wants;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;

/// A veth into such a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaleVeth {
    /// The host's end.
    pub(crate) link: LinkName,
    /// The file of the pod's namespace; `None` if none is known.
    pub(crate) sandbox: Option<String>,
    /// Why a new pod would be stale as well, or why nobody knows.
    pub(crate) fault: Option<String>,
}

impl PassRunner {
    /// The veths whose pod's end differs from what a policy wants, and that netkeel does not write: pods that another
    /// program keeps, and facts that are suspended.
    pub(crate) fn stale_veths(
        &self,
        document: &Document,
        policy: &Policy,
        suspended: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> Result<Vec<StaleVeth>, String> {
        let alone = policy.alone(&document.netns, &document.owner);
        let alone = alone.ok_or("this netkeel cannot read the document of the policy")?;
        let mut scope = alone.scope();
        if !scope.pods {
            return Ok(Vec::new());
        }
        scope.cni.directory = true;
        let host = kernel.snapshot(&scope).map_err(|error| error.message)?;
        let wants = alone.wants(&host);
        match wants.diagnostics.is_empty() {
            true => Ok(stale(&host, &wants, suspended)),
            false => Err(first(&wants.diagnostics)),
        }
    }
}

fn stale(host: &Snapshot, wants: &Wants, suspended: &BTreeSet<Fact>) -> Vec<StaleVeth> {
    let mut found = Vec::new();
    for (name, link) in &host.links {
        let Some(end) = &link.pod else { continue };
        let fact = |field: Field| Fact::link(&host.netns, *name, field);
        let wanted = match wants.left_alone.get(name) {
            Some(left) => Some(left.pod_mtu),
            None => {
                let routes = end.routes.keys().map(|to| Field::PodRouteMtu(*to));
                let mut facts = routes.chain([Field::PodMtu]).map(fact);
                let differs = facts.any(|fact| {
                    let want = wants.facts.get(&fact).filter(|_| suspended.contains(&fact));
                    want.is_some_and(|want| host.get(&fact) != Lookup::Value(want.value.clone()))
                });
                let of_end = wants.facts.get(&fact(Field::PodMtu)).filter(|_| differs);
                of_end.and_then(|want| match want.value {
                    Value::Number(mtu) => Some(mtu),
                    _ => None,
                })
            }
        };
        if let Some(wanted) = wanted {
            found.push(StaleVeth {
                link: *name,
                sandbox: end
                    .sandbox
                    .as_ref()
                    .map(|sandbox| sandbox.path.display().to_string()),
                fault: new_pod::fault(host, wanted),
            });
        }
    }
    found
}
