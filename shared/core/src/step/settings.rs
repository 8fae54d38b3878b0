//! Shapes that the settings of several steps have.

use super::{Touches, Verdict};
use crate::event::{Event, Id, ItemPath, Kind, Path, Pattern};
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

/// Where a step's fields stand: in the event, or in each element of arrays in it; with room to collect these.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    items: Option<Pattern>,
    found: Vec<Id>,
}

impl Scope {
    /// Where a field stands, and the way from there.
    pub(crate) fn new(ItemPath { items, path }: ItemPath) -> (Self, Path) {
        (Self { items, found: Vec::new() }, path)
    }

    /// A field by the whole way to it.
    pub(crate) fn pattern(&self, path: &Path) -> Pattern {
        ItemPath { items: self.items.clone(), path: path.clone() }.into()
    }

    /// Makes sure that what a step writes does not stand where it reads.
    pub(crate) fn apart(&self, from: &Path, into: &Path) -> Result<(), Mistake> {
        if from.is_within(into) || into.is_within(from) {
            let (from, into) = (self.pattern(from), self.pattern(into));
            return Err(Mistake::new(format!(
                "`into` is `{into}`: to write it would replace `{from}`, which is read"
            )));
        }
        Ok(())
    }

    /// Works on the event, or on each element, whatever it is, until one does not keep the event.
    pub(crate) fn each(
        &mut self,
        event: &mut Event,
        mut work: impl FnMut(&mut Event, Id) -> Verdict,
    ) -> Verdict {
        let Some(items) = &self.items else { return work(event, event.root()) };
        event.find_all(items, &mut self.found);
        let mut verdicts = self.found.iter().map(|id| work(event, *id));
        verdicts.find(|verdict| *verdict != Verdict::Keep).unwrap_or(Verdict::Keep)
    }

    /// As [`each`](Self::each); elements that are no objects have no fields, and are passed by.
    pub(crate) fn each_object(
        &mut self,
        event: &mut Event,
        mut work: impl FnMut(&mut Event, Id) -> Verdict,
    ) -> Verdict {
        self.each(event, |event, id| match event.kind(id) {
            Kind::Object => work(event, id),
            _ => Verdict::Keep,
        })
    }
}

/// A field and another one that is made of it, in the event, or in each element of arrays in it.
#[derive(Debug)]
pub(crate) struct FromInto {
    scope: Scope,
    from: Path,
    into: Path,
}

impl FromInto {
    /// Both must stand in the same object, or in objects in it.
    pub(crate) fn new(from: ItemPath, into: ItemPath) -> Result<Self, Mistake> {
        if from.items != into.items {
            let (from, into) = (Pattern::from(from), Pattern::from(into));
            let message = format!("`{from}` and `{into}` do not stand in the same element");
            let help = "up to the last `[]` both are the same, like `items[].sku` and `items[].product`";
            return Err(Mistake::new(message).with_help(help));
        }
        let (scope, from) = Scope::new(from);
        Ok(Self { scope, from, into: into.path })
    }

    /// As [`Scope::apart`].
    pub(crate) fn apart(self) -> Result<Self, Mistake> {
        self.scope.apart(&self.from, &self.into)?;
        Ok(self)
    }

    /// Both by the whole way to them.
    pub(crate) fn patterns(&self) -> (Pattern, Pattern) {
        (self.scope.pattern(&self.from), self.scope.pattern(&self.into))
    }

    /// What a step touches that makes the one of the other.
    pub(crate) fn touches(&self) -> Touches {
        let (from, into) = self.patterns();
        Touches { reads: vec![from], writes: vec![into], ..Touches::default() }
    }

    /// Works on each object that both stand in, until one does not keep the event.
    pub(crate) fn each(
        &mut self,
        event: &mut Event,
        mut work: impl FnMut(&mut Event, Id, &Path, &Path) -> Verdict,
    ) -> Verdict {
        let Self { scope, from, into } = self;
        scope.each_object(event, |event, top| work(event, top, from, into))
    }
}

