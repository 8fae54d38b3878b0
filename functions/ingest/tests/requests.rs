//! Whole requests to `ingest`, as API Gateway hands them over.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::Kind;
use millrace_core::retry::Policy;
use millrace_core::time::Micros;
use millrace_ingest::access::Access;
use millrace_ingest::answer::Answer;
use millrace_ingest::{Deps, HttpRequest, Tally, handle};
use millrace_sim::{Fault, Messages, Stream, VirtualClock, run};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::Write as _;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const MISSING_ID: &str = "missing_id = \"reject\"";

fn now() -> Micros {
    Micros::new(1_573_841_200_000_000).unwrap()
}

fn deps(raw: Stream, spill: Messages) -> Deps<Stream, Messages, VirtualClock, Infallible> {
    let (raw, spill) = (Guard::patient("raw", raw), Guard::new("spill", spill, Policy::BRIEF));
    let event = EventSettings::read(PIPELINE).unwrap();
    Deps { raw, spill, clock: VirtualClock::at(now()), event, access: Access::Open, body_max: 10 << 20 }
}

fn healthy() -> Deps<Stream, Messages, VirtualClock, Infallible> {
    deps(Stream::default(), Messages::default())
}

fn request(method: &str, path: &str, headers: &Value, body: &str, base64: bool) -> HttpRequest {
    let request = json!({
        "version": "2.0", "rawPath": path, "headers": headers, "body": body, "isBase64Encoded": base64,
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "203.0.113.77", "userAgent": "curl/8"}},
    });
    serde_json::from_value(request).unwrap()
}

fn send(request: HttpRequest, deps: &Deps<Stream, Messages, VirtualClock, Infallible>) -> (Answer, Tally) {
    run(handle(request, now().plus_ms(10_000), deps))
}

fn post(body: &[u8], deps: &Deps<Stream, Messages, VirtualClock, Infallible>) -> (Answer, Tally) {
    let json = json!({"content-type": "application/json"});
    match std::str::from_utf8(body) {
        Ok(text) => send(request("POST", "/v1/events", &json, text, false), deps),
        Err(_) => send(request("POST", "/v1/events", &json, &BASE64_STANDARD.encode(body), true), deps),
    }
}

