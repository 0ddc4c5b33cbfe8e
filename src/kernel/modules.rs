//! Whether this kernel can make a tunnel, told without making one: a device of the kind, the
//! module loaded, or the module on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::files::file::exists;
use crate::files::read;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::reading::Support;

/// Whether the kernel supports a mode. The cheapest sources come first.
pub(crate) fn support(mode: TunnelKind, links: &BTreeMap<LinkName, Arc<Link>>, release: &str) -> Support {
    let made = links.iter().any(|(name, link)| {
        link.kind.as_deref() == Some(mode.kind()) || name.as_bytes() == mode.fallback_device().as_bytes()
    });
    if made || is_loaded(mode.module()) {
        return Support::Yes;
    }
    loadable(mode.module(), release)
}

/// Whether the kernel has all of these modules, as far as can be told without using them.
pub(crate) fn all_of(modules: &[&str], release: &str) -> Support {
    let mut answer = Support::Yes;
    for module in modules {
        if is_loaded(module) {
            continue;
        }
        match on_disk(module, &Path::new("/lib/modules").join(release)) {
            Support::Yes => {}
            Support::Unknown => answer = Support::Unknown,
            missing @ Support::Missing { .. } => return missing,
        }
    }
    answer
}

/// The module is not in the kernel and on disk, so that asking for what it does would load it.
pub(crate) fn would_be_loaded(module: &str, release: &str) -> bool {
    let directory = Path::new("/lib/modules").join(release);
    !is_loaded(module) && !is_builtin(module, &directory) && on_disk(module, &directory) == Support::Yes
}

/// Whether the kernel can load a module that has parameters, so that /sys/module shows it where it is built
/// in. Without a directory for the kernel's release there is no module to load, if the host's files are
/// seen: modprobe(8) runs in the mount namespace of the host's first process.
fn loadable(module: &str, release: &str) -> Support {
    match on_disk(module, &Path::new("/lib/modules").join(release)) {
        // A host without any /lib/modules may keep its modules elsewhere (kernel.modprobe).
        Support::Unknown if is_in_the_hosts_root() && Path::new("/lib/modules").exists() => {
            Support::Missing {
                module: module.to_owned(),
            }
        }
        found => found,
    }
}

/// Whether this process is in the mount namespace of the first process of the host.
fn is_in_the_hosts_root() -> bool {
    // PROC_PID_INIT_INO (include/linux/proc_ns.h).
    const FIRST: &str = "pid:[4026531836]";
    let link = |path: &str| fs::read_link(path).ok();
    let of_host = link("/proc/self/ns/pid").is_some_and(|namespace| namespace.as_os_str() == FIRST);
    let mounts = link("/proc/self/ns/mnt");
    of_host && mounts.is_some() && mounts == link("/proc/1/ns/mnt")
}

fn is_loaded(module: &str) -> bool {
    exists(format!("/sys/module/{module}")).unwrap_or(false)
}

/// Built in: listed here, and without parameters absent from /sys/module.
fn is_builtin(module: &str, directory: &Path) -> bool {
    read::system(directory.join("modules.builtin"))
        .is_ok_and(|builtin| builtin.lines().any(|line| is_module(line, module)))
}

/// Looks in what depmod(8) wrote for the running kernel.
fn on_disk(module: &str, directory: &Path) -> Support {
    if is_builtin(module, directory) {
        return Support::Yes;
    }
    let Ok(dependencies) = read::system(directory.join("modules.dep")) else {
        return Support::Unknown;
    };
    let listed = |line: &str| line.split(':').next().is_some_and(|path| is_module(path, module));
    if dependencies.lines().any(listed) {
        Support::Yes
    } else {
        Support::Missing {
            module: module.to_owned(),
        }
    }
}

/// `kernel/net/ipv4/ipip.ko.xz` is the module `ipip`; `-` and `_` mean the same in a name.
fn is_module(path: &str, module: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file.split_once(".ko") {
        Some((name, _)) => {
            name.len() == module.len()
                && name
                    .bytes()
                    .zip(module.bytes())
                    .all(|(a, b)| a == b || (a == b'-' && b == b'_'))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_module_is_found_where_depmod_lists_it() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path();
        assert_eq!(on_disk("ipip", directory), Support::Unknown);
        let dep = "kernel/net/ipv4/ip_tunnel.ko:\nkernel/net/ipv4/ipip.ko.xz: kernel/net/ipv4/ip_tunnel.ko\n";
        fs::write(directory.join("modules.dep"), dep).unwrap();
        assert_eq!(on_disk("ipip", directory), Support::Yes);
        let missing = Support::Missing {
            module: "ip6_tunnel".into(),
        };
        assert_eq!(on_disk("ip6_tunnel", directory), missing);
        fs::write(
            directory.join("modules.builtin"),
            "kernel/net/ipv6/ip6-tunnel.ko\n",
        )
        .unwrap();
        assert_eq!(on_disk("ip6_tunnel", directory), Support::Yes);
    }
}
