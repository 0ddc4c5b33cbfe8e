//! Tests the documentation against the program: its documents are valid, its commands print the same,
//! its tables come from the shape, and its links resolve.

mod ansible;
mod console;
mod links;
mod pages;
mod reference;
mod release;
mod remedies;
mod service;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use pages::{page, pages, pages_everywhere, root};
use serde_json::{Value, json};

use netkeel_core::name::netns::Netns;
use netkeel_document::document::{Document, SHAPE};
use netkeel_document::schema;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::report::render;
use netkeel_source::sources::Sources;
use netkeel_source::text::format::Format;

/// The errors of a document of one or more files; empty if it is valid.
fn errors(files: &[(&str, &str, Option<Format>)]) -> String {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut layers = Vec::new();
    for (name, text, format) in files {
        layers.extend(sources.load(name, text.as_bytes().to_vec(), *format, &mut diagnostics));
    }
    let schema = schema::json_schema(&SHAPE, "document");
    let by_schema = layers
        .iter()
        .all(|layer| jsonschema::is_valid(&schema, &as_json(layer)));
    Document::read(layers, Netns::CURRENT, &mut diagnostics);
    match (diagnostics.is_empty(), by_schema) {
        (true, true) => String::new(),
        (true, false) => format!("{}: the check finds nothing, the JSON Schema does", files[0].0),
        (false, _) => render::render(&diagnostics, &sources, false),
    }
}

fn as_json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => json!(value),
        Data::Integer(value) => json!(value),
        Data::Text { value, .. } => json!(value),
        Data::List(items) => items.iter().map(as_json).collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), as_json(&entry.value)))
            .collect(),
    }
}

fn format(info: &str) -> Option<Format> {
    match info.split_whitespace().next()? {
        "yaml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        _ => None,
    }
}

fn complain(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// A block says `yaml`, `json` or `toml` for a whole document, `yaml invalid` for one that must be
/// rejected, and `yaml fragment` for anything else.
#[test]
fn documents_that_are_shown_are_what_they_are_said_to_be() {
    let mut found = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            let Some(format) = format(block.info) else {
                continue;
            };
            let words: Vec<&str> = block.info.split_whitespace().skip(1).collect();
            let errors = match words.as_slice() {
                [] => errors(&[(&block.place, block.text, Some(format))]),
                ["invalid"] if errors(&[("", block.text, Some(format))]).is_empty() => {
                    format!("{}: nothing is wrong with it", block.place)
                }
                ["invalid" | "fragment"] => String::new(),
                _ => format!("{}: unknown words in `{}`", block.place, block.info),
            };
            found.extend(Some(errors).filter(|errors| !errors.is_empty()));
        }
    }
    complain("documents in the documentation", found);
}

/// Editors and other repositories refer to the schema by its path.
#[test]
fn the_published_schema_is_the_one_that_is_printed() {
    let schema = schema::json_schema(&SHAPE, "netkeel document");
    let page = page("docs/schema/document.json");
    page.settle(vec![(0..page.text.len(), format!("{schema:#}\n"))]);
}

#[test]
fn examples_are_valid() {
    let mut found = Vec::new();
    let mut layers = Vec::new();
    let mut paths: Vec<_> = ["examples", "examples/layers"]
        .iter()
        .flat_map(|directory| fs::read_dir(root().join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some() && !path.to_string_lossy().ends_with("host.json"))
        .collect();
    paths.sort();
    for path in &paths {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        if name.starts_with("examples/layers/") {
            layers.push((name, text));
        } else {
            found.extend(Some(errors(&[(&name, &text, None)])).filter(|errors| !errors.is_empty()));
        }
    }
    let layers: Vec<_> = layers
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str(), None))
        .collect();
    found.extend(Some(errors(&layers)).filter(|errors| !errors.is_empty()));
    assert!(paths.len() >= 7, "only {} examples are found", paths.len());
    complain("examples", found);
}

#[test]
fn commands_print_what_is_shown() {
    for page in pages() {
        let mut parts = Vec::new();
        let mut document = None;
        for block in &page.blocks() {
            if block.info == "console" {
                parts.push((block.range.clone(), console::run_again(block, document)));
            } else if format(block.info).is_some() {
                document = Some(block);
            }
        }
        page.settle(parts);
    }
}

