//! `anonymize.generalize`: keep roughly what a value is.
//!
//! ```toml
//! anonymize.generalize = { age = [18, 30, 50], salary = 10000, birthday = "year", "home.lat" = { decimals = 1 } }
//! ```
//! | written | what becomes of the value |
//! | --- | --- |
//! | `[18, 30, 50]` | the range that the number is in, as text: `<18`, `18-30`, `30-50`, `50+`. A bound belongs to the range above it |
//! | `10000` | the number rounded down to a multiple of this: 27 500 becomes 20000 |
//! | `"hour"` | the moment rounded down, in UTC: `"minute"`, `"hour"`, `"day"`, `"week"` (from Monday on), `"month"` or `"year"`. A moment is what `[event]` takes for one; a text stays a text, a number stays a number in its unit |
//! | `{ decimals = 1 }` | the number rounded to so many decimals, 0 to 9. Of a latitude one is some 11 km, two are 1.1 km |
//!
//! A field may be a pattern, `"people[].age"`. A number may be written as text, `"27"`. What is no number, or no moment, is
//! removed, never passed on. What is missing or null stays so. The step rejects nothing.

use super::settings::{Entries, Fields, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::time::{Micros, unit};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt::{self, Write as _};

pub(crate) struct Generalize {
    fields: Vec<(Fields, How)>,
    text: String,
}

pub(crate) enum How {
    /// The labels of the ranges below each bound, and of that above the last.
    Ranges(Vec<(f64, String)>, String),
    Step(f64),
    Period(Period),
    Decimals(i32),
}

#[derive(Clone, Copy)]
pub(crate) enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

const PERIODS: [(&str, Period); 6] = [
    ("minute", Period::Minute),
    ("hour", Period::Hour),
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
    ("year", Period::Year),
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    decimals: u8,
}

impl<'de> Deserialize<'de> for How {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyHow;

        impl<'de> Visitor<'de> for AnyHow {
            type Value = How;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the bounds of ranges `[18, 30]`, a step, a period like \"day\", or `{ decimals = 1 }`",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<How, A::Error> {
                let mut bounds = Vec::new();
                while let Some(number) = list.next_element::<f64>()? {
                    if !number.is_finite() || bounds.last().is_some_and(|last| *last >= number) {
                        return Err(A::Error::custom("the bounds of ranges must be numbers that increase"));
                    }
                    bounds.push(number);
                }
                let Some((first, highest)) = bounds.first().zip(bounds.last()) else {
                    return Err(A::Error::custom("there is no bound in the list"));
                };
                let above = format!("{highest}+");
                let ranges = bounds.windows(2).filter_map(|two| match two {
                    [low, high] => Some((*high, format!("{low}-{high}"))),
                    _ => None,
                });
                Ok(How::Ranges(std::iter::once((*first, format!("<{first}"))).chain(ranges).collect(), above))
            }

            fn visit_i64<E: Error>(self, step: i64) -> Result<How, E> {
                #[expect(clippy::cast_precision_loss, reason = "nobody steps so far")]
                self.visit_f64(step as f64)
            }

            fn visit_f64<E: Error>(self, step: f64) -> Result<How, E> {
                if !step.is_finite() || step <= 0.0 {
                    return Err(E::custom("a step is a number above 0"));
                }
                Ok(How::Step(step))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<How, E> {
                let known = PERIODS.iter().find(|(known, _)| *known == name);
                known.map(|(_, period)| How::Period(*period)).ok_or_else(|| {
                    let known = PERIODS.map(|(known, _)| format!("`{known}`")).join(", ");
                    E::custom(format!("unknown period `{name}`, expected one of {known}"))
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<How, A::Error> {
                let Grid { decimals } = Grid::deserialize(MapAccessDeserializer::new(map))?;
                if decimals > 9 {
                    return Err(A::Error::custom("`decimals` is 0 to 9"));
                }
                Ok(How::Decimals(decimals.into()))
            }
        }

        deserializer.deserialize_any(AnyHow)
    }
}

impl schemars::JsonSchema for How {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Generalization".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "type": "array", "items": { "type": "number" }, "minItems": 1, "description": "The bounds of ranges." },
            { "type": "number", "exclusiveMinimum": 0, "description": "A step to round down to." },
            { "enum": PERIODS.map(|(name, _)| name), "description": "A period to round a moment down to, in UTC." },
            {
                "type": "object",
                "properties": { "decimals": { "type": "integer", "minimum": 0, "maximum": 9 } },
                "required": ["decimals"],
                "additionalProperties": false,
                "description": "Decimals to round to.",
            },
        ] })
    }
}

