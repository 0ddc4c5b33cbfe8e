//! The selectors of an import: names and patterns of interfaces, sysctls, CNI plugins and NFLOG entries.

use std::collections::BTreeSet;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::glob::Glob;
use netkeel_core::text::suggest::nearest;
use netkeel_document::draft::{Draft, Entry, SYSCTL};
use netkeel_host::cni::configuration::Contents;
use netkeel_host::cni::state::Cni;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::nflog::NflogState;
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::snapshot::scope::on_host;

/// The selectors. Without any, everything is selected.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    words: Vec<Word>,
}

/// A selector.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    /// The pattern over names.
    name: Glob,
    /// The pattern over paths below /proc/sys.
    path: Glob,
    /// The same by the interface's own name, if it is a further name or an alias of one.
    own: Option<Box<Word>>,
}

impl Word {
    fn new(text: &str) -> Result<Self, Error> {
        Ok(Word {
            text: text.to_owned(),
            name: Glob::new(text)?,
            path: Glob::new(&slashes(text))?,
            own: None,
        })
    }

    fn finds_name(&self, name: &[u8]) -> bool {
        self.name.matches(name) || self.own.as_ref().is_some_and(|own| own.finds_name(name))
    }

    fn finds_key(&self, key: &SysctlKey) -> bool {
        self.path.matches(key.path().as_bytes()) || self.own.as_ref().is_some_and(|own| own.finds_key(key))
    }

    fn alone(&self) -> Selection {
        Selection {
            words: vec![self.clone()],
        }
    }
}

impl Selection {
    /// Reads selectors.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a broken pattern.
    pub fn new(words: &[String]) -> Result<Self, Error> {
        let words = words.iter().map(|text| Word::new(text));
        Ok(Selection {
            words: words.collect::<Result<_, Error>>()?,
        })
    }

    /// The selectors, and beside each further name or alias of an interface the interface's own name, in a sysctl
    /// too. The word itself may name something else as well.
    pub(crate) fn by_own_names(&self, host: &Snapshot) -> Self {
        let own = |word: &Word| -> Option<Box<Word>> {
            let text = match host.named(&word.text) {
                Some(name) => name.as_text().into_owned(),
                None => on_host(&word.text.parse().ok()?, &host.links)?.path().to_owned(),
            };
            Some(Box::new(Word::new(&text).ok()?))
        };
        let words = self.words.iter().map(|word| Word {
            own: own(word),
            ..word.clone()
        });
        Selection {
            words: words.collect(),
        }
    }

    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.words.is_empty()
    }

    /// The sysctls that are named, without those of patterns.
    pub fn named_sysctls(&self) -> Vec<SysctlKey> {
        let plain = |word: &&Word| !word.text.contains(['*', '?', '[', '\\']);
        let words = self.words.iter().filter(plain);
        let keys = words.filter_map(|word| word.text.parse::<SysctlKey>().ok());
        keys.filter(|key| key.path().starts_with("net/")).collect()
    }

    /// The directories below /proc/sys in which patterns can find sysctls that no selector names.
    pub fn sysctl_directories(&self) -> BTreeSet<String> {
        let directory = |word: &Word| {
            let path = slashes(&word.text);
            let plain = path.split(['*', '?', '[', '\\']).next()?;
            let (directory, _) = plain.rsplit_once('/')?;
            let of_net = directory == "net" || directory.starts_with("net/");
            (plain.len() < path.len() && of_net).then(|| directory.to_owned())
        };
        self.words.iter().filter_map(directory).collect()
    }

    /// Whether a selector finds a sysctl.
    pub fn finds_sysctl(&self, key: &SysctlKey) -> bool {
        self.words.iter().any(|word| word.finds_key(key))
    }

    /// Whether an interface is selected.
    pub fn has_link(&self, name: LinkName) -> bool {
        self.is_all() || self.words.iter().any(|word| word.finds_name(name.as_bytes()))
    }

    /// The selector that finds all of some interfaces, if it is a pattern.
    pub(crate) fn pattern_of(&self, names: &[LinkName]) -> Option<&str> {
        let all = |word: &&Word| names.iter().all(|name| word.finds_name(name.as_bytes()));
        self.words.iter().find(all).map(|word| word.text.as_str())
    }

    fn has_text(&self, text: &str) -> bool {
        self.is_all() || self.words.iter().any(|word| word.finds_name(text.as_bytes()))
    }

    /// Keeps the selected plugins.
    pub(crate) fn retain_cni(&self, cni: &mut Cni) {
        for (path, file) in &mut cni.files {
            let whole = self.has_text(&path.display().to_string());
            if let Some(file) = file
                && let Contents::Plugins(plugins) = &mut file.reading
            {
                plugins.retain(|plugin| whole || self.has_text(&plugin.kind));
            }
        }
    }

    /// Keeps the selected entries of a document.
    pub fn retain(&self, draft: &mut Draft) {
        draft.entries.retain(|entry| match entry.section {
            SYSCTL => {
                let key = entry.key.parse::<SysctlKey>();
                self.is_all() || key.is_ok_and(|key| self.finds_sysctl(&key))
            }
            _ => self.has_text(&entry.key),
        });
    }

    /// Demands that each selector finds an entry of a document, one of the sysctls that files set, or a CNI plugin.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for the first one that does not.
    pub fn require_entries(
        &self,
        draft: &Draft,
        sysctls: &BTreeSet<SysctlKey>,
        cni: &Cni,
    ) -> Result<(), Error> {
        for word in &self.words {
            let finds = |entry: &Entry| {
                let key = entry.key.parse::<SysctlKey>();
                let of_sysctl = key.is_ok_and(|key| word.finds_key(&key));
                match entry.section {
                    SYSCTL => of_sysctl,
                    _ => word.finds_name(entry.key.as_bytes()),
                }
            };
            let sets = |key: &SysctlKey| word.finds_key(key);
            let (one, mut cni) = (word.alone(), cni.clone());
            one.retain_cni(&mut cni);
            if !draft.entries.iter().any(finds) && !sysctls.iter().any(sets) && !has_plugins(&cni) {
                let message = format!("{} finds nothing in these files", quoted(&word.text));
                let error = Error::new(ErrorKind::Missing, message);
                let names = draft.entries.iter().map(|entry| entry.key.as_str());
                return Err(match nearest(&word.text, names) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("without a selector, everything is imported"),
                });
            }
        }
        Ok(())
    }

    /// The selected part of a host.
    pub(crate) fn of_host(&self, host: &Snapshot) -> Snapshot {
        let mut host = host.clone();
        if self.is_all() {
            return host;
        }
        host.links.retain(|name, _| self.has_link(*name));
        host.sysctls.retain(|key, _| self.finds_sysctl(key));
        if let Some(cni) = &mut host.cni {
            self.retain_cni(cni);
        }
        if let Some(nflog) = &mut host.nflog {
            nflog.entries.retain(|name, _| self.has_text(&name.to_string()));
            nflog
                .others
                .retain(|rule| self.has_text(&format!("group-{}", rule.group)));
        }
        host
    }

    /// Demands that each selector finds something on the host.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for the first one that does not.
    pub(crate) fn require(&self, host: &Snapshot) -> Result<(), Error> {
        for word in &self.words {
            let found = word.alone().of_host(host);
            let present = |reading: &SysctlReading| *reading != SysctlReading::Absent;
            let logs = |nflog: &NflogState| !nflog.entries.is_empty() || !nflog.others.is_empty();
            if found.links.is_empty()
                && !found.sysctls.values().any(present)
                && !found.cni.as_ref().is_some_and(has_plugins)
                && !found.nflog.as_ref().is_some_and(logs)
            {
                let message = format!(
                    "{} is no interface, sysctl, CNI plugin or NFLOG entry of this host",
                    quoted(&word.text)
                );
                let error = Error::new(ErrorKind::Missing, message);
                let names: Vec<String> = host
                    .links
                    .keys()
                    .map(ToString::to_string)
                    .chain(host.sysctls.keys().map(ToString::to_string))
                    .collect();
                return Err(match nearest(&word.text, names.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("`netkeel observe` prints what is there"),
                });
            }
        }
        Ok(())
    }
}

