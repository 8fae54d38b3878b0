//! Decimal numbers of 38 digits, as `DynamoDB` has them: a sum of prices is what adding them on paper gives.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number>

use std::cmp::Ordering;
use std::fmt;

/// The digits that a number has at most.
const DIGITS: u32 = 38;
/// The smallest number of more digits.
const BOUND: i128 = 10_i128.pow(DIGITS);
/// A number is below ten to this power.
const POWER_MAX: i32 = 126;
/// A number that is not zero is at least ten to this power.
const POWER_MIN: i32 = -130;

/// `mantissa * 10^exponent`. The mantissa has at most [`DIGITS`] digits and no zero at its end; that of zero is 0, and so
/// is its exponent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// Reads a number as JSON writes it; none where it is none, or beyond what a table holds. Digits beyond the 38th are
    /// rounded, and what is too small is zero.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (number, power) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, digits) = match number.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, number),
        };
        let (mut mantissa, mut exponent, mut fraction, mut next, mut some) = (0_i128, 0_i32, false, 0, false);
        for byte in digits.bytes() {
            match byte {
                b'.' if !fraction => fraction = true,
                b'0'..=b'9' => {
                    some = true;
                    let digit = i128::from(byte - b'0');
                    if mantissa < BOUND / 10 {
                        mantissa = mantissa * 10 + digit;
                        exponent -= i32::from(fraction);
                    } else {
                        // It has its digits: the first of those left over says how to round.
                        next = if next == 0 { 1 + digit } else { next };
                        exponent += i32::from(!fraction);
                    }
                }
                _ => return None,
            }
        }
        let rounded = mantissa + i128::from(next > 5);
        let exponent = exponent.checked_add(power)?;
        let number = Self::normal(sign * rounded, exponent);
        (some && number.power() <= POWER_MAX).then_some(number)
    }

    /// The sum, rounded to 38 digits, and at most the largest number there is.
    pub(crate) fn plus(self, other: Self) -> Self {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if low.mantissa == 0 || high.mantissa == 0 {
            return if low.mantissa == 0 { high } else { low };
        }
        // The higher one comes down as far as its digits have room, the lower one comes up to it.
        let room = DIGITS - digits(high.mantissa);
        let apart = high.exponent.abs_diff(low.exponent);
        let shift = apart.min(room);
        let high_mantissa = high.mantissa * 10_i128.pow(shift);
        let low_mantissa = shorter(low.mantissa, apart - shift);
        let exponent = low.exponent.saturating_add_unsigned(apart - shift);
        let sum = match high_mantissa.checked_add(low_mantissa) {
            Some(sum) => Self::normal(sum, exponent),
            None => Self::normal(shorter(high_mantissa, 1) + shorter(low_mantissa, 1), exponent + 1),
        };
        if sum.power() <= POWER_MAX {
            return sum;
        }
        let largest = Self { mantissa: BOUND - 1, exponent: POWER_MAX - DIGITS.cast_signed() };
        Self { mantissa: sum.mantissa.signum() * largest.mantissa, ..largest }
    }

    /// The nearest float.
    pub(crate) fn float(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    fn normal(mantissa: i128, exponent: i32) -> Self {
        let over = digits(mantissa).saturating_sub(DIGITS);
        let (mut mantissa, mut exponent) = (shorter(mantissa, over), exponent.saturating_add_unsigned(over));
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent = exponent.saturating_add(1);
        }
        let number = Self { mantissa, exponent };
        if mantissa == 0 || number.power() <= POWER_MIN { Self::default() } else { number }
    }

    /// The power of ten that it is below.
    fn power(self) -> i32 {
        if self.mantissa == 0 {
            POWER_MIN
        } else {
            self.exponent.saturating_add_unsigned(digits(self.mantissa))
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let scaled = |number: &Self| number.mantissa * 10_i128.pow(DIGITS - digits(number.mantissa));
        let key = |number: &Self| {
            let sign = number.mantissa.signum();
            (sign, sign * i128::from(number.power()), scaled(number))
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As JSON and `DynamoDB` read it.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mantissa, exponent } = *self;
        let (sign, digits) = (if mantissa < 0 { "-" } else { "" }, mantissa.unsigned_abs().to_string());
        match exponent {
            0.. if self.power() <= DIGITS.cast_signed() => {
                write!(f, "{sign}{digits}{}", "0".repeat(exponent.unsigned_abs() as usize))
            }
            ..0 if exponent >= -DIGITS.cast_signed() => {
                let width = exponent.unsigned_abs() as usize + 1;
                let padded = format!("{digits:0>width$}");
                let (whole, fraction) = padded.split_at(padded.len() + 1 - width);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => write!(f, "{sign}{digits}e{exponent}"),
        }
    }
}

/// How many digits a number has; zero has none.
fn digits(number: i128) -> u32 {
    number.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1)
}

