//! `anonymize.mask`: hide all of a text but its end.
//!
//! ```toml
//! anonymize.mask = ["card", "items[].serial"]
//! ```
//!
//! ```toml
//! anonymize.mask = { fields = ["iban"], keep_first = 2, keep_last = 4, with = "*" }
//! ```
//! `4111111111111111` becomes `************1111`.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields |
//! | `keep_last` | how many characters at the end stay; 4 if not said |
//! | `keep_first` | how many characters at the beginning stay; none if not said |
//! | `with` | what stands for each other character; `*` if not said |
//!
//! A text less than twice as long as what would stay is hidden whole, so that at least half of it always is. The length
//! shows. A number, true and false are taken as they are written and become text; an object or array is removed: name
//! what is in it, `data.**`. What is missing or null stays so. The step rejects nothing.

use super::settings::{Fields, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Mask {
    fields: Fields,
    keep_first: usize,
    keep_last: usize,
    with: String,
    text: String,
}

/// `anonymize.mask`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields.
    fields: Vec<Pattern>,
    /// How many characters at the end stay.
    #[serde(default = "keep_last")]
    keep_last: u32,
    /// How many characters at the beginning stay.
    #[serde(default)]
    keep_first: u32,
    /// What stands for each other character.
    #[serde(default = "with")]
    with: String,
}

fn keep_last() -> u32 {
    4
}

fn with() -> String {
    "*".to_owned()
}

impl From<Vec<Pattern>> for Settings {
    fn from(fields: Vec<Pattern>) -> Self {
        Self { fields, keep_last: keep_last(), keep_first: 0, with: with() }
    }
}

impl Step for Mask {
    const NAME: &'static str = "anonymize.mask";
    type Settings = Short<Vec<Pattern>, Settings>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { fields, keep_last, keep_first, with } = settings.0;
        if with.len() > 16 {
            return Err(Mistake::new("`with` stands for one character, and has more than 16 bytes itself"));
        }
        let fields = Fields::new(some(fields, "field")?);
        Ok(Self {
            fields,
            keep_first: keep_first as usize,
            keep_last: keep_last as usize,
            with,
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, keep_first, keep_last, with, text: room } = self;
        fields.each(event, |event, id| {
            let value = event.value(id);
            let text = match value {
                Value::Null => return,
                Value::String(text) => text,
                Value::Number(number) => number.text(),
                Value::Bool(true) => "true",
                Value::Bool(false) => "false",
                Value::Array(_) | Value::Object(_) => return event.remove(id),
            };
            let count = text.chars().count();
            let keep = *keep_first + *keep_last;
            let hidden = if count < 2 * keep { 0..count } else { *keep_first..count - *keep_last };
            room.clear();
            for (at, sign) in text.chars().enumerate() {
                if hidden.contains(&at) {
                    room.push_str(with);
                } else {
                    room.push(sign);
                }
            }
            if value.as_str() != Some(room) {
                event.set(id, New::Str(room));
            }
        });
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{edits, refuse, run};
    use expect_test::expect;

    fn check(settings: &str, pairs: &[(&str, &str)]) {
        for (value, expected) in pairs {
            let after = run::<Mask>(settings, &format!("{{\"a\":{value}}}"));
            assert_eq!(after, format!("{{\"a\":{expected}}}"), "{value}");
        }
    }

    #[test]
    fn the_end_stays_and_never_more_than_half() {
        check(
            r#"["a"]"#,
            &[
                (r#""4111111111111111""#, r#""************1111""#),
                (r#""12345678""#, r#""****5678""#),
                (r#""1234567""#, r#""*******""#),
                (r#""""#, r#""""#),
                (r#""Straßenübergänge""#, r#""************änge""#),
                ("4111111111111111", r#""************1111""#),
                ("true", r#""****""#),
                ("null", "null"),
            ],
        );
        check(
            r#"{ fields = ["a"], keep_first = 2, keep_last = 3, with = "•" }"#,
            &[
                (r#""DE89370400440532013000""#, r#""DE•••••••••••••••••000""#),
                (r#""abcdefghi""#, r#""•••••••••""#),
            ],
        );
        check(r#"{ fields = ["a"], keep_last = 0, with = "" }"#, &[(r#""abc""#, r#""""#)]);
        check(
            r#"{ fields = ["a"], keep_first = 4294967295, keep_last = 4294967295 }"#,
            &[(r#""abc""#, r#""***""#)],
        );
    }

    #[test]
    fn what_holds_more_than_a_text_is_removed_or_gone_through() {
        assert_eq!(run::<Mask>(r#"["a"]"#, r#"{"a":["4111111111111111"]}"#), "{}");
        assert_eq!(
            run::<Mask>(
                r#"["a.**", "items[].sku"]"#,
                r#"{"a":["secret",{"b":"secret"}],"items":[{"sku":"secret"},{}]}"#
            ),
            r#"{"a":["******",{"b":"******"}],"items":[{"sku":"******"},{}]}"#
        );
    }

    #[test]
    fn what_is_hidden_already_is_no_change() {
        for event in [r#"{"a":"****1234"}"#, r#"{"a":""}"#, r#"{"a":null}"#, "{}"] {
            assert_eq!(edits::<Mask>(r#"["a"]"#, event), 0);
        }
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Mask>("[]", &expect!["no field is named, so the step does nothing"]);
        refuse::<Mask>(
            r#"{ fields = ["a"], with = "something very long" }"#,
            &expect!["`with` stands for one character, and has more than 16 bytes itself"],
        );
    }
}
