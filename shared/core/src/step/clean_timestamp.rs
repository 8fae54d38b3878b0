//! `clean.timestamp`: read a time as its producers write it, and set their clocks right.
//!
//! ```toml
//! clean.timestamp = "timestamp"
//! ```
//!
//! ```toml
//! clean.timestamp = { field = "at", formats = ["%d/%b/%Y:%H:%M:%S %z", "epoch_ms"] }
//! ```
//!
//! ```toml
//! clean.timestamp = { field = "at", formats = ["%d.%m.%Y %H:%M"], timezone = "Europe/Berlin" }
//! ```
//!
//! ```toml
//! clean.timestamp = { field = "timestamp", max_future = "1h", max_past = "30d", outside = "received" }
//! ```
//!
//! ```toml
//! clean.timestamp = { field = "timestamp", skew = { sent = "sentAt" } }
//! ```
//! The time becomes UTC microseconds since 1970, an integer. The formats are tried in their order; digits finer than a
//! microsecond are cut off.
//!
//! | format | takes |
//! | --- | --- |
//! | `rfc3339` | `2026-11-20T13:05:00.25Z`: `T` or one space, at most nine digits behind the point, `Z` or `+01:00`; nothing else |
//! | `iso8601` | what else ISO 8601 allows: lower case, no seconds, a date alone; without an offset it is in `timezone` |
//! | `epoch` | a number since 1970 whose unit its size tells: below 10¹¹ seconds, below 10¹⁴ milliseconds, else microseconds |
//! | `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` | a number in this unit, also as text, also with a point |
//! | `%d/%b/%Y:%H:%M:%S %z` | a text in the notation of `strptime`, as jiff [lists it](https://docs.rs/jiff/latest/jiff/fmt/strtime/index.html); without `%z` it is in `timezone` |
//!
//! | option | meaning |
//! | --- | --- |
//! | `field` | where the time stands; `items[].at` is one in each element that is an object |
//! | `formats` | what is tried; without it `["rfc3339", "epoch"]` |
//! | `timezone` | where clocks show what has no offset: `"Europe/Berlin"`, `"+01:00"`; without it UTC. An hour that clocks show twice is the earlier one |
//! | `missing` | what becomes of an event without the field, or with null: `"keep"` (the default), `"received"`: the field becomes the time of receipt, `"drop"` or `"quarantine"` |
//! | `unreadable` | what becomes of what no format takes: `"quarantine"` (the default), `"null"`, `"received"`, `"keep"`: it stays as it is, or `"drop"` |
//! | `skew` | sets the producer's clock right, as Segment and Snowplow do: `sent` is the field of when the producer's clock said it sent the event, `received` that of the receipt (without it `receivedAt`). What lies between both is added to the time. Without a readable `sent` nothing is |
//! | `max_future`, `max_past` | how far the time may lie after or before the receipt: `"90s"`, `"15m"`, `"1h"`, `"30d"`, `"2w"` |
//! | `outside` | what becomes of a time beyond: `"quarantine"` (the default), `"clamp"`: it becomes the bound, `"received"` or `"drop"` |
//!
//! The receipt is the field `receivedAt` that ingest writes, and where it is missing, or later, the moment that the stream
//! took the event. Whatever the formats, `receivedAt` is read as `["rfc3339", "epoch"]`; `sent` is read as the time is.
//!
//! Rejects with `no_timestamp`, `bad_timestamp`, and `timestamp_too_late` and `timestamp_too_early`.

