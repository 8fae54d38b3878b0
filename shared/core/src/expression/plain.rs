//! The short way to an answer. Most expressions compare, add up and search fields that are null, numbers or short texts:
//! for these nothing is allocated and nothing kept.
//!
//! It gives up on all else, errors too, and the long way, [`evaluate`](super::evaluate), decides. An answer from here is the
//! answer from there: expressions are pure, and as long as they may be, what is done here costs less than
//! [`COST_MAX`](super::evaluate::COST_MAX).

use super::evaluate::{Node, Place, Program};
use super::functions;
use super::value::Value;
use crate::event::{Event, Id, Kind, Value as Field};

/// Longer texts take the long way, which counts what they cost.
const TEXT_MAX: usize = 2 << 10;

/// A value that is copied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain<'e> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'e str),
}

/// Whether the short way may lead somewhere.
pub(super) fn is_plain(node: &Node) -> bool {
    match node {
        Node::Constant(_) | Node::Field(_) => true,
        Node::Not(of) | Node::Matches(of, _) => is_plain(of),
        Node::And(sides)
        | Node::Or(sides)
        | Node::Equal(_, sides)
        | Node::Order(_, sides)
        | Node::Arithmetic(_, sides)
        | Node::In(sides) => sides.iter().all(is_plain),
        Node::If(parts) => parts.iter().all(is_plain),
        Node::Call(function, nodes) => {
            matches!(function.name, "contains" | "double" | "endsWith" | "startsWith")
                && nodes.iter().all(is_plain)
        }
        _ => false,
    }
}

/// An expression over an event.
pub(super) struct Short<'e> {
    fields: &'e [Place],
    event: &'e Event,
}

impl<'e> Short<'e> {
    pub(super) fn new(program: &'e Program, event: &'e Event) -> Self {
        Self { fields: &program.fields, event }
    }

    /// The value, if this is the way to it.
    pub(super) fn eval(&self, node: &'e Node) -> Option<Plain<'e>> {
        Some(match node {
            Node::Constant(value) => constant(value)?,
            Node::Field(at) => self.field(self.fields.get(*at)?)?,
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                return self.eval(if self.truth(condition)? { yes } else { no });
            }
            Node::Arithmetic(operator, sides) => {
                let [left, right] = &**sides;
                return match (self.eval(left)?, self.eval(right)?) {
                    (Plain::Double(left), Plain::Double(right)) => {
                        operator.of_doubles(left, right).map(Plain::Double)
                    }
                    (Plain::Int(left), Plain::Int(right)) => operator.of_ints(left, right).map(Plain::Int),
                    _ => None,
                };
            }
            Node::Call(function, nodes) => match (function.name, nodes.as_slice()) {
                ("double", [of]) => match self.eval(of)? {
                    double @ Plain::Double(_) => double,
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "the nearest double is what double() gives"
                    )]
                    Plain::Int(int) => Plain::Double(int as f64),
                    _ => return None,
                },
                ("contains" | "endsWith" | "startsWith", [of, part]) => {
                    match (self.eval(of)?, self.eval(part)?) {
                        (Plain::Text(text), Plain::Text(part)) => {
                            Plain::Bool(functions::finds(function, text, part))
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            },
            _ => Plain::Bool(self.truth(node)?),
        })
    }

    /// Whether it is true, if this is the way to know.
    pub(super) fn truth(&self, node: &'e Node) -> Option<bool> {
        Some(match node {
            Node::And(sides) => {
                let [left, right] = &**sides;
                self.truth(left)? && self.truth(right)?
            }
            Node::Or(sides) => {
                let [left, right] = &**sides;
                self.truth(left)? || self.truth(right)?
            }
            Node::Not(of) => !self.truth(of)?,
            Node::Equal(wanted, sides) => {
                let [left, right] = &**sides;
                let is_equal = match (left, right) {
                    (Node::Field(at), Node::Constant(Value::Null)) => self.is_null(self.fields.get(*at)?)?,
                    _ => equal(self.eval(left)?, self.eval(right)?)?,
                };
                is_equal == *wanted
            }
            Node::Order(relation, sides) => {
                let [left, right] = &**sides;
                relation.holds(match (self.eval(left)?, self.eval(right)?) {
                    (Plain::Double(left), Plain::Double(right)) => left.partial_cmp(&right)?,
                    (Plain::Int(left), Plain::Int(right)) => left.cmp(&right),
                    _ => return None,
                })
            }
            Node::In(sides) => {
                let [key, of] = &**sides;
                let (Plain::Text(text), Node::Constant(of)) = (self.eval(key)?, of) else { return None };
                of.list()?.iter().any(|value| value.text() == Some(text))
            }
            Node::Matches(of, pattern) => match self.eval(of)? {
                Plain::Text(text) => pattern.is_match(text),
                _ => return None,
            },
            Node::Constant(_) | Node::Field(_) | Node::If(_) | Node::Arithmetic(..) | Node::Call(..) => {
                match self.eval(node)? {
                    Plain::Bool(flag) => flag,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn field(&self, place: &Place) -> Option<Plain<'e>> {
        let Some(id) = self.event.find(&place.path) else { return self.missing(place) };
        if place.tested {
            return Some(Plain::Bool(true));
        }
        Some(match self.event.value(id) {
            Field::Null => Plain::Null,
            Field::Bool(flag) => Plain::Bool(flag),
            Field::Number(number) if number.is_integer() => Plain::Int(number.as_i64()?),
            Field::Number(number) => Plain::Double(number.as_f64()),
            Field::String(text) if text.len() <= TEXT_MAX => Plain::Text(text),
            Field::String(_) | Field::Array(_) | Field::Object(_) => return None,
        })
    }

    /// What no event has at the top is null, and `has()` is false of what is missing in an object or in nothing.
    fn missing(&self, place: &Place) -> Option<Plain<'e>> {
        let is_open = |id: Id| matches!(self.event.kind(id), Kind::Null | Kind::Object);
        match (place.above.as_slice(), place.kind) {
            ([], None) => Some(Plain::Null),
            ([top], None) if place.tested && self.event.find(top).is_none_or(is_open) => {
                Some(Plain::Bool(false))
            }
            _ => None,
        }
    }

    /// Whether a field is null, whatever else it is: nothing of it is read.
    fn is_null(&self, place: &Place) -> Option<bool> {
        match self.event.find(&place.path) {
            Some(id) => Some(!place.tested && self.event.kind(id) == Kind::Null),
            None => Some(self.missing(place)? == Plain::Null),
        }
    }
}

fn constant<'e>(value: &'e Value<'_>) -> Option<Plain<'e>> {
    Some(match value {
        Value::Null => Plain::Null,
        Value::Bool(flag) => Plain::Bool(*flag),
        Value::Int(int) => Plain::Int(*int),
        Value::Double(double) => Plain::Double(*double),
        other => Plain::Text(other.text()?),
    })
}

/// Of different types only null is told apart here.
fn equal(left: Plain<'_>, right: Plain<'_>) -> Option<bool> {
    match (left, right) {
        (Plain::Null, _)
        | (_, Plain::Null)
        | (Plain::Bool(_), Plain::Bool(_))
        | (Plain::Int(_), Plain::Int(_))
        | (Plain::Double(_), Plain::Double(_))
        | (Plain::Text(_), Plain::Text(_)) => Some(left == right),
        _ => None,
    }
}
