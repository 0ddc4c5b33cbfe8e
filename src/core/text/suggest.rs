//! "Did you mean": the nearest valid word.

use crate::text::escape::quoted;

/// The nearest of the known words, if it is near enough to be a typing error.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let simple = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let typed = simple(word);
    let most = (typed.chars().count() / 3).max(1);
    // A long text is never a misspelt known word, and the distance is quadratic.
    if typed.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &simple(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown word: the nearest known word, or all of them.
pub fn suggest(word: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean {}?", quoted(near)));
    }
    if known.is_empty() {
        return None;
    }
    Some(format!("known here: {}", listed(known)))
}

/// Words as a list for a sentence.
pub fn listed(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["mtu", "rp_filter", "txqueuelen", "up"];
        let near = |word| nearest(word, known);
        assert_eq!(near("mut"), Some("mtu"));
        assert_eq!(near("MTU"), Some("mtu"));
        assert_eq!(near("rp-filter"), Some("rp_filter"));
        assert_eq!(near("rpfilter"), Some("rp_filter"));
        assert_eq!(near("txqueulen"), Some("txqueuelen"));
        assert_eq!(near("address"), None);
        assert_eq!(near("x"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"m".repeat(1000)), None);
        assert_eq!(
            suggest("x", &["a", "bc"]).as_deref(),
            Some("known here: `a`, `bc`")
        );
        assert_eq!(suggest("x", &[]), None);
    }
}