use super::settings::{Scope, Short, Span, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, ItemPath, New, Path, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::time::Micros;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use serde::Deserialize;

pub(crate) struct Timestamp {
    scope: Scope,
    time: Time,
}

/// What is done with a time.
struct Time {
    name: Pattern,
    path: Path,
    reader: Reader,
    missing: Missing,
    unreadable: Unreadable,
    sent: Option<Path>,
    received: Path,
    future: Option<i64>,
    past: Option<i64>,
    outside: Outside,
}

/// What times look like.
struct Reader {
    formats: Vec<Format>,
    zone: TimeZone,
}

/// `clean.timestamp`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the time stands.
    field: ItemPath,
    /// What is tried, in this order.
    formats: Option<Vec<Format>>,
    /// Where clocks show what has no offset: `Europe/Berlin`, `+01:00`. Without it UTC.
    timezone: Option<String>,
    /// What becomes of an event without the field, or with null.
    #[serde(default)]
    missing: Missing,
    /// What becomes of what no format takes.
    #[serde(default)]
    unreadable: Unreadable,
    /// Sets the producer's clock right.
    skew: Option<Skew>,
    /// How far the time may lie after the receipt.
    max_future: Option<Span>,
    /// How far the time may lie before the receipt.
    max_past: Option<Span>,
    /// What becomes of a time beyond these.
    outside: Option<Outside>,
}

/// The fields that tell how far a producer's clock is off.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skew {
    /// When the producer's clock said it sent the event.
    sent: Path,
    /// When it was received; without it `receivedAt`.
    received: Option<Path>,
}

/// How a time may be written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Format {
    Rfc3339,
    Iso8601,
    Epoch,
    /// Microseconds in the unit.
    EpochIn(i64),
    EpochNanos,
    Strptime(String),
}

/// What becomes of an event without the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TimestampMissing")]
enum Missing {
    /// It stays without.
    #[default]
    Keep,
    /// The field becomes the time of receipt.
    Received,
    /// It is dropped.
    Drop,
    /// It goes to the quarantine.
    Quarantine,
}

/// What becomes of what no format takes.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TimestampUnreadable")]
enum Unreadable {
    /// The event goes to the quarantine.
    #[default]
    Quarantine,
    /// Null takes its place.
    Null,
    /// It becomes the time of receipt.
    Received,
    /// It stays as it is.
    Keep,
    /// The event is dropped.
    Drop,
}

/// What becomes of a time that lies too far from the receipt.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TimestampOutside")]
enum Outside {
    /// The event goes to the quarantine.
    #[default]
    Quarantine,
    /// It becomes the bound.
    Clamp,
    /// It becomes the time of receipt.
    Received,
    /// The event is dropped.
    Drop,
}

impl From<ItemPath> for Settings {
    fn from(field: ItemPath) -> Self {
        Self {
            field,
            formats: None,
            timezone: None,
            missing: Missing::default(),
            unreadable: Unreadable::default(),
            skew: None,
            max_future: None,
            max_past: None,
            outside: None,
        }
    }
}

impl Step for Timestamp {
    const NAME: &'static str = "clean.timestamp";
    type Settings = Short<ItemPath, Settings>;

    fn compile(Short(settings, _): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let formats = settings.formats.unwrap_or_else(|| vec![Format::Rfc3339, Format::Epoch]);
        let reader = Reader::new(some(formats, "format")?, settings.timezone.as_deref())?;
        if settings.outside.is_some() && settings.max_future.is_none() && settings.max_past.is_none() {
            return Err(Mistake::new(
                "`outside` says what becomes of a time that is out of bounds, and there are none",
            )
            .with_help("`max_future = \"1h\"` and `max_past = \"30d\"` are bounds"));
        }
        let (sent, received) = settings.skew.map_or((None, None), |skew| (Some(skew.sent), skew.received));
        let (name, (scope, path)) = (settings.field.clone().into(), Scope::new(settings.field));
        let time = Time {
            name,
            path,
            reader,
            missing: settings.missing,
            unreadable: settings.unreadable,
            sent,
            received: received.unwrap_or_else(|| Path::from_key(crate::pipeline::RECEIVED_AT)),
            future: settings.max_future.map(|span| span.micros),
            past: settings.max_past.map(|span| span.micros),
            outside: settings.outside.unwrap_or_default(),
        };
        Ok(Self { scope, time })
    }

