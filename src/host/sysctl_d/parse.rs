//! The lines of a file as each program reads them, and how each turns keys into paths.

use serde::Serialize;

use crate::sysctl_d::file::Dialect;

/// Longest line that systemd accepts, in characters (`LONG_LINE_MAX`).
const LONGEST: usize = 1024 * 1024;

/// A line that is not blank or a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Its content.
    pub entry: Entry,
}

/// The content of a line. Keys are paths below /proc/sys, or patterns over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// `key = value`, or `-key = value`, which ignores failures.
    Assign {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `-key`: patterns do not apply to the key.
    Exclude {
        /// The key.
        key: String,
    },
    /// A line that the program warns about and ignores.
    Invalid {
        /// The line.
        text: String,
    },
    /// A line that ends the parsing of the file.
    TooLong,
}

/// The lines of a file, without comments (`#`, `;`) and empty lines.
pub fn parse(dialect: Dialect, text: &str) -> Vec<Line> {
    match dialect {
        Dialect::Systemd => systemd(text),
        Dialect::Procps => procps(text),
    }
}

/// `parse_file` of src/sysctl/sysctl.c.
fn systemd(text: &str) -> Vec<Line> {
    const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];
    let mut lines = Vec::new();
    for (number, line) in systemd_lines(text) {
        let Some(line) = line else {
            let entry = Entry::TooLong;
            lines.push(Line { number, entry });
            break;
        };
        let line = line.trim_matches(BLANK);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let key = |key: &str| systemd_key(key.trim_matches(BLANK));
        let entry = match (line.split_once('='), line.strip_prefix('-')) {
            (Some((before, value)), _) => Entry::Assign {
                key: key(before.strip_prefix('-').unwrap_or(before)),
                value: value.trim_matches(BLANK).to_owned(),
            },
            (None, Some(excluded)) => Entry::Exclude { key: key(excluded) },
            (None, None) => Entry::Invalid {
                text: line.to_owned(),
            },
        };
        lines.push(Line { number, entry });
    }
    lines
}

/// Splits lines as `read_line_full` (src/basic/fileio.c) does. LF, CR and NUL end a line, also
/// several different ones together. None marks a line that is too long, after which nothing is
/// read.
fn systemd_lines(text: &str) -> Vec<(usize, Option<&str>)> {
    const NUL: u8 = 1;
    let bytes = text.as_bytes();
    let (mut lines, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (start, mut length, mut seen) = (at, 0, 0);
        loop {
            if length >= LONGEST {
                lines.push((lines.len() + 1, None));
                return lines;
            }
            let mark = match bytes.get(at) {
                None => break,
                Some(0) => NUL,
                Some(b'\n') => 2,
                Some(b'\r') => 4,
                Some(_) => 0,
            };
            if seen & NUL != 0 || (mark == 0 && seen != 0) || seen & mark != 0 {
                break;
            }
            at += 1;
            seen |= mark;
            length += usize::from(mark == 0);
        }
        let line = text.get(start..start + length).unwrap_or_default();
        lines.push((lines.len() + 1, Some(line)));
    }
    lines
}

/// `sysctl_normalize`: the first separator decides; double and trailing slashes and `.` components
/// are removed.
fn systemd_key(key: &str) -> String {
    let swapped = swap(key);
    let simple: Vec<&str> = swapped
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    simple.join("/")
}

/// `Preload` and `parse_setting_line` of procps' src/sysctl.c.
fn procps(text: &str) -> Vec<Line> {
    /// C's `isspace`.
    const BLANK: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.split('\0').next().unwrap_or_default();
        let line = line.trim_start_matches(BLANK);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let entry = match (line.split_once('='), line.strip_prefix('-')) {
            (Some((before, value)), _) => Entry::Assign {
                key: procps_key(before.strip_prefix('-').unwrap_or(before).trim_end_matches(BLANK)),
                value: value.trim_matches(BLANK).to_owned(),
            },
            (None, Some(excluded)) => Entry::Exclude {
                key: procps_key(excluded.trim_end_matches(BLANK)),
            },
            (None, None) => Entry::Invalid {
                text: line.trim_end_matches(BLANK).to_owned(),
            },
        };
        lines.push(Line { number, entry });
    }
    lines
}

/// `setting_new` and `slashdot`: another `-` is removed, and the first separator decides.
fn procps_key(key: &str) -> String {
    swap(key.strip_prefix('-').unwrap_or(key))
}

