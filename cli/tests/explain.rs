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
    fs::copy(root.join("pipeline.toml"), dir.path().join("pipeline.toml")).unwrap();
    fs::write(dir.path().join("events"), EVENTS).unwrap();
    fs::write(dir.path().join("key.json"), r#"{"id":"k1","key":"0123456789abcdef0123456789abcdef"}"#).unwrap();
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
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn check(args: &[&str], environment: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&stdout(args, environment));
}

#[test]
fn people_see_what_each_step_changed() {
    check(&["--format", "text"], &[], expect![[""]]);
}

#[test]
fn colours_show_where_somebody_sees_them() {
    check(&["--format", "text", "--limit", "1"], &[("CLICOLOR_FORCE", "1")], expect![[""]]);
    let plain = stdout(&["--format", "text"], &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn programs_get_a_line_for_each_event() {
    check(&["--limit", "2"], &[], expect![[""]]);
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
fn what_cannot_be_read_is_told() {
    let output = explain(&["--pipeline", "other.toml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot read `other.toml`: "));
}
