//! The Internet checksum (RFC 1071): summing, and mending it after one word changed (RFC 1624).

/// The ones' complement sum of bytes, not yet folded, in the byte order of this machine: RFC 1071
/// shows that the sum does not depend on it.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let word = |word: [u8; 2]| u64::from(u16::from_ne_bytes(word));
    let last = rest.first().map_or(0, |last| word([*last, 0]));
    words.iter().map(|pair| word(*pair)).sum::<u64>() + last
}

/// Folds a sum to 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Whether bytes that hold their checksum are right: the sum is all ones.
pub(crate) fn holds(sum: u64) -> bool {
    fold(sum) == 0xffff
}

/// The checksum after a 16-bit word that it covers changed (RFC 1624, equation 3); all in network
/// order.
pub(crate) fn mend(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as RFC 1071 has it.
    fn by_the_book(bytes: &[u8]) -> u16 {
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
            // Zero has two spellings, and only sums of nothing but zeroes give the other one.
            prop_assert_eq!(ours, by_the_book(&bytes));
        }

        #[test]
        fn mended_is_computed_anew(mut words in proptest::collection::vec(any::<u16>(), 10), new: u16) {
            // As of an IP header, whose first word is never zero.
            words[0] |= 0x4000;
            let of = |words: &[u16]| {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                !by_the_book(&bytes)
            };
            let (before, old) = (of(&words), words[4]);
            words[4] = new;
            prop_assert_eq!(mend(before, old, new), of(&words));
        }
    }
}
