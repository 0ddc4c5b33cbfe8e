//! Text in lines of a limited width.

/// Splits a text at blanks into lines of at most `width` characters. The first line has no indent of its own and
/// starts at column `first`; the others get `indent` blanks. Text in backticks, which somebody may paste, and
/// longer words stay whole.
pub(crate) fn wrap(text: &str, first: usize, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut column = first;
    let mut is_start = true;
    for word in words_of(text) {
        let length = word.chars().count();
        if is_start {
            is_start = false;
        } else if column + 1 + length > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// The words of a text. Blanks in backticks separate no words.
fn words_of(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (at, char) in text.char_indices() {
        match char {
            '`' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                words.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    words.extend(text.get(start..));
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_width_and_commands_stay_whole() {
        let text = "one two `ip link set dev eth0` three";
        assert_eq!(
            wrap(text, 2, 4, 12),
            "one two\n    `ip link set dev eth0`\n    three"
        );
        assert_eq!(wrap(text, 0, 0, 80), text);
        assert_eq!(wrap("an unpaired ` tick", 0, 0, 5), "an\nunpaired\n` tick");
        assert_eq!(wrap("", 0, 0, 5), "");
    }
}