/// Whether a configuration has a plugin.
fn has_plugins(cni: &Cni) -> bool {
    cni.files.values().flatten().any(|file| match &file.reading {
        Contents::Plugins(plugins) => !plugins.is_empty(),
        Contents::Unread(_) | Contents::Invalid(_) | Contents::Template(_) => false,
    })
}

/// A pattern over sysctls with `/` between the components. The first separator decides, as for a key.
fn slashes(text: &str) -> String {
    match text.find(['.', '/']).map(|at| text.as_bytes().get(at)) {
        Some(Some(b'.')) => text
            .chars()
            .map(|char| match char {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_finds_names_and_keys_in_either_form() {
        let selection = Selection::new(&["eth0.100".to_owned(), "net.core.*".to_owned()]).unwrap();
        assert!(selection.has_link("eth0.100".parse().unwrap()));
        assert!(!selection.has_link("eth0".parse().unwrap()));
        assert!(selection.finds_sysctl(&"net.core.rmem_max".parse().unwrap()));
        assert!(!selection.finds_sysctl(&"net.ipv4.ip_forward".parse().unwrap()));
        assert!(selection.named_sysctls().is_empty());
        assert_eq!(selection.sysctl_directories(), ["net/core".to_owned()].into());
        let selection = Selection::new(&["net/ipv4/conf/eth0.100/rp_filter".to_owned()]).unwrap();
        assert_eq!(selection.named_sysctls().len(), 1);
        assert!(selection.sysctl_directories().is_empty());
        assert!(Selection::new(&["a[".to_owned()]).is_err());
    }

    #[test]
    fn an_alias_finds_its_interface_and_what_else_has_that_name() {
        let host = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
            "links":{"eth0":{"index":2,"mtu":1500,"alias":"uplink","up":true}},"sysctls":{}}"#;
        let host = Snapshot::from_json(host).unwrap();
        let selection = Selection::new(&["uplink".to_owned()])
            .unwrap()
            .by_own_names(&host);
        let [link, other] = ["eth0", "eth1"].map(|name| selection.has_link(name.parse().unwrap()));
        assert!(link && !other && selection.has_text("uplink"));
        let key = |name: &str| format!("net.ipv4.conf.{name}.rp_filter");
        let selection = Selection::new(&[key("uplink")]).unwrap().by_own_names(&host);
        for name in ["eth0", "uplink"] {
            assert!(selection.finds_sysctl(&key(name).parse().unwrap()), "{name}");
        }
    }
}
