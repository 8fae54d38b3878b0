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

use super::evaluate::Run;
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
use proptest::sample::select;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

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

const FIELDS: [&str; 8] = ["a", "b", "n", "items", "data", "text", "type", "none"];
const KEYS: [&str; 4] = ["x", "y", "sku", "n"];

fn leaf() -> impl Strategy<Value = Question> {
    let literals = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "7",
        "1u",
        "0u",
        "2u",
        "1.0",
        "0.5",
        "-2.5",
        "2.0",
        "0.0",
        "''",
        "'a'",
        "'ab'",
        "'grün'",
        "'1'",
        "'2.5'",
        "'true'",
        "b'ab'",
        "b''",
        "int",
        "double",
        "string",
        "list",
        "[]",
        "[1, 2]",
        "['a', 'b']",
        "[1, 2.0, 'a', null]",
        "{}",
        "{'x': 1}",
        "{1: 'a', 2u: 'b', true: 'c'}",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615u",
    ];
    prop_oneof![
        2 => select(literals.to_vec()).prop_map(fixed),
        3 => select(FIELDS.to_vec()).prop_map(fixed),
        2 => (select(FIELDS.to_vec()), select(KEYS.to_vec())).prop_map(|(a, b)| fixed(format!("{a}.{b}"))),
        1 => (select(FIELDS.to_vec()), select(KEYS.to_vec())).prop_map(|(a, b)| fixed(format!("{a}['{b}']"))),
        2 => select(vec!["i", "j"]).prop_map(fixed),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    leaf().prop_recursive(5, 40, 3, |inner| {
        let any = || inner.clone();
        let operators = ["&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in"];
        let functions = ["bool", "bytes", "double", "dyn", "int", "size", "string", "type", "uint"];
        let methods = ["contains", "startsWith", "endsWith"];
        let macros = ["all", "exists", "exists_one", "map", "filter"];
        let patterns = ["'a'", "'^[a-z]+$'", "'(a|b)*c?'", "'^$'"];
        prop_oneof![
            6 => (select(operators.to_vec()), any(), any())
                .prop_map(|(sign, a, b)| {
                    let question = put(&format!("(# {sign} #)"), &[&a, &b]);
                    let no_map = || put("(type(#) == map ? 1 / 0 : # + #)", &[&b, &a, &b]).theirs;
                    let theirs = if sign == "+" { no_map() } else { question.theirs };
                    Question { theirs, ..question }
                }),
            2 => (any(), any(), any()).prop_map(|(a, b, c)| put("(# ? # : #)", &[&a, &b, &c])),
            1 => any().prop_map(|a| put("!(#)", &[&a])),
            1 => any().prop_map(|a| put("-(#)", &[&a])),
            2 => (any(), any()).prop_map(|(a, b)| put("(#)[#]", &[&a, &b])),
            2 => (any(), select(KEYS.to_vec())).prop_map(|(a, key)| put(&format!("(#).{key}"), &[&a])),
            2 => (any(), select(KEYS.to_vec())).prop_map(|(a, key)| {
                let null = format!("((#) == null ? false : has((#).{key}))");
                let theirs = put(&null, &[&a, &a]).theirs;
                Question { ours: put(&format!("has((#).{key})"), &[&a]).ours, theirs }
            }),
            2 => (select(FIELDS.to_vec()), select(KEYS.to_vec())).prop_map(|(a, key)| Question {
                ours: format!("has({a}.{key})"),
                theirs: format!("({a} == null ? false : has({a}.{key}))"),
            }),
            3 => (select(functions.to_vec()), any()).prop_map(|(f, a)| put(&format!("{f}(#)"), &[&a])),
            1 => any().prop_map(|a| put("(#).size()", &[&a])),
            2 => (select(methods.to_vec()), any(), any())
                .prop_map(|(f, a, b)| put(&format!("(#).{f}(#)"), &[&a, &b])),
            1 => (select(patterns.to_vec()), any()).prop_map(|(p, a)| put(&format!("(#).matches({p})"), &[&a])),
            4 => (select(macros.to_vec()), select(vec!["i", "j"]), any(), any())
                .prop_map(|(f, i, a, b)| put(&format!("(#).{f}({i}, #)"), &[&a, &b])),
            1 => (any(), any(), any()).prop_map(|(a, b, c)| put("(#).map(i, #, #)", &[&a, &b, &c])),
            2 => (any(), any()).prop_map(|(a, b)| put("[#, #]", &[&a, &b])),
            1 => (any(), any(), any()).prop_map(|(a, b, c)| put("{'x': #, #: #}", &[&a, &b, &c])),
        ]
    })
}

fn event() -> impl Strategy<Value = Event> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..8i64).prop_map(Json::from),
        select(vec![0.0, 0.5, 1.0, -2.5, 1e10]).prop_map(Json::from),
        select(vec![u64::MAX, 1 << 63]).prop_map(Json::from),
        select(vec!["", "a", "ab", "b", "1", "2.5", "grün", "true"]).prop_map(Json::from),
    ];
    let value = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(select(KEYS.to_vec()).prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    });
    let fields =
        prop::collection::btree_map(select(FIELDS[..7].to_vec()).prop_map(str::to_owned), value, 0..7);
    fields.prop_map(|map| Event::read(&Json::Object(map.into_iter().collect()).to_string()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn the_crate_gives_the_same(question in question(), event in event()) {
        let tree = syntax::parse(&question.ours).unwrap();
        let program = compile::compile(&tree).unwrap();
        let run = Run::new(&program, &event).run(&program.root);
        let told = run.as_ref().map(|(value, _)| ours(value)).map_err(ToString::to_string);
        let answer = interpret(&question.theirs, &event);
        match (&told, &answer) {
            (Ok(ours), Ok(answer)) => prop_assert_eq!(ours, &theirs(answer), "{} over {}", question.ours, event),
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{}: {ours:?}, {theirs:?} over {event}", question.ours),
        }
    }
}
