//! Saved hosts and the drawings of their paths, in `testinfra/path/cases`. NETKEEL_BLESS=1 rewrites them.

use netkeel_diagnose::lint::plan;
use netkeel_diagnose::path::select;
use netkeel_diagnose::path::select::Start;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_render::paint::Paint;
use netkeel_render::path::text::Style;
use netkeel_render::path::{json, svg, text};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

use super::txtar::{Archive, golden, run_all};

/// The host of a case, as its document would make it if it has one.
fn host(archive: &Archive) -> Result<Snapshot, String> {
    let json = archive.get("observed.json").ok_or("there is no observed.json")?;
    let host = Snapshot::from_json(json).map_err(|error| error.message)?;
    let Some(yaml) = archive.get("document.yaml") else {
        return Ok(host);
    };
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let layer = sources.load(
        "document.yaml",
        yaml.to_owned().into_bytes(),
        None,
        &mut diagnostics,
    );
    let document = Document::read(layer.into_iter().collect(), host.netns.clone(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "the document is not valid");
    let planned = plan::planned(&document, &host).map_err(|_| "the document cannot be planned")?;
    Ok(planned.after.unwrap_or(host))
}

/// An attribute of an element of the picture.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.split_once(&format!(" {name}=\""))?.1;
    Some(rest.split_once('"')?.0)
}

/// Texts on one line of the picture that overlap, or that leave it. A bold character of the title is 8.5
/// pixels wide, another one 7.9 (DejaVu Sans Mono).
fn overlaps(picture: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut texts: Vec<(u32, f64, f64, &str)> = Vec::new();
    for line in picture.lines().filter(|line| line.starts_with("<text")) {
        let content = line.split_once('>').unwrap().1.strip_suffix("</text>").unwrap();
        let characters = content
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        let character = if attribute(line, "class") == Some("title") {
            8.5
        } else {
            7.9
        };
        let width = characters.chars().count() as f64 * character;
        let x: f64 = attribute(line, "x").unwrap().parse().unwrap();
        let start = if line.contains("text-anchor=\"end\"") {
            x - width
        } else {
            x
        };
        let y: u32 = attribute(line, "y").unwrap().parse().unwrap();
        if start < 0.0 || start + width > 920.0 {
            found.push(format!("{content} leaves the picture"));
        }
        for (other_y, other_start, other_end, other) in &texts {
            let beside = start + width <= *other_start || *other_end <= start;
            if y.abs_diff(*other_y) < 14 && !beside {
                found.push(format!("{content} overlaps {other}"));
            }
        }
        texts.push((y, start, start + width, content));
    }
    assert!(!texts.is_empty());
    found
}

#[test]
fn overlapping_texts_are_found() {
    let one = "<text x=\"24\" y=\"20\">eth0</text>\n";
    let beside = "<text x=\"200\" y=\"20\" text-anchor=\"end\">1500</text>\n";
    assert!(overlaps(&format!("{one}{beside}")).is_empty());
    let over = "<text x=\"40\" y=\"24\">1500</text>\n";
    assert_eq!(overlaps(&format!("{one}{over}")), ["1500 overlaps eth0"]);
}

#[test]
fn every_case_is_drawn_as_it_says() {
    run_all("path/cases", |path, archive| {
        let host = host(archive)?;
        let planned = archive.get("document.yaml").is_some();
        let named = |sandbox: &str| {
            let name = sandbox.strip_prefix("/run/netns/cni-")?;
            Some(format!("default/{name}"))
        };
        let arguments = archive.get("arguments").unwrap_or_default().to_owned();
        let mut words = arguments.split_whitespace();
        let start = match words.next() {
            None | Some("-") => Start::Everywhere,
            Some(word) => select::start(&host, word, &named).ok_or("no such start")?,
        };
        let to = words.next().map(|to| to.parse().unwrap());
        let paths = select::paths(&host, &start, to, &named);
        let style = |ascii| Style {
            paint: Paint(false),
            ascii,
        };
        let drawn = text::paths(&paths, planned, style(false));
        for line in drawn.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let plain = text::paths(&paths, planned, style(true));
        assert!(plain.is_ascii(), "{plain}");
        let picture = svg::paths(&paths, planned);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert_eq!(overlaps(&picture), Vec::<String>::new());
        let schema = jsonschema::validator_for(&netkeel_render::schema::path()).unwrap();
        let output = json::paths(&paths, planned, &host.problems);
        let wrong: Vec<String> = schema
            .iter_errors(&output)
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        for capacity in paths.iter().flat_map(|path| [&path.out, &path.back]) {
            assert!(capacity.largest.is_some() || !capacity.certain, "{drawn}");
        }
        golden(path, archive, "path", &drawn)?;
        // A few cases hold the picture too: its boxes, and the colours of a light and a dark page.
        match archive.get("svg").is_some() {
            true => golden(path, archive, "svg", &picture),
            false => Ok(()),
        }
    });
}
