//! `netkeel ansible-module`: the program as an Ansible binary module. It reads a task's arguments from a
//! file, runs `netkeel plan` and `netkeel apply`, and prints the task's result as JSON.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::Symlinks;

/// The hidden verb that Ansible runs.
pub(crate) const VERB: &str = "ansible-module";

/// Ansible copies a module to the host under this prefix and the module's name. The arguments file is
/// the only argument (lib/ansible/plugins/action/__init__.py).
const MODULE: &str = "AnsiballZ_";

/// Maximum size of the arguments file, bytes: documents have the same limit.
const LONGEST: u64 = 10 * 1024 * 1024;

/// Prefix of the arguments that Ansible adds to each task.
const INTERNAL: &str = "_ansible_";

/// Arguments that are options of both `plan` and `apply`.
const OF_BOTH: &[&str] = &["prune", "force_ownership"];

/// Arguments that are options of `apply` only.
const OF_APPLY: &[&str] = &["allow_lossy", "allow_management"];

/// Arguments that are not switches.
const OTHERS: &[&str] = &["document", "src", "netns", "verify_reach", "lock_timeout"];

/// The result of a failed task, without `failed`.
type Failure = Box<Map<String, Value>>;

/// Run an Ansible task and print its result as JSON
///
/// Exit status: 0 success; 1 the task failed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The task's arguments as JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let result = arguments_in(&arguments.file).and_then(|arguments| converge(&arguments));
    let (result, code) = match result {
        Ok(result) => (result, exit::OK),
        Err(mut failure) => {
            failure.insert("failed".to_owned(), true.into());
            (Value::Object(*failure), exit::ERROR)
        }
    };
    output::print(&format!("{result}\n"))?;
    Ok(code)
}

/// Adds the verb to the command line when Ansible runs this program as a module.
pub(crate) fn with_verb(mut line: Vec<OsString>) -> Vec<OsString> {
    let [program, _] = line.as_slice() else {
        return line;
    };
    let name = Path::new(program).file_name();
    if name.is_some_and(|name| name.as_encoded_bytes().starts_with(MODULE.as_bytes())) {
        line.insert(1, VERB.into());
    }
    line
}

/// Reads the arguments of a task.
fn arguments_in(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong =
        |why: &dyn Display| failure(format!("cannot read the arguments in {}: {why}", path.display()));
    let text = read::text(path, Symlinks::Follow, LONGEST).map_err(|cause| wrong(&cause))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// Plans, and applies unless the task runs in check mode.
fn converge(arguments: &Map<String, Value>) -> Result<Value, Failure> {
    refuse_unknown(arguments)?;
    let document = document(arguments)?;
    let mut common = vec!["-f".to_owned(), document.path];
    if let Some(netns) = text(arguments, "netns")? {
        common.extend(["--netns".to_owned(), netns]);
    }
    common.extend(switches(arguments, OF_BOTH)?);
    let run = |verb: &str, more: &[String], expected: &[i32]| {
        let words: Vec<&str> = std::iter::once(verb)
            .chain(common.iter().map(String::as_str))
            .chain(more.iter().map(String::as_str))
            .collect();
        netkeel(&words, document.text.as_deref(), expected)
    };
    let drift = exit::CHANGES.into();
    let (status, shown) = run("plan", &["--detailed-exitcode".to_owned()], &[0, drift])?;
    let (_, plan) = run("plan", &["--output".to_owned(), "json".to_owned()], &[0])?;
    let plan: Value =
        serde_json::from_str(&plan).map_err(|error| failure(format!("netkeel plan: {error}")))?;
    let commands = plan["steps"].as_array().into_iter().flatten();
    let commands: Vec<Value> = commands.map(|step| step["command"].clone()).collect();
    // No apply changes an interface that the document names and netkeel skips (NK045): it stays a warning.
    let changed = status == drift && !commands.is_empty();
    if changed && !switch(arguments, "_ansible_check_mode")? {
        run("apply", &of_apply(arguments)?, &[0])?;
    }
    Ok(json!({
        "changed": changed,
        "diff": if status == drift { vec![json!({ "prepared": shown })] } else { Vec::new() },
        "summary": shown.trim_end().lines().last().unwrap_or_default(),
        "commands": commands,
        "warnings": warnings(&plan["findings"]),
        "findings": plan["findings"],
        "plan": plan,
    }))
}

/// The findings that Ansible shows after a task, changed or not. Notes are in `findings` only.
fn warnings(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().into_iter().flatten();
    let shown = findings.filter(|finding| finding["severity"] != "note");
    shown.map(warning).collect()
}

fn warning(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let subjects = finding["subjects"].as_array().into_iter().flatten();
    let subjects: Vec<&str> = subjects.filter_map(Value::as_str).collect();
    let about = if subjects.is_empty() { "" } else { " " };
    let remedy = match text("remedy") {
        "" => String::new(),
        remedy => format!(" ({remedy})"),
    };
    format!(
        "netkeel {}{about}{}: {}{remedy}",
        text("code"),
        subjects.join(", "),
        text("message")
    )
}

/// The path of the document; its text when it goes to standard input.
struct Document {
    path: String,
    text: Option<String>,
}

fn document(arguments: &Map<String, Value>) -> Result<Document, Failure> {
    match (arguments.get("document"), text(arguments, "src")?) {
        (Some(Value::Object(document)), None) => {
            let mut document = document.clone();
            document.entry("version").or_insert_with(|| 1.into());
            Ok(Document {
                path: "-".to_owned(),
                text: Some(output::pretty(&Value::Object(document))),
            })
        }
        (None | Some(Value::Null), Some(src)) => Ok(Document {
            path: src,
            text: None,
        }),
        (Some(Value::Object(_)), Some(_)) => Err(failure("set either document or src, not both".to_owned())),
        (Some(document), _) if !document.is_null() => Err(failure("document must be a mapping".to_owned())),
        _ => Err(failure("set document or src".to_owned())),
    }
}

fn of_apply(arguments: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let mut words = switches(arguments, OF_APPLY)?;
    if let Some(seconds) = text(arguments, "lock_timeout")? {
        words.extend(["--lock-timeout".to_owned(), format!("{seconds}s")]);
    }
    let targets = match arguments.get("verify_reach") {
        Some(Value::Array(targets)) => targets.as_slice(),
        Some(Value::Null) | None => &[],
        Some(target) => std::slice::from_ref(target),
    };
    for target in targets {
        let target = target
            .as_str()
            .ok_or_else(|| failure(format!("verify_reach: expected text, found {target}")))?;
        words.extend(["--verify-reach".to_owned(), target.to_owned()]);
    }
    Ok(words)
}

/// The options of the switches that are on.
fn switches(arguments: &Map<String, Value>, names: &[&str]) -> Result<Vec<String>, Failure> {
    let mut on = Vec::new();
    for name in names {
        if switch(arguments, name)? {
            on.push(format!("--{}", name.replace('_', "-")));
        }
    }
    Ok(on)
}

/// A boolean. `key=value` arguments are text, so the words that Ansible accepts are accepted too.
fn switch(arguments: &Map<String, Value>, name: &str) -> Result<bool, Failure> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(Value::String(word)) if ["yes", "true", "on", "1"].contains(&word.to_lowercase().as_str()) => {
            Ok(true)
        }
        Some(Value::String(word)) if ["no", "false", "off", "0"].contains(&word.to_lowercase().as_str()) => {
            Ok(false)
        }
        Some(other) => Err(failure(format!("{name}: {other} is neither true nor false"))),
    }
}

