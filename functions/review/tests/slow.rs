//! `review` and a check that takes its time, in a time of the test's own.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::{Reader, Writer};
use millrace_core::guard::{Guard, State};
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock, Error, Kind, Post, Reply};
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_review::{Deps, Desk, handle};
use millrace_sim::account::{Account, SkewedClock};
use millrace_sim::executor::End;
use millrace_sim::{Store, Table};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Duration;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");

/// A check that is down, or approves after a while.
#[derive(Debug)]
struct Check {
    clock: SkewedClock,
    is_down: Cell<bool>,
}

impl Post for Check {
    async fn post(&self, _key: &str, _json: &str) -> Result<Reply, Error> {
        if self.is_down.get() {
            return Err(Error { what: "simulated".into(), kind: Kind::Transient, source: None });
        }
        self.clock.sleep(Duration::from_millis(400)).await;
        Ok(Reply { status: 200, body: br#"{"decision":"approve"}"#.to_vec() })
    }
}

#[test]
fn a_check_that_is_back_and_slow_is_asked_again() {
    let account = Account::new(Micros::new(1_573_841_200_000_000).unwrap(), 1, Vec::new(), false);
    let clock = SkewedClock::new(&account, 0);
    let driver = Driver {
        function: "review",
        checkpoints: Checkpoints::new("review", Guard::patient("table", Table::default()), 172_800_000),
        objects: Guard::patient("queue", Store::default()),
        quarantine: Guard::patient("quarantine", Store::default()),
        clock: clock.clone(),
        reader: Reader::default(),
    };
    let check = Check { clock: clock.clone(), is_down: Cell::new(true) };
    let check = Guard::new("check", check, Policy::BRIEF);
    let mut deps = Deps { driver, check, desk: Desk::new(EventSettings::read(PIPELINE).unwrap()) };
    let event = serde_json::from_value(batch(9)).unwrap();
    account.executor().spawn(async move {
        let invoke = async |deps: &mut Deps<_, _, _, _, _>| {
            let (response, counts) = handle(&event, clock.now().plus_ms(58_000), deps).await;
            (serde_json::to_value(response).unwrap(), counts.asked.approved)
        };
        let again = json!({"batchItemFailures": [{"itemIdentifier": "100"}]});
        assert_eq!(invoke(&mut deps).await, (again.clone(), 0));
        assert_ne!(deps.check.state(clock.now()), State::Closed);
        deps.check.port().is_down.set(false);
        // One question finds out, while the others are refused.
        assert_eq!(invoke(&mut deps).await, (again, 1));
        assert_eq!(deps.check.state(clock.now()), State::Closed);
        assert_eq!(invoke(&mut deps).await, (json!({"batchItemFailures": []}), 8));
    });
    assert_eq!(account.executor().run(account.now().plus_ms(3 * 58_000), 10_000), End::Quiet);
}

/// A frame of so many events that want a check.
fn batch(events: u32) -> Value {
    let mut writer = Writer::default();
    writer.begin("raw/shardId-000000000000".to_owned());
    for index in 0..events {
        let event = json!({"id": format!("evt_{index}"), "eventType": "charge", "review": true});
        assert!(writer.push("7", index, |line| line.push_str(&event.to_string())));
    }
    json!({"Records": [{
        "eventID": "shardId-000000000003:100",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/clean",
        "kinesis": {
            "sequenceNumber": "100",
            "approximateArrivalTimestamp": 1_573_841_200.5,
            "data": BASE64_STANDARD.encode(&writer.finish().remove(0).data),
        },
    }]})
}
