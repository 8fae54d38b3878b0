//! What an event source mapping writes when it gives up on a batch.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_aws::source::name_of;
use millrace_core::port::{self, Kept, Shard};
use millrace_core::record::{Sequence, Source};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// The positions of a batch, and who gave up on it. The records themselves are still in the stream, until it forgets them.
/// <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) function: String,
    pub(crate) shard: Shard,
    /// The first record's sequence number.
    pub(crate) start: Sequence,
    /// The last one's, included.
    pub(crate) end: Sequence,
    /// The last one's of the batch that was given up, of which this may be a part.
    last: Sequence,
    message: Value,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "requestContext")]
    request: Request,
    #[serde(rename = "KinesisBatchInfo", alias = "DDBStreamBatchInfo")]
    batch: Batch,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    function_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    stream_arn: String,
    /// Not of AWS: a letter that is a part of another one says where that ends.
    #[serde(rename = "batchEndSequenceNumber")]
    whole_end: Option<String>,
}

/// An event like the event source mapping's, and a word that it comes late, and with what it was given up.
#[derive(serde::Serialize)]
struct Event<'a> {
    redriven: bool,
    #[serde(rename = "givenUp")]
    given_up: GivenUp<'a>,
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

/// The batch that was given up.
#[derive(serde::Serialize)]
struct GivenUp<'a> {
    shard: &'a str,
    last: &'a str,
}

impl Letter {
    /// Reads a message; none where it is no dead letter of a stream.
    pub(crate) fn read(body: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(body).ok()?;
        let Message { request, batch } = Message::deserialize(&message).ok()?;
        let end = Sequence::from(batch.end_sequence_number);
        Some(Self {
            function: request.function_arn,
            shard: Shard { stream: batch.stream_arn, shard: batch.shard_id },
            start: batch.start_sequence_number.into(),
            last: batch.whole_end.map_or_else(|| end.clone(), Sequence::from),
            end,
            message,
        })
    }

    /// The message of a letter of some of its records.
    pub(crate) fn part(&self, start: &Sequence, end: &Sequence) -> String {
        let mut message = self.message.clone();
        for batch in ["KinesisBatchInfo", "DDBStreamBatchInfo"] {
            if let Some(Value::Object(batch)) = message.get_mut(batch) {
                batch.remove("batchSize"); // that of the whole
                for (name, place) in [
                    ("startSequenceNumber", start),
                    ("endSequenceNumber", end),
                    ("batchEndSequenceNumber", &self.last),
                ] {
                    batch.insert(name.to_owned(), json!(place));
                }
            }
        }
        message.to_string()
    }

    fn is_of_table(&self) -> bool {
        self.shard.stream.contains(":dynamodb:")
    }

    /// Where its records came from, as the quarantine names it.
    pub(crate) fn source(&self) -> Source {
        Source { stream: name_of(&self.shard.stream), shard: self.shard.shard.clone() }
    }

    /// The event that the function would have got for these records, marked as one that comes late.
    pub(crate) fn event(&self, records: &[Kept]) -> String {
        let records: Vec<_> = records.iter().map(|record| self.record(record)).collect();
        let given_up = GivenUp { shard: &self.shard.shard, last: self.last.as_str() };
        let event = Event { redriven: true, given_up, records: records.into_iter().flatten().collect() };
        serde_json::to_string(&event).unwrap_or_default() // JSON makes JSON
    }

    fn record(&self, kept: &Kept) -> Option<Box<RawValue>> {
        if self.is_of_table() {
            return serde_json::from_slice(&kept.data).ok();
        }
        #[expect(clippy::cast_precision_loss, reason = "a double holds microseconds until the year 2255")]
        let seconds = kept.arrived_at.get() as f64 / 1e6;
        let record: Value = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": kept.partition_key,
                "sequenceNumber": kept.sequence,
                "data": BASE64_STANDARD.encode(&kept.data),
                "approximateArrivalTimestamp": seconds,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{}:{}", self.shard.shard, kept.sequence),
            "eventName": "aws:kinesis:record",
            "awsRegion": self.shard.stream.split(':').nth(3).unwrap_or_default(),
            "eventSourceARN": self.shard.stream,
        });
        serde_json::value::to_raw_value(&record).ok()
    }
}

