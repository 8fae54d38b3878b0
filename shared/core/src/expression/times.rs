//! Timestamps and durations: <https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md#timestamps>.

use super::evaluate::{Budget, Error, Name, Operator};
use super::value::{Kind, Value};
use crate::time::plain;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

const NANOS: i64 = 1_000_000_000;

/// What it costs to look a zone up and to find its offset.
const ZONE_STEPS: u32 = 16;

/// A moment of the years 1 to 9999, to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Since 1970, UTC.
    seconds: i64,
    nanos: u32,
}

impl Moment {
    /// 0001-01-01T00:00:00Z.
    const MIN: i64 = -62_135_596_800;
    /// 9999-12-31T23:59:59Z.
    const MAX: i64 = 253_402_300_799;

    pub(super) fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&seconds).then_some(Self { seconds, nanos })
    }

    /// Reads RFC 3339, with `T` or a space, and at most nine digits behind the point.
    pub(super) fn read(text: &str) -> Option<Self> {
        let micros = plain(text.as_bytes())?;
        // Three digits more than microseconds have.
        let digits = text.as_bytes().get(19..)?.strip_prefix(b".").unwrap_or_default();
        let digits = digits.iter().take_while(|digit| digit.is_ascii_digit()).skip(6);
        let fine = digits.chain(std::iter::repeat(&b'0')).take(3);
        let fine = fine.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let nanos = u32::try_from(micros.rem_euclid(1_000_000)).ok()? * 1000 + fine;
        Self::new(micros.div_euclid(1_000_000), nanos)
    }

    /// Whole seconds since 1970.
    pub(super) fn seconds(self) -> i64 {
        self.seconds
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * i128::from(NANOS) + i128::from(self.nanos)
    }

    fn plus(self, nanos: i128) -> Option<Self> {
        let total = self.total() + nanos;
        let seconds = i64::try_from(total.div_euclid(NANOS.into())).ok()?;
        Self::new(seconds, u32::try_from(total.rem_euclid(NANOS.into())).ok()?)
    }

    /// What clocks show so many seconds east of UTC; none beyond the year 9999.
    fn civil(self, offset: i64) -> Option<DateTime> {
        let since = SignedDuration::new(self.seconds + offset, i32::try_from(self.nanos).ok()?);
        DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(since).ok()
    }
}

/// `2026-01-20T13:05:00.25Z`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.civil(0).map_or(Ok(()), |civil| write!(f, "{civil}Z"))
    }
}

/// A duration in nanoseconds, as far as 64 bits go: 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(i64);

impl Span {
    /// The units, those first that others begin with.
    const UNITS: [(&'static str, i64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", NANOS),
        ("m", 60 * NANOS),
        ("h", 3600 * NANOS),
    ];

    /// Reads `1h30m`, `-1.5s`, `250ms`, `0`, as Go does; what is finer than a nanosecond is cut off.
    pub(super) fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let mut rest = unsigned;
        let mut total: i128 = 0;
        while !rest.is_empty() && unsigned != "0" {
            let (whole, behind) = digits(rest);
            let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
            if whole.is_empty() && fraction.is_empty() {
                return None;
            }
            let (name, unit) = Self::UNITS.iter().find(|(name, _)| behind.starts_with(name))?;
            rest = behind.get(name.len()..)?;
            // More digits than these tell no nanoseconds, and fewer fit.
            let fraction = fraction.get(..18).unwrap_or(fraction);
            let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
            let part: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
            let unit = i128::from(*unit);
            total = total.checked_add(i128::from(whole) * unit + i128::from(part) * unit / scale)?;
        }
        if unsigned.is_empty() {
            return None;
        }
        Self::new(if text.starts_with('-') { -total } else { total })
    }

    pub(super) fn new(nanos: i128) -> Option<Self> {
        i64::try_from(nanos).ok().map(Self)
    }
}

/// The digits that a text begins with, and what is behind.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or(("", text))
}

/// `5400s`, `-1.5s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / NANOS, (self.0 % NANOS).unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", seconds.unsigned_abs())?;
        if nanos > 0 {
            write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}

