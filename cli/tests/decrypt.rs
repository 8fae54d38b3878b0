//! `millrace decrypt`, as whoever holds the key calls it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::{Expect, expect};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const K1: &str = r#"{"id":"k1","key":"0123456789abcdef0123456789abcdef","encryption_key":"fedcba9876543210fedcba9876543210"}"#;
const K2: &str = r#"{"id":"k2","key":"0123456789abcdef0123456789abcdef","encryption_key":"another key of thirty-two bytes and more"}"#;
const OTHER_K1: &str = r#"{"id":"k1","key":"0123456789abcdef0123456789abcdef","encryption_key":"another key of thirty-two bytes and more"}"#;
const TOKENS_ONLY: &str = r#"{"id":"k3","key":"0123456789abcdef0123456789abcdef"}"#;

/// `"ann@example.com"` by the key of [`K1`]: the text of the documentation.
const ANN: &str = "k1:VH7NU6zT14R0RQNdJjmgPs5w8_lhYoaMw8jpqVu3iVzf";

const PIPELINE: &str = r#"
[event]
id = "id"
type = "t"
time = "at"

[[step]]
anonymize.encrypt = ["email", "home", "ages[]"]

[[step]]
anonymize.hmac = ["user"]
"#;

fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files =
        [("k1", K1), ("k2", K2), ("other", OTHER_K1), ("tokens", TOKENS_ONLY), ("pipeline.toml", PIPELINE)];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn millrace(dir: &TempDir, args: &[&str], stdin: &str) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.current_dir(dir.path()).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn decrypted(args: &[&str], stdin: &str) -> String {
    let (success, stdout, stderr) = millrace(&directory(), &[&["decrypt"], args].concat(), stdin);
    assert!(success && stderr.is_empty(), "{stderr}");
    stdout
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn refused(args: &[&str], stdin: &str, expected: Expect) {
    let (success, _, stderr) = millrace(&directory(), &[&["decrypt"], args].concat(), stdin);
    assert!(!success);
    expected.assert_eq(&stderr);
}

/// What a run with this key makes of an event.
fn encrypted(dir: &TempDir, key: &str) -> String {
    let event = r#"{"id":"e1","t":"x","at":1768914300,"email":"ann@example.com","home":{"city":"Ulm","zip":[89073]},"ages":[34,null],"user":"u1"}"#;
    let out = format!("out-{key}");
    let run = ["run", "--in", "-", "--format", "ndjson", "--key", key, "--out", &out];
    let (success, _, stderr) = millrace(dir, &run, event);
    assert!(success, "{stderr}");
    fs::read_to_string(dir.path().join(out).join("part-00000.ndjson")).unwrap()
}

#[test]
fn a_text_becomes_its_value() {
    let lines = format!("{ANN}\n\n\"{ANN}\"\r\n");
    assert_eq!(decrypted(&["--key", "k1"], &lines), "\"ann@example.com\"\n".repeat(2));
    assert_eq!(decrypted(&["--key", "k2", "--key", "k1"], ANN), "\"ann@example.com\"\n");
}

#[test]
fn what_a_run_has_encrypted_comes_back() {
    let dir = directory();
    let event = encrypted(&dir, "k1");
    assert!(!event.contains("ann@") && !event.contains("Ulm") && !event.contains("[34"), "{event}");
    let whole = expect![[r#"
        {"id":"e1","t":"x","at":1768914300000000,"email":"ann@example.com","home":{"city":"Ulm","zip":[89073]},"ages":[34,null],"user":"k1:39536bc0c20e6efcd22ec30bb96eec5aff9be6a37fe8e9db166b4cc950c94e7e"}
    "#]];
    let of = |args: &[&str]| {
        let text = decrypted(args, &event);
        let received_at = text.find(r#","receivedAt":"#).unwrap();
        text[..received_at].to_owned() + "}\n"
    };
    whole.assert_eq(&of(&["--key", "k1"]));
    whole.assert_eq(&of(&[
        "--key", "k1", "--field", "email", "--field", "home", "--field", "ages[]", "--field", "none",
    ]));

    let one = decrypted(&["--key", "k1", "--field", "email"], &event);
    assert!(one.contains("ann@example.com") && one.contains(r#""home":"k1:"#), "{one}");
}

#[test]
fn each_text_finds_its_own_key() {
    let dir = directory();
    let events = encrypted(&dir, "k1") + &encrypted(&dir, "k2");
    let back = decrypted(&["--key", "k1", "--key", "k2"], &events);
    assert_eq!(back.matches("ann@example.com").count(), 2, "{back}");

    // Without the one, its texts stay, and it says so.
    let (success, stdout, stderr) = millrace(&dir, &["decrypt", "--key", "k2"], &events);
    assert!(success && stdout.lines().next() == events.lines().next(), "{stdout}");
    expect![[r#"
        note: 3 texts look encrypted and stayed: of another key than `k2`, or damaged; `--field` tells where
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_not_shown() {
    refused(
        &["--key", "k2"],
        &format!("{ANN}\n"),
        expect![[r#"
        error: line 1: it was encrypted with a key of another id than `k2`: the id is what stands before the colon
    "#]],
    );
    refused(
        &["--key", "other"],
        &format!("\n{ANN}\n"),
        expect![[r#"
        error: line 2: it is damaged, or was encrypted with another key of this id
    "#]],
    );
    refused(
        &["--key", "k1"],
        &ANN.replace("VH7", "VH8"),
        expect![[r#"
        error: line 1: it is damaged, or was encrypted with another key of this id
    "#]],
    );
    refused(
        &["--key", "k1"],
        &ANN[..40],
        expect![[r#"
        error: line 1: it is no encrypted text: that is a key's id, a colon, and base64
    "#]],
    );
    refused(
        &["--key", "k1"],
        "ann@example.com",
        expect![[r#"
        error: line 1: it is no encrypted text: that is a key's id, a colon, and base64
    "#]],
    );
    let event = format!("{{\"email\":{ANN:?}}}\n{{\"email\":\"ann@example.com\"}}\n");
    refused(
        &["--key", "k1", "--field", "email"],
        &event,
        expect![[r#"
        error: line 2: `email`: it is no encrypted text: that is a key's id, a colon, and base64
    "#]],
    );
    refused(
        &["--key", "k2", "--field", "email"],
        &event,
        expect![[r#"
        error: line 1: `email`: it was encrypted with a key of another id than `k2`: the id is what stands before the colon
    "#]],
    );
    refused(
        &["--key", "k1", "--field", "email"],
        r#"{"email":7}"#,
        expect![[r#"
        error: line 1: `email`: it is no encrypted text: that is a key's id, a colon, and base64
    "#]],
    );
    refused(
        &["--key", "k1", "--field", "email"],
        ANN,
        expect![[r#"
        error: line 1: it is no event, so it has no fields: leave `--field` out
    "#]],
    );
    refused(
        &["--key", "k1"],
        "{\"email\": ann@example.com}\n",
        expect![[r#"
        error: line 1: no JSON: no value at byte 10
    "#]],
    );
}

#[test]
fn keys_that_decrypt_nothing_are_refused() {
    refused(
        &["--key", "tokens"],
        ANN,
        expect![[r#"
        error: the secret in `tokens` has no `encryption_key`: nothing was encrypted with it
    "#]],
    );
    refused(
        &["--key", "k1", "--key", "other"],
        ANN,
        expect![[r#"
        error: the secret in `other` has the id `k1`, as one before it
    "#]],
    );
    refused(
        &["--key", "none"],
        ANN,
        expect![[r#"
        error: cannot read the key `none`: No such file or directory (os error 2)
    "#]],
    );
    refused(
        &["--key", "pipeline.toml"],
        ANN,
        expect![[r#"
        error: the key in `pipeline.toml` is no key: the secret is not JSON of the form {"id": "k1", "key": "…"}
    "#]],
    );
    refused(
        &["--key", "k1", "--field", "a..b"],
        ANN,
        expect![[r#"
        error: invalid value 'a..b' for '--field <FIELD>': `a..b` is no field path: it is keys with single dots between them, like `data.x`

        For more information, try '--help'.
    "#]],
    );
    refused(
        &[],
        ANN,
        expect![[r#"
        error: the following required arguments were not provided:
          --key <FILE>

        Usage: millrace decrypt --key <FILE>

        For more information, try '--help'.
    "#]],
    );
}
