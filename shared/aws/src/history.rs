//! What streams still hold: Kinesis' and tables'.

use crate::failed;
use crate::source::name_of;
use aws_sdk_dynamodbstreams::primitives::DateTime;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue, OperationType, Record as Change, ShardIteratorType as OfTable, StreamViewType,
};
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_types::SdkConfig;
use base64_simd::STANDARD;
use millrace_core::port::{Begin, Error, Kept, Kind, ReadAgain, Shard};
use millrace_core::record::Sequence;
use millrace_core::time::Micros;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// How many pages in a row may be empty though the stream says that there is more. AWS says that it might take several, and not
/// how many. With their pauses so many take a minute, of the fourteen that `redrive` has for all letters: one that points into
/// a gap without an end waits for the next run, and the letters behind it do not.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>
const EMPTY_MAX: usize = 250;

/// How long to wait behind an empty page: a shard of Kinesis lets itself be read five times a second, by all together.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const EMPTY_PAUSE: Duration = Duration::from_millis(250);

/// The streams of this account.
#[derive(Debug, Clone)]
pub struct History {
    kinesis: aws_sdk_kinesis::Client,
    tables: aws_sdk_dynamodbstreams::Client,
    pause: Duration,
}

impl History {
    /// All streams.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            kinesis: aws_sdk_kinesis::Client::new(config),
            tables: aws_sdk_dynamodbstreams::Client::new(config),
            pause: EMPTY_PAUSE,
        }
    }

    async fn of_kinesis(&self, shard: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let what = || format!("read the shard {} of {} again", shard.shard, shard.stream);
        let (kind, from) = match begin {
            Begin::At(from) => (ShardIteratorType::AtSequenceNumber, from),
            Begin::After(from) => (ShardIteratorType::AfterSequenceNumber, from),
        };
        let call =
            self.kinesis.get_shard_iterator().stream_name(name_of(&shard.stream)).shard_id(&shard.shard);
        let answer = call.shard_iterator_type(kind).starting_sequence_number(from.as_str()).send().await;
        let mut iterator = match answer.map_err(SdkError::into_service_error) {
            Ok(answer) => answer.shard_iterator,
            // A shard that was split or merged goes when all that it held is forgotten, and a stream that was made anew
            // has none of the old numbers.
            Err(error)
                if error.is_resource_not_found_exception() || error.is_invalid_argument_exception() =>
            {
                None
            }
            Err(error) => return Err(failed(what(), error)),
        };
        for _ in 0..EMPTY_MAX {
            let Some(next) = iterator.take() else { return Ok(Vec::new()) };
            let call = self.kinesis.get_records().stream_arn(&shard.stream).shard_iterator(next);
            let answer = call.limit(1_000).send().await;
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            if !answer.records().is_empty() {
                return Ok(answer.records.into_iter().map(kept).collect());
            }
            if answer.millis_behind_latest() == Some(0) {
                return Ok(Vec::new());
            }
            iterator = answer.next_shard_iterator;
            tokio::time::sleep(self.pause).await;
        }
        Err(endless(&what()))
    }

    async fn of_table(&self, shard: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let what = || format!("read the shard {} of {} again", shard.shard, shard.stream);
        let (kind, from) = match begin {
            Begin::At(from) => (OfTable::AtSequenceNumber, from),
            Begin::After(from) => (OfTable::AfterSequenceNumber, from),
        };
        let call = self.tables.get_shard_iterator().stream_arn(&shard.stream).shard_id(&shard.shard);
        let there = call.clone().shard_iterator_type(kind).sequence_number(from.as_str());
        let answer = match there.send().await.map_err(SdkError::into_service_error) {
            Err(error) if error.is_trimmed_data_access_exception() => {
                let horizon = call.shard_iterator_type(OfTable::TrimHorizon).send().await;
                horizon.map_err(SdkError::into_service_error)
            }
            answer => answer,
        };
        let mut iterator = match answer {
            Ok(answer) => answer.shard_iterator,
            Err(error) if error.is_resource_not_found_exception() => None,
            Err(error) => return Err(failed(what(), error)),
        };
        for _ in 0..EMPTY_MAX {
            let Some(next) = iterator.take() else { return Ok(Vec::new()) };
            let answer = self.tables.get_records().shard_iterator(next).limit(1_000).send().await;
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            if !answer.records().is_empty() {
                return Ok(answer
                    .records()
                    .iter()
                    .map(|change| change_kept(change, &shard.stream))
                    .collect());
            }
            iterator = answer.next_shard_iterator;
            tokio::time::sleep(self.pause).await;
        }
        Err(endless(&what()))
    }
}