impl Step for Generalize {
    const NAME: &'static str = "anonymize.generalize";
    type Settings = Entries<Pattern, How>;

    fn compile(fields: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = some(fields.0, "field")?.into_iter();
        Ok(Self {
            fields: fields.map(|(field, how)| (Fields::new(vec![field]), how)).collect(),
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        let fields = self.fields.iter().flat_map(|(fields, _)| fields.patterns());
        Touches { hides: fields.cloned().collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, text } = self;
        for (fields, how) in fields {
            fields.each(event, |event, id| match how.rough(event.value(id), text) {
                _ if event.value(id).is_null() => {}
                Some(rough) if is(event.value(id), rough) => {}
                Some(rough) => event.set(id, rough),
                None => event.remove(id),
            });
        }
        Verdict::Keep
    }
}

/// Whether a value is so rough already.
fn is(value: Value<'_>, rough: New<'_>) -> bool {
    match (value, rough) {
        (Value::String(text), New::Str(rough)) => text == rough,
        (Value::Number(number), New::Int(rough)) => number.as_i64() == Some(rough),
        (Value::Number(number), New::Float(rough)) => {
            !number.is_integer() && number.as_f64().total_cmp(&rough).is_eq()
        }
        _ => false,
    }
}

/// The number that a value is, and whether it is written as an integer.
fn number(value: Value<'_>) -> Option<(f64, bool)> {
    let (number, is_integer) = match value {
        Value::Number(number) => (number.as_f64(), number.is_integer()),
        Value::String(text) => {
            let text = text.trim();
            (text.parse().ok()?, !text.contains(['.', 'e', 'E']))
        }
        _ => return None,
    };
    number.is_finite().then_some((number, is_integer))
}

/// The value as an integer, to the last digit; none where it is not written as one.
fn integer(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An integer rounded down to a multiple of a whole step.
fn down(int: i64, step: f64) -> Option<i64> {
    /// Up to here a float is the integer that it was written as.
    const EXACT: f64 = 9e15;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and in range")]
    let step = (step.fract() == 0.0 && step < EXACT).then_some(step as i64)?;
    int.div_euclid(step).checked_mul(step)
}

/// A number rounded down to a multiple of a step. What is a multiple but for the rounding of floats stays the one that it
/// is (`0.3 / 0.1` is a little less than 3), and a multiple has the decimals of the step.
fn multiple(number: f64, step: f64) -> f64 {
    let count = number / step;
    let nearest = count.round();
    let is_nearest = (count - nearest).abs() <= count.abs() * 4.0 * f64::EPSILON;
    let multiple = if is_nearest { nearest } else { count.floor() } * step;
    let rounded = |number: f64, scale: f64| (number * scale).round() / scale;
    let scale = (0..=9)
        .map(|decimals| 10_f64.powi(decimals))
        .find(|&scale| rounded(step, scale).total_cmp(&step).is_eq());
    scale.map(|scale| rounded(multiple, scale)).filter(|rounded| rounded.is_finite()).unwrap_or(multiple)
}

impl How {
    /// What is kept of a value; none where it is not what it should be. A text stands in the room that is given.
    fn rough<'t>(&'t self, value: Value<'_>, room: &'t mut String) -> Option<New<'t>> {
        match self {
            Self::Ranges(ranges, above) => {
                let (number, _) = number(value)?;
                let range = ranges.iter().find(|(bound, _)| number < *bound);
                Some(New::Str(range.map_or(above, |(_, label)| label)))
            }
            Self::Step(step) => {
                if let Some(rough) = integer(value).and_then(|int| down(int, *step)) {
                    return Some(New::Int(rough));
                }
                let (number, is_integer) = number(value)?;
                Some(written(multiple(number, *step), is_integer && step.fract() == 0.0))
            }
            Self::Decimals(decimals) => {
                if let Some(int) = integer(value) {
                    return Some(New::Int(int));
                }
                let (number, is_integer) = number(value)?;
                let scale = 10_f64.powi(*decimals);
                let rounded = (number * scale).round() / scale;
                // What is so large has no decimals.
                Some(written(if rounded.is_finite() { rounded } else { number }, is_integer))
            }
            Self::Period(period) => {
                let moment = match value {
                    Value::String(text) => Micros::read_text(text.trim())?,
                    value => Micros::read(value)?,
                };
                let begun = period.beginning(moment)?;
                if let Value::Number(number) = value {
                    // In the unit that it came in, if it would be read in that again.
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "both saturate"
                    )]
                    let unit_of = |number: f64| unit(number.abs() as u64);
                    let came = unit_of(number.as_f64());
                    let rough = begun.get() / came;
                    #[expect(clippy::cast_precision_loss, reason = "the units are far apart")]
                    if unit_of(rough as f64) == came {
                        return Some(New::Int(rough));
                    }
                }
                room.clear();
                let _ = write!(room, "{}", begun.rfc3339()); // writing to a String cannot fail
                Some(New::Str(room))
            }
        }
    }
}

