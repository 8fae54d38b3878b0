//! The `cel` crate's interpreter gives the same values: any expression over any event, or an error from both.
//!
//! Where we follow the specification, or our own page, and the crate does not:
//!
//! - `has(x.y)` is false for us where `x` is null: the crate is asked `x == null ? false : has(x.y)`.
//! - `[1] + {'a': 1}` has no overload in CEL; the crate appends the keys. It is asked for an error there.
//! - Integers and doubles compare exactly for us; the crate turns the integer into a double, so that
//!   `9007199254740993 == 9007199254740992.0` there. The numbers here are small, or of one type.
//! - A pattern that is no constant is a mistake for us: the patterns here are constants.
//! - What costs too much is an error for us alone: nothing here does.
//! - Timestamps keep their offset there, and a `getHours()` is that of it: the crate is asked for that of UTC.
//! - `getMilliseconds()` of a duration is all of them there, what is beyond the second for us: the crate is asked for
//!   the remainder.
//! - The crate reads durations as doubles and in part: those here are few.

use super::evaluate::Run;
use super::plain::{Plain, Short};
use super::times::{Moment, Span};
use super::value::Value;
use super::{compile, syntax};
use crate::event::{Event, Value as Field};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    Arc::new(env)
});

struct Fields<'a>(&'a Event);

impl VariableResolver for Fields<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let is_type = super::value::Kind::named(variable).is_some();
        match self.0.fields().get(variable) {
            // `data.x` may name a variable of a namespace, and is asked for first; ours have none.
            _ if variable.contains('.') => None,
            Some(value) => Some(CowVal::Owned(to_cel(value))),
            None if is_type => None,
            None => Some(CowVal::owned(CelNull)),
        }
    }
}

fn to_cel(value: Field<'_>) -> Box<dyn Val + '_> {
    match value {
        Field::Null => Box::new(CelNull),
        Field::Bool(value) => Box::new(CelBool::from(value)),
        Field::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Box::new(CelInt::from(int)),
            (None, Some(uint)) => Box::new(CelUInt::from(uint)),
            (None, None) => Box::new(CelDouble::from(number.as_f64())),
        },
        Field::String(text) => Box::new(CelString::from(text)),
        Field::Array(items) => Box::new(CelList::from(items.map(to_cel).collect::<Vec<_>>())),
        Field::Object(members) => {
            let entries = members.map(|(key, value)| (CelMapKey::from(key), to_cel(value)));
            Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
        }
    }
}

/// What the crate makes of an expression.
pub(super) fn interpret(source: &str, event: &Event) -> Result<cel::Value, ExecutionError> {
    let program = ENV.compile(source).expect("we parse it too");
    interpret_compiled(&program, event)
}

pub(super) fn interpret_compiled(
    program: &cel::Program,
    event: &Event,
) -> Result<cel::Value, ExecutionError> {
    let fields = Fields(event);
    let mut context = Context::with_env(Arc::clone(&ENV));
    context.set_variable_resolver(&fields);
    program.execute(&context)
}

/// Values of both in one form: maps in the order of their keys, types as their names, as the crate has them.
fn ours(value: &Value<'_>) -> String {
    if let Some(list) = value.list() {
        return format!("{:?}", list.iter().map(|value| ours(&value)).collect::<Vec<_>>());
    }
    if let Some(map) = value.map() {
        let mut entries: Vec<_> = map.iter().map(|(key, value)| (ours(&key), ours(&value))).collect();
        entries.sort();
        return format!("{entries:?}");
    }
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(int) => int.to_string(),
        Value::UInt(int) => format!("{int}u"),
        Value::Double(double) => format!("{double:?}"),
        Value::Bytes(bytes) => format!("b{bytes:?}"),
        Value::Type(kind) => format!("{:?}", kind.name()),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Duration(span) => span.to_string(),
        other => other.text().map_or_else(|| "null".to_owned(), |text| format!("{text:?}")),
    }
}

