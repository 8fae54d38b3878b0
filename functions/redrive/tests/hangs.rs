//! A function that hangs: how far `redrive` gets with its dead letters, and with those of the others, run by run.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::guard::Guard;
use millrace_core::port::{Begin, Clock as _, Error, Invoked, Kept, Kind, ReadAgain, Shard};
use millrace_core::time::Micros;
use millrace_redrive::{Deps, Order, Tally};
use millrace_sim::{Messages, Played, Store, VirtualClock, run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time of a run, as the template has it, less what is kept for the answer.
const RUN_MS: i64 = 838_000;

/// How long after one run the next one begins.
const PAUSE: Duration = Duration::from_mins(15);

/// The letter of a batch of a function.
fn letter(function: &str, from: u32, to: u32) -> String {
    json!({
        "requestContext": {"functionArn": function},
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": from.to_string(),
            "endSequenceNumber": to.to_string(),
            "streamArn": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
            "batchSize": to - from + 1,
        },
    })
    .to_string()
}

/// A shard with records of all sequence numbers, read as many at once as Kinesis gives.
struct Endless;

impl ReadAgain for Endless {
    async fn read(&self, _: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let first = match begin {
            Begin::At(sequence) => sequence.as_str().parse::<u32>().unwrap(),
            Begin::After(sequence) => sequence.as_str().parse::<u32>().unwrap() + 1,
        };
        let record = |n: u32| Kept {
            sequence: n.to_string().into(),
            arrived_at: Micros::new(1_573_841_200_000_000).unwrap(),
            partition_key: "k".into(),
            data: format!("record {n}").into_bytes(),
        };
        Ok((first..first + 1_000).map(record).collect())
    }
}

/// What a function got: the sequence numbers, and the last one of the batch that was given up.
type Call = (Vec<u32>, Value);

/// Dead letters by queue, and functions that take so long to die of what they cannot bear.
struct World<'a, F> {
    deps: Deps<Messages, Messages, Endless, F, Store, &'a VirtualClock>,
    clock: &'a VirtualClock,
}