/// The walk of the first hour runs as it is shown, from the import of a document to a review comment.
#[test]
fn the_first_hour_goes_as_it_is_shown() {
    let page = page("docs/tutorial/first-hour.md");
    let parts = walk::run_again(&page);
    assert!(parts.len() > 10, "{} blocks", parts.len());
    page.settle(
        parts
            .into_iter()
            .map(|(block, text)| (block.range.clone(), text))
            .collect(),
    );
}

/// A help text is no case: each verb runs with a result that a test compares.
#[test]
fn every_verb_runs_somewhere_in_the_documentation() {
    let mut run = BTreeSet::new();
    for page in pages_everywhere() {
        for block in page.blocks() {
            if !matches!(block.info, "console" | "console walk" | "console demo") {
                continue;
            }
            for command in walk::commands(&block) {
                let parts = command.split(['|', ';', '&']);
                let calls = parts.filter_map(|part| part.split("netkeel ").nth(1));
                let asks = |call: &&str| {
                    !call
                        .split_whitespace()
                        .any(|word| word == "--help" || word == "-h")
                };
                run.extend(
                    calls
                        .filter(asks)
                        .filter_map(|call| call.split_whitespace().next().map(str::to_owned)),
                );
            }
        }
    }
    let missing: Vec<String> = console::verbs()
        .into_iter()
        .filter(|verb| !run.contains(verb))
        .map(|verb| format!("`netkeel {verb}`: docs/tutorial/first-hour.md is a place for it"))
        .collect();
    complain("verbs that no page runs", missing);
}

/// The README shows commands of examples/demo with their output, in blocks that say `console demo`.
/// The output of each ends at the next heading.
#[test]
fn the_demonstration_prints_what_is_shown() {
    let printed = console::demonstration();
    let page = page("README.md");
    let mut parts = Vec::new();
    for block in page.blocks().iter().filter(|block| block.info == "console demo") {
        let command = block.text.lines().next().unwrap_or_default();
        let from = printed
            .find(&format!("{command}\n"))
            .unwrap_or_else(|| panic!("examples/demo does not show `{command}`:\n{printed}"));
        let shown = printed[from..].split("\n\n# ").next().unwrap_or_default();
        parts.push((block.range.clone(), format!("{}\n", shown.trim_end())));
    }
    assert!(!parts.is_empty(), "README.md shows nothing of examples/demo");
    page.settle(parts);
}

#[test]
fn tables_of_keys_are_the_shape() {
    let page = page("docs/reference/document.md");
    let mut tables = reference::tables(&SHAPE);
    let places = reference::places(&page);
    let wanted: BTreeSet<&String> = tables.keys().collect();
    assert_eq!(
        places.keys().collect::<BTreeSet<_>>(),
        wanted,
        "the tables of {}",
        page.name
    );
    let parts: BTreeMap<usize, _> = places
        .into_iter()
        .map(|(name, range)| (range.start, (range, tables.remove(&name).unwrap_or_default())))
        .collect();
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.push((reference::place_of_plugins(&page), reference::plugins()));
    parts.sort_by_key(|(range, _)| range.start);
    page.settle(parts);
}

#[test]
fn every_verb_has_its_section_and_no_other_is_named() {
    let verbs: BTreeSet<String> = console::verbs().into_iter().collect();
    assert!(verbs.len() > 5, "{verbs:?}");
    let hidden = console::hidden_verbs();
    assert!(hidden.iter().all(|verb| !verbs.contains(verb)), "{hidden:?}");
    let reference = page("docs/reference/command-line.md").text;
    let mut found: Vec<String> = verbs
        .iter()
        .filter(|verb| !reference.contains(&format!("\n$ netkeel {verb} --help\n")))
        .map(|verb| format!("docs/reference/command-line.md does not show `netkeel {verb} --help`"))
        .collect();
    for page in pages() {
        for verb in console::named(&page) {
            if !verbs.contains(&verb) && !hidden.contains(&verb) && verb != "help" {
                found.push(format!("{} names `netkeel {verb}`", page.name));
            }
        }
    }
    complain("verbs", found);
}

