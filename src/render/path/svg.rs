//! Paths as a picture: SVG for a light and a dark page.

use std::fmt::Write as _;

use crate::path::text::wrapped;
use crate::path::words;
use crate::path::words::Tone;
use netkeel_diagnose::path::drawing::Path;

/// Sizes in pixels. A character of the font has at most this width.
const CHARACTER: usize = 8;

/// The same of a title.
const WIDE: usize = 9;

const WIDTH: usize = 920;

const MARGIN: usize = 24;

const LINE: usize = 20;

/// Between two boxes.
const GAP: usize = 22;

/// Within a box, above and below its text.
const PADDING: usize = 9;

/// Between the box and its details.
const SPACE: usize = 20;

const STYLE: &str = "text{font-family:'DejaVu Sans Mono','Liberation Mono',Menlo,Consolas,monospace;font-size:13px;fill:#1f2328}\
.page{fill:#ffffff}.title{font-weight:bold;font-size:14px}.dim{fill:#59636e}\
.box{fill:#f6f8fa;stroke:#818b98}.way{stroke:#818b98;stroke-width:2;fill:none}.tip{fill:#818b98}\
.warn{fill:#7d4e00}.loss{fill:#c01525;font-weight:bold}.box.lost{fill:#ffebe9;stroke:#c01525;stroke-width:2}\
.box.small{fill:#fff8c5;stroke:#9a6700}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.dim{fill:#9da7b3}\
.box{fill:#161b22;stroke:#7d8590}.way{stroke:#7d8590}.tip{fill:#7d8590}\
.warn{fill:#e3b341}.loss{fill:#ff8b84}.box.lost{fill:#3d1417;stroke:#ff7b72}.box.small{fill:#2e2400;stroke:#d29922}}";

/// All paths, one below the other. `planned` paths are those that a document would make.
pub fn paths(paths: &[Path], planned: bool) -> String {
    let mut body = String::new();
    let mut top = MARGIN;
    for (number, path) in paths.iter().enumerate() {
        if number > 0 {
            top += LINE;
            let right = WIDTH - MARGIN;
            let _ = writeln!(body, "<path class=\"way\" d=\"M{MARGIN} {top}H{right}\"/>");
            top += LINE * 2;
        }
        top = one(path, planned, top, &mut body);
    }
    let height = top + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>Paths of packets</title>\n<style>{STYLE}</style>\n\
<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// Draws one path from `top` downward; returns where it ends.
fn one(path: &Path, planned: bool, mut top: usize, out: &mut String) -> usize {
    let (from, to) = words::ends(path, planned);
    let title = format!("{from} → {to}, {}", words::family(path.family));
    for line in wrapped(&title, (WIDTH - 2 * MARGIN) / WIDE) {
        text(out, MARGIN, top + LINE, "title", &line);
        top += LINE + 2;
    }
    top += LINE;
    let names: Vec<String> = path.hops.iter().map(words::device).collect();
    let longest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    let box_width = (longest.max(12) + 9) * WIDE;
    let beside = MARGIN + box_width + SPACE;
    for (at, (hop, name)) in path.hops.iter().zip(&names).enumerate() {
        if at > 0 {
            arrow(out, MARGIN + box_width / 2, top);
            top += GAP;
        }
        let mut lines: Vec<(&str, String)> = Vec::new();
        let mut class = "box";
        for detail in words::details(path, at, hop) {
            let shown = detail.text.replacen("<-", "←", 1);
            let tone = match detail.tone {
                Tone::Plain => "dim",
                Tone::Warning => "warn",
                Tone::Loss => "loss",
            };
            class = match (detail.tone, class) {
                (Tone::Loss, _) => "box lost",
                (Tone::Warning, "box") => "box small",
                (_, class) => class,
            };
            let room = columns(WIDTH - MARGIN - beside);
            lines.extend(wrapped(&shown, room).into_iter().map(|line| (tone, line)));
        }
        let height = lines.len().max(1) * LINE + 2 * PADDING;
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{MARGIN}\" y=\"{top}\" width=\"{box_width}\" height=\"{height}\" rx=\"6\"/>"
        );
        let middle = top + height / 2 + 5;
        let mtu = hop.mtu.map_or("?".to_owned(), |mtu| mtu.to_string());
        text(out, MARGIN + 12, middle, "title", name);
        let right = MARGIN + box_width - 12;
        let _ = writeln!(
            out,
            "<text x=\"{right}\" y=\"{middle}\" text-anchor=\"end\">{mtu}</text>"
        );
        for (number, (tone, line)) in lines.iter().enumerate() {
            text(out, beside, top + PADDING + number * LINE + 14, tone, line);
        }
        top += height;
    }
    top += LINE;
    summary(path, top, out)
}

/// The sentences below the boxes.
fn summary(path: &Path, mut top: usize, out: &mut String) -> usize {
    let passes = words::directions(path).into_iter();
    let mut lines: Vec<(&str, &str, String)> = passes
        .map(|(direction, capacity)| ("title", words::way(direction), words::passes(path, capacity)))
        .collect();
    if path.mss.ipv4.is_some() {
        lines.push(("title", "MSS", words::mss(path)));
    }
    for fact in &path.unknown {
        lines.push(("warn", "?", format!("unknown: {}", words::unknown(*fact))));
    }
    for (direction, capacity) in words::directions(path) {
        if let Some(hole) = &capacity.black_hole {
            lines.push(("loss", "!", words::black_hole(path, direction, hole)));
            lines.push(("dim", "", format!("Fix: {}.", words::remedy(path, hole))));
        }
    }
    let beside = MARGIN + 6 * CHARACTER;
    for (class, word, sentence) in lines {
        text(out, MARGIN, top + LINE, class, word);
        let tone = if class == "title" { "" } else { class };
        for line in wrapped(&sentence, columns(WIDTH - MARGIN - beside)) {
            text(out, beside, top + LINE, tone, &line);
            top += LINE;
        }
    }
    top
}

fn columns(pixels: usize) -> usize {
    pixels / CHARACTER
}

/// An arrow of the height of the gap between two boxes.
fn arrow(out: &mut String, x: usize, top: usize) {
    let (line, tip) = (top + GAP - 7, top + GAP - 1);
    let (left, right) = (x - 5, x + 5);
    let _ = writeln!(out, "<path class=\"way\" d=\"M{x} {top}V{line}\"/>");
    let _ = writeln!(
        out,
        "<path class=\"tip\" d=\"M{left} {line}H{right}L{x} {tip}Z\"/>"
    );
}

fn text(out: &mut String, x: usize, y: usize, class: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let class = match class {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\"{class}>{escaped}</text>");
}
