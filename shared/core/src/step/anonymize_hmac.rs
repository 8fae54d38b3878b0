//! `anonymize.hmac`: a keyed token instead of the value.
//!
//! ```toml
//! anonymize.hmac = ["userId", "email", "friends[].email"]
//! ```
//!
//! ```toml
//! anonymize.hmac = { fields = ["email"], normalize = ["trim", "lowercase"], token = "bare" }
//! ```
//! The token is `<key id>:<HMAC-SHA256 in hex>`: the same value gives the same token, so people can be counted and
//! joined, and without the key nobody can try out values. The key comes from the secret.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields |
//! | `normalize` | what is done to a text before, in this order, so that the same address gives the same token however it is written: `trim` takes the space around it away, `lowercase` makes it lower case, in all scripts, `ascii_lowercase` only `A` to `Z`. Nothing if not said |
//! | `token` | `"with_id"`, as above, or `"bare"`: the hex alone, for joining with what another system hashes with the same key. Then nothing tells tokens of different keys apart. `"with_id"` if not said |
//!
//! Whatever stands in a field becomes a token: a number is taken as it is written, so `42` and `"42"` give the same
//! token; of anything else the JSON. What is missing or null stays so. The step rejects nothing.

use super::settings::{Fields, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) struct Pseudonymize {
    fields: Fields,
    normalize: Vec<Normalize>,
    form: Form,
    text: String,
    token: String,
}

/// `anonymize.hmac`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields.
    fields: Vec<Pattern>,
    /// What is done to a text before, in this order.
    #[serde(default)]
    normalize: Vec<Normalize>,
    /// How the token is written.
    #[serde(default)]
    token: Form,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Normalize {
    /// Without the space around it.
    Trim,
    /// In lower case, in all scripts.
    Lowercase,
    /// `A` to `Z` in lower case.
    AsciiLowercase,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// The key's id, a colon, and the hex.
    #[default]
    WithId,
    /// The hex alone.
    Bare,
}

impl From<Vec<Pattern>> for Settings {
    fn from(fields: Vec<Pattern>) -> Self {
        Self { fields, normalize: Vec::new(), token: Form::default() }
    }
}

impl Step for Pseudonymize {
    const NAME: &'static str = "anonymize.hmac";
    type Settings = Short<Vec<Pattern>, Settings>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { fields, normalize, token: form } = settings.0;
        let fields = Fields::new(some(fields, "field")?);
        Ok(Self { fields, normalize, form, text: String::new(), token: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        let Self { fields, normalize, form, text: room, token } = self;
        fields.each(event, |event, id| {
            let value = match event.value(id) {
                Value::Null => return,
                Value::String(text) => normalized(text, normalize, room),
                _ => {
                    room.clear();
                    event.write_value(id, room);
                    room.as_str()
                }
            };
            token.clear();
            match form {
                Form::WithId => cx.key.token(value.as_bytes(), token),
                Form::Bare => cx.key.bare_token(value.as_bytes(), token),
            }
            event.set(id, New::Str(token));
        });
        Verdict::Keep
    }
}

fn normalized<'a>(text: &'a str, how: &[Normalize], room: &'a mut String) -> &'a str {
    let lower = how.iter().any(|one| !matches!(one, Normalize::Trim));
    // Neither changes what the other does.
    let text = if how.iter().any(|one| matches!(one, Normalize::Trim)) { text.trim() } else { text };
    if !lower {
        return text;
    }
    room.clear();
    if !text.is_ascii() && how.iter().any(|one| matches!(one, Normalize::Lowercase)) {
        // Through `str`, which knows that a sigma at the end of a word is another letter.
        room.push_str(&text.to_lowercase());
    } else {
        room.push_str(text);
        room.make_ascii_lowercase();
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, refuse, run};
    use expect_test::expect;

    #[test]
    fn a_value_becomes_a_token() {
        check::<Pseudonymize>(
            r#"["userId", "data.email", "missing"]"#,
            r#"{"data":{"email":"x@example.com"},"missing":null,"userId":"u1"}"#,
            &expect![[
                r#"{"data":{"email":"k1:6f569ec5211b4c06a85e06be725db3728248dff9cf8353663c8692bdc608d37a"},"missing":null,"userId":"k1:39536bc0c20e6efcd22ec30bb96eec5aff9be6a37fe8e9db166b4cc950c94e7e"}"#
            ]],
        );
        check::<Pseudonymize>(
            r#"{ fields = ["userId"], token = "bare" }"#,
            r#"{"userId":"u1"}"#,
            &expect![[r#"{"userId":"39536bc0c20e6efcd22ec30bb96eec5aff9be6a37fe8e9db166b4cc950c94e7e"}"#]],
        );
    }

    #[test]
    fn whatever_stands_there_never_passes() {
        for value in ["42", "true", r#"["x@example.com"]"#, r#"{"mail":"x@example.com"}"#, r#""""#] {
            for settings in [r#"["a"]"#, r#"{ fields = ["a"], normalize = ["trim", "lowercase"] }"#] {
                let after = run::<Pseudonymize>(settings, &format!("{{\"a\":{value}}}"));
                assert!(after.starts_with(r#"{"a":"k1:"#) && after.len() == 75, "{after}");
            }
        }
        let same = |value: &str| run::<Pseudonymize>(r#"["a"]"#, &format!("{{\"a\":{value}}}"));
        assert_eq!(same("42"), same("\"42\""), "a number and its text are the same person");
    }

    #[test]
    fn each_of_many_fields_becomes_a_token() {
        let after = run::<Pseudonymize>(
            r#"["friends[].email", "data.**"]"#,
            r#"{"data":{"x":[1,null]},"friends":[{"email":"a"},{"email":null},7]}"#,
        );
        assert_eq!(after.matches("k1:").count(), 2, "{after}");
    }

    #[test]
    fn the_same_address_gives_the_same_token_however_it_is_written() {
        let token = |how: &str, text: &str| {
            let settings = format!("{{ fields = [\"a\"], normalize = [{how}] }}");
            run::<Pseudonymize>(&settings, &serde_json::json!({ "a": text }).to_string())
        };
        let plain = token("", "jürgen@example.com");
        assert_eq!(token(r#""lowercase", "trim""#, " JÜRGEN@Example.com\n"), plain);
        assert_eq!(token(r#""trim", "ascii_lowercase""#, " JüRGEN@Example.com"), plain);
        assert_ne!(token(r#""ascii_lowercase""#, "JÜRGEN@example.com"), plain);
        assert_ne!(token(r#""lowercase""#, " jürgen@example.com"), plain);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Pseudonymize>("[]", &expect!["no field is named, so the step does nothing"]);
        refuse::<Pseudonymize>(
            r#"{ fields = ["a"], normalize = ["lower"] }"#,
            &expect!["unknown value `lower`, expected one of `trim`, `lowercase`, `ascii_lowercase`"],
        );
        refuse::<Pseudonymize>(
            r#"{ fields = ["a"], token = "short" }"#,
            &expect!["unknown value `short`, expected `with_id` or `bare`"],
        );
    }
}
