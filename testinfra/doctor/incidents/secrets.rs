//! A bundle has no secret, wherever on a host one is planted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use netkeel_core::fact::Value;
use netkeel_core::finding::Code;
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_diagnose::bundle::{Bundle, BundledApply, Origin};
use netkeel_host::cni::configuration::Contents;
use netkeel_host::counters::reading::Reading;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::{File, SysctlD, SysctlReading, UfwFile};
use netkeel_host::sysctl_d::file::{Content, File as SysctlFile, Files};
use netkeel_render::diagnosis::{html, text};
use netkeel_render::paint::Paint;
use proptest::prelude::*;

use super::namespace::Namespace;

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
        Arc::make_mut(link).alias = Some(secret.into());
    }
    for file in snapshot.cni.as_mut().unwrap().files.values_mut().flatten() {
        file.cni_version = Some(secret.into());
        if let Contents::Plugins(plugins) = &mut file.reading {
            for plugin in plugins {
                plugin.mtu = Some(Value::Text(secret.into()));
                plugin.cluster_network = Some(secret.to_owned());
            }
        }
    }
    (snapshot, Reading::default())
}

proptest! {
    #[test]
    fn no_planted_secret_is_in_a_bundle(secret in "[A-Za-z0-9+/]{24,43}=?") {
        let (snapshot, reading) = planted(&secret);
        let origin = Origin { netkeel: "1".to_owned(), host: "h".to_owned(), ..Origin::default() };
        let change = ("link eth0 alias".to_owned(), "1500".to_owned(), secret.clone());
        let apply = BundledApply {
            id: "1".to_owned(),
            time: 0,
            event: "applied".to_owned(),
            owner: "o".to_owned(),
            changes: vec![change],
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
    assert!(places.matches("hunter2").count() >= 10, "{places}");
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
    for output in ["text", "json", "html"] {
        let opened = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(["doctor", "--output", output, "--bundle"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(opened.status.success() && !opened.stdout.is_empty(), "{opened:?}");
    }
}
