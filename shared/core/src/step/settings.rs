//! Shapes that the settings of several steps have.

use crate::event::{Event, Id, Pattern};
use crate::mistake::Mistake;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Refuses a list with nothing in it: the step would do nothing.
pub(crate) fn some<T>(list: Vec<T>, what: &str) -> Result<Vec<T>, Mistake> {
    if list.is_empty() { Err(Mistake::new(format!("no {what} is named, so the step does nothing"))) } else { Ok(list) }
}

/// Settings that have a short form: a table is the long one, and anything else is read as `S` and made into it.
#[derive(Debug)]
pub(crate) struct Short<S, L>(pub(crate) L, PhantomData<S>);

impl<'de, S, L> Deserialize<'de> for Short<S, L>
where
    S: Deserialize<'de>,
    L: Deserialize<'de> + From<S>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<S, L>(PhantomData<(S, L)>);

        fn short<'de, S: Deserialize<'de>, L: From<S>, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Short<S, L>, D::Error> {
            S::deserialize(from).map(|short| Short(L::from(short), PhantomData))
        }

        impl<'de, S: Deserialize<'de>, L: Deserialize<'de> + From<S>> Visitor<'de> for Either<S, L> {
            type Value = Short<S, L>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the short form, or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                short::<S, L, _>(text.into_deserializer())
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
                short::<S, L, _>(flag.into_deserializer())
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                short::<S, L, _>(number.into_deserializer())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                short::<S, L, _>(number.into_deserializer())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                short::<S, L, _>(SeqAccessDeserializer::new(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                L::deserialize(MapAccessDeserializer::new(map)).map(|long| Short(long, PhantomData))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<S: schemars::JsonSchema, L: schemars::JsonSchema> schemars::JsonSchema for Short<S, L> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}_or_{}", S::schema_name(), L::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (short, long) = (generator.subschema_for::<S>(), generator.subschema_for::<L>());
        schemars::json_schema!({ "anyOf": [short, long] })
    }
}

/// A stretch of time: `30s`, `15m`, `1h`, `30d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span {
    pub(crate) micros: i64,
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim_end_matches(|sign: char| !sign.is_ascii_digit());
        let seconds = match text.get(digits.len()..) {
            Some("s") => Some(1),
            Some("m") => Some(60),
            Some("h") => Some(60 * 60),
            Some("d") => Some(24 * 60 * 60),
            Some("w") => Some(7 * 24 * 60 * 60),
            _ => None,
        };
        let micros = |seconds: i64| digits.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000);
        match seconds.and_then(micros) {
            Some(micros) => Ok(Self { micros }),
            None => Err(format!("`{text}` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`")),
        }
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhdw]$",
            "description": "A stretch of time: `30s`, `15m`, `1h`, `30d`, `2w`.",
        })
    }
}

/// The fields that a step works on, with room to collect the places that they fit.
#[derive(Debug)]
pub(crate) struct Fields {
    patterns: Vec<Pattern>,
    found: Vec<Id>,
    more: Vec<Id>,
}

impl Fields {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns, found: Vec::new(), more: Vec::new() }
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Works on each place once, however many of the patterns fit it, what contains others before them.
    pub(crate) fn each(&mut self, event: &mut Event, mut work: impl FnMut(&mut Event, Id)) {
        self.found.clear();
        for pattern in &self.patterns {
            event.find_all(pattern, &mut self.more);
            self.found.append(&mut self.more);
        }
        self.found.sort_unstable();
        self.found.dedup();
        for id in &self.found {
            work(event, *id);
        }
    }
}

/// The entries of a TOML table in the order of the file.
#[derive(Debug)]
pub(crate) struct Entries<K, V>(pub(crate) Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for InOrder<K, V> {
            type Value = Entries<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, `{ field = … }`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl<K, V: schemars::JsonSchema> schemars::JsonSchema for Entries<K, V> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("FieldsTo_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = generator.subschema_for::<V>();
        schemars::json_schema!({ "type": "object", "minProperties": 1, "additionalProperties": value })
    }
}

/// An expression in CEL, with its place in the file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Source(pub(crate) toml::Spanned<String>);

impl schemars::JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "An expression in CEL over the fields of an event." })
    }
}