/// Nobody knows whether there is more: a letter that ended here might lose what it points to.
fn endless(what: &str) -> Error {
    Error {
        what: format!("{what}: {EMPTY_MAX} pages in a row are empty"),
        kind: Kind::Permanent, // it is no use to ask again at once
        source: None,
    }
}

impl ReadAgain for History {
    async fn read(&self, shard: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        if shard.stream.contains(":dynamodb:") {
            Box::pin(self.of_table(shard, begin)).await
        } else {
            Box::pin(self.of_kinesis(shard, begin)).await
        }
    }
}

fn kept(record: aws_sdk_kinesis::types::Record) -> Kept {
    let arrived_at = record.approximate_arrival_timestamp.and_then(|at| micros(at.as_secs_f64()));
    Kept {
        sequence: record.sequence_number.into(),
        arrived_at: arrived_at.unwrap_or_default(),
        partition_key: record.partition_key.unwrap_or_default(),
        data: record.data.into_inner(),
    }
}

fn micros(seconds: f64) -> Option<Micros> {
    Micros::read_number(seconds)
}

/// A change of a table as Lambda hands it over.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
fn change_kept(change: &Change, arn: &str) -> Kept {
    let detail = change.dynamodb();
    let sequence = detail.and_then(|detail| detail.sequence_number()).unwrap_or_default();
    let at = detail.and_then(|detail| detail.approximate_creation_date_time()).map(DateTime::as_secs_f64);
    let mut dynamodb = Map::new();
    if let Some(detail) = detail {
        let images =
            [("Keys", detail.keys()), ("NewImage", detail.new_image()), ("OldImage", detail.old_image())];
        for (name, image) in images {
            if let Some(image) = image {
                dynamodb.insert(name.into(), attributes(image));
            }
        }
        dynamodb.insert("SequenceNumber".into(), sequence.into());
        dynamodb.insert("ApproximateCreationDateTime".into(), json!(at));
        dynamodb.insert("SizeBytes".into(), json!(detail.size_bytes()));
        dynamodb
            .insert("StreamViewType".into(), json!(detail.stream_view_type().map(StreamViewType::as_str)));
    }
    let mut record = json!({
        "eventID": change.event_id(),
        "eventName": change.event_name().map(OperationType::as_str),
        "eventVersion": change.event_version(),
        "eventSource": "aws:dynamodb",
        "awsRegion": change.aws_region(),
        "dynamodb": dynamodb,
        "eventSourceARN": arn,
    });
    if let (Some(who), Some(record)) = (change.user_identity(), record.as_object_mut()) {
        let who = json!({"principalId": who.principal_id(), "type": who.r#type()});
        record.insert("userIdentity".into(), who);
    }
    Kept {
        sequence: Sequence::from(sequence),
        arrived_at: at.and_then(micros).unwrap_or_default(),
        partition_key: String::new(),
        data: record.to_string().into_bytes(),
    }
}

fn attributes(image: &HashMap<String, AttributeValue>) -> Value {
    image.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &AttributeValue) -> Value {
    let base64 = |bytes: &[u8]| STANDARD.encode_to_string(bytes);
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(digits) => json!({"N": digits}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::B(bytes) => json!({"B": base64(bytes.as_ref())}),
        AttributeValue::M(map) => json!({"M": attributes(map)}),
        AttributeValue::L(items) => json!({"L": items.iter().map(attribute).collect::<Vec<_>>()}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        AttributeValue::Bs(sets) => {
            json!({"BS": sets.iter().map(|bytes| base64(bytes.as_ref())).collect::<Vec<_>>()})
        }
        _ => json!({"NULL": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Env;
    use aws_sdk_dynamodbstreams::primitives::Blob;
    use aws_sdk_dynamodbstreams::types::StreamRecord;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn a_change_is_what_lambda_hands_over() {
        let image = HashMap::from([
            ("orderId".to_owned(), AttributeValue::S("o-1".into())),
            ("b".to_owned(), AttributeValue::B(Blob::new([0, 1]))),
        ]);
        let detail = StreamRecord::builder()
            .sequence_number("100000000000000000001")
            .approximate_creation_date_time(DateTime::from_secs(1_795_179_908))
            .set_new_image(Some(image));
        let change =
            Change::builder().event_id("e1").event_name(OperationType::Insert).dynamodb(detail.build());
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000";
        let kept = change_kept(&change.build(), arn);
        assert_eq!(
            (kept.sequence.as_str(), kept.arrived_at.get()),
            ("100000000000000000001", 1_795_179_908_000_000)
        );
        let told: Value = serde_json::from_slice(&kept.data).unwrap();
        assert_eq!((&told["eventName"], &told["eventSourceARN"]), (&json!("INSERT"), &json!(arn)));
        assert_eq!(told["dynamodb"]["NewImage"], json!({"orderId": {"S": "o-1"}, "b": {"B": "AAE="}}));
        assert_eq!(told["dynamodb"]["ApproximateCreationDateTime"], json!(1_795_179_908.0));
    }

    /// Streams that a server of this test answers for: it gets what is asked, and says the status and the body.
    fn streams(answer: impl Fn(Value) -> (u16, Value) + Send + 'static) -> History {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut connection, _)) = listener.accept() {
                let mut asked = BufReader::new(&connection);
                let (mut line, mut length) = (String::new(), 0);
                while asked.read_line(&mut line).unwrap() > 2 {
                    let line = std::mem::take(&mut line).to_ascii_lowercase();
                    length =
                        line.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                }
                let mut body = vec![0; length];
                asked.read_exact(&mut body).unwrap();
                let (status, body) = answer(serde_json::from_slice(&body).unwrap());
                let body = body.to_string();
                let head = "content-type: application/x-amz-json-1.1\r\nconnection: close";
                write!(
                    connection,
                    "HTTP/1.1 {status} .\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        let mut env = Env::new(move |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some(url.clone()),
            "AWS_REGION" => Some("us-east-1".to_owned()),
            _ => Some("key".to_owned()),
        });
        History { pause: Duration::ZERO, ..History::new(&crate::clients::config(&mut env)) }
    }

    const KINESIS: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/raw";
    const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000";

    fn read(history: &History, stream: &str) -> Result<Vec<Kept>, Error> {
        let shard = Shard { stream: stream.into(), shard: "shardId-000000000001".into() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(history.read(&shard, Begin::At(&"100".into())))
    }

    #[test]
    fn what_is_gone_with_its_shard_is_forgotten() {
        for code in ["ResourceNotFoundException", "InvalidArgumentException"] {
            let gone = streams(move |_| (400, json!({"__type": code, "message": "no such shard"})));
            assert_eq!(read(&gone, KINESIS).unwrap(), [], "{code}");
        }
        let gone = streams(|_| (400, json!({"__type": "ResourceNotFoundException"})));
        assert_eq!(read(&gone, TABLE).unwrap(), []);
        let denied = streams(|_| (400, json!({"__type": "AccessDeniedException"})));
        assert!(read(&denied, KINESIS).is_err() && read(&denied, TABLE).is_err());
    }

    /// A shard with so many empty pages before its one record.
    fn sparse(pages: usize) -> History {
        let left = AtomicUsize::new(pages);
        streams(move |asked| {
            if asked["ShardIteratorType"].is_string() {
                return (200, json!({"ShardIterator": "next"}));
            }
            if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                return (200, json!({"Records": [], "NextShardIterator": "next", "MillisBehindLatest": 7}));
            }
            let change = json!({"SequenceNumber": "101"});
            let record =
                json!({"SequenceNumber": "101", "Data": "", "PartitionKey": "k", "dynamodb": change});
            (200, json!({"Records": [record], "NextShardIterator": "next", "MillisBehindLatest": 7}))
        })
    }

    #[test]
    fn empty_pages_are_not_the_end_of_a_shard() {
        for stream in [KINESIS, TABLE] {
            let found = read(&sparse(80), stream).unwrap();
            assert_eq!(found.iter().map(|kept| kept.sequence.as_str()).collect::<Vec<_>>(), ["101"]);
            let error = read(&sparse(usize::MAX), stream).unwrap_err();
            assert!(error.to_string().contains("empty"), "{error}");
        }
        let end = streams(|asked| match &asked["ShardIteratorType"] {
            Value::String(_) => (200, json!({"ShardIterator": "next"})),
            _ => (200, json!({"Records": [], "MillisBehindLatest": 7})),
        });
        assert!(read(&end, KINESIS).unwrap().is_empty() && read(&end, TABLE).unwrap().is_empty());
    }
}