fn functions<'a>(
    clock: &'a VirtualClock,
    calls: &'a RefCell<Vec<Call>>,
    timeout: Duration,
    hangs: impl Fn(&str, &[u32]) -> bool + 'a,
) -> Played<impl Fn(&str, String) -> Result<Invoked, Kind> + 'a> {
    Played(move |function: &str, event: String| {
        let event: Value = serde_json::from_str(&event).unwrap();
        let sequence =
            |record: &Value| record["kinesis"]["sequenceNumber"].as_str().map(|n| n.parse().unwrap());
        let records: Vec<u32> = event["Records"].as_array().unwrap().iter().filter_map(sequence).collect();
        if hangs(function, &records) {
            run(clock.sleep(timeout));
            return Ok(Invoked::Died);
        }
        if function != "queue" {
            calls.borrow_mut().push((records, event["givenUp"]["last"].clone()));
        }
        Ok(Invoked::Answered(r#"{"batchItemFailures":[]}"#.into()))
    })
}

impl<'a, F: millrace_core::port::Functions> World<'a, F> {
    fn new(clock: &'a VirtualClock, letters: Vec<(&str, Vec<String>)>, functions: F) -> Self {
        let queue = |(name, letters): (&str, Vec<String>)| {
            (name.to_owned(), Guard::patient("letters", Messages::with(letters)))
        };
        let messages = || Messages::with([r#"{"records":[]}"#.to_owned()]);
        let deps = Deps {
            letters: letters.into_iter().map(queue).collect(),
            spilled: (Guard::patient("dead spill", messages()), Guard::patient("spill", Messages::default())),
            inbox: Some((Guard::patient("dead inbox", messages()), "queue".to_owned())),
            streams: Guard::patient("streams", Endless),
            functions: Guard::patient("functions", functions),
            quarantine: Guard::patient("quarantine", Store::default()),
            clock,
        };
        Self { deps, clock }
    }

    fn run(&self) -> Tally {
        let deadline = self.clock.now().plus_ms(RUN_MS);
        let tally = run(self.deps.handle(Order::default(), deadline));
        assert!(self.clock.now() < deadline, "it would have been cut off");
        assert_eq!(tally.letters, tally.done + tally.left, "{tally:?}");
        run(self.clock.sleep(PAUSE));
        tally
    }

    /// How many messages are left, by queue.
    fn left(&self) -> BTreeMap<&str, usize> {
        let letters = self.deps.letters.iter().map(|(name, queue)| (name.as_str(), queue));
        let others = [("spill", &self.deps.spilled.0), ("inbox", &self.deps.inbox.as_ref().unwrap().0)];
        letters.chain(others).map(|(name, queue)| (name, queue.port().sent().len())).collect()
    }
}

fn clock() -> VirtualClock {
    VirtualClock::at(Micros::new(1_573_850_000_000_000).unwrap())
}

#[test]
fn a_letter_that_takes_longer_than_a_run_ends_all_the_same() {
    for (timeout_s, records, hang, runs_max) in [
        (60, 1_000, &[1_700][..], 2),
        (60, 1_000, &[1_000, 1_500, 1_501], 5),
        (60, 1_500, &[1_000, 2_001, 2_499], 5),
        (120, 60, &[1_000], 2),
        (120, 60, &[1_010, 1_030, 1_031], 5),
        (120, 1_500, &[1_005], 4),
    ] {
        let (clock, calls) = (clock(), RefCell::default());
        let hangs = |_: &str, records: &[u32]| records.iter().any(|n| hang.contains(n));
        let functions = functions(&clock, &calls, Duration::from_secs(timeout_s), hangs);
        let last = 999 + records;
        let world = World::new(&clock, vec![("lake", vec![letter("lake", 1_000, last)])], functions);
        let mut runs = 0;
        while world.left()["lake"] > 0 {
            world.run();
            runs += 1;
            assert!(runs <= runs_max, "{hang:?} of {records}: {:?}", world.left());
        }
        let put_away = world.deps.quarantine.port().objects().len();
        let calls = calls.take();
        let mut through: Vec<_> = calls.iter().flat_map(|(records, _)| records.clone()).collect();
        through.sort_unstable();
        through.dedup();
        assert_eq!((put_away, through.len()), (hang.len(), records as usize - hang.len()));
        assert!(calls.iter().all(|(_, end)| *end == json!(last.to_string())), "a part is of the same batch");
    }
}

#[test]
fn the_letters_behind_one_that_hangs_have_their_turn() {
    let (clock, calls) = (clock(), RefCell::default());
    let hangs = |_: &str, records: &[u32]| records.iter().any(|n| [1_000, 1_400, 1_800].contains(n));
    let functions = functions(&clock, &calls, Duration::from_mins(1), hangs);
    let letters = vec![letter("lake", 1_000, 1_999), letter("lake", 5_000, 5_009)];
    let world = World::new(&clock, vec![("lake", letters)], functions);
    let tallies = [world.run(), world.run()];
    let is_through = calls.borrow().iter().any(|(records, _)| records.contains(&5_009));
    assert!(is_through && world.left()["lake"] > 0, "{tallies:?}");
}

#[test]
fn a_function_that_always_hangs_takes_no_time_of_the_other_queues_for_ever() {
    let (clock, calls) = (clock(), RefCell::default());
    let hangs = |function: &str, _: &[u32]| function == "transform";
    let functions = functions(&clock, &calls, Duration::from_mins(1), hangs);
    let broken = (0..20).map(|n| letter("transform", n * 1_000, n * 1_000 + 999)).collect();
    let letters = |function: &str| vec![letter(function, 1_000, 1_009)];
    let queues = vec![("transform", broken), ("changes", letters("changes")), ("lake", letters("lake"))];
    let world = World::new(&clock, queues, functions);
    world.run();
    assert_eq!(world.left()["spill"], 0, "what never hangs comes first");
    for _ in 0..10 {
        world.run();
    }
    let expected = [("changes", 0), ("inbox", 0), ("lake", 0), ("spill", 0), ("transform", 20)];
    assert_eq!(world.left(), BTreeMap::from(expected));
    assert!(world.deps.quarantine.port().objects().is_empty(), "nothing has died of its records");
}
