//! Works an expression out over an event.
//!
//! The tree is walked as it is. Values are handed on by reference to the event or to the expression, so that only
//! what an expression makes anew is allocated. Nesting ends where [`super::syntax`] ends it; what lists and texts
//! cost, [`Budget`] ends.

use super::functions::{self, Function, Library};
use super::times;
use super::value::{Kind, List, Map, Value, equal, order};
use crate::event::{Event, Path};
use regex::Regex;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What one expression may cost over one event. A million steps take some milliseconds, a thousand times what a
/// condition needs, and keep an event made to be slow from holding up its batch.
pub(super) const COST_MAX: u32 = 1_000_000;

/// How many bytes of a text are read for the cost of one step.
const STEP_BYTES: usize = 64;

/// A pattern looks at each byte more than once.
const STEP_BYTES_MATCHED: usize = 8;

/// Elements that are only passed by.
const STEP_ITEMS: usize = 8;

/// How many fields are kept for their next use without room being made for them: few expressions name more.
const KEPT: usize = 4;

/// An expression, ready to be worked out.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) root: Node,
    /// Whether the [short way](super::plain) may lead to its value.
    pub(super) is_plain: bool,
    pub(super) fields: Vec<Place>,
}

/// A field that an expression names.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: Path,
    /// The ways to what it is in, from the top.
    pub(super) above: Vec<Path>,
    /// Asked by `has()` whether it is there.
    pub(super) tested: bool,
    /// What the name means where no event has it.
    pub(super) kind: Option<Kind>,
}

