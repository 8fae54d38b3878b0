//! `millrace explain`, as people and programs call it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::{Expect, expect};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const EVENTS: &str = r#"{"id":"e1","eventType":"view","timestamp":"2026-01-20T13:05:00Z","receivedAt":"2026-01-20T13:05:01Z","userId":"u1","ip":"203.0.113.77","price":"80","path":"/p/7","items":[{"sku":"a"}]}
{"id":"e2","eventType":"view","timestamp":"2026-01-20T13:05:00Z","price":9}
oops
{"id":"e1","eventType":"view","timestamp":1768914300,"receivedAt":1768914300}
{"id":"e3","eventType":"view","timestamp":"2026-01-20T13:05:00Z","price":"cheap"}
{"id":"e4","eventType":"view","timestamp":"soon"}
"#;

fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(root.join("shared/core/tests/shop.toml"), dir.path().join("pipeline.toml")).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::copy(root.join("data/demo.mmdb"), dir.path().join("data/demo.mmdb")).unwrap();
    fs::write(dir.path().join("events"), EVENTS).unwrap();
    fs::write(dir.path().join("key.json"), r#"{"id":"k1","key":"0123456789abcdef0123456789abcdef"}"#)
        .unwrap();
    dir
}

fn explain(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let dir = directory();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(environment.iter().copied());
    command.current_dir(dir.path()).args(["explain", "--in", "events"]).args(args).output().unwrap()
}

fn stdout(args: &[&str], environment: &[(&str, &str)]) -> String {
    let output = explain(args, environment);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // In a pipe the counts go another way than the events.
    let is_text = args.contains(&"text");
    assert!(if is_text { stderr.is_empty() } else { stderr.contains("quarantined") }, "{stderr}");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The escape character is shown as `␛`.
#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn check(args: &[&str], environment: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&stdout(args, environment).replace('\u{1b}', "␛"));
}

