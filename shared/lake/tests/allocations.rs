//! Rows take memory in proportion to their columns and, as these double, to the logarithm of their number.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use allocation_counter::measure;
use millrace_core::frame::Writer;
use millrace_core::pipeline::{EventSettings, LakeSettings};
use millrace_core::record::Record;
use millrace_core::sink::Cut;
use millrace_core::time::Micros;
use millrace_lake::{Frames, Layout};

#[test]
fn ten_times_the_events_take_hardly_more_allocations() {
    let pipeline = include_str!("../../core/tests/shop.toml");
    let lake = LakeSettings::read(pipeline).unwrap();
    let columns = lake.columns.len();
    let mut frames = Frames::new(Layout::new(&EventSettings::read(pipeline).unwrap(), &lake));
    let mut allocations = |events: u32| {
        let mut writer = Writer::default();
        writer.begin("lane".to_owned());
        for index in 0..events {
            let time = 1_573_819_500_000_000 + i64::from(index);
            let json = format!(
                r#"{{"id":"e{index}","eventType":"view","timestamp":{time},"receivedAt":{time},"userId":"k1:{index}","price":{index}.5,"data":{{"x":{index},"z":[1]}},"extra":{{"a":"b"}}}}"#
            );
            assert!(writer.push("7", index, |line| line.push_str(&json)));
        }
        let data = writer.finish().remove(0).data;
        let record = Record { sequence: "7", arrived_at: Micros::EPOCH, data: &data };
        let count = measure(|| {
            let rows = frames.rows(std::iter::once(Cut::whole(record))).unwrap();
            assert_eq!(rows.landing.landed, events as usize);
        });
        count.count_total
    };
    allocations(10_000);
    let (many, few) = (allocations(10_000), allocations(1_000));
    // Four buffers a column at most, each doubled three or four times more.
    assert!(many - few < 16 * (columns as u64 + 5), "{few} allocations for 1,000 events, {many} for 10,000");
}
