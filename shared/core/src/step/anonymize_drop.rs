//! `anonymize.drop`: take fields out, with all that is in them.
//!
//! ```toml
//! anonymize.drop = ["path", "data.address"]
//! ```

use super::settings::Fields;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Remove(Fields);

impl Step for Remove {
    const NAME: &'static str = "anonymize.drop";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self(Fields::new(fields)))
    }

    fn touches(&self) -> Touches {
        let fields = self.0.patterns().to_vec();
        Touches { removes: fields.clone(), hides: fields, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        self.0.each(event, Event::remove);
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check;
    use expect_test::expect;

    #[test]
    fn fields_are_taken_out_whole() {
        check::<Remove>(
            r#"["path", "data.address", "missing.too"]"#,
            r#"{"data":{"address":{"street":"x"},"n":1},"path":"/"}"#,
            &expect![[r#"{"data":{"n":1}}"#]],
        );
    }
}
