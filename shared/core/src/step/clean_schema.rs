//! `clean.schema`: only events go on that a JSON Schema takes.
//!
//! ```toml
//! clean.schema = "event.schema.json"
//! ```
//!
//! ```toml
//! clean.schema = { by = "eventType", schemas = { purchase = "purchase.json", view = "view.json" }, otherwise = "keep" }
//! ```
//! The schemas are files beside the pipeline, in any draft from 4 to 2020-12, and are built in with it. A `$ref` reaches
//! within its file alone; nothing is ever fetched. `format` is checked too. Patterns that run too long on a text count as
//! broken.
//!
//! | option | meaning |
//! | --- | --- |
//! | `by` | the field whose text chooses the schema |
//! | `schemas` | the file for each of its values |
//! | `otherwise` | what becomes of an event that none of them is for: `"quarantine"` (the default) or `"keep"` |
//!
//! Rejects with `schema`: the place in the event, as a JSON pointer, and the place in the schema that it breaks, never a
//! value; a key that the schema does not name stands as `*`. Rejects with `no_schema` where no schema is for the event.

use super::settings::{Entries, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, Ids, Number, Path, Value};
use crate::files::{self, Files};
use crate::mistake::Mistake;
use jsonschema::error::ValidationErrorKind;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use jsonschema::types::JsonType;
use jsonschema::{PatternOptions, Validator};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;

/// How often a pattern may try again on one text: what comes from strangers must not hold up the others.
const BACKTRACKS_MAX: usize = 10_000;

/// The longest pointer that is told, bytes.
const POINTER_MAX: usize = 300;

pub(crate) struct Schema {
    by: Option<Path>,
    /// In the order of their types; a single one without `by`.
    schemas: Vec<(String, Compiled)>,
    otherwise: Otherwise,
}

struct Compiled {
    file: String,
    validator: Validator<Flat>,
    /// The keys that it names, as a pointer has them.
    keys: HashSet<String>,
}

/// `clean.schema`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field whose text chooses the schema.
    #[schemars(with = "Path")]
    by: Option<Path>,
    /// The file for each of its values.
    schemas: Entries<String, String>,
    /// What becomes of an event that none of them is for.
    #[serde(default)]
    otherwise: Otherwise,
}

/// What becomes of an event that no schema is for.
#[derive(Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SchemaOtherwise")]
enum Otherwise {
    /// It goes to the quarantine.
    #[default]
    Quarantine,
    /// It goes on as it is.
    Keep,
}

impl From<String> for Settings {
    fn from(file: String) -> Self {
        Self { by: None, schemas: Entries(vec![(String::new(), file)]), otherwise: Otherwise::default() }
    }
}

impl Step for Schema {
    const NAME: &'static str = "clean.schema";
    type Settings = Short<String, Settings>;

    fn compile(Short(settings, _): Self::Settings, files: &dyn Files) -> Result<Self, Mistake> {
        let schemas = some(settings.schemas.0, "schema")?;
        let is_short = matches!(schemas.as_slice(), [(name, _)] if name.is_empty());
        if settings.by.is_none() && !is_short {
            return Err(Mistake::new("`schemas` wants `by`, the field that chooses one of them")
                .with_help("`by = \"eventType\"`"));
        }
        let compile = |(name, file): (String, String)| Ok((name, Compiled::new(file, files)?));
        let mut schemas = schemas.into_iter().map(compile).collect::<Result<Vec<_>, Mistake>>()?;
        schemas.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { by: settings.by, schemas, otherwise: settings.otherwise })
    }

    fn touches(&self) -> Touches {
        Touches { reads: self.by.iter().cloned().map(Into::into).collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let name = self.by.as_ref().map_or(Some(""), |by| event.str(by));
        let found =
            name.and_then(|name| self.schemas.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok());
        match (found.and_then(|at| self.schemas.get(at)), self.otherwise) {
            (Some((_, schema)), _) => schema.judge(event),
            (None, Otherwise::Keep) => Verdict::Keep,
            (None, Otherwise::Quarantine) => {
                let by = self.by.as_ref().map(Path::to_string).unwrap_or_default();
                Verdict::Reject("no_schema", format!("no schema is for what `{by}` holds").into())
            }
        }
    }
}

