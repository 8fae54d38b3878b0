//! `clean.cast`: give fields the type that later steps and the lake count on.
//!
//! ```toml
//! clean.cast = { price = "float", "data.x" = "int", at = "timestamp" }
//! ```
//! Types are `string`, `int`, `float`, `bool` and `timestamp` (which becomes UTC microseconds). Text is read as the
//! type is written, spaces around it aside; a float with nothing behind the point is an int. What cannot be cast
//! goes to the quarantine; a field that is missing or null stays so.

use super::settings::Entries;
use super::{Context, Step, Verdict};
use crate::event::{Event, Path};
use crate::mistake::Mistake;
use crate::time::Micros;
use serde::Deserialize;
use serde_json::{Number, Value};

pub(crate) struct Cast(Vec<(Path, Type)>);

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
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

    fn compile(casts: Self::Settings) -> Result<Self, Mistake> {
        Ok(Self(casts.0))
    }

    fn apply(&self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (path, wanted) in &self.0 {
            let Some(value) = event.get_mut(path).filter(|value| !value.is_null()) else { continue };
            let Some(cast) = wanted.cast(value) else {
                let detail = format!("`{path}` cannot be read as {}", wanted.name());
                return Verdict::Reject("cannot_cast", detail.into());
            };
            *value = cast;
        }
        Verdict::Keep
    }
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

    fn cast(self, value: &Value) -> Option<Value> {
        let text = value.as_str().map(str::trim);
        match self {
            Self::String => match value {
                Value::String(_) => Some(value.clone()),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
                _ => None,
            },
            Self::Int => match (value, text) {
                (_, Some(text)) => text.parse::<i64>().ok().map(Value::from),
                (Value::Number(number), _) if number.is_f64() => whole(number.as_f64()?).map(Value::from),
                (Value::Number(_), _) => Some(value.clone()),
                (Value::Bool(flag), _) => Some(i64::from(*flag).into()),
                _ => None,
            },
            Self::Float => match (value, text) {
                (_, Some(text)) => Number::from_f64(text.parse().ok()?).map(Value::Number),
                (Value::Number(number), _) => Number::from_f64(number.as_f64()?).map(Value::Number),
                _ => None,
            },
            Self::Bool => match (value, text) {
                (Value::Bool(_), _) => Some(value.clone()),
                (_, Some("true" | "1")) => Some(true.into()),
                (_, Some("false" | "0")) => Some(false.into()),
                (Value::Number(number), _) => match number.as_i64()? {
                    0 => Some(false.into()),
                    1 => Some(true.into()),
                    _ => None,
                },
                _ => None,
            },
            Self::Timestamp => Micros::read(value).map(|moment| moment.get().into()),
        }
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
