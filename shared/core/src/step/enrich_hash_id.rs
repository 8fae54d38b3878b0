//! `enrich.hash_id`: an id made from the fields that make an event what it is.
//!
//! ```toml
//! enrich.hash_id = { fields = ["orderId", "status", "updatedAt"], into = "id" }
//! ```
//! The id is half of a SHA-256, 32 hex digits: the same values give the same id, so that what a source sends twice counts
//! once. It is made of the values and of their types in the order of `fields`, so `"1"` and `1` give different ids, and
//! neither do `"ab", "c"` and `"a", "bc"` give the same. A field that is missing counts as null. A number counts as it is
//! written (`1.0` is not `1`), and so does what is in objects and arrays.
//!
//! | option | meaning |
//! | --- | --- |
//! | `fields` | the fields that the id is made of |
//! | `into` | the field of the id; it may be one of `fields` |
//!
//! Where all of the fields are missing or null there is no id, and what a producer had put there goes. The step rejects
//! nothing; an event without an id goes to the quarantine at the end. The id has no key: whoever can guess the values can
//! tell whether they are right, so choose values that are not personal. (Of a token it would change with the key: what is
//! sent again around a rotation would be another event.)

use super::settings::some;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::token::fingerprint_into;
use serde::Deserialize;

/// How many bytes of the hash make the id.
const ID_BYTES: usize = 16;

pub(crate) struct HashId {
    fields: Vec<Path>,
    into: Path,
    /// What is hashed.
    bytes: Vec<u8>,
    text: String,
}

/// `enrich.hash_id`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields that the id is made of.
    fields: Vec<Path>,
    /// The field of the id.
    into: Path,
}

impl Step for HashId {
    const NAME: &'static str = "enrich.hash_id";
    type Settings = Settings;

    fn compile(Settings { fields, into }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: some(fields, "field")?, into, bytes: Vec::new(), text: String::new() })
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.fields.iter().cloned().map(Into::into).collect(),
            writes: vec![self.into.clone().into()],
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, into, bytes, text } = self;
        bytes.clear();
        let mut is_there = false;
        for field in fields {
            let (sign, value) = match event.find(field).map(|id| (id, event.value(id))) {
                None | Some((_, Value::Null)) => (b'0', ""),
                Some((_, Value::String(string))) => (b's', string),
                Some((id, value)) => {
                    text.clear();
                    event.write_value(id, text);
                    (if matches!(value, Value::Number(_)) { b'n' } else { b'j' }, text.as_str())
                }
            };
            is_there |= sign != b'0';
            // The type and the length before each value keep the boundaries.
            bytes.push(sign);
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        if is_there {
            text.clear();
            fingerprint_into(bytes, ID_BYTES, text);
            event.put_str(into, text);
        } else {
            event.remove_at(into);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;
    use std::collections::HashSet;

    const SETTINGS: &str = r#"{ fields = ["a", "b.c"], into = "id" }"#;

    #[test]
    fn the_same_values_give_the_same_id() {
        // It must not change: the same events, sent again, would come with other ids.
        check::<HashId>(
            SETTINGS,
            r#"{"a":"x","b":{"c":1}}"#,
            &expect![[r#"{"a":"x","b":{"c":1},"id":"be0d8db2c3198f3fad09a2b55c167e74"}"#]],
        );
        let other = run::<HashId>(SETTINGS, r#"{"b":{"c":1,"d":2},"z":0,"a":"\u0078","id":"claimed"}"#);
        let id = |event: &str| serde_json::from_str::<serde_json::Value>(event).unwrap()["id"].clone();
        assert_eq!(id(&other), id(&run::<HashId>(SETTINGS, r#"{"a":"x","b":{"c":1}}"#)));
    }

    #[test]
    fn different_values_give_different_ids() {
        let events = [
            r#"{"a":"ab","b":{"c":"c"}}"#,
            r#"{"a":"a","b":{"c":"bc"}}"#,
            r#"{"a":"abc"}"#,
            r#"{"b":{"c":"abc"}}"#,
            r#"{"a":"","b":{"c":"abc"}}"#,
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":1.0}"#,
            r#"{"a":true}"#,
            r#"{"a":"true"}"#,
            r#"{"a":["1"]}"#,
            r#"{"a":{"x":"é"}}"#,
            r#"{"a":"é"}"#,
            r#"{"a":""}"#,
            r#"{"a":false}"#,
        ];
        let ids: HashSet<_> = events
            .iter()
            .map(|event| {
                let after: serde_json::Value = serde_json::from_str(&run::<HashId>(SETTINGS, event)).unwrap();
                after["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), events.len());
    }

    #[test]
    fn where_nothing_is_there_is_no_id() {
        for event in ["{}", r#"{"id":"claimed"}"#, r#"{"b":null,"id":"claimed"}"#] {
            assert!(!run::<HashId>(SETTINGS, event).contains("id"), "{event}");
        }
        assert_eq!(run::<HashId>(SETTINGS, r#"{"a":null}"#), r#"{"a":null}"#);
    }

    #[test]
    fn the_old_id_may_be_a_part_of_the_new_one() {
        let settings = r#"{ fields = ["id", "source"], into = "id" }"#;
        let one = run::<HashId>(settings, r#"{"id":"1","source":"a"}"#);
        assert_ne!(one, run::<HashId>(settings, r#"{"id":"1","source":"b"}"#).replace("\"b\"", "\"a\""));
    }

    #[test]
    fn an_id_that_stands_there_is_no_change() {
        let after = run::<HashId>(SETTINGS, r#"{"a":"x"}"#);
        assert_eq!(edits::<HashId>(SETTINGS, &after), 0);
        refuse::<HashId>(
            r#"{ fields = [], into = "id" }"#,
            &expect!["no field is named, so the step does nothing"],
        );
    }
}