/// Swaps separators when the first one is a dot: dots become slashes and slashes become dots.
fn swap(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes().get(at) == Some(&b'.') => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// The path below /proc/sys that procps opens for a key: `//` and `.` are dropped, `..` goes up.
/// Empty if the result can only be a directory.
pub(crate) fn resolve(key: &str) -> String {
    if key.ends_with('/') {
        return String::new();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut shown = String::new();
        for dialect in [Dialect::Systemd, Dialect::Procps] {
            shown.push_str(&format!("{dialect:?}\n"));
            for line in parse(dialect, text) {
                shown.push_str(&format!("{:>4} {:?}\n", line.number, line.entry));
            }
        }
        shown
    }

    #[test]
    fn lines_as_each_program_reads_them() {
        insta::assert_snapshot!(shown(
            "# a comment\n\
             ; another = one\n\
             \n\
             net.ipv4.conf.eth0/100.rp_filter = 1\n\
             \t net/ipv4/conf/eth0.100/rp_filter=2 \n\
             -net.ipv4.conf.all.rp_filter\n\
             -net.ipv4.conf.all.rp_filter = 1\n\
             - net.core.rmem_max\n\
             --net.core.rmem_max=5\n\
             net.core.rmem_max 5\n\
             /net//ipv4/./tcp_rmem/ = 4096  131072 = 6291456\n\
             net.core.wmem_max=\n\
             =1\n\
             -\n\
             -=\n\
             x\n\
             net.core.somaxconn=1\r\n\
             net.core.somaxconn=2 # no comment here\n\
             last=1"
        ), @r#"
    Systemd
       4 Assign { key: "net/ipv4/conf/eth0.100/rp_filter", value: "1" }
       5 Assign { key: "net/ipv4/conf/eth0.100/rp_filter", value: "2" }
       6 Exclude { key: "net/ipv4/conf/all/rp_filter" }
       7 Assign { key: "net/ipv4/conf/all/rp_filter", value: "1" }
       8 Exclude { key: "net/core/rmem_max" }
       9 Assign { key: "-net/core/rmem_max", value: "5" }
      10 Invalid { text: "net.core.rmem_max 5" }
      11 Assign { key: "net/ipv4/tcp_rmem", value: "4096  131072 = 6291456" }
      12 Assign { key: "net/core/wmem_max", value: "" }
      13 Assign { key: "", value: "1" }
      14 Exclude { key: "" }
      15 Assign { key: "", value: "" }
      16 Invalid { text: "x" }
      17 Assign { key: "net/core/somaxconn", value: "1" }
      18 Assign { key: "net/core/somaxconn", value: "2 # no comment here" }
      19 Assign { key: "last", value: "1" }
    Procps
       4 Assign { key: "net/ipv4/conf/eth0.100/rp_filter", value: "1" }
       5 Assign { key: "net/ipv4/conf/eth0.100/rp_filter", value: "2" }
       6 Exclude { key: "net/ipv4/conf/all/rp_filter" }
       7 Assign { key: "net/ipv4/conf/all/rp_filter", value: "1" }
       8 Exclude { key: " net/core/rmem_max" }
       9 Assign { key: "net/core/rmem_max", value: "5" }
      10 Invalid { text: "net.core.rmem_max 5" }
      11 Assign { key: "/net//ipv4/./tcp_rmem/", value: "4096  131072 = 6291456" }
      12 Assign { key: "net/core/wmem_max", value: "" }
      13 Assign { key: "", value: "1" }
      14 Exclude { key: "" }
      15 Assign { key: "", value: "" }
      16 Invalid { text: "x" }
      17 Assign { key: "net/core/somaxconn", value: "1" }
      18 Assign { key: "net/core/somaxconn", value: "2 # no comment here" }
      19 Assign { key: "last", value: "1" }
    "#);
    }

    #[test]
    fn carriage_returns_and_zeros_end_lines_of_systemd_only() {
        insta::assert_snapshot!(shown("a=1\rb=2\n\r\nc=3\0d=4\r\n\0e=5\n\n\r\0f=6"), @r#"
    Systemd
       1 Assign { key: "a", value: "1" }
       2 Assign { key: "b", value: "2" }
       4 Assign { key: "c", value: "3" }
       5 Assign { key: "d", value: "4" }
       6 Assign { key: "e", value: "5" }
       8 Assign { key: "f", value: "6" }
    Procps
       1 Assign { key: "a", value: "1\rb=2" }
       3 Assign { key: "c", value: "3" }
    "#);
    }

    #[test]
    fn a_line_that_is_too_long_ends_the_file_for_systemd() {
        let text = format!("a=1\nb={}\nc=3", "x".repeat(LONGEST));
        let systemd = parse(Dialect::Systemd, &text);
        assert_eq!(systemd.len(), 2);
        assert_eq!(systemd.last().map(|line| &line.entry), Some(&Entry::TooLong));
        assert_eq!(parse(Dialect::Procps, &text).len(), 3);
    }

    #[test]
    fn paths_resolve() {
        assert_eq!(resolve("/net/ipv4/../ipv4//./conf/all/x"), "net/ipv4/conf/all/x");
        assert_eq!(resolve("../.."), "");
    }
}
