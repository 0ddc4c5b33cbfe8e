//! The program as an Ansible binary module: called with nothing but a file of a task's arguments, it
//! answers with the task's result as JSON, made of what its own verbs say.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Map, Value, json};

use super::{exit, output};

/// Longest file of arguments that is read, bytes: documents have the same limit.
const LONGEST: u64 = 10 * 1024 * 1024;

/// What Ansible adds to the arguments of each task begins so.
const INTERNAL: &str = "_ansible_";

/// Arguments that are options of the verbs, for the plan as for the apply.
const OF_BOTH: &[&str] = &["prune", "take_over"];

/// And for the apply alone.
const OF_APPLY: &[&str] = &["allow_lossy", "allow_management"];

/// The others.
const OTHERS: &[&str] = &["document", "src", "netns", "verify_reach", "lock_timeout"];

/// What a task that failed tells beside `failed`.
type Failure = Box<Map<String, Value>>;

/// Answers when this is a task of Ansible's: the only argument is the path of such a file.
pub fn task() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let (path, None) = (words.next()?, words.next()) else {
        return None;
    };
    let arguments = arguments_in(Path::new(&path))?;
    let (result, code) = match converge(&arguments) {
        Ok(result) => (result, exit::OK),
        Err(mut failure) => {
            failure.insert("failed".to_owned(), true.into());
            (Value::Object(*failure), exit::ERROR)
        }
    };
    let told = output::print(&format!("{result}\n"));
    Some(ExitCode::from(told.map_or(exit::ERROR, |()| code)))
}

/// The arguments, when the file is one of Ansible's.
fn arguments_in(path: &Path) -> Option<Map<String, Value>> {
    if !path.is_absolute() {
        return None;
    }
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(LONGEST)
        .read_to_string(&mut text)
        .ok()?;
    let arguments: Map<String, Value> = serde_json::from_str(&text).ok()?;
    arguments
        .keys()
        .any(|key| key.starts_with(INTERNAL))
        .then_some(arguments)
}

/// Plans, and applies unless the task only checks.
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
    let plan: Value = serde_json::from_str(&plan).map_err(|error| said(format!("netkeel plan: {error}")))?;
    if status == drift && !switch(arguments, "_ansible_check_mode")? {
        run("apply", &of_apply(arguments)?, &[0])?;
    }
    let commands = plan["steps"].as_array().into_iter().flatten();
    let commands: Vec<Value> = commands.map(|step| step["command"].clone()).collect();
    Ok(json!({
        "changed": status == drift,
        "diff": if status == drift { vec![json!({ "prepared": shown })] } else { Vec::new() },
        "summary": shown.trim_end().lines().last().unwrap_or_default(),
        "commands": commands,
        "plan": plan,
    }))
}

/// Where the document is, and its text where that is to be told.
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
        (Some(Value::Object(_)), Some(_)) => Err(said("document, src: one of them, not both".to_owned())),
        (Some(document), _) if !document.is_null() => Err(said("document: it is no mapping".to_owned())),
        _ => Err(said("document: it is missing, and so is src".to_owned())),
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
            .ok_or_else(|| said(format!("verify_reach: {target} is no text")))?;
        words.extend(["--verify-reach".to_owned(), target.to_owned()]);
    }
    Ok(words)
}

/// The options that are switched on.
fn switches(arguments: &Map<String, Value>, names: &[&str]) -> Result<Vec<String>, Failure> {
    let mut on = Vec::new();
    for name in names {
        if switch(arguments, name)? {
            on.push(format!("--{}", name.replace('_', "-")));
        }
    }
    Ok(on)
}

/// A boolean, also in the words that Ansible knows: `key=value` arguments are text.
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
        Some(other) => Err(said(format!("{name}: {other} is neither true nor false"))),
    }
}

/// A text or a number.
fn text(arguments: &Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(said(format!("{name}: {other} is no text"))),
    }
}

fn refuse_unknown(arguments: &Map<String, Value>) -> Result<(), Failure> {
    let known: Vec<&str> = [OTHERS, OF_BOTH, OF_APPLY].concat();
    let unknown = |key: &&String| !key.starts_with(INTERNAL) && !known.contains(&key.as_str());
    let unknown: Vec<&str> = arguments.keys().filter(unknown).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(said(format!(
        "{}: no such argument; there are {}",
        unknown.join(", "),
        known.join(", ")
    )))
}

/// Runs one of its own verbs, as a process so that it says and exits as it always does.
fn netkeel(words: &[&str], stdin: Option<&str>, expected: &[i32]) -> Result<(i32, String), Failure> {
    let doing = |error: std::io::Error| said(format!("netkeel {}: {error}", words.join(" ")));
    let mut child = Command::new("/proc/self/exe")
        .args(words)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(doing)?;
    if let Some(mut pipe) = child.stdin.take() {
        // It reads all of its input before it says anything, or none; what it says of that is told below.
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
    let mut failure = said(format!("netkeel {verb}: {}: {}{shown}", ended.status, errors));
    failure.insert("rc".to_owned(), status.into());
    failure.insert("stdout".to_owned(), shown.into());
    failure.insert("stderr".to_owned(), errors.into());
    Err(failure)
}

fn said(message: String) -> Failure {
    let mut failure = Map::new();
    failure.insert("msg".to_owned(), message.into());
    Box::new(failure)
}
