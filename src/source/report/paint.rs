//! The few colours of a report.

use std::fmt;

/// Colours text, or returns it unchanged.
pub(crate) struct Paint {
    colour: bool,
}

/// A text with the escape sequences of its style.
pub(crate) struct Painted<'a> {
    text: &'a str,
    style: Option<&'static str>,
}

impl Paint {
    pub fn new(colour: bool) -> Self {
        Paint { colour }
    }

    pub fn error<'a>(&self, text: &'a str) -> Painted<'a> {
        self.styled(text, "\u{1b}[1;31m")
    }

    pub(crate) fn strong<'a>(&self, text: &'a str) -> Painted<'a> {
        self.styled(text, "\u{1b}[1m")
    }

    pub fn help<'a>(&self, text: &'a str) -> Painted<'a> {
        self.styled(text, "\u{1b}[1;36m")
    }

    pub fn frame<'a>(&self, text: &'a str) -> Painted<'a> {
        self.styled(text, "\u{1b}[1;34m")
    }

    fn styled<'a>(&self, text: &'a str, style: &'static str) -> Painted<'a> {
        Painted {
            text,
            style: self.colour.then_some(style),
        }
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}\u{1b}[0m", self.text),
            None => f.write_str(self.text),
        }
    }
}
