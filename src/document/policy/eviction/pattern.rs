//! Patterns of pods: `NAMESPACE/NAME`, each part with `*` and `?`.

use std::fmt;

use crate::shape::wrong;
use netkeel_core::error::Error;
use netkeel_core::text::glob::Glob;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodPattern {
    text: String,
    namespace: Glob,
    name: Glob,
}

impl PodPattern {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let is_plain = |part: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.*?".contains(&byte);
            !part.is_empty() && part.bytes().all(plain)
        };
        if !is_plain(namespace) || !is_plain(name) {
            return None;
        }
        Some(PodPattern {
            text: text.to_owned(),
            namespace: Glob::new(namespace).ok()?,
            name: Glob::new(name).ok()?,
        })
    }

    pub(super) fn matches(&self, namespace: &str, name: &str) -> bool {
        self.namespace.matches(namespace.as_bytes()) && self.name.matches(name.as_bytes())
    }

    /// Whether it is for this namespace alone, by its name.
    pub(super) fn names(&self, namespace: &str) -> bool {
        self.namespace.exact().as_deref() == Some(namespace)
    }
}

impl fmt::Display for PodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks a pattern.
pub(crate) fn check(text: &str) -> Result<(), Error> {
    match PodPattern::read(text) {
        Some(_) => Ok(()),
        None => Err(wrong(text, "a pattern of pods").hint("NAMESPACE/NAME, as default/web-* or databases/*")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_namespace_and_a_name() {
        for (pattern, pod, matches) in [
            ("default/web-*", ("default", "web-0"), true),
            ("default/web-*", ("default2", "web-0"), false),
            ("*/web-?", ("a", "web-0"), true),
            ("*/web-?", ("a", "web-10"), false),
            ("*/*", ("kube-system", "x"), true),
        ] {
            let read = PodPattern::read(pattern).unwrap();
            assert_eq!(read.matches(pod.0, pod.1), matches, "{pattern} {pod:?}");
        }
        for bad in ["web", "/web", "web/", "a/b/c", "A/b", "a/[b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(PodPattern::read("kube-system/*").unwrap().names("kube-system"));
        assert!(!PodPattern::read("*/*").unwrap().names("kube-system"));
    }
}
