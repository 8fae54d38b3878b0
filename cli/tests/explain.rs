//! `millrace explain`, as people and programs call it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::{Expect, expect};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
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
                    price  9.0

            event 3 quarantined by decode: not_json: no JSON: no value at byte 0

            event 4 duplicate: an event before it has the same id
              1 clean.require, 2 clean.cast, 3 filter.keep, 4 enrich.compute, 5 enrich.url, 6 enrich.geoip, 7 anonymize.hmac, 8 anonymize.truncate_ip, 9 anonymize.drop: unchanged
              encode
                  ~ timestamp  1768914300 → 1768914300000000
                  ~ receivedAt  1768914300 → 1768914300000000

            event 5 quarantined by clean.cast: cannot_cast: `price` cannot be read as float
              1 clean.require: unchanged
              2 clean.cast  quarantined
                    price  "cheap"
                    data.x  missing
                    data.y  missing

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
            {"number":2,"fate":"filtered","by":"filter.keep","steps":[{"step":"clean.require","verdict":"unchanged","changes":[]},{"step":"clean.cast","verdict":"changed","changes":[{"path":"price","before":9,"after":9.0}]},{"step":"filter.keep","verdict":"dropped","changes":[],"read":[{"path":"price","value":9.0}]}],"event":{"id":"e2","eventType":"view","timestamp":"2026-01-20T13:05:00Z","price":9.0}}
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

/// What is told of these bytes as text, and the exit code.
fn told(pipeline: &str, events: &[u8]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pipeline.toml"), pipeline).unwrap();
    fs::write(dir.path().join("events"), events).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.current_dir(dir.path()).args(["explain", "--format", "text", "--in", "events"]);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const PIPELINE: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[[step]]\nclean.trim = [\"**\"]\n[[step]]\nclean.require = [\"t\", \"data.x\"]\n";

#[test]
fn what_a_step_looked_at_tells_why_an_event_did_not_get_past_it() {
    let (code, stdout, stderr) = told(PIPELINE, b"{\"id\":\"a\",\"t\":\" \\u001b[2J\"}\n");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    expect![[r#"
        event 1 filtered by clean.require
          1 clean.trim
              ~ t  " \u001b[2J" → "\u001b[2J"
          2 clean.require  dropped
                t  "\u001b[2J"
                data.x  missing

          step                 in       out   changed   dropped quarantined
        1 clean.trim            1         1         1         0           0
        2 clean.require         1         0         0         1           0

        1 event: 0 out, 1 filtered, 0 duplicates, 0 quarantined
    "#]]
    .assert_eq(&stdout);

    let pipeline = PIPELINE.replace("\"data.x\"", "\"items[].sku\"");
    let (_, stdout, _) = told(&pipeline, br#"{"id":"a","t":"b","items":[{"sku":"A"},{"sku":""},{}]}"#);
    expect![[r#"
        event 1 filtered by clean.require
          1 clean.trim: unchanged
          2 clean.require  dropped
                t  "b"
                items[0].sku  "A"
                items[1].sku  ""
                items[2].sku  missing"#]]
    .assert_eq(stdout.split("\n\n").next().unwrap());
}

#[test]
fn awkward_input_is_shown_in_few_lines_and_no_failure() {
    let many: String = (0..10_000).map(|at| format!(",\"k{at}\":\" v\"")).collect::<Vec<_>>().concat();
    let (code, stdout, _) = told(PIPELINE, format!("{{\"id\":\"a\"{many}}}").as_bytes());
    assert_eq!(code, Some(0));
    assert!(stdout.contains("… and 9960 more, which `--format ndjson` has\n"), "{stdout}");
    assert!(stdout.lines().count() < 60 && stdout.contains("1 filtered"), "{stdout}");

    let long = format!("{{\"id\":\"a\",\"t\":\"{} \"}}", "ü".repeat(400_000));
    let (code, stdout, _) = told(PIPELINE, long.as_bytes());
    assert_eq!((code, stdout.contains("ü… → ")), (Some(0), true));
    assert!(stdout.len() < 4_000, "{}", stdout.len());

    for (events, told_of_it) in [
        (&b""[..], "0 events: 0 out"),
        (b"{\"id\":\"M\xfcller\"}\n", "not_utf8: byte 8 is not UTF-8"),
        (b"\x7f\x80\x00\x01 \xff", "not_utf8"),
        (b"{\"id\":1,\"id\":2,\"t\":\"x\"}", "1 event: 0 out, 1 filtered"),
        (b"id,t\n1,\"x\n2,y\n", "unclosed_quote"),
        (b"7", "not_an_object"),
    ] {
        let (code, stdout, stderr) = told(PIPELINE, events);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{events:?}");
        assert!(stdout.contains(told_of_it), "{events:?}: {stdout}");
    }
}

#[test]
fn who_reads_no_more_is_no_failure() {
    let dir = directory();
    fs::write(dir.path().join("events"), EVENTS.repeat(2_000)).unwrap();
    for format in ["text", "ndjson"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command
            .current_dir(dir.path())
            .args(["explain", "--in", "events", "--limit", "0", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("out"), "{line}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap()),
            (Some(0), String::new())
        );
    }
}

#[test]
fn a_pipeline_that_is_no_text_is_told_and_a_wrong_command_line_has_a_code_of_its_own() {
    let dir = directory();
    fs::write(dir.path().join("pipeline.toml"), b"[event]\nid = \"\xff\"\n").unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace")).current_dir(dir.path()).args(args).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let wrong = "error: cannot read `pipeline.toml`: line 2 is not UTF-8: save it as UTF-8\n".to_owned();
    for command in [
        &["check"][..],
        &["test"],
        &["explain", "--in", "events"],
        &["run", "--in", "events", "--out", "out"],
    ] {
        assert_eq!(run(command), (Some(1), wrong.clone()), "{command:?}");
    }
    let (code, stderr) = run(&["explain", "--format", "xml", "--in", "events"]);
    assert_eq!((code, stderr.contains("[possible values: auto, text, ndjson]")), (Some(2), true));
}
