//! `millrace quarantine` over a directory.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::{Compression, write::GzEncoder};
use millrace_core::time::Micros;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

const DAY: &str = "quarantine/date=2026-11-20";

fn entry(sequence: &str, index: Option<u32>, stage: &str, reason: &str, payload: &str) -> Value {
    json!({
        "reason": reason, "stage": stage, "detail": "…", "function": "transform",
        "source": {"stream": "raw", "shard": "shardId-000000000000", "sequence": sequence, "index": index},
        "at": "2026-11-20T13:05:07Z", "encoding": "utf8", "payload": payload,
    })
}

fn put(dir: &Path, name: &str, entries: &[Value]) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for entry in entries {
        writeln!(gzip, "{entry}").unwrap();
    }
    fs::create_dir_all(dir.join(DAY)).unwrap();
    fs::write(dir.join(DAY).join(name), gzip.finish().unwrap()).unwrap();
}

/// A quarantine with entries that pass the pipeline of today, and others. One of them is there twice.
fn quarantine() -> TempDir {
    let dir = TempDir::new().unwrap();
    let event = |id: &str, price: &str| {
        format!(
            r#"{{"id":"{id}","eventType":"view","timestamp":"2026-11-20T13:05:00Z","userId":"u","price":{price}}}"#
        )
    };
    let (mended, bad) = (event("a", "80"), event("b", r#""many""#));
    let twice = entry("7", Some(0), "clean.cast", "cannot_cast", &mended);
    put(
        dir.path(),
        "transform-s-7-8.ndjson.gz",
        &[twice.clone(), entry("8", Some(1), "clean.cast", "cannot_cast", &bad)],
    );
    let record = format!("{}\n{}", event("c", "20"), event("d", "21"));
    let large = entry("9", None, "decode", "too_many_bad", &record);
    put(
        dir.path(),
        "transform-s-7-7.ndjson.gz",
        &[twice, entry("6", None, "decode", "not_json", &record), large],
    );
    dir
}

fn millrace(args: &[&str]) -> (String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = Command::new(env!("CARGO_BIN_EXE_millrace")).current_dir(root).args(args).output().unwrap();
    (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn ls_counts_each_entry_once() {
    let dir = quarantine();
    let place = dir.path().to_str().unwrap();
    let lines = [
        "       2  transform  clean.cast  cannot_cast",
        "       1  transform  decode  not_json",
        "       1  transform  decode  too_many_bad",
        "",
    ];
    assert_eq!(millrace(&["quarantine", "ls", place]).0, lines.join("\n"));
    assert_eq!(millrace(&["quarantine", "ls", place, "--date", "2026-11-21"]).0, "");
}

#[test]
fn show_prints_what_is_asked_for() {
    let dir = quarantine();
    let (out, _) = millrace(&["quarantine", "show", dir.path().to_str().unwrap(), "--reason", "not_json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["source"]["sequence"]), (1, &json!("6")));
}

#[test]
fn replay_takes_out_what_passes_now_and_leaves_the_rest() {
    let dir = quarantine();
    let place = dir.path().to_str().unwrap();
    let out = dir.path().join("events.ndjson");
    let (told, note) = millrace(&["quarantine", "replay", place]);
    assert_eq!(told, "{\"left\":2,\"passing\":3,\"sent\":0}\n");
    assert!(note.contains("nothing was sent"), "{note}");

    let (told, _) = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]);
    assert_eq!(told, "{\"left\":2,\"passing\":3,\"sent\":3}\n");
    let events = fs::read_to_string(&out).unwrap();
    let ids: Vec<_> =
        events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["a", "c", "d"], "each once, and none of a record of which some went on before");

    let mut left = Vec::new();
    for file in fs::read_dir(dir.path().join(DAY)).unwrap() {
        let mut text = String::new();
        let file = fs::File::open(file.unwrap().path()).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        left.extend(
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["source"]["sequence"].clone()),
        );
    }
    left.sort_by_key(Value::to_string);
    assert_eq!(left, ["8", "9"]);
    let (told, _) = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]);
    assert_eq!(told, "{\"left\":2,\"passing\":0,\"sent\":0}\n", "a second time there is nothing");
}

#[test]
fn replay_takes_an_aggregate_apart_if_all_of_it_passes() {
    let (dir, kpl) = (TempDir::new().unwrap(), Path::new("../shared/core/tests/kpl"));
    let aggregate = |sequence, name| {
        let payload = BASE64_STANDARD.encode(fs::read(kpl.join(name)).unwrap());
        let mut entry = entry(sequence, None, "redrive", "function_died", &payload);
        entry["encoding"] = json!("base64");
        entry["at"] = json!("2020-01-01T00:00:00Z"); // no id of then is known
        entry
    };
    let all = [aggregate("1", "keys.kpl"), aggregate("2", "payloads.kpl"), aggregate("3", "bad_md5.kpl")];
    put(dir.path(), "redrive-s-1-3.ndjson.gz", &all);
    let (place, out) = (dir.path().to_str().unwrap(), dir.path().join("events.ndjson"));
    let (told, _) = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]);
    assert_eq!(told, "{\"left\":2,\"passing\":4,\"sent\":4}\n");
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
}