    fn touches(&self) -> Touches {
        let Time { name, received, sent, .. } = &self.time;
        let others = [Some(received), sent.as_ref()].into_iter().flatten().cloned().map(Pattern::from);
        Touches { reads: std::iter::once(name.clone()).chain(others).collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        let Self { scope, time } = self;
        scope.each_object(event, |event, top| time.read(event, top, cx))
    }
}

impl Time {
    /// Makes microseconds of the time in an object.
    fn read(&self, event: &mut Event, top: Id, cx: &Context<'_>) -> Verdict {
        let id = event.find_in(top, &self.path);
        let read = match id.map(|id| event.value(id)) {
            None | Some(Value::Null) => {
                return match self.missing {
                    Missing::Keep => Verdict::Keep,
                    Missing::Received => {
                        event.put_in(top, &self.path, New::Int(self.received(event, cx).get()));
                        Verdict::Keep
                    }
                    Missing::Drop => Verdict::Drop,
                    Missing::Quarantine => {
                        Verdict::Reject("no_timestamp", format!("`{}` is missing or null", self.name).into())
                    }
                };
            }
            Some(value) => self.reader.read(value),
        };
        let time = match (read, self.unreadable) {
            (Some(time), _) => match self.place(time, event, cx) {
                Ok(time) => time,
                Err(verdict) => return verdict,
            },
            (None, Unreadable::Received) => self.received(event, cx),
            (None, Unreadable::Keep) => return Verdict::Keep,
            (None, Unreadable::Drop) => return Verdict::Drop,
            (None, Unreadable::Null) => {
                event.put_in(top, &self.path, New::Null);
                return Verdict::Keep;
            }
            (None, Unreadable::Quarantine) => {
                let detail = format!("`{}` is no time in the formats that are taken", self.name);
                return Verdict::Reject("bad_timestamp", detail.into());
            }
        };
        let Some(id) = id else { return Verdict::Keep };
        event.set_int(id, time.get());
        Verdict::Keep
    }

    /// The time by the right clock and within the bounds.
    fn place(&self, time: Micros, event: &Event, cx: &Context<'_>) -> Result<Micros, Verdict> {
        if self.sent.is_none() && self.future.is_none() && self.past.is_none() {
            return Ok(time);
        }
        let received = self.received(event, cx);
        let sent =
            self.sent.as_ref().and_then(|path| event.get(path)).and_then(|sent| self.reader.read(sent));
        // Moments are far from the ends of i64, so that none of this overflows.
        let late = sent.map_or(0, |sent| received.get() - sent.get());
        let time = time.get() + late;
        let highest = received.get().saturating_add(self.future.unwrap_or(i64::MAX));
        let lowest = received.get().saturating_sub(self.past.unwrap_or(i64::MAX));
        let bound = if time > highest {
            highest
        } else if time < lowest {
            lowest
        } else {
            return Ok(Micros::new(time).unwrap_or(received));
        };
        match self.outside {
            Outside::Clamp => Ok(Micros::new(bound).unwrap_or(received)),
            Outside::Received => Ok(received),
            Outside::Drop => Err(Verdict::Drop),
            Outside::Quarantine if time > highest => {
                let detail = format!("`{}` lies too far after the receipt", self.name);
                Err(Verdict::Reject("timestamp_too_late", detail.into()))
            }
            Outside::Quarantine => {
                let detail = format!("`{}` lies too far before the receipt", self.name);
                Err(Verdict::Reject("timestamp_too_early", detail.into()))
            }
        }
    }

    /// When the event was received. A producer may say so, but not that this is still to come.
    fn received(&self, event: &Event, cx: &Context<'_>) -> Micros {
        event.get(&self.received).and_then(Micros::read).map_or(cx.arrived_at, |at| at.min(cx.arrived_at))
    }
}

impl Reader {
    fn new(formats: Vec<Format>, zone: Option<&str>) -> Result<Self, Mistake> {
        let may_lack_offset =
            formats.iter().any(|format| matches!(format, Format::Iso8601 | Format::Strptime(_)));
        if zone.is_some() && !may_lack_offset {
            return Err(Mistake::new(
                "`timezone` is for times without an offset, and none of the formats has such",
            )
            .with_help("take it out, or add a format such as `iso8601`"));
        }
        let zone = zone.map_or(Ok(TimeZone::UTC), |name| {
            zone_of(name).ok_or_else(|| {
                Mistake::new(format!("`{name}` is no time zone"))
                    .with_help("it is a name such as `Europe/Berlin`, or an offset such as `+01:00`")
            })
        })?;
        let reader = Self { formats, zone };
        for format in &reader.formats {
            let Format::Strptime(format) = format else { continue };
            reader.check(format)?;
        }
        Ok(reader)
    }

