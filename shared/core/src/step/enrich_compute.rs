//! `enrich.compute`: fields that follow from others.
//!
//! ```toml
//! enrich.compute = { discount = "price != null && price > 50.0 ? price * 0.1 : null" }
//! ```
//! The expressions are CEL, worked out in the order of the file; a later one sees what an earlier one gave. A null
//! removes the field, whatever the producer had put there. Where an expression errs, or gives what JSON cannot
//! hold, the event goes to the quarantine (`expression`).

use super::settings::{Entries, Source};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Path};
use crate::expression::Expression;
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Compute {
    fields: Vec<(Path, Expression)>,
    text: String,
}

impl Step for Compute {
    const NAME: &'static str = "enrich.compute";
    type Settings = Entries<Path, Source>;

    fn compile(fields: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let compile = |(path, source): (Path, Source)| Ok((path, Expression::value(&source.0)?));
        let fields = fields.0.into_iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { fields, text: String::new() })
    }

    fn touches(&self) -> Touches {
        let carried = |(path, expression): &(Path, Expression)| {
            expression.carries().into_iter().map(|from| (from, path.clone().into())).collect::<Vec<_>>()
        };
        Touches {
            carries: self.fields.iter().flat_map(carried).collect(),
            reads: self.fields.iter().flat_map(|(_, expression)| expression.reads()).collect(),
            named: self.fields.iter().flat_map(|(_, expression)| expression.named()).collect(),
            writes: self.fields.iter().map(|(path, _)| path.clone().into()).collect(),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (path, expression) in &self.fields {
            match expression.compute(event, &mut self.text) {
                Ok(New::Null) => event.remove_at(path),
                Ok(New::Str(text)) => event.put_str(path, text),
                Ok(value) => drop(event.put(path, value)),
                Err(why) => return Verdict::Reject("expression", format!("`{path}`: {why}").into()),
            }
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check;
    use expect_test::expect;

    const DISCOUNT: &str = r#"{ discount = "price != null && price > 50.0 ? price * 0.1 : null" }"#;

    #[test]
    fn a_field_follows_from_others() {
        check::<Compute>(DISCOUNT, r#"{"price":80.0}"#, &expect![[r#"{"price":80.0,"discount":8.0}"#]]);
        check::<Compute>(r#"{ "a.b" = "1 + 1", c = "a.b * 2" }"#, "{}", &expect![[r#"{"a":{"b":2},"c":4}"#]]);
    }

    #[test]
    fn a_null_removes_what_the_producer_claims() {
        check::<Compute>(DISCOUNT, r#"{"discount":99,"price":50.0}"#, &expect![[r#"{"price":50.0}"#]]);
        check::<Compute>(DISCOUNT, r#"{"discount":99}"#, &expect!["{}"]);
    }

    #[test]
    fn what_errs_or_is_no_json_rejects() {
        check::<Compute>(
            DISCOUNT,
            r#"{"price":"80"}"#,
            &expect!["expression: `discount`: `>` does not take (string, double)"],
        );
        check::<Compute>(
            r#"{ a = "b / 0.0" }"#,
            r#"{"b":0.0}"#,
            &expect!["expression: `a`: nothing that JSON can hold"],
        );
    }
}
