//! `validate` tells the errors of documents to people and to programs, and so do the verbs that plan.

use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::run::{Scratch, netkeel};

const GOOD: &str = "version: 1\nowner: net-team\nlink: { eth0: { mtu: 1400 } }\n";

/// Two errors, in the second of which a character takes two bytes.
const WRONG: &str = "version: 1\nlink:\n  eth0: { mtuu: 1400 }\n  ä: { mtu: 12 }\n";

fn scratch() -> Scratch {
    Scratch::new(&[("good.yaml", GOOD), ("a,b.yaml", WRONG)])
}

fn valid(schema: &str, document: &Value) -> bool {
    let schema: Value = serde_json::from_str(&netkeel(&["schema", schema]).stdout).unwrap();
    jsonschema::validator_for(&schema).unwrap().is_valid(document)
}

#[test]
fn a_valid_document_is_said_to_be_valid_in_each_form() {
    let scratch = scratch();
    let validate = |form: &str| {
        let done = scratch.run(&["validate", "-f", "good.yaml", "--output", form]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{form}");
        done.stdout
    };
    assert_eq!(validate("text"), "Valid: 1 file, owner net-team.\n");
    assert_eq!(validate("github"), "");
    let json: Value = serde_json::from_str(&validate("json")).unwrap();
    assert_eq!((&json["valid"], &json["diagnostics"]), (&json!(true), &json!([])));
    assert!(valid("diagnostics", &json));
    let sarif: Value = serde_json::from_str(&validate("sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"], json!([]));
}

#[test]
fn each_error_has_its_place_path_and_help_in_each_form() {
    let scratch = scratch();
    let validate = |form: &str| {
        let done = scratch.run(&["validate", "-f", "a,b.yaml", "--output", form]);
        assert_eq!(done.code, 1, "{form}: {done:?}");
        done
    };
    let text = validate("text");
    assert_eq!(text.stdout, "");
    assert!(text.stderr.contains("a,b.yaml:3:11") && text.stderr.ends_with("2 errors in a,b.yaml\n"));
    let json: Value = serde_json::from_str(&validate("json").stdout).unwrap();
    assert!(valid("diagnostics", &json), "{json:#}");
    let [unknown, small] = json["diagnostics"].as_array().unwrap().as_slice() else {
        panic!("{json:#}");
    };
    assert_eq!(unknown["path"], "link.eth0.mtuu");
    assert_eq!(
        unknown["source"],
        json!({ "file": "a,b.yaml", "line": 3, "column": 11 })
    );
    assert_eq!(unknown["end"], json!({ "line": 3, "column": 15 }));
    assert!(unknown["hints"][0].as_str().unwrap().contains("mtu"), "{unknown}");
    assert_eq!(small["path"], "link.ä.mtu");
    assert_eq!(
        small["source"],
        json!({ "file": "a,b.yaml", "line": 4, "column": 13 })
    );
    let sarif: Value = serde_json::from_str(&validate("sarif").stdout).unwrap();
    let results = &sarif["runs"][0]["results"];
    let region = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(region["artifactLocation"]["uri"], "a%2Cb.yaml");
    assert_eq!(region["region"]["startColumn"], 13);
    let github = validate("github").stdout;
    let lines: Vec<&str> = github.lines().collect();
    assert_eq!(lines.len(), 2, "{github}");
    assert!(
        lines[0].starts_with(
            "::error file=a%2Cb.yaml,line=3,col=11,endLine=3,endColumn=15,title=link.eth0.mtuu::"
        ),
        "{github}"
    );
}

#[test]
fn editors_find_the_schema_and_slips_get_a_tip() {
    let scratch = Scratch::new(&[
        (
            "a.json",
            r#"{ "$schema": "docs/schema/document.json", "version": 1 }"#,
        ),
        ("a.toml", "\"$schema\" = \"document.json\"\nversion = 1\n"),
        (
            "a.yaml",
            "# yaml-language-server: $schema=document.json\nversion: 1\n",
        ),
        ("number.json", r#"{ "$schema": 1, "version": 1 }"#),
        (
            "nested.json",
            r#"{ "version": 1, "link": { "eth0": { "$schema": "x" } } }"#,
        ),
        ("slip.yaml", "cni: { calico: 1460 }\n"),
    ]);
    for name in ["a.json", "a.toml", "a.yaml"] {
        assert_eq!(scratch.run(&["validate", "-f", name]).code, 0, "{name}");
    }
    for name in ["number.json", "nested.json"] {
        assert_eq!(scratch.run(&["validate", "-f", name]).code, 1, "{name}");
    }
    let slip = scratch.run(&["validate", "-f", "slip.yaml"]).stderr;
    for tip in [
        "begin the file with: version: 1",
        "write { plugin: TYPE, mtu: 1460 } if its MTU is meant",
    ] {
        assert!(slip.contains(&format!("= help: {tip}\n")), "{tip}: {slip}");
    }
    let bare = scratch.run(&["plan", "first.yaml"]);
    assert!(
        bare.code == 1
            && bare
                .stderr
                .contains("tip: name a document with -f: -f first.yaml"),
        "{bare:?}"
    );
    for (line, tip) in [
        (
            ["plan", "--dry-run", "-f", "a.yaml"],
            "tip: `netkeel plan` writes nothing",
        ),
        (
            ["plan", "-o", "-f", "a.yaml"],
            "tip: set the format with --output",
        ),
        (
            ["edit", "first.yaml", "-f", "a.yaml"],
            "tip: name a document with -f: -f first.yaml",
        ),
    ] {
        let slip = scratch.run(&line);
        assert!(slip.code == 1 && slip.stderr.contains(tip), "{slip:?}");
    }
    // An unknown option is no document.
    assert!(
        !scratch
            .run(&["plan", "--first"])
            .stderr
            .contains("name a document")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_in_each_form() {
    let scratch = scratch();
    let done = scratch.run(&["validate", "-f", "none.yaml", "--output", "json"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("none.yaml"), "{done:?}");
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["valid"], false);
    assert!(valid("diagnostics", &json), "{json:#}");
    assert!(
        json["diagnostics"][0]["message"]
            .as_str()
            .unwrap()
            .contains("none.yaml")
    );
}

#[test]
fn plan_and_apply_give_the_same_errors_as_json() {
    let namespace = Namespace::new();
    let scratch = scratch();
    let run = |verb: &str, file: &str| {
        let done = scratch.run(&[verb, "-f", file, "--netns", &namespace.name, "--output", "json"]);
        assert_eq!(done.code, 1, "{done:?}");
        // The result of `validate` is the errors; of the others they are messages too.
        assert_eq!(
            done.stderr.contains("2 errors in"),
            verb != "validate",
            "{done:?}"
        );
        serde_json::from_str::<Value>(&done.stdout).unwrap()
    };
    let wanted = run("validate", "a,b.yaml");
    assert_eq!(run("plan", "a,b.yaml"), wanted);
    assert_eq!(run("check", "a,b.yaml"), wanted);
    let applied = run("apply", "a,b.yaml");
    assert_eq!(applied["diagnostics"], wanted["diagnostics"]);
    assert_eq!(applied["result"], "refused");
    assert!(valid("applied", &applied), "{applied:#}");
}

#[test]
fn a_policy_of_a_cluster_is_checked_with_its_document() {
    let head = "apiVersion: netkeel.io/v1alpha1\nkind: NetkeelPolicy\nmetadata: { name: pods }\nspec:\n";
    let good = format!(
        "{head}  rollout: {{ percent: 10 }}\n  document: {{ version: 1, link: {{ eth0: {{ mtu: 1400 }} }} }}\n"
    );
    let wrong = format!(
        "{head}  rollout: {{ percent: 110 }}\n  mode: off\n  document:\n    version: 1\n    owner: a\n    link: {{ eth0: {{ mtuu: 1400 }} }}\n"
    );
    let scratch = Scratch::new(&[("good.yaml", &good), ("wrong.yaml", &wrong)]);
    let done = scratch.run(&["validate", "-f", "good.yaml"]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "Valid: 1 file, owner default.\n")
    );
    let done = scratch.run(&["validate", "-f", "wrong.yaml", "--output", "json"]);
    assert_eq!(done.code, 1);
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    let found: Vec<(&str, u64)> = (json["diagnostics"].as_array().unwrap().iter())
        .map(|one| {
            (
                one["path"].as_str().unwrap(),
                one["source"]["line"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("spec.rollout.percent", 5),
        ("spec.mode", 6),
        ("owner", 9),
        ("link.eth0.mtuu", 10),
    ];
    assert_eq!(found, expected);
}
