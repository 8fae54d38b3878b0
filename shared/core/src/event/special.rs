//! Where the bytes are that a string of JSON does not hold as they are: quotes, backslashes and control characters.

use wide::u8x16;

/// Whether JSON cannot hold a text as it is.
pub(super) fn needs_escape(text: &str) -> bool {
    plain(text.as_bytes()) < text.len()
}

/// Whether a byte cannot stand in a string of JSON.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The bytes that are looked at together.
const WIDTH: usize = 16;

/// A bit for each of the bytes that cannot stand in a string of JSON, the lowest for the first.
#[inline]
fn special(bytes: [u8; WIDTH]) -> u32 {
    let bytes = u8x16::new(bytes);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// How many bytes can stand in a string as they are.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let ends = special(*chunk);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += WIDTH;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

/// A bit for each byte of a text: set where a string cannot go on as it is. Texts are short and many, so that the
/// bytes are all looked at once instead of from each string's beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Specials(Vec<u64>);

const BITS: usize = 64;

impl Specials {
    /// Looks at a text, in place of the one before.
    pub(super) fn fill(&mut self, text: &[u8]) {
        self.0.clear();
        let (blocks, rest) = text.as_chunks::<BITS>();
        self.0.extend(blocks.iter().map(bits));
        if !rest.is_empty() {
            let mut last = [b' '; BITS];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.0.push(bits(&last));
        }
    }

    /// The first such byte at this place or behind it.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let mut block = from / BITS;
        let mut bits = self.0.get(block)? & (u64::MAX << (from % BITS));
        while bits == 0 {
            block += 1;
            bits = *self.0.get(block)?;
        }
        Some(block * BITS + bits.trailing_zeros() as usize)
    }

    /// Gives back the memory that only a huge text needs.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.0.clear();
        self.0.shrink_to(bytes / BITS);
    }
}

#[inline]
fn bits(block: &[u8; BITS]) -> u64 {
    let (chunks, _) = block.as_chunks::<WIDTH>();
    chunks.iter().rev().fold(0, |bits, chunk| bits << WIDTH | u64::from(special(*chunk)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_special_byte_is_found(text in "[a-z\"\\\\\n\x1f\x20é]{0,200}", from in 0..210_usize) {
            let mut specials = Specials::default();
            specials.fill(b"\"\"\"");
            specials.fill(text.as_bytes());
            let found = text.bytes().enumerate().skip(from).find(|(_, byte)| is_special(*byte));
            prop_assert_eq!(specials.next(from), found.map(|(at, _)| at));
            let begin = text.as_bytes().get(from..).unwrap_or_default();
            prop_assert_eq!(plain(begin), found.map_or(begin.len(), |(at, _)| at - from));
        }
    }
}
