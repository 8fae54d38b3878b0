//! `enrich.lookup`: what a table knows of a value.
//!
//! ```toml
//! enrich.lookup = { from = "sku", into = "product", table = "data/products.csv", key = "sku" }
//! ```
//!
//! ```toml
//! enrich.lookup = { from = "data.tenant", into = "tenant", table = "data/tenants.json", fields = ["name"], otherwise = { name = "?" } }
//! ```
//! With the line `A-1,Shoes,59.90` below `sku,name,price`, an event with `"sku": "A-1"` gets
//! `"product": {"sku": "A-1", "name": "Shoes", "price": "59.90"}`.
//!
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the value, and the object for what is known of it |
//! | `table` | a file beside `pipeline.toml`, which becomes part of the functions: CSV with a line of names (`.csv`; `.tsv` with tabs), or JSON (`.json`), a list of objects or an object of objects |
//! | `key` | the column or member that the value is looked up in. In an object of objects the names are the keys, so it is left out there |
//! | `fields` | which columns or members to set; all if not said |
//! | `types` | what CSV's texts become, `{ price = "float" }`: `string`, `int`, `float` or `bool`. Text if not said. JSON has types of its own |
//! | `otherwise` | what becomes of an event whose value is not in the table: `"keep"` (nothing is set), `"drop"` (it counts as filtered), `"quarantine"` (`not_in_table`), or what to set instead, `{ name = "unknown" }`. `"keep"` if not said |
//!
//! Values are compared as text, to the letter; a number as it is written, so `7` is found under `7` and not under `7.0`;
//! true and false as `true` and `false`. Objects and arrays are in no table. A key, a column or a member that stands there
//! twice, and a text that is not of its type, are mistakes when the pipeline is built. Empty cells are left out, as is what is null.
//!
//! Where the field is missing or null there is nothing to look up: nothing is set, and the event goes on. What a producer
//! had put under `into` goes in any case. `from = "items[].sku", into = "items[].product"` looks up each element's; with
//! `"drop"` or `"quarantine"` one that is not in the table decides for the event.

use super::object::{object, replace};
use super::settings::FromInto;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, Pattern, Value, quote};
use crate::files::{self, Files};
use crate::mistake::{Mistake, nearest};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::fmt;

pub(crate) struct Lookup {
    name: Pattern,
    fields: FromInto,
    /// The object, and what the settings name of it.
    brings: Vec<Pattern>,
    rows: Rows,
    otherwise: Missed,
}

/// The JSON of each row's object, by key; empty where it has no members.
type Rows = HashMap<Box<str>, Box<str>>;

enum Missed {
    Keep,
    Drop,
    Quarantine,
    /// The JSON of an object.
    Set(String),
}

/// `enrich.lookup`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the value that is looked up.
    from: ItemPath,
    /// The object for what is known of it.
    into: ItemPath,
    /// A file beside pipeline.toml: .csv, .tsv or .json.
    table: String,
    /// The column or member that the value is looked up in.
    key: Option<String>,
    /// Which columns or members to set.
    fields: Option<Vec<String>>,
    /// What CSV's texts become.
    #[serde(default)]
    types: HashMap<String, Type>,
    /// What becomes of an event whose value is not in the table: "keep", "drop", "quarantine", or what to set instead.
    #[serde(default)]
    otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    String,
    Int,
    Float,
    Bool,
}

#[derive(Default)]
enum Otherwise {
    #[default]
    Keep,
    Drop,
    Quarantine,
    Set(toml::Table),
}

