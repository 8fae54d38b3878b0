//! `millrace generate`, as people call it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn generate(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("generate").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_clickstream_of_the_repository_is_what_the_generator_makes() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/clickstream.ndjson");
    let same = fs::read(kept).unwrap_or_default() == generate(&["--seed", "1", "--events", "2000"]);
    assert!(
        same,
        "renew it: cargo run -p millrace-cli -- generate --seed 1 --events 2000 --out events/clickstream.ndjson"
    );
}

#[test]
fn a_file_gets_what_stdout_would() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("day.ndjson");
    let args = ["--events", "100", "--start", "2019-11-15T00:00:00Z"];
    assert_eq!(generate(&[&args[..], &["--out", file.to_str().unwrap()]].concat()), b"");
    let lines = generate(&args);
    assert_eq!(fs::read(file).unwrap(), lines);
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 100);
}

#[test]
fn a_start_that_is_no_time_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let output = command.args(["generate", "--start", "yesterday"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("this is no RFC 3339 time"));
}
