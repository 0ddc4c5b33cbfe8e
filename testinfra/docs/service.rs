//! The tables of docs/reference/service.md: every metric, and every event of the log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::pages::{page, root};

use netkeel_core::replication::statistics::Statistics;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_reconcile::status::{PauseStatus, Status};
use netkeel_render::metrics;

/// The names of all metrics, each once: a histogram without its suffixes.
fn metrics_of_the_program() -> BTreeSet<String> {
    let mut status = Status::new("enforce", None, 7, 1);
    status.worker = Some(WorkerStatus {
        health: WorkerHealth::Ok,
        pid: None,
        uid: None,
        restarts: 0,
        error: None,
        settings: None,
        statistics: Some(Statistics::default()),
    });
    status.paused = Some(PauseStatus {
        until: 1,
        since: 0,
        by: "root".to_owned(),
        reason: Some("upgrade".to_owned()),
    });
    metrics::text(status)
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// The code spans in the first column of the table below a heading, without labels.
fn first_column(text: &str, heading: &str) -> BTreeSet<String> {
    let section = text.split(heading).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|code| code.split('{').next().unwrap_or(code).to_owned())
        .collect()
}

/// The texts of the service's crate, file by file.
fn sources(directory: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The events that a source text logs by name: the second argument of `say`.
fn events(text: &str) -> impl Iterator<Item = &str> {
    text.split(".say(").skip(1).filter_map(|call| {
        let (_, rest) = call.split_once(',')?;
        rest.trim_start().strip_prefix('"')?.split('"').next()
    })
}

#[test]
fn every_metric_is_in_the_reference_and_no_other() {
    let text = page("docs/reference/service.md").text;
    let program = metrics_of_the_program();
    assert!(program.len() > 30, "{program:?}");
    assert_eq!(
        first_column(&text, "\n## Metrics\n"),
        program,
        "docs/reference/service.md on the left, the program on the right"
    );
}

#[test]
fn every_event_of_the_log_is_in_the_reference_and_no_other() {
    let text = page("docs/reference/service.md").text;
    let documented = first_column(&text, "\n## Log\n");
    let mut texts = Vec::new();
    sources(&root().join("src/service"), &mut texts);
    let logged: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| events(text))
        .map(str::to_owned)
        .collect();
    assert!(logged.len() > 15, "{logged:?}");
    let missing: Vec<&String> = logged.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/reference/service.md lacks {missing:?}");
    // An event that is chosen by a `match` has its name elsewhere in the file.
    let unknown: Vec<&String> = documented
        .iter()
        .filter(|event| !texts.iter().any(|text| text.contains(&format!("\"{event}\""))))
        .collect();
    assert!(unknown.is_empty(), "no event is called {unknown:?}");
}
