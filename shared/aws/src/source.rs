//! AWS's event shapes become plain records here, and answers AWS's. No AWS type goes further in.

use aws_lambda_events::encodings::Base64Data;
use millrace_core::record::{Record, Sequence, Source};
use millrace_core::time::Micros;
use millrace_core::transformer::Stuck;
use serde::{Deserialize, Serialize};

/// A batch of a Kinesis shard, as far as it is of interest.
///
/// `aws_lambda_events` has this type too, but reads the fraction of an arrival time as a count of milliseconds: its
/// 1573841100.25 is 25 ms past the second.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html#services-kinesis-event-example>
#[derive(Debug, Default, Deserialize)]
pub struct KinesisEvent {
    #[serde(rename = "Records")]
    records: Vec<KinesisRecord>,
}

#[derive(Debug, Deserialize)]
struct KinesisRecord {
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
    kinesis: KinesisData,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisData {
    sequence_number: String,
    data: Base64Data,
    approximate_arrival_timestamp: serde_json::Value,
}

/// The records of a Kinesis batch, and the shard they came from: an event source mapping never mixes shards.
/// None for a batch without records.
#[must_use]
pub fn kinesis(event: KinesisEvent) -> Option<(Source, Vec<Record>)> {
    let first = event.records.first()?;
    let shard = first.event_id.split_once(':').map_or("", |(shard, _)| shard);
    let source = Source { stream: name_of(&first.event_source_arn), shard: shard.to_owned() };
    let records = event.records.into_iter().map(|KinesisRecord { kinesis, .. }| Record {
        sequence: Sequence::from(kinesis.sequence_number),
        arrived_at: Micros::read(&kinesis.approximate_arrival_timestamp).unwrap_or(Micros::EPOCH),
        data: kinesis.data.0,
    });
    Some((source, records.collect()))
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
        let (source, records) = kinesis(serde_json::from_value(event).unwrap()).unwrap();
        assert_eq!(source.lane(), "raw/shardId-000000000006");
        assert_eq!(
            (records[0].data.as_slice(), records[0].arrived_at.get()),
            (b"hello".as_slice(), 1_573_841_100_250_000)
        );
        assert_eq!(kinesis(KinesisEvent::default()), None);
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
