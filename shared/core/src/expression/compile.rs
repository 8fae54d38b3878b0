//! From the parser's tree to one that is ready to be worked out: names found, constants folded, patterns compiled,
//! and told at once what no event could make right.

use super::evaluate::{Error, Macro, MacroKind, Node, Operator, Place, Program, Relation, Run};
use super::functions::{self, Library};
use super::plain::is_plain;
use super::syntax::{DEPTH_MAX, Names, Parsed, Places};
use super::times;
use super::value::{Kind, Value};
use crate::event::{Event, Path};
use crate::mistake::Mistake;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use regex::RegexBuilder;
use std::ops::Range;
use std::sync::Arc;

/// What a compiled pattern may take of the memory, in bytes. Patterns for texts of an event are far below it.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// How deep the tree may be: chains of `&&` and `||` come as balanced trees, beyond what the text is nested.
const TREE_DEPTH_MAX: usize = DEPTH_MAX + 24;

/// A program, and what is known of its text.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) program: Program,
    /// Where each of its fields is named first.
    pub(super) named: Vec<Range<usize>>,
    /// A call that fails whatever the event. It may never be asked for, so it is no mistake of the language.
    pub(super) failing: Option<Mistake>,
}

pub(super) fn compile(parsed: &Parsed<'_>) -> Result<Compiled, Mistake> {
    let mut compiler = Compiler {
        names: &parsed.names,
        text: &parsed.places,
        places: Vec::new(),
        named: Vec::new(),
        failing: None,
        variables: Vec::new(),
        depth: 0,
    };
    let root = compiler.node(&parsed.tree)?;
    let program = Program { is_plain: is_plain(&root), root, fields: compiler.places };
    Ok(Compiled { program, named: compiler.named, failing: compiler.failing })
}

struct Compiler<'t> {
    names: &'t Names,
    text: &'t Places<'t>,
    places: Vec<Place>,
    /// Where each of them is named.
    named: Vec<Range<usize>>,
    failing: Option<Mistake>,
    /// The variables of the macros around, the outermost first.
    variables: Vec<String>,
    depth: usize,
}

impl<'t> Compiler<'t> {
    fn node(&mut self, tree: &'t IdedExpr) -> Result<Node, Mistake> {
        self.depth += 1;
        if self.depth > TREE_DEPTH_MAX {
            return Err(Mistake::new(super::syntax::too_deep()).about(self.text.of(tree.id)));
        }
        let node = self.shallow(tree)?;
        self.depth -= 1;
        Ok(fold(node))
    }

