//! The bytes of netlink. The messages of rtnetlink are types of `netlink-packet-route`; those that it
//! lacks, or reads too slowly, are built and walked here, attribute by attribute. Every length that
//! arrives is checked: what does not fit is [`Malformed`], never a panic.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::AddressFamily;

/// `struct nlmsghdr`, bytes (include/uapi/linux/netlink.h).
const HEADER: usize = 16;

/// `struct nlattr`, bytes.
const ATTRIBUTE: usize = 4;

/// The flag bits of an attribute's type: nested and network byte order.
const TYPE_FLAGS: u16 = 0xc000;

/// The attribute holds attributes (NLA_F_NESTED).
pub(crate) const NESTED: u16 = 0x8000;

/// A message whose lengths do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// The thing that was read.
    pub &'static str,
);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "netlink answered with a malformed {}", self.0)
    }
}

/// A request under construction.
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of a type (`RTM_*`) with flags (`NLM_F_*`) and its fixed part.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        let mut request = Request { bytes };
        request.append(body);
        request
    }

    /// A request of a type (`RTM_*`) with flags (`NLM_F_*`) and a typed message.
    pub fn of(kind: u16, flags: libc::c_int, message: &impl Emitable) -> Self {
        let mut body = vec![0; message.buffer_len()];
        message.emit(&mut body);
        Request::new(kind, (libc::NLM_F_REQUEST | flags) as u16, &body)
    }

    /// Adds an attribute. Values are short (an alias has at most 255 bytes), so that the length
    /// fits.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.append(value);
        self
    }

    /// Adds an attribute that holds those which `fill` adds.
    pub(crate) fn nest(mut self, kind: u16, fill: impl FnOnce(Request) -> Request) -> Self {
        let start = self.bytes.len();
        self = fill(self.attribute(kind | NESTED, &[]));
        let length = (self.bytes.len() - start) as u16;
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// Adds a number in network byte order, as nfnetlink has them.
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds a text with its terminating zero.
    pub fn text(self, kind: u16, text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Asks for an acknowledgement (NLM_F_ACK).
    pub(crate) fn ask_for_acknowledgement(&mut self) {
        if let Some(low) = self.bytes.get_mut(6..8) {
            let flags = u16_at(low, 0).unwrap_or_default() | libc::NLM_F_ACK as u16;
            low.copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// The answer has an end of its own: an acknowledgement, or the last message of a dump.
    pub(crate) fn has_many_answers(&self) -> bool {
        let ends = (libc::NLM_F_ACK | libc::NLM_F_DUMP) as u16;
        u16_at(&self.bytes, 6).is_some_and(|flags| flags & ends != 0)
    }

    /// The bytes after the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The bytes to send, with length and sequence number filled in.
    pub fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        for (at, word) in [(0, length), (8, sequence)] {
            if let Some(place) = self.bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
        }
        &self.bytes
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `RTM_*`, or `NLMSG_*` below 16.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The number of the request that it answers.
    pub sequence: u32,
    /// The bytes after the header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The payload as a typed message.
    pub fn parse<M: Parseable<[u8]>>(&self) -> Result<M, Malformed> {
        M::parse(self.payload).map_err(|_| Malformed("message"))
    }
}

/// The messages of one datagram.
pub struct Messages<'a>(
    /// The bytes that are left.
    pub &'a [u8],
);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = message(self.0);
        self.0 = match &message {
            Ok((_, rest)) => rest,
            Err(_) => &[],
        };
        Some(message.map(|(message, _)| message))
    }
}

pub(crate) fn message(bytes: &[u8]) -> Result<(Message<'_>, &[u8]), Malformed> {
    const WHAT: Malformed = Malformed("message");
    let length = u32_at(bytes, 0).ok_or(WHAT)? as usize;
    let message = Message {
        kind: u16_at(bytes, 4).ok_or(WHAT)?,
        flags: u16_at(bytes, 6).ok_or(WHAT)?,
        sequence: u32_at(bytes, 8).ok_or(WHAT)?,
        payload: bytes.get(HEADER..length).ok_or(WHAT)?,
    };
    Ok((message, bytes.get(align(length)..).unwrap_or_default()))
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Its type, without the flag bits.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as a number.
    pub fn u32(&self) -> Result<u32, Malformed> {
        u32_at(self.value, 0).ok_or(Malformed("number"))
    }

    /// The value as a 16-bit number.
    pub fn u16(&self) -> Result<u16, Malformed> {
        u16_at(self.value, 0).ok_or(Malformed("number"))
    }

    /// The value as a signed number.
    pub fn i32(&self) -> Result<i32, Malformed> {
        self.u32().map(u32::cast_signed)
    }

    /// The value as a number in network byte order.
    pub fn be32(&self) -> Result<u32, Malformed> {
        self.u32().map(u32::from_be)
    }

    /// The value as a number in network byte order.
    pub(crate) fn be64(&self) -> Result<u64, Malformed> {
        let bytes = self.value.first_chunk().ok_or(Malformed("number"))?;
        Ok(u64::from_be_bytes(*bytes))
    }

    /// The value as a number in network byte order.
    pub(crate) fn be16(&self) -> Result<u16, Malformed> {
        u16_at(self.value, 0).map(u16::from_be).ok_or(Malformed("number"))
    }

    /// The value as text, up to the terminating zero.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.string()).into_owned()
    }

    /// The value as bytes up to the terminating zero.
    pub fn string(&self) -> &'a [u8] {
        let end = self.value.iter().position(|byte| *byte == 0);
        self.value
            .get(..end.unwrap_or(self.value.len()))
            .unwrap_or_default()
    }

    /// The attributes that it holds.
    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes(self.value)
    }
}

