//! `clean.empty_to_null`: texts that say nothing become null.
//!
//! ```toml
//! clean.empty_to_null = ["referrer", "data.**"]
//! ```
//!
//! ```toml
//! clean.empty_to_null = { fields = ["data.**"], also = ["null", "N/A", "-"] }
//! ```
//! A text is empty that has no letters, or blanks alone. What is no text stays as it is, an empty object or array too.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | where to look |
//! | `also` | texts that mean nothing, too; case, and blanks around them, do not count |

use super::settings::{Fields, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct EmptyToNull {
    fields: Fields,
    also: Vec<String>,
}

/// `clean.empty_to_null`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where to look.
    fields: Vec<Pattern>,
    /// Texts that mean nothing, too.
    #[serde(default)]
    also: Vec<String>,
}

impl From<Vec<Pattern>> for Settings {
    fn from(fields: Vec<Pattern>) -> Self {
        Self { fields, also: Vec::new() }
    }
}

impl Step for EmptyToNull {
    const NAME: &'static str = "clean.empty_to_null";
    type Settings = Short<Vec<Pattern>, Settings>;

    fn compile(Short(settings, _): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let also = settings.also.iter().map(|text| text.trim().to_owned()).collect();
        Ok(Self { fields: Fields::new(some(settings.fields, "field")?), also })
    }

    fn touches(&self) -> Touches {
        Touches { reads: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, also } = self;
        fields.each(event, |event, id| {
            let Some(text) = event.value(id).as_str().map(str::trim) else { return };
            if text.is_empty() || also.iter().any(|other| other.eq_ignore_ascii_case(text)) {
                event.set(id, New::Null);
            }
        });
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse};
    use expect_test::expect;

    #[test]
    fn texts_that_say_nothing_become_null() {
        check::<EmptyToNull>(
            r#"["a", "b", "c", "d", "e", "f", "g"]"#,
            r#"{"a":"","b":" \t","c":"null","d":[],"e":{},"f":0}"#,
            &expect![[r#"{"a":null,"b":null,"c":"null","d":[],"e":{},"f":0}"#]],
        );
        check::<EmptyToNull>(
            r#"{ fields = ["**"], also = ["null", " N/A", "-"] }"#,
            r#"{"a":" NULL ","b":"n/a","c":[{"x":"-"},"--"],"d":"é","e":null}"#,
            &expect![[r#"{"a":null,"b":null,"c":[{"x":null},"--"],"d":"é","e":null}"#]],
        );
    }

    #[test]
    fn what_says_something_is_no_change() {
        assert_eq!(edits::<EmptyToNull>(r#"["**"]"#, r#"{"a":"x","b":null,"c":[]}"#), 0);
        refuse::<EmptyToNull>("{ fields = [] }", &expect!["no field is named, so the step does nothing"]);
        refuse::<EmptyToNull>(
            r#"{ fields = ["a"], alsso = [] }"#,
            &expect!["unknown setting `alsso`, expected `fields` or `also` = did you mean `also`?"],
        );
        refuse::<EmptyToNull>(
            r#""a""#,
            &expect![[r#"wrong type: string "a", expected a list, `[…]` = a list has brackets: ["a"]"#]],
        );
    }
}
