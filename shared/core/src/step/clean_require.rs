//! `clean.require`: drop what lacks a field.
//!
//! ```toml
//! clean.require = ["id", "eventType"]
//! ```
//! A field that is null, or an empty string, is lacking too.

use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Require(Vec<Path>);

impl Step for Require {
    const NAME: &'static str = "clean.require";
    type Settings = Vec<Path>;

    fn compile(fields: Vec<Path>, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self(fields))
    }

    fn touches(&self) -> Touches {
        Touches { reads: self.0.iter().cloned().map(Into::into).collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let lacking =
            |value: Option<Value<'_>>| value.and_then(Value::as_str).map_or(value.is_none(), str::is_empty);
        if self.0.iter().any(|path| lacking(event.present(path))) { Verdict::Drop } else { Verdict::Keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check;
    use expect_test::expect;

    #[test]
    fn what_lacks_a_field_is_dropped() {
        check::<Require>(
            r#"["id", "data.x"]"#,
            r#"{"data":{"x":0},"id":"a"}"#,
            &expect![[r#"{"data":{"x":0},"id":"a"}"#]],
        );
        check::<Require>(r#"["id"]"#, r#"{"id":false}"#, &expect![[r#"{"id":false}"#]]);
        for lacking in [r#"{"x":1}"#, r#"{"id":null}"#, r#"{"id":""}"#] {
            check::<Require>(r#"["id"]"#, lacking, &expect!["dropped"]);
        }
        check::<Require>(r#"["data.x"]"#, r#"{"data":"x"}"#, &expect!["dropped"]);
    }
}
