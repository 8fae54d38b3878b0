//! Shapes that the settings of several steps have.

use crate::event::{Event, Id, Path, Pattern};
use crate::mistake::Mistake;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Refuses a list with nothing in it: the step would do nothing.
pub(crate) fn some<T>(list: Vec<T>, what: &str) -> Result<Vec<T>, Mistake> {
    if list.is_empty() {
        Err(Mistake::new(format!("no {what} is named, so the step does nothing")))
    } else {
        Ok(list)
    }
}

/// Settings that have a short form: a table is the long one, and anything else is read as `S` and made into it.
#[derive(Debug)]
pub(crate) struct Short<S, L>(pub(crate) L, pub(crate) PhantomData<S>);

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

/// `{ field = value }`; or `{ fields = { field = value }, otherwise = "…" }`, where there is more to say.
#[derive(Debug)]
pub(crate) struct Each<V, O> {
    pub(crate) fields: Vec<(Pattern, V)>,
    pub(crate) otherwise: O,
}

impl<'de, V: Deserialize<'de>, O: Deserialize<'de> + Default> Deserialize<'de> for Each<V, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V, O>(PhantomData<(V, O)>);

        impl<'de, V: Deserialize<'de>, O: Deserialize<'de> + Default> Visitor<'de> for InOrder<V, O> {
            type Value = Each<V, O>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, `{ field = … }`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut short, mut long, mut otherwise) = (Vec::new(), None, None);
                while let Some(key) = map.next_key::<Pattern>()? {
                    match key.to_string().as_str() {
                        field if long.is_some() && field != "otherwise" => return Err(beside(field)),
                        "otherwise" => otherwise = Some(map.next_value()?),
                        "fields" => match map.next_value::<Short<V, Table<V>>>()?.0 {
                            Table::One(value) => short.push((key, value)),
                            Table::Many(fields) => long = Some(fields.0),
                        },
                        _ => short.push((key, map.next_value()?)),
                    }
                }
                match (long, short.first(), otherwise) {
                    (Some(_), Some((field, _)), _) => Err(beside(&field.to_string())),
                    (None, _, Some(_)) => Err(A::Error::custom(
                        "`otherwise` wants the fields in a table beside it: `{ fields = { … }, otherwise = … }`",
                    )),
                    (Some(fields), None, otherwise) => {
                        Ok(Each { fields, otherwise: otherwise.unwrap_or_default() })
                    }
                    (None, _, None) => Ok(Each { fields: short, otherwise: O::default() }),
                }
            }
        }

        fn beside<E: Error>(field: &str) -> E {
            E::custom(format!("`{field}` stands beside `fields`, which takes all fields"))
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl<V: schemars::JsonSchema, O: schemars::JsonSchema> schemars::JsonSchema for Each<V, O> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("FieldsTo_{}_otherwise_{}", V::schema_name(), O::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (value, otherwise) = (generator.subschema_for::<V>(), generator.subschema_for::<O>());
        schemars::json_schema!({ "anyOf": [
            { "type": "object", "minProperties": 1, "additionalProperties": value },
            {
                "type": "object",
                "properties": {
                    "fields": { "type": "object", "minProperties": 1, "additionalProperties": value },
                    "otherwise": otherwise,
                },
                "required": ["fields"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// What stands under `fields`: the fields, or the value of a field of this name.
enum Table<V> {
    One(V),
    Many(Entries<Pattern, V>),
}

impl<V> From<V> for Table<V> {
    fn from(value: V) -> Self {
        Self::One(value)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entries::deserialize(deserializer).map(Self::Many)
    }
}

/// The places that a pattern fits, with room to collect them. A path is looked up, which is faster.
#[derive(Debug)]
pub(crate) enum Places {
    One(Path),
    Many(Pattern, Vec<Id>),
}

impl Places {
    pub(crate) fn new(pattern: Pattern) -> Self {
        pattern.into_path().map_or_else(|pattern| Self::Many(pattern, Vec::new()), Self::One)
    }

    pub(crate) fn pattern(&self) -> Pattern {
        match self {
            Self::One(path) => path.clone().into(),
            Self::Many(pattern, _) => pattern.clone(),
        }
    }

    /// Works on each place, until one is too much.
    pub(crate) fn each<E>(
        &mut self,
        event: &mut Event,
        mut work: impl FnMut(&mut Event, Id) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::One(path) => event.find(path).map_or(Ok(()), |id| work(event, id)),
            Self::Many(pattern, found) => {
                event.find_all(pattern, found);
                found.iter().try_for_each(|id| work(event, *id))
            }
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(path) => path.fmt(f),
            Self::Many(pattern, _) => pattern.fmt(f),
        }
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
        // A sign would pass for a part of the number.
        match seconds.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())).and_then(micros) {
            Some(micros) => Ok(Self { micros }),
            None => Err(format!(
                "`{text}` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"
            )),
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
    /// The fields, where they are single ones and none is in another.
    paths: Option<Vec<Path>>,
    found: Vec<Id>,
    more: Vec<Id>,
}

impl Fields {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        let paths = patterns.iter().map(|pattern| pattern.clone().into_path().ok());
        let paths = paths.collect::<Option<Vec<_>>>().filter(|paths| {
            paths.iter().enumerate().all(|(at, path)| {
                let mut others = paths.iter().enumerate().filter(|(other, _)| *other != at);
                others.all(|(_, other)| !path.is_within(other))
            })
        });
        Self { patterns, paths, found: Vec::new(), more: Vec::new() }
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Works on each place once, however many of the patterns fit it, what contains others before them.
    pub(crate) fn each(&mut self, event: &mut Event, mut work: impl FnMut(&mut Event, Id)) {
        if let Some(paths) = &self.paths {
            for path in paths {
                if let Some(id) = event.find(path) {
                    work(event, id);
                }
            }
            return;
        }
        self.found.clear();
        for pattern in &self.patterns {
            event.find_all(pattern, &mut self.more);
            self.found.append(&mut self.more);
        }
        if self.found.len() > 1 {
            self.found.sort_unstable();
            self.found.dedup();
        }
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