impl<'de> Deserialize<'de> for Otherwise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Otherwise;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"keep\", \"drop\", \"quarantine\", or a table of what to set")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Otherwise, E> {
                match name {
                    "keep" => Ok(Otherwise::Keep),
                    "drop" => Ok(Otherwise::Drop),
                    "quarantine" => Ok(Otherwise::Quarantine),
                    _ => Err(E::unknown_variant(name, &["keep", "drop", "quarantine"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Otherwise, A::Error> {
                toml::Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(Otherwise::Set)
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

impl schemars::JsonSchema for Otherwise {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LookupOtherwise".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "enum": ["keep", "drop", "quarantine"] },
            { "type": "object", "description": "What to set instead." },
        ] })
    }
}

impl Step for Lookup {
    const NAME: &'static str = "enrich.lookup";
    type Settings = Settings;

    fn compile(settings: Settings, files: &dyn Files) -> Result<Self, Mistake> {
        let fields = FromInto::new(settings.from.clone(), settings.into.clone())?.apart()?;
        let name = &settings.table;
        let wrong = |why: String| Mistake::new(format!("the table `{name}`{why}"));
        let bytes = files::read(files, "the table", name)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(" is not UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}'); // what Excel puts in front
        let rows = match name.rsplit_once('.').map(|(_, end)| end) {
            Some("csv") => csv(text, b',', &settings, &wrong)?,
            Some("tsv") => csv(text, b'\t', &settings, &wrong)?,
            Some("json") => json(text, &settings, &wrong)?,
            _ => {
                let help = "its name ends with `.csv`, `.tsv` or `.json`, which tells how it is read";
                return Err(wrong(" is of an unknown form".to_owned()).with_help(help));
            }
        };
        let otherwise = match settings.otherwise {
            Otherwise::Keep => Missed::Keep,
            Otherwise::Drop => Missed::Drop,
            Otherwise::Quarantine => Missed::Quarantine,
            Otherwise::Set(table) => {
                let mut json = String::new();
                if !write(&toml::Value::Table(table), &mut json) {
                    let help = "leave it out, or write `\"unknown\"`";
                    return Err(Mistake::new("`otherwise` has `nan` or `inf`, which no event can hold")
                        .with_help(help));
                }
                Missed::Set(json)
            }
        };
        let into = Pattern::from(settings.into);
        let members = settings.fields.iter().flatten().map(|name| into.clone().key(name));
        let brings = members.chain([into.clone()]).collect();
        Ok(Self { name: settings.from.into(), fields, brings, rows, otherwise })
    }

    fn touches(&self) -> Touches {
        Touches { brings: self.brings.clone(), ..self.fields.touches() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { name, fields, rows, otherwise, .. } = self;
        fields.each(event, |event, top, from, into| {
            let row = match event.get_in(top, from) {
                None | Some(Value::Null) => {
                    event.remove_at_in(top, into);
                    return Verdict::Keep;
                }
                Some(Value::String(text)) => rows.get(text),
                Some(Value::Number(number)) => rows.get(number.text()),
                Some(Value::Bool(true)) => rows.get("true"),
                Some(Value::Bool(false)) => rows.get("false"),
                Some(_) => None,
            };
            match (row, &*otherwise) {
                (Some(row), _) => replace(event, top, into, row),
                (None, Missed::Keep) => event.remove_at_in(top, into),
                (None, Missed::Set(json)) => replace(event, top, into, json),
                (None, Missed::Drop) => return Verdict::Drop,
                (None, Missed::Quarantine) => {
                    let detail = format!("`{name}` has a value that is not in the table");
                    return Verdict::Reject("not_in_table", detail.into());
                }
            }
            Verdict::Keep
        })
    }
}

/// Appends the JSON of a value of TOML; moments are texts, as with `enrich.constant`. False for what JSON has no number
/// for.
fn write(value: &toml::Value, json: &mut String) -> bool {
    match value {
        toml::Value::String(text) => quote(text, json),
        toml::Value::Datetime(moment) => quote(&moment.to_string(), json),
        toml::Value::Integer(int) => json.push_str(itoa::Buffer::new().format(*int)),
        toml::Value::Float(float) if float.is_finite() => {
            json.push_str(zmij::Buffer::new().format_finite(*float));
        }
        toml::Value::Float(_) => return false,
        toml::Value::Boolean(flag) => json.push_str(if *flag { "true" } else { "false" }),
        toml::Value::Array(items) => {
            json.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    json.push(',');
                }
                if !write(item, json) {
                    return false;
                }
            }
            json.push(']');
        }
        toml::Value::Table(members) => {
            json.push('{');
            for (number, (name, value)) in members.iter().enumerate() {
                if number > 0 {
                    json.push(',');
                }
                quote(name, json);
                json.push(':');
                if !write(value, json) {
                    return false;
                }
            }
            json.push('}');
        }
    }
    true
}

/// Says of the table what is wrong with it, behind its name.
type Wrong<'a> = &'a dyn Fn(String) -> Mistake;

fn csv(text: &str, delimiter: u8, settings: &Settings, wrong: Wrong<'_>) -> Result<Rows, Mistake> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let no_csv = |why: csv::Error| wrong(format!(": {why}"));
    let names = reader.headers().map_err(no_csv)?.clone();
    if names.iter().all(str::is_empty) {
        return Err(wrong(" is empty".to_owned()).with_help("its first line has the columns' names"));
    }
    if let Some(name) = twice(names.iter()) {
        return Err(wrong(format!(" has two columns `{name}`")));
    }
    let column = |name: &str| {
        names.iter().position(|known| known == name).ok_or_else(|| {
            let help = match names.as_slice() {
                // All of the line is one name.
                line if names.len() == 1 && line.contains([',', ';', '\t', '|']) => {
                    let sign = if delimiter == b'\t' { "a tab" } else { "`,`" };
                    format!("its columns are to stand apart by {sign}, and the first line is `{line}`")
                }
                _ => nearest(name, names.iter())
                    .unwrap_or_else(|| format!("there are {}", names.iter().collect::<Vec<_>>().join(", "))),
            };
            Mistake::new(format!("there is no column `{name}` in `{}`", settings.table)).with_help(help)
        })
    };
    let key = settings.key.as_deref().ok_or_else(|| {
        wrong(" is looked up by a column: say which".to_owned()).with_help("key = \"sku\", for instance")
    })?;
    let key = column(key)?;
    for name in settings.fields.iter().flatten().chain(settings.types.keys()) {
        column(name)?;
    }
    let wanted = |name: &str| settings.fields.as_ref().is_none_or(|fields| fields.iter().any(|f| f == name));

    let (mut rows, mut lines) = (Rows::new(), HashMap::<Box<str>, u64>::new());
    for record in reader.records() {
        let record = record.map_err(no_csv)?;
        let line = record.position().map_or(0, csv::Position::line);
        let name = record.get(key).unwrap_or_default();
        if name.is_empty() {
            return Err(wrong(format!(" has no key in line {line}")));
        }
        if let Some(before) = lines.insert(name.into(), line) {
            return Err(wrong(format!(" has the key `{name}` in line {line}, and in line {before} already")));
        }
        let (mut row, mut flaw) = (String::new(), None);
        object(&mut row, |members| {
            for (name, cell) in
                names.iter().zip(&record).filter(|(name, cell)| wanted(name) && !cell.is_empty())
            {
                let kind = settings.types.get(name).copied().unwrap_or(Type::String);
                match kind.read(cell) {
                    Some(json) => members.json(name, &json),
                    None => flaw = Some((name, kind)),
                }
            }
        });
        if let Some((name, kind)) = flaw {
            return Err(wrong(format!(" has a `{name}` in line {line} that is no {}", kind.name())));
        }
        rows.insert(name.into(), row.into());
    }
    Ok(rows)
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
        }
    }