fn written<'t>(number: f64, as_integer: bool) -> New<'t> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    if as_integer && number.abs() < 9e15 { New::Int(number as i64) } else { New::Float(number) }
}

impl Period {
    fn beginning(self, moment: Micros) -> Option<Micros> {
        const MINUTE: i64 = 60_000_000;
        const DAY: i64 = 24 * 60 * MINUTE;
        let micros = moment.get();
        let down = |to: i64, from: i64| Micros::new((micros - from).div_euclid(to) * to + from);
        match self {
            Self::Minute => down(MINUTE, 0),
            Self::Hour => down(60 * MINUTE, 0),
            Self::Day => down(DAY, 0),
            // 1970 began on a Thursday.
            Self::Week => down(7 * DAY, 4 * DAY),
            Self::Month => Micros::at_civil(moment.civil().date().first_of_month().at(0, 0, 0, 0)),
            Self::Year => Micros::at_civil(moment.civil().date().first_of_year().at(0, 0, 0, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{edits, refuse, run};
    use expect_test::expect;

    fn check(how: &str, pairs: &[(&str, &str)]) {
        for (value, expected) in pairs {
            let settings = format!("{{ \"a.**\" = {how}, \"items[].sku\" = {how} }}");
            let after = run::<Generalize>(&settings, &format!("{{\"a\":{value}}}"));
            let expected =
                if expected.is_empty() { "{}".to_owned() } else { format!("{{\"a\":{expected}}}") };
            assert_eq!(after, expected, "{value} by {how}");
            assert_eq!(edits::<Generalize>(&settings, "{\"a\":null,\"items\":7}"), 0);
        }
    }

    #[test]
    fn numbers_become_ranges() {
        check(
            "[18, 30, 49.5]",
            &[
                ("17", r#""<18""#),
                ("-1e3", r#""<18""#),
                ("18", r#""18-30""#),
                ("29.999", r#""18-30""#),
                (r#"" 30 ""#, r#""30-49.5""#),
                ("49.5", r#""49.5+""#),
                ("[17,50]", r#"["<18","49.5+"]"#),
                ("\"young\"", ""),
                ("\"NaN\"", ""),
                ("\"\"", ""),
                ("true", ""),
            ],
        );
        check("[0]", &[("-1", r#""<0""#), ("0", r#""0+""#)]);
    }

    #[test]
    fn numbers_go_down_to_a_step() {
        check(
            "10",
            &[("37", "30"), ("-1", "-10"), ("30", "30"), ("37.5", "30.0"), (r#""37""#, "30"), ("\"x\"", "")],
        );
        check("0.5", &[("1.7", "1.5"), ("2", "2.0"), ("1e300", "1e300")]);
        check("0.1", &[("0.3", "0.3"), ("0.6", "0.6"), ("0.7", "0.7"), ("0.69", "0.6"), ("-0.31", "-0.4")]);
        check("0.3", &[("0.9", "0.9"), ("1.2", "1.2"), ("1.19", "0.9")]);
        check("2.5", &[("7.5", "7.5"), ("7.4", "5.0")]);
        // No float comes near: they are integers before and behind.
        check(
            "10",
            &[
                ("9007199254740993", "9007199254740990"),
                ("-9007199254740993", "-9007199254741000"),
                (r#""9007199254740993""#, "9007199254740990"),
                ("9223372036854775807", "9223372036854775800"),
                ("-9223372036854775808", "-9.223372036854776e+18"),
                ("18446744073709551615", "1.8446744073709552e+19"),
            ],
        );
    }

    #[test]
    fn numbers_are_rounded_to_decimals() {
        check(
            "{ decimals = 2 }",
            &[
                ("48.13743", "48.14"),
                ("-0.001", "-0.0"),
                ("7", "7"),
                ("1e308", "1e308"),
                ("9007199254740993", "9007199254740993"),
                ("18446744073709551615", "1.8446744073709552e+19"),
            ],
        );
        check(
            "{ decimals = 0 }",
            &[("48.13743", "48.0"), (r#""11.5755""#, "12.0"), ("[]", "[]"), ("false", "")],
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_rough_gets_no_rougher(units in -100_000_i64..100_000, step in 1_u32..100, decimals in 0_i32..4) {
            let step = f64::from(step) / 10_f64.powi(decimals);
            #[expect(clippy::cast_precision_loss, reason = "it is small")]
            let once = multiple(units as f64 / 1000.0, step);
            proptest::prop_assert_eq!(multiple(once, step).to_bits(), once.to_bits());
        }
    }

    #[test]
    fn moments_go_down_to_a_period() {
        for (period, expected) in [
            ("minute", "2019-11-15T18:05:00Z"),
            ("hour", "2019-11-15T18:00:00Z"),
            ("day", "2019-11-15T00:00:00Z"),
            ("week", "2019-11-11T00:00:00Z"),
            ("month", "2019-11-01T00:00:00Z"),
            ("year", "2019-01-01T00:00:00Z"),
        ] {
            let expected = format!("\"{expected}\"");
            check(
                &format!("\"{period}\""),
                &[("\"2019-11-15T18:05:59.5Z\"", &expected), ("\" 2019-11-15 19:05:00+01:00\"", &expected)],
            );
        }
        check(
            "\"day\"",
            &[
                ("1573841100", "1573776000"),
                ("1573841100123", "1573776000000"),
                ("1573841100123456", "1573776000000000"),
                ("1573841100.5", "1573776000"),
                ("-1", "-86400"),
                ("100000000001", r#""1973-03-03T00:00:00Z""#),
                ("\"soon\"", ""),
                ("\"\"", ""),
                ("1e300", ""),
                ("true", ""),
            ],
        );
        check("\"year\"", &[("\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\"")]);
        check("\"week\"", &[("\"0001-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\"")]);
    }

    #[test]
    fn what_is_rough_already_is_no_change() {
        let settings = r#"{ a = 10, b = "day", c = [18], d = { decimals = 1 }, e = 0.5 }"#;
        let rough = r#"{"a":30,"b":"2019-11-15T00:00:00Z","d":1.5,"e":1.5}"#;
        assert_eq!(edits::<Generalize>(settings, rough), 0);
    }

    #[test]
    fn mistakes_are_told() {
        let refuse = |how: &str, expected| refuse::<Generalize>(&format!("{{ a = {how} }}"), expected);
        refuse("[]", &expect!["there is no bound in the list"]);
        refuse("[30, 18]", &expect!["the bounds of ranges must be numbers that increase"]);
        refuse("[1, \"x\"]", &expect![[r#"wrong type: string "x", expected a number"#]]);
        refuse("0", &expect!["a step is a number above 0"]);
        refuse(
            "\"days\"",
            &expect![
                "unknown period `days`, expected one of `minute`, `hour`, `day`, `week`, `month`, `year` = did you mean `day`?"
            ],
        );
        refuse("{ decimals = 10 }", &expect!["`decimals` is 0 to 9"]);
        refuse(
            "{ decimal = 1 }",
            &expect!["unknown setting `decimal`, expected `decimals` = did you mean `decimals`?"],
        );
        refuse(
            "true",
            &expect![[
                r#"wrong type: boolean `true`, expected the bounds of ranges `[18, 30]`, a step, a period like "day", or `{ decimals = 1 }`"#
            ]],
        );
    }
}
