//! Named layers of encapsulation with their headers on the wire; sizes are exact.

use crate::header::{Header, Wire, header};
use crate::layer::{Family, Layer, padded};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number::decimal;
use netkeel_core::text::suggest::suggest;

/// A named layer.
pub struct Encapsulation {
    /// The name.
    pub name: &'static str,
    /// Its description, one line.
    pub doc: &'static str,
    /// Its parameters; `NAME=` for one with a number.
    pub parameters: &'static [&'static str],
    layer: fn(&Given<'_>) -> Result<Layer, Error>,
}

/// The parameters of a layer in the input.
pub struct Given<'a> {
    name: &'a str,
    words: Vec<&'a str>,
    numbers: Vec<(&'a str, i64)>,
    family: Option<Family>,
}

impl Given<'_> {
    /// Whether a word was given.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// The number of a parameter, if given.
    fn number(&self, name: &str) -> Option<i64> {
        let (_, number) = self.numbers.iter().find(|(known, _)| *known == name)?;
        Some(*number)
    }

    /// The family of the outer header, if given.
    pub(crate) fn said_family(&self) -> Option<Family> {
        match (self.has("ipv4"), self.has("ipv6")) {
            (true, _) => Some(Family::Ipv4),
            (_, true) => Some(Family::Ipv6),
            _ => self.family,
        }
    }

    /// The family of the outer header; IPv4 if none is given.
    pub fn family(&self) -> Family {
        self.said_family().unwrap_or(Family::Ipv4)
    }

    /// Rejects two of these words in combination.
    pub(crate) fn one_of(&self, words: &[&str]) -> Result<(), Error> {
        let given: Vec<&str> = words.iter().copied().filter(|word| self.has(word)).collect();
        match given.as_slice() {
            [first, second, ..] => Err(Error::new(
                ErrorKind::Input,
                format!("{}: it cannot be `{first}` and `{second}`", self.name),
            )),
            _ => Ok(()),
        }
    }

    /// Headers over the given family: `udp`, `vxlan`, `eth`.
    pub(crate) fn over_ip(&self, words: &[&str]) -> Wire {
        let mut wire = Wire::of(&[self.family().word()]);
        wire.headers.extend(Wire::of(words).headers);
        if self.has("vlan") {
            wire.headers.extend(header("vlan"));
        }
        wire
    }

    fn wrong(&self, message: &str) -> Error {
        Error::new(ErrorKind::Input, format!("{}: {message}", self.name))
    }
}

impl Encapsulation {
    /// Builds the layer with these parameters: `ipv6,options=8`.
    pub fn build(&self, name: &str, parameters: &str, family: Option<Family>) -> Result<Layer, Error> {
        let mut given = Given {
            name,
            words: Vec::new(),
            numbers: Vec::new(),
            family,
        };
        for parameter in parameters.split(',').filter(|parameter| !parameter.is_empty()) {
            let unknown = || {
                let known: Vec<&str> = self.parameters.to_vec();
                let error = given_error(name, parameter);
                match suggest(parameter, &known) {
                    Some(hint) => error.hint(hint),
                    None => error.hint(format!("{name} takes no parameters")),
                }
            };
            match parameter.split_once('=') {
                Some((key, value)) if self.parameters.contains(&format!("{key}=").as_str()) => {
                    let number = decimal(value)
                        .ok_or_else(|| given_error(name, parameter).hint(format!("as {key}=8")))?;
                    given.numbers.push((key, number));
                }
                None if self.parameters.contains(&parameter) => given.words.push(parameter),
                _ => return Err(unknown()),
            }
        }
        given.one_of(&["ipv4", "ipv6"])?;
        (self.layer)(&given)
    }

    /// The parameter that repeats the layer, if the layer has one.
    pub(crate) fn counted(&self) -> Option<&'static str> {
        (self.name == "mpls").then_some("labels")
    }

    /// An entry of a table.
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        parameters: &'static [&'static str],
        layer: fn(&Given<'_>) -> Result<Layer, Error>,
    ) -> Self {
        Encapsulation {
            name,
            doc,
            parameters,
            layer,
        }
    }
}

fn given_error(name: &str, parameter: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("{name} has no parameter {}", quoted(parameter)),
    )
}

const FAMILY: &[&str] = &["ipv4", "ipv6"];

