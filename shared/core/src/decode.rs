//! Bytes to events: gzip undone, one record cut into its events, each event parsed.
//!
//! A payload is one JSON object, a JSON array of them, or NDJSON; plain or gzip, told by its magic bytes. What
//! cannot be read is a [`Reject`], never an error. No message of this module repeats what the bytes hold.

use crate::event::Event;
use crate::quarantine::Reject;
use flate2::read::MultiGzDecoder;
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Read;

/// The most that a gzip payload may inflate to, bytes. A record holds at most 10 MiB, a request 6 MB, so what
/// exceeds this is a bomb, not a batch.
pub const INFLATED_MAX: usize = 16 << 20;

/// The most events in one payload. A payload with more holds no events but two bytes a line.
pub const EVENTS_MAX: usize = 100_000;

const STAGE: &str = "decode";

/// Undoes gzip where the bytes are gzip, up to [`INFLATED_MAX`] bytes.
pub fn inflate(data: &[u8]) -> Result<Cow<'_, [u8]>, Reject> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(data));
    }
    let mut plain = Vec::new();
    let limit = INFLATED_MAX as u64 + 1;
    match MultiGzDecoder::new(data).take(limit).read_to_end(&mut plain) {
        Ok(_) if plain.len() > INFLATED_MAX => {
            let detail = format!("the gzip data inflates to more than {INFLATED_MAX} bytes");
            Err(Reject::new(STAGE, "too_large", detail))
        }
        Ok(_) => Ok(Cow::Owned(plain)),
        Err(_) => Err(Reject::new(STAGE, "bad_gzip", "the gzip data is damaged or cut off")),
    }
}

/// Cuts a plain payload into the bytes of single events, blank lines left out.
///
/// An array that is not whole is one reject: nobody can tell where its next event begins. NDJSON with a bad line
/// is not: that line, be it an array, is found bad when it is parsed, and the others are good.
pub fn split(payload: &[u8]) -> Result<Vec<&[u8]>, Reject> {
    let payload = payload.trim_ascii();
    match payload.first() {
        None => Err(Reject::new(STAGE, "empty", "there is nothing in it")),
        Some(b'[') => match parse::<Vec<&RawValue>>(payload) {
            Ok(items) => capped(items.into_iter().map(|item| item.get().as_bytes())),
            Err(_) if is_json(first_line(payload)) => capped(lines(payload)),
            Err(why) => Err(why),
        },
        // One object may be written over many lines.
        Some(_) if is_json(payload) => Ok(vec![payload]),
        Some(_) => capped(lines(payload)),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    parse::<&RawValue>(bytes).is_ok()
}

fn first_line(payload: &[u8]) -> &[u8] {
    payload.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    payload.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn capped<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<&'a [u8]>, Reject> {
    let pieces: Vec<_> = pieces.take(EVENTS_MAX + 1).collect();
    if pieces.len() > EVENTS_MAX {
        return Err(Reject::new(STAGE, "too_many_events", format!("it has more than {EVENTS_MAX} events")));
    }
    Ok(pieces)
}

/// Parses one event.
pub fn event(bytes: &[u8]) -> Result<Event, Reject> {
    parse(bytes)
}

fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reject> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Reject::new(STAGE, "not_utf8", format!("byte {} is not UTF-8", error.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        // The messages of this category quote the value.
        Category::Data => Reject::new(STAGE, "not_an_object", "this is JSON, but not an object"),
        Category::Eof => Reject::new(STAGE, "not_json", format!("the JSON ends too early: {error}")),
        Category::Syntax | Category::Io => Reject::new(STAGE, "not_json", format!("no JSON: {error}")),
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
            let plain = inflate(payload)?;
            let pieces = split(&plain)?;
            Ok(pieces
                .into_iter()
                .map(|piece| event(piece).map_or_else(|why| why.to_string(), |e| e.to_string()))
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
                decode: not_json: no JSON: expected value at line 1 column 1
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
        check(
            r#"{"a":"x@example.com"#,
            expect![
                "decode: not_json: the JSON ends too early: EOF while parsing a string at line 1 column 19"
            ],
        );
        check(
            r#"{"a":1e999}"#,
            expect!["decode: not_json: no JSON: number out of range at line 1 column 10"],
        );
        check(
            r#"{"a":"\ud800"}"#,
            expect!["decode: not_json: no JSON: unexpected end of hex escape at line 1 column 13"],
        );
        check(
            "{\"a\":\"\0\"}",
            expect![
                "decode: not_json: no JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7"
            ],
        );
        check(
            "[".repeat(1000),
            expect![
                "decode: not_json: the JSON ends too early: EOF while parsing a list at line 1 column 1000"
            ],
        );
        check(
            format!("{{\"a\":{}", "{\"a\":".repeat(1000)),
            expect!["decode: not_json: no JSON: recursion limit exceeded at line 1 column 636"],
        );
        check([0x9c, 0x01, 0xff], expect!["decode: not_utf8: byte 0 is not UTF-8"]);
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
        assert!(inflate(&gzip(&vec![b' '; INFLATED_MAX])).is_ok());
    }
}
