//! The kind `cni`: the `mtu` for new pods, set in the CNI configuration that the container runtime
//! loads.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::kinds::kind::{Context, Section};
use crate::kinds::mtu::{MTU, Wanted};
use crate::kinds::required;
use crate::kinds::required::Required;
use crate::not_the_host::NotTheHost;
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::Origin;
use crate::want::wants::Wants;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::finding::Code;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::escape::quoted;
use netkeel_host::cni::configuration::{Configuration, Contents};
use netkeel_host::cni::runtime::Loaded;
use netkeel_host::cni::state::Cni;
use netkeel_host::cni::{plugin_type, runtime};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

pub(crate) struct Kind;

const FIELDS: &[Field] = &[
    Field {
        name: "file",
        shape: Shape::Text {
            check: file,
            what: "the absolute path of a CNI configuration",
        },
        required: false,
        doc: "The configuration; by default the one that the container runtime loads.",
    },
    Field {
        name: "plugin",
        shape: Shape::Text {
            check: plugin,
            what: "the type of a CNI plugin",
        },
        required: true,
        doc: "The `type` of the plugin whose `mtu` to set, anywhere in the file; for `flannel`, its delegate's `mtu`.",
    },
    Field {
        name: "mtu",
        shape: MTU,
        required: true,
        doc: "MTU that the plugin gives to the interfaces of new pods: bytes, or a budget.",
    },
    required::field(
        "An error if there is no such configuration; then nothing is applied. `apply --allow-missing`, as the boot unit runs it, applies the rest. Default: no, which is a finding.",
    ),
];

const FIELD: Field = Field {
    name: "cni",
    shape: Shape::Table {
        key: any,
        key_doc: "A name of your choice.",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "The `mtu` of CNI plugins, in the configuration from which new pods take it. Every other byte of the file stays.",
};

fn any(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(ErrorKind::Input, "the name is empty"));
    }
    Ok(())
}

fn file(text: &str) -> Result<(), Error> {
    let path = FilePath::new(text);
    if !path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return Err(Error::new(
            ErrorKind::Input,
            format!("{} is not an absolute path", quoted(text)),
        )
        .hint("as /etc/cni/net.d/10-calico.conflist"));
    }
    if !runtime::is_configuration(path) {
        let message = format!("{} is not the name of a CNI configuration", quoted(text));
        return Err(Error::new(ErrorKind::Input, message)
            .hint("runtimes load .conflist, .conf and .json; a template is changed where it comes from"));
    }
    Ok(())
}

