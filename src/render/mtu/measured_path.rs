//! A measured path as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_mtu::probe::report::{Report, Verdict};

/// The JSON output.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Path MTU")]
pub struct MeasuredPath<'a> {
    /// The name of the format.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// The result.
    pub verdict: Word,
    /// The path MTU, bytes; null where nothing was measured.
    pub path_mtu: Option<u32>,
    /// The value of `--expect`, bytes.
    pub expected: Option<u32>,
    /// Null where there is no verdict.
    pub as_expected: Option<bool>,
    /// The measurements.
    #[serde(flatten)]
    pub report: &'a Report,
}

/// A verdict without its measurement.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The path carries `path_mtu`, and larger packets are reported as too big.
    Carries,
    /// The path carries `path_mtu`, and larger packets disappear.
    BlackHole,
    /// Packets of `path_mtu` get there, and answers of that size do not come back.
    LostOnTheWayBack,
    /// Nothing was measured.
    Unknown,
}

impl<'a> MeasuredPath<'a> {
    /// The output for a report; `expected` is the value of `--expect`, bytes.
    pub fn new(report: &'a Report, expected: Option<u32>) -> Self {
        let verdict = report.verdict();
        MeasuredPath {
            format: "netkeel/path-mtu",
            version: 1,
            verdict: match verdict {
                Verdict::Carries(..) => Word::Carries,
                Verdict::BlackHole(..) => Word::BlackHole,
                Verdict::LostOnTheWayBack { .. } => Word::LostOnTheWayBack,
                Verdict::Unknown => Word::Unknown,
            },
            path_mtu: verdict.measurement().map(|found| found.mtu),
            expected,
            as_expected: report.is_well(expected),
            report,
        }
    }
}