/// A stretch of time: `30s`, `15m`, `1h`, `30d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) micros: i64,
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberAndUnit;

        impl Visitor<'_> for NumberAndUnit {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a stretch of time, like `\"30d\"`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                Span::read(text).ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"
                    ))
                })
            }

            // Quotes alone would not make one of it.
            fn visit_i64<E: Error>(self, number: i64) -> Result<Span, E> {
                Err(E::custom(format!(
                    "`{number}` is no stretch of time: behind the number it has one of s, m, h, d, w, like `\"{number}s\"`"
                )))
            }
        }

        deserializer.deserialize_any(NumberAndUnit)
    }
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|sign: char| !sign.is_ascii_digit());
        let seconds: i64 = match text.get(digits.len()..)? {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            "w" => 7 * 24 * 60 * 60,
            _ => return None,
        };
        // A sign would pass for a part of the number.
        let number: i64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
        Some(Self { micros: number.checked_mul(seconds)?.checked_mul(1_000_000)? })
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

#[cfg(test)]
mod tests {
    use crate::step::{Step, enrich_url, enrich_user_agent, play, refuse, step};
    use crate::step::{clean_default, clean_rename, clean_require, clean_timestamp, enrich_classify};
    use crate::step::{enrich_constant, enrich_geoip, enrich_lookup, enrich_referrer, enrich_sentiment};
    use expect_test::expect;

    const FILES: [(&str, &[u8]); 2] =
        [("t.csv", b"sku,name\nA-1,Shoes\n"), ("demo.mmdb", include_bytes!("../../../../data/demo.mmdb"))];

