//! The user and the command that run netkeel.

use std::{env, process};

/// `uid 0 (sudo by alice), pid 812: netkeel apply -f x.yaml`, at most a line.
pub fn actor() -> String {
    let uid = nix::unistd::getuid();
    let sudo = env::var("SUDO_USER")
        .map(|user| format!(" (sudo by {user})"))
        .unwrap_or_default();
    let command: Vec<String> = env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let text = format!("uid {uid}{sudo}, pid {}: {}", process::id(), command.join(" "));
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect()
}
