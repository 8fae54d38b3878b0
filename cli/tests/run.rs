//! `millrace run`, as people call it: the counts, the privacy, and what happens with bad input.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

#[path = "../../shared/files/tests/bad_files/mod.rs"]
mod bad_files;

const KEY: &str = r#"{"id":"k1","key":"0123456789abcdef0123456789abcdef"}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn clickstream() -> String {
    fs::read_to_string(root().join("events/clickstream.ndjson")).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A directory to run in, with a shop's pipeline, a key and this input.
fn workplace(input: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(root().join("shared/core/tests/shop.toml"), dir.path().join("pipeline.toml")).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::copy(root().join("data/demo.mmdb"), dir.path().join("data/demo.mmdb")).unwrap();
    fs::write(dir.path().join("key.json"), KEY).unwrap();
    fs::write(dir.path().join("events"), input).unwrap();
    dir
}

fn run(dir: &TempDir, args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .current_dir(dir.path())
        .arg("run")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It need not read to the end.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// The line on stdout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    r#in: u64,
    out: u64,
    filtered: u64,
    duplicates: u64,
    quarantined: u64,
    files: u64,
    bytes: u64,
    steps: Vec<Work>,
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    step: String,
    r#in: u64,
    out: u64,
    changed: u64,
    dropped: u64,
    quarantined: u64,
}

/// The counts of a run that must succeed.
fn counts(dir: &TempDir, args: &[&str], stdin: &[u8]) -> Counts {
    let output = run(dir, &[args, &["--key", "key.json"]].concat(), stdin);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "", "off a terminal there is nothing to tell");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    let counts: Counts = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts.r#in, counts.out + counts.filtered + counts.duplicates + counts.quarantined);
    counts
}

