//! An MTU budget as text: its derivation line by line, and a comparison of CNIs.

pub mod encapsulated;
pub mod measured_path;
pub mod path_mtu;
pub mod replicas;

use std::fmt::Write as _;

use crate::paint::Paint;
use netkeel_mtu::budget::Derivation;
use netkeel_mtu::detect::{Detected, Verdict};
use netkeel_mtu::encapsulation::Encapsulation;

/// A budget with its derivation.
pub fn answer(answer: &Derivation, paint: Paint) -> String {
    let mut out = String::new();
    let names = answer.steps.iter().map(|step| step.what.len());
    let width = names.max().unwrap_or_default().max("exact maximum".len());
    let mut row = |name: &str, bytes: &str, mtu: &str, why: &str| {
        let line = format!("  {name:width$}  {bytes:>6}  {mtu:>5}  {why}");
        let _ = writeln!(out, "{}", line.trim_end());
    };
    for step in &answer.steps {
        let bytes = match step.bytes {
            0 => String::new(),
            bytes => format!("{:+}", -bytes),
        };
        row(&step.what, &bytes, &step.mtu.to_string(), &step.why);
    }
    let carried = match answer.carried_by {
        "route" => format!(
            "on the routes; the device keeps {}",
            answer.steps.first().map_or(0, |step| step.mtu)
        ),
        _ => String::new(),
    };
    row("MTU", "", &answer.mtu.to_string(), &carried);
    row("MSS", "", &answer.mss_ipv4.to_string(), "over IPv4");
    row("", "", &answer.mss_ipv6.to_string(), "over IPv6");
    let left_over = match answer.left_over {
        0 => "nothing is left over".to_owned(),
        over if over > 0 => format!("{over} are left over"),
        short => format!("{} are missing", -short),
    };
    row("exact maximum", "", &answer.exact_mtu.to_string(), &left_over);
    for note in &answer.notes {
        let _ = writeln!(out, "{} {note}", paint.bold("note:"));
    }
    out
}

/// The detected properties of a host, compared with the MTU that its CNI leaves.
pub fn detected(detected: &Detected, answer: &Derivation, paint: Paint) -> String {
    let mut out = format!(
        "{}, by {}
",
        detected.layers.join(" "),
        detected.evidence.join(", ")
    );
    out.push_str(&self::answer(answer, paint));
    let width = detected
        .found
        .iter()
        .map(|found| found.what.len())
        .max()
        .unwrap_or_default();
    out.push_str(if detected.found.is_empty() { "" } else { "in use\n" });
    for found in &detected.found {
        let verdict = match found.verdict(answer) {
            Verdict::Fits => String::new(),
            Verdict::Less(bytes) => format!("{bytes} less than it could be"),
            Verdict::Over(bytes) => format!("{bytes} too many"),
        };
        let line = format!("  {:width$}  {:>5}  {verdict}", found.what, found.mtu);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// The MTU that each CNI leaves of an underlay.
pub fn compared(rows: &[(&str, Derivation)]) -> String {
    let mut out = format!(
        "  {:24}{:>5}{:>7}{:>11}  {}\n",
        "", "MTU", "exact", "left over", "on"
    );
    for (name, answer) in rows {
        let _ = writeln!(
            out,
            "  {name:24}{:>5}{:>7}{:>11}  {}",
            answer.mtu, answer.exact_mtu, answer.left_over, answer.carried_by
        );
    }
    out
}

/// The available layers with their parameters.
pub fn known(title: &str, layers: &[Encapsulation]) -> String {
    let mut out = format!("{title}\n");
    for layer in layers {
        let _ = writeln!(out, "  {:12} {}", layer.name, layer.doc);
        if !layer.parameters.is_empty() {
            let _ = writeln!(out, "  {:12}   {}", "", layer.parameters.join(", "));
        }
    }
    out
}
