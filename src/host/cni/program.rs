//! The program of a CNI plugin, and the version that its build recorded in it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest text that is a version, bytes.
const LONGEST: usize = 64;

/// Bytes that are shown of a commit.
const COMMIT: usize = 12;

/// The last parts of the names of variables that a linker sets to the version of a program, in lower case.
const VARIABLES: &[&str] = &["version", "buildversion", "ciliumversion", "gitversion"];

/// The program of a CNI plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The file; none if no directory of plugins has it.
    pub path: Option<PathBuf>,
    /// The version that its build recorded, or the commit; none if it is not known.
    pub version: Option<Arc<str>>,
}

/// Whether a text is a version: it begins with numbers, such as `v1.6.2` or `0.3.1`.
pub fn is_version(text: &str) -> bool {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let mut parts = bare.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= LONGEST
        && parts.next().is_some_and(is_number)
        && parts
            .next()
            .is_some_and(|part| part.starts_with(|first: char| first.is_ascii_digit()))
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte))
}

/// The version of a program in the text that Go's linker records (`debug.ParseBuildInfo` of runtime/debug): that which
/// the build set, else that of the module, else the commit.
pub fn built_version(information: &str) -> Option<Arc<str>> {
    let (mut module, mut of_module, mut flags, mut commit) = ("main", None, None, None);
    for line in information.lines() {
        let mut parts = line.split('\t');
        match (parts.next(), parts.next()) {
            (Some("mod"), Some(path)) => {
                module = path;
                of_module = parts.next().filter(|version| is_version(version));
            }
            (Some("build"), Some(setting)) => match setting.split_once('=') {
                Some(("-ldflags", value)) => flags = Some(value),
                Some(("vcs.revision", value)) => commit = short(value),
                _ => {}
            },
            _ => {}
        }
    }
    let linked = flags.and_then(|flags| linked(flags, module));
    linked.or(of_module).or(commit).map(Into::into)
}

/// The beginning of a commit.
fn short(revision: &str) -> Option<&str> {
    let is_hexadecimal = revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    revision.get(..COMMIT).filter(|_| is_hexadecimal)
}

/// The version that a build gave to a variable of the program or of its module. None of several that differ.
fn linked<'a>(flags: &'a str, module: &str) -> Option<&'a str> {
    let is_own = |package: &str| {
        let below = package.strip_prefix(module);
        package == "main" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let words = flags.split([' ', '\t', '"', '\'', '\\']);
    let mut found = words.filter_map(|word| {
        let (variable, value) = word.strip_prefix("-X=").unwrap_or(word).split_once('=')?;
        let (package, name) = variable.rsplit_once('.')?;
        let is_named = VARIABLES.contains(&name.to_ascii_lowercase().as_str());
        (is_own(package) && is_named && is_version(value)).then_some(value)
    });
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "path\tgithub.com/containernetworking/plugins/plugins/main/bridge\n\
        mod\tgithub.com/containernetworking/plugins\tMODULE\t\ndep\tgithub.com/x/y\tv9.9.9\th1:abc=\n";

    fn built(module: &str, settings: &[&str]) -> Option<String> {
        let settings = settings.iter().map(|setting| format!("build\t{setting}\n"));
        let text = MODULE.replace("MODULE", module) + &settings.collect::<String>();
        built_version(&text).map(|version| version.to_string())
    }

    #[test]
    fn the_version_is_what_the_build_set_then_that_of_the_module_then_the_commit() {
        let commit = "vcs.revision=0123456789abcdef0123456789abcdef01234567";
        let flags = |text: &str| format!("-ldflags=\"{text}\"");
        let set = flags(
            "-s -X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.6.2 -extldflags -static",
        );
        assert_eq!(built("(devel)", &[&set, commit]).as_deref(), Some("v1.6.2"));
        assert_eq!(built("v1.7.1", &[commit]).as_deref(), Some("v1.7.1"));
        assert_eq!(built("(devel)", &[commit]).as_deref(), Some("0123456789ab"));
        assert_eq!(
            built("(devel)", &[&flags("-X=main.VERSION=v3.28.0")]).as_deref(),
            Some("v3.28.0")
        );
        // The version of something else, two that differ, a secret, and no version at all.
        for text in [
            "-X github.com/x/y.Version=v2.0.0",
            "-X github.com/containernetworking/plugins-other.Version=v2.0.0",
            "-X main.goVersion=1.22",
            "-X main.Version=v1.0 -X main.gitVersion=v2.0",
            "-X main.Version=hunter2",
        ] {
            assert_eq!(built("(devel)", &[&flags(text)]), None, "{text}");
        }
        assert_eq!(built("(devel)", &["vcs.revision=main"]), None);
        assert_eq!(built_version(""), None);
    }

    #[test]
    fn a_version_begins_with_numbers() {
        for text in ["1.0.0", "v0.3.1", "v3.28.0-0.dev-12-gabc", "1.30", "v1.7.1+dirty"] {
            assert!(is_version(text), "{text}");
        }
        for text in ["", "v", "(devel)", "1", "hunter2", "1.x", "v1.0 x", "2.0/../x"] {
            assert!(!is_version(text), "{text}");
        }
        assert!(!is_version(&format!("1.{}", "0".repeat(70))));
    }
}
