//! Documents without secrets in their drop-in.

use super::*;
use netkeel_source::sources::Sources;

#[test]
fn a_drop_in_has_no_secret() {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let read = |keys: &str, sources: &mut Sources, diagnostics: &mut Diagnostics| {
        let text = format!("version: 1\nsysctl:\n{keys}");
        let node = sources.load("a.yaml", text.into_bytes(), None, diagnostics);
        Document::read(node.into_iter().collect(), Netns::CURRENT, diagnostics).drop_in
    };
    let secret = "  net.ipv4.tcp_fastopen_key: 01234567-01234567-01234567-01234567\n";
    assert_eq!(read(secret, &mut sources, &mut diagnostics), None);
    let both = format!("{secret}  net.core.somaxconn: 4096\n");
    let text = read(&both, &mut sources, &mut diagnostics).unwrap();
    assert!(text.contains("somaxconn") && !text.contains("01234567"), "{text}");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
}
