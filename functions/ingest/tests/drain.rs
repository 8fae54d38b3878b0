//! Batches of the spill queue.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::guard::Guard;
use millrace_core::port::Kind;
use millrace_core::time::Micros;
use millrace_ingest::drain::{Deps, Tally, handle};
use millrace_sim::{Fault, Stream, VirtualClock, run};
use serde_json::{Value, json};

fn drain(raw: Stream, event: Value) -> (Stream, Value, Tally) {
    let now = Micros::new(1_573_841_200_000_000).unwrap();
    let deps = Deps { raw: Guard::patient("raw", raw), clock: VirtualClock::at(now) };
    let (response, tally) = run(handle(serde_json::from_value(event).unwrap(), now.plus_ms(5_000), &deps));
    (deps.raw.into_port(), serde_json::to_value(response).unwrap(), tally)
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
    let event = |order: [i64; 2]| {
        let body = json!({"order": order, "records": [{
            "partitionKey": "k", "data": BASE64_STANDARD.encode(format!(r#"{{"id":"{}-{}"}}"#, order[0], order[1])),
        }]});
        json!({"messageId": format!("{order:?}"), "body": body.to_string()})
    };
    let messages = [event([20, 0]), event([10, 1]), event([10, 0])];
    let (raw, ..) = drain(Stream::default(), json!({ "Records": messages }));
    let ids: Vec<_> =
        raw.records().iter().map(|record| String::from_utf8(record.data.clone()).unwrap()).collect();
    assert_eq!(ids, [r#"{"id":"10-0"}"#, r#"{"id":"10-1"}"#, r#"{"id":"20-0"}"#]);
}
