//! The page of a finding from the documentation, for a terminal. The pages are part of the program.

use crate::paint::Paint;
use netkeel_core::finding::Code;

/// The width of the text, in characters.
const WIDTH: usize = 80;

/// The pages of the codes.
macro_rules! pages {
    ($code:expr; $($name:ident)*) => {
        match $code {
            $(Code::$name => include_str!(concat!(
                "../../../docs/reference/findings/",
                stringify!($name),
                ".md"
            )),)*
        }
    };
}

/// The page of a finding, in Markdown: the fact, its cause, the remedy and an example.
pub fn page(code: Code) -> &'static str {
    pages!(code;
        NK001 NK002 NK003 NK004 NK005 NK006 NK007 NK008
        NK009 NK010 NK011 NK012 NK013 NK014 NK015 NK016
        NK017 NK018 NK019 NK020 NK021 NK022 NK023 NK024
        NK025 NK026 NK027 NK028 NK029 NK030 NK031 NK032
        NK033 NK034 NK035 NK036 NK037 NK038 NK039 NK040
        NK041 NK042 NK043 NK044 NK045 NK046 NK047 NK048
        NK049 NK050 NK051 NK052 NK053 NK054 NK055 NK056
        NK057 NK058 NK059 NK060 NK061 NK062 NK063 NK064
        NK065 NK066 NK070 NK071 NK072 NK073 NK074 NK075 NK076
        NK077 NK080
        NK090 NK091 NK092 NK093 NK094
    )
}

/// The page of a finding as text of at most 80 columns; examples may be wider.
pub fn finding(code: Code, paint: Paint) -> String {
    let mut out = String::new();
    let mut paragraph = Vec::new();
    let mut code_block = false;
    for line in page(code).lines() {
        if line.starts_with("```") {
            flush(&mut paragraph, &mut out);
            code_block = !code_block;
        } else if code_block {
            out.push_str(format!("    {line}").trim_end());
            out.push('\n');
        } else if let Some(title) = line
            .trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
        {
            flush(&mut paragraph, &mut out);
            out.push_str(&paint.bold(plain(title)));
            out.push('\n');
            if line.starts_with("# ") {
                out.push_str(&format!("Severity: {}\n", code.severity()));
            }
        } else if line.starts_with('|') || line.trim().is_empty() {
            flush(&mut paragraph, &mut out);
            out.push_str(&plain(line));
            out.push('\n');
        } else {
            if is_item(line) {
                flush(&mut paragraph, &mut out);
            }
            paragraph.push(line);
        }
    }
    flush(&mut paragraph, &mut out);
    out
}

/// Whether a line starts an item of a list.
fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|char: char| char.is_ascii_digit());
    line.starts_with("- ") || number.len() < line.len() && number.starts_with(". ")
}

/// Ends a paragraph or an item of a list, which is indented below its first line.
fn flush(paragraph: &mut Vec<&str>, out: &mut String) {
    let Some(first) = paragraph.first() else { return };
    let indent = if is_item(first) { 2 } else { 0 };
    let text: Vec<&str> = paragraph.iter().map(|line| line.trim()).collect();
    paragraph.clear();
    let mut column = 0;
    for word in plain(&text.join(" ")).split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// Text without the marks of emphasis and without the targets of links.
fn plain(text: &str) -> String {
    let text = text.replace("**", "");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find('[') {
        let link = rest.get(open + 1..).and_then(|after| {
            let (label, target) = after.split_once("](")?;
            let (_, behind) = target.split_once(')')?;
            (!label.contains('[')).then_some((label, behind))
        });
        match link {
            Some((label, behind)) => {
                out.push_str(rest.get(..open).unwrap_or_default());
                out.push_str(label);
                rest = behind;
            }
            None => {
                out.push_str(rest.get(..=open).unwrap_or_default());
                rest = rest.get(open + 1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_page_that_fits_a_terminal() {
        for code in Code::ALL {
            assert!(page(*code).starts_with(&format!("# {code}: ")), "{code}");
            let text = finding(*code, Paint(false));
            assert!(text.starts_with(&format!("{code}: ")), "{text}");
            assert!(text.contains("Remedy"), "{text}");
            assert!(
                !text.contains("**") && !text.contains("](") && !text.contains("```"),
                "{text}"
            );
            for line in text
                .lines()
                .filter(|line| !line.starts_with("    ") && !line.starts_with('|'))
            {
                assert!(line.chars().count() <= WIDTH, "{code}: {line}");
            }
        }
    }

    #[test]
    fn links_and_emphasis_are_plain_text() {
        assert_eq!(
            plain("**Why.** as [NK014](NK014.md) and [a]"),
            "Why. as NK014 and [a]"
        );
    }

    #[test]
    fn an_item_of_a_list_is_indented_below_its_first_line() {
        let mut out = String::new();
        let long = format!("- {}", "word ".repeat(20).trim_end());
        flush(&mut vec![&long], &mut out);
        assert!(
            out.lines().nth(1).is_some_and(|line| line.starts_with("  word")),
            "{out}"
        );
    }
}
