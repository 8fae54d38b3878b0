//! The functions that an expression can call, and how each is written.

use super::evaluate::{Budget, Error};
use super::times::{Moment, Span};
use super::value::{Kind, List, Value, order_of_numbers};
use super::{texts, times};
use crate::mistake::{Mistake, nearest};
use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// How it is written, told to who writes it otherwise.
    pub(super) usage: &'static str,
    /// Whether it can stand before its arguments, `size(x)`, and behind the first, `x.size()`.
    before: bool,
    behind: bool,
    arguments: RangeInclusive<usize>,
    pub(super) library: Library,
}

/// Where a function is worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    /// Here.
    Standard,
    Texts,
    Times,
}

/// The most arguments that a function takes, with what it stands behind.
pub(super) const ARGUMENTS_MAX: usize = 4;

impl Function {
    /// Whether what it gives holds something of what it takes, and does not only tell how that is.
    pub(super) fn carries(&self) -> bool {
        let tells = matches!(
            self.name,
            "bool" | "contains" | "endsWith" | "indexOf" | "lastIndexOf" | "size" | "startsWith" | "type"
        );
        !tells && self.library != Library::Times
    }

    /// Whether it may give true or false.
    pub(super) fn may_be_bool(&self) -> bool {
        matches!(self.name, "bool" | "contains" | "dyn" | "endsWith" | "startsWith" | MATCHES)
    }
}

const fn conversion(name: &'static str, usage: &'static str) -> Function {
    Function { name, usage, before: true, behind: false, arguments: 1..=1, library: Library::Standard }
}

/// Of CEL's extension for mathematics: <https://pkg.go.dev/github.com/google/cel-go/ext#Math>
const fn of_math(name: &'static str, usage: &'static str, arguments: usize) -> Function {
    Function { arguments: arguments..=arguments, ..conversion(name, usage) }
}

const fn method(name: &'static str, usage: &'static str) -> Function {
    Function { before: false, behind: true, arguments: 2..=2, ..conversion(name, usage) }
}

/// Of CEL's extension for texts: <https://pkg.go.dev/github.com/google/cel-go/ext#Strings>
const fn of_texts(name: &'static str, usage: &'static str, arguments: RangeInclusive<usize>) -> Function {
    Function { arguments, library: Library::Texts, ..method(name, usage) }
}

/// A part of a moment, or how often a unit goes into a duration.
const fn part(name: &'static str, usage: &'static str) -> Function {
    Function { arguments: 1..=2, library: Library::Times, ..method(name, usage) }
}

/// All there are; their names are in `docs/pipeline.md`.
const FUNCTIONS: &[Function] = &[
    conversion("bool", "bool(x)"),
    conversion("bytes", "bytes(x)"),
    of_texts("charAt", "text.charAt(0)", 2..=2),
    method("contains", "text.contains('part')"),
    conversion("double", "double(x)"),
    conversion("duration", "duration('1h30m')"),
    conversion("dyn", "dyn(x)"),
    method("endsWith", "text.endsWith('end')"),
    part("getDate", "time.getDate()` or `time.getDate('Europe/Berlin')"),
    part("getDayOfMonth", "time.getDayOfMonth()` or `time.getDayOfMonth('Europe/Berlin')"),
    part("getDayOfWeek", "time.getDayOfWeek()` or `time.getDayOfWeek('Europe/Berlin')"),
    part("getDayOfYear", "time.getDayOfYear()` or `time.getDayOfYear('Europe/Berlin')"),
    part("getFullYear", "time.getFullYear()` or `time.getFullYear('Europe/Berlin')"),
    part("getHours", "time.getHours()` or `time.getHours('Europe/Berlin')"),
    part("getMilliseconds", "time.getMilliseconds()"),
    part("getMinutes", "time.getMinutes()` or `time.getMinutes('Europe/Berlin')"),
    part("getMonth", "time.getMonth()` or `time.getMonth('Europe/Berlin')"),
    part("getSeconds", "time.getSeconds()"),
    of_texts("indexOf", "text.indexOf('part')` or `text.indexOf('part', 3)", 2..=3),
    conversion("int", "int(x)"),
    of_texts("join", "texts.join()` or `texts.join(', ')", 1..=2),
    of_texts("lastIndexOf", "text.lastIndexOf('part')` or `text.lastIndexOf('part', 3)", 2..=3),
    of_texts("lowerAscii", "text.lowerAscii()", 1..=1),
    Function { before: true, ..method(MATCHES, "text.matches('pattern')") },
    of_math("math.abs", "math.abs(x)", 1),
    of_math("math.ceil", "math.ceil(x)", 1),
    of_math("math.floor", "math.floor(x)", 1),
    of_math("math.greatest", "math.greatest(x, y)", 2),
    of_math("math.least", "math.least(x, y)", 2),
    of_math("math.round", "math.round(x)", 1),
    of_math("math.trunc", "math.trunc(x)", 1),
    of_texts("replace", "text.replace('old', 'new')` or `text.replace('old', 'new', 1)", 3..=4),
    Function { behind: true, ..conversion("size", "size(x)") },
    of_texts("split", "text.split(',')` or `text.split(',', 2)", 2..=3),
    method("startsWith", "text.startsWith('start')"),
    conversion("string", "string(x)"),
    of_texts("substring", "text.substring(2)` or `text.substring(2, 5)", 2..=3),
    conversion("timestamp", "timestamp('2026-01-20T13:05:00Z')"),
    of_texts("trim", "text.trim()", 1..=1),
    conversion("type", "type(x)"),
    conversion("uint", "uint(x)"),
    of_texts("upperAscii", "text.upperAscii()", 1..=1),
];

