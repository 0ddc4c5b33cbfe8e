//! An explanation as text.

use std::fmt::Write as _;

use crate::explain::declared::declared;
use crate::explain::device;
use crate::explain::row::row;
use crate::paint::Paint;
use crate::wording::utc::utc;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::explain::combine::{Combined, Rule};
use netkeel_diagnose::explain::holder::Held;
use netkeel_diagnose::explain::inputs::Live;
use netkeel_diagnose::explain::key::KeyExplained;
use netkeel_diagnose::explain::link::LinkExplained;
use netkeel_diagnose::explain::writer::Writer;
use netkeel_host::sysctl_d::answer::{How, Outcome, Resolution};
use netkeel_host::sysctl_d::file::FileLine;
use netkeel_host::sysctl_d::mention::{Fate, Mention};

/// The explanation of a key.
pub fn key(explained: &KeyExplained, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(&explained.key));
    values(&mut out, explained, paint);
    writers(&mut out, &explained.writers.iter().collect::<Vec<_>>());
    for note in &explained.notes {
        row(&mut out, "note", note);
    }
    out
}

/// The explanation of an interface: its properties, each of its keys, and then once the rows that several
/// keys share.
pub fn link(explained: &LinkExplained, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(format_args!("interface {}", explained.link)));
    device::device(&mut out, &explained.device);
    if let Some(of_mtu) = &explained.declared_mtu {
        declared(&mut out, of_mtu);
    }
    for held in &explained.held {
        holder(&mut out, held, true);
    }
    for setting in &explained.settings {
        let _ = writeln!(out, "\n{}", paint.bold(&setting.key));
        values(&mut out, setting, paint);
    }
    out.push('\n');
    let settings = &explained.settings;
    let mut all: Vec<&Writer> = settings.iter().flat_map(|setting| &setting.writers).collect();
    all.sort_by_key(|writer| (writer.evidence.is_empty(), writer.name));
    all.dedup_by_key(|writer| writer.name);
    writers(&mut out, &all);
    let mut notes: Vec<&String> = explained.notes.iter().collect();
    for note in settings.iter().flat_map(|setting| &setting.notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    for note in notes {
        row(&mut out, "note", note);
    }
    out
}

fn values(out: &mut String, explained: &KeyExplained, paint: Paint) {
    row(
        out,
        "live",
        match &explained.live {
            Live::Value { value } => explained.shown(&value.to_string()),
            Live::Absent => "absent".to_owned(),
            Live::Unread { why } => format!("could not be read: {why}"),
        },
    );
    if let Some(combined) = &explained.combined {
        effective(out, explained, combined);
    }
    if explained.is_of_default() {
        row(out, "effect", "an interface that appears later starts with it");
        if explained.key.path().starts_with("net/ipv4/") {
            row(
                out,
                "",
                "a write also changes each interface whose own nobody has written and that never had an IPv4 address",
            );
        }
    } else if let Some(rule) = explained.rule.and_then(of_slot) {
        row(out, "effect", rule);
    }
    if !explained.decides_on.is_empty() {
        let names: Vec<String> = explained.decides_on.iter().map(ToString::to_string).collect();
        row(out, "decides on", shortened(&names));
    }
    if let Some(line) = &explained.declared {
        declared(out, line);
    }
    if let Some(held) = &explained.held {
        holder(out, held, false);
    }
    let answers = &explained.sysctl_d;
    boot(out, explained, &answers.systemd, &answers.procps);
    later(out, explained, &answers.systemd, &answers.procps);
    if !answers.lines.is_empty() {
        let _ = writeln!(out, "  {:<10} {}", "lines", paint.dim("lowest priority first"));
    }
    for mention in &answers.lines {
        line(out, mention, paint);
    }
}

