//! The command line is a contract: exit codes, what goes to which stream, what is written and what
//! is not. The program itself runs, in namespaces of the tests' own; that needs root, iproute2,
//! strace and util-linux, and fails without them.

#[path = "cli/completions.rs"]
mod completions;
#[path = "cli/documents.rs"]
mod documents;
#[path = "cli/edit.rs"]
mod edit;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/inherited.rs"]
mod inherited;
#[path = "cli/inventories.rs"]
mod inventories;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "cli/observed.rs"]
mod observed;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/owners.rs"]
mod owners;
#[path = "cli/policies.rs"]
mod policies;
#[path = "cli/renamed.rs"]
mod renamed;
#[path = "cli/review.rs"]
mod review;
#[path = "cli/routers.rs"]
mod routers;
#[path = "cli/routes.rs"]
mod routes;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/schemas.rs"]
mod schemas;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/trace.rs"]
mod trace;
#[path = "cli/undo.rs"]
mod undo;
#[path = "cli/validate.rs"]
mod validate;

use namespace::Namespace;
use run::{Scratch, netkeel};

use std::fs;
use std::io::Write as _;
use std::path::Path;

/// What the pods of a node should be.
const PODS: &str =
    "version: 1\nlink:\n  pods: { match: { name: \"cali*\", kind: veth }, mtu: 1460, rp_filter: strict }\n";

/// A namespace with three pods' interfaces as a CNI leaves them.
fn pods() -> Namespace {
    let namespace = Namespace::new();
    namespace.sh("for pod in 1 2 3; do ip link add cali$pod type veth peer name eth$pod; done");
    namespace
}

#[test]
fn a_node_is_brought_to_its_document_once() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let verb = |arguments: &[&str]| {
        scratch.run(&[arguments, &["-f", "pods.yaml", "--netns", &namespace.name]].concat())
    };

    let plan = verb(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2, "{plan:?}");
    let mut shown = plan.stdout.lines().skip_while(|line| !line.starts_with("  ~"));
    let head = format!("{:69}pods.yaml:3", "  ~ 3 links cali*");
    assert_eq!(shown.next(), Some(head.as_str()), "{plan:?}");
    assert_eq!(shown.next(), Some("      rp_filter  0 (off) -> 1 (strict)"));
    assert_eq!(shown.next(), Some("      mtu        1500 -> 1460"));
    assert_eq!(shown.next(), Some("      cali1, cali2, cali3"));
    assert_eq!(verb(&["plan"]).code, 0);

    let check = verb(&["check"]);
    let line = format!(
        "Drift: 6 of 6 declared facts, on 3 objects (netns {name}); 6 writes, all with exact undo; 1 warning. `netkeel plan --netns {name}` shows NK013.\n",
        name = namespace.name
    );
    assert_eq!((check.code, check.stdout), (2, line));
    let quiet = verb(&["check", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str()), (2, ""));

    assert_eq!(verb(&["apply"]).code, 0);
    let facts = namespace
        .sh("cat /proc/sys/net/ipv4/conf/cali?/rp_filter; ip -o link show | grep -c 'cali.*mtu 1460'");
    assert_eq!(facts, "1\n1\n1\n3\n");
    assert_eq!(verb(&["check"]).code, 0);
    assert_eq!(verb(&["plan", "--detailed-exitcode"]).code, 0);
    assert_eq!(verb(&["apply", "--detailed-exitcode"]).code, 0);

    // One that matches and appears later.
    namespace.sh("ip link add cali4 type veth peer name eth4");
    assert_eq!(verb(&["check"]).code, 2);
    assert_eq!(verb(&["apply", "--detailed-exitcode"]).code, 2);
    assert_eq!(verb(&["check"]).code, 0);
}

