//! `enrich.constant`: set fields to values that are the same for all events.
//!
//! ```toml
//! enrich.constant = { environment = "prod", "meta.version" = 3, sampled = false }
//! ```
//! A value is a string, a number, true or false, or a date or time, which becomes a string. Whatever a producer had put
//! there goes, also what stands in the way of a longer path. `"items[].currency" = "EUR"` sets it in each element that is
//! an object. The step rejects nothing.

use super::settings::{Entries, Scope, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, New, Path, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Constant(Vec<(Scope, Path, Scalar)>);

#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Step for Constant {
    const NAME: &'static str = "enrich.constant";
    type Settings = Entries<ItemPath, Constants>;

    fn compile(fields: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let scalar = |(field, Constants(value)): (ItemPath, Constants)| {
            let Some(value) = Scalar::new(value) else {
                let field = Pattern::from(field);
                return Err(Mistake::new(format!("the value of `{field}` is a table or a list, or no number"))
                    .with_help("it may be a string, a number, true or false; a field with dots in its name needs quotes here: \"data.x\""));
            };
            let (scope, path) = Scope::new(field);
            Ok((scope, path, value))
        };
        some(fields.0, "field")?.into_iter().map(scalar).collect::<Result<_, _>>().map(Self)
    }

    fn touches(&self) -> Touches {
        let writes = self.0.iter().map(|(scope, path, _)| scope.pattern(path)).collect();
        Touches { writes, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (scope, path, value) in &mut self.0 {
            scope.each_object(event, |event, top| {
                if !event.get_in(top, path).is_some_and(|there| value.is(there)) {
                    event.put_in(top, path, value.new_value());
                }
                Verdict::Keep
            });
        }
        Verdict::Keep
    }
}

/// A value of TOML.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Constants(toml::Value);

impl schemars::JsonSchema for Constants {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Constant".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Scalar {
    fn new(value: toml::Value) -> Option<Self> {
        Some(match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(int) => Self::Int(int),
            toml::Value::Float(float) if float.is_finite() => Self::Float(float),
            toml::Value::Boolean(flag) => Self::Bool(flag),
            toml::Value::Datetime(moment) => Self::Text(moment.to_string()),
            toml::Value::Float(_) | toml::Value::Array(_) | toml::Value::Table(_) => return None,
        })
    }

    /// Whether this is the value already.
    fn is(&self, there: Value<'_>) -> bool {
        match (self, there) {
            (Self::Text(text), Value::String(there)) => text == there,
            (Self::Int(int), Value::Number(there)) => there.as_i64() == Some(*int),
            (Self::Float(float), Value::Number(there)) => {
                !there.is_integer() && there.as_f64().total_cmp(float).is_eq()
            }
            (Self::Bool(flag), Value::Bool(there)) => *flag == there,
            _ => false,
        }
    }

    fn new_value(&self) -> New<'_> {
        match self {
            Self::Text(text) => New::Str(text),
            Self::Int(int) => New::Int(*int),
            Self::Float(float) => New::Float(*float),
            Self::Bool(flag) => New::Bool(*flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse};
    use expect_test::expect;

    const SETTINGS: &str = r#"{ e = "prod é", "m.v" = 3, f = 0.5, s = false, d = 2026-11-20T13:05:00Z }"#;

    #[test]
    fn fields_get_their_values() {
        let all = expect![[r#"{"e":"prod é","m":{"v":3},"f":0.5,"s":false,"d":"2026-11-20T13:05:00Z"}"#]];
        check::<Constant>(SETTINGS, "{}", &all);
        check::<Constant>(
            SETTINGS,
            r#"{"d":null,"s":{"x":1},"m":"in the way","e":["prod"],"f":"0.5"}"#,
            &expect![[r#"{"d":"2026-11-20T13:05:00Z","s":false,"m":{"v":3},"e":"prod é","f":0.5}"#]],
        );
        let after = crate::step::run::<Constant>(SETTINGS, "{}");
        assert_eq!(edits::<Constant>(SETTINGS, &after), 0);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Constant>("{}", &expect!["no field is named, so the step does nothing"]);
        for settings in ["{ a = [1] }", "{ a.b = 1 }", "{ a = nan }"] {
            refuse::<Constant>(
                settings,
                &expect![[
                    r#"the value of `a` is a table or a list, or no number = it may be a string, a number, true or false; a field with dots in its name needs quotes here: "data.x""#
                ]],
            );
        }
    }
}
