//! What the server says of a pod.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use netkeel_document::policy::eviction::{Owner, PodSeen};

/// A pod by its UID.
pub(super) fn seen(pod: &Pod) -> Option<(String, PodSeen)> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let seen = PodSeen {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        owner: controller(metadata),
        host_network: spec.and_then(|spec| spec.host_network).unwrap_or(false),
        // The kubelet makes the object of a static pod, with this annotation.
        is_static: has_annotation(metadata, "kubernetes.io/config.mirror"),
        finished: is_finished(pod),
        ending: metadata.deletion_timestamp.is_some(),
    };
    Some((metadata.uid.clone()?, seen))
}

fn has_annotation(metadata: &ObjectMeta, key: &str) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(key))
}

/// The controller of an object.
pub(super) fn controller(metadata: &ObjectMeta) -> Option<Owner> {
    let owners = metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.next().map(|owner| Owner {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

/// Whether all containers of a pod ended for good.
pub(super) fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a pod is ready and stays.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|one| one.type_ == "Ready" && one.status == "True");
    pod.metadata.deletion_timestamp.is_none() && ready.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_read_with_what_protects_it() {
        let web = json!({
            "metadata": {
                "namespace": "a", "name": "web-1", "uid": "u1",
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Other", "name": "x", "uid": "o0" },
                    { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "o1", "controller": true },
                ],
            },
            "spec": { "containers": [] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let read = |value: &serde_json::Value| serde_json::from_value::<Pod>(value.clone()).unwrap();
        let (uid, pod) = seen(&read(&web)).unwrap();
        assert_eq!(
            (&*uid, &*pod.shown(), &*pod.shown_owner()),
            ("u1", "a/web-1", "a/ReplicaSet/web")
        );
        assert!(!pod.host_network && !pod.is_static && !pod.finished && !pod.ending);
        assert!(is_ready(&read(&web)));
        let mut other = web.clone();
        other["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "h" });
        other["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        other["spec"]["hostNetwork"] = json!(true);
        other["status"]["phase"] = json!("Failed");
        other["metadata"]["ownerReferences"] = json!([]);
        let (_, pod) = seen(&read(&other)).unwrap();
        assert!(pod.host_network && pod.is_static && pod.finished && pod.ending && pod.owner.is_none());
        assert!(!is_ready(&read(&other)));
    }
}
