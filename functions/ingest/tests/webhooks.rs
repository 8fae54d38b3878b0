//! Whole requests to `webhooks`, signed by the vendors' own libraries and by whom not, as API Gateway hands them over.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use millrace_core::account::Tally as Transformed;
use millrace_core::batch::Batch;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::{EventSettings, Pipeline};
use millrace_core::port::{
    Between, Clock as _, Entry, Error, Item, KeyTable, Kind, Page, PutRecords, Queue, Secret, When, Written,
};
use millrace_core::retry::Policy;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_core::webhook::Sources;
use millrace_core::window::{Span, Window};
use millrace_ingest::HttpRequest;
use millrace_ingest::access::Access;
use millrace_ingest::answer::Answer;
use millrace_ingest::webhooks::{BODY_MAX, Deps, Tally, handle};
use millrace_sim::{Fault, History, Messages, Store, Stream, Table, VirtualClock, run};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];
const SECRETS: &str = include_str!("webhooks/secrets.json");

/// What a request of the files beside holds; see `webhooks/sign.py` and `sign.mjs`.
#[derive(Debug, Clone, Deserialize)]
struct Signed {
    name: String,
    source: String,
    at: i64,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Signed {
    fn all() -> Vec<Self> {
        let read = |text| serde_json::from_str::<Vec<Self>>(text).unwrap();
        let python = read(include_str!("webhooks/signed_by_python.json"));
        [python, read(include_str!("webhooks/signed_by_node.json"))].concat()
    }

    fn of(name: &str) -> Self {
        Self::all().into_iter().find(|signed| signed.name == name).unwrap()
    }

    fn with(mut self, header: &str, value: &str) -> Self {
        self.headers.insert(header.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, header: &str) -> Self {
        self.headers.remove(header).unwrap();
        self
    }

    fn request(&self) -> HttpRequest {
        request("POST", &format!("/v1/webhooks/{}", self.source), &json!(self.headers), self.body.as_bytes())
    }
}

/// A request of GitHub with any body.
fn github(body: &[u8]) -> HttpRequest {
    github_of("millrace-demo-github", "application/json", body)
}

fn github_of(secret: &str, content_type: &str, body: &[u8]) -> HttpRequest {
    signed_for("github", secret, content_type, body)
}

fn signed_for(source: &str, secret: &str, content_type: &str, body: &[u8]) -> HttpRequest {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    let hex =
        mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let headers = json!({
        "content-type": content_type, "x-github-event": "push", "x-github-delivery": "d-1",
        "x-hub-signature-256": format!("sha256={hex}"),
    });
    request("POST", &format!("/v1/webhooks/{source}"), &headers, body)
}

fn request(method: &str, path: &str, headers: &Value, body: &[u8]) -> HttpRequest {
    let base64 = std::str::from_utf8(body).is_err();
    let body = std::str::from_utf8(body).map_or_else(|_| BASE64_STANDARD.encode(body), str::to_owned);
    let request = json!({
        "version": "2.0", "rawPath": path, "headers": headers, "body": body, "isBase64Encoded": base64,
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "203.0.113.77", "userAgent": "vendor/1"}},
    });
    serde_json::from_value(request).unwrap()
}

/// A secret that somebody changes, or that cannot be had.
#[derive(Debug, Default)]
struct Held {
    text: RefCell<Option<String>>,
    asked: Cell<usize>,
}

impl Held {
    fn of(text: &str) -> Self {
        Self { text: RefCell::new(Some(text.to_owned())), asked: Cell::new(0) }
    }
}

impl Secret for &Held {
    async fn get(&self) -> Result<String, Error> {
        self.asked.set(self.asked.get() + 1);
        let gone = || Error { what: "simulated".into(), kind: Kind::Permanent, source: None };
        self.text.borrow().clone().ok_or_else(gone)
    }
}

fn at(seconds: i64) -> Micros {
    Micros::new(seconds * 1_000_000).unwrap()
}

const NOW: i64 = 1_767_225_600;

fn deps<P, Q, T>(held: &Held, raw: P, spill: Q, ids: T) -> Deps<P, Q, T, &Held, VirtualClock> {
    let clock = VirtualClock::at(at(NOW));
    let deadline = clock.now().plus_ms(8_000);
    let sources = run(Keys::fetch(Guard::patient("secret", held), &clock, deadline, Sources::parse)).unwrap();
    let event = EventSettings::read(PIPELINE).unwrap();
    let (raw, spill) = (Guard::patient("raw", raw), Guard::new("spill", spill, Policy::BRIEF));
    let ingest = millrace_ingest::Deps { raw, spill, clock, event, access: Access::Open, body_max: BODY_MAX };
    Deps { ingest, sources, ids: Guard::new("ids", ids, Policy::BRIEF) }
}

