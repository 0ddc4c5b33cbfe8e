//! CNI configurations on disk: which runtime is here, what its directory holds, and the edit of one
//! file.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::files::read::Symlinks;
use crate::files::{file, read};
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Value;
use netkeel_core::text::glob::Glob;
use netkeel_host::cni::configuration::{Configuration, Contents};
use netkeel_host::cni::conflist::MAX_BYTES;
use netkeel_host::cni::runtime::{Name, Runtime, Settings};
use netkeel_host::cni::state::{Cni, StateFiles};
use netkeel_host::cni::{conflist, runtime};
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::scope::CniScope;

/// Where containerd is configured, and its socket: its own place, and those of distributions that
/// bring it along.
const CONTAINERD: &str = "/etc/containerd/config.toml";

const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// A distribution of Kubernetes that brings containerd along.
#[derive(Debug, PartialEq, Eq)]
struct Distribution {
    configuration: &'static str,
    socket: &'static str,
    /// The directory of CNI configurations if containerd's configuration names none, or only by a variable.
    directory: &'static str,
    /// The directory of plugins, in the same case; none where it is the runtime's default.
    plugins: Option<&'static str>,
}

/// In the order in which their configurations count.
const DISTRIBUTIONS: &[Distribution] = &[
    // k3s: pkg/agent/config and pkg/agent/containerd
    Distribution {
        configuration: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        socket: "/run/k3s/containerd/containerd.sock",
        directory: "/var/lib/rancher/k3s/agent/etc/cni/net.d",
        plugins: None,
    },
    // RKE2
    Distribution {
        configuration: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
        socket: "/run/k3s/containerd/containerd.sock",
        directory: "/etc/cni/net.d",
        plugins: None,
    },
    // MicroK8s: microk8s-resources/wrappers/run-containerd-with-args
    Distribution {
        configuration: "/var/snap/microk8s/current/args/containerd.toml",
        socket: "/var/snap/microk8s/common/run/containerd.sock",
        directory: "/var/snap/microk8s/current/args/cni-network",
        plugins: Some("/var/snap/microk8s/current/opt/cni/bin"),
    },
    // k0s
    Distribution {
        configuration: "/etc/k0s/containerd.toml",
        socket: "/run/k0s/containerd.sock",
        directory: "/etc/cni/net.d",
        plugins: None,
    },
];

impl Distribution {
    /// Sets what counts where containerd's configuration names nothing.
    fn preset(&self, runtime: &mut Runtime) {
        runtime.directory = PathBuf::from(self.directory);
        runtime.plugins = self.plugins.map(PathBuf::from).into_iter().collect();
    }
}

/// The directories of CNI configurations that runtimes have by default.
pub(crate) fn directories() -> impl Iterator<Item = &'static str> {
    let own = std::iter::once("/etc/cni/net.d");
    own.chain(DISTRIBUTIONS.iter().map(|one| one.directory))
}

const CRI_O_SOCKET: &str = "/run/crio/crio.sock";

/// The configuration of CRI-O; its drop-ins are in the directory below.
const CRI_O: &str = "/etc/crio/crio.conf";

const CRI_O_DROP_INS: &str = "/etc/crio/crio.conf.d";

/// The text before a value of flannel or of Cilium in its line.
const FLANNEL_MTU: &str = "FLANNEL_MTU=";

const CILIUM_MTU: &str = "#define MTU ";

const CILIUM_DEVICE: &str = "#define DIRECT_ROUTING_DEV_IFINDEX ";

/// The text before an address of the node in the comment of Cilium's file.
const CILIUM_ADDRESSES: [&str; 2] = ["cilium.v4.external.str ", "cilium.v6.external.str "];

/// Longest runtime configuration that is read, bytes.
const LONGEST: u64 = 1 << 20;