/// The owner of a fact. `names` adds the name of the fact.
pub(crate) fn holder(out: &mut String, held: &Held, names: bool) {
    let Held {
        fact,
        owner,
        found,
        wrote,
        with,
        last,
    } = held;
    let fact = if names { format!(" {fact}:") } else { String::new() };
    let verb = match with {
        Some(with) => format!("changed with {with} to {wrote}"),
        None => format!("wrote {wrote}"),
    };
    row(
        out,
        "held by",
        format_args!("owner {owner}:{fact} {verb}, found {found}"),
    );
    if let Some(act) = last {
        let document = act.document.get(..12).unwrap_or(&act.document);
        let time = utc(act.time);
        row(
            out,
            "",
            format_args!("{}, {time}, document {document}", act.result),
        );
        row(out, "", format_args!("by {}", act.actor));
    }
}

fn writers(out: &mut String, writers: &[&Writer]) {
    let (here, elsewhere): (Vec<&Writer>, Vec<&Writer>) =
        writers.iter().partition(|writer| !writer.evidence.is_empty());
    for Writer { name, does, evidence } in here {
        row(out, "writer", format_args!("{name} ({})", evidence.join(", ")));
        row(out, "", does);
    }
    if !elsewhere.is_empty() {
        let names: Vec<&str> = elsewhere.iter().map(|writer| writer.name).collect();
        row(
            out,
            "writers",
            format_args!("no sign here of {}", names.join(", ")),
        );
    }
}

fn shortened(names: &[String]) -> String {
    match names {
        [first, second, third, more @ ..] if more.len() > 1 => {
            format!("{first}, {second}, {third} and {} more", more.len())
        }
        names => names.join(", "),
    }
}

fn effective(out: &mut String, explained: &KeyExplained, combined: &Combined) {
    let (Some(value), Some(by)) = (combined.effective, &combined.decided_by) else {
        if combined.rule == Rule::Unknown {
            row(out, "effective", "netkeel does not know how `all` counts here");
        }
        return;
    };
    let all = combined.all.map_or_else(|| "?".to_owned(), |all| all.to_string());
    let own = combined.own.map_or_else(|| "?".to_owned(), |own| own.to_string());
    let how = match combined.rule {
        Rule::Max => format!("the larger of all ({all}) and its own ({own})"),
        Rule::Min => format!("the smaller of all ({all}) and its own ({own})"),
        Rule::LeastNonZero => {
            format!("the smaller of all ({all}) and its own ({own}), of those that are not 0")
        }
        Rule::AllUnlessZero => format!("all ({all}) unless it is 0, else its own ({own})"),
        Rule::Or => format!("on if all ({all}) or its own ({own}) is"),
        Rule::And => format!("on if all ({all}) and its own ({own}) are"),
        Rule::AndWhereForwarding => {
            format!("on if all ({all}) and its own ({own}) are where it forwards, else if either is")
        }
        Rule::Copied => "its own counts; writing all writes every interface's".to_owned(),
        Rule::Own | Rule::Unknown => "its own counts".to_owned(),
    };
    let varies = if combined.varies {
        " (Linux 6.12; kernels differ)"
    } else {
        ""
    };
    let value = explained.shown(&value.to_string());
    let by = match combined.rule {
        Rule::Copied | Rule::Own => String::new(),
        _ => format!("; decided by {by}"),
    };
    row(out, "effective", format_args!("{value}: {how}{varies}{by}"));
    if let Some(verdict) = combined.verdict {
        row(
            out,
            "",
            format_args!("a packet whose reverse path is another interface {verdict}"),
        );
    }
}

/// The effect of a key of `all` or `default` on interfaces; `None` if it has no known effect.
fn of_slot(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::Max => "on each interface the larger of all and its own counts",
        Rule::Min => "on each interface the smaller of all and its own counts",
        Rule::LeastNonZero => {
            "on each interface the smaller of all and its own counts, of those that are not 0"
        }
        Rule::AllUnlessZero => "all counts on each interface unless it is 0, else its own",
        Rule::Or => "on for an interface if all or its own is",
        Rule::And => "on for an interface if all and its own are",
        Rule::AndWhereForwarding => {
            "on for an interface if all and its own are where it forwards, else if either is"
        }
        Rule::Copied => "an interface's own counts; writing all writes every interface's",
        Rule::Own => "an interface's own counts, whatever all is",
        Rule::Unknown => return None,
    })
}

