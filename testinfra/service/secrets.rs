//! The service shows no value of a secret sysctl: not in its log, its status or its metrics.

use super::asked::{free_port, get};
use super::daemon::{Daemon, netkeel};
use super::namespace::Namespace;
use super::until;

const FOUND: &str = "aaaaaaaa-11111111-22222222-33333333";
const WANTED: &str = "bbbbbbbb-11111111-22222222-33333333";

#[test]
fn the_service_shows_no_value_of_a_secret() {
    let namespace = Namespace::new();
    let document = format!("version: 1\nsysctl: {{ net.ipv4.tcp_fastopen_key: {WANTED} }}\n");
    let set = || namespace.sh(&format!("sysctl -qw net.ipv4.tcp_fastopen_key={FOUND}"));
    let has_none = |text: &str| {
        for part in ["aaaa", "bbbb"] {
            assert!(!text.contains(part), "{text}");
        }
    };
    for mode in ["observe", "enforce"] {
        set();
        let address = free_port();
        let listen = address.to_string();
        let mut service = Daemon::start(
            &namespace,
            &document,
            &["--mode", mode, "--listen", &listen, "--interval", "1s"],
        );
        service.wait_for("event=full-scan");
        if mode == "enforce" {
            until("it is written", || {
                namespace
                    .sh("sysctl -n net.ipv4.tcp_fastopen_key")
                    .contains(WANTED)
            });
            set();
            until("it is written again", || {
                netkeel(&[
                    "check",
                    "--netns",
                    &namespace.name,
                    "-f",
                    service.document.to_str().unwrap(),
                ])
                .0 == 0
            });
        }
        let of = ["--netns", &namespace.name];
        for words in [&["status"][..], &["status", "--output", "json"]] {
            let (code, text) = netkeel(&[words, &of].concat());
            assert_eq!(code, 0, "{text}");
            assert!(mode == "enforce" || text.contains("(secret)"), "{text}");
            has_none(&text);
        }
        for path in ["/metrics", "/healthz"] {
            has_none(&get(address, path));
        }
        let (code, said) = service.stop();
        assert_eq!(code, 0, "{said}");
        assert!(mode == "observe" || said.contains("tcp_fastopen_key"), "{said}");
        has_none(&said);
    }
}
