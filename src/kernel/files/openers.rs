//! Likely writers of a file such as a CNI configuration: processes that have it or its directory open, its owner, and
//! running programs that are known to write such files. A writer that has exited leaves only the owner.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::read;

/// The programs that write CNI configurations, by the name of their process: when they start, and some
/// whenever theirs was changed.
const KNOWN: &[(&str, &str)] = &[
    ("install-cni", "Calico's or Istio's installer"),
    ("calico-node", "Calico"),
    ("flanneld", "flannel"),
    ("cilium-agent", "Cilium"),
    ("multus-daemon", "Multus"),
    ("kube-ovn-daemon", "kube-ovn"),
    ("ovnkube", "OVN-Kubernetes"),
    ("antrea-agent", "Antrea"),
    ("weaver", "Weave"),
    ("azure-cns", "Azure"),
    ("aws-k8s-agent", "Amazon VPC CNI"),
    ("netd", "GKE"),
    ("kindnetd", "kind"),
];

/// Names them, each with its process, this one aside.
pub fn openers(file: &Path) -> Vec<String> {
    let (mut open, mut known) = (Vec::new(), Vec::new());
    let own = std::process::id().to_string();
    for process in entries(Path::new("/proc")) {
        let number = process
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if number == own || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(name) = read::system(process.join("comm")) else {
            continue;
        };
        let name = name.trim_end();
        if has_open(&process, file) {
            open.push(format!("{name} (process {number}, which has it open)"));
        } else if let Some((_, whose)) = KNOWN.iter().find(|(known, _)| *known == name) {
            known.push(format!("{name} (process {number}, {whose})"));
        }
    }
    let owner = fs::symlink_metadata(file).map(|metadata| metadata.uid());
    let owner = owner.ok().filter(|uid| *uid != 0);
    let owner = owner.map(|uid| format!("user {uid}, who owns it"));
    open.into_iter().chain(owner).chain(known).collect()
}

/// A process has a file open, or the directory that it is in. By name first, since asking for what a
/// descriptor leads to may wait for a file system that hangs; a container sees it below another path.
fn has_open(process: &Path, file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let directory = file.parent().unwrap_or(file);
    let inode = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    entries(&process.join("fd")).iter().any(|descriptor| {
        let Ok(target) = fs::read_link(descriptor) else {
            return false;
        };
        let last = target.file_name().unwrap_or_default().to_string_lossy();
        if last.strip_suffix(" (deleted)").unwrap_or(&last) == name {
            return true;
        }
        target.file_name() == directory.file_name() && inode(descriptor) == inode(directory)
    })
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    listed.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn who_has_the_file_or_its_directory_open_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("10-x.conflist");
        fs::write(&file, "{}").unwrap();
        let own = |list: Vec<String>| list.iter().filter(|one| one.contains("open")).count();
        assert_eq!(own(openers(&file)), 0);
        for opened in [file.as_path(), scratch.path()] {
            let input = Stdio::from(fs::OpenOptions::new().read(true).open(opened).unwrap());
            let mut other = Command::new("sleep").arg("600").stdin(input).spawn().unwrap();
            let named = format!("sleep (process {}, which has it open)", other.id());
            // A child may run before the kernel has given it the name of its program.
            let mut found = openers(&file);
            for _ in 0..6000 {
                if found.contains(&named) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
                found = openers(&file);
            }
            other.kill().unwrap();
            other.wait().unwrap();
            assert!(found.contains(&named), "{found:?}");
        }
    }
}
