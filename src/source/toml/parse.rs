//! Parses TOML with the recoverable parser of the `toml` crate: all errors at once, each with its
//! place.

use std::ops::Range;

use toml::de::{DeTable, Error};

use crate::diagnostic::Diagnostics;
use crate::node::Node;
use crate::span::{FileId, Span};
use crate::text::limits::{MAX_DEPTH, MAX_NODES};
use crate::toml::neighbour;
use crate::toml::tree::Reader;

/// The maximum number of errors that get the place of an earlier key with the same name. Each takes
/// another parse.
const MAX_NEIGHBOURS: usize = 20;

const MAX_NEIGHBOUR_BYTES: usize = 1 << 20;

/// Parses a TOML document; `None` when anything in it is not valid TOML, or it is too large.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, file, diagnostics);
    let root = reader.root(table.get_ref());
    let Reader {
        explained,
        nodes,
        too_deep,
        mut broken,
        ..
    } = reader;
    if let Some(span) = too_deep {
        diagnostics.add(span, "", format!("nested more than {MAX_DEPTH} levels deep"));
    }
    if nodes > MAX_NODES {
        let message = format!("the document has more than {MAX_NODES} values");
        diagnostics.add(Span::new(file, 0, 0), "", message);
    }
    let span = |range: Range<usize>| Span::new(file, range.start, range.end);
    let mut errors: Vec<(Option<Range<usize>>, Error)> = errors
        .into_iter()
        .map(|error| (error.span(), error))
        .filter(|(range, _)| !range.as_ref().is_some_and(|range| explained.covers(range)))
        .collect();
    errors.sort_by_key(|(range, _)| range.as_ref().map(|range| range.start));
    errors.dedup();
    for (number, (range, error)) in errors.into_iter().enumerate() {
        broken = true;
        let message = format!("not valid TOML: {}", error.message());
        let diagnostic = diagnostics.add(range.clone().map(span), "", message);
        if number < MAX_NEIGHBOURS
            && text.len() <= MAX_NEIGHBOUR_BYTES
            && let Some((path, other)) = range.and_then(|range| neighbour::find(text, &range))
        {
            diagnostic.path = path;
            diagnostic.other(span(other), "also given here");
        }
    }
    (!broken && too_deep.is_none() && nodes <= MAX_NODES).then_some(root)
}
