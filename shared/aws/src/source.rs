//! AWS's event shapes become plain records here, and answers AWS's. No AWS type goes further in.

use millrace_core::record::{Record, Sequence, Source};
use millrace_core::sink::Landed;
use millrace_core::time::Micros;
use millrace_core::transformer::Stuck;
use millrace_core::window::Bounds;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

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

    fn push(&mut self, record: &KinesisRecord<'_>) -> Result<(), &'static str> {
        if self.source.is_none() {
            let shard = record.event_id.split_once(':').map_or("", |(shard, _)| shard);
            let stream = name_of(&record.event_source_arn);
            self.source = Some(Source { stream, shard: shard.to_owned() });
        }
        base64_simd::STANDARD
            .decode_append(&record.kinesis.data.0, &mut self.data)
            .map_err(|_| "the data of a record is not base64")?;
        self.sequences.push_str(&record.kinesis.sequence_number);
        let arrived_at = Micros::read_number(record.kinesis.approximate_arrival_timestamp);
        self.records.push(Place {
            sequence_end: self.sequences.len(),
            data_end: self.data.len(),
            arrived_at: arrived_at.unwrap_or(Micros::EPOCH),
        });
        Ok(())
    }
}

#[derive(Deserialize)]
struct KinesisRecord<'a> {
    #[serde(rename = "eventID", borrow)]
    event_id: Cow<'a, str>,
    #[serde(rename = "eventSourceARN", borrow)]
    event_source_arn: Cow<'a, str>,
    #[serde(borrow)]
    kinesis: KinesisData<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisData<'a> {
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
    #[serde(borrow)]
    data: Base64<'a>,
    approximate_arrival_timestamp: f64,
}

/// The bytes of a string, which base64 will find to be text or not.
struct Base64<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Base64<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Base64<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Base64<'de>, E> {
                Ok(Base64(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Base64<'de>, E> {
                Ok(Base64(Cow::Owned(bytes.to_vec())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Base64<'de>, E> {
                Ok(Base64(Cow::Owned(text.as_bytes().to_vec())))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'de> Deserialize<'de> for KinesisEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(rename = "Records")]
            records: Records,
            /// Not of AWS: `redrive` says so.
            #[serde(default)]
            redriven: bool,
        }

        struct Records(KinesisEvent);

        impl<'de> Deserialize<'de> for Records {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_seq(OneByOne)
            }
        }

        struct OneByOne;

        impl<'de> Visitor<'de> for OneByOne {
            type Value = Records;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the records of a Kinesis batch")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Records, A::Error> {
                let mut event = KinesisEvent::default();
                while let Some(record) = records.next_element()? {
                    event.push(&record).map_err(A::Error::custom)?;
                }
                Ok(Records(event))
            }
        }

        let Envelope { records: Records(event), redriven } = Envelope::deserialize(deserializer)?;
        Ok(KinesisEvent { redriven, ..event })
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
        let Some(Stuck { from, why }) = stuck else { return Self::safe() };
        tracing::error!(%from, why = why.chain(), "the batch is not safe, the stream sends it again from here");
        Self::first_unsafe(&from)
    }

    /// The answer of a sink that came this far; logs what stopped it.
    #[must_use]
    pub fn of(landed: &Landed) -> Self {
        if let Some(Stuck { from, why }) = &landed.stuck {
            tracing::error!(%from, why = why.chain(), "the batch is not safe, the stream sends it again from here");
        }
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
        let event: KinesisEvent = serde_json::from_str(&event.to_string()).unwrap();
        assert_eq!(event.source().unwrap().lane(), "raw/shardId-000000000006");
        let told: Vec<_> = event.records().map(|record| (record.data, record.arrived_at.get())).collect();
        assert_eq!(told, [(b"hello".as_slice(), 1_573_841_100_250_000)]);
        let empty: KinesisEvent = serde_json::from_str(r#"{"Records":[]}"#).unwrap();
        assert!(empty.source().is_none());
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
