//! What of a host is compared: interfaces, addresses, routes, every sysctl below net, files with
//! mode and owner, nftables. Two observations are the same or their difference is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::world::{CNI, DROP_INS, World};

/// Facts compared so far, by all tests.
pub static FACTS: AtomicUsize = AtomicUsize::new(0);

/// Comparisons made so far.
pub static COMPARISONS: AtomicUsize = AtomicUsize::new(0);

/// Sysctls that change by themselves.
const RESTLESS: &[&str] = &["net/netfilter/nf_conntrack_count", "net/ipv4/tcp_fastopen_key"];

/// A host by facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed(BTreeMap<String, String>);

pub fn look(world: &World) -> Observed {
    look_at(world, &|_| true)
}

/// What there is to see, with the sysctls that are `wanted` by their path below /proc/sys, which ends in `/` for
/// a directory. An interface has about two hundred.
pub fn look_at(world: &World, wanted: &dyn Fn(&str) -> bool) -> Observed {
    let mut facts = BTreeMap::new();
    let links = settled(world);
    for link in links.as_array().into_iter().flatten() {
        let name = link["ifname"].as_str().unwrap_or_default();
        flatten(&format!("link {name}"), link, &mut facts);
    }
    let routes = world.sh("ip route show table all; ip -6 route show table all; ip rule; ip -6 rule");
    for line in routes.lines() {
        facts.insert(format!("route or rule {line}"), "present".to_owned());
    }
    facts.insert("nftables".to_owned(), world.sh("nft list ruleset"));
    sysctls(Path::new("/proc/sys/net"), wanted, &mut facts);
    files(Path::new(DROP_INS), &mut facts);
    files(Path::new(CNI), &mut facts);
    Observed(facts)
}

/// How often an interface is given time to come up, 5 ms each.
const PATIENCE: usize = 4000;

/// The interfaces, once the kernel is done with what it does by itself: carriers, link-local
/// addresses, and looking for others with the same address.
pub fn settled(world: &World) -> Value {
    let mut links = Value::Null;
    for _ in 0..PATIENCE {
        links = serde_json::from_str(&world.sh("ip -j -d address show")).unwrap();
        if links.as_array().into_iter().flatten().all(is_settled) {
            break;
        }
        sleep(Duration::from_millis(5));
    }
    links
}

fn is_settled(link: &Value) -> bool {
    let list = |name: &str| link[name].as_array().into_iter().flatten();
    let flag = |flag: &str| list("flags").any(|set| set == flag);
    let local = |address: &Value| {
        address["local"]
            .as_str()
            .is_some_and(|local| local.starts_with("fe80:"))
    };
    let made = list("addr_info").any(local);
    // Also one that was just added again.
    let tentative = list("addr_info").any(|address| address["tentative"] == true);
    let carrier = !flag("NO-CARRIER") && link["operstate"] != "LOWERLAYERDOWN";
    !flag("UP") || flag("LOOPBACK") || (carrier && !tentative && (made || link["mtu"].as_u64() < Some(1280)))
}

fn flatten(path: &str, value: &Value, facts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            // The kernel attaches the queueing discipline when an interface first comes up.
            for (name, value) in fields.iter().filter(|(name, _)| *name != "qdisc") {
                flatten(&format!("{path}.{name}"), value, facts);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                // Addresses by themselves: one that comes back may stand elsewhere in the list.
                let name = item["local"].as_str().map_or(number.to_string(), str::to_owned);
                flatten(&format!("{path}.{name}"), item, facts);
            }
        }
        other => {
            facts.insert(path.to_owned(), other.to_string());
        }
    }
}

fn sysctls(directory: &Path, wanted: &dyn Fn(&str) -> bool, facts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = path.strip_prefix("/proc/sys").unwrap().display().to_string();
        if entry.file_type().unwrap().is_dir() {
            if wanted(&format!("{name}/")) {
                sysctls(&path, wanted, facts);
            }
            continue;
        }
        if RESTLESS.contains(&name.as_str()) || !wanted(&name) {
            continue;
        }
        let value = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        facts.insert(
            format!("sysctl {name}"),
            value.unwrap_or_else(|error| error.kind().to_string()),
        );
    }
}

fn files(directory: &Path, facts: &mut BTreeMap<String, String>) {
    let mut names = BTreeSet::new();
    names.insert(directory.to_path_buf());
    names.extend(
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for path in names {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if metadata.is_dir() {
            String::new()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
        facts.insert(
            format!("file {}", path.display()),
            format!("{mode:o} {uid}:{gid} {content}"),
        );
    }
}

impl Observed {
    /// How this differs from what was expected; nothing when it does not.
    pub fn difference(&self, expected: &Observed) -> Option<String> {
        COMPARISONS.fetch_add(1, Ordering::Relaxed);
        FACTS.fetch_add(expected.0.len(), Ordering::Relaxed);
        let mut lines = Vec::new();
        for key in self.0.keys().chain(expected.0.keys()).collect::<BTreeSet<_>>() {
            let (is, should) = (self.0.get(key), expected.0.get(key));
            if is != should {
                let show =
                    |value: Option<&String>| value.map_or("absent".to_owned(), |value| format!("{value:?}"));
                lines.push(format!("  {key} is {} and should be {}", show(is), show(should)));
            }
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The same and a fact more.
    #[allow(dead_code, reason = "the attacks use it")]
    pub fn with(mut self, name: &str, value: String) -> Observed {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// The same without the facts whose names match.
    pub fn without(&self, matches: impl Fn(&str) -> bool) -> Observed {
        let kept = self.0.iter().filter(|(name, _)| !matches(name));
        Observed(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}
