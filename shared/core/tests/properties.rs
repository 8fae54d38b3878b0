//! Properties: codecs give back what they took, and no bytes panic.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::batch::Run;
use millrace_core::event::Event;
use millrace_core::frame::{self, Position, Writer};
use millrace_core::pipeline::Pipeline;
use millrace_core::record::{Record, Source};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::{decode, quarantine};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::sync::LazyLock;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e15..1e15).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Events with the fields of the shipped pipeline, filled with anything.
fn event() -> impl Strategy<Value = Event> {
    let keys = [
        "id",
        "eventType",
        "timestamp",
        "price",
        "path",
        "userId",
        "email",
        "ip",
        "data",
        "page",
        "receivedAt",
        "referrer",
    ];
    let field = (prop::sample::select(keys.to_vec()).prop_map(str::to_owned), json());
    let valid = [("id", "e1"), ("eventType", "view"), ("timestamp", "2019-11-15T18:05:00Z")];
    (prop::collection::vec(field, 0..8), any::<bool>()).prop_map(move |(fields, complete)| {
        let mut map: Map<String, Value> = fields.into_iter().collect();
        if complete {
            map.extend(valid.map(|(key, value)| (key.to_owned(), value.into())));
        }
        Event::from(map)
    })
}

static PIPELINE: LazyLock<Pipeline> =
    LazyLock::new(|| Pipeline::compile(include_str!("../../../pipeline.toml")).unwrap());

fn key() -> TokenKey {
    TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()
}

fn source() -> Source {
    Source { stream: "raw".into(), shard: "shardId-000000000000".into() }
}

fn record(sequence: usize, data: Vec<u8>) -> Record {
    let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
    Record { sequence: sequence.to_string().as_str().into(), arrived_at, data }
}

proptest! {
    #[test]
    fn a_frame_gives_back_its_events(events in prop::collection::vec((1_u32..50, event()), 1..40)) {
        let mut writer = Writer::new("lane".to_owned());
        let mut written = Vec::new();
        let mut sequence = 0;
        for (step, event) in events {
            sequence += step / 25; // some share a record
            let index = u32::try_from(written.len()).unwrap();
            let position = Position { sequence: sequence.to_string().as_str().into(), index };
            prop_assert!(writer.push(position.clone(), event.to_string()));
            written.push((position, event));
        }
        let read: Vec<_> = writer.finish().iter().flat_map(|frame| frame::decode(&frame.data).unwrap().1).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_bytes_panic_and_the_counts_balance(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let key = key();
        let mut run = Run::new(&PIPELINE, &source(), Context { key: &key });
        for (n, data) in records.iter().enumerate() {
            run.record(&record(n, data.clone()));
            let _ = frame::decode(data);
            let mut framed = vec![frame::VERSION];
            framed.extend_from_slice(data);
            let _ = frame::decode(&framed);
        }
        let batch = run.finish();
        prop_assert!(batch.tally(None).balances());
        prop_assert!(batch.tally(None).r#in >= records.len());
        prop_assert_eq!(batch.rejects.len(), batch.tally(None).quarantined);
        let _ = quarantine::page("transform", &source(), &batch.rejects);
    }

    #[test]
    fn any_event_ends_in_exactly_one_place(events in prop::collection::vec(event(), 1..20)) {
        let key = key();
        let mut run = Run::new(&PIPELINE, &source(), Context { key: &key });
        for (n, event) in events.iter().enumerate() {
            run.record(&record(n, event.to_string().into_bytes()));
        }
        let batch = run.finish();
        let tally = batch.tally(None);
        prop_assert!(tally.balances());
        prop_assert_eq!(tally.r#in, events.len());
        let framed: u32 = batch.frames.iter().map(|frame| frame.header.events).sum();
        prop_assert_eq!(framed as usize, tally.out);
        prop_assert_eq!(batch.tally(Some(&"0".into())).r#in, 0);
    }

    #[test]
    fn splitting_lines_loses_no_event(events in prop::collection::vec(event(), 1..20)) {
        let lines: Vec<String> = events.iter().map(Event::to_string).collect();
        let array = format!("[{}]", lines.join(" ,\n"));
        for payload in [lines.join("\n"), lines.join("\r\n\n"), array] {
            let pieces = decode::split(payload.as_bytes()).unwrap();
            let read: Vec<Event> = pieces.into_iter().map(|piece| decode::event(piece).unwrap()).collect();
            prop_assert_eq!(&read, &events);
        }
    }
}

/// Anonymized fields hold a canary that must appear nowhere but in the quarantine's payload.
#[test]
fn no_canary_passes_the_shipped_pipeline() {
    let key = key();
    let mut run = Run::new(&PIPELINE, &source(), Context { key: &key });
    let canary = "ann.canary@example.com";
    let variants = [
        serde_json::json!(canary),
        serde_json::json!([canary]),
        serde_json::json!({"nested": canary}),
        serde_json::json!({ canary: 1 }),
    ];
    for (n, value) in variants.iter().enumerate() {
        for field in ["userId", "email", "ip", "path", "referrer", "price", "timestamp", "id", "eventType"] {
            let mut event = serde_json::json!({"id": "e", "eventType": "view", "timestamp": 1_573_841_100, "path": format!("https://a.example/x?email={canary}")});
            event[field] = value.clone();
            if field == "id" || field == "eventType" {
                event[field] = serde_json::json!([value]);
            }
            run.record(&record(n, event.to_string().into_bytes()));
        }
        run.record(&record(n, format!("{{\"email\":\"{canary}\"").into_bytes()));
        run.record(&record(n, format!("[\"{canary}\"]").into_bytes()));
    }
    let batch = run.finish();
    assert!(batch.tally(None).out > 10 && batch.tally(None).quarantined > 10);
    for frame in &batch.frames {
        let (header, events) = frame::decode(&frame.data).unwrap();
        let text = format!("{header:?} {events:?}");
        assert!(!text.contains("canary"), "{text}");
    }
    for entry in &batch.rejects {
        assert!(!entry.reject.to_string().contains("canary"), "{}", entry.reject);
    }
}
