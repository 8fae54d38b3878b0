//! Values on the way through an expression: they borrow from the event or the expression, and own what was made.

use super::evaluate::{Budget, Error, Name};
use super::times::{Moment, Span};
use crate::event::{Items, Members, Value as Field, quote};
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A value. A clone copies no text and no list.
#[derive(Debug, Clone)]
pub(super) enum Value<'e> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(&'e str),
    MadeText(Arc<str>),
    Bytes(Arc<[u8]>),
    /// A list of the event.
    Items(Items<'e>),
    /// A list of the expression.
    List(&'e [Value<'e>]),
    MadeList(Arc<Vec<Value<'e>>>),
    /// A map of the event.
    Members(Members<'e>),
    /// A map of the expression.
    Map(&'e [(Value<'e>, Value<'e>)]),
    MadeMap(Arc<Vec<(Value<'e>, Value<'e>)>>),
    Type(Kind),
    Timestamp(Moment),
    Duration(Span),
}

/// Small, for values are handed on by value.
const _: () = assert!(size_of::<Value<'_>>() <= 24);

/// The types that values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Bytes,
    Double,
    Duration,
    Int,
    List,
    Map,
    Null,
    String,
    Timestamp,
    Type,
    UInt,
}

impl Kind {
    const ALL: [(&'static str, Self); 12] = [
        ("bool", Self::Bool),
        ("bytes", Self::Bytes),
        ("double", Self::Double),
        ("google.protobuf.Duration", Self::Duration),
        ("google.protobuf.Timestamp", Self::Timestamp),
        ("int", Self::Int),
        ("list", Self::List),
        ("map", Self::Map),
        ("null_type", Self::Null),
        ("string", Self::String),
        ("type", Self::Type),
        ("uint", Self::UInt),
    ];

    /// The type that CEL calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// What CEL calls it.
    #[cfg(test)]
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// As people say it: what is of the type `null_type` is null, and a duration is none of protobuf's.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Double => "double",
            Self::Duration => "duration",
            Self::Int => "int",
            Self::List => "list",
            Self::Map => "map",
            Self::Null => "null",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Type => "type",
            Self::UInt => "uint",
        })
    }
}

/// A list, wherever it is.
pub(super) enum List<'v, 'e> {
    Event(Items<'e>),
    Slice(&'v [Value<'e>]),
}

impl<'v, 'e> List<'v, 'e> {
    pub(super) fn iter(&self) -> Elements<'v, 'e> {
        match self {
            Self::Event(items) => Elements::Event(*items),
            Self::Slice(values) => Elements::Slice(values.iter()),
        }
    }
}

pub(super) enum Elements<'v, 'e> {
    Event(Items<'e>),
    Slice(std::slice::Iter<'v, Value<'e>>),
}

impl<'e> Iterator for Elements<'_, 'e> {
    type Item = Value<'e>;

    fn next(&mut self) -> Option<Value<'e>> {
        match self {
            Self::Event(items) => items.next().map(Value::from),
            Self::Slice(values) => values.next().cloned(),
        }
    }
}

