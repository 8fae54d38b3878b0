//! What Firehose hands to the function that transforms its records, and the answer that it takes.
//! <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html>

use millrace_core::time::Micros;
use serde::{Deserialize, Serialize};

/// The largest answer, bytes: Lambda takes 6 MB.
/// <https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html>
const ANSWER_MAX: usize = 6_000_000;

/// What an answer has around its records, and around the record itself without its id, bytes at most.
const FRAME: usize = 16;
const RECORD: usize = 48;

/// What a record that goes on has besides its data, bytes at most: the names of the fields, and the partition.
const GOES_ON: usize = 128;

/// Some records of a delivery stream.
#[derive(Debug, Deserialize)]
pub struct FirehoseEvent {
    records: Vec<FirehoseRecord>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirehoseRecord {
    record_id: String,
    /// Milliseconds.
    #[serde(default)]
    approximate_arrival_timestamp: i64,
    /// Base64.
    data: Option<String>,
    /// The same, where the stream reads from Kafka.
    kafka_record_value: Option<String>,
    /// Where the stream reads from Kinesis: what that says of the record.
    kinesis_record_metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    approximate_arrival_timestamp: i64,
}

impl FirehoseEvent {
    /// Takes the records, in their order.
    #[must_use]
    pub fn into_records(self) -> Vec<FirehoseRecord> {
        self.records
    }
}

impl FirehoseRecord {
    /// What the record is known by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record_id
    }

    /// When it came: to the stream that Firehose reads it from, or to Firehose.
    #[must_use]
    pub fn arrived_at(&self) -> Micros {
        let of_stream = self.kinesis_record_metadata.as_ref();
        let ms = of_stream
            .map_or(self.approximate_arrival_timestamp, |of_stream| of_stream.approximate_arrival_timestamp);
        Micros::new(ms.saturating_mul(1000)).unwrap_or(Micros::EPOCH)
    }

    /// What its producer sent, base64 undone; none where it is no base64, or there is nothing.
    #[must_use]
    pub fn data(&self) -> Option<Vec<u8>> {
        let text = self.data.as_ref().or(self.kafka_record_value.as_ref())?;
        base64_simd::STANDARD.decode_to_vec(text).ok()
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as this text, in the partition of this hour.
    Ok(String, Micros),
    /// There is nothing of it to go on, as it should be.
    Dropped,
    /// It is bad, or was too much: Firehose puts it, as it came, with what failed.
    Failed,
}

/// An answer, which has each record once.
#[derive(Debug, Serialize)]
pub struct FirehoseAnswer {
    records: Vec<Answered>,
    #[serde(skip)]
    left: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    record_id: String,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka_record_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Partitioned>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Partitioned {
    partition_keys: Hour,
}

/// The keys that the prefix of a delivery stream takes, as `!{partitionKeyFromLambda:event_date}`.
/// <https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-partitioning-keys.html>
#[derive(Debug, Serialize)]
struct Hour {
    event_date: String,
    event_hour: String,
}

impl FirehoseAnswer {
    /// An answer to these records, of which it has none yet but room to tell of each.
    #[must_use]
    pub fn to(records: &[FirehoseRecord]) -> Self {
        let told: usize = records.iter().map(|record| record.record_id.len() + RECORD).sum();
        let left = ANSWER_MAX.saturating_sub(told + FRAME);
        Self { records: Vec::with_capacity(records.len()), left }
    }

    /// How long the text of a record may be that goes on now, bytes: base64 makes four of three.
    #[must_use]
    pub fn room(&self) -> usize {
        self.left.saturating_sub(GOES_ON) / 4 * 3
    }

