//! The MTU budget: the MTU that layers of encapsulation leave of an underlay, line by line, both exact
//! and by the rules of each CNI.

use serde::Serialize;

use crate::layer::{Carrier, Layer};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::{Code, Findings};

/// The minimum MTU of a link that carries IPv4, bytes (RFC 791, 3.2; ETH_MIN_MTU).
pub const LEAST: i64 = 68;

/// The maximum size of an IP packet, bytes.
pub const MOST: i64 = 65_535;

/// The minimum MTU of a link that carries IPv6, bytes (RFC 8200, 5).
const LEAST_IPV6: i64 = 1280;

/// IPv4 and TCP without options, bytes.
const IPV4_TCP: i64 = 40;

/// IPv6 and TCP without options, bytes.
const IPV6_TCP: i64 = 60;

/// The layers and rules between an underlay and an MTU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The layers, outer to inner.
    pub layers: Vec<Layer>,
    /// Bytes that are left unused on purpose.
    pub margin: i64,
    /// The minimum MTU. A smaller result is raised to it; if the headers leave too little room, that is
    /// an error.
    pub floor: Option<i64>,
    /// The MTU is a multiple of this.
    pub align: Option<i64>,
    /// The maximum MTU.
    pub cap: Option<i64>,
    /// An MTU that was set by hand and replaces the result, and where it was set.
    pub forced: Option<(i64, String)>,
    /// Bytes that were set by hand and replace those of the layers, and where they were set.
    pub forced_overhead: Option<(i64, String)>,
}

/// The result of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Derivation {
    /// The MTU, bytes.
    pub mtu: i64,
    /// The MSS of TCP over IPv4, bytes.
    pub mss_ipv4: i64,
    /// The MSS of TCP over IPv6, bytes.
    pub mss_ipv6: i64,
    /// The bytes of all layers, without padding and margin.
    pub overhead: i64,
    /// The MTU of the underlay, bytes.
    pub underlay: i64,
    /// The largest MTU that the headers on the wire allow, bytes.
    pub exact_mtu: i64,
    /// Unused bytes: negative when packets do not fit.
    pub left_over: i64,
    /// The carrier of the MTU: the device, or the routes through it.
    pub carried_by: &'static str,
    /// The steps from the underlay to the MTU.
    pub steps: Vec<DerivationLine>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

/// One line of the derivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DerivationLine {
    /// The layer, or `underlay`, `margin`, `cap`, `align`, `floor`.
    pub what: String,
    /// The bytes that it subtracts; negative when it adds.
    pub bytes: i64,
    /// The remaining MTU, bytes.
    pub mtu: i64,
    /// The origin of the bytes.
    pub why: String,
}

impl Derivation {
    /// Adds findings about the subject: packets that do not fit, or an MTU too small for IPv6.
    pub fn tell(&self, subject: &dyn std::fmt::Display, findings: &mut Findings) {
        if self.left_over < 0 {
            let remedy = format!("take {} or less", self.exact_mtu);
            findings.add(Code::NK047, subject, too_large(-self.left_over), remedy);
        }
        if self.mtu < LEAST_IPV6 {
            let remedy =
                "ignore this if nothing uses IPv6 there; otherwise use fewer layers or a larger underlay";
            findings.add(Code::NK048, subject, too_small(self.mtu), remedy);
        }
    }
}

fn too_large(bytes: i64) -> String {
    format!(
        "full packets do not fit: with their headers they are {bytes} bytes larger than the underlay allows"
    )
}

fn too_small(mtu: i64) -> String {
    format!("{mtu} is below {LEAST_IPV6}: the kernel disables IPv6 on an interface with such an MTU")
}

