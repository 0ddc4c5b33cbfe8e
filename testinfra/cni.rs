//! CNI configurations for real: files as CNIs ship them, a reader that must never see a broken one,
//! and the program on a host with a runtime's directory.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use similar::{ChangeTag, TextDiff};

use netkeel_core::fact::Value;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_host::cni::conflist::{edit, read};
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;

fn corpus() -> Vec<(PathBuf, String)> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("testinfra/conflists");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Runs jq over a text.
fn jq(filter: &str, text: &str) -> String {
    let mut child = Command::new("jq")
        .args(["--sort-keys", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs jq");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "jq {filter} refuses:\n{text}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines that went and came.
fn changed(from: &str, to: &str) -> (usize, usize) {
    let diff = TextDiff::from_lines(from, to);
    let count = |tag| {
        diff.iter_all_changes()
            .filter(|change| change.tag() == tag)
            .count()
    };
    (count(ChangeTag::Delete), count(ChangeTag::Insert))
}

#[test]
fn an_edit_of_what_cnis_ship_is_one_line_and_what_jq_makes_of_it() {
    let mut edits = 0;
    for (path, text) in corpus() {
        let before = read(&text);
        let kinds: BTreeSet<_> = before
            .plugins()
            .iter()
            .map(|plugin| plugin.kind.clone())
            .collect();
        assert!(!kinds.is_empty(), "{} names no plugin", path.display());
        for kind in kinds {
            let old = before.mtu(&kind);
            let edited = edit(&text, &kind, Some(&Value::Number(1460))).unwrap();
            // A line that is new, or one that is changed: of a value, or of a plugin on one line.
            let changed = changed(&text, &edited);
            assert!(
                matches!(changed, (0 | 1, 1)),
                "{changed:?} {} {kind}",
                path.display()
            );
            assert!(old.is_none() || changed == (1, 1));
            assert_eq!(edit(&edited, &kind, Some(&Value::Number(1460))).unwrap(), edited);
            assert_eq!(edit(&edited, &kind, old.as_ref()).unwrap(), text);
            // What an operator would type comes to the same.
            let op = Op::SetPluginMtu {
                path: path.as_path().into(),
                plugin: kind.clone(),
                was: old,
                mtu: Some(Value::Number(1460)),
            };
            let command = op.to_string();
            let filter = command.split('\'').nth(1).unwrap();
            assert_eq!(jq(filter, &text), jq(".", &edited), "{command}");
            serde_json::from_str::<serde_json::Value>(&edited).unwrap();
            edits += 1;
        }
    }
    assert!(edits >= 15, "only {edits} edits");
}

#[test]
fn a_reader_never_sees_a_broken_file() {
    const REWRITES: usize = 10_000;
    // In memory: each rewrite is synced twice.
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = scratch.path().join("10-calico.conflist");
    let text = corpus()
        .into_iter()
        .find(|(path, _)| path.ends_with("calico-mtu.conflist"))
        .unwrap()
        .1;
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let done = AtomicBool::new(false);
    let (reads, values) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut reads, mut values) = (0_usize, BTreeSet::new());
            while !done.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).unwrap();
                let seen: serde_json::Value = serde_json::from_str(&text).expect("a broken file");
                values.insert(seen["plugins"][0]["mtu"].as_i64().unwrap());
                reads += 1;
            }
            (reads, values)
        });
        Live::with(&Netns::CURRENT, |kernel| {
            let mut was = Value::Number(0);
            for round in 0..REWRITES {
                let mtu = Value::Number(if round % 2 == 0 { 1460 } else { 1400 });
                let op = Op::SetPluginMtu {
                    path: path.as_path().into(),
                    plugin: "calico".into(),
                    was: Some(was),
                    mtu: Some(mtu.clone()),
                };
                kernel.execute(&op).unwrap();
                was = mtu;
            }
        })
        .unwrap();
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 100 && values.len() >= 2, "{reads} reads saw {values:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn a_write_of_somebody_else_is_not_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("10-x.conf");
    fs::write(&path, r#"{"type":"ptp","mtu":1400}"#).unwrap();
    let op = Op::SetPluginMtu {
        path: path.as_path().into(),
        plugin: "ptp".into(),
        was: Some(Value::Number(1500)),
        mtu: Some(Value::Number(1460)),
    };
    let error = Live::with(&Netns::CURRENT, |kernel| kernel.execute(&op))
        .unwrap()
        .unwrap_err();
    insta::assert_snapshot!(error.message, @"somebody else has written it since it was read: the mtu of ptp was 1500 and is 1400");
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"type":"ptp","mtu":1400}"#);
}

