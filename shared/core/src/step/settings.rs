//! Shapes that the settings of several steps have.

use crate::event::{Event, Id, Pattern};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

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

impl<V: schemars::JsonSchema> schemars::JsonSchema for Entries<crate::event::Path, V> {
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