impl Budget {
    /// Derives the MTU over an underlay; `from` describes the underlay in a few words.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the result is not a valid MTU, or a floor leaves no room for the
    /// headers.
    pub fn derive(&self, underlay: i64, from: &str) -> Result<Derivation, Error> {
        within("the underlay", underlay)?;
        let mut steps = vec![DerivationLine {
            what: "underlay".to_owned(),
            bytes: 0,
            mtu: underlay,
            why: from.to_owned(),
        }];
        let mut notes = Vec::new();
        let exact_mtu = self.layers(underlay, &mut steps, &mut notes)?;
        let overhead = match &self.forced_overhead {
            Some((bytes, _)) => *bytes,
            None => self.layers.iter().map(Layer::bytes).sum(),
        };
        self.shape(exact_mtu, &mut steps, &mut notes)?;
        let mtu = steps.last().map_or(underlay, |step| step.mtu);
        room(mtu, &steps)?;
        if mtu > exact_mtu {
            notes.push(too_large(mtu - exact_mtu));
        }
        if mtu < LEAST_IPV6 {
            notes.push(too_small(mtu));
        }
        let place = self.layers.last().map(|layer| layer.place).unwrap_or_default();
        Ok(Derivation {
            mtu,
            mss_ipv4: mtu - IPV4_TCP,
            mss_ipv6: mtu - IPV6_TCP,
            overhead,
            underlay,
            exact_mtu,
            left_over: exact_mtu - mtu,
            carried_by: match place {
                Carrier::Device => "device",
                Carrier::Route => "route",
            },
            steps,
            notes,
        })
    }

    /// Subtracts the layers and returns the exact maximum.
    fn layers(
        &self,
        underlay: i64,
        steps: &mut Vec<DerivationLine>,
        notes: &mut Vec<String>,
    ) -> Result<i64, Error> {
        let (mut mtu, mut exact) = (underlay, underlay);
        for layer in &self.layers {
            let in_ipv6 = layer
                .wire
                .as_ref()
                .is_some_and(|wire| wire.headers.iter().any(|header| header.name == "IPv6"));
            if in_ipv6 && mtu < LEAST_IPV6 {
                notes.push(format!(
                    "{}: IPv6 needs {LEAST_IPV6} bytes below it and has {mtu}",
                    layer.text
                ));
            }
            notes.extend(layer.note.iter().map(|note| format!("{}: {note}", layer.text)));
            let left = layer.inner(mtu);
            exact = layer.exactly(exact);
            if self.forced_overhead.is_none() {
                steps.push(DerivationLine {
                    what: layer.text.clone(),
                    bytes: mtu - left,
                    mtu: left,
                    why: why(layer, mtu),
                });
                room(left, steps)?;
            }
            mtu = left;
        }
        if let Some((bytes, by)) = &self.forced_overhead {
            steps.push(DerivationLine {
                what: "overhead".to_owned(),
                bytes: *bytes,
                mtu: underlay - bytes,
                why: by.clone(),
            });
            // Without layers, the underlay's MTU is exact.
            if self.layers.is_empty() {
                exact = underlay - bytes;
            } else if underlay - bytes != mtu {
                notes.push(format!(
                    "{by} sets {bytes} bytes, but the layers take {}",
                    underlay - mtu
                ));
            }
        }
        Ok(exact)
    }

    /// Applies margin, cap, alignment, floor and the MTU that was set by hand.
    fn shape(
        &self,
        exact: i64,
        steps: &mut Vec<DerivationLine>,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        let underlay = steps.first().map_or(0, |step| step.mtu);
        let mut push = |what: &str, to: &dyn Fn(i64) -> i64, why: String| {
            let from = steps.last().map_or(0, |step| step.mtu);
            let mtu = to(from);
            if mtu != from {
                steps.push(DerivationLine {
                    what: what.to_owned(),
                    bytes: from - mtu,
                    mtu,
                    why,
                });
            }
            mtu
        };
        push("margin", &|mtu| mtu - self.margin, String::new());
        if let Some(cap) = self.cap {
            push("cap", &|mtu| mtu.min(cap), format!("at most {cap}"));
        }
        let align = self.align.unwrap_or(1).max(1);
        let mtu = push(
            "align",
            &|mtu| mtu - mtu.rem_euclid(align),
            format!("a multiple of {align}"),
        );
        let mtu = match &self.forced {
            Some((forced, by)) => {
                within(by, *forced)?;
                if *forced > underlay {
                    return Err(Error::new(
                        ErrorKind::Input,
                        format!("{by} sets {forced}, which is above the underlay's {underlay}"),
                    ));
                }
                if *forced != mtu {
                    notes.push(format!("{by} sets {forced}; without it the MTU would be {mtu}"));
                }
                push(by, &|_| *forced, "set by hand".to_owned())
            }
            None => mtu,
        };
        let Some(floor) = self.floor.filter(|floor| mtu < *floor) else {
            return Ok(());
        };
        // A floor that is not a multiple is raised to the next one.
        let raised = floor + (align - floor.rem_euclid(align)).rem_euclid(align);
        let taken = steps.last().map_or(0, |step| step.mtu);
        if raised > exact || self.cap.is_some_and(|cap| raised > cap) {
            return Err(impossible(floor, taken, underlay, exact, self));
        }
        notes.push(format!(
            "the floor of {floor} adds {} bytes back; the headers on the wire still fit",
            raised - taken
        ));
        steps.push(DerivationLine {
            what: "floor".to_owned(),
            bytes: taken - raised,
            mtu: raised,
            why: format!("at least {floor}"),
        });
        Ok(())
    }

