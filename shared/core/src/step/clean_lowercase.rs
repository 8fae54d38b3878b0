//! `clean.lowercase`: write texts in lower case, so that they group and join.
//!
//! ```toml
//! clean.lowercase = ["email", "country", "tags[]"]
//! ```
//! All letters of Unicode that have a lower case get it, as `normalize` of `anonymize.hmac` does it, and as most languages
//! do: `Σ` becomes `ς` at the end of a word and `σ` elsewhere. What is no text stays as it is.

use super::settings::{Fields, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Lowercase {
    fields: Fields,
    text: String,
}

impl Step for Lowercase {
    const NAME: &'static str = "clean.lowercase";
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
            let Some(given) = event.value(id).as_str() else { return };
            if lower(given, text) {
                event.set(id, New::Str(text));
            }
        });
        Verdict::Keep
    }
}

/// Writes the text in lower case; false where it is so already.
fn lower(given: &str, text: &mut String) -> bool {
    text.clear();
    if given.is_ascii() {
        if !given.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return false;
        }
        text.push_str(given);
        text.make_ascii_lowercase();
        return true;
    }
    text.push_str(&given.to_lowercase());
    text != given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    #[test]
    fn letters_become_small() {
        for (given, small) in [
            (r#""Ann@Example.COM""#, r#""ann@example.com""#),
            (r#""ÄÖ ẞ ΟΔΟΣ İ 🦀""#, r#""äö ß οδος i̇ 🦀""#),
            (r#""""#, r#""""#),
            (r#"["A"]"#, r#"["A"]"#),
            ("1E5", "1E5"),
            ("null", "null"),
        ] {
            assert_eq!(
                run::<Lowercase>(r#"["a"]"#, &format!("{{\"a\":{given}}}")),
                format!("{{\"a\":{small}}}")
            );
        }
        check::<Lowercase>(
            r#"["tags[]", "**.code"]"#,
            r#"{"tags":["A",1,null,"É"],"x":{"code":"DE","name":"DE"}}"#,
            &expect![[r#"{"tags":["a",1,null,"é"],"x":{"code":"de","name":"DE"}}"#]],
        );
    }

    #[test]
    fn what_is_small_is_no_change() {
        assert_eq!(edits::<Lowercase>(r#"["**"]"#, r#"{"a":"x","b":"é","c":7,"D":"日本"}"#), 0);
        refuse::<Lowercase>("[]", &expect!["no field is named, so the step does nothing"]);
    }
}
