//! A review as text for a terminal.

use std::fmt::Write as _;

use crate::findings;
use crate::paint::Paint;
use crate::plan::entry::{WIDTH, at_the_end, indented};
use crate::review::title::Title;
use crate::review::words;
use crate::wording::wrap::wrap;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::review::class::Class;
use netkeel_diagnose::review::effect::Effect;
use netkeel_diagnose::review::fleet::{Failures, Review, Unplanned};
use netkeel_diagnose::review::group::Group;
use netkeel_plan::plan::count::Action;

/// The indent of the objects of a group.
const INDENT: usize = 4;

/// The review: the documents, the groups, the hosts that cannot be planned, and the numbers that a person decides
/// by.
pub fn review(review: &Review, title: Title<'_>, paint: Paint) -> String {
    let mut out = format!(
        "old: {}   new: {}\n\n",
        printable(title.old),
        printable(title.new)
    );
    for (why, failures) in review.unplanned.iter().filter(|(why, _)| **why == Unplanned::New) {
        out.push_str(&failed(*why, failures, paint));
    }
    for group in &review.groups {
        out.push_str(&self::group(group, title, paint));
    }
    for (why, failures) in review.unplanned.iter().filter(|(why, _)| **why != Unplanned::New) {
        out.push_str(&failed(*why, failures, paint));
    }
    let unchanged = review.unchanged.count();
    if unchanged > 0 && !review.groups.is_empty() {
        let _ = writeln!(out, "  {} without a change\n", words::hosts(unchanged));
    }
    let end = format!("{}. Existing drift is not shown.", words::decision(review, title));
    let _ = writeln!(out, "{}", wrap(&end, 0, 0, WIDTH));
    out
}

fn group(group: &Group, title: Title<'_>, paint: Paint) -> String {
    let mark = match words::is_risky(group) {
        true => paint.red("!"),
        false => " ".to_owned(),
    };
    let number = words::hosts(group.hosts.count());
    let column = 2 + number.chars().count() + 2;
    let mut names = words::names(&group.hosts);
    let stages = words::stages(&group.hosts, title);
    if !stages.is_empty() {
        names = format!("{names} ({stages})");
    }
    let names = wrap(&names, column, INDENT, WIDTH);
    let mut out = format!("{mark} {}  {names}\n", paint.bold(number));
    for (class, effect) in group.shown() {
        out.push_str(&entry(class, effect, group, paint));
    }
    if let Some(parts) = words::parts(group) {
        let parts = wrap(&parts, INDENT + 2, INDENT + 4, WIDTH);
        let _ = writeln!(
            out,
            "{}{} {parts}",
            " ".repeat(INDENT),
            paint.yellow(Action::Change.sign())
        );
    }
    let findings = findings::wrapped(&words::findings(group), paint, WIDTH - INDENT);
    for line in findings.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(out, "{}{line}", " ".repeat(INDENT));
    }
    for left_out in words::findings_left_out(group) {
        let _ = writeln!(out, "{}{left_out}", " ".repeat(INDENT));
    }
    out.push('\n');
    out
}

/// The objects of a class with their changes.
fn entry(class: &Class, effect: &Effect, group: &Group, paint: Paint) -> String {
    let action = words::action(class, effect);
    let sign = match action {
        Action::Create => paint.green(action.sign()),
        Action::Change => paint.yellow(action.sign()),
        Action::Destroy => paint.red(action.sign()),
    };
    let objects = words::objects(class, effect);
    let changes = words::changes(class, effect);
    let place = words::shared_line(&changes).map(words::line).unwrap_or_default();
    let texts: Vec<&str> = changes.iter().map(|(text, _)| text.as_str()).collect();
    let line = texts.join(", ");
    let column = INDENT + 2 + objects.chars().count();
    let whole = column + 2 + line.chars().count();
    let is_one_file = changes.iter().all(|(_, line)| line.is_none()) || !place.is_empty();
    let mut out = format!("{}{sign} {}", " ".repeat(INDENT), paint.bold(&objects));
    if is_one_file && whole + 2 + place.chars().count() <= WIDTH {
        let _ = writeln!(out, "  {line}{}", at_the_end(whole, &place, paint));
    } else {
        let _ = writeln!(out, "{}", at_the_end(column, &place, paint));
        for (text, line) in &changes {
            let text = wrap(text, INDENT + 4, INDENT + 4, WIDTH);
            let last = text.lines().last().unwrap_or_default().chars().count();
            let column = if text.contains('\n') {
                last
            } else {
                INDENT + 4 + last
            };
            let own = line.as_ref().filter(|_| place.is_empty());
            let own = own.map(words::line).unwrap_or_default();
            let _ = writeln!(
                out,
                "{}{text}{}",
                " ".repeat(INDENT + 4),
                at_the_end(column, &own, paint)
            );
        }
    }
    let derivations = effect
        .examples
        .iter()
        .filter_map(|example| example.derivation.as_deref());
    for derivation in derivations {
        out.push_str(&paint.lines(&indented(&printable(derivation), INDENT + 4)));
    }
    if let Some(risk) = words::risk(class) {
        let loses = format!("{risk}{}", words::losses(effect, group));
        for line in indented(&loses, INDENT + 4).lines() {
            let start = line.trim_start();
            let blanks = " ".repeat(line.len() - start.len());
            let _ = writeln!(out, "{blanks}{}", paint.red(start));
        }
    }
    out
}

/// Hosts that cannot be planned, with the errors of the first ones.
fn failed(why: Unplanned, failures: &Failures, paint: Paint) -> String {
    let number = words::hosts(failures.hosts.count());
    let mut out = format!(
        "{} {}  {}\n",
        paint.red("!"),
        paint.bold(number),
        words::unplanned(why)
    );
    for (host, error) in &failures.errors {
        let text = format!("{}: {}", printable(host), printable(error));
        let _ = writeln!(out, "    {}", wrap(&text, INDENT, INDENT + 2, WIDTH));
    }
    let more = failures.hosts.count() - failures.errors.len();
    if more > 0 {
        let _ = writeln!(out, "    and {} more", words::hosts(more));
    }
    out.push('\n');
    out
}