#[test]
fn applying_again_writes_nothing() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let arguments = ["apply", "-f", "pods.yaml", "--netns", &namespace.name];
    let first = scratch.trace(&arguments);
    assert_eq!(first.written_sysctls().len(), 3, "{first:?}");
    assert_eq!(first.netlink_writes().len(), 3, "{first:?}");
    let second = scratch.trace(&arguments);
    assert_eq!(second.done.code, 0);
    assert_eq!(second.written_sysctls(), [] as [&str; 0]);
    assert_eq!(second.netlink_writes(), [] as [&str; 0]);
}

#[test]
fn verbs_that_only_look_write_no_file() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    for verb in ["plan", "check", "observe"] {
        let trace = scratch.trace(&[verb, "-f", "pods.yaml", "--netns", &namespace.name]);
        assert_eq!(trace.done.code, i32::from(verb == "check") * 2, "{trace:?}");
        assert_eq!(trace.file_writes(), [] as [&str; 0], "{verb}");
        assert_eq!(trace.written_sysctls(), [] as [&str; 0], "{verb}");
        assert_eq!(trace.netlink_writes(), [] as [&str; 0], "{verb}");
    }
}

#[test]
fn a_refusal_of_the_kernel_undoes_what_was_done() {
    let namespace = pods();
    // Its greatest number follows from the size of a packet's memory, which only the kernel knows.
    let document = "version: 1\nsysctl: { net.ipv4.neigh.cali1.unres_qlen: 2147483647 }\nlink: { cali1: { mtu: 1400 } }\n";
    let scratch = Scratch::new(&[("bad.yaml", document)]);
    let before = namespace.sh("sysctl -n net.ipv4.neigh.cali1.unres_qlen; ip -o link show cali1");
    let apply = scratch.run(&["apply", "-f", "bad.yaml", "--netns", &namespace.name]);
    assert_eq!(apply.code, 3, "{apply:?}");
    assert_eq!(apply.stdout, "");
    for part in [
        "Invalid argument (EINVAL)",
        "unres_qlen",
        "rolled back: 1 write undone, the host is as before\nCommands that rolled it back:\n  ip -n ",
    ] {
        assert!(apply.stderr.contains(part), "{part}: {}", apply.stderr);
    }
    let after = namespace.sh("sysctl -n net.ipv4.neigh.cali1.unres_qlen; ip -o link show cali1");
    assert_eq!(before, after);
}

#[test]
fn what_undoing_cannot_bring_back_needs_permission() {
    let namespace = pods();
    namespace.sh("ip addr add 2001:db8::1/64 dev cali1 nodad");
    let scratch = Scratch::new(&[("small.yaml", "version: 1\nlink: { cali1: { mtu: 1222 } }\n")]);
    let arguments = ["apply", "-f", "small.yaml", "--netns", &namespace.name];
    let refused = scratch.run(&arguments);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("loses 2001:db8::1/64 of cali1"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("--allow-lossy"), "{}", refused.stderr);
    assert!(namespace.sh("ip -o link show cali1").contains("mtu 1500"));
    let allowed = scratch.run(&[&arguments[..], &["--allow-lossy"]].concat());
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(namespace.sh("ip -o link show cali1").contains("mtu 1222"));
}

