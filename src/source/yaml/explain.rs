//! The parser's errors in words that help: most have one of a few causes.

/// The message and a hint for an error of the parser, given the line it is in.
pub(super) fn explain(info: &str, line: &str) -> (String, Option<&'static str>) {
    let cause = cause(info, line);
    let message = match cause {
        Some((message, _)) => message.to_owned(),
        None => format!("not valid YAML: {info}"),
    };
    (message, cause.and_then(|(_, hint)| hint))
}

fn cause(info: &str, line: &str) -> Option<(&'static str, Option<&'static str>)> {
    let has = |part: &str| info.contains(part);
    let indented_by_tab = line
        .bytes()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .any(|byte| byte == b'\t');
    Some(if indented_by_tab || has("tab") {
        (
            "a tab where YAML wants blanks",
            Some("YAML indents with blanks only"),
        )
    } else if has("unknown anchor") {
        (
            "an alias (`*name`) without its anchor (`&name`)",
            Some("text that begins with `*`, such as a glob, needs quotes"),
        )
    } else if has("mapping values are not allowed") {
        (
            "a `: ` where no value can follow",
            Some("check the indentation; text that contains `: ` needs quotes"),
        )
    } else if has("unexpected end of stream") || has("unexpected eof") {
        (
            "the text ends within a quoted value",
            Some("a closing quote is missing"),
        )
    } else if has("simple key expect ':'") || has("simple key expected") {
        (
            "a key without a colon",
            Some("write `key: value`, with a blank after the colon"),
        )
    } else if has("did not find expected ',' or '}'") {
        ("expected `,` or `}` in a map in braces", None)
    } else if has("expected ',' or ']'") {
        ("expected `,` or `]` in a list in brackets", None)
    } else if has("did not find expected key") || has("did not find expected '-'") {
        (
            "this does not continue what stands above it",
            Some("the keys of one map, and the items of one list, begin in the same column"),
        )
    } else if has("unexpected character") {
        (
            "text cannot begin with this character",
            Some("put the text into quotes"),
        )
    } else if has("recursion limit") {
        ("nested too deep", None)
    } else {
        return None;
    })
}
