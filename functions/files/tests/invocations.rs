//! Whole runs of `files`, task by task as the state machine calls them, and message by message.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use lambda_runtime::Diagnostic;
use millrace_core::account::Tally;
use millrace_core::batch::Batch;
use millrace_core::decode;
use millrace_core::frame;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::{Clock as _, Entry, Error, Kind, Put, PutRecords};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_files_function::{Deps, Lines, Sizes, handle};
use millrace_sim::{Fault, Messages, Store, Stream, Table, VirtualClock, etag, run};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;

#[path = "../../../shared/files/tests/bad_files/mod.rs"]
mod bad_files;

const PRICES: &str = include_str!("../../../cookbook/price-list/pipeline.toml");
const KEY: &str = "inbox/shop/prices.csv";

/// Long enough for all that a test does, milliseconds; and only long enough for one batch.
const LONG: i64 = 800_000;
const SHORT: i64 = 30_000;

/// All that there is beside the function, whose instances come and go.
struct World {
    inbox: Store,
    quarantine: Store,
    clean: Stream,
    state: Table,
    queue: Messages,
    clock: VirtualClock,
    sizes: Sizes,
    pipeline: &'static str,
    instances: Cell<usize>,
    /// The files that were counted as failed.
    failed: Cell<usize>,
}

impl World {
    fn with(body: &[u8]) -> Self {
        Self {
            inbox: Store::with([(KEY, body.to_vec())]),
            quarantine: Store::default(),
            clean: Stream::default(),
            state: Table::default(),
            queue: Messages::default(),
            clock: VirtualClock::at(Micros::new(1_795_179_900_000_000).unwrap()),
            sizes: Sizes { range: 1, batch: 1 },
            pipeline: PRICES,
            instances: Cell::new(0),
            failed: Cell::new(0),
        }
    }

    /// What S3 said when the object came that is in the inbox now.
    fn dropped(&self) -> Value {
        let body = &self.inbox.objects()[KEY];
        json!({
            "version": "0", "detail-type": "Object Created", "source": "aws.s3", "time": "2026-11-20T13:05:00Z",
            "detail": {"bucket": {"name": "inbox-bucket"}, "object": {"key": KEY, "size": body.len(), "etag": etag(body)}},
        })
    }

    /// One invocation of a new instance, with this CleanStream.
    fn invoke_on<P: PutRecords>(
        &self,
        clean: P,
        event: &Value,
        time: i64,
    ) -> (Result<Value, (String, String)>, Tally) {
        let mut deps = Deps {
            transformer: Transformer {
                function: "files",
                clean: Guard::patient("clean", clean),
                quarantine: Guard::patient("quarantine", &self.quarantine),
                memory: Lines::new(Guard::patient("state", &self.state)),
                clock: VirtualClock::at(self.clock.now()),
                pipeline: Pipeline::compile(self.pipeline, &millrace_core::files::NONE).unwrap(),
                keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
                batch: Batch::default(),
            },
            inbox: Guard::patient("inbox", &self.inbox),
            queue: Guard::patient("queue", &self.queue),
            sizes: self.sizes,
        };
        // Another instance, another chance.
        self.instances.set(self.instances.get() + 1);
        for _ in 0..self.instances.get() * 1_000 {
            deps.transformer.clock.random();
        }
        let deadline = self.clock.now().plus_ms(time);
        let event = serde_json::from_value(event.clone()).unwrap();
        let (answer, done) = run(handle(event, deadline, &mut deps));
        self.failed.set(self.failed.get() + done.failed.map_or(0, NonZeroUsize::get));
        let answer = answer.map(|answer| serde_json::to_value(answer).unwrap()).map_err(|why| {
            let Diagnostic { error_type, error_message } = why.into();
            (error_type, error_message)
        });
        (answer, done.counts.tally)
    }

    fn task(&self, task: &str, run: &str, more: &Value, time: i64) -> Result<Value, (String, String)> {
        let mut event = json!({"task": task, "run": run, "file": self.dropped()});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.invoke_on(&self.clean, &event, time).0
    }

