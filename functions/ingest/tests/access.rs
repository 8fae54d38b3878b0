//! Every route with no, a wrong, an expired, another tenant's and a right credential.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_aws::settings::Env;
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock as _, Kind, WriteKey};
use millrace_core::retry::Policy;
use millrace_core::time::Micros;
use millrace_core::write_key;
use millrace_ingest::access::Access;
use millrace_ingest::answer::Answer;
use millrace_ingest::{Deps, handle};
use millrace_sim::{Fault, Keys, Messages, Stream, VirtualClock, run};
use serde_json::{Value, json};
use std::time::Duration;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");

type Function<'k> = Deps<Stream, Messages, VirtualClock, &'k Keys>;

/// Twenty seconds past a minute.
fn now() -> Micros {
    Micros::new(1_573_841_120_000_000).unwrap()
}

fn function(access: Access<String>, keys: &Keys) -> Function<'_> {
    Deps {
        raw: Guard::patient("raw", Stream::default()),
        spill: Guard::new("spill", Messages::default(), Policy::BRIEF),
        clock: VirtualClock::at(now()),
        event: EventSettings::read(PIPELINE).unwrap(),
        access: access.over(|_| Guard::new("keys", keys, Policy::BRIEF)),
        body_max: 10 << 20,
    }
}

fn with_keys(keys: &Keys) -> Function<'_> {
    function(Access::Keys("keys".into()), keys)
}

fn key(byte: u8) -> String {
    write_key::text(&[byte; write_key::BYTES])
}

fn of(tenant: &str) -> WriteKey {
    WriteKey { tenant: tenant.into(), enabled: true, expires_at: None, quota: None }
}

/// Keys: 1 of acme, 2 of globex, 3 expired, 4 revoked.
fn keys() -> Keys {
    let keys = Keys::default();
    for (byte, known) in [
        (1, of("acme")),
        (2, of("globex")),
        (3, WriteKey { expires_at: Some(now()), ..of("acme") }),
        (4, WriteKey { enabled: false, ..of("acme") }),
    ] {
        keys.keys.borrow_mut().insert(write_key::hash(&key(byte)).unwrap(), known);
    }
    keys
}

/// A request as API Gateway hands it over, with more in it.
fn request(route: &str, headers: &Value, more: &Value) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    let mut request = json!({
        "headers": headers, "body": r#"[{"id":"a","tenant":"claimed"},{"id":"b"}]"#,
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "203.0.113.77"}},
    });
    for (name, value) in more.as_object().unwrap() {
        if name == "authorizer" {
            request["requestContext"][name] = value.clone();
        } else {
            request[name] = value.clone();
        }
    }
    request
}

fn ask(function: &Function<'_>, request: Value) -> Answer {
    let deadline = function.clock.now().plus_ms(10_000);
    run(handle(serde_json::from_value(request).unwrap(), deadline, function)).0
}

fn post(function: &Function<'_>, headers: &Value) -> Answer {
    ask(function, request("POST /v1/events", headers, &json!({})))
}

/// The tenants of what is in the stream.
fn tenants(function: &Function<'_>) -> Vec<Value> {
    let text =
        function.raw.port().records().into_iter().map(|record| String::from_utf8(record.data).unwrap());
    let lines = |text: String| {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["tenant"].clone())
            .collect::<Vec<_>>()
    };
    text.flat_map(lines).collect()
}

fn told(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let name = body["type"].as_str().unwrap_or("ok").trim_start_matches("urn:millrace:problem:");
    let headers = ["www-authenticate", "retry-after"];
    let headers = headers.iter().filter_map(|name| answer.headers.get(name)).map(|value| format!(" {value}"));
    format!("{} {name}{}", answer.status_code, headers.collect::<String>())
}

const UNAUTHORIZED: &str = "401 unauthorized Bearer realm=\"millrace\"";

#[test]
fn every_route_with_every_write_key() {
    let bearer = |key: &str| json!({"authorization": format!("Bearer {key}")});
    for (headers, answer, tenant) in [
        (json!({}), UNAUTHORIZED, None),
        (bearer(""), UNAUTHORIZED, None),
        (bearer("ann@example.com"), UNAUTHORIZED, None),
        (bearer(&key(9)), UNAUTHORIZED, None),
        (bearer(&key(3)), UNAUTHORIZED, None),
        (bearer(&key(4)), UNAUTHORIZED, None),
        (bearer(&format!("{},{}", key(1), key(2))), UNAUTHORIZED, None),
        (bearer(&key(2)), "202 ok", Some("globex")),
        (bearer(&key(1)), "202 ok", Some("acme")),
    ] {
        let keys = keys();
        let function = with_keys(&keys);
        assert_eq!(told(&post(&function, &headers)), answer, "{headers}");
        let expected: Vec<_> = tenant.iter().flat_map(|tenant| [json!(tenant), json!(tenant)]).collect();
        assert_eq!(tenants(&function), expected, "what a client says of its tenant counts for nothing");
        for (route, answer) in [("GET /v1/health", "200 ok"), ("POST /v1/nothing", "404 not-found")] {
            assert_eq!(told(&ask(&function, request(route, &headers, &json!({})))), answer);
        }
    }
}

