//! `clean.default`: values for fields that an event lacks.
//!
//! ```toml
//! clean.default = { currency = "EUR", quantity = 1, "data.test" = false }
//! ```
//! The value, a text, a number, or true or false, stands where the field is missing or null; an empty text is neither
//! (`clean.empty_to_null` before this step makes it null). Objects on the way are made. Where something else is in the
//! way, a text at `data` for `data.test`, it stays, and the field is not set. `"items[].quantity" = 1` gives it to each
//! element that is an object.

use super::settings::{Entries, Scope, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, New, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use std::fmt;

pub(crate) struct Fill(Vec<Field>);

struct Field {
    scope: Scope,
    path: Path,
    parents: Vec<Path>,
    value: Scalar,
}

/// A value that TOML and JSON both have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Step for Fill {
    const NAME: &'static str = "clean.default";
    type Settings = Entries<ItemPath, Scalar>;

    fn compile(Entries(fields): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let field = |(field, value): (ItemPath, Scalar)| {
            let (scope, path) = Scope::new(field);
            Field { parents: path.parents().collect(), scope, path, value }
        };
        Ok(Self(some(fields, "field")?.into_iter().map(field).collect()))
    }

    fn touches(&self) -> Touches {
        let reads = self.0.iter().map(|field| field.scope.pattern(&field.path)).collect();
        Touches { reads, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for Field { scope, path, parents, value } in &mut self.0 {
            scope.each_object(event, |event, top| {
                match event.find_in(top, path) {
                    Some(id) if event.value(id).is_null() => event.set(id, value.as_new()),
                    Some(_) => {}
                    None => {
                        let is_free = |parent| {
                            let there = event.get_in(top, parent);
                            there.is_none_or(|value| matches!(value, Value::Null | Value::Object(_)))
                        };
                        if parents.iter().all(is_free) {
                            event.put_in(top, path, value.as_new());
                        }
                    }
                }
                Verdict::Keep
            });
        }
        Verdict::Keep
    }
}

impl Scalar {
    fn as_new(&self) -> New<'_> {
        match self {
            Self::Bool(flag) => New::Bool(*flag),
            Self::Int(int) => New::Int(*int),
            Self::Float(float) => New::Float(*float),
            Self::Text(text) => New::Str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(flag))
            }

            fn visit_i64<E: Error>(self, int: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(int))
            }

            fn visit_f64<E: Error>(self, float: f64) -> Result<Scalar, E> {
                if float.is_finite() {
                    Ok(Scalar::Float(float))
                } else {
                    Err(E::custom("JSON has no such number"))
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                // That is how the TOML reader hands on its dates.
                if map.next_key::<String>()?.is_some_and(|key| key.starts_with("$__toml_private")) {
                    return Err(A::Error::custom("JSON has no dates: put quotes around it"));
                }
                Err(A::Error::invalid_type(Unexpected::Map, &self))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl schemars::JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    #[test]
    fn what_is_missing_or_null_gets_its_value() {
        check::<Fill>(
            r#"{ a = "é\"", b = 1, c = 2.50, d = true, e = "", "x.y.z" = -1 }"#,
            r#"{"b":null,"c":"","x":{"y":null}}"#,
            &expect![[r#"{"b":1,"c":"","x":{"y":{"z":-1}},"a":"é\"","d":true,"e":""}"#]],
        );
        check::<Fill>(r#"{ "x.y" = 1 }"#, "{}", &expect![[r#"{"x":{"y":1}}"#]]);
    }

    #[test]
    fn what_is_in_the_way_stays() {
        for x in [r#""text""#, "[1]", "7", "false", r#"{"y":3}"#] {
            let event = format!("{{\"x\":{x}}}");
            assert_eq!(run::<Fill>(r#"{ "x.y.z" = 1 }"#, &event), event);
            assert_eq!(edits::<Fill>(r#"{ "x.y.z" = 1 }"#, &event), 0);
        }
    }

    #[test]
    fn each_element_that_is_an_object_gets_it() {
        check::<Fill>(
            r#"{ "items[].n" = 1, "items[].o.u" = "pc" }"#,
            r#"{"items":[{},{"n":2},{"n":null,"o":7},"text",[{}]]}"#,
            &expect![[
                r#"{"items":[{"n":1,"o":{"u":"pc"}},{"n":2,"o":{"u":"pc"}},{"n":1,"o":7},"text",[{}]]}"#
            ]],
        );
        for nothing in ["{}", r#"{"items":{"n":null}}"#, r#"{"items":[]}"#] {
            assert_eq!(run::<Fill>(r#"{ "items[].n" = 1 }"#, nothing), nothing);
        }
    }

    #[test]
    fn what_is_there_is_no_change() {
        assert_eq!(edits::<Fill>(r#"{ a = 1, "b.c" = 2 }"#, r#"{"a":false,"b":{"c":""}}"#), 0);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Fill>("{}", &expect!["no field is named, so the step does nothing"]);
        refuse::<Fill>(
            "{ a = [1] }",
            &expect!["wrong type: a list, `[…]`, expected a text, a number, true or false"],
        );
        refuse::<Fill>("{ a = nan }", &expect!["JSON has no such number"]);
        refuse::<Fill>(
            "{ a.b = 1 }",
            &expect![[
                r#"wrong type: a table, expected a text, a number, true or false = a field with dots in its name needs quotes here: "data.x""#
            ]],
        );
        refuse::<Fill>("{ a = 2020-01-01 }", &expect!["JSON has no dates: put quotes around it"]);
    }
}
