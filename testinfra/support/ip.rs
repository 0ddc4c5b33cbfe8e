//! Commands of `ip` in the network namespace of the calling thread.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs commands of `ip`, one a line, which must not fail.
pub fn batch(script: &str) {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs `ip` of iproute2");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}\n{stderr}");
}
