//! Once warm, a batch takes no memory in proportion to its events.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use allocation_counter::measure;
use millrace_core::batch::Batch;
use millrace_core::pipeline::Pipeline;
use millrace_core::record::{Record, Source};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;

#[test]
fn ten_times_the_events_take_hardly_more_allocations() {
    let files: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../data/demo.mmdb"))];
    let mut pipeline = Pipeline::compile(include_str!("shop.toml"), &files).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
    let arrived_at = Micros::new(1_800_000_000_000_000).unwrap();
    let mut batch = Batch::default();
    let mut run = |lines: &[&'static str]| {
        let mut tally = None;
        let count = measure(|| {
            let record = |data: &&'static str| Record { sequence: "7", arrived_at, data: data.as_bytes() };
            batch.begin(&mut pipeline, &key, &source).records(lines.iter().map(record));
            drop(batch.take_frames());
            tally = Some(batch.tally(None));
        });
        (count.count_total, tally.unwrap())
    };

    // What goes to the quarantine is kept by itself.
    let all = include_str!("../../../events/clickstream.ndjson").lines();
    let good: Vec<&str> = all.filter(|line| run(&[line]).1.quarantined == 0).collect();
    assert!(good.len() > 1500);
    let (few, many) = (&good[..150], &good[..1500]);
    run(many);
    let (more, tally) = run(many);
    let (fewer, _) = run(few);
    assert!(tally.out > 1000);
    assert!(more - fewer < 20, "{fewer} allocations for 150 events, {more} for 1,500");
}
