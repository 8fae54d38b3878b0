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
use compile::Compiled;
use evaluate::{Budget, MacroKind, Node, Program, Run};
use plain::{Plain, Short};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use toml::Spanned;
use value::{Value, equal};

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    program: Program,
    /// Where its text names each of the fields first.
    named: Vec<Range<usize>>,
    /// Where the text stands in the file.
    at: Range<usize>,
    /// A call in it that fails whatever the event.
    failing: Option<Mistake>,
}

/// A field that an expression names, and where.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) field: Pattern,
    /// The string in the file.
    pub(crate) string: Range<usize>,
    /// The part of its value.
    pub(crate) part: Range<usize>,
}

/// What a condition is of every event.
#[derive(Debug)]
pub(crate) struct Always {
    pub(crate) flag: bool,
    /// Whether it names a field all the same.
    pub(crate) names_field: bool,
    /// Where it stands in the file.
    pub(crate) at: Range<usize>,
}

impl Expression {
    /// Compiles the text of a setting that gives a value.
    pub(crate) fn value(source: &Spanned<String>) -> Result<Self, Mistake> {
        let expression = Self::working(source)?;
        if expression.is_constant()
            && let Err(why) = expression.compute(&Event::default(), &mut String::new())
        {
            return Err(expression.fails(&why));
        }
        Ok(expression)
    }

    /// Compiles the text of a setting that is true or false of an event.
    pub(crate) fn condition(source: &Spanned<String>) -> Result<Self, Mistake> {
        let expression = Self::working(source)?;
        if is_never_bool(&expression.program.root) {
            let mistake = Mistake::new("a condition is true or false, and this never is");
            return Err(mistake.with_help(COMPARE).within(expression.at));
        }
        if expression.is_constant()
            && let Err(why) = expression.test(&Event::default())
        {
            return Err(expression.fails(&why));
        }
        Ok(expression)
    }

    fn fails(&self, why: &str) -> Mistake {
        Mistake::new(compile::failing(why)).within(self.at.clone())
    }

    /// Compiles, and tells of what can only err.
    fn working(source: &Spanned<String>) -> Result<Self, Mistake> {
        let mut expression = Self::compile(source)?;
        expression.failing.take().map_or(Ok(expression), Err)
    }

    fn compile(source: &Spanned<String>) -> Result<Self, Mistake> {
        let at = source.span();
        let compiled = syntax::parse(source.get_ref()).and_then(|parsed| compile::compile(&parsed));
        match compiled {
            Ok(Compiled { program, named, failing }) => {
                let failing = failing.map(|mistake| mistake.within(at.clone()));
                Ok(Self { program, named, at, failing })
            }
            Err(mistake) => Err(mistake.within(at)),
        }
    }

    /// What it is of every event of which it does not err, if that follows from how it is written.
    pub(crate) fn always(&self) -> Option<Always> {
        let names_field = !self.is_constant();
        let flag = if names_field { always(&self.program.root) } else { self.test(&Event::default()).ok() }?;
        Some(Always { flag, names_field, at: self.at.clone() })
    }

    /// Whether it names no field.
    fn is_constant(&self) -> bool {
        self.program.fields.is_empty()
    }

