//! The cookbook's payments, all the way: requests as Stripe signs them, the pipeline, the check, and the queue of what is held.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::expect;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millrace_aws::source::KinesisEvent;
use millrace_core::account::Tally;
use millrace_core::batch::Batch;
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::Reader;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::{EventSettings, Pipeline};
use millrace_core::port::{Entry, Error, Post, Reply};
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_core::webhook::Sources;
use millrace_core::window::{Span, Window};
use millrace_ingest::webhooks;
use millrace_review::{Asked, Desk};
use millrace_sim::{History, Messages, Store, Stream, Table, VirtualClock, run};
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../../../cookbook/payments/pipeline.toml");
const FILES: &[(&str, &[u8])] =
    &[("webhook.schema.json", include_bytes!("../../../cookbook/payments/webhook.schema.json"))];
const SECRET: &str = "millrace-demo-stripe-new";
const NOW: i64 = 1_768_914_300;

fn clock() -> VirtualClock {
    VirtualClock::at(Micros::new(NOW * 1_000_000).unwrap())
}

fn deadline() -> Micros {
    Micros::new((NOW + 58) * 1_000_000).unwrap()
}

/// A payment of so many cents.
fn charge(id: &str, amount: &Value, risk: &str) -> String {
    json!({
        "id": id, "object": "event", "type": "charge.succeeded", "created": NOW - 1, "livemode": true,
        "data": {"object": {
            "id": format!("ch_{id}"), "amount": amount, "currency": "eur", "status": "succeeded", "outcome": {"risk_level": risk},
            "customer": "cus_canary", "billing_details": {"name": "Ann Canary", "address": {"country": "DE"}},
        }},
    })
    .to_string()
}

/// What the door answers.
fn knock(body: &str, secret: &str, door: &mut Door) -> u16 {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(format!("{NOW}.{body}")).finalize().into_bytes();
    let hex = mac.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let request = json!({
        "headers": {"content-type": "application/json", "stripe-signature": format!("t={NOW},v1={hex}")}, "body": body,
        "requestContext": {"http": {"method": "POST", "path": "/v1/webhooks/stripe"}},
    });
    let (answer, _) = run(webhooks::handle(serde_json::from_value(request).unwrap(), deadline(), door));
    answer.status_code
}

type Door = webhooks::Deps<Stream, Messages, Table, std::convert::Infallible, VirtualClock>;

fn door() -> Door {
    let secrets = json!({"stripe": {"scheme": "stripe", "secrets": [SECRET]}}).to_string();
    let ingest = millrace_ingest::Deps {
        raw: Guard::patient("raw", Stream::default()),
        spill: Guard::new("spill", Messages::default(), Policy::BRIEF),
        clock: clock(),
        event: EventSettings::read(PIPELINE).unwrap(),
        access: millrace_ingest::access::Access::Open,
        body_max: millrace_ingest::webhooks::BODY_MAX,
    };
    let ids = Guard::new("ids", Table::default(), Policy::BRIEF);
    webhooks::Deps { ingest, sources: Keys::fixed(Sources::parse(&secrets).unwrap()), ids }
}

fn batch(records: &[Entry], stream: &str) -> KinesisEvent {
    let records = records.iter().enumerate().map(|(n, record)| {
        json!({
            "eventID": format!("shardId-000000000000:{}", 100 + n),
            "eventSourceARN": format!("arn:aws:kinesis:us-east-1:123456789012:stream/{stream}"),
            "kinesis": {
                "sequenceNumber": (100 + n).to_string(), "approximateArrivalTimestamp": NOW,
                "data": BASE64_STANDARD.encode(&record.data),
            },
        })
    });
    serde_json::from_str(&json!({"Records": records.collect::<Vec<_>>()}).to_string()).unwrap()
}

