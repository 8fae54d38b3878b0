//! Bytes to events: compression undone, one record cut into its events, each event parsed.
//!
//! A payload is one JSON object, a JSON array of them, or NDJSON; plain, gzip or zstd, told by their magic bytes. A record
//! is one payload, or a KPL aggregate of them. What cannot be read is a [`Reject`], never an error. No message of this
//! module repeats what the bytes hold.

use crate::event::{Event, Flaw};
use crate::kpl;
use crate::quarantine::Reject;
use flate2::read::MultiGzDecoder;
use memchr::memchr;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};
use std::fmt;
use std::io::Read;

/// The most that the compressed payloads of a record may inflate to, bytes. A record holds at most 10 MiB, a request
/// 6 MB, so what exceeds this is a bomb, not a batch.
pub const INFLATED_MAX: usize = 16 << 20;

/// The most events in one record. A record with more holds no events but two bytes a line.
pub const EVENTS_MAX: usize = 100_000;

const STAGE: &str = "decode";

/// What gzip and zstd begin with.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What a record holds: itself, or one of the records of an aggregate.
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    /// The bytes as they came.
    pub data: &'a [u8],
    /// Its events, or why it cannot be cut into them.
    pub pieces: Result<Pieces<'a>, Reject>,
}

/// Most records are one payload.
pub type Payloads<'a> = SmallVec<[Payload<'a>; 1]>;

/// Takes a record apart, in the room that is given. What makes it impossible to tell one payload from another, or is too
/// much, is a reject of the record; what is wrong with a payload stands there.
pub fn unpack<'a>(data: &'a [u8], room: &'a mut Vec<u8>) -> Result<Payloads<'a>, Reject> {
    if !kpl::begins(data) {
        return Ok(smallvec![Payload { data, pieces: inflate(data, room).and_then(split) }]);
    }
    let records = kpl::read(data)?;
    room.clear();
    let mut inflated = Vec::with_capacity(records.len());
    for record in &records {
        let start = room.len();
        // What a damaged one inflated to stays where it is: it was work, too, and counts.
        let outcome = inflate_behind(record, room);
        if room.len() > INFLATED_MAX {
            let detail = format!("the records of the aggregate inflate to more than {INFLATED_MAX} bytes");
            return Err(Reject::new(STAGE, "too_large", detail));
        }
        inflated.push(outcome.map(|inflates| inflates.then_some(start..room.len())));
    }
    let room = room.as_slice();
    let mut events = 0;
    let payloads = records.into_iter().zip(inflated).map(|(data, inflated)| {
        let plain = inflated.map(|place| place.map_or(data, |place| room.get(place).unwrap_or_default()));
        let pieces = plain.and_then(split);
        events += pieces.as_ref().map_or(1, Pieces::len).max(1);
        if events > EVENTS_MAX { Err(too_many()) } else { Ok(Payload { data, pieces }) }
    });
    payloads.collect()
}

/// Whether [`unpack`] would take these bytes apart. No text begins so.
#[must_use]
pub fn is_packed(data: &[u8]) -> bool {
    kpl::begins(data) || data.starts_with(GZIP) || data.starts_with(ZSTD)
}

