//! The files that netkeel comes with, as the programs see them that read them.

use std::collections::BTreeSet;
use std::process::Command;

use super::daemon::netkeel;
use netkeel_render::templates::TEMPLATES;

fn check(program: &str, arguments: &[&str], directory: &std::path::Path) -> String {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {text}");
    text
}

fn rendered() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let (code, text) = netkeel(&["render", template.name]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(text, template.text);
        std::fs::write(directory.path().join(template.name), text).unwrap();
    }
    directory
}

#[test]
fn the_chart_has_the_same_rules_and_dashboard() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["alerts.yaml", "dashboard.json"] {
        let of = |directory: &str| std::fs::read_to_string(root.join(directory).join(name)).unwrap();
        assert!(
            of("templates") == of("kubernetes/chart/files"),
            "copy templates/{name} to kubernetes/chart/files"
        );
    }
}

#[test]
fn the_units_are_hardened() {
    let directory = rendered();
    for unit in [
        "netkeel.service",
        "netkeel-boot.service",
        "netkeel-recover.service",
    ] {
        // The threshold is in tenths; it fails above.
        check(
            "systemd-analyze",
            &["--offline=true", "--threshold=25", "security", unit],
            directory.path(),
        );
    }
}

#[test]
fn the_alerts_say_what_they_should() {
    let directory = rendered();
    let tests = include_str!("alerts.test.yaml");
    std::fs::write(directory.path().join("alerts.test.yaml"), tests).unwrap();
    check("promtool", &["check", "rules", "alerts.yaml"], directory.path());
    check(
        "promtool",
        &["test", "rules", "alerts.test.yaml"],
        directory.path(),
    );
}

/// The expressions of the dashboard, in order.
fn expressions() -> Vec<String> {
    let dashboard = TEMPLATES
        .iter()
        .find(|template| template.name == "dashboard.json")
        .unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(dashboard.text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_expressions_of_the_dashboard_are_promql() {
    let rules = expressions().into_iter().enumerate().map(|(number, expression)| {
        let expression = serde_json::Value::from(expression);
        format!("  - {{record: panel{number}, expr: {expression}}}\n")
    });
    let rules: String = rules.collect();
    let directory = rendered();
    std::fs::write(
        directory.path().join("panels.yaml"),
        format!("groups:\n- name: panels\n  rules:\n{rules}"),
    )
    .unwrap();
    check("promtool", &["check", "rules", "panels.yaml"], directory.path());
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_the_reference_has() {
    let reference = include_str!("../../docs/reference/service.md");
    let alerts = TEMPLATES
        .iter()
        .find(|template| template.name == "alerts.yaml")
        .unwrap();
    let texts = expressions().join("\n") + alerts.text;
    let names = texts.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let names = names.filter(|name| name.starts_with("netkeel_"));
    let names: BTreeSet<&str> = names.map(|name| name.trim_end_matches("_bucket")).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let is_known = [format!("`{name}`"), format!("`{name}{{")]
            .iter()
            .any(|known| reference.contains(known));
        assert!(is_known, "docs/reference/service.md has no metric {name}");
    }
}
