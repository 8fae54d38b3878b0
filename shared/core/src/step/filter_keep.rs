//! `filter.keep`: go on only with what an expression is true of.
//!
//! ```toml
//! filter.keep = "price == null || price > 10.0"
//! ```
//! The expression is CEL. Where it errs, or gives anything but true or false, the event goes to the quarantine
//! (`expression`).

use super::settings::Source;
use super::{Context, Step, Touches, Verdict};
use crate::event::Event;
use crate::expression::Expression;
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Keep(Expression);

impl Step for Keep {
    const NAME: &'static str = "filter.keep";
    type Settings = Source;

    fn compile(source: Source, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self(Expression::condition(&source.0)?))
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.0.reads(),
            named: self.0.named().collect(),
            lets_pass: self.0.always(),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        match self.0.test(event) {
            Ok(true) => Verdict::Keep,
            Ok(false) => Verdict::Drop,
            Err(why) => Verdict::Reject("expression", why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check;
    use expect_test::expect;

    #[test]
    fn keeps_what_the_expression_is_true_of() {
        let settings = r#""price == null || price > 10.0""#;
        check::<Keep>(settings, r#"{"price":10.5}"#, &expect![[r#"{"price":10.5}"#]]);
        check::<Keep>(settings, r#"{"a":1}"#, &expect![[r#"{"a":1}"#]]);
        check::<Keep>(settings, r#"{"price":10}"#, &expect!["dropped"]);
    }

    #[test]
    fn an_expression_that_errs_rejects() {
        check::<Keep>(
            r#""price > 10.0""#,
            r#"{"price":"12"}"#,
            &expect!["expression: `>` does not take (string, double)"],
        );
        check::<Keep>(
            r#""price""#,
            r#"{"price":12}"#,
            &expect!["expression: the expression gave int, not true or false"],
        );
        check::<Keep>(
            r#""data.x > 1""#,
            r#"{"data":{}}"#,
            &expect!["expression: a nested field is missing, and no has() guards it"],
        );
    }
}