#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Field(usize),
    /// A variable of a macro, and how many macros further out.
    Variable(usize),
    Select(Box<Node>, String),
    Has(Box<Node>, String),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    Equal(bool, Box<[Node; 2]>),
    Order(Relation, Box<[Node; 2]>),
    Arithmetic(Operator, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Call(&'static Function, Vec<Node>),
    Matches(Box<Node>, Box<Regex>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Macro(Box<Macro>),
}

/// One of the macros that go over lists and the keys of maps.
#[derive(Debug)]
pub(super) struct Macro {
    pub(super) kind: MacroKind,
    pub(super) range: Node,
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    /// `map()`, and `filter()`, which maps what it lets pass to itself.
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The name of an operator or function, by reference: an answer is no larger for the error that it may be.
pub(super) type Name = &'static &'static str;

/// Why an expression has no value, without a value of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    /// An operator or function that does not take these types.
    Overload(Name, Kind, Option<Kind>),
    /// A field that is not there.
    Missing,
    /// `has()` asks about a field of what is not there.
    HasMissing,
    NoKey,
    OutOfBounds,
    Overflow(Name),
    DivisionByZero,
    NaN(Name),
    /// A text that a function cannot read, or a number that it cannot reach.
    Conversion(Name, Kind),
    Key(Kind),
    KeyTwice,
    Range(Kind),
    Condition(Name, Kind),
    /// A name of no time zone.
    Zone,
    /// Something else where true or false is wanted, which whoever wants it tells better.
    NoBool(Kind),
    NotJson,
    TooLong,
}

impl Error {
    pub(super) fn overload(operator: Name, left: &Value<'_>, right: &Value<'_>) -> Self {
        Self::Overload(operator, left.kind(), Some(right.kind()))
    }

    /// Says better what is not true or false.
    fn or_of(self, better: impl FnOnce(Kind) -> Self) -> Self {
        if let Self::NoBool(kind) = self { better(kind) } else { self }
    }
}

/// Why `&&` or `||` has no answer: an error first, then what is not true or false.
#[cold]
fn no_logic(sign: Name, left: Result<bool, Error>, right: Result<bool, Error>) -> Error {
    match (left, right) {
        (Err(Error::NoBool(left)), Err(Error::NoBool(right))) => Error::Overload(sign, left, Some(right)),
        (Err(Error::NoBool(left)), Ok(_)) => Error::Overload(sign, left, Some(Kind::Bool)),
        (Ok(_), Err(Error::NoBool(right))) => Error::Overload(sign, Kind::Bool, Some(right)),
        (Err(Error::NoBool(_)) | Ok(_), Err(error)) | (Err(error), _) => error,
        (Ok(_), Ok(_)) => Error::NoBool(Kind::Bool),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overload(name, kind, None) => write!(f, "`{name}` does not take ({kind})"),
            Self::Overload(name, left, Some(right)) => write!(f, "`{name}` does not take ({left}, {right})"),
            Self::Missing => f.write_str("a nested field is missing, and no has() guards it"),
            Self::HasMissing => {
                f.write_str("has() asks for a field of what is missing itself: guard that first")
            }
            Self::NoKey => f.write_str("a map has no such key, and no `in` guards it"),
            Self::OutOfBounds => f.write_str("an index is out of bounds"),
            Self::Overflow(name) => write!(f, "`{name}` overflows"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::NaN(name) => write!(f, "`{name}` has no answer for NaN"),
            Self::Conversion(name, kind) => write!(f, "{name}() cannot convert this {kind}"),
            Self::Key(kind) => write!(f, "{kind} is no key of a map"),
            Self::KeyTwice => f.write_str("a map has a key twice"),
            Self::Range(kind) => write!(f, "a macro goes over lists and maps, not over {kind}"),
            Self::NoBool(kind) => write!(f, "the expression gave {kind}, not true or false"),
            Self::Condition(name, kind) => write!(f, "`{name}` wants true or false, not {kind}"),
            Self::Zone => f.write_str("there is no such time zone"),
            Self::NotJson => f.write_str("nothing that JSON can hold"),
            Self::TooLong => f.write_str("it takes too long"),
        }
    }
}

impl From<Error> for Cow<'static, str> {
    fn from(error: Error) -> Self {
        error.to_string().into()
    }
}

/// What is left of the cost that an expression may have.
#[derive(Default)]
pub(super) struct Budget(u32);

impl Budget {
    pub(super) fn new() -> Self {
        Self(COST_MAX)
    }

    #[inline]
    pub(super) fn spend(&mut self, steps: u32) -> Result<(), Error> {
        let left = self.0.checked_sub(steps);
        // Once spent it stays so, whatever absorbs the error.
        self.0 = left.unwrap_or(0);
        left.map(drop).ok_or(Error::TooLong)
    }

    #[inline]
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.spend(u32::try_from(bytes / STEP_BYTES).unwrap_or(u32::MAX))
    }

    /// For what looks at each character.
    pub(super) fn spend_matched(&mut self, bytes: usize) -> Result<(), Error> {
        self.spend(u32::try_from(bytes / STEP_BYTES_MATCHED).unwrap_or(u32::MAX))
    }
}

type Answer<'e> = Result<Value<'e>, Error>;

/// The variables of the macros around a part of an expression, the innermost first.
struct Scope<'s, 'e> {
    value: Value<'e>,
    outer: Option<&'s Scope<'s, 'e>>,
}

/// One expression over one event.
pub(super) struct Run<'e> {
    program: &'e [Place],
    event: &'e Event,
    budget: Budget,
    kept: [Option<Answer<'e>>; KEPT],
    kept_more: Vec<Option<Answer<'e>>>,
}

impl<'e> Run<'e> {
    pub(super) fn new(program: &'e Program, event: &'e Event) -> Self {
        Self {
            program: &program.fields,
            event,
            budget: Budget::new(),
            kept: [const { None }; KEPT],
            kept_more: if program.fields.len() > KEPT {
                vec![None; program.fields.len() - KEPT]
            } else {
                Vec::new()
            },
        }
    }

    /// The value, and what is left to spend on it.
    pub(super) fn run(mut self, root: &'e Node) -> Result<(Value<'e>, Budget), Error> {
        let value = self.eval(root, None)?;
        Ok((value, self.budget))
    }

    /// Whether it is true.
    pub(super) fn test(mut self, root: &'e Node) -> Result<bool, Error> {
        self.truth(root, None)
    }