/// The one function that is not called but compiled.
pub(super) const MATCHES: &str = "matches";

/// The parser takes macros out that are written well; what it leaves as a call is not.
const MACROS: &[(&str, &str)] = &[
    ("all", "list.all(x, x > 0)"),
    ("exists", "list.exists(x, x > 0)"),
    ("exists_one", "list.exists_one(x, x > 0)"),
    ("existsOne", "list.existsOne(x, x > 0)"),
    ("filter", "list.filter(x, x > 0)"),
    ("has", "has(data.x)"),
    ("map", "list.map(x, x * 2)"),
];

/// What other languages call some of them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("abs", "math.abs"),
    ("any", "exists"),
    ("ceil", "math.ceil"),
    ("date", "timestamp"),
    ("datetime", "timestamp"),
    ("day", "getDate"),
    ("every", "all"),
    ("float", "double"),
    ("floor", "math.floor"),
    ("getDay", "getDayOfWeek"),
    ("getYear", "getFullYear"),
    ("hour", "getHours"),
    ("includes", "contains"),
    ("len", "size"),
    ("length", "size"),
    ("lower", "lowerAscii"),
    ("match", "matches"),
    ("max", "math.greatest"),
    ("min", "math.least"),
    ("minute", "getMinutes"),
    ("month", "getMonth"),
    ("parseFloat", "double"),
    ("parseInt", "int"),
    ("regex", "matches"),
    ("replaceAll", "replace"),
    ("round", "math.round"),
    ("slice", "substring"),
    ("some", "exists"),
    ("str", "string"),
    ("strip", "trim"),
    ("substr", "substring"),
    ("toLower", "lowerAscii"),
    ("toLowerCase", "lowerAscii"),
    ("toString", "string"),
    ("toUpper", "upperAscii"),
    ("toUpperCase", "upperAscii"),
    ("trunc", "math.trunc"),
    ("upper", "upperAscii"),
    ("weekday", "getDayOfWeek"),
    ("year", "getFullYear"),
];

/// What is a function in other languages, and none here.
const OTHERWISE: &[(&str, &str)] = &[
    ("coalesce", "`x != null ? x : y` chooses"),
    ("concat", "`+` joins texts and lists"),
    ("empty", "`size(x) == 0` asks that"),
    ("ifnull", "`x != null ? x : y` chooses"),
    ("iff", "`condition ? this : that` chooses"),
    ("iif", "`condition ? this : that` chooses"),
    ("isEmpty", "`size(x) == 0` asks that"),
    ("isNull", "`x == null` asks that"),
    ("is_null", "`x == null` asks that"),
    (
        "now",
        "an expression knows no clock: the events have `receivedAt`, and `max_past` of `clean.timestamp` looks at their age",
    ),
    ("nvl", "`x != null ? x : y` chooses"),
    (
        "today",
        "an expression knows no clock: the events have `receivedAt`, and `max_past` of `clean.timestamp` looks at their age",
    ),
];

