//! Network namespaces of a test: made under a name that no other run has, and deleted when the
//! test ends, also when it fails.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use netkeel_core::name::netns::Netns;

pub struct Namespace {
    pub name: String,
}

impl Namespace {
    /// Makes one. Without it there is no test, so that this fails and does not skip.
    pub fn make() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "netkeel-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        match made {
            Ok(output) if output.status.success() => Namespace { name },
            Ok(output) => panic!(
                "this test needs root to make network namespaces: ip netns add {name}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => panic!("this test needs `ip` of iproute2: {error}"),
        }
    }

    pub fn netns(&self) -> Netns {
        Netns::named(&self.name)
    }

    /// Runs `ip` commands, a line each.
    pub fn ip(&self, script: &str) {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{script}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Writes a sysctl as a shell would, not by netkeel's code.
    pub fn sysctl(&self, path: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/{path}");
        let written = Command::new("ip")
            .args(["netns", "exec", &self.name, "sh", "-c", &script])
            .output()
            .unwrap();
        assert!(
            written.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&written.stderr)
        );
    }

    /// Reads a sysctl as a shell would.
    pub fn read(&self, path: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name, "cat", &format!("/proc/sys/{path}")])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
