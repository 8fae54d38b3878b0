//! `clean.cast`: give fields the type that later steps and the lake count on.
//!
//! ```toml
//! clean.cast = { price = "float", "data.x" = "int", "items[].price" = "float" }
//! ```
//!
//! ```toml
//! clean.cast = { fields = { price = "float" }, otherwise = "null" }
//! ```
//! A field may be many: `items[].price`, `data.**`. A field that is missing or null stays so, and what has its type
//! already stays as it is written.
//!
//! | type | takes |
//! | --- | --- |
//! | `string` | numbers, as they are written, and `true` and `false` |
//! | `int` | text such as `" 42 "`, a number with nothing behind the point, true (1) and false (0). A whole number stays one however large it is; beyond 64 bits no `bigint` column takes it, so it lands in `rest` |
//! | `float` | text such as `"12.50"`, and any number |
//! | `decimal_comma` | text such as `"1.234,56"`, as tables from much of Europe have it, which becomes a float, and any number. Thousands may be parted by dots, blanks or apostrophes: `"1.234"` is 1234 |
//! | `bool` | `"true"`, `"false"`, `"1"`, `"0"`, 1 and 0 |
//! | `timestamp` | RFC 3339, or a number since 1970; it becomes UTC microseconds. `clean.timestamp` takes more |
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields and their types |
//! | `otherwise` | what becomes of what cannot be cast, an object or array too: `"quarantine"` (the default), `"null"`: null takes its place, or `"keep"`: it stays as it is |
//!
//! Rejects with `cannot_cast`.

use super::settings::{Each, Places, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, New, Number, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::time::Micros;
use serde::Deserialize;

pub(crate) struct Cast {
    fields: Vec<(Places, Type)>,
    otherwise: Otherwise,
    text: String,
}

/// What a field becomes.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[schemars(rename_all = "snake_case", !try_from)]
pub(crate) enum Type {
    /// A text.
    String,
    /// An integer.
    Int,
    /// A number with a point.
    Float,
    /// A number with a point, of a text with a comma.
    DecimalComma,
    /// True or false.
    Bool,
    /// UTC microseconds since 1970.
    Timestamp,
}

/// What becomes of what cannot be cast.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CastOtherwise")]
pub(crate) enum Otherwise {
    /// The event goes to the quarantine.
    #[default]
    Quarantine,
    /// Null takes its place.
    Null,
    /// It stays as it is.
    Keep,
}

impl Step for Cast {
    const NAME: &'static str = "clean.cast";
    type Settings = Each<Type, Otherwise>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = some(settings.fields, "field")?;
        Ok(Self {
            fields: fields.into_iter().map(|(pattern, wanted)| (Places::new(pattern), wanted)).collect(),
            otherwise: settings.otherwise,
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.fields.iter().map(|(places, _)| places.pattern()).collect(),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, otherwise, text } = self;
        for (places, wanted) in fields {
            let cast = |event: &mut Event, id: Id| {
                match (wanted.cast(event.value(id), text), *otherwise) {
                    (Some(Casted::Already), _) | (None, Otherwise::Keep) => {}
                    (Some(Casted::To(value)), _) => event.set(id, value),
                    (None, Otherwise::Null) => event.set(id, New::Null),
                    (None, Otherwise::Quarantine) => return Err(()),
                }
                Ok(())
            };
            if places.each(event, cast).is_err() {
                let detail = format!("`{places}` cannot be read as {}", wanted.name());
                return Verdict::Reject("cannot_cast", detail.into());
            }
        }
        Verdict::Keep
    }
}

/// A value in the type that is wanted.
enum Casted<'t> {
    /// It has it, or is null.
    Already,
    To(New<'t>),
}

impl TryFrom<String> for Type {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let all = [Self::String, Self::Int, Self::Float, Self::DecimalComma, Self::Bool, Self::Timestamp];
        all.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            let known = all.map(|one| format!("`{}`", one.name())).join(", ");
            format!("unknown type `{name}`, expected one of {known}")
        })
    }
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::DecimalComma => "decimal_comma",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
        }
    }

    /// The value in this type, a text in the room that is given; none where it cannot be.
    fn cast<'t>(self, value: Value<'_>, room: &'t mut String) -> Option<Casted<'t>> {
        let text = value.as_str().map(str::trim);
        Some(Casted::To(match (self, value, text) {
            (_, Value::Null, _) | (Self::String, Value::String(_), _) | (Self::Bool, Value::Bool(_), _) => {
                return Some(Casted::Already);
            }
            (Self::Int, Value::Number(number), _) if number.is_integer() => return Some(Casted::Already),
            (Self::Float | Self::DecimalComma, Value::Number(number), _) if !number.is_integer() => {
                return Some(Casted::Already);
            }
            (Self::String, Value::Number(number), _) => {
                room.clear();
                room.push_str(number.text());
                New::Str(room)
            }
            (Self::String, Value::Bool(flag), _) => New::Str(if flag { "true" } else { "false" }),
            (Self::Int, _, Some(text)) => {
                if let Ok(int) = text.parse() {
                    New::Int(int)
                } else {
                    room.clear();
                    room.push_str(large_int(text)?);
                    New::Json(room)
                }
            }
            (Self::Int, Value::Number(number), _) => New::Int(whole(number.as_f64())?),
            (Self::Int, Value::Bool(flag), _) => New::Int(flag.into()),
            (Self::Float, _, Some(text)) => {
                New::Float(text.parse().ok().filter(|float: &f64| float.is_finite())?)
            }
            (Self::DecimalComma, _, Some(text)) => New::Float(decimal_comma(text, room)?),
            (Self::Float | Self::DecimalComma, Value::Number(number), _) => New::Float(number.as_f64()),
            (Self::Bool, _, Some("true" | "1")) => New::Bool(true),
            (Self::Bool, _, Some("false" | "0")) => New::Bool(false),
            (Self::Bool, Value::Number(number), _) => match number.as_i64()? {
                0 => New::Bool(false),
                1 => New::Bool(true),
                _ => return None,
            },
            (Self::Timestamp, value, _) => match Micros::read(value)?.get() {
                micros if value.as_number().and_then(Number::as_i64) == Some(micros) => {
                    return Some(Casted::Already);
                }
                micros => New::Int(micros),
            },
            _ => return None,
        }))
    }
}

