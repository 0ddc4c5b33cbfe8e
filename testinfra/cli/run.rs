//! Running the program, in a directory of its own.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_netkeel");

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// The exit code; 128 and the signal for one that was killed.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A directory with files.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let scratch = Scratch(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        scratch
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts the program here, for everybody. By a program of its own: were the file open for
    /// writing in this one, another test that starts a program just then would have it open too, and
    /// it could not be run (ETXTBSY).
    pub fn copy_program(&self) {
        self.command("install", &["-m", "755", PROGRAM, "netkeel"]);
        self.command("chmod", &["755", "."]);
    }

    /// Runs netkeel here.
    pub fn run(&self, arguments: &[&str]) -> Done {
        self.command(PROGRAM, arguments)
    }

    /// Runs netkeel here, for a namespace.
    pub fn run_in(&self, netns: &str, arguments: &[&str]) -> Done {
        self.run(&[arguments, &["--netns", netns]].concat())
    }

    /// The same, which must succeed: its standard output.
    pub fn succeeds_in(&self, netns: &str, arguments: &[&str]) -> String {
        let done = self.run_in(netns, arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        done.stdout
    }

    /// Runs netkeel here with something on its standard input.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Done {
        done(
            Command::new(PROGRAM).args(arguments).current_dir(self.path()),
            stdin,
        )
    }

    /// Runs git here as somebody, on the branch main.
    pub fn git(&self, arguments: &[&str]) -> Done {
        let identity = [
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.org",
            "-c",
            "init.defaultBranch=main",
        ];
        let done = self.command("git", &[&identity, arguments].concat());
        assert_eq!(done.code, 0, "{done:?}");
        done
    }

    /// Runs any command here.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Done {
        done(Command::new(program).args(arguments).current_dir(self.path()), "")
    }
}

/// Runs netkeel anywhere.
pub fn netkeel(arguments: &[&str]) -> Done {
    done(Command::new(PROGRAM).args(arguments), "")
}

fn done(command: &mut Command, stdin: &str) -> Done {
    let started = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.unwrap_or_else(|error| panic!("this test needs {command:?}: {error}"));
    // Who does not read it closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    Done {
        code: output
            .status
            .code()
            .or(signal.map(|signal| 128 + signal))
            .unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