fn theirs(value: &cel::Value) -> String {
    match value {
        cel::Value::List(values) => format!("{:?}", values.iter().map(theirs).collect::<Vec<_>>()),
        cel::Value::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| (theirs(&cel::Value::from(key)), theirs(value)));
            let mut entries: Vec<_> = entries.collect();
            entries.sort();
            format!("{entries:?}")
        }
        cel::Value::Bool(flag) => flag.to_string(),
        cel::Value::Int(int) => int.to_string(),
        cel::Value::UInt(int) => format!("{int}u"),
        cel::Value::Float(double) => format!("{double:?}"),
        cel::Value::Bytes(bytes) => format!("b{bytes:?}"),
        cel::Value::String(text) => format!("{text:?}"),
        cel::Value::Null => "null".to_owned(),
        cel::Value::Timestamp(moment) => {
            let moment = moment.to_utc();
            Moment::new(moment.timestamp(), moment.timestamp_subsec_nanos()).unwrap().to_string()
        }
        cel::Value::Duration(span) => Span::new(span.num_nanoseconds().unwrap().into()).unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

/// An expression as we are asked it, and as the crate is.
#[derive(Debug, Clone)]
struct Question {
    ours: String,
    theirs: String,
}

fn fixed(text: impl Into<String>) -> Question {
    let text = text.into();
    Question { ours: text.clone(), theirs: text }
}

/// Puts questions in the place of the `#`s of a text.
fn put(pattern: &str, parts: &[&Question]) -> Question {
    let fill = |side: fn(&Question) -> &str| {
        let mut pieces = pattern.split('#');
        let first = pieces.next().unwrap_or_default().to_owned();
        parts.iter().zip(pieces).fold(first, |text, (part, piece)| text + side(part) + piece)
    };
    Question { ours: fill(|part| &part.ours), theirs: fill(|part| &part.theirs) }
}

fn arithmetic(sign: &str, a: &Question, b: &Question) -> Question {
    let question = put(&format!("(# {sign} #)"), &[a, b]);
    if sign != "+" {
        return question;
    }
    // The crate appends the keys of a map.
    let Question { theirs, .. } = put("(type(#) == map ? [1 / 0] : # + #)", &[b, a, b]);
    Question { theirs, ..question }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Bool,
    Int,
    UInt,
    Double,
    Text,
    Bytes,
    /// A list of ints, of texts, of maps.
    Ints,
    Texts,
    Maps,
    Map,
    Timestamp,
    Duration,
}

const TYPES: [Type; 12] = [
    Type::Bool,
    Type::Int,
    Type::UInt,
    Type::Double,
    Type::Text,
    Type::Bytes,
    Type::Ints,
    Type::Texts,
    Type::Maps,
    Type::Map,
    Type::Timestamp,
    Type::Duration,
];

