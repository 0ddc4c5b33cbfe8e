//! The names of pods, as CNI plugins' results note them: libcni keeps each result with the arguments
//! that the runtime gave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::files::read;
use crate::files::read::Symlinks;

/// Where libcni keeps results (`CacheDir`, libcni/api.go).
const RESULTS: &str = "/var/lib/cni/results";

/// Longest result that is read, bytes.
const LONGEST: u64 = 2 << 20;

#[derive(Deserialize)]
struct Cached {
    #[serde(rename = "cniArgs", default)]
    arguments: Vec<(String, String)>,
    #[serde(default)]
    result: CachedResult,
}

#[derive(Default, Deserialize)]
struct CachedResult {
    #[serde(default)]
    interfaces: Vec<Interface>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    sandbox: String,
}

/// `NAMESPACE/NAME` of each pod by the file of its sandbox. A file that cannot be read is skipped: a name
/// is for people only.
pub fn pod_names() -> BTreeMap<String, String> {
    let entries = fs::read_dir(RESULTS).into_iter().flatten().flatten();
    let mut names = BTreeMap::new();
    for entry in entries {
        let path = entry.path();
        if let Ok(text) = read::text(&path, Symlinks::Follow, LONGEST) {
            names.extend(named(&text));
        }
    }
    names
}

fn named(text: &str) -> Vec<(String, String)> {
    let Ok(cached) = serde_json::from_str::<Cached>(text) else {
        return Vec::new();
    };
    let argument = |name: &str| {
        let found = cached.arguments.iter().find(|(key, _)| key == name)?;
        // It goes to a terminal.
        found
            .1
            .chars()
            .all(|c| c.is_ascii_graphic())
            .then_some(found.1.as_str())
    };
    let (Some(namespace), Some(name)) = (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME")) else {
        return Vec::new();
    };
    let sandboxes = cached
        .result
        .interfaces
        .iter()
        .map(|interface| &interface.sandbox);
    let file = |sandbox: &String| {
        Path::new(sandbox)
            .file_name()?
            .to_str()
            .map(|name| format!("/run/netns/{name}"))
    };
    sandboxes
        .filter(|sandbox| !sandbox.is_empty())
        .filter_map(file)
        .map(|file| (file, format!("{namespace}/{name}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_names_the_pod_of_its_sandbox() {
        let cached = r#"{"kind":"cniCacheV1","containerId":"c0","ifName":"eth0","networkName":"pods",
            "cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","default"],["K8S_POD_NAME","web-0"]],
            "result":{"interfaces":[{"name":"cali0"},{"name":"eth0","sandbox":"/var/run/netns/cni-1"}]}}"#;
        let web = ("/run/netns/cni-1".to_owned(), "default/web-0".to_owned());
        assert_eq!(named(cached), [web]);
        assert_eq!(named(&cached.replace("web-0", "\\u001b[2J")), []);
        assert_eq!(named("{"), []);
        assert_eq!(named("{}"), []);
    }
}
