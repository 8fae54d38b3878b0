//! `clean.require`: drop or quarantine what lacks a field.
//!
//! ```toml
//! clean.require = ["id", "eventType"]
//! ```
//!
//! ```toml
//! clean.require = { fields = ["id", "eventType"], type = "string", otherwise = "quarantine" }
//! ```
//! A field that is null, or an empty string, is lacking too. Of `items[].sku` each element of `items` must have one; where
//! `items` is missing or empty, none lacks it, so name `items` too where it must be there.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields that an event must have |
//! | `type` | what each must be, too: `"string"`, `"int"`, `"number"`, `"bool"`, `"array"` or `"object"`; without it anything will do |
//! | `otherwise` | what becomes of the others: `"drop"` (the default; they count as filtered) or `"quarantine"` |
//!
//! Rejects with `missing`, and with `wrong_type`.

use super::settings::{Scope, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, Path, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Require {
    fields: Vec<Field>,
    r#type: Option<Type>,
    otherwise: Otherwise,
}

struct Field {
    name: Pattern,
    scope: Scope,
    path: Path,
}

/// `clean.require`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields that an event must have.
    fields: Vec<ItemPath>,
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

impl From<Vec<ItemPath>> for Settings {
    fn from(fields: Vec<ItemPath>) -> Self {
        Self { fields, r#type: None, otherwise: Otherwise::default() }
    }
}

impl Step for Require {
    const NAME: &'static str = "clean.require";
    type Settings = Short<Vec<ItemPath>, Settings>;

    fn compile(Short(settings, _): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { fields, r#type, otherwise } = settings;
        let field = |field: ItemPath| {
            let (name, (scope, path)) = (field.clone().into(), Scope::new(field));
            Field { name, scope, path }
        };
        Ok(Self { fields: some(fields, "field")?.into_iter().map(field).collect(), r#type, otherwise })
    }

    fn touches(&self) -> Touches {
        let reads = self.fields.iter().map(|field| field.name.clone()).collect();
        Touches { reads, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, r#type, otherwise } = self;
        for Field { name, scope, path } in fields {
            let verdict = scope.each(event, |event, top| {
                let value = event.get_in(top, path);
                let value = value.filter(|value| !matches!(value, Value::Null | Value::String("")));
                match (value, *otherwise) {
                    (Some(value), _) if r#type.is_none_or(|wanted| wanted.is(value)) => Verdict::Keep,
                    (_, Otherwise::Drop) => Verdict::Drop,
                    (None, Otherwise::Quarantine) => {
                        Verdict::Reject("missing", format!("`{name}` is missing, null or empty").into())
                    }
                    (Some(_), Otherwise::Quarantine) => {
                        let wanted = r#type.map_or("", Type::name);
                        Verdict::Reject("wrong_type", format!("`{name}` is not {wanted}").into())
                    }
                }
            });
            if verdict != Verdict::Keep {
                return verdict;
            }
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
    fn each_element_must_have_it() {
        let settings = r#"{ fields = ["items[].sku", "m[][].x"], otherwise = "quarantine" }"#;
        for enough in [
            "{}",
            r#"{"items":[]}"#,
            r#"{"items":7,"m":[7,[]]}"#,
            r#"{"items":[{"sku":"a"},{"sku":0}],"m":[[{"x":1}]]}"#,
        ] {
            assert_eq!(run::<Require>(settings, enough), enough);
        }
        for lacking in ["{}", r#"{"sku":null}"#, r#"{"sku":""}"#, "7", "null", r#"[{"sku":1}]"#] {
            let event = format!(r#"{{"items":[{{"sku":"a"}},{lacking}]}}"#);
            assert_eq!(run::<Require>(settings, &event), "missing: `items[].sku` is missing, null or empty");
            assert_eq!(run::<Require>(r#"["items[].sku"]"#, &event), "dropped");
        }
        let told = run::<Require>(settings, r#"{"m":[[{"x":1}],[{"x":2},{}]]}"#);
        assert_eq!(told, "missing: `m[][].x` is missing, null or empty");
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Require>("[]", &expect!["no field is named, so the step does nothing"]);
        refuse::<Require>("{ fields = [] }", &expect!["no field is named, so the step does nothing"]);
        refuse::<Require>(
            r#"["**.sku"]"#,
            &expect![
                "`**.sku` goes any way down, and this wants one field, of the event or of each element, like `data.x` or `items[].sku`"
            ],
        );
        refuse::<Require>(
            r#"["items[]"]"#,
            &expect!["`items[]` is each element itself, and this wants a field in it, like `items[].sku`"],
        );
    }
}
