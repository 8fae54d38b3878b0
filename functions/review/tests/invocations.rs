//! Whole invocations of `review`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::{expect, expect_file};
use millrace_core::account::Landing;
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::{Reader, Writer};
use millrace_core::guard::{Guard, State};
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock as _, Error, Kind, Post, Reply};
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_review::{Asked, Counts, Desk, handle};
use millrace_sim::{Fault, Store, Table, VirtualClock, run};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");

/// A check that approves what costs little, and may be down.
#[derive(Debug, Default)]
struct Check {
    asked: RefCell<Vec<String>>,
    down: Cell<bool>,
    says: RefCell<Option<Reply>>,
}

impl Post for Check {
    async fn post(&self, key: &str, json: &str) -> Result<Reply, Error> {
        if self.down.get() {
            return Err(Error { what: "simulated".into(), kind: Kind::Transient, source: None });
        }
        self.asked.borrow_mut().push(key.to_owned());
        if let Some(reply) = self.says.borrow().clone() {
            return Ok(reply);
        }
        let event: Value = serde_json::from_str(json).unwrap();
        let answer = if event["amount"].as_f64() < Some(100.0) {
            json!({"decision": "approve"})
        } else {
            json!({"decision": "hold", "reason": "more than a hundred"})
        };
        Ok(Reply { status: 200, body: answer.to_string().into_bytes() })
    }
}

type Deps = millrace_review::Deps<Table, Store, Store, Check, VirtualClock>;

fn deps(queue: Store) -> Deps {
    let driver = Driver {
        function: "review",
        checkpoints: Checkpoints::new("review", Guard::patient("table", Table::default()), 172_800_000),
        objects: Guard::patient("queue", queue),
        quarantine: Guard::patient("quarantine", Store::default()),
        clock: VirtualClock::at(Micros::new(1_573_841_200_000_000).unwrap()),
        reader: Reader::default(),
    };
    let check = Guard::new("check", Check::default(), Policy::BRIEF);
    Deps { driver, check, desk: Desk::new(EventSettings::read(PIPELINE).unwrap()) }
}

fn healthy() -> Deps {
    deps(Store::default())
}

fn invoke(deps: &mut Deps, frames: &[Vec<u8>]) -> (Value, Counts) {
    let records = frames.iter().enumerate().map(|(n, data)| {
        json!({
            "eventID": format!("shardId-000000000003:{}", 100 + n),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/clean",
            "kinesis": {
                "sequenceNumber": (100 + n).to_string(),
                "approximateArrivalTimestamp": 1_573_841_200.5,
                "data": BASE64_STANDARD.encode(data),
            },
        })
    });
    let event = json!({"Records": records.collect::<Vec<_>>()}).to_string();
    let deadline = deps.driver.clock.now().plus_ms(58_000);
    let (response, counts) = run(handle(&serde_json::from_str(&event).unwrap(), deadline, deps));
    (serde_json::to_value(response).unwrap(), counts)
}

/// A frame of the events of one record.
fn frame(sequence: &str, events: &[Value]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin("raw/shardId-000000000000".to_owned());
    for (index, event) in (0..).zip(events) {
        assert!(writer.push(sequence, index, |line| line.push_str(&event.to_string())));
    }
    writer.finish().remove(0).data
}

fn payment(id: &str, amount: f64) -> Value {
    json!({"id": id, "eventType": "stripe.charge.succeeded", "amount": amount, "review": true})
}

fn safe() -> Value {
    json!({"batchItemFailures": []})
}

fn held(deps: &Deps) -> Vec<String> {
    deps.driver.objects.port().objects().into_values().map(|body| String::from_utf8(body).unwrap()).collect()
}

#[test]
fn what_wants_a_check_is_approved_or_held_and_the_rest_passes_by() {
    let mut deps = healthy();
    let events = [
        payment("small", 7.0),
        payment("large", 700.0),
        json!({"id": "unasked", "eventType": "view", "amount": 700.0}),
        json!({"id": "not here", "eventType": "view", "data": {"review":true}}),
        json!({"id": "no", "eventType": "view", "review": "true"}),
    ];
    let (response, counts) = invoke(&mut deps, &[frame("7", &events)]);
    assert_eq!(response, safe());
    assert_eq!(counts.landing, Landing { r#in: 5, landed: 5, skipped: 0, quarantined: 0 });
    assert_eq!(counts.asked, Asked { asked: 2, approved: 1, held: 1 });
    assert_eq!(*deps.check.port().asked.borrow(), ["small", "large"]);
    expect![[r#"{"event":{"amount":700.0,"eventType":"stripe.charge.succeeded","id":"large","review":true},"reason":"more than a hundred"}"#]]
        .assert_eq(&held(&deps).join("\n"));
}

/// Ids are known for an hour and by shard: two events may have the same one.
#[test]
fn what_was_decided_of_one_event_says_nothing_of_another_one_of_its_id() {
    let mut deps = healthy();
    let events = [payment("a", 7.0), payment("a", 700.0), payment("a", 800.0)];
    let (response, counts) = invoke(&mut deps, &[frame("7", &events[..2]), frame("8", &events[2..])]);
    assert_eq!((response, counts.asked), (safe(), Asked { asked: 3, approved: 1, held: 2 }));
    assert_eq!(held(&deps).len(), 2, "the queue would drop a second one of a key");
}

#[test]
fn what_comes_again_is_neither_held_twice_nor_lost() {
    let mut deps = healthy();
    let frames = [frame("7", &[payment("a", 700.0)]), frame("8", &[payment("b", 700.0)])];
    assert_eq!(invoke(&mut deps, &frames).0, safe());
    let (response, counts) = invoke(&mut deps, &frames);
    assert_eq!((response, counts.landing.skipped, held(&deps).len()), (safe(), 2, 2));
}

#[test]
fn a_check_that_is_down_decides_nothing_and_the_batch_comes_again_from_there() {
    let mut deps = healthy();
    let frames = [
        frame("7", &[json!({"id": "unasked", "eventType": "view"})]),
        frame("8", &[payment("a", 7.0), payment("b", 700.0)]),
    ];
    deps.check.port().down.set(true);
    let began = deps.driver.clock.now();
    for _ in 0..4 {
        let (response, counts) = invoke(&mut deps, &frames);
        assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "101"}]}));
        assert_eq!(counts.asked, Asked::default());
    }
    assert_eq!(held(&deps), [""; 0]);
    assert!(began.until(deps.driver.clock.now()).as_secs() >= 120, "attempts are not used up at once");
    let breaker = |deps: &Deps| deps.check.state(deps.driver.clock.now());
    assert_ne!(breaker(&deps), State::Closed, "a circuit breaker leaves it alone");
    deps.check.port().down.set(false);
    let (response, counts) = invoke(&mut deps, &frames);
    assert_eq!((response, counts.asked), (safe(), Asked { asked: 2, approved: 1, held: 1 }));
    assert_eq!((held(&deps).len(), breaker(&deps)), (1, State::Closed));
}