fn healthy(held: &Held) -> Deps<Stream, Messages, Table, &Held, VirtualClock> {
    deps(held, Stream::default(), Messages::default(), Table::default())
}

fn send<P: PutRecords, Q: Queue, T: KeyTable>(
    request: HttpRequest,
    deps: &mut Deps<P, Q, T, &Held, VirtualClock>,
) -> (Answer, Tally) {
    let deadline = deps.ingest.clock.now().plus_ms(10_000);
    run(handle(request, deadline, deps))
}

fn wait<P, Q, T>(deps: &Deps<P, Q, T, &Held, VirtualClock>, seconds: u64) {
    run(deps.ingest.clock.sleep(Duration::from_secs(seconds)));
}

fn lines(records: &[Entry]) -> Vec<String> {
    let text = records.iter().map(|record| String::from_utf8(record.data.clone()).unwrap());
    text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn becomes(name: &str, answer: Expect, event: Expect) {
    let signed = Signed::of(name);
    assert_eq!(signed.at, NOW);
    let held = Held::of(SECRETS);
    let mut deps = healthy(&held);
    let (told, tally) = send(signed.request(), &mut deps);
    answer.assert_eq(&format!("{} {}", told.status_code, told.body));
    let lines = lines(&deps.ingest.raw.port().records());
    assert_eq!(tally, Tally { accepted: lines.len(), ..Tally::default() });
    event.assert_eq(&lines.join("\n"));
}

#[test]
fn what_the_vendors_own_libraries_sign_is_an_event() {
    becomes(
        "stripe",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"stripe"},"data":{"id":"evt_1","object":"event","api_version":"2026-01-28","created":1767225598,"livemode":true,"type":"charge.succeeded","data":{"object":{"id":"ch_evt_1","object":"charge","amount":6450,"currency":"eur","description":"Café, Größe M","status":"succeeded"}}},"id":"evt_1","eventType":"stripe.charge.succeeded","timestamp":"2025-12-31T23:59:58Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "stripe, rotating",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"stripe"},"data":{"id":"evt_2","object":"event","api_version":"2026-01-28","created":1767225598,"livemode":true,"type":"charge.succeeded","data":{"object":{"id":"ch_evt_2","object":"charge","amount":6450,"currency":"eur","description":"Caf\u00e9, Gr\u00f6\u00dfe M","status":"succeeded"}}},"id":"evt_2","eventType":"stripe.charge.succeeded","timestamp":"2025-12-31T23:59:58Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "stripe, the old secret",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"stripe"},"data":{"id":"evt_3","object":"event","api_version":"2026-01-28","created":1767225598,"livemode":true,"type":"charge.succeeded","data":{"object":{"id":"ch_evt_3","object":"charge","amount":6450,"currency":"eur","description":"Caf\u00e9, Gr\u00f6\u00dfe M","status":"succeeded"}}},"id":"evt_3","eventType":"stripe.charge.succeeded","timestamp":"2025-12-31T23:59:58Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "github",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"github"},"data":{"action":"opened","number":7,"pull_request":{"title":"Größe","user":{"login":"ann"}},"repository":{"full_name":"a/b"}},"id":"72d3162e-cc78-11e3-81ab-4c9367dc0958","eventType":"github.pull_request.opened","timestamp":"2026-01-01T00:00:00Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "github, as a form",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"github"},"data":{"action":"opened","number":7,"pull_request":{"title":"Größe","user":{"login":"ann"}},"repository":{"full_name":"a/b"}},"id":"72d3162e-cc78-11e3-81ab-4c9367dc0959","eventType":"github.pull_request.opened","timestamp":"2026-01-01T00:00:00Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "github, without an action",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"github"},"data":{"ref":"refs/heads/main"},"id":"72d3162e-cc78-11e3-81ab-4c9367dc0960","eventType":"github.push","timestamp":"2026-01-01T00:00:00Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "shopify",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"shop","shop":"example.myshopify.com"},"data":{"id":820982911946154500,"email":"ann@example.com","total_price":"64.50","note":"Größe M ☕"},"id":"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043","eventType":"shop.orders.create","timestamp":"2025-12-31T23:59:59.123456Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "slack",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"slack"},"data":{"team_id": "T01234567", "type": "event_callback", "event_id": "Ev08MFMKH6", "event_time": 1767225599, "event": {"type": "app_mention", "user": "U02345678", "text": "<@U03456789> hello", "ts": "1767225600.001500", "channel": "C04567890"}},"id":"Ev08MFMKH6","eventType":"slack.app_mention","timestamp":"2025-12-31T23:59:59Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
    becomes(
        "standard",
        expect![[r#"202 {"accepted":1,"rejected":[]}"#]],
        expect![[
            r#"{"webhook":{"source":"acme"},"data":{"type": "invoice.paid", "timestamp": "2025-12-31T23:59:58.5Z", "data": {"invoice": "in_1"}},"id":"msg_1","eventType":"acme.invoice.paid","timestamp":"2025-12-31T23:59:58.5Z","receivedAt":"2026-01-01T00:00:00Z"}"#
        ]],
    );
}

#[test]
fn slack_gets_its_challenge_back() {
    becomes(
        "slack, challenge",
        expect![[r#"200 {"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#]],
        expect![[""]],
    );
}

/// What is answered, shortly, and that nothing came of it.
fn refused(request: HttpRequest) -> String {
    refused_at(NOW, request)
}

fn refused_at(now: i64, request: HttpRequest) -> String {
    let held = Held::of(SECRETS);
    let mut deps = healthy(&held);
    deps.ingest.clock = VirtualClock::at(at(now));
    let (answer, tally) = send(request, &mut deps);
    assert_eq!(tally, Tally { refused: 1, ..Tally::default() });
    assert!(deps.ingest.raw.port().records().is_empty() && deps.ids.port().items().is_empty());
    assert!(!answer.body.contains("canary"), "an answer repeats nothing: {}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let name = body["type"].as_str().unwrap().trim_start_matches("urn:millrace:problem:").to_owned();
    format!("{} {name}: {}", answer.status_code, body["detail"].as_str().unwrap())
}

/// JSON of so many bytes.
fn large_of(bytes: usize) -> String {
    format!("{{\"canary\":\"{}\"}}", "x".repeat(bytes - 13))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The signature is over the bytes as they came.
#[test]
fn a_body_may_be_gzip_and_nearly_as_large_as_a_record() {
    for body in [gzip(br#"{"action":"opened"}"#), large_of(749_500).into_bytes()] {
        let held = Held::of(SECRETS);
        let mut deps = healthy(&held);
        assert_eq!(send(github(&body), &mut deps).0.status_code, 202);
        let line: Value = serde_json::from_slice(&deps.ingest.raw.port().records()[0].data).unwrap();
        assert!(line["data"]["action"] == "opened" || line["data"]["canary"].is_string());
    }
}

#[test]
fn bad_input_is_refused_and_the_answer_names_the_place() {
    let (stripe, hub, shop) = (Signed::of("stripe"), Signed::of("github"), Signed::of("shopify"));
    let (slack, standard) = (Signed::of("slack"), Signed::of("standard"));
    let changed =
        |signed: &Signed| Signed { body: signed.body.replacen('{', "{\"canary\":1,", 1), ..signed.clone() };
    let large = large_of(750_013);
    let get = request("GET", "/v1/webhooks/github", &json!({}), b"");
    let elsewhere = request("POST", "/v1/webhooks/canary", &json!({}), b"{}");
    let no_base64 = json!({
        "headers": {}, "body": "canary!", "isBase64Encoded": true,
        "requestContext": {"http": {"method": "POST", "path": "/v1/webhooks/github"}},
    });
    let table = [
        ("empty", refused(github(b""))),
        ("blank", refused(github(b" \n"))),
        ("no base64", refused(serde_json::from_value(no_base64).unwrap())),
        ("too large", refused(github(large.as_bytes()))),
        ("far too large", refused(github(&vec![b' '; (10 << 20) + 1]))),
        ("too large with what is put around it", refused(github(large_of(749_990).as_bytes()))),
        ("a bomb", refused(github(&gzip(&vec![b' '; 17 << 20])))),
        ("a small bomb", refused(github(&gzip(large.as_bytes())))),
        ("damaged gzip", refused(github(&gzip(b"{\"canary\":1}")[..20]))),
        ("no JSON", refused(github(b"canary"))),
        ("an array", refused(github(b"[\"canary\"]"))),
        ("JSON that goes on", refused(github(b"{},\"canary\":{}"))),
        ("cut", refused(github(b"{\"canary\":"))),
        ("no UTF-8", refused(github(b"{\"a\":\"\xff\"}"))),
        ("nested too deep", refused(github("{\"canary\":".repeat(1000).as_bytes()))),
        (
            "as deep as can be",
            refused(github(format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120)).as_bytes())),
        ),
        ("XML", refused(github_of("millrace-demo-github", "application/xml", b"<canary/>"))),
        ("a form without payload", refused(github_of("millrace-demo-github", FORM, b"canary=1"))),
        ("a form with no JSON", refused(github_of("millrace-demo-github", FORM, b"payload=canary"))),
        ("a form, not of GitHub", refused(slack.clone().with("content-type", FORM).request())),
        ("an unknown encoding", refused(hub.clone().with("content-encoding", "br").request())),
        ("no gzip", refused(hub.clone().with("content-encoding", "gzip").request())),
        ("another secret", refused(github_of("another-secret-altogether", "application/json", b"{}"))),
        ("Stripe, changed", refused(changed(&stripe).request())),
        ("GitHub, changed", refused(changed(&hub).request())),
        ("Shopify, changed", refused(changed(&shop).request())),
        ("Slack, changed", refused(changed(&slack).request())),
        ("Standard, changed", refused(changed(&standard).request())),
        ("Stripe, no header", refused(stripe.clone().without("stripe-signature").request())),
        ("GitHub, no header", refused(hub.clone().without("x-hub-signature-256").request())),
        ("GitHub, empty header", refused(hub.clone().with("x-hub-signature-256", " ").request())),
        ("GitHub, no id", refused(hub.clone().without("x-github-delivery").request())),
        ("GitHub, no event", refused(hub.clone().without("x-github-event").request())),
        ("Shopify, no header", refused(shop.clone().without("x-shopify-hmac-sha256").request())),
        ("Shopify, no id", refused(shop.clone().without("x-shopify-webhook-id").request())),
        ("Shopify, no topic", refused(shop.clone().without("x-shopify-topic").request())),
        ("Slack, no header", refused(slack.clone().without("x-slack-signature").request())),
        ("Slack, no time", refused(slack.clone().without("x-slack-request-timestamp").request())),
        ("Standard, no header", refused(standard.clone().without("webhook-signature").request())),
        ("Standard, no time", refused(standard.clone().without("webhook-timestamp").request())),
        ("Standard, no id", refused(standard.clone().without("webhook-id").request())),
        ("Stripe, malformed", refused(stripe.clone().with("stripe-signature", "canary").request())),
        ("GitHub, malformed", refused(hub.clone().with("x-hub-signature-256", "sha256=canary").request())),
        (
            "Shopify, malformed base64",
            refused(shop.clone().with("x-shopify-hmac-sha256", "canary!").request()),
        ),
        ("Slack, malformed", refused(slack.clone().with("x-slack-signature", "v0=canary").request())),
        (
            "Slack, malformed time",
            refused(slack.clone().with("x-slack-request-timestamp", "canary").request()),
        ),
        (
            "Standard, malformed base64",
            refused(standard.clone().with("webhook-signature", "v1,canary!").request()),
        ),
        (
            "Standard, another version",
            refused(standard.clone().with("webhook-signature", "v1a,canary").request()),
        ),
        ("Stripe, replayed later", refused_at(NOW + 301, stripe.request())),
        ("Stripe, clock ahead", refused_at(NOW - 301, stripe.request())),
        ("Slack, replayed later", refused_at(NOW + 301, slack.request())),
        ("Standard, clock ahead", refused_at(NOW - 301, standard.request())),
        ("another vendor's secret", refused(Signed { source: "shop".into(), ..hub }.request())),
        ("no such source", refused(elsewhere)),
        ("another method", refused(get)),
    ];
    let told: Vec<_> = table.iter().map(|(what, told)| format!("{what}\n  {told}\n")).collect();
    expect![[r#"
        empty
          400 bad-body: the body is empty
        blank
          400 bad-body: the JSON ends too early
        no base64
          400 bad-body: the body that API Gateway encoded is no base64
        too large
          413 body-too-large: a webhook may have 750000 bytes, with the fields that are put around it
        far too large
          413 body-too-large: a webhook may have 750000 bytes, with the fields that are put around it
        too large with what is put around it
          413 body-too-large: a webhook may have 750000 bytes, with the fields that are put around it
        a bomb
          413 body-too-large: a webhook may have 750000 bytes, with the fields that are put around it
        a small bomb
          413 body-too-large: a webhook may have 750000 bytes, with the fields that are put around it
        damaged gzip
          400 bad-body: the gzip data is damaged or cut off
        no JSON
          400 bad-body: no JSON: no value at byte 0
        an array
          400 bad-body: this is JSON, but not an object
        JSON that goes on
          400 bad-body: no JSON: more after the value at byte 2
        cut
          400 bad-body: the JSON ends too early
        no UTF-8
          400 bad-body: byte 6 is not UTF-8
        nested too deep
          400 bad-body: it is nested deeper than 120 levels
        as deep as can be
          400 bad-body: it is nested deeper than 120 levels
        XML
          415 content-type: send the webhook as application/json; GitHub may send it as a form, too, with the field `payload`
        a form without payload
          415 content-type: send the webhook as application/json; GitHub may send it as a form, too, with the field `payload`
        a form with no JSON
          400 bad-body: no JSON: no value at byte 0
        a form, not of GitHub
          415 content-type: send the webhook as application/json; GitHub may send it as a form, too, with the field `payload`
        an unknown encoding
          415 content-encoding: send the body plain or with content-encoding gzip
        no gzip
          400 bad-body: the body is said to be gzip and is not, or came as text: send gzip as application/x-ndjson, for API Gateway takes application/json and text for text
        another secret
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        Stripe, changed
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        GitHub, changed
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        Shopify, changed
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        Slack, changed
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        Standard, changed
          401 wrong-signature: no signature matches: it was made with another secret, or the body is not the one that was signed
        Stripe, no header
          401 no-signature: the header stripe-signature is missing
        GitHub, no header
          401 no-signature: the header x-hub-signature-256 is missing
        GitHub, empty header
          401 no-signature: the header x-hub-signature-256 is missing
        GitHub, no id
          400 no-event: the header x-github-delivery is missing
        GitHub, no event
          400 no-event: the header x-github-event is missing
        Shopify, no header
          401 no-signature: the header x-shopify-hmac-sha256 is missing
        Shopify, no id
          400 no-event: the header x-shopify-webhook-id is missing
        Shopify, no topic
          400 no-event: the header x-shopify-topic is missing
        Slack, no header
          401 no-signature: the header x-slack-signature is missing
        Slack, no time
          401 no-signature: the header x-slack-request-timestamp is missing
        Standard, no header
          401 no-signature: the header webhook-signature is missing
        Standard, no time
          401 no-signature: the header webhook-timestamp is missing
        Standard, no id
          401 no-signature: the header webhook-id is missing
        Stripe, malformed
          401 malformed-signature: the header stripe-signature is not of the form t=<seconds>,v1=<64 hex digits>
        GitHub, malformed
          401 malformed-signature: the header x-hub-signature-256 is not of the form sha256=<64 hex digits>
        Shopify, malformed base64
          401 malformed-signature: the header x-shopify-hmac-sha256 is not of the form <base64 of 32 bytes>
        Slack, malformed
          401 malformed-signature: the header x-slack-signature is not of the form v0=<64 hex digits>
        Slack, malformed time
          401 malformed-signature: the header x-slack-request-timestamp is not of the form <seconds>
        Standard, malformed base64
          401 malformed-signature: the header webhook-signature is not of the form v1,<base64 of 32 bytes>
        Standard, another version
          401 malformed-signature: the header webhook-signature is not of the form v1,<base64 of 32 bytes>
        Stripe, replayed later
          401 wrong-time: it was signed more than 300 seconds from now: it was sent again, or a clock is wrong
        Stripe, clock ahead
          401 wrong-time: it was signed more than 300 seconds from now: it was sent again, or a clock is wrong
        Slack, replayed later
          401 wrong-time: it was signed more than 300 seconds from now: it was sent again, or a clock is wrong
        Standard, clock ahead
          401 wrong-time: it was signed more than 300 seconds from now: it was sent again, or a clock is wrong
        another vendor's secret
          401 no-signature: the header x-shopify-hmac-sha256 is missing
        no such source
          404 no-source: there is no webhook source of this name: the secret `WebhookSecrets` names those there are
        another method
          405 method-not-allowed: this resource takes POST
    "#]].assert_eq(&told.concat());
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn what_comes_again_is_answered_200_and_goes_no_further() {
    for name in ["stripe", "github", "shopify", "slack", "standard"] {
        let held = Held::of(SECRETS);
        let mut deps = healthy(&held);
        assert_eq!(send(Signed::of(name).request(), &mut deps).0.status_code, 202, "{name}");
        let (answer, tally) = send(Signed::of(name).request(), &mut deps);
        assert_eq!(answer.status_code, 200, "{name}");
        assert_eq!(tally, Tally { known: 1, ..Tally::default() });
        assert_eq!(deps.ingest.raw.port().records().len(), 1, "{name}");
    }
    expect![[r#"{"accepted":0,"known":1,"rejected":[]}"#]].assert_eq(&{
        let held = Held::of(SECRETS);
        let mut deps = healthy(&held);
        send(github(b"{}"), &mut deps);
        send(github(b"{}"), &mut deps).0.body
    });
}

#[test]
fn an_id_is_known_for_a_week_and_for_its_source() {
    let held = Held::of(&SECRETS.replace("\"shop\"", "\"github2\"").replace("\"shopify\"", "\"github\""));
    let mut deps = healthy(&held);
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 202);
    wait(&deps, 7 * 86_400 - 1);
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 200);
    wait(&deps, 1);
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 202, "items of DynamoDB outlive their time");
    let other = signed_for("github2", "millrace-demo-shopify", "application/json", b"{}");
    assert_eq!(send(other, &mut deps).0.status_code, 202);
}

#[test]
fn an_event_that_could_not_be_put_is_not_known_and_the_next_attempt_gets_in() {
    for (raw, status) in [(Fault::Throttles(vec![0]), 429), (Fault::Fails(Kind::Transient), 503)] {
        let held = Held::of(SECRETS);
        let raw = Stream::failing(vec![raw; 1000]);
        let spill = Messages::failing(vec![Fault::Fails(Kind::Transient); 2]);
        let mut deps = deps(&held, raw, spill, Table::default());
        let (answer, tally) = send(github(b"{}"), &mut deps);
        assert_eq!(
            (answer.status_code, answer.headers.get("retry-after").map(|after| &**after)),
            (status, Some("2"))
        );
        assert_eq!(tally, Tally { refused: 1, ..Tally::default() });
        assert!(deps.ids.port().items().is_empty());
        // Kinesis is still down, the spill queue is not.
        let (answer, tally) = send(github(b"{}"), &mut deps);
        assert_eq!(answer.status_code, 202);
        assert_eq!(tally, Tally { accepted: 1, spilled: 1, ..Tally::default() });
        assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 200);
        assert_eq!(deps.ingest.spill.port().sent().len(), 1);
    }
}

#[test]
fn a_vendor_is_answered_within_five_seconds_whatever_is_down() {
    let held = Held::of(SECRETS);
    let down = || vec![Fault::Fails(Kind::Transient); 1000];
    let mut deps = deps(&held, Stream::failing(down()), Messages::failing(down()), Table::failing(down()));
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 503);
    assert!(deps.ingest.clock.now() <= at(NOW + 5));
}

/// A table that lets who asks wait.
struct Hangs;

impl KeyTable for Hangs {
    async fn page(&self, _: &str, _: Between<'_>) -> Result<Page, Error> {
        std::future::pending().await
    }

    async fn put(&self, _: &Item, _: When) -> Result<Written, Error> {
        Ok(Written::Done)
    }
}

/// Else nothing of the five seconds would be left for Kinesis and the spill queue.
#[test]
fn a_table_that_hangs_leaves_time_for_the_event() {
    let held = Held::of(SECRETS);
    let mut deps = deps(&held, Stream::default(), Messages::default(), Hangs);
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 202);
    assert!(deps.ingest.clock.now() < at(NOW + 1));
}

/// What `transform` lets out of these records, as events and as counts.
fn transformed(records: &[Entry]) -> (usize, Transformed) {
    let span = Span { window_ms: 3_600_000, retries_ms: 86_400_000, ids_max: 1_000_000 };
    let mut transformer = Transformer {
        function: "transform",
        clean: Guard::patient("clean", Stream::default()),
        quarantine: Guard::patient("quarantine", Store::default()),
        memory: Window::new(
            Guard::patient("table", Table::default()),
            Guard::patient("shards", History::default()),
            span,
        ),
        clock: VirtualClock::at(at(NOW)),
        pipeline: Pipeline::compile(PIPELINE, &FILES).unwrap(),
        keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
        batch: Batch::default(),
    };
    let records = records.iter().enumerate().map(|(n, record)| {
        json!({
            "eventID": format!("shardId-000000000000:{}", 100 + n),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
            "kinesis": {
                "sequenceNumber": (100 + n).to_string(),
                "approximateArrivalTimestamp": 1_767_225_600.5,
                "data": BASE64_STANDARD.encode(&record.data),
            },
        })
    });
    let event = json!({"Records": records.collect::<Vec<_>>()}).to_string();
    let deadline = transformer.clock.now().plus_ms(10_000);
    let (_, counts) =
        run(millrace_transform::handle(&serde_json::from_str(&event).unwrap(), deadline, &mut transformer));
    (transformer.clean.port().records().len(), counts.tally)
}

#[test]
fn what_is_put_but_not_noted_lands_once_however_often_it_comes() {
    let held = Held::of(SECRETS);
    let ids = Table::failing(vec![Fault::Fails(Kind::Transient); 8]); // read twice and written twice, each once more
    let mut deps = deps(&held, Stream::default(), Messages::default(), ids);
    for _ in 0..2 {
        assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 202);
    }
    wait(&deps, 10); // its breaker is open
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 202, "nobody has noted it yet");
    assert_eq!(send(github(b"{}"), &mut deps).0.status_code, 200);
    let records = deps.ingest.raw.port().records();
    assert!(
        records.len() == 3 && records.iter().all(|record| record.partition_key == records[0].partition_key)
    );
    assert_eq!(
        transformed(&records).1,
        Transformed { r#in: 3, out: 1, duplicates: 2, ..Transformed::default() }
    );
}

