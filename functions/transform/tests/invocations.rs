//! Whole invocations of `transform`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_aws::source::BatchResponse;
use millrace_core::account::Tally;
use millrace_core::batch::Batch;
use millrace_core::frame::Encoding;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::{Clock as _, Kind};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_core::window::{Span, Window};
use millrace_core::{decode, frame, kpl};
use millrace_sim::{Fault, History, Store, Stream, Table, VirtualClock, run};
use millrace_transform::handle;
use serde_json::{Value, json};
use std::convert::Infallible;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];

type Transform = Transformer<Stream, Store, Window<Table, History>, Infallible, VirtualClock>;

fn transformer(clean: Stream, quarantine: Store) -> Transform {
    remembering(clean, quarantine, Table::default())
}

fn remembering(clean: Stream, quarantine: Store, table: Table) -> Transform {
    let span = Span { window_ms: 3_600_000, retries_ms: 86_400_000, ids_max: 1_000_000 };
    let shards = Guard::patient("shards", History::default());
    Transformer {
        function: "transform",
        clean: Guard::patient("clean", clean),
        quarantine: Guard::patient("quarantine", quarantine),
        memory: Window::new(Guard::patient("table", table), shards, span),
        clock: VirtualClock::at(Micros::new(1_573_841_200_000_000).unwrap()),
        pipeline: Pipeline::compile(PIPELINE, &FILES).unwrap(),
        keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
        batch: Batch::default(),
    }
}

fn invoke(transformer: &mut Transform, records: &[&[u8]]) -> (Value, Tally) {
    invoke_from(100, transformer, records)
}

/// A batch whose first record has this sequence number.
fn invoke_from(first: usize, transformer: &mut Transform, records: &[&[u8]]) -> (Value, Tally) {
    let records = records.iter().enumerate().map(|(n, data)| {
        json!({
            "eventID": format!("shardId-000000000000:{}", first + n),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
            "kinesis": {
                "sequenceNumber": (first + n).to_string(),
                "approximateArrivalTimestamp": 1_573_841_200.5,
                "data": BASE64_STANDARD.encode(data),
            },
        })
    });
    let event = json!({"Records": records.collect::<Vec<_>>()});
    let deadline = transformer.clock.now().plus_ms(10_000);
    let (response, counts) =
        run(handle(&serde_json::from_str(&event.to_string()).unwrap(), deadline, transformer));
    (serde_json::to_value(response).unwrap(), counts.tally)
}

