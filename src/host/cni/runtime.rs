//! The directory from which a container runtime loads CNI configurations, and the file it picks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cni::configuration::{Configuration, Contents};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::{Code, Findings};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::span::FileId;
use netkeel_source::toml::parse;

/// The default directory of all runtimes.
const DEFAULT_DIRECTORY: &str = "/etc/cni/net.d";

/// The default directory of plugins of all runtimes.
const PLUGINS: &str = "/opt/cni/bin";

/// The tables of containerd's configuration that may hold `cni`, by its versions 1, 2 and 3
/// (docs/cri/config.md of containerd).
const CRI_TABLES: &[&str] = &["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];

/// The CNI settings of a container runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runtime {
    /// Its name; none when no runtime was found and the defaults apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The file that sets the directory; none when the default applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) said_by: Option<PathBuf>,
    /// The directory.
    pub directory: PathBuf,
    /// The network to take, by its `name`, instead of the first file (CRI-O).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The directories with the programs of plugins; empty when the default applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PathBuf>,
    /// The files of its configuration that could not be read: what they set is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<PathBuf>,
}

/// The container runtimes that netkeel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RuntimeName")]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// containerd.
    Containerd,
    /// CRI-O.
    CriO,
}

/// The result of loading a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded<'a> {
    /// This file is loaded.
    File(&'a Path),
    /// The runtime stops at this file, which comes first and cannot be loaded, for this reason.
    Stopped(&'a Path, &'a str),
    /// The directory has no configuration.
    Nothing,
}

/// CNI settings in a runtime's own configuration; a field is `None` if it is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The directory.
    pub directory: Option<PathBuf>,
    /// The network's name (CRI-O).
    pub network: Option<String>,
    /// The directories with the programs of plugins.
    pub plugins: Vec<PathBuf>,
    /// Files to read after this one (containerd's `imports`); patterns.
    pub imports: Vec<String>,
    /// The file disables the CRI, as in Docker's containerd: Kubernetes does not use this runtime.
    pub disables_cri: bool,
}

impl Runtime {
    /// A runtime with default settings.
    pub fn new(name: Option<Name>) -> Self {
        Runtime {
            name,
            said_by: None,
            directory: PathBuf::from(DEFAULT_DIRECTORY),
            network: None,
            plugins: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// The directories in which it looks for the program of a plugin, in its order.
    pub fn plugin_directories(&self) -> Vec<&Path> {
        match self.plugins.as_slice() {
            [] => vec![Path::new(PLUGINS)],
            declared => declared.iter().map(PathBuf::as_path).collect(),
        }
    }

    /// Applies the settings of a file; later files override earlier ones.
    pub fn take(&mut self, file: &Path, settings: Settings) {
        if let Some(directory) = settings.directory {
            self.directory = directory;
            self.said_by = Some(file.to_path_buf());
        }
        self.network = settings.network.or(self.network.take());
        if !settings.plugins.is_empty() {
            self.plugins = settings.plugins;
        }
    }

    /// The file that is loaded, or would be loaded if the files before it were valid.
    pub fn intends<'a>(&self, files: &'a BTreeMap<PathBuf, Option<Configuration>>) -> Option<&'a Path> {
        let forgiving = Runtime {
            name: Some(Name::CriO),
            ..self.clone()
        };
        match forgiving.loads(files) {
            Loaded::File(path) => Some(path),
            Loaded::Stopped(..) | Loaded::Nothing => None,
        }
    }

    /// The configurations in its directory, in the order in which the runtime tries them.
    pub fn candidates<'a>(
        &self,
        files: &'a BTreeMap<PathBuf, Option<Configuration>>,
    ) -> impl Iterator<Item = (&'a Path, &'a Configuration)> {
        files.iter().filter_map(|(path, file)| {
            let here = path.parent() == Some(&self.directory) && is_configuration(path);
            Some((path.as_path(), file.as_ref().filter(|_| here)?))
        })
    }

    /// The file that the runtime loads, among the files that were read.
    ///
    /// containerd takes the first by path and fails if it cannot load that one (go-cni
    /// `loadFromConfDir`). CRI-O skips it (ocicni `loadNetworks`).
    pub fn loads<'a>(&self, files: &'a BTreeMap<PathBuf, Option<Configuration>>) -> Loaded<'a> {
        for (path, file) in self.candidates(files) {
            let why = match &file.reading {
                Contents::Plugins(_) | Contents::Unread(_) => match (&self.network, &file.network) {
                    (Some(wanted), found) if found.as_ref() != Some(wanted) => continue,
                    _ => return Loaded::File(path),
                },
                Contents::Invalid(why) => why,
                Contents::Template(_) => "it is a template that has not been filled in",
            };
            if self.name != Some(Name::CriO) {
                return Loaded::Stopped(path, why);
            }
        }
        Loaded::Nothing
    }
}