    /// What a step makes of an event it makes of each element that is an object, too, and of nothing else.
    fn does_the_same_in_arrays<T: Step>(settings: &str, events: &[&str]) {
        let play = |top: &str, event: &str| {
            play(&mut step::<T>(&settings.replace('@', top), &FILES.as_slice()), event)
        };
        let wrap = |element: &str| format!(r#"{{"x":1,"o":{{"a":[7,{element},"text",{{}}]}}}}"#);
        let after_nothing = play("", "{}");
        for event in events {
            let alone = play("", event);
            let wrapped = play("o.a[].", &wrap(event));
            let (expected, full) = match alone.strip_suffix("}") {
                Some(_) => (wrap(&alone).replace(",{}]", &format!(",{after_nothing}]")), true),
                None => (alone.replace("`f`", "`o.a[].f`"), false),
            };
            assert!(*event != alone || !full, "{}: {event} shows nothing", T::NAME);
            assert_eq!(wrapped, expected, "{}: {event}", T::NAME);
        }
        for nothing in [r#"{"o":1}"#, r#"{"o":{"a":{"f":1}},"a":[{"f":2}]}"#, r#"{"o":{"a":[]}}"#] {
            assert_eq!(play("o.a[].", nothing), nothing, "{}", T::NAME);
        }
    }

    #[test]
    fn a_step_does_in_each_element_what_it_does_in_an_event() {
        does_the_same_in_arrays::<clean_rename::Rename>(
            r#"{ "@f" = "@g", "@p.q" = "@r", "@v" = "@w.v" }"#,
            &[r#"{"f":1}"#, r#"{"g":2,"f":{"k":[1]}}"#, r#"{"p":{"q":1}}"#, r#"{"v":[],"w":7,"z":0}"#],
        );
        does_the_same_in_arrays::<clean_default::Fill>(
            r#"{ "@f" = 1, "@p.q" = "x" }"#,
            &[r#"{"f":null}"#, r#"{"p":{"a":1}}"#, r#"{"p":7}"#],
        );
        does_the_same_in_arrays::<enrich_constant::Constant>(
            r#"{ "@f" = 1, "@p.q" = "x" }"#,
            &[r#"{"f":2}"#, r#"{"p":7}"#],
        );
        does_the_same_in_arrays::<clean_timestamp::Timestamp>(
            r#"{ field = "@f", missing = "received" }"#,
            &[r#"{"f":"2019-11-15T18:05:00Z"}"#, r#"{"f":null}"#, r#"{"f":"soon"}"#],
        );
        does_the_same_in_arrays::<enrich_classify::Classify>(
            r#"{ from = "@f", into = "@f", missing = false, rules = [{ any = ["a"], label = "A" }] }"#,
            &[r#"{"f":"cat"}"#, r#"{"f":"dog"}"#, r#"{"f":7}"#],
        );
        does_the_same_in_arrays::<enrich_geoip::GeoIp>(
            r#"{ from = "@f", into = "@p.geo", database = "demo.mmdb" }"#,
            &[r#"{"f":"203.0.113.7"}"#, r#"{"f":"::","p":{"geo":1}}"#],
        );
        does_the_same_in_arrays::<enrich_lookup::Lookup>(
            r#"{ from = "@f", into = "@t", table = "t.csv", key = "sku" }"#,
            &[r#"{"f":"A-1","t":0}"#, r#"{"f":"B","t":0}"#, r#"{"t":0}"#],
        );
        for otherwise in ["drop", "quarantine"] {
            let fields = r#"from = "@f", into = "@t", table = "t.csv", key = "sku""#;
            does_the_same_in_arrays::<enrich_lookup::Lookup>(
                &format!(r#"{{ {fields}, otherwise = "{otherwise}" }}"#),
                &[r#"{"f":"B"}"#],
            );
        }
        does_the_same_in_arrays::<enrich_referrer::Referrer>(
            r#"{ from = "@f", into = "@s" }"#,
            &[r#"{"f":"https://www.google.com/"}"#, r#"{"s":0}"#, r#"{"f":7,"s":0}"#],
        );
        does_the_same_in_arrays::<enrich_sentiment::Sentiment>(
            r#"{ from = "@f", into = "@s" }"#,
            &[r#"{"f":"good"}"#, r#"{"f":7,"s":0}"#],
        );
        does_the_same_in_arrays::<enrich_url::Url>(
            r#"{ from = "@f", into = "@p.page", query = ["q"], click_ids = true }"#,
            &[
                r#"{"f":"https://a.example/b?utm_source=x&q=1&q=2&gclid=g"}"#,
                r#"{"f":"no","p":{"page":0}}"#,
                r#"{"f":"/a?q=%20","p":7}"#,
            ],
        );
        does_the_same_in_arrays::<enrich_user_agent::UserAgent>(
            r#"{ from = "@f", into = "@a" }"#,
            &[r#"{"f":"Mozilla/5.0 (Windows NT 10.0) Firefox/128.0"}"#, r#"{"f":7,"a":0}"#],
        );
    }

    #[test]
    fn the_fields_of_two_elements_do_not_go_together() {
        refuse::<enrich_user_agent::UserAgent>(
            r#"{ from = "a[].f", into = "g" }"#,
            &expect![
                "`a[].f` and `g` do not stand in the same element = up to the last `[]` both are the same, like `items[].sku` and `items[].product`"
            ],
        );
        refuse::<enrich_user_agent::UserAgent>(
            r#"{ from = "a[].f", into = "b[].g" }"#,
            &expect![
                "`a[].f` and `b[].g` do not stand in the same element = up to the last `[]` both are the same, like `items[].sku` and `items[].product`"
            ],
        );
        refuse::<enrich_user_agent::UserAgent>(
            r#"{ from = "a[].f", into = "a[].f.g" }"#,
            &expect!["`into` is `a[].f.g`: to write it would replace `a[].f`, which is read"],
        );
        refuse::<clean_require::Require>(
            r#"["a[].**"]"#,
            &expect![
                "`a[].**` goes any way down, and this wants one field, of the event or of each element, like `data.x` or `items[].sku`"
            ],
        );
    }
}