    /// What most expressions are made of; the rest stands apart, so that this has little to set up.
    fn eval(&mut self, node: &'e Node, scope: Option<&Scope<'_, 'e>>) -> Answer<'e> {
        self.budget.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.borrowed()),
            Node::Field(at) => self.field(*at),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                match self.truth(condition, scope) {
                    Ok(true) => self.eval(yes, scope),
                    Ok(false) => self.eval(no, scope),
                    Err(error) => Err(error.or_of(|kind| Error::Condition(&"? :", kind))),
                }
            }
            Node::Arithmetic(operator, sides) => {
                self.with(sides, scope, |left, right, budget| operator.apply(left, right, budget))
            }
            other => self.eval_more(other, scope),
        }
    }

    /// What gives true or false, without a value being made of it; [`Error::NoBool`] where it gives something else.
    fn truth(&mut self, node: &'e Node, scope: Option<&Scope<'_, 'e>>) -> Result<bool, Error> {
        self.budget.spend(1)?;
        match node {
            Node::And(sides) => self.logic(&"&&", false, sides, scope),
            Node::Or(sides) => self.logic(&"||", true, sides, scope),
            Node::Not(of) => match self.truth(of, scope) {
                Ok(flag) => Ok(!flag),
                Err(error) => Err(error.or_of(|kind| Error::Overload(&"!", kind, None))),
            },
            Node::Equal(wanted, sides) => Ok(self.with(sides, scope, equal)? == *wanted),
            Node::Order(relation, sides) => {
                self.with(sides, scope, |left, right, budget| relation.apply(left, right, budget))
            }
            other => match self.eval(other, scope)? {
                Value::Bool(flag) => Ok(flag),
                other => Err(Error::NoBool(other.kind())),
            },
        }
    }

    #[inline(never)]
    fn eval_more(&mut self, node: &'e Node, scope: Option<&Scope<'_, 'e>>) -> Answer<'e> {
        match node {
            Node::Variable(out) => {
                let scope = std::iter::successors(scope, |scope| scope.outer).nth(*out);
                Ok(scope.map_or(Value::Null, |scope| scope.value.clone()))
            }
            Node::Select(of, key) => {
                let of = self.eval(of, scope)?;
                select(&of, key, &mut self.budget)
            }
            Node::Has(of, key) => {
                let of = self.eval(of, scope).map_err(|error| match error {
                    Error::Missing => Error::HasMissing,
                    error => error,
                })?;
                has(&of, key, &mut self.budget)
            }
            Node::Index(sides) => {
                let [of, key] = self.both(sides, scope)?;
                index(&of, &key, &mut self.budget)
            }
            Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Equal(..) | Node::Order(..) => {
                self.truth(node, scope).map(Value::Bool)
            }
            Node::Negate(of) => match self.eval(of, scope)? {
                Value::Int(int) => int.checked_neg().map(Value::Int).ok_or(Error::Overflow(&"-")),
                Value::Double(double) => Ok(Value::Double(-double)),
                other => Err(Error::Overload(&"-", other.kind(), None)),
            },
            Node::In(sides) => {
                let [key, of] = self.both(sides, scope)?;
                is_in(&key, &of, &mut self.budget).map(Value::Bool)
            }
            Node::Call(function, arguments) => match (function.library, arguments.as_slice()) {
                (Library::Standard, [one]) => {
                    let value = self.eval(one, scope)?;
                    functions::call(function, value, &mut self.budget)
                }
                (Library::Standard, [one, other]) => {
                    let (value, other) = (self.eval(one, scope)?, self.eval(other, scope)?);
                    functions::call_with(function, &value, &other, &mut self.budget)
                }
                (_, arguments) => self.call(function, arguments, scope),
            },
            Node::Matches(of, pattern) => {
                let value = self.eval(of, scope)?;
                let no_text = || Error::Overload(&"matches", value.kind(), Some(Kind::String));
                let text = value.text().ok_or_else(no_text)?;
                self.budget.spend_matched(text.len())?;
                Ok(Value::Bool(pattern.is_match(text)))
            }
            Node::List(nodes) => {
                let values = nodes.iter().map(|node| self.eval(node, scope)).collect::<Result<_, _>>()?;
                Ok(Value::MadeList(Arc::new(values)))
            }
            Node::Map(nodes) => self.make_map(nodes, scope),
            Node::Macro(of) => self.go_over(of, scope),
            plain => self.eval(plain, scope),
        }
    }

    #[inline(never)]
    fn call(
        &mut self,
        function: &'static Function,
        arguments: &'e [Node],
        scope: Option<&Scope<'_, 'e>>,
    ) -> Answer<'e> {
        let mut values = [const { Value::Null }; functions::ARGUMENTS_MAX];
        for (value, argument) in values.iter_mut().zip(arguments) {
            *value = self.eval(argument, scope)?;
        }
        functions::call_all(function, values.get(..arguments.len()).unwrap_or_default(), &mut self.budget)
    }

    #[inline(never)]
    fn both(&mut self, sides: &'e [Node; 2], scope: Option<&Scope<'_, 'e>>) -> Result<[Value<'e>; 2], Error> {
        let [left, right] = sides;
        Ok([self.eval(left, scope)?, self.eval(right, scope)?])
    }

    /// Gives both sides of an operator to what works on them. Fields and constants, which most are, stay where they
    /// are.
    #[inline]
    fn with<T>(
        &mut self,
        sides: &'e [Node; 2],
        scope: Option<&Scope<'_, 'e>>,
        work: impl FnOnce(&Value<'e>, &Value<'e>, &mut Budget) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let [left, right] = sides;
        if let Node::Field(at) = left {
            self.load(*at);
        }
        if let Node::Field(at) = right {
            self.load(*at);
        }
        let mut budget = std::mem::take(&mut self.budget);
        if let (Some(left), Some(right)) = (self.ready(left), self.ready(right)) {
            let worked = budget.spend(2).and_then(|()| work(left, right, &mut budget));
            self.budget = budget;
            return worked;
        }
        self.budget = budget;
        let sides = self.both(sides, scope)?;
        let [left, right] = &sides;
        work(left, right, &mut self.budget)
    }

    /// A constant, or a field that was looked up and found.
    #[inline]
    fn ready(&self, node: &'e Node) -> Option<&Value<'e>> {
        match node {
            Node::Constant(value) => Some(value),
            Node::Field(at) => self.kept(*at)?.as_ref().ok(),
            _ => None,
        }
    }

    /// `&&` and `||`: a side that decides does so whatever comes of the other, an error too.
    fn logic(
        &mut self,
        sign: Name,
        decides: bool,
        sides: &'e [Node; 2],
        scope: Option<&Scope<'_, 'e>>,
    ) -> Result<bool, Error> {
        let [left, right] = sides;
        let left = self.truth(left, scope);
        if left == Ok(decides) {
            return left;
        }
        match (left, self.truth(right, scope)) {
            (_, Ok(flag)) if flag == decides => Ok(decides),
            (Ok(_), Ok(_)) => Ok(!decides),
            (left, right) => Err(no_logic(sign, left, right)),
        }
    }

    fn make_map(&mut self, nodes: &'e [(Node, Node)], scope: Option<&Scope<'_, 'e>>) -> Answer<'e> {
        let mut entries: Vec<(Value<'e>, Value<'e>)> = Vec::with_capacity(nodes.len());
        for (key, value) in nodes {
            let (key, value) = (self.eval(key, scope)?, self.eval(value, scope)?);
            if !matches!(key.kind(), Kind::Bool | Kind::Int | Kind::String | Kind::UInt) {
                return Err(Error::Key(key.kind()));
            }
            if Map::Slice(&entries).get(&key, &mut self.budget)?.is_some() {
                return Err(Error::KeyTwice);
            }
            entries.push((key, value));
        }
        Ok(Value::MadeMap(Arc::new(entries)))
    }

    fn go_over(&mut self, of: &'e Macro, scope: Option<&Scope<'_, 'e>>) -> Answer<'e> {
        let range = self.eval(&of.range, scope)?;
        let mut made = Vec::new();
        let mut count = 0;
        let mut pending = None;
        let mut each = |run: &mut Self, value: Value<'e>| {
            run.budget.spend(1)?;
            let inner = Scope { value, outer: scope };
            let inner = Some(&inner);
            if let Some(filter) = &of.filter {
                let passes = run.truth(filter, inner);
                if !passes.map_err(|error| error.or_of(|kind| Error::Condition(&"filter", kind)))? {
                    return Ok(None);
                }
            }
            let (decides, sign): (bool, Name) = match of.kind {
                MacroKind::All => (false, &"&&"),
                MacroKind::Exists => (true, &"||"),
                MacroKind::ExistsOne => {
                    let is = run.truth(&of.body, inner);
                    let is = is.map_err(|error| error.or_of(|kind| Error::Condition(&"exists_one", kind)))?;
                    count += u32::from(is);
                    return Ok(None);
                }
                MacroKind::Map => {
                    made.push(run.eval(&of.body, inner)?);
                    return Ok(None);
                }
            };
            // As `&&` and `||` between all of them: an error waits for an element that decides.
            match run.truth(&of.body, inner) {
                Ok(flag) if flag == decides => return Ok(Some(Value::Bool(decides))),
                Ok(_) => {}
                Err(_) if pending.is_some() => {}
                Err(error) => {
                    pending = Some(error.or_of(|kind| Error::Overload(sign, Kind::Bool, Some(kind))));
                }
            }
            Ok(None)
        };
        if let Some(list) = range.list() {
            for value in list.iter() {
                if let Some(decided) = each(self, value)? {
                    return Ok(decided);
                }
            }
        } else if let Some(map) = range.map() {
            for (key, _) in map.iter() {
                if let Some(decided) = each(self, key)? {
                    return Ok(decided);
                }
            }
        } else {
            return Err(Error::Range(range.kind()));
        }
        match of.kind {
            MacroKind::Map => Ok(Value::MadeList(Arc::new(made))),
            MacroKind::ExistsOne => Ok(Value::Bool(count == 1)),
            MacroKind::All | MacroKind::Exists => {
                pending.map_or(Ok(Value::Bool(of.kind == MacroKind::All)), Err)
            }
        }
    }

    // ---- Fields

    fn field(&mut self, at: usize) -> Answer<'e> {
        self.load(at);
        self.kept(at).map_or(Ok(Value::Null), Clone::clone)
    }

    /// Looks a field up, unless that was done before.
    #[inline]
    fn load(&mut self, at: usize) {
        if self.kept(at).is_none() {
            self.look_up(at);
        }
    }

    #[inline(never)]
    fn look_up(&mut self, at: usize) {
        let answer = self.program.get(at).map(|place| self.read(place));
        let kept = match at.checked_sub(KEPT) {
            None => self.kept.get_mut(at),
            Some(more) => self.kept_more.get_mut(more),
        };
        if let Some(kept) = kept {
            *kept = answer;
        }
    }

    #[inline]
    fn kept(&self, at: usize) -> Option<&Answer<'e>> {
        match at.checked_sub(KEPT) {
            None => self.kept.get(at),
            Some(more) => self.kept_more.get(more),
        }?
        .as_ref()
    }

    fn read(&self, place: &'e Place) -> Answer<'e> {
        match self.event.get(&place.path) {
            Some(_) if place.tested => Ok(Value::Bool(true)),
            Some(value) => Ok(value.into()),
            None => self.missing(place),
        }
    }

    /// What a field means that is not there: where the way to it ends tells.
    fn missing(&self, place: &Place) -> Answer<'e> {
        let no_field = || place.kind.map_or(Value::Null, Value::Type);
        let Some((top, rest)) = place.above.split_first() else { return Ok(no_field()) };
        let mut of = self.event.get(top).map_or_else(no_field, Value::from);
        for above in rest {
            match self.event.get(above) {
                Some(value) => of = value.into(),
                None if place.tested => return Err(no_select(&of, Error::HasMissing)),
                None => return Err(no_select(&of, Error::Missing)),
            }
        }
        match no_select(&of, Error::Missing) {
            Error::Missing if place.tested => Ok(Value::Bool(false)),
            error => Err(error),
        }
    }
}

