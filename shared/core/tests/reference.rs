//! Reading and changing an event is what `serde_json` and a plain model make of it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

mod targets;

use fastrand::Rng;
use millrace_core::event::{Event, New, Path, Pattern};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-9_i64..9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
        "[\"\\\\/\u{0}-\u{1f}é\u{1f600}]{0,12}".prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "é", "e\u{301}", "a.b", "", "\"", "\\", "\n", "**", "[]"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), value()), 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// JSON as nobody writes it but somebody may: blanks anywhere, any escape, numbers in many ways, keys twice.
struct Scribe {
    random: Rng,
    text: String,
}

impl Scribe {
    fn write(value: &Value, seed: u64) -> String {
        let mut scribe = Self { random: Rng::with_seed(seed), text: String::new() };
        scribe.blanks();
        scribe.value(value);
        scribe.blanks();
        scribe.text
    }

    fn blanks(&mut self) {
        while self.random.u8(..) < 50 {
            self.text.push(self.random.choice([' ', ' ', '\t', '\n', '\r']).unwrap());
        }
    }

    fn separated<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.blanks();
            write(self, item);
            self.blanks();
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.text.push('[');
                self.blanks();
                self.separated(items, Self::value);
                self.text.push(']');
            }
            Value::Object(map) => {
                self.text.push('{');
                self.blanks();
                let mut fields: Vec<_> = map.iter().collect();
                self.random.shuffle(&mut fields);
                let twins = if self.random.u8(..) < 40 { fields.clone() } else { Vec::new() };
                let twins = twins.into_iter().map(|(key, _)| (key, &Value::Null));
                self.separated(twins.chain(fields), |scribe, (key, value)| {
                    scribe.string(key);
                    scribe.blanks();
                    scribe.text.push(':');
                    scribe.blanks();
                    scribe.value(value);
                });
                self.text.push('}');
            }
            Value::String(text) => self.string(text),
            Value::Number(number) if number.is_f64() && self.random.bool() => {
                let _ = write!(self.text, "{:e}", number.as_f64().unwrap());
            }
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str) {
        let escapes = self.random.choice([0, 0, 20, 255]).unwrap();
        self.text.push('"');
        for sign in text.chars() {
            let short = match sign {
                '"' => Some('"'),
                '\\' => Some('\\'),
                '/' => Some('/'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                _ => None,
            };
            let must = sign < ' ' || sign == '"' || sign == '\\';
            if !must && self.random.u8(..) >= escapes {
                self.text.push(sign);
            } else if let Some(short) = short.filter(|_| self.random.bool()) {
                self.text.push('\\');
                self.text.push(short);
            } else {
                for unit in sign.encode_utf16(&mut [0; 2]) {
                    let upper = self.random.bool();
                    let _ = if upper {
                        write!(self.text, "\\u{unit:04X}")
                    } else {
                        write!(self.text, "\\u{unit:04x}")
                    };
                }
            }
        }
        self.text.push('"');
    }
}

/// Changes some bytes as damage and malice do.
fn damage(text: &str, seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=bytes.len());
        match random.u8(..5) {
            0 => drop(bytes.drain(at..(at + random.usize(1..4)).min(bytes.len()))),
            1 => bytes.truncate(at),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
            3 => {
                let signs = b"{}[]\",:\\u0123456789abcdefABCDEF+-.eE tfn\n\r\t\0\x1f\x7f\x80\xc3\xff/'";
                bytes.insert(at, *random.choice(signs).unwrap());
            }
            _ => {
                let words = [
                    r"\ud800",
                    r"\udc00",
                    r"\ud83d\ude00",
                    r"\u0000",
                    "1e999",
                    "-0",
                    "00",
                    "1e-999",
                    "\u{feff}",
                    "é",
                    "true",
                    "nul",
                    "{}",
                    "[]",
                    "\"a\":1,",
                    "\\\"",
                    "\u{2028}",
                    "99999999999999999999",
                ];
                bytes.splice(at..at, random.choice(words).unwrap().bytes());
            }
        }
    }
    bytes
}

/// A way to change an event.
#[derive(Debug, Clone)]
enum Edit {
    Put(String, Set),
    Remove(String),
    Move(String, String),
    Rename(String, String),
    SetAll(String, Set),
    RemoveAll(String),
}

#[derive(Debug, Clone)]
enum Set {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(String),
    Object,
    Json(String),
}

