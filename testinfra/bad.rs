//! Bad input: each document is refused with the message that stands below it, nothing panics and
//! nothing is written. NETKEEL_BLESS=1 rewrites the messages.

#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/txtar.rs"]
mod txtar;

use namespace::Namespace;
use txtar::{Archive, difference, golden, run_all};

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::lint::plan::plan;
use netkeel_dialects::dialect::{Dialect, Reading};
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// The documents of a case: name and bytes. `-- NAME escaped --` holds what no text can: `\xff`,
/// `\n`, `\\`, and `\{3:ab}` for ababab.
fn documents(archive: &Archive) -> Vec<(String, Vec<u8>)> {
    let is_document = |name: &str| {
        name != "observed.json" && [".yaml", ".json", ".toml"].iter().any(|end| name.ends_with(end))
    };
    archive
        .sections
        .iter()
        .filter_map(|(header, text)| match header.split_once(' ') {
            None if is_document(header) => Some((header.clone(), text.clone().into_bytes())),
            Some((name, "escaped")) => Some((name.to_owned(), unescape(text.trim_end_matches('\n')))),
            _ => None,
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.bytes());
        let mut chars = after.chars();
        let escape = chars.next().unwrap();
        rest = chars.as_str();
        match escape {
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'x' => {
                let (digits, tail) = rest.split_at(2);
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = tail;
            }
            '{' => {
                let (repeat, tail) = rest.split_once('}').unwrap();
                let (times, what) = repeat.split_once(':').unwrap();
                out.extend(what.repeat(times.parse().unwrap()).bytes());
                rest = tail;
            }
            other => out.extend(other.to_string().bytes()),
        }
    }
    out.extend(rest.bytes());
    out
}

/// What is said of a case by `Document::read` or, on a host, by `plan`.
fn message(archive: &Archive) -> Result<String, String> {
    let host = archive.get("observed.json").map(Snapshot::from_json);
    let host = host.transpose().map_err(|error| error.message)?;
    let netns = host.as_ref().map_or(Netns::CURRENT, |host| host.netns.clone());
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut layers = Vec::new();
    let reading = Reading {
        dialect: Dialect::Native,
        keys: &[],
        facts: &BTreeMap::new(),
        levels: &[],
    };
    for (name, bytes) in documents(archive) {
        layers.extend(reading.load(&mut sources, &name, bytes, &mut diagnostics));
    }
    let document = Document::read(layers, netns, &mut diagnostics);
    if !diagnostics.is_empty() {
        return Ok(render::render(&diagnostics, &sources, false));
    }
    let host = host.ok_or("it is not refused")?;
    let Err(diagnostics) = plan(&document, &host) else {
        return Err("it is not refused on this host".into());
    };
    let mut kernel = ModelKernel::new(host);
    let session = Session {
        kernel: &mut kernel,
        log: &mut Unlogged,
        lossy: true,
        watch: &mut Unwatched,
    };
    if apply(&document, session).outcome.is_ok() || !kernel.done.is_empty() {
        return Err("plan refuses it and apply does not".into());
    }
    Ok(render::render(&diagnostics, &sources, false))
}

#[test]
fn every_bad_document_is_refused_with_its_message() {
    run_all("bad", |path, archive| {
        let message = message(archive)?;
        golden(path, archive, "message", &message)
    });
}

/// The program itself: apply in a namespace, or plan where the case has a host of its own.
#[test]
fn the_program_says_the_same_and_writes_nothing() {
    let namespace = Namespace::new();
    let look = || {
        let netns = namespace.netns();
        Live::with(&netns, |kernel| kernel.snapshot(&Scope::wide()).unwrap()).unwrap()
    };
    let before = look();
    run_all("bad", |_, archive| {
        let directory = tempfile::tempdir().unwrap();
        let mut files: Vec<String> = Vec::new();
        for (name, bytes) in documents(archive) {
            fs::write(directory.path().join(&name), bytes).unwrap();
            files.push(name);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_netkeel"));
        if let Some(json) = archive.get("observed.json") {
            fs::write(directory.path().join("observed.json"), json).unwrap();
            command.args(["plan", "--snapshot", "observed.json"]);
        } else {
            command.args(["apply", "--netns", &namespace.name]);
        }
        command.args(files.iter().flat_map(|file| ["-f", file]));
        let output = command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let expected = archive.get("message").unwrap_or_default();
        if output.status.code() != Some(1) || !output.stdout.is_empty() {
            return Err(format!(
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stdout)
            ));
        }
        if stderr != expected {
            return Err(difference(expected, &stderr));
        }
        let left = fs::read_dir(&directory).unwrap().count();
        let given = files.len() + usize::from(archive.get("observed.json").is_some());
        if left == given {
            Ok(())
        } else {
            Err("files were written".into())
        }
    });
    assert_eq!(before, look());
    assert!(!Path::new("/etc/sysctl.d/90-netkeel.conf").exists());
}