/// The function of this name, written like this.
pub(super) fn find(name: &str, behind: bool, arguments: usize) -> Result<&'static Function, Mistake> {
    if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
        let style = if behind { function.behind } else { function.before };
        return if style && function.arguments.contains(&arguments) {
            Ok(function)
        } else {
            Err(Mistake::new(format!("`{name}` is written `{}`", function.usage)))
        };
    }
    if let Some((_, usage)) = MACROS.iter().find(|(known, _)| *known == name) {
        return Err(Mistake::new(format!("`{name}` is written `{usage}`")));
    }
    let names = FUNCTIONS.iter().map(|function| function.name).chain(MACROS.iter().map(|(name, _)| *name));
    let elsewhere =
        |(theirs, ours): &(&str, &str)| (*theirs == name).then(|| format!("CEL calls it `{ours}`"));
    let otherwise = |(theirs, help): &(&str, &str)| (*theirs == name).then(|| (*help).to_owned());
    let help = ELSEWHERE
        .iter()
        .find_map(elsewhere)
        .or_else(|| OTHERWISE.iter().find_map(otherwise))
        .or_else(|| nearest(name, names.clone()))
        .unwrap_or_else(|| format!("there are {}", names.collect::<Vec<_>>().join(", ")));
    Err(Mistake::new(format!("there is no function `{name}`")).with_help(help))
}

/// Calls a function of one argument.
pub(super) fn call<'e>(
    function: &'static Function,
    value: Value<'e>,
    budget: &mut Budget,
) -> Result<Value<'e>, Error> {
    let name = &function.name;
    budget.spend_bytes(value.text().map_or(0, str::len))?;
    match *name {
        "dyn" => return Ok(value),
        "type" => return Ok(Value::Type(value.kind())),
        "size" => return size(&value, budget),
        "string" => return string(value, budget),
        "math.abs" | "math.ceil" | "math.floor" | "math.round" | "math.trunc" => {
            return mathematics(name, &value);
        }
        _ => {}
    }
    let failed = Error::Conversion(name, value.kind());
    match (*name, &value) {
        ("bool", Value::Bool(_))
        | ("bytes", Value::Bytes(_))
        | ("double", Value::Double(_))
        | ("duration", Value::Duration(_))
        | ("int", Value::Int(_))
        | ("timestamp", Value::Timestamp(_))
        | ("uint", Value::UInt(_)) => return Ok(value),
        ("int", Value::UInt(uint)) => i64::try_from(*uint).ok().map(Value::Int),
        ("int", Value::Double(double)) => truncate(*double).map(Value::Int),
        ("int", Value::Timestamp(moment)) => Some(Value::Int(moment.seconds())),
        ("timestamp", Value::Int(seconds)) => Moment::new(*seconds, 0).map(Value::Timestamp),
        ("uint", Value::Int(int)) => u64::try_from(*int).ok().map(Value::UInt),
        ("uint", Value::Double(double)) => truncate_unsigned(*double).map(Value::UInt),
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is what double() gives")]
        ("double", Value::Int(int)) => Some(Value::Double(*int as f64)),
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is what double() gives")]
        ("double", Value::UInt(uint)) => Some(Value::Double(*uint as f64)),
        _ => {
            let text = value.text().ok_or(Error::Overload(name, value.kind(), None))?;
            match *name {
                "bool" => match text {
                    "1" | "t" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
                    "0" | "f" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
                    _ => None,
                },
                "bytes" => Some(Value::Bytes(Arc::from(text.as_bytes()))),
                "double" => text.parse().ok().map(Value::Double),
                "duration" => Span::read(text).map(Value::Duration),
                "int" => text.parse().ok().map(Value::Int),
                "timestamp" => Moment::read(text).map(Value::Timestamp),
                _ => text.parse().ok().map(Value::UInt),
            }
        }
    }
    .ok_or(failed)
}

/// Calls a function of two arguments.
pub(super) fn call_with<'e>(
    function: &'static Function,
    value: &Value<'e>,
    other: &Value<'e>,
    budget: &mut Budget,
) -> Result<Value<'e>, Error> {
    if let "math.greatest" | "math.least" = function.name {
        let wanted = if function.name == "math.least" { Ordering::Less } else { Ordering::Greater };
        let order = order_of_numbers(&function.name, value, other)?;
        return Ok(if order == wanted || order.is_eq() { value } else { other }.clone());
    }
    let (Some(text), Some(part)) = (value.text(), other.text()) else {
        return Err(Error::overload(&function.name, value, other));
    };
    let read = if let "startsWith" | "endsWith" = function.name { 0 } else { text.len() };
    budget.spend_bytes(read + part.len())?;
    Ok(Value::Bool(finds(function, text, part)))
}

