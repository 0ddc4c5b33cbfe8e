//! A layer of encapsulation as it is written: a name with parameters, a stack of headers, or
//! `NAME:BYTES`.

use crate::header::{Padding, Wire};

/// The address family of an outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 20 bytes.
    Ipv4,
    /// 40 bytes.
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

/// What carries the smaller MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// The device.
    #[default]
    Device,
    /// The routes through the device, which keeps the MTU of the underlay.
    Route,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// As it was written.
    pub text: String,
    /// Bytes that are taken whatever is on the wire: a program's convention, or what was given.
    pub flat: Option<i64>,
    /// What is on the wire; none where only the bytes are known.
    pub wire: Option<Wire>,
    /// What carries the MTU that comes of it.
    pub place: Carrier,
    /// What should be known of it.
    pub note: Option<String>,
}

impl Layer {
    /// What stands on the wire and nothing else.
    pub fn exact(wire: Wire) -> Self {
        Layer {
            text: String::new(),
            flat: None,
            wire: Some(wire),
            place: Carrier::Device,
            note: None,
        }
    }

    /// The largest packet that fits by the layer's rule, bytes.
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

    /// The bytes that it takes, without padding.
    pub fn bytes(&self) -> i64 {
        self.flat
            .or_else(|| Some(self.wire.as_ref()?.bytes()))
            .unwrap_or_default()
    }
}

/// ESP and what else pads its payload.
pub(crate) fn padded(mut wire: Wire, multiple: i64, before: i64, trailer: i64) -> Wire {
    wire.padding = Some(Padding {
        multiple,
        before,
        trailer,
    });
    wire
}
