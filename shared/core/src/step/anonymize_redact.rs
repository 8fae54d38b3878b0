//! `anonymize.redact`: put labels in the place of personal data within text.
//!
//! ```toml
//! anonymize.redact = ["data.**", "message"]
//! ```
//!
//! ```toml
//! anonymize.redact = { fields = ["data.**"], find = ["email", "credit_card"] }
//! ```
//! | `find` | label | what |
//! | --- | --- | --- |
//! | `email` | `[email]` | addresses, letters of any script |
//! | `phone` | `[phone]` | numbers that begin with `+`, and North American ones: `(555) 123-4567`, `555-123-4567` |
//! | `credit_card` | `[card]` | 13 to 19 digits whose check digit is right, with spaces or `-` between them or without; with dots in groups of four |
//! | `iban` | `[iban]` | account numbers whose country, length and check digits are right, with a space, `-` or `.` between groups of four or without |
//! | `us_ssn` | `[ssn]` | social security numbers of the United States, `123-45-6789` |
//! | `ip` | `[ip]` | IPv4 and IPv6 addresses |
//!
//! `fields` are gone through to the bottom, so `data` and `data.**` mean the same. All kinds are looked for if `find` does
//! not say which. Keys within a field are redacted as texts are; keys that become the same are numbered, `[email] 2`, and
//! of an object with more than 64 such keys the rest is removed. A number that may be a card's (an integer of 13 to 19
//! digits that begins with 2 to 6 and whose check digit is right) becomes the label; other numbers stay, as do true,
//! false and null.
//!
//! Texts are read as people paste them: no-break and other spaces, dashes of any width, full-width signs (`＠`) and
//! Arabic digits count as those of ASCII, invisible signs (zero-width spaces, soft hyphens) as nothing. Escapes count as
//! what they stand for: of HTML (`ann&#64;example.com`), of JSON within a text (`ann\u0040example.com`), of URLs
//! (`ann%40example.com`, and `%2540` in a URL within a URL). Around the labels the text stays as it was.
//!
//! Out of reach: names, street addresses and whatever is written out in words (`ann at example dot com`), which have no
//! form to tell them by; national phone numbers of other places than North America; groups with two spaces or a line
//! break between them; markup within a find (`ann<b>@</b>example.com`); letters of other scripts that look alike; and
//! what is encoded as a whole, as Base64 is. What nobody needs is better dropped. The step rejects nothing.

use super::settings::{Fields, Short, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, New, Number, Pattern, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::redact::{Kind, Kinds, redact};
use serde::Deserialize;

/// How many keys of one object are redacted: each has to be told from its neighbours.
const KEYS_MAX: usize = 64;

pub(crate) struct Redact {
    named: Vec<Pattern>,
    /// What is named, and all below it.
    fields: Fields,
    find: Kinds,
    cards: bool,
    /// What is still to be gone through.
    open: Vec<Id>,
    members: Vec<Id>,
    text: String,
}

/// `anonymize.redact`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields; they are gone through to the bottom.
    fields: Vec<Pattern>,
    /// What to look for; all there is if not said.
    #[serde(default = "all")]
    find: Vec<Kind>,
}

fn all() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

impl From<Vec<Pattern>> for Settings {
    fn from(fields: Vec<Pattern>) -> Self {
        Self { fields, find: all() }
    }
}

impl Step for Redact {
    const NAME: &'static str = "anonymize.redact";
    type Settings = Short<Vec<Pattern>, Settings>;