    /// `1500 (eth0) - 80 kubespan - 100 kube-ovn - 98 margin = 1222`.
    pub fn line(answer: &Derivation) -> String {
        let mut line = String::new();
        for step in &answer.steps {
            match step.what.as_str() {
                "underlay" if step.why.is_empty() => line.push_str(&step.mtu.to_string()),
                "underlay" => line.push_str(&format!("{} ({})", step.mtu, step.why)),
                what if step.bytes < 0 => line.push_str(&format!(" + {} {what}", -step.bytes)),
                what => line.push_str(&format!(" - {} {what}", step.bytes)),
            }
        }
        if answer.steps.len() > 1 {
            line.push_str(&format!(" = {}", answer.mtu));
        }
        line
    }
}

/// Describes the bytes of a layer.
pub fn why(layer: &Layer, outer: i64) -> String {
    match (layer.flat, &layer.wire) {
        (None, Some(wire)) => {
            let lost = outer - wire.bytes() - wire.inner(outer);
            match wire.padding {
                Some(padding) => {
                    let sum = if wire.headers.is_empty() {
                        String::new()
                    } else {
                        format!("{}; ", wire.sum())
                    };
                    let trailer = match padding.trailer {
                        0 => String::new(),
                        bytes => format!(", {bytes} of them at the end"),
                    };
                    format!("{sum}padded to {}: {lost} more{trailer}", padding.multiple)
                }
                None => wire.sum(),
            }
        }
        (Some(flat), Some(wire)) if flat == wire.bytes() => wire.sum(),
        (Some(_), Some(wire)) if wire.headers.is_empty() => "by convention; nothing on the wire".to_owned(),
        (Some(_), Some(wire)) => format!("by convention; on the wire {}: {}", wire.bytes(), wire.sum()),
        (Some(_), None) => "as a whole".to_owned(),
        (None, None) => String::new(),
    }
}

fn within(what: &str, mtu: i64) -> Result<(), Error> {
    if (LEAST..=MOST).contains(&mtu) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Input,
        format!("{what} has an MTU of {mtu}, and an MTU is from {LEAST} to {MOST} bytes"),
    ))
}

/// Checks that the result is a valid MTU.
fn room(mtu: i64, steps: &[DerivationLine]) -> Result<(), Error> {
    if (LEAST..=MOST).contains(&mtu) {
        return Ok(());
    }
    let taken: Vec<String> = steps
        .iter()
        .skip(1)
        .map(|step| format!("{} {}", step.bytes, step.what))
        .collect();
    let underlay = steps.first().map_or(0, |step| step.mtu);
    Err(Error::new(
        ErrorKind::Input,
        format!(
            "nothing usable is left of {underlay} bytes after {}: {mtu}, and an MTU is from {LEAST} to {MOST}",
            taken.join(", ")
        ),
    ))
}

fn impossible(floor: i64, mtu: i64, underlay: i64, exact: i64, budget: &Budget) -> Error {
    let error = Error::new(
        ErrorKind::Input,
        if floor > underlay {
            format!("the floor of {floor} is above the underlay, which has {underlay}")
        } else if let Some(cap) = budget.cap.filter(|cap| floor > *cap) {
            format!("the floor of {floor} is above the cap of {cap}")
        } else {
            format!(
                "the floor of {floor} leaves no room for the headers: {mtu} is left of the underlay's {underlay}, and at most {exact} fit"
            )
        },
    );
    let needed = floor + (underlay - exact);
    let error = error.hint(format!(
        "use an underlay of {needed}, or remove the floor: below 1280 IPv6 does not work inside"
    ));
    if budget.layers.iter().any(|layer| layer.note.is_some()) && floor <= exact + 20 {
        error.hint("if every endpoint is IPv4, use wireguard:ipv4, which takes 20 bytes less")
    } else {
        error
    }
}
