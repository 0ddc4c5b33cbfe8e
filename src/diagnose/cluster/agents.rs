//! DaemonSets of netkeel whose agents do not run: the pods that admission refuses, and those that do not start.

use std::collections::BTreeMap;

use crate::cluster::object::{Object, at};
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;

/// The name of the agent's container in the chart and in the manifests of `netkeel render kubernetes`.
const CONTAINER: &str = "netkeel";

/// Nodes named in a message.
const NAMED: usize = 3;

pub(super) fn check(objects: &[Object<'_>], findings: &mut Findings, unknown: &mut Vec<String>) {
    for set in objects.iter().filter(|object| is_of_agents(object)) {
        let number = |path: &[&str]| set.at(path).and_then(Node::integer);
        let desired = number(&["status", "desiredNumberScheduled"]);
        let seen = number(&["status", "observedGeneration"]);
        let Some(desired) = desired.filter(|_| seen >= number(&["metadata", "generation"])) else {
            unknown.push(format!("{}: its controller has not seen it yet", set.shown()));
            continue;
        };
        let current = number(&["status", "currentNumberScheduled"]).unwrap_or(0);
        let ready = number(&["status", "numberReady"]).unwrap_or(0);
        if desired == 0 {
            let message = "it selects no node: no agent runs";
            findings.add(
                Code::NK094,
                set.shown(),
                message,
                "correct nodeSelector and affinity",
            );
        }
        if current < desired {
            let (why, remedy) = refusal(objects, set);
            let message = format!("{current} of {desired} agents exist: {why}");
            findings.add(Code::NK094, set.shown(), message, remedy);
        }
        let mut told = false;
        for (why, nodes) in waiting(objects, set) {
            told = true;
            let message = format!("{} not run: {why}: on {}", pods(nodes.len()), shown(&nodes));
            let remedy = format!("run `kubectl -n {} describe pods`", set.namespace);
            findings.add(Code::NK094, set.shown(), message, remedy);
        }
        // Dead nodes are no fault of the agents, as long as an update goes on beside them.
        let missing = current - ready;
        if !told && missing > unavailable(set, desired) {
            let message =
                format!("{ready} of {desired} agents are ready, and the others have no status of a kubelet");
            findings.add(
                Code::NK094,
                set.shown(),
                message,
                "look at their nodes: kubectl get nodes",
            );
        }
    }
}

fn is_of_agents(object: &Object<'_>) -> bool {
    let containers = object.at(&["spec", "template", "spec", "containers"]);
    let is_agent = |container: &Node| container.get("name").and_then(Node::text) == Some(CONTAINER);
    object.is("apps", "DaemonSet") && containers.is_some_and(|found| found.items().iter().any(is_agent))
}

fn pods(number: usize) -> String {
    match number {
        1 => "1 pod does".to_owned(),
        number => format!("{number} pods do"),
    }
}

fn shown(nodes: &[String]) -> String {
    let names: Vec<&str> = nodes.iter().take(NAMED).map(String::as_str).collect();
    match nodes.len().saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Why the server refuses pods, by the last event of it, and what helps.
fn refusal(objects: &[Object<'_>], set: &Object<'_>) -> (String, String) {
    let of_set = |event: &&Object<'_>| {
        let text = |path: &[&str]| event.at(path).and_then(Node::text);
        event.kind == "Event"
            && event.namespace == set.namespace
            && text(&["reason"]) == Some("FailedCreate")
            && text(&["involvedObject", "kind"]) == Some("DaemonSet")
            && text(&["involvedObject", "name"]) == Some(set.name.as_str())
    };
    let time = |event: &&Object<'_>| {
        let text = |path: &[&str]| event.at(path).and_then(Node::text);
        let time = text(&["lastTimestamp"]).or_else(|| text(&["eventTime"]));
        let time = time.or_else(|| text(&["metadata", "creationTimestamp"]));
        time.unwrap_or_default().to_owned()
    };
    let last = objects.iter().filter(of_set).max_by_key(time);
    let why = last.and_then(|event| event.at(&["message"])?.text());
    // The recorder of events puts it before a message that differs from others in a name only.
    let why = why.map(|why| why.trim_start_matches("(combined from similar events): "));
    let namespace = &set.namespace;
    let Some(why) = why else {
        return (
            "no event says why".to_owned(),
            format!("run `kubectl -n {namespace} describe daemonset {}`", set.name),
        );
    };
    let remedy = if why.contains("PodSecurity") {
        format!(
            "run `kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`"
        )
    } else if why.contains("quota") {
        "set priorityClassName to \"\" or to a class that the quota allows, or raise the quota".to_owned()
    } else {
        "remove the cause; the controller tries again by itself".to_owned()
    };
    (why.to_owned(), remedy)
}

/// The pods that cannot be placed or whose container does not run or is not ready, by the reason, with their nodes.
fn waiting(objects: &[Object<'_>], set: &Object<'_>) -> BTreeMap<String, Vec<String>> {
    let uid = set.at(&["metadata", "uid"]).and_then(Node::text);
    let is_owned = |pod: &&Object<'_>| {
        let owners = pod.at(&["metadata", "ownerReferences"]).map(Node::items);
        let is_set = |owner: &Node| owner.get("uid").and_then(Node::text) == uid;
        pod.is("", "Pod") && uid.is_some() && owners.is_some_and(|owners| owners.iter().any(is_set))
    };
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in objects.iter().filter(is_owned) {
        if let Some(why) = why_not(pod) {
            let node = pod.at(&["spec", "nodeName"]).and_then(Node::text);
            let node = node.unwrap_or("no node").to_owned();
            found.entry(why).or_default().push(node);
        }
    }
    found.values_mut().for_each(|nodes| nodes.sort());
    found
}

fn why_not(pod: &Object<'_>) -> Option<String> {
    let list = |key: &str| pod.at(&["status", key]).map(Node::items).unwrap_or_default();
    let text = |node: &Node, path: &[&str]| at(node, path).and_then(Node::text).map(str::to_owned);
    let said = |node: &Node, path: &[&str]| {
        let of = |key: &str| text(node, &[path, &[key]].concat()).filter(|text| !text.is_empty());
        let parts: Vec<String> = [of("reason"), of("message")].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    };
    let unplaced = list("conditions").iter().find(|condition| {
        text(condition, &["type"]).as_deref() == Some("PodScheduled")
            && text(condition, &["status"]).as_deref() == Some("False")
    });
    if let Some(condition) = unplaced {
        return said(condition, &[]);
    }
    list("containerStatuses").iter().find_map(|status| {
        let is_ready = status.get("ready").and_then(Node::switch) == Some(true);
        let by_state = ["waiting", "terminated"];
        let by_state = by_state.iter().find_map(|state| said(status, &["state", state]));
        match is_ready {
            true => None,
            false => Some(by_state.unwrap_or_else(|| "the agent is not ready".to_owned())),
        }
    })
}

/// The number of pods that may be missing while an update goes on.
fn unavailable(set: &Object<'_>, desired: i64) -> i64 {
    let most = set.at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
    let Some(most) = most else { return 1 };
    let percent = most
        .text()
        .and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    match (most.integer(), percent) {
        (Some(number), _) => number,
        // The controller rounds up (pkg/controller/daemon/update.go).
        (None, Some(percent)) => desired.saturating_mul(percent).saturating_add(99) / 100,
        (None, None) => 1,
    }
}