#[test]
fn what_was_answered_is_not_asked_again_while_the_queue_is_down() {
    let mut deps = deps(Store::failing(vec![Fault::Fails(Kind::Permanent)]));
    let frames = [frame("7", &[payment("a", 7.0), payment("b", 700.0)])];
    let (response, _) = invoke(&mut deps, &frames);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "100"}]}));
    assert_eq!(invoke(&mut deps, &frames).0, safe());
    assert_eq!((deps.check.port().asked.borrow().len(), held(&deps).len()), (2, 1));
}

#[test]
fn what_is_no_approval_holds() {
    let long = json!({"decision": "hold", "reason": "x".repeat(1000)}).to_string();
    let reasons: Vec<_> = [
        (200, ""),
        (200, "<html>hello</html>"),
        (200, r#"{"decision":"approved!"}"#),
        (200, r#"{"decision":"hold"}"#),
        (204, ""),
        (302, r#"{"decision":"approve"}"#),
        (404, r#"{"decision":"approve"}"#),
        (200, &long),
    ]
    .into_iter()
    .map(|(status, body)| {
        let mut deps = healthy();
        deps.check.port().says.replace(Some(Reply { status, body: body.into() }));
        assert_eq!(invoke(&mut deps, &[frame("7", &[payment("a", 7.0)])]).0, safe());
        let message: Value = serde_json::from_str(&held(&deps)[0]).unwrap();
        let reason = message["reason"].as_str().unwrap();
        if reason.len() > 100 { format!("{} bytes", reason.len()) } else { reason.to_owned() }
    })
    .collect();
    assert_eq!(
        reasons,
        [
            "the check's answer has no decision",
            "the check's answer has no decision",
            "the check's answer has no decision",
            "",
            "the check's answer has no decision",
            "the check answers 302",
            "the check answers 404",
            "200 bytes",
        ]
    );
}

#[test]
fn what_cannot_be_read_goes_to_the_quarantine() {
    let mut deps = healthy();
    let bad = frame("8", &[json!({"id": "a", "review": true})]);
    let frames = [b"no frame".to_vec(), bad[..bad.len() - 3].to_vec(), frame("9", &[payment("b", 700.0)])];
    let (response, counts) = invoke(&mut deps, &frames);
    assert_eq!(response, safe());
    assert_eq!(counts.landing, Landing { r#in: 3, landed: 1, skipped: 0, quarantined: 2 });
    assert_eq!((held(&deps).len(), deps.driver.quarantine.port().objects().len()), (1, 2));
}

/// `events/review.json` holds a frame with two payments that want a check. `UPDATE_EXPECT=1` renews it.
#[test]
fn the_sample_event_is_safe() {
    let event = json!({"Records": [{
        "awsRegion": "us-east-1",
        "eventID": "shardId-000000000000:49668899999999999999999999999999999999999999999999999301",
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/millrace-clean",
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/millrace",
        "kinesis": {
            "approximateArrivalTimestamp": 1_795_179_968.5,
            "data": BASE64_STANDARD.encode(frame("7", &[payment("evt_1", 64.5), payment("evt_2", 645.0)])),
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "raw/shardId-000000000000",
            "sequenceNumber": "49668899999999999999999999999999999999999999999999999301",
        },
    }]});
    let sample = format!("{}\n", serde_json::to_string_pretty(&event).unwrap());
    expect_file!["../../../events/review.json"].assert_eq(&sample);
    let mut deps = healthy();
    let deadline = deps.driver.clock.now().plus_ms(58_000);
    let (response, counts) = run(handle(&serde_json::from_str(&sample).unwrap(), deadline, &mut deps));
    assert_eq!(serde_json::to_value(response).unwrap(), safe());
    assert_eq!(counts.asked, Asked { asked: 2, approved: 1, held: 1 });
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_review")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    for name in [
        "CHECK_URL",
        "REVIEW_QUEUE_URL",
        "QUARANTINE_BUCKET",
        "QUARANTINE_DAYS",
        "STATE_TABLE",
        "STREAM_RETENTION_HOURS",
    ] {
        assert!(!out.status.success() && told.contains(name), "{told}");
    }
}
