//! The crates of a workspace, as `cargo metadata` lists them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A package of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its name in the table: without `netkeel-`, and `cli` for the package `netkeel`.
    pub name: String,
    /// Where its `Cargo.toml` lies.
    pub directory: PathBuf,
    /// Where `Cargo.toml` of the workspace lies.
    pub workspace: PathBuf,
    /// The root files of its library and its programs.
    pub roots: Vec<PathBuf>,
    /// The packages that it needs to be built; those for tests only, and those that only the feature `testing`
    /// brings, are left out.
    pub dependencies: Vec<String>,
}

impl Crate {
    /// The directory of its sources.
    pub fn sources(&self) -> &Path {
        let root = self.roots.first().expect("a package has a library or a program");
        root.parent().expect("a file lies in a directory")
    }
}

/// The name in the table of a package of netkeel.
pub fn short_name(package: &str) -> Option<&str> {
    match package {
        "netkeel" => Some("cli"),
        _ => package.strip_prefix("netkeel-"),
    }
}

/// All packages of the workspace that a directory belongs to.
///
/// # Panics
///
/// Where cargo cannot read the workspace, or one of its packages is not netkeel's.
pub fn crates(directory: &Path) -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(directory)
        .output()
        .expect("this test needs cargo");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {stderr}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let workspace = text(&metadata["workspace_root"]);
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| read(package, workspace)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a text here")
}

fn read(package: &Value, workspace: &str) -> Crate {
    let name = text(&package["name"]);
    let list = |field: &str| package[field].as_array().unwrap().iter();
    let is_root = |target: &&Value| {
        let mut kinds = target["kind"].as_array().unwrap().iter().map(text);
        kinds.any(|kind| matches!(kind, "lib" | "bin"))
    };
    Crate {
        name: short_name(name)
            .unwrap_or_else(|| panic!("the package {name} is not named netkeel or netkeel-..."))
            .to_owned(),
        directory: Path::new(text(&package["manifest_path"]))
            .parent()
            .unwrap()
            .to_owned(),
        workspace: workspace.into(),
        roots: list("targets")
            .filter(is_root)
            .map(|target| text(&target["src_path"]).into())
            .collect(),
        dependencies: list("dependencies")
            .filter(|dependency| dependency["kind"] != "dev" && !is_for_tests(package, dependency))
            .map(|dependency| text(&dependency["name"]).to_owned())
            .collect(),
    }
}

/// An optional dependency that the feature `testing` enables: only the tests of other crates ask for it.
fn is_for_tests(package: &Value, dependency: &Value) -> bool {
    let enabled = format!("dep:{}", text(&dependency["name"]));
    let testing = package["features"]["testing"].as_array();
    dependency["optional"] == true
        && testing.is_some_and(|list| list.iter().any(|one| *one == enabled.as_str()))
}
