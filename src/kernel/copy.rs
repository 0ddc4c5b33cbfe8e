//! How the static x86_64 binary copies memory: what the compiler calls for it in musl takes a
//! hundred cycles for the ten bytes of a name ([0020](../../docs/decisions/0020-memory-is-copied-in-sixteens.md)).

#![expect(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__m128i;
use std::mem::MaybeUninit;

/// Bytes that one instruction of every x86_64 moves, wherever they are.
const CHUNK: usize = size_of::<__m128i>();
const TWO_CHUNKS: usize = 2 * CHUNK;

/// memcpy(3), in the place of musl's.
///
/// # Safety
/// `from` can be read and `to` be written for `length` bytes, and they do not overlap.
#[cfg(all(target_env = "musl", not(test)))]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(
    to: *mut libc::c_void,
    from: *const libc::c_void,
    length: usize,
) -> *mut libc::c_void {
    // SAFETY: the caller's.
    unsafe { copy(to.cast(), from.cast(), length) };
    to
}

/// memmove(3), in the place of musl's, which is of one piece with its memcpy.
///
/// # Safety
/// `from` can be read and `to` be written for `length` bytes.
#[cfg(all(target_env = "musl", not(test)))]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(
    to: *mut libc::c_void,
    from: *const libc::c_void,
    length: usize,
) -> *mut libc::c_void {
    // SAFETY: the caller's.
    unsafe { shift(to.cast(), from.cast(), length) };
    to
}

/// Copies between two places. Where they overlap `to` is the lower one, or they are the same, or what is copied
/// has at most two chunks.
///
/// # Safety
/// `from` can be read and `to` be written for `length` bytes.
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: as much as is copied is there, as the caller says.
    unsafe {
        match length {
            0 => {}
            1 => both_ends::<u8>(to, from, length),
            2..=3 => both_ends::<u16>(to, from, length),
            4..=7 => both_ends::<u32>(to, from, length),
            8..CHUNK => both_ends::<u64>(to, from, length),
            CHUNK..=TWO_CHUNKS => both_ends::<__m128i>(to, from, length),
            _ => upwards(to, from, length),
        }
    }
}

/// Copies between two places that may overlap.
///
/// # Safety
/// `from` can be read and `to` be written for `length` bytes.
#[inline]
unsafe fn shift(to: *mut u8, from: *const u8, length: usize) {
    let begins_within = to.addr().wrapping_sub(from.addr()) < length;
    // SAFETY: as above.
    unsafe {
        if begins_within && length > TWO_CHUNKS {
            downwards(to, from, length);
        } else {
            copy(to, from, length);
        }
    }
}

/// Bytes as many as a `T` has, of which some may be padding, wherever they begin. Not `read_unaligned`: unless
/// that is optimized it calls memcpy.
#[repr(C, packed)]
struct Anywhere<T: Copy>(MaybeUninit<T>);

/// Copies what has at least the length of a `T` and at most that of two, as its first and its last:
/// both are read before one is written.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn both_ends<T: Copy>(to: *mut u8, from: *const u8, length: usize) {
    let last = length - size_of::<T>();
    // SAFETY: both end where the whole ends, or before.
    unsafe {
        let first_one = (*from.cast::<Anywhere<T>>()).0;
        let last_one = (*from.add(last).cast::<Anywhere<T>>()).0;
        (*to.cast::<Anywhere<T>>()).0 = first_one;
        (*to.add(last).cast::<Anywhere<T>>()).0 = last_one;
    }
}

/// Copies more than one chunk, the first one first. In assembly: a loop that the compiler knows as a
/// copy becomes a call of memcpy, which this is.
///
/// # Safety
/// As above, and `to` does not begin within `from`, unless they are the same.
#[inline(always)]
unsafe fn upwards(to: *mut u8, from: *const u8, length: usize) {
    let last = length - CHUNK;
    // SAFETY: each turn of the loop begins before the last chunk, which is read before it may be written over.
    unsafe {
        let last_one = (*from.add(last).cast::<Anywhere<__m128i>>()).0;
        asm!(
            "2:",
            "movups {chunk}, xmmword ptr [{from} + {at}]",
            "movups xmmword ptr [{to} + {at}], {chunk}",
            "add {at}, 16",
            "cmp {at}, {last}",
            "jb 2b",
            chunk = out(xmm_reg) _,
            at = inout(reg) 0_usize => _,
            from = in(reg) from,
            to = in(reg) to,
            last = in(reg) last,
            options(nostack),
        );
        (*to.add(last).cast::<Anywhere<__m128i>>()).0 = last_one;
    }
}

/// Copies more than one chunk, the last one first.
///
/// # Safety
/// As above, and `from` does not begin within `to`, unless they are the same.
#[inline(always)]
unsafe fn downwards(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: each turn of the loop begins behind the first chunk, which is read before it may be written over.
    unsafe {
        let first_one = (*from.cast::<Anywhere<__m128i>>()).0;
        asm!(
            "2:",
            "movups {chunk}, xmmword ptr [{from} + {at}]",
            "movups xmmword ptr [{to} + {at}], {chunk}",
            "sub {at}, 16",
            "ja 2b",
            chunk = out(xmm_reg) _,
            at = inout(reg) length - CHUNK => _,
            from = in(reg) from,
            to = in(reg) to,
            options(nostack),
        );
        (*to.cast::<Anywhere<__m128i>>()).0 = first_one;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes around a copy, which stay as they are.
    const AROUND: usize = 40;

    fn numbered(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn every_length_is_copied_and_nothing_beside_it() {
        for length in 0..600 {
            let from = numbered(length);
            let mut to = vec![255; length + 2 * AROUND];
            // SAFETY: both are that long.
            unsafe { copy(to.as_mut_ptr().add(AROUND), from.as_ptr(), length) };
            let (before, rest) = to.split_at(AROUND);
            let (copied, after) = rest.split_at(length);
            assert_eq!(copied, from);
            assert!(before.iter().chain(after).all(|byte| *byte == 255), "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_overlaps_is_moved_as_it_was(from in 0usize..80, to in 0usize..80, length in 0usize..600) {
            let mut bytes = numbered(700);
            let mut expected = bytes.clone();
            for (at, byte) in numbered(700)[from..from + length].iter().enumerate() {
                expected[to + at] = *byte;
            }
            let start = bytes.as_mut_ptr();
            // SAFETY: both end before the 700th byte.
            unsafe { shift(start.add(to), start.add(from), length) };
            prop_assert_eq!(bytes, expected);
        }
    }
}
