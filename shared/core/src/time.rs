//! Moments: whatever a producer writes, kept as UTC microseconds.

use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// UTC microseconds since 1970, between the years 0001 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::new(text.parse::<Timestamp>().ok()?.as_microsecond()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::new(whole.checked_mul(unit(whole.unsigned_abs()))?),
                (None, Some(fraction)) => Self::from_fraction(fraction),
                (None, None) => None,
            },
            _ => None,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both casts saturate, and `new` checks"
    )]
    #[expect(clippy::cast_precision_loss, reason = "the unit is at most a million")]
    fn from_fraction(number: f64) -> Option<Self> {
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

    fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or_default()
    }
}

/// Microseconds in the unit that a number of this size counts.
const fn unit(size: u64) -> i64 {
    match size {
        0..100_000_000_000 => 1_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            assert_eq!(Micros::read(&written).map(Micros::get), Some(micros), "{written}");
        }
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
            assert_eq!(Micros::read(&written), None, "{written}");
        }
    }

    #[test]
    fn dates_and_hours_are_utc() {
        let moment = Micros::read(&json!("2026-11-20T23:59:59.25-02:00")).unwrap();
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