#[test]
fn a_key_is_looked_for_where_clients_show_it() {
    let key = key(1);
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let query = json!({"queryStringParameters": {"writeKey": key, "x": "y"}});
    for (headers, more, is_in) in [
        (json!({"Authorization": format!("bearer  {key} ")}), json!({}), true),
        (json!({"authorization": basic(&format!("{key}:"))}), json!({}), true),
        (json!({"authorization": basic(&key)}), json!({}), true),
        (json!({"X-Write-Key": key}), json!({}), true),
        (json!({"authorization": "AWS4-HMAC-SHA256 Credential=x", "x-write-key": key}), json!({}), true),
        (json!({}), query.clone(), true),
        (json!({"x-write-key": "wrong"}), query, false),
        (json!({"authorization": key}), json!({}), false),
        (json!({"authorization": basic(&format!(":{key}"))}), json!({}), false),
        (json!({"authorization": "Basic ?"}), json!({}), false),
        (json!({}), json!({"queryStringParameters": null}), false),
    ] {
        let answer = ask(&with_keys(&keys()), request("POST /v1/events", &headers, &more));
        assert_eq!(answer.status_code == 202, is_in, "{headers} {more} {}", answer.body);
        assert!(!answer.body.contains(&key), "no answer repeats a key");
    }
}

#[test]
fn what_is_known_of_a_key_is_known_for_a_minute() {
    let keys = keys();
    let function = with_keys(&keys);
    let (good, unknown) = (json!({"x-write-key": key(1)}), json!({"x-write-key": key(9)}));
    for _ in 0..3 {
        assert_eq!((post(&function, &good).status_code, post(&function, &unknown).status_code), (202, 401));
    }
    assert_eq!(keys.calls().0, 2, "that a key is unknown is known, too");
    let revoked = WriteKey { enabled: false, ..of("acme") };
    keys.keys.borrow_mut().insert(write_key::hash(&key(1)).unwrap(), revoked);
    keys.keys.borrow_mut().insert(write_key::hash(&key(9)).unwrap(), of("new"));
    run(function.clock.sleep(Duration::from_millis(59_999)));
    assert_eq!((post(&function, &good).status_code, post(&function, &unknown).status_code), (202, 401));
    run(function.clock.sleep(Duration::from_millis(1)));
    assert_eq!((post(&function, &good).status_code, post(&function, &unknown).status_code), (401, 202));
}

#[test]
fn a_key_that_expires_meanwhile_is_not_taken_from_memory() {
    let keys = keys();
    let expires_at = Some(now().plus_ms(10_000));
    keys.keys.borrow_mut().insert(write_key::hash(&key(1)).unwrap(), WriteKey { expires_at, ..of("acme") });
    let function = with_keys(&keys);
    assert_eq!(post(&function, &json!({"x-write-key": key(1)})).status_code, 202);
    run(function.clock.sleep(Duration::from_secs(10)));
    assert_eq!(told(&post(&function, &json!({"x-write-key": key(1)}))), UNAUTHORIZED);
}

#[test]
fn nobody_comes_in_while_the_table_is_down() {
    for kind in [Kind::Throttled, Kind::Transient, Kind::Permanent] {
        let keys = keys();
        let function = with_keys(&keys);
        let good = json!({"x-write-key": key(1)});
        keys.fail(vec![Fault::Fails(kind); 2]);
        assert_eq!(told(&post(&function, &good)), "503 unavailable 2");
        assert_eq!(function.raw.port().records().len(), 0);
        keys.fail([]);
        assert_eq!(told(&post(&function, &good)), "202 ok", "and it is not remembered");
        keys.fail(vec![Fault::Fails(kind); 1000]);
        assert_eq!(told(&post(&function, &good)), "202 ok", "who is known comes in");
    }
}

#[test]
fn a_quota_holds_for_a_minute_and_is_answered_with_when_to_come_again() {
    let keys = keys();
    let known = WriteKey { quota: Some(5), ..of("acme") };
    keys.keys.borrow_mut().insert(write_key::hash(&key(1)).unwrap(), known);
    let function = with_keys(&keys);
    let send = |events: usize| {
        let body: Vec<_> = (0..events).map(|n| json!({"id": n})).collect();
        let more = json!({"body": json!(body).to_string()});
        told(&ask(&function, request("POST /v1/events", &json!({"x-write-key": key(1)}), &more)))
    };
    assert_eq!(send(6), "413 too-many-events", "it could never be sent");
    assert_eq!(send(4), "202 ok");
    assert_eq!(send(2), "429 over-quota 40");
    assert_eq!(send(1), "202 ok", "what was refused is not counted");
    assert_eq!(send(1), "429 over-quota 40");
    run(function.clock.sleep(Duration::from_secs(39)));
    assert_eq!(send(1), "429 over-quota 1");
    run(function.clock.sleep(Duration::from_secs(1)));
    assert_eq!(send(5), "202 ok");
    assert_eq!(send(1), "429 over-quota 60");
    let accepted: usize = function.raw.port().records().len();
    assert_eq!(accepted, 10);
}