/// A message in an event like the event source mapping's, or such an event without any.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
pub(crate) fn delivery(message: Option<&port::Message>) -> String {
    json!({ "Records": message.map(delivered).as_slice() }).to_string()
}

fn delivered(message: &port::Message) -> Value {
    let sent_at = message.sent_at.map(|at| json!({"SentTimestamp": (at.get() / 1_000).to_string()}));
    let attribute = |attribute: &port::Attribute| {
        let is_binary = attribute.kind.starts_with("Binary");
        let value = if is_binary { "binaryValue" } else { "stringValue" };
        let rendered = json!({value: attribute.value, "stringListValues": [], "binaryListValues": [], "dataType": attribute.kind});
        (attribute.name.clone(), rendered)
    };
    let attributes: serde_json::Map<_, _> = message.attributes.iter().map(attribute).collect();
    json!({
        "messageId": message.id,
        "receiptHandle": "",
        "body": message.body,
        "attributes": sent_at.unwrap_or_else(|| json!({})),
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_core::time::Micros;

    #[test]
    fn a_message_keeps_its_id_its_time_and_its_attributes() {
        let attribute = |name: &str, kind: &str, value: &str| port::Attribute {
            name: name.into(),
            kind: kind.into(),
            value: value.into(),
        };
        let message = port::Message {
            id: "m1".into(),
            receipt: "r".into(),
            body: "{}".into(),
            sent_at: Micros::new(1_795_179_907_250_000),
            attributes: vec![attribute("tenant", "String", "acme"), attribute("sum", "Binary.md5", "AAE=")],
        };
        let event: Value = serde_json::from_str(&delivery(Some(&message))).unwrap();
        let record = &event["Records"][0];
        assert_eq!((&record["messageId"], &record["body"]), (&json!("m1"), &json!("{}")));
        assert_eq!(record["attributes"]["SentTimestamp"], "1795179907250");
        assert_eq!(record["messageAttributes"]["tenant"]["stringValue"], "acme");
        assert_eq!(record["messageAttributes"]["sum"]["binaryValue"], "AAE=");
        assert_eq!(delivery(None), r#"{"Records":[]}"#);
    }

    #[test]
    fn dead_letters_of_both_kinds_of_streams_are_read() {
        for (info, arn) in [
            ("KinesisBatchInfo", "arn:aws:kinesis:us-east-2:123456789012:stream/raw"),
            (
                "DDBStreamBatchInfo",
                "arn:aws:dynamodb:us-east-2:123456789012:table/orders/stream/2026-11-20T12:00:00.000",
            ),
        ] {
            let message = json!({
                "requestContext": {
                    "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
                    "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:transform",
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 1,
                },
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "version": "1.0",
                "timestamp": "2026-11-14T00:38:06.021Z",
                info: {
                    "shardId": "shardId-000000000001",
                    "startSequenceNumber": "100",
                    "endSequenceNumber": "107",
                    "approximateArrivalOfFirstRecord": "2026-11-14T00:38:04.835Z",
                    "approximateArrivalOfLastRecord": "2026-11-14T00:38:05.580Z",
                    "batchSize": 8,
                    "streamArn": arn,
                },
            });
            let letter = Letter::read(&message.to_string()).unwrap();
            assert_eq!(
                (letter.start.as_str(), letter.end.as_str(), letter.shard.stream.as_str()),
                ("100", "107", arn)
            );
            assert!(letter.function.ends_with(":transform") && letter.shard.shard == "shardId-000000000001");
            assert_eq!(letter.is_of_table(), info == "DDBStreamBatchInfo");
            let event: Value = serde_json::from_str(&letter.event(&[])).unwrap();
            let given_up = json!({"shard": "shardId-000000000001", "last": "107"});
            assert_eq!(event, json!({"redriven": true, "givenUp": given_up, "Records": []}));
            let part = letter.part(&"103".into(), &"104".into());
            assert!(part.contains("RetryAttemptsExhausted") && !part.contains("batchSize"), "{part}");
            let part = Letter::read(&part).unwrap();
            assert_eq!((part.start.as_str(), part.end.as_str()), ("103", "104"));
            assert_eq!(
                serde_json::from_str::<Value>(&part.event(&[])).unwrap(),
                event,
                "it was given up with it"
            );
        }
        assert_eq!(Letter::read("hello"), None);
        assert_eq!(Letter::read("{}"), None);
    }
}
