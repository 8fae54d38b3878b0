//! Expressions in CEL, the Common Expression Language, over the fields of an event.
//!
//! The top-level fields are the variables, and those that an event lacks are null; a nested field that is missing
//! is an error unless `has()` guards it. Integers stay integers, and `int * double` has no overload, as CEL says.
//! Specification: <https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md>.
//!
//! Text becomes the `cel` crate's tree ([`syntax`]), that becomes a tree of ours ([`compile`]), which is walked for
//! each event ([`evaluate`]) over values that borrow from it ([`value`]). What the specification leaves open, and
//! where we go beyond it:
//!
//! - `has(data.x)` is false where `data` is null, and so where it is missing. Further down CEL's rule stands:
//!   `has(data.x.y)` is an error where `data.x` is missing.
//! - NaN has no order: `<` and its like are errors, as in cel-go; `==` is false.
//! - A list takes any whole number as an index, and maps and `in` take numbers of any type for equal keys.
//! - The pattern of `matches` is a constant, compiled once; it is the `regex` crate's syntax, linear in time, where
//!   `\d`, `\w` and `\s` know Unicode.
//! - A name of a type, `int`, is a field where the event has one of that name.
//! - What costs more than a million steps is an error: see [`evaluate::COST_MAX`].

mod compile;
mod evaluate;
mod functions;
#[cfg(test)]
mod reference;
mod syntax;
mod value;

use crate::event::{Event, New, Pattern};
use crate::mistake::Mistake;
use evaluate::{Program, Run};
use std::borrow::Cow;
use toml::Spanned;
use value::Value;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Program);

impl Expression {
    /// Compiles the text of a setting.
    pub(crate) fn compile(source: &Spanned<String>) -> Result<Self, Mistake> {
        let program = syntax::parse(source.get_ref()).and_then(|tree| compile::compile(&tree));
        program.map(Self).map_err(|mistake| mistake.within(source.span()))
    }

    /// Whether it is true of this event, or what went wrong, in words without a value of the event.
    pub(crate) fn test(&self, event: &Event) -> Result<bool, Cow<'static, str>> {
        match Run::new(&self.0, event).run(&self.0.root)? {
            (Value::Bool(flag), _) => Ok(flag),
            (other, _) => Err(format!("the expression gave {}, not true or false", other.kind()).into()),
        }
    }

    /// The expression's value for this event, text and JSON in the room that is given.
    pub(crate) fn compute<'r>(
        &self,
        event: &Event,
        room: &'r mut String,
    ) -> Result<New<'r>, Cow<'static, str>> {
        room.clear();
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
            other => {
                other.write(room, &mut budget)?;
                New::Json(room)
            }
        })
    }

    /// The fields that it names.
    pub(crate) fn reads(&self) -> Vec<Pattern> {
        self.0.fields.iter().map(|place| place.path.clone().into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn evaluate(source: &str, event: Json) -> Result<Json, String> {
        let event = Event::read(&event.to_string()).unwrap();
        let expression = Expression::compile(&Spanned::new(0..0, source.to_owned())).unwrap();
        let mut room = String::new();
        let (value, mut budget) =
            Run::new(&expression.0, &event).run(&expression.0.root).map_err(|error| error.to_string())?;
        value.write(&mut room, &mut budget).map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&room).unwrap())
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
            "`*` does not take (int, double)"
        );
    }
}
