//! KPL aggregates: those that AWS's own library for Python made (`local/kpl_fixtures.py`), and ours.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect;
use flate2::{Compression, write::GzEncoder};
use millrace_core::account::Tally;
use millrace_core::batch::Batch;
use millrace_core::decode::{EVENTS_MAX, INFLATED_MAX};
use millrace_core::files;
use millrace_core::frame::{Encoding, FRAME_MAX, Reader};
use millrace_core::kpl::{RECORDS_MAX, read, write};
use millrace_core::pipeline::Pipeline;
use millrace_core::quarantine::Entry;
use millrace_core::record::{Record, Source};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const PIPELINE: &str = "[event]\nid = \"id\"\ntype = \"eventType\"\ntime = \"timestamp\"\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kpl")
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(folder().join(name).with_extension("kpl")).unwrap()
}

/// The batch of these records.
fn run(mut batch: Batch, records: &[&[u8]]) -> Batch {
    let mut pipeline = Pipeline::compile(PIPELINE, &files::NONE).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
    let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
    let sequences: Vec<_> = (0..records.len()).map(|n| n.to_string()).collect();
    let records = sequences.iter().zip(records).map(|(sequence, data)| Record { sequence, arrived_at, data });
    batch.begin(&mut pipeline, &key, &source).records(records);
    assert!(batch.tally(None).balances());
    batch
}

/// The events that come out, with their places in the record, and the rejects.
fn outcome(record: &[u8]) -> (Vec<(u32, String)>, Vec<Entry>, Tally) {
    let mut batch = run(Batch::default(), &[record]);
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for frame in batch.take_frames() {
        let (_, body) = reader.read(&frame.data).unwrap();
        let places = body.positions().unwrap().into_iter().map(|position| position.index);
        events.extend(places.zip(body.events().map(str::to_owned)));
    }
    (events, batch.take_rejects(), batch.tally(None))
}

fn told(record: &[u8]) -> String {
    let (events, rejects, _) = outcome(record);
    let mut lines: Vec<_> = events.into_iter().map(|(place, event)| (Some(place), event)).collect();
    lines.extend(rejects.into_iter().map(|entry| {
        let is_whole = if entry.payload == record { ", whole" } else { "" };
        let payload = entry.payload.escape_ascii();
        let text = if is_whole.is_empty() {
            format!("{} of {payload}", entry.reject)
        } else {
            entry.reject.to_string()
        };
        (entry.index, format!("{text}{is_whole}"))
    }));
    lines.sort();
    lines.into_iter().fold(String::new(), |mut text, (place, line)| {
        let place = place.map_or_else(|| "-".to_owned(), |place| place.to_string());
        writeln!(text, "{place} {line}").unwrap();
        text
    })
}