#[test]
fn every_finding_has_its_page_and_every_page_its_finding() {
    let source = page("src/core/finding.rs").text;
    let codes: BTreeSet<&str> = source
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_suffix(','))
        .filter(|line| line.len() == 5 && line.starts_with("NK"))
        .collect();
    assert!(codes.len() >= 9, "{codes:?}");
    let index = page("docs/reference/findings/README.md").text;
    for code in &codes {
        let text = page(&format!("docs/reference/findings/{code}.md")).text;
        assert!(
            text.starts_with(&format!("# {code}: ")),
            "docs/reference/findings/{code}.md"
        );
        assert!(
            index.contains(&format!("[{code}]({code}.md)")),
            "the index lacks {code}"
        );
        // Each page shows what the finding looks like.
        assert!(
            text.contains(&format!(" {code} ")),
            "docs/reference/findings/{code}.md has no example"
        );
    }
    for page in pages() {
        let name = page
            .name
            .strip_prefix("docs/reference/findings/")
            .unwrap_or("README.md");
        let code = name.trim_end_matches(".md");
        assert!(
            name == "README.md" || codes.contains(code),
            "{} is of no finding",
            page.name
        );
    }
}

/// The packages below a `[...dependencies]` table of a manifest, without netkeel's own crates.
fn packages_of(manifest: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if inside
            && let Some(name) = line.split([' ', '.']).next()
            && !name.is_empty()
            && !name.starts_with(['#', ']'])
            && !name.starts_with("netkeel-")
        {
            used.insert(name.to_owned());
        }
    }
    used
}

#[test]
fn every_dependency_is_explained() {
    let crates = fs::read_dir(root().join("src")).unwrap();
    let used: BTreeSet<String> = crates
        .map(|entry| entry.unwrap().path().join("Cargo.toml"))
        .chain([root().join("Cargo.toml")])
        .flat_map(|manifest| packages_of(&fs::read_to_string(manifest).unwrap()))
        .collect();
    let page = page("docs/explanation/dependencies.md").text;
    let explained: BTreeSet<String> = page
        .lines()
        .take_while(|line| *line != "## Passed over")
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(
        explained, used,
        "docs/explanation/dependencies.md on the left, the manifests on the right"
    );
}

/// Puppet's types and Ansible's arguments reject unknown keys, so they must know every key.
#[test]
fn puppet_and_ansible_know_every_key() {
    let schema = schema::json_schema(&SHAPE, "document");
    let types: String = ["puppet/types", "puppet/types/kind"]
        .iter()
        .flat_map(|directory| fs::read_dir(root().join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let role = "modules/ansible_collections/netkeel/netkeel/roles/netkeel";
    let mut missing = Vec::new();
    let mut want = |file: &str, text: &str, words: String| {
        if !text.contains(&words) {
            missing.push(format!("{file} has no `{words}`"));
        }
    };
    for (key, section) in schema["properties"].as_object().unwrap() {
        // Puppet and Ansible write the version, and their users see no document.
        if key == "version" || key == "$schema" {
            continue;
        }
        for (file, words) in [
            ("puppet/manifests/init.pp".to_owned(), format!(" ${key} = ")),
            (
                "puppet/manifests/config.pp".to_owned(),
                format!("$netkeel::{key}"),
            ),
            (
                format!("{role}/meta/argument_specs.yml"),
                format!("      netkeel_{key}:\n"),
            ),
            (
                format!("{role}/vars/main.yml"),
                format!("\n  {key}: \"{{{{ netkeel_{key} "),
            ),
        ] {
            want(&file, &page(&file).text, words);
        }
        let mut fields = BTreeSet::new();
        fields_below(section, &mut fields);
        for field in &fields {
            let named = [format!("[{field}]"), format!(" {field} ")]
                .iter()
                .any(|words| types.contains(words));
            if !named {
                want("puppet/types", "", format!("{field}] => ...` of `{key}"));
            }
        }
    }
    complain("what Puppet and Ansible do not know", missing);
}

fn fields_below(schema: &Value, fields: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", Value::Object(properties)) = (key.as_str(), value) {
                    fields.extend(properties.keys().cloned());
                }
                fields_below(value, fields);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields_below(item, fields)),
        _ => {}
    }
}

/// The tests that a text names in code, as `file::test` or `file`, and which of them do not exist.
fn tests_in(text: &str) -> (usize, Vec<String>) {
    let tests: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let missing = |test: &&&str| {
        let (file, name) = test.split_once("::").unwrap_or((test, ""));
        !fs::read_to_string(root().join(file))
            .is_ok_and(|text| name.is_empty() || text.contains(&format!("fn {name}(")))
    };
    let missing: Vec<String> = tests
        .iter()
        .filter(missing)
        .map(|test| format!("there is no test {test}"))
        .collect();
    (tests.len(), missing)
}