    /// Answers for the next record. What goes on has to fit the [`room`](Self::room).
    pub fn push(&mut self, record: FirehoseRecord, fate: Fate) {
        let is_kafka = record.data.is_none() && record.kafka_record_value.is_some();
        let mut answered = Answered {
            record_id: record.record_id,
            result: "ProcessingFailed",
            data: None,
            kafka_record_value: None,
            metadata: None,
        };
        match fate {
            Fate::Failed => {}
            Fate::Dropped => answered.result = "Dropped",
            Fate::Ok(text, at) => {
                let data = base64_simd::STANDARD.encode_to_string(text);
                self.left = self.left.saturating_sub(GOES_ON + data.len());
                answered.result = "Ok";
                let place = if is_kafka { &mut answered.kafka_record_value } else { &mut answered.data };
                *place = Some(data);
                let partition_keys = Hour { event_date: at.date(), event_hour: at.hour().to_string() };
                answered.metadata = Some(Partitioned { partition_keys });
            }
        }
        self.records.push(answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn records(event: &serde_json::Value) -> Vec<FirehoseRecord> {
        serde_json::from_value::<FirehoseEvent>(event.clone()).unwrap().into_records()
    }

    #[test]
    fn records_of_each_source_are_read() {
        let told = records(&json!({"invocationId": "i", "region": "us-east-1", "records": [
            {"recordId": "1", "approximateArrivalTimestamp": 1_573_841_100_250_i64, "data": "aGVsbG8="},
            {"recordId": "2", "approximateArrivalTimestamp": 1, "data": "", "kinesisRecordMetadata":
                {"shardId": "s", "partitionKey": "k", "approximateArrivalTimestamp": 2, "sequenceNumber": "7", "subsequenceNumber": ""}},
            {"recordId": "3", "approximateArrivalTimestamp": 1, "kafkaRecordValue": "aGVsbG8=", "mskRecordMetadata": {"offset": "0"}},
            {"recordId": "4", "data": "?"},
            {"recordId": "5", "kafkaRecordValue": null},
        ]}));
        let told: Vec<_> = told.iter().map(|record| (record.arrived_at().get(), record.data())).collect();
        let hello = Some(b"hello".to_vec());
        assert_eq!(
            told,
            [
                (1_573_841_100_250_000, hello.clone()),
                (2000, Some(Vec::new())),
                (1000, hello),
                (0, None),
                (0, None)
            ]
        );
    }

    #[test]
    fn an_answer_has_the_shape_that_firehose_reads() {
        let event = json!({"records": [
            {"recordId": "1", "data": ""}, {"recordId": "2", "kafkaRecordValue": ""}, {"recordId": "3", "data": ""}, {"recordId": "4", "data": ""},
        ]});
        let records = records(&event);
        let mut answer = FirehoseAnswer::to(&records);
        let goes_on = Fate::Ok("{}\n".to_owned(), Micros::new(1_573_783_500_000_000).unwrap());
        for (record, fate) in records.into_iter().zip([goes_on.clone(), goes_on, Fate::Dropped, Fate::Failed])
        {
            answer.push(record, fate);
        }
        let metadata = json!({"partitionKeys": {"event_date": "2019-11-15", "event_hour": "2"}});
        assert_eq!(
            json!(answer),
            json!({"records": [
                {"recordId": "1", "result": "Ok", "data": "e30K", "metadata": metadata},
                {"recordId": "2", "result": "Ok", "kafkaRecordValue": "e30K", "metadata": metadata},
                {"recordId": "3", "result": "Dropped"},
                {"recordId": "4", "result": "ProcessingFailed"},
            ]})
        );
    }

    #[test]
    fn what_fits_the_room_fits_the_answer() {
        for ids in [1_usize, 1000] {
            let event: Vec<_> =
                (0..ids).map(|n| json!({"recordId": format!("{n:056}"), "kafkaRecordValue": ""})).collect();
            let records = records(&json!({ "records": event }));
            let mut answer = FirehoseAnswer::to(&records);
            for (n, record) in records.into_iter().enumerate() {
                let room = answer.room();
                let text = if n % 3 == 2 { 0 } else { room / (ids - n).min(7) };
                let fate = if text == 0 { Fate::Dropped } else { Fate::Ok("x".repeat(text), Micros::EPOCH) };
                answer.push(record, fate);
            }
            let bytes = serde_json::to_string(&answer).unwrap().len();
            assert!((ANSWER_MAX - 200 * ids..=ANSWER_MAX).contains(&bytes), "{bytes} bytes");
        }
    }
}