    /// A format is right that a time can be written in and read from again.
    fn check(&self, format: &str) -> Result<(), Mistake> {
        let wrong = |why: String| Mistake::new(format!("the format `{format}` does not work: {why}"));
        let sample = DateTime::constant(2001, 2, 3, 4, 5, 6, 789_000_000).to_zoned(TimeZone::UTC);
        let text = sample
            .and_then(|sample| strtime::format(format, &sample))
            .map_err(|why| wrong(why.to_string()))?;
        match self.strptime(format, &text) {
            Ok(time) if (time.get() - 981_173_106_000_000).abs() < 3 * 24 * 60 * 60 * 1_000_000 => Ok(()),
            Ok(_) => Err(wrong("it has no date".to_owned())),
            Err(why) => {
                let why = why.to_string();
                let lacks_some = why.contains("required to parse") || why.contains("must be present");
                Err(wrong(if lacks_some { "it does not say the whole date".to_owned() } else { why }))
            }
        }
    }

    fn read(&self, value: Value<'_>) -> Option<Micros> {
        self.formats.iter().find_map(|format| match (format, value) {
            (Format::Rfc3339, Value::String(text)) => Micros::read_rfc3339(text),
            (Format::Iso8601, Value::String(text)) => self.iso8601(text),
            (Format::Strptime(format), Value::String(text)) => self.strptime(format, text).ok(),
            (Format::Epoch, Value::Number(_)) => Micros::read(value),
            (Format::EpochIn(unit), _) => Micros::new(scaled(digits(value)?, *unit)?),
            (Format::EpochNanos, _) => Micros::new(scaled(digits(value)?, 1)?.div_euclid(1000)),
            _ => None,
        })
    }

    fn iso8601(&self, text: &str) -> Option<Micros> {
        if let Some(time) = Micros::read_text(text) {
            return Some(time);
        }
        let shown: DateTime = text.parse().ok()?;
        Micros::new(self.zone.to_timestamp(shown).ok()?.as_microsecond())
    }

    fn strptime(&self, format: &str, text: &str) -> Result<Micros, jiff::Error> {
        let parts = BrokenDownTime::parse(format, text.trim())?;
        let moment = if parts.offset().is_some() || parts.timestamp().is_some() {
            parts.to_timestamp()?
        } else if parts.iana_time_zone().is_some() {
            parts.to_zoned()?.timestamp()
        } else {
            self.zone.to_timestamp(parts.to_datetime()?)?
        };
        Micros::new(moment.as_microsecond())
            .ok_or_else(|| jiff::Error::from_args(format_args!("out of range")))
    }
}

fn zone_of(name: &str) -> Option<TimeZone> {
    if name.starts_with(['+', '-']) {
        return Some(TimeZone::fixed(BrokenDownTime::parse("%:z", name).ok()?.offset()?));
    }
    TimeZone::get(name).ok()
}

/// The digits of a number, or of a text that is one.
fn digits(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Number(number) => Some(number.text()),
        Value::String(text) => Some(text.trim()),
        _ => None,
    }
}

