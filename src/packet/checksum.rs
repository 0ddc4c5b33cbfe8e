//! The Internet checksum (RFC 1071): the sum, and the update after one word changed (RFC 1624).

/// The ones' complement sum of bytes, not yet folded, in the byte order of this machine: RFC 1071 shows
/// that the sum does not depend on it.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let word = |word: [u8; 2]| u64::from(u16::from_ne_bytes(word));
    let last = rest.first().map_or(0, |last| word([*last, 0]));
    words.iter().map(|pair| word(*pair)).sum::<u64>() + last
}

/// The checksum of data whose checksum field is zero: the ones' complement of the sum, in the order of the
/// machine. All parts but the last have an even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    u16::from_be(!fold(parts.iter().map(|part| sum(part)).sum()))
}

/// Folds a sum to 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Whether bytes that include their checksum are valid: their sum is all ones.
pub(crate) fn holds(sum: u64) -> bool {
    fold(sum) == 0xffff
}

/// The checksum after one 16-bit word of its data changed (RFC 1624, equation 3); all in network order.
pub(crate) fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as in RFC 1071.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn sums_as_the_book_does(bytes in proptest::collection::vec(any::<u8>(), 0..1501)) {
            let ours = fold(sum(&bytes)).to_be();
            // Zero has two representations, and only a sum of zeros gives the other one.
            prop_assert_eq!(ours, reference(&bytes));
        }

        #[test]
        fn update_equals_a_full_sum(mut words in proptest::collection::vec(any::<u16>(), 10), new: u16) {
            // The first word of an IP header is never zero.
            words[0] |= 0x4000;
            let of = |words: &[u16]| {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                !reference(&bytes)
            };
            let (before, old) = (of(&words), words[4]);
            words[4] = new;
            prop_assert_eq!(update(before, old, new), of(&words));
        }
    }
}
