//! Properties: codecs give back what they took, and no bytes panic.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::batch::Batch;
use millrace_core::event::Event;
use millrace_core::frame::{self, Position, Reader, Writer};
use millrace_core::pipeline::Pipeline;
use millrace_core::record::{Record, Source};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::{decode, quarantine};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

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
fn event() -> impl Strategy<Value = Value> {
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
        Value::Object(map)
    })
}

/// The shipped pipeline, as nobody used it; it is compiled once.
fn pipeline() -> MutexGuard<'static, Pipeline> {
    static PIPELINE: LazyLock<Mutex<Pipeline>> = LazyLock::new(|| {
        let text = include_str!("shop.toml");
        let files: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];
        Mutex::new(Pipeline::compile(text, &files).unwrap())
    });
    let mut pipeline = PIPELINE.lock().unwrap_or_else(PoisonError::into_inner);
    pipeline.take_tallies();
    pipeline
}

fn key() -> TokenKey {
    TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()
}

fn source() -> Source {
    Source { stream: "raw".into(), shard: "shardId-000000000000".into() }
}

fn record<'a>(sequence: &'a str, data: &'a [u8]) -> Record<'a> {
    Record { sequence, arrived_at: Micros::new(1_573_841_200_000_000).unwrap(), data }
}

fn sequences(many: usize) -> Vec<String> {
    (0..many).map(|n| n.to_string()).collect()
}

proptest! {
    #[test]
    fn a_frame_gives_back_its_events(events in prop::collection::vec((1_u32..50, event()), 1..40)) {
        let mut writer = Writer::default();
        writer.begin("lane".to_owned());
        let mut written = Vec::new();
        let mut sequence = 0;
        for (step, event) in events {
            sequence += step / 25; // some share a record
            let index = u32::try_from(written.len()).unwrap();
            let position = Position { sequence: sequence.to_string().as_str().into(), index };
            let event = event.to_string();
            prop_assert!(writer.push(position.sequence.as_str(), index, |line| line.push_str(&event)));
            written.push((position, event));
        }
        let mut reader = Reader::default();
        let mut read = Vec::new();
        for frame in writer.finish() {
            let (header, body) = reader.read(&frame.data).unwrap();
            prop_assert_eq!(&header, &frame.header);
            read.extend(body.positions().unwrap().into_iter().zip(body.events().map(str::to_owned)));
        }
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_bytes_panic_and_the_counts_balance(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let (key, mut pipeline, mut batch, mut reader) = (key(), pipeline(), Batch::default(), Reader::default());
        let sequences = sequences(records.len());
        let all = sequences.iter().zip(&records).map(|(sequence, data)| record(sequence, data));
        batch.begin(&mut pipeline, &key, &source()).records(all);
        for data in &records {
            let _ = reader.read(data);
            let mut framed = vec![frame::VERSION];
            framed.extend_from_slice(data);
            let _ = reader.read(&framed);
        }
        let tally = batch.tally(None);
        prop_assert!(tally.balances());
        prop_assert!(tally.r#in >= records.len());
        let rejects = batch.take_rejects();
        prop_assert_eq!(rejects.len(), tally.quarantined);
        let _ = quarantine::page("transform", &source(), &rejects);
    }

    #[test]
    fn any_event_ends_in_exactly_one_place(events in prop::collection::vec(event(), 1..20)) {
        let (key, mut pipeline, mut batch) = (key(), pipeline(), Batch::default());
        let (sequences, texts) = (sequences(events.len()), events.iter().map(Value::to_string).collect::<Vec<_>>());
        let all = sequences.iter().zip(&texts).map(|(sequence, text)| record(sequence, text.as_bytes()));
        batch.begin(&mut pipeline, &key, &source()).records(all);
        let tally = batch.tally(None);
        prop_assert!(tally.balances());
        prop_assert_eq!(tally.r#in, events.len());
        let framed: u32 = batch.take_frames().iter().map(|frame| frame.header.events).sum();
        prop_assert_eq!(framed as usize, tally.out);
        prop_assert_eq!(batch.tally(Some("0")).r#in, 0);
        let steps = pipeline.take_tallies();
        prop_assert_eq!(steps[0].r#in, events.len());
        for step in steps.windows(2) {
            prop_assert_eq!(step[0].r#in - step[0].dropped - step[0].quarantined, step[1].r#in);
        }
    }

    #[test]
    fn a_single_event_is_what_splitting_finds(payload in "[ \n]{0,2}\\{?[a-z{}\\[\\]\" \r\n]{0,20}") {
        if let Some(json) = decode::single(payload.as_bytes()) {
            prop_assert_eq!(decode::split(payload.as_bytes()).unwrap().collect::<Vec<_>>(), [json]);
        }
    }

    #[test]
    fn splitting_lines_loses_no_event(events in prop::collection::vec(event(), 1..20)) {
        let lines: Vec<String> = events.iter().map(Value::to_string).collect();
        let array = format!("[{}]", lines.join(" ,\n"));
        let mut event = Event::default();
        for payload in [lines.join("\n"), lines.join("\r\n\n"), array] {
            let mut read = Vec::new();
            for piece in decode::split(payload.as_bytes()).unwrap() {
                decode::event(piece, &mut event).unwrap();
                read.push(event.to_string());
            }
            prop_assert_eq!(&read, &lines);
        }
    }
}

/// Anonymized fields hold a canary that must appear nowhere but in the quarantine's payload.
#[test]
fn no_canary_passes_the_shipped_pipeline() {
    let (key, mut pipeline, mut batch) = (key(), pipeline(), Batch::default());
    let mut records: Vec<(String, String)> = Vec::new();
    let canary = "ann.canary@example.com";
    let variants = [
        serde_json::json!(canary),
        serde_json::json!([canary]),
        serde_json::json!({"nested": canary}),
        serde_json::json!({ canary: 1 }),
    ];
    let mut next_id = 0;
    for (n, value) in variants.iter().enumerate() {
        let sequence = n.to_string();
        for field in ["userId", "email", "ip", "path", "referrer", "price", "timestamp", "id", "eventType"] {
            next_id += 1;
            let mut event = serde_json::json!({"id": next_id, "eventType": "view", "timestamp": 1_573_841_100, "path": format!("https://a.example/x?email={canary}")});
            event[field] = value.clone();
            if field == "id" || field == "eventType" {
                event[field] = serde_json::json!([value]);
            }
            records.push((sequence.clone(), event.to_string()));
        }
        records.push((sequence.clone(), format!("{{\"email\":\"{canary}\"")));
        records.push((sequence, format!("[\"{canary}\"]")));
    }
    let all = records.iter().map(|(sequence, data)| record(sequence, data.as_bytes()));
    batch.begin(&mut pipeline, &key, &source()).records(all);
    let tally = batch.tally(None);
    assert!(tally.out > 10 && tally.quarantined > 10);
    let mut reader = Reader::default();
    for frame in batch.take_frames() {
        let (header, body) = reader.read(&frame.data).unwrap();
        for text in body.events().map(str::to_owned).chain([format!("{header:?} {body:?}")]) {
            assert!(!text.contains("canary"), "{text}");
        }
    }
    for entry in batch.take_rejects() {
        assert!(!entry.reject.to_string().contains("canary"), "{}", entry.reject);
    }
}