/// Reads what a scope names. A file that is not there is not there; one that cannot be read is a
/// problem.
pub(crate) fn read(scope: &CniScope, problems: &mut Vec<Problem>) -> Cni {
    let mut cni = Cni::empty();
    let mut paths: BTreeSet<PathBuf> = scope.files.clone();
    if scope.directory {
        let runtime = find_runtime(problems);
        match entries(&runtime.directory) {
            Ok(found) => paths.extend(found.into_iter().filter(|path| runtime::is_configuration(path))),
            Err(cause) => problems.push(Problem {
                what: Subject::Other(format!("the directory {}", runtime.directory.display())),
                why: error(cause).message,
            }),
        }
        let state = StateFiles::of(Some(&runtime));
        cni.runtime = Some(runtime);
        cni.calico_mtu = text(Path::new(state.calico), 64)
            .ok()
            .flatten()
            .and_then(|text| text.trim().parse().ok());
        cni.flannel_mtu = line(state.flannel, FLANNEL_MTU);
        cni.cilium_mtu = line(state.cilium, CILIUM_MTU);
        let device = line(state.cilium, CILIUM_DEVICE);
        // 0 where no packet needs one.
        cni.cilium_device = device
            .and_then(|index| index.try_into().ok())
            .filter(|index| *index != 0);
        cni.cilium_addresses = text(Path::new(state.cilium), LONGEST)
            .ok()
            .flatten()
            .map(|text| cilium_addresses(&text))
            .unwrap_or_default();
    }
    for path in paths {
        match configuration(&path) {
            Ok(found) => {
                cni.files.insert(path, found);
            }
            Err(error) => problems.push(Problem {
                what: Subject::CniConfiguration(path.clone()),
                why: error.message,
            }),
        }
    }
    cni
}

/// The addresses of the node in the comment of Cilium's node_config.h (`WriteNodeConfig`, pkg/datapath/linux/config).
fn cilium_addresses(text: &str) -> BTreeSet<IpAddr> {
    let address = |line: &str| {
        let line = line.trim_start_matches([' ', '*']);
        let mut starts = CILIUM_ADDRESSES.iter();
        starts.find_map(|start| line.strip_prefix(start)?.trim().parse().ok())
    };
    text.lines().filter_map(address).collect()
}

/// The number in the line of a file that begins so.
fn line(path: &str, start: &str) -> Option<i64> {
    let text = text(Path::new(path), LONGEST).ok()??;
    text.lines()
        .find_map(|line| line.strip_prefix(start)?.trim().parse().ok())
}

fn configuration(path: &Path) -> Result<Option<Configuration>, Error> {
    let Some(text) = text(path, MAX_BYTES as u64 + 1)? else {
        return Ok(None);
    };
    let mut read = conflist::read_file(path, &text);
    read.symlink = fs::read_link(path).ok();
    Ok(Some(read))
}

/// Sets the `mtu` of a plugin type in a file.
pub(crate) fn set_mtu(
    path: &Path,
    plugin: &str,
    was: Option<&Value>,
    mtu: Option<&Value>,
) -> Result<(), Error> {
    let there = file::read(path)?.ok_or_else(|| Error::new(ErrorKind::Missing, "the file is gone"))?;
    let configuration = conflist::read(&there.content);
    if !matches!(configuration.reading, Contents::Plugins(_)) {
        return Err(Error::new(ErrorKind::Unreadable, configuration.reading.refusal()));
    }
    let is = configuration.mtu(plugin);
    if is.as_ref() == mtu {
        // A write that was killed may have left a temporary file.
        return file::tidy(path);
    }
    if is.as_ref() != was {
        let show = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
        let message = format!(
            "somebody else has written it since it was read: the mtu of {plugin} was {} and is {}",
            show(was),
            show(is.as_ref())
        );
        return Err(Error::new(ErrorKind::Refused, message).hint("look again"));
    }
    let edited = conflist::edit(&there.content, plugin, mtu)?;
    file::write(path, &edited, there.mode)
}

/// The runtime that is here: whose socket is there, else whose configuration.
fn find_runtime(problems: &mut Vec<Problem>) -> Runtime {
    let chosen = choose(&|path| path.exists(), &|path| {
        let text = text(path, LONGEST).ok().flatten();
        text.and_then(|text| runtime::containerd(&text).ok())
            .is_some_and(|settings| settings.disables_cri)
    });
    match chosen {
        Chosen::CriO => {
            let mut runtime = Runtime::new(Some(Name::CriO));
            let mut files = vec![PathBuf::from(CRI_O)];
            match entries(Path::new(CRI_O_DROP_INS)) {
                Ok(found) => files.extend(found),
                Err(cause) => {
                    runtime.unread.push(PathBuf::from(CRI_O_DROP_INS));
                    problems.push(Problem {
                        what: Subject::Other(format!("the directory {CRI_O_DROP_INS}")),
                        why: error(cause).message,
                    });
                }
            }
            for path in files {
                take(&mut runtime, &path, runtime::cri_o, problems);
            }
            runtime
        }
        Chosen::Containerd(path) => {
            let mut runtime = Runtime::new(Some(Name::Containerd));
            let distribution = DISTRIBUTIONS.iter().find(|one| one.configuration == path);
            if let Some(distribution) = distribution {
                distribution.preset(&mut runtime);
            }
            let path = Path::new(path);
            for pattern in take(&mut runtime, path, runtime::containerd, problems) {
                match matching(path, &pattern) {
                    Some(imports) => {
                        for import in imports {
                            take(&mut runtime, &import, runtime::containerd, problems);
                        }
                    }
                    None => runtime.unread.push(PathBuf::from(pattern)),
                }
            }
            runtime
        }
        Chosen::Nobody => Runtime::new(None),
    }
}