fn boot(out: &mut String, explained: &KeyExplained, systemd: &Resolution, procps: &Resolution) {
    if same(&systemd.boot, &procps.boot) {
        row(out, "at boot", value_and_origin(explained, &systemd.boot));
    } else {
        row(
            out,
            "at boot",
            format_args!("systemd: {}", value_and_origin(explained, &systemd.boot)),
        );
        row(
            out,
            "",
            format_args!("procps:  {}", value_and_origin(explained, &procps.boot)),
        );
    }
}

fn later(out: &mut String, explained: &KeyExplained, systemd: &Resolution, procps: &Resolution) {
    let (Some(by_udev), Some(without)) = (&systemd.later, &procps.later) else {
        return;
    };
    row(out, "later", of_a_newcomer(explained, by_udev));
    if by_udev.value != without.value {
        row(
            out,
            "",
            format_args!("without udev: {}", of_a_newcomer(explained, without)),
        );
    }
}

/// The value of an interface that appears later. Where no file names its key, the kernel gives it the value
/// that `default` has then.
fn of_a_newcomer(explained: &KeyExplained, outcome: &Outcome) -> String {
    let by_file = value_and_origin(explained, outcome);
    let (How::Inherited, Some(default)) = (&outcome.how, &explained.default) else {
        return by_file;
    };
    let now = explained.shown(default);
    match &outcome.value {
        Some(value) if value == default => by_file,
        Some(_) => format!("{now}, as `default` is now; at boot {by_file}"),
        None => format!("{now}, as `default` is now; no file sets it"),
    }
}

fn same(one: &Outcome, other: &Outcome) -> bool {
    let places = match (&one.place, &other.place) {
        (Some(one), Some(other)) => one.is_same(other),
        (one, other) => one == other,
    };
    places && one.value == other.value
}

fn value_and_origin(explained: &KeyExplained, outcome: &Outcome) -> String {
    let value = outcome.value.as_deref().map(|value| explained.shown(value));
    let (Some(value), Some(place)) = (value, &outcome.place) else {
        return match outcome.how {
            How::Inherited => "the kernel's default: no file names it, nor `default`".to_owned(),
            _ => "unchanged from the kernel: no file sets it".to_owned(),
        };
    };
    let place = named(place);
    match &outcome.how {
        How::Exact | How::Unset => format!("{value}, by {place}"),
        How::Pattern { pattern } => format!("{value}, by the pattern {pattern} of {place}"),
        How::Copied { from } => {
            let from = SysctlKey::known(from);
            format!("{value}, copied from {from}, by {place}")
        }
        How::Inherited => format!("{value}, as `default` has it by {place}"),
    }
}

fn named(place: &FileLine) -> String {
    match &place.target {
        Some(target) => format!("{place} (a link to {target})"),
        None => place.to_string(),
    }
}

pub(crate) fn line(out: &mut String, mention: &Mention, paint: Paint) {
    let own = if mention.netkeel { "  (netkeel's)" } else { "" };
    let (place, text) = (named(&mention.place), printable(&mention.text));
    let _ = writeln!(out, "    {}  {text}{own}", printable(&place));
    let mut fates = vec![fate(&mention.systemd)];
    if mention.procps != mention.systemd {
        fates = vec![
            format!("systemd: {}", fate(&mention.systemd)),
            format!("procps: {}", fate(&mention.procps)),
        ];
    }
    for fate in fates {
        let _ = writeln!(out, "      {}", paint.dim(printable(&fate)));
    }
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Decides => "decides".to_owned(),
        Fate::Overridden { by } => format!("overridden by {by}"),
        Fate::Replaced { by } => format!("ignored: {by} replaces it"),
        Fate::Repeats { of } => format!("same as {of}"),
        Fate::Exempt { by } => format!("not applied: {by} names the key, which exempts it from patterns"),
        Fate::Excludes => "exempts the key from patterns".to_owned(),
        Fate::Refused => "the kernel rejects the value".to_owned(),
        Fate::NoChange => "no effect: the value does not change".to_owned(),
        Fate::Hidden { by } => format!("not read: {by} hides the file"),
        Fate::NotRead => "not read".to_owned(),
        Fate::Invalid => "ignored: not an assignment".to_owned(),
        Fate::AnotherKey => "means another key".to_owned(),
    }
}
