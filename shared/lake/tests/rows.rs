//! Events in, rows out, read back by the Parquet reader.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect;
use millrace_core::event::Event;
use millrace_core::pipeline::Pipeline;
use millrace_lake::{Layout, Part, Table};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

const PIPELINE: &str = r#"
[event]
id = "id"
type = "eventType"
time = "timestamp"

[lake]
columns = [
  { name = "userId", type = "string" },
  { name = "price", type = "double" },
  { name = "data.x", type = "bigint" },
  { name = "member", type = "boolean" },
  { name = "seenAt", type = "timestamp" },
]
"#;

fn parts(events: &[Value]) -> Vec<Part> {
    let pipeline = Pipeline::compile(PIPELINE, &millrace_core::files::NONE).unwrap();
    let layout = Layout::new(pipeline.event(), pipeline.lake());
    let mut table = Table::new(layout);
    for event in events {
        table.push(&mut Event::read(&event.to_string()).unwrap()).unwrap();
    }
    table.finish().unwrap()
}

fn rows(part: &Part) -> String {
    let reader = SerializedFileReader::new(bytes::Bytes::from(part.body.clone())).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows.len(), part.rows);
    format!("{}\n{}", part.partition, rows.join("\n"))
}

const NOON: i64 = 1_573_819_500_000_000;

#[test]
fn each_column_gets_its_value_and_rest_the_rest() {
    let parts = parts(&[json!({
        "id": "e1", "eventType": "view", "timestamp": NOON, "receivedAt": NOON + 1, "userId": "k1:ab", "price": 12.5,
        "data": {"x": 7, "y": 8}, "member": true, "seenAt": NOON, "extra": [1, "two"],
    })]);
    expect![[r#"
        event_date=2019-11-15/event_hour=12
        {id: "e1", event_type: "view", event_time: 2019-11-15 12:05:00.000000 +00:00, received_at: 2019-11-15 12:05:00.000001 +00:00, user_id: "k1:ab", price: 12.5, data_x: 7, member: true, seen_at: 2019-11-15 12:05:00.000000 +00:00, rest: "{"data":{"y":8},"extra":[1,"two"]}"}"#]].assert_eq(&rows(&parts[0]));
}

#[test]
fn what_does_not_fit_its_column_is_kept_in_rest() {
    let parts = parts(&[json!({
        "id": "e1", "eventType": "view", "timestamp": NOON, "receivedAt": NOON, "userId": {"a": 1}, "price": "12",
        "data": {"x": 1.5}, "member": "yes", "seenAt": "never",
    })]);
    expect![[r#"
        event_date=2019-11-15/event_hour=12
        {id: "e1", event_type: "view", event_time: 2019-11-15 12:05:00.000000 +00:00, received_at: 2019-11-15 12:05:00.000000 +00:00, user_id: null, price: null, data_x: null, member: null, seen_at: null, rest: "{"data":{"x":1.5},"member":"yes","price":"12","seenAt":"never","userId":{"a":1}}"}"#]].assert_eq(&rows(&parts[0]));
}

#[test]
fn missing_and_null_values_are_null() {
    let parts = parts(&[
        json!({"id": "e1", "eventType": "view", "timestamp": NOON, "receivedAt": NOON, "price": null}),
    ]);
    expect![[r#"
        event_date=2019-11-15/event_hour=12
        {id: "e1", event_type: "view", event_time: 2019-11-15 12:05:00.000000 +00:00, received_at: 2019-11-15 12:05:00.000000 +00:00, user_id: null, price: null, data_x: null, member: null, seen_at: null, rest: null}"#]].assert_eq(&rows(&parts[0]));
}

#[test]
fn an_hour_is_a_partition() {
    let event =
        |id: &str, time: i64| json!({"id": id, "eventType": "view", "timestamp": time, "receivedAt": time});
    let hour = 3_600_000_000;
    let parts = parts(&[
        event("b", NOON + hour),
        event("a", NOON),
        event("c", NOON + hour),
        event("d", NOON + 13 * hour),
    ]);
    let told: Vec<_> = parts.iter().map(|part| format!("{} {}", part.partition, part.rows)).collect();
    assert_eq!(
        told,
        [
            "event_date=2019-11-15/event_hour=12 1",
            "event_date=2019-11-15/event_hour=13 2",
            "event_date=2019-11-16/event_hour=1 1"
        ]
    );
}

#[test]
fn the_same_events_make_the_same_bytes() {
    let events =
        [json!({"id": "e1", "eventType": "view", "timestamp": NOON, "receivedAt": NOON, "b": 1, "a": 2})];
    assert_eq!(parts(&events)[0].body, parts(&events)[0].body);
}

#[test]
fn files_have_zstd_statistics_and_a_bloom_filter_on_the_id() {
    let parts = parts(&[json!({"id": "e1", "eventType": "view", "timestamp": NOON, "receivedAt": NOON})]);
    let reader = SerializedFileReader::new(bytes::Bytes::from(parts[0].body.clone())).unwrap();
    let id = reader.metadata().row_group(0).column(0);
    assert!(matches!(id.compression(), parquet::basic::Compression::ZSTD(_)));
    assert!(id.bloom_filter_offset().is_some() && id.statistics().is_some());
}
