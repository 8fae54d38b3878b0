//! `clean.require`: drop or quarantine what lacks a field.
//!
//! ```toml
//! clean.require = ["id", "eventType"]
//! ```
//!
//! ```toml
//! clean.require = { fields = ["id", "eventType"], type = "string", otherwise = "quarantine" }
//! ```
//! A field that is null, or an empty string, is lacking too. Each name is one field, `data.x`; what stands in an array
//! cannot be required.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields that an event must have |
//! | `type` | what each must be, too: `"string"`, `"int"`, `"number"`, `"bool"`, `"array"` or `"object"`; without it anything will do |
//! | `otherwise` | what becomes of the others: `"drop"` (the default; they count as filtered) or `"quarantine"` |
//!
//! Rejects with `missing`, and with `wrong_type`.

use super::settings::{Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Require(Settings);

/// `clean.require`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields that an event must have.
    fields: Vec<Path>,
    /// What each must be, too.
    r#type: Option<Type>,
    /// What becomes of an event that lacks one.
    #[serde(default)]
    otherwise: Otherwise,
}

/// What a field must be.
#[derive(Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    /// A text.
    String,
    /// A number without point and exponent.
    Int,
    /// Any number.
    Number,
    /// True or false.
    Bool,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// What becomes of an event that lacks a field.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    /// It is dropped, and counts as filtered.
    #[default]
    Drop,
    /// It goes to the quarantine.
    Quarantine,
}

impl From<Vec<Path>> for Settings {
    fn from(fields: Vec<Path>) -> Self {
        Self { fields, r#type: None, otherwise: Otherwise::default() }
    }
}

impl Step for Require {
    const NAME: &'static str = "clean.require";
    type Settings = Short<Vec<Path>, Settings>;

    fn compile(Short(mut settings, _): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        settings.fields = some(settings.fields, "field")?;
        Ok(Self(settings))
    }

    fn touches(&self) -> Touches {
        Touches { reads: self.0.fields.iter().cloned().map(Into::into).collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for path in &self.0.fields {
            let value = event.get(path).filter(|value| !matches!(value, Value::Null | Value::String("")));
            let is_right = |value| self.0.r#type.is_none_or(|wanted| wanted.is(value));
            if value.is_some_and(is_right) {
                continue;
            }
            return match (self.0.otherwise, value) {
                (Otherwise::Drop, _) => Verdict::Drop,
                (Otherwise::Quarantine, None) => {
                    Verdict::Reject("missing", format!("`{path}` is missing, null or empty").into())
                }
                (Otherwise::Quarantine, Some(_)) => {
                    let wanted = self.0.r#type.map_or("", Type::name);
                    Verdict::Reject("wrong_type", format!("`{path}` is not {wanted}").into())
                }
            };
        }
        Verdict::Keep
    }
}

impl Type {
    fn is(self, value: Value<'_>) -> bool {
        match self {
            Self::String => matches!(value, Value::String(_)),
            Self::Int => matches!(value, Value::Number(number) if number.is_integer()),
            Self::Number => matches!(value, Value::Number(_)),
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Array => matches!(value, Value::Array(_)),
            Self::Object => matches!(value, Value::Object(_)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, refuse, run};
    use expect_test::expect;

    #[test]
    fn what_lacks_a_field_is_dropped() {
        check::<Require>(
            r#"["id", "data.x"]"#,
            r#"{"data":{"x":0},"id":"a"}"#,
            &expect![[r#"{"data":{"x":0},"id":"a"}"#]],
        );
        check::<Require>(r#"["id"]"#, r#"{"id":false}"#, &expect![[r#"{"id":false}"#]]);
        for lacking in [r#"{"x":1}"#, r#"{"id":null}"#, r#"{"id":""}"#, r#"{"Id":"x"}"#] {
            check::<Require>(r#"["id"]"#, lacking, &expect!["dropped"]);
        }
        for in_the_way in [r#""x""#, "null", "[1]", r#"[{"x":1}]"#, "{}"] {
            assert_eq!(run::<Require>(r#"["data.x"]"#, &format!(r#"{{"data":{in_the_way}}}"#)), "dropped");
        }
    }

    #[test]
    fn or_goes_to_the_quarantine() {
        let settings = r#"{ fields = ["a", "b"], otherwise = "quarantine" }"#;
        check::<Require>(settings, r#"{"a":[],"b":{}}"#, &expect![[r#"{"a":[],"b":{}}"#]]);
        check::<Require>(settings, r#"{"a":1,"b":""}"#, &expect!["missing: `b` is missing, null or empty"]);
    }

    #[test]
    fn a_field_may_have_to_be_of_a_type() {
        for (wanted, right, wrong) in [
            ("string", r#""é""#, "7"),
            ("int", "123456789012345678901234567890", "1.0"),
            ("number", "-1e-7", "\"1\""),
            ("bool", "false", "0"),
            ("array", "[]", "{}"),
            ("object", "{}", "[]"),
        ] {
            let settings = format!(r#"{{ fields = ["a"], type = "{wanted}", otherwise = "quarantine" }}"#);
            let right = format!(r#"{{"a":{right}}}"#);
            assert_eq!(run::<Require>(&settings, &right), right);
            let after = run::<Require>(&settings, &format!(r#"{{"a":{wrong}}}"#));
            assert!(after.starts_with("wrong_type: `a` is not "), "{wanted} of {wrong}: {after}");
        }
        assert_eq!(run::<Require>(r#"{ fields = ["a"], type = "string" }"#, r#"{"a":7}"#), "dropped");
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Require>("[]", &expect!["no field is named, so the step does nothing"]);
        refuse::<Require>("{ fields = [] }", &expect!["no field is named, so the step does nothing"]);
        refuse::<Require>(
            r#"["items[].sku"]"#,
            &expect!["`items[].sku` may be many fields, and this wants one, like `data.x`"],
        );
    }
}