/// Calls a function of a library.
pub(super) fn call_all<'e>(
    function: &'static Function,
    values: &[Value<'e>],
    budget: &mut Budget,
) -> Result<Value<'e>, Error> {
    match function.library {
        Library::Texts => texts::call(&function.name, values, budget),
        Library::Times => times::part(&function.name, values, budget),
        Library::Standard => Ok(Value::Null),
    }
}

/// Whether a text has a part where `startsWith`, `endsWith` or else `contains` looks for it.
pub(super) fn finds(function: &Function, text: &str, part: &str) -> bool {
    match function.name {
        "startsWith" => text.starts_with(part),
        "endsWith" => text.ends_with(part),
        _ => text.contains(part),
    }
}

/// A double stays one; of an integer there is nothing but its absolute value.
fn mathematics<'e>(name: &'static &'static str, value: &Value<'e>) -> Result<Value<'e>, Error> {
    Ok(match (*name, value) {
        ("math.abs", Value::Int(int)) => Value::Int(int.checked_abs().ok_or(Error::Overflow(name))?),
        ("math.abs", Value::UInt(_)) => value.clone(),
        ("math.abs", Value::Double(double)) => Value::Double(double.abs()),
        ("math.ceil", Value::Double(double)) => Value::Double(double.ceil()),
        ("math.floor", Value::Double(double)) => Value::Double(double.floor()),
        ("math.round", Value::Double(double)) => Value::Double(double.round()),
        ("math.trunc", Value::Double(double)) => Value::Double(double.trunc()),
        _ => return Err(Error::Overload(name, value.kind(), None)),
    })
}

/// Texts count their code points.
fn size<'e>(value: &Value<'e>, budget: &mut Budget) -> Result<Value<'e>, Error> {
    let count = if let Some(text) = value.text() {
        text.chars().count()
    } else if let Value::Bytes(bytes) = value {
        bytes.len()
    } else if let Some(list) = value.list() {
        match list {
            List::Slice(values) => values.len(),
            List::Event(items) => counted(items, budget)?,
        }
    } else if let Some(map) = value.map() {
        counted(map.iter(), budget)?
    } else {
        return Err(Error::Overload(&"size", value.kind(), None));
    };
    i64::try_from(count).map(Value::Int).map_err(|_| Error::Overflow(&"size"))
}

fn counted(of: impl Iterator, budget: &mut Budget) -> Result<usize, Error> {
    let mut count = 0;
    for _ in of {
        budget.spend(1)?;
        count += 1;
    }
    Ok(count)
}

fn string<'e>(value: Value<'e>, budget: &mut Budget) -> Result<Value<'e>, Error> {
    Ok(Value::MadeText(match &value {
        Value::Text(_) | Value::MadeText(_) => return Ok(value),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Int(int) => itoa::Buffer::new().format(*int).into(),
        Value::UInt(int) => itoa::Buffer::new().format(*int).into(),
        Value::Double(double) => double.to_string().into(),
        Value::Timestamp(moment) => moment.to_string().into(),
        Value::Duration(span) => span.to_string().into(),
        Value::Bytes(bytes) => {
            budget.spend_bytes(bytes.len())?;
            std::str::from_utf8(bytes).map_err(|_| Error::Conversion(&"string", Kind::Bytes))?.into()
        }
        other => return Err(Error::Overload(&"string", other.kind(), None)),
    }))
}

/// 2^63 and 2^64, where the integers end; both are doubles.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

/// Towards zero. CEL leaves both ends out, -2^63 too.
fn truncate(double: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "it is within")]
    (double > -INT_END && double < INT_END).then_some(double as i64)
}

fn truncate_unsigned(double: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within")]
    (0.0..UINT_END).contains(&double).then_some(double as u64)
}

/// The integer that a double is, if it is one.
pub(super) fn exact_int(double: f64) -> Option<i64> {
    truncate(double).filter(|_| double.fract() == 0.0)
}