/// Runs a script on a host of its own, with netkeel in the PATH: /etc is a copy, state is nowhere else.
fn on_a_host(script: &str) -> String {
    let preamble = "set -eu
        mount --make-rprivate /
        mount -t tmpfs tmpfs /mnt
        cp -a /etc /mnt/etc
        mount --bind /mnt/etc /etc
        mount -t tmpfs tmpfs /run
        mount -t tmpfs tmpfs /var/lib
        rm -rf /etc/cni /etc/containerd /etc/crio
        mkdir -p /etc/cni/net.d /etc/containerd
        cd /etc
        exec 2>&1\n";
    let directory = Path::new(env!("CARGO_BIN_EXE_netkeel")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc"])
        .args(["sh", "-c", &format!("{preamble}{script}")])
        .env("PATH", path)
        .env(
            "CONFLISTS",
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("testinfra/conflists"),
        )
        .env_remove("SSH_CONNECTION")
        .output()
        .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_file_that_containerd_loads_is_kept_and_given_back() {
    let shown = on_a_host(
        r#"
        mkdir -p /etc/cni/pods
        printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/etc/cni/pods"\n' > containerd/config.toml
        cp "$CONFLISTS/calico.conflist" /etc/cni/pods/10-calico.conflist
        chmod 600 /etc/cni/pods/10-calico.conflist
        cp "$CONFLISTS/flannel.conflist" /etc/cni/net.d/10-flannel.conflist
        cat > pods.yaml <<.
version: 1
cni:
  calico: { plugin: calico, mtu: 1460 }
.
        netkeel plan -f pods.yaml
        netkeel apply -f pods.yaml
        echo "check: $(netkeel check -f pods.yaml)"
        netkeel apply -f pods.yaml
        diff "$CONFLISTS/calico.conflist" /etc/cni/pods/10-calico.conflist || :
        stat -c '%a %n' /etc/cni/pods/*
        cmp "$CONFLISTS/flannel.conflist" /etc/cni/net.d/10-flannel.conflist
        netkeel release
        cmp "$CONFLISTS/calico.conflist" /etc/cni/pods/10-calico.conflist && echo as before
        "#,
    );
    insta::assert_snapshot!(shown, @r#"
    Drift: 1 of 1 declared fact, on 1 object (this host).

      ~ cni /etc/cni/pods/10-calico.conflist calico  mtu 1460            pods.yaml:3

    1 write, all with exact undo.
    Plan: 1 to create, 0 to change, 0 to destroy (1 object).
    Drift: 1 of 1 declared fact, on 1 object (this host).

      ~ cni /etc/cni/pods/10-calico.conflist calico  mtu 1460            pods.yaml:3

    1 write, all with exact undo.
    Plan: 1 to create, 0 to change, 0 to destroy (1 object).
    Applied: 1 write; verified, nothing left to change.
    check: In sync: 1 fact as declared (this host).
    In sync: 1 fact as declared (this host).
    5a6
    >       "mtu": 1460,
    600 /etc/cni/pods/10-calico.conflist
    To give back: 1 fact, on 1 object (this host).

      ~ cni /etc/cni/pods/10-calico.conflist calico  mtu 1460 -> absent

    1 write, all with exact undo.
    Plan: 0 to create, 0 to change, 1 to destroy (1 object).
    Released: the owner default held 1 fact; 1 write done.
    as before
    "#);
}

#[test]
fn a_broken_file_a_rewritten_one_and_a_copy_are_told() {
    let shown = on_a_host(
        r#"
        echo '{' > /etc/cni/net.d/05-left.conf
        cp "$CONFLISTS/multus.conf" /etc/cni/net.d/10-multus.conf
        cp "$CONFLISTS/calico.conflist" /etc/cni/net.d/20-calico.conflist
        mkdir -p /var/lib/calico; echo 1430 > /var/lib/calico/mtu
        cat > pods.yaml <<.
version: 1
persist: false
cni:
  calico: { plugin: calico, mtu: 1460 }
  named: { plugin: calico, file: /etc/cni/net.d/20-calico.conflist, mtu: 1460 }
  gone: { plugin: ptp, file: /etc/cni/net.d/30-gone.conf, mtu: 1460 }
.
        netkeel apply -f pods.yaml
        echo "check: $(netkeel check -f pods.yaml)"
        cp "$CONFLISTS/multus.conf" /etc/cni/net.d/10-multus.conf
        netkeel check -f pods.yaml || echo "check: $?"
        ln -sf 20-calico.conflist /etc/cni/net.d/30-gone.conf
        netkeel plan -f pods.yaml || echo "plan: $?"
        netkeel lint | grep -A1 -E 'NK04'
        "#,
    );
    insta::assert_snapshot!(shown, @r#"
    Drift: 2 of 2 declared facts, on 2 objects (this host).

      ~ cni /etc/cni/net.d/10-multus.conf calico  mtu 1480 -> 1460       pods.yaml:4
      ~ cni /etc/cni/net.d/20-calico.conflist calico  mtu 1460           pods.yaml:5

    warning NK040 /etc/cni/net.d/30-gone.conf: the CNI configuration is not there
      look for a misspelt path, or wait for the CNI's installer
    warning NK041 /etc/cni/net.d/05-left.conf: the container runtime takes this CNI
      configuration first and cannot load it: line 1: not valid JSON: unterminated
      object
      fix or remove it: no pod starts until then

    2 writes, all with exact undo.
    Plan: 1 to create, 1 to change, 0 to destroy (2 objects); 2 warnings.
    Applied: 2 writes; verified, nothing left to change.
    check: In sync: 2 facts as declared (this host); 2 warnings. `netkeel plan` shows NK040, NK041.
    Drift: 1 of 2 declared facts, on 1 object (this host); 1 write, all with exact undo; 2 warnings. `netkeel plan` shows NK040, NK041.
    check: 2
    error: /etc/cni/net.d/30-gone.conf: it is a symbolic link to 20-calico.conflist
     --> pods.yaml:6:30
      |
    6 |   gone: { plugin: ptp, file: /etc/cni/net.d/30-gone.conf, mtu: 1460 }
      |                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^ cni.gone
      |
      = help: name its target, if you may change that: netkeel follows no links

    1 error in pods.yaml
    plan: 1
    warning NK041 /etc/cni/net.d/05-left.conf: the container runtime takes this CNI configuration first and cannot load it: line 1: not valid JSON: unterminated object
      fix or remove it: no pod starts until then
    warning NK042 /etc/cni/net.d/20-calico.conflist: its calico has the MTU 1460, but that of the loaded /etc/cni/net.d/10-multus.conf has 1480
      set both files: Multus generates one from the other when it starts
    "#);
}

#[test]
fn the_cni_at_work_is_detected_with_what_does_not_fit() {
    let shown = on_a_host(
        r#"
        ip link add eth0 type veth peer name far && ip link set eth0 up && ip link set far up
        ip address add 192.0.2.1/24 dev eth0 && ip route add default via 192.0.2.2
        netkeel mtu --detect || echo "nothing: $?"
        cp "$CONFLISTS/calico.conflist" /etc/cni/net.d/10-calico.conflist
        ip link add vxlan.calico type vxlan id 4096 dstport 4789 dev eth0 && ip link set vxlan.calico up
        mkdir -p /var/lib/calico && echo 1480 > /var/lib/calico/mtu
        netkeel mtu --detect
        netkeel lint | grep -A1 NK047
        rm /etc/cni/net.d/10-calico.conflist && ip link del vxlan.calico
        cp "$CONFLISTS/flannel.conflist" /etc/cni/net.d/10-flannel.conflist
        ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0
        ip address add 10.244.0.0/32 dev flannel.1 && ip link set flannel.1 up
        mkdir -p /run/flannel && printf 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_MTU=1450\n' > /run/flannel/subnet.env
        netkeel mtu --detect --underlay 1400 --output json | jq -c '[.layers, .answer.mtu, .found, (.findings | length)]'
        rm /etc/cni/net.d/10-flannel.conflist
        cp "$CONFLISTS/cilium.conflist" /etc/cni/net.d/05-cilium.conflist
        mkdir -p /run/cilium/state/globals
        printf '#define LB 1\n#define MTU 1500\n' > /run/cilium/state/globals/node_config.h
        netkeel mtu --detect --output json | jq -c '[.layers, .answer.carried_by, .found, (.findings | length)]'
        "#,
    );
    insta::assert_snapshot!(shown, @r#"
    error: no CNI found: neither a known plugin nor a known device
      help: `netkeel mtu --compare` shows the MTU of each CNI
    nothing: 1
    calico:vxlan, by /etc/cni/net.d/10-calico.conflist (calico), vxlan.calico
      underlay                1500  eth0, the lower device of vxlan.calico
      calico:vxlan      -50   1450  IPv4 20 + UDP 8 + VXLAN 8 + Ethernet 14
      MTU                     1450
      MSS                     1410  over IPv4
                              1390  over IPv6
      exact maximum           1450  nothing is left over
    in use
      /var/lib/calico/mtu   1480  30 too many
      vxlan.calico          1450

    warning NK047 /var/lib/calico/mtu: it gives pods an MTU of 1480, and calico:vxlan leaves 1450 of 1500 (eth0, the lower device of vxlan.calico): full packets are 30 bytes too large
      give pods 1450; netkeel mtu --detect derives it
    warning NK047 /var/lib/calico/mtu: it gives pods an MTU of 1480, and calico:vxlan leaves 1450 of 1500 (eth0, the lower device of vxlan.calico): full packets are 30 bytes too large
      give pods 1450; netkeel mtu --detect derives it
    [["flannel:vxlan"],1350,[{"what":"/run/flannel/subnet.env","mtu":1450,"on":"device"},{"what":"flannel.1","mtu":1450,"on":"tunnel"}],1]
    [["cilium"],"route",[{"what":"/run/cilium/state/globals/node_config.h","mtu":1500,"on":"device"}],0]
    "#);
}

#[test]
fn what_cannot_be_brought_about_is_not_in_sync() {
    let shown = on_a_host(
        r#"
        cat > pods.yaml <<.
version: 1
persist: false
cni:
  calico: { plugin: calico, mtu: 1460 }
.
        checked() { netkeel check -f pods.yaml && echo "exit 0" || echo "exit $?"; }
        checked
        echo '{"name": "pods", "plugins": [{"type": "calico", "mtu": __CNI_MTU__}]}' > /etc/cni/net.d/10-calico.conflist
        checked
        netkeel plan -f pods.yaml || true
        echo '{"name": "pods", "plugins": [{"type": "calico", "mtu": 1, "mtu": 2}]}' > /etc/cni/net.d/10-calico.conflist
        checked
        mkdir crio
        printf '[crio.network]\ncni_default_network = "other"\n' > crio/crio.conf
        cp "$CONFLISTS/calico.conflist" /etc/cni/net.d/10-calico.conflist
        checked
        rm -r crio
        cp "$CONFLISTS/canal.conflist" /etc/cni/net.d/10-calico.conflist
        sed -i 's/plugin: calico/plugin: flannel/' pods.yaml
        checked
        "#,
    );
    insta::assert_snapshot!(shown, @r#"
    Nothing matched: the document names nothing that is here (this host); 1 warning. `netkeel plan` shows NK040.
    exit 0
    Not in sync: 1 problem; otherwise nothing differs of 0 declared facts (this host); 1 warning. `netkeel plan` shows NK041.
    error: the mtu of calico in cni.calico: no CNI configuration in /etc/cni/net.d can be loaded; /etc/cni/net.d/10-calico.conflist: it is a template: __CNI_MTU__ has not been filled in; the CNI's installer rewrites it: set the value that it fills in (Calico: `veth_mtu` of the ConfigMap calico-config in kube-system)
    exit 1
    warning NK041 /etc/cni/net.d/10-calico.conflist: the container runtime takes
      this CNI configuration first and cannot load it: it is a template that has not
      been filled in
      fix or remove it: no pod starts until then

    Not in sync: 1 problem; otherwise nothing differs of 0 declared facts (this host); 1 warning.
    error: the mtu of calico in cni.calico: no CNI configuration in /etc/cni/net.d can be loaded; /etc/cni/net.d/10-calico.conflist: it is a template: __CNI_MTU__ has not been filled in; the CNI's installer rewrites it: set the value that it fills in (Calico: `veth_mtu` of the ConfigMap calico-config in kube-system)
    error: /etc/cni/net.d/10-calico.conflist: it loads, but netkeel does not edit it: line 1: the key `mtu` is given twice
     --> pods.yaml:4:21
      |
    4 |   calico: { plugin: calico, mtu: 1460 }
      |                     ^^^^^^ cni.calico
      |
      = help: fix the file, so that all readers get the same value

    1 error in pods.yaml
    exit 1
    Not in sync: 1 problem; otherwise nothing differs of 0 declared facts (this host).
    error: the mtu of calico in cni.calico: no CNI configuration in /etc/cni/net.d has the name other, which CRI-O is configured to use (cni_default_network)
    exit 1
    error: /etc/cni/net.d/10-calico.conflist: its flannel delegates to calico
     --> pods.yaml:4:21
      |
    4 |   calico: { plugin: flannel, mtu: 1460 }
      |                     ^^^^^^^ cni.calico
      |
      = help: say `plugin: calico`, whose mtu it is

    1 error in pods.yaml
    exit 1
    "#);
}

#[test]
fn the_first_configuration_is_seen_when_it_comes() {
    let shown = on_a_host(
        r#"
        rm -r /etc/cni
        cat > pods.yaml <<.
version: 1
persist: false
cni:
  calico: { plugin: calico, mtu: 1460 }
.
        netkeel run -f pods.yaml --interval 10m 2> said &
        service=$!
        until grep -qs event=full-scan said; do sleep 0.1; done
        mkdir -p /etc/cni/net.d
        cp "$CONFLISTS/calico.conflist" /etc/cni/net.d/10-calico.conflist
        for _ in $(seq 600); do
            grep -q '"mtu": 1460' /etc/cni/net.d/10-calico.conflist && break
            sleep 0.1
        done
        grep -c '"mtu": 1460' /etc/cni/net.d/10-calico.conflist || cat said
        kill $service
        "#,
    );
    assert_eq!(shown.trim(), "1");
}