/// The number without its last digits, rounded, halves away from zero.
fn shorter(number: i128, digits: u32) -> i128 {
    match 10_i128.checked_pow(digits) {
        Some(1) => number,
        Some(divisor) => number / divisor + (number % divisor) / (divisor / 2),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Decimal {
        Decimal::read(text).unwrap()
    }

    #[test]
    fn a_number_is_read_and_written() {
        for (text, written) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("42", "42"),
            ("-12.50", "-12.5"),
            ("0.05", "0.05"),
            ("1200", "1200"),
            ("1e3", "1000"),
            ("1.5E-3", "0.0015"),
            ("1e125", "1e125"),
            ("-9e-130", "-9e-130"),
            ("1e-131", "0"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("123456789012345678901234567890123456785", "1.2345678901234567890123456789012345679e38"),
            ("0.0000000000000000000000000000000000000000123", "1.23e-41"),
            ("1.000000000000000000000000000000000000000000001", "1"),
        ] {
            let value = read(text);
            assert_eq!(read(&value.to_string()), value, "{text}");
            assert_eq!(read(written), value, "{text} is {value}");
            if !written.contains('e') {
                assert_eq!(value.to_string(), written);
            }
        }
        for text in ["", "-", ".", "1e", "1e999", "1e126", "1e99999999999", "x", "1.2.3", "NaN", "+1"] {
            assert_eq!(Decimal::read(text), None, "{text}");
        }
    }

    #[test]
    fn sums_are_exact_as_far_as_the_digits_go() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("80.5", "-80.5", "0"),
            ("1e37", "0.1", "10000000000000000000000000000000000000.1"),
            ("99999999999999999999999999999999999999", "1", "1e38"),
            ("1e125", "1", "1e125"),
            ("9e125", "9e125", "99999999999999999999999999999999999999e88"),
            ("-9e125", "-9e125", "-99999999999999999999999999999999999999e88"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999", "2e38"),
            ("1e5", "12345678901234567890123456789012345678", "12345678901234567890123456789012445678"),
        ] {
            assert_eq!(read(a).plus(read(b)), read(sum), "{a} + {b}");
            assert_eq!(read(b).plus(read(a)), read(sum), "{b} + {a}");
        }
    }

    proptest! {
        #[test]
        fn sums_and_order_are_those_of_the_integers(a in -10_i128.pow(36)..10_i128.pow(36), b in -10_i128.pow(36)..10_i128.pow(36), power in -40..40_i32) {
            let of = |int: i128| read(&format!("{int}e{power}"));
            prop_assert_eq!(of(a).plus(of(b)), of(a + b));
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
        }

        #[test]
        fn what_is_written_is_read(text in "-?[0-9]{1,45}(\\.[0-9]{1,45})?(e-?[0-9]{1,2})?") {
            if let Some(value) = Decimal::read(&text) {
                prop_assert_eq!(Decimal::read(&value.to_string()), Some(value), "{}", value);
                let float: f64 = text.parse().unwrap();
                prop_assert!((value.float() - float).abs() <= float.abs() * 1e-15, "{} {}", value, float);
            }
        }

        #[test]
        fn order_is_that_of_floats(a in "-?[0-9]{1,9}(\\.[0-9]{1,4})?(e-?[0-9])?", b in "-?[0-9]{1,9}(\\.[0-9]{1,4})?(e-?[0-9])?") {
            let (floats, decimals) = ((a.parse::<f64>().unwrap(), b.parse::<f64>().unwrap()), (read(&a), read(&b)));
            prop_assert_eq!(floats.0.partial_cmp(&floats.1).unwrap(), decimals.0.cmp(&decimals.1));
        }

        #[test]
        fn no_text_panics(text in any::<String>(), digits in "[0-9.eE+-]{0,60}") {
            let _ = (Decimal::read(&text), Decimal::read(&digits));
        }
    }
}
