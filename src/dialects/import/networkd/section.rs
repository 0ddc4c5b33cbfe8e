//! A section of a file of networkd, and its settings.

use netkeel_source::span::Span;

/// A section of a file. A name can occur several times.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) settings: Vec<Setting>,
}

pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) span: Span,
}

impl Section {
    /// The last value of a key; an empty one resets it.
    pub(super) fn last(&self, key: &str) -> Option<&Setting> {
        let mut settings = self.settings.iter().rev();
        settings
            .find(|setting| setting.key == key)
            .filter(|setting| !setting.value.is_empty())
    }
}
