//! What was found by thinking: each a scenario that a bug once broke, and that chance would hardly draw.

use crate::feed::Feed;
use crate::scenario::{Event, Kind, START, Scenario, Send, Way};
use crate::{play, wrong};
use millrace_sim::fault::{CallFault, Fault, Happening, InvocationFault};
use millrace_sim::stream_mapping::{Settings, Tumbling};
use std::time::Duration;

/// A scenario in which nothing happens by chance but times on the network.
fn quiet(seed: u64) -> Scenario {
    let settings = |batch_size, window_ms, retries_max| Settings {
        batch_size,
        window_ms,
        retries_max,
        age_max_ms: 21_600_000,
        tumbling: None,
    };
    Scenario {
        events: Vec::new(),
        sends: Vec::new(),
        deliveries: Vec::new(),
        feed: Feed::default(),
        faults: Vec::new(),
        redrives: Vec::new(),
        is_mended: false,
        metrics: None,
        review: None,
        firehose: None,
        kpl: false,
        mistake: None,
        skew_ms: 0,
        raw_shards: 1,
        clean_shards: 1,
        table_shards: 1,
        transform: settings(4, 20_000, 1),
        changes: settings(2, 20_000, 10),
        lake: settings(100, 0, 10),
        ..Scenario::new(seed)
    }
}

/// A good event of this user, by its place.
fn good(scenario: &mut Scenario, user: u32) -> usize {
    let serial = u32::try_from(scenario.events.len()).unwrap();
    let event = Event { serial, id: format!("e-{serial}"), user, kind: Kind::Good };
    scenario.events.push(event);
    scenario.events.len() - 1
}

fn send(scenario: &mut Scenario, after_ms: i64, way: Way, event: usize) {
    let at = START.plus_ms(after_ms);
    scenario.sends.push(Send { at, way, events: vec![event], tries: 1 });
}

/// An event is given up, its client sends it again, and then another poller begins before both.
#[test]
fn what_was_given_up_and_is_read_again_lands_once() {
    let scenarios = (0..30).map(|seed| {
        let mut scenario = quiet(seed);
        let events: Vec<_> = (0..3).map(|_| good(&mut scenario, 0)).collect();
        for (ms, event) in [(0, 0), (1_000, 0), (2_000, 1), (3_000, 2)] {
            send(&mut scenario, ms, Way::Producer, events[event]);
        }
        let transform = |nth, how| Fault::Invocation { function: "transform", nth, how };
        scenario.faults.extend((0..4).map(|nth| transform(nth, InvocationFault::Crash(0))));
        scenario.faults.push(transform(5, InvocationFault::Hang(0)));
        let at = START.plus_ms(40_000);
        scenario.faults.push(Fault::At { at, what: Happening::LeaseLost("raw") });
        scenario
    });
    assert_eq!(failed(&scenarios.collect::<Vec<_>>()), []);
}

/// A deletion of what a dead attempt left is late, and meanwhile another attempt has put an object of that key.
#[test]
fn a_late_deletion_takes_nothing_that_landed() {
    let half = |user: u32| millrace_core::seen::hash(&format!("order-{user}")) < u128::MAX / 2;
    let (a, b) = ((0..20).find(|user| half(*user)).unwrap(), (0..20).find(|user| !half(*user)).unwrap());
    let mut scenarios = Vec::new();
    for seed in 0..2 {
        let mut quiet = quiet(seed);
        quiet.table_shards = 2;
        (quiet.lake.batch_size, quiet.lake.window_ms) = (2, 20_000);
        // The frame of the second and the third change comes before that of the first and the fourth.
        for (ms, user) in [(0, a), (500, b), (1_000, b), (6_000, a)] {
            let event = good(&mut quiet, user);
            send(&mut quiet, ms, Way::Change, event);
        }
        for crash in 0..16 {
            for nth in 0..3 {
                let mut scenario = quiet.clone();
                let how = InvocationFault::Crash(crash);
                scenario.faults.push(Fault::Invocation { function: "lake", nth: 0, how });
                let how = CallFault::Late(Duration::from_millis(500));
                scenario.faults.push(Fault::Call { service: "lake", nth, how });
                scenarios.push(scenario);
            }
        }
    }
    assert_eq!(failed(&scenarios), []);
}

/// A table's changes are in rows already when the invocation that ends their window is given up, and then are redriven.
#[test]
fn what_was_counted_before_it_was_given_up_counts_once() {
    let scenarios = (0..20).map(|seed| {
        let mut scenario = quiet(seed);
        let tumbling = Some(Tumbling { length_ms: 10_000, state_max: 1_000_000 });
        scenario.metrics = Some(Settings {
            batch_size: 2,
            window_ms: 30_000,
            retries_max: 1,
            age_max_ms: 21_600_000,
            tumbling,
        });
        for (ms, user) in [(1_000, 0), (4_000, 1), (6_000, 0), (12_000, 0), (24_000, 0)] {
            let event = good(&mut scenario, user);
            send(&mut scenario, ms, Way::Change, event);
        }
        let lost = |nth| Fault::Invocation { function: "metrics", nth, how: InvocationFault::AnswerLost };
        scenario.faults.extend((1..3).map(lost));
        scenario
    });
    let scenarios: Vec<_> = scenarios.collect();
    assert_eq!(failed(&scenarios), []);
}

fn failed(scenarios: &[Scenario]) -> Vec<(u64, Vec<String>)> {
    let count = u64::try_from(scenarios.len()).unwrap();
    play(0..count, |number| wrong(&scenarios[usize::try_from(number).unwrap()]))
}
