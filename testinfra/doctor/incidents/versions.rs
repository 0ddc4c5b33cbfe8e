//! The versions that a bundle names: of the kernel, of the CNI's plugins and of the specification. A version that is not
//! known is said to be so.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use netkeel_diagnose::bundle::{Bundle, Origin};
use netkeel_host::cni::program::Program;
use netkeel_render::diagnosis::{html, text};
use netkeel_render::paint::Paint;
use serde_json::{Value, json};

use super::net::Net;

#[test]
fn the_plugins_of_a_bundle_have_their_versions() {
    let path = super::golden::testinfra().join("doctor/incidents/conntrack-table-full/bundle.json");
    let old = Bundle::from_json(&fs::read_to_string(path).unwrap()).unwrap();
    // It was made before bundles had versions, and names no plugin.
    assert!(!text::bundle(&old, Paint(false)).contains("CNI plugins"));
    let mut snapshot = old.snapshot.clone();
    let files = &mut snapshot.cni.as_mut().unwrap().files;
    files.values_mut().flatten().next().unwrap().cni_version = Some("0.3.1".into());
    let program = |version: Option<&str>| Program {
        path: Some("/opt/cni/bin/x".into()),
        version: version.map(Into::into),
    };
    let programs: BTreeMap<Arc<str>, Program> = [
        ("calico".into(), program(Some("v3.28.0"))),
        ("portmap".into(), program(None)),
    ]
    .into();
    let origin = Origin {
        programs,
        ..Origin::default()
    };
    let bundle = Bundle::new(origin, snapshot, (old.first, old.last), Vec::new());
    let json = serde_json::to_string(&bundle).unwrap();
    let again = Bundle::from_json(&json).unwrap();
    let line = "CNI plugins: bandwidth (version not known), calico v3.28.0, portmap (version not\n  known); cniVersion 0.3.1\n";
    let shown = text::bundle(&again, Paint(false));
    assert!(shown.contains(line), "{shown}");
    assert!(html::bundle(&again).contains("calico v3.28.0, portmap"));
}

#[test]
fn a_recording_looks_for_the_programs_of_plugins_and_runs_none() {
    let net = Net::routed();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.json");
    // A root of its own for /etc and /opt. A program that is run leaves a trace.
    let script = format!(
        r#"set -e
mount -t tmpfs tmpfs /mnt
cp -a /etc /mnt/etc
mkdir -p /mnt/etc/cni/net.d /mnt/opt/cni/bin /mnt/etc/containerd
rm -f /mnt/etc/cni/net.d/* /mnt/etc/containerd/config.toml
echo '{{"cniVersion": "1.0.0", "name": "pods", "plugins": [{{"type": "bridge", "mtu": 1400, "ipam": {{"type": "host-local"}}}}, {{"type": "gone"}}]}}' \
  >/mnt/etc/cni/net.d/10-pods.conflist
printf '#!/bin/sh\ntouch {trace}\n' >/mnt/opt/cni/bin/bridge
chmod 755 /mnt/opt/cni/bin/bridge
mount --bind /mnt/etc /etc
mount --bind /mnt/opt /opt
nsenter --net=/run/netns/{netns} {netkeel} doctor --record 1s --out {bundle}"#,
        trace = directory.path().join("trace").display(),
        netkeel = env!("CARGO_BIN_EXE_netkeel"),
        netns = net.host.name,
        bundle = bundle.display(),
    );
    let done = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let bundle: Value = serde_json::from_str(&fs::read_to_string(bundle).unwrap()).unwrap();
    let bridge = json!({ "path": "/opt/cni/bin/bridge", "version": null });
    let gone = json!({ "path": null, "version": null });
    // A type that nobody knows may be any text.
    assert_eq!(
        bundle["programs"],
        json!({ "bridge": bridge, "(left out)": gone.clone(), "host-local": gone })
    );
    assert_eq!(
        bundle["cni_versions"],
        json!({ "/etc/cni/net.d/10-pods.conflist": "1.0.0" })
    );
    let shown = String::from_utf8_lossy(&done.stdout).replace("\n  ", " ");
    assert!(
        shown.contains("(left out) (version not known), bridge (version not known), host-local (version not known); cniVersion 1.0.0"),
        "{shown}"
    );
    assert!(!directory.path().join("trace").exists());
}
