//! Whole invocations of `firehose`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::expect;
use flate2::{Compression, write::GzEncoder};
use millrace_core::account::Tally;
use millrace_core::keys::Keys;
use millrace_core::kpl;
use millrace_core::pipeline::Pipeline;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_firehose::{Deps, Room, handle};
use millrace_sim::{VirtualClock, run};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];

/// When all that is sent here arrives.
const AT_MS: i64 = 1_573_841_200_000;

fn deps() -> Deps<Infallible, VirtualClock> {
    Deps {
        pipeline: Pipeline::compile(PIPELINE, &FILES).unwrap(),
        keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
        clock: VirtualClock::at(Micros::new(AT_MS * 1000).unwrap()),
        room: Room::default(),
    }
}

fn invoke(deps: &mut Deps<Infallible, VirtualClock>, event: &Value) -> (Vec<Value>, Tally) {
    let deadline = Micros::new(AT_MS * 1000).unwrap().plus_ms(10_000);
    let event_read = serde_json::from_value(event.clone()).unwrap();
    let (answer, counts) = run(handle(event_read, deadline, deps));
    let answer = serde_json::to_string(&answer).unwrap();
    assert!(answer.len() <= 6_000_000, "{} bytes", answer.len());
    let answered: Value = serde_json::from_str(&answer).unwrap();
    let answered = answered["records"].as_array().unwrap().clone();
    let ids = |records: &[Value]| records.iter().map(|record| record["recordId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&answered), ids(event["records"].as_array().unwrap()), "each record once");
    assert!(counts.tally.balances());
    (answered, counts.tally)
}

fn records(records: &[impl AsRef<[u8]>]) -> Value {
    let record = |(n, data): (usize, &[u8])| json!({"recordId": format!("r{n}"), "approximateArrivalTimestamp": AT_MS, "data": BASE64_STANDARD.encode(data)});
    json!({"records": records.iter().map(AsRef::as_ref).enumerate().map(record).collect::<Vec<_>>()})
}

/// What became of each record, a line each, and the lines that it goes on as.
fn told(answered: &[Value]) -> String {
    answered.iter().fold(String::new(), |mut text, record| {
        writeln!(text, "{} {} {}", record["recordId"], record["result"], record["metadata"]["partitionKeys"])
            .unwrap();
        let data = record.get("data").or(record.get("kafkaRecordValue")).map(|data| data.as_str().unwrap());
        text + &data
            .map(|data| String::from_utf8(BASE64_STANDARD.decode(data).unwrap()).unwrap())
            .unwrap_or_default()
    })
}

fn results(answered: &[Value]) -> Vec<&str> {
    answered.iter().map(|record| record["result"].as_str().unwrap()).collect()
}

fn good(id: &str) -> String {
    format!(r#"{{"id":"{id}","eventType":"view","timestamp":1573841100}}"#)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_sample_comes_back_clean_with_its_partitions() {
    let sample = serde_json::from_str(include_str!("../../../events/firehose.json")).unwrap();
    let (answered, tally) = invoke(&mut deps(), &sample);
    expect![[r#"
        "49668899999999999999999999999999999999999999999999999001000000" "Ok" {"event_date":"2026-11-20","event_hour":"13"}
        {"id":"e-3001","eventType":"purchase","timestamp":1795179900000000,"sessionId":"s-1","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","price":80.0,"discount":8.0,"geo":{"country":"XE","region":"Kita","city":"Aoshima"},"receivedAt":1795179907250000}
        {"id":"e-3002","eventType":"view","timestamp":1795179902000000,"sessionId":"s-1","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","price":25.0,"geo":{"country":"XE","region":"Kita","city":"Aoshima"},"receivedAt":1795179907250000}
        "49668899999999999999999999999999999999999999999999999002000000" "Dropped" null
        "49668899999999999999999999999999999999999999999999999003000000" "Ok" {"event_date":"2026-11-20","event_hour":"9"}
        {"id":"e-3004","eventType":"view","timestamp":1795167000000000,"sessionId":"s-1","userId":"k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc","email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","price":12.0,"geo":{"country":"XE","region":"Kita","city":"Aoshima"},"receivedAt":1795179907250000}
        "49668899999999999999999999999999999999999999999999999004000000" "ProcessingFailed" null
    "#]].assert_eq(&told(&answered));
    assert_eq!(tally, Tally { r#in: 5, out: 3, filtered: 1, duplicates: 0, quarantined: 1 });
}

#[test]
fn a_record_may_hold_several_events_in_any_way() {
    let lines = [good("a"), good("b")].join("\n");
    let payloads = [good("f"), format!("[{},{}]", good("g"), good("h"))];
    let aggregate = kpl::write("key", &payloads.each_ref().map(String::as_bytes));
    let data = [
        lines.into_bytes(),
        gzip(format!("[{},{}]", good("c"), good("d")).as_bytes()),
        b"[]".to_vec(),
        aggregate,
    ];
    let (answered, tally) = invoke(&mut deps(), &records(&data));
    assert_eq!(results(&answered), ["Ok", "Ok", "Dropped", "Ok"]);
    let text = told(&answered);
    let ids: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("{\"id\":\"")?.split('"').next()).collect();
    assert_eq!((ids, tally.out), (vec!["a", "b", "c", "d", "f", "g", "h"], 7));
}

#[test]
fn a_record_with_a_bad_event_fails_whole_and_takes_nothing_back_of_the_others() {
    let mixed = format!("{}\noops", good("a"));
    let data = [mixed.as_str(), &good("a"), &good("a"), "", r#"{"id":"x"}"#, &good("b")];
    let (answered, tally) = invoke(&mut deps(), &records(&data));
    let (ok, dropped, failed) = ("Ok", "Dropped", "ProcessingFailed");
    assert_eq!(results(&answered), [failed, ok, dropped, failed, dropped, ok]);
    assert_eq!(tally, Tally { r#in: 6, out: 2, filtered: 1, duplicates: 1, quarantined: 2 });
    assert!(answered[0].get("data").is_none(), "Firehose has it as it came");
}

#[test]
fn an_id_is_known_within_an_invocation_and_no_longer() {
    let mut deps = deps();
    for _ in 0..2 {
        let (answered, _) = invoke(&mut deps, &records(&[good("a"), good("a")]));
        assert_eq!(results(&answered), ["Ok", "Dropped"]);
    }
}

#[test]
fn what_is_no_base64_or_not_there_fails_alone() {
    let mut event = records(&[good("a"), good("b"), good("c")]);
    event["records"][0]["data"] = json!("?");
    event["records"][1].as_object_mut().unwrap().remove("data");
    let (answered, _) = invoke(&mut deps(), &event);
    assert_eq!(results(&answered), ["ProcessingFailed", "ProcessingFailed", "Ok"]);
    assert_eq!(invoke(&mut deps(), &json!({"records": []})), (Vec::new(), Tally::default()));
}

#[test]
fn records_of_kafka_come_back_as_such() {
    let mut event = records(&[good("a"), "oops".to_owned()]);
    for record in event["records"].as_array_mut().unwrap() {
        record["kafkaRecordValue"] = record["data"].take();
    }
    let (answered, _) = invoke(&mut deps(), &event);
    assert!(answered[0]["kafkaRecordValue"].is_string() && answered[0].get("data").is_none());
    assert_eq!(results(&answered), ["Ok", "ProcessingFailed"]);
}

#[test]
fn what_the_answer_has_no_room_for_fails_and_smaller_ones_behind_it_go_on() {
    let large = |id: &str, bytes| {
        gzip(
            format!(
                r#"{{"id":"{id}","eventType":"view","timestamp":1573841100,"x":"{}"}}"#,
                "x".repeat(bytes)
            )
            .as_bytes(),
        )
    };
    let all = [
        large("a", 900_000),
        large("b", 900_000),
        large("c", 900_000),
        large("d", 900_000),
        large("e", 900_000),
    ];
    let data = [&all[..], &[good("e").into_bytes(), good("a").into_bytes()]].concat();
    let (answered, tally) = invoke(&mut deps(), &records(&data));
    let (ok, failed) = ("Ok", "ProcessingFailed");
    assert_eq!(results(&answered), [ok, ok, ok, ok, failed, ok, "Dropped"]);
    assert_eq!(tally, Tally { r#in: 7, out: 5, filtered: 0, duplicates: 1, quarantined: 1 });
    let many = |kind: &str, events| {
        let lines: Vec<_> = (0..events).map(|n| good(&format!("{kind}{n}"))).collect();
        gzip(lines.join("\n").as_bytes())
    };
    let bombs = [many("a", 20_000), many("b", 60_000), gzip(&vec![b' '; 17 << 20])];
    let (answered, _) = invoke(&mut deps(), &records(&bombs));
    assert_eq!(results(&answered), [ok, failed, failed]);
}

#[test]
fn a_bomb_fails_alone_and_says_nothing_of_what_it_holds() {
    let lines = |events: usize| gzip("{}\n".repeat(events).as_bytes());
    let aggregate = kpl::write("key", &[&gzip(&vec![b' '; 9 << 20])[..], &gzip(&vec![b' '; 9 << 20])[..]]);
    let text = |bytes: usize| gzip(format!("{}{}", good("b"), " ".repeat(bytes)).as_bytes());
    let data = [lines(100_001), aggregate, text(17 << 20), text(15 << 20), good("a").into_bytes()];
    let (answered, tally) = invoke(&mut deps(), &records(&data));
    let (ok, failed) = ("Ok", "ProcessingFailed");
    assert_eq!(results(&answered), [failed, failed, failed, ok, ok]);
    assert_eq!((tally.out, tally.quarantined), (2, 3));
    assert!(answered[..3].iter().all(|record| record.get("data").is_none()));
}

/// What Firehose says of the arrival decides, whatever the clock here is.
#[test]
fn a_clock_that_is_off_fails_the_record() {
    let bounds =
        "[[step]]\nclean.timestamp = { field = \"timestamp\", max_future = \"1h\", max_past = \"30d\" }\n";
    let text = PIPELINE.replacen("[[step]]", &format!("{bounds}\n[[step]]"), 1);
    let at = |seconds: i64| {
        format!(r#"{{"id":"e{seconds}","eventType":"view","timestamp":{}}}"#, AT_MS / 1000 + seconds)
    };
    let data = [at(0), at(3_700), at(3_500), at(-31 * 86_400), at(-29 * 86_400), at(1 << 40)];
    for years in [0, 10] {
        let mut deps = deps();
        deps.pipeline = Pipeline::compile(&text, &FILES).unwrap();
        let now = Micros::new(AT_MS * 1000).unwrap().plus_ms(years * 366 * 86_400_000);
        deps.clock = VirtualClock::at(now);
        let (ok, failed) = ("Ok", "ProcessingFailed");
        assert_eq!(results(&invoke(&mut deps, &records(&data)).0), [ok, failed, ok, failed, ok, failed]);
    }
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_firehose")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in ["TOKEN_KEY_SECRET", "AWS_REGION"] {
        assert!(told.contains(name), "{told}");
    }
}

proptest! {
    /// Whatever comes, each record comes back once, and no answer says what failed.
    #[test]
    fn any_bytes_come_back(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..10)) {
        let all: Vec<_> = all.into_iter().flat_map(|bytes| [kpl::seal(&bytes), bytes]).collect();
        let (answered, tally) = invoke(&mut deps(), &records(&all));
        prop_assert_eq!(answered.len(), all.len());
        prop_assert!(tally.r#in >= answered.iter().filter(|record| record["result"] == "ProcessingFailed").count());
    }
}
