//! Expressions in CEL, the Common Expression Language, over the fields of an event.
//!
//! The top-level fields are the variables, and those that an event lacks are null; a nested field that is missing
//! is an error unless `has()` guards it. Integers stay integers, and `int * double` has no overload, as CEL says.
//! Specification: <https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md>.

use crate::event::{Event, New, Path, Pattern, Value as Field};
use crate::mistake::{Mistake, nearest};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Program, Value};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use toml::Spanned;

/// The functions that an expression can call; operators have names that start with no letter.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "max",
    "min",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Names that stand for types where no field has them, as in `type(price) == double`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Program);

impl Expression {
    /// Compiles the text of a setting.
    pub(crate) fn compile(source: &Spanned<String>) -> Result<Self, Mistake> {
        let program = ENV.compile(source.get_ref()).map_err(|errors| {
            let first = errors.errors.first();
            let why =
                first.map(|first| format!(": column {}: {}", first.pos.1, first.msg)).unwrap_or_default();
            Mistake::new(format!("no CEL expression{why}")).within(source.span())
        })?;
        let references = program.references();
        let mut unknown = references.functions();
        unknown
            .retain(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()) && !FUNCTIONS.contains(name));
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            let mistake = Mistake::new(format!("CEL has no function `{name}`")).within(source.span());
            return Err(match nearest(name, FUNCTIONS.iter().copied()) {
                Some(help) => mistake.with_help(help),
                None => mistake,
            });
        }
        Ok(Self(program))
    }

    /// Whether it is true of this event, or what went wrong, in words without a value of the event.
    pub(crate) fn test(&self, event: &Event) -> Result<bool, Cow<'static, str>> {
        match self.evaluate(event)? {
            Value::Bool(flag) => Ok(flag),
            other => Err(format!("the expression gave {}, not true or false", other.type_of()).into()),
        }
    }

    /// The expression's value for this event, text and JSON in the room that is given.
    pub(crate) fn compute<'r>(
        &self,
        event: &Event,
        room: &'r mut String,
    ) -> Result<New<'r>, Cow<'static, str>> {
        room.clear();
        let nothing = || Cow::Borrowed("nothing that JSON can hold");
        Ok(match self.evaluate(event)? {
            Value::Null => New::Null,
            Value::Bool(flag) => New::Bool(flag),
            Value::Int(int) => New::Int(int),
            Value::UInt(int) => New::UInt(int),
            Value::Float(float) if float.is_finite() => New::Float(float),
            Value::String(text) => {
                room.push_str(&text);
                New::Str(room)
            }
            other => {
                room.push_str(&to_json(&other).ok_or_else(nothing)?.to_string());
                New::Json(room)
            }
        })
    }

    /// The fields that it names.
    pub(crate) fn reads(&self) -> Vec<Pattern> {
        let references = self.0.references();
        references.variables().into_iter().map(|name| Path::from_key(name).into()).collect()
    }

    fn evaluate(&self, event: &Event) -> Result<Value, String> {
        let fields = Fields(event);
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&fields);
        self.0.execute(&context).map_err(|error| describe(&error))
    }
}

struct Fields<'a>(&'a Event);

impl VariableResolver for Fields<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match self.0.fields().get(variable) {
            // `data.x` may name a variable of a namespace, and is asked for first; ours have none.
            _ if variable.contains('.') => None,
            Some(value) => Some(CowVal::Owned(to_cel(value))),
            None if TYPES.contains(&variable) => None,
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

/// A result as JSON; none where JSON has no such thing (NaN, bytes, a type).
fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::UInt(value) => Json::from(*value),
        Value::Float(value) => Json::from(serde_json::Number::from_f64(*value)?),
        Value::String(text) => Json::from(text.as_str()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| Some((key.to_string(), to_json(value)?)));
            Json::Object(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// The crate's own messages repeat the values they choked on, so only their kinds are told here.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => format!(
            "`{}` does not take ({})",
            overload.function().trim_matches(['_', '@']),
            overload.argument_types().join(", ")
        ),
        ExecutionError::NoSuchKey(_) => "a nested field is missing, and no has() guards it".into(),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} cannot be compared with {}", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{operator}` does not take ({}, {})", left.type_of(), right.type_of())
        }
        ExecutionError::UnexpectedType { .. } => "a value has the wrong type".into(),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".into(),
        ExecutionError::Overflow(operator, ..) => format!("`{operator}` overflows"),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".into(),
        ExecutionError::FunctionError { function, .. } => format!("{function}() failed"),
        _ => "it cannot be evaluated".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(source: &str, event: Json) -> Result<Json, String> {
        let event = Event::read(&event.to_string()).unwrap();
        let expression = Expression::compile(&Spanned::new(0..0, source.to_owned())).unwrap();
        expression.evaluate(&event).map(|value| to_json(&value).unwrap_or(json!("not JSON")))
    }

    #[test]
    fn the_fields_are_the_variables() {
        for (source, event, result) in [
            ("price == null || price > 10.0", json!({}), json!(true)),
            ("price == null || price > 10.0", json!({"price": null}), json!(true)),
            ("price == null || price > 10.0", json!({"price": 10}), json!(false)),
            ("price > 10", json!({"price": 10.5}), json!(true)),
            ("price * 0.1", json!({"price": 60.0}), json!(6.0)),
            ("count + 1", json!({"count": 41}), json!(42)),
            ("has(data.x) && data.x > 1", json!({"data": {}}), json!(false)),
            ("has(data.x) && data.x > 1", json!({"data": {"x": 2}}), json!(true)),
            ("items.exists(i, i.sku == 'b')", json!({"items": [{"sku": "a"}, {"sku": "b"}]}), json!(true)),
            ("items.map(i, i.n)", json!({"items": [{"n": 1}, {"n": 2}]}), json!([1, 2])),
            ("name.matches('^a.*z$') && name.startsWith('a')", json!({"name": "abcz"}), json!(true)),
            ("type(price) == double", json!({"price": 1.5}), json!(true)),
            ("size(name)", json!({"name": "grün"}), json!(4)),
        ] {
            assert_eq!(evaluate(source, event.clone()), Ok(result), "{source} over {event}");
        }
    }

    #[test]
    fn errors_name_kinds_and_never_values() {
        for (source, event) in [
            ("email > 10", json!({"email": "x@example.com"})),
            ("email * 2.0", json!({"email": "x@example.com"})),
            ("data.email", json!({"data": {"phone": "x@example.com"}})),
            ("data[email]", json!({"data": {}, "email": "x@example.com"})),
            ("int(email)", json!({"email": "x@example.com"})),
            ("price * 0.1", json!({"price": 60})),
            ("1 / n", json!({"n": 0})),
            ("[1][n]", json!({"n": 7})),
            ("email.size() + email", json!({"email": "x@example.com"})),
            ("email.name", json!({"email": "x@example.com"})),
        ] {
            let error = evaluate(source, event).expect_err(source);
            assert!(!error.contains("example.com"), "{source}: {error}");
        }
        assert_eq!(
            evaluate("price * 0.1", json!({"price": 60})).unwrap_err(),
            "`mul` does not take (int, float)"
        );
    }
}
