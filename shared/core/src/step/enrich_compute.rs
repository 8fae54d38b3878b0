//! `enrich.compute`: fields that follow from others.
//!
//! ```toml
//! enrich.compute = { discount = "price != null && price > 50.0 ? price * 0.1 : null" }
//! ```
//! The expressions are CEL, worked out in the order of the file; a later one sees what an earlier one gave. A null
//! removes the field, whatever the producer had put there. Where an expression errs, or gives what JSON cannot
//! hold, the event goes to the quarantine.

use super::settings::Entries;
use super::{Context, Step, Verdict};
use crate::event::{Event, Path};
use crate::expression::{Expression, to_json};
use crate::mistake::Mistake;
use serde_json::Value;
use toml::Spanned;

pub(crate) struct Compute(Vec<(Path, Expression)>);

impl Step for Compute {
    const NAME: &'static str = "enrich.compute";
    type Settings = Entries<Path, Spanned<String>>;

    fn compile(fields: Self::Settings) -> Result<Self, Mistake> {
        let compile = |(path, source): (Path, Spanned<String>)| Ok((path, Expression::compile(&source)?));
        Ok(Self(fields.0.into_iter().map(compile).collect::<Result<_, _>>()?))
    }

    fn apply(&self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (path, expression) in &self.0 {
            match expression.evaluate(event).map(|value| to_json(&value)) {
                Ok(Some(Value::Null)) => drop(event.remove(path)),
                Ok(Some(value)) => event.set(path, value),
                Ok(None) => {
                    return Verdict::Reject(
                        "expression",
                        format!("`{path}` is nothing that JSON can hold").into(),
                    );
                }
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
        check::<Compute>(DISCOUNT, r#"{"price":80.0}"#, &expect![[r#"{"discount":8.0,"price":80.0}"#]]);
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
            r#"{ a = "0.0 / 0.0" }"#,
            "{}",
            &expect!["expression: `a` is nothing that JSON can hold"],
        );
    }
}
