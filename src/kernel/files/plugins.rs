//! The programs of CNI plugins on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::files::go_build;
use netkeel_host::cni::configuration::Configuration;
use netkeel_host::cni::program::{Program, built_version};
use netkeel_host::cni::state::Cni;

/// The programs of all plugins that the configurations name, those of IPAM too, by the plugins' types.
pub fn programs(cni: &Cni) -> BTreeMap<Arc<str>, Program> {
    let directories = cni
        .runtime
        .as_ref()
        .map(|runtime| runtime.plugin_directories())
        .unwrap_or_default();
    let files = cni.files.values().flatten();
    let plugins = files.flat_map(Configuration::plugins);
    let kinds = plugins.flat_map(|plugin| [Some(&plugin.kind), plugin.ipam.as_ref()]);
    kinds
        .flatten()
        .map(|kind| (kind.clone(), program(kind, &directories)))
        .collect()
}

/// The program of a type, which is the name of its file.
fn program(kind: &str, directories: &[&Path]) -> Program {
    let is_name = !kind.is_empty() && !kind.contains('/') && kind != "." && kind != "..";
    let paths = directories.iter().map(|directory| directory.join(kind));
    let path = paths.filter(|_| is_name).find(|path| path.is_file());
    let information = path.as_deref().and_then(go_build::information);
    Program {
        version: information.as_deref().and_then(built_version),
        path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_the_first_file_of_its_name_and_its_version_may_be_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("portmap");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let directories = [Path::new("/nonexistent"), directory.path()];
        let found = |kind| program(kind, &directories);
        let unknown = Program {
            path: Some(script),
            version: None,
        };
        assert_eq!(found("portmap"), unknown);
        for kind in ["calico", "../portmap", "..", ""] {
            assert_eq!(found(kind), Program::default(), "{kind}");
        }
    }
}