#[test]
fn a_kernel_without_the_module_is_told_and_nothing_changes() {
    let namespace = pods();
    let document = "version: 1\ntunnel: { ipip0: { mode: ipip } }\nlink: { cali1: { mtu: 1400 } }\n";
    let scratch = Scratch::new(&[("tunnel.yaml", document)]);
    let apply = scratch.run(&["apply", "-f", "tunnel.yaml", "--netns", &namespace.name]);
    if apply.code == 0 {
        assert!(namespace.sh("ip -d link show ipip0").contains("external"));
        // Past the harness, for testinfra/tally.
        let skipped = "SKIPPED cli, a kernel without ipip: this kernel has the module\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    assert!(apply.code == 1 || apply.code == 3, "{apply:?}");
    assert!(apply.stderr.contains("module ipip"), "{}", apply.stderr);
    assert!(namespace.sh("ip -o link show cali1").contains("mtu 1500"));
}

#[test]
fn in_a_namespace_nothing_is_written_outside_of_it() {
    let namespace = pods();
    let document = "version: 1\nsysctl: { net.ipv4.conf.cali1.rp_filter: 1, net.ipv4.tcp_mtu_probing: 1 }\n";
    let scratch = Scratch::new(&[("sysctl.yaml", document)]);
    let list = |directory: &str| -> Vec<_> {
        let entries = fs::read_dir(directory).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let look = || ["/etc/sysctl.d", "/etc/netkeel", "/var/lib/netkeel"].map(list);
    let before = look();
    let trace = scratch.trace(&["apply", "-f", "sysctl.yaml", "--netns", &namespace.name]);
    assert_eq!(trace.done.code, 0, "{trace:?}");
    assert_eq!(before, look());
    assert!(!trace.file_writes().is_empty(), "the journal is seen");
    let outside: Vec<&str> = trace
        .file_writes()
        .into_iter()
        .filter(|line| {
            !line.contains("\"/run/netkeel") && !line.contains("\"/proc/") && !line.contains("</proc/sys")
        })
        .collect();
    // The rest is below a directory that is open already.
    assert!(
        outside.iter().all(|line| line.contains("</run/netkeel")),
        "{outside:#?}"
    );
}

/// For the host itself, which here is a network of its own with its own /etc/sysctl.d.
#[test]
fn for_the_host_a_drop_in_makes_sysctls_hold_at_boot() {
    let document =
        "version: 1\nowner: net-team\nsysctl: { net.ipv4.tcp_mtu_probing: 1, net.ipv4.ip_forward: 1 }\n";
    let scratch = Scratch::new(&[("host.yaml", document)]);
    let script = format!(
        "for directory in /etc/sysctl.d /run /var/lib; do mount -t tmpfs tmpfs $directory; done\n\
         {0} check -f host.yaml -q && exit 9\n\
         {0} apply -f host.yaml > applied\n\
         {0} check -f host.yaml\n\
         cat /etc/sysctl.d/90-netkeel-net-team.conf\n\
         echo 'net/ipv4/ip_forward = 0' > /etc/sysctl.d/90-netkeel-net-team.conf\n\
         {0} plan -f host.yaml --output diff",
        run::PROGRAM
    );
    let host = [
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-ec",
        &script,
    ];
    let done = scratch.command("unshare", &host);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.stdout,
        "In sync: 3 facts as declared (this host).\n\
         # netkeel keeps this file for the owner \"net-team\": change its document, not this.\n\
         # At boot systemd-sysctl or procps apply it; udev applies an interface's lines when it appears.\n\
         net/ipv4/ip_forward = 1\n\
         net/ipv4/tcp_mtu_probing = 1\n\
         --- /etc/sysctl.d/90-netkeel-net-team.conf\n\
         +++ /etc/sysctl.d/90-netkeel-net-team.conf\n\
         @@ -1 +1,4 @@\n\
         -net/ipv4/ip_forward = 0\n\
         +# netkeel keeps this file for the owner \"net-team\": change its document, not this.\n\
         +# At boot systemd-sysctl or procps apply it; udev applies an interface's lines when it appears.\n\
         +net/ipv4/ip_forward = 1\n\
         +net/ipv4/tcp_mtu_probing = 1\n"
    );
}

/// As `ip netns exec` leaves a process: in another network, and with the host's /etc.
#[test]
fn in_another_network_with_the_hosts_etc_nothing_is_to_hold_at_boot() {
    let document = "version: 1\nsysctl: { net.ipv4.tcp_mtu_probing: 1 }\n";
    let asking = "version: 1\npersist: yes\nsysctl: { net.ipv4.tcp_mtu_probing: 1 }\n";
    let scratch = Scratch::new(&[("host.yaml", document), ("boot.yaml", asking)]);
    // A host of its own, whose PID 1 is the shell.
    let script = format!(
        "for directory in /etc/sysctl.d /run /var/lib; do mount -t tmpfs tmpfs $directory; done\n\
         unshare --net sh -ec '{0} apply -f host.yaml > applied; {0} check -f host.yaml; ! {0} check -f boot.yaml 2>&1'\n\
         ls /etc/sysctl.d",
        run::PROGRAM
    );
    let host = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", &script];
    let done = scratch.command("unshare", &host);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stdout.contains("90-netkeel.conf"), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "In sync: 1 fact as declared (this network namespace, which is not the host's).",
            "error: this is not the network namespace of the host; the host's /etc/sysctl.d holds at boot"
        ],
        "{done:?}"
    );
}

