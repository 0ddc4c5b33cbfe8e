//! Pods as a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::paint::Paint;
use crate::wording::count;
use netkeel_core::text::escape::{one_line, printable};
use netkeel_diagnose::pods::Pod;
use netkeel_host::pods::{Apart, Namespace};

/// A line for each pod and their number, also of those that could not be read; then the namespaces without a veth, if they are known.
pub fn table(pods: &[Pod], unread: usize, apart: Option<&Apart>, paint: Paint) -> String {
    let mut rows =
        vec![["HOST END", "MTU", "POD END", "MTU", "ROUTE", "WANTED", "POD", ""].map(str::to_owned)];
    for pod in pods {
        let wanted = match pod.wanted {
            Some((here, there)) if here == there => here.to_string(),
            Some((here, there)) => format!("{here}/{there}"),
            None => "-".to_owned(),
        };
        let note = match (pod.stale, pod.left_alone) {
            (true, Some(why)) => format!("stale; {why}"),
            (true, None) => "stale".to_owned(),
            (false, _) => String::new(),
        };
        rows.push([
            pod.link.to_string(),
            pod.mtu.to_string(),
            pod.interface.to_string(),
            pod.pod_mtu.to_string(),
            match (pod.smallest_route_mtu, pod.route_mtu) {
                (Some(least), Some(most)) if least < most => format!("{least}..{most}"),
                (_, most) => most.map_or("-".to_owned(), |mtu| mtu.to_string()),
            },
            wanted,
            printable(pod.name.as_deref().or(pod.sandbox.as_deref()).unwrap_or("?")).into_owned(),
            note,
        ]);
    }
    let mut out = String::new();
    for (number, line) in aligned(&rows).iter().enumerate() {
        let stale = number
            .checked_sub(1)
            .and_then(|at| pods.get(at))
            .is_some_and(|pod| pod.stale);
        let _ = match stale {
            true => writeln!(out, "{}", paint.yellow(line)),
            false => writeln!(out, "{line}"),
        };
    }
    let stale = pods.iter().filter(|pod| pod.stale).count();
    let unread = match unread {
        0 => String::new(),
        number => format!("; {} could not be read", count(number, "pod")),
    };
    let _ = writeln!(out, "\n{}, {stale} stale{unread}.", count(pods.len(), "pod"));
    if let Some(apart) = apart {
        skipped_namespaces(apart, &mut out);
    }
    out
}

/// A line for each stale pod and what the service does with it, in the order of the evictions, from the status of the service.
pub fn eviction_table(evictions: &[Value]) -> String {
    let mut rows = vec![["", "POD", "OWNER", "HOST END", "POLICY", "ACTION", ""].map(str::to_owned)];
    let of = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).map(one_line);
    let is_skipped = |one: &&Value| of(one, "action").as_deref() == Some("skip");
    for (number, one) in evictions.iter().enumerate() {
        let place = match is_skipped(&one) {
            true => "-".to_owned(),
            false => (number + 1).to_string(),
        };
        let text = |key: &str| of(one, key).unwrap_or_else(|| "?".to_owned());
        rows.push([
            place,
            text("pod"),
            text("owner"),
            text("link"),
            text("policy"),
            text("action"),
            of(one, "why").unwrap_or_default(),
        ]);
    }
    let skipped = evictions.iter().filter(is_skipped).count();
    let listed = count(evictions.len() - skipped, "pod");
    if evictions.is_empty() {
        return "no stale pod that a policy evicts\n".to_owned();
    }
    format!(
        "{}\n\n{listed} to evict, {skipped} skipped.\n",
        aligned(&rows).join("\n")
    )
}

/// A line for each namespace without a veth, and the number of pods on the host's network.
fn skipped_namespaces(apart: &Apart, out: &mut String) {
    if !apart.namespaces.is_empty() {
        let mut rows = vec![["SKIPPED", "MTU", ""].map(str::to_owned)];
        rows.extend(apart.namespaces.iter().map(|namespace| {
            let name = namespace.name.as_deref().unwrap_or(&namespace.sandbox);
            [
                printable(name).into_owned(),
                mtus(namespace),
                printable(&namespace.left_alone).into_owned(),
            ]
        }));
        let _ = writeln!(out, "\n{}", aligned(&rows).join("\n"));
    }
    if apart.hidden_processes > 0 {
        let processes = match apart.hidden_processes {
            1 => "1 process does not show this user its namespace".to_owned(),
            more => format!("{more} processes do not show this user their namespaces"),
        };
        let _ = writeln!(out, "\n{processes}.");
    }
    if !apart.on_the_host.is_empty() {
        let number = count(apart.on_the_host.len(), "pod");
        let _ = writeln!(out, "\n{number} on the host's network: skipped.");
    }
}

/// The MTUs of a namespace's interfaces other than lo.
fn mtus(namespace: &Namespace) -> String {
    let interfaces = namespace.interfaces.iter().flatten();
    let mtus = interfaces.filter(|interface| interface.name.as_bytes() != b"lo");
    let mtus: BTreeSet<u32> = mtus.map(|interface| interface.mtu).collect();
    match (mtus.first(), mtus.last()) {
        (Some(least), Some(most)) if least < most => format!("{least}..{most}"),
        (_, most) => most.map_or("-".to_owned(), u32::to_string),
    }
}

/// Lines with aligned columns.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn evictions_are_numbered_in_their_order_and_skipped_pods_have_a_reason() {
        let web = json!({
            "pod": "a/web-1", "owner": "a/ReplicaSet/web", "link": "cali1", "policy": "pods", "action": "evict", "why": null,
        });
        let unknown = json!({
            "pod": null, "owner": null, "link": "cali2", "policy": "pods", "action": "skip", "why": "nobody\nknows",
        });
        let table = eviction_table(&[web, unknown]);
        let lines: Vec<String> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "POD OWNER HOST END POLICY ACTION",
                "1 a/web-1 a/ReplicaSet/web cali1 pods evict",
                "- ? ? cali2 pods skip nobody [1 more line]",
                "",
                "1 pod to evict, 1 skipped.",
            ]
        );
        assert_eq!(eviction_table(&[]), "no stale pod that a policy evicts\n");
    }
}