    /// A whole run as the state machine makes it; what fails is tried again.
    fn run(&self, run: &str, time: i64) -> Value {
        match self.ranges(run, time) {
            Ok(true) => self.insist("finish", run, &json!({}), LONG).unwrap(),
            Ok(false) => json!("skipped"),
            Err((error, message)) => {
                let cause = json!({"errorType": error, "errorMessage": message}).to_string();
                self.insist("failed", run, &json!({"error": {"Error": error, "Cause": cause}}), LONG).unwrap()
            }
        }
    }

    fn ranges(&self, run: &str, time: i64) -> Result<bool, (String, String)> {
        let planned = self.insist("plan", run, &json!({}), LONG)?;
        if planned["skip"] == true {
            return Ok(false);
        }
        for range in planned["ranges"].as_array().unwrap() {
            while self.insist("range", run, &json!({"range": range}), time)?["done"] != true {}
        }
        Ok(true)
    }

    fn insist(&self, task: &str, run: &str, more: &Value, time: i64) -> Result<Value, (String, String)> {
        for _ in 0..20 {
            match self.task(task, run, more, time) {
                Err((kind, _))
                    if ["Throttled", "Transient", "Busy", "Permanent"].contains(&kind.as_str()) => {}
                answer => return answer,
            }
        }
        panic!("{task} does not get through");
    }

    /// The manifest; there is at most one.
    fn manifest(&self) -> Option<Value> {
        let objects = self.inbox.objects();
        let mut manifests = objects.iter().filter(|(key, _)| key.starts_with("manifests/"));
        let found = manifests.next().map(|(key, body)| {
            assert!(key.starts_with("manifests/shop/prices.csv/"), "{key}");
            serde_json::from_slice(body).unwrap()
        });
        assert!(manifests.next().is_none());
        found
    }

    /// What the lake lands of the frames: each position once.
    fn landed(&self) -> BTreeMap<(usize, u64), String> {
        let mut landed = BTreeMap::new();
        let mut reader = frame::Reader::default();
        for entry in self.clean.records() {
            let (header, body) = reader.read(&entry.data).unwrap();
            let range = header.lane.rsplit('/').next().unwrap().parse().unwrap();
            for (position, event) in body.positions().unwrap().into_iter().zip(body.events()) {
                assert_eq!(position.index, 0);
                let place = (range, position.sequence.as_str().parse().unwrap());
                let before = landed.insert(place, event.to_owned());
                assert!(
                    before.is_none_or(|before| before == event),
                    "an attempt decides like the one before it"
                );
            }
        }
        landed
    }

    /// The quarantine's lines: where, what, and the payload.
    fn bad(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, body) in self.quarantine.objects() {
            assert!(key.starts_with("quarantine/date=2026-11-20/files-files-"), "{key}");
            let mut room = Vec::new();
            let page = decode::inflate(&body, &mut room).unwrap();
            for line in std::str::from_utf8(page).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let payload = line["payload"].as_str().unwrap();
                lines.push(format!(
                    "{} {}: {}: {}: {}: {payload}",
                    line["source"]["shard"].as_str().unwrap(),
                    line["source"]["sequence"].as_str().unwrap(),
                    line["stage"].as_str().unwrap(),
                    line["reason"].as_str().unwrap(),
                    line["detail"].as_str().unwrap(),
                ));
            }
        }
        lines.sort();
        lines
    }
}