/// As `ip netns exec` leaves a process that may not look at PID 1.
#[test]
fn a_network_that_cannot_be_told_from_the_hosts_gets_no_file_of_the_host() {
    let asking = "version: 1\npersist: yes\nprune: true\nallow_any_sysctl: true\nsysctl: { net.ipv4.tcp_mtu_probing: 1, kernel.hung_task_warnings: 3 }\ncni: { pods: { plugin: ptp, mtu: 1460 } }\n";
    let host = format!("{asking}host_network: true\n");
    let scratch = Scratch::new(&[("asking.yaml", asking), ("host.yaml", &host)]);
    let script = format!(
        "mkdir -p /etc/cni/net.d /etc/sysctl.d\n\
         for directory in /etc/sysctl.d /etc/cni/net.d /run /var/lib; do mount -t tmpfs tmpfs $directory; done\n\
         echo '{{\"cniVersion\": \"1.0.0\", \"name\": \"pods\", \"plugins\": [{{\"type\": \"ptp\"}}]}}' >/etc/cni/net.d/10-ptp.conflist\n\
         mount -t tmpfs tmpfs /proc/1/ns\n\
         unshare --net sh -ec '{0} apply -f asking.yaml; cat /proc/sys/net/ipv4/tcp_mtu_probing; {0} plan -f host.yaml --output diff'\n\
         ls /etc/sysctl.d; cat /etc/cni/net.d/*",
        run::PROGRAM
    );
    let host = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", &script];
    let done = scratch.command("unshare", &host);
    assert_eq!(done.code, 0, "{done:?}");
    for told in [
        "NK028 /etc/sysctl.d/90-netkeel.conf: it is not written",
        "NK028 kernel.hung_task_warnings: it is not written, since it is the whole machine's",
        "NK028 cni.pods: it is not applied, since the configuration that the container runtime loads is the whole host's",
        "set `host_network: true`",
    ] {
        let unwrapped = done.stdout.replace("\n  ", " ");
        assert!(unwrapped.contains(told), "{told}: {done:?}");
    }
    let (applied, planned) = done
        .stdout
        .split_once("\n1\n")
        .expect("the sysctl of the network is not set");
    assert!(!applied.contains("error"), "{done:?}");
    // With the switch, all of it is planned; nothing was written to the host's files before.
    for changed in [
        "+++ /etc/sysctl.d/90-netkeel.conf",
        "hung_task_warnings",
        "10-ptp.conflist",
    ] {
        assert!(planned.contains(changed), "{changed}: {done:?}");
    }
    assert!(
        planned.ends_with("\"plugins\": [{\"type\": \"ptp\"}]}\n"),
        "{done:?}"
    );
}

