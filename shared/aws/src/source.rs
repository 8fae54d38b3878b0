//! AWS's event shapes become plain records here, and answers AWS's. No AWS type goes further in.

use crate::scan::{Flaw, Scan};
use crate::shape::{Part, Parts, Shape};
use millrace_core::event::Number;
use millrace_core::record::{Record, Sequence, Source};
use millrace_core::sink::Landed;
use millrace_core::time::Micros;
use millrace_core::transformer::Stuck;
use millrace_core::window::Bounds;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A batch of a Kinesis shard, as far as it is of interest: an event source mapping never mixes shards.
///
/// `aws_lambda_events` has this type too, but reads the fraction of an arrival time as a count of milliseconds: its
/// 1573841100.25 is 25 ms past the second. And it takes memory record by record; here all of them lie in two pieces.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html#services-kinesis-event-example>
#[derive(Debug, Default)]
pub struct KinesisEvent {
    source: Option<Source>,
    records: Vec<Place>,
    /// The sequence numbers, one after the other.
    sequences: String,
    /// The data, one after the other, base64 undone.
    data: Vec<u8>,
    redriven: bool,
}

/// Where a record's parts end; they begin where those of the record before it do.
#[derive(Debug, Clone, Copy)]
struct Place {
    sequence_end: usize,
    data_end: usize,
    arrived_at: Micros,
}

