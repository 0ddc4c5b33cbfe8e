//! Glob patterns for interface names.

use crate::error::{Error, ErrorKind};

/// A pattern over interface names: `*`, `?`, `[a-z]`, `[!a-z]`. A backslash makes the next character
/// literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Byte(u8),
    AnyByte,
    AnyRun,
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty pattern, an open bracket or a backslash at the end.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::new(ErrorKind::Input, format!("the pattern `{pattern}` {why}"));
        if pattern.is_empty() {
            return Err(refuse("is empty").hint("`*` matches every name"));
        }
        let mut pieces = Vec::new();
        let mut rest = pattern.bytes();
        while let Some(byte) = rest.next() {
            pieces.push(match byte {
                b'*' => Piece::AnyRun,
                b'?' => Piece::AnyByte,
                b'[' => class(&mut rest).ok_or_else(|| {
                    refuse("has a `[` without its `]`").hint("write `\\[` for a bracket in the name")
                })?,
                b'\\' => Piece::Byte(rest.next().ok_or_else(|| refuse("ends in a backslash"))?),
                other => Piece::Byte(other),
            });
        }
        pieces.dedup_by(|a, b| *a == Piece::AnyRun && *b == Piece::AnyRun);
        Ok(Glob(pieces))
    }

    /// The only name that the pattern matches; `None` if it may match several, or if the name is not UTF-8.
    pub fn exact(&self) -> Option<String> {
        let bytes = self.0.iter().map(|piece| match piece {
            Piece::Byte(byte) => Some(*byte),
            Piece::AnyByte | Piece::AnyRun | Piece::Class { .. } => None,
        });
        String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
    }

    /// Whether the pattern matches the whole name.
    pub fn matches(&self, name: &[u8]) -> bool {
        // Most patterns are a prefix and `*`.
        let mut begin = 0;
        while let (Some(Piece::Byte(wanted)), Some(byte)) = (self.0.get(begin), name.get(begin)) {
            if wanted != byte {
                return false;
            }
            begin += 1;
        }
        if let Some([Piece::AnyRun]) = self.0.get(begin..) {
            return true;
        }
        let (mut piece, mut at) = (begin, begin);
        // The position to resume at when a run must take one byte more: the piece after the last `*`.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let taken = match (self.0.get(piece), name.get(at)) {
                (None, None) => return true,
                (Some(Piece::AnyRun), _) => {
                    piece += 1;
                    retry = Some((piece, at));
                    continue;
                }
                (Some(Piece::AnyByte), Some(_)) => true,
                (Some(Piece::Byte(wanted)), Some(byte)) => wanted == byte,
                (Some(Piece::Class { negated, ranges }), Some(byte)) => {
                    ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *negated
                }
                (None, Some(_)) | (Some(_), None) => false,
            };
            if taken {
                (piece, at) = (piece + 1, at + 1);
            } else if let Some((after, from)) = retry
                && from < name.len()
            {
                retry = Some((after, from + 1));
                (piece, at) = (after, from + 1);
            } else {
                return false;
            }
        }
    }
}

/// Parses the rest of a bracket expression; a `]` right after the opening is a member.
fn class(rest: &mut std::str::Bytes<'_>) -> Option<Piece> {
    let mut members = Vec::new();
    let mut byte = rest.next()?;
    let negated = matches!(byte, b'!' | b'^');
    if negated {
        byte = rest.next()?;
    }
    loop {
        members.push(byte);
        byte = rest.next()?;
        if byte == b']' {
            break;
        }
    }
    let mut ranges = Vec::new();
    let mut rest = members.as_slice();
    loop {
        rest = match rest {
            [] => break,
            [low, b'-', high, tail @ ..] => {
                ranges.push((*low, *high));
                tail
            }
            [one, tail @ ..] => {
                ranges.push((*one, *one));
                tail
            }
        };
    }
    Some(Piece::Class { negated, ranges })
}