/// The runtime that reads the CNI configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    /// containerd, by the file that configures it.
    Containerd(&'static str),
    CriO,
    Nobody,
}

/// A containerd that disables its CRI is Docker's, beside whatever Kubernetes uses.
fn choose(there: &dyn Fn(&Path) -> bool, disables_cri: &dyn Fn(&Path) -> bool) -> Chosen {
    let is = |path: &str| there(Path::new(path));
    let own = is(CONTAINERD).then_some(CONTAINERD);
    let serves = !own.is_some_and(|path| disables_cri(Path::new(path)));
    let own = own.filter(|_| serves);
    let installed = || DISTRIBUTIONS.iter().filter(|one| is(one.configuration));
    let running = installed().find(|one| is(one.socket));
    let containerd = match running {
        Some(running) => Some(running.configuration),
        None => own.or(installed().next().map(|one| one.configuration)),
    };
    let containerd_runs = running.is_some() || (serves && is(CONTAINERD_SOCKET));
    let cri_o = match (containerd_runs, is(CRI_O_SOCKET)) {
        (false, true) => true,
        (true, false) => false,
        _ => containerd.is_none() && (is(CRI_O) || is(CRI_O_DROP_INS)),
    };
    match containerd {
        _ if cri_o => Chosen::CriO,
        Some(path) => Chosen::Containerd(path),
        None => Chosen::Nobody,
    }
}

/// Reads one file of a runtime's configuration and returns what it imports.
fn take(
    runtime: &mut Runtime,
    path: &Path,
    read: fn(&str) -> Result<Settings, Error>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let settings = match text(path, LONGEST) {
        Ok(None) => return Vec::new(),
        Ok(Some(text)) => read(&text),
        Err(error) => Err(error),
    };
    match settings {
        Ok(settings) => {
            let imports = settings.imports.clone();
            runtime.take(path, settings);
            imports
        }
        Err(error) => {
            runtime.unread.push(path.to_path_buf());
            problems.push(Problem {
                what: Subject::Other(format!("the configuration {}", path.display())),
                why: error.message,
            });
            Vec::new()
        }
    }
}

/// The files that an import names: relative to the file that has it, patterns in the last component
/// only (filepath.Glob would take them anywhere; nobody writes that). `None` where they may be out of sight: containerd
/// does not start without a file that is named (cmd/containerd/server/config), and a container may lack a directory of the
/// host.
fn matching(importer: &Path, pattern: &str) -> Option<Vec<PathBuf>> {
    let here = importer.parent().unwrap_or(importer);
    let path = here.join(pattern);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return None;
    };
    let glob = Glob::new(name).ok().filter(|_| name.contains(['*', '?', '[']));
    let Some(glob) = glob else {
        return path.exists().then(|| vec![path]);
    };
    if !directory.exists() && !directory.starts_with(here) {
        return None;
    }
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec());
        name.is_some_and(|name| glob.matches(&name))
    };
    Some(entries(directory).ok()?.into_iter().filter(named).collect())
}

/// The entries of a directory, sorted; none of one that is not there.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut paths = listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir()));
    paths.sort();
    Ok(paths)
}