fn event(id: &str) -> String {
    format!(r#"{{"id":"{id}","eventType":"view","timestamp":1573841100}}"#)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_the_library_makes_is_taken_apart() {
    expect![[r#"
        0 {"id":"k-0","eventType":"view","timestamp":1573841100000000,"receivedAt":1573841200000000}
        1 {"id":"k-1","eventType":"view","timestamp":1573841101000000,"receivedAt":1573841200000000}
        2 {"id":"k-2","eventType":"view","timestamp":1573841102000000,"receivedAt":1573841200000000}
    "#]]
    .assert_eq(&told(&fixture("one_key")));
    expect![[r#"
        0 {"id":"k-0","eventType":"view","timestamp":1573841100000000,"name":"Zo\u00eb","receivedAt":1573841200000000}
        1 {"id":"k-1","eventType":"view","timestamp":1573841101000000,"receivedAt":1573841200000000}
        2 {"id":"k-2","eventType":"view","timestamp":1573841102000000,"receivedAt":1573841200000000}
        3 {"id":"k-3","eventType":"view","timestamp":1573841103000000,"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","receivedAt":1573841200000000}
    "#]].assert_eq(&told(&fixture("keys")));
    expect![[r#"
        0 {"id":"k-0","eventType":"view","timestamp":1573841100000000,"receivedAt":1573841200000000}
        1 {"id":"k-1","eventType":"view","timestamp":1573841101000000,"receivedAt":1573841200000000}
        2 {"id":"k-2","eventType":"view","timestamp":1573841102000000,"receivedAt":1573841200000000}
    "#]]
    .assert_eq(&told(&fixture("tags")));
    let (events, rejects, tally) = outcome(&fixture("many"));
    assert_eq!((events.len(), rejects.len(), tally.out), (300, 0, 300));
    assert!(
        (0..).zip(&events).all(|(n, (place, event))| *place == n && event.contains(&format!("\"k-{n}\"")))
    );
}

#[test]
fn each_record_of_an_aggregate_is_a_payload_as_any_and_places_count_over_all() {
    expect![[r#"
        0 {"id":"k-0","eventType":"view","timestamp":1573841100000000,"receivedAt":1573841200000000}
        1 {"id":"k-1","eventType":"view","timestamp":1573841101000000,"receivedAt":1573841200000000}
        2 decode: not_json: no JSON: no value at byte 0 of oops
        3 {"id":"k-2","eventType":"view","timestamp":1573841102000000,"receivedAt":1573841200000000}
        4 {"id":"k-3","eventType":"view","timestamp":1573841103000000,"receivedAt":1573841200000000}
        5 {"id":"k-4","eventType":"view","timestamp":1573841104000000,"receivedAt":1573841200000000}
        6 {"id":"k-5","eventType":"view","timestamp":1573841105000000,"receivedAt":1573841200000000}
        7 {"id":"k-6","eventType":"view","timestamp":1573841106000000,"receivedAt":1573841200000000}
        8 decode: empty: there is nothing in it of 
        9 decode: bad_gzip: the gzip data is damaged or cut off of \x1f\x8bdamaged
        10 decode: not_json: no JSON: no value at byte 0 of no\nlines\nat all
        13 {"id":"k-7","eventType":"view","timestamp":1573841107000000,"receivedAt":1573841200000000}
    "#]]
    .assert_eq(&told(&fixture("payloads")));
}

#[test]
fn a_bad_aggregate_is_kept_whole() {
    let all = ["bad_md5", "cut", "bad_partition_key", "bad_hash_key"].map(|name| told(&fixture(name)));
    expect![[r#"
        - decode: bad_kpl: the aggregate is damaged or cut off: its MD5 is not that of its bytes, whole
        - decode: bad_kpl: the aggregate is damaged or cut off: its MD5 is not that of its bytes, whole
        - decode: bad_kpl: record 1 of the aggregate, counted from 0, names a place in its table of partition keys that has 2, whole
        - decode: bad_kpl: record 1 of the aggregate, counted from 0, names a place in its table of explicit hash keys that has 1, whole
    "#]].assert_eq(&all.concat());
}

#[test]
fn good_records_beside_a_bad_aggregate_go_on() {
    let good = event("a");
    let batch = run(Batch::default(), &[&fixture("bad_md5"), good.as_bytes(), &fixture("one_key")]);
    let Tally { r#in, out, quarantined, .. } = batch.tally(None);
    assert_eq!((r#in, out, quarantined), (5, 4, 1));
    assert_eq!(batch.tally(Some("1")).quarantined, 1);
}

#[test]
fn an_aggregate_has_the_bounds_of_any_record() {
    let whole = |payload: &[u8], times| {
        let record = write("key", &vec![payload; times]);
        let (events, rejects, tally) = outcome(&record);
        assert_eq!((events.len(), rejects.len(), tally.quarantined), (0, 1, 1));
        assert!(rejects[0].payload == record && rejects[0].index.is_none());
        rejects[0].reject.to_string()
    };
    let quarter = gzip(&vec![b' '; INFLATED_MAX / 4 + 1]);
    expect!["decode: too_large: the records of the aggregate inflate to more than 16777216 bytes"]
        .assert_eq(&whole(&quarter, 4));
    let damaged = &quarter[..quarter.len() - 4];
    assert!(whole(damaged, 4).starts_with("decode: too_large"), "what was inflated in vain was work, too");
    expect!["decode: too_many_events: it has more than 100000 events"]
        .assert_eq(&whole(&gzip(&b"0\n".repeat(EVENTS_MAX / 2 + 1)), 2));
    assert!(whole(b"[]", EVENTS_MAX + 1).starts_with("decode: too_many_events"));
    assert!(whole(b"\x1f\x8b", 2_000).starts_with("decode: too_many_bad"));
    assert!(whole(b"oops", 2_000).starts_with("decode: too_many_bad"));
}

/// `clean.kpl` is what goes out for `clean.ndjson`. `UPDATE_EXPECT=1` renews both; `local/kpl_fixtures.py` takes the first one
/// apart with AWS's library.
#[test]
fn what_is_written_is_what_the_library_was_seen_to_read() {
    let events: Vec<_> = ["a", "b", "Zoë 🦀"].map(event).into();
    let events: Vec<_> = events.iter().map(String::as_bytes).collect();
    let mut batch = run(Batch::writing(Encoding::Kpl), &events);
    let record = batch.take_frames().remove(0).data;
    let lines =
        read(&record).unwrap().into_iter().flat_map(|line| [line, b"\n"].concat()).collect::<Vec<_>>();
    for (name, bytes) in [("clean.kpl", record), ("clean.ndjson", lines)] {
        let file = folder().join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &bytes).unwrap();
        }
        assert!(fs::read(&file).unwrap() == bytes, "{name} is another one");
    }
}

#[test]
fn one_event_alone_goes_out_as_it_is() {
    let mut batch = run(Batch::writing(Encoding::Kpl), &[event("a").as_bytes()]);
    let records = batch.take_frames();
    assert!(records.len() == 1 && records[0].data.starts_with(b"{\"id\":\"a\","));
}

#[test]
fn an_encoding_has_a_name() {
    let read = ["frames", "kpl", "KPL", ""].map(|name| name.parse().ok());
    assert_eq!(read, [Some(Encoding::Frames), Some(Encoding::Kpl), None, None]);
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "[a-z]{4,8}".prop_map(|id| event(&id)),
        1 => Just("oops".to_owned()),
        1 => Just("[1]".to_owned()),
    ];
    let lines = prop::collection::vec(line, 0..5);
    (lines, any::<bool>()).prop_map(|(lines, packed)| {
        let plain = lines.join("\n").into_bytes();
        if packed { gzip(&plain) } else { plain }
    })
}

proptest! {
    /// What becomes of payloads does not depend on whether they come in an aggregate, each in a record of its own, or, where
    /// one event is a line, in one record; and an event's place is the one it has in that.
    #[test]
    fn an_aggregate_is_as_good_as_its_records(payloads in prop::collection::vec(payload(), 2..12)) {
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let (events, rejects, tally) = outcome(&write("key", &payloads));
        let mut alone = run(Batch::default(), &payloads);
        prop_assert_eq!(tally, alone.tally(None));
        let (mut reader, mut expected) = (Reader::default(), Vec::new());
        for frame in alone.take_frames() {
            expected.extend(reader.read(&frame.data).unwrap().1.events().map(str::to_owned));
        }
        prop_assert_eq!(events.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), expected);
        let why = |entry: &Entry| (entry.reject.clone(), entry.payload.clone());
        let expected = alone.take_rejects();
        prop_assert_eq!(rejects.iter().map(why).collect::<Vec<_>>(), expected.iter().map(why).collect::<Vec<_>>());
        let mut places: Vec<_> = events.iter().map(|(place, _)| *place).collect();
        prop_assert!(places.is_sorted());
        places.extend(rejects.iter().map(|entry| entry.index.unwrap()));
        places.sort_unstable();
        let count = places.len();
        places.dedup();
        prop_assert_eq!(places.len(), count, "each has a place of its own");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))] // each has many megabytes

    /// The records for other readers have all events in their order, and keep to the limits.
    #[test]
    fn aggregates_of_the_clean_stream_give_back_the_events(
        sizes in prop::collection::vec(prop_oneof![8 => 0..200_usize, 1 => 0..300_000_usize], 1..60),
        times in 1..20_usize,
    ) {
        let events: Vec<_> = sizes.repeat(times).into_iter().enumerate().map(|(n, size)| {
            format!(r#"{{"id":"{n}","eventType":"view","timestamp":1573841100000000,"receivedAt":1573841200000000,"x":"{}"}}"#, "x".repeat(size))
        }).collect();
        let records: Vec<_> = events.iter().map(String::as_bytes).collect();
        let mut batch = run(Batch::writing(Encoding::Kpl), &records);
        let mut found = Vec::new();
        for record in batch.take_frames() {
            prop_assert!(record.data.len() <= FRAME_MAX);
            let first = found.len();
            if record.data.starts_with(b"{") {
                found.push(record.data);
            } else {
                found.extend(read(&record.data).unwrap().into_iter().map(<[u8]>::to_vec));
            }
            prop_assert!(found.len() - first <= RECORDS_MAX);
            prop_assert_eq!(record.header.first.as_str(), first.to_string(), "from there on it comes again");
        }
        prop_assert!(found.iter().map(Vec::as_slice).eq(records));
    }
}