/// A decimal number times a power of ten, exactly; what is behind the point then is cut off.
fn scaled(text: &str, unit: i64) -> Option<i64> {
    let (sign, size) = text.strip_prefix('-').map_or((1, text), |size| (-1, size));
    let (whole, fraction) = size.split_once('.').unwrap_or((size, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return by_exponent(text, unit);
    }
    let mut sum = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let mut weight = unit;
    for digit in fraction.bytes() {
        weight /= 10;
        if weight == 0 {
            break;
        }
        sum = sum.checked_add(i64::from(digit - b'0') * weight)?;
    }
    Some(sign * sum)
}

/// A number with an exponent, `1.5e9`, as near as a float comes.
#[expect(clippy::cast_possible_truncation, reason = "it saturates, and such a moment does not exist")]
#[expect(clippy::cast_precision_loss, reason = "the unit is at most a million")]
fn by_exponent(text: &str, unit: i64) -> Option<i64> {
    if !text.contains(['e', 'E']) {
        return None;
    }
    text.parse()
        .ok()
        .map(|number: f64| number * unit as f64)
        .filter(|n| n.is_finite())
        .map(|n| n.round() as i64)
}

const NAMES: [(&str, Format); 7] = [
    ("rfc3339", Format::Rfc3339),
    ("iso8601", Format::Iso8601),
    ("epoch", Format::Epoch),
    ("epoch_s", Format::EpochIn(1_000_000)),
    ("epoch_ms", Format::EpochIn(1_000)),
    ("epoch_us", Format::EpochIn(1)),
    ("epoch_ns", Format::EpochNanos),
];

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some((_, format)) = NAMES.into_iter().find(|(name, _)| *name == text) {
            return Ok(format);
        }
        if text.contains('%') {
            return Ok(Self::Strptime(text));
        }
        let known = NAMES.map(|(name, _)| format!("`{name}`")).join(", ");
        Err(format!("unknown format `{text}`, expected one of {known}, or one such as `%d.%m.%Y %H:%M`"))
    }
}

impl schemars::JsonSchema for Format {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimestampFormat".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = NAMES.map(|(name, _)| name);
        schemars::json_schema!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": "%" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    const NOON: i64 = 1_573_841_100_000_000; // 2019-11-15T18:05:00Z

