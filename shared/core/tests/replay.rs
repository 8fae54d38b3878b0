//! The quarantine, replayed: what passes now goes out, then its entry goes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use millrace_core::files;
use millrace_core::guard::Guard;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::{Browse, Clock as _, Entry, Error, Invoked, Kind, ObjectStore, Put, PutRecords};
use millrace_core::quarantine::read::Which;
use millrace_core::quarantine::replay::{Replay, Tally};
use millrace_core::quarantine::{self, Reject};
use millrace_core::record::Source;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_sim::{Fault, Played, Store, Stream, VirtualClock, run};

const PIPELINE: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";

fn start() -> Micros {
    Micros::new(1_573_841_100_000_000).unwrap()
}

/// An entry for an event, put away so long before now.
fn entry(id: &str, stage: &'static str, reason: &'static str, age_ms: i64) -> quarantine::Entry {
    quarantine::Entry {
        reject: Reject::new(stage, reason, "…"),
        sequence: id.into(),
        index: Some(0),
        at: start().plus_ms(-age_ms),
        may_be_known: false,
        payload: format!(r#"{{"id":"{id}","t":"view","at":1573841100}}"#).into_bytes(),
    }
}

fn bad(id: &str) -> quarantine::Entry {
    quarantine::Entry { payload: b"oops".to_vec(), ..entry(id, "decode", "not_json", 0) }
}

fn page(entries: &[quarantine::Entry]) -> (String, Vec<u8>) {
    let source = Source { stream: "raw".into(), shard: "s".into() };
    let page = quarantine::page("transform", &source, entries).unwrap();
    (page.key, page.body)
}

fn replay(store: &Store, raw: impl PutRecords, reason: Option<&str>) -> Result<Tally, Error> {
    let nobody = |_: &str, _| Ok(Invoked::Died);
    let replay = Replay {
        quarantine: Guard::patient("the quarantine", store),
        raw: Some(Guard::patient("the stream", raw)),
        clean: None,
        queue: Some((Guard::patient("the function", Played(nobody)), "queue".to_owned())),
        clock: VirtualClock::at(start()),
        window_s: 3_600,
    };
    let mut pipeline = Pipeline::compile(PIPELINE, &files::NONE).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let which = Which { date: None, reason: reason.map(str::to_owned) };
    run(replay.run(&which, &mut pipeline, &key))
}

#[test]
fn what_cannot_be_sent_stays_and_what_was_sent_goes() {
    let (mended, bad) = (entry("a", "clean.cast", "cannot_cast", 0), bad("b"));
    let (key, body) = page(&[mended, bad.clone()]);
    let store = Store::with([(key.clone(), body)]);
    let before = store.objects();
    let refuses = Stream::failing([Fault::Fails(Kind::Permanent)]);
    assert!(replay(&store, &refuses, None).is_err());
    assert_eq!(store.objects(), before);

    let stream = Stream::default();
    let tally = replay(&store, &stream, None).unwrap();
    assert_eq!((tally.sent, tally.left, stream.records().len()), (1, 1, 1));
    let again = replay(&store, &stream, None).unwrap();
    assert_eq!((again.sent, again.left, stream.records().len()), (0, 1, 1));
}

/// A page whose rewriting fails is sent again: who takes it knows it.
#[test]
fn a_page_that_cannot_be_rewritten_comes_again() {
    let (key, body) = page(&[entry("a", "clean.cast", "cannot_cast", 0)]);
    let store = Store::with([(key, body)]).faulty([Fault::Fails(Kind::Permanent)]);
    let stream = Stream::default();
    assert!(replay(&store, &stream, None).is_err());
    assert_eq!(replay(&store, &stream, None).unwrap().sent, 1);
    let records = stream.records();
    assert!(records.len() == 2 && records[0] == records[1], "with the same key, so to the same shard");
    assert!(store.objects().is_empty());
}

/// A batch that comes again after another version was deployed puts an event away for another reason, into another object.
#[test]
fn an_event_that_stands_there_for_two_reasons_goes_out_once() {
    let (first, then) = (entry("a", "clean.cast", "cannot_cast", 0), entry("a", "window", "late", 0));
    let store = Store::with([page(&[first, bad("b")]), page(&[then])]);
    assert_eq!(store.objects().len(), 2);
    let stream = Stream::default();
    assert_eq!(replay(&store, &stream, None).unwrap().sent, 1);
    assert_eq!((stream.records().len(), store.objects().len()), (1, 1));
}

/// A batch that comes again while its page is sent puts another one in its place.
#[test]
fn what_a_page_got_meanwhile_stays() {
    struct Grows<'a>(&'a Store);

    impl PutRecords for Grows<'_> {
        async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
            let (key, body) = page(&[entry("a", "clean.cast", "cannot_cast", 0), bad("c"), bad("b")]);
            self.0.put(&key, body.into()).await?;
            Ok(vec![Put::Done; entries.len()])
        }
    }

    let store = Store::with([page(&[entry("a", "clean.cast", "cannot_cast", 0), bad("b")])]);
    assert_eq!(replay(&store, Grows(&store), None).unwrap().sent, 1);
    let tally = replay(&store, Stream::default(), None).unwrap();
    assert_eq!((tally.sent, tally.left), (0, 2), "what was bad, and what came to be");
}

/// Two clocks are never quite the same, and an event that is sent too early is dropped as a duplicate of itself.
#[test]
fn what_may_be_known_waits_a_minute_longer_than_ids_are() {
    for (age_ms, sent) in [(3_600_000, 0), (3_659_000, 0), (3_661_000, 1)] {
        let mended = entry("a", "clean.cast", "cannot_cast", age_ms);
        let store = Store::with([page(&[quarantine::Entry { may_be_known: true, ..mended }])]);
        let tally = replay(&store, Stream::default(), None).unwrap();
        assert_eq!((tally.sent, tally.young), (sent, 1 - sent), "{age_ms}");
    }
}

/// The list is of a moment: another replay may have been faster.
#[test]
fn an_object_that_is_gone_is_passed_by() {
    struct Listed(Store);

    impl Browse for Listed {
        async fn keys(&self, _: &str) -> Result<Vec<String>, Error> {
            Ok(vec!["quarantine/date=2019-11-15/gone.ndjson.gz".to_owned()])
        }

        async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
            self.0.get(key).await
        }
    }

    let clock = VirtualClock::at(start());
    let listed = Guard::patient("the quarantine", Listed(Store::default()));
    let keys = run(quarantine::read::keys(&listed, &Which::default(), &clock)).unwrap();
    assert!(run(quarantine::read::page(&listed, &keys[0], &clock)).unwrap().is_none());
    assert_eq!(clock.now(), start(), "it is not asked for again");
}
