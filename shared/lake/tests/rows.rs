//! Events in, rows out, read back by the Parquet reader.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect;
use millrace_core::event::Event;
use millrace_core::pipeline::Pipeline;
use millrace_lake::{Layout, Part, Table};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;
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
fn a_field_can_be_a_partition_above_the_hour() {
    let pipeline = PIPELINE.replace("[lake]", "[lake]\npartition_by = \"tenant\"");
    let pipeline = Pipeline::compile(&pipeline, &millrace_core::files::NONE).unwrap();
    let mut table = Table::new(Layout::new(pipeline.event(), pipeline.lake()));
    let mut push = |tenant: Value| {
        let event = json!({"id": "a", "eventType": "view", "timestamp": NOON, "tenant": tenant, "b": 1});
        table.push(&mut Event::read(&event.to_string()).unwrap()).map_err(|why| why.to_string())
    };
    for tenant in [json!("globex"), json!("acme"), json!("globex"), json!("acme"), json!(null)] {
        push(tenant).unwrap();
    }
    let bad: Vec<_> =
        [json!("a/../b"), json!("ann@example.com"), json!("none"), json!(""), json!(7), json!({})]
            .map(|tenant| push(tenant).unwrap_err())
            .into();
    let why = "lake: no_partition: `tenant` is no text of letters, digits, `_`, `-` and dots";
    assert!(bad.iter().all(|told| told == why), "{bad:?}");
    let parts = table.finish().unwrap();
    let told: Vec<_> = parts.iter().map(|part| format!("{} {}", part.partition, part.rows)).collect();
    assert_eq!(
        told,
        [
            "tenant=acme/event_date=2019-11-15/event_hour=12 2",
            "tenant=globex/event_date=2019-11-15/event_hour=12 2",
            "tenant=none/event_date=2019-11-15/event_hour=12 1"
        ]
    );
    assert!(rows(&parts[0]).contains(r#"rest: "{"b":1}""#), "the partition is no column of the file");
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

/// A column's value, as an event has it.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        "[a-z]{0,3}".prop_map(Value::from),
        "\\PC{0,80}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

/// What the library's reader finds in the five columns of the pipeline above, a line a row.
fn found(part: &Part) -> Vec<Vec<String>> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(part.body.clone())).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let columns = row.unwrap().get_column_iter().map(|(_, field)| told(field)).collect::<Vec<_>>();
        columns.into_iter().skip(4).take(5).collect()
    });
    rows.collect()
}

fn told(field: &Field) -> String {
    match field {
        Field::Str(text) => text.clone(),
        Field::Double(number) => number.to_bits().to_string(),
        Field::TimestampMicros(number) | Field::Long(number) => number.to_string(),
        Field::Bool(flag) => flag.to_string(),
        Field::Null => "null".to_owned(),
        other => panic!("{other}"),
    }
}

/// What should be found.
fn expected(values: &[Value]) -> Vec<String> {
    let [text, double, int, flag, time] = values else { panic!("five columns") };
    let or_null = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
    vec![
        or_null(match text {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }),
        or_null(double.as_f64().map(|number| number.to_bits().to_string())),
        or_null(int.as_i64().map(|number| number.to_string())),
        or_null(flag.as_bool().map(|flag| flag.to_string())),
        or_null(Some(time).filter(|time| **time == json!(NOON)).map(|_| NOON.to_string())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_library_reads_what_was_written(
        rows in prop::collection::vec((prop::collection::vec(value(), 4), any::<bool>(), any::<bool>()), 1..40),
        times in prop_oneof![Just(1_usize), Just(40), Just(900)],
    ) {
        // Many rows make many pages, and values that repeat a dictionary.
        let rows: Vec<_> = rows.iter().cycle().take(rows.len() * times).collect();
        let pipeline = Pipeline::compile(PIPELINE, &millrace_core::files::NONE).unwrap();
        let mut table = Table::new(Layout::new(pipeline.event(), pipeline.lake()));
        let mut left = Vec::new();
        for (number, (values, has_time, taken_back)) in rows.into_iter().enumerate() {
            let mut values = values.clone();
            values.push(if *has_time { json!(NOON) } else { Value::Null });
            let event = json!({
                "id": format!("e{number}"), "eventType": "view", "timestamp": NOON, "receivedAt": NOON,
                "userId": values[0], "price": values[1], "data": {"x": values[2]}, "member": values[3], "seenAt": values[4],
            });
            let row = table.push(&mut Event::read(&event.to_string()).unwrap()).unwrap();
            if *taken_back {
                table.take_back(&row);
            } else {
                left.push(expected(&values));
            }
        }
        let parts = table.finish().unwrap();
        prop_assert_eq!(parts.iter().map(|part| part.rows).sum::<usize>(), left.len());
        let found: Vec<_> = parts.iter().flat_map(found).collect();
        prop_assert_eq!(found, left);
    }
}

#[test]
fn statistics_bound_what_is_there() {
    let bounds = |users: [&str; 2], prices: [f64; 2]| {
        let event = |at: usize| json!({"id": format!("e{at}"), "eventType": "view", "timestamp": NOON, "receivedAt": NOON, "userId": users[at], "price": prices[at]});
        let parts = parts(&[event(0), event(1)]);
        let reader = SerializedFileReader::new(bytes::Bytes::from(parts[0].body.clone())).unwrap();
        let of = |at: usize| reader.metadata().row_group(0).column(at).statistics().unwrap().clone();
        let (user, price) = (of(4), of(5));
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let double =
            |bytes: Option<&[u8]>| bytes.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()).to_bits());
        (
            (text(user.min_bytes_opt()), text(user.max_bytes_opt())),
            (double(price.min_bytes_opt()), double(price.max_bytes_opt())),
        )
    };
    let some = |min: &str, max: &str| (Some(min.to_owned()), Some(max.to_owned()));
    let bits = |min: f64, max: f64| (Some(min.to_bits()), Some(max.to_bits()));
    assert_eq!(bounds(["b", "a"], [0.0, 7.5]), (some("a", "b"), bits(-0.0, 7.5)));
    // Long texts are told by shorter ones before and after them, if there is one.
    let (x, y) = ("x".repeat(100), "y".repeat(100));
    assert_eq!(bounds([&y, &x], [-0.0, -1.0]), (some(&x[..64], &format!("{}z", &y[..63])), bits(-1.0, 0.0)));
    let umlauts = "ä".repeat(40);
    assert_eq!(bounds([&umlauts, "z"], [1.0, 1.0]).0, (Some("z".to_owned()), None));
}