impl Set {
    fn as_new(&self) -> New<'_> {
        match self {
            Self::Null => New::Null,
            Self::Bool(flag) => New::Bool(*flag),
            Self::Int(int) => New::Int(*int),
            Self::UInt(int) => New::UInt(*int),
            Self::Float(float) => New::Float(*float),
            Self::Str(text) => New::Str(text),
            Self::Object => New::Object,
            Self::Json(text) => New::Json(text),
        }
    }

    fn model(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => json!(flag),
            Self::Int(int) => json!(int),
            Self::UInt(int) => json!(int),
            Self::Float(float) => json!(float),
            Self::Str(text) => json!(text),
            Self::Object => json!({}),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["a", "a", "b", "c", "é", "e\u{301}", "a\\.b", "\"", "new", "\n"]);
    prop::collection::vec(key, 1..4).prop_map(|keys| keys.join("."))
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![
        Just(Set::Null),
        any::<bool>().prop_map(Set::Bool),
        any::<i64>().prop_map(Set::Int),
        any::<u64>().prop_map(Set::UInt),
        any::<f64>().prop_map(Set::Float),
        Just(Set::Float(f64::NAN)),
        any::<String>().prop_map(Set::Str),
        Just(Set::Object),
        (value(), any::<u64>()).prop_map(|(value, seed)| Set::Json(Scribe::write(&value, seed))),
        (value(), any::<u64>()).prop_map(|(value, seed)| {
            Set::Json(String::from_utf8_lossy(&damage(&value.to_string(), seed)).into_owned())
        }),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let patterns = ["a[]", "a[].a", "**", "**.a", "a.**", "**.a[]", "b", "**[]", "\\*", "a.**.b"];
    let pattern = prop::sample::select(patterns.map(str::to_owned).to_vec());
    prop_oneof![
        4 => (path(), set()).prop_map(|(path, set)| Edit::Put(path, set)),
        3 => path().prop_map(Edit::Remove),
        3 => (path(), path()).prop_map(|(from, to)| Edit::Move(from, to)),
        2 => (path(), key()).prop_map(|(path, key)| Edit::Rename(path, key)),
        1 => (pattern.clone(), set()).prop_map(|(pattern, set)| Edit::SetAll(pattern, set)),
        1 => pattern.prop_map(Edit::RemoveAll),
    ]
}

fn apply(edit: &Edit, event: &mut Event) {
    let path = |text: &String| Path::try_from(text.clone()).unwrap();
    let all = |event: &Event, text: &String| {
        let mut found = Vec::new();
        event.find_all(&Pattern::try_from(text.clone()).unwrap(), &mut found);
        found
    };
    match edit {
        Edit::Put(at, set) => {
            let id = event.put(&path(at), set.as_new());
            assert_eq!(event.find(&path(at)), Some(id));
        }
        Edit::Remove(at) => event.remove_at(&path(at)),
        Edit::Move(from, to) => {
            if let Some(id) = event.find(&path(from)) {
                event.move_to(id, &path(to));
            }
        }
        Edit::Rename(at, key) => {
            if let Some(id) = event.find(&path(at)) {
                event.rename(id, key);
                assert_eq!(event.key(id), key);
            }
        }
        Edit::SetAll(pattern, set) => {
            for id in all(event, pattern) {
                event.set(id, set.as_new());
            }
        }
        Edit::RemoveAll(pattern) => {
            for id in all(event, pattern) {
                event.remove(id);
            }
        }
    }
}

/// The same on a plain value.
mod model {
    use super::{Edit, Map, Value};

    fn keys(path: &str) -> Vec<String> {
        path.replace("\\.", "\0").split('.').map(|key| key.replace('\0', ".")).collect()
    }

    fn put(at: &mut Value, keys: &[String], value: Value) {
        let Some((key, rest)) = keys.split_first() else {
            *at = value;
            return;
        };
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        put(at.as_object_mut().unwrap().entry(key.clone()).or_insert(Value::Null), rest, value);
    }

    /// Takes a value out, and the objects that are empty without it.
    fn take(at: &mut Value, keys: &[String]) -> Option<Value> {
        let (key, rest) = keys.split_first()?;
        let map = at.as_object_mut()?;
        if rest.is_empty() {
            return map.remove(key);
        }
        let child = map.get_mut(key)?;
        let taken = take(child, rest);
        if taken.is_some() && child.as_object().is_some_and(Map::is_empty) {
            map.remove(key);
        }
        taken
    }

    fn parts(pattern: &str) -> Vec<String> {
        pattern.replace("[]", ".[]").split('.').map(str::to_owned).collect()
    }