impl Compiled {
    fn new(file: String, files: &dyn Files) -> Result<Self, Mistake> {
        let bytes = files::read(files, "the schema", &file)?;
        let schema: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|why| Mistake::new(format!("the schema `{file}` is no JSON: {why}")))?;
        let validator = jsonschema::options_for::<Flat>()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX))
            .build(&schema)
            .map_err(|why| {
                let place = Some(why.instance_path().as_str()).filter(|place| !place.is_empty());
                let place = place.map(|place| format!(" at `{place}`")).unwrap_or_default();
                Mistake::new(format!("the schema `{file}` is none{place}: {why}"))
            })?;
        let mut keys = HashSet::new();
        collect_keys(&schema, &mut keys);
        Ok(Self { file, validator, keys })
    }

    fn judge(&self, event: &Event) -> Verdict {
        let root = At::Node(event, event.root());
        if self.validator.is_valid(root) {
            return Verdict::Keep;
        }
        let Err(why) = self.validator.validate(root) else { return Verdict::Keep };
        let pointer = self.pointer(event, why.instance_path().as_str());
        let place = if pointer.is_empty() { "the event".to_owned() } else { format!("`{pointer}`") };
        let mut detail = format!("{place} breaks `{}#{}`", self.file, why.schema_path().as_str());
        if let ValidationErrorKind::Required { property } = why.kind() {
            // The name is the schema's.
            detail.extend([": `", property.as_str().unwrap_or_default(), "` is missing"]);
        }
        Verdict::Reject("schema", detail.into())
    }

    /// A place in an event without the keys that its producer made up: a number may be a customer's.
    fn pointer(&self, event: &Event, pointer: &str) -> String {
        let mut told = String::new();
        let mut parent = Some(event.root());
        for key in pointer.split('/').skip(1) {
            let is_index = parent.is_some_and(|id| matches!(event.value(id), Value::Array(_)));
            parent = parent.and_then(|id| match key.parse().ok().filter(|_| is_index) {
                Some(index) => event.children(id).nth(index),
                None => event.find_in(id, &Path::from_key(key.replace("~1", "/").replace("~0", "~"))),
            });
            let key = if is_index || self.keys.contains(key) { key } else { "*" };
            if told.len() + key.len() >= POINTER_MAX {
                told.push_str("/…");
                break;
            }
            told.push('/');
            told.push_str(key);
        }
        told
    }
}

/// The keys that a schema says something of.
fn collect_keys(schema: &serde_json::Value, keys: &mut HashSet<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                keys.extend(properties.keys().map(|key| key.replace('~', "~0").replace('/', "~1")));
            }
            members.values().for_each(|value| collect_keys(value, keys));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

/// Events as they are in memory, for the validator: it reads them in place.
enum Flat {}

/// A value that is validated.
#[derive(Clone, Copy)]
enum At<'a> {
    Node(&'a Event, Id),
    /// A key, as `propertyNames` has it.
    Key(&'a str),
}

impl Json for Flat {
    type Node<'a> = At<'a>;
    type PreparedKey = Path;
    type StringBuffer = ();

    fn prepare_key(key: &str) -> Path {
        Path::from_key(key)
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(At<'_>) -> T) -> T {
        f(At::Key(string))
    }
}

impl<'a> At<'a> {
    fn value(self) -> Value<'a> {
        match self {
            Self::Node(event, id) => event.value(id),
            Self::Key(key) => Value::String(key),
        }
    }
}

impl<'a> Node<'a, Flat> for At<'a> {
    type Object = Within<'a>;
    type Array = Within<'a>;
    type Number = Number<'a>;

    fn as_object(&self) -> Option<Within<'a>> {
        match (*self, self.value()) {
            (Self::Node(event, id), Value::Object(_)) => Some(Within { event, id }),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Within<'a>> {
        match (*self, self.value()) {
            (Self::Node(event, id), Value::Array(_)) => Some(Within { event, id }),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.value().as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<Number<'a>> {
        self.value().as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        self.value().as_bool()
    }

    fn is_null(&self) -> bool {
        self.value().is_null()
    }

    fn json_type(&self) -> JsonType {
        match self.value() {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(to_json(self.value()))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        match *self {
            Self::Node(event, id) => {
                Some(NodeIdentity::tagged(std::ptr::from_ref(event) as usize, id.number()))
            }
            Self::Key(_) => None,
        }
    }
}

/// Built by hand: read from text, an object with a certain key is taken for something of `serde_json`'s own
/// (`$serde_json::private::RawValue`).
fn to_json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => int.into(),
            (None, Some(int)) => int.into(),
            (None, None) => number.as_f64().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.map(to_json).collect(),
        Value::Object(members) => members.map(|(key, value)| (key.to_owned(), to_json(value))).collect(),
    }
}

