//! Paths as text for a terminal of 80 columns.

use std::fmt::Write as _;

use crate::paint::Paint;
use crate::path::words;
use crate::path::words::Tone;
use netkeel_diagnose::path::drawing::Path;

/// Columns of a line.
const WIDTH: usize = 80;

/// The characters of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to write escape sequences.
    pub paint: Paint,
    /// Only ASCII characters.
    pub ascii: bool,
}

/// The signs of the drawing: arrow between the ends, the way from hop to hop, a mark.
struct Signs {
    arrow: &'static str,
    hop: &'static str,
    line: &'static str,
    mark: &'static str,
}

const UNICODE: Signs = Signs {
    arrow: "→",
    hop: "●",
    line: "│",
    mark: "←",
};

const ASCII: Signs = Signs {
    arrow: "->",
    hop: "*",
    line: "|",
    mark: "<-",
};

/// All paths, one below the other. `planned` paths are those that a document would make.
pub fn paths(paths: &[Path], planned: bool, style: Style) -> String {
    let drawn: Vec<String> = paths.iter().map(|path| one(path, planned, style)).collect();
    drawn.join("\n")
}

fn one(path: &Path, planned: bool, style: Style) -> String {
    let signs = if style.ascii { &ASCII } else { &UNICODE };
    let paint = style.paint;
    let (from, to) = words::ends(path, planned);
    let family = words::family(path.family);
    let mut out = String::new();
    let title = format!("{from} {} {to}", signs.arrow);
    let mut lines = wrapped(&title, WIDTH.saturating_sub(family.len() + 2));
    let last = lines.pop().unwrap_or_default();
    for line in lines {
        let _ = writeln!(out, "{}", paint.bold(line));
    }
    let room = WIDTH.saturating_sub(last.chars().count()).max(family.len() + 2);
    let _ = writeln!(out, "{}{family:>room$}\n", paint.bold(&last));
    let names: Vec<String> = path.hops.iter().map(words::device).collect();
    let name = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    for (at, (hop, device)) in path.hops.iter().zip(&names).enumerate() {
        let mtu = hop.mtu.map_or("?".to_owned(), |mtu| mtu.to_string());
        let head = format!("  {} {device:name$}  {mtu:>5}", signs.hop);
        let last = at + 1 == path.hops.len();
        let side = if last { " " } else { signs.line };
        let blank = format!("  {side} {:name$}  {:5}", "", "");
        let mut begins = head;
        let mut written = false;
        for detail in words::details(path, at, hop) {
            let text = match detail.text.strip_prefix("<-") {
                Some(rest) => format!("{}{rest}", signs.mark),
                None => detail.text,
            };
            let room = WIDTH.saturating_sub(name + 14).max(24);
            for line in wrapped(&text, room) {
                let painted = match detail.tone {
                    Tone::Plain => line,
                    Tone::Warning => paint.yellow(line),
                    Tone::Loss => paint.red(line),
                };
                let _ = writeln!(out, "{begins}  {painted}");
                begins.clone_from(&blank);
                written = true;
            }
        }
        if !written {
            let _ = writeln!(out, "{}", begins.trim_end());
        }
        if !last {
            let _ = writeln!(out, "  {}", signs.line);
        }
    }
    if !path.hops.is_empty() {
        out.push('\n');
    }
    for (direction, capacity) in words::directions(path) {
        let word = format!("  {:5}", words::way(direction));
        paragraph(&word, &words::passes(path, capacity), &mut out, &|line| line);
    }
    if path.mss.ipv4.is_some() {
        paragraph("  MSS  ", &words::mss(path), &mut out, &|line| line);
    }
    for fact in &path.unknown {
        let text = format!("unknown: {}", words::unknown(*fact));
        paragraph("  ?    ", &text, &mut out, &|line| paint.yellow(line));
    }
    for (direction, capacity) in words::directions(path) {
        if let Some(hole) = &capacity.black_hole {
            let text = words::black_hole(path, direction, hole);
            paragraph("  !    ", &text, &mut out, &|line| paint.red(line));
            let fix = format!("Fix: {}.", words::remedy(path, hole));
            paragraph("       ", &fix, &mut out, &|line| line);
        }
    }
    out
}

/// A paragraph with a word before its first line.
fn paragraph(before: &str, text: &str, out: &mut String, paint: &dyn Fn(String) -> String) {
    let indent = before.chars().count();
    for (number, line) in wrapped(text, WIDTH.saturating_sub(indent))
        .into_iter()
        .enumerate()
    {
        let before = if number == 0 {
            before.to_owned()
        } else {
            " ".repeat(indent)
        };
        let _ = writeln!(out, "{before}{}", paint(line));
    }
}

/// The words of a text in lines of at most so many characters; a longer word has its own line.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
