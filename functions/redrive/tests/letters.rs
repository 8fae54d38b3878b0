//! Dead letters of all kinds.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::decode;
use millrace_core::guard::Guard;
use millrace_core::port::{Begin, Clock as _, Error, Inbox as _, Invoked, Kept, Kind, ReadAgain, Shard};
use millrace_core::time::Micros;
use millrace_redrive::{Deps, Order, Tally};
use millrace_sim::{History, Messages, Played, Store, VirtualClock, run};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

const RUN: Order = Order { dry_run: false };

fn letter(from: u32, to: u32) -> String {
    json!({
        "requestContext": {"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:transform"},
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": from.to_string(),
            "endSequenceNumber": to.to_string(),
            "streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
        },
    })
    .to_string()
}

/// A shard with the records 100 to 119, of which the first ones may be forgotten.
fn history(from: u32) -> History {
    let record = |n: u32| Kept {
        sequence: n.to_string().into(),
        arrived_at: Micros::new(1_573_841_200_000_000).unwrap(),
        partition_key: "k".into(),
        data: format!("record {n}").into_bytes(),
    };
    let mut history = History::default();
    history.records.insert("shardId-000000000000".into(), (from..120).map(record).collect());
    history
}

struct Done {
    tally: Tally,
    left: Vec<String>,
    /// How many of them whoever asks next gets.
    waiting: usize,
    spilled: Vec<String>,
    /// The records of each event, and whether it was marked.
    calls: Vec<(Vec<String>, bool)>,
    /// Reason and payload of what was put away.
    quarantined: Vec<(String, String)>,
}

fn redrive(
    order: Order,
    letters: Vec<String>,
    dead_spill: Vec<String>,
    history: impl ReadAgain,
    answer: impl Fn(&[String]) -> Result<Invoked, Kind>,
) -> Done {
    let calls = RefCell::new(Vec::new());
    let functions = Played(|function: &str, event: String| {
        assert_eq!(function, "arn:aws:lambda:us-east-1:123456789012:function:transform");
        let event: Value = serde_json::from_str(&event).unwrap();
        let sequence = |record: &Value| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned();
        let sequences: Vec<_> = event["Records"].as_array().unwrap().iter().map(sequence).collect();
        calls.borrow_mut().push((sequences.clone(), event["redriven"] == json!(true)));
        answer(&sequences)
    });
    let deps = Deps {
        letters: vec![("transform".to_owned(), Guard::patient("letters", Messages::with(letters)))],
        spilled: (
            Guard::patient("dead spill", Messages::with(dead_spill)),
            Guard::patient("spill", Messages::default()),
        ),
        inbox: None,
        streams: Guard::patient("streams", history),
        functions: Guard::patient("functions", functions),
        quarantine: Guard::patient("quarantine", Store::default()),
        clock: VirtualClock::at(Micros::new(1_573_850_000_000_000).unwrap()),
    };
    let tally = run(deps.handle(order, deps.clock.now().plus_ms(800_000)));
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let quarantined = quarantined(deps.quarantine.port())
        .iter()
        .map(|line| (text(line, "reason"), text(line, "payload")))
        .collect();
    Done {
        tally,
        left: deps.letters[0].1.port().sent(),
        spilled: deps.spilled.1.port().sent(),
        quarantined,
        calls: calls.take(),
        waiting: run(deps.letters[0].1.port().receive()).unwrap().len(),
    }
}

/// The lines of the quarantine, one in each object.
fn quarantined(store: &Store) -> Vec<Value> {
    let line = |page: Vec<u8>| {
        let mut room = Vec::new();
        serde_json::from_slice(decode::inflate(&page, &mut room).unwrap()).unwrap()
    };
    store.objects().into_values().map(line).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "that is how a function answers")]
