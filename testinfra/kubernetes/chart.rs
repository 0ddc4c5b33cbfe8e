//! The Helm chart: what it renders is taken by the API server, and its document by netkeel.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::control_plane::{ADMIN, ControlPlane, kubectl, programs};

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kubernetes/chart")
}

fn helm(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(programs(&["helm"]).join("helm"))
        .args(arguments)
        .env("HOME", home.path())
        .output()
        .unwrap()
}

pub(super) fn rendered(values: &[&str]) -> String {
    let chart = chart();
    let mut arguments = vec!["template", "a", chart.to_str().unwrap(), "--namespace", "agents"];
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    let output = helm(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Values that use most of the chart, but for objects of the Prometheus operator, which a bare server does not know.
const FULL: [&str; 8] = [
    r#"document={"link": {"pods": {"match": {"name": "cali*"}, "mtu": 1440}}}"#,
    r#"documents={"60-site.yaml": {"sysctl": {"net.core.rmem_max": 26214400}}}"#,
    r#"replication={"enabled": true, "ttl": 4, "vips": ["198.51.100.0/24"], "families": ["ipv4"]}"#,
    r#"metrics.dashboard.enabled=true"#,
    r#"policies.enabled=true"#,
    r#"eviction.enabled=true"#,
    r#"extraArgs=["--interval", "10s"]"#,
    r#"image.digest="sha256:0000000000000000000000000000000000000000000000000000000000000000""#,
];

#[test]
fn the_chart_has_no_fault_that_helm_knows() {
    let chart = chart();
    for values in [&[][..], &FULL[..]] {
        let mut arguments = vec!["lint", "--strict", chart.to_str().unwrap()];
        for value in values {
            arguments.extend(["--set-json", value]);
        }
        let output = helm(&arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_wrong_value_is_refused_by_its_name() {
    let chart = chart();
    for (value, named) in [
        (r#"mode="off""#, "mode"),
        (r#"replication.ttl=1"#, "ttl"),
        (r#"documment={}"#, "documment"),
        (r#"policies={"enable": true}"#, "enable"),
        (r#"document={"version": 1}"#, "document"),
    ] {
        let output = helm(&["template", "a", chart.to_str().unwrap(), "--set-json", value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(named),
            "{value}: {said}"
        );
    }
}

/// The values that `netkeel render chart-values` prints for the example of go-pmtud, as the documentation shows them.
fn values_from_go_pmtud() -> String {
    let page = include_str!("../../docs/how-to/replicate.md");
    let command = "$ netkeel render chart-values --go-pmtud examples/sources/go-pmtud.yaml\n";
    let (_, shown) = page.split_once(command).unwrap();
    shown.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_values_of_go_pmtud_give_the_same_replication() {
    let directory = tempfile::tempdir().unwrap();
    let values = directory.path().join("values.yaml");
    std::fs::write(&values, values_from_go_pmtud()).unwrap();
    let chart = chart();
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    let output = helm(&["template", "a", chart, "--values", values]);
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for line in [
        "group: 33",
        "- eth0",
        "- 192.168.100.0/24",
        "ttl: 10",
        "- 192.168.100.2\n",
        "- 192.100.0.50\n",
        "containerPort: 30040",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// What the chart renders by default, with the right to follow the peers, without the labels of Helm and with an empty
/// document.
fn base() -> String {
    let chart = chart();
    let output = helm(&[
        "template",
        "netkeel",
        chart.to_str().unwrap(),
        "--namespace",
        "netkeel",
        "--no-hooks",
        "--set-json",
        r#"replication={"enabled": true}"#,
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    let of_helm = ["helm.sh/chart:", "app.kubernetes.io/managed-by:", "# Source:"];
    let mut lines = Vec::new();
    let mut is_document = false;
    for line in text.lines() {
        is_document &= line != "---" && !line.is_empty();
        if is_document || of_helm.iter().any(|label| line.trim_start().starts_with(label)) {
            continue;
        }
        lines.push(line.to_owned());
        if line == "  50-chart.yaml: |" {
            is_document = true;
            lines.push("    version: 1".to_owned());
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_base_of_kustomize_is_what_the_chart_renders() {
    let directory = chart().join("../base");
    let path = directory.join("netkeel.yaml");
    if std::env::var_os("NETKEEL_BLESS").is_some() {
        std::fs::write(&path, base()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert_eq!(there, base(), "NETKEEL_BLESS=1 brings kubernetes/base up to date");
    let output = Command::new(programs(&["kubectl"]).join("kubectl"))
        .args(["kustomize", directory.to_str().unwrap()])
        .output()
        .unwrap();
    let built = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && built.contains("kind: DaemonSet"),
        "{said}"
    );
}

#[test]
fn the_server_takes_what_the_chart_renders() {
    let plane = ControlPlane::start();
    let (path, _) = plane.kubeconfig("admin", ADMIN);
    let run = |arguments: &[&str], input: &str| {
        let output = kubectl(&path, arguments, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        // An unknown field is a warning.
        assert!(!said.contains("Warning"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["create", "namespace", "agents"], "");
    run(
        &[
            "label",
            "namespace",
            "agents",
            "pod-security.kubernetes.io/enforce=privileged",
        ],
        "",
    );
    // A controller makes it elsewhere.
    run(&["create", "serviceaccount", "default", "-n", "agents"], "");
    for values in [&[][..], &FULL[..]] {
        let text = rendered(values);
        let made = run(&["apply", "--server-side", "--validate=strict", "-f", "-"], &text);
        assert!(
            made.contains("daemonset.apps/a-netkeel serverside-applied"),
            "{made}"
        );
    }
    // The Role is enough to follow the Service, and gives no more.
    let may = |verb: &str, resource: &str| {
        let account = "--as=system:serviceaccount:agents:a-netkeel";
        let output = Command::new(programs(&["kubectl"]).join("kubectl"))
            .args(["auth", "can-i", verb, resource, "-n", "agents", account])
            .env("KUBECONFIG", &path)
            .output()
            .unwrap();
        output.status.success()
    };
    for verb in ["list", "watch"] {
        assert!(may(verb, "endpointslices.discovery.k8s.io"), "{verb}");
    }
    for (verb, resource) in [
        ("list", "secrets"),
        ("update", "endpointslices.discovery.k8s.io"),
        ("get", "nodes"),
        ("delete", "netkeelnodes.netkeel.io"),
        ("update", "netkeelpolicies.netkeel.io"),
        ("delete", "pods"),
        ("delete", "leases.coordination.k8s.io"),
        ("list", "events"),
    ] {
        assert!(!may(verb, resource), "{verb} {resource}");
    }
}

/// The paths that show which MTU a new pod would get: those of src/kernel/files/cni.rs, and the results of the CNI.
const JUDGED_BY: [&str; 5] = [
    "/etc/containerd/config.toml",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d",
    "/run/crio/crio.sock",
    "/var/lib/cni/results",
];

#[test]
fn an_agent_that_evicts_sees_what_it_judges_a_new_pod_by() {
    let mounts = |values: &[&str]| -> Vec<(String, String)> {
        let text = rendered(values);
        let of_set = text.split("\n---\n").find(|one| one.contains("kind: DaemonSet"));
        let lines = of_set.unwrap().lines();
        let value = |line: &str, key: &str| {
            let (_, rest) = line.split_once(&format!("{key}: "))?;
            Some(rest.split([',', ' ']).next().unwrap().to_owned())
        };
        let paths: std::collections::BTreeMap<String, String> = {
            let lines: Vec<&str> = lines.clone().collect();
            let pairs = lines
                .windows(2)
                .filter_map(|pair| Some((value(pair[0], "- name")?, value(pair[1], "hostPath: { path")?)));
            pairs.collect()
        };
        // A mount is in sight at the path that it has on the node.
        let seen = lines.filter_map(|line| {
            let (volume, at) = (value(line, "- { name")?, value(line, "mountPath")?);
            let of_node = paths.get(&volume)?;
            let writable = if line.contains("readOnly: true") {
                "read-only"
            } else {
                "writable"
            };
            (*of_node == at).then(|| (at, writable.to_owned()))
        });
        seen.collect()
    };
    let sees = |mounts: &[(String, String)], path: &str, how: &str| {
        let is_above = |mount: &str| Path::new(path).starts_with(mount);
        mounts.iter().any(|(mount, is)| is_above(mount) && is == how)
    };
    let files = netkeel_host::cni::state::StateFiles::of(None);
    let judged_by = JUDGED_BY
        .into_iter()
        .chain([files.calico, files.flannel, files.cilium]);
    let (without, with) = (mounts(&[]), mounts(&["eviction.enabled=true"]));
    for path in judged_by {
        assert!(!sees(&without, path, "read-only"), "{path}: {without:?}");
        assert!(sees(&with, path, "read-only"), "{path}: {with:?}");
        assert!(!sees(&with, path, "writable"), "{path}: {with:?}");
    }
    let of_k3s = [
        "eviction={\"enabled\": true, \"hostDirectories\": [\"/var/lib/rancher/k3s/agent/etc/containerd\"]}",
        "paths.cni=\"/var/lib/rancher/k3s/agent/etc/cni/net.d\"",
    ];
    let k3s = mounts(&of_k3s);
    let directory = "/var/lib/rancher/k3s/agent/etc";
    assert!(sees(
        &k3s,
        &format!("{directory}/containerd/config.toml"),
        "read-only"
    ));
    assert!(sees(
        &k3s,
        &format!("{directory}/cni/net.d/10-x.conflist"),
        "writable"
    ));
    // gVisor is known by its process.
    assert!(rendered(&["eviction.enabled=true"]).contains("hostPID: true"));
    assert!(!rendered(&[]).contains("hostPID"));
}

#[test]
fn netkeel_reads_the_documents_of_the_chart() {
    let text = rendered(&FULL);
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let map = documents
        .iter()
        .find(|one| one.contains("50-chart.yaml"))
        .unwrap();
    // The keys of `data` are indented by two, their texts by four.
    let mut files: Vec<(String, String)> = Vec::new();
    for line in map.lines() {
        if let Some(name) = line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(".yaml: |"))
        {
            files.push((format!("{name}.yaml"), String::new()));
        } else if let (Some((_, text)), Some(line)) = (files.last_mut(), line.strip_prefix("    ")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["50-chart.yaml", "60-site.yaml"]);
    assert!(files[0].1.contains("service: agents/a-netkeel"), "{}", files[0].1);
    use netkeel_core::name::netns::Netns;
    let (mut sources, mut diagnostics) = Default::default();
    let sources: &mut netkeel_source::sources::Sources = &mut sources;
    let mut layers = Vec::new();
    for (name, text) in &files {
        layers.extend(sources.load(name, text.clone().into_bytes(), None, &mut diagnostics));
    }
    let document = netkeel_document::document::Document::read(layers, Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let cluster = document.replicate.unwrap().cluster.unwrap();
    assert_eq!(cluster.to_string(), "endpoints of agents/a-netkeel ipv4");
}
