//! The files of sysctl.d: which line of which file decides a key at boot, and for an interface that
//! appears later, by the rules of systemd-sysctl and of procps.
//!
//! The rules are those of systemd 252 (`src/sysctl/sysctl.c`, `src/basic/conf-files.c`; 257 and 262
//! read the same way) and of procps 4.0.2 (`src/sysctl.c`, 4.0.4 alike). Both agree on which file
//! hides which and in which order files count; they differ in these:
//!
//! | | systemd-sysctl | `sysctl --system` |
//! |---|---|---|
//! | a key | one setting; its last line counts, wherever the others stood | every line is written, in order |
//! | `-key` after `key = 1` | the last word: nothing is written | keeps patterns off, `key = 1` is written |
//! | /etc/sysctl.conf | by a symbolic link in sysctl.d only | last of all |
//! | `.hidden.conf` | not read | read |
//! | `{a,b}` in a pattern | alternatives | themselves |
//! | `- key`, `--key` | `key`, `-key` | ` key`, `key` |
//! | a line ends at | LF, CR, NUL | LF |
//! | a line of 1 MiB | ends the reading of its file | is a line |
//! | a value that is there already | is not written | is written |
//! | a new interface | udev runs it for that interface | nobody runs it |

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The files by which udev applies sysctl.d to an interface that appears, wherever a distribution puts
/// systemd's `99-systemd.rules`.
pub const UDEV_RULES: [&str; 3] = [
    "/etc/udev/rules.d/99-systemd.rules",
    "/usr/lib/udev/rules.d/99-systemd.rules",
    "/lib/udev/rules.d/99-systemd.rules",
];

/// The program whose rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `systemd-sysctl`: systemd-sysctl.service at boot, udev for each new interface.
    Systemd,
    /// `sysctl --system` of procps.
    Procps,
}

/// The files of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Files {
    /// The files in the `DIRECTORIES` whose names end in `.conf`.
    pub dropins: Vec<File>,
    /// /etc/sysctl.conf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctl_conf: Option<File>,
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SysctlFile")]
pub struct File {
    /// Position of its directory in `DIRECTORIES`.
    pub directory: usize,
    /// Its name in that directory.
    pub name: String,
    /// The target of a symbolic link; else the file's own path.
    pub target: String,
    /// Its content.
    pub content: Content,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SysctlFileContent")]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Text; bytes that are not UTF-8 are replaced, since no key contains any.
    Text(String),
    /// Empty: a symbolic link to /dev/null.
    Null,
    /// Unreadable, for this reason: both programs continue with the next file.
    Unreadable(String),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileLine {
    /// The path of the file as the programs name it.
    pub file: String,
    /// The target, if the file is a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// From 1.
    pub line: usize,
}

impl FileLine {
    /// Whether it is the same line of the same file, under any name.
    pub fn is_same(&self, other: &FileLine) -> bool {
        let real = |place: &FileLine| place.target.clone().unwrap_or_else(|| place.file.clone());
        self.line == other.line && real(self) == real(other)
    }
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
