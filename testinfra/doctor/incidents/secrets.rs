//! A bundle has no secret, wherever on a host one is planted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use netkeel_core::fact::Value;
use netkeel_core::finding::Code;
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_diagnose::bundle::{Bundle, BundledApply, Origin};
use netkeel_host::cni::configuration::{Configuration, Contents, Plugin};
use netkeel_host::cni::program::Program;
use netkeel_host::counters::reading::Reading;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::reading::{File, SysctlD, SysctlReading, UfwFile};
use netkeel_host::sysctl_d::file::{Content, File as SysctlFile, Files};
use netkeel_render::diagnosis::{html, text};
use netkeel_render::paint::Paint;
use proptest::prelude::*;

use super::namespace::Namespace;
use super::net::Net;

/// A host with the secret in every place that may hold text of others.
fn planted(secret: &str) -> (Snapshot, Reading) {
    let path = super::golden::testinfra().join("healthy/gke.txt");
    let archive = fs::read_to_string(path).unwrap();
    let json = archive.split("-- snapshot.json --\n").nth(1).unwrap();
    let mut snapshot = Snapshot::from_json(json.split("\n-- ").next().unwrap()).unwrap();
    for key in ["net/ipv4/tcp_fastopen_key", "net/ipv6/conf/default/stable_secret"] {
        let value = MaybeSecret::from(secret.to_owned()).secret_if(true);
        let reading = SysctlReading::Value {
            value,
            writable: true,
        };
        snapshot.sysctls.insert(key.parse().unwrap(), reading);
    }
    let content: Arc<str> = format!("# {secret}\n[Interface]\nPrivateKey = {secret}\n").into();
    for path in ["/etc/wireguard/wg0.conf", "/etc/sysctl.d/90-netkeel.conf"] {
        let file = File {
            content: content.clone(),
            mode: 0o600,
        };
        snapshot.files.insert(PathBuf::from(path), Some(file));
    }
    let lines = format!("# {secret}\nnet.ipv4.tcp_fastopen_key = {secret}\nnet.ipv4.conf.*.rp_filter = 2\n");
    let dropin = SysctlFile {
        directory: 0,
        name: "99-own.conf".to_owned(),
        target: "/etc/sysctl.d/99-own.conf".to_owned(),
        content: Content::Text(lines),
    };
    let files = Files {
        dropins: vec![dropin],
        sysctl_conf: None,
    };
    let ufw = UfwFile {
        path: "/etc/ufw/sysctl.conf".to_owned(),
        text: secret.to_owned(),
    };
    snapshot.sysctl_d = Some(SysctlD {
        files,
        udev: true,
        ufw: Some(ufw),
    });
    for link in snapshot.links.values_mut() {
        let link = Arc::make_mut(link);
        link.alias = Some(secret.into());
        link.altnames.insert(secret.into());
    }
    snapshot.problems.push(Problem {
        what: Subject::Other("the configuration /etc/containerd/config.toml".to_owned()),
        why: format!("not valid TOML: the key `{secret}` is given twice"),
    });
    let cni = snapshot.cni.as_mut().unwrap();
    for (number, reading) in [
        Contents::Unread(format!("line 3: the key `{secret}` is given twice")),
        Contents::Invalid(format!("it is the text `{secret}`, not an object")),
        Contents::Template(secret.to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let file = Configuration {
            reading,
            ..cni.files.values().flatten().next().unwrap().clone()
        };
        cni.files.insert(
            format!("/etc/cni/net.d/9{number}-own.conflist").into(),
            Some(file),
        );
    }
    cni.runtime.as_mut().unwrap().network = Some(secret.to_owned());
    for file in cni.files.values_mut().flatten() {
        file.network = Some(secret.to_owned());
        file.cni_version = Some(secret.into());
        if let Contents::Plugins(plugins) = &mut file.reading {
            for plugin in plugins.iter_mut() {
                plugin.mtu = Some(Value::Text(secret.into()));
                plugin.cluster_network = Some(secret.to_owned());
                plugin.ipam = Some(secret.into());
            }
            let other = Plugin {
                kind: secret.into(),
                ..plugins[0].clone()
            };
            plugins.push(other);
        }
    }
    (snapshot, Reading::default())
}

proptest! {
    #[test]
    fn no_planted_secret_is_in_a_bundle(secret in "[A-Za-z0-9+/]{24,43}=?") {
        let (snapshot, reading) = planted(&secret);
        let programs = [(secret.as_str().into(), Program::default())].into();
        let origin = Origin { netkeel: "1".to_owned(), host: "h".to_owned(), programs, ..Origin::default() };
        let change = ("link eth0 alias".to_owned(), "1500".to_owned(), secret.clone());
        let url = format!("https://user:{secret}@example.org/?token={secret}");
        let of_plugin = (format!("cni /etc/cni/net.d/10.conf {secret} mtu"), "1500".to_owned(), url);
        let apply = BundledApply {
            id: "1".to_owned(),
            time: 0,
            event: "applied".to_owned(),
            owner: "o".to_owned(),
            changes: vec![change, of_plugin],
        };
        let bundle = Bundle::new(origin, snapshot, (reading.clone(), reading), vec![apply]);
        // A finding that would quote the host is there.
        prop_assert!(bundle.findings.iter().any(|finding| finding.code == Code::NK049));
        prop_assert_eq!(&bundle.applies[0].changes[0].1, "1500");
        let json = serde_json::to_string(&bundle).unwrap();
        prop_assert!(!json.contains(&secret), "{}", json);
        let again = Bundle::from_json(&json).unwrap();
        for shown in [text::bundle(&again, Paint(false)), html::bundle(&again)] {
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }
    }
}

#[test]
fn the_secrets_are_planted() {
    // The property would hold of a host without secrets too.
    let (snapshot, reading) = planted("hunter2");
    let places = format!("{snapshot:?}{reading:?}");
    assert!(places.matches("hunter2").count() >= 30, "{places}");
}

/// `doctor` opens a bundle in each of its forms.
fn opened(file: &Path) -> [Output; 3] {
    ["text", "json", "html"].map(|output| {
        Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(["doctor", "--output", output, "--bundle"])
            .arg(file)
            .output()
            .unwrap()
    })
}

#[test]
fn a_recorded_bundle_is_private_and_has_no_secret() {
    let namespace = Namespace::new();
    let key = "aaaaaaaa-11111111-22222222-33333333";
    namespace.sh(&format!(
        "sysctl -qw net.ipv4.tcp_fastopen_key={key}; ip link set lo up
         ip link add v0 type veth peer name v1; ip link set v0 alias hunter2"
    ));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bundle.json");
    let record = || {
        Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(["doctor", "--record", "1s", "--netns", &namespace.name, "--out"])
            .arg(&file)
            .env("NETKEEL_TEST_TOKEN", "hunter2-environment")
            .output()
            .unwrap()
    };
    let done = record();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let bundle = fs::read_to_string(&file).unwrap();
    for secret in ["aaaaaaaa", "hunter2"] {
        assert!(!bundle.contains(secret), "{bundle}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // It is never written over.
    assert_eq!(record().status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), bundle);
    for opened in opened(&file) {
        assert!(opened.status.success() && !opened.stdout.is_empty(), "{opened:?}");
    }
}

#[test]
fn what_netkeel_knows_of_plugins_is_kept() {
    // No text is left out of a host whose plugins and files are those of a CNI.
    let (healthy, _) = planted("hunter2");
    let bundle = |kind: &str, program: Option<&str>| {
        let mut snapshot = healthy.clone();
        let files = &mut snapshot.cni.as_mut().unwrap().files;
        for file in files.values_mut().flatten() {
            if let Contents::Plugins(plugins) = &mut file.reading {
                plugins.last_mut().unwrap().kind = kind.into();
            }
        }
        let path = program.map(PathBuf::from);
        let programs = [(kind.into(), Program { path, version: None })].into();
        let origin = Origin {
            programs,
            ..Origin::default()
        };
        let bundle = Bundle::new(origin, snapshot, Default::default(), Vec::new());
        let kinds: Vec<String> = bundle
            .plugins
            .values()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let named: Vec<String> = bundle.programs.keys().map(ToString::to_string).collect();
        (kinds.contains(&kind.to_owned()), named == [kind])
    };
    assert_eq!(bundle("portmap", None), (true, true));
    assert_eq!(bundle("my-own", Some("/opt/cni/bin/my-own")), (true, true));
    assert_eq!(bundle("my-own", None), (false, false));
}

/// Files with the secret, each where a host may have one: CNI configurations that can and cannot be loaded, the runtime's
/// configuration, WireGuard, kubelet, and sysctl.d.
fn planted_files(secret: &str) -> String {
    let conflist = format!(
        r#"{{"cniVersion": "1.0.0", "name": "{secret}", "token": "{secret}", "plugins": [
            {{"type": "bridge", "mtu": 1400, "env": {{"AWS_SECRET_ACCESS_KEY": "{secret}"}},
              "ipam": {{"type": "{secret}"}}, "kubernetes": {{"k8s_auth_token": "{secret}"}}}},
            {{"type": "{secret}"}}]}}"#
    );
    [
        ("/etc/cni/net.d/10-pods.conflist", conflist),
        (
            "/etc/cni/net.d/20-twice.conf",
            format!(r#"{{"name": "x", "type": "ptp", "{secret}": 1, "{secret}": 2}}"#),
        ),
        ("/etc/cni/net.d/30-text.json", format!("\"{secret}\"")),
        ("/etc/cni/net.d/40-broken.conf", format!("{{token: {secret}")),
        ("/etc/cni/net.d/calico-kubeconfig", format!("token: {secret}")),
        (
            "/etc/containerd/config.toml",
            format!("{secret} = '{secret}'\n{secret} = {secret}\n"),
        ),
        (
            "/etc/wireguard/wg0.conf",
            format!("[Interface]\nPrivateKey = {secret}\n[Peer]\nPresharedKey = {secret}\n"),
        ),
        (
            "/etc/sysctl.d/99-own.conf",
            format!(
                "# {secret}\nnet.ipv4.tcp_fastopen_key = {secret}\nnet.ipv4.conf.all.rp_filter = {secret}\n"
            ),
        ),
    ]
    .iter()
    .map(|(path, text)| format!("mkdir -p $(dirname {path})\ncat >{path} <<'END'\n{text}\nEND\n"))
    .collect()
}

