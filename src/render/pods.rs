//! Pods as a table for people.

use std::fmt::Write as _;

use super::count;
use super::paint::Paint;
use crate::pods::Pod;
use crate::source::text::printable;

/// A line for each pod, and one that counts them.
pub fn table(pods: &[Pod], paint: Paint) -> String {
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
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
    };
    let widths: Vec<usize> = (0..8).map(|column| width(column).unwrap_or_default()).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let line = line.trim_end();
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
    let _ = writeln!(out, "\n{}, {stale} stale.", count(pods.len(), "pod"));
    out
}