    /// The way is keys, and none for an element.
    fn fits(parts: &[String], way: &[Option<&str>], is_leaf: bool) -> bool {
        match (parts.split_first(), way.split_first()) {
            (None, None) => true,
            (Some((part, [])), _) if part == "**" => is_leaf,
            (Some((part, rest)), _) if part == "**" => {
                (0..=way.len()).any(|at| fits(rest, &way[at..], is_leaf))
            }
            (Some((part, rest)), Some((step, way))) => {
                *part == step.unwrap_or("[]") && step.is_none() == (part == "[]") && fits(rest, way, is_leaf)
            }
            _ => false,
        }
    }

    /// Replaces each value that fits, or takes it out; whether this one is gone.
    fn all(at: &mut Value, way: &[Option<&str>], parts: &[String], new: Option<&Value>) -> bool {
        if fits(parts, way, !at.is_object() && !at.is_array()) && !way.is_empty() {
            if let Some(new) = new {
                *at = new.clone();
            }
            return new.is_none();
        }
        match at {
            Value::Array(items) => {
                let way = [way, &[None]].concat();
                items.retain_mut(|item| !all(item, &way, parts, new));
                false
            }
            Value::Object(map) => {
                let before = map.len();
                map.retain(|key, value| !all(value, &[way, &[Some(key)]].concat(), parts, new));
                before > 0 && map.is_empty() && !way.is_empty()
            }
            _ => false,
        }
    }

    pub(super) fn apply(edit: &Edit, event: &mut Value) {
        match edit {
            Edit::Put(path, set) => put(event, &keys(path), set.model()),
            Edit::Remove(path) => drop(take(event, &keys(path))),
            Edit::Move(from, to) => {
                if let Some(value) = take(event, &keys(from)) {
                    put(event, &keys(to), value);
                }
            }
            Edit::Rename(path, key) => {
                let keys = keys(path);
                let (last, above) = keys.split_last().unwrap();
                let map =
                    above.iter().try_fold(event, |at, key| at.get_mut(key)).and_then(Value::as_object_mut);
                if let Some(map) = map
                    && let Some(value) = map.remove(last)
                {
                    map.insert(key.clone(), value);
                }
            }
            Edit::SetAll(pattern, set) => drop(all(event, &[], &parts(pattern), Some(&set.model()))),
            Edit::RemoveAll(pattern) => drop(all(event, &[], &parts(pattern), None)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_serde_json_takes_is_taken_and_means_the_same(value in object(), seed in any::<u64>()) {
        let text = Scribe::write(&value, seed);
        let event = Event::read(&text).unwrap();
        prop_assert_eq!(targets::whole(&event), value);
        targets::json(text.as_bytes());
    }

    #[test]
    fn what_serde_json_refuses_is_refused(value in object(), seed in any::<u64>(), damages in any::<u64>()) {
        let text = Scribe::write(&value, seed);
        for n in 0..8 {
            targets::json(&damage(&text, damages.wrapping_add(n)));
        }
    }

    #[test]
    fn edits_do_what_they_do_to_a_plain_value(value in object(), seed in any::<u64>(), edits in prop::collection::vec(edit(), 1..12)) {
        let text = Scribe::write(&value, seed);
        let (mut event, mut model) = (Event::read(&text).unwrap(), value);
        for edit in &edits {
            let (before, edited) = (model.clone(), event.edits());
            apply(edit, &mut event);
            model::apply(edit, &mut model);
            prop_assert_eq!(event.outgrown(), None);
            prop_assert_eq!(&targets::to_json(event.value(event.root())), &model, "after {:?}", edit);
            prop_assert!(event.edits() > edited || model == before);
        }
        prop_assert_eq!(targets::whole(&event), model);
    }

    #[test]
    fn patterns_find_what_a_plain_search_finds(value in object(), keys in path(), pattern in "(\\*\\*|a|b)(\\.a|\\.b|\\.\\*\\*|\\[\\]|\\[\\]\\[\\]){0,3}") {
        for pattern in [keys, pattern] {
            targets::path(format!("{pattern}\n{value}").as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_cut_and_framed(lines in prop::collection::vec(object(), 0..5), seed in any::<u64>()) {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
        let bent = damage(&text, seed);
        targets::decode(&bent);
        targets::decode(format!("[{}]", text.trim_end().replace('\n', ",")).as_bytes());
        targets::frame(&bent);
    }
}
