//! The completion of the shells, in a real bash, zsh and fish; and the help of `-h`.

use std::path::Path;

use crate::namespace::Namespace;
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
    lines(scratch, "bash", &["-c", &script])
}

/// The words with which fish would complete a line, without what it says of them.
fn complete_in_fish(scratch: &Scratch, line: &[&str]) -> Vec<String> {
    const SCRIPT: &str = "set -p PATH $argv[1]; netkeel completions fish | source; complete -C \"$argv[2]\"";
    let line = format!("netkeel {}", line.join(" "));
    let arguments = ["--no-config", "-c", SCRIPT, &directory(), &line];
    let found = lines(scratch, "fish", &arguments);
    let words = found.iter().filter_map(|found| found.split('\t').next());
    words.map(str::to_owned).collect()
}

/// A zsh on a terminal of its own gets a line and the key Tab. Its `compadd` notes the words that it is given and that
/// match; with -O, -A or -D it fills arrays and adds nothing. The key after Tab tells that the completion is over.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -D -u; source <(netkeel completions zsh)'
zpty -w shell 'compadd() {
    builtin compadd "$@"
    local status_of_it=$?
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a hits
        builtin compadd -A hits "$@"
        (( $#hits )) && print -r -l -- $hits >>found
    fi
    return $status_of_it
}
over() { : >over }
zle -N over
bindkey "^I" complete-word
bindkey "^Xo" over
print is-$((1))-ready'
zpty -r shell line '*is-1-ready*'
zpty -w -n shell "$1"$'\t\x18o'
for _ in {1..600}; do [[ -e over ]] && break; sleep 0.05; done
zpty -d shell
[[ -e over ]] || { print -u 2 'zsh completed nothing within 30 seconds'; exit 1 }
[[ ! -e found ]] || cat found
rm -f found over
"#;

/// The words with which zsh would complete a line, sorted.
fn complete_in_zsh(scratch: &Scratch, line: &[&str]) -> Vec<String> {
    let script = format!("path=({} $path)\n{ZSH}", directory());
    let line = format!("netkeel {}", line.join(" "));
    // `zpty -r` waits without a limit for a shell that is never ready.
    let arguments = ["60", "zsh", "-f", "-c", &script, "zsh", &line];
    let mut found = lines(scratch, "timeout", &arguments);
    found.sort();
    found
}

/// The directory of the program under test.
fn directory() -> String {
    Path::new(PROGRAM).parent().unwrap().display().to_string()
}

fn lines(scratch: &Scratch, shell: &str, arguments: &[&str]) -> Vec<String> {
    let Done { code, stdout, stderr } = scratch.command(shell, arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{shell} {arguments:?}");
    stdout.lines().map(str::to_owned).collect()
}

/// A host with names of each kind that a completion knows.
struct Known {
    namespace: Namespace,
    scratch: Scratch,
    /// The id of the only entry of the history.
    id: String,
}

impl Known {
    fn new() -> Self {
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
        Known {
            namespace,
            scratch,
            id,
        }
    }

    /// Lines of words, the last of which is to be completed, each with all words that can complete it.
    fn lines(&self) -> Vec<(Vec<&str>, Vec<&str>)> {
        let netns = self.namespace.name.as_str();
        vec![
            (vec!["exp"], vec!["explain"]),
            (vec!["plan", "--detailed"], vec!["--detailed-exitcode"]),
            // Another test has one with the same beginning.
            (vec!["plan", "--netns", netns], vec![netns]),
            (
                vec!["explain", "--netns", netns, "cali"],
                vec!["cali1", "cali2", "cali3"],
            ),
            (vec!["import", "--netns", netns, "cali1", "cali2"], vec!["cali2"]),
            (
                vec!["release", "--netns", netns, "--owner", "s"],
                vec!["site-team"],
            ),
            (vec!["owners", "--netns", netns, ""], vec!["site-team"]),
            (vec!["undo", "--netns", netns, ""], vec![&self.id]),
            (vec!["explain", "NK01"], CODES.to_vec()),
        ]
    }
}

#[test]
fn bash_completes_verbs_options_and_the_names_of_the_host() {
    let known = Known::new();
    let mut lines = known.lines();
    lines.extend([
        (vec!["plan", "--output", "=", "mark"], vec!["markdown"]),
        (vec!["plan", "-f", "fir"], vec![]),
    ]);
    for (line, expected) in lines {
        assert_eq!(complete(&known.scratch, &line), expected, "{line:?}");
    }
}

#[test]
fn fish_completes_verbs_options_and_the_names_of_the_host() {
    let known = Known::new();
    let mut lines = known.lines();
    lines.extend([
        (vec!["plan", "--output=mark"], vec!["--output=markdown"]),
        (vec!["plan", "-f", "fir"], vec!["first.yaml"]),
    ]);
    for (line, expected) in lines {
        assert_eq!(complete_in_fish(&known.scratch, &line), expected, "{line:?}");
    }
}

#[test]
fn zsh_completes_verbs_options_and_the_names_of_the_host() {
    let known = Known::new();
    // zsh quotes what the shell would act on.
    known.namespace.sh("ip link add 'evil$(id)' type bridge");
    let netns = known.namespace.name.as_str();
    let mut lines = known.lines();
    lines.extend([
        (vec!["plan", "--output=mark"], vec!["--output=markdown"]),
        (vec!["plan", "-f", "fir"], vec!["first.yaml"]),
        (vec!["explain", "--netns", netns, "evil"], vec![r"evil\$\(id\)"]),
    ]);
    for (line, expected) in lines {
        assert_eq!(complete_in_zsh(&known.scratch, &line), expected, "{line:?}");
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