/// What stands between timestamps and durations.
pub(super) fn arithmetic<'e>(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Result<Value<'e>, Error> {
    let overflow = Error::Overflow(operator.sign());
    let moment = |moment: Option<Moment>| moment.map(Value::Timestamp).ok_or(overflow);
    let span = |nanos| Span::new(nanos).map(Value::Duration).ok_or(overflow);
    match (operator, left, right) {
        (Operator::Add, Value::Timestamp(at), Value::Duration(Span(nanos)))
        | (Operator::Add, Value::Duration(Span(nanos)), Value::Timestamp(at)) => {
            moment(at.plus(i128::from(*nanos)))
        }
        (Operator::Subtract, Value::Timestamp(at), Value::Duration(Span(nanos))) => {
            moment(at.plus(-i128::from(*nanos)))
        }
        (Operator::Subtract, Value::Timestamp(left), Value::Timestamp(right)) => {
            span(left.total() - right.total())
        }
        (Operator::Add, Value::Duration(Span(left)), Value::Duration(Span(right))) => {
            span(i128::from(*left) + i128::from(*right))
        }
        (Operator::Subtract, Value::Duration(Span(left)), Value::Duration(Span(right))) => {
            span(i128::from(*left) - i128::from(*right))
        }
        _ => Err(Error::overload(operator.sign(), left, right)),
    }
}

/// A part of a timestamp, in UTC or in the zone that is named, or a duration in a unit.
pub(super) fn part<'e>(name: Name, values: &[Value<'_>], budget: &mut Budget) -> Result<Value<'e>, Error> {
    let kinds = || {
        let (of, zone) = (values.first(), values.get(1));
        Error::Overload(name, of.map_or(Kind::Null, Value::kind), zone.map(Value::kind))
    };
    let civil = match values {
        [Value::Duration(Span(nanos))] => {
            return in_unit(name, *nanos).map(Value::Int).ok_or_else(kinds);
        }
        [Value::Timestamp(moment)] => moment.civil(0),
        [Value::Timestamp(moment), zone] => {
            let zone = zone.text().ok_or_else(kinds)?;
            budget.spend(ZONE_STEPS)?;
            moment.civil(offset(zone, *moment).ok_or(Error::Zone)?)
        }
        _ => return Err(kinds()),
    };
    let civil = civil.ok_or(Error::Overflow(name))?;
    Ok(Value::Int(match *name {
        "getFullYear" => civil.year().into(),
        "getMonth" => i64::from(civil.month()) - 1,
        "getDate" => civil.day().into(),
        "getDayOfMonth" => i64::from(civil.day()) - 1,
        "getDayOfYear" => i64::from(civil.day_of_year()) - 1,
        "getDayOfWeek" => civil.weekday().to_sunday_zero_offset().into(),
        "getHours" => civil.hour().into(),
        "getMinutes" => civil.minute().into(),
        "getSeconds" => civil.second().into(),
        _ => civil.millisecond().into(),
    }))
}

/// How often a unit goes into a duration; of milliseconds, those beyond the second.
fn in_unit(name: Name, nanos: i64) -> Option<i64> {
    match *name {
        "getHours" => Some(nanos / (3600 * NANOS)),
        "getMinutes" => Some(nanos / (60 * NANOS)),
        "getSeconds" => Some(nanos / NANOS),
        "getMilliseconds" => Some(nanos % NANOS / 1_000_000),
        _ => None,
    }
}

/// Whether there is such a zone.
pub(super) fn is_zone(name: &str) -> bool {
    offset(name, Moment { seconds: 0, nanos: 0 }).is_some()
}

/// How many seconds east of UTC a zone is: `Europe/Berlin`, `UTC`, or `+02:00`, also without the sign.
fn offset(zone: &str, moment: Moment) -> Option<i64> {
    let unsigned = zone.strip_prefix(['+', '-']).unwrap_or(zone);
    let Some((hours, minutes)) = unsigned.split_once(':') else {
        // The last day of 9999 is none of jiff's everywhere; no zone changes there.
        let at = Timestamp::new(moment.seconds, 0).unwrap_or(Timestamp::MAX);
        return Some(TimeZone::get(zone).ok()?.to_offset(at).seconds().into());
    };
    let two = |text: &str| (text.len() == 2 && digits(text).1.is_empty()).then(|| text.parse::<i64>().ok());
    let (hours, minutes) = (two(hours)??, two(minutes)??);
    let seconds = (hours < 24 && minutes < 60).then_some((hours * 60 + minutes) * 60)?;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}
