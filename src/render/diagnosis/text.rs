//! A diagnosis as text of at most 80 columns. A command to paste may be longer.

use crate::diagnosis::words;
use crate::paint::Paint;
use crate::wording::count;
use crate::wording::utc::utc;
use netkeel_core::finding::Severity;
use netkeel_core::text::escape::{one_line, printable};
use netkeel_core::text::list::some;
use netkeel_diagnose::bundle::Bundle;
use netkeel_diagnose::diagnosis::cause::{Cause, Diagnosis, Grounds};
use netkeel_diagnose::diagnosis::fix::Fix;
use netkeel_diagnose::diagnosis::growth::Growth;
use netkeel_diagnose::diagnosis::sign::Sign;

/// Columns of a line.
const WIDTH: usize = 80;

/// Columns before the text of a labelled line.
const LABEL: usize = 13;

/// Pieces of evidence that are shown of one cause.
const EVIDENCE: usize = 6;

/// Causes after the first that are shown whole.
const WHOLE: usize = 2;

/// Rules without a count that are named.
const UNCOUNTED: usize = 2;

/// Signs that are shown whole.
const SIGNS: usize = 4;

/// Counters that are shown of one sign.
const COUNTERS: usize = 3;

/// Other losses that are shown.
const OTHERS: usize = 8;

/// The diagnosis. The answer comes first.
pub fn diagnosis(diagnosis: &Diagnosis, paint: Paint) -> String {
    let mut out = String::new();
    for (at, cause) in diagnosis.causes.iter().enumerate() {
        if at > WHOLE {
            let more = diagnosis.causes.len() - at;
            out.push_str(&format!(
                "{} more (--output json has all)\n\n",
                count(more, "possible cause")
            ));
            break;
        }
        one(cause, at, diagnosis, paint, &mut out);
        out.push('\n');
    }
    for sign in diagnosis.signs.iter().take(SIGNS) {
        self::sign(sign, diagnosis, paint, &mut out);
        out.push('\n');
    }
    let mut named = diagnosis.signs.iter().skip(SIGNS);
    if let Some(first) = named.next() {
        let titles: Vec<&str> = std::iter::once(first)
            .chain(named)
            .map(|sign| words::sign(sign.kind))
            .collect();
        wrapped(&format!("Also seen: {}", titles.join("; ")), 0, 2, &mut out);
        out.push('\n');
    }
    let has_sign = |growth: &&Growth| {
        let mut signs = diagnosis.signs.iter().flat_map(|sign| &sign.counters);
        signs.any(|one| one.counter == growth.counter)
    };
    let also: Vec<&Growth> = diagnosis.also.iter().filter(|growth| !has_sign(growth)).collect();
    if !also.is_empty() {
        out.push_str("Also seen, not explained by a cause above\n");
        for growth in also.iter().take(OTHERS) {
            wrapped(&words::growth(growth, diagnosis.window_ms), 2, 4, &mut out);
        }
        if let more @ 1.. = also.len().saturating_sub(OTHERS) {
            out.push_str(&format!("  and {}\n", count(more, "more counter")));
        }
        out.push('\n');
    }
    wrapped(&last(diagnosis), 0, 0, &mut out);
    out
}

/// A bundle: its host and time, then the diagnosis.
pub fn bundle(bundle: &Bundle, paint: Paint) -> String {
    let host = printable(&bundle.host).into_owned();
    let kernel = printable(&bundle.snapshot.kernel).into_owned();
    let cni = bundle
        .cni
        .as_deref()
        .map_or(String::new(), |cni| format!(", {}", printable(cni)));
    let mut head = String::new();
    wrapped(
        &format!("{host}, {}, kernel {kernel}{cni}", utc(bundle.time)),
        0,
        2,
        &mut head,
    );
    if let Some(plugins) = words::plugins(bundle) {
        wrapped(&format!("CNI plugins: {plugins}"), 0, 2, &mut head);
    }
    format!("{head}\n{}", diagnosis(&bundle.diagnosis(), paint))
}

