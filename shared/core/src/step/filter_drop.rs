//! `filter.drop`: go on without what an expression is true of.
//!
//! ```toml
//! filter.drop = "eventType == 'heartbeat' || price == 0"
//! ```
//! The opposite of `filter.keep`: what the expression is false of goes on. The expression is CEL. Where it errs, or gives
//! anything but true or false, the event is not dropped but rejected.
//!
//! Rejects with `expression`.

use super::settings::Source;
use super::{Context, Step, Touches, Verdict};
use crate::event::Event;
use crate::expression::{Always, Expression};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Drop(Expression);

impl Step for Drop {
    const NAME: &'static str = "filter.drop";
    type Settings = Source;

    fn compile(source: Source, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self(Expression::condition(&source.0)?))
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.0.reads(),
            named: self.0.named().collect(),
            lets_pass: self.0.always().map(|drops| Always { flag: !drops.flag, ..drops }),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        match self.0.test(event) {
            Ok(true) => Verdict::Drop,
            Ok(false) => Verdict::Keep,
            Err(why) => Verdict::Reject("expression", why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, run};
    use expect_test::expect;

    #[test]
    fn drops_what_the_expression_is_true_of() {
        let settings = r#""price != null && price > 10.0""#;
        check::<Drop>(settings, r#"{"price":10.5}"#, &expect!["dropped"]);
        check::<Drop>(settings, r#"{"a":1}"#, &expect![[r#"{"a":1}"#]]);
        check::<Drop>(settings, r#"{"price":10}"#, &expect![[r#"{"price":10}"#]]);
    }

    #[test]
    fn an_expression_that_errs_rejects() {
        for (expression, event) in [
            ("price > 10.0", r#"{"price":"12"}"#),
            ("price", r#"{"price":12}"#),
            ("data.x > 1", r#"{"data":{}}"#),
        ] {
            let after = run::<Drop>(&format!("{expression:?}"), event);
            assert!(after.starts_with("expression: "), "{after}");
        }
    }
}
