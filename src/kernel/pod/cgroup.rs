//! The pod that a process belongs to, by its cgroup: the kubelet makes one for each pod, named after
//! its UID.

/// The UID of the pod in a /proc/PID/cgroup, of cgroup v1 or v2; none where it is of no pod. The
/// names are those of the kubelet's drivers (pkg/kubelet/cm): `kubepods/burstable/podUID` and
/// `kubepods-burstable-podUID.slice`, there with `_` for `-`.
pub(crate) fn pod_uid(cgroups: &str) -> Option<String> {
    cgroups
        .lines()
        .find_map(|line| of_path(line.splitn(3, ':').nth(2)?))
}

fn of_path(path: &str) -> Option<String> {
    let mut in_kubepods = false;
    for part in path.split('/') {
        // `SLICE:cri-containerd:ID` is what runc makes of a slice under the driver cgroupfs.
        let part = part.split(':').next().unwrap_or(part);
        let part = part.strip_suffix(".slice").unwrap_or(part);
        in_kubepods |= part.split('-').any(|word| word == "kubepods");
        if let Some((before, uid)) = part.rsplit_once("pod")
            && in_kubepods
            && (before.is_empty() || before.ends_with('-'))
            && let Some(uid) = uid_of(uid)
        {
            return Some(uid);
        }
    }
    None
}

/// A UUID, or the checksum that is the UID of a static pod.
fn uid_of(text: &str) -> Option<String> {
    let uid = text.replace('_', "-");
    let lengths: Vec<usize> = uid.split('-').map(str::len).collect();
    let hexadecimal = uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hexadecimal && matches!(*lengths, [32] | [8, 4, 4, 4, 12])).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f3c5a1e-7f0d-4b6e-9d3f-2a51c8f0e7b4";

    const CONTAINER: &str = "9b1c7c3d5e2f4a6b8c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b";

    #[test]
    fn finds_the_pod_by_either_driver_in_either_version() {
        let slice = UID.replace('-', "_");
        for line in [
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{CONTAINER}.scope"
            ),
            format!("0::/kubepods.slice/kubepods-pod{slice}.slice/crio-{CONTAINER}.scope"),
            format!("0::/kubepods/besteffort/pod{UID}/{CONTAINER}"),
            format!("0::/kubepods/pod{UID}/{CONTAINER}"),
            format!("0::/../../kubepods/burstable/pod{UID}/{CONTAINER}"),
            format!(
                "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{slice}.slice/cri-containerd-{CONTAINER}.scope"
            ),
            format!(
                "12:pids:/\n11:memory:/kubepods/burstable/pod{UID}/{CONTAINER}\n1:name=systemd:/kubepods/burstable/pod{UID}/{CONTAINER}\n"
            ),
            format!(
                "4:cpu,cpuacct:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{slice}.slice/docker-{CONTAINER}.scope"
            ),
            format!(
                "0::/system.slice/containerd.service/kubepods-burstable-pod{slice}.slice:cri-containerd:{CONTAINER}"
            ),
        ] {
            assert_eq!(pod_uid(&line).as_deref(), Some(UID), "{line}");
        }
        let of_a_static_pod = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2b4f0a9c1d3e5f60718293a4b5c6d7e8.slice/cri-containerd-1.scope";
        assert_eq!(
            pod_uid(of_a_static_pod).as_deref(),
            Some("2b4f0a9c1d3e5f60718293a4b5c6d7e8")
        );
    }

    #[test]
    fn takes_nothing_else_for_a_pod() {
        for line in [
            "",
            "0::/",
            "0::/system.slice/kubelet.service",
            "0::/kubepods.slice",
            "0::/kubepods.slice/kubepods-burstable.slice",
            "0::/kubepods/burstable/podman",
            "0::/machine.slice/libpod-9b1c7c3d5e2f4a6b8c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b.scope",
            "0::/machine.slice/machine-libpod_pod_9b1c7c3d5e2f4a6b8c0d1e2f3a4b5c6d.slice",
            "0::/user.slice/pod0f3c5a1e-7f0d-4b6e-9d3f-2a51c8f0e7b4",
            "no cgroup at all",
        ] {
            assert_eq!(pod_uid(line), None, "{line}");
        }
    }
}