impl Name {
    /// The runtime's name.
    pub fn word(self) -> &'static str {
        match self {
            Name::Containerd => "containerd",
            Name::CriO => "CRI-O",
        }
    }
}

/// Whether runtimes treat a file as a configuration, by its name (libcni `ConfFiles` with the
/// extensions of go-cni). Hidden files count.
pub fn is_configuration(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("conf" | "conflist" | "json"))
}

/// Reads containerd's config.toml, of version 1, 2 or 3.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when it is not TOML.
pub fn containerd(text: &str) -> Result<Settings, Error> {
    let root = parse(text)?;
    let plugins = root.get("plugins");
    let cni = CRI_TABLES
        .iter()
        .rev()
        .find_map(|table| plugins?.get(table)?.get("cni"));
    let list = |key: &str| root.get(key).map(Node::items).unwrap_or_default();
    let (imports, disabled) = (list("imports"), list("disabled_plugins"));
    Ok(Settings {
        directory: directory(cni, "conf_dir"),
        network: None,
        plugins: directories(cni, "bin_dir")
            .or_else(|| directories(cni, "bin_dirs"))
            .unwrap_or_default(),
        imports: imports.iter().filter_map(Node::text).map(str::to_owned).collect(),
        disables_cri: disabled
            .iter()
            .filter_map(Node::text)
            .any(|plugin| CRI_TABLES.contains(&plugin)),
    })
}

/// Reads CRI-O's crio.conf or one of its drop-ins.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when it is not TOML.
pub fn cri_o(text: &str) -> Result<Settings, Error> {
    let root = parse(text)?;
    let network = root.get("crio").and_then(|crio| crio.get("network"));
    let name = network.and_then(|network| network.get("cni_default_network")?.text());
    Ok(Settings {
        directory: directory(network, "network_dir"),
        network: name.filter(|name| !name.is_empty()).map(str::to_owned),
        plugins: directories(network, "plugin_dirs").unwrap_or_default(),
        imports: Vec::new(),
        disables_cri: false,
    })
}

fn directory(table: Option<&Node>, key: &str) -> Option<PathBuf> {
    absolute(table?.get(key)?.text()?)
}

/// One directory as text, or a list of them; none where there is none.
fn directories(table: Option<&Node>, key: &str) -> Option<Vec<PathBuf>> {
    let texts = table?.get(key)?.items().iter().filter_map(Node::text);
    let found: Vec<PathBuf> = texts.filter_map(absolute).collect();
    (!found.is_empty()).then_some(found)
}

fn absolute(text: &str) -> Option<PathBuf> {
    // Normalizes a trailing slash: `/etc/cni/net.d/` is not the parent of any path.
    let path: PathBuf = Path::new(text).components().collect();
    path.is_absolute().then_some(path)
}

fn parse(text: &str) -> Result<Node, Error> {
    let mut diagnostics = Diagnostics::default();
    parse::parse(FileId(0), text, &mut diagnostics).ok_or_else(|| {
        let why = diagnostics
            .list
            .first()
            .map_or("it is empty", |first| &first.message);
        Error::new(ErrorKind::Unreadable, why)
    })
}