    fn shallow(&mut self, tree: &'t IdedExpr) -> Result<Node, Mistake> {
        if let Some(way) = self.way(tree) {
            return Ok(way.kind_of_protobuf().unwrap_or_else(|| self.field(&way, false)));
        }
        let places = self.text;
        let unknown = || unknown().about(places.of(tree.id));
        Ok(match &tree.expr {
            Expr::Literal(literal) => Node::Constant(constant(literal)),
            Expr::Ident(name) => Node::Variable(self.variable(name).unwrap_or_default()),
            Expr::Select(select) if select.test => {
                let field = self.names.of(&select.field);
                if let Some(mut way) = self.way(&select.operand) {
                    way.keys.push(field);
                    way.at = self.text.argument(tree.id, 0);
                    self.field(&way, true)
                } else {
                    Node::Has(Box::new(self.node(&select.operand)?), field.to_owned())
                }
            }
            Expr::Select(select) => {
                let field = self.names.of(&select.field).to_owned();
                Node::Select(Box::new(self.node(&select.operand)?), field)
            }
            Expr::Call(call) => self.call(call, tree.id)?,
            Expr::List(list) => {
                Node::List(list.elements.iter().map(|node| self.node(node)).collect::<Result<_, _>>()?)
            }
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return Err(unknown()) };
                    entries.push((self.node(&entry.key)?, self.node(&entry.value)?));
                }
                Node::Map(entries)
            }
            Expr::Comprehension(of) => Node::Macro(Box::new(self.go_over(of, tree.id)?)),
            Expr::Struct(of) => {
                let name = of.type_name.trim_start_matches('.');
                return Err(Mistake::new(format!("there is no message type `{name}`"))
                    .with_help("a map is written `{'key': value}`")
                    .about(self.text.name(tree.id, name.split('.').count())));
            }
            Expr::Unspecified => return Err(unknown()),
        })
    }

    // ---- Fields

    /// The keys from the event to what is named here, if it is named from there: `data.x`, `data['x']`.
    fn way(&self, tree: &'t IdedExpr) -> Option<Way<'t>> {
        let mut keys = Vec::new();
        let mut at = tree;
        loop {
            match &at.expr {
                Expr::Ident(name) if self.variable(name).is_none() => {
                    // With a dot before it, it is never a variable.
                    let name = name.trim_start_matches('.');
                    keys.push(self.names.of(name));
                    keys.reverse();
                    return Some(Way { keys, kind: Kind::named(name), at: self.text.field(at.id, tree.id) });
                }
                Expr::Select(select) if !select.test => {
                    keys.push(self.names.of(&select.field));
                    at = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                    [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] => {
                        keys.push(key.inner());
                        at = of;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// How many macros further out a variable is.
    fn variable(&self, name: &str) -> Option<usize> {
        self.variables.iter().rev().position(|known| known == name)
    }

    fn field(&mut self, way: &Way<'_>, tested: bool) -> Node {
        let mut keys = way.keys.iter();
        let first = keys.next().copied().unwrap_or_default();
        let mut path = Path::from_key(first);
        let mut above = Vec::new();
        for key in keys {
            let longer = path.join(key);
            above.push(std::mem::replace(&mut path, longer));
        }
        let kind = way.kind;
        let same = |place: &Place| place.path == path && place.tested == tested && place.kind == kind;
        let known = self.places.iter().position(same);
        Node::Field(known.unwrap_or_else(|| {
            self.places.push(Place { path, above, tested, kind });
            self.named.push(way.at.clone());
            self.places.len() - 1
        }))
    }

    // ---- Calls

    fn call(&mut self, call: &'t CallExpr, id: u64) -> Result<Node, Mistake> {
        let (mut name, mut target) = (call.func_name.trim_start_matches('.'), call.target.as_deref());
        let of_math = format!("math.{name}");
        let mut words = 1;
        if let Some(Expr::Ident(of)) = target.map(|of| &of.expr)
            && of == "math"
            && self.variable(of).is_none()
        {
            (name, target, words) = (&of_math, None, 2);
        }
        let arguments: Vec<_> = target.into_iter().chain(&call.args).collect();
        // Operators are functions whose names are no names.
        match (name, arguments.as_slice()) {
            (operators::LOGICAL_NOT, [of]) => return Ok(Node::Not(Box::new(self.node(of)?))),
            (operators::NEGATE, [of]) => return Ok(Node::Negate(Box::new(self.node(of)?))),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                return Ok(Node::If(Box::new([self.node(condition)?, self.node(yes)?, self.node(no)?])));
            }
            (_, [left, right]) if !name.starts_with(|sign: char| sign.is_ascii_alphabetic()) => {
                let sides = Box::new([self.node(left)?, self.node(right)?]);
                return operator(name, sides).ok_or_else(|| unknown().about(self.text.of(id)));
            }
            _ => {}
        }
        let function = functions::find(name, target.is_some(), arguments.len())
            .map_err(|mistake| mistake.about(self.text.name(id, words)))?;
        let (places, is_behind) = (self.text, target.is_some());
        let place_of = |argument: usize| places.argument(id, argument - usize::from(is_behind));
        let mut nodes = arguments.into_iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        if let (Library::Times, Some(Node::Constant(zone))) = (function.library, nodes.get(1))
            && let Some(name) = zone.text().filter(|name| !times::is_zone(name))
        {
            return Err(Mistake::new(format!("there is no time zone `{name}`"))
                .with_help("zones are named `UTC`, `Europe/Berlin`, `+02:00`")
                .about(place_of(1)));
        }
        if function.name != functions::MATCHES {
            let call = Node::Call(function, nodes);
            if let Some(Err(why)) = work_out(&call) {
                let at = if is_behind { places.name(id, words) } else { place_of(0) };
                let help = format!("`{}` is written `{}`", function.name, function.usage);
                self.failing.get_or_insert(Mistake::new(failing(&why.to_string())).with_help(help).about(at));
            }
            return Ok(call);
        }
        let (pattern, of) = (nodes.pop(), nodes.pop());
        match (of, pattern) {
            (Some(of), Some(Node::Constant(pattern))) => matches(of, &pattern, places, place_of(1)),
            _ => Err(Mistake::new("the pattern of `matches` is no constant")
                .with_help("patterns are compiled once, not for each event: write the pattern as a text")
                .about(place_of(1))),
        }
    }

    /// The parser writes macros out as loops over an accumulator; what each was is plain from its step.
    fn go_over(&mut self, of: &'t ComprehensionExpr, id: u64) -> Result<Macro, Mistake> {
        let places = self.text;
        let unknown = || unknown().about(places.of(id));
        let range = self.node(&of.iter_range)?;
        if of.iter_var.starts_with('.') || of.iter_var2.is_some() {
            let message = format!("`{}` is no name for what a macro goes over", of.iter_var);
            return Err(Mistake::new(message).about(self.text.argument(id, 0)));
        }
        self.variables.push(of.iter_var.clone());
        let (kind, filter, body) = match step(&of.loop_step.expr) {
            Some((operators::LOGICAL_AND, [_, body])) => (MacroKind::All, None, self.node(body)?),
            Some((operators::LOGICAL_OR, [_, body])) => (MacroKind::Exists, None, self.node(body)?),
            Some((operators::ADD, added)) => (MacroKind::Map, None, self.added(added)?),
            Some((operators::CONDITIONAL, [test, more, _])) => match step(&more.expr) {
                Some((operators::ADD, [_, added])) if matches!(added.expr, Expr::Literal(_)) => {
                    (MacroKind::ExistsOne, None, self.node(test)?)
                }
                Some((operators::ADD, added)) => (MacroKind::Map, Some(self.node(test)?), self.added(added)?),
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        self.variables.pop();
        Ok(Macro { kind, range, filter, body })
    }

    /// What `accumulator + [body]` adds.
    fn added(&mut self, sum: &'t [IdedExpr]) -> Result<Node, Mistake> {
        match sum {
            [_, IdedExpr { expr: Expr::List(list), .. }] => match list.elements.as_slice() {
                [body] => self.node(body),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}

/// The way from the event to what is named, and what the first name means where no event has it.
struct Way<'t> {
    keys: Vec<&'t str>,
    kind: Option<Kind>,
    /// Where in the text it is.
    at: Range<usize>,
}

impl Way<'_> {
    /// The two types whose names have dots. CEL takes the longest name that it knows.
    fn kind_of_protobuf(&self) -> Option<Node> {
        let ["google", "protobuf", _] = self.keys.as_slice() else { return None };
        Kind::named(&self.keys.join(".")).map(|kind| Node::Constant(Value::Type(kind)))
    }
}

fn operator(name: &str, sides: Box<[Node; 2]>) -> Option<Node> {
    Some(match name {
        operators::LOGICAL_AND => Node::And(sides),
        operators::LOGICAL_OR => Node::Or(sides),
        operators::EQUALS => Node::Equal(true, sides),
        operators::NOT_EQUALS => Node::Equal(false, sides),
        operators::LESS => Node::Order(Relation::Less, sides),
        operators::LESS_EQUALS => Node::Order(Relation::LessEqual, sides),
        operators::GREATER => Node::Order(Relation::Greater, sides),
        operators::GREATER_EQUALS => Node::Order(Relation::GreaterEqual, sides),
        operators::ADD => Node::Arithmetic(Operator::Add, sides),
        operators::SUBSTRACT => Node::Arithmetic(Operator::Subtract, sides),
        operators::MULTIPLY => Node::Arithmetic(Operator::Multiply, sides),
        operators::DIVIDE => Node::Arithmetic(Operator::Divide, sides),
        operators::MODULO => Node::Arithmetic(Operator::Remainder, sides),
        operators::IN => Node::In(sides),
        operators::INDEX => Node::Index(sides),
        _ => return None,
    })
}

fn step(tree: &Expr) -> Option<(&str, &[IdedExpr])> {
    match tree {
        Expr::Call(call) if call.target.is_none() => Some((&call.func_name, &call.args)),
        _ => None,
    }
}

/// What the parser may give one day, and does not yet.
fn unknown() -> Mistake {
    Mistake::new("there is something in this expression that is not supported")
}

fn constant(literal: &LiteralValue) -> Value<'static> {
    match literal {
        LiteralValue::Boolean(flag) => Value::Bool(*flag.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(Arc::from(bytes.inner())),
        LiteralValue::Double(double) => Value::Double(*double.inner()),
        LiteralValue::Int(int) => Value::Int(*int.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::MadeText(Arc::from(text.inner())),
        LiteralValue::UInt(int) => Value::UInt(*int.inner()),
    }
}

fn matches(of: Node, pattern: &Value<'_>, places: &Places<'_>, at: Range<usize>) -> Result<Node, Mistake> {
    let Some(text) = pattern.text() else {
        let message = format!("the pattern of `matches` is a text, not {}", pattern.kind());
        return Err(Mistake::new(message).about(at));
    };
    let compiled =
        RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).dfa_size_limit(PATTERN_SIZE_MAX).build();
    let pattern = compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Mistake::new("this pattern becomes too large").about(at),
        // The last line says what is wrong, those before draw where.
        error => {
            let told = error.to_string();
            let why = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let part = flaw_in(text).and_then(|flaw| places.within(&at, text, &flaw));
            Mistake::new(format!("no regular expression: {why}")).about(part.unwrap_or(at))
        }
    })?;
    Ok(Node::Matches(Box::new(of), Box::new(pattern)))
}

/// What of a pattern cannot be read, in bytes.
fn flaw_in(pattern: &str) -> Option<Range<usize>> {
    let span = match regex_syntax::Parser::new().parse(pattern).err()? {
        regex_syntax::Error::Parse(error) => *error.span(),
        regex_syntax::Error::Translate(error) => *error.span(),
        _ => return None,
    };
    Some(span.start.offset..span.end.offset)
}

/// What is said of what can only err.
pub(super) fn failing(why: &str) -> String {
    format!("this fails whatever the event: {why}")
}

/// Works out what hangs on no event; what errs is left as it is, it may never be asked for.
fn fold(node: Node) -> Node {
    match work_out(&node) {
        Some(Ok(value)) => Node::Constant(value),
        _ => node,
    }
}

/// The value of what is made of constants, and is none.
fn work_out(node: &Node) -> Option<Result<Value<'static>, Error>> {
    let is_constant = |node: &Node| matches!(node, Node::Constant(_));
    let constant = match node {
        Node::Constant(_) | Node::Field(_) | Node::Variable(_) | Node::Macro(_) => false,
        Node::Select(of, _) | Node::Has(of, _) | Node::Not(of) | Node::Negate(of) | Node::Matches(of, _) => {
            is_constant(of)
        }
        Node::Index(sides)
        | Node::And(sides)
        | Node::Or(sides)
        | Node::Equal(_, sides)
        | Node::Order(_, sides)
        | Node::Arithmetic(_, sides)
        | Node::In(sides) => sides.iter().all(is_constant),
        Node::If(parts) => parts.iter().all(is_constant),
        Node::Call(_, nodes) | Node::List(nodes) => nodes.iter().all(is_constant),
        Node::Map(nodes) => nodes.iter().all(|(key, value)| is_constant(key) && is_constant(value)),
    };
    if !constant {
        return None;
    }
    let program = Program { root: Node::Constant(Value::Null), is_plain: false, fields: Vec::new() };
    let event = Event::default();
    match Run::new(&program, &event).run(node) {
        Ok((value, _)) => value.owned().map(Ok),
        Err(why) => Some(Err(why)),
    }
}