/// A whole number that i64 does not reach, as JSON has it.
fn large_int(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_written_so = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_finite = text.parse().is_ok_and(f64::is_finite);
    (is_written_so && is_finite).then_some(text)
}

/// The float of a text with a comma before its decimals.
fn decimal_comma(text: &str, room: &mut String) -> Option<f64> {
    let (whole, decimals) =
        text.split_once(',').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // No-break spaces are blanks, too; all have to be the same.
    let sign = unsigned.chars().find(|sign| matches!(sign, '.' | ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}'));
    if let Some(sign) = sign {
        let mut groups = unsigned.split(sign);
        let first = groups.next()?;
        if !(1..=3).contains(&first.len()) || !groups.all(|group| group.len() == 3 && are_digits(group)) {
            return None;
        }
    }
    room.clear();
    room.extend(whole.chars().filter(|other| Some(*other) != sign));
    if !are_digits(room.strip_prefix(['-', '+']).unwrap_or(room)) || !decimals.is_none_or(are_digits) {
        return None;
    }
    room.push('.');
    room.push_str(decimals.unwrap_or_default());
    room.parse().ok().filter(|float: &f64| float.is_finite())
}

/// The integer that a float is; none where it has a fraction or i64 does not reach.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(float: f64) -> Option<i64> {
    let reach = 2_f64.powi(63);
    (float.fract() == 0.0 && (-reach..reach).contains(&float)).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    #[test]
    fn fields_get_the_type_they_are_said_to_have() {
        for (wanted, given, cast) in [
            ("string", "1.5", "\"1.5\""),
            ("string", "true", "\"true\""),
            ("string", "\" x \"", "\" x \""),
            ("int", "\" 42 \"", "42"),
            ("int", "42.0", "42"),
            ("int", "true", "1"),
            ("int", "18446744073709551615", "18446744073709551615"),
            ("int", "9223372036854775808", "9223372036854775808"),
            ("int", "\"9223372036854775808\"", "9223372036854775808"),
            ("int", "\"-99999999999999999999\"", "-99999999999999999999"),
            ("decimal_comma", "\"1.234,56\"", "1234.56"),
            ("decimal_comma", "\" -12,5 \"", "-12.5"),
            ("decimal_comma", "\"1.234\"", "1234.0"),
            ("decimal_comma", "\"1 234 567,8\"", "1234567.8"),
            ("decimal_comma", "\"1'234\"", "1234.0"),
            ("decimal_comma", "\"12\u{a0}345,00\"", "12345.0"),
            ("decimal_comma", "0.5", "0.5"),
            ("decimal_comma", "7", "7.0"),
            ("int", "-9223372036854775808.0", "-9223372036854775808"),
            ("float", "\"12.50\"", "12.5"),
            ("float", "12", "12.0"),
            ("bool", "\"true\"", "true"),
            ("bool", "0", "false"),
            ("timestamp", "\"2019-11-15 18:05:00Z\"", "1573841100000000"),
            ("timestamp", "1573841100", "1573841100000000"),
            ("float", "null", "null"),
        ] {
            let after = run::<Cast>(&format!("{{ a = {wanted:?} }}"), &format!("{{\"a\":{given}}}"));
            assert_eq!(after, format!("{{\"a\":{cast}}}"), "{given} as {wanted}");
        }
    }

    #[test]
    fn what_cannot_be_cast_is_rejected_without_being_repeated() {
        for (wanted, given) in [
            ("string", "[1]"),
            ("string", "{}"),
            ("int", "1.5"),
            ("int", "9223372036854775808.0"),
            ("int", "\"x@example.com\""),
            ("int", "\"\""),
            ("int", "\"-\""),
            ("int", "\"0099999999999999999999\""),
            ("int", "\"9223372036854775808.0\""),
            ("decimal_comma", "\"1,234.56\""),
            ("decimal_comma", "\"1.23,4\""),
            ("decimal_comma", "\"1.234 567\""),
            ("decimal_comma", "\".123,4\""),
            ("decimal_comma", "\"1,\""),
            ("decimal_comma", "\",5\""),
            ("decimal_comma", "\"1e5\""),
            ("decimal_comma", "\"+-1\""),
            ("decimal_comma", "\"\""),
            ("float", "\"1e999\""),
            ("float", "\"NaN\""),
            ("float", "\"12,5\""),
            ("float", "true"),
            ("bool", "2"),
            ("bool", "\"yes\""),
            ("timestamp", "\"yesterday\""),
        ] {
            let after = run::<Cast>(&format!("{{ a = {wanted:?} }}"), &format!("{{\"a\":{given}}}"));
            assert_eq!(after, format!("cannot_cast: `a` cannot be read as {wanted}"), "{given}");
        }
    }

    #[test]
    fn nested_fields_are_cast_and_missing_ones_stay_missing() {
        check::<Cast>(
            r#"{ "data.x" = "int", "data.y" = "int" }"#,
            r#"{"data":{"x":"7"}}"#,
            &expect![[r#"{"data":{"x":7}}"#]],
        );
    }

    #[test]
    fn patterns_reach_all_they_fit() {
        check::<Cast>(
            r#"{ "items[].price" = "float", "data.**" = "string" }"#,
            r#"{"items":[{"price":"1"},{"sku":"é"},null,{"price":2.5}],"data":{"a":[1,{"b":true}],"c":null}}"#,
            &expect![[
                r#"{"items":[{"price":1.0},{"sku":"é"},null,{"price":2.5}],"data":{"a":["1",{"b":"true"}],"c":null}}"#
            ]],
        );
        check::<Cast>(
            r#"{ "items[].price" = "float" }"#,
            r#"{"items":[{"price":1},{"price":"x@example.com"}]}"#,
            &expect!["cannot_cast: `items[].price` cannot be read as float"],
        );
        check::<Cast>(
            r#"{ "items[].price" = "float" }"#,
            r#"{"items":{"price":1}}"#,
            &expect![[r#"{"items":{"price":1}}"#]],
        );
    }

    #[test]
    fn what_cannot_be_cast_may_become_null_or_stay() {
        let event = r#"{"a":"x","b":[1],"c":"1"}"#;
        let fields = r#"fields = { a = "int", b = "int", c = "int" }"#;
        check::<Cast>(
            &format!(r#"{{ {fields}, otherwise = "null" }}"#),
            event,
            &expect![[r#"{"a":null,"b":null,"c":1}"#]],
        );
        check::<Cast>(
            &format!(r#"{{ otherwise = "keep", {fields} }}"#),
            event,
            &expect![[r#"{"a":"x","b":[1],"c":1}"#]],
        );
        check::<Cast>(&format!("{{ {fields} }}"), event, &expect!["cannot_cast: `a` cannot be read as int"]);
        check::<Cast>(r#"{ fields = "int" }"#, r#"{"fields":"7"}"#, &expect![[r#"{"fields":7}"#]]);
    }

    #[test]
    fn what_has_its_type_is_no_change() {
        let settings = r#"{ a = "string", b = "int", c = "float", d = "bool", e = "timestamp", f = "int" }"#;
        let event = r#"{"a":"x","b":1,"c":1.50,"d":true,"e":1573841100000000,"f":null}"#;
        assert_eq!(edits::<Cast>(settings, event), 0);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Cast>("{}", &expect!["no field is named, so the step does nothing"]);
        refuse::<Cast>(
            r#"{ price = "float", otherwise = "null" }"#,
            &expect![
                "`otherwise` wants the fields in a table beside it: `{ fields = { … }, otherwise = … }`"
            ],
        );
        refuse::<Cast>(
            r#"{ fields = { price = "float" }, otherwise = "nul" }"#,
            &expect![
                "unknown value `nul`, expected one of `quarantine`, `null`, `keep` = did you mean `null`?"
            ],
        );
        refuse::<Cast>(
            r#"{ fields = { price = "float" }, other = "null" }"#,
            &expect!["`other` stands beside `fields`, which takes all fields"],
        );
    }
}
