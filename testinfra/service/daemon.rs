//! A service that runs while a test does, and what it says.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use super::namespace::Namespace;

/// The program under test: the one of this build, unless `NETKEEL_BIN` names another.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    let built = || env!("CARGO_BIN_EXE_netkeel").to_owned();
    PROGRAM.get_or_init(|| std::env::var("NETKEEL_BIN").unwrap_or_else(|_| built()))
}

/// What the pods of a node should be.
pub const PODS: &str =
    "version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1460, rp_filter: strict }\n";

/// A service.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    said: String,
    /// Its document.
    pub document: PathBuf,
    _directory: tempfile::TempDir,
}

impl Daemon {
    /// Starts one in a namespace.
    pub fn start(namespace: &Namespace, document: &str, more: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["run", "--netns", &namespace.name]);
        Self::spawn(command, document, more)
    }

    /// Starts one that lives in a namespace, as one does in a host's.
    pub fn start_inside(namespace: &Namespace, document: &str, more: &[&str]) -> Self {
        Self::spawn(inside(namespace, &["run"]), document, more)
    }

    /// Starts one by a command, to which its document and more options are added.
    pub fn spawn(mut command: Command, document: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("document.yaml");
        fs::write(&path, document).unwrap();
        command.arg("-f").arg(&path).args(more);
        Self::with(command, path, directory)
    }

    /// Starts one by a whole command.
    pub fn run(command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::with(command, directory.path().join("none"), directory)
    }

    fn with(mut command: Command, path: PathBuf, directory: tempfile::TempDir) -> Self {
        let mut child = command
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Daemon {
            child,
            lines,
            said: String::new(),
            document: path,
            _directory: directory,
        }
    }

    /// Waits until it says this, from here on.
    pub fn wait_for(&mut self, text: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < super::SOON {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("it does not say `{text}`:\n{}", self.said);
    }

    /// Replaces its document's text.
    pub fn write(&self, document: &str) {
        fs::write(&self.document, document).unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that it took.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
        // USER_HZ is 100 on every architecture that is supported.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Ends it: its exit code and all it said.
    pub fn stop(self) -> (i32, String) {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> (i32, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.said.extend(self.lines.iter().map(|line| line + "\n"));
                return (status.code().unwrap_or(-1), std::mem::take(&mut self.said));
            }
            assert!(start.elapsed() < super::SOON, "it does not end:\n{}", self.said);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in a namespace, which it takes for that of its host.
fn inside(namespace: &Namespace, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &namespace.name, program()])
        .args(arguments);
    command
}

/// Runs another verb beside a service that lives in a namespace.
pub fn netkeel_inside(namespace: &Namespace, arguments: &[&str]) -> (i32, String) {
    said(&mut inside(namespace, arguments))
}

/// Runs another verb: its exit code and what it prints.
pub fn netkeel(arguments: &[&str]) -> (i32, String) {
    said(Command::new(program()).args(arguments))
}

/// The status of a service that runs. On a busy machine it does not answer in time at once.
pub fn status(namespace: &Namespace) -> Value {
    let start = Instant::now();
    loop {
        let (code, text) = netkeel(&["status", "--output", "json", "--netns", &namespace.name]);
        if code == 0 {
            return serde_json::from_str(&text).unwrap();
        }
        assert!(start.elapsed() < super::SOON, "{text}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A count that has not grown for so long.
pub fn settled(quiet: Duration, count: impl Fn() -> u64) -> u64 {
    let (start, mut since, mut last) = (Instant::now(), Instant::now(), count());
    while since.elapsed() < quiet {
        thread::sleep(Duration::from_millis(50));
        let now = count();
        if now != last {
            (since, last) = (Instant::now(), now);
        }
        assert!(start.elapsed() < super::SOON, "it goes on: {last}");
    }
    last
}

fn said(command: &mut Command) -> (i32, String) {
    let done = command.output().unwrap();
    (
        done.status.code().unwrap_or(-1),
        String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap(),
    )
}
