//! Parquet's hybrid of run lengths and packed bits, for levels and for codes of a dictionary.
//!
//! One run covers all: repeated where all are the same, packed where not. What long runs within it take is nothing
//! after compression. <https://parquet.apache.org/docs/file-format/data-pages/encodings/>

/// The bits that codes below this number take, at least one: some readers take no width of zero.
pub(crate) fn width(codes: usize) -> u32 {
    (usize::BITS - codes.saturating_sub(1).leading_zeros()).max(1)
}

/// Appends values of so many bits, at most 32 each.
pub(crate) fn hybrid(values: impl ExactSizeIterator<Item = u32> + Clone, width: u32, out: &mut Vec<u8>) {
    let count = values.len();
    let mut all = values.clone();
    if let Some(first) = all.next()
        && all.all(|value| value == first)
    {
        return run(first, count, width, out);
    }
    // Groups of eight; the last one is filled with zeros.
    let groups = count.div_ceil(8);
    varint(groups << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut held) = (0_u64, 0);
    for value in values {
        bits |= u64::from(value) << held;
        held += width;
        if held >= 32 {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= 32;
            held -= 32;
        }
    }
    out.extend(bits.to_le_bytes().iter().take(held.div_ceil(8) as usize));
    out.resize(end, 0);
}

/// Appends so many times the same value.
pub(crate) fn run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint(count << 1, out);
    out.extend(value.to_le_bytes().iter().take(width.div_ceil(8) as usize));
}

/// Appends a number, seven bits a byte, the lowest first (ULEB128).
fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are what goes out")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is below 128")]
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads it as the format's page says.
    fn read(mut bytes: &[u8], width: u32) -> Vec<u32> {
        let mut header = 0;
        for place in 0.. {
            let (byte, rest) = bytes.split_first().unwrap();
            (header, bytes) = (header | usize::from(byte & 0x7f) << (7 * place), rest);
            if byte & 0x80 == 0 {
                break;
            }
        }
        if header & 1 == 0 {
            let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            return vec![value; header >> 1];
        }
        let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
        let width = width as usize;
        (0..(header >> 1) * 8).map(|at| (0..width).map(|n| bit(at * width + n) << n).sum()).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(values in prop::collection::vec(any::<u32>(), 1..100), width in 1_u32..33) {
            let values: Vec<_> = values.into_iter().map(|value| value & (u32::MAX >> (32 - width))).collect();
            let mut out = Vec::new();
            hybrid(values.iter().copied(), width, &mut out);
            let back = read(&out, width);
            prop_assert_eq!(back.get(..values.len()), Some(values.as_slice()));
            prop_assert!(back.len() < values.len() + 8);
        }
    }

    #[test]
    fn one_value_is_one_run() {
        let mut out = Vec::new();
        hybrid(std::iter::repeat_n(5, 1000), 3, &mut out);
        assert_eq!((out.len(), read(&out, 3)), (3, vec![5; 1000]));
    }

    #[test]
    fn the_width_holds_the_largest_code() {
        for (codes, bits) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)] {
            assert_eq!(width(codes), bits, "{codes} codes");
        }
    }
}
