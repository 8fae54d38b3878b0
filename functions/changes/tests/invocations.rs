//! Whole invocations of `changes`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect;
use millrace_changes::handle;
use millrace_core::account::Tally;
use millrace_core::batch::Batch;
use millrace_core::frame;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::Kind;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_core::window::Forgetful;
use millrace_sim::{Fault, Store, Stream, VirtualClock, run};
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];

fn invoke(clean: Stream, event: Value) -> (Stream, Value, Tally) {
    let (clean, _, response, tally) = invoke_all(clean, event);
    (clean, response, tally)
}

fn invoke_all(clean: Stream, event: Value) -> (Stream, Store, Value, Tally) {
    let now = Micros::new(1_573_841_200_000_000).unwrap();
    let mut transformer = Transformer {
        function: "changes",
        clean: Guard::patient("clean", clean),
        quarantine: Guard::patient("quarantine", Store::default()),
        memory: Forgetful,
        clock: VirtualClock::at(now),
        pipeline: Pipeline::compile(PIPELINE, &FILES).unwrap(),
        keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
        batch: Batch::default(),
    };
    let (response, counts) =
        run(handle(&serde_json::from_value(event).unwrap(), "orders", now.plus_ms(5_000), &mut transformer));
    let (clean, quarantine) = (transformer.clean.into_port(), transformer.quarantine.into_port());
    (clean, quarantine, serde_json::to_value(response).unwrap(), counts.tally)
}

