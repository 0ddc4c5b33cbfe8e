//! A review as one HTML page.

use std::collections::BTreeMap;

use crate::findings;
use crate::html::page as html;
use crate::html::page::{Figure, escaped, figures, filter, table};
use crate::path::compared::Compared;
use crate::review::title::Title;
use crate::review::words;
use crate::wording::thousands;
use netkeel_core::finding::Finding;
use netkeel_diagnose::review::class::Class;
use netkeel_diagnose::review::effect::Effect;
use netkeel_diagnose::review::fleet::{Failures, Review, Unplanned};
use netkeel_diagnose::review::group::{Group, Hosts, Risk};
use netkeel_plan::plan::count::Action;

/// Groups from the first one on that are unfolded.
const UNFOLDED: usize = 3;

/// The page. `paths` has the paths of the first host of some groups, by the group's number.
pub fn review(review: &Review, title: Title<'_>, paths: &BTreeMap<usize, Compared>) -> String {
    let mut body = format!(
        "<p class=\"about\">Old: <code>{}</code>, new: <code>{}</code>. Existing drift is not shown.</p>\n",
        escaped(title.old),
        escaped(title.new)
    );
    body.push_str(&figures(&numbers(review)));
    let is_empty = review.groups.is_empty() && review.unplanned.is_empty();
    match is_empty {
        true => body.push_str(&format!("<p>{}.</p>\n", escaped(&words::decision(review, title)))),
        false => body.push_str(filter()),
    }
    for (why, failures) in review.unplanned.iter().filter(|(why, _)| **why == Unplanned::New) {
        body.push_str(&failed(*why, failures, title));
    }
    for (number, group) in review.groups.iter().enumerate() {
        let paths = paths.get(&number);
        body.push_str(&self::group(number < UNFOLDED, group, title, paths));
    }
    for (why, failures) in review.unplanned.iter().filter(|(why, _)| **why != Unplanned::New) {
        body.push_str(&failed(*why, failures, title));
    }
    let unchanged = review.unchanged.count();
    if unchanged > 0 {
        let summary = format!(
            "<span class=\"badge\">{}</span> without a change",
            words::hosts(unchanged)
        );
        body.push_str(&html::group(
            false,
            false,
            &summary,
            &names(&review.unchanged, title),
        ));
    }
    html::page("netkeel review", &body)
}

fn numbers(review: &Review) -> Vec<Figure> {
    let destroys = review.hosts_with(|group| group.effects.keys().any(|class| class.destroys));
    let loses = review.hosts_with(|group| group.effects.keys().any(Class::loses));
    let findings = review.hosts_with(|group| !group.findings.is_empty());
    vec![
        Figure::count(review.hosts(), ("host", "hosts"), false),
        Figure::count(review.changed(), ("changes", "change"), false),
        Figure::count(review.groups.len(), ("kind of change", "kinds of change"), false),
        Figure::count(
            destroys,
            ("with destructive writes", "with destructive writes"),
            true,
        ),
        Figure::count(loses, ("loses state", "lose state"), true),
        Figure::count(findings, ("with new findings", "with new findings"), true),
        Figure::count(review.failed(), ("not planned", "not planned"), true),
    ]
}

fn group(is_open: bool, group: &Group, title: Title<'_>, paths: Option<&Compared>) -> String {
    let mut summary = format!(
        "<span class=\"badge\">{}</span>",
        words::hosts(group.hosts.count())
    );
    if let Some(word) = risk(group.risk()) {
        summary.push_str(&format!("<span class=\"badge\">{word}</span>"));
    }
    let objects = group.shown().into_iter().map(|(class, effect)| {
        let changes = words::changes(class, effect);
        let texts: Vec<String> = changes.into_iter().map(|(text, _)| text).collect();
        format!("{} {}", words::objects(class, effect), texts.join(", "))
    });
    let objects: Vec<String> = objects.collect();
    summary.push_str(&format!(" {}", escaped(&objects.join("; "))));
    let parts = words::parts(group);
    match &parts {
        Some(parts) => summary.push_str(&format!(" {}", escaped(parts))),
        None if group.effects.is_empty() => summary.push_str("new findings only"),
        None => {}
    }
    let mut body = names(&group.hosts, title);
    let rows: Vec<Vec<String>> = group
        .shown()
        .into_iter()
        .map(|(class, effect)| row(class, effect, group))
        .collect();
    if !rows.is_empty() {
        body.push_str(&table(&["object on each host", "change", "declared at"], &rows));
    }
    if let Some(parts) = parts {
        body.push_str(&format!("<p>{}</p>\n", escaped(&parts)));
    }
    body.push_str(&finding_list(&words::findings(group)));
    for left_out in words::findings_left_out(group) {
        body.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(&left_out)));
    }
    if let Some(paths) = paths {
        let drawing = paths.html();
        if let (false, Some(host)) = (drawing.is_empty(), group.hosts.names.first()) {
            body.push_str(&format!(
                "<details><summary>Paths of packets on {}, before and after</summary>\n{drawing}</details>\n",
                escaped(host)
            ));
        }
    }
    html::group(is_open, words::is_risky(group), &summary, &body)
}

