//! The frame and the parts of an HTML page that needs no other file and no network.

use crate::wording::thousands;
use netkeel_core::text::escape::is_deceptive;

/// The page's own script: the filter box and the buttons.
const SCRIPT: &str = include_str!("page.js");

/// The hash of the script. Browsers run no other one.
const SCRIPT_HASH: &str = include_str!("page.js.sha256");

const STYLE: &str = include_str!("page.css");

/// Text of others as text of HTML, in elements and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(char),
            char if is_deceptive(char) => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
    out
}

/// A page with a title and a body of HTML.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        SCRIPT_HASH.trim()
    );
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&policy)
    )
}

/// The filter box and the buttons of the groups below. Without a script they are hidden.
pub(crate) fn filter() -> &'static str {
    "<form id=\"filter\" role=\"search\" hidden>\n\
     <label>Filter <input type=\"search\" id=\"words\" autocomplete=\"off\" \
     placeholder=\"host, object or value\"></label>\n\
     <button type=\"button\" id=\"unfold\">Unfold all</button>\n\
     <button type=\"button\" id=\"fold\">Fold all</button>\n\
     <output id=\"shown\" for=\"words\"></output>\n</form>\n"
}

/// A number with its meaning, for the head of a page.
pub(crate) struct Figure {
    pub(crate) number: String,
    pub(crate) what: String,
    /// A person must look at it.
    pub(crate) is_bad: bool,
}

impl Figure {
    /// A number of things, by their name for one and for several.
    pub(crate) fn count(number: usize, (one, several): (&str, &str), is_bad: bool) -> Self {
        Figure {
            number: thousands(number),
            what: if number == 1 { one } else { several }.to_owned(),
            is_bad: is_bad && number > 0,
        }
    }
}

/// Numbers in a row.
pub(crate) fn figures(figures: &[Figure]) -> String {
    let figures: String = figures
        .iter()
        .map(|figure| {
            let class = if figure.is_bad { " class=\"bad\"" } else { "" };
            format!(
                "<li{class}><strong>{}</strong> {}</li>\n",
                escaped(&figure.number),
                escaped(&figure.what)
            )
        })
        .collect();
    format!("<ul class=\"figures\">\n{figures}</ul>\n")
}

/// A table. Cells are HTML.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "<p>None.</p>\n".to_owned();
    }
    let is_headless = head.iter().all(|cell| cell.is_empty());
    let head: String = head
        .iter()
        .map(|cell| format!("<th scope=\"col\">{}</th>", escaped(cell)))
        .collect();
    let head = match is_headless {
        true => String::new(),
        false => format!("<thead><tr>{head}</tr></thead>\n"),
    };
    let row = |cells: &Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<div class=\"wide\"><table>\n{head}<tbody>\n{rows}</tbody>\n</table></div>\n")
}

/// A group that folds. `summary` and `body` are HTML.
pub(crate) fn group(is_open: bool, is_bad: bool, summary: &str, body: &str) -> String {
    let open = if is_open { " open" } else { "" };
    let class = if is_bad { "group bad" } else { "group" };
    format!("<details class=\"{class}\"{open}>\n<summary>{summary}</summary>\n{body}</details>\n")
}

/// A sign for an effect, with its meaning for a reader that does not see it.
pub(crate) fn sign(sign: char, meaning: &str) -> String {
    format!(
        "<abbr class=\"sign\" title=\"{}\">{}</abbr>",
        escaped(meaning),
        escaped(&sign.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_of_others_is_no_markup() {
        assert_eq!(
            escaped("<script>\"a\" & 'b'</script>\u{202e}"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;\\u{202e}"
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in any::<String>()) {
            let shown = escaped(&text);
            prop_assert!(!shown.contains(['<', '>', '"', '\'']), "{shown}");
            for part in shown.split('&').skip(1) {
                let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
                prop_assert!(known.iter().any(|entity| part.starts_with(entity)), "{shown}");
            }
        }
    }

    #[test]
    fn a_page_loads_nothing() {
        let page = page("a <title>", "<p>text</p>\n");
        assert!(page.contains("<title>a &lt;title&gt;</title>"));
        for word in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src &#39;none&#39;"), "{page}");
        assert_eq!(page.matches("<script").count(), 1);
    }
}