const FRAME: &[&str] = &["ipv4", "ipv6", "vlan"];

/// The layers, in the order of the documentation.
pub const KNOWN: &[Encapsulation] = &[
    Encapsulation::new("ipip", "IPv4 in IPv4", &[], |_| words(&["ipv4"])),
    Encapsulation::new("sit", "IPv6 in IPv4", &[], |_| words(&["ipv4"])),
    Encapsulation::new("ip6ip6", "IPv6 in IPv6", &["encaplimit"], in_ipv6),
    Encapsulation::new("ip4ip6", "IPv4 in IPv6", &["encaplimit"], in_ipv6),
    Encapsulation::new(
        "ip6tnl",
        "a Linux ip6tnl device with its default encapsulation limit",
        &[],
        |_| words(&["ipv6", "encaplim"]),
    ),
    Encapsulation::new(
        "gre",
        "IP in GRE",
        &["ipv4", "ipv6", "key", "sequence", "checksum"],
        gre,
    ),
    Encapsulation::new(
        "gretap",
        "Ethernet in GRE",
        &["ipv4", "ipv6", "key", "sequence", "checksum", "vlan"],
        gre,
    ),
    Encapsulation::new("vxlan", "Ethernet in VXLAN", FRAME, |given| {
        Ok(Layer::exact(given.over_ip(&["udp", "vxlan", "eth"])))
    }),
    Encapsulation::new("vxlan-gpe", "IP in VXLAN-GPE", FAMILY, |given| {
        Ok(Layer::exact(given.over_ip(&["udp", "vxlan"])))
    }),
    Encapsulation::new(
        "geneve",
        "Ethernet in Geneve",
        &["ipv4", "ipv6", "vlan", "options="],
        geneve,
    ),
    Encapsulation::new(
        "ovn-geneve",
        "Ethernet in Geneve with OVN's option",
        FRAME,
        |given| Ok(Layer::exact(given.over_ip(&["udp", "geneve", "ovnopt", "eth"]))),
    ),
    Encapsulation::new("stt", "Ethernet in STT", FRAME, |given| {
        Ok(Layer::exact(given.over_ip(&["tcp", "stt", "eth"])))
    }),
    Encapsulation::new(
        "wireguard",
        "WireGuard; 80 bytes if the endpoint's family is not given",
        &["ipv4", "ipv6", "padded"],
        wireguard,
    ),
    Encapsulation::new("kubespan", "Talos KubeSpan: WireGuard, 80 bytes", &[], |_| {
        words(&["ipv6", "udp", "wg"])
    }),
    Encapsulation::new(
        "esp",
        "IPsec ESP in tunnel mode; AES-GCM unless another cipher is named",
        &[
            "ipv4",
            "ipv6",
            "transport",
            "udp",
            "aes-gcm",
            "chacha20",
            "aes-cbc-sha1",
            "aes-cbc-sha256",
        ],
        esp,
    ),
    Encapsulation::new(
        "esp-trailer",
        "the padding and the 2 bytes at the end of ESP, after a stack of headers",
        &["align="],
        esp_trailer,
    ),
    Encapsulation::new("fou", "IP in UDP (FOU)", FAMILY, |given| {
        Ok(Layer::exact(given.over_ip(&["udp"])))
    }),
    Encapsulation::new("gue", "IP in GUE", FAMILY, |given| {
        Ok(Layer::exact(given.over_ip(&["udp", "gue"])))
    }),
    Encapsulation::new("mpls", "MPLS labels", &["labels="], mpls),
    Encapsulation::new("pppoe", "PPPoE", &[], |_| words(&["pppoe"])),
    Encapsulation::new(
        "vlan",
        "a VLAN on the underlay: its tag is not part of the MTU",
        &[],
        |_| Ok(Layer::exact(Wire::default())),
    ),
];

/// The layer with this name.
pub(crate) fn find(name: &str) -> Option<&'static Encapsulation> {
    KNOWN.iter().find(|known| known.name == name)
}

/// All names of layers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

pub(crate) fn words(words: &[&str]) -> Result<Layer, Error> {
    Ok(Layer::exact(Wire::of(words)))
}

fn in_ipv6(given: &Given<'_>) -> Result<Layer, Error> {
    if given.has("encaplimit") {
        words(&["ipv6", "encaplim"])
    } else {
        words(&["ipv6"])
    }
}

