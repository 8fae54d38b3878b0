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
        run(handle(serde_json::from_value(event).unwrap(), "orders", now.plus_ms(5_000), &mut transformer));
    (transformer.clean.into_port(), serde_json::to_value(response).unwrap(), counts.tally)
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
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"new","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758491","eventType":"orders.insert","timestamp":1795179908000000,"receivedAt":1795179908000000,"change":{"event":"insert","keys":["orderId"],"sequence":"100000000000000000001","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"paid","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758492","eventType":"orders.modify","timestamp":1795179909000000,"receivedAt":1795179909000000,"change":{"event":"modify","keys":["orderId"],"sequence":"100000000000000000002","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}
        {"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","items":[{"count":1,"sku":"shoe-7"}],"orderId":"o-1","price":80.5,"status":"paid","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","id":"c4ca4238a0b923820dcc509a6f758493","eventType":"orders.remove","timestamp":1795179910000000,"receivedAt":1795179910000000,"change":{"event":"remove","keys":["orderId"],"sequence":"100000000000000000003","table":"orders"},"discount":8.05,"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}"#]].assert_eq(&format!("{}\n{}", header.lane, events.join("\n")));
}

#[test]
fn attributes_in_the_place_of_the_events_own_move_aside() {
    let mut event = sample();
    event["Records"][0]["dynamodb"]["NewImage"]["id"] = json!({"S": "mine"});
    event["Records"][0]["dynamodb"]["NewImage"]["change"] = json!({"S": "mine too"});
    let (clean, ..) = invoke(Stream::default(), event);
    let records = clean.records();
    let mut reader = frame::Reader::default();
    let (_, body) = reader.read(&records[0].data).unwrap();
    let event: Value = serde_json::from_str(body.events().next().unwrap()).unwrap();
    assert_eq!(event["change"]["image"], json!({"id": "mine", "change": "mine too"}));
    assert_eq!(event["id"], json!("c4ca4238a0b923820dcc509a6f758491"));
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
