//! How much memory a file takes: no more for a large one.
//!
//! The whole way, `plan → range, range, … → finish`, over an object that is nowhere: its rows are made where they are read. So it may
//! have any size, as `BYTES=1073741824 cargo test --release --package millrace-files-function --test memory -- --nocapture`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use millrace_core::batch::Batch;
use millrace_core::files;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::{Entry, Error, ObjectStore, Put, PutRecords, ReadObject};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::transformer::Transformer;
use millrace_files_function::{Deps, Lines, Sizes, handle};
use millrace_sim::{Messages, Store, Table, VirtualClock, run};
use serde_json::{Value, json};

const PRICES: &str = include_str!("../../../cookbook/price-list/pipeline.toml");
const ROW: usize = 256;
const HEADER: &str = "sku,name,price,currency,valid_from\n";

/// A price list of this many bytes, which is made where it is read.
struct Made(u64);

impl ReadObject for Made {
    async fn read(&self, _: &str, _: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        let (from, size) =
            (usize::try_from(from).unwrap(), usize::try_from(self.0.min(from + bytes)).unwrap());
        let row = |n: usize| {
            if n == 0 {
                return format!("{HEADER:\n>ROW$}");
            }
            let end = ",12.50,EUR,20.01.2026\n";
            let begin = format!("S-{n},");
            format!("{begin}{:-<width$}{end}", "A lamp of paper ", width = ROW - begin.len() - end.len())
        };
        let first = from / ROW;
        let rows: String = (first..=size.div_ceil(ROW)).map(row).collect();
        Ok(Some(Bytes::copy_from_slice(&rows.as_bytes()[from - first * ROW..size - first * ROW])))
    }
}

/// It takes the manifest and keeps nothing.
impl ObjectStore for Made {
    async fn put(&self, _: &str, _: Bytes) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// A stream that takes all and keeps nothing.
struct Taken;

impl PutRecords for Taken {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        Ok(vec![Put::Done; entries.len()])
    }
}

/// How many bytes were live at the height of a whole run over a file of this size, and at the height of its largest task, beside
/// what the tasks before it had left.
#[expect(clippy::print_stdout, reason = "who asks for a size wants to know")]
fn height(size: u64) -> (u64, u64) {
    let now = Micros::new(1_795_179_900_000_000).unwrap();
    let mut deps = Deps {
        transformer: Transformer {
            function: "files",
            clean: Guard::patient("clean", Taken),
            quarantine: Guard::patient("quarantine", Store::default()),
            memory: Lines::new(Guard::patient("state", Table::default())),
            clock: VirtualClock::at(now),
            pipeline: Pipeline::compile(PRICES, &files::NONE).unwrap(),
            keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
            batch: Batch::default(),
        },
        inbox: Guard::patient("inbox", Made(size)),
        queue: Guard::patient("queue", Messages::default()),
        // Several ranges, however small it is.
        sizes: Sizes { range: Sizes::LAMBDA.range.min(size / 4), ..Sizes::LAMBDA },
    };
    let file = json!({"time": "2026-11-20T13:05:00Z", "detail": {
        "bucket": {"name": "b"}, "object": {"key": "inbox/p.csv", "size": size, "etag": "e"},
    }});
    let mut task = |task: &str, range: usize| -> Value {
        let event = json!({"task": task, "run": "e-1", "file": file, "range": range});
        let event = serde_json::from_value(event).unwrap();
        let (answer, _) = run(handle(event, now.plus_ms(800_000), &mut deps));
        serde_json::to_value(answer.unwrap()).unwrap()
    };
    let (mut left, mut height, mut largest) = (0, 0, 0);
    let mut task = |name: &str, range: usize| {
        let mut answer = Value::Null;
        let live = allocation_counter::measure(|| answer = task(name, range));
        height = height.max(live.bytes_max.saturating_add_signed(left));
        largest = largest.max(live.bytes_max);
        left += live.bytes_current;
        answer
    };
    let ranges = task("plan", 0)["ranges"].as_array().unwrap().len();
    for range in 0..ranges {
        assert_eq!(task("range", range), json!({"done": true}));
    }
    let told: Value = serde_json::from_str(task("finish", 0)["message"].as_str().unwrap()).unwrap();
    let made = size.div_ceil(ROW as u64) - 1;
    assert_eq!(
        told["rows"],
        json!({"in": made, "out": made, "filtered": 0, "duplicates": 0, "quarantined": 0})
    );
    println!("{size} bytes, {made} rows, {ranges} ranges: {height} bytes live at most, {largest} in a task");
    (height, largest)
}

#[test]
fn a_large_file_takes_no_more_memory_than_a_small_one() {
    let size = std::env::var("BYTES").map_or(Ok(36 << 20), |bytes| bytes.parse()).unwrap();
    let ((small, small_task), (large, large_task)) = (height(24 << 20), height(size));
    assert!(large < small + small / 4, "{small} bytes for 24 MB, {large} for {size}");
    assert!(
        large_task < small_task + small_task / 4,
        "{small_task} bytes in a task for 24 MB, {large_task} for {size}"
    );
    assert!(large < 100 << 20, "{large} bytes");
}