/// A table; something else happens between the answer to the first reader and what that one does with it.
struct Meanwhile<'t> {
    table: &'t Table,
    happens: RefCell<Option<Box<dyn FnOnce() + 't>>>,
}

impl KeyTable for Meanwhile<'_> {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        let page = self.table.page(key, between).await;
        if let Some(happens) = self.happens.take() {
            happens();
        }
        page
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        self.table.put(item, when).await
    }
}

#[test]
fn two_that_come_at_once_land_once() {
    let (held, raw, ids) = (Held::of(SECRETS), Stream::default(), Table::default());
    let (held, raw, ids) = (&held, &raw, &ids);
    let other = move || {
        let (answer, _) = send(github(b"{}"), &mut deps(held, raw, Messages::default(), ids));
        assert_eq!(answer.status_code, 202);
        assert_eq!((raw.records().len(), ids.items().len()), (1, 1));
    };
    let table = Meanwhile { table: ids, happens: RefCell::new(Some(Box::new(other))) };
    let mut first = deps(held, raw, Messages::default(), table);
    assert_eq!(
        send(github(b"{}"), &mut first).0.status_code,
        202,
        "it had asked before the other one was noted"
    );
    assert_eq!(raw.records().len(), 2);
    let once = Transformed { r#in: 2, out: 1, duplicates: 1, ..Transformed::default() };
    assert_eq!(transformed(&raw.records()).1, once);
    assert_eq!(send(github(b"{}"), &mut first).0.status_code, 200);
}

#[test]
fn a_new_secret_is_taken_without_a_deployment() {
    let held = Held::of(r#"{"github": {"scheme": "github", "secrets": ["millrace-demo-before"]}}"#);
    let mut deps = healthy(&held);
    let status = |deps: &mut Deps<_, _, _, _, _>, secret| {
        send(github_of(secret, "application/json", b"{}"), deps).0.status_code
    };
    assert_eq!(status(&mut deps, "millrace-demo-before"), 202);
    held.text.replace(Some(
        r#"{"github": {"scheme": "github", "secrets": ["millrace-demo-after!", "millrace-demo-before"]}}"#
            .into(),
    ));
    assert_eq!(status(&mut deps, "millrace-demo-after!"), 401, "it has just been asked for");
    wait(&deps, 30);
    assert_eq!(status(&mut deps, "millrace-demo-after!"), 200, "what did not do makes it ask");
    assert_eq!(status(&mut deps, "millrace-demo-before"), 200);
    held.text
        .replace(Some(r#"{"github": {"scheme": "github", "secrets": ["millrace-demo-after!"]}}"#.into()));
    wait(&deps, 299);
    assert_eq!(status(&mut deps, "millrace-demo-before"), 200);
    wait(&deps, 1);
    assert_eq!(status(&mut deps, "millrace-demo-before"), 401);
    held.text.replace(None);
    wait(&deps, 300);
    assert_eq!(status(&mut deps, "millrace-demo-after!"), 200, "what is known goes on");
    assert!(held.asked.get() < 8, "strangers do not make it ask each time: {}", held.asked.get());
}

#[test]
fn a_source_that_is_set_up_wrong_says_so_and_disturbs_no_other() {
    let held = Held::of(&SECRETS.replace("\"shopify\"", "\"shopfy\""));
    let mut deps = healthy(&held);
    let (answer, _) = send(Signed::of("shopify").request(), &mut deps);
    expect![[r#"503 {"detail":"what the secret `WebhookSecrets` says of this source will not do; the function's log says why","status":503,"title":"The source is not set up right","type":"urn:millrace:problem:bad-source"}"#]].assert_eq(&format!("{} {}", answer.status_code, answer.body));
    assert_eq!(send(Signed::of("github").request(), &mut deps).0.status_code, 202);
    let held = Held::of("{}");
    assert_eq!(send(github(b"{}"), &mut healthy(&held)).0.status_code, 404, "no secret is configured");
}

#[test]
fn the_sample_event_is_answered() {
    let held = Held::of(SECRETS);
    let mut deps = healthy(&held);
    let (answer, _) =
        send(serde_json::from_str(include_str!("../../../events/webhooks.json")).unwrap(), &mut deps);
    expect![[r#"202 {"accepted":1,"rejected":[]}"#]]
        .assert_eq(&format!("{} {}", answer.status_code, answer.body));
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_webhooks")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    for name in ["RAW_STREAM", "SPILL_QUEUE_URL", "STATE_TABLE", "WEBHOOK_SECRETS"] {
        assert!(!out.status.success() && told.contains(name), "{told}");
    }
}

/// What of a request's headers is signed, or is the signature.
const SIGNED_HEADERS: [&str; 8] = [
    "stripe-signature",
    "x-hub-signature-256",
    "x-shopify-hmac-sha256",
    "x-slack-signature",
    "x-slack-request-timestamp",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

proptest! {
    #[test]
    fn a_bit_that_is_flipped_anywhere_in_what_is_signed_is_found(
        which in 0..5_usize, place in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let mut signed = Signed::of(["stripe", "github", "shopify", "slack", "standard"][which]);
        if let Some(header) = signed.headers.get_mut("stripe-signature") {
            // Signatures of another version are not looked at.
            header.truncate(header.find(",v0=").unwrap());
        }
        let mut body = signed.body.clone().into_bytes();
        let headers = signed.headers.iter_mut().filter(|(name, _)| SIGNED_HEADERS.contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(_, value)| value).collect();
        let sizes: Vec<_> = headers.iter().map(|value| value.len()).collect();
        let mut place = place.index(body.len() + sizes.iter().sum::<usize>());
        if place < body.len() {
            body[place] ^= 1 << bit;
        } else {
            place -= body.len();
            let which = sizes.iter().position(|size| place < *size || { place -= size; false }).unwrap();
            let mut bytes = std::mem::take(headers[which]).into_bytes();
            bytes[place] ^= 1 << (bit % 7); // a header is text
            *headers[which] = String::from_utf8(bytes).unwrap();
        }
        let path = format!("/v1/webhooks/{}", signed.source);
        let held = Held::of(SECRETS);
        let mut deps = healthy(&held);
        let (answer, _) = send(request("POST", &path, &json!(signed.headers), &body), &mut deps);
        prop_assert_eq!(answer.status_code, 401);
        prop_assert!(deps.ingest.raw.port().records().is_empty());
    }

    #[test]
    fn nothing_in_headers_or_bodies_makes_it_panic(
        source in prop::sample::select(vec!["stripe", "github", "shop", "slack", "acme"]),
        values in prop::collection::vec("[ -~]{0,40}|\\PC{0,20}|t=[0-9]{0,22},v1=[0-9a-f]{0,66}|v[01][,=][0-9a-zA-Z+/=]{0,66}|[0-9]{0,25}|sha256=[0-9a-f]{60,66}", 8),
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let headers: BTreeMap<_, _> = SIGNED_HEADERS.iter().zip(values).collect();
        let (answer, _) = send(
            request("POST", &format!("/v1/webhooks/{source}"), &json!(headers), &body),
            &mut healthy(&Held::of(SECRETS)),
        );
        prop_assert_eq!(answer.status_code, 401);
    }
}
