//! `anonymize.drop`: take fields out, with all that is in them.
//!
//! ```toml
//! anonymize.drop = ["path", "data.address"]
//! ```

use super::{Context, Step, Verdict};
use crate::event::{Event, Path};
use crate::mistake::Mistake;

pub(crate) struct Remove(Vec<Path>);

impl Step for Remove {
    const NAME: &'static str = "anonymize.drop";
    type Settings = Vec<Path>;

    fn compile(fields: Vec<Path>) -> Result<Self, Mistake> {
        Ok(Self(fields))
    }

    fn apply(&self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for path in &self.0 {
            event.remove(path);
        }
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