fn risk(risk: Risk) -> Option<&'static str> {
    match risk {
        Risk::Destroys => Some("destructive"),
        Risk::Loses => Some("lossy"),
        Risk::Finding(_) => Some("new findings"),
        Risk::None => None,
    }
}

/// All names of hosts, with their stages.
fn names(hosts: &Hosts, title: Title<'_>) -> String {
    let short = words::names(hosts);
    let mut out = format!("<p class=\"names\">{}</p>\n", escaped(&short));
    let all = hosts.names.folded().join(", ");
    if all.len() > short.len() {
        out.push_str(&format!(
            "<details><summary>All names</summary>\n<p class=\"names\">{}",
            escaped(&all)
        ));
        if hosts.names.dropped() > 0 {
            out.push_str(&format!(" and {} more", thousands(hosts.names.dropped())));
        }
        out.push_str("</p>\n</details>\n");
    }
    let stages = words::stages(hosts, title);
    if !stages.is_empty() {
        out.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(&stages)));
    }
    out
}

/// The objects of a class as a row.
fn row(class: &Class, effect: &Effect, group: &Group) -> Vec<String> {
    let action = words::action(class, effect);
    let object = format!(
        "{} {}",
        html::sign(action.sign(), meaning(action)),
        escaped(&words::objects(class, effect))
    );
    let changes = words::changes(class, effect);
    let mut texts: Vec<String> = changes.iter().map(|(text, _)| escaped(text)).collect();
    let derivations = effect
        .examples
        .iter()
        .filter_map(|example| example.derivation.as_deref());
    texts.extend(derivations.map(|text| format!("<span class=\"note\">{}</span>", escaped(text))));
    if let Some(risk) = words::risk(class) {
        let loses = words::losses(effect, group);
        texts.push(format!("<span class=\"loss\">{risk}{}</span>", escaped(&loses)));
    }
    let places = words::places(&changes);
    let places: Vec<String> = places.iter().map(|place| escaped(place)).collect();
    vec![object, texts.join("<br>"), places.join("<br>")]
}

/// The meaning of a sign.
pub(crate) fn meaning(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Change => "change",
        Action::Destroy => "destroy",
    }
}

/// Findings as a list.
pub(crate) fn finding_list(findings: &[Finding]) -> String {
    let findings: String = findings
        .iter()
        .map(|finding| {
            format!(
                "<li><strong>{} {}</strong> {}: {}<br><span class=\"note\">{}</span></li>\n",
                finding.code.severity(),
                finding.code,
                escaped(&findings::subjects(&finding.subjects)),
                escaped(&finding.message),
                escaped(&finding.remedy)
            )
        })
        .collect();
    match findings.is_empty() {
        true => String::new(),
        false => format!("<ul>\n{findings}</ul>\n"),
    }
}

fn failed(why: Unplanned, failures: &Failures, title: Title<'_>) -> String {
    let summary = format!(
        "<span class=\"badge\">{}</span> {}",
        words::hosts(failures.hosts.count()),
        words::unplanned(why)
    );
    let rows: Vec<Vec<String>> = failures
        .errors
        .iter()
        .map(|(host, error)| vec![escaped(host), escaped(error)])
        .collect();
    let mut body = table(&["host", "error"], &rows);
    body.push_str(&names(&failures.hosts, title));
    html::group(true, true, &summary, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::finding::Code;
    use netkeel_diagnose::review::fleet::Fleet;
    use netkeel_diagnose::review::host::HostChange;
    use proptest::prelude::*;

    /// A page whose every text of others is this one.
    fn page_of(text: &str) -> String {
        let mut fleet = Fleet::default();
        let finding = Finding {
            code: Code::NK005,
            subjects: vec![text.to_owned()],
            message: text.to_owned(),
            remedy: text.to_owned(),
        };
        let change = HostChange {
            findings: [finding].into(),
            ..HostChange::default()
        };
        fleet.add(text, Some(0), change);
        fleet.add(&format!("{text}7"), None, HostChange::default());
        fleet.fail(&format!("{text}8"), Some(0), Unplanned::Snapshot, text);
        fleet.fail(&format!("{text}9"), None, Unplanned::New, text);
        let title = Title {
            old: text,
            new: text,
            stages: &[text.to_owned()],
            differ: true,
        };
        review(&fleet.review(), title, &BTreeMap::new())
    }

    /// The tags of a page, without the text between them.
    fn tags(page: &str) -> Vec<&str> {
        let tags = page.split('<').skip(1).filter_map(|part| part.split('>').next());
        tags.collect()
    }

    proptest! {
        #[test]
        fn no_name_changes_the_markup(text in "(<|>|\"|'|&|/|=|[a-z]| |\\PC){0,40}") {
            let (page, plain) = (page_of(&text), page_of("plain"));
            prop_assert_eq!(tags(&page), tags(&plain), "{}", text);
        }
    }

    #[test]
    fn a_script_in_a_name_is_text() {
        let page = page_of("<script>alert(1)</script>");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    }
}
