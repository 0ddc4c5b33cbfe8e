//! The commands in messages name the namespace that the command line names: pasted without it, they would work on the
//! host.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use netkeel_core::error::Error;
use netkeel_core::finding::Finding;
use netkeel_core::name::netns::Netns;
use netkeel_core::text::shell::Quoted;
use netkeel_source::diagnostic::Diagnostics;

/// The verbs that take `--netns`; one of a group is `probe pmtu`.
pub(crate) type Verbs = BTreeSet<String>;

/// How to list the verbs: that takes the options of all of them, and most runs need no list.
static VERBS: OnceLock<fn() -> Verbs> = OnceLock::new();

/// The namespace of this process, and the verbs that take one.
static NAMED: OnceLock<Named> = OnceLock::new();

struct Named {
    netns: String,
    verbs: Verbs,
}

/// Takes the list of verbs.
pub(crate) fn know(verbs: fn() -> Verbs) {
    VERBS.get_or_init(|| verbs);
}

/// Names the namespace for all messages from now on.
pub(crate) fn name(netns: &str) {
    NAMED.get_or_init(|| Named {
        netns: Quoted(netns).to_string(),
        verbs: VERBS.get().map(|verbs| verbs()).unwrap_or_default(),
    });
}

/// Names the namespace of a saved snapshot or plan.
pub(crate) fn name_of(netns: &Netns) {
    if let Some(name) = netns.name() {
        self::name(name);
    }
}

/// A text with commands that an operator may paste.
pub(crate) fn here(text: &str) -> Cow<'_, str> {
    match NAMED.get() {
        Some(named) => Cow::Owned(named.carry(text)),
        None => Cow::Borrowed(text),
    }
}

/// An error whose hints hold here.
pub(crate) fn error_here(error: &Error) -> Cow<'_, Error> {
    if NAMED.get().is_none() {
        return Cow::Borrowed(error);
    }
    let mut error = error.clone();
    error.hints.iter_mut().for_each(carry_in);
    Cow::Owned(error)
}

/// Diagnostics whose hints hold here.
pub(crate) fn diagnostics_here(diagnostics: &Diagnostics) -> Cow<'_, Diagnostics> {
    if NAMED.get().is_none() {
        return Cow::Borrowed(diagnostics);
    }
    let mut diagnostics = diagnostics.clone();
    let hints = diagnostics.list.iter_mut().flat_map(|told| &mut told.hints);
    hints.for_each(carry_in);
    Cow::Owned(diagnostics)
}

/// Findings whose remedies hold here.
pub(crate) fn findings_here(findings: &mut [Finding]) {
    findings
        .iter_mut()
        .for_each(|finding| carry_in(&mut finding.remedy));
}

/// Whether a namespace is named.
pub(crate) fn is_named() -> bool {
    NAMED.get().is_some()
}

fn carry_in(text: &mut String) {
    if let Cow::Owned(carried) = here(text) {
        *text = carried;
    }
}

impl Named {
    fn carry(&self, text: &str) -> String {
        /// The unit serves the host.
        const UNITS: [(&str, &str); 4] = [
            ("systemctl enable --now netkeel", "netkeel run"),
            ("systemctl start netkeel", "netkeel run"),
            ("systemctl restart netkeel", "netkeel run"),
            ("systemctl reload netkeel", "netkeel run"),
        ];
        const PROGRAM: &str = "netkeel ";
        let mut text = text.to_owned();
        for (of_host, of_namespace) in UNITS {
            text = text.replace(of_host, of_namespace);
        }
        let (mut out, mut rest) = (String::new(), text.as_str());
        while let Some(at) = rest.find(PROGRAM) {
            let (before, from) = rest.split_at(at);
            let after = from.get(PROGRAM.len()..).unwrap_or_default();
            let is_word = before
                .chars()
                .next_back()
                .is_none_or(|char| matches!(char, ' ' | '`' | '('));
            out.push_str(before);
            out.push_str(PROGRAM);
            rest = after;
            let Some(verb) = self.verb(after).filter(|_| is_word) else {
                continue;
            };
            let command = after.split(['`', '\n', ';', ',']).next().unwrap_or_default();
            out.push_str(verb);
            if !command.contains("--netns") {
                out.push_str(&format!(" --netns {}", self.netns));
            }
            rest = after.get(verb.len()..).unwrap_or_default();
        }
        out.push_str(rest);
        out
    }

    /// The verb at the start of a text, if it takes a namespace.
    fn verb<'a>(&self, text: &'a str) -> Option<&'a str> {
        let end = |from: usize| {
            let rest = text.get(from..).unwrap_or_default();
            let is_of_word = |char: char| char.is_ascii_lowercase() || char == '-';
            from + rest.find(|char| !is_of_word(char)).unwrap_or(rest.len())
        };
        let one = end(0);
        let two = text.get(one..)?.starts_with(' ').then(|| end(one + 1));
        let verbs = [two, Some(one)].into_iter().flatten();
        verbs
            .filter_map(|end| text.get(..end))
            .find(|verb| self.verbs.contains(*verb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_message_names_the_namespace_once() {
        let named = Named {
            netns: "pods".to_owned(),
            verbs: ["release", "history", "recover", "run", "probe pmtu"]
                .map(str::to_owned)
                .into(),
        };
        for (text, carried) in [
            (
                "release it: netkeel release --owner default",
                "release it: netkeel release --netns pods --owner default",
            ),
            (
                "`netkeel history` lists all; netkeel probe pmtu A",
                "`netkeel history --netns pods` lists all; netkeel probe pmtu --netns pods A",
            ),
            (
                "netkeel recover undoes it, netkeel recover --resume finishes it",
                "netkeel recover --netns pods undoes it, netkeel recover --netns pods --resume finishes it",
            ),
            (
                "`netkeel release --owner a --netns b`",
                "`netkeel release --owner a --netns b`",
            ),
            (
                "`netkeel schema` and netkeel's own",
                "`netkeel schema` and netkeel's own",
            ),
            ("use the netkeel that wrote it", "use the netkeel that wrote it"),
            (
                "start it with `systemctl start netkeel`",
                "start it with `netkeel run --netns pods`",
            ),
        ] {
            assert_eq!(named.carry(text), carried);
        }
    }
}