const PARTS: [&str; 10] = [
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// Asks questions that have an answer more often than not.
struct Asker {
    rng: fastrand::Rng,
    variables: Vec<(&'static str, Type)>,
}

impl Asker {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    fn number(&mut self) -> Type {
        self.pick(&[Type::Int, Type::Int, Type::UInt, Type::Double])
    }

    fn leaf(&mut self, of: Type) -> Question {
        let known: Vec<_> = self.variables.iter().filter(|(_, known)| *known == of).copied().collect();
        if !known.is_empty() && self.rng.bool() {
            return fixed(self.pick(&known).0);
        }
        let maps: Vec<_> = self.variables.iter().filter(|(_, known)| *known == Type::Map).copied().collect();
        if !maps.is_empty() && self.rng.bool() {
            let (name, _) = self.pick(&maps);
            return fixed(match of {
                Type::Int => format!("{name}.n"),
                Type::Text => format!("{name}['sku']"),
                Type::Bool => format!("{name}.flag"),
                _ => format!("{name}.x"),
            });
        }
        fixed(self.pick(match of {
            Type::Bool => &["true", "false", "flag", "data.flag", "data.x", "data.none"][..],
            Type::Int => &[
                "0",
                "1",
                "-1",
                "7",
                "n",
                "data.n",
                "data['n']",
                "9223372036854775807",
                "-9223372036854775808",
            ],
            Type::UInt => &["0u", "1u", "7u", "18446744073709551615u", "u"],
            Type::Double => &["0.0", "1.0", "0.5", "-2.5", "d", "data.d", "1e300"],
            Type::Text => {
                &["''", "'a'", "'ab'", "'gr\\u00fcn'", "'1'", "'2.5'", "'true'", "text", "data.sku", "type"]
            }
            Type::Bytes => &["b''", "b'ab'", "b'\\xff'"],
            Type::Ints => &["[]", "[1, 2]", "[1, 2, 3, 2]", "ints", "data.ints"],
            Type::Texts => &["[]", "['a', 'b']", "['1', 'gr\\u00fcn']", "texts"],
            Type::Maps => &["items", "[data]", "[{'n': 1, 'sku': 'a'}]"],
            Type::Map => &[
                "data",
                "{}",
                "{'n': 1, 'sku': 'a', 'flag': true}",
                "{1: 'a', 2u: 'b', true: 'c'}",
                "items[0]",
            ],
            Type::Timestamp => &[
                "timestamp('2019-11-15T18:05:00Z')",
                "timestamp('2000-02-29T23:59:59.123456789+05:30')",
                "timestamp('0001-01-01T00:00:00Z')",
                "timestamp('9999-12-31T23:59:59.999999999Z')",
                "timestamp(-1)",
                "timestamp(1)",
                "timestamp('2026-01-20T13:05:00.25Z')",
                "timestamp('2026-07-01T00:00:00+02:00')",
                "timestamp(at)",
            ],
            Type::Duration => &[
                "duration('1h30m')",
                "duration('-1.5s')",
                "duration('250ms')",
                "duration('86400s')",
                "duration('2562047h')",
                "duration('1ns')",
                "duration('0')",
                "duration('1s')",
                "duration('90m')",
            ],
        }))
    }

    fn ask(&mut self, of: Type, depth: usize) -> Question {
        // Now and then of any type at all.
        if self.rng.u8(..) < 6 {
            let of = self.pick(&TYPES);
            return if self.rng.bool() { self.ask(of, depth) } else { fixed("null") };
        }
        let Some(less) = depth.checked_sub(1) else { return self.leaf(of) };
        match self.rng.u8(..10) {
            0 => return self.leaf(of),
            1 => {
                let (a, b, c) = (self.ask(Type::Bool, less), self.ask(of, less), self.ask(of, less));
                return put("(# ? # : #)", &[&a, &b, &c]);
            }
            2 => return put("dyn(#)", &[&self.ask(of, less)]),
            _ => {}
        }
        match of {
            Type::Bool => self.condition(less),
            Type::Int if self.rng.bool() => match self.rng.u8(..9) {
                0 => put("-(#)", &[&self.ask(Type::Int, less)]),
                1 => {
                    let other = self.pick(&[Type::UInt, Type::Double, Type::Text]);
                    put("int(#)", &[&self.ask(other, less)])
                }
                2 => put("(#)[1]", &[&self.ask(Type::Ints, less)]),
                5 => put("int(#)", &[&self.ask(Type::Timestamp, less)]),
                6 => {
                    let part = self.pick(&PARTS);
                    let of = self.ask(Type::Timestamp, less);
                    let zone = self.pick(&["Europe/Berlin", "-02:30", "UTC", "+23:59", "America/St_Johns"]);
                    // The crate's summer times end in this century, and what was before 1970 is a matter of opinion.
                    let zoned = put(
                        &format!("(# > timestamp(0) && # < timestamp(1900000000) ? #.{part}('{zone}') : 0)"),
                        &[&of, &of, &of],
                    );
                    let Question { theirs, .. } = put(&format!("(#).{part}('UTC')"), &[&of]);
                    if self.rng.bool() {
                        zoned
                    } else {
                        Question { theirs, ..put(&format!("(#).{part}()"), &[&of]) }
                    }
                }
                7 => {
                    let of = self.ask(Type::Duration, less);
                    let part =
                        self.pick(&["getHours", "getMinutes", "getSeconds", "getMilliseconds", "getDate"]);
                    let question = put(&format!("(#).{part}()"), &[&of]);
                    if part != "getMilliseconds" {
                        return question;
                    }
                    Question {
                        theirs: format!(
                            "(type({0}) == google.protobuf.Duration ? {1} % 1000 : {1})",
                            of.theirs, question.theirs
                        ),
                        ..question
                    }
                }
                8 => {
                    let call = self.pick(&[
                        "(#).indexOf(#)",
                        "(#).lastIndexOf(#)",
                        "(#).indexOf(#, #)",
                        "(#).lastIndexOf(#, #)",
                    ]);
                    let (text, part) = (self.ask(Type::Text, less), self.leaf(Type::Text));
                    put(call, &[&text, &part, &self.leaf(Type::Int)])
                }
                3 => {
                    let (list, at) = (self.ask(Type::Ints, less), self.number());
                    put("(#)[#]", &[&list, &self.leaf(at)])
                }
                _ => {
                    let sized = self.pick(&[Type::Text, Type::Bytes, Type::Ints, Type::Maps, Type::Map]);
                    let call = self.pick(&["size(#)", "(#).size()"]);
                    put(call, &[&self.ask(sized, less)])
                }
            },
            Type::UInt if self.rng.bool() => {
                let other = self.pick(&[Type::Int, Type::Double, Type::Text]);
                put("uint(#)", &[&self.ask(other, less)])
            }
            Type::Double if self.rng.bool() => {
                let other = self.pick(&[Type::Int, Type::UInt, Type::Text]);
                put("double(#)", &[&self.ask(other, less)])
            }
            Type::Text if self.rng.bool() => {
                let other = self.pick(&[
                    Type::Bool,
                    Type::Int,
                    Type::UInt,
                    Type::Double,
                    Type::Text,
                    Type::Bytes,
                    Type::Timestamp,
                    Type::Duration,
                ]);
                put("string(#)", &[&self.ask(other, less)])
            }
            Type::Bytes if self.rng.bool() => put("bytes(#)", &[&self.ask(Type::Text, less)]),
            Type::Int | Type::UInt => {
                let sign = self.pick(&["+", "-", "*", "/", "%"]);
                arithmetic(sign, &self.ask(of, less), &self.ask(of, less))
            }
            Type::Double => {
                let sign = self.pick(&["+", "-", "*", "/"]);
                arithmetic(sign, &self.ask(of, less), &self.ask(of, less))
            }
            Type::Timestamp => match self.rng.u8(..4) {
                0 => put("timestamp(string(#))", &[&self.ask(of, less)]),
                1 => put("(# + #)", &[&self.ask(Type::Duration, less), &self.ask(of, less)]),
                2 => put("(# + #)", &[&self.ask(of, less), &self.ask(Type::Duration, less)]),
                _ => put("(# - #)", &[&self.ask(of, less), &self.ask(Type::Duration, less)]),
            },
            Type::Duration => match self.rng.u8(..4) {
                0 => put("duration(#)", &[&self.ask(of, less)]),
                1 => put("(# - #)", &[&self.ask(Type::Timestamp, less), &self.ask(Type::Timestamp, less)]),
                2 => put("(# + #)", &[&self.ask(of, less), &self.ask(of, less)]),
                _ => put("(# - #)", &[&self.ask(of, less), &self.ask(of, less)]),
            },
            Type::Text if self.rng.bool() => self.cut(less),
            Type::Text | Type::Bytes => arithmetic("+", &self.ask(of, less), &self.ask(of, less)),
            Type::Map => match self.rng.u8(..3) {
                0 => put("(#)[0]", &[&self.ask(Type::Maps, less)]),
                1 => {
                    let (a, b) = (self.pick(&TYPES), self.pick(&TYPES));
                    let (key, a, b) = (self.ask(Type::Text, less), self.ask(a, less), self.ask(b, less));
                    put("{'n': #, #: #}", &[&a, &key, &b])
                }
                _ => {
                    let key = self.number();
                    let (key, value) = (self.ask(key, less), self.ask(Type::Int, less));
                    put("{int(#): #, 'sku': 'b'}", &[&key, &value])
                }
            },
            Type::Ints | Type::Texts | Type::Maps => self.list(of, less),
        }
    }

    /// A text made of others.
    fn cut(&mut self, less: usize) -> Question {
        let call = self.pick(&[
            "(#).lowerAscii()",
            "(#).upperAscii()",
            "(' ' + #).trim()",
            "(#).replace(#, #)",
            "(#).replace(#, #, [0, 1, -1][0])",
            "(#).substring([0, 1, 2, 7][1])",
            "(#).substring(0, 1)",
            "(#).charAt(1)",
        ]);
        if self.rng.u8(..4) == 0 {
            return put(self.pick(&["(#).join()", "(#).join('-')"]), &[&self.ask(Type::Texts, less)]);
        }
        let (a, b, c) = (self.ask(Type::Text, less), self.leaf(Type::Text), self.leaf(Type::Text));
        put(call, &[&a, &b, &c])
    }

    fn condition(&mut self, less: usize) -> Question {
        match self.rng.u8(..14) {
            0..=2 => {
                let sign = self.pick(&["&&", "||"]);
                put(&format!("(# {sign} #)"), &[&self.ask(Type::Bool, less), &self.ask(Type::Bool, less)])
            }
            3 => put("!(#)", &[&self.ask(Type::Bool, less)]),
            4 | 5 => {
                let (a, b) = (self.number(), self.number());
                let sign = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                put(&format!("(# {sign} #)"), &[&self.small(a, less), &self.small(b, less)])
            }
            6 => {
                let of = self.pick(&[Type::Bool, Type::Text, Type::Bytes, Type::Timestamp, Type::Duration]);
                let sign = self.pick(&["<", "<=", ">", ">="]);
                put(&format!("(# {sign} #)"), &[&self.ask(of, less), &self.ask(of, less)])
            }
            7 => {
                let (of, sign) = (self.pick(&TYPES), self.pick(&["==", "!="]));
                put(&format!("(# {sign} #)"), &[&self.ask(of, less), &self.ask(of, less)])
            }
            8 => {
                let (of, list) = self.pick(&[
                    (Type::Int, Type::Ints),
                    (Type::UInt, Type::Ints),
                    (Type::Text, Type::Texts),
                    (Type::Text, Type::Map),
                    (Type::Map, Type::Maps),
                ]);
                put("(# in #)", &[&self.ask(of, less), &self.ask(list, less)])
            }
            9 => {
                let method = self.pick(&["contains", "startsWith", "endsWith"]);
                put(&format!("(#).{method}(#)"), &[&self.ask(Type::Text, less), &self.ask(Type::Text, less)])
            }
            10 => {
                let pattern = self.pick(&["'a'", "'^[a-z]+$'", "'(a|b)*c?'", "'^$'", "'\\\\d'"]);
                let call = self.pick(&["matches(#, P)", "(#).matches(P)"]).replace('P', pattern);
                put(&call, &[&self.ask(Type::Text, less)])
            }
            11 => {
                let of = self.ask(Type::Map, less);
                let key = self.pick(&["n", "sku", "x"]);
                let Question { theirs, .. } =
                    put(&format!("((#) == null ? false : has((#).{key}))"), &[&of, &of]);
                Question { theirs, ..put(&format!("has((#).{key})"), &[&of]) }
            }
            12 => {
                let of = self.pick(&TYPES);
                let name = self.pick(&[
                    "bool",
                    "int",
                    "uint",
                    "double",
                    "string",
                    "list",
                    "map",
                    "null_type",
                    "google.protobuf.Timestamp",
                    "google.protobuf.Duration",
                ]);
                put(&format!("(type(#) == {name})"), &[&self.ask(of, less)])
            }
            _ => {
                let name = self.pick(&["all", "exists", "exists_one"]);
                self.over(name, Type::Bool, less)
            }
        }
    }

    /// Where an integer and a double meet, both are small: the crate compares large ones inexactly.
    fn small(&mut self, of: Type, less: usize) -> Question {
        match of {
            Type::Int => put("(int(#) % 1000)", &[&self.ask(Type::Int, less)]),
            Type::UInt => put("(# % 1000u)", &[&self.ask(Type::UInt, less)]),
            _ => self.ask(of, less),
        }
    }

    fn list(&mut self, of: Type, less: usize) -> Question {
        let (one, name) = match of {
            Type::Ints => (Type::Int, "map"),
            Type::Texts => (Type::Text, "map"),
            _ => (Type::Map, "map"),
        };
        if of == Type::Texts && self.rng.u8(..4) == 0 {
            let call =
                self.pick(&["(#).split(#)", "(#).split(#, 2)", "(#).split(#, 0)", "(#).split('', -1)"]);
            return put(call, &[&self.ask(Type::Text, less), &self.leaf(Type::Text)]);
        }
        match self.rng.u8(..5) {
            0 => put("[#, #]", &[&self.ask(one, less), &self.ask(one, less)]),
            1 => {
                let (a, b) = (self.ask(of, less), self.ask(of, less));
                arithmetic("+", &a, &b)
            }
            2 => {
                let list = self.ask(of, less);
                self.variables.push(("i", one));
                let body = self.ask(Type::Bool, less);
                self.variables.pop();
                put("(type(#) == map ? [] : (#).filter(i, #))", &[&list, &list, &body])
            }
            3 => {
                let list = self.ask(Type::Ints, less);
                self.variables.push(("j", Type::Int));
                let (test, body) = (self.ask(Type::Bool, less), self.ask(one, less));
                self.variables.pop();
                put("(type(#) == map ? [] : (#).map(j, #, #))", &[&list, &list, &test, &body])
            }
            _ => self.over(name, one, less),
        }
    }

    fn over(&mut self, name: &str, body: Type, less: usize) -> Question {
        let (of, one) = self.pick(&[
            (Type::Ints, Type::Int),
            (Type::Texts, Type::Text),
            (Type::Maps, Type::Map),
            (Type::Map, Type::Text),
        ]);
        let list = self.ask(of, less);
        let variable = self.pick(&["i", "j", "n"]);
        self.variables.push((variable, one));
        let body = self.ask(body, less);
        self.variables.pop();
        // The crate goes over a map in any order.
        if name == "map" {
            return put(&format!("(type(#) == map ? [] : (#).map({variable}, #))"), &[&list, &list, &body]);
        }
        put(&format!("(#).{name}({variable}, #)"), &[&list, &body])
    }

    /// An event whose fields are mostly what the questions take them for.
    fn event(&mut self) -> Event {
        let mut event = serde_json::Map::new();
        for key in ["flag", "n", "u", "d", "at", "text", "ints", "texts", "items", "data", "type"] {
            let value = match self.rng.u8(..16) {
                0 => continue,
                1 => Json::Null,
                2 => json!({ "n": 1 }),
                _ => self.value(key),
            };
            event.insert(key.to_owned(), value);
        }
        Event::read(&Json::Object(event).to_string()).unwrap()
    }

    fn value(&mut self, key: &str) -> Json {
        let length = self.rng.usize(..4);
        match key {
            "flag" => json!(self.rng.bool()),
            "n" => json!(self.pick(&[0, 1, -1, 2, 7, 1000, i64::MAX, i64::MIN])),
            "at" => json!(self.pick(&[
                "2026-01-20T13:05:00Z",
                "1969-12-31T23:59:59.5Z",
                "2000-02-29T12:00:00-07:00",
                "never"
            ])),
            "u" => json!(self.pick(&[u64::MAX, 1 << 63])),
            "d" => json!(self.pick(&[0.0, 0.5, 1.0, -2.5, 2.0, 1e10])),
            "ints" => (0..length).map(|_| self.value("n")).collect(),
            "texts" => (0..length).map(|_| self.value("text")).collect(),
            "items" => (0..length).map(|_| self.value("data")).collect(),
            "data" => {
                let mut data = serde_json::Map::new();
                for key in ["flag", "n", "d", "sku", "ints", "x"] {
                    if self.rng.u8(..8) > 0 {
                        data.insert(key.to_owned(), self.value(key));
                    }
                }
                Json::Object(data)
            }
            _ => json!(self.pick(&["", "a", "ab", "b", "1", "-7", "2.5", "grün", "true"])),
        }
    }
}

/// Asks both, our short way too, and tells how often there was an answer, and the short way had one.
fn ask_both(seeds: std::ops::Range<u64>) -> (usize, usize) {
    let (mut answers, mut shorts) = (0, 0);
    for seed in seeds {
        let mut asker = Asker { rng: fastrand::Rng::with_seed(seed), variables: Vec::new() };
        let event = asker.event();
        let (of, depth) = (asker.pick(&TYPES), asker.rng.usize(1..5));
        let question = asker.ask(of, depth);
        // What nests too deep for us is no question.
        let Ok(parsed) = syntax::parse(&question.ours) else { continue };
        let program = compile::compile(&parsed).unwrap().program;
        let told = Run::new(&program, &event).run(&program.root).map(|(value, _)| ours(&value));
        let short = Short::new(&program, &event).eval(&program.root).filter(|_| program.is_plain);
        if let Some(short) = short {
            shorts += 1;
            let short = plainly(short);
            assert_eq!(Ok(short), told, "SEED={seed}: {} over {event}", question.ours);
        }
        let answer = interpret(&question.theirs, &event);
        match (&told, &answer) {
            (Ok(ours), Ok(answer)) => {
                answers += 1;
                assert_eq!(ours, &theirs(answer), "SEED={seed}: {} over {event}", question.ours);
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("SEED={seed}: {}: {ours:?}, {theirs:?} over {event}", question.ours),
        }
    }
    (answers, shorts)
}

fn plainly(value: Plain<'_>) -> String {
    ours(&match value {
        Plain::Null => Value::Null,
        Plain::Bool(flag) => Value::Bool(flag),
        Plain::Int(int) => Value::Int(int),
        Plain::Double(double) => Value::Double(double),
        Plain::Text(text) => Value::Text(text),
    })
}

/// What one evaluation costs, ours and the crate's, by the difference between two runs under callgrind:
/// `ROUNDS=… valgrind --tool=callgrind … --ignored evaluate_often`, with `CRATE=1` for the crate.
#[test]
#[ignore = "it is there to be measured"]
fn evaluate_often() {
    let setting = |name: &str| std::env::var(name).ok();
    let rounds: usize = setting("ROUNDS").and_then(|rounds| rounds.parse().ok()).unwrap_or(1000);
    let source = setting("SOURCE");
    let source = source.as_deref().unwrap_or("price != null && price > 50.0 ? price * 0.1 : null");
    let event = Event::read(
        r#"{"id":"e1","eventType":"view","timestamp":"2019-11-15T18:05:00Z","userId":"u-1","sessionId":"s-1",
        "browser":"Firefox","path":"https://example.com/a?b=c","price":79.9,"data":{"x":1,"y":2,"text":"abc"},
        "items":[{"sku":"a","n":1},{"sku":"b","n":2},{"sku":"c","n":3}]}"#,
    );
    let event = event.unwrap();
    if setting("CRATE").is_some() {
        let program = ENV.compile(source).unwrap();
        (0..rounds).for_each(|_| drop(std::hint::black_box(interpret_compiled(&program, &event)).unwrap()));
    } else {
        let program = compile::compile(&syntax::parse(source).unwrap()).unwrap().program;
        for _ in 0..rounds {
            let run = Run::new(&program, &event).run(&program.root);
            drop(std::hint::black_box(run.unwrap()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_crate_gives_the_same(seed in 0..u64::MAX / 2) {
        let (answers, _) = ask_both(seed..seed + 32);
        prop_assert!(answers > 3, "the questions are no good: {answers} answers of 32");
    }
}

#[test]
fn the_short_way_is_asked_too() {
    let (answers, shorts) = ask_both(0..300);
    assert!(answers > 100 && shorts > 30, "the questions are no good: {answers} answers, {shorts} short");
}

/// For who changes the evaluation: `cargo test -p millrace-core --release -- --ignored many_questions`.
#[test]
#[ignore = "it takes a minute"]
fn many_questions() {
    let (answers, shorts) = ask_both(0..10_000);
    assert!(answers > 3_000 && shorts > 500, "{answers} answers, {shorts} short");
}