impl KinesisEvent {
    /// The shard that the records came from; none where there are no records.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The records, in the shard's order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut begin = (0, 0);
        self.records.iter().map(move |place| {
            let (sequence, data) = begin;
            begin = (place.sequence_end, place.data_end);
            Record {
                sequence: self.sequences.get(sequence..place.sequence_end).unwrap_or_default(),
                arrived_at: place.arrived_at,
                data: self.data.get(data..place.data_end).unwrap_or_default(),
            }
        })
    }

    /// The batch before it is worked on; none where there are no records.
    #[must_use]
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        let (first, last) = (self.records().next()?, self.records.last()?);
        let (arrived_at, until) = (first.arrived_at, last.arrived_at);
        let source = self.source.as_ref()?;
        Some(Bounds { source, first: first.sequence, arrived_at, until, redriven: self.redriven })
    }

    /// Reads a batch from the payload of an invocation.
    pub fn read(payload: &[u8]) -> Result<Self, NoBatch> {
        let mut event = Self::default();
        event.fill(payload)?;
        Ok(event)
    }

    /// Reads a batch in place of the one before it, into the same memory.
    pub fn fill(&mut self, payload: &[u8]) -> Result<(), NoBatch> {
        let event = self;
        event.clear();
        let json = simdutf8::basic::from_utf8(payload).map_err(|_| NoBatch("it is not UTF-8"))?;
        // Base64 makes four bytes of three, and there is little beside it.
        event.data.reserve(json.len() / 4 * 3);
        let mut has_records = false;
        let mut scan = Scan::new(json);
        let read = scan.object(|scan, key| {
            match key {
                "Records" => {
                    has_records = true;
                    let mut shape = None;
                    scan.array(|scan| event.record(scan, &mut shape))
                }
                // Not of AWS: `redrive` says so.
                "redriven" => {
                    event.redriven = scan.number() == "true";
                    Ok(())
                }
                _ => Ok(()),
            }
        });
        read.and_then(|()| scan.end()).map_err(NoBatch)?;
        if has_records { Ok(()) } else { Err(NoBatch("it has no `Records`")) }
    }

    fn clear(&mut self) {
        self.source = None;
        self.records.clear();
        self.sequences.clear();
        self.data.clear();
        self.redriven = false;
    }

    /// Takes the record that stands here, and the shape it has.
    fn record<'a>(&mut self, scan: &mut Scan<'a>, shape: &mut Option<Shape<'a>>) -> Result<(), Flaw> {
        if let Some(parts) = shape.as_ref().and_then(|shape| shape.read(scan)) {
            return self.take(&parts, false);
        }
        let start = scan.place();
        let (mut parts, mut arn, mut data_has_escapes) = (Parts::default(), None, false);
        scan.object(|scan, key| {
            match key {
                "eventID" => _ = note(&mut parts, Part::Id, scan)?,
                "eventSourceARN" => arn = scan.string()?,
                "kinesis" => scan.object(|scan, key| {
                    match key {
                        "partitionKey" => _ = note(&mut parts, Part::PartitionKey, scan)?,
                        "sequenceNumber" => _ = note(&mut parts, Part::Sequence, scan)?,
                        "data" => data_has_escapes = note(&mut parts, Part::Data, scan)?,
                        "approximateArrivalTimestamp" => {
                            parts.note(Part::ArrivedAt, scan.place(), scan.number());
                        }
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        let (Some(id), Some(arn)) = (parts.get(Part::Id), arn) else { return Err(LACKS) };
        if self.source.is_none() {
            let shard = id.split_once(':').map_or("", |(shard, _)| shard);
            self.source = Some(Source { stream: name_of(arn.raw), shard: shard.to_owned() });
        }
        *shape = Some(Shape::of(scan, start, &parts));
        self.take(&parts, data_has_escapes)
    }

    /// Takes a record by its parts.
    fn take(&mut self, parts: &Parts<'_>, data_has_escapes: bool) -> Result<(), Flaw> {
        let arrived_at = parts.get(Part::ArrivedAt).and_then(Number::read);
        let (Some(sequence), Some(data), Some(arrived_at)) =
            (parts.get(Part::Sequence), parts.get(Part::Data), arrived_at)
        else {
            return Err(LACKS);
        };
        // Base64 has no sign that JSON escapes but `/`, which it may.
        let data = if data_has_escapes { Cow::Owned(data.replace("\\/", "/")) } else { data.into() };
        base64_simd::STANDARD
            .decode_append(data.as_bytes(), &mut self.data)
            .map_err(|_| "the data of a record is not base64")?;
        self.sequences.push_str(sequence);
        self.records.push(Place {
            sequence_end: self.sequences.len(),
            data_end: self.data.len(),
            arrived_at: Micros::read_number(arrived_at).unwrap_or(Micros::EPOCH),
        });
        Ok(())
    }
}

const LACKS: Flaw =
    "a record lacks eventID, eventSourceARN, sequenceNumber, data or approximateArrivalTimestamp";

/// Notes the string that stands here, if one does; whether it has escapes.
fn note<'a>(parts: &mut Parts<'a>, part: Part, scan: &mut Scan<'a>) -> Result<bool, Flaw> {
    let Some(text) = scan.string()? else { return Ok(false) };
    parts.note(part, text.start, text.raw);
    Ok(text.has_escapes)
}

/// A payload is no batch of a Kinesis shard. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no batch of a Kinesis stream: {0}")]
pub struct NoBatch(&'static str);

impl<'de> Deserialize<'de> for KinesisEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(json.get().as_bytes()).map_err(D::Error::custom)
    }
}

/// What stands behind the first `/` of an ARN, up to the next: a stream's or a table's name.
#[must_use]
pub fn name_of(arn: &str) -> String {
    arn.split('/').nth(1).unwrap_or_default().to_owned()
}

/// The answer to an event source mapping that reports batch item failures.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_identifier: String,
}

impl BatchResponse {
    /// The whole batch is safe.
    #[must_use]
    pub fn safe() -> Self {
        Self::default()
    }

    /// The stream sends this record again, and all that follow it.
    #[must_use]
    pub fn first_unsafe(sequence: &Sequence) -> Self {
        Self::failed([sequence.to_string()])
    }

    /// The answer for a batch that came this far; logs what stopped it.
    #[must_use]
    pub fn after(stuck: Option<Stuck>) -> Self {
        let Some(stuck) = stuck else { return Self::safe() };
        tell(&stuck);
        Self::first_unsafe(&stuck.from)
    }

    /// The answer of a sink that came this far; logs what stopped it.
    #[must_use]
    pub fn of(landed: &Landed) -> Self {
        landed.stuck.iter().for_each(tell);
        landed.again().map_or_else(Self::safe, Self::first_unsafe)
    }

    /// The queue delivers these messages again.
    #[must_use]
    pub fn failed(ids: impl IntoIterator<Item = String>) -> Self {
        Self {
            batch_item_failures: ids.into_iter().map(|item_identifier| Item { item_identifier }).collect(),
        }
    }
}

fn tell(Stuck { from, why }: &Stuck) {
    tracing::error!(%from, why = why.chain(), "the batch is not safe, the stream sends it again from here");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kinesis_batch_becomes_plain_records() {
        let event = serde_json::json!({"Records": [{
            "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
            "kinesis": {
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "data": "aGVsbG8=",
                "approximateArrivalTimestamp": 1_573_841_100.25,
            },
        }]});
        let event = KinesisEvent::read(event.to_string().as_bytes()).unwrap();
        assert_eq!(event.source().unwrap().lane(), "raw/shardId-000000000006");
        let told: Vec<_> = event.records().map(|record| (record.data, record.arrived_at.get())).collect();
        assert_eq!(told, [(b"hello".as_slice(), 1_573_841_100_250_000)]);
        let empty = KinesisEvent::read(br#"{"Records":[]}"#).unwrap();
        assert!(empty.source().is_none());
    }

    /// A record as Lambda writes it.
    fn record(id: &str, key: &str, data: &str, at: &str) -> String {
        format!(
            r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"{key}","sequenceNumber":"{id}","data":"{data}","approximateArrivalTimestamp":{at}}},"eventID":"s:{id}","eventSourceARN":"arn:a:stream/b"}}"#
        )
    }

    /// The records of a batch, or what is wrong with it.
    fn told(records: &[String]) -> Result<Vec<(String, Vec<u8>, i64)>, String> {
        let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let mut read = KinesisEvent::default();
        let before = format!(r#"{{"redriven":true,"Records":[{}]}}"#, record("0", "", "AAAA", "1"));
        read.fill(before.as_bytes()).map_err(|why| why.to_string())?;
        read.fill(event.as_bytes()).map_err(|why| why.to_string())?;
        let event = read;
        assert!(!event.redriven && event.source().is_some_and(|source| source.shard == "s"));
        let told =
            |record: Record<'_>| (record.sequence.to_owned(), record.data.to_vec(), record.arrived_at.get());
        Ok(event.records().map(told).collect())
    }

    #[test]
    fn a_record_is_the_same_whatever_stands_before_it() {
        let records = [
            record("1", "a", "aGVsbG8=", "1573841100.25"),
            record("22", "", "", "1573841101"),
            record("3", r#"\"\\"#, r"\/\/\/\/", "1573841100.5"),
            record("4", "é", "////", "1").replace(',', " , "),
            record("5", "b", "aGVsbG8=", "7").replace(r#"{"kinesis""#, r#"{"eventID":"s:5","kinesis""#),
            record("6", "b", "aGVsbG8=", "7")
                .replace(r#""kinesis":"#, r#""kinesis":{"data":"x"},"kinesis":"#),
            record("7", "b", "aGVsbG8=", "7.125"),
            record("8", "b", "??", "7"),
            record("9", "b", "", "soon"),
            record("10", "b", "", "7").replace("sequenceNumber", "sequence"),
            record("11", "b", "", "7").replace("a:stream/b", "a:stream/c"),
        ];
        let alone: Vec<_> = records.iter().map(|record| told(std::slice::from_ref(record))).collect();
        assert_eq!(alone.iter().filter(|alone| alone.is_ok()).count(), 8);
        for (first, alone_first) in records.iter().zip(&alone) {
            for (second, alone_second) in records.iter().zip(&alone) {
                let both = told(&[first.clone(), second.clone()]);
                let expected =
                    alone_first.clone().and_then(|first| Ok([first, alone_second.clone()?].concat()));
                assert_eq!(both, expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn base64_may_have_its_slashes_escaped() {
        let read = |data: &str| {
            let event = format!(
                r#"{{"Records":[{{"eventID":"s:1","eventSourceARN":"a:stream/b","kinesis":{{"sequenceNumber":"1","data":"{data}","approximateArrivalTimestamp":1}}}}]}}"#
            );
            KinesisEvent::read(event.as_bytes())
                .map(|event| event.records().map(|record| record.data.to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(read(r"\/\/\/\/").unwrap(), [[0xff; 3]]);
        assert_eq!(read("////").unwrap(), [[0xff; 3]]);
        assert!(read("??").unwrap_err().to_string().contains("not base64"));
    }

    #[test]
    fn what_is_no_batch_is_told() {
        for (event, why) in [
            ("{}", "it has no `Records`"),
            ("7", "it has no `Records`"),
            (r#"{"Records":[{}]}"#, "a record lacks"),
            (r#"{"Records":[7]}"#, "a record lacks"),
            (r#"{"Records":[{"eventID":"#, "ends too early"),
        ] {
            let told = KinesisEvent::read(event.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn an_answer_has_the_shape_that_lambda_reads() {
        let json = |response: &BatchResponse| serde_json::to_string(response).unwrap();
        assert_eq!(json(&BatchResponse::safe()), r#"{"batchItemFailures":[]}"#);
        assert_eq!(
            json(&BatchResponse::first_unsafe(&"7".into())),
            r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#
        );
    }
}
