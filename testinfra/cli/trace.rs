//! What a run writes, as strace sees it.

use std::fs;

use crate::run::{Done, PROGRAM, Scratch};

/// A run with its system calls.
#[derive(Debug)]
pub struct Trace {
    pub done: Done,
    calls: Vec<String>,
}

/// Calls that write, make or remove.
const CALLS: &str = "trace=open,openat,openat2,creat,write,pwrite64,writev,sendto,sendmsg,\
    mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,\
    truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,fchownat,setxattr,utimensat";

/// The first number of requests of nftables: NFNL_SUBSYS_NFTABLES in the upper byte.
const NFTABLES: u32 = 10 << 8;

/// Those that look: tables, chains, rules, sets, their elements, the generation, objects and flowtables
/// (include/uapi/linux/netfilter/nf_tables.h).
const GETS: [u32; 8] = [1, 4, 7, 10, 13, 16, 19, 23];

impl Scratch {
    /// Runs netkeel here and notes what it writes.
    pub fn trace(&self, arguments: &[&str]) -> Trace {
        let strace = [
            "-f",
            "-y",
            "-qq",
            "-s",
            "256",
            "-e",
            CALLS,
            "-e",
            "signal=none",
            "-o",
            "trace.log",
            PROGRAM,
        ];
        let done = self.command("strace", &[&strace[..], arguments].concat());
        let log = self.path().join("trace.log");
        let calls = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        Trace {
            done,
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

impl Trace {
    fn calls(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<&str> {
        // With -f a line begins with the thread.
        let split = |line: &'_ str| {
            let call = line
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start()
                .to_owned();
            let name = call.split('(').next().unwrap_or_default().to_owned();
            (name, call)
        };
        let mut found = Vec::new();
        for line in &self.calls {
            let (name, call) = split(line);
            if wanted(&name, &call) {
                found.push(line.as_str());
            }
        }
        found
    }

    /// Writes to files below /proc/sys.
    pub fn written_sysctls(&self) -> Vec<&str> {
        self.calls(|name, call| name.contains("write") && call.contains("</proc/sys/"))
    }

    /// Requests over netlink that are for more than looking. In another namespace strace knows a
    /// request by its number only; those of rtnetlink that look are 2 modulo 4
    /// (include/uapi/linux/rtnetlink.h), and those of nftables have numbers of their own (NFT_MSG_GET*).
    pub fn netlink_writes(&self) -> Vec<&str> {
        self.calls(|name, call| {
            let Some((_, kind)) = call.split_once("nlmsg_type=") else {
                return false;
            };
            let looks = match kind.strip_prefix("0x") {
                Some(digits) => {
                    let end = digits
                        .find(|c: char| !c.is_ascii_hexdigit())
                        .unwrap_or(digits.len());
                    let number = u32::from_str_radix(&digits[..end], 16).unwrap();
                    match number.checked_sub(NFTABLES) {
                        Some(verb) => GETS.contains(&verb),
                        None => number % 4 == 2,
                    }
                }
                None => kind.starts_with("RTM_GET") || kind.contains("NFT_MSG_GET"),
            };
            name.starts_with("send") && !looks
        })
    }

    /// Files that are opened for writing, made, changed or removed.
    pub fn file_writes(&self) -> Vec<&str> {
        self.calls(|name, call| match name {
            "open" | "openat" | "openat2" => ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
                .iter()
                .any(|flag| call.contains(flag)),
            "write" | "pwrite64" | "writev" | "sendto" | "sendmsg" => false,
            _ => !name.is_empty() && !name.starts_with("+++") && !name.starts_with("<..."),
        })
    }
}