#[test]
fn at_boot_a_required_interface_may_appear_later() {
    let namespace = Namespace::new();
    let document = "version: 1\nsysctl: { net.ipv4.tcp_mtu_probing: 1 }\nlink: { etho: { mtu: 1400, required: true }, pods: { match: { name: \"cali*\" }, mtu: 1400, required: true } }\n";
    let scratch = Scratch::new(&[("a.yaml", document)]);
    let apply =
        |more: &[&str]| scratch.run(&[&["apply", "-f", "a.yaml", "--netns", &namespace.name], more].concat());
    let probing = || namespace.sh("cat /proc/sys/net/ipv4/tcp_mtu_probing");
    let before = probing();
    let refused = apply(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("link.etho is required, and no interface is found"),
        "{refused:?}"
    );
    assert_eq!(probing(), before);
    let rest = apply(&["--allow-missing"]);
    assert_eq!(rest.code, 0, "{rest:?}");
    let said = rest.stdout.clone() + &rest.stderr;
    assert!(said.contains("NK005 etho") && said.contains("NK073"), "{rest:?}");
    assert_eq!(probing(), "1\n");
    let unit = netkeel(&["render", "netkeel-boot.service"]).stdout;
    assert!(
        unit.contains(" apply --allow-management --allow-missing "),
        "{unit}"
    );
}

/// The verdict of /healthz may be another program's fault: it restarts nothing.
#[test]
fn agents_listen_on_the_node_s_address_and_a_liveness_probe_asks_only_whether_the_loop_turns() {
    for file in [
        "templates/talos-daemonset.yaml",
        "kubernetes/base/netkeel.yaml",
        "kubernetes/chart/templates/daemonset.yaml",
    ] {
        let text =
            std::fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file))
                .unwrap();
        let (_, probe) = text.split_once("livenessProbe:").unwrap();
        let (liveness, readiness) = probe.split_once("readinessProbe:").unwrap();
        assert!(liveness.contains("path: /livez"), "{file}: {liveness}");
        assert!(readiness.contains("path: /readyz"), "{file}");
        assert!(!text.contains("path: /healthz"), "{file}");
        // In the host's network 127.0.0.1 would be out of reach for Prometheus, and 0.0.0.0 open to everybody.
        let address = text.split_once("name: HOST_IP").unwrap().1;
        assert!(address.contains("fieldPath: status.hostIP"), "{file}");
        assert!(text.contains("$(HOST_IP):"), "{file}");
    }
}

#[test]
fn a_usage_error_exits_with_1_for_2_would_read_as_drift() {
    let wrong: [&[&str]; 9] = [
        &[],
        &["plann"],
        &["plan", "--frobnicate"],
        &["plan", "-f"],
        &["plan", "--output", "xml", "-f", "x.yaml"],
        &["plan", "--snapshot", "x.json", "--netns", "x"],
        &["check", "--snapshot", "x.json", "--netns", "x"],
        &["apply", "--lock-timeout", "soon"],
        &["apply", "extra"],
    ];
    let unit = netkeel(&["apply", "--lock-timeout", "5"]).stderr;
    assert!(unit.contains("give it a unit: 5s"), "{unit}");
    for arguments in wrong {
        let done = netkeel(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(
            done.stderr.contains("Usage:") || done.stderr.contains("--help"),
            "{arguments:?}: {}",
            done.stderr
        );
    }
}

#[test]
fn help_version_and_man_pages_are_results() {
    assert_eq!(
        netkeel(&["--version"]).stdout,
        concat!("netkeel ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for verb in ["plan", "check", "apply", "observe", "schema"] {
        let help = netkeel(&[verb, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{verb}");
        assert!(
            help.stdout.contains("Exit status:") || verb == "schema",
            "{verb}: {}",
            help.stdout
        );
    }
    let scratch = Scratch::new(&[]);
    let man = scratch.run(&["man"]);
    let pages = fs::read_dir(scratch.path()).unwrap().count();
    assert!(
        man.code == 0 && (man.stdout.contains(".TH") || pages > 0),
        "{man:?}"
    );
    let version = concat!("netkeel ", env!("CARGO_PKG_VERSION"));
    assert!(netkeel(&["man", "plan"]).stdout.contains(version));
    for format in ["document", "plan", "applied", "snapshot"] {
        let schema = netkeel(&["schema", format]);
        let json: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
        assert!(jsonschema::validator_for(&json).is_ok(), "{format}");
    }
    assert!(Path::new(run::PROGRAM).is_absolute());
}
