//! The table of `kubectl get netkeelnodes` at each step, compared with netkeelnodes.txt. `NETKEEL_BLESS=1` writes the file.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::Cluster;

/// A state is written within some seconds.
const WRITTEN: u64 = 60;

/// The tables of the steps so far.
pub struct Tables {
    expected: String,
    found: String,
}

fn path() -> PathBuf {
    concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testinfra/rollout/netkeelnodes.txt"
    )
    .into()
}

fn is_blessed() -> bool {
    std::env::var_os("NETKEEL_BLESS").is_some()
}

/// The table, with `-` for each age.
fn table(cluster: &Cluster) -> String {
    let text = cluster.kubectl(&["get", "netkeelnodes"], "").unwrap();
    let mut masked = String::new();
    for (number, line) in text.lines().enumerate() {
        let (rest, age) = line.trim_end().rsplit_once(' ').unwrap();
        let shown = if number == 0 { age } else { "-" };
        writeln!(masked, "{rest} {shown}").unwrap();
    }
    masked
}

impl Tables {
    pub fn new() -> Self {
        Tables {
            expected: std::fs::read_to_string(path()).unwrap_or_default(),
            found: String::new(),
        }
    }

    /// Waits until the table is that of the step.
    pub fn check(&mut self, cluster: &Cluster, step: &str) {
        let head = format!("# {step}\n");
        let table = match is_blessed() {
            true => {
                std::thread::sleep(Duration::from_secs(WRITTEN / 3));
                table(cluster)
            }
            false => {
                let (_, after) = self.expected.split_once(&head).unwrap_or_default();
                let expected = after.split("\n#").next().unwrap_or_default().trim_end();
                let now = || table(cluster).trim_end().to_owned();
                cluster.wait(step, expected.to_owned(), WRITTEN, now);
                format!("{expected}\n")
            }
        };
        let gap = if self.found.is_empty() { "" } else { "\n" };
        write!(self.found, "{gap}{head}{table}").unwrap();
    }

    /// All steps were those of the file.
    pub fn finish(self) {
        match is_blessed() {
            true => std::fs::write(path(), self.found).unwrap(),
            false => assert_eq!(self.found, self.expected),
        }
    }
}
