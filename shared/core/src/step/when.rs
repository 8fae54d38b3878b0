//! `when`: a step for some events alone.

use super::{Apply, Context, Places, Touches, Verdict};
use crate::event::Event;
use crate::expression::Expression;
use std::borrow::Cow;

/// A step, and what has to be true of an event for it. Others pass it by as they are.
pub(crate) struct When {
    pub(crate) condition: Expression,
    pub(crate) step: Box<dyn Apply>,
}

impl Apply for When {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    /// What it hides and removes is still there in some events.
    fn touches(&self) -> Touches {
        let touches = self.step.touches();
        let Touches { mut reads, writes, mut hides, redacts, carries, brings, mut named, lets_pass, .. } =
            touches;
        reads.extend(self.condition.reads());
        named.extend(self.condition.named());
        hides.extend(redacts.into_iter().map(|(fields, _)| fields));
        let works = self.condition.always();
        // What a filter drops is what the condition chooses.
        let lets_pass = lets_pass.filter(|passes| passes.flag || works.is_some());
        Touches {
            reads,
            writes,
            carries,
            sometimes_hides: hides,
            brings,
            named,
            lets_pass,
            works,
            ..Touches::default()
        }
    }

    fn needs_encryption_key(&self) -> bool {
        self.step.needs_encryption_key()
    }

    fn places(&self) -> Option<Places<'_>> {
        self.step.places()
    }

    fn begin_batch(&mut self) {
        self.step.begin_batch();
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        match self.condition.test(event) {
            Ok(true) => self.step.apply(event, cx),
            Ok(false) => Verdict::Keep,
            Err(why) => Verdict::Reject("expression", Cow::Owned(format!("in `when`: {why}"))),
        }
    }
}
