//! Batches of the spill queue.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::guard::Guard;
use millrace_core::port::Kind;
use millrace_core::time::Micros;
use millrace_ingest::drain::{Deps, Tally, handle};
use millrace_sim::{Fault, Messages, Stream, VirtualClock, run};
use serde_json::{Value, json};

fn drain(raw: Stream, event: Value) -> (Stream, Value, Tally) {
    let (raw, _, response, tally) = drain_with(raw, Messages::default(), event);
    (raw, response, tally)
}

fn drain_with(raw: Stream, spill: Messages, event: Value) -> (Stream, Messages, Value, Tally) {
    let now = Micros::new(1_573_841_200_000_000).unwrap();
    let clock = VirtualClock::at(now);
    let deps = Deps { raw: Guard::patient("raw", raw), spill: Guard::patient("spill", spill), clock };
    let (response, tally) = run(handle(serde_json::from_value(event).unwrap(), now.plus_ms(9_000), &deps));
    (deps.raw.into_port(), deps.spill.into_port(), serde_json::to_value(response).unwrap(), tally)
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../events/drain.json")).unwrap()
}

#[test]
fn spilled_records_go_back_as_they_were() {
    let (raw, response, tally) = drain(Stream::default(), sample());
    assert_eq!((response, tally), (json!({"batchItemFailures": []}), Tally { r#in: 2, out: 2 }));
    let record = &raw.records()[0];
    assert!(record.partition_key == "a1b2c3d4e5f60718" && record.data.starts_with(b"{\"id\":\"e-1001\""));
}

#[test]
fn what_kinesis_still_refuses_stays_in_the_queue() {
    let (_, response, tally) = drain(Stream::failing(vec![Fault::Fails(Kind::Transient); 1000]), sample());
    assert_eq!(
        response,
        json!({"batchItemFailures": [{"itemIdentifier": "059f36b4-87a3-44ab-83d2-661975830a7d"}]})
    );
    assert_eq!(tally, Tally { r#in: 2, out: 0 });
}

#[test]
fn a_message_that_is_not_ours_holds_nothing_up() {
    let mut event = sample();
    let mut stranger = event["Records"][0].clone();
    stranger["messageId"] = json!("stranger");
    stranger["body"] = json!("hello");
    event["Records"].as_array_mut().unwrap().insert(0, stranger);
    let (raw, response, _) = drain(Stream::default(), event);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "stranger"}]}));
    assert_eq!(raw.records().len(), 1);
}

#[test]
fn when_kinesis_is_down_the_other_messages_wait_untried() {
    let mut event = sample();
    let mut second = event["Records"][0].clone();
    second["messageId"] = json!("second");
    event["Records"].as_array_mut().unwrap().push(second);
    let (raw, response, _) = drain(Stream::failing([Fault::Fails(Kind::Permanent)]), event);
    assert_eq!((raw.calls().len(), response["batchItemFailures"].as_array().map(Vec::len)), (1, Some(2)));
}

#[test]
fn what_came_first_goes_first() {
    let messages = [spilled([20, 0], 1), spilled([10, 1], 1), spilled([10, 0], 1)];
    let (raw, ..) = drain(Stream::default(), json!({ "Records": messages }));
    assert_eq!(ids(&raw), [r#"{"id":"10-0-0"}"#, r#"{"id":"10-1-0"}"#, r#"{"id":"20-0-0"}"#]);
}

/// A message of so many records.
fn spilled(order: [i64; 2], records: usize) -> Value {
    let id = |n| format!(r#"{{"id":"{}-{}-{n}"}}"#, order[0], order[1]);
    let record = |n| json!({"partitionKey": "k", "data": BASE64_STANDARD.encode(id(n))});
    let body = json!({"order": order, "records": (0..records).map(record).collect::<Vec<_>>()});
    json!({"messageId": format!("{order:?}"), "body": body.to_string()})
}

fn ids(raw: &Stream) -> Vec<String> {
    raw.records().iter().map(|record| String::from_utf8(record.data.clone()).unwrap()).collect()
}

/// One shard has no room for long, another one takes its records at once.
fn half_full() -> Stream {
    Stream::failing(std::iter::once(Fault::Throttles(vec![1])).chain(vec![Fault::Throttles(vec![0]); 1000]))
}

#[test]
fn what_went_through_of_a_message_is_not_put_again() {
    let event = json!({"Records": [spilled([10, 0], 2), spilled([20, 0], 1)]});
    let (raw, spill, response, tally) = drain_with(half_full(), Messages::default(), event);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "[20, 0]"}]}));
    assert_eq!((ids(&raw), tally), (vec![r#"{"id":"10-0-0"}"#.to_owned()], Tally { r#in: 2, out: 1 }));

    let [rest] = spill.sent().try_into().unwrap();
    let again = json!({"Records": [spilled([20, 0], 1), {"messageId": "rest", "body": rest}]});
    let (raw, response, _) = drain(Stream::default(), again);
    assert_eq!(response, json!({"batchItemFailures": []}));
    assert_eq!(ids(&raw), [r#"{"id":"10-0-1"}"#, r#"{"id":"20-0-0"}"#], "in the place of the message");
}

#[test]
fn a_rest_that_the_queue_refuses_stays_in_its_message() {
    let event = json!({"Records": [spilled([10, 0], 2)]});
    let spill = Messages::failing(vec![Fault::Fails(Kind::Transient); 1000]);
    let (_, spill, response, tally) = drain_with(half_full(), spill, event);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "[10, 0]"}]}));
    assert_eq!((spill.sent().len(), tally), (0, Tally { r#in: 2, out: 0 }));
}