#[test]
fn a_bundle_recorded_where_secrets_are_everywhere_has_none() {
    let secret = "S3cretHunter2Qx";
    let net = Net::routed();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bundle.json");
    net.host.sh(&format!(
        "ip link set up0 alias {secret}; ip link property add dev up0 altname {secret}
         ip link property add dev cali1 altname {secret}-of-cali"
    ));
    // An apply whose document and command line have it.
    let document = directory.path().join("document.yaml");
    let text =
        format!("version: 1\nlink: {{ up0: {{ mtu: 1480, alias: \"https://u:{secret}@example.org\" }} }}\n");
    fs::write(&document, text).unwrap();
    let script = format!(
        "set -e
mount -t tmpfs tmpfs /mnt; cp -a /etc /mnt/etc; mount --bind /mnt/etc /etc
{files}
export NETKEEL_TEST_TOKEN={secret}
exec nsenter --net=/run/netns/{netns} sh -c '
    {netkeel} apply -f {document} --yes --allow-management >/dev/null
    {netkeel} doctor --record 1s --out {file}'",
        files = planted_files(secret),
        netns = net.host.name,
        netkeel = env!("CARGO_BIN_EXE_netkeel"),
        document = document.display(),
        file = file.display(),
    );
    let done = Command::new("unshare")
        .args(["-m", "sh", "-c", &script, secret])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let bundle = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(!bundle.contains(secret), "{bundle}");
    // The files and the apply were read.
    let bundle = Bundle::from_json(&bundle).unwrap();
    let read = bundle.snapshot.cni.as_ref().unwrap().files.len();
    assert_eq!((read, bundle.applies.len()), (4, 1), "{bundle:?}");
    for opened in opened(&file) {
        let shown = String::from_utf8_lossy(&opened.stdout);
        assert!(opened.status.success() && !shown.contains(secret), "{shown}");
    }
}