    /// Whether it is true of this event, or what went wrong, in words without a value of the event.
    pub(crate) fn test(&self, event: &Event) -> Result<bool, Cow<'static, str>> {
        match self.short(event).and_then(|short| short.truth(&self.program.root)) {
            Some(flag) => Ok(flag),
            None => Ok(Run::new(&self.program, event).test(&self.program.root)?),
        }
    }

    /// The expression's value for this event, text and JSON in the room that is given.
    pub(crate) fn compute<'r>(
        &self,
        event: &Event,
        room: &'r mut String,
    ) -> Result<New<'r>, Cow<'static, str>> {
        room.clear();
        match self.short(event).and_then(|short| short.eval(&self.program.root)) {
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
        let (value, mut budget) = Run::new(&self.program, event).run(&self.program.root)?;
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
        self.program.is_plain.then(|| Short::new(&self.program, event))
    }

    /// The fields of which its value may hold something, as text is held by what is cut from it: not those that it only
    /// asks about.
    pub(crate) fn carries(&self) -> Vec<Pattern> {
        let mut found = Vec::new();
        self.find_carried(&self.program.root, &mut Vec::new(), &mut found);
        found
    }

    /// What a part carries, within macros over these lists.
    fn find_carried(&self, node: &Node, lists: &mut Vec<Option<Pattern>>, found: &mut Vec<Pattern>) {
        if let Some(place) = self.place(node, lists) {
            found.push(place);
            return;
        }
        let parts: Vec<&Node> = match node {
            Node::Select(of, _) | Node::Negate(of) => vec![of],
            Node::Index(of) => of.iter().take(1).collect(),
            Node::If(of) => of.iter().skip(1).collect(),
            Node::Arithmetic(_, of) => of.iter().collect(),
            Node::Call(function, of) if function.carries() => of.iter().collect(),
            Node::List(of) => of.iter().collect(),
            Node::Map(of) => of.iter().flat_map(|(key, value)| [key, value]).collect(),
            Node::Macro(of) if of.kind == MacroKind::Map => {
                let list = self.place(&of.range, lists);
                if list.is_none() {
                    self.find_carried(&of.range, lists, found);
                }
                lists.push(list.map(Pattern::items));
                self.find_carried(&of.body, lists, found);
                lists.pop();
                return;
            }
            Node::Constant(_)
            | Node::Field(_)
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
            | Node::Macro(_) => return,
        };
        for part in parts {
            self.find_carried(part, lists, found);
        }
    }

    /// The field that a part is, as it is.
    fn place(&self, node: &Node, lists: &[Option<Pattern>]) -> Option<Pattern> {
        match node {
            Node::Field(place) => {
                let place = self.program.fields.get(*place).filter(|place| !place.tested)?;
                Some(place.path.clone().into())
            }
            Node::Variable(out) => lists.iter().rev().nth(*out).cloned().flatten(),
            Node::Select(of, key) => self.place(of, lists).map(|place| place.key(key)),
            Node::Index(of) => {
                let [of, index] = &**of;
                let place = self.place(of, lists)?;
                Some(match index {
                    Node::Constant(Value::Text(key)) => place.key(key),
                    _ => place.items(),
                })
            }
            _ => None,
        }
    }

    /// The fields that it names, each as far down as it is named.
    pub(crate) fn reads(&self) -> Vec<Pattern> {
        let mut paths: Vec<_> = self.program.fields.iter().map(|place| &place.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.into_iter().cloned().map(Pattern::from).collect()
    }

    /// The same, with the places.
    pub(crate) fn named(&self) -> impl Iterator<Item = Named> {
        self.program.fields.iter().zip(&self.named).map(|(place, part)| Named {
            field: place.path.clone().into(),
            string: self.at.clone(),
            part: part.clone(),
        })
    }
}

const COMPARE: &str = "a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`";

/// Whether a value is neither true nor false, or an error, whatever the event.
fn is_never_bool(node: &Node) -> bool {
    match node {
        Node::Constant(value) => !matches!(value, Value::Bool(_)),
        Node::Not(of) => is_never_bool(of),
        Node::And(sides) | Node::Or(sides) => sides.iter().all(is_never_bool),
        Node::If(parts) => parts.iter().skip(1).all(is_never_bool),
        Node::Negate(_) | Node::Arithmetic(..) | Node::List(_) | Node::Map(_) => true,
        Node::Macro(of) => of.kind == MacroKind::Map,
        Node::Call(function, _) => !function.may_be_bool(),
        Node::Field(_)
        | Node::Variable(_)
        | Node::Select(..)
        | Node::Has(..)
        | Node::Index(_)
        | Node::Equal(..)
        | Node::Order(..)
        | Node::In(_)
        | Node::Matches(..) => false,
    }
}

/// What a condition is wherever it does not err, if that follows from how it is written.
fn always(node: &Node) -> Option<bool> {
    let is_always = |flag: bool| move |node: &Node| always(node) == Some(flag);
    match node {
        Node::Constant(Value::Bool(flag)) => Some(*flag),
        Node::Not(of) => always(of).map(|flag| !flag),
        Node::And(sides) | Node::Or(sides) => {
            // One side that is so decides, or both that are not so, or two that exclude each other.
            let decides = matches!(node, Node::Or(_));
            if sides.iter().any(is_always(decides)) || exclude_each_other(node, decides) {
                return Some(decides);
            }
            sides.iter().all(is_always(!decides)).then_some(!decides)
        }
        Node::If(parts) => {
            let [condition, yes, no] = &**parts;
            always(if always(condition)? { yes } else { no })
        }
        _ => None,
    }
}

/// Whether a chain of `||` has `x != 1` and `x != 2`, or one of `&&` has `x == 1` and `x == 2`.
fn exclude_each_other(chain: &Node, is_or: bool) -> bool {
    let (mut open, mut told) = (vec![chain], Vec::new());
    while let Some(node) = open.pop() {
        match node {
            Node::Or(sides) if is_or => open.extend(sides.iter()),
            Node::And(sides) if !is_or => open.extend(sides.iter()),
            Node::Equal(is_equal, sides) if *is_equal != is_or => match &**sides {
                [Node::Field(field), Node::Constant(value)] | [Node::Constant(value), Node::Field(field)] => {
                    told.push((*field, value));
                }
                _ => {}
            },
            _ => {}
        }
    }
    told.iter().enumerate().any(|(at, (field, value))| {
        let differs = |other: &Value<'_>| matches!(equal(value, other, &mut Budget::new()), Ok(false));
        told.iter().skip(at + 1).any(|(twin, other)| twin == field && differs(other))
    })
}

#[cfg(test)]
mod tests;