fn gre(given: &Given<'_>) -> Result<Layer, Error> {
    let mut stack = vec!["gre"];
    for (word, header) in [("key", "grekey"), ("sequence", "greseq"), ("checksum", "grecsum")] {
        if given.has(word) {
            stack.push(header);
        }
    }
    if given.name == "gretap" {
        stack.push("eth");
    }
    Ok(Layer::exact(given.over_ip(&stack)))
}

/// Options have up to 63 words of 4 bytes (RFC 8926, 3.4).
fn geneve(given: &Given<'_>) -> Result<Layer, Error> {
    let options = given.number("options").unwrap_or(0);
    if !(0..=252).contains(&options) || options % 4 != 0 {
        return Err(given.wrong(&format!(
            "options take 0 to 252 bytes in steps of 4, not {options}"
        )));
    }
    let mut wire = Wire::of(&[given.family().word(), "udp", "geneve"]);
    if options > 0 {
        wire.headers.push(Header {
            name: "options".to_owned(),
            bytes: options,
        });
    }
    wire.headers.extend(header("eth"));
    if given.has("vlan") {
        wire.headers.extend(header("vlan"));
    }
    Ok(Layer::exact(wire))
}

/// WireGuard pads to 16 bytes, but not beyond the MTU of its device (`calculate_skb_padding`,
/// drivers/net/wireguard/send.c), so padding takes no bytes. It does take bytes where packets use the
/// route of another device.
fn wireguard(given: &Given<'_>) -> Result<Layer, Error> {
    let family = given.said_family();
    let outer = family.unwrap_or(Family::Ipv6);
    let wire = Wire::of(&[outer.word(), "udp", "wg"]);
    let note = family.is_none().then(|| {
        "the endpoint's family is not given: over IPv4 alone WireGuard takes 20 bytes less".to_owned()
    });
    let wire = if given.has("padded") {
        padded(wire, 16, 0, 0)
    } else {
        wire
    };
    Ok(Layer {
        note,
        ..Layer::exact(wire)
    })
}

fn esp(given: &Given<'_>) -> Result<Layer, Error> {
    given.one_of(&["aes-gcm", "chacha20", "aes-cbc-sha1", "aes-cbc-sha256"])?;
    // RFC 4106 and RFC 7634: IV 8, tag 16, padded to 4. RFC 3602 with RFC 2404 or RFC 4868: IV 16,
    // check value 12 or 16, padded to the cipher's block of 16.
    let (iv, check, multiple) = if given.has("aes-cbc-sha1") {
        (16, 12, 16)
    } else if given.has("aes-cbc-sha256") {
        (16, 16, 16)
    } else {
        (8, 16, 4)
    };
    let ip = Wire::of(&[given.family().word()]);
    // In transport mode the packet keeps its own IP header, which is not encrypted.
    let before = if given.has("transport") { ip.bytes() } else { 0 };
    let mut wire = if given.has("transport") {
        Wire::default()
    } else {
        ip
    };
    if given.has("udp") {
        wire.headers.extend(header("udp"));
    }
    wire.headers.extend(header("esphdr"));
    wire.headers.push(Header {
        name: "IV".to_owned(),
        bytes: iv,
    });
    wire.headers.push(Header {
        name: "check value".to_owned(),
        bytes: check,
    });
    Ok(Layer::exact(padded(wire, multiple, before, 2)))
}

fn esp_trailer(given: &Given<'_>) -> Result<Layer, Error> {
    let multiple = given.number("align").unwrap_or(4);
    if !(4..=256).contains(&multiple) {
        return Err(given.wrong(&format!("ESP pads to 4 to 256 bytes, not to {multiple}")));
    }
    Ok(Layer::exact(padded(Wire::default(), multiple, 0, 2)))
}

fn mpls(given: &Given<'_>) -> Result<Layer, Error> {
    let labels = given.number("labels").unwrap_or(1);
    if !(1..=16).contains(&labels) {
        return Err(given.wrong(&format!("1 to 16 labels are taken, not {labels}")));
    }
    let headers = (0..labels).filter_map(|_| header("mpls")).collect();
    Ok(Layer::exact(Wire {
        headers,
        padding: None,
    }))
}
