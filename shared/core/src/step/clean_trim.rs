//! `clean.trim`: take the blanks around texts off.
//!
//! ```toml
//! clean.trim = ["name", "items[].sku", "data.**"]
//! ```
//! Blanks are what Unicode calls white space: spaces of any width, tabs, line ends. Those within a text stay. A text of
//! nothing else becomes empty; `clean.empty_to_null` behind this step makes it null. What is no text stays as it is.

use super::settings::{Fields, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Trim {
    fields: Fields,
    text: String,
}

impl Step for Trim {
    const NAME: &'static str = "clean.trim";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: Fields::new(some(fields, "field")?), text: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches { reads: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let text = &mut self.text;
        self.fields.each(event, |event, id| {
            let Some(whole) = event.value(id).as_str() else { return };
            let trimmed = whole.trim();
            if trimmed.len() < whole.len() {
                text.clear();
                text.push_str(trimmed);
                event.set(id, New::Str(text));
            }
        });
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    #[test]
    fn blanks_around_texts_go() {
        for (given, trimmed) in [
            (r#"" x y\t\r\n""#, r#""x y""#),
            (r#""\u00a0\u3000é ""#, r#""é""#),
            (r#""  ""#, r#""""#),
            (r#""\u200bx""#, r#""\u200bx""#),
            ("7", "7"),
            ("null", "null"),
            (r#"[" x "]"#, r#"[" x "]"#),
            (r#"{"b":" x "}"#, r#"{"b":" x "}"#),
        ] {
            assert_eq!(
                run::<Trim>(r#"["a"]"#, &format!("{{\"a\":{given}}}")),
                format!("{{\"a\":{trimmed}}}")
            );
        }
        check::<Trim>(
            r#"["items[].sku", "data.**"]"#,
            r#"{"items":[{"sku":" a"},{"n":1},"b "],"data":{"x":["c ",{"y":" d"}]}}"#,
            &expect![[r#"{"items":[{"sku":"a"},{"n":1},"b "],"data":{"x":["c",{"y":"d"}]}}"#]],
        );
    }

    #[test]
    fn what_has_no_blanks_is_no_change() {
        assert_eq!(edits::<Trim>(r#"["**"]"#, r#"{"a":"x y","b":"","c":null}"#), 0);
        refuse::<Trim>("[]", &expect!["no field is named, so the step does nothing"]);
    }
}
