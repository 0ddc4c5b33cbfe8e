//! Lists in a message, shortened.

/// The first `most` items, and the number of the others: `a; b; and 3 more`.
pub fn some(items: impl IntoIterator<Item = String>, most: usize, separator: &str) -> String {
    let mut items = items.into_iter();
    let mut shown: Vec<String> = items.by_ref().take(most).collect();
    match items.count() {
        0 => {}
        more => shown.push(format!("and {more} more")),
    }
    shown.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_that_is_too_long_is_shortened() {
        let shown = |count: usize| some((1..=count).map(|one| one.to_string()), 2, "; ");
        assert_eq!([shown(0), shown(2), shown(4)], ["", "1; 2", "1; 2; and 2 more"]);
    }
}
