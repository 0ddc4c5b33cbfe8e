//! The server blocks of a Corefile, and the size of answers over UDP that each allows.

/// The default of the plugin bufsize (coredns, plugin/bufsize).
pub(super) const DEFAULT: i64 = 1232;

/// Protocols of server blocks that do not serve UDP.
const WITHOUT_UDP: [&str; 4] = ["tls://", "https://", "grpc://", "https3://"];

/// Plugins of a server block whose answers are about the server itself, and those that answer nothing. OpenShift has a block
/// for hostname.bind with `chaos` alone.
const OF_ITSELF: [&str; 7] = [
    "chaos",
    "errors",
    "health",
    "log",
    "prometheus",
    "ready",
    "reload",
];

/// The size of answers that a server block allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Bytes(i64),
    /// It has no bufsize: what the client says counts.
    Client,
    /// Why it is not known.
    Unknown(String),
}

/// A block: its names, and the directives in it as words.
#[derive(Debug, Default)]
struct Block<'a> {
    names: Vec<&'a str>,
    directives: Vec<Vec<&'a str>>,
}

/// The names of each server block that serves UDP, and its size.
pub(super) fn sizes(corefile: &str) -> Vec<(String, Size)> {
    let (blocks, outside) = match blocks(corefile) {
        Some(found) => found,
        None => return vec![("the Corefile".to_owned(), unknown("its form is not understood"))],
    };
    let is_snippet = |block: &&Block<'_>| block.names.iter().any(|name| name.starts_with('('));
    let snippets: Vec<&Block<'_>> = blocks.iter().filter(is_snippet).collect();
    let serves_udp = |block: &&Block<'_>| {
        let is_other = |name: &&str| WITHOUT_UDP.iter().any(|scheme| name.starts_with(scheme));
        !is_snippet(block) && !block.names.iter().all(is_other)
    };
    let is_of_itself = |block: &Block<'_>| {
        let mut plugins = block.directives.iter().filter_map(|words| words.first());
        plugins.clone().any(|plugin| *plugin == "chaos") && plugins.all(|plugin| OF_ITSELF.contains(plugin))
    };
    let servers = blocks
        .iter()
        .filter(|block| serves_udp(block) && !is_of_itself(block));
    let mut sizes: Vec<(String, Size)> = servers
        .map(|block| (block.names.join(" "), size(block, &snippets)))
        .collect();
    let imported = outside
        .iter()
        .map(|file| ("what it imports".to_owned(), not_read(file)));
    sizes.extend(imported);
    sizes
}

fn unknown(why: &str) -> Size {
    Size::Unknown(why.to_owned())
}

fn not_read(file: &str) -> Size {
    Size::Unknown(format!("{file} was not read"))
}

fn size(block: &Block<'_>, snippets: &[&Block<'_>]) -> Size {
    let mut sizes = Vec::new();
    let mut missing = None;
    for directive in &block.directives {
        match directive.as_slice() {
            ["bufsize"] => sizes.push(Some(DEFAULT)),
            ["bufsize", size, ..] => sizes.push(size.parse().ok()),
            ["import", name, ..] => {
                let called = format!("({name})");
                let snippet = snippets.iter().find(|one| one.names == [called.as_str()]);
                match snippet.map(|snippet| size(snippet, &[])) {
                    Some(Size::Bytes(size)) => sizes.push(Some(size)),
                    Some(Size::Client) => {}
                    Some(Size::Unknown(why)) => missing = Some(Size::Unknown(why)),
                    None => missing = Some(not_read(name)),
                }
            }
            _ => {}
        }
    }
    match sizes.iter().copied().collect::<Option<Vec<i64>>>() {
        None => unknown("its bufsize is no number"),
        Some(known) => match (known.iter().max(), missing) {
            (Some(size), _) => Size::Bytes(*size),
            (None, Some(missing)) => missing,
            (None, None) => Size::Client,
        },
    }
}

/// The blocks, and what is imported outside of them; `None` where the braces do not match.
fn blocks(corefile: &str) -> Option<(Vec<Block<'_>>, Vec<&str>)> {
    let (mut blocks, mut outside) = (Vec::new(), Vec::new());
    let mut block = Block::default();
    let mut depth = 0_usize;
    for line in corefile.lines() {
        let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let mut is_first = true;
        for word in words {
            match (word, depth) {
                ("{", _) => {
                    depth += 1;
                    is_first = true;
                }
                ("}", 0) => return None,
                ("}", _) => {
                    depth -= 1;
                    if depth == 0 {
                        blocks.push(std::mem::take(&mut block));
                    }
                }
                (word, 0) => block.names.push(word.trim_end_matches(',')),
                (word, 1) if is_first => {
                    block.directives.push(vec![word]);
                    is_first = false;
                }
                (word, 1) => block.directives.last_mut()?.push(word),
                _ => {}
            }
        }
        if let (0, ["import", file]) = (depth, block.names.as_slice()) {
            outside.push(*file);
            block.names.clear();
        }
    }
    (depth == 0 && block.names.is_empty()).then_some((blocks, outside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_block_has_its_size() {
        let not_number = || unknown("its bufsize is no number");
        for (corefile, wanted) in [
            (
                ".:53 {\n  errors\n  forward . /etc/resolv.conf {\n    bufsize 9\n  }\n}\n",
                vec![(".:53", Size::Client)],
            ),
            (".:53 {\n  bufsize\n}\n", vec![(".:53", Size::Bytes(1232))]),
            (
                ".:53 {\n  bufsize 4096\n}\na:53, b:53 {\n errors\n}\n",
                vec![(".:53", Size::Bytes(4096)), ("a:53 b:53", Size::Client)],
            ),
            (".:53 { bufsize 1400 }\n", vec![(".:53", Size::Bytes(1400))]),
            (
                ".:53 {\n  # bufsize 4096\n  errors\n}\n",
                vec![(".:53", Size::Client)],
            ),
            (".:53 {\n  bufsize {$SIZE}\n}\n", vec![(".:53", not_number())]),
            (
                ".:53 {\n  import custom/*.override\n}\nimport custom/*.server\n",
                vec![
                    (".:53", not_read("custom/*.override")),
                    ("what it imports", not_read("custom/*.server")),
                ],
            ),
            (
                ".:53 {\n  bufsize 1232\n  import custom/*.override\n}\n",
                vec![(".:53", Size::Bytes(1232))],
            ),
            (
                "(common) {\n  bufsize 1400\n}\n.:53 {\n  import common\n}\n",
                vec![(".:53", Size::Bytes(1400))],
            ),
            ("tls://.:853 {\n  errors\n}\n", vec![]),
            ("hostname.bind:5353 {\n  chaos\n}\n", vec![]),
            (
                "a:53 {\n  chaos\n  forward . 192.0.2.53\n}\n",
                vec![("a:53", Size::Client)],
            ),
            (
                ".:53 {\n  errors\n",
                vec![("the Corefile", unknown("its form is not understood"))],
            ),
            (
                ".:53\nerrors\n",
                vec![("the Corefile", unknown("its form is not understood"))],
            ),
        ] {
            let found = sizes(corefile);
            let found: Vec<(&str, Size)> = found
                .iter()
                .map(|(names, size)| (names.as_str(), size.clone()))
                .collect();
            assert_eq!(found, wanted, "{corefile}");
        }
    }
}
