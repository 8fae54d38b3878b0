//! Publishing under faults: what fails is sent again, and nothing else.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::guard::Guard;
use millrace_core::port::{Entry, Kind};
use millrace_core::publish::{CALL_MAX_BYTES, CALL_MAX_RECORDS, Left, publish};
use millrace_core::time::Micros;
use millrace_sim::{Fault, Stream, VirtualClock, run};

fn start() -> Micros {
    Micros::new(1_573_841_100_000_000).unwrap()
}

fn entries(count: usize, bytes: usize) -> Vec<Entry> {
    (0..count).map(|n| Entry { partition_key: format!("{n:08}"), data: vec![b'x'; bytes] }).collect()
}

fn put(stream: &Stream, entries: Vec<Entry>, within_ms: i64) -> Result<(), Left> {
    run(publish(
        &Guard::patient("raw", stream),
        entries,
        &VirtualClock::at(start()),
        start().plus_ms(within_ms),
    ))
}

fn keys(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.partition_key.clone()).collect()
}

#[test]
fn calls_stay_within_both_limits() {
    let stream = Stream::default();
    put(&stream, entries(1201, 10), 1000).unwrap();
    assert_eq!(stream.calls(), [CALL_MAX_RECORDS, CALL_MAX_RECORDS, 201]);

    let stream = Stream::default();
    put(&stream, entries(11, 999_992), 1000).unwrap(); // with its key an entry has a million bytes
    assert_eq!(stream.calls(), [CALL_MAX_BYTES / 1_000_000, 5, 1]);
    assert_eq!(stream.records(), entries(11, 999_992));
}

#[test]
fn only_what_failed_is_sent_again() {
    let stream = Stream::failing([Fault::Throttles(vec![1, 3]), Fault::Throttles(vec![0])]);
    put(&stream, entries(5, 10), 10_000).unwrap();
    assert_eq!(stream.calls(), [5, 2, 1]);
    let mut taken = keys(&stream.records());
    taken.sort();
    assert_eq!(taken, keys(&entries(5, 10)), "each once");
}

#[test]
fn a_call_that_fails_is_sent_again_whole() {
    let stream = Stream::failing([Fault::Fails(Kind::Transient), Fault::AnswerLost]);
    put(&stream, entries(2, 10), 10_000).unwrap();
    assert_eq!(stream.calls(), [2, 2, 2]);
    assert_eq!(stream.records().len(), 4, "a lost answer makes duplicates, never a loss");
}

#[test]
fn what_is_not_put_by_the_deadline_is_left() {
    let stream = Stream::failing(std::iter::repeat_n(Fault::Throttles(vec![0]), 1000));
    let Left { entries: left, why } = put(&stream, entries(3, 10), 5_000).unwrap_err();
    assert_eq!((keys(&left), why.kind), (keys(&entries(1, 10)), Kind::Throttled));
    let calls = stream.calls().len();
    assert!((3..200).contains(&calls), "{calls} calls in five seconds");
}

#[test]
fn without_permission_there_is_no_second_try() {
    let stream = Stream::failing([Fault::Fails(Kind::Permanent)]);
    let Left { entries: left, .. } = put(&stream, entries(3, 10), 60_000).unwrap_err();
    assert_eq!((left.len(), stream.calls().len()), (3, 1));
}

#[test]
fn a_deadline_in_the_past_still_gets_one_try() {
    let stream = Stream::failing([Fault::Fails(Kind::Transient)]);
    assert_eq!(put(&stream, entries(1, 10), -1).unwrap_err().entries.len(), 1);
    assert_eq!(stream.calls(), [1]);
}
