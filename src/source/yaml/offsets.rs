//! Converts the parser's character offsets to byte offsets of spans.

/// The byte offsets of a text's characters.
pub(crate) struct Offsets<'a> {
    text: &'a str,
    /// The byte of every 64th character; empty for ASCII, where both offsets are the same.
    known: Vec<u32>,
}

impl<'a> Offsets<'a> {
    const STEP: usize = 64;

    pub fn new(text: &'a str) -> Self {
        let bytes = text.char_indices().step_by(Self::STEP).map(|(at, _)| at);
        let known = if text.is_ascii() {
            Vec::new()
        } else {
            bytes.filter_map(|at| u32::try_from(at).ok()).collect()
        };
        Offsets { text, known }
    }

    /// The byte where a character starts; the end of the text for later characters.
    pub fn byte(&self, char: usize) -> usize {
        if self.known.is_empty() {
            return char.min(self.text.len());
        }
        let Some(base) = self.known.get(char / Self::STEP) else {
            return self.text.len();
        };
        let base = *base as usize;
        let rest = self.text.get(base..).unwrap_or_default();
        rest.char_indices()
            .nth(char % Self::STEP)
            .map_or(self.text.len(), |(at, _)| base + at)
    }
}