/// The advice at the end. A host without a finding is never cleared.
fn last(diagnosis: &Diagnosis) -> String {
    let mut text = match (
        diagnosis.causes.first().map(|cause| cause.grounds),
        diagnosis.window_ms,
    ) {
        (None, None) => "The configuration shows no cause. Counters were not read.".to_owned(),
        (None, Some(window)) => format!(
            "No cause found: the configuration shows none, and no loss with one was counted in {}. \
             That does not clear the host: run again while packets are lost, and `netkeel probe pmtu`.",
            words::seconds(window)
        ),
        (Some(Grounds::Possible), _) => {
            "No cause is certain. Run again while packets are lost, and `netkeel probe pmtu`.".to_owned()
        }
        (Some(Grounds::LosesEverything | Grounds::LosesLarge), _) => {
            "Run `netkeel doctor` again after the fix: this cause must be gone.".to_owned()
        }
        (Some(_), _) => "Run `netkeel doctor` again after the fix: the counters must stand still.".to_owned(),
    };
    if !diagnosis.unread.is_empty() {
        let names: Vec<&str> = diagnosis.unread.iter().map(|source| source.name()).collect();
        text.push_str(&format!(
            " Not read: {}. A cause there stays unseen.",
            names.join(", ")
        ));
    }
    if !diagnosis.uncounted.is_empty() {
        let (number, keys) = (diagnosis.uncounted.len(), diagnosis.uncounted.iter());
        text.push_str(&format!(
            " The firewall drops without a count at {} ({}).",
            count(number, "place"),
            some(keys.map(ToString::to_string), UNCOUNTED, ", ")
        ));
    }
    text.push_str(&words::attached(&diagnosis.attached));
    if diagnosis.changed > 0 {
        text.push_str(&format!(
            " {} came, went or changed the name within the window: what was counted there is unknown.",
            count(diagnosis.changed, "interface")
        ));
    }
    if diagnosis.problems > 0 {
        let parts = count(diagnosis.problems, "part");
        text.push_str(&format!(" {parts} of the host could not be read."));
    }
    if !diagnosis.unknown.is_empty() {
        text.push_str(&format!(
            " {} about paths {} unknown: `netkeel path` names them.",
            count(diagnosis.unknown.len(), "fact"),
            if diagnosis.unknown.len() == 1 { "is" } else { "are" }
        ));
    }
    text
}

fn one(cause: &Cause, at: usize, diagnosis: &Diagnosis, paint: Paint, out: &mut String) {
    let head = match (at, cause.grounds) {
        (_, Grounds::Possible) => "Possible cause",
        (0, _) => "Most likely cause",
        (_, _) => "Next cause",
    };
    let mut title = String::new();
    wrapped(&format!("{head}: {}", words::title(cause)), 0, 2, &mut title);
    out.push_str(&match cause.grounds {
        Grounds::Possible => paint.yellow(title.trim_end()),
        _ => paint.red(title.trim_end()),
    });
    out.push('\n');
    labelled(
        "why first",
        words::grounds(cause.grounds),
        at == 0 && cause.grounds != Grounds::Possible,
        out,
    );
    for (number, evidence) in cause.evidence.iter().take(EVIDENCE).enumerate() {
        let label = if number == 0 { "evidence" } else { "" };
        labelled(label, &words::evidence(evidence, diagnosis.window_ms), true, out);
    }
    if let more @ 1.. = cause.evidence.len().saturating_sub(EVIDENCE) {
        labelled("", &format!("and {more} more"), true, out);
    }
    if let Some(not) = words::not_this(cause) {
        labelled("not this", not, true, out);
    }
    whole("refute", &cause.refute.command, out);
    labelled("", &format!("refuted if {}", cause.refute.refuted_if), true, out);
    fixes("fix", &cause.fix, out);
}

/// A sign: its counters, what they mean and do not mean, and the next step.
fn sign(sign: &Sign, diagnosis: &Diagnosis, paint: Paint, out: &mut String) {
    let title = words::sign(sign.kind);
    let (head, paints): (&str, fn(Paint, &str) -> String) = match sign.severity {
        Severity::Error => ("Critical", |paint, text| paint.red(text)),
        Severity::Warning => ("Warning", |paint, text| paint.yellow(text)),
        Severity::Note => ("Also seen", |_, text| text.to_owned()),
    };
    let mut line = String::new();
    wrapped(&format!("{head}: {title}"), 0, 2, &mut line);
    out.push_str(&paints(paint, line.trim_end()));
    out.push('\n');
    for (number, growth) in sign.counters.iter().take(COUNTERS).enumerate() {
        let label = if number == 0 { "evidence" } else { "" };
        labelled(label, &words::growth(growth, diagnosis.window_ms), true, out);
    }
    if let more @ 1.. = sign.counters.len().saturating_sub(COUNTERS) {
        labelled("", &format!("and {more} more"), true, out);
    }
    labelled("means", sign.means, true, out);
    labelled("not this", sign.means_not, true, out);
    fixes("next", &sign.next, out);
}

fn fixes(label: &str, fixes: &[Fix], out: &mut String) {
    for (number, fix) in fixes.iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        match fix {
            Fix::Document(_) | Fix::Command(_) => whole(label, words::fix(fix), out),
            Fix::Elsewhere(_) => labelled(label, words::fix(fix), true, out),
        }
    }
}

/// A line with a label in front, if it is shown.
fn labelled(label: &str, text: &str, shown: bool, out: &mut String) {
    if !shown {
        return;
    }
    let mut body = String::new();
    wrapped(text, LABEL, LABEL, &mut body);
    out.push_str(&format!("  {label:<11}{}", body.get(LABEL..).unwrap_or_default()));
}

/// A line that can be pasted: it is not broken.
fn whole(label: &str, text: &str, out: &mut String) {
    out.push_str(&format!("  {label:<11}{}\n", one_line(text)));
}

/// Breaks a text at blanks. A bundle may come from anybody: nothing of it acts on the terminal.
fn wrapped(text: &str, first: usize, rest: usize, out: &mut String) {
    let text = printable(text);
    let mut line = " ".repeat(first);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let width = line.chars().count() + word.chars().count() + usize::from(!is_empty);
        if width > WIDTH && !is_empty {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(rest);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}
