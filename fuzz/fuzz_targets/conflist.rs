//! Any text as a CNI configuration: it is read or refused, an edit comes to what it says, and
//! editing again changes nothing. The input is the text, a zero byte, the plugin's type.

#![no_main]

use libfuzzer_sys::fuzz_target;

use netkeel_core::fact::Value;
use netkeel_host::cni::conflist::{edit, read};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (Ok(text), Ok(named)) = (
        std::str::from_utf8(&input[..end]),
        std::str::from_utf8(input.get(end + 1..).unwrap_or_default()),
    ) else {
        return;
    };
    let before = read(text);
    let kind = before
        .plugins()
        .first()
        .map_or(named.to_owned(), |plugin| plugin.kind.to_string());
    let mtu = Some(Value::Number(1460));
    if let Ok(edited) = edit(text, &kind, mtu.as_ref()) {
        let mut expected = before.clone();
        expected.set(&kind, mtu.as_ref());
        assert_eq!(read(&edited).plugins(), expected.plugins());
        assert_eq!(edit(&edited, &kind, mtu.as_ref()).unwrap(), edited);
        let taken = edit(&edited, &kind, None).unwrap();
        assert_eq!(read(&taken).mtu(&kind), None);
    }
});