fn transformed(raw: &[Entry]) -> (Vec<Entry>, Tally) {
    let span = Span { window_ms: 3_600_000, retries_ms: 86_400_000, ids_max: 1_000_000 };
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let mut transformer = Transformer {
        function: "transform",
        clean: Guard::patient("clean", Stream::default()),
        quarantine: Guard::patient("quarantine", Store::default()),
        memory: Window::new(
            Guard::patient("table", Table::default()),
            Guard::patient("shards", History::default()),
            span,
        ),
        clock: clock(),
        pipeline: Pipeline::compile(PIPELINE, &FILES).unwrap(),
        keys: Keys::<std::convert::Infallible>::fixed(
            key.with_encryption(b"fedcba9876543210fedcba9876543210").unwrap(),
        ),
        batch: Batch::default(),
    };
    let (_, counts) = run(millrace_transform::handle(&batch(raw, "raw"), deadline(), &mut transformer));
    (transformer.clean.port().records(), counts.tally)
}

/// A stand-in for the check: it holds what is over 2,000.
struct Check;

impl Post for Check {
    async fn post(&self, _key: &str, json: &str) -> Result<Reply, Error> {
        assert!(!json.to_lowercase().contains("canary"), "the check gets clean events: {json}");
        let event: Value = serde_json::from_str(json).unwrap();
        let decision = if event["amount"].as_f64() > Some(2_000.0) { "hold" } else { "approve" };
        let answer = json!({"decision": decision, "reason": "over 2,000"});
        Ok(Reply { status: 200, body: answer.to_string().into_bytes() })
    }
}

#[test]
fn a_payment_is_verified_checked_and_approved_or_held() {
    let mut door = door();
    for (body, secret, status) in [
        (charge("evt_small", &json!(6450), "normal"), SECRET, 202),
        (charge("evt_large", &json!(150_000), "normal"), SECRET, 202),
        (charge("evt_risky", &json!(6450), "highest"), SECRET, 202),
        (charge("evt_huge", &json!(250_000), "normal"), SECRET, 202),
        (charge("evt_huge", &json!(250_000), "normal"), SECRET, 200),
        (charge("evt_words", &json!("64.50"), "normal"), SECRET, 202),
        // It has no amount, and the quarantine is no place for a person.
        (
            charge("evt_customer", &json!(null), "normal").replace("charge.succeeded", "customer.created"),
            SECRET,
            202,
        ),
        (charge("evt_forged", &json!(250_000), "normal"), "somebody-else's-secret", 401),
    ] {
        assert_eq!(knock(&body, secret, &mut door), status, "{body}");
    }
    let (clean, tally) = transformed(&door.ingest.raw.port().records());
    assert_eq!(tally, Tally { r#in: 6, out: 4, filtered: 1, quarantined: 1, ..Tally::default() });

    let mut review = millrace_review::Deps {
        driver: Driver {
            function: "review",
            checkpoints: Checkpoints::new("review", Guard::patient("table", Table::default()), 172_800_000),
            objects: Guard::patient("queue", Store::default()),
            quarantine: Guard::patient("quarantine", Store::default()),
            clock: clock(),
            reader: Reader::default(),
        },
        check: Guard::new("check", Check, Policy::BRIEF),
        desk: Desk::new(EventSettings::read(PIPELINE).unwrap()),
    };
    let (_, counts) = run(millrace_review::handle(&batch(&clean, "clean"), deadline(), &mut review));
    assert_eq!((counts.landing.landed, counts.asked), (4, Asked { asked: 3, approved: 2, held: 1 }));
    let held: Vec<_> = review.driver.objects.port().objects().into_values().collect();
    assert_eq!(held.len(), 1);
    expect![[r#"{"event":{"webhook":{"source":"stripe"},"id":"evt_huge","type":"stripe.charge.succeeded","created":1768914299000000,"receivedAt":1768914300000000,"charge":{"amount":250000,"currency":"eur","customer":"k1:c6eb69aadb890c32a08c75cd4528e8fa930a4457548926d33fd3e1d3df9bdda4","id":"ch_evt_huge","outcome":{"risk_level":"normal"},"status":"succeeded"},"amount":2500.0,"country":"DE","risk":"normal","review":true},"reason":"over 2,000"}"#]].assert_eq(std::str::from_utf8(&held[0]).unwrap());
}
