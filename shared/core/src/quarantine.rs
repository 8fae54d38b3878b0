//! Where bad data goes: whole, with the reason, one gzip NDJSON object a batch.

pub mod read;
pub mod replay;

use crate::record::{Record, Sequence, Source};
use crate::time::Micros;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;

/// The stage, and the function, of what `redrive` puts away.
pub const REDRIVE: &str = "redrive";

/// The stream, as entries name it, of messages of the inbox queue.
pub const INBOX: &str = "inbox";

/// Why a record is put away whole of which the good events went on.
pub const TOO_MANY_BAD: &str = "too_many_bad";

/// Why a record of a table's stream is put away that is no change.
pub const NO_CHANGE: &str = "no_change";

/// Why bad data is bad. It is a value: a reject never fails a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}: {detail}")]
pub struct Reject {
    /// Where it was found bad: `decode`, a step's name, `encode`.
    pub stage: &'static str,
    /// What is wrong, in one word that people group by.
    pub reason: &'static str,
    /// What is wrong, for the eye. Never repeats a value of the event.
    pub detail: Cow<'static, str>,
}

impl Reject {
    /// A reject of this stage.
    pub fn new(stage: &'static str, reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { stage, reason, detail: detail.into() }
    }
}

/// One bad piece of data: an event, or a record that cannot be cut into events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub reject: Reject,
    /// The record it came in.
    pub sequence: Sequence,
    /// The event's place in that record, from 0; none where it is the record as a whole. With the source and the
    /// sequence number it tells the entry from all others: a retried batch may put it into a second object.
    pub index: Option<u32>,
    /// When the stream took that record.
    pub at: Micros,
    /// Whether an attempt before may have noted its id, or let it out: until ids are forgotten it may be known though it is
    /// nowhere else.
    pub may_be_known: bool,
    /// The bytes as they came.
    pub payload: Vec<u8>,
}

impl Entry {
    /// What a record holds that is bad, all of it or the event at a place in it, and that no attempt can have let out.
    #[must_use]
    pub fn of(record: &Record<'_>, index: Option<u32>, reject: Reject, payload: &[u8]) -> Self {
        let (sequence, at) = (record.sequence.into(), record.arrived_at);
        Self { reject, sequence, index, at, may_be_known: false, payload: payload.to_vec() }
    }
}

/// A quarantine object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its key, a function of the batch: a retry of the batch overwrites it.
    pub key: String,
    /// Gzip NDJSON, a line an entry.
    pub body: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'a> {
    reason: &'a str,
    stage: &'a str,
    detail: &'a str,
    function: &'a str,
    source: Origin<'a>,
    at: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_be_known: bool,
    encoding: &'static str,
    payload: Cow<'a, str>,
}

#[derive(Serialize)]
struct Origin<'a> {
    #[serde(flatten)]
    source: &'a Source,
    sequence: &'a Sequence,
    index: Option<u32>,
}

/// The object that holds a batch's bad data; none where all is good.
///
/// The key is `quarantine/date=<of the first entry>/<function>-<stream>-<shard>-<first>-<last sequence>.ndjson.gz`.
#[must_use]
pub fn page(function: &str, source: &Source, entries: &[Entry]) -> Option<Page> {
    let (first, last) = (entries.first()?, entries.last()?);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for entry in entries {
        let (encoding, payload) = match std::str::from_utf8(&entry.payload) {
            Ok(text) => ("utf8", Cow::Borrowed(text)),
            Err(_) => ("base64", Cow::Owned(BASE64_STANDARD.encode(&entry.payload))),
        };
        let line = Line {
            reason: entry.reject.reason,
            stage: entry.reject.stage,
            detail: &entry.reject.detail,
            function,
            source: Origin { source, sequence: &entry.sequence, index: entry.index },
            at: entry.at.rfc3339(),
            may_be_known: entry.may_be_known,
            encoding,
            payload,
        };
        // A line is written at once: each write to the encoder costs as much as 32 KiB. Neither a Vec nor a struct of
        // strings can refuse.
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        let _ = gzip.write_all(&line);
    }
    Some(Page {
        key: format!(
            "quarantine/date={}/{function}-{}-{}-{}-{}.ndjson.gz",
            first.at.date(),
            source.stream, // redrive has records of several, whose sequence numbers may be the same
            source.shard,
            first.sequence,
            last.sequence
        ),
        body: gzip.finish().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn entry(sequence: &str, index: Option<u32>, payload: &[u8]) -> Entry {
        Entry {
            index,
            reject: Reject::new("decode", "not_json", "expected value at line 1 column 1"),
            sequence: sequence.into(),
            at: Micros::new(1_573_841_100_000_000).unwrap(),
            may_be_known: index.is_none(),
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn a_page_tells_what_was_wrong_and_keeps_the_bytes() {
        let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
        let page =
            page("transform", &source, &[entry("7", Some(2), b"oops \"x\""), entry("9", None, b"\xff\x00")])
                .unwrap();
        expect!["quarantine/date=2019-11-15/transform-raw-shardId-000000000000-7-9.ndjson.gz"]
            .assert_eq(&page.key);
        let mut room = Vec::new();
        let body = crate::decode::inflate(&page.body, &mut room).unwrap();
        expect![[r#"
            {"reason":"not_json","stage":"decode","detail":"expected value at line 1 column 1","function":"transform","source":{"stream":"raw","shard":"shardId-000000000000","sequence":"7","index":2},"at":"2019-11-15T18:05:00Z","encoding":"utf8","payload":"oops \"x\""}
            {"reason":"not_json","stage":"decode","detail":"expected value at line 1 column 1","function":"transform","source":{"stream":"raw","shard":"shardId-000000000000","sequence":"9","index":null},"at":"2019-11-15T18:05:00Z","may_be_known":true,"encoding":"base64","payload":"/wA="}
        "#]].assert_eq(std::str::from_utf8(body).unwrap());
        assert_eq!(super::page("transform", &source, &[]), None);
    }
}
