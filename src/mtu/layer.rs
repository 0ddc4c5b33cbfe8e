//! A layer of encapsulation: a name with parameters, a stack of headers, or `NAME:BYTES`.

use crate::header::{Padding, Wire};

/// The address family of an outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4: 20 bytes.
    Ipv4,
    /// IPv6: 40 bytes.
    Ipv6,
}

impl Family {
    /// The header's word in a stack.
    pub fn word(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }
    }
}

/// The carrier of the smaller MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// The device.
    #[default]
    Device,
    /// The routes through the device, which keeps the MTU of the underlay.
    Route,
}

/// A layer of encapsulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The layer as written by the user.
    pub text: String,
    /// A fixed number of bytes, independent of the headers: a program's convention, or the user's
    /// number.
    pub flat: Option<i64>,
    /// The headers on the wire; `None` where only the bytes are known.
    pub wire: Option<Wire>,
    /// The carrier of the resulting MTU.
    pub place: Carrier,
    /// A remark for the user.
    pub note: Option<String>,
}

impl Layer {
    /// A layer of exactly these headers.
    pub fn exact(wire: Wire) -> Self {
        Layer {
            text: String::new(),
            flat: None,
            wire: Some(wire),
            place: Carrier::Device,
            note: None,
        }
    }

    /// The largest packet by the layer's rule, bytes.
    pub fn inner(&self, outer: i64) -> i64 {
        match (self.flat, &self.wire) {
            (Some(flat), _) => outer - flat,
            (None, Some(wire)) => wire.inner(outer),
            (None, None) => outer,
        }
    }

    /// The largest packet that fits on the wire, bytes.
    pub fn exactly(&self, outer: i64) -> i64 {
        match &self.wire {
            Some(wire) => wire.inner(outer),
            None => self.inner(outer),
        }
    }

    /// The bytes of the layer, without padding.
    pub fn bytes(&self) -> i64 {
        self.flat
            .or_else(|| Some(self.wire.as_ref()?.bytes()))
            .unwrap_or_default()
    }
}

/// A layer that pads its payload, such as ESP.
pub(crate) fn padded(mut wire: Wire, multiple: i64, before: i64, trailer: i64) -> Wire {
    wire.padding = Some(Padding {
        multiple,
        before,
        trailer,
    });
    wire
}