fn events(clean: &Stream) -> Vec<Value> {
    let mut reader = frame::Reader::default();
    let read = |data: &[u8]| {
        let (_, body) = reader.read(data).unwrap();
        body.events().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    clean.records().iter().map(|record| record.data.as_slice()).flat_map(read).collect()
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../events/changes.json")).unwrap()
}

#[test]
fn each_change_becomes_an_event_and_is_anonymized_like_any() {
    let (clean, response, tally) = invoke(Stream::default(), sample());
    assert_eq!((response, tally.r#in, tally.out), (json!({"batchItemFailures": []}), 3, 3));
    let records = clean.records();
    let mut reader = frame::Reader::default();
    let (header, body) = reader.read(&records[0].data).unwrap();
    assert!(header.scattered, "shards that nobody tells of share the lane");
    let events: Vec<_> = body.events().collect();
    expect![[r#"
        millrace-orders/2026-11-20T12-00-00.000
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"new","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758491","eventType":"orders.insert","timestamp":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","event":"insert","keys":["orderId"],"sequence":"100000000000000000001","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"paid","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758492","eventType":"orders.modify","timestamp":1795179909000000,"receivedAt":1795179909000000,"change":{"attributes":"new","changed":["status"],"event":"modify","keys":["orderId"],"sequence":"100000000000000000002","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"paid","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758493","eventType":"orders.remove","timestamp":1795179910000000,"receivedAt":1795179910000000,"change":{"attributes":"old","event":"remove","keys":["orderId"],"sequence":"100000000000000000003","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}"#]].assert_eq(&format!("{}\n{}", header.lane, events.join("\n")));
}

#[test]
fn attributes_in_the_place_of_the_events_own_move_aside() {
    let mut event = sample();
    event["Records"][0]["dynamodb"]["NewImage"]["id"] = json!({"S": "mine"});
    event["Records"][0]["dynamodb"]["NewImage"]["change"] = json!({"S": "mine too"});
    let (clean, ..) = invoke(Stream::default(), event);
    let event = events(&clean).remove(0);
    assert_eq!(event["change"]["image"], json!({"id": "mine", "change": "mine too"}));
    assert_eq!(event["id"], json!("c4ca4238a0b923820dcc509a6f758491"));
}

/// What each kind of stream shows of an insert, an update and a removal: `change.attributes`, and whether it has a price.
#[test]
fn each_kind_of_stream_says_what_it_shows() {
    for (view, shown) in [
        ("NEW_AND_OLD_IMAGES", [("new", true), ("new", true), ("old", true)]),
        ("NEW_IMAGE", [("new", true), ("new", true), ("keys", false)]),
        ("OLD_IMAGE", [("keys", false), ("old", true), ("old", true)]),
        ("KEYS_ONLY", [("keys", false); 3]),
    ] {
        let mut event = sample();
        for record in event["Records"].as_array_mut().unwrap() {
            let change = record["dynamodb"].as_object_mut().unwrap();
            change.insert("StreamViewType".into(), view.into());
            change.retain(|name, _| match name.as_str() {
                "NewImage" => view.starts_with("NEW"),
                "OldImage" => view.contains("OLD"),
                _ => true,
            });
        }
        let (clean, _, tally) = invoke(Stream::default(), event);
        assert_eq!((tally.r#in, tally.out), (3, 3), "{view}");
        let found = events(&clean);
        let found: Vec<_> = found
            .iter()
            .map(|event| (event["change"]["attributes"].as_str().unwrap(), event["price"].is_number()))
            .collect();
        assert_eq!(found, shown, "{view}");
        let changed = events(&clean)[1]["change"]["changed"].clone();
        assert_eq!(
            changed,
            if view == "NEW_AND_OLD_IMAGES" { json!(["status"]) } else { Value::Null },
            "{view}"
        );
    }
}

#[test]
fn what_is_no_change_goes_to_the_quarantine_whole_and_the_rest_goes_on() {
    let mut event = sample();
    event["Records"][0]["dynamodb"]["NewImage"]["price"] = json!({"N": "dear"});
    event["Records"][1]["dynamodb"] = json!(null);
    event["Records"].as_array_mut().unwrap().push(json!("nothing at all"));
    let (clean, quarantine, response, tally) = invoke_all(Stream::default(), event.clone());
    assert_eq!(response, json!({"batchItemFailures": []}));
    assert_eq!((tally.r#in, tally.out, tally.quarantined), (4, 1, 3));
    assert_eq!(events(&clean)[0]["eventType"], "orders.remove");
    let (_, page) = quarantine.objects().pop_first().unwrap();
    let mut room = Vec::new();
    let page = String::from_utf8(millrace_core::decode::inflate(&page, &mut room).unwrap().to_vec()).unwrap();
    let lines: Vec<Value> = page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, record) in lines.iter().zip([0, 1, 3]) {
        assert_eq!(line["reason"], "no_change");
        assert_eq!(line["payload"].as_str().unwrap(), event["Records"][record].to_string());
    }
    assert_eq!(lines[0]["source"]["sequence"], "100000000000000000001");
}

#[test]
fn what_the_tables_clock_deletes_is_an_event_of_its_own_kind() {
    let mut event = sample();
    event["Records"][2]["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    let (clean, ..) = invoke(Stream::default(), event);
    let expired = events(&clean).remove(2);
    assert_eq!(
        (&expired["eventType"], &expired["change"]["event"]),
        (&json!("orders.expire"), &json!("expire"))
    );
}

/// The table's clock is AWS's, and a change has no other time: what a pipeline thinks of it, it has to say.
#[test]
fn a_change_from_far_ahead_keeps_its_time_and_a_time_that_is_none_does_not_stop_the_rest() {
    let mut event = sample();
    event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = json!(4_102_444_800_i64); // 2100
    event["Records"][1]["dynamodb"]["ApproximateCreationDateTime"] = json!(1e30);
    let (clean, quarantine, response, tally) = invoke_all(Stream::default(), event);
    assert_eq!(response, json!({"batchItemFailures": []}));
    assert_eq!((tally.r#in, tally.out, tally.quarantined), (3, 2, 1));
    let found = events(&clean);
    let times: Vec<_> = found.iter().map(|event| (&event["eventType"], &event["timestamp"])).collect();
    assert_eq!(
        times,
        [
            (&json!("orders.insert"), &json!(4_102_444_800_000_000_i64)),
            (&json!("orders.remove"), &json!(1_795_179_910_000_000_i64)),
        ]
    );
    let (_, page) = quarantine.objects().pop_first().unwrap();
    let mut room = Vec::new();
    let page = millrace_core::decode::inflate(&page, &mut room).unwrap();
    let line: Value = serde_json::from_slice(page).unwrap();
    assert_eq!(
        (&line["reason"], &line["source"]["sequence"]),
        (&json!("no_change"), &json!("100000000000000000002"))
    );
}

#[test]
fn a_stream_that_stays_down_answers_with_the_first_change() {
    let (_, response, tally) = invoke(Stream::failing(vec![Fault::Fails(Kind::Transient); 1000]), sample());
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "100000000000000000001"}]}));
    assert_eq!(tally, Tally::default());
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_changes")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in ["TABLE_NAME", "CLEAN_STREAM", "QUARANTINE_BUCKET", "TOKEN_KEY_SECRET"] {
        assert!(told.contains(name), "{told}");
    }
}