/// A map, wherever it is.
pub(super) enum Map<'v, 'e> {
    Event(Members<'e>),
    Slice(&'v [(Value<'e>, Value<'e>)]),
}

impl<'v, 'e> Map<'v, 'e> {
    pub(super) fn iter(&self) -> Entries<'v, 'e> {
        match self {
            Self::Event(members) => Entries::Event(*members),
            Self::Slice(entries) => Entries::Slice(entries.iter()),
        }
    }

    /// The value of a key that is a text.
    pub(super) fn field(&self, key: &str, budget: &mut Budget) -> Result<Option<Value<'e>>, Error> {
        match self {
            Self::Event(members) => {
                for (name, value) in *members {
                    budget.spend(1)?;
                    if name == key {
                        return Ok(Some(value.into()));
                    }
                }
                Ok(None)
            }
            Self::Slice(_) => self.get(&Value::Text(key), budget),
        }
    }

    /// The value of any key; numbers of different types are the same key when they are equal.
    pub(super) fn get(&self, key: &Value<'_>, budget: &mut Budget) -> Result<Option<Value<'e>>, Error> {
        match (self, key.text()) {
            (Self::Event(_), Some(key)) => self.field(key, budget),
            (Self::Event(_), None) => Ok(None),
            (Self::Slice(entries), _) => {
                for (name, value) in *entries {
                    if equal(name, key, budget)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }
}

pub(super) enum Entries<'v, 'e> {
    Event(Members<'e>),
    Slice(std::slice::Iter<'v, (Value<'e>, Value<'e>)>),
}

impl<'e> Iterator for Entries<'_, 'e> {
    type Item = (Value<'e>, Value<'e>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Event(members) => members.next().map(|(key, value)| (Value::Text(key), value.into())),
            Self::Slice(entries) => entries.next().cloned(),
        }
    }
}

/// Integers that fit `int` are one, those that fit `uint` are that, all else is a double.
impl<'e> From<Field<'e>> for Value<'e> {
    fn from(field: Field<'e>) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Bool(flag) => Self::Bool(flag),
            Field::Number(number) if !number.is_integer() => Self::Double(number.as_f64()),
            Field::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => number.as_u64().map_or_else(|| Self::Double(number.as_f64()), Self::UInt),
            },
            Field::String(text) => Self::Text(text),
            Field::Array(items) => Self::Items(items),
            Field::Object(members) => Self::Members(members),
        }
    }
}

impl<'e> Value<'e> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::UInt(_) => Kind::UInt,
            Self::Double(_) => Kind::Double,
            Self::Text(_) | Self::MadeText(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::Items(_) | Self::List(_) | Self::MadeList(_) => Kind::List,
            Self::Members(_) | Self::Map(_) | Self::MadeMap(_) => Kind::Map,
            Self::Type(_) => Kind::Type,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::MadeText(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<List<'_, 'e>> {
        match self {
            Self::Items(items) => Some(List::Event(*items)),
            Self::List(values) => Some(List::Slice(values)),
            Self::MadeList(values) => Some(List::Slice(values)),
            _ => None,
        }
    }

    pub(super) fn map(&self) -> Option<Map<'_, 'e>> {
        match self {
            Self::Members(members) => Some(Map::Event(*members)),
            Self::Map(entries) => Some(Map::Slice(entries)),
            Self::MadeMap(entries) => Some(Map::Slice(entries)),
            _ => None,
        }
    }

    /// The value as long as it is borrowed, without counting owners.
    pub(super) fn borrowed(&'e self) -> Value<'e> {
        match self {
            Self::MadeText(text) => Value::Text(text),
            Self::MadeList(values) => Value::List(values),
            Self::MadeMap(entries) => Value::Map(entries),
            other => other.clone(),
        }
    }

    /// The value with nothing borrowed; none where it is part of an event.
    pub(super) fn owned(&self) -> Option<Value<'static>> {
        let list = |values: &[Value<'_>]| values.iter().map(Value::owned).collect::<Option<Vec<_>>>();
        let map = |entries: &[(Value<'_>, Value<'_>)]| {
            let owned = entries.iter().map(|(key, value)| Some((key.owned()?, value.owned()?)));
            owned.collect::<Option<Vec<_>>>()
        };
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(int) => Value::Int(*int),
            Self::UInt(int) => Value::UInt(*int),
            Self::Double(double) => Value::Double(*double),
            Self::Text(text) => Value::MadeText(Arc::from(*text)),
            Self::MadeText(text) => Value::MadeText(Arc::clone(text)),
            Self::Bytes(bytes) => Value::Bytes(Arc::clone(bytes)),
            Self::Type(kind) => Value::Type(*kind),
            Self::Timestamp(moment) => Value::Timestamp(*moment),
            Self::Duration(span) => Value::Duration(*span),
            Self::List(values) => Value::MadeList(Arc::new(list(values)?)),
            Self::MadeList(values) => Value::MadeList(Arc::new(list(values)?)),
            Self::Map(entries) => Value::MadeMap(Arc::new(map(entries)?)),
            Self::MadeMap(entries) => Value::MadeMap(Arc::new(map(entries)?)),
            Self::Items(_) | Self::Members(_) => return None,
        })
    }

    /// Appends it as JSON.
    pub(super) fn write(&self, out: &mut String, budget: &mut Budget) -> Result<(), Error> {
        budget.spend(1)?;
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(int) => out.push_str(itoa::Buffer::new().format(*int)),
            Self::UInt(int) => out.push_str(itoa::Buffer::new().format(*int)),
            Self::Double(double) if double.is_finite() => {
                out.push_str(zmij::Buffer::new().format_finite(*double));
            }
            Self::Text(_) | Self::MadeText(_) => {
                let text = self.text().unwrap_or_default();
                budget.spend_bytes(text.len())?;
                quote(text, out);
            }
            Self::Timestamp(moment) => _ = write!(out, "\"{moment}\""),
            Self::Duration(span) => _ = write!(out, "\"{span}\""),
            Self::Double(_) | Self::Bytes(_) | Self::Type(_) => return Err(Error::NotJson),
            Self::Items(items) => write_field(Field::Array(*items), out, budget)?,
            Self::Members(members) => write_field(Field::Object(*members), out, budget)?,
            Self::List(_) | Self::MadeList(_) => {
                out.push('[');
                for (at, value) in self.list().iter().flat_map(List::iter).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    value.write(out, budget)?;
                }
                out.push(']');
            }
            Self::Map(_) | Self::MadeMap(_) => {
                out.push('{');
                for (at, (key, value)) in self.map().iter().flat_map(Map::iter).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    // JSON's keys are texts.
                    let mark = if key.kind() == Kind::String { "" } else { "\"" };
                    out.push_str(mark);
                    key.write(out, budget)?;
                    out.push_str(mark);
                    out.push(':');
                    value.write(out, budget)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

/// Appends a value of the event; its numbers keep their digits.
fn write_field(field: Field<'_>, out: &mut String, budget: &mut Budget) -> Result<(), Error> {
    budget.spend(1)?;
    match field {
        Field::Number(number) => out.push_str(number.text()),
        Field::Null | Field::Bool(_) | Field::String(_) => Value::from(field).write(out, budget)?,
        Field::Array(items) => {
            out.push('[');
            for (at, item) in items.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_field(item, out, budget)?;
            }
            out.push(']');
        }
        Field::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                budget.spend_bytes(key.len())?;
                quote(key, out);
                out.push(':');
                write_field(value, out, budget)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Whether two values are equal: numbers by what they count, lists and maps by what is in them, and values of
/// different types never.
///
/// It goes no deeper than values are nested, which is what an event and an expression may be together.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>, budget: &mut Budget) -> Result<bool, Error> {
    budget.spend(1)?;
    match (left, right) {
        (Value::Null, Value::Null) => return Ok(true),
        (Value::Null, _) | (_, Value::Null) => return Ok(false),
        _ => {}
    }
    if let (Some(left), Some(right)) = (left.text(), right.text()) {
        return Ok(left.len() == right.len() && {
            budget.spend_bytes(left.len())?;
            left == right
        });
    }
    if let (Some(left), Some(right)) = (left.list(), right.list()) {
        let (mut left, mut right) = (left.iter(), right.iter());
        loop {
            match (left.next(), right.next()) {
                (None, None) => return Ok(true),
                (Some(left), Some(right)) if equal(&left, &right, budget)? => {}
                _ => return Ok(false),
            }
        }
    }
    if let (Some(left), Some(right)) = (left.map(), right.map()) {
        let mut count = 0;
        for (key, value) in left.iter() {
            budget.spend(1)?;
            count += 1;
            match right.get(&key, budget)? {
                Some(other) if equal(&value, &other, budget)? => {}
                _ => return Ok(false),
            }
        }
        for _ in right.iter() {
            budget.spend(1)?;
            count -= 1;
        }
        return Ok(count == 0);
    }
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => {
            budget.spend_bytes(left.len())?;
            left == right
        }
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        _ => matches!(compare_numbers(left, right), Numbers::Ordered(Ordering::Equal)),
    })
}

/// The order of two values; none where one is NaN, an error where their types have no order.
pub(super) fn order(
    left: &Value<'_>,
    right: &Value<'_>,
    operator: Name,
    budget: &mut Budget,
) -> Result<Ordering, Error> {
    match compare_numbers(left, right) {
        Numbers::Ordered(order) => return Ok(order),
        Numbers::Unordered => return Err(Error::NaN(operator)),
        Numbers::None => {}
    }
    if let (Some(left), Some(right)) = (left.text(), right.text()) {
        budget.spend_bytes(left.len().min(right.len()))?;
        return Ok(left.cmp(right));
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Ok(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => {
            budget.spend_bytes(left.len().min(right.len()))?;
            Ok(left.cmp(right))
        }
        _ => Err(Error::overload(operator, left, right)),
    }
}

/// The order of two numbers; an error where one is none, or NaN.
pub(super) fn order_of_numbers(name: Name, left: &Value<'_>, right: &Value<'_>) -> Result<Ordering, Error> {
    match compare_numbers(left, right) {
        Numbers::Ordered(order) => Ok(order),
        Numbers::Unordered => Err(Error::NaN(name)),
        Numbers::None => Err(Error::overload(name, left, right)),
    }
}

/// How two values stand on the line of numbers.
enum Numbers {
    Ordered(Ordering),
    /// One is NaN.
    Unordered,
    /// They are not both numbers.
    None,
}

/// Numbers stand on one line, whatever their types.
#[inline]
fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Numbers {
    let order = match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::UInt(left), Value::UInt(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::UInt(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::UInt(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Int(left), Value::Double(right)) => with_double((*left).into(), *right),
        (Value::UInt(left), Value::Double(right)) => with_double((*left).into(), *right),
        (Value::Double(left), Value::Int(right)) => {
            with_double((*right).into(), *left).map(Ordering::reverse)
        }
        (Value::Double(left), Value::UInt(right)) => {
            with_double((*right).into(), *left).map(Ordering::reverse)
        }
        _ => return Numbers::None,
    };
    order.map_or(Numbers::Unordered, Numbers::Ordered)
}

/// Exactly: a double that is near an integer of 64 bits is not always equal to it.
fn with_double(int: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a double beyond i128 becomes its end, beyond any int"
    )]
    let whole = double.trunc() as i128;
    let fraction = double - double.trunc();
    // What is infinite has no fraction, and what NaN this gives is never looked at.
    Some(int.cmp(&whole).then_with(|| 0.0.partial_cmp(&fraction).unwrap_or(Ordering::Equal)))
}