    /// The JSON of what a cell says.
    fn read(self, cell: &str) -> Option<String> {
        let text = cell.trim();
        Some(match self {
            Self::String => {
                let mut json = String::new();
                quote(cell, &mut json);
                json
            }
            Self::Int => text.parse::<i64>().ok()?.to_string(),
            Self::Float => {
                let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
                zmij::Buffer::new().format_finite(float).to_owned()
            }
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => "true".to_owned(),
                "false" | "0" => "false".to_owned(),
                _ => return None,
            },
        })
    }
}

/// The JSON of a table: rows, and the names that they stand under where it is an object.
struct Table<'a>(Vec<(Option<String>, Row<'a>)>);

/// An object's members, in their order.
struct Row<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Table<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrObject;

        impl<'de> Visitor<'de> for ListOrObject {
            type Value = Table<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects or an object of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = list.next_element()? {
                    rows.push((None, row));
                }
                Ok(Table(rows))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                while let Some((name, row)) = map.next_entry::<String, Row<'de>>()? {
                    rows.push((Some(name), row));
                }
                Ok(Table(rows))
            }
        }

        deserializer.deserialize_any(ListOrObject)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Row(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The first name that is there already.
fn twice<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

fn json(text: &str, settings: &Settings, wrong: Wrong<'_>) -> Result<Rows, Mistake> {
    if !settings.types.is_empty() {
        return Err(Mistake::new("`types` is for CSV: JSON has types of its own"));
    }
    let table: Table<'_> = serde_json::from_str(text).map_err(|why| wrong(format!(": {why}")))?;
    let mut rows = Rows::with_capacity(table.0.len());
    for (number, (name, Row(members))) in table.0.into_iter().enumerate() {
        if let Some(name) = twice(members.iter().map(|(name, _)| name.as_str())) {
            return Err(wrong(format!(" has two members `{name}` in row {}", number + 1)));
        }
        let name = match (name, &settings.key) {
            (Some(name), None) => name,
            (Some(_), Some(_)) => {
                return Err(wrong(" is an object of objects: their names are the keys".to_owned())
                    .with_help("leave `key` out"));
            }
            (None, None) => {
                return Err(wrong(" is looked up by a member: say which".to_owned())
                    .with_help("key = \"sku\", for instance"));
            }
            (None, Some(key)) => {
                let value = members.iter().find(|(name, _)| name == key).map(|(_, value)| value.get());
                key_of(value)
                    .ok_or_else(|| wrong(format!(" has no string or number `{key}` in row {}", number + 1)))?
            }
        };
        let mut row = String::new();
        object(&mut row, |object| match &settings.fields {
            Some(fields) => {
                for field in fields {
                    let value = members.iter().find(|(name, _)| name == field);
                    if let Some((name, value)) = value.filter(|(_, value)| value.get() != "null") {
                        object.json(name, value.get());
                    }
                }
            }
            None => {
                for (name, value) in members.iter().filter(|(_, value)| value.get() != "null") {
                    object.json(name, value.get());
                }
            }
        });
        if rows.insert(name.as_str().into(), row.into()).is_some() {
            return Err(wrong(format!(
                " has the key `{name}` in row {}, and before that already",
                number + 1
            )));
        }
    }
    Ok(rows)
}

/// The text of a JSON string or number.
fn key_of(json: Option<&str>) -> Option<String> {
    let json = json?;
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    json.starts_with(|sign: char| sign.is_ascii_digit() || sign == '-').then(|| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{compile, play, step};
    use expect_test::{Expect, expect};

    const FILES: &[(&str, &[u8])] = &[
        ("p.csv", "\u{feff}sku,name,price,n,ok\nA-1,\"Shoes, \"\"red\"\"\",59.90,1,true\nB-2,Größe,,,\n7,seven,1e3,-5,0\n".as_bytes()),
        ("p.tsv", b"sku\tname\nA-1\tShoes\n"),
        ("twice.csv", b"sku,name\nA,1\nB,\"2\n2\"\nA,3\n"),
        ("none.csv", b"sku,name\nA,1\n,2\n"),
        ("short.csv", b"sku,name\nA\n"),
        ("bad.csv", b"sku,n\nA,1\nB,x\n"),
        ("latin.csv", b"sku,n\nA,\xe9\n"),
        ("list.json", br#"[{"sku":"A-1","name":"Shoes","tags":["x",
            {"y":1}],"none":null},{"sku":7,"name":"seven"}]"#),
        ("object.json", br#"{"A-1":{"name":"Shoes"},"B":{}}"#),
        ("twice.json", br#"{"A":{"a":1},"A":{"a":2}}"#),
        ("flat.json", br#"{"A":1}"#),
        ("p.txt", b""),
        ("flags.csv", b"flag,n\ntrue,true it is\nfalse,false it is\n"),
        ("columns.csv", b"sku,name,name\nA,1,2\n"),
        ("semicolons.csv", b"sku;name\nA;1\n"),
        ("commas.tsv", b"sku,name\nA,1\n"),
        ("empty.csv", b""),
        ("members.json", br#"[{"sku":"A","n":1,"n":2}]"#),
    ];

    fn run(more: &str, event: &str) -> String {
        play(&mut step::<Lookup>(&format!(r#"{{ from = "sku", into = "p", {more} }}"#), &FILES), event)
    }

    #[test]
    fn a_row_is_put_into_the_event() {
        let csv = r#"table = "p.csv", key = "sku""#;
        let all = run(csv, r#"{"sku":"A-1"}"#);
        assert_eq!(
            all,
            r#"{"sku":"A-1","p":{"sku":"A-1","name":"Shoes, \"red\"","price":"59.90","n":"1","ok":"true"}}"#
        );
        let typed = format!(
            r#"{csv}, fields = ["name", "price", "n", "ok"], types = {{ price = "float", n = "int", ok = "bool" }}"#
        );
        for (sku, expected) in [
            (r#""A-1""#, r#"{"name":"Shoes, \"red\"","price":59.9,"n":1,"ok":true}"#),
            (r#""B-2""#, r#"{"name":"Größe"}"#),
            ("7", r#"{"name":"seven","price":1000.0,"n":-5,"ok":false}"#),
        ] {
            assert_eq!(
                run(&typed, &format!(r#"{{"sku":{sku}}}"#)),
                format!(r#"{{"sku":{sku},"p":{expected}}}"#)
            );
        }
        assert_eq!(
            run(r#"table = "p.tsv", key = "sku", fields = ["name"]"#, r#"{"sku":"A-1"}"#),
            r#"{"sku":"A-1","p":{"name":"Shoes"}}"#
        );
    }

    #[test]
    fn a_table_may_be_json() {
        let list = r#"table = "list.json", key = "sku""#;
        assert_eq!(
            run(list, r#"{"sku":"A-1"}"#),
            r#"{"sku":"A-1","p":{"sku":"A-1","name":"Shoes","tags":["x",{"y":1}]}}"#
        );
        assert_eq!(
            run(&format!("{list}, fields = [\"name\", \"none\", \"other\"]"), r#"{"sku":7}"#),
            r#"{"sku":7,"p":{"name":"seven"}}"#
        );
        let object = r#"table = "object.json""#;
        assert_eq!(run(object, r#"{"sku":"A-1"}"#), r#"{"sku":"A-1","p":{"name":"Shoes"}}"#);
        assert_eq!(run(object, r#"{"sku":"B","p":"claimed"}"#), r#"{"sku":"B"}"#);
    }

    #[test]
    fn what_is_not_in_the_table_is_otherwise() {
        for sku in [r#""a-1""#, r#""""#, "7.0", "true", r#"["A-1"]"#, r#"{"a":"A-1"}"#, r#""é""#] {
            let event = format!(r#"{{"sku":{sku}}}"#);
            let run = |otherwise: &str| run(&format!(r#"table = "p.csv", key = "sku"{otherwise}"#), &event);
            assert_eq!(run(""), event);
            assert_eq!(run(", otherwise = \"keep\""), event);
            assert_eq!(run(", otherwise = \"drop\""), "dropped");
            let detail = "`sku` has a value that is not in the table";
            assert_eq!(run(", otherwise = \"quarantine\""), format!("not_in_table: {detail}"));
            let instead = format!(r#"{{"sku":{sku},"p":{{"name":"?","n":0}}}}"#);
            assert_eq!(run(", otherwise = { name = \"?\", n = 0 }"), instead);
        }
        // As `enrich.constant` has them.
        let set = r#"otherwise = { since = 2026-01-01, at = 2026-11-20T13:05:00Z, f = 0.5, l = [1, { x = true }], o = {} }"#;
        assert_eq!(
            run(&format!(r#"table = "p.csv", key = "sku", {set}"#), r#"{"sku":"?"}"#),
            r#"{"sku":"?","p":{"since":"2026-01-01","at":"2026-11-20T13:05:00Z","f":0.5,"l":[1,{"x":true}],"o":{}}}"#
        );
    }

    #[test]
    fn true_and_false_are_looked_up_by_name() {
        for flag in ["true", "false"] {
            assert_eq!(
                run(r#"table = "flags.csv", key = "flag""#, &format!(r#"{{"sku":{flag}}}"#)),
                format!(r#"{{"sku":{flag},"p":{{"flag":"{flag}","n":"{flag} it is"}}}}"#)
            );
        }
    }

    #[test]
    fn without_a_value_there_is_nothing_to_look_up() {
        for event in ["{}", r#"{"sku":null}"#] {
            assert_eq!(run(r#"table = "p.csv", key = "sku", otherwise = "drop""#, event), event);
        }
        assert_eq!(run(r#"table = "p.csv", key = "sku""#, r#"{"p":{"name":"claimed"}}"#), "{}");
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn refuse(more: &str, expected: Expect) {
        let settings = format!(r#"{{ from = "sku", into = "p", {more} }}"#);
        let value = toml::de::DeValue::parse(&settings).unwrap();
        expected.assert_eq(&compile::<Lookup>(value, &FILES).map(|_| ()).unwrap_err().to_string());
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        refuse(
            r#"table = "no.csv", key = "sku""#,
            expect![
                "the table `no.csv` cannot be read: there is no such file = it is a file beside the pipeline"
            ],
        );
        refuse(
            r#"table = "p.txt", key = "sku""#,
            expect![
                "the table `p.txt` is of an unknown form = its name ends with `.csv`, `.tsv` or `.json`, which tells how it is read"
            ],
        );
        refuse(
            r#"table = "p.csv""#,
            expect![[r#"the table `p.csv` is looked up by a column: say which = key = "sku", for instance"#]],
        );
        refuse(
            r#"table = "p.csv", key = "skuu""#,
            expect!["there is no column `skuu` in `p.csv` = did you mean `sku`?"],
        );
        refuse(
            r#"table = "p.csv", key = "sku", fields = ["colour"]"#,
            expect!["there is no column `colour` in `p.csv` = there are sku, name, price, n, ok"],
        );
        refuse(
            r#"table = "p.csv", key = "sku", types = { price = "number" }"#,
            expect![
                "unknown value `number`, expected one of `string`, `int`, `float`, `bool` = did you mean `float`?"
            ],
        );
        refuse(
            r#"table = "p.csv", key = "sku", otherwise = "reject""#,
            expect!["unknown value `reject`, expected one of `keep`, `drop`, `quarantine`"],
        );
        refuse(
            r#"table = "twice.csv", key = "sku""#,
            expect!["the table `twice.csv` has the key `A` in line 5, and in line 2 already"],
        );
        refuse(r#"table = "none.csv", key = "sku""#, expect!["the table `none.csv` has no key in line 3"]);
        refuse(
            r#"table = "short.csv", key = "sku""#,
            expect![
                "the table `short.csv`: CSV error: record 1 (line: 2, byte: 9): found record with 1 fields, but the previous record has 2 fields"
            ],
        );
        refuse(
            r#"table = "bad.csv", key = "sku", types = { n = "int" }"#,
            expect!["the table `bad.csv` has a `n` in line 3 that is no int"],
        );
        refuse(r#"table = "latin.csv", key = "sku""#, expect!["the table `latin.csv` is not UTF-8"]);
        refuse(
            r#"table = "list.json""#,
            expect![[
                r#"the table `list.json` is looked up by a member: say which = key = "sku", for instance"#
            ]],
        );
        refuse(
            r#"table = "list.json", key = "name2""#,
            expect!["the table `list.json` has no string or number `name2` in row 1"],
        );
        refuse(
            r#"table = "object.json", key = "name""#,
            expect![
                "the table `object.json` is an object of objects: their names are the keys = leave `key` out"
            ],
        );
        refuse(
            r#"table = "twice.json""#,
            expect!["the table `twice.json` has the key `A` in row 2, and before that already"],
        );
        refuse(
            r#"table = "flat.json""#,
            expect![
                "the table `flat.json`: invalid type: integer `1`, expected an object at line 1 column 6"
            ],
        );
        refuse(
            r#"table = "columns.csv", key = "sku""#,
            expect!["the table `columns.csv` has two columns `name`"],
        );
        refuse(
            r#"table = "members.json", key = "sku""#,
            expect!["the table `members.json` has two members `n` in row 1"],
        );
        refuse(
            r#"table = "semicolons.csv", key = "sku""#,
            expect![
                "there is no column `sku` in `semicolons.csv` = its columns are to stand apart by `,`, and the first line is `sku;name`"
            ],
        );
        refuse(
            r#"table = "commas.tsv", key = "sku""#,
            expect![
                "there is no column `sku` in `commas.tsv` = its columns are to stand apart by a tab, and the first line is `sku,name`"
            ],
        );
        refuse(
            r#"table = "empty.csv", key = "sku""#,
            expect!["the table `empty.csv` is empty = its first line has the columns' names"],
        );
        refuse(
            r#"table = "p.csv", key = "sku", otherwise = { a = [{ n = nan }] }"#,
            expect![[
                r#"`otherwise` has `nan` or `inf`, which no event can hold = leave it out, or write `"unknown"`"#
            ]],
        );
        refuse(
            r#"table = "p.csv", key = "sku", otherwise = 7"#,
            expect![[
                r#"wrong type: integer `7`, expected "keep", "drop", "quarantine", or a table of what to set"#
            ]],
        );
    }
}
