//! Reports all JSON5 and "JSON with comments" features in a text at once, from the tokens of a relaxed
//! reading.

use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use crate::diagnostic::Diagnostics;
use crate::span::{FileId, Span};

/// Reports each relaxed feature; `false` if the text uses no feature, or if even the relaxed reading fails.
pub(crate) fn report(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> bool {
    let collect = CollectOptions {
        comments: CommentCollectionStrategy::AsTokens,
        tokens: true,
    };
    let Ok(result) = parse_to_ast(text, &collect, &ParseOptions::default()) else {
        return false;
    };
    let before = diagnostics.count();
    let mut last: Option<&TokenAndRange<'_>> = None;
    for token in result.tokens.iter().flatten() {
        let raw = text.get(token.range.start..token.range.end).unwrap_or_default();
        let span = Span::new(file, token.range.start, token.range.end);
        let comment = matches!(token.token, Token::CommentLine(_) | Token::CommentBlock(_));
        if let Some((message, hint)) = alone(&token.token, raw) {
            let diagnostic = diagnostics.add(span, "", message);
            diagnostic.hints.extend(hint.map(str::to_owned));
        }
        if comment {
            continue;
        }
        if let Some(last) = last {
            let behind = Span::new(file, last.range.start, last.range.end);
            if last.token == Token::Comma && closes(&token.token) {
                diagnostics.add(behind, "", "a comma after the last value");
            } else if ends_value(&last.token) && starts_value(&token.token) {
                diagnostics.add(span, "", "a comma is missing before this");
            }
        }
        last = Some(token);
    }
    diagnostics.count() > before
}

/// The error of a token, independent of the tokens around it.
fn alone(token: &Token<'_>, raw: &str) -> Option<(&'static str, Option<&'static str>)> {
    match token {
        Token::CommentLine(_) | Token::CommentBlock(_) => {
            Some(("JSON has no comments", Some("YAML and TOML have them")))
        }
        Token::Word(_) => Some(("a word without quotes", Some("JSON requires double quotes"))),
        Token::String(_) if raw.starts_with('\'') => {
            Some(("text in single quotes", Some("JSON requires double quotes")))
        }
        Token::String(_) if has_relaxed_escape(raw) => Some((
            "an escape that JSON does not have",
            Some("JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000"),
        )),
        Token::Number(number) if !is_strict_number(number) => Some((
            "a number in a form that JSON does not have",
            Some("write it in decimal"),
        )),
        _ => None,
    }
}

fn closes(token: &Token<'_>) -> bool {
    matches!(token, Token::CloseBrace | Token::CloseBracket)
}

fn ends_value(token: &Token<'_>) -> bool {
    closes(token) || is_scalar(token)
}

fn starts_value(token: &Token<'_>) -> bool {
    matches!(token, Token::OpenBrace | Token::OpenBracket) || is_scalar(token)
}

fn is_scalar(token: &Token<'_>) -> bool {
    matches!(
        token,
        Token::String(_) | Token::Word(_) | Token::Boolean(_) | Token::Number(_) | Token::Null
    )
}

fn has_relaxed_escape(raw: &str) -> bool {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !bytes.next().is_some_and(|next| b"\"\\/bfnrtu".contains(&next)) {
            return true;
        }
    }
    false
}

/// Digits with at most a minus, a fraction and an exponent, as JSON allows.
fn is_strict_number(number: &str) -> bool {
    let body = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (body, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(exponent) && digits(fraction) && digits(whole) && (whole == "0" || !whole.starts_with('0'))
}