/// Why a value has no field of a name: it is a map without it, or null, or nothing that has fields.
fn no_select(of: &Value<'_>, missing: Error) -> Error {
    match of.kind() {
        Kind::Null | Kind::Map => missing,
        other => Error::Overload(&".", other, Some(Kind::String)),
    }
}

fn select<'e>(of: &Value<'e>, key: &str, budget: &mut Budget) -> Answer<'e> {
    let found = of.map().map(|map| map.field(key, budget)).transpose()?;
    found.flatten().ok_or_else(|| no_select(of, Error::Missing))
}

/// Whether a map has a key. Null has none: so a field that nobody sent has no fields either.
fn has<'e>(of: &Value<'e>, key: &str, budget: &mut Budget) -> Answer<'e> {
    match select(of, key, budget) {
        Ok(_) => Ok(Value::Bool(true)),
        Err(Error::Missing) => Ok(Value::Bool(false)),
        Err(error) => Err(error),
    }
}

fn index<'e>(of: &Value<'e>, key: &Value<'_>, budget: &mut Budget) -> Answer<'e> {
    if let Some(map) = of.map() {
        let known = is_key(key.kind()).then(|| map.get(key, budget)).transpose()?;
        return known.ok_or_else(|| Error::overload(&"[]", of, key))?.ok_or(Error::NoKey);
    }
    let (Some(list), Some(at)) = (of.list(), position(key)) else {
        return Err(Error::overload(&"[]", of, key));
    };
    let at = at.map_err(|_| Error::OutOfBounds)?;
    match list {
        List::Slice(values) => values.get(at).cloned(),
        List::Event(mut items) => {
            budget.spend(u32::try_from(at / STEP_ITEMS).unwrap_or(u32::MAX))?;
            items.nth(at).map(Value::from)
        }
    }
    .ok_or(Error::OutOfBounds)
}