#[test]
fn a_quota_of_several_instances_costs_few_writes_and_is_exceeded_by_little() {
    let keys = keys();
    let known = WriteKey { quota: Some(2_000), ..of("acme") };
    keys.keys.borrow_mut().insert(write_key::hash(&key(1)).unwrap(), known);
    let instances: Vec<_> = (0..4).map(|_| with_keys(&keys)).collect();
    let mut accepted = 0;
    for round in 0..400 {
        for instance in &instances {
            let body = json!([{"id": round}, {"id": -round - 1}]);
            let more = json!({"body": body.to_string()});
            let sent = ask(instance, request("POST /v1/events", &json!({"x-write-key": key(1)}), &more));
            accepted += if sent.status_code == 202 { 2 } else { 0 };
        }
    }
    assert!((2_000..=2_000 + 3 * 100).contains(&accepted), "{accepted}");
    assert!(keys.calls().1 < 80, "{:?} writes for 1,600 requests", keys.calls());
}

#[test]
fn while_events_cannot_be_counted_nobody_with_a_quota_comes_in() {
    let keys = keys();
    let known = WriteKey { quota: Some(5), ..of("acme") };
    keys.keys.borrow_mut().insert(write_key::hash(&key(1)).unwrap(), known);
    let function = with_keys(&keys);
    let good = json!({"x-write-key": key(1)});
    keys.fail([Fault::None, Fault::Fails(Kind::Transient), Fault::Fails(Kind::Transient)]);
    assert_eq!(told(&post(&function, &good)), "503 unavailable 2");
    assert_eq!(told(&post(&function, &good)), "202 ok");
}

#[test]
fn every_route_with_every_token_that_api_gateway_lets_through() {
    let jwt = |claims: Value| json!({"authorizer": {"jwt": {"claims": claims, "scopes": ["millrace/events.write"]}}});
    for (more, answer, tenant) in [
        (json!({}), UNAUTHORIZED, None),
        (json!({"authorizer": null}), UNAUTHORIZED, None),
        (json!({"authorizer": {"iam": {}}}), UNAUTHORIZED, None),
        (jwt(json!({"sub": "acme"})), "403 no-tenant", None),
        (jwt(json!({"client_id": "ann@example.com"})), "403 no-tenant", None),
        (jwt(json!({"client_id": 7})), "403 no-tenant", None),
        (jwt(json!({"client_id": "globex", "exp": "1"})), "202 ok", Some("globex")),
        (jwt(json!({"client_id": "acme"})), "202 ok", Some("acme")),
    ] {
        let keys = keys();
        let function = function(Access::Jwt("client_id".into()), &keys);
        let answered = ask(&function, request("POST /v1/events", &json!({"x-write-key": key(1)}), &more));
        assert_eq!(told(&answered), answer, "{more}");
        assert!(!answered.body.contains("ann"), "no answer repeats a claim");
        let expected: Vec<_> = tenant.iter().flat_map(|tenant| [json!(tenant), json!(tenant)]).collect();
        assert_eq!(tenants(&function), expected);
        assert_eq!(told(&ask(&function, request("GET /v1/health", &json!({}), &more))), "200 ok");
    }
}

#[test]
fn where_nobody_checks_a_tenant_is_a_field_like_any_other() {
    let keys = keys();
    let function = function(Access::Open, &keys);
    assert_eq!(post(&function, &json!({"x-write-key": "wrong"})).status_code, 202);
    assert_eq!(tenants(&function), [json!("claimed"), Value::Null]);
}

#[test]
fn a_mode_that_is_misspelt_lets_nobody_in() {
    let mode = |access: &'static str| {
        let mut env = Env::new(move |name| match name {
            "ACCESS" => Some(access.to_owned()),
            "KEYS_TABLE" | "TENANT_CLAIM" => Some(name.to_owned()),
            _ => None,
        });
        Access::from_env(&mut env)
    };
    assert_eq!(mode("open"), Access::Open);
    assert_eq!(mode("jwt"), Access::Jwt("TENANT_CLAIM".into()));
    for access in ["keys", "Open", "opn", ""] {
        assert_eq!(mode(access), Access::Keys("KEYS_TABLE".into()));
    }
}
