//! `anonymize.hmac`: a keyed token instead of the value.
//!
//! ```toml
//! anonymize.hmac = ["userId", "email"]
//! ```
//! The token is `<key id>:<HMAC-SHA256 in hex>`: the same value gives the same token, so people can be counted and
//! joined, and without the key nobody can try out values. A number is taken as its JSON text, and so is anything
//! else. What is missing or null stays so.

use super::settings::Fields;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Pseudonymize {
    fields: Fields,
    json: String,
    token: String,
}

impl Step for Pseudonymize {
    const NAME: &'static str = "anonymize.hmac";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: Fields::new(fields), json: String::new(), token: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        let Self { fields, json, token } = self;
        fields.each(event, |event, id| {
            token.clear();
            match event.value(id) {
                Value::Null => return,
                Value::String(text) => cx.key.token(text.as_bytes(), token),
                _ => {
                    json.clear();
                    event.write_value(id, json);
                    cx.key.token(json.as_bytes(), token);
                }
            }
            event.set(id, New::Str(token));
        });
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, run};
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
    }

    #[test]
    fn whatever_stands_there_never_passes() {
        for value in ["42", "true", r#"["x@example.com"]"#, r#"{"mail":"x@example.com"}"#, r#""""#] {
            let after = run::<Pseudonymize>(r#"["a"]"#, &format!("{{\"a\":{value}}}"));
            assert!(after.starts_with(r#"{"a":"k1:"#) && after.len() == 75, "{after}");
        }
        let same = |value: &str| run::<Pseudonymize>(r#"["a"]"#, &format!("{{\"a\":{value}}}"));
        assert_eq!(same("42"), same("\"42\""), "a number and its text are the same person");
    }
}