/// An event is taken out where there is a place for events, a frame where there is one for frames.
#[test]
fn what_has_no_place_to_go_stays() {
    let dir = quarantine();
    let place = dir.path().to_str().unwrap();
    let count = || fs::read_dir(dir.path().join(DAY)).unwrap().count();
    let before = count();
    let (told, note) = millrace(&["quarantine", "replay", place, "--clean-stream", "clean"]);
    assert_eq!((told.as_str(), count()), ("{\"left\":2,\"passing\":3,\"sent\":0}\n", before));
    assert!(note.contains("events stay"), "{note}");
    let out = dir.path().join("events.ndjson");
    let (told, _) = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]);
    assert_eq!(told, "{\"left\":2,\"passing\":3,\"sent\":3}\n");
}

/// Of a record that killed `transform` the ids may be known, though it never went out.
#[test]
fn what_may_be_known_waits_until_ids_are_forgotten() {
    let dir = TempDir::new().unwrap();
    let event = r#"{"id":"a","eventType":"view","timestamp":"2026-11-20T13:05:00Z","userId":"u","price":80}"#;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    let an_hour_ago = Micros::new(i64::try_from(since).unwrap()).unwrap().plus_ms(-3_600_000).rfc3339();
    let mut died = entry("7", None, "redrive", "function_died", event);
    (died["at"], died["may_be_known"]) = (json!(an_hour_ago), json!(true));
    put(dir.path(), "redrive-raw-s-7-7.ndjson.gz", &[died]);
    let out = dir.path().join("events.ndjson");
    let replay = |more: &[&str]| {
        let place = dir.path().to_str().unwrap();
        millrace(&[&["quarantine", "replay", place, "--out", out.to_str().unwrap()], more].concat())
    };
    let (told, note) = replay(&[]);
    assert_eq!(told, "{\"left\":0,\"passing\":1,\"sent\":0}\n");
    assert!(note.contains("1 events stay: their ids may be known still"), "{note}");
    assert_eq!(replay(&["--window", "600"]).0, "{\"left\":0,\"passing\":1,\"sent\":1}\n");
}

/// A message that killed `queue` is no event, whatever the pipeline would make of it.
#[test]
fn a_message_waits_for_its_function() {
    let dir = TempDir::new().unwrap();
    let event = r#"{"id":"a","eventType":"view","timestamp":"2026-11-20T13:05:00Z","userId":"u","price":80}"#;
    let mut died = entry("m1", None, "redrive", "function_died", event);
    died["source"] = json!({"stream": "inbox", "shard": "", "sequence": "m1", "index": null});
    put(dir.path(), "redrive-inbox--m1-m1.ndjson.gz", &[died]);
    let (place, out) = (dir.path().to_str().unwrap(), dir.path().join("events.ndjson"));
    let (told, note) = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]);
    assert_eq!(told, "{\"left\":0,\"passing\":1,\"sent\":0}\n");
    assert!(note.contains("`--queue-function NAME`"), "{note}");
    assert_eq!(fs::read_dir(dir.path().join(DAY)).unwrap().count(), 1);
}

/// It is no event either: a step would drop it as one that has no id, or it would land with the item's values in the plain.
#[test]
fn a_change_that_no_function_took_stays() {
    let dir = TempDir::new().unwrap();
    let change = json!({
        "eventID": "7", "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000",
        "dynamodb": {"SequenceNumber": "7", "Keys": {"orderId": {"S": "o"}}, "NewImage": {"email": {"S": "ann@example.com"}}},
    });
    let put_away = |sequence: &str, stage: &str, reason: &str, payload: &str| {
        let mut entry = entry(sequence, None, stage, reason, payload);
        entry["source"]["stream"] = json!("orders");
        put(dir.path(), &format!("orders-{sequence}.ndjson.gz"), &[entry]);
    };
    put_away("7", "redrive", "function_died", &change.to_string());
    put_away("8", "decode", "too_deep", &change.to_string());
    put_away("9", "decode", "no_change", "{}");
    let (place, out) = (dir.path().to_str().unwrap(), dir.path().join("events.ndjson"));
    let told = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]).0;
    assert_eq!(told, "{\"left\":3,\"passing\":0,\"sent\":0}\n");
    assert_eq!(fs::read_dir(dir.path().join(DAY)).unwrap().count(), 3);
}

/// It went through the steps already: its user would get a token of a token, and within the window its id is known.
#[test]
fn what_lake_refused_stays() {
    let dir = TempDir::new().unwrap();
    let event = r#"{"id":"a","eventType":"view","timestamp":"2026-11-20T13:05:00Z","userId":"k1:07db","tenant":"no name"}"#;
    put(dir.path(), "lake-clean-s-7-7.ndjson.gz", &[entry("7", Some(0), "lake", "no_partition", event)]);
    let (place, out) = (dir.path().to_str().unwrap(), dir.path().join("events.ndjson"));
    let told = millrace(&["quarantine", "replay", place, "--out", out.to_str().unwrap()]).0;
    assert_eq!(told, "{\"left\":1,\"passing\":0,\"sent\":0}\n");
}

#[cfg(not(feature = "aws"))]
#[test]
fn a_bucket_wants_another_build() {
    let (_, why) = millrace(&["quarantine", "ls", "s3://bucket"]);
    assert!(why.contains("--features aws"), "{why}");
}