    fn compile(settings: Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { fields, find } = settings.0;
        let (named, find) = (some(fields, "field")?, some(find, "kind of data")?);
        Ok(Self {
            fields: Fields::new(named.iter().cloned().map(Pattern::without_end).collect()),
            named,
            cards: find.contains(&Kind::CreditCard),
            find: find.into_iter().collect(),
            open: Vec::new(),
            members: Vec::new(),
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        let kinds =
            |fields: &Pattern| Kind::ALL.into_iter().map(|kind| (fields.clone(), kind)).collect::<Vec<_>>();
        let redacts = self.named.iter().flat_map(kinds).filter(|(_, kind)| self.find.has(*kind));
        Touches { redacts: redacts.collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, find, cards, open, members, text: room, .. } = self;
        fields.each(event, |event, id| {
            open.clear();
            open.push(id);
            while let Some(id) = open.pop() {
                match event.value(id) {
                    Value::String(text) => {
                        room.clear();
                        if redact(text, *find, room) {
                            event.set(id, New::Str(room));
                        }
                    }
                    Value::Number(number) if *cards && is_card(number) => {
                        event.set(id, New::Str(Kind::CreditCard.label()));
                    }
                    Value::Array(_) => open.extend(event.children(id)),
                    Value::Object(_) => {
                        members.clear();
                        members.extend(event.children(id));
                        keys(event, members, *find, room);
                        open.extend(event.children(id));
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) => {}
                }
            }
        });
        Verdict::Keep
    }
}

/// Redacts the keys of an object; no value goes because of another's key, if there are not too many.
fn keys(event: &mut Event, members: &[Id], find: Kinds, room: &mut String) {
    let mut redacted = 0;
    for id in members {
        room.clear();
        if !redact(event.key(*id), find, room) {
            continue;
        }
        redacted += 1;
        if redacted > KEYS_MAX {
            event.remove(*id);
            continue;
        }
        let length = room.len();
        let is_taken = |key: &str| members.iter().any(|other| other != id && event.key(*other) == key);
        for number in 2.. {
            if !is_taken(room) {
                break;
            }
            room.truncate(length);
            room.push(' ');
            room.push_str(itoa::Buffer::new().format(number));
        }
        event.rename(*id, room);
    }
}

/// Cards begin with 2 to 6 (ISO/IEC 7812), moments in milliseconds and microseconds with 1 until 2033: a tenth of
/// those would pass for cards.
fn is_card(number: Number<'_>) -> bool {
    let digits = number.text().as_bytes();
    let sum = digits.iter().rev().enumerate().fold(0, |sum, (at, digit)| {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        sum + if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    });
    number.is_integer()
        && (13..=19).contains(&digits.len())
        && matches!(digits.first(), Some(b'2'..=b'6'))
        && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{edits, refuse, run};
    use expect_test::expect;

    fn check(settings: &str, event: &str, expected: &str) {
        assert_eq!(run::<Redact>(settings, event), expected, "{settings} {event}");
    }

    #[test]
    fn finds_become_labels_wherever_they_stand_below_a_field() {
        let event = r#"{"data":{"text":"mail ann@example.com, card 4111 1111 1111 1111","list":["+4930123456",{"x":"10.0.0.1"}],"n":1},"text":"bob@example.com"}"#;
        let after = r#"{"data":{"text":"mail [email], card [card]","list":["[phone]",{"x":"[ip]"}],"n":1},"text":"bob@example.com"}"#;
        check(r#"["data.**"]"#, event, after);
        check(r#"["data"]"#, event, after);
        check(r#"["data", "data.text", "data.list[]"]"#, event, after);
        check(r#"["**"]"#, event, &after.replace("bob@example.com", "[email]"));
        check(
            r#"{ fields = ["data.**"], find = ["email"] }"#,
            event,
            &event.replace("ann@example.com", "[email]"),
        );
    }

    #[test]
    fn escapes_hide_nothing() {
        check(r#"["a"]"#, r#"{"a":"\u0061nn\u0040example.com"}"#, r#"{"a":"[email]"}"#);
        check(r#"["a"]"#, r#"{"a":{"\u0061nn\u0040example.com":1}}"#, r#"{"a":{"[email]":1}}"#);
    }

    #[test]
    fn what_people_paste_is_found_as_what_they_type() {
        check(
            r#"["a"]"#,
            r#"{"a":"4111\u00a01111\u20131111\u200b1111, ann＠example.com: {\"m\":\"bob\\u0040example.com\"}"}"#,
            r#"{"a":"[card], [email]: {\"m\":\"[email]\"}"}"#,
        );
        check(
            r#"["a"]"#,
            r#"{"a":"é\u00a0x &amp; 50%25 C:\\new"}"#,
            r#"{"a":"é\u00a0x &amp; 50%25 C:\\new"}"#,
        );
    }

    #[test]
    fn keys_are_redacted_and_lose_no_value() {
        check(
            r#"["data.**"]"#,
            r#"{"data":{"a@example.com":1,"b@example.com":{"c@example.com":"d@example.com"},"[email] 2":3}}"#,
            r#"{"data":{"[email]":1,"[email] 3":{"[email]":"[email]"},"[email] 2":3}}"#,
        );
        check(r#"["**"]"#, r#"{"a@example.com":1}"#, r#"{"[email]":1}"#);
        let many: Vec<_> = (0..200).map(|number| format!("\"a{number}@example.com\":{number}")).collect();
        let after = run::<Redact>(r#"["data"]"#, &format!("{{\"data\":{{{}}}}}", many.join(",")));
        assert!(after.ends_with(r#""[email] 64":63}}"#) && !after.contains('@'), "{after}");
    }

    #[test]
    fn numbers_that_may_be_cards_become_labels() {
        for (number, is_card) in [
            ("4111111111111111", true),
            ("378282246310005", true),
            ("6304000000000000000", true),
            ("4222222222222", true),
            ("4111111111111112", false),
            ("4111111111111111.0", false),
            ("-4111111111111111", false),
            ("411111111111", false),
            ("1573841100123456", false),
            ("1000000000000008", false),
            ("4e15", false),
        ] {
            let after = if is_card { r#"{"a":"[card]"}"#.to_owned() } else { format!("{{\"a\":{number}}}") };
            check(r#"["a"]"#, &format!("{{\"a\":{number}}}"), &after);
        }
        let event = r#"{"a":4111111111111111}"#;
        check(r#"{ fields = ["a"], find = ["email"] }"#, event, event);
    }

    #[test]
    fn what_holds_nothing_is_no_change() {
        for event in ["{}", r#"{"a":null}"#, r#"{"a":["x",{"y":"é"},true,1.5,{}],"b":"ann@example.com"}"#] {
            assert_eq!(edits::<Redact>(r#"["a.**", "items[].sku"]"#, event), 0, "{event}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Redact>("[]", &expect!["no field is named, so the step does nothing"]);
        refuse::<Redact>(
            r#"{ fields = ["a"], find = [] }"#,
            &expect!["no kind of data is named, so the step does nothing"],
        );
        refuse::<Redact>(
            r#"{ fields = ["a"], find = ["mail"] }"#,
            &expect![
                "unknown kind `mail`, expected one of `email`, `phone`, `credit_card`, `iban`, `us_ssn`, `ip` = did you mean `email`?"
            ],
        );
    }
}