fn safe() -> Result<Invoked, Kind> {
    Ok(Invoked::Answered(r#"{"batchItemFailures":[]}"#.into()))
}

#[test]
fn records_go_through_their_function_again_with_their_own_positions() {
    let done = redrive(RUN, vec![letter(103, 108)], vec![], history(100), |_| safe());
    let all: Vec<_> = done.calls.iter().flat_map(|(records, _)| records.clone()).collect();
    assert_eq!(all, ["103", "104", "105", "106", "107", "108"], "the last one included");
    assert!(done.calls.iter().all(|(_, redriven)| *redriven));
    assert_eq!(done.tally, Tally { letters: 1, done: 1, records: 6, redriven: 6, ..Tally::default() });
    assert!(done.left.is_empty() && done.quarantined.is_empty());
}

#[test]
fn what_kills_its_function_alone_goes_to_the_quarantine_and_the_rest_goes_through() {
    let answer = |records: &[String]| {
        if records.contains(&"104".to_owned()) { Ok(Invoked::Died) } else { safe() }
    };
    let done = redrive(RUN, vec![letter(103, 108)], vec![], history(100), answer);
    assert_eq!((done.tally.redriven, done.tally.quarantined, done.tally.done), (5, 1, 1));
    assert_eq!(done.quarantined, [("function_died".to_owned(), "record 104".to_owned())]);
    let alone = done.calls.iter().filter(|(records, _)| records == &["104"]).count();
    assert_eq!(alone, 2, "it gets a second chance");
}

#[test]
fn a_function_whose_dependency_is_down_leaves_the_letter() {
    let failures = r#"{"batchItemFailures":[{"itemIdentifier":"103"}]}"#;
    let done = redrive(RUN, vec![letter(103, 104)], vec![], history(100), |_| {
        Ok(Invoked::Answered(failures.into()))
    });
    assert_eq!((done.tally.left, done.tally.done, done.tally.redriven), (1, 0, 0));
    assert_eq!((done.left.len(), done.calls.len(), done.quarantined.len()), (1, 1, 0));
    let done = redrive(RUN, vec![letter(103, 104)], vec![], history(100), |_| Err(Kind::Permanent));
    assert_eq!((done.tally.left, done.left.len(), done.waiting), (1, 1, 1));
}

#[test]
fn what_deaths_have_told_of_a_letter_that_waits_is_kept() {
    let failures = r#"{"batchItemFailures":[{"itemIdentifier":"106"}]}"#;
    let answer = |records: &[String]| match records {
        _ if records.contains(&"104".to_owned()) => Ok(Invoked::Died),
        [first, ..] if first.as_str() >= "106" => Ok(Invoked::Answered(failures.into())),
        _ => safe(),
    };
    // Pages are of three records, and behind the first one two of them are new. The parts are there at once, and come again in the same run.
    let done = redrive(RUN, vec![letter(103, 110)], vec![], history(100), answer);
    assert_eq!((done.tally.done, done.tally.left, done.tally.redriven, done.tally.quarantined), (0, 3, 2, 1));
    let place = |letter: &String, name: &str| {
        let letter: Value = serde_json::from_str(letter).unwrap();
        letter["KinesisBatchInfo"][name].as_str().unwrap().to_owned()
    };
    let parts = done.left.iter().map(|letter| {
        ["startSequenceNumber", "endSequenceNumber", "batchEndSequenceNumber"].map(|name| place(letter, name))
    });
    let expected = [["106", "107", "110"], ["108", "110", "110"]];
    assert_eq!(parts.collect::<Vec<_>>(), expected.map(|part| part.map(str::to_owned)));
    let done = redrive(RUN, done.left, vec![], history(100), |_| safe());
    assert_eq!((done.tally.done, done.tally.redriven), (2, 5));
}

#[test]
fn what_the_stream_has_forgotten_leaves_a_trace() {
    let done = redrive(RUN, vec![letter(103, 107), letter(90, 95)], vec![], history(105), |_| safe());
    assert_eq!((done.tally.forgotten, done.tally.redriven, done.tally.done), (2, 3, 2));
    assert!(done.quarantined.iter().all(|(reason, _)| reason == "forgotten") && done.quarantined.len() == 2);
}

#[test]
fn what_the_stream_has_forgotten_is_told_when_the_rest_is_through() {
    let failed = || Ok(Invoked::Answered(r#"{"batchItemFailures":[{"itemIdentifier":"105"}]}"#.into()));
    let done = redrive(RUN, vec![letter(103, 107)], vec![], history(105), |_| failed());
    assert_eq!((done.tally.forgotten, done.tally.left, done.quarantined.len()), (0, 1, 0), "not in each run");
}

/// The records are read page by page, and a function may take its time.
#[test]
fn what_the_stream_forgets_meanwhile_leaves_a_trace() {
    struct Forgets<'a>(&'a Cell<u32>);

    impl ReadAgain for Forgets<'_> {
        async fn read(&self, shard: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
            history(self.0.get()).read(shard, begin).await
        }
    }

    // What is behind the page at hand was read before it was sent.
    for (horizon, redriven) in [(101, 20), (104, 20), (110, 15), (200, 5)] {
        let first = Cell::new(100);
        let answer = |_: &[String]| {
            first.set(horizon);
            safe()
        };
        let done = redrive(RUN, vec![letter(100, 119)], vec![], Forgets(&first), answer);
        let forgotten = usize::from(redriven < 20);
        assert_eq!(
            (done.tally.redriven, done.tally.forgotten, done.tally.done),
            (redriven, forgotten, 1),
            "{horizon}"
        );
        assert_eq!(done.quarantined.len(), forgotten);
    }
}

#[test]
fn a_dry_run_looks_and_does_nothing() {
    let order = Order { dry_run: true };
    let done = redrive(order, vec![letter(103, 107), letter(90, 101)], vec![], history(100), |_| safe());
    assert_eq!(done.tally, Tally { letters: 2, left: 2, records: 7, forgotten: 1, ..Tally::default() });
    assert!(done.calls.is_empty() && done.quarantined.is_empty() && done.left.len() == 2);
    assert_eq!(done.waiting, 2, "a run that follows can have them at once");
}

#[test]
fn spilled_events_that_drain_gave_up_on_go_back_to_the_spill_queue() {
    let message = r#"{"order":[0,0],"records":[]}"#.to_owned();
    let done =
        redrive(RUN, vec!["hello".into()], vec![message.clone(), "hello".into()], history(100), |_| safe());
    assert_eq!((done.spilled, done.left), (vec![message], vec!["hello".to_owned()]));
    assert_eq!((done.tally.done, done.tally.left), (1, 2));
}

/// What becomes of one message that `queue` gave up on, run by run; and the events that `queue` got, and what was put away.
fn redrive_message(
    orders: &[Order],
    answer: impl Fn(&Value) -> Result<Invoked, Kind>,
) -> (Vec<Tally>, Vec<Value>, Vec<Value>) {
    let events = RefCell::new(Vec::new());
    let functions = Played(|function: &str, event: String| {
        assert_eq!(function, "queue");
        events.borrow_mut().push(serde_json::from_str::<Value>(&event).unwrap());
        answer(&events.borrow()[events.borrow().len() - 1])
    });
    let deps = Deps {
        letters: vec![],
        spilled: (
            Guard::patient("dead spill", Messages::default()),
            Guard::patient("spill", Messages::default()),
        ),
        inbox: Some((Guard::patient("dead inbox", Messages::with(["hello".to_owned()])), "queue".to_owned())),
        streams: Guard::patient("streams", History::default()),
        functions: Guard::patient("functions", functions),
        quarantine: Guard::patient("quarantine", Store::default()),
        clock: VirtualClock::at(Micros::new(1_573_850_000_000_000).unwrap()),
    };
    let again = |order: &Order| run(deps.handle(*order, deps.clock.now().plus_ms(800_000)));
    let tallies: Vec<_> = orders.iter().map(again).collect();
    let left = deps.inbox.as_ref().unwrap().0.port().sent().len();
    assert_eq!(left, tallies[tallies.len() - 1].left, "what is not left is deleted");
    let quarantined = quarantined(deps.quarantine.port());
    (tallies, events.take(), quarantined)
}

#[test]
fn messages_that_queue_gave_up_on_are_handed_to_it_again_with_their_ids() {
    let answers = RefCell::new(vec![
        Err(Kind::Permanent),
        Ok(Invoked::Answered(r#"{"batchItemFailures":[{"itemIdentifier":"m0"}]}"#.into())),
        Ok(Invoked::Died),
        safe(), // without any
        safe(),
    ]);
    let answer = |_: &Value| answers.borrow_mut().remove(0);
    let (tallies, events, quarantined) = redrive_message(&[Order { dry_run: true }, RUN, RUN, RUN], answer);
    let waits = Tally { letters: 1, left: 1, ..Tally::default() };
    let done = Tally { letters: 1, done: 1, records: 1, redriven: 1, ..Tally::default() };
    assert_eq!(tallies, [waits, Tally { records: 1, ..waits }, Tally { records: 1, ..waits }, done]);
    let record = &events[4]["Records"][0];
    assert_eq!((&record["messageId"], &record["body"]), (&json!("m0"), &json!("hello")));
    assert!(quarantined.is_empty(), "it has a second chance");
}

#[test]
fn a_message_that_kills_its_function_alone_goes_to_the_quarantine_whole() {
    let answer = |event: &Value| if event["Records"][0].is_null() { safe() } else { Ok(Invoked::Died) };
    let (tallies, events, quarantined) = redrive_message(&[RUN], answer);
    assert_eq!(tallies, [Tally { letters: 1, done: 1, records: 1, quarantined: 1, ..Tally::default() }]);
    assert_eq!(events.len(), 4, "each time that it dies it has to live without any");
    let entry = &quarantined[0];
    assert_eq!((&entry["stage"], &entry["reason"]), (&json!("redrive"), &json!("function_died")));
    assert_eq!((&entry["source"]["stream"], &entry["source"]["sequence"]), (&json!("inbox"), &json!("m0")));
    let payload: Value = serde_json::from_str(entry["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, events[0], "the function can be called with it");
}

#[test]
fn a_function_that_does_not_start_has_not_died_of_a_message() {
    // The second time it might start just before it is asked for nothing.
    let starts = Cell::new(0);
    let answer = |_: &Value| {
        starts.set(starts.get() + 1);
        if starts.get() == 3 { safe() } else { Ok(Invoked::Died) }
    };
    let (tallies, events, quarantined) = redrive_message(&[RUN], answer);
    assert_eq!(tallies, [Tally { letters: 1, left: 1, records: 1, ..Tally::default() }]);
    assert!(events.len() == 2 && quarantined.is_empty());
}

#[test]
fn an_order_is_a_schedules_event_or_says_more() {
    let order = |text: &str| serde_json::from_str::<Order>(text).unwrap().dry_run;
    assert!(
        !order(r#"{"version":"0","source":"aws.events","detail":{}}"#)
            && order(include_str!("../../../events/redrive.json"))
    );
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_redrive")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in ["DEAD_LETTER_QUEUE_URLS", "SPILL_QUEUE_URL", "SPILL_DLQ_URL", "QUARANTINE_BUCKET"] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn a_function_that_does_not_start_has_not_died_of_a_record() {
    let done = redrive(RUN, vec![letter(103, 104)], vec![], history(100), |_| Ok(Invoked::Died));
    assert_eq!((done.tally.left, done.tally.quarantined, done.left.len()), (1, 0, 1));
    assert!(done.quarantined.is_empty());
}

#[test]
fn what_died_of_several_records_may_hold_a_lane_as_well() {
    let held = std::cell::Cell::new(0);
    let answer = |records: &[String]| {
        if held.get() > 0 {
            held.set(held.get() - 1);
            return Ok(Invoked::Answered(r#"{"batchItemFailures":[{"itemIdentifier":"103"}]}"#.into()));
        }
        if records.contains(&"104".to_owned()) {
            held.set(3);
            return Ok(Invoked::Died);
        }
        safe()
    };
    let done = redrive(RUN, vec![letter(103, 108)], vec![], history(100), answer);
    assert_eq!((done.tally.done, done.tally.redriven, done.tally.quarantined), (1, 5, 1), "{:?}", done.tally);
}
