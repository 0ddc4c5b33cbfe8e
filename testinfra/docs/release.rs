//! Holds what a release has in many files to Cargo.toml: the version, and the addresses of the project.

use std::collections::BTreeMap;
use std::fs;

use super::complain;
use super::pages::{pages_everywhere, root};

const COLLECTION: &str = "modules/ansible_collections/netkeel/netkeel";

/// Files with the version in each form in which they have it, `{}` in its place.
const VERSIONS: [(&str, &[&str]); 9] = [
    ("CHANGELOG.md", &["\n## [{}] "]),
    ("puppet/CHANGELOG.md", &["\n## [{}] "]),
    ("puppet/metadata.json", &["\"version\": \"{}\""]),
    ("COLLECTION/galaxy.yml", &["\nversion: {}\n"]),
    ("COLLECTION/README.md", &["netkeel-netkeel-{}.tar.gz\n"]),
    (
        "kubernetes/chart/Chart.yaml",
        &["\nversion: {}\n", "\nappVersion: {}\n"],
    ),
    (
        "kubernetes/base/netkeel.yaml",
        &[
            "app.kubernetes.io/version: \"{}\"",
            "image: \"netkeel/netkeel:{}\"",
        ],
    ),
    (
        "docs/how-to/install.md",
        &[
            "install ./netkeel_{}-1_amd64.deb",
            "install ./netkeel-{}-1.x86_64.rpm",
            "netkeel-{}-x86_64 /usr/bin/netkeel",
            "install netkeel-netkeel-{}.tar.gz",
        ],
    ),
    (
        "docs/how-to/kubernetes.md",
        &["docker://REGISTRY/netkeel/netkeel:{}\n"],
    ),
];

/// Files with the address of the repository, likewise.
const ADDRESSES: [(&str, &[&str]); 7] = [
    (
        "Cargo.toml",
        &[
            "homepage = \"{}\"",
            "documentation = \"{}/blob/main/docs/README.md\"",
        ],
    ),
    ("CONTRIBUTING.md", &["`{}` (repository)"]),
    ("release/deb/copyright", &["\nSource: {}\n"]),
    (
        "puppet/metadata.json",
        &[
            "\"source\": \"{}\"",
            "\"project_page\": \"{}\"",
            "\"issues_url\": \"{}/issues\"",
        ],
    ),
    (
        "COLLECTION/galaxy.yml",
        &[
            "\nrepository: {}\n",
            "\nhomepage: {}\n",
            "\nissues: {}/issues\n",
            "\ndocumentation: {}/blob/main/docs/how-to/ansible.md\n",
        ],
    ),
    (
        "COLLECTION/plugins/modules/netkeel.py",
        &["U({}/blob/main/docs/reference/document.md)"],
    ),
    (
        "kubernetes/chart/Chart.yaml",
        &["\nhome: {}\n", "\nsources: [{}]\n"],
    ),
];

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A value of `[workspace.package]`.
fn of_the_workspace(key: &str) -> String {
    let manifest = read("Cargo.toml");
    let start = format!("{key} = \"");
    let value = manifest
        .lines()
        .find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'));
    value.unwrap().to_owned()
}

/// The forms that a file lacks with this value.
fn lacking(name: &str, text: &str, forms: &[&str], value: &str) -> Vec<String> {
    let wanted = forms.iter().map(|form| form.replace("{}", value));
    wanted
        .filter(|form| !text.contains(form))
        .map(|form| format!("{name} lacks {form:?}"))
        .collect()
}

fn lacking_in_files(table: &[(&str, &[&str])], value: &str) -> Vec<String> {
    let files = table
        .iter()
        .map(|(name, forms)| (name.replace("COLLECTION", COLLECTION), forms));
    files
        .flat_map(|(name, forms)| lacking(&name, &read(&name), forms, value))
        .collect()
}

#[test]
fn every_version_is_that_of_cargo_toml() {
    complain(
        "the version is that of Cargo.toml",
        lacking_in_files(&VERSIONS, &of_the_workspace("version")),
    );
}

#[test]
fn a_file_with_another_version_is_found() {
    let forms = ["\nversion: {}\n"];
    let text = "name: netkeel\nversion: 0.1.0\n";
    assert!(lacking("a.yml", text, &forms, "0.1.0").is_empty());
    assert_eq!(
        lacking("a.yml", text, &forms, "0.2.0"),
        ["a.yml lacks \"\\nversion: 0.2.0\\n\""]
    );
}

/// Addresses of the project in a text that are not below its repository, or name a file that the tree does not have.
fn strange<'a>(text: &'a str, repository: &str) -> Vec<&'a str> {
    let owner = format!("{}/", repository.rsplit_once('/').unwrap().0);
    let ends = |c: char| c.is_whitespace() || "\"'`()<>]|,".contains(c);
    let addresses = text
        .match_indices(&owner)
        .map(|(at, _)| text[at..].split(ends).next().unwrap());
    addresses
        .filter(|address| match address.strip_prefix(repository) {
            Some("" | "/issues") => false,
            Some(path) => !path
                .strip_prefix("/blob/main/")
                .is_some_and(|path| root().join(path).is_file()),
            None => true,
        })
        .collect()
}

#[test]
fn every_address_is_that_of_cargo_toml() {
    let repository = of_the_workspace("repository");
    let mut found = lacking_in_files(&ADDRESSES, &repository);
    let mut texts: BTreeMap<String, String> = pages_everywhere()
        .into_iter()
        .map(|page| (page.name, page.text))
        .collect();
    for (name, _) in ADDRESSES {
        let name = name.replace("COLLECTION", COLLECTION);
        texts.insert(name.clone(), read(&name));
    }
    for (name, text) in &texts {
        let strange = strange(text, &repository);
        found.extend(strange.iter().map(|address| format!("{name} has {address}")));
    }
    complain("addresses are those of Cargo.toml", found);
}

#[test]
fn another_address_or_a_file_that_is_not_there_is_found() {
    let repository = "https://github.com/netkeel/netkeel";
    let text = "(https://github.com/netkeel/netkeel) https://github.com/netkeel/netkeel/issues, \
                <https://github.com/netkeel/netkeel/blob/main/README.md>";
    assert!(strange(text, repository).is_empty());
    let text = "`https://github.com/netkeel/keel` https://github.com/netkeel/netkeel/blob/main/none.md";
    assert_eq!(
        strange(text, repository),
        [
            "https://github.com/netkeel/keel",
            "https://github.com/netkeel/netkeel/blob/main/none.md"
        ]
    );
}