fn plugin(text: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || !text.bytes().all(plain) {
        let message = format!("{} is not the type of a CNI plugin", quoted(text));
        return Err(Error::new(ErrorKind::Input, message).hint("the name of the plugin's program, as calico"));
    }
    match plugin_type::elsewhere(text) {
        Some(remedy) => Err(Error::new(
            ErrorKind::Input,
            format!("{text} reads no mtu in its configuration"),
        )
        .hint(remedy)),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Plugins {
    netns: Netns,
    entries: Vec<Entry>,
    withheld: Option<NotTheHost>,
}

#[derive(Debug)]
struct Entry {
    path: String,
    file: Option<(PathBuf, Span)>,
    plugin: Arc<str>,
    plugin_span: Span,
    mtu: Wanted,
    required: Required,
    span: Span,
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let mut plugins = Plugins {
            netns: context.netns.clone(),
            entries: Vec::new(),
            withheld: None,
        };
        for entry in entries.entries() {
            let field = |name: &str| entry.value.get(name);
            let plugin = field("plugin").and_then(|node| Some((node.text()?, node.span)));
            let path = KeyPath::of(&["cni", &entry.key]);
            let below = format!("{path}.mtu");
            let mtu = field("mtu")
                .and_then(|node| Some((Wanted::mtu(node, &below, context.diagnostics)?, node.span)));
            let (Some((plugin, plugin_span)), Some((mtu, span))) = (plugin, mtu) else {
                continue;
            };
            let file = field("file").and_then(|node| Some((PathBuf::from(node.text()?), node.span)));
            plugins.entries.push(Entry {
                path,
                file,
                plugin: plugin.into(),
                plugin_span,
                mtu,
                required: Required::read(&entry.value),
                span,
            });
        }
        Box::new(plugins)
    }
}

impl Section for Plugins {
    fn scope(&self, scope: &mut Scope) {
        for entry in &self.entries {
            // No interface is written: only the budget's underlay matters.
            entry.mtu.scope_of_underlay(scope);
            scope.cni.directory = true;
            scope
                .cni
                .files
                .extend(entry.file.iter().map(|(path, _)| path.clone()));
        }
    }

    fn has_budgets(&self) -> bool {
        self.entries.iter().any(|entry| entry.mtu.is_budget())
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        for entry in &self.entries {
            if let Some(netns) = self.netns.name() {
                let message = format!("a CNI configuration is the whole host's, not the namespace {netns}'s");
                wants
                    .diagnostics
                    .add(entry.plugin_span, &*entry.path, message)
                    .concerns(&Fact::plugin(entry.place(), &entry.plugin))
                    .hint("declare it for the host, without --netns");
                continue;
            }
            if let (Some(why), None) = (self.withheld, &entry.file) {
                entry.withhold(why, host, wants);
                continue;
            }
            if let Some(path) = entry.find(host, wants) {
                entry.want(host, &path, wants);
            }
        }
    }

    fn is_not_the_hosts(&self, why: NotTheHost, diagnostics: &mut Diagnostics) {
        // A file that the document names is what its author chose.
        for entry in self.entries.iter().filter(|entry| entry.file.is_none()) {
            let message = format!(
                "the configuration that the container runtime loads is the whole host's, and {}",
                why.sentence()
            );
            diagnostics
                .add(entry.plugin_span, &*entry.path, message)
                .concerns(&Fact::plugin(entry.place(), &entry.plugin))
                .hint(why.remedy());
        }
    }

    fn withhold(&mut self, why: NotTheHost) {
        self.withheld = Some(why);
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}

impl Entry {
    /// The path, as far as the document gives it.
    fn place(&self) -> &FilePath {
        let named = self.file.as_ref().map(|(path, _)| path.as_path());
        named.unwrap_or(FilePath::new("/etc/cni/net.d"))
    }

    /// Reports that it is not applied. An earlier write of netkeel stays.
    fn withhold(&self, why: NotTheHost, host: &Snapshot, wants: &mut Wants) {
        wants.findings.add(
            Code::NK028,
            &self.path,
            format!(
                "it is not applied, since the configuration that the container runtime loads is the whole host's: {}",
                why.sentence()
            ),
            format!("{}; or name the configuration with `file`", why.remedy()),
        );
        if let Some(path) = self.find(host, &mut Wants::default()) {
            wants.withheld.insert(Fact::plugin(&path, &self.plugin));
        }
    }

    /// Finds the file on the host.
    fn find(&self, host: &Snapshot, wants: &mut Wants) -> Option<PathBuf> {
        if let Some((path, _)) = &self.file {
            return Some(path.clone());
        }
        let cni = host.cni.as_ref()?;
        let runtime = cni.runtime.as_ref()?;
        let loaded = runtime.loads(&cni.files);
        if let Loaded::Stopped(path, why) = loaded {
            runtime::stopped(runtime, path, why, &mut wants.findings);
        }
        if let Some(found) = runtime.intends(&cni.files) {
            return Some(self.delegate(cni, found).unwrap_or(found).to_path_buf());
        }
        let Some((path, first)) = runtime.candidates(&cni.files).next() else {
            let pods = host.links.values().any(|link| link.leads_into_a_pod());
            let (message, remedy) = match (pods, runtime.name) {
                (true, _) => (
                    "there is no CNI configuration there, although pods run: the runtime loads another directory",
                    "name the configuration with `file`",
                ),
                (false, Some(_)) => (
                    "there is no CNI configuration there: without one, no pod with a network of its own can start",
                    "the CNI's installer puts one there; then this applies",
                ),
                (false, None) => (
                    "there is no CNI configuration there, and netkeel found no container runtime that names its directory",
                    "name the configuration with `file`, or wait for the CNI's installer",
                ),
            };
            self.required.not_found(&self.path, "no CNI configuration", wants);
            wants
                .findings
                .add(Code::NK040, runtime.directory.display(), message, remedy);
            return None;
        };
        // The declared MTU cannot be applied, and is not in place either.
        let why = match &runtime.network {
            Some(network) if matches!(first.reading, Contents::Plugins(_) | Contents::Unread(_)) => format!(
                "no CNI configuration in {} has the name {network}, which CRI-O is configured to use (cni_default_network)",
                runtime.directory.display()
            ),
            _ => format!(
                "no CNI configuration in {} can be loaded; {}: {}; {}",
                runtime.directory.display(),
                path.display(),
                first.reading.refusal(),
                first.reading.remedy()
            ),
        };
        wants.problems.push(Problem {
            what: Subject::Other(format!("the mtu of {} in {}", self.plugin, self.path)),
            why,
        });
        None
    }

    /// The configuration that Multus calls instead of the loaded one, where that has the plugin.
    fn delegate<'a>(&self, cni: &'a Cni, loaded: &FilePath) -> Option<&'a FilePath> {
        let has = |path: &FilePath| {
            let configuration = cni.file(path).flatten();
            configuration.is_some_and(|read| read.of(&self.plugin).next().is_some())
        };
        cni.callable_by(loaded).find(|path| !has(loaded) && has(path))
    }

    fn want(&self, host: &Snapshot, path: &FilePath, wants: &mut Wants) {
        let found = host.cni.as_ref().and_then(|cni| cni.file(path));
        if let Some(None) = found {
            self.required.not_found(&self.path, "no CNI configuration", wants);
            let message = "the CNI configuration is not there";
            let remedy = "look for a misspelt path, or wait for the CNI's installer";
            wants.findings.add(Code::NK040, path.display(), message, remedy);
            return;
        }
        // A fact that was not read stays a want: the plan reports that it could not be read.
        if let Some(Some(configuration)) = found
            && let Err(refusal) = self.fits(configuration)
        {
            let span = match &self.file {
                Some((_, span)) if !matches!(configuration.reading, Contents::Plugins(_)) => *span,
                _ => self.plugin_span,
            };
            let message = format!("{}: {}", path.display(), refusal.message);
            let diagnostic = wants.diagnostics.add(span, &*self.path, message);
            diagnostic.concerns(&Fact::plugin(path, &self.plugin));
            diagnostic.hints.extend(refusal.hints);
            return;
        }
        if &*self.plugin == "tuning" {
            wants.findings.add(
                Code::NK043,
                path.display(),
                "the plugin tuning sets the MTU of the pod's end only: the host's end keeps its own, and what is larger is dropped between the two",
                "set the MTU in the plugin that makes the interface (bridge, ptp, calico), or match the host's ends in a link of the document",
            );
        }
        if &*self.plugin == "cilium-cni" {
            wants.findings.add(
                Code::NK044,
                path.display(),
                "Cilium's agent sets the MTU of pods, and since 1.17 of those that run, too: what the file says does not last",
                "set `mtu` in the ConfigMap cilium-config",
            );
        }
        if plugin_type::reads_mtu(&self.plugin).is_none() {
            wants.findings.add(
                Code::NK074,
                path.display(),
                format!(
                    "netkeel does not know whether the plugin {} reads `mtu`, and writes a number",
                    self.plugin
                ),
                "check that in the plugin's documentation, and the MTU of a new pod",
            );
        }
        let origin = Origin {
            derivation: self.mtu.derivation(),
            ..Origin::named(self.span, SectionName::Cni, format!("{}.mtu", self.path))
        };
        wants.add_wanted(Fact::plugin(path, &self.plugin), &self.mtu, origin);
    }

    /// Checks that the `mtu` can be set in a file.
    fn fits(&self, configuration: &Configuration) -> Result<(), Error> {
        let refused = |message: String| Error::new(ErrorKind::Refused, message);
        if let Some(target) = &configuration.symlink {
            return Err(refused(format!("it is a symbolic link to {}", target.display()))
                .hint("name its target, if you may change that: netkeel follows no links"));
        }
        let Contents::Plugins(plugins) = &configuration.reading else {
            let reading = &configuration.reading;
            return Err(refused(reading.refusal()).hint(reading.remedy()));
        };
        if configuration.of(&self.plugin).next().is_none() {
            let mut there: Vec<&str> = plugins.iter().map(|plugin| &*plugin.kind).collect();
            there.dedup();
            // flannel passes its configuration to its delegate, whose mtu counts.
            let delegates_to = plugins.iter().find(|plugin| plugin.at.ends_with(".delegate.mtu"));
            return Err(match (&*self.plugin, delegates_to) {
                ("flannel", Some(delegate)) => refused(format!("its flannel delegates to {}", delegate.kind))
                    .hint(format!("say `plugin: {}`, whose mtu it is", delegate.kind)),
                ("flannel", None) => refused("it has no plugin flannel with a `delegate`".to_owned())
                    .hint("flannel without a `delegate` takes FLANNEL_MTU of /run/flannel/subnet.env: add a `delegate`, or set the MTU of its backend"),
                (other, _) => {
                    let error = refused(format!("it has no plugin {other}"));
                    match configuration.cluster_network() {
                        Some(network) => error.hint(format!(
                            "it is Multus', which calls {network}: name that with `file` as it is on the host (/host is the host's root there)"
                        )),
                        None if configuration.is_of_multus() => error.hint(
                            "it is Multus', which calls the configuration that its daemon's file names (`clusterNetwork` in daemon-config.json), or the first other one in the directory: name that with `file`",
                        ),
                        None => error.hint(format!("it has {}", there.join(", "))),
                    }
                }
            });
        }
        if let Some(several) = configuration.differ(&self.plugin) {
            return Err(refused(format!(
                "its plugins {} differ in their mtu: {several}",
                self.plugin
            ))
            .hint("make them equal by hand first, so that netkeel can restore the original value"));
        }
        Ok(())
    }
}
