//! Finds very large maps in braces and lists in brackets: the parser holds all of one in memory before
//! it returns its first token.

/// The maximum size of one in bytes.
pub(crate) const MAX_FLOW: usize = 1 << 20;

/// The start of a map in braces or a list in brackets that is larger than [`MAX_FLOW`].
pub(crate) fn too_large(text: &str) -> Option<usize> {
    if text.len() <= MAX_FLOW {
        return None;
    }
    let mut start = None;
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    let mut comment = false;
    let mut before = b'\n';
    for (at, byte) in text.bytes().enumerate() {
        let opens_token = matches!(before, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'[' | b'{' | b':');
        let blank = matches!(before, b' ' | b'\t' | b'\n' | b'\r');
        before = byte;
        match (byte, quote) {
            _ if escaped => escaped = false,
            (b'\n', _) => comment = false,
            _ if comment => {}
            (b'\\', Some(b'"')) => escaped = true,
            (byte, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => {}
            (b'#', None) if blank => comment = true,
            (b'"' | b'\'', None) if opens_token => quote = Some(byte),
            (b'{' | b'[', None) if opens_token => {
                start = start.filter(|_| depth > 0).or(Some(at));
                depth += 1;
            }
            (b'}' | b']', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 0 && start.is_some_and(|start| at - start > MAX_FLOW) {
            return start;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_open_is_large() {
        let line = "a: [1, 2] # [\nb: {c: \"}\\\"\"}\nd: e[0]\ne: it's [\n";
        let many = line.replace(" [\n", "\n").repeat(MAX_FLOW / 40);
        assert!(many.len() > MAX_FLOW);
        assert_eq!(too_large(&many), None);
        assert_eq!(too_large(&format!("a: [{}]", "1, ".repeat(MAX_FLOW))), Some(3));
        assert_eq!(too_large("a: ["), None);
    }
}
