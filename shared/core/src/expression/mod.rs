//! Expressions in CEL, the Common Expression Language, over the fields of an event.
//!
//! The top-level fields are the variables, and those that an event lacks are null; a nested field that is missing
//! is an error unless `has()` guards it. Integers stay integers, and `int * double` has no overload, as CEL says.
//! Specification: <https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md>.
//!
//! Text becomes the `cel` crate's tree ([`syntax`]), that becomes a tree of ours ([`compile`]), which is walked for
//! each event ([`evaluate`]) over values that borrow from it ([`value`]), or where that is enough over plain ones
//! ([`plain`]). What the specification leaves open, and
//! where we go beyond it:
//!
//! - `has(data.x)` is false where `data` is null, and so where it is missing. Further down CEL's rule stands:
//!   `has(data.x.y)` is an error where `data.x` is missing.
//! - NaN has no order: `<` and its like are errors, as in cel-go; `==` is false.
//! - A list takes any whole number as an index, and maps and `in` take numbers of any type for equal keys.
//! - The pattern of `matches` is a constant, compiled once; it is the `regex` crate's syntax, linear in time, where
//!   `\d`, `\w` and `\s` know Unicode.
//! - A name of a type, `int`, is a field where the event has one of that name.
//! - A name in backticks may stand at the top, too, and hold any signs: `` `user-id` ``, `` `@timestamp` ``.
//! - A timestamp may have a space for its `T`. Durations end where 64 bits of nanoseconds do, as in cel-go, some 292
//!   years; their `getMilliseconds` is what is left beyond the second, 0 to 999, as the specification's tests want it.
//! - Of cel-go's extension for texts there are those functions that cut, search and join.
//! - What costs more than a million steps is an error: see [`evaluate::COST_MAX`].

mod compile;
mod evaluate;
mod functions;
mod plain;
#[cfg(test)]
mod reference;
mod syntax;
mod texts;
mod times;
mod value;

use crate::event::{Event, New, Pattern};
use crate::mistake::Mistake;
use evaluate::{MacroKind, Node, Program, Run};
use plain::{Plain, Short};
use std::borrow::Cow;
use std::fmt::Write as _;
use toml::Spanned;
use value::Value;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Program);

impl Expression {
    /// Compiles the text of a setting.
    pub(crate) fn compile(source: &Spanned<String>) -> Result<Self, Mistake> {
        let program = syntax::parse(source.get_ref()).and_then(|parsed| compile::compile(&parsed));
        program.map(Self).map_err(|mistake| mistake.within(source.span()))
    }

    /// Whether it is true of this event, or what went wrong, in words without a value of the event.
    pub(crate) fn test(&self, event: &Event) -> Result<bool, Cow<'static, str>> {
        match self.short(event).and_then(|short| short.truth(&self.0.root)) {
            Some(flag) => Ok(flag),
            None => Ok(Run::new(&self.0, event).test(&self.0.root)?),
        }
    }

    /// The expression's value for this event, text and JSON in the room that is given.
    pub(crate) fn compute<'r>(
        &self,
        event: &Event,
        room: &'r mut String,
    ) -> Result<New<'r>, Cow<'static, str>> {
        room.clear();
        match self.short(event).and_then(|short| short.eval(&self.0.root)) {
            Some(Plain::Null) => return Ok(New::Null),
            Some(Plain::Bool(flag)) => return Ok(New::Bool(flag)),
            Some(Plain::Int(int)) => return Ok(New::Int(int)),
            Some(Plain::Double(float)) if float.is_finite() => return Ok(New::Float(float)),
            Some(Plain::Text(text)) => {
                room.push_str(text);
                return Ok(New::Str(room));
            }
            Some(Plain::Double(_)) | None => {}
        }
        let (value, mut budget) = Run::new(&self.0, event).run(&self.0.root)?;
        Ok(match value {
            Value::Null => New::Null,
            Value::Bool(flag) => New::Bool(flag),
            Value::Int(int) => New::Int(int),
            Value::UInt(int) => New::UInt(int),
            Value::Double(float) if float.is_finite() => New::Float(float),
            Value::Text(text) => {
                room.push_str(text);
                New::Str(room)
            }
            Value::MadeText(text) => {
                room.push_str(&text);
                New::Str(room)
            }
            Value::Timestamp(moment) => {
                _ = write!(room, "{moment}");
                New::Str(room)
            }
            Value::Duration(span) => {
                _ = write!(room, "{span}");
                New::Str(room)
            }
            other => {
                other.write(room, &mut budget)?;
                New::Json(room)
            }
        })
    }

    fn short<'e>(&'e self, event: &'e Event) -> Option<Short<'e>> {
        self.0.is_plain.then(|| Short::new(&self.0, event))
    }

    /// The fields of which its value may hold something, as text is held by what is cut from it: not those that it only
    /// asks about.
    pub(crate) fn carries(&self) -> Vec<Pattern> {
        let (mut open, mut found) = (vec![&self.0.root], Vec::new());
        while let Some(node) = open.pop() {
            match node {
                Node::Field(place) => {
                    let place = self.0.fields.get(*place).filter(|place| !place.tested);
                    found.extend(place.map(|place| place.path.clone().into()));
                }
                Node::Select(of, _) | Node::Negate(of) => open.push(of),
                Node::Index(of) => open.extend(of.first()),
                Node::If(of) => open.extend(of.iter().skip(1)),
                Node::Arithmetic(_, of) => open.extend(of.iter()),
                Node::Call(function, of) if function.carries() => open.extend(of),
                Node::List(of) => open.extend(of),
                Node::Map(of) => open.extend(of.iter().flat_map(|(key, value)| [key, value])),
                Node::Macro(of) if of.kind == MacroKind::Map => open.extend([&of.range, &of.body]),
                Node::Constant(_)
                | Node::Variable(_)
                | Node::Has(..)
                | Node::Not(_)
                | Node::And(_)
                | Node::Or(_)
                | Node::Equal(..)
                | Node::Order(..)
                | Node::In(_)
                | Node::Call(..)
                | Node::Matches(..)
                | Node::Macro(_) => {}
            }
        }
        found
    }

    /// The fields that it names, each as far down as it is named.
    pub(crate) fn reads(&self) -> Vec<Pattern> {
        let mut paths: Vec<_> = self.0.fields.iter().map(|place| &place.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.into_iter().cloned().map(Pattern::from).collect()
    }
}

#[cfg(test)]
mod tests;