/// Undoes gzip or zstd where the bytes are that, up to [`INFLATED_MAX`] bytes, in the room that is given.
pub fn inflate<'a>(data: &'a [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Reject> {
    room.clear();
    Ok(if inflate_behind(data, room)? { room } else { data })
}

/// [`inflate`], behind what is in the room already, of which there may be so much together; whether the bytes are
/// compressed.
fn inflate_behind(data: &[u8], room: &mut Vec<u8>) -> Result<bool, Reject> {
    let damaged = |reason, name| Reject::new(STAGE, reason, format!("the {name} data is damaged or cut off"));
    let limit = (INFLATED_MAX + 1).saturating_sub(room.len()) as u64;
    let name = match data {
        _ if data.starts_with(GZIP) => {
            let read = MultiGzDecoder::new(data).take(limit).read_to_end(room);
            read.map_err(|_| damaged("bad_gzip", "gzip"))?;
            "gzip"
        }
        _ if data.starts_with(ZSTD) => {
            let read = zstd::Decoder::with_buffer(data).and_then(|zstd| zstd.take(limit).read_to_end(room));
            read.map_err(|_| damaged("bad_zstd", "zstd"))?;
            "zstd"
        }
        _ => return Ok(false),
    };
    if room.len() > INFLATED_MAX {
        let detail = format!("the {name} data inflates to more than {INFLATED_MAX} bytes");
        return Err(Reject::new(STAGE, "too_large", detail));
    }
    Ok(true)
}

/// The one event that a payload is, where it is plain JSON on one line.
#[must_use]
pub fn single(payload: &[u8]) -> Option<&[u8]> {
    let json = payload.trim_ascii();
    (json.starts_with(b"{") && memchr(b'\n', json).is_none()).then_some(json)
}

/// Cuts a plain payload into the bytes of single events, blank lines left out.
///
/// An array that is not whole is one reject: nobody can tell where its next event begins. NDJSON with a bad line
/// is not: that line, be it an array, is found bad when it is parsed, and the others are good.
/// A byte order mark in front, as files from Windows have it, is skipped.
pub fn split(payload: &[u8]) -> Result<Pieces<'_>, Reject> {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii();
    let Some(line_end) = memchr(b'\n', payload).or(Some(payload.len())).filter(|_| !payload.is_empty())
    else {
        return Err(Reject::new(STAGE, "empty", "there is nothing in it"));
    };
    let first_line = payload.get(..line_end).unwrap_or_default();
    if payload.starts_with(b"[") {
        return match raw::<Items<'_>>(payload) {
            Ok(Items(items)) if items.len() > EVENTS_MAX => Err(too_many()),
            Ok(Items(items)) => Ok(Pieces::Items(items.into_iter())),
            Err(_) if is_json(first_line) => lines(payload),
            Err(why) => Err(why),
        };
    }
    // One object may be written over many lines.
    if line_end == payload.len() || (!is_json(first_line) && is_json(payload)) {
        return Ok(Pieces::One(Some(payload)));
    }
    lines(payload)
}

/// The single events of a payload.
#[derive(Debug, Clone)]
pub enum Pieces<'a> {
    /// All of it.
    One(Option<&'a [u8]>),
    /// What is left of its lines.
    Lines(&'a [u8]),
    /// The items of an array.
    Items(std::vec::IntoIter<&'a RawValue>),
}

impl Pieces<'_> {
    /// How many there are.
    fn len(&self) -> usize {
        match self {
            Self::One(piece) => usize::from(piece.is_some()),
            Self::Items(items) => items.len(),
            Self::Lines(_) => self.clone().count(),
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::One(piece) => piece.take(),
            Self::Items(items) => items.next().map(|item| item.get().as_bytes()),
            Self::Lines(rest) => loop {
                let end = memchr(b'\n', rest).unwrap_or(rest.len());
                let (line, left) = rest.split_at_checked(end).filter(|_| !rest.is_empty())?;
                *rest = left.get(1..).unwrap_or_default();
                let line = line.trim_ascii();
                if !line.is_empty() {
                    return Some(line);
                }
            },
        }
    }
}

/// The items of an array; of those beyond [`EVENTS_MAX`] only one is kept, for a few MB hold millions.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = array.next_element()? {
                    items.push(item);
                    if items.len() > EVENTS_MAX {
                        while array.next_element::<IgnoredAny>()?.is_some() {}
                    }
                }
                Ok(Items(items))
            }
        }

        reader.deserialize_seq(Collect)
    }
}

fn lines(payload: &[u8]) -> Result<Pieces<'_>, Reject> {
    let pieces = Pieces::Lines(payload);
    // Most payloads are too short to have too many.
    if payload.len() > EVENTS_MAX && pieces.clone().nth(EVENTS_MAX).is_some() {
        return Err(too_many());
    }
    Ok(pieces)
}

