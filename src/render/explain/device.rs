//! The properties of an interface as rows.

use std::fmt::Write as _;

use crate::explain::row::row;
use netkeel_diagnose::explain::link::Device;
use netkeel_host::snapshot::link::comes_in_pairs;

/// Adds the rows.
pub(crate) fn device(out: &mut String, device: &Device) {
    let mut kind = device.kind.clone();
    if device.external {
        kind.push_str(", external");
    }
    if let Some(driver) = &device.driver {
        let _ = write!(kind, ", driver {driver}");
    }
    row(out, "kind", format_args!("{kind}, index {}", device.index));
    row(out, "state", if device.up { "up" } else { "down" });
    let limits = match (device.min_mtu, device.max_mtu) {
        (0, 0) => "any".to_owned(),
        (min, 0) => format!("at least {min}"),
        (min, max) => format!("from {min} to {max}"),
    };
    row(
        out,
        "mtu",
        format_args!("{} bytes; the device takes {limits}", device.mtu),
    );
    let others = [("below it", &device.lower), ("port of", &device.master)];
    for (label, other) in others {
        if let Some(other) = other {
            let label = if comes_in_pairs(&device.kind) && label == "below it" {
                "other end"
            } else {
                label
            };
            row(
                out,
                label,
                format_args!("{} ({}, mtu {})", other.link, other.kind, other.mtu),
            );
        }
    }
    if device.peer_elsewhere {
        row(out, "other end", "in another namespace");
    }
    for upper in &device.upper {
        row(
            out,
            "above it",
            format_args!("{} ({}, mtu {})", upper.link, upper.kind, upper.mtu),
        );
    }
    row(out, "txqueuelen", device.txqueuelen);
    if let Some(alias) = &device.alias {
        row(out, "alias", alias);
    }
    let addresses = match &device.addresses {
        None => "could not be read".to_owned(),
        Some(addresses) if addresses.is_empty() => "none".to_owned(),
        Some(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            addresses.join(", ")
        }
    };
    row(out, "addresses", addresses);
}
