//! `clean.cast`: give fields the type that later steps and the lake count on.
//!
//! ```toml
//! clean.cast = { price = "float", "data.x" = "int", at = "timestamp" }
//! ```
//! Types are `string`, `int`, `float`, `bool` and `timestamp` (which becomes UTC microseconds). Text is read as the
//! type is written, spaces around it aside; a float with nothing behind the point is an int. What cannot be cast
//! goes to the quarantine; a field that is missing or null stays so.

use super::settings::Entries;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::time::Micros;
use serde::Deserialize;

pub(crate) struct Cast {
    fields: Vec<(Path, Type)>,
    text: String,
}

#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[schemars(rename_all = "lowercase", !try_from)]
pub(crate) enum Type {
    String,
    Int,
    Float,
    Bool,
    Timestamp,
}

impl Step for Cast {
    const NAME: &'static str = "clean.cast";
    type Settings = Entries<Path, Type>;

    fn compile(fields: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: fields.0, text: String::new() })
    }

    fn touches(&self) -> Touches {
        let fields = self.fields.iter().map(|(path, _)| path.clone().into());
        Touches { reads: fields.collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (path, wanted) in &self.fields {
            let Some(id) = event.find(path) else { continue };
            match wanted.cast(event.value(id), &mut self.text) {
                Some(Casted::Already) => {}
                Some(Casted::To(value)) => event.set(id, value),
                None => {
                    let detail = format!("`{path}` cannot be read as {}", wanted.name());
                    return Verdict::Reject("cannot_cast", detail.into());
                }
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
        let all = [Self::String, Self::Int, Self::Float, Self::Bool, Self::Timestamp];
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
            (Self::Float, Value::Number(number), _) if !number.is_integer() => return Some(Casted::Already),
            (Self::String, Value::Number(number), _) => {
                room.clear();
                room.push_str(number.text());
                New::Str(room)
            }
            (Self::String, Value::Bool(flag), _) => New::Str(if flag { "true" } else { "false" }),
            (Self::Int, _, Some(text)) => New::Int(text.parse().ok()?),
            (Self::Int, Value::Number(number), _) => New::Int(whole(number.as_f64())?),
            (Self::Int, Value::Bool(flag), _) => New::Int(flag.into()),
            (Self::Float, _, Some(text)) => {
                New::Float(text.parse().ok().filter(|float: &f64| float.is_finite())?)
            }
            (Self::Float, Value::Number(number), _) => New::Float(number.as_f64()),
            (Self::Bool, _, Some("true" | "1")) => New::Bool(true),
            (Self::Bool, _, Some("false" | "0")) => New::Bool(false),
            (Self::Bool, Value::Number(number), _) => match number.as_i64()? {
                0 => New::Bool(false),
                1 => New::Bool(true),
                _ => return None,
            },
            (Self::Timestamp, value, _) => New::Int(Micros::read(value)?.get()),
            _ => return None,
        }))
    }
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
    use crate::step::{check, run};
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
            ("float", "\"1e999\""),
            ("float", "\"NaN\""),
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
}