/// What a record is that has more than [`EVENTS_MAX`] events.
pub(crate) fn too_many() -> Reject {
    Reject::new(STAGE, "too_many_events", format!("it has more than {EVENTS_MAX} events"))
}

fn is_json(bytes: &[u8]) -> bool {
    raw::<&RawValue>(bytes).is_ok()
}

fn raw<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reject> {
    serde_json::from_str(utf8(bytes)?).map_err(|error| match error.classify() {
        Category::Eof => Reject::new(STAGE, "not_json", format!("the JSON ends too early: {error}")),
        // None of these types refuses a value for what it is, and the messages of syntax quote none.
        Category::Data | Category::Syntax | Category::Io => {
            Reject::new(STAGE, "not_json", format!("no JSON: {error}"))
        }
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| {
        let at = simdutf8::compat::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        Reject::new(STAGE, "not_utf8", format!("byte {at} is not UTF-8"))
    })
}

/// Parses one event in place of the one that was here.
pub fn event(bytes: &[u8], event: &mut Event) -> Result<(), Reject> {
    text(utf8(bytes)?, event)
}

/// [`event`], of what is known to be text.
pub fn text(json: &str, event: &mut Event) -> Result<(), Reject> {
    event.parse(json).map_err(|flaw| {
        let reason = match flaw {
            Flaw::NotAnObject => "not_an_object",
            Flaw::TooDeep => "too_deep",
            Flaw::TooMuch(_) => "too_large",
            Flaw::CutOff | Flaw::Syntax { .. } => "not_json",
        };
        Reject::new(STAGE, reason, flaw.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn events(payload: &[u8]) -> String {
        let inner = || -> Result<Vec<String>, Reject> {
            let mut room = Vec::new();
            let mut read = Event::default();
            let pieces = split(inflate(payload, &mut room)?)?;
            Ok(pieces
                .map(|piece| {
                    event(piece, &mut read).map_or_else(|why| why.to_string(), |()| read.to_string())
                })
                .collect())
        };
        inner().map_or_else(|why| why.to_string(), |lines| lines.join("\n"))
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(payload: impl AsRef<[u8]>, expected: Expect) {
        expected.assert_eq(&events(payload.as_ref()));
    }

    #[test]
    fn one_object_an_array_or_lines() {
        check(r#"{"a":1}"#, expect![[r#"{"a":1}"#]]);
        check("{\n \"a\":\n 1 }\n", expect![[r#"{"a":1}"#]]);
        check(
            r#" [ {"a":1} , {"a":2} ] "#,
            expect![[r#"
            {"a":1}
            {"a":2}"#]],
        );
        check(
            "{\"a\":1}\r\n\n{\"a\":2}\n",
            expect![[r#"
            {"a":1}
            {"a":2}"#]],
        );
        check(
            gzip(b"{\"a\":1}\n{\"a\":2}"),
            expect![[r#"
            {"a":1}
            {"a":2}"#]],
        );
        check("[]", expect![""]);
        // What Windows puts in front of a file.
        for payload in ["\u{feff}{\"a\":1}", "\u{feff}\r\n [{\"a\":1}]", "\u{feff}{\n\"a\":1}\n"] {
            assert_eq!(events(payload.as_bytes()), r#"{"a":1}"#);
        }
        check(
            gzip("\u{feff}{\"a\":1}\n{\"a\":2}".as_bytes()),
            expect![[r#"
            {"a":1}
            {"a":2}"#]],
        );
        check("\u{feff}", expect!["decode: empty: there is nothing in it"]);
    }

    #[test]
    fn a_line_that_is_an_array_does_not_make_the_lines_one() {
        check(
            "[{\"a\":1}]\n{\"a\":2}",
            expect![[r#"
            decode: not_an_object: this is JSON, but not an object
            {"a":2}"#]],
        );
        check(
            "[\n{\"a\":1},\n{\"a\":2}\n]",
            expect![[r#"
            {"a":1}
            {"a":2}"#]],
        );
    }

    #[test]
    fn a_bad_line_leaves_the_others_alone() {
        check(
            "{\"a\":1}\noops\n[3]\n\"x@example.com\"\n{\"a\":2}",
            expect![[r#"
                {"a":1}
                decode: not_json: no JSON: no value at byte 0
                decode: not_an_object: this is JSON, but not an object
                decode: not_an_object: this is JSON, but not an object
                {"a":2}"#]],
        );
        check(
            b"{\"a\":\"\xff\"}\n{\"a\":2}",
            expect![[r#"
            decode: not_utf8: byte 6 is not UTF-8
            {"a":2}"#]],
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_without_repeating_it() {
        check("", expect!["decode: empty: there is nothing in it"]);
        check(" \n ", expect!["decode: empty: there is nothing in it"]);
        check(
            r#"[{"a":1},{"a""#,
            expect![
                "decode: not_json: the JSON ends too early: EOF while parsing an object at line 1 column 13"
            ],
        );
        check(r#"{"a":"x@example.com"#, expect!["decode: not_json: the JSON ends too early"]);
        check(
            r#"{"a":1e999}"#,
            expect!["decode: not_json: no JSON: a number that is out of range at byte 10"],
        );
        check(r#"{"a":"\ud800"}"#, expect!["decode: not_json: no JSON: half of a surrogate pair at byte 6"]);
        check(
            "{\"a\":\"\0\"}",
            expect!["decode: not_json: no JSON: a control character in a string at byte 6"],
        );
        check(
            "[".repeat(1000),
            expect![
                "decode: not_json: the JSON ends too early: EOF while parsing a list at line 1 column 1000"
            ],
        );
        check(
            format!("{{\"a\":{}", "{\"a\":".repeat(1000)),
            expect!["decode: too_deep: it is nested deeper than 120 levels"],
        );
        check([0x9c, 0x01, 0xff], expect!["decode: not_utf8: byte 0 is not UTF-8"]);
    }

    #[test]
    fn a_payload_has_so_many_events_and_no_more() {
        for (first, next, end) in [("[0", ",0", "]"), ("0", "\n0", "\n")] {
            let payload = |count: usize| format!("{first}{}{end}", next.repeat(count - 1));
            assert_eq!(split(payload(EVENTS_MAX).as_bytes()).unwrap().count(), EVENTS_MAX);
            for count in [EVENTS_MAX + 1, EVENTS_MAX + 2, 5 * EVENTS_MAX] {
                assert_eq!(split(payload(count).as_bytes()).unwrap_err().reason, "too_many_events");
            }
        }
        let many = format!("[{}0]", "0,".repeat(5 * EVENTS_MAX));
        let items: Items<'_> = raw(many.as_bytes()).unwrap();
        assert_eq!(items.0.len(), EVENTS_MAX + 1, "and the others take no memory");
        let broken = format!("[{}0", "0,".repeat(EVENTS_MAX));
        assert_eq!(split(broken.as_bytes()).unwrap_err().reason, "not_json");
    }

    #[test]
    fn odd_but_legal_json_is_kept() {
        check(r#"{"a":1,"a":2}"#, expect![[r#"{"a":2}"#]]);
        check(r#"{"a":"\u0000"}"#, expect![[r#"{"a":"\u0000"}"#]]);
        check(
            r#"{"a":18446744073709551615,"b":-9223372036854775808}"#,
            expect![[r#"{"a":18446744073709551615,"b":-9223372036854775808}"#]],
        );
        check(r#"{}"#, expect!["{}"]);
    }

    #[test]
    fn damaged_gzip_and_bombs_are_refused() {
        let whole = gzip(b"{\"a\":1}");
        check(&whole[..whole.len() - 6], expect!["decode: bad_gzip: the gzip data is damaged or cut off"]);
        check([0x1f, 0x8b], expect!["decode: bad_gzip: the gzip data is damaged or cut off"]);
        check(
            gzip(&vec![b' '; INFLATED_MAX + 1]),
            expect!["decode: too_large: the gzip data inflates to more than 16777216 bytes"],
        );
        assert!(inflate(&gzip(&vec![b' '; INFLATED_MAX]), &mut Vec::new()).is_ok());
    }
}
