//! `anonymize.hmac`: a keyed token instead of the value.
//!
//! ```toml
//! anonymize.hmac = ["userId", "email"]
//! ```
//! The token is `<key id>:<HMAC-SHA256 in hex>`: the same value gives the same token, so people can be counted and
//! joined, and without the key nobody can try out values. A number is taken as its JSON text, and so is anything
//! else. What is missing or null stays so.

use super::{Context, Step, Verdict};
use crate::event::{Event, Path};
use crate::mistake::Mistake;
use serde_json::Value;

pub(crate) struct Pseudonymize(Vec<Path>);

impl Step for Pseudonymize {
    const NAME: &'static str = "anonymize.hmac";
    type Settings = Vec<Path>;

    fn compile(fields: Vec<Path>) -> Result<Self, Mistake> {
        Ok(Self(fields))
    }

    fn apply(&self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        for path in &self.0 {
            let Some(value) = event.get_mut(path).filter(|value| !value.is_null()) else { continue };
            *value = match &*value {
                Value::String(text) => cx.key.token(text.as_bytes()).into(),
                other => cx.key.token(other.to_string().as_bytes()).into(),
            };
        }
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