/// Reports a file that stops the runtime.
pub fn stopped(runtime: &Runtime, path: &Path, why: &str, findings: &mut Findings) {
    let who = runtime.name.map_or("the container runtime", Name::word);
    let message = format!("{who} takes this CNI configuration first and cannot load it: {why}");
    let remedy = "fix or remove it: no pod starts until then";
    findings.add(Code::NK041, path.display(), message, remedy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cni::conflist;

    #[test]
    fn each_version_of_containerd_names_its_directory_elsewhere() {
        let of = |text: &str| containerd(text).unwrap().directory;
        let v1 = "[plugins.cri.cni]\nconf_dir = '/etc/cni/v1'";
        let v2 = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\n  bin_dir = \"/opt/cni/bin\"\n  conf_dir = \"/etc/cni/v2/\"\n";
        let v3 = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = '/etc/cni/v3'";
        assert_eq!(of(v1), Some("/etc/cni/v1".into()));
        assert_eq!(of(v2), Some("/etc/cni/v2".into()));
        assert_eq!(of(v3), Some("/etc/cni/v3".into()));
        assert_eq!(of("version = 2"), None);
        let plugins = |text: &str| containerd(text).unwrap().plugins;
        assert_eq!(plugins(v2), [Path::new("/opt/cni/bin")]);
        assert_eq!(plugins(v3), Vec::<PathBuf>::new());
        assert_eq!(
            plugins(&v3.replace("conf_dir = '/etc/cni/v3'", "bin_dirs = ['/a/', '/b']")),
            [Path::new("/a"), Path::new("/b")]
        );
        let disables = |text: &str| containerd(text).unwrap().disables_cri;
        assert!(disables("disabled_plugins = [\"cri\"]"));
        assert!(disables(
            "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']"
        ));
        assert!(!disables("disabled_plugins = ['io.containerd.internal.v1.opt']"));
        assert_eq!(containerd(v3).unwrap().imports, ["/etc/containerd/conf.d/*.toml"]);
        assert_eq!(containerd("version = ").unwrap_err().kind, ErrorKind::Unreadable);
    }

    #[test]
    fn cri_o_names_a_directory_and_a_network() {
        let text = "[crio.network]\nnetwork_dir = \"/etc/cni/net.d/\"\ncni_default_network = \"pods\"\nplugin_dirs = [\"/opt/cni/bin/\", \"/usr/libexec/cni\"]\n";
        let settings = cri_o(text).unwrap();
        assert_eq!(settings.directory, Some("/etc/cni/net.d".into()));
        assert_eq!(settings.network.as_deref(), Some("pods"));
        let mut runtime = Runtime::new(Some(Name::CriO));
        assert_eq!(runtime.plugin_directories(), [Path::new(PLUGINS)]);
        runtime.take(Path::new("/etc/crio/crio.conf"), settings);
        runtime.take(Path::new("/etc/crio/crio.conf"), Settings::default());
        let both = [Path::new(PLUGINS), Path::new("/usr/libexec/cni")];
        assert_eq!(runtime.plugin_directories(), both);
        assert_eq!(
            cri_o("[crio.network]\ncni_default_network = ''").unwrap(),
            Settings::default()
        );
    }

    #[test]
    fn the_first_file_by_name_is_loaded() {
        let good = r#"{"name": "pods", "plugins": [{"type": "calico"}]}"#;
        let other = r#"{"name": "other", "type": "bridge"}"#;
        let files = |list: &[(&str, &str)]| -> BTreeMap<PathBuf, Option<Configuration>> {
            list.iter()
                .map(|(name, text)| {
                    (
                        Path::new(DEFAULT_DIRECTORY).join(name),
                        Some(conflist::read(text)),
                    )
                })
                .collect()
        };
        let show = |runtime: &Runtime, list: &[(&str, &str)]| match runtime.loads(&files(list)) {
            Loaded::File(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
            Loaded::Stopped(path, why) => {
                format!("stopped by {}: {why}", path.file_name().unwrap().display())
            }
            Loaded::Nothing => "nothing".into(),
        };
        let containerd = Runtime::new(Some(Name::Containerd));
        let mut cri_o = Runtime::new(Some(Name::CriO));
        let both = [
            ("10-b.conflist", good),
            ("05-a.conf", other),
            ("00-x.conflist.tmp", "{"),
            ("99.json", other),
        ];
        assert_eq!(show(&containerd, &both), "05-a.conf");
        let broken = [("10-b.conflist", good), (".05-a.conf", "")];
        assert_eq!(show(&containerd, &broken), "stopped by .05-a.conf: it is empty");
        assert_eq!(show(&cri_o, &broken), "10-b.conflist");
        cri_o.network = Some("pods".into());
        assert_eq!(show(&cri_o, &both), "10-b.conflist");
        assert_eq!(show(&containerd, &[("README", good)]), "nothing");
    }
}
