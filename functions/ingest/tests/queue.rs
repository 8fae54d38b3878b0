//! Batches of the inbox queue.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use millrace_core::batch::Batch;
use millrace_core::decode;
use millrace_core::event::{Event, Path};
use millrace_core::guard::Guard;
use millrace_core::pipeline::{EventSettings, Pipeline};
use millrace_core::port::{Entry, Kind};
use millrace_core::record::{Record, Source};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_ingest::queue::{Deps, Tally, handle};
use millrace_sim::{Fault, Stream, VirtualClock, run};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");

fn queue(raw: Stream, event: Value) -> (Vec<Entry>, Value, Tally) {
    let now = Micros::new(1_795_179_999_000_000).unwrap();
    let event_settings = EventSettings::read(PIPELINE).unwrap();
    let deps = Deps { raw: Guard::patient("raw", raw), clock: VirtualClock::at(now), event: event_settings };
    let (response, tally) = run(handle(serde_json::from_value(event).unwrap(), now.plus_ms(5_000), &deps));
    (deps.raw.port().records(), serde_json::to_value(response).unwrap(), tally)
}

fn message(id: &str, body: &str, attributes: &Value) -> Value {
    json!({
        "messageId": id, "receiptHandle": "r", "body": body, "messageAttributes": attributes,
        "attributes": {"SentTimestamp": "1795179907250", "ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:inbox",
    })
}

fn batch(bodies: &[String]) -> Value {
    let messages: Vec<_> =
        bodies.iter().enumerate().map(|(n, body)| message(&format!("m{n}"), body, &json!({}))).collect();
    json!({ "Records": messages })
}

/// The lines of the records, and what was counted.
#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn lands(body: &str, expected: Expect) {
    let (records, response, tally) = queue(Stream::default(), batch(&[body.to_owned()]));
    assert_eq!(response, json!({"batchItemFailures": []}));
    let mut lines: Vec<_> =
        records.into_iter().map(|record| String::from_utf8(record.data).unwrap()).collect();
    lines.push(format!("in {}, out {}, unread {}", tally.r#in, tally.out, tally.unread));
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_message_is_one_event_an_array_or_lines_and_says_what_they_do_not() {
    lands(
        r#"{"eventType":"view","userId":"u1"}"#,
        expect![[r#"
        {"eventType":"view","userId":"u1","id":"m0","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        r#"{"id":"e1","eventType":"view","timestamp":"2026-11-20T13:00:00Z","receivedAt":"yesterday"}"#,
        expect![[r#"
            {"id":"e1","eventType":"view","timestamp":"2026-11-20T13:00:00Z","receivedAt":"2026-11-20T13:05:07.25Z"}
            in 1, out 1, unread 0"#]],
    );
    lands(
        r#"[{"userId":"u1"},{"userId":"u1","id":""},{"userId":"u2","id":null}]"#,
        expect![[r#"
        {"userId":"u1","id":"m0","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        {"userId":"u1","id":"m0-1","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        {"userId":"u2","id":"m0-2","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 3, out 3, unread 0"#]],
    );
    lands(
        "{\"userId\":\"u1\"}\n{\"id\":7,\"userId\":\"u1\"}\n",
        expect![[r#"
        {"userId":"u1","id":"m0","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        {"id":7,"userId":"u1","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 2, out 2, unread 0"#]],
    );
    lands("[]", expect!["in 0, out 0, unread 0"]);
}

#[test]
fn attributes_of_a_message_are_kept() {
    let attributes = json!({
        "tenant": {"stringValue": "acme", "dataType": "String", "stringListValues": [], "binaryListValues": []},
        "sum": {"binaryValue": "AAEC", "dataType": "Binary", "stringListValues": [], "binaryListValues": []},
    });
    let (records, ..) =
        queue(Stream::default(), json!({"Records": [message("m1", r#"{"id":"a"}"#, &attributes)]}));
    let event: Value = serde_json::from_slice(&records[0].data).unwrap();
    assert_eq!(event["attributes"], json!({"tenant": "acme", "sum": "AAEC"}));
}

fn notification(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:inbox", "Subject": "hello", "Message": message,
        "Timestamp": "2026-11-20T13:05:06.789Z", "SignatureVersion": "1", "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.us-east-1.amazonaws.com/x.pem", "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?x",
        "MessageAttributes": {"tenant": {"Type": "String", "Value": "acme"}},
    })
    .to_string()
}

fn bus_event(detail: &Value) -> String {
    json!({
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Order Placed",
        "source": "com.example.shop", "account": "123456789012", "time": "2026-11-20T13:05:06Z",
        "region": "us-east-1", "resources": ["arn:aws:s3:::a"], "detail": detail,
    })
    .to_string()
}

fn device_letter(payload: &[u8]) -> String {
    json!({
        "ruleName": "devices", "topic": "millrace/th-1/reading", "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
        "clientId": "th-1", "base64OriginalPayload": BASE64_STANDARD.encode(payload),
        "failures": [{"failedAction": "KinesisAction", "failedResource": "raw", "errorMessage": "Rate exceeded"}],
    })
    .to_string()
}

#[test]
fn an_envelope_is_taken_off_and_what_it_says_is_kept() {
    lands(
        &notification(r#"{"eventType":"view"}"#),
        expect![[r#"
        {"eventType":"view","id":"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324","timestamp":"2026-11-20T13:05:06.789Z","topicArn":"arn:aws:sns:us-east-1:123456789012:inbox","subject":"hello","attributes":{"tenant":"acme"},"receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        &bus_event(&json!({"orderId": "o1", "id": "mine", "source": "kept"})),
        expect![[r#"
        {"id":"mine","orderId":"o1","source":"kept","eventType":"Order Placed","timestamp":"2026-11-20T13:05:06Z","account":"123456789012","region":"us-east-1","resources":["arn:aws:s3:::a"],"receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        &bus_event(&json!({"orderId": "o1"})),
        expect![[r#"
        {"orderId":"o1","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","eventType":"Order Placed","timestamp":"2026-11-20T13:05:06Z","source":"com.example.shop","account":"123456789012","region":"us-east-1","resources":["arn:aws:s3:::a"],"receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        &notification(&bus_event(&json!({"orderId": "o1"}))),
        expect![[r#"
        {"orderId":"o1","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","eventType":"Order Placed","timestamp":"2026-11-20T13:05:06Z","topicArn":"arn:aws:sns:us-east-1:123456789012:inbox","subject":"hello","attributes":{"tenant":"acme"},"source":"com.example.shop","account":"123456789012","region":"us-east-1","resources":["arn:aws:s3:::a"],"receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        &device_letter(br#"{"celsius":20.5}"#),
        expect![[r#"
        {"celsius":20.5,"id":"m0","timestamp":"2026-11-20T13:05:07.25Z","topic":"millrace/th-1/reading","clientId":"th-1","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
}

#[test]
fn nobody_passes_for_a_webhook_that_was_verified() {
    lands(
        r#"{"id":"a","webhook":{"source":"stripe"},"timestamp":"2026-11-20T13:05:00Z"}"#,
        expect![[r#"
            {"id":"a","timestamp":"2026-11-20T13:05:00Z","receivedAt":"2026-11-20T13:05:07.25Z"}
            in 1, out 1, unread 0"#]],
    );
}

/// `transform` reads again what was not read here, and finds none either: not where a step makes the id that is wrong here.
#[test]
fn nobody_passes_for_one_in_what_cannot_be_read() {
    let claim = r#"{"id":"x","webhook":{"source":"stripe"}}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(claim.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    // A frame of one block that is not compressed.
    let size = u8::try_from(claim.len()).unwrap();
    let zstd =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, size, (size << 3) | 1, size >> 5, 0], claim.as_bytes()].concat();
    for body in [
        r#"{"id":1.5,"webhook":{"source":"stripe"}}"#.to_owned(),
        r#"{"id":[],"\u0077ebhook":{"source":"stripe"},"a":"\u0062"}"#.to_owned(),
        format!("[[{claim}]]"),
        format!("{{}}\n[{claim}]"),
        format!("{{}}\n[1],{claim}"),
        format!("{{}}\n [ {claim} ]"),
        format!("[{claim}"),
        format!("{{}}\n\u{feff}[{claim}]"),
        format!("{{}}\n\u{feff} {claim}"),
        format!("{{}}\n\u{feff}\u{feff}[{claim}]"),
        format!("{{}}\n\u{feff} \u{feff}{claim}"),
        device_letter(&gzip),
        device_letter(&[b"{}\n", gzip.as_slice()].concat()),
        device_letter(&zstd),
        device_letter(&[b"{}\n", zstd.as_slice()].concat()),
        device_letter(claim.as_bytes()),
        bus_event(&json!({"id": 1.5, "webhook": {"source": "stripe"}})),
        notification(&format!("[[{claim}]]")),
    ] {
        let (records, ..) = queue(Stream::default(), batch(std::slice::from_ref(&body)));
        assert!(!records.is_empty(), "{body}");
        for Entry { data, .. } in records {
            let (mut room, mut event) = (Vec::new(), Event::default());
            for payload in decode::unpack(&data, &mut room).unwrap() {
                for piece in payload.pieces.into_iter().flatten() {
                    let claims = decode::event(piece, &mut event).is_ok()
                        && event.get(&Path::from_key("webhook")).is_some();
                    assert!(!claims, "{body} {}", String::from_utf8_lossy(piece));
                }
            }
        }
    }
}

#[test]
fn what_looks_a_bit_like_an_envelope_is_an_event() {
    lands(
        r#"{"Type":"Notification","MessageId":"1","Message":"x","TopicArn":"my topic","Timestamp":"t"}"#,
        expect![[r#"
            {"Type":"Notification","MessageId":"1","Message":"x","TopicArn":"my topic","Timestamp":"t","id":"m0","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
            in 1, out 1, unread 0"#]],
    );
    lands(
        r#"{"version":"0","id":"1","detail-type":"a","source":"b","detail":{}}"#,
        expect![[r#"
        {"version":"0","id":"1","detail-type":"a","source":"b","detail":{},"timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
    lands(
        &device_letter(b"hello").replace("aGVsbG8=", "ann@example.com"),
        expect![[r#"
        {"base64OriginalPayload":"ann@example.com","clientId":"th-1","cloudwatchTraceId":"7e146a2c-95b5-6caf-98b9-50e3969734c7","failures":[{"errorMessage":"Rate exceeded","failedAction":"KinesisAction","failedResource":"raw"}],"ruleName":"devices","topic":"millrace/th-1/reading","id":"m0","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 1, out 1, unread 0"#]],
    );
}

#[test]
fn what_cannot_be_read_goes_as_it_came_for_the_quarantine() {
    lands(
        "ann@example.com",
        expect![[r#"
        ann@example.com
        in 1, out 1, unread 1"#]],
    );
    lands(" ", expect![" \nin 1, out 1, unread 1"]);
    lands(
        r#"[{"id":"a"},{"id":"#,
        expect![[r#"
        [{"id":"a"},{"id":
        in 1, out 1, unread 1"#]],
    );
    lands(
        "{\"id\":\"a\"}\noops\n{\"id\":1.5}\n[1]",
        expect![[r#"
        oops
        {"id":1.5}
        [[1]]
        {"id":"a","timestamp":"2026-11-20T13:05:07.25Z","receivedAt":"2026-11-20T13:05:07.25Z"}
        in 4, out 4, unread 3"#]],
    );
    lands(
        &notification("hello"),
        expect![[r#"
        hello
        in 1, out 1, unread 1"#]],
    );
    lands(
        &device_letter(b"hello"),
        expect![[r#"
        hello
        in 1, out 1, unread 1"#]],
    );
}

#[test]
fn the_quarantine_tells_why() {
    let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
    let mut pipeline = Pipeline::compile(bare, &millrace_core::files::NONE).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
    let arrived_at = Micros::new(1_795_179_908_000_000).unwrap();
    for (body, reason) in [
        ("ann@example.com".to_owned(), "not_json"),
        ("\u{feff}".to_owned(), "empty"),
        (" ".to_owned(), "empty"),
        (r#"[{"id":"a"},{"id":"#.to_owned(), "not_json"),
        ("7".to_owned(), "not_an_object"),
        (r#"{"id":1.5,"t":"x","at":1573841100}"#.to_owned(), "no_id"),
        (r#"{"id":{},"t":"x","at":1573841100}"#.to_owned(), "no_id"),
        ("{\"a\":".repeat(500), "too_deep"),
        ("0\n".repeat(100_001), "too_many_events"),
        (device_letter(&[0xff]), "not_utf8"),
        (notification("hello"), "not_json"),
        // Events, but for what the pipeline wants.
        (bus_event(&json!({"t": 7})), "no_type"),
        (r#"{"at":"soon","t":"x"}"#.to_owned(), "no_time"),
    ] {
        let (records, response, _) = queue(Stream::default(), batch(std::slice::from_ref(&body)));
        assert_eq!(response, json!({"batchItemFailures": []}));
        let mut batch = Batch::default();
        let records = records.iter().map(|entry| Record { sequence: "1", arrived_at, data: &entry.data });
        batch.begin(&mut pipeline, &key, &source).records(records);
        let reasons: Vec<_> = batch.take_rejects().into_iter().map(|entry| entry.reject.reason).collect();
        assert_eq!(reasons, [reason], "{}", &body[..body.len().min(60)]);
    }
}

#[test]
fn bytes_of_a_device_go_as_they_came() {
    let (records, _, tally) = queue(Stream::default(), batch(&[device_letter(&[0xff, 0, 7])]));
    assert_eq!(
        (records[0].data.as_slice(), records[0].partition_key.as_str()),
        ([0xff, 0, 7].as_slice(), "th-1")
    );
    assert_eq!(tally, Tally { r#in: 1, out: 1, unread: 1 });
}

#[test]
fn a_message_that_comes_twice_makes_the_same_record() {
    let event = batch(&[r#"[{"userId":"u1"},{"userId":"u2"}]"#.to_owned()]);
    let (first, ..) = queue(Stream::default(), event.clone());
    let (second, ..) = queue(Stream::default(), event);
    assert_eq!(first, second);
    assert_eq!(first.len(), 2);
}

#[test]
fn what_kinesis_refuses_stays_in_the_queue_and_the_rest_does_not() {
    let event = batch(&["a", "b", "c"].map(|id| json!({"id": id}).to_string()));
    let faults = std::iter::once(Fault::Throttles(vec![1])).chain(vec![Fault::Throttles(vec![0]); 1000]);
    let (records, response, tally) = queue(Stream::failing(faults), event.clone());
    assert_eq!((records.len(), response), (2, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]})));
    assert_eq!(tally, Tally { r#in: 3, out: 2, unread: 0 });
    let (_, response, tally) = queue(Stream::failing([Fault::Fails(Kind::Permanent)]), event);
    assert_eq!(response["batchItemFailures"].as_array().map(Vec::len), Some(3));
    assert_eq!(tally, Tally { r#in: 3, out: 0, unread: 0 });
}

#[test]
fn the_largest_message_fits_a_record() {
    // Of all that a message may hold this is about the worst for gzip.
    let mut state = 7_u64;
    let mut text = String::new();
    while text.len() < 1_048_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b' ' + u8::try_from((state >> 33) % 95).unwrap()));
    }
    let text = text.replace(['"', '\\'], "_");
    for (body, unread) in [(json!({"id": "a", "text": text}).to_string(), 0), (text.clone(), 1)] {
        let (records, _, tally) = queue(Stream::default(), batch(std::slice::from_ref(&body)));
        assert_eq!(tally, Tally { r#in: 1, out: 1, unread });
        assert!(records.len() == 1 && records[0].data.len() < 1_000_000, "{}", records[0].data.len());
        let mut plain = String::new();
        GzDecoder::new(records[0].data.as_slice()).read_to_string(&mut plain).unwrap();
        assert!(plain.contains(&text));
    }
}

#[test]
fn the_sample_is_a_message_a_notification_and_an_event_of_the_bus() {
    let sample = serde_json::from_str(include_str!("../../../events/queue.json")).unwrap();
    let (records, response, tally) = queue(Stream::default(), sample);
    assert_eq!((response, tally), (json!({"batchItemFailures": []}), Tally { r#in: 3, out: 3, unread: 0 }));
    assert_eq!(records.len(), 3);
}

#[test]
fn the_sample_of_a_device_is_the_letter_of_a_rule_whose_action_failed() {
    let sample = serde_json::from_str(include_str!("../../../events/queue-device.json")).unwrap();
    let (records, response, tally) = queue(Stream::default(), sample);
    assert_eq!((response, tally), (json!({"batchItemFailures": []}), Tally { r#in: 1, out: 1, unread: 0 }));
    let Entry { partition_key, data } = &records[0];
    expect![[r#"th-0001 {"id":"r1","eventType":"reading","timestamp":1795179900000,"celsius":20.5,"topic":"millrace/th-0001/reading","clientId":"th-0001","receivedAt":"2026-11-20T13:05:07.25Z"}"#]]
        .assert_eq(&format!("{partition_key} {}", std::str::from_utf8(data).unwrap()));
}

/// A dead letter of a rule has attributes that say why it could not be delivered. `redrive` hands it over with them.
#[test]
fn what_a_dead_letter_of_a_bus_says_of_its_delivery_is_not_the_events() {
    let attributes = json!({
        "ERROR_CODE": {"stringValue": "NO_PERMISSIONS", "dataType": "String", "stringListValues": [], "binaryListValues": []},
        "RULE_ARN": {"stringValue": "arn:aws:events:us-east-1:123456789012:rule/inbox", "dataType": "String", "stringListValues": [], "binaryListValues": []},
    });
    let body = bus_event(&json!({"orderId": "o1"}));
    let (records, ..) = queue(Stream::default(), json!({"Records": [message("m1", &body, &attributes)]}));
    let event: Value = serde_json::from_slice(&records[0].data).unwrap();
    assert_eq!((&event["attributes"], &event["source"]), (&Value::Null, &json!("com.example.shop")));
}
