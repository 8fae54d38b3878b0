//! Moments: whatever a producer writes, kept as UTC microseconds.

use crate::event::Value;
use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// UTC microseconds since 1970, between the years 0001 and 9999.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(i64);

impl Micros {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// 0001-01-01T00:00:00Z.
    const MIN: i64 = -62_135_596_800_000_000;
    /// 9999-12-30T22:00:00Z, the last second that jiff can write in every time zone.
    const MAX: i64 = 253_402_207_200_000_000;

    /// The moment, or none where it lies outside the years 0001 to 9999.
    #[must_use]
    pub const fn new(micros: i64) -> Option<Self> {
        if micros < Self::MIN || micros > Self::MAX { None } else { Some(Self(micros)) }
    }

    /// Reads a timestamp as events carry it; none where it is none.
    ///
    /// A string is RFC 3339, with `T` or a space between date and time (`2019-11-15 18:05:00Z`). A number is the
    /// time since 1970 in a unit told by its size: below 10¹¹ seconds (until the year 5138), below 10¹⁴
    /// milliseconds, else microseconds. Digits finer than a microsecond are cut off.
    #[must_use]
    pub fn read(value: Value<'_>) -> Option<Self> {
        match value {
            Value::String(text) => Self::read_text(text),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::new(whole.checked_mul(unit(whole.unsigned_abs()))?),
                None => Self::read_number(number.as_f64()),
            },
            _ => None,
        }
    }

    /// Reads RFC 3339, with `T` or a space.
    #[must_use]
    pub fn read_text(text: &str) -> Option<Self> {
        // What nearly all producers write is read here; the odd rest (leap seconds, lower case) by jiff.
        match plain(text.as_bytes()) {
            Some(micros) => Self::new(micros),
            None => Self::new(text.parse::<Timestamp>().ok()?.as_microsecond()),
        }
    }

    /// Reads `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, at most nine digits behind a point, and `Z` or `±HH:MM`;
    /// nothing else that RFC 3339 leaves room for.
    #[must_use]
    pub fn read_rfc3339(text: &str) -> Option<Self> {
        plain(text.as_bytes()).and_then(Self::new)
    }

    /// The moment of a number, in the unit that its size tells.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both casts saturate, and `new` checks"
    )]
    #[expect(clippy::cast_precision_loss, reason = "the unit is at most a million")]
    pub fn read_number(number: f64) -> Option<Self> {
        Self::new((number * unit(number.abs() as u64) as f64) as i64)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// `2026-11-20T13:05:00.25Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.timestamp().to_string()
    }

    /// The UTC date, `2026-11-20`.
    #[must_use]
    pub fn date(self) -> String {
        Offset::UTC.to_datetime(self.timestamp()).date().to_string()
    }

    /// Hours since 1970, UTC.
    #[must_use]
    pub const fn hours(self) -> i64 {
        self.0.div_euclid(3_600_000_000)
    }

    /// The UTC hour, 0 to 23.
    #[must_use]
    pub fn hour(self) -> i8 {
        Offset::UTC.to_datetime(self.timestamp()).hour()
    }

    /// So many milliseconds later, at most the last moment there is.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        let sum = self.0.saturating_add(ms.saturating_mul(1000));
        Self(if sum > Self::MAX {
            Self::MAX
        } else if sum < Self::MIN {
            Self::MIN
        } else {
            sum
        })
    }

    /// How long it is until a later moment; nothing where that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or_default())
    }

    /// The date and time in UTC.
    pub(crate) fn civil(self) -> jiff::civil::DateTime {
        Offset::UTC.to_datetime(self.timestamp())
    }

    /// A date and time in UTC.
    pub(crate) fn at_civil(moment: jiff::civil::DateTime) -> Option<Self> {
        Self::new(Offset::UTC.to_timestamp(moment).ok()?.as_microsecond())
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or_default()
    }
}