/// The attributes of a message or of an attribute.
pub struct Attributes<'a>(
    /// The bytes that are left.
    pub(crate) &'a [u8],
);

impl<'a> Attributes<'a> {
    /// The attributes that follow a fixed part of so many bytes.
    pub fn after(payload: &'a [u8], fixed: usize) -> Result<Self, Malformed> {
        payload.get(fixed..).map(Attributes).ok_or(Malformed("message"))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Less than a header at the end is padding, as in nla_ok (include/net/netlink.h).
        let [low, high, kind @ ..] = *self.0.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let kind = u16::from_ne_bytes(kind);
        match self.0.get(ATTRIBUTE..length) {
            Some(value) => {
                self.0 = self.0.get(align(length)..).unwrap_or_default();
                let kind = kind & !TYPE_FLAGS;
                Some(Ok(Attribute { kind, value }))
            }
            None => {
                self.0 = &[];
                Some(Err(Malformed("attribute")))
            }
        }
    }
}

/// The family of an address.
pub fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Rounds up to the alignment of headers and attributes.
fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The 16-bit number at an offset.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

/// The 32-bit number at an offset.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn built() -> Vec<u8> {
        let mut request = Request::new(16, 5, &[0; 16])
            .attribute(3, b"eth0\0")
            .nest(18, |link| {
                link.attribute(1, b"ipip\0")
                    .nest(2, |data| data.attribute(19, &[]))
            });
        request.finish(7).to_vec()
    }

    #[test]
    fn what_is_built_is_walked() {
        let bytes = built();
        let messages: Vec<Message> = Messages(&bytes).collect::<Result<_, _>>().unwrap();
        let [message] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        assert_eq!((message.kind, message.flags, message.sequence), (16, 5, 7));
        let attributes: Vec<Attribute> = Attributes::after(message.payload, 16)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(attributes[0].string(), b"eth0");
        let kinds: Vec<u16> = attributes[1].nested().map(|inner| inner.unwrap().kind).collect();
        assert_eq!((attributes[1].kind, kinds), (18, vec![1, 2]));
    }

    #[test]
    fn a_length_that_does_not_fit_is_malformed_and_ends_the_walk() {
        let bytes = built();
        for end in 1..bytes.len() {
            let walked: Vec<_> = Messages(&bytes[..end]).collect();
            assert!(matches!(walked.as_slice(), [Err(_)]), "cut at {end}");
        }
        let short = [3, 0, 1, 0, 9, 9, 9, 9];
        let walked: Vec<_> = Attributes(&short).map(|walked| walked.map(|_| ())).collect();
        assert_eq!(walked, [Err(Malformed("attribute"))]);
        let no_length = [0; 32];
        assert!(Messages(&no_length).all(|message| message.is_err()));
    }

    /// Walks everything as attributes of attributes, as deep as it goes.
    fn walk(bytes: &[u8], depth: u32) -> usize {
        let mut seen = 0;
        for attribute in Attributes(bytes).flatten() {
            let _ = (attribute.u32(), attribute.i32(), attribute.string());
            seen += 1;
            if depth > 0 {
                seen += walk(attribute.value, depth - 1);
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for message in Messages(&bytes).flatten() {
                walk(message.payload, 4);
            }
            walk(&bytes, 4);
        }

        #[test]
        fn no_flipped_byte_makes_it_panic(at in 0usize..64, byte: u8) {
            let mut bytes = built();
            let at = at % bytes.len();
            bytes[at] = byte;
            for message in Messages(&bytes).flatten() {
                walk(message.payload.get(16..).unwrap_or_default(), 4);
            }
        }
    }
}