fn good(id: &str) -> Vec<u8> {
    format!(r#"{{"id":"{id}","eventType":"view","timestamp":1573841100}}"#).into_bytes()
}

/// The events of a frame, each one line of JSON.
fn events(data: &[u8]) -> Vec<Value> {
    let mut reader = frame::Reader::default();
    let (_, body) = reader.read(data).unwrap();
    body.events().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn inflated(body: &[u8]) -> String {
    let mut room = Vec::new();
    String::from_utf8(decode::inflate(body, &mut room).unwrap().to_vec()).unwrap()
}

fn ids(stream: &Stream) -> Vec<String> {
    let events = stream.records().into_iter().flat_map(|record| events(&record.data));
    events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn entries(store: &Store) -> Vec<Value> {
    let pages = store.objects().into_values().map(|body| inflated(&body));
    pages
        .flat_map(|page| page.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

fn quarantined(store: &Store) -> Vec<String> {
    entries(store).iter().map(|entry| entry["reason"].as_str().unwrap().to_owned()).collect()
}

fn safe() -> Value {
    serde_json::to_value(BatchResponse::safe()).unwrap()
}

fn unsafe_from(sequence: &str) -> Value {
    serde_json::to_value(BatchResponse::first_unsafe(&sequence.into())).unwrap()
}

/// By `/v1/raw` an event comes as the client wrote it, by the REST API with what its template puts around that.
#[test]
fn events_that_no_function_has_seen_are_taken_as_they_come() {
    let mut transformer = transformer(Stream::default(), Store::default());
    let event = r#""id":"ID","eventType":"view","timestamp":1573841100,"tenant":"claimed","receivedAt":"2019-11-15T17:00:00Z""#;
    let of_raw = format!("{{{}}}", event.replace("ID", "a"));
    let of_rest = format!(
        r#"{{"ip":"203.0.113.77","userAgent":"curl/8",{},"receivedAt":1573841200250,"tenant":"a1b2c3d4e5"}}"#,
        event.replace("ID", "b")
    );
    let (_, tally) = invoke(&mut transformer, &[&good("c"), of_raw.as_bytes(), of_rest.as_bytes()]);
    assert_eq!((tally.r#in, tally.out), (3, 3));
    let frames = transformer.clean.port().records();
    let told: Vec<_> = frames
        .iter()
        .flat_map(|record| events(&record.data))
        .map(|event| json!([event["id"], event["tenant"], event["receivedAt"], event["ip"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["c", null, 1_573_841_200_500_000_i64, null]),
            json!(["a", "claimed", 1_573_837_200_000_000_i64, null]),
            json!(["b", "a1b2c3d4e5", 1_573_841_200_250_000_i64, "203.0.113.0"]),
        ]
    );
}

#[test]
fn good_events_go_on_in_order_and_bad_ones_to_the_quarantine() {
    let mut transformer = transformer(Stream::default(), Store::default());
    let lines = [good("b"), b"oops".to_vec(), good("c")].join(&b'\n');
    let records: [&[u8]; 6] =
        [&good("a"), &lines, b"", b"\x1f\x8btruncated", b"\x00\xff\x17", br#"{"id":"d"}"#];
    let (response, tally) = invoke(&mut transformer, &records);
    assert_eq!(response, safe());
    assert_eq!(tally, Tally { r#in: 8, out: 3, filtered: 1, duplicates: 0, quarantined: 4 });
    assert_eq!(ids(transformer.clean.port()), ["a", "b", "c"]);
    assert_eq!(quarantined(transformer.quarantine.port()), ["not_json", "empty", "bad_gzip", "not_utf8"]);
    let frame = frame::header(&transformer.clean.port().records()[0].data).unwrap().0;
    assert_eq!(
        (frame.lane.as_str(), frame.first.as_str(), frame.last.as_str()),
        ("raw/shardId-000000000000", "100", "101")
    );
}

#[test]
fn bytes_that_are_no_lines_go_to_the_quarantine_whole() {
    let mut transformer = transformer(Stream::default(), Store::default());
    let binary = b"\n\x00 \n\xff\x17\n\n\x89 \n";
    let (response, tally) = invoke(&mut transformer, &[binary, b"one\ntwo\nthree\n", &good("a")]);
    assert_eq!((response, tally.r#in, tally.out, tally.quarantined), (safe(), 3, 1, 2));
    let (_, page) = transformer.quarantine.port().objects().pop_first().unwrap();
    let text = inflated(&page);
    let payloads: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["payload"].clone()).collect();
    assert_eq!(payloads, [json!(BASE64_STANDARD.encode(binary)), json!("one\ntwo\nthree\n")]);
}

#[test]
fn a_small_record_of_millions_of_lines_is_one_reject() {
    use std::io::Write as _;
    let gzip = |data: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let millions = gzip(&b"x\n".repeat(8_000_000));
    let mut mixed = good("a");
    mixed.extend(b"\nx".repeat(50_000));
    let mixed = gzip(&mixed);
    let mut transformer = transformer(Stream::default(), Store::default());
    let (response, tally) = invoke(&mut transformer, &[&millions, &mixed, &good("b")]);
    assert_eq!(response, safe());
    assert_eq!(tally, Tally { r#in: 4, out: 2, filtered: 0, duplicates: 0, quarantined: 2 });
    assert_eq!(quarantined(transformer.quarantine.port()), ["too_many_events", "too_many_bad"]);
}

#[test]
fn a_throttled_stream_is_tried_again() {
    let mut transformer = transformer(
        Stream::failing([Fault::Throttles(vec![0]), Fault::Fails(Kind::Transient)]),
        Store::default(),
    );
    let (response, tally) = invoke(&mut transformer, &[&good("a")]);
    assert_eq!((response, tally.out, ids(transformer.clean.port())), (safe(), 1, vec!["a".to_owned()]));
}

#[test]
fn a_stream_that_stays_down_answers_with_the_first_record_not_safe() {
    let mut transformer =
        transformer(Stream::failing(vec![Fault::Fails(Kind::Transient); 1000]), Store::default());
    let (response, tally) = invoke(&mut transformer, &[b"oops", &good("a"), b"oops"]);
    assert_eq!(response, unsafe_from("101"));
    assert_eq!(tally, Tally { r#in: 1, quarantined: 1, ..Tally::default() }, "only what is safe counts");
    assert_eq!(quarantined(transformer.quarantine.port()).len(), 1, "the bad record behind it comes again");
}

#[test]
fn the_second_frame_that_fails_leaves_the_first_one_safe() {
    let noise = |seed: u64| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state >> 58) as usize],
            )
        };
        (0..700_000).map(|_| next()).collect::<String>()
    };
    let large = |id: &str, seed| {
        format!(r#"{{"id":"{id}","eventType":"view","timestamp":1573841100,"x":"{}"}}"#, noise(seed))
            .into_bytes()
    };
    let faults = [vec![Fault::None], vec![Fault::Fails(Kind::Transient); 1000]].concat();
    let mut transformer = transformer(Stream::failing(faults), Store::default());
    let (response, tally) = invoke(&mut transformer, &[&large("a", 1), &large("b", 2)]);
    assert_eq!(
        (response, tally.out, ids(transformer.clean.port())),
        (unsafe_from("101"), 1, vec!["a".to_owned()])
    );
}

#[test]
fn a_quarantine_that_is_down_answers_with_the_first_bad_record() {
    let mut transformer = transformer(Stream::default(), Store::failing([Fault::Fails(Kind::Permanent)]));
    let (response, tally) = invoke(&mut transformer, &[&good("a"), b"oops", &good("b")]);
    assert_eq!((response, tally.out), (unsafe_from("101"), 1));
}

#[test]
fn what_a_client_sends_again_is_a_duplicate_and_what_the_stream_sends_again_is_not() {
    let mut transformer = transformer(Stream::default(), Store::default());
    assert_eq!(invoke_from(100, &mut transformer, &[&good("a"), &good("b")]).1.out, 2);
    let (response, tally) = invoke_from(102, &mut transformer, &[&good("b"), &good("c")]);
    assert_eq!((response, tally.out, tally.duplicates), (safe(), 1, 1));
    let (_, again) = invoke_from(102, &mut transformer, &[&good("b"), &good("c")]);
    assert_eq!(again, tally);
    assert_eq!(ids(transformer.clean.port()), ["a", "b", "c", "c"], "the sink knows c by its position");
}

#[test]
fn nothing_goes_out_before_its_ids_are_written_down() {
    let table = Table::failing([vec![Fault::None; 2], vec![Fault::Fails(Kind::Transient); 1000]].concat());
    let mut transformer = remembering(Stream::default(), Store::default(), table);
    let (response, tally) = invoke(&mut transformer, &[b"oops", &good("a")]);
    assert_eq!((response, tally.quarantined, tally.out), (unsafe_from("101"), 1, 0));
    assert_eq!(ids(transformer.clean.port()), [""; 0]);
}

/// An attempt noted an id, and could not put its event; the next one has a pipeline that refuses it. Replayed while ids are
/// known it would be a duplicate of what never went out.
#[test]
fn what_is_refused_after_its_id_was_noted_says_so() {
    let clean = Stream::failing(vec![Fault::Fails(Kind::Transient); 1000]);
    let mut transformer = transformer(clean, Store::default());
    assert_eq!(invoke(&mut transformer, &[&good("a")]).0, unsafe_from("100"));
    let mistake = format!("{PIPELINE}\n[[step]]\nclean.cast = {{ id = \"int\" }}\n");
    transformer.pipeline = Pipeline::compile(&mistake, &FILES).unwrap();
    let (response, tally) = invoke(&mut transformer, &[&good("a"), &good("b"), b"oops"]);
    assert_eq!((response, tally.quarantined), (safe(), 3));
    let may_be_known =
        entries(transformer.quarantine.port()).into_iter().map(|entry| entry["may_be_known"].clone());
    assert_eq!(may_be_known.collect::<Vec<_>>(), [json!(true), Value::Null, Value::Null]);
}

#[test]
fn ids_that_cannot_be_read_hold_the_batch() {
    let table = Table::failing(vec![Fault::Fails(Kind::Transient); 1000]);
    let mut transformer = remembering(Stream::default(), Store::default(), table);
    let began = transformer.clock.now();
    let (response, tally) = invoke(&mut transformer, &[b"oops", &good("a")]);
    assert_eq!((response, tally), (unsafe_from("100"), Tally::default()));
    assert!(
        transformer.clock.now() >= began.plus_ms(10_000),
        "the answer is held back, as long as there is time"
    );
}

#[test]
fn what_is_redriven_keeps_its_position() {
    let mut transformer = transformer(Stream::default(), Store::default());
    invoke_from(105, &mut transformer, &[&good("b")]);
    let redriven = json!({"redriven": true, "Records": [{
        "eventID": "shardId-000000000000:100",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
        "kinesis": {
            "sequenceNumber": "100",
            "approximateArrivalTimestamp": 1_573_841_200.0,
            "data": BASE64_STANDARD.encode([good("a"), good("b")].join(&b'\n')),
        },
    }]});
    let deadline = transformer.clock.now().plus_ms(10_000);
    let event = &serde_json::from_value(redriven).unwrap();
    let (response, counts) = run(handle(event, deadline, &mut transformer));
    assert_eq!((response, counts.tally.out, counts.tally.duplicates), (BatchResponse::safe(), 1, 1));
    let frame = frame::header(&transformer.clean.port().records()[1].data).unwrap().0;
    assert_eq!((frame.lane.as_str(), frame.first.as_str()), ("raw/shardId-000000000000", "100"));
}

#[test]
fn a_batch_without_records_is_safe() {
    let (response, tally) = invoke(&mut transformer(Stream::default(), Store::default()), &[]);
    assert_eq!((response, tally), (safe(), Tally::default()));
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_transform")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in [
        "CLEAN_STREAM",
        "QUARANTINE_BUCKET",
        "TOKEN_KEY_SECRET",
        "STATE_TABLE",
        "DEDUPE_WINDOW_SECONDS",
        "STREAM_RETENTION_HOURS",
    ] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn a_start_with_an_encoding_that_nobody_knows_says_so() {
    let names = ["RAW_STREAM", "CLEAN_STREAM", "QUARANTINE_BUCKET", "TOKEN_KEY_SECRET", "STATE_TABLE"];
    let numbers = ["DEDUPE_WINDOW_SECONDS", "STREAM_RETENTION_HOURS"];
    let of_lambda = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let settings = names.into_iter().chain(of_lambda).map(|name| (name, "x"));
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_transform"))
        .env_clear()
        .envs(settings.chain(numbers.map(|name| (name, "60"))))
        .env("CLEAN_ENCODING", "avro")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && told.contains("`frames` or `kpl`"), "{told}");
}

/// `events/transform-kpl.json` is made by `local/kpl_fixtures.py`.
#[test]
fn the_aggregate_of_the_sample_is_taken_apart() {
    let mut transformer = transformer(Stream::default(), Store::default());
    let sample = &serde_json::from_str(include_str!("../../../events/transform-kpl.json")).unwrap();
    let deadline = Micros::new(1_573_841_210_000_000).unwrap();
    let (response, counts) = run(handle(sample, deadline, &mut transformer));
    assert_eq!(response, BatchResponse::safe());
    assert_eq!(counts.tally, Tally { r#in: 5, out: 2, filtered: 1, duplicates: 0, quarantined: 2 });
    assert_eq!(ids(transformer.clean.port()), ["e-2001", "e-2002"]);
    assert_eq!(quarantined(transformer.quarantine.port()), ["cannot_cast", "bad_kpl"]);
    let header = frame::header(&transformer.clean.port().records()[0].data).unwrap().0;
    assert_eq!((&header.first, header.first_index), (&header.last, 0));
    assert_eq!(header.last_index, 1, "both came with one record");
}

#[test]
fn aggregates_for_other_readers_come_again_from_the_one_that_failed() {
    let faults = [vec![Fault::None], vec![Fault::Fails(Kind::Transient); 1000]].concat();
    let mut transformer = transformer(Stream::failing(faults), Store::default());
    transformer.batch = Batch::writing(Encoding::Kpl);
    let events: Vec<_> = (0..600).map(|n| good(&n.to_string())).collect();
    let (response, tally) = invoke(&mut transformer, &events.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!((response, tally.out), (unsafe_from("600"), 500));
    let records = transformer.clean.port().records();
    let [record] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!(record.partition_key, "raw/shardId-000000000000");
    let lines = kpl::read(&record.data).unwrap();
    assert_eq!(lines.len(), kpl::RECORDS_MAX);
    let ids = lines.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()["id"].clone());
    assert!(ids.eq((0..500).map(|n| json!(n.to_string()))));
}

/// `events/lake.json` is what this function makes of `events/transform.json`. `UPDATE_EXPECT=1` renews it.
#[test]
fn the_sample_event_becomes_the_sample_of_lake() {
    let mut transformer = transformer(Stream::default(), Store::default());
    let sample = &serde_json::from_str(include_str!("../../../events/transform.json")).unwrap();
    let deadline = Micros::new(1_573_841_210_000_000).unwrap();
    let (response, counts) = run(handle(sample, deadline, &mut transformer));
    assert_eq!(
        (response, counts.tally.out, counts.tally.filtered, counts.tally.quarantined),
        (BatchResponse::safe(), 2, 1, 1)
    );
    let record = transformer.clean.port().records().remove(0);
    let sequence = "49668899999999999999999999999999999999999999999999999101";
    let lake = json!({"Records": [{
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": sequence,
            "data": BASE64_STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": 1_795_179_968.5,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("shardId-000000000000:{sequence}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/millrace",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/millrace-clean",
    }]});
    let lake = serde_json::to_string_pretty(&lake).unwrap() + "\n";
    expect_test::expect_file!["../../../events/lake.json"].assert_eq(&lake);
}