#[test]
fn people_see_what_each_step_changed() {
    check(
        &["--format", "text"],
        &[],
        expect![[r#"
            event 1 out
              1 clean.require: unchanged
              2 clean.cast
                  ~ price  "80" → 80.0
              3 filter.keep: unchanged
              4 enrich.compute
                  + discount  8.0
              5 enrich.url
                  + page  {"path":"/p/7"}
              6 enrich.geoip
                  + geo  {"country":"XE","region":"Kita","city":"Aoshima"}
              7 anonymize.hmac
                  ~ userId  "u1" → "test:4a7d3bfbe9f68622f917a2688690a527cf8d616efa723bbbfdefb0fece456da4"
              8 anonymize.truncate_ip
                  ~ ip  "203.0.113.77" → "203.0.113.0"
              9 anonymize.drop
                  - path  "/p/7"
              encode
                  ~ timestamp  "2026-01-20T13:05:00Z" → 1768914300000000
                  ~ receivedAt  "2026-01-20T13:05:01Z" → 1768914301000000

            event 2 filtered by filter.keep
              1 clean.require: unchanged
              2 clean.cast
                  ~ price  9 → 9.0
              3 filter.keep  dropped

            event 3 quarantined by decode: not_json: no JSON: no value at byte 0

            event 4 duplicate: an event before it has the same id
              1 clean.require, 2 clean.cast, 3 filter.keep, 4 enrich.compute, 5 enrich.url, 6 enrich.geoip, 7 anonymize.hmac, 8 anonymize.truncate_ip, 9 anonymize.drop: unchanged
              encode
                  ~ timestamp  1768914300 → 1768914300000000
                  ~ receivedAt  1768914300 → 1768914300000000

            event 5 quarantined by clean.cast: cannot_cast: `price` cannot be read as float
              1 clean.require: unchanged
              2 clean.cast  quarantined

            event 6 quarantined by encode: no_time: `timestamp` is missing, or no time that can be read
              1 clean.require, 2 clean.cast, 3 filter.keep, 4 enrich.compute, 5 enrich.url, 6 enrich.geoip, 7 anonymize.hmac, 8 anonymize.truncate_ip, 9 anonymize.drop: unchanged
              encode  quarantined

              step                         in       out   changed   dropped quarantined
            1 clean.require                 5         5         0         0           0
            2 clean.cast                    5         4         2         0           1
            3 filter.keep                   4         3         0         1           0
            4 enrich.compute                3         3         1         0           0
            5 enrich.url                    3         3         1         0           0
            6 enrich.geoip                  3         3         1         0           0
            7 anonymize.hmac                3         3         1         0           0
            8 anonymize.truncate_ip         3         3         1         0           0
            9 anonymize.drop                3         3         1         0           0

            6 events: 1 out, 1 filtered, 1 duplicates, 3 quarantined
        "#]],
    );
}

#[test]
fn colours_show_where_somebody_sees_them() {
    check(
        &["--format", "text", "--limit", "1"],
        &[("CLICOLOR_FORCE", "1")],
        expect![[r#"
            ␛[1mevent 1␛[0m ␛[32mout␛[0m
              ␛[2m1 clean.require: unchanged␛[0m
              2 clean.cast
                  ␛[33m~␛[0m price  ␛[31m"80"␛[0m → ␛[32m80.0␛[0m
              ␛[2m3 filter.keep: unchanged␛[0m
              4 enrich.compute
                  ␛[32m+␛[0m discount  ␛[32m8.0␛[0m
              5 enrich.url
                  ␛[32m+␛[0m page  ␛[32m{"path":"/p/7"}␛[0m
              6 enrich.geoip
                  ␛[32m+␛[0m geo  ␛[32m{"country":"XE","region":"Kita","city":"Aoshima"}␛[0m
              7 anonymize.hmac
                  ␛[33m~␛[0m userId  ␛[31m"u1"␛[0m → ␛[32m"test:4a7d3bfbe9f68622f917a2688690a527cf8d616efa723bbbfdefb0fece456da4"␛[0m
              8 anonymize.truncate_ip
                  ␛[33m~␛[0m ip  ␛[31m"203.0.113.77"␛[0m → ␛[32m"203.0.113.0"␛[0m
              9 anonymize.drop
                  ␛[31m-␛[0m path  ␛[31m"/p/7"␛[0m
              encode
                  ␛[33m~␛[0m timestamp  ␛[31m"2026-01-20T13:05:00Z"␛[0m → ␛[32m1768914300000000␛[0m
                  ␛[33m~␛[0m receivedAt  ␛[31m"2026-01-20T13:05:01Z"␛[0m → ␛[32m1768914301000000␛[0m

            ␛[1m  step                         in       out   changed   dropped quarantined␛[0m
            1 clean.require                 1         1 ␛[2m        0␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            2 clean.cast                    1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            3 filter.keep                   1         1 ␛[2m        0␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            4 enrich.compute                1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            5 enrich.url                    1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            6 enrich.geoip                  1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            7 anonymize.hmac                1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            8 anonymize.truncate_ip         1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m
            9 anonymize.drop                1         1 ␛[33m        1␛[0m ␛[2m        0␛[0m ␛[2m          0␛[0m

            1 event: 1 out, 0 filtered, 0 duplicates, 0 quarantined
            ␛[2mThere are more: `--limit N` shows so many, `--limit 0` all.␛[0m
        "#]],
    );
    let plain = stdout(&["--format", "text"], &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn programs_get_a_line_for_each_event() {
    check(
        &["--limit", "2"],
        &[],
        expect![[r#"
            {"number":1,"fate":"out","steps":[{"step":"clean.require","verdict":"unchanged","changes":[]},{"step":"clean.cast","verdict":"changed","changes":[{"path":"price","before":"80","after":80.0}]},{"step":"filter.keep","verdict":"unchanged","changes":[]},{"step":"enrich.compute","verdict":"changed","changes":[{"path":"discount","after":8.0}]},{"step":"enrich.url","verdict":"changed","changes":[{"path":"page","after":{"path":"/p/7"}}]},{"step":"enrich.geoip","verdict":"changed","changes":[{"path":"geo","after":{"country":"XE","region":"Kita","city":"Aoshima"}}]},{"step":"anonymize.hmac","verdict":"changed","changes":[{"path":"userId","before":"u1","after":"test:4a7d3bfbe9f68622f917a2688690a527cf8d616efa723bbbfdefb0fece456da4"}]},{"step":"anonymize.truncate_ip","verdict":"changed","changes":[{"path":"ip","before":"203.0.113.77","after":"203.0.113.0"}]},{"step":"anonymize.drop","verdict":"changed","changes":[{"path":"path","before":"/p/7"}]},{"step":"encode","verdict":"changed","changes":[{"path":"timestamp","before":"2026-01-20T13:05:00Z","after":1768914300000000},{"path":"receivedAt","before":"2026-01-20T13:05:01Z","after":1768914301000000}]}],"event":{"id":"e1","eventType":"view","timestamp":1768914300000000,"receivedAt":1768914301000000,"userId":"test:4a7d3bfbe9f68622f917a2688690a527cf8d616efa723bbbfdefb0fece456da4","ip":"203.0.113.0","price":80.0,"items":[{"sku":"a"}],"discount":8.0,"page":{"path":"/p/7"},"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}}
            {"number":2,"fate":"filtered","by":"filter.keep","steps":[{"step":"clean.require","verdict":"unchanged","changes":[]},{"step":"clean.cast","verdict":"changed","changes":[{"path":"price","before":9,"after":9.0}]},{"step":"filter.keep","verdict":"dropped","changes":[]}],"event":{"id":"e2","eventType":"view","timestamp":"2026-01-20T13:05:00Z","price":9.0}}
        "#]],
    );
    let all = stdout(&[], &[]);
    let fates: Vec<_> = all
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            ["number", "fate", "by", "reason"].map(|key| line[key].to_string()).join(" ")
        })
        .collect();
    assert_eq!(
        fates,
        [
            r#"1 "out" null null"#,
            r#"2 "filtered" "filter.keep" null"#,
            r#"3 "quarantined" "decode" "not_json""#,
            r#"4 "duplicate" null null"#,
            r#"5 "quarantined" "clean.cast" "cannot_cast""#,
            r#"6 "quarantined" "encode" "no_time""#,
        ]
    );
}

#[test]
fn tokens_have_the_key_that_is_given() {
    assert!(stdout(&["--limit", "1"], &[]).contains("\"test:"));
    assert!(stdout(&["--limit", "1", "--key", "key.json"], &[]).contains("\"k1:"));
}

#[test]
fn a_key_that_cannot_encrypt_is_refused_as_by_run() {
    let dir = directory();
    let pipeline =
        "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[[step]]\nanonymize.encrypt = [\"email\"]\n";
    fs::write(dir.path().join("encrypt.toml"), pipeline).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.current_dir(dir.path()).args(["explain", "--in", "events", "--pipeline", "encrypt.toml"]);
    let output = command.args(["--key", "key.json"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no `encryption_key`"));
}

#[test]
fn what_cannot_be_read_is_told() {
    let output = explain(&["--pipeline", "other.toml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot read `other.toml`: "));
}