/// The index that a number is, whole numbers of any type; none where it is none.
fn position(key: &Value<'_>) -> Option<Result<usize, std::num::TryFromIntError>> {
    Some(match key {
        Value::Int(int) => usize::try_from(*int),
        Value::UInt(int) => usize::try_from(*int),
        Value::Double(double) => usize::try_from(functions::exact_int(*double)?),
        _ => return None,
    })
}

/// What can be looked up in a map.
fn is_key(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Double | Kind::Int | Kind::String | Kind::UInt)
}

fn is_in(key: &Value<'_>, of: &Value<'_>, budget: &mut Budget) -> Result<bool, Error> {
    if let Some(list) = of.list() {
        if let (List::Slice(values), Some(text)) = (&list, key.text()) {
            return among(text, values, budget);
        }
        for value in list.iter() {
            if equal(key, &value, budget)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    match of.map() {
        Some(map) if is_key(key.kind()) => Ok(map.get(key, budget)?.is_some()),
        _ => Err(Error::overload(&"in", key, of)),
    }
}

/// Whether a text is one of a list, the common case.
fn among(text: &str, values: &[Value<'_>], budget: &mut Budget) -> Result<bool, Error> {
    for value in values {
        budget.spend(1)?;
        if value.text().is_some_and(|other| other.len() == text.len()) {
            budget.spend_bytes(text.len())?;
            if value.text() == Some(text) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Relation {
    fn sign(self) -> Name {
        match self {
            Self::Less => &"<",
            Self::LessEqual => &"<=",
            Self::Greater => &">",
            Self::GreaterEqual => &">=",
        }
    }

    #[inline]
    fn apply(self, left: &Value<'_>, right: &Value<'_>, budget: &mut Budget) -> Result<bool, Error> {
        let plain = match (left, right) {
            (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
            (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            _ => None,
        };
        match plain {
            Some(order) => Ok(self.holds(order)),
            None => order(left, right, self.sign(), budget).map(|order| self.holds(order)),
        }
    }

    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }
}

impl Operator {
    pub(super) fn sign(self) -> Name {
        match self {
            Self::Add => &"+",
            Self::Subtract => &"-",
            Self::Multiply => &"*",
            Self::Divide => &"/",
            Self::Remainder => &"%",
        }
    }

    /// None for a remainder, which doubles have not.
    #[inline]
    pub(super) fn of_doubles(self, left: f64, right: f64) -> Option<f64> {
        match self {
            Self::Add => Some(left + right),
            Self::Subtract => Some(left - right),
            Self::Multiply => Some(left * right),
            Self::Divide => Some(left / right),
            Self::Remainder => None,
        }
    }

    /// None where 64 bits do not reach, and of a division by zero.
    #[inline]
    pub(super) fn of_ints(self, left: i64, right: i64) -> Option<i64> {
        match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide => left.checked_div(right),
            Self::Remainder => left.checked_rem(right),
        }
    }

    /// Both sides are of one type, as CEL wants it; integers end where 64 bits do.
    fn apply<'e>(self, left: &Value<'e>, right: &Value<'e>, budget: &mut Budget) -> Answer<'e> {
        let overflow = Error::Overflow(self.sign());
        let divides = matches!(self, Self::Divide | Self::Remainder);
        match (left, right) {
            (Value::Double(left), Value::Double(right)) => {
                let overload = Error::Overload(&"%", Kind::Double, Some(Kind::Double));
                self.of_doubles(*left, *right).map(Value::Double).ok_or(overload)
            }
            (Value::Int(_), Value::Int(0)) | (Value::UInt(_), Value::UInt(0)) if divides => {
                Err(Error::DivisionByZero)
            }
            (Value::Int(left), Value::Int(right)) => {
                self.of_ints(*left, *right).map(Value::Int).ok_or(overflow)
            }
            (Value::UInt(left), Value::UInt(right)) => match self {
                Self::Add => left.checked_add(*right),
                Self::Subtract => left.checked_sub(*right),
                Self::Multiply => left.checked_mul(*right),
                Self::Divide => left.checked_div(*right),
                Self::Remainder => left.checked_rem(*right),
            }
            .map(Value::UInt)
            .ok_or(overflow),
            (Value::Timestamp(_) | Value::Duration(_), Value::Timestamp(_) | Value::Duration(_)) => {
                times::arithmetic(self, left, right)
            }
            _ if self == Self::Add => join(left, right, budget),
            _ => Err(Error::overload(self.sign(), left, right)),
        }
    }
}

/// Two texts, lists or bytes as one.
fn join<'e>(left: &Value<'e>, right: &Value<'e>, budget: &mut Budget) -> Answer<'e> {
    if let (Some(left), Some(right)) = (left.text(), right.text()) {
        budget.spend_bytes(left.len() + right.len())?;
        let mut joined = String::with_capacity(left.len() + right.len());
        joined.push_str(left);
        joined.push_str(right);
        return Ok(Value::MadeText(joined.into()));
    }
    if let (Some(left), Some(right)) = (left.list(), right.list()) {
        let mut joined = Vec::new();
        for value in left.iter().chain(right.iter()) {
            budget.spend(1)?;
            joined.push(value);
        }
        return Ok(Value::MadeList(Arc::new(joined)));
    }
    if let (Value::Bytes(left), Value::Bytes(right)) = (left, right) {
        budget.spend_bytes(left.len() + right.len())?;
        return Ok(Value::Bytes([&**left, &**right].concat().into()));
    }
    Err(Error::overload(&"+", left, right))
}