/// `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, a point and up to nine digits or none, `Z` or an offset; as microseconds.
pub(crate) fn plain(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] = *head
    else {
        return None;
    };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let digits =
        rest.strip_prefix(b".").map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let (fraction, zone) = if digits > 0 { rest.split_at_checked(1 + digits)? } else { (&[][..], rest) };
    let fraction = fraction.iter().skip(1).chain(std::iter::repeat(&b'0')).take(6);
    let fraction = fraction.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let offset = match *zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            let size = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            if sign == b'-' { -size } else { size }
        }
        _ => return None,
    };
    let is_date = year > 0 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    (is_date && digits <= 9 && hour < 24 && minute < 60 && second < 60).then_some(())?;
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    Some((minutes * 60 + second) * 1_000_000 + fraction)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar after the year 0. The year begins in March here, so that
/// the leap day ends it: <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Microseconds in the unit that a number of this size counts.
pub(crate) const fn unit(size: u64) -> i64 {
    match size {
        0..100_000_000_000 => 1_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Path};
    use serde_json::{Value, json};

    fn read(written: &Value) -> Option<Micros> {
        let event = Event::read(&json!({ "at": written }).to_string()).unwrap();
        Micros::read(event.get(&Path::from_key("at")).unwrap())
    }

    #[test]
    fn reads_the_formats_that_producers_use() {
        let noon = 1_573_841_100_000_000;
        for (written, micros) in [
            (json!("2019-11-15T18:05:00Z"), noon),
            (json!("2019-11-15 18:05:00Z"), noon),
            (json!("2019-11-15T19:05:00+01:00"), noon),
            (json!("2019-11-15T18:05:00.123456789Z"), noon + 123_456),
            (json!(1_573_841_100), noon),
            (json!(1_573_841_100.25), noon + 250_000),
            (json!(1_573_841_100_123_i64), noon + 123_000),
            (json!(1_573_841_100_123_456_i64), noon + 123_456),
            (json!(0), 0),
            (json!(-1), -1_000_000),
        ] {
            assert_eq!(read(&written).map(Micros::get), Some(micros), "{written}");
        }
    }

    #[test]
    fn what_is_read_here_is_what_jiff_reads() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let text = format!(
                "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}",
                random.u16(1970..=9999), // before, jiff cuts towards 1970 what is cut off here
                random.u8(0..14),
                random.u8(0..33),
                random.choice(["T", " "]).unwrap(),
                random.u8(0..26),
                random.u8(0..62),
                random.u8(0..62),
                random.choice(["", ".5", ".123456789", ".1234567", ".0000009"]).unwrap(),
                random.choice(["Z", "+01:00", "-23:59", "+25:00", "+00:60", ""]).unwrap(),
            );
            if let Some(micros) = plain(text.as_bytes()) {
                assert_eq!(
                    text.parse::<Timestamp>().map(Timestamp::as_microsecond).ok(),
                    Some(micros),
                    "{text}"
                );
            }
        }
        assert_eq!(plain(b"2019-11-15T18:05:00.25Z"), Some(1_573_841_100_250_000));
        assert_eq!(plain(b"2019-02-29T18:05:00Z"), None);
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for written in [
            json!("yesterday"),
            json!("2019-02-30T00:00:00Z"),
            json!("2019-11-15T18:05:00"), // no offset: whose noon?
            json!("1573841100"),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300),
            json!(true),
            json!(null),
            json!([2019, 11, 15]),
        ] {
            assert_eq!(read(&written), None, "{written}");
        }
    }

    #[test]
    fn dates_and_hours_are_utc() {
        let moment = read(&json!("2026-11-20T23:59:59.25-02:00")).unwrap();
        assert_eq!((moment.date().as_str(), moment.hour()), ("2026-11-21", 1));
        assert_eq!(moment.rfc3339(), "2026-11-21T01:59:59.25Z");
    }

    #[test]
    fn both_ends_of_time_can_be_written() {
        for end in [Micros::MIN, Micros::MAX] {
            assert_eq!(Micros::new(end).unwrap().timestamp().as_microsecond(), end);
        }
    }
}