/// Exit code 1 and the message of a run that must fail.
fn failure(dir: &TempDir, args: &[&str]) -> String {
    let output = run(dir, args, b"");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    String::from_utf8(output.stderr).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Path and bytes of all that a run wrote.
fn written(dir: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    files(&dir.path().join("out"))
        .into_iter()
        .map(|path| (path.strip_prefix(dir.path()).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// The rows of all Parquet files, each as its columns.
fn rows(dir: &TempDir) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    for path in files(&dir.path().join("out")).iter().filter(|path| path.extension().unwrap() == "parquet") {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            rows.push(row.get_column_iter().map(|(name, field)| (name.clone(), field.to_string())).collect());
        }
    }
    rows
}

/// Each user id, address and e-mail that the lines hold, also inside of URLs.
fn personal(lines: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for event in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        for field in ["userId", "email", "ip"] {
            found.extend(event.get(field).and_then(Value::as_str).map(str::to_owned));
        }
        for field in ["path", "referrer"] {
            let url = event.get(field).and_then(Value::as_str).unwrap_or_default();
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
            found.extend(values.filter(|value| value.contains('@')));
        }
    }
    found
}

fn assert_private(lines: &str, output: &str) {
    let personal = personal(lines);
    assert!(personal.len() > 300, "{} values planted", personal.len());
    let decoded = output.replace("%40", "@").to_lowercase();
    for value in personal {
        assert!(!decoded.contains(&value.to_lowercase()), "{value} is in the output");
    }
}

#[test]
fn as_ndjson_the_counts_balance_and_nothing_personal_is_left() {
    let lines = clickstream();
    let dir = workplace(lines.as_bytes());
    let counts = counts(&dir, &["--in", "events", "--out", "out", "--format", "ndjson"], b"");
    assert_eq!(counts.r#in, 2000);
    assert_eq!(counts.files, 2);
    assert!(counts.filtered > 0 && counts.quarantined > 0, "{counts:?}");
    assert_eq!(counts.steps.iter().map(|step| step.dropped).sum::<u64>(), counts.filtered);
    assert_eq!((counts.steps[0].step.as_str(), counts.steps.len()), ("clean.require", 9));
    for pair in counts.steps.windows(2) {
        assert_eq!(pair[0].out, pair[0].r#in - pair[0].dropped - pair[0].quarantined, "{pair:?}");
        assert_eq!(pair[1].r#in, pair[0].out, "{pair:?}");
    }

    let output = fs::read_to_string(dir.path().join("out/part-00000.ndjson")).unwrap();
    let quarantine = fs::read(dir.path().join("out/quarantine.ndjson.gz")).unwrap();
    assert_eq!(output.lines().count() as u64, counts.out);
    assert_eq!((output.len() + quarantine.len()) as u64, counts.bytes);
    assert!(output.contains("\"email\":\"k1:") && output.contains("\"ip\":\"198.18."));
    assert_private(&lines, &output);
}

#[test]
fn as_parquet_the_counts_balance_and_nothing_personal_is_left() {
    let lines = clickstream();
    let dir = workplace(lines.as_bytes());
    let counts = counts(&dir, &["--in", "events", "--out", "out"], b"");
    assert_eq!(counts.r#in, 2000);
    assert!(dir.path().join("out/event_date=2026-11-20/event_hour=0/part-00000.parquet").is_file());
    assert_eq!(files(&dir.path().join("out")).len() as u64, counts.files);

    let rows = rows(&dir);
    assert_eq!(rows.len() as u64, counts.out);
    let emails = rows.iter().filter(|row| row["email"].contains("k1:")).count();
    assert!(emails > 500, "{emails} rows have the token of an e-mail");
    assert_private(&lines, &format!("{rows:?}"));
}

#[test]
fn the_quarantine_holds_what_was_bad_whole_and_with_its_place() {
    let good = r#"{"id":"1","eventType":"view","timestamp":1763596800}"#;
    let bad = format!("{good}\n\noops\n{}\n", good.replace('}', ",\"price\":\"cheap\"}"));
    let dir = workplace(&[bad.as_bytes(), b"{\"id\":\"\xff\"}"].concat());
    let counts = counts(&dir, &["--in", "events", "--out", "out"], b"");
    assert_eq!((counts.r#in, counts.out, counts.quarantined), (4, 1, 3));

    let mut text = String::new();
    let file = File::open(dir.path().join("out/quarantine.ndjson.gz")).unwrap();
    MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let told: Vec<_> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let part = |pointer| line.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
            ["/reason", "/source/stream", "/source/shard", "/source/sequence", "/encoding"]
                .map(part)
                .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        ["not_json events file 3 utf8", "cannot_cast events file 4 utf8", "not_utf8 events file 5 base64",]
    );
}

#[test]
fn gzip_stdin_and_an_array_give_what_the_plain_file_gives() {
    let lines: Vec<_> = clickstream()
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok())
        .take(200)
        .map(received)
        .collect();
    let plain = lines.join("\n");
    let array = format!("[{}]", lines.join(","));
    let mut outputs = BTreeSet::new();
    for (input, name, stdin) in [
        (plain.as_bytes(), "events", &b""[..]),
        (&gzip(plain.as_bytes()), "events", b""),
        (b"", "-", plain.as_bytes()),
        (b"", "-", &gzip(plain.as_bytes())),
        (array.as_bytes(), "events", b""),
    ] {
        let dir = workplace(input);
        let counts = counts(&dir, &["--in", name, "--out", "out", "--format", "ndjson"], stdin);
        assert_eq!(counts.r#in, 200);
        outputs.insert(fs::read(dir.path().join("out/part-00000.ndjson")).unwrap());
    }
    assert_eq!(outputs.len(), 1);
}

/// The event with a time of receipt, so that it does not get the time of the run.
fn received(line: &str) -> String {
    line.replacen('{', "{\"receivedAt\":\"2026-11-21T00:00:00Z\",", 1)
}

/// The events that came out of a run of so many threads, and the counts. The quarantine tells the time.
fn by_threads(dir: &TempDir, format: &str, threads: &str) -> (Vec<(PathBuf, Vec<u8>)>, Counts) {
    let args = ["--in", "events", "--out", "out", "--format", format, "--threads", threads];
    let counts = Counts { bytes: 0, ..counts(dir, &args, b"") };
    let mut all = written(dir);
    all.retain(|(path, _)| !path.ends_with("quarantine.ndjson.gz"));
    fs::remove_dir_all(dir.path().join("out")).unwrap();
    (all, counts)
}

#[test]
fn what_comes_out_does_not_depend_on_which_worker_is_faster() {
    // Lines that cannot be stamped stay as they are.
    let stamped = |line: &str| if line.starts_with("{\"id\"") { received(line) } else { line.to_owned() };
    let events: Vec<_> = clickstream().lines().map(stamped).collect();
    let dir = workplace(format!("{}\n", events.join("\n")).repeat(3).as_bytes());
    let (lines, expected) = by_threads(&dir, "ndjson", "1");
    assert!(expected.duplicates > 2 * expected.out && expected.quarantined > 0, "{expected:?}");
    for threads in ["2", "3", "7"] {
        assert!(
            by_threads(&dir, "ndjson", threads) == (lines.clone(), expected.clone()),
            "{threads} threads"
        );
        let (files, counts) = by_threads(&dir, "parquet", threads);
        assert_eq!((counts.out, counts.duplicates), (expected.out, expected.duplicates));
        assert!(by_threads(&dir, "parquet", threads) == (files, counts), "{threads} threads");
    }
}

#[test]
fn the_same_key_gives_the_same_bytes_and_another_key_other_tokens() {
    let lines: Vec<_> =
        clickstream().lines().filter(|line| line.starts_with("{\"id\"")).take(500).map(received).collect();
    for format in ["ndjson", "parquet"] {
        let args = ["--in", "events", "--out", "out", "--format", format];
        let output = |key: &str| {
            let dir = workplace(lines.join("\n").as_bytes());
            fs::write(dir.path().join("key.json"), key).unwrap();
            counts(&dir, &args, b"");
            let mut written = written(&dir);
            // It tells when the run was.
            written.retain(|(path, _)| !path.ends_with("quarantine.ndjson.gz"));
            written
        };
        let first = output(KEY);
        assert!(first == output(KEY), "{format}");
        assert!(first != output(&KEY.replace("k1", "k2")), "{format}");
    }
}

#[test]
fn without_a_key_it_makes_one_and_says_so() {
    let dir = workplace(br#"{"id":"1","eventType":"view","timestamp":1763596800,"userId":"u"}"#);
    let output = run(&dir, &["--in", "events", "--out", "out", "--format", "ndjson"], b"");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr,
        "note: the tokens of this run have a random key, and what it encrypts nobody can read: `--key FILE` gives one that lasts\n"
    );
    let event = fs::read_to_string(dir.path().join("out/part-00000.ndjson")).unwrap();
    assert!(event.contains("\"userId\":\"run:"), "{event}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let dir = workplace(b"{}");
    let told = failure(&dir, &["--in", "missing", "--out", "out"]);
    assert!(told.starts_with("error: cannot read `missing`: "), "{told}");
    let told = failure(&dir, &["--in", ".", "--out", "out"]);
    assert_eq!(told, "error: `.` is a directory: give one file, or `-` and the files on stdin\n");
    let told = failure(&dir, &["--in", "events", "--out", "out", "--pipeline", "missing.toml"]);
    assert!(told.starts_with("error: cannot read `missing.toml`: "), "{told}");
    let told = failure(&dir, &["--in", "events", "--out", "events"]);
    assert!(told.starts_with("error: cannot make the directory `events`: "), "{told}");

    let whole = gzip(clickstream().as_bytes());
    fs::write(dir.path().join("events"), &whole[..whole.len() / 2]).unwrap();
    let told = failure(&dir, &["--in", "events", "--out", "cut", "--key", "key.json"]);
    assert_eq!(
        told,
        "error: `events` cannot be read: the gzip data is damaged or cut off; what was written until there is not all\n"
    );
}

#[test]
fn a_wrong_key_is_told_without_being_repeated() {
    let dir = workplace(b"{}");
    let told = failure(&dir, &["--in", "events", "--out", "out", "--key", "missing.json"]);
    assert!(told.starts_with("error: cannot read the key `missing.json`: "), "{told}");
    for secret in ["hunter2", r#"{"id":"k1","key":"hunter2"}"#, r#"{"id":"k1"}"#] {
        fs::write(dir.path().join("key.json"), secret).unwrap();
        let told = failure(&dir, &["--in", "events", "--out", "out", "--key", "key.json"]);
        assert!(told.starts_with("error: the key in `key.json` is no key: "), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!dir.path().join("out").exists(), "nothing is begun");
    }
}

#[test]
fn a_second_run_does_not_mix_with_the_first() {
    for format in ["ndjson", "parquet"] {
        let dir = workplace(br#"{"id":"1","eventType":"view","timestamp":1763596800}"#);
        let args = ["--in", "events", "--out", "out", "--format", format, "--key", "key.json"];
        assert!(run(&dir, &args, b"").status.success());
        let before = written(&dir);
        let told = failure(&dir, &args);
        assert!(told.starts_with("error: `out` holds the output of an earlier run, `"), "{told}");
        assert!(told.ends_with("`: remove it, or give another directory with `--out`\n"), "{told}");
        assert!(written(&dir) == before);
    }
}

#[test]
fn nothing_in_is_nothing_out() {
    let dir = workplace(b"");
    let counts = counts(&dir, &["--in", "events", "--out", "out"], b"");
    assert!(counts.steps.iter().all(|step| *step == Work { step: step.step.clone(), ..Work::default() }));
    assert_eq!(Counts { steps: Vec::new(), ..counts }, Counts::default());
}

#[test]
fn damaged_lines_never_break_a_run() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut bytes = clickstream().into_bytes();
    for _ in 0..10_000 {
        let place = random.usize(1..bytes.len());
        bytes.splice(place..=place, [random.u8(..)]);
    }
    for format in ["ndjson", "parquet"] {
        let dir = workplace(&bytes);
        let counts = counts(&dir, &["--in", "events", "--out", "out", "--format", format], b"");
        assert!(counts.quarantined > 500 && counts.out > 50, "{counts:?}");
    }
}

#[test]
fn what_a_step_made_too_large_for_the_functions_is_too_large_here() {
    let event = format!(r#"{{"id":"1","t":"x","at":1790000000,"a":"{}"}}"#, "x".repeat(240_000));
    let dir = workplace(event.as_bytes());
    let pipeline = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[[step]]\nenrich.compute = { b = \"a + a + a + a + a\" }\n";
    fs::write(dir.path().join("pipeline.toml"), pipeline).unwrap();
    let counts = counts(&dir, &["--in", "events", "--out", "out"], b"");
    assert_eq!((counts.out, counts.quarantined), (0, 1));
}

/// The function `files` has a test of the same files.
#[test]
fn each_bad_file_ends_as_it_does_in_the_function() {
    for file in bad_files::all() {
        let (dir, name) = (workplace(&file.body), file.name);
        fs::write(dir.path().join("pipeline.toml"), bad_files::PIPELINE).unwrap();
        let args = ["--in", "events", "--out", "out", "--format", "ndjson", "--threads", "2"];
        if let Some(why) = file.refused {
            let told = failure(&dir, &[&args[..], &["--key", "key.json"]].concat());
            assert!(
                told.starts_with("error: `events` cannot be read: ") && told.contains(why),
                "{name}: {told}"
            );
            assert_eq!(told.lines().count(), 1, "{name}: {told}");
            let events = fs::read_to_string(dir.path().join("out/part-00000.ndjson")).unwrap_or_default();
            assert_eq!(events.lines().count(), file.out, "{name}");
            continue;
        }
        let counts = counts(&dir, &args, b"");
        assert_eq!((counts.out, counts.quarantined), (file.out as u64, file.rejects.len() as u64), "{name}");
        let mut bad = String::new();
        if let Ok(page) = fs::read(dir.path().join("out/quarantine.ndjson.gz")) {
            MultiGzDecoder::new(page.as_slice()).read_to_string(&mut bad).unwrap();
        }
        assert_eq!(bad.lines().count(), file.rejects.len(), "{name}: {bad}");
        for (line, (number, reason)) in bad.lines().zip(file.rejects) {
            let entry: Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (&entry["source"]["sequence"], &entry["reason"]),
                (&(*number).into(), &(*reason).into()),
                "{name}"
            );
        }
    }
}