/// A file as text, at most so many bytes of it; none when it is not there. Symbolic links are
/// followed, as the runtimes do.
fn text(path: &Path, longest: u64) -> Result<Option<String>, Error> {
    match read::text(path, Symlinks::Follow, longest) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.is_missing() => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_is_out_of_sight_is_not_read_as_none() {
        let place = tempfile::tempdir().unwrap();
        let (here, other) = (place.path().join("etc"), place.path().join("other"));
        fs::create_dir_all(here.join("conf.d")).unwrap();
        fs::create_dir_all(&other).unwrap();
        let names = ["conf.d/a.toml", "conf.d/b.txt"].map(|name| here.join(name));
        for name in &names {
            fs::write(name, "").unwrap();
        }
        let found = |pattern: &str| matching(&here.join("config.toml"), pattern);
        let at = |name: &str| format!("{}/{name}", place.path().display());
        assert_eq!(found("conf.d/*.toml"), Some(vec![names[0].clone()]));
        assert_eq!(found("conf.d/b.txt"), Some(vec![names[1].clone()]));
        // containerd starts without a match in its own directory.
        assert_eq!(found("more.d/*.toml"), Some(Vec::new()));
        assert_eq!(found(&at("other/*.toml")), Some(Vec::new()));
        assert_eq!(found(&at("absent/*.toml")), None);
        assert_eq!(found(&at("absent/a.toml")), None);
        assert_eq!(found("c.toml"), None);
    }

    #[test]
    fn the_units_may_write_where_the_distributions_have_their_configurations() {
        for unit in [
            include_str!("../../../templates/netkeel.service"),
            include_str!("../../../templates/netkeel-boot.service"),
            include_str!("../../../templates/netkeel-recover.service"),
        ] {
            let lists = unit
                .lines()
                .filter_map(|line| line.strip_prefix("ReadWritePaths="));
            let writable: Vec<&str> = lists
                .flat_map(|list| list.split(' '))
                .map(|path| path.trim_start_matches('-'))
                .collect();
            for Distribution { directory, .. } in DISTRIBUTIONS {
                let may = writable.iter().any(|path| Path::new(directory).starts_with(path));
                assert!(may, "{directory}");
            }
        }
    }

    #[test]
    fn the_addresses_of_the_node_are_in_the_comment_of_cilium() {
        let text = "/*\n cilium.v6.external.str fd00::5\n cilium.v6.internal.str fd00::a\n\n cilium.v4.external.str 10.20.0.5\n \
            cilium.v4.internal.str 10.0.1.73\n */\n#define ENABLE_IPV4 1\n";
        let expected: Vec<IpAddr> = ["10.20.0.5", "fd00::5"].map(|text| text.parse().unwrap()).into();
        assert_eq!(cilium_addresses(text).into_iter().collect::<Vec<_>>(), expected);
        assert!(cilium_addresses(" cilium.v4.external.str <nil>\n").is_empty());
    }

    #[test]
    fn the_runtime_of_kubernetes_is_chosen() {
        const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";
        let chosen = |there: &[&str], disables: bool| {
            let is = |path: &Path| there.iter().any(|known| Path::new(known) == path);
            choose(&is, &|path| disables && path == Path::new(CONTAINERD))
        };
        assert_eq!(chosen(&[], false), Chosen::Nobody);
        assert_eq!(chosen(&[CONTAINERD], false), Chosen::Containerd(CONTAINERD));
        assert_eq!(chosen(&[CONTAINERD, K3S], false), Chosen::Containerd(CONTAINERD));
        // Docker's containerd beside k3s, and alone.
        let docker = [CONTAINERD, CONTAINERD_SOCKET, K3S];
        assert_eq!(chosen(&docker, true), Chosen::Containerd(K3S));
        assert_eq!(chosen(&docker[..2], true), Chosen::Nobody);
        assert_eq!(
            chosen(&[CONTAINERD, CONTAINERD_SOCKET, CRI_O], true),
            Chosen::CriO
        );
        // Where the socket of k3s is, it runs, whatever is left of another one.
        let k3s = [
            CONTAINERD,
            CONTAINERD_SOCKET,
            K3S,
            "/run/k3s/containerd/containerd.sock",
        ];
        assert_eq!(chosen(&k3s, false), Chosen::Containerd(K3S));
        let microk8s = [
            CONTAINERD,
            "/var/snap/microk8s/current/args/containerd.toml",
            "/var/snap/microk8s/common/run/containerd.sock",
        ];
        assert_eq!(chosen(&microk8s, false), Chosen::Containerd(microk8s[1]));
        // A configuration that is left of an earlier installation.
        assert_eq!(chosen(&microk8s[..2], false), Chosen::Containerd(CONTAINERD));
        // Its configuration names the directory of plugins by a variable.
        let distribution = DISTRIBUTIONS.iter().find(|one| one.configuration == microk8s[1]);
        let mut runtime = Runtime::new(Some(Name::Containerd));
        distribution.unwrap().preset(&mut runtime);
        let by_variable =
            runtime::containerd("[plugins.cri.cni]\nbin_dir = '${SNAP_DATA}/opt/cni/bin'").unwrap();
        runtime.take(Path::new(microk8s[1]), by_variable);
        let plugins = Path::new("/var/snap/microk8s/current/opt/cni/bin");
        assert_eq!(runtime.plugin_directories(), [plugins]);
        assert_eq!(chosen(&[CONTAINERD, CRI_O, CRI_O_SOCKET], false), Chosen::CriO);
        assert_eq!(
            chosen(&[CONTAINERD, CRI_O, CONTAINERD_SOCKET], false),
            Chosen::Containerd(CONTAINERD)
        );
    }
}