/// An invariant names the test that enforces it, as `file::test`, or a file.
#[test]
fn every_invariant_has_its_test() {
    let text = page("docs/explanation/architecture.md").text;
    let invariants: Vec<&str> = text
        .split("\n\n")
        .filter(|paragraph| paragraph.starts_with("**Architecture Invariant"))
        .collect();
    assert!(invariants.len() >= 8, "{} invariants", invariants.len());
    let mut found = Vec::new();
    for invariant in invariants {
        let (number, missing) = tests_in(invariant.split("Enforced by").nth(1).unwrap_or_default());
        if number == 0 {
            found.push(format!("no test is named: {invariant}"));
        }
        found.extend(missing);
    }
    complain("invariants", found);
}

/// A line of the threat model names the tests that hold it in its last column.
#[test]
fn every_line_of_the_threat_model_has_its_test() {
    let text = page("docs/explanation/security.md").text;
    let model = text.split("## Threat model").nth(1).unwrap_or_default();
    let model = model.split("\n## ").next().unwrap_or_default();
    let rows: Vec<&str> = model
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| an attacker"))
        .collect();
    assert!(rows.len() >= 20, "{} lines", rows.len());
    let mut found = Vec::new();
    for row in rows {
        let (number, missing) = tests_in(row.trim_end_matches('|').rsplit('|').next().unwrap_or_default());
        if number == 0 {
            found.push(format!("no test is named: {row}"));
        }
        found.extend(missing);
    }
    complain("threat model", found);
}

/// Files of the tree that a page for contributors names in code.
fn named_files(prose: &str) -> Vec<String> {
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| ["src/", "testinfra/"].iter().any(|top| code.starts_with(top)))
        .filter(|code| !code.contains(|c: char| c.is_uppercase() || " *{".contains(c)))
        .map(|code| code.split("::").next().unwrap_or(code).to_owned())
        .collect()
}

#[test]
fn files_are_found_in_code_only() {
    let page = pages::Page {
        name: "docs/a.md".to_owned(),
        text: "`src/a.rs` src/b.rs `testinfra/c.rs::name` `src/KIND.rs` `cargo test src/d.rs`\n\n\
               ```sh\nsrc/e.rs\n```\n\n`src/f/`\n"
            .to_owned(),
    };
    assert_eq!(
        named_files(&page.prose()),
        ["src/a.rs", "testinfra/c.rs", "src/f/"]
    );
}

#[test]
fn files_that_are_named_exist() {
    let mut found = Vec::new();
    let mut count = 0;
    for name in ["docs/explanation/architecture.md", "CONTRIBUTING.md"] {
        let page = page(name);
        for file in named_files(&page.prose()) {
            count += 1;
            if !root().join(&file).exists() {
                found.push(format!("{name}: {file}: no such file"));
            }
        }
    }
    assert!(count > 60, "only {count} files are named");
    complain("files", found);
}

/// The names in parentheses of a table's row: `write_on` of "(`write_on`)", `check` of "(`Filter::check`)".
fn named_functions(row: &str) -> Vec<&str> {
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    row.split("(`")
        .skip(1)
        .filter_map(|rest| rest.split_once("`)"))
        .filter_map(|(name, _)| name.rsplit("::").next())
        .filter(is_name)
        .collect()
}

#[test]
fn functions_that_are_named_are_in_the_files_of_their_row() {
    let mut found = Vec::new();
    let mut count = 0;
    let page = page("docs/explanation/architecture.md").prose();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let sources: Vec<String> = named_files(row)
            .into_iter()
            .filter_map(|file| std::fs::read_to_string(root().join(file)).ok())
            .collect();
        for name in named_functions(row).into_iter().filter(|_| !sources.is_empty()) {
            count += 1;
            if !sources.iter().any(|text| text.contains(&format!("fn {name}("))) {
                found.push(format!("no file of this row has a function `{name}`: {row}"));
            }
        }
    }
    assert!(count >= 6, "only {count} functions are named");
    complain("functions", found);
}

#[test]
fn links_and_anchors_resolve() {
    complain("links", links::broken(&pages_everywhere(), root()));
}

#[test]
fn the_summary_lists_every_page() {
    complain("docs/SUMMARY.md", links::missing_in_summary(&pages()));
}