/// An object or array that is validated.
struct Within<'a> {
    event: &'a Event,
    id: Id,
}

impl<'a> Object<'a, Flat> for Within<'a> {
    type Node = At<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.event.children(self.id).count()
    }

    fn is_empty(&self) -> bool {
        self.event.children(self.id).next().is_none()
    }

    fn get(&self, key: &Path) -> Option<At<'a>> {
        self.event.find_in(self.id, key).map(|id| At::Node(self.event, id))
    }

    fn members(&self) -> Members<'a> {
        Members { event: self.event, ids: self.event.children(self.id) }
    }
}

impl<'a> Array<'a, Flat> for Within<'a> {
    type Node = At<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.event.children(self.id).count()
    }

    fn elements(&self) -> Elements<'a> {
        Elements { event: self.event, ids: self.event.children(self.id) }
    }
}

struct Members<'a> {
    event: &'a Event,
    ids: Ids<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, At<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.ids.next().map(|id| (self.event.key(id), At::Node(self.event, id)))
    }
}

struct Elements<'a> {
    event: &'a Event,
    ids: Ids<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = At<'a>;

    fn next(&mut self) -> Option<At<'a>> {
        self.ids.next().map(|id| At::Node(self.event, id))
    }
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        Number::as_u64(*self)
    }

    fn as_i64(&self) -> Option<i64> {
        Number::as_i64(*self)
    }

    fn as_f64(&self) -> Option<f64> {
        Some(Number::as_f64(*self))
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.text())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        let number = Number::as_i64(*self).map(Into::into).or_else(|| Number::as_u64(*self).map(Into::into));
        let number = number.or_else(|| serde_json::Number::from_f64(Number::as_f64(*self)));
        Cow::Owned(number.unwrap_or_else(|| 0.into()))
    }

    fn is_integer(&self) -> bool {
        Number::is_integer(*self) || Number::as_f64(*self).fract() == 0.0
    }

    fn is_written_as_integer(&self) -> bool {
        Number::is_integer(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, step};
    use expect_test::{Expect, expect};

    const ORDER: &str = r##"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["id", "price"],
        "properties": {
            "id": { "type": "string", "minLength": 1, "maxLength": 8 },
            "price": { "type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01 },
            "count": { "type": "integer", "maximum": 100 },
            "at": { "type": "string", "format": "date-time" },
            "kind": { "enum": ["a", 7, null, {"x": [1.0]}] },
            "code": { "type": "string", "pattern": "^(?!x)[A-Z]+$" },
            "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true, "maxItems": 3 },
            "a/b": { "type": "boolean" },
            "people": { "additionalProperties": { "type": "object" }, "propertyNames": { "maxLength": 20 } },
            "tree": { "$ref": "#/$defs/tree" }
        },
        "$defs": { "tree": { "type": "object", "additionalProperties": { "$ref": "#/$defs/tree" } } }
    }"##;

    fn schema(json: &'static str) -> [(&'static str, &'static [u8]); 1] {
        [("s.json", json.as_bytes())]
    }

    fn order(members: &str) -> String {
        let files = schema(ORDER);
        let mut step = step::<Schema>(r#""s.json""#, &files.as_slice());
        let event = format!(r#"{{"id":"é🦀","price":1.10{members}}}"#);
        let after = play(&mut step, &event);
        if after == event { "ok".to_owned() } else { after }
    }

    #[test]
    fn what_the_schema_takes_goes_on() {
        for members in [
            "",
            r#","count":100,"at":"2019-11-15T18:05:00Z","kind":{"x":[1]},"code":"ABC","tags":["a","é"],"a/b":true"#,
            r#","count":1e2,"kind":null"#,
            r#","kind":7.0,"unknown":[1,{}]"#,
            r#","tree":{"a":{"b":{}}},"people":{"ann@example.com":{}}"#,
        ] {
            assert_eq!(order(members), "ok", "{members}");
        }
    }

    #[test]
    fn what_it_does_not_take_goes_to_the_quarantine_without_its_values() {
        let mut told = String::new();
        for members in [
            r#","id":"""#,
            r#","id":"123456789""#,
            r#","id":null"#,
            r#","price":0"#,
            r#","price":"1.10""#,
            r#","price":1.101"#,
            r#","count":1.5"#,
            r#","count":123456789012345678901234567890"#,
            r#","at":"yesterday""#,
            r#","kind":"b""#,
            r#","kind":{"x":[1,2]}"#,
            r#","kind":{"$serde_json::private::RawValue":"null"}"#,
            r#","code":"xA""#,
            r#","tags":["a",7]"#,
            r#","tags":["a","a"]"#,
            r#","tags":["a",{"b":1},["c"],"d"]"#,
            r#","a/b":"secret""#,
            r#","people":{"ann@example.com":1}"#,
            r#","people":{"a-very-long-address@example.com":{}}"#,
            r#","people":{"4915112345678":1}"#,
            r#","people":{"4930901":1}"#,
            r#","tree":{"4930901":{"b":1}}"#,
            r#","tree":{"a":{"b":1}}"#,
        ] {
            told.push_str(&order(members));
            told.push('\n');
        }
        expect![[r#"
            schema: `/id` breaks `s.json#/properties/id/minLength`
            schema: `/id` breaks `s.json#/properties/id/maxLength`
            schema: `/id` breaks `s.json#/properties/id/type`
            schema: `/price` breaks `s.json#/properties/price/exclusiveMinimum`
            schema: `/price` breaks `s.json#/properties/price/type`
            schema: `/price` breaks `s.json#/properties/price/multipleOf`
            schema: `/count` breaks `s.json#/properties/count/type`
            schema: `/count` breaks `s.json#/properties/count/maximum`
            schema: `/at` breaks `s.json#/properties/at/format`
            schema: `/kind` breaks `s.json#/properties/kind/enum`
            schema: `/kind` breaks `s.json#/properties/kind/enum`
            schema: `/kind` breaks `s.json#/properties/kind/enum`
            schema: `/code` breaks `s.json#/properties/code/pattern`
            schema: `/tags/1` breaks `s.json#/properties/tags/items/type`
            schema: `/tags` breaks `s.json#/properties/tags/uniqueItems`
            schema: `/tags` breaks `s.json#/properties/tags/maxItems`
            schema: `/a~1b` breaks `s.json#/properties/a~1b/type`
            schema: `/people/*` breaks `s.json#/properties/people/additionalProperties/type`
            schema: `/people` breaks `s.json#/properties/people/propertyNames/maxLength`
            schema: `/people/*` breaks `s.json#/properties/people/additionalProperties/type`
            schema: `/people/*` breaks `s.json#/properties/people/additionalProperties/type`
            schema: `/tree/*/*` breaks `s.json#/$defs/tree/type`
            schema: `/tree/*/*` breaks `s.json#/$defs/tree/type`
        "#]]
        .assert_eq(&told);
        let files = schema(ORDER);
        let after = play(&mut step::<Schema>(r#""s.json""#, &files.as_slice()), r#"{"id":"x"}"#);
        expect!["schema: the event breaks `s.json#/required`: `price` is missing"].assert_eq(&after);
    }

    #[test]
    fn a_pattern_cannot_hold_up_the_others() {
        let files = schema(r#"{ "properties": { "a": { "pattern": "^(?=(a+)+$)(a|aa)+$" } } }"#);
        let event = format!(r#"{{"a":"{}b"}}"#, "a".repeat(200));
        let after = play(&mut step::<Schema>(r#""s.json""#, &files.as_slice()), &event);
        expect!["schema: `/a` breaks `s.json#/properties/a/pattern`"].assert_eq(&after);
    }

    #[test]
    fn each_type_has_its_schema() {
        let files: [(&str, &[u8]); 2] =
            [("a.json", br#"{ "required": ["x"] }"#), ("b.json", br#"{ "required": ["y"] }"#)];
        let settings = r#"by = "t.n", schemas = { b = "b.json", a = "a.json" }"#;
        let run = |more: &str, event: &str| {
            play(&mut step::<Schema>(&format!("{{ {settings}{more} }}"), &files.as_slice()), event)
        };
        let told = |event: &str, expected: Expect| expected.assert_eq(&run("", event));
        told(r#"{"t":{"n":"a"},"x":1}"#, expect![[r#"{"t":{"n":"a"},"x":1}"#]]);
        told(
            r#"{"t":{"n":"b"},"x":1}"#,
            expect!["schema: the event breaks `b.json#/required`: `y` is missing"],
        );
        told(r#"{"t":{"n":"c"},"x":1}"#, expect!["no_schema: no schema is for what `t.n` holds"]);
        for event in ["{}", r#"{"t":{"n":7}}"#, r#"{"t":["a"]}"#, r#"{"t":{"n":""}}"#, r#"{"t":{"n":null}}"#]
        {
            assert!(run("", event).starts_with("no_schema: "), "{event}");
            assert_eq!(run(r#", otherwise = "keep""#, event), event);
        }
    }

    #[test]
    fn what_a_step_changed_is_what_is_validated() {
        let files = schema(
            r#"{ "properties": { "a": { "type": "object", "maxProperties": 1, "required": ["b"] } } }"#,
        );
        let mut step = step::<Schema>(r#""s.json""#, &files.as_slice());
        let key = crate::token::TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        let cx = Context { key: &key, arrived_at: crate::time::Micros::EPOCH };
        let mut event = Event::read(r#"{"a":{"x":1,"y":2}}"#).unwrap();
        assert_ne!(Step::apply(&mut step, &mut event, &cx), Verdict::Keep);
        let path = |text: &str| Path::try_from(text.to_owned()).unwrap();
        event.remove_at(&path("a.x"));
        event.rename(event.find(&path("a.y")).unwrap(), "b");
        assert_eq!(Step::apply(&mut step, &mut event, &cx), Verdict::Keep);
    }

    #[test]
    fn mistakes_are_told() {
        let refuse = |settings: &str, json: &'static str, expected: Expect| {
            let files = schema(json);
            let value = toml::de::DeValue::parse(settings).unwrap();
            let mistake = super::super::compile::<Schema>(value, &files.as_slice()).map(|_| ()).unwrap_err();
            expected.assert_eq(&mistake.to_string());
        };
        refuse(
            r#""t.json""#,
            "{}",
            expect![
                "the schema `t.json` cannot be read: there is no such file = it is a file beside the pipeline"
            ],
        );
        refuse(
            r#""s.json""#,
            "{",
            expect!["the schema `s.json` is no JSON: EOF while parsing an object at line 1 column 1"],
        );
        refuse(
            r#""s.json""#,
            r#"{ "properties": { "a": { "type": "strin" } } }"#,
            expect![[
                r#"the schema `s.json` is none at `/properties/a/type`: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword"#
            ]],
        );
        refuse(
            r#""s.json""#,
            r#"{ "pattern": "(" }"#,
            expect![[r#"the schema `s.json` is none at `/pattern`: "(" is not a "regex""#]],
        );
        refuse(
            r#""s.json""#,
            r#"{ "$ref": "https://example.com/x.json" }"#,
            expect![
                "the schema `s.json` is none: Resource 'https://example.com/x.json' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch https://example.com/x.json"
            ],
        );
        refuse(
            r#""s.json""#,
            r##"{ "$ref": "#/$defs/x" }"##,
            expect!["the schema `s.json` is none: Pointer '/$defs/x' does not exist"],
        );
        refuse(
            r#"{ schemas = { a = "s.json" } }"#,
            "{}",
            expect![[r#"`schemas` wants `by`, the field that chooses one of them = `by = "eventType"`"#]],
        );
        refuse(
            r#"{ by = "t", schemas = {} }"#,
            "{}",
            expect!["no schema is named, so the step does nothing"],
        );
    }
}
