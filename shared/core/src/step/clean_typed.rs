//! `clean.typed`: see that fields have the type that is expected, and convert nothing.
//!
//! ```toml
//! clean.typed = { userId = "string", "items[].count" = "int" }
//! ```
//!
//! ```toml
//! clean.typed = { fields = { sessionId = "string" }, otherwise = "null" }
//! ```
//! A field may be many: `items[].price`, `data.**`. A field that is missing or null is as good as any. It is a small
//! part of what `clean.schema` does, for a small part of the time; `clean.cast` converts.
//!
//! | type | is |
//! | --- | --- |
//! | `string` | a text |
//! | `int` | a number written without point and exponent |
//! | `number` | any number |
//! | `bool` | true or false |
//! | `array`, `object` | an array, an object |
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields and their types |
//! | `otherwise` | what becomes of a value of another type: `"quarantine"` (the default), or `"null"`: null takes its place |
//!
//! Rejects with `wrong_type`.

use super::settings::{Each, Places, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, Kind, New};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Typed {
    fields: Vec<(Places, Type)>,
    otherwise: Otherwise,
}

/// What a field is.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TypedType")]
pub(crate) enum Type {
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

/// What becomes of a value of another type.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TypedOtherwise")]
pub(crate) enum Otherwise {
    /// The event goes to the quarantine.
    #[default]
    Quarantine,
    /// Null takes its place.
    Null,
}

impl Step for Typed {
    const NAME: &'static str = "clean.typed";
    type Settings = Each<Type, Otherwise>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = some(settings.fields, "field")?;
        Ok(Self {
            fields: fields.into_iter().map(|(pattern, wanted)| (Places::new(pattern), wanted)).collect(),
            otherwise: settings.otherwise,
        })
    }

    fn touches(&self) -> Touches {
        let reads = self.fields.iter().map(|(places, _)| places.pattern()).collect();
        Touches { reads, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (places, wanted) in &mut self.fields {
            let otherwise = self.otherwise;
            let check = |event: &mut Event, id: Id| match (wanted.fits(event.kind(id)), otherwise) {
                (true, _) => Ok(()),
                (false, Otherwise::Quarantine) => Err(()),
                (false, Otherwise::Null) => {
                    event.set(id, New::Null);
                    Ok(())
                }
            };
            if places.each(event, check).is_err() {
                return Verdict::Reject("wrong_type", format!("`{places}` is no {}", wanted.name()).into());
            }
        }
        Verdict::Keep
    }
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    fn fits(self, kind: Kind) -> bool {
        match kind {
            Kind::Null => true,
            Kind::False | Kind::True => matches!(self, Self::Bool),
            Kind::Integer => matches!(self, Self::Int | Self::Number),
            Kind::Float => matches!(self, Self::Number),
            Kind::String => matches!(self, Self::String),
            Kind::Array => matches!(self, Self::Array),
            Kind::Object => matches!(self, Self::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::run;

    #[test]
    fn what_has_its_type_passes_as_it_is() {
        for (wanted, value) in [
            ("string", "\"\""),
            ("int", "123456789012345678901234567890"),
            ("number", "1.50"),
            ("number", "1"),
            ("bool", "false"),
            ("array", "[]"),
            ("object", "{}"),
            ("string", "null"),
        ] {
            let event = format!("{{\"a\":{value}}}");
            assert_eq!(run::<Typed>(&format!("{{ a = {wanted:?} }}"), &event), event, "{wanted}");
        }
        assert_eq!(run::<Typed>("{ a = \"int\" }", "{}"), "{}");
    }

    #[test]
    fn what_has_not_is_rejected_or_null() {
        for (wanted, value) in [
            ("string", "1"),
            ("int", "1.0"),
            ("int", "\"1\""),
            ("number", "\"1\""),
            ("bool", "1"),
            ("array", "{}"),
            ("object", "[]"),
            ("string", "[\"x@example.com\"]"),
        ] {
            let event = format!("{{\"a\":{value}}}");
            let told = run::<Typed>(&format!("{{ a = {wanted:?} }}"), &event);
            assert_eq!(told, format!("wrong_type: `a` is no {wanted}"), "{value}");
            let nulled = format!("{{ fields = {{ a = {wanted:?} }}, otherwise = \"null\" }}");
            assert_eq!(run::<Typed>(&nulled, &event), "{\"a\":null}", "{value}");
        }
    }

    #[test]
    fn each_element_is_looked_at() {
        let told = run::<Typed>("{ \"items[].n\" = \"int\" }", r#"{"items":[{"n":1},{"n":"2"},{}]}"#);
        assert_eq!(told, "wrong_type: `items[].n` is no int");
    }
}
