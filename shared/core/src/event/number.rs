//! Numbers as they are written.

/// A number of JSON: its digits, read when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    text: &'a str,
    is_integer: bool,
    /// What the digits say, where that is known.
    known: Option<i64>,
}

impl<'a> Number<'a> {
    /// A number without point and exponent, and which it is, where that is known.
    #[inline]
    pub(super) fn integer(text: &'a str, known: Option<i64>) -> Self {
        Self { text, is_integer: true, known }
    }

    /// Any other number.
    #[inline]
    pub(super) fn float(text: &'a str) -> Self {
        Self { text, is_integer: false, known: None }
    }

    /// The digits as they came.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Whether it is written without point and exponent, however large.
    #[must_use]
    pub fn is_integer(self) -> bool {
        self.is_integer
    }

    /// The integer, where it is written as one and i64 reaches it.
    #[must_use]
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        if self.known.is_some() || !self.is_integer {
            return self.known;
        }
        few_digits(self.text).or_else(|| self.text.parse().ok())
    }

    /// The integer, where it is written as one and u64 reaches it.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        if self.is_integer { self.text.parse().ok() } else { None }
    }

    /// The nearest float. A number that no float reaches is not taken as JSON, so this one is finite.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        Self::read(self.text).unwrap_or(f64::NAN)
    }

    /// The nearest float to a text that may be a number.
    #[must_use]
    pub fn read(text: &str) -> Option<f64> {
        short(text).or_else(|| text.parse().ok())
    }
}

/// An integer of at most 18 digits, of which i64 holds all.
#[inline(never)]
fn few_digits(text: &str) -> Option<i64> {
    let (sign, mut digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut sum = 0_u64;
    while let Some((eight, rest)) = digits.split_first_chunk() {
        sum = sum.wrapping_mul(100_000_000).wrapping_add(eight_digits(*eight));
        digits = rest;
    }
    sum = digits
        .iter()
        .fold(sum, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))));
    Some(sign * i64::try_from(sum).ok()?)
}

/// Eight digits at once: pairs are added up, then pairs of these, then both halves.
/// <https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/>
#[inline]
fn eight_digits(digits: [u8; 8]) -> u64 {
    const HALVES: u64 = 0x0000_00ff_0000_00ff;
    let ones = u64::from_le_bytes(digits).wrapping_sub(0x3030_3030_3030_3030);
    let pairs = ones.wrapping_mul(10).wrapping_add(ones >> 8);
    let upper = (pairs & HALVES).wrapping_mul(100 + (1_000_000 << 32));
    let lower = (pairs >> 16 & HALVES).wrapping_mul(1 + (10_000 << 32));
    upper.wrapping_add(lower) >> 32
}

/// A number of few digits, without exponent. Both sides of the division are exact, so that it rounds once, as
/// reading the digits would: the fast path of Clinger's "How to read floating point numbers accurately".
fn short(text: &str) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text),
    };
    // Fifteen digits are below 2^53, and so a float.
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut fraction = 0;
    for (at, byte) in digits.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' => fraction = digits.len() - at - 1,
            _ => return None,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "it is below 2^53")]
    let mantissa = mantissa as f64;
    Some(sign * mantissa / POWERS.get(fraction)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_numbers_are_read_as_all_are(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?") {
            let read = Number::float(&text).as_f64();
            prop_assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn integers_are_read_as_all_are(text in "-?(0|[1-9][0-9]{0,20})") {
            prop_assert_eq!(Number::integer(&text, None).as_i64(), text.parse().ok());
        }
    }
}