/// A price list that is some chunks long: of ten rows one has no price, one is too cheap, one is bad.
fn prices(rows: usize) -> String {
    let row = |n: usize| match n % 10 {
        3 => format!("S-{n},\"A lamp, of paper\",,EUR,20.01.2026\n"),
        5 => format!("S-{n},Soap,9,EUR,20.01.2026\n"),
        7 => format!("S-{n},Broken row\n"),
        9 => format!("S-{n},\"Over\ntwo lines\",60,EUR,20.01.2026\n"),
        _ => {
            format!("S-{n},{:-<400},12.50,EUR,20.01.2026\n", "A lamp of paper that hangs from a long string ")
        }
    };
    std::iter::once("sku,name,price,currency,valid_from\n".to_owned()).chain((0..rows).map(row)).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn rows(manifest: &Value) -> Tally {
    serde_json::from_value(manifest["rows"].clone()).unwrap()
}

#[test]
fn a_price_list_goes_through_and_its_manifest_says_how() {
    let list = include_str!("../../../cookbook/price-list/prices.csv");
    let world = World::with(list.as_bytes());
    let told = world.run("e-1", LONG);
    let landed: Vec<_> =
        world.landed().into_iter().map(|((range, line), event)| format!("{range} {line}: {event}")).collect();
    expect![[r#"
        0 2: {"sku":"L-100","name":"Paper lantern","price":64.5,"currency":"EUR","valid_from":1768863600000000,"discount":6.45,"net":58.05,"kind":"price","id":"e0334d104df985dc2fccf62ca87c6a89","receivedAt":1795179900000000}
        0 3: {"sku":"S-7","name":"Soap dish","price":12.0,"currency":"EUR","valid_from":1768863600000000,"net":12.0,"kind":"price","id":"cbafb533671e89696753c31430aa93ff","receivedAt":1795179900000000}"#]]
    .assert_eq(&landed.join("\n"));
    expect![[r#"
        0 6: clean.cast: cannot_cast: `price` cannot be read as float: {"sku":"B-2","name":"Linen blanket","price":"89,90","currency":"EUR","valid_from":"20.01.2026"}
        0 7: file: missing_columns: the row has 1 cell, and there are 5 columns: B-3"#]]
    .assert_eq(&world.bad().join("\n"));
    assert_eq!(told["subject"], "Millrace: done prices.csv");
    assert_eq!(
        serde_json::from_str::<Value>(told["message"].as_str().unwrap()).unwrap(),
        world.manifest().unwrap()
    );
    expect![[r#"
        {
          "bucket": "inbox-bucket",
          "bytes": 214,
          "droppedAt": "2026-11-20T13:05:00Z",
          "etag": "633ee9d879152e69",
          "format": "csv",
          "key": "inbox/shop/prices.csv",
          "packing": "plain",
          "ranges": 1,
          "rows": {
            "duplicates": 0,
            "filtered": 2,
            "in": 6,
            "out": 2,
            "quarantined": 2
          },
          "sha256": "e90d8a16cb0d1ce923e61512f75330acc9c1e2859da23838a1708f685752edc6",
          "state": "done",
          "stream": "files-9887c34643c95d664d146f0572f4277c"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&world.manifest().unwrap()).unwrap());
}

#[test]
fn ranges_and_batches_make_no_difference() {
    let list = prices(2_000);
    let whole = World { sizes: Sizes::LAMBDA, ..World::with(list.as_bytes()) };
    whole.run("e-1", LONG);
    let (landed, bad, manifest) = (whole.landed(), whole.bad(), whole.manifest().unwrap());
    let counts = rows(&manifest);
    assert!(counts.balances() && manifest["ranges"] == 1);
    assert_eq!((counts.r#in, counts.out, counts.filtered, counts.quarantined), (2_000, 1_400, 400, 200));

    let cut = World::with(list.as_bytes());
    cut.run("e-1", SHORT);
    assert!(cut.manifest().unwrap()["ranges"].as_u64().unwrap() > 1);
    assert_eq!(rows(&cut.manifest().unwrap()), counts);
    let by_line = |landed: BTreeMap<(usize, u64), String>| {
        landed.into_iter().map(|((_, line), event)| (line, event)).collect::<Vec<_>>()
    };
    assert_eq!(by_line(cut.landed()), by_line(landed));
    let mut named: Vec<_> = cut.bad().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    let mut all: Vec<_> = bad.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    named.sort();
    all.sort();
    assert_eq!(named, all, "each bad row is named by its line");

    // One range, which takes an invocation a batch; packed, it is read from its beginning each time.
    for body in
        [list.clone().into_bytes(), gzip(list.as_bytes()), zstd::bulk::compress(list.as_bytes(), 3).unwrap()]
    {
        let slow = World { sizes: Sizes { range: u64::MAX, batch: 1 }, ..World::with(&body) };
        slow.run("e-1", SHORT);
        assert_eq!(slow.landed(), whole.landed());
        assert_eq!(rows(&slow.manifest().unwrap()), counts);
    }
}

#[test]
fn what_fails_on_the_way_comes_again_and_lands_once() {
    let list = prices(1_200);
    let whole = World::with(list.as_bytes());
    whole.run("e-1", LONG);
    let (landed, bad, counts) = (whole.landed(), whole.bad(), rows(&whole.manifest().unwrap()));
    // A fault at each of the first calls, of each dependency; a permanent one is as if the function died there.
    for nth in 0..12 {
        for fault in [Fault::Fails(Kind::Permanent), Fault::Fails(Kind::Throttled), Fault::AnswerLost] {
            let faults = || std::iter::repeat_n(Fault::None, nth).chain([fault.clone()]);
            let fresh = || World::with(list.as_bytes());
            let worlds = [
                World { clean: Stream::failing(faults()), ..fresh() },
                World { state: Table::failing(faults()), ..fresh() },
                World { inbox: fresh().inbox.faulty(faults()), ..fresh() },
                World { quarantine: Store::failing(faults()), ..fresh() },
            ];
            for (which, world) in worlds.iter().enumerate() {
                world.run("e-1", LONG);
                let manifest = world.manifest().unwrap();
                let place = format!("{fault:?} at call {nth} of dependency {which}: {manifest}");
                assert_eq!(manifest["state"], "done", "{place}");
                assert_eq!(rows(&manifest), counts, "{place}");
                assert!(world.landed() == landed, "{place}");
                assert!(world.bad() == bad, "{place}");
            }
        }
    }
}

#[test]
fn what_is_said_of_a_failure_names_no_file() {
    for nth in 0..6 {
        let fresh = World::with(prices(10).as_bytes());
        let faults = std::iter::repeat_n(Fault::None, nth).chain([Fault::Fails(Kind::Permanent)]);
        let world = World { inbox: fresh.inbox.faulty(faults), ..World::with(b"") };
        for task in ["plan", "range", "finish"] {
            if let Err((_, message)) = world.task(task, "e-1", &json!({"range": 0}), LONG) {
                assert!(!message.contains("prices"), "{task}: {message}");
            }
        }
    }
}

/// A stream that lets something else happen before it takes the first records.
struct Meanwhile<'a, F> {
    stream: &'a Stream,
    happens: RefCell<Option<F>>,
}

impl<F: FnOnce()> PutRecords for Meanwhile<'_, F> {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        if let Some(happens) = self.happens.take() {
            happens();
        }
        self.stream.put(entries).await
    }
}

/// A sink has landed lines 1 to 19 by what the first attempt put, so what came out of them only now would be nowhere.
#[test]
fn what_an_attempt_left_out_another_version_does_not_let_out() {
    let mut world = World::with(prices(20).as_bytes());
    world.insist("plan", "e-1", &json!({}), LONG).unwrap();
    let unheard = Stream::failing(std::iter::repeat_n(Fault::AnswerLost, 1_000));
    let event = json!({"task": "range", "run": "e-1", "file": world.dropped(), "range": 0});
    world.invoke_on(&unheard, &event, SHORT).0.unwrap_err();
    assert!(!unheard.records().is_empty(), "it was put");

    world.pipeline = PRICES.replace("price > 10.0", "price > 5.0").leak();
    world.run("e-1", LONG);
    let late: Vec<_> = world.bad().into_iter().filter(|bad| bad.contains("window: late")).collect();
    assert!(late.len() == 2 && late.iter().all(|bad| bad.contains("Soap")), "{late:?}");
    assert!(world.landed().values().all(|event| !event.contains("Soap")));
    assert_eq!(rows(&world.manifest().unwrap()).r#in, 20);
}

#[test]
fn two_attempts_at_a_range_at_once_land_it_once() {
    let list = prices(1_200);
    let whole = World { sizes: Sizes { range: u64::MAX, batch: 1 }, ..World::with(list.as_bytes()) };
    whole.run("e-1", LONG);
    for time in [LONG, SHORT] {
        let world = World { sizes: whole.sizes, ..World::with(list.as_bytes()) };
        world.task("plan", "e-1", &json!({}), LONG).unwrap();
        let event = json!({"task": "range", "run": "e-1", "range": 0, "file": world.dropped()});
        let happens = || {
            let (answer, _) = world.invoke_on(&world.clean, &event, time);
            assert_eq!(answer.unwrap()["done"], time == LONG);
        };
        let clean = Meanwhile { stream: &world.clean, happens: RefCell::new(Some(happens)) };
        let (answer, counts) = world.invoke_on(clean, &event, LONG);
        assert_eq!(answer.unwrap_err().0, "Busy", "the other one has noted more");
        assert_eq!(counts, Tally::default());
        world.run("e-1", LONG);
        assert!(world.clean.records().len() > whole.clean.records().len(), "frames went out twice");
        assert_eq!(world.landed(), whole.landed());
        assert_eq!(rows(&world.manifest().unwrap()), rows(&whole.manifest().unwrap()));
    }
}

#[test]
fn the_same_object_does_nothing_a_second_time() {
    let world = World::with(prices(20).as_bytes());
    // While the first run is at work, and when it is done.
    world.task("plan", "e-1", &json!({}), LONG).unwrap();
    assert_eq!(world.run("e-2", LONG), "skipped");
    assert_eq!(world.run("e-1", LONG)["subject"], "Millrace: done prices.csv");
    let frames = world.clean.records().len();
    for run in ["e-1", "e-3"] {
        assert_eq!(world.run(run, LONG), "skipped");
    }
    assert_eq!(world.clean.records().len(), frames);

    // Other bytes under the same key are another file.
    run(millrace_core::port::ObjectStore::put(&world.inbox, KEY, prices(21).into())).unwrap();
    assert_eq!(world.ranges("e-4", LONG), Ok(true));
    assert!(world.clean.records().len() > frames);
}

#[test]
fn a_run_that_failed_leaves_the_file_to_the_next_one() {
    let world = World::with(prices(20).as_bytes());
    world.task("plan", "e-1", &json!({}), LONG).unwrap();
    let cause = json!({"Error": "States.Timeout", "Cause": ""});
    let told = world.task("failed", "e-1", &json!({"error": cause}), LONG).unwrap();
    assert_eq!(
        (&told["subject"], &world.manifest().unwrap()["reason"]),
        (&json!("Millrace: failed prices.csv"), &json!("States.Timeout"))
    );
    assert_eq!(world.run("e-2", LONG)["subject"], "Millrace: done prices.csv");
    assert_eq!(world.manifest().unwrap()["state"], "done");
    assert_eq!(
        world.task("range", "e-1", &json!({"range": 0}), LONG).unwrap_err().0,
        "Busy",
        "it is another run's now"
    );
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_fails_with_that_reason() {
    let world = World::with(prices(1_200).as_bytes());
    let (dropped, other) = (world.dropped(), prices(1_100));
    let task = |task: &str| json!({"task": task, "run": "e-1", "range": 0, "file": dropped});
    world.invoke_on(&world.clean, &task("plan"), LONG).0.unwrap();
    run(millrace_core::port::ObjectStore::put(&world.inbox, KEY, other.clone().into())).unwrap();
    let (kind, message) = world.invoke_on(&world.clean, &task("range"), LONG).0.unwrap_err();
    assert_eq!((kind.as_str(), message.contains("replaced or deleted")), ("Changed", true), "{message}");
    assert!(world.clean.records().is_empty(), "nothing of either is mixed");
    assert_eq!(world.inbox.objects()[KEY], other.as_bytes());
}

/// A file that is refused stays where it is, and the quarantine and the manifest say why.
#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn refused(body: &[u8], expected: Expect) {
    let world = World { sizes: Sizes::LAMBDA, ..World::with(body) };
    let told = world.run("e-1", LONG);
    let manifest = world.manifest().unwrap();
    assert_eq!(
        (&told["subject"], &manifest["state"], &manifest["reason"]),
        (&json!("Millrace: failed prices.csv"), &json!("failed"), &json!("Refused"))
    );
    assert_eq!(world.inbox.objects()[KEY], body);
    let bad: Vec<_> = world.bad().into_iter().filter(|line| line.starts_with("file ")).collect();
    assert_eq!(bad.len(), 1);
    assert!(bad[0].contains(KEY));
    expected.assert_eq(manifest["detail"].as_str().unwrap());
}

#[test]
fn what_cannot_be_read_is_refused() {
    let packed = gzip(prices(1_200).as_bytes());
    refused(
        b"\xff\xfea\0,\0b\0\n\0",
        expect!["file: utf16: it is UTF-16, and only UTF-8 is read: save it as UTF-8"],
    );
    refused(&packed[..packed.len() - 20], expect!["file: bad_gzip: the gzip data is damaged or cut off"]);
    refused(b"PAR1 and no more of it", expect!["file: bad_parquet: the Parquet file is damaged or cut off"]);
    refused(
        b"PK\x03\x04",
        expect![
            "file: zip: it is a ZIP archive, or a spreadsheet, which is one: take it apart, or save it as CSV"
        ],
    );
}

/// `millrace run` has a test of the same files.
#[test]
fn each_bad_file_ends_as_it_should_however_it_is_cut() {
    for file in bad_files::all() {
        for sizes in [Sizes::LAMBDA, Sizes { range: 1, batch: 1 }] {
            let world = World { sizes, pipeline: bad_files::PIPELINE, ..World::with(&file.body) };
            world.run("e-1", LONG);
            let (manifest, name) = (world.manifest().unwrap(), file.name);
            let state = if file.refused.is_some() { "failed" } else { "done" };
            assert_eq!(manifest["state"], state, "{name}: {manifest}");
            assert_eq!(rows(&manifest).out, file.out, "{name}");
            assert_eq!(world.landed().len(), file.out, "{name}");
            let bad: Vec<_> = world.bad().into_iter().filter(|line| !line.starts_with("file ")).collect();
            assert_eq!(bad.len(), file.rejects.len(), "{name}: {bad:?}");
            for (line, (number, reason)) in bad.iter().zip(file.rejects) {
                assert!(line.contains(&format!(" {number}: ")) && line.contains(reason), "{name}: {line}");
            }
            if let Some(why) = file.refused {
                assert!(manifest["detail"].as_str().unwrap().ends_with(why), "{name}: {manifest}");
            }
        }
    }
}

#[test]
fn what_has_no_rows_is_done_at_once() {
    for nothing in ["", "\n", "sku,name,price,currency,valid_from\n", "[]"] {
        let world = World::with(nothing.as_bytes());
        assert_eq!(world.run("e-1", LONG)["subject"], "Millrace: done prices.csv", "{nothing:?}");
        assert_eq!(rows(&world.manifest().unwrap()), Tally::default());
        assert!(world.clean.records().is_empty());
    }
}

#[test]
fn an_unclosed_quote_at_the_cut_of_a_range_takes_one_row() {
    let mut list = prices(0);
    let quote = |n: usize| if n % 500 == 499 { "\"" } else { "" };
    for n in 0..9_000 {
        let open = quote(n);
        writeln!(list, "S-{n},{open}A lamp of paper that hangs from the ceiling,12.50,EUR,20.01.2026")
            .unwrap();
    }
    let world = World::with(list.as_bytes());
    world.run("e-1", SHORT);
    let counts = rows(&world.manifest().unwrap());
    assert!(world.manifest().unwrap()["ranges"].as_u64().unwrap() > 1);
    assert_eq!((counts.r#in, counts.out, counts.quarantined), (9_000, 8_982, 18));
    assert!(world.bad().iter().all(|line| line.contains("unclosed_quote")));
}

#[test]
fn a_parquet_file_is_read_by_row_groups() {
    use parquet::data_type::{ByteArrayType, DoubleType};
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message list { required binary sku (UTF8); required double price; required binary valid_from (UTF8); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut body = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut body, schema, std::sync::Arc::default()).unwrap();
    for group in 0..3 {
        let mut rows = writer.next_row_group().unwrap();
        let texts: Vec<_> = (0..100).map(|n| format!("P-{group}-{n}").as_str().into()).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column
            .typed::<DoubleType>()
            .write_batch(&(0..100).map(f64::from).collect::<Vec<_>>(), None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&vec!["2026-01-20".into(); 100], None, None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
    for sizes in [Sizes { range: 1, batch: 1 }, Sizes::LAMBDA] {
        let world = World { sizes, ..World::with(&body) };
        world.run("e-1", SHORT);
        let manifest = world.manifest().unwrap();
        assert_eq!(
            (&manifest["format"], &manifest["ranges"]),
            (&json!("parquet"), &json!(if sizes.range == 1 { 3 } else { 1 }))
        );
        let counts = rows(&manifest);
        assert_eq!((counts.r#in, counts.out, counts.filtered), (300, 267, 33));
        assert_eq!(world.landed().keys().map(|(_, row)| *row).max(), Some(300));
    }
    refused(&body[..body.len() - 10], expect!["file: bad_parquet: the Parquet file is damaged or cut off"]);
}

fn message(world: &World) -> Value {
    json!({"Records": [{"messageId": "m-1", "body": world.dropped().to_string()}]})
}

#[test]
fn by_way_of_a_queue_what_time_does_not_allow_for_is_sent_on() {
    let list = prices(2_000);
    let whole = World::with(list.as_bytes());
    whole.run("e-1", LONG);
    let world = World::with(list.as_bytes());
    let mut event = message(&world);
    let (mut invocations, mut counted) = (0, Tally::default());
    loop {
        let (answer, counts) = world.invoke_on(&world.clean, &event, SHORT);
        assert_eq!(answer.unwrap(), json!({"batchItemFailures": []}));
        counted = counted + counts;
        invocations += 1;
        let sent = world.queue.sent();
        if sent.len() < invocations {
            break;
        }
        event["Records"][0]["body"] = json!(sent.last().unwrap());
    }
    assert!(invocations > 3);
    assert_eq!((world.landed(), world.bad()), (whole.landed(), whole.bad()));
    assert_eq!(rows(&world.manifest().unwrap()), rows(&whole.manifest().unwrap()));
    assert_eq!(counted, rows(&world.manifest().unwrap()), "each row is counted once");

    assert!(world.inbox.objects().keys().any(|key| key.ends_with(".done.json")));
    assert_eq!(world.failed.get(), 0);

    // The message comes once more.
    let frames = world.clean.records().len();
    let (answer, counts) = world.invoke_on(&world.clean, &message(&world), LONG);
    assert_eq!((answer.unwrap(), counts), (json!({"batchItemFailures": []}), Tally::default()));
    assert_eq!(world.clean.records().len(), frames);
}

#[test]
fn by_way_of_a_queue_what_is_bad_is_told_and_what_fails_comes_again() {
    // UTF-16, in either order of bytes.
    for body in [b"\xff\xfea\0,\0b\0\n\0", b"\xfe\xff\0a\0,\0b\0\n"] {
        let world = World::with(body);
        let (answer, _) = world.invoke_on(&world.clean, &message(&world), LONG);
        assert_eq!(answer.unwrap(), json!({"batchItemFailures": []}));
        assert_eq!((world.manifest().unwrap()["state"].clone(), world.bad().len()), (json!("failed"), 1));
        assert!(world.bad()[0].contains("file: utf16:"), "{:?}", world.bad());
        // The rules of the topic tell by the manifest's name, and the alarm hears the count.
        assert!(world.inbox.objects().keys().any(|key| key.ends_with(".failed.json")));
        assert_eq!(world.failed.get(), 1);
    }

    let world = World {
        clean: Stream::failing(vec![Fault::Fails(Kind::Transient); 1_000]),
        ..World::with(prices(20).as_bytes())
    };
    let failed = json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]});
    assert_eq!(world.invoke_on(&world.clean, &message(&world), LONG).0.unwrap(), failed);
    let odd = json!({"Records": [{"messageId": "m-1", "body": "no event"}]});
    assert_eq!(world.invoke_on(&world.clean, &odd, LONG).0.unwrap(), failed);
}

#[test]
fn the_sample_message_is_read() {
    let sample: Value = serde_json::from_str(include_str!("../../../events/files-queue.json")).unwrap();
    let world = World::with(b"");
    let (answer, counts) = world.invoke_on(&world.clean, &sample, LONG);
    assert_eq!((answer.unwrap(), counts), (json!({"batchItemFailures": []}), Tally::default()));
    let objects = world.inbox.objects();
    let (key, manifest) = objects.iter().find(|(key, _)| key.starts_with("manifests/")).unwrap();
    assert!(key.starts_with("manifests/purchases.csv/") && key.ends_with(".done.json"), "{key}");
    assert_eq!(serde_json::from_slice::<Value>(manifest).unwrap()["state"], "done");
}

#[test]
fn the_sample_event_is_planned() {
    let sample = serde_json::from_str(include_str!("../../../events/files.json")).unwrap();
    let world = World::with(b"");
    let (answer, _) = world.invoke_on(&world.clean, &sample, LONG);
    assert_eq!(answer.unwrap(), json!({"skip": false, "ranges": []}));
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_files")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in ["INBOX_BUCKET", "STATE_TABLE", "CLEAN_STREAM", "QUARANTINE_BUCKET", "TOKEN_KEY_SECRET"] {
        assert!(told.contains(name), "{told}");
    }
}
