//! `millrace test`, as people and CI call it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::expect;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A directory with a shop's pipeline under this name.
fn directory(pipeline: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(root().join("shared/core/tests/shop.toml"), dir.path().join(pipeline)).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::copy(root().join("data/demo.mmdb"), dir.path().join("data/demo.mmdb")).unwrap();
    dir
}

fn test(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .current_dir(dir)
        .arg("test")
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_differs_is_shown_and_fails() {
    let dir = directory("mine.toml");
    let tests = r#"
[[test]]
name = "right"
given = { price = "60", items = [{ sku = "a", price = 1 }] }
steps = [2, 4]
expect_contains = { discount = 6.0, items = [{ sku = "a" }] }

[[test]]
name = "wrong values"
given = { price = "60", name = "x", items = [1, 2] }
steps = ["clean.cast", "enrich.compute"]
expect = { price = 60, discount = 6.0, items = [1, 3, 4], more = { a = true } }
expect_absent = ["items[]"]

[[test]]
name = "wrong fate"
given = { id = "e1", eventType = "view", timestamp = "soon" }
expect_contains = { id = "e1" }

[[test]]
name = "wrong step"
given = { id = "e1", eventType = "view", timestamp = 1768914300, price = 2 }
fate = "filtered by clean.require"

[[test]]
name = "not bad at all"
given = { id = "e1", eventType = "view", timestamp = 1768914300, price = 20 }
fate = "quarantined: cannot_cast"
"#;
    fs::write(dir.path().join("mine.test.toml"), tests).unwrap();
    let (code, stdout, stderr) = test(dir.path(), &["--pipeline", "mine.toml"]);
    assert_eq!((code, stderr.as_str()), (Some(1), "error: 4 of 5 tests failed\n"));
    expect![[r#"
        ok   right
        FAIL wrong values  mine.test.toml:8
               ~ price  expected 60, got 60.0
               ~ items[1]  expected 3, got 2
               - items[2]  expected 4, got nothing
               - more  expected {"a":true}, got nothing
               + name  expected nothing, got "x"
               + items[]  expected nothing, got 1
        FAIL wrong fate  mine.test.toml:15
               expected: out
                    got: quarantined by encode: no_time (`timestamp` is missing, or no time that can be read)
        FAIL wrong step  mine.test.toml:20
               expected: filtered by clean.require
                    got: filtered by filter.keep
        FAIL not bad at all  mine.test.toml:25
               expected: quarantined: cannot_cast
                    got: out
    "#]]
    .assert_eq(&stdout);
}

#[test]
fn a_mistake_in_the_tests_is_pointed_at() {
    let dir = directory("pipeline.toml");
    fs::write(dir.path().join("a.toml"), "[[test]]\nname = \"x\"\ngivne = {}\n").unwrap();
    let (code, stdout, stderr) = test(dir.path(), &["a.toml"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    expect![[r#"
        a.toml:3:1: error: unknown setting `givne`, expected one of `name`, `given`, `steps`, `at`, `expect`, `expect_contains`, `expect_absent`, `fate`
          |
        3 | givne = {}
          | ^^^^^
          = did you mean `given`?
    "#]].assert_eq(&stderr);

    let (code, _, stderr) = test(dir.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: cannot read `pipeline.test.toml`: "), "{stderr}");
}