fn lines(stream: &Stream) -> Vec<Value> {
    let text = stream.records().into_iter().map(|record| String::from_utf8(record.data).unwrap());
    text.flat_map(|record| record.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn answers(body: impl AsRef<[u8]>, expected: Expect) {
    let deps = healthy();
    let (answer, tally) = post(body.as_ref(), &deps);
    assert_eq!(lines(deps.raw.port()).len(), tally.accepted);
    let short = if answer.body.len() > 600 { format!("{} bytes", answer.body.len()) } else { answer.body };
    expected.assert_eq(&format!("{} {short}", answer.status_code));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn one_event_an_array_or_lines_plain_or_gzip() {
    answers(r#"{"id":"a"}"#, expect![[r#"202 {"accepted":1,"rejected":[]}"#]]);
    answers(r#"[{"id":"a"},{"id":"b"}]"#, expect![[r#"202 {"accepted":2,"rejected":[]}"#]]);
    answers("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", expect![[r#"202 {"accepted":2,"rejected":[]}"#]]);
    answers(gzip(b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n"), expect![[r#"202 {"accepted":2,"rejected":[]}"#]]);
    let deps = healthy();
    let base64 = BASE64_STANDARD.encode(br#"{"id":"a"}"#);
    let (answer, _) = send(request("POST", "/v1/events", &json!({}), &base64, true), &deps);
    assert_eq!((answer.status_code, lines(deps.raw.port()).len()), (202, 1));
}

#[test]
fn good_events_of_a_batch_are_accepted_and_bad_ones_named() {
    answers(
        "{\"id\":\"a\"}\nx@example.com\n{\"eventType\":\"view\"}\n[1]\n{\"id\":\"b\"}",
        expect![[
            r#"202 {"accepted":2,"rejected":[{"index":1,"reason":"no JSON: no value at byte 0"},{"index":2,"reason":"the field `id` is missing"},{"index":3,"reason":"this is JSON, but not an object"}]}"#
        ]],
    );
}

#[test]
fn bad_bodies_are_problems() {
    answers(
        "",
        expect![[
            r#"400 {"detail":"the body is empty","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#
        ]],
    );
    answers(
        "  \n ",
        expect![[
            r#"400 {"detail":"the body is empty","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#
        ]],
    );
    answers(
        "[]",
        expect![[
            r#"400 {"detail":"there is no event in the body","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#
        ]],
    );
    answers(
        "x@example.com",
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"no JSON: no value at byte 0"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        r#"{"id":"x@example.com"#,
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"the JSON ends too early"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        r#"[{"id":"a"},{"id":"b""#,
        expect![[
            r#"400 {"detail":"the JSON ends too early: EOF while parsing an object at line 1 column 21","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#
        ]],
    );
    answers(
        b"{\"id\":\"\xff\"}",
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"byte 7 is not UTF-8"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        &gzip(b"{\"id\":\"a\"}")[..20],
        expect![[
            r#"400 {"detail":"the gzip data is damaged or cut off","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#
        ]],
    );
    answers(
        gzip(&vec![b' '; 64 << 20]),
        expect![[
            r#"413 {"detail":"the body may have 10485760 bytes, also when it is inflated; send the events in several requests","status":413,"title":"The body is too large","type":"urn:millrace:problem:body-too-large"}"#
        ]],
    );
    answers(
        vec![b' '; (10 << 20) + 1],
        expect![[
            r#"413 {"detail":"the body may have 10485760 bytes, also when it is inflated; send the events in several requests","status":413,"title":"The body is too large","type":"urn:millrace:problem:body-too-large"}"#
        ]],
    );
    answers(
        "{\"id\":\"a\"}\n".repeat(10_001),
        expect![[
            r#"413 {"detail":"a request may have 10000 events; send them in several requests","status":413,"title":"There are too many events","type":"urn:millrace:problem:too-many-events"}"#
        ]],
    );
    answers(
        "{\"a\":".repeat(1000),
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"it is nested deeper than 120 levels"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        r#"{"id":"a","price":1e999}"#,
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"no JSON: a number that is out of range at byte 23"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        r#"{"id":"a","text":"\ud800"}"#,
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"no JSON: half of a surrogate pair at byte 18"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
    answers(
        format!(r#"{{"id":"a","text":"{}"}}"#, "x".repeat(750_000)),
        expect![[
            r#"400 {"accepted":0,"detail":"no event of this request could be accepted; `rejected` tells why, by index","rejected":[{"index":0,"reason":"the event has more than 750000 bytes"}],"status":400,"title":"No event could be accepted","type":"urn:millrace:problem:nothing-accepted"}"#
        ]],
    );
}

#[test]
fn a_body_that_is_said_to_be_base64_and_is_not_is_told() {
    let (answer, _) = send(request("POST", "/v1/events", &json!({}), "ann@example.com", true), &healthy());
    expect![[r#"400 {"detail":"the body that API Gateway encoded is no base64","status":400,"title":"The body cannot be read","type":"urn:millrace:problem:bad-body"}"#]].assert_eq(&format!("{} {}", answer.status_code, answer.body));
}

#[test]
fn a_body_may_be_as_large_as_the_stack_says() {
    let deps = Deps { body_max: 1024, ..healthy() };
    let events = |bytes: usize| format!(r#"{{"id":"a","text":"{}"}}"#, "x".repeat(bytes - 20));
    for (body, status) in [
        (events(1024).into_bytes(), 202),
        (events(1025).into_bytes(), 413),
        (gzip(events(1024).as_bytes()), 202),
        (gzip(events(1025).as_bytes()), 413),
    ] {
        assert_eq!(post(&body, &deps).0.status_code, status);
    }
}

#[test]
fn an_id_is_a_string_or_an_integer() {
    answers(
        r#"[{"id":7},{"id":1.5},{"id":[1]},{"id":true},{"id":12345678901234567890123}]"#,
        expect![[
            r#"202 {"accepted":2,"rejected":[{"index":1,"reason":"the field `id` is neither a string nor an integer"},{"index":2,"reason":"the field `id` is neither a string nor an integer"},{"index":3,"reason":"the field `id` is neither a string nor an integer"}]}"#
        ]],
    );
}

#[test]
fn a_header_with_a_sign_that_does_not_belong_there_is_no_error() {
    let headers = json!({"X-A": "a\u{1}b ann@example.com", "Content-Type": "application/json"});
    let (answer, _) = send(request("POST", "/v1/events", &headers, r#"{"id":"a"}"#, false), &healthy());
    assert_eq!(answer.status_code, 202);
}

#[test]
fn odd_but_legal_json_is_accepted() {
    answers(r#"{"id":"a","id":"b"}"#, expect![[r#"202 {"accepted":1,"rejected":[]}"#]]);
    answers(r#"{"id":"a","text":"\u0000"}"#, expect![[r#"202 {"accepted":1,"rejected":[]}"#]]);
}

#[test]
fn routes_methods_and_types_are_checked() {
    let told = |method, path, headers: Value| {
        let (answer, _) = send(request(method, path, &headers, r#"{"id":"a"}"#, false), &healthy());
        let name =
            serde_json::from_str::<Value>(&answer.body).unwrap()["type"].as_str().unwrap_or("ok").to_owned();
        format!("{} {name} {:?}", answer.status_code, answer.headers.get("allow"))
    };
    for (method, path, headers, answer) in [
        ("GET", "/v1/health", json!({}), "200 ok None"),
        ("GET", "/prod/v1/health/", json!({}), "200 ok None"),
        ("POST", "/prod/v1/events", json!({}), "202 ok None"),
        ("GET", "/v1/events", json!({}), "405 urn:millrace:problem:method-not-allowed Some(\"POST\")"),
        ("POST", "/v1/health", json!({}), "405 urn:millrace:problem:method-not-allowed Some(\"GET\")"),
        ("POST", "/v2/events", json!({}), "404 urn:millrace:problem:not-found None"),
        ("POST", "/v1/events", json!({"content-type": "text/plain;charset=UTF-8"}), "202 ok None"),
        ("POST", "/v1/events", json!({"content-type": "application/cloudevents+json"}), "202 ok None"),
        (
            "POST",
            "/v1/events",
            json!({"content-type": "application/x-www-form-urlencoded"}),
            "415 urn:millrace:problem:content-type None",
        ),
        (
            "POST",
            "/v1/events",
            json!({"content-encoding": "br"}),
            "415 urn:millrace:problem:content-encoding None",
        ),
        ("POST", "/v1/events", json!({"content-encoding": "gzip"}), "400 urn:millrace:problem:bad-body None"),
    ] {
        assert_eq!(told(method, path, headers.clone()), answer, "{method} {path} {headers}");
    }
}

#[test]
fn an_event_gets_what_the_request_knows_and_keeps_what_it_has() {
    let deps = healthy();
    post(br#"[{"id":"a","receivedAt":"claimed","webhook":{"source":"claimed"}},{"id":"b","ip":"198.51.100.1","userAgent":null}]"#, &deps);
    assert_eq!(
        lines(deps.raw.port()),
        [
            json!({"id": "a", "receivedAt": "2019-11-15T18:06:40Z", "ip": "203.0.113.77", "userAgent": "curl/8"}),
            json!({"id": "b", "receivedAt": "2019-11-15T18:06:40Z", "ip": "198.51.100.1", "userAgent": "curl/8"}),
        ]
    );
}

#[test]
fn a_missing_id_follows_the_policy() {
    let ids = |policy: &str| {
        let event =
            EventSettings::read(&PIPELINE.replace(MISSING_ID, &format!("missing_id = {policy:?}"))).unwrap();
        let deps = Deps { event, ..healthy() };
        for body in [r#"{"n":1}"#, r#"{"n":1}"#, r#"{"n":2,"id":""}"#] {
            post(body.as_bytes(), &deps);
        }
        lines(deps.raw.port())
            .iter()
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("reject"), [""; 0]);
    let hashed = ids("hash");
    assert!(hashed[0] == hashed[1] && hashed[0] != hashed[2] && hashed[0].len() == 32, "{hashed:?}");
    let random = ids("generate");
    assert!(random[0] != random[1] && random[1] != random[2] && random[0].len() == 32, "{random:?}");
}

#[test]
fn events_that_share_a_partition_key_share_a_record_in_their_order() {
    let deps = healthy();
    post(br#"[{"id":"1","userId":"u"},{"id":"2","sessionId":"s"},{"id":"3","userId":"u"},{"id":"4","userId":null,"sessionId":"s"}]"#, &deps);
    let records = deps.raw.port().records();
    let ids: Vec<Vec<_>> = records
        .iter()
        .map(|record| {
            let text = std::str::from_utf8(&record.data).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(ids, [["1", "3"], ["2", "4"]]);
    assert!(records.iter().all(|record| record.partition_key.len() == 16), "keys are hashed");
}

#[test]
fn records_split_before_they_are_too_large() {
    let deps = healthy();
    let text = "x".repeat(300_000);
    let events: Vec<_> = (0..5).map(|n| json!({"id": n.to_string(), "userId": "u", "text": text})).collect();
    post(json!(events).to_string().as_bytes(), &deps);
    assert_eq!(deps.raw.port().records().len(), 3);
    assert!(deps.raw.port().records().iter().all(|record| record.data.len() <= 750_000));
}

#[test]
fn what_kinesis_refuses_goes_to_the_spill_queue_before_the_202() {
    let deps = deps(
        Stream::failing(vec![Fault::Throttles(vec![1]); 1].into_iter().chain(vec![
            Fault::Fails(
                Kind::Transient
            );
            1000
        ])),
        Messages::default(),
    );
    let (answer, tally) =
        post(br#"[{"id":"1","userId":"a"},{"id":"2","userId":"b"},{"id":"3","userId":"b"}]"#, &deps);
    assert_eq!((answer.status_code, tally), (202, Tally { accepted: 3, rejected: 0, spilled: 2 }));
    assert_eq!((lines(deps.raw.port()).len(), deps.spill.port().sent().len()), (1, 1));
}

#[test]
fn when_both_refuse_the_client_is_told_to_come_again() {
    for (stream, status) in [
        (Fault::Throttles(vec![0]), 429),
        (Fault::Fails(Kind::Transient), 503),
        (Fault::Fails(Kind::Permanent), 503),
    ] {
        let deps = deps(
            Stream::failing(vec![stream; 1000]),
            Messages::failing(vec![Fault::Fails(Kind::Transient); 2]),
        );
        let (answer, tally) = post(br#"{"id":"1"}"#, &deps);
        assert_eq!(
            (answer.status_code, answer.headers.get("retry-after").map(AsRef::as_ref), tally.accepted),
            (status, Some("2"), 0)
        );
    }
}

#[test]
fn the_sample_event_is_answered() {
    let deps = healthy();
    let (answer, _) = send(serde_json::from_str(include_str!("../../../events/ingest.json")).unwrap(), &deps);
    expect![[r#"202 {"accepted":3,"rejected":[{"index":3,"reason":"the field `id` is missing"}]}"#]]
        .assert_eq(&format!("{} {}", answer.status_code, answer.body));
}

#[test]
fn what_keeps_the_function_warm_is_a_question_for_its_health() {
    let template = include_str!("../../../template.yaml");
    let input = template.lines().find_map(|line| line.trim().strip_prefix("Input: '")).unwrap();
    let (answer, tally) = send(serde_json::from_str(input.trim_end_matches('\'')).unwrap(), &healthy());
    assert_eq!((answer.status_code, tally), (200, Tally::default()));
}

#[test]
fn a_start_without_settings_names_them_all() {
    for (binary, names) in [
        (env!("CARGO_BIN_EXE_ingest"), vec!["RAW_STREAM", "SPILL_QUEUE_URL", "REQUEST_BYTES", "ACCESS"]),
        (env!("CARGO_BIN_EXE_drain"), vec!["RAW_STREAM", "SPILL_QUEUE_URL"]),
    ] {
        let out = std::process::Command::new(binary).env_clear().output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && names.iter().all(|name| told.contains(name)), "{told}");
    }
}
