//! A network namespace of a test's own. A test that cannot have one fails.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use netkeel_core::name::netns::Netns;

/// A fresh namespace, gone when this is.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    /// Makes one whose sysctls do not depend on the machine: a new namespace starts with the IPv4
    /// settings of the first one (`net.core.devconf_inherit_init_net`).
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nk{}-{number:03}", std::process::id());
        let made = output(Command::new("ip").args(["netns", "add", &name]));
        assert!(
            made.status.success(),
            "this test needs a network namespace, which needs root and iproute2: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let namespace = Namespace { name };
        // What is right already stays unwritten: `default`, once written, has no followers among
        // the interfaces that are made later.
        namespace.sh("while read -r key value; do
                 [ \"$(sysctl -n $key)\" = $value ] || sysctl -qw $key=$value
             done <<'END'
net.ipv4.ip_forward 0
net.ipv4.conf.all.accept_redirects 1
net.ipv4.conf.all.rp_filter 0
net.ipv4.conf.default.rp_filter 0
net.ipv6.conf.all.forwarding 0
net.ipv6.conf.all.disable_ipv6 0
net.ipv6.conf.default.addr_gen_mode 1
END");
        namespace
    }

    #[allow(dead_code, reason = "tests of the program have no use for it")]
    pub fn netns(&self) -> Netns {
        Netns::named(&self.name)
    }

    /// Runs a shell script in the namespace and returns what it prints; it must succeed.
    pub fn sh(&self, script: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "sh", "-ec", script]);
        let done = output(&mut command);
        assert!(
            done.status.success(),
            "in a network namespace, `{script}` failed: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
