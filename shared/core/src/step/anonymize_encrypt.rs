//! `anonymize.encrypt`: a text in place of the value that only the key's owner can turn back.
//!
//! ```toml
//! anonymize.encrypt = ["email", "address.**"]
//! ```
//! The text is `<key id>:<base64>`: the value's JSON, encrypted with AES-256-GCM-SIV. The same value gives the same text,
//! in whatever field it stands, so that what is sent again stays the same, and people can be counted and joined as with
//! `anonymize.hmac`; which values are the same, and roughly how long they are, shows.
//!
//! The secret must have a key for it beside the one for tokens:
//!
//! ```json
//! {"id": "k1", "key": "32 bytes or more", "encryption_key": "32 other bytes or more"}
//! ```
//! Without one a function with this step does not start. Destroy that key, and all that was encrypted with it is gone, in
//! every file and backup. To change it, change the id too, and keep the old secret for as long as its texts are to be read:
//! [The keys](operate.md#the-keys).
//!
//! Whoever has the secret in a file turns texts back, or the fields of events:
//!
//! ```console
//! $ echo 'k1:VH7NU6zT14R0RQNdJjmgPs5w8_lhYoaMw8jpqVu3iVzf' | millrace decrypt --key k1.json
//! "ann@example.com"
//! $ millrace decrypt --key k1.json --field email --in rows.ndjson
//! ```
//!
//! Whatever stands in a field is encrypted, a number, an object or an array as the JSON that it is, and comes back as that.
//! What is missing or null stays so. An event that comes where there is no key goes to the quarantine
//! (`no_encryption_key`).

use super::settings::{Fields, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Pattern, Value, quote};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Encrypt {
    fields: Fields,
    json: String,
    bytes: Vec<u8>,
    text: String,
}

impl Step for Encrypt {
    const NAME: &'static str = "anonymize.encrypt";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = Fields::new(some(fields, "field")?);
        Ok(Self { fields, json: String::new(), bytes: Vec::new(), text: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches { hides: self.fields.patterns().to_vec(), ..Touches::default() }
    }

    fn needs_encryption_key(&self) -> bool {
        true
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        if !cx.key.encrypts() {
            return Verdict::Reject("no_encryption_key", "the secret has no `encryption_key`".into());
        }
        let Self { fields, json, bytes, text: room } = self;
        fields.each(event, |event, id| {
            json.clear();
            match event.value(id) {
                Value::Null => return,
                // However it was escaped, it is the same text.
                Value::String(text) => quote(text, json),
                _ => event.write_value(id, json),
            }
            bytes.clear();
            bytes.extend_from_slice(json.as_bytes());
            room.clear();
            if cx.key.encrypt(bytes, room) {
                event.set(id, New::Str(room));
            } else {
                event.remove(id);
            }
        });
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, refuse, step};
    use crate::time::Micros;
    use crate::token::TokenKey;
    use expect_test::expect;

    fn run(settings: &str, event: &str) -> (String, TokenKey) {
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        let key = key.with_encryption(b"fedcba9876543210fedcba9876543210").unwrap();
        let cx = Context { key: &key, arrived_at: Micros::EPOCH };
        let mut event = Event::read(event).unwrap();
        let verdict = Step::apply(&mut step::<Encrypt>(settings, &crate::files::NONE), &mut event, &cx);
        assert_eq!(verdict, Verdict::Keep);
        (event.to_string(), key)
    }

    #[test]
    fn whatever_stands_there_comes_back() {
        for value in [
            r#""ann@example.com""#,
            r#""""#,
            r#""say \"é\"""#,
            "42",
            "1.50",
            "true",
            "[1,{}]",
            r#"{"x":null}"#,
        ] {
            let (after, key) = run(r#"["a"]"#, &format!("{{\"a\":{value}}}"));
            let text = after.strip_prefix(r#"{"a":""#).and_then(|text| text.strip_suffix(r#""}"#)).unwrap();
            assert_eq!(key.decrypt(text).as_deref(), Ok(value));
            assert_eq!(run(r#"["a"]"#, &format!("{{\"a\":{value}}}")).0, after);
        }
    }

    #[test]
    fn the_same_text_is_the_same_however_it_is_escaped() {
        let (after, _) =
            run(r#"["a", "l[].x", "d.**"]"#, r#"{"a":"\u00e9","l":[{"x":"é"},{}],"d":{"e":["é",null]}}"#);
        let text = after.split('"').nth(3).unwrap();
        assert_eq!(after.matches(text).count(), 3, "{after}");
    }

    #[test]
    fn null_stays_null() {
        assert_eq!(run(r#"["a", "b"]"#, r#"{"a":null}"#).0, r#"{"a":null}"#);
    }

    #[test]
    fn without_a_key_nothing_passes() {
        check::<Encrypt>(
            r#"["a"]"#,
            r#"{"a":"x"}"#,
            &expect!["no_encryption_key: the secret has no `encryption_key`"],
        );
        assert!(Step::needs_encryption_key(&step::<Encrypt>(r#"["a"]"#, &crate::files::NONE)));
        refuse::<Encrypt>("[]", &expect!["no field is named, so the step does nothing"]);
    }
}
