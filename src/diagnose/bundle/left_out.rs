//! Leaves out of a snapshot the text of people and of other programs, any of which may be a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use netkeel_core::fact::Value;
use netkeel_host::cni::configuration::{Contents, Plugin};
use netkeel_host::cni::plugin_type::reads_mtu;
use netkeel_host::cni::program::{Program, is_version};
use netkeel_host::cni::state::Cni;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Subject;

/// Shown in place of text.
pub(super) const LEFT_OUT: &str = "(left out)";

/// Words that messages of netkeel quote, and that are not of a file.
const OWN_WORDS: [&str; 2] = ["`plugins`", "`type`"];

/// The programs of plugins, by type.
type Programs = BTreeMap<Arc<str>, Program>;

/// The snapshot without aliases, further names and texts of CNI configurations, and the programs of the plugins that are
/// named. Secret sysctls are hidden when it is serialized.
pub(super) fn without_text(mut snapshot: Snapshot, programs: Programs) -> (Snapshot, Programs) {
    for link in snapshot.links.values_mut() {
        if link.alias.is_some() || !link.altnames.is_empty() {
            let link = Arc::make_mut(link);
            link.alias = None;
            link.altnames.clear();
        }
    }
    for problem in &mut snapshot.problems {
        if matches!(problem.what, Subject::Other(_) | Subject::CniConfiguration(_)) {
            problem.why = without_quotes(&problem.why);
        }
    }
    if let Some(cni) = &mut snapshot.cni {
        without_text_of_cni(cni, &programs);
    }
    let named = programs.iter().map(|(kind, program)| {
        let kind = of_type(kind, &programs);
        let known = &*kind != LEFT_OUT;
        (
            kind,
            if known {
                program.clone()
            } else {
                Program::default()
            },
        )
    });
    let named = named.collect();
    (snapshot, named)
}

fn without_text_of_cni(cni: &mut Cni, programs: &Programs) {
    // The name that CRI-O looks for still finds the same file.
    let wanted = cni.runtime.as_mut().and_then(|runtime| runtime.network.as_mut());
    let wanted = wanted.map(|network| std::mem::replace(network, LEFT_OUT.to_owned()));
    for file in cni.files.values_mut().flatten() {
        let is_wanted = file.network.is_some() && file.network == wanted;
        file.network = is_wanted.then(|| LEFT_OUT.to_owned());
        file.cni_version.take_if(|version| !is_version(version));
        match &mut file.reading {
            Contents::Plugins(plugins) => {
                plugins
                    .iter_mut()
                    .for_each(|plugin| without_text_of_plugin(plugin, programs));
            }
            Contents::Unread(why) | Contents::Invalid(why) => *why = without_quotes(why),
            Contents::Template(placeholder) => LEFT_OUT.clone_into(placeholder),
        }
    }
}

fn without_text_of_plugin(plugin: &mut Plugin, programs: &Programs) {
    plugin.kind = of_type(&plugin.kind, programs);
    plugin.ipam = plugin.ipam.take().map(|kind| of_type(&kind, programs));
    if let Some(Value::Text(text)) = &mut plugin.mtu {
        *text = LEFT_OUT.into();
    }
    plugin.cluster_network = None;
}

/// A type that netkeel knows, or for which the host has a program. Any other text may be anything.
fn of_type(kind: &Arc<str>, programs: &Programs) -> Arc<str> {
    let has_program = programs.get(kind).is_some_and(|program| program.path.is_some());
    match reads_mtu(kind).is_some() || has_program {
        true => kind.clone(),
        false => LEFT_OUT.into(),
    }
}

/// The fact of an apply. Of a plugin it ends in the type that a document names, and in `mtu`.
pub(super) fn without_type(fact: &str) -> String {
    let is_known = |rest: &str| {
        let kind = rest.strip_suffix(" mtu").and_then(|rest| rest.rsplit(' ').next());
        kind.is_some_and(|kind| reads_mtu(kind).is_some())
    };
    match fact.strip_prefix("cni ") {
        Some(rest) if !is_known(rest) => format!("cni {LEFT_OUT} mtu"),
        _ => fact.to_owned(),
    }
}

/// A message up to the first word of a file that it quotes.
fn without_quotes(why: &str) -> String {
    let quotes = why.match_indices(['`', '"']).map(|(at, _)| at);
    let mut end = 0;
    for at in quotes {
        let rest = why.get(at..).unwrap_or_default();
        if at < end {
            continue;
        }
        match OWN_WORDS.iter().find(|word| rest.starts_with(**word)) {
            Some(word) => end = at + word.len(),
            None => return format!("{}{LEFT_OUT}", why.get(..at).unwrap_or_default()),
        }
    }
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_no_word_of_a_file() {
        for (message, kept) in [
            (
                "line 3: the key `hunter2` is given twice",
                "line 3: the key (left out)",
            ),
            (
                "it is the text `hunter`2`, not an object",
                "it is the text (left out)",
            ),
            (
                "it has both `type` and `plugins`, and more",
                "it has both `type` and `plugins`, and more",
            ),
            ("it has `type` and `typewriter`", "it has `type` and (left out)"),
            ("it is empty", "it is empty"),
            ("`", "(left out)"),
        ] {
            assert_eq!(without_quotes(message), kept);
        }
    }
}
