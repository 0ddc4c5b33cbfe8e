//! The tables: medians, ratios, and the goals beside what was measured. Goals are shown and never
//! enforced: a busy machine must not fail a build.

use std::fmt::Write;

use crate::fleet::Ipv6;
use crate::measure::Series;

/// The size that the goals are set for, and the one that shows how cost grows.
const GOAL: usize = 1_000;

const LARGE: usize = 10_000;

/// All that was measured with so many interfaces.
pub struct Row {
    pub interfaces: usize,
    pub ipv6: Ipv6,
    /// `netkeel apply` where all is as it should be.
    pub no_op: Series,
    /// `ip -batch` and `sysctl -p` writing what is there already.
    pub no_op_blind: Series,
    /// The bare dump without counters.
    pub floor: Series,
    /// The bare dump with counters.
    pub counters: Series,
    /// `netkeel apply` where every value is to be changed.
    pub change: Series,
    /// `ip -batch` and `sysctl -p` changing every value.
    pub change_blind: Series,
}

/// Everything that is printed at the end.
pub fn report(rows: &[Row]) -> String {
    let mut out = String::from(
        "\nCPU time (user and system), medians in ms; x is the median of each round's ratio to the column named.\n\n",
    );
    table(&mut out, &[no_op_head(), no_op(rows)].concat());
    table(&mut out, &[change_head(), change(rows)].concat());
    let goals = goals(rows);
    if !goals.is_empty() {
        table(&mut out, &[goals_head(), goals].concat());
    }
    out
}

type Cells = Vec<String>;

fn cells<const N: usize>(cells: [&str; N]) -> Cells {
    cells.map(str::to_owned).to_vec()
}

fn no_op_head() -> Vec<Cells> {
    vec![cells([
        "no-op",
        "runs",
        "netkeel",
        "ip+sysctl",
        "x ip+sysctl",
        "floor",
        "x floor",
        "dump with counters",
        "peak MiB",
    ])]
}

fn no_op(rows: &[Row]) -> Vec<Cells> {
    let cells = |row: &Row| {
        vec![
            name(row),
            row.no_op.len().to_string(),
            ms(&row.no_op),
            ms(&row.no_op_blind),
            times(row.no_op.ratio_to(&row.no_op_blind)),
            ms(&row.floor),
            times(row.no_op.ratio_to(&row.floor)),
            ms(&row.counters),
            mib(row.no_op.peak()),
        ]
    };
    rows.iter().map(cells).collect()
}

fn change_head() -> Vec<Cells> {
    vec![cells([
        "change",
        "runs",
        "netkeel",
        "ip+sysctl",
        "x ip+sysctl",
        "peak MiB",
    ])]
}

fn change(rows: &[Row]) -> Vec<Cells> {
    let cells = |row: &Row| {
        vec![
            name(row),
            row.change.len().to_string(),
            ms(&row.change),
            ms(&row.change_blind),
            times(row.change.ratio_to(&row.change_blind)),
            mib(row.change.peak()),
        ]
    };
    rows.iter().map(cells).collect()
}

fn goals_head() -> Vec<Cells> {
    vec![cells(["goal", "at most", "measured", ""])]
}

fn goals(rows: &[Row]) -> Vec<Cells> {
    let mut goals = Vec::new();
    for row in rows.iter().filter(|row| row.interfaces == GOAL) {
        let at = name(row);
        goals.push(goal(
            format!("no-op at {at}: x ip+sysctl"),
            0.25,
            row.no_op.ratio_to(&row.no_op_blind),
        ));
        goals.push(goal(
            format!("no-op at {at}: x floor"),
            1.8,
            row.no_op.ratio_to(&row.floor),
        ));
        goals.push(goal(
            format!("change at {at}: x ip+sysctl"),
            1.0,
            row.change.ratio_to(&row.change_blind),
        ));
    }
    let find = |size| {
        rows.iter()
            .find(|row| row.interfaces == size && row.ipv6 == Ipv6::Off)
    };
    if let (Some(small), Some(large)) = (find(GOAL), find(LARGE)) {
        let growth = |of: fn(&Row) -> &Series| {
            let each = |row: &Row| of(row).cpu() / row.interfaces as f64;
            each(large) / each(small)
        };
        // Linear is what costs the same for each interface; the kernel's own part of it grows a
        // little, which the commands beside it show.
        for (what, ours, blind) in [
            ("no-op", growth(|row| &row.no_op), growth(|row| &row.no_op_blind)),
            (
                "change",
                growth(|row| &row.change),
                growth(|row| &row.change_blind),
            ),
        ] {
            let what = format!("{what}: cost of one interface, {LARGE} x {GOAL} (ip+sysctl: {blind:.2})");
            goals.push(goal(what, 1.5, ours));
        }
    }
    for row in rows.iter().filter(|row| row.interfaces == LARGE) {
        let peak = row.no_op.peak().max(row.change.peak()) as f64 / 1024.0;
        goals.push(goal(format!("peak memory at {}, MiB", name(row)), 64.0, peak));
    }
    goals
}

fn goal(what: String, at_most: f64, measured: f64) -> Cells {
    let verdict = if measured <= at_most { "met" } else { "missed" };
    vec![
        what,
        format!("{at_most}"),
        format!("{measured:.2}"),
        verdict.to_owned(),
    ]
}

fn name(row: &Row) -> String {
    format!("{}{}", row.interfaces, row.ipv6)
}

fn ms(series: &Series) -> String {
    format!("{:.2}", series.cpu() * 1000.0)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

/// Adds a table in Markdown; the first row is its head.
fn table(out: &mut String, rows: &[Cells]) {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if number == 0 {
            for width in &widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out.push('\n');
}
