//! The Helm chart on a cluster whose controllers run: it is installed, upgraded, rolled back and uninstalled on 40 nodes, and
//! its test says why pods are refused.

#[path = "../kubernetes/control_plane.rs"]
#[allow(dead_code, reason = "other tests stop the server and restore its data")]
mod control_plane;
mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use control_plane::programs;
use machine::Machine;

const NODES: usize = 40;

/// The taint of a node whose kubelet does not report.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// The kinds of objects that a chart or the controllers behind it make. Events are left out: they expire.
const KINDS: &str = "serviceaccounts,configmaps,secrets,services,endpointslices,daemonsets,controllerrevisions,pods,leases,\
    roles,rolebindings,clusterroles,clusterrolebindings,customresourcedefinitions,validatingadmissionpolicies,\
    validatingadmissionpolicybindings,priorityclasses,resourcequotas,namespaces";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kubernetes/chart")
}

/// The chart of an earlier version: of another image, and with a definition that lacks a field.
fn earlier(place: &Path) -> PathBuf {
    let copy = place.join("chart");
    let copied = Command::new("cp").arg("-r").arg(chart()).arg(&copy).status();
    assert!(copied.unwrap().success());
    let edit = |file: &str, change: &dyn Fn(&str) -> String| {
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed, "{file}");
        std::fs::write(path, changed).unwrap();
    };
    edit("Chart.yaml", &|text| {
        let is_version = |line: &str| line.starts_with("version:") || line.starts_with("appVersion:");
        let lines = text.lines().map(|line| match line.split_once(':') {
            Some((key, _)) if is_version(line) => format!("{key}: 0.0.9\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    });
    edit("templates/service.yaml", &|text| {
        text.replace("PreferDualStack", "SingleStack")
    });
    edit("files/crds/netkeelpolicies.yaml", &|text| {
        text.replace("deletionPolicy", "removalPolicy")
    });
    copy
}

fn helm(machine: &Machine, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(programs(&["helm"]).join("helm"))
        .args(arguments)
        .args(["--namespace", "agents"])
        .env("KUBECONFIG", &machine.admin)
        .env("HOME", home.path())
        .output()
        .unwrap()
}

fn helm_succeeds(machine: &Machine, arguments: &[&str]) {
    let output = helm(machine, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let daemon_set = || {
        machine.run(
            &["get", "daemonsets,pods,events", "-n", "agents", "-o", "wide"],
            "",
        )
    };
    assert!(output.status.success(), "{arguments:?}: {said}\n{}", daemon_set());
}

fn number(object: &Value, key: &str) -> u64 {
    object["status"][key].as_u64().unwrap_or(0)
}

/// The nodes whose agent is ready, with the image of each.
fn ready(machine: &Machine) -> Vec<(String, String)> {
    let pods = machine.object(&["pods", "-n", "agents", "-l", "app.kubernetes.io/name=netkeel"]);
    let pods = pods["items"].as_array().unwrap().iter();
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let is_there = pod["metadata"]["deletionTimestamp"].is_null();
        is_there
            && conditions
                .into_iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut nodes: Vec<_> = pods
        .filter(is_ready)
        .map(|pod| {
            (
                text(&pod["spec"]["nodeName"]),
                text(&pod["spec"]["containers"][0]["image"]),
            )
        })
        .collect();
    nodes.sort();
    nodes
}

/// Asserts that each live node has a ready agent of an image.
fn all_have(machine: &Machine, image: &str) {
    let found = ready(machine);
    let of_image = found.iter().filter(|(_, one)| one == image).count();
    assert_eq!((of_image, found.len()), (NODES, NODES), "{image}: {found:?}");
}

const OLD: &str = "netkeel/netkeel:0.0.9";

fn new() -> String {
    let chart = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let version = chart.lines().find_map(|line| line.strip_prefix("appVersion: "));
    format!("netkeel/netkeel:{}", version.unwrap())
}

/// The namespace of the agents, in which a quota forbids the priority classes of the system.
fn make_namespace(machine: &Machine) {
    let classes = json!({
        "operator": "In", "scopeName": "PriorityClass",
        "values": ["system-node-critical", "system-cluster-critical"],
    });
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": { "name": "system", "namespace": "agents" },
        "spec": { "hard": { "pods": "0" }, "scopeSelector": { "matchExpressions": [classes] } },
    });
    machine.run(&["create", "namespace", "agents"], "");
    machine.run(&["create", "-f", "-"], &quota.to_string());
    let names = || machine.names("serviceaccounts,configmaps");
    machine.wait_for("the objects of a new namespace", || {
        let names = names();
        let is_there = |name: &str| names.iter().any(|one| one == name);
        is_there("ServiceAccount agents/default") && is_there("ConfigMap agents/kube-root-ca.crt")
    });
}

/// The template with which the page lists all taints.
fn template_of_taints() -> String {
    let page = include_str!("../../docs/how-to/kubernetes.md");
    let (_, template) = page.split_once("kubectl get nodes --output jsonpath='").unwrap();
    format!("jsonpath={}", template.split_once('\'').unwrap().0)
}

#[test]
fn the_chart_is_installed_upgraded_rolled_back_and_uninstalled_on_forty_nodes() {
    let machine = Machine::start(NODES);
    make_namespace(&machine);
    // Controllers of the server's own make their objects meanwhile.
    let before = machine.names(KINDS);
    let place = tempfile::tempdir().unwrap();
    let (now, earlier) = (chart(), earlier(place.path()));
    let (now, earlier) = (now.to_str().unwrap(), earlier.to_str().unwrap());
    let wait = ["--wait", "--timeout=10m"];

    // With default values.
    helm_succeeds(&machine, &[&["install", "a", now], &wait[..]].concat());
    all_have(&machine, &new());
    helm_succeeds(&machine, &["uninstall", "a", "--wait", "--timeout=10m"]);
    let left = |machine: &Machine| -> Vec<String> {
        let names = machine.names(KINDS).into_iter();
        let of_kubelets = |name: &String| name.contains("kube-node-lease/");
        names
            .filter(|name| !before.contains(name) && !of_kubelets(name))
            .collect()
    };
    machine.wait_for("nothing is left of the chart", || left(&machine).is_empty());

    // From an earlier chart to this one, with its definitions, and back.
    let policies = ["--set", "policies.enabled=true"];
    helm_succeeds(
        &machine,
        &[&["install", "a", earlier], &policies[..], &wait[..]].concat(),
    );
    all_have(&machine, OLD);
    let definition = || {
        let definition = machine.object(&["crd", "netkeelpolicies.netkeel.io"]);
        definition.to_string().contains("\"deletionPolicy\":")
    };
    assert!(!definition());
    helm_succeeds(
        &machine,
        &[&["upgrade", "a", now], &policies[..], &wait[..]].concat(),
    );
    all_have(&machine, &new());
    assert!(definition(), "the upgrade of the chart upgrades the definitions");
    helm_succeeds(&machine, &[&["rollback", "a", "1"], &wait[..]].concat());
    all_have(&machine, OLD);

    // Dead nodes, a virtual one and one of Windows hold nothing up. Their agents ran before they died.
    machine.add_others();
    // No kubelet reports for any of the four.
    let silent = ["dead-1", "dead-2", "virtual", "windows"];
    machine.wait_for("the nodes without a kubelet are known as dead", || {
        silent.iter().all(|node| machine.has_taint(node, UNREACHABLE))
    });
    let taints = machine.run(&["get", "nodes", "--output", &template_of_taints()], "");
    let dead = format!("{UNREACHABLE}:NoSchedule");
    let found = taints.lines().filter(|line| *line == dead).count();
    assert_eq!(found, silent.len(), "{taints}");
    helm_succeeds(
        &machine,
        &[&["upgrade", "a", now], &policies[..], &wait[..]].concat(),
    );
    all_have(&machine, &new());
    let set = machine.object(&["daemonset", "a-netkeel", "-n", "agents"]);
    assert_eq!(number(&set, "desiredNumberScheduled"), NODES as u64, "{set}");
    let pods = machine.object(&["pods", "-n", "agents"]).to_string();
    assert!(pods.contains("\"nodeName\":\"dead-1\"") && !pods.contains("\"nodeName\":\"virtual\""));
    assert!(!pods.contains("\"nodeName\":\"windows\""));

    // The definitions stay, with their objects.
    let policy = json!({
        "apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy", "metadata": { "name": "p" },
        "spec": { "document": { "version": 1, "sysctl": { "net.core.rmem_max": 26_214_400 } } },
    });
    machine.run(&["create", "-f", "-"], &policy.to_string());
    helm_succeeds(&machine, &["uninstall", "a", "--timeout=10m"]);
    machine.wait_for("nothing but the definitions is left of the chart", || {
        let pods_of_the_dead = |name: &String| name.starts_with("Pod agents/a-netkeel-");
        let names: Vec<String> = left(&machine)
            .into_iter()
            .filter(|name| !pods_of_the_dead(name))
            .collect();
        names
            == [
                "CustomResourceDefinition /netkeelnodes.netkeel.io",
                "CustomResourceDefinition /netkeelpolicies.netkeel.io",
            ]
    });
    // A release of another name takes them over.
    let take = ["--take-ownership", "--no-hooks"];
    helm_succeeds(
        &machine,
        &[&["install", "b", now], &policies[..], &take[..], &wait[..]].concat(),
    );
    machine.run(&["get", "netkeelpolicy", "p"], "");
}

/// What the pod of `helm test` prints and its exit status, with the rights of its account.
fn helm_test(machine: &Machine) -> (String, i32) {
    let hooks = helm(machine, &["get", "hooks", "a"]);
    let hooks = String::from_utf8(hooks.stdout).unwrap();
    machine.run(&["apply", "-n", "agents", "-f", "-"], &hooks);
    let pod = machine.object(&["pod", "a-netkeel-test", "-n", "agents"]);
    assert!(pod["metadata"]["ownerReferences"].is_null(), "{pod}");
    let arguments = pod["spec"]["containers"][0]["args"].as_array().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(arguments.iter().map(|argument| argument.as_str().unwrap()))
        .env("KUBECONFIG", machine.account("agents", "a-netkeel-test"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

/// Waits for an output of `helm test` with a part, and its exit status.
fn helm_test_says(machine: &Machine, part: &str, status: i32) {
    let mut last = (String::new(), 0);
    machine.wait_for(&format!("{part:?} of helm test"), || {
        let found = helm_test(machine);
        if found != last {
            #[allow(clippy::print_stdout, reason = "progress of a long test")]
            {
                println!("{}: {}", found.1, found.0);
            }
            last.clone_from(&found);
        }
        found.0.contains(part) && found.1 == status
    });
}

#[test]
fn helm_test_says_why_pods_are_refused() {
    let machine = Machine::start(3);
    make_namespace(&machine);
    let chart = chart();
    let chart = chart.to_str().unwrap();
    let upgrade = |values: &[&str]| {
        let arguments = ["upgrade", "--install", "a", chart];
        helm_succeeds(&machine, &[&arguments[..], values].concat());
    };
    upgrade(&["--set", "priorityClassName=system-node-critical"]);
    helm_test_says(&machine, "0 of 3 agents exist: Error creating: ", 2);
    let (said, _) = helm_test(&machine);
    assert!(
        said.contains("quota") && said.contains("set priorityClassName"),
        "{said}"
    );

    let label = |level: &str| {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        machine.run(&["label", "namespace", "agents", &label, "--overwrite"], "");
    };
    label("baseline");
    upgrade(&[]);
    helm_test_says(&machine, "violates PodSecurity", 2);
    let (said, _) = helm_test(&machine);
    assert!(said.contains("kubectl label namespace agents"), "{said}");

    // As the output says.
    label("privileged");
    upgrade(&["--set", "podAnnotations.again=x", "--wait", "--timeout=5m"]);
    assert_eq!(helm_test(&machine), ("0 findings.\n".to_owned(), 0));
}
