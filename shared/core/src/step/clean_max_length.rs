//! `clean.max_length`: no text is longer than it may be.
//!
//! ```toml
//! clean.max_length = { userAgent = 500, "data.**" = 2000 }
//! ```
//!
//! ```toml
//! clean.max_length = { fields = { title = 200 }, otherwise = "null" }
//! ```
//! A text that has more characters than its field may have is cut after so many. Characters are those of Unicode, and
//! none is cut in two; some signs, such as flags, are several characters. What is no text stays as it is.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields, and how many characters each may have |
//! | `otherwise` | what becomes of a text that is too long: `"cut"` (the default), `"null"`: null takes its place, or `"quarantine"` |
//!
//! Rejects with `too_long`.

use super::settings::{Each, Places, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, New};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct MaxLength {
    fields: Vec<(Places, usize)>,
    otherwise: Otherwise,
    text: String,
}

/// What becomes of a text that is too long.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MaxLengthOtherwise")]
pub(crate) enum Otherwise {
    /// It is cut.
    #[default]
    Cut,
    /// Null takes its place.
    Null,
    /// The event goes to the quarantine.
    Quarantine,
}

impl Step for MaxLength {
    const NAME: &'static str = "clean.max_length";
    type Settings = Each<u32, Otherwise>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = some(settings.fields, "field")?;
        if let Some((pattern, _)) = fields.iter().find(|(_, characters)| *characters == 0) {
            return Err(Mistake::new(format!("no character of `{pattern}` would stay"))
                .with_help(format!("`anonymize.drop = [\"{pattern}\"]` takes a field out")));
        }
        let places =
            |(pattern, characters)| (Places::new(pattern), usize::try_from(characters).unwrap_or(usize::MAX));
        Ok(Self {
            fields: fields.into_iter().map(places).collect(),
            otherwise: settings.otherwise,
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.fields.iter().map(|(places, _)| places.pattern()).collect(),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, otherwise, text } = self;
        for (places, characters) in fields {
            let shorten = |event: &mut Event, id: Id| {
                let given = event.value(id).as_str().unwrap_or_default();
                let Some(short) = cut(given, *characters) else { return Ok(()) };
                match otherwise {
                    Otherwise::Cut => {
                        text.clear();
                        text.push_str(short);
                        event.set(id, New::Str(text));
                    }
                    Otherwise::Null => event.set(id, New::Null),
                    Otherwise::Quarantine => return Err(()),
                }
                Ok(())
            };
            if places.each(event, shorten).is_err() {
                let detail = format!("`{places}` has more than {characters} characters");
                return Verdict::Reject("too_long", detail.into());
            }
        }
        Verdict::Keep
    }
}

/// The first so many characters of a text; none where it has no more.
fn cut(text: &str, characters: usize) -> Option<&str> {
    if text.len() <= characters {
        return None; // no character is shorter than a byte
    }
    let (end, _) = text.char_indices().nth(characters)?;
    text.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse};
    use expect_test::expect;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        check::<MaxLength>(
            r#"{ a = 3, b = 3, c = 3, d = 3, e = 3, "data.**" = 1, "items[].sku" = 2 }"#,
            r#"{"a":"abcd","b":"äöüß","c":"日本","d":12345,"e":"🦀🦀🦀🦀","data":{"x":["yz",null]},"items":[{"sku":"\"\\\n"}]}"#,
            &expect![[
                r#"{"a":"abc","b":"äöü","c":"日本","d":12345,"e":"🦀🦀🦀","data":{"x":["y",null]},"items":[{"sku":"\"\\"}]}"#
            ]],
        );
    }

    #[test]
    fn or_becomes_null_or_goes_to_the_quarantine() {
        let event = r#"{"a":"äöü","b":["abc"]}"#;
        check::<MaxLength>(
            r#"{ fields = { a = 2, b = 1 }, otherwise = "null" }"#,
            event,
            &expect![[r#"{"a":null,"b":["abc"]}"#]],
        );
        check::<MaxLength>(
            r#"{ fields = { "b[]" = 2 }, otherwise = "quarantine" }"#,
            event,
            &expect!["too_long: `b[]` has more than 2 characters"],
        );
    }

    #[test]
    fn what_is_short_is_no_change() {
        assert_eq!(edits::<MaxLength>(r#"{ "**" = 3 }"#, r#"{"a":"äöü","b":"","c":null,"d":[]}"#), 0);
        let exactly = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
        assert_eq!(edits::<MaxLength>("{ a = 10000 }", &exactly), 0);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<MaxLength>(
            "{ a = 0 }",
            &expect![[r#"no character of `a` would stay = `anonymize.drop = ["a"]` takes a field out"#]],
        );
        refuse::<MaxLength>("{ a = -1 }", &expect!["invalid value: integer `-1`, expected a whole number"]);
        refuse::<MaxLength>(
            "{ a = \"1\" }",
            &expect![[r#"wrong type: string "1", expected a whole number"#]],
        );
        refuse::<MaxLength>("{}", &expect!["no field is named, so the step does nothing"]);
    }
}