    fn read(formats: &str, value: &str) -> Option<i64> {
        let after =
            run::<Timestamp>(&format!(r#"{{ field = "t", {formats} }}"#), &format!("{{\"t\":{value}}}"));
        if let Some(micros) = after.strip_prefix("{\"t\":").and_then(|rest| rest.strip_suffix('}')) {
            return Some(micros.parse().unwrap());
        }
        assert_eq!(after, "bad_timestamp: `t` is no time in the formats that are taken", "{value}");
        None
    }

    #[test]
    fn rfc3339_takes_that_and_nothing_else() {
        for (text, micros) in [
            ("2019-11-15T18:05:00Z", NOON),
            ("2019-11-15 18:05:00Z", NOON),
            ("2019-11-15T18:05:00.123456789Z", NOON + 123_456),
            ("2019-11-15T18:05:00.1+00:00", NOON + 100_000),
            ("2019-11-15T19:35:00+01:30", NOON),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ] {
            assert_eq!(read(r#"formats = ["rfc3339"]"#, &format!("{text:?}")), Some(micros), "{text}");
        }
        for value in [
            r#""""#,
            r#"" 2019-11-15T18:05:00Z""#,
            r#""2019-11-15T18:05:00Z ""#,
            r#""2019-11-15  18:05:00Z""#,
            r#""2019-11-15t18:05:00z""#,
            r#""2019-11-15T18:05:00""#,
            r#""2019-11-15T18:05Z""#,
            r#""2019-11-15""#,
            r#""2019-11-15T18:05:00.Z""#,
            r#""2019-11-15T18:05:00.1234567890Z""#,
            r#""2019-11-15T18:05:00+0100""#,
            r#""2019-11-15T24:00:00Z""#,
            r#""2019-11-15T18:05:60Z""#,
            r#""2019-02-29T18:05:00Z""#,
            r#""2019-13-01T18:05:00Z""#,
            r#""２019-11-15T18:05:00Z""#,
            r#""1573841100""#,
            "1573841100",
            "1573841100000000",
            "true",
            "[]",
            r#"["2019-11-15T18:05:00Z"]"#,
            "{}",
        ] {
            assert_eq!(read(r#"formats = ["rfc3339"]"#, value), None, "{value}");
        }
    }

    #[test]
    fn numbers_count_in_their_unit() {
        for (format, value, micros) in [
            ("epoch", "1573841100", Some(NOON)),
            ("epoch", "1573841100000", Some(NOON)),
            ("epoch", "1573841100000000", Some(NOON)),
            ("epoch", "\"1573841100\"", None),
            ("epoch_s", "1573841100", Some(NOON)),
            ("epoch_s", "\" 1573841100 \"", Some(NOON)),
            ("epoch_s", "1573841100.1234567", Some(NOON + 123_456)),
            ("epoch_s", "\"-1.5\"", Some(-1_500_000)),
            ("epoch_s", "1.5738411e9", Some(NOON)),
            ("epoch_ms", "1573841100000.5", Some(NOON + 500)),
            ("epoch_us", "1573841100000000.9", Some(NOON)),
            ("epoch_ns", "1573841100000000999", Some(NOON)),
            ("epoch_ns", "-1", Some(-1)),
            ("epoch_s", "1573841100000", None),
            ("epoch_s", "9223372036854775807", None),
            ("epoch_us", "123456789012345678901234567890", None),
            ("epoch_us", "1e300", None),
            ("epoch_s", "\"\"", None),
            ("epoch_s", "\"-\"", None),
            ("epoch_s", "\"--1\"", None),
            ("epoch_s", "\"1.\"", None),
            ("epoch_s", "\".5\"", None),
            ("epoch_s", "\"inf\"", None),
            ("epoch_s", "\"nan\"", None),
            ("epoch_s", "\"1e999\"", None),
            ("epoch_s", "\"１\"", None),
            ("epoch_s", "true", None),
            ("epoch_s", "[1573841100]", None),
        ] {
            assert_eq!(read(&format!("formats = [\"{format}\"]"), value), micros, "{value} as {format}");
        }
    }

    #[test]
    fn other_notations_are_read() {
        let berlin = r#", timezone = "Europe/Berlin""#;
        for (formats, text, micros) in [
            (r#"["%d/%b/%Y:%H:%M:%S %z"]"#.to_owned(), "15/Nov/2019:19:05:00 +0100", Some(NOON)),
            (r#"["%d/%b/%Y:%H:%M:%S %z"]"#.to_owned(), "15/Nov/2019:19:05:00", None),
            (r#"["%d.%m.%Y %H:%M"]"#.to_owned(), " 15.11.2019 18:05 ", Some(NOON)),
            (format!(r#"["%d.%m.%Y %H:%M"]{berlin}"#), "15.11.2019 19:05", Some(NOON)),
            (format!(r#"["%d.%m.%Y"]{berlin}"#), "16.11.2019", Some(1_573_858_800_000_000)),
            (r#"["%d.%m.%Y %H:%M"], timezone = "-01:30""#.to_owned(), "15.11.2019 16:35", Some(NOON)),
            // Clocks show half past two twice, and never.
            (format!(r#"["%F %T"]{berlin}"#), "2019-10-27 02:30:00", Some(1_572_136_200_000_000)),
            (format!(r#"["%F %T"]{berlin}"#), "2019-03-31 02:30:00", Some(1_553_995_800_000_000)),
            (r#"["%F %T%.f"]"#.to_owned(), "2019-11-15 18:05:00.25", Some(NOON + 250_000)),
            (r#"["%s"]"#.to_owned(), "1573841100", Some(NOON)),
            (r#"["iso8601"]"#.to_owned(), "2019-11-15T18:05Z", Some(NOON)),
            (r#"["iso8601"]"#.to_owned(), "2019-11-15t18:05:00z", Some(NOON)),
            (r#"["iso8601"]"#.to_owned(), "20191115T180500", Some(NOON)),
            (format!(r#"["iso8601"]{berlin}"#), "2019-11-15T19:05", Some(NOON)),
            (format!(r#"["iso8601"]{berlin}"#), "2019-11-16", Some(1_573_858_800_000_000)),
            (r#"["iso8601"]"#.to_owned(), "yesterday", None),
            (r#"["epoch_ms", "%F", "rfc3339"]"#.to_owned(), "2019-11-15T18:05:00Z", Some(NOON)),
        ] {
            assert_eq!(
                read(&format!("formats = {formats}"), &format!("{text:?}")),
                micros,
                "{text} as {formats}"
            );
        }
    }

    #[test]
    fn the_short_form_reads_what_the_pipeline_reads() {
        for value in ["\"2019-11-15 18:05:00Z\"", "1573841100", "1573841100000", "1573841100000000"] {
            check::<Timestamp>(
                r#""a.t""#,
                &format!(r#"{{"a":{{"t":{value}}}}}"#),
                &expect![[r#"{"a":{"t":1573841100000000}}"#]],
            );
        }
        assert_eq!(edits::<Timestamp>(r#""t""#, r#"{"t":1573841100000000}"#), 0);
    }

    #[test]
    fn what_is_missing_or_unreadable_is_treated_as_the_pipeline_says() {
        for event in ["{}", r#"{"t":null}"#] {
            assert_eq!(run::<Timestamp>(r#""t""#, event), event);
            let after =
                |missing| run::<Timestamp>(&format!(r#"{{ field = "t", missing = "{missing}" }}"#), event);
            assert_eq!(after("received"), r#"{"t":1573841200000000}"#);
            assert_eq!(after("drop"), "dropped");
            assert_eq!(after("quarantine"), "no_timestamp: `t` is missing or null");
        }
        let event = r#"{"t":"soon","receivedAt":1573841000}"#;
        let after = |what| run::<Timestamp>(&format!(r#"{{ field = "t", unreadable = "{what}" }}"#), event);
        assert_eq!(after("null"), r#"{"t":null,"receivedAt":1573841000}"#);
        assert_eq!(after("received"), r#"{"t":1573841000000000,"receivedAt":1573841000}"#);
        assert_eq!(after("keep"), event);
        assert_eq!(after("drop"), "dropped");
    }

    #[test]
    fn a_clock_that_is_wrong_is_set_right() {
        let skewed = |event: &str| run::<Timestamp>(r#"{ field = "t", skew = { sent = "s" } }"#, event);
        // Ten years slow: written five seconds before it was sent, received at 18:06:00.
        let event =
            r#"{"t":"2009-11-15T18:05:00Z","s":"2009-11-15T18:05:05Z","receivedAt":"2019-11-15T18:06:00Z"}"#;
        assert_eq!(
            skewed(event),
            r#"{"t":1573841155000000,"s":"2009-11-15T18:05:05Z","receivedAt":"2019-11-15T18:06:00Z"}"#
        );
        // Without a receipt that can be believed, the stream's.
        for receipt in ["null", "\"soon\"", "\"2099-01-01T00:00:00Z\""] {
            let event = format!(r#"{{"t":1573841100,"s":1573841110,"receivedAt":{receipt}}}"#);
            assert!(skewed(&event).starts_with(r#"{"t":1573841190000000,"#));
        }
        for sent in ["null", "\"soon\"", "[]", "{}"] {
            let event = format!(r#"{{"t":1573841100,"s":{sent}}}"#);
            assert!(skewed(&event).starts_with(r#"{"t":1573841100000000,"#));
        }
        check::<Timestamp>(
            r#"{ field = "t", skew = { sent = "context.sentAt", received = "got" } }"#,
            r#"{"t":1573841100,"context":{"sentAt":1573841100},"got":1573841101}"#,
            &expect![[r#"{"t":1573841101000000,"context":{"sentAt":1573841100},"got":1573841101}"#]],
        );
        // What that makes of the ends of time is a time.
        let far = r#"{"t":"9999-12-30T21:59:59Z","s":"0001-01-01T00:00:00Z"}"#;
        assert!(skewed(far).starts_with(r#"{"t":1573841200000000,"#));
    }

    #[test]
    fn a_time_out_of_bounds_is_treated_as_the_pipeline_says() {
        let after = |outside: &str, event: &str| {
            let settings = format!(r#"{{ field = "t", max_future = "100s", max_past = "1h"{outside} }}"#);
            run::<Timestamp>(&settings, event)
        };
        let (late, early) = (r#"{"t":1573841301}"#, r#"{"t":1573837599}"#);
        assert_eq!(after("", r#"{"t":1573841300}"#), r#"{"t":1573841300000000}"#);
        assert_eq!(after("", r#"{"t":1573837600}"#), r#"{"t":1573837600000000}"#);
        assert_eq!(after("", late), "timestamp_too_late: `t` lies too far after the receipt");
        assert_eq!(after("", early), "timestamp_too_early: `t` lies too far before the receipt");
        let clamp = r#", outside = "clamp""#;
        assert_eq!(after(clamp, late), r#"{"t":1573841300000000}"#);
        assert_eq!(after(clamp, early), r#"{"t":1573837600000000}"#);
        assert_eq!(after(r#", outside = "received""#, late), r#"{"t":1573841200000000}"#);
        assert_eq!(after(r#", outside = "drop""#, early), "dropped");
        check::<Timestamp>(
            r#"{ field = "t", max_future = "1h", outside = "clamp", skew = { sent = "s" } }"#,
            r#"{"t":4102444800,"s":4102444800}"#,
            &expect![[r#"{"t":1573841200000000,"s":4102444800}"#]],
        );
        check::<Timestamp>(
            r#"{ field = "t", max_past = "15250284w", outside = "clamp" }"#,
            r#"{"t":-62135596800}"#,
            &expect![[r#"{"t":-62135596800000000}"#]],
        );
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Timestamp>(
            r#"{ field = "t", formats = [] }"#,
            &expect!["no format is named, so the step does nothing"],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["rfc3393"] }"#,
            &expect![
                "unknown format `rfc3393`, expected one of `rfc3339`, `iso8601`, `epoch`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or one such as `%d.%m.%Y %H:%M` = did you mean `rfc3339`?"
            ],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["%H:%M"] }"#,
            &expect!["the format `%H:%M` does not work: it does not say the whole date"],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["%m %Y"] }"#,
            &expect!["the format `%m %Y` does not work: it does not say the whole date"],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["%Y-%m-%d %K"] }"#,
            &expect![
                "the format `%Y-%m-%d %K` does not work: strftime formatting failed: found unrecognized specifier directive `K`"
            ],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["%Y-%m-%d %Z"] }"#,
            &expect![
                "the format `%Y-%m-%d %Z` does not work: strptime parsing failed: parsing time zone abbreviation is not allowed"
            ],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", formats = ["iso8601"], timezone = "Berlin" }"#,
            &expect![
                "`Berlin` is no time zone = it is a name such as `Europe/Berlin`, or an offset such as `+01:00`"
            ],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", timezone = "Europe/Berlin" }"#,
            &expect![
                "`timezone` is for times without an offset, and none of the formats has such = take it out, or add a format such as `iso8601`"
            ],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", outside = "drop" }"#,
            &expect![[
                r#"`outside` says what becomes of a time that is out of bounds, and there are none = `max_future = "1h"` and `max_past = "30d"` are bounds"#
            ]],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", max_past = "30" }"#,
            &expect!["`30` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"],
        );
        refuse::<Timestamp>(
            r#"{ field = "t", max_past = "15250285w" }"#,
            &expect![
                "`15250285w` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"
            ],
        );
        refuse::<Timestamp>(r#"{ field = "t", skew = { } }"#, &expect!["missing setting `sent`"]);
        refuse::<Timestamp>(
            r#"{ field = "t", unreadable = "clamp" }"#,
            &expect![
                "unknown value `clamp`, expected one of `quarantine`, `null`, `received`, `keep`, `drop`"
            ],
        );
    }
}
