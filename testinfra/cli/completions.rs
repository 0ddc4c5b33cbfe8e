//! The completion of the shells, in a real bash; and the help of `-h`.

use crate::pods;
use crate::run::{Done, PROGRAM, Scratch, netkeel};

/// The words with which bash would complete a line.
fn complete(scratch: &Scratch, line: &[&str]) -> Vec<String> {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <({PROGRAM} completions bash); COMP_WORDS=({PROGRAM} {}); COMP_CWORD={}; \
         $(complete -p netkeel | sed 's/.*-F \\([^ ]*\\).*/\\1/') {PROGRAM}; \
         for word in \"${{COMPREPLY[@]}}\"; do echo \"$word\"; done",
        words.join(" "),
        line.len()
    );
    let Done { code, stdout, stderr } = scratch.command("bash", &["-c", &script]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{line:?}");
    stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_the_names_of_the_host() {
    let namespace = pods();
    let scratch = Scratch::new(&[(
        "first.yaml",
        "version: 1\nowner: site-team\nlink: { cali1: { mtu: 1400 } }\n",
    )]);
    let netns = namespace.name.as_str();
    let done = scratch.run(&["apply", "-f", "first.yaml", "--netns", netns]);
    assert_eq!(done.code, 0, "{done:?}");
    let history = scratch
        .run(&["history", "--netns", netns, "--output", "json"])
        .stdout;
    let newest: serde_json::Value = serde_json::from_str(history.lines().next().unwrap()).unwrap();
    let id = newest["id"].as_str().unwrap().to_owned();
    for (line, expected) in [
        (&["exp"][..], vec!["explain"]),
        (&["plan", "--detailed"], vec!["--detailed-exitcode"]),
        (&["plan", "--output", "=", "mark"], vec!["markdown"]),
        // Another test has one with the same beginning.
        (&["plan", "--netns", netns], vec![netns]),
        (
            &["explain", "--netns", netns, "cali"],
            vec!["cali1", "cali2", "cali3"],
        ),
        (&["import", "--netns", netns, "cali1", "cali2"], vec!["cali2"]),
        (&["release", "--netns", netns, "--owner", "s"], vec!["site-team"]),
        (&["undo", "--netns", netns, ""], vec![id.as_str()]),
        (
            &["explain", "NK01"],
            (10..20).map(|number| CODES[number - 10]).collect(),
        ),
        (&["plan", "-f", "fir"], vec![]),
    ] {
        assert_eq!(complete(&scratch, line), expected, "{line:?}");
    }
}

#[test]
fn bash_quotes_what_the_shell_would_act_on() {
    let namespace = pods();
    namespace.sh("ip link add 'evil$(id)' type bridge; ip link add 'evil;b' type bridge");
    let scratch = Scratch::new(&[]);
    let netns = namespace.name.as_str();
    assert_eq!(
        complete(&scratch, &["explain", "--netns", netns, "evil"]),
        [r"evil\$\(id\)", r"evil\;b"]
    );
    let found = complete(&scratch, &["plan", "--netns", "="]);
    assert!(
        found.contains(&netns.to_owned()) && !found.contains(&"--netns".to_owned()),
        "{found:?}"
    );
}

const CODES: [&str; 10] = [
    "NK010", "NK011", "NK012", "NK013", "NK014", "NK015", "NK016", "NK017", "NK018", "NK019",
];

#[test]
fn scripts_of_all_shells_ask_the_program() {
    for shell in ["bash", "zsh", "fish"] {
        let script = netkeel(&["completions", shell]);
        assert!(
            script.code == 0 && script.stdout.contains(" complete -- "),
            "{script:?}"
        );
    }
    assert!(
        netkeel(&["completions", "elvish"])
            .stdout
            .contains("detailed-exitcode")
    );
}

#[test]
fn short_help_fits_one_screen_and_names_the_long_one() {
    for line in [
        &["-h"][..],
        &["plan", "-h"],
        &["apply", "-h"],
        &["probe", "pmtu", "-h"],
    ] {
        let help = netkeel(line);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{line:?}");
        assert!(help.stdout.lines().count() <= 24, "{}", help.stdout);
        let verb = ["netkeel"]
            .iter()
            .chain(&line[..line.len() - 1])
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            help.stdout
                .contains(&format!("`{verb} --help` explains everything.")),
            "{}",
            help.stdout
        );
    }
    assert!(netkeel(&["apply", "--help"]).stdout.lines().count() > 60);
}
