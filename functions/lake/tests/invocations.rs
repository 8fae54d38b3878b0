//! Whole invocations of `lake`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::account::Landing;
use millrace_core::checkpoint::Checkpoints;
use millrace_core::decode;
use millrace_core::frame::{Reader, Writer};
use millrace_core::guard::Guard;
use millrace_core::pipeline::{EventSettings, LakeSettings};
use millrace_core::port::{Clock as _, Kind};
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_lake::{Frames, Layout};
use millrace_lake_function::{Lake, handle};
use millrace_sim::{Fault, Store, Table, VirtualClock, run};
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");

type Deps = millrace_lake_function::Deps<Table, Store, Store, VirtualClock>;

fn deps(lake: Store, quarantine: Store) -> Deps {
    let layout = Layout::new(&EventSettings::read(PIPELINE).unwrap(), &LakeSettings::read(PIPELINE).unwrap());
    let driver = Driver {
        function: "lake",
        checkpoints: Checkpoints::new("lake", Guard::patient("table", Table::default()), 172_800_000),
        objects: Guard::patient("lake", lake),
        quarantine: Guard::patient("quarantine", quarantine),
        clock: VirtualClock::at(Micros::new(1_573_841_200_000_000).unwrap()),
        reader: Reader::default(),
    };
    Deps { driver, lake: Lake(Frames::new(layout)) }
}

fn healthy() -> Deps {
    deps(Store::default(), Store::default())
}

fn batch(records: &[Vec<u8>]) -> Value {
    let records = records.iter().enumerate().map(|(n, data)| {
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
    json!({"Records": records.collect::<Vec<_>>()})
}

fn invoke(deps: &mut Deps, event: &Value) -> (Value, Landing) {
    let deadline = deps.driver.clock.now().plus_ms(100_000);
    let (response, landing) =
        run(handle(&serde_json::from_str(&event.to_string()).unwrap(), deadline, deps)).unwrap();
    (serde_json::to_value(response).unwrap(), landing)
}

fn frame(events: &[Value]) -> Vec<u8> {
    frame_at("7", events)
}

/// A frame of the events of one record.
fn frame_at(sequence: &str, events: &[Value]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin("raw/shardId-000000000000".to_owned());
    for (index, event) in (0..).zip(events) {
        assert!(writer.push(sequence, index, |line| line.push_str(&event.to_string())));
    }
    writer.finish().remove(0).data
}

fn event(id: &str, hour: i64) -> Value {
    let time = 1_573_819_200_000_000 + hour * 3_600_000_000;
    json!({"id": id, "eventType": "view", "timestamp": time, "receivedAt": time})
}

fn safe() -> Value {
    json!({"batchItemFailures": []})
}

#[test]
fn a_batch_is_one_object_an_hour_with_a_key_of_its_own() {
    let mut deps = healthy();
    let records = [frame(&[event("a", 0), event("b", 1)]), frame_at("8", &[event("c", 0)])];
    let (response, landing) = invoke(&mut deps, &batch(&records));
    assert_eq!((response, landing), (safe(), Landing { r#in: 3, landed: 3, skipped: 0, quarantined: 0 }));
    let keys: Vec<_> = deps.driver.objects.port().objects().into_keys().collect();
    assert_eq!(
        keys,
        [
            "events/event_date=2019-11-15/event_hour=12/raw.shardId-000000000000-7.0-8.0.parquet",
            "events/event_date=2019-11-15/event_hour=13/raw.shardId-000000000000-7.0-8.0.parquet",
        ]
    );
}

#[test]
fn what_is_no_frame_goes_to_the_quarantine_and_the_rest_lands() {
    let mut deps = healthy();
    let records = [
        b"\x07random".to_vec(),
        frame(&[event("a", 0)]),
        vec![1, 2, 3],
        Vec::new(),
        frame_at("8", &[json!({"id": "b"})]),
    ];
    let (response, landing) = invoke(&mut deps, &batch(&records));
    assert_eq!((response, landing), (safe(), Landing { r#in: 5, landed: 1, skipped: 0, quarantined: 4 }));
    let mut reasons = Vec::new();
    for page in deps.driver.quarantine.port().objects().into_values() {
        let mut room = Vec::new();
        let text = std::str::from_utf8(decode::inflate(&page, &mut room).unwrap()).unwrap();
        let reason = |line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone();
        reasons.push(text.lines().map(reason).collect::<Vec<_>>());
    }
    assert_eq!(reasons, [vec!["unknown_version", "damaged", "empty"], vec!["no_time"]]);
}

#[test]
fn a_store_that_fails_fails_the_batch_and_the_retry_overwrites() {
    let mut deps = deps(Store::failing([Fault::None, Fault::Fails(Kind::Permanent)]), Store::default());
    let event = batch(&[frame(&[event("a", 0), event("b", 1)])]);
    let (response, landing) = invoke(&mut deps, &event);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "100"}]}));
    assert_eq!(landing, Landing::default());
    let before = deps.driver.objects.port().objects();
    let (response, landing) = invoke(&mut deps, &event);
    assert_eq!((response, landing.landed), (safe(), 2));
    let after = deps.driver.objects.port().objects();
    assert!(
        before.len() == 1
            && after.len() == 2
            && before.iter().all(|(key, body)| after.get(key) == Some(body))
    );
    let (response, landing) = invoke(&mut deps, &event);
    assert_eq!((response, landing), (safe(), Landing { r#in: 2, skipped: 2, ..Landing::default() }));
}

#[test]
fn a_quarantine_that_is_down_fails_the_batch() {
    let mut deps = deps(Store::default(), Store::failing([Fault::Fails(Kind::Permanent)]));
    let (response, _) = invoke(&mut deps, &batch(&[frame(&[event("a", 0)]), b"random".to_vec()]));
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "101"}]}));
}

#[test]
fn nothing_is_noted_as_landed_before_its_bad_data_is_in_the_quarantine() {
    let mut deps = deps(Store::default(), Store::failing([Fault::Fails(Kind::Permanent)]));
    let event = batch(&[frame(&[event("a", 0), json!({"id": "b"})])]);
    let (response, _) = invoke(&mut deps, &event);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": "100"}]}));
    let (response, landing) = invoke(&mut deps, &event);
    assert_eq!((response, landing), (safe(), Landing { r#in: 2, landed: 1, skipped: 0, quarantined: 1 }));
    assert_eq!(deps.driver.quarantine.port().objects().len(), 1);
}

#[test]
fn events_of_hundreds_of_hours_land_in_one_batch() {
    let mut deps = healthy();
    let events: Vec<_> = (0..300).map(|hour| event(&hour.to_string(), hour)).collect();
    let (response, landing) = invoke(&mut deps, &batch(&[frame(&events)]));
    assert_eq!((response, landing.landed, deps.driver.objects.port().objects().len()), (safe(), 300, 300));
}

#[test]
fn the_sample_event_lands() {
    let mut deps = healthy();
    let (response, landing) =
        invoke(&mut deps, &serde_json::from_str(include_str!("../../../events/lake.json")).unwrap());
    assert_eq!((response, landing.landed, landing.quarantined), (safe(), 2, 0));
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_lake")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && told.contains("LAKE_BUCKET") && told.contains("QUARANTINE_BUCKET"),
        "{told}"
    );
}