/// A text or a number.
fn text(arguments: &Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(failure(format!("{name}: expected text, found {other}"))),
    }
}

fn refuse_unknown(arguments: &Map<String, Value>) -> Result<(), Failure> {
    let known: Vec<&str> = [OTHERS, OF_BOTH, OF_APPLY].concat();
    let unknown = |key: &&String| !key.starts_with(INTERNAL) && !known.contains(&key.as_str());
    let unknown: Vec<&str> = arguments.keys().filter(unknown).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(failure(format!(
        "unknown argument: {}; known arguments: {}",
        unknown.join(", "),
        known.join(", ")
    )))
}

/// Runs a netkeel verb as a child process, so that output and exit status are those of the command line.
fn netkeel(words: &[&str], stdin: Option<&str>, expected: &[i32]) -> Result<(i32, String), Failure> {
    let doing = |error: std::io::Error| failure(format!("netkeel {}: {error}", words.join(" ")));
    let mut child = Command::new("/proc/self/exe")
        .args(words)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(doing)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A child that does not read its input reports its own error, which is returned below.
        let _ = pipe.write_all(stdin.unwrap_or_default().as_bytes());
    }
    let ended = child.wait_with_output().map_err(doing)?;
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    let status = ended.status.code().unwrap_or(-1);
    if expected.contains(&status) {
        return Ok((status, shown));
    }
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    let verb = words.first().copied().unwrap_or_default();
    let mut failure = failure(format!("netkeel {verb}: {}: {}{shown}", ended.status, errors));
    failure.insert("rc".to_owned(), status.into());
    failure.insert("stdout".to_owned(), shown.into());
    failure.insert("stderr".to_owned(), errors.into());
    Err(failure)
}

fn failure(message: String) -> Failure {
    let mut failure = Map::new();
    failure.insert("msg".to_owned(), message.into());
    Box::new(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Vec<OsString> {
        with_verb(line.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_verb_is_added_only_for_ansible() {
        let called = read(&[
            "/root/.ansible/tmp/a/AnsiballZ_netkeel_host",
            "/root/.ansible/tmp/a/args",
        ]);
        assert_eq!(called[1..], ["ansible-module", "/root/.ansible/tmp/a/args"]);
        assert_eq!(read(&["/usr/bin/netkeel", "/tmp/args"])[1..], ["/tmp/args"]);
        assert_eq!(read(&["AnsiballZ_netkeel"]), ["AnsiballZ_netkeel"]);
        let more = read(&["AnsiballZ_netkeel", "plan", "--help"]);
        assert_eq!(more[1..], ["plan", "--help"]);
    }

    #[test]
    fn findings_are_warnings() {
        let finding = |severity: &str| json!({"code": "NK005", "severity": severity, "subjects": ["etho", "eth1"], "message": "not there", "remedy": "look"});
        let bare =
            json!({"code": "NK024", "severity": "error", "subjects": [], "message": "wrong", "remedy": ""});
        let all = json!([finding("note"), finding("warning"), bare]);
        assert_eq!(
            warnings(&all),
            [
                "netkeel NK005 etho, eth1: not there (look)",
                "netkeel NK024: wrong"
            ]
        );
        assert_eq!(warnings(&Value::Null), [""; 0]);
    }

    #[test]
    fn arguments_that_cannot_be_read_fail_the_task() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("args");
        let why = |file: &Path| match arguments_in(file) {
            Ok(arguments) => panic!("{arguments:?}"),
            Err(failure) => failure["msg"].to_string(),
        };
        assert!(why(&file).contains("No such file"), "{}", why(&file));
        std::fs::write(&file, "[]").unwrap();
        assert!(why(&file).contains("invalid type"), "{}", why(&file));
        std::fs::write(&file, "{\"src\": \"/etc\", \"_ansible_check_mode\": true}").unwrap();
        assert_eq!(arguments_in(&file).unwrap().len(), 2);
    }
}
