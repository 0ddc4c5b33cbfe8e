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

/// A pod as a result notes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedPod {
    /// `NAMESPACE/NAME`.
    pub name: String,
    /// Its UID; `None` if the runtime did not give it.
    pub uid: Option<String>,
}

/// `NAMESPACE/NAME` of each pod by the file of its sandbox. A file that cannot be read is skipped: a name
/// is for people only.
pub fn pod_names() -> BTreeMap<String, String> {
    let noted = noted_pods().into_iter();
    noted.map(|(sandbox, pod)| (sandbox, pod.name)).collect()
}

/// The pods by the file of their sandboxes. A file that cannot be read is skipped.
pub fn noted_pods() -> BTreeMap<String, NotedPod> {
    let entries = fs::read_dir(RESULTS).into_iter().flatten().flatten();
    let mut pods = BTreeMap::new();
    for entry in entries {
        let path = entry.path();
        if let Ok(text) = read::text(&path, Symlinks::Follow, LONGEST) {
            pods.extend(noted(&text));
        }
    }
    pods
}

fn noted(text: &str) -> Vec<(String, NotedPod)> {
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
    let pod = NotedPod {
        name: format!("{namespace}/{name}"),
        uid: argument("K8S_POD_UID")
            .filter(|uid| !uid.is_empty())
            .map(str::to_owned),
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
        .map(|file| (file, pod.clone()))
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
        let web = |uid: Option<&str>| {
            let pod = NotedPod {
                name: "default/web-0".to_owned(),
                uid: uid.map(str::to_owned),
            };
            ("/run/netns/cni-1".to_owned(), pod)
        };
        assert_eq!(noted(cached), [web(None)]);
        // containerd and CRI-O give it.
        let with_uid = cached.replace(r#"["IgnoreUnknown","1"]"#, r#"["K8S_POD_UID","u-1"]"#);
        assert_eq!(noted(&with_uid), [web(Some("u-1"))]);
        assert_eq!(noted(&cached.replace("web-0", "\\u001b[2J")), []);
        assert_eq!(noted("{"), []);
        assert_eq!(noted("{}"), []);
    }
}
