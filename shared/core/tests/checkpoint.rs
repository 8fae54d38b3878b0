//! What a sink does with frames that come once, again, cut otherwise, or while another attempt is at work.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::account::Landing;
use millrace_core::checkpoint::{Checkpoints, Plan, RANGES_MAX, Range};
use millrace_core::decode;
use millrace_core::frame::{Position, Reader, Writer};
use millrace_core::guard::Guard;
use millrace_core::port::{Clock as _, Kind};
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::record::{Record, Source};
use millrace_core::sink::{Cut, Driver, Laid, Landed, OBJECTS_MAX, Object, Sink};
use millrace_core::time::Micros;
use millrace_sim::{Fault, Store, Table, VirtualClock, run};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

/// Writes the lines of a lane as one object.
struct Lines(Reader);

impl Sink for Lines {
    type Error = Infallible;

    fn lay_out(&mut self, name: &str, frames: &[Cut<'_>]) -> Result<Laid, Infallible> {
        let mut laid = Laid::default();
        let mut body = String::new();
        for Cut { record, lands } in frames {
            let (_, lines) = self.0.read(record.data).unwrap();
            for (place, line) in lines.events().enumerate() {
                laid.landing.r#in += 1;
                if lands.has(place) {
                    laid.landing.landed += 1;
                    body.push_str(line);
                    body.push('\n');
                } else {
                    laid.landing.skipped += 1;
                }
            }
        }
        laid.objects.push(Object { key: format!("{name}.txt"), body: body.into_bytes() });
        Ok(laid)
    }
}

struct World<'t> {
    driver: Driver<&'t Table, &'t Store, Store, VirtualClock>,
}

impl<'t> World<'t> {
    fn new(table: &'t Table, store: &'t Store) -> Self {
        Self::at(table, store, 0)
    }

    fn at(table: &'t Table, store: &'t Store, ms: i64) -> Self {
        let driver = Driver {
            function: "lines",
            checkpoints: Checkpoints::new("lines", Guard::patient("table", table), 48 * 3_600_000),
            objects: Guard::patient("store", store),
            quarantine: Guard::patient("quarantine", Store::default()),
            clock: VirtualClock::at(Micros::EPOCH.plus_ms(ms)),
            reader: Reader::default(),
        };
        Self { driver }
    }

    /// Lands frames, of which the first one has the clean stream's sequence number 100.
    fn land(&mut self, frames: &[Vec<u8>]) -> Landed {
        let source = Source { stream: "clean".into(), shard: "shardId-000000000003".into() };
        let sequences: Vec<_> = (100..).take(frames.len()).map(|n: u32| n.to_string()).collect();
        let records = sequences.iter().zip(frames).map(|(sequence, data)| Record {
            sequence,
            arrived_at: Micros::EPOCH,
            data,
        });
        let deadline = self.driver.clock.now().plus_ms(100_000);
        run(self.driver.land(&mut Lines(Reader::default()), &source, records, deadline)).unwrap()
    }
}

/// A frame of a lane with events of these positions.
fn frame_of(lane: &str, scattered: bool, events: &[(u32, u32)]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin(lane.to_owned());
    if scattered {
        writer.scatter();
    }
    for (sequence, index) in events {
        assert!(
            writer.push(&sequence.to_string(), *index, |line| write!(line, "{sequence}.{index}").unwrap())
        );
    }
    writer.finish().remove(0).data
}

fn frame(events: &[(u32, u32)]) -> Vec<u8> {
    frame_of("raw/shardId-000000000000", false, events)
}

/// All lines in all objects, in order.
fn lines(store: &Store) -> Vec<String> {
    let objects = store.objects();
    let mut lines: Vec<_> = objects
        .values()
        .flat_map(|body| str::from_utf8(body).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines
}

fn landing(landed: usize, skipped: usize) -> Landing {
    Landing { r#in: landed + skipped, landed, skipped, quarantined: 0 }
}

#[test]
fn frames_that_come_again_are_skipped_and_cut_whatever_the_batch() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let (a, b) = (frame(&[(5, 0), (5, 1), (6, 0)]), frame(&[(6, 1), (7, 0)]));
    assert_eq!(world.land(&[a.clone(), b.clone()]).landing, landing(5, 0));
    let longer = frame(&[(6, 0), (6, 1), (7, 0), (8, 0), (9, 0)]);
    assert_eq!(world.land(&[b, longer.clone(), a]).landing, landing(2, 8));
    let mut cold = World::new(&table, &store);
    assert_eq!(cold.land(&[longer.clone(), longer]).landing, landing(0, 10));
    assert_eq!(lines(&store), ["5.0", "5.1", "6.0", "6.1", "7.0", "8.0", "9.0"]);
}

#[test]
fn a_frame_that_is_twice_in_a_batch_lands_once() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let (a, longer) = (frame(&[(5, 0), (6, 0)]), frame(&[(5, 0), (6, 0), (7, 0)]));
    assert_eq!(world.land(&[a.clone(), a, longer]).landing, landing(3, 4));
    assert_eq!(lines(&store), ["5.0", "6.0", "7.0"]);
}

#[test]
fn what_a_dead_letter_left_out_lands_in_its_gap() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    world.land(&[frame(&[(5, 0), (6, 0)]), frame(&[(20, 0), (21, 0)])]);
    world.land(&[frame(&[(30, 0)])]);
    // Redriven: 6 had landed, before its batch died, 10 and 11 had not.
    assert_eq!(world.land(&[frame(&[(6, 0)]), frame(&[(10, 0)]), frame(&[(11, 0)])]).landing, landing(2, 1));
    assert_eq!(World::new(&table, &store).land(&[frame(&[(10, 0), (11, 0)])]).landing, landing(0, 2));
    assert_eq!(lines(&store), ["10.0", "11.0", "20.0", "21.0", "30.0", "5.0", "6.0"]);
}

#[test]
fn frames_of_a_lane_that_shards_share_may_lie_within_each_other() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let of_table = |events: &[(u32, u32)]| frame_of("orders/2026", true, events);
    world.land(&[of_table(&[(100, 0), (300, 0)])]);
    assert_eq!(world.land(&[of_table(&[(150, 0), (200, 0), (300, 0)])]).landing, landing(2, 1));
    assert_eq!(lines(&store), ["100.0", "150.0", "200.0", "300.0"]);
}

#[test]
fn each_lane_has_objects_of_its_own() {
    let (table, store) = (Table::default(), Store::default());
    World::new(&table, &store)
        .land(&[frame(&[(5, 0)]), frame_of("raw/shardId-000000000001", false, &[(5, 0)])]);
    let keys: Vec<_> = store.objects().into_keys().collect();
    assert_eq!(keys, ["raw.shardId-000000000000-5.0-5.0.txt", "raw.shardId-000000000001-5.0-5.0.txt"]);
}

/// Wherever an attempt dies, the next one, with the same batch or another, at once or later, lands each event once.
#[test]
fn whatever_call_is_the_last_of_an_attempt_the_next_one_lands_each_event_once() {
    let batch = [frame(&[(5, 0), (6, 0)]), frame(&[(7, 0), (8, 0)])];
    let whole = ["5.0", "6.0", "7.0", "8.0"];
    for last in 0..6 {
        for fault in [Fault::Fails(Kind::Permanent), Fault::AnswerLost] {
            // The first calls go well, then one fails, or does its work and fails, and all that follow fail.
            let faults = |calls: usize| {
                let mut faults = vec![Fault::None; calls];
                faults.push(fault.clone());
                faults.extend(vec![Fault::Fails(Kind::Permanent); 50]);
                faults
            };
            for (of_table, of_store) in [(last, 100), (100, last)] {
                let (mut table, mut store) =
                    (Table::failing(faults(of_table)), Store::failing(faults(of_store)));
                let first = World::new(&table, &store).land(&batch);
                (table, store) = (table.healed(), store.healed());
                let again = World::new(&table, &store).land(&batch);
                assert!(again.stuck.is_none(), "the same objects need not wait");
                assert_eq!(lines(&store), whole, "{first:?}");

                let (mut table, mut store) =
                    (Table::failing(faults(of_table)), Store::failing(faults(of_store)));
                let first = World::new(&table, &store).land(&batch);
                (table, store) = (table.healed(), store.healed());
                let mut other = World::at(&table, &store, 40_000);
                let halves = [other.land(&batch[..1]), other.land(&batch[1..])];
                let mut later = World::at(&table, &store, 200_000);
                let after = [later.land(&batch[..1]), later.land(&batch[1..])];
                assert!(after.iter().all(|landed| landed.stuck.is_none()));
                assert_eq!(lines(&store), whole, "{last} {fault:?} {first:?} {halves:?}");
            }
        }
    }
}

#[test]
fn an_attempt_with_other_objects_waits_until_the_one_before_it_is_surely_over() {
    let (table, store) = (Table::default(), Store::failing(vec![Fault::Fails(Kind::Permanent); 1]));
    let stuck = World::new(&table, &store).land(&[frame(&[(5, 0), (6, 0)])]).stuck.unwrap();
    assert_eq!(stuck.from.as_str(), "100");
    // Its deadline was at 100 s, and requests on their way have 5 s.
    let mut early = World::at(&table, &store, 31_000);
    let why = early.land(&[frame(&[(5, 0)])]).stuck.unwrap().why;
    assert!(why.to_string().contains("may still be at work"), "{why}");
    assert_eq!(early.driver.clock.now(), Micros::EPOCH.plus_ms(61_000), "and the answer is held back");
    let mut later = World::at(&table, &store, 80_000);
    assert!(later.land(&[frame(&[(5, 0)])]).stuck.is_none());
    assert!(later.driver.clock.now() >= Micros::EPOCH.plus_ms(105_000), "it waited, for it has time");
    assert_eq!(lines(&store), ["5.0"]);
}

#[test]
fn of_two_attempts_at_once_only_one_has_the_lane() {
    let (table, store) = (Table::default(), Store::default());
    let (mut one, two) = (World::new(&table, &store), World::new(&table, &store));
    two.driver.clock.random(); // instances have chances of their own
    let deadline = Micros::EPOCH.plus_ms(50_000);
    let read = |world: &World<'_>, first: &str| {
        run(world.driver.checkpoints.read("lane", &first.into(), &world.driver.clock, deadline)).unwrap()
    };
    let claim = |world: &World<'_>, lane, first: &str, last: &str| {
        let position = |digits: &str| Position { sequence: digits.into(), index: 0 };
        let ranges = vec![Range { first: position(first), last: position(last) }];
        let plan = Plan { ranges, keys: vec!["a".into()] };
        run(world.driver.checkpoints.claim(lane, &plan, &world.driver.clock, deadline))
    };
    let (of_one, of_two) = (read(&one, "5"), read(&two, "5"));
    let claimed = claim(&one, &of_one, "5", "7").unwrap();
    assert!(claim(&two, &of_two, "5", "6").is_err(), "it had read before the other one wrote");
    let (same, behind) = (read(&two, "5"), read(&two, "8"));
    assert!(claim(&two, &same, "5", "6").is_err(), "and knows now that it must wait");
    assert!(run(one.driver.checkpoints.fulfil(claimed, &one.driver.clock, deadline)).unwrap());
    assert!(claim(&two, &same, "5", "6").is_err(), "what the other one landed since is not in what it read");
    assert!(claim(&two, &behind, "8", "9").is_ok(), "but that is nothing to what lies behind");
}

#[test]
fn a_batch_with_too_many_pieces_lands_in_several() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let frames: Vec<_> = (0..4_u32)
        .map(|n| {
            let events: Vec<_> = (0..2_500).map(|event| (10_000 + 4 * event + n, 0)).collect();
            frame_of("orders/2026", true, &events)
        })
        .collect();
    let first = world.land(&frames);
    assert_eq!((first.landing.landed, first.rest), (5_000, Some("102".into())));
    assert!(first.landing.landed <= RANGES_MAX && first.stuck.is_none());
    assert_eq!(world.land(&frames[2..]).landing, landing(5_000, 0));
    assert_eq!(lines(&store).len(), 10_000);
    world.driver.clock = VirtualClock::at(Micros::EPOCH.plus_ms(1_000));
    run(world.driver.clock.sleep(Duration::from_secs(1)));
    assert_eq!(world.land(&frames).landing, landing(0, 10_000));
}

#[test]
fn the_largest_item_fits() {
    // Sequence numbers as Kinesis gives them, of which half of the digits differ: more than ever do.
    let mut random = fastrand::Rng::with_seed(7);
    let mut sequence = || format!("49590338271490256608559692{:030}", random.u128(..) % 10_u128.pow(30));
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let frames: Vec<_> = (0..RANGES_MAX)
        .map(|_| {
            let mut ends = [sequence(), sequence()];
            ends.sort();
            let mut writer = Writer::default();
            writer.begin("lane".to_owned());
            for end in ends {
                assert!(writer.push(&end, 0, |line| line.push('x')));
            }
            writer.finish().remove(0).data
        })
        .collect();
    world.land(&frames);
    let largest = table.items().iter().map(|item| item.body.len()).max().unwrap();
    assert!(largest < millrace_core::port::ITEM_MAX, "{largest} bytes");
}

/// Writes each line as an object of its own.
struct Scattered(Reader);

impl Sink for Scattered {
    type Error = Infallible;

    fn lay_out(&mut self, name: &str, frames: &[Cut<'_>]) -> Result<Laid, Infallible> {
        let mut whole = Lines(std::mem::take(&mut self.0)).lay_out(name, frames)?;
        let text =
            whole.objects.pop().map(|object| String::from_utf8(object.body).unwrap()).unwrap_or_default();
        let object =
            |line: &str| Object { key: format!("{line}/{name}.txt"), body: format!("{line}\n").into_bytes() };
        whole.objects = text.lines().map(object).collect();
        Ok(whole)
    }
}

#[test]
fn a_batch_with_too_many_objects_lands_in_several() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let count = u32::try_from(OBJECTS_MAX).unwrap();
    let events = |from: u32, many: u32| (from..from + many).map(|n| (100_000 + n, 0)).collect::<Vec<_>>();
    let frames = [frame(&events(0, 10)), frame(&events(10, 2 * count)), frame(&events(10 + 2 * count, 10))];
    let mut sink = Scattered(Reader::default());
    let (mut landed, mut from) = (0, 0);
    for _ in 0..4 {
        let batch = (from..).zip(&frames[from..]);
        let sequences: Vec<_> = batch.map(|(n, data)| (format!("{}", 100 + n), data)).collect();
        let records =
            sequences.iter().map(|(sequence, data)| Record { sequence, arrived_at: Micros::EPOCH, data });
        let source = Source { stream: "clean".into(), shard: "shard-0".into() };
        let deadline = world.driver.clock.now().plus_ms(60_000);
        let done = run(world.driver.land(&mut sink, &source, records, deadline)).unwrap();
        assert!(done.stuck.is_none() && done.landing.balances(), "{done:?}");
        assert!(done.landing.landed <= OBJECTS_MAX && done.landing.landed > 0, "{done:?}");
        landed += done.landing.landed;
        match done.rest {
            Some(rest) => from = rest.as_str().parse::<usize>().unwrap() - 100,
            None => break,
        }
    }
    assert_eq!((landed, lines(&store).len()), (2 * OBJECTS_MAX + 20, 2 * OBJECTS_MAX + 20));
}

/// The same, but an event that is not the first one of its record is bad.
struct Picky(Scattered);

impl Sink for Picky {
    type Error = Infallible;

    fn lay_out(&mut self, name: &str, frames: &[Cut<'_>]) -> Result<Laid, Infallible> {
        let mut laid = self.0.lay_out(name, frames)?;
        laid.objects.retain(|object| !object.body.ends_with(b".1\n"));
        for Cut { record, lands } in frames {
            let mut reader = Reader::default();
            let (_, body) = reader.read(record.data).unwrap();
            let bad =
                (0..).zip(body.events()).filter(|(place, line)| line.ends_with(".1") && lands.has(*place));
            laid.rejects.extend(bad.map(|(place, line)| Entry {
                reject: Reject::new("lines", "bad", "it ends with 1"),
                sequence: record.sequence.into(),
                index: u32::try_from(place).ok(),
                at: record.arrived_at,
                may_be_known: false,
                payload: line.into(),
            }));
        }
        laid.landing.landed -= laid.rejects.len();
        laid.landing.quarantined = laid.rejects.len();
        Ok(laid)
    }
}

/// A frame that lands in two parts has a bad event in each.
#[test]
fn what_is_bad_in_one_part_of_a_frame_is_kept_when_another_part_has_some_too() {
    let (table, store) = (Table::default(), Store::default());
    let mut world = World::new(&table, &store);
    let count = u32::try_from(OBJECTS_MAX).unwrap();
    let good = |from: u32| (from..from + 2 * count).map(|n| (100_000 + n, 0));
    let events: Vec<_> = [(100_000, 1)].into_iter().chain(good(1)).chain([(200_000, 1)]).collect();
    let mut sink = Picky(Scattered(Reader::default()));
    let mut bad = 0;
    for _ in 0..4 {
        let data = frame(&events);
        let records = [Record { sequence: "100", arrived_at: Micros::EPOCH, data: &data }];
        let source = Source { stream: "clean".into(), shard: "shard-0".into() };
        let deadline = world.driver.clock.now().plus_ms(60_000);
        bad += run(world.driver.land(&mut sink, &source, records.into_iter(), deadline))
            .unwrap()
            .landing
            .quarantined;
    }
    let kept: usize = world
        .driver
        .quarantine
        .port()
        .objects()
        .values()
        .map(|page| {
            let mut room = Vec::new();
            str::from_utf8(decode::inflate(page, &mut room).unwrap()).unwrap().lines().count()
        })
        .sum();
    assert_eq!((bad, kept), (2, 2));
}

#[test]
fn what_several_attempts_left_goes_when_one_gets_through() {
    // The first attempt dies before its log, the second one before it has deleted what the first one put.
    let table = Table::failing([Fault::None, Fault::None, Fault::Fails(Kind::Permanent)]);
    let store = Store::failing([Fault::None, Fault::Fails(Kind::Permanent)]);
    let (five, six) = (frame(&[(5, 0)]), frame(&[(6, 0)]));
    let first = World::new(&table, &store).land(&[five.clone(), frame(&[(6, 0), (7, 0)])]);
    let second = World::at(&table, &store, 200_000).land(&[five.clone(), six]);
    assert!(first.stuck.is_some() && second.stuck.is_some());
    assert_eq!(lines(&store), ["5.0", "6.0", "7.0"], "of the first one");
    assert!(World::at(&table, &store, 400_000).land(&[five]).stuck.is_none());
    assert_eq!(lines(&store), ["5.0"]);
}

#[test]
fn the_same_ends_are_not_the_same_attempt() {
    let table = Table::failing([Fault::None, Fault::None, Fault::Fails(Kind::Permanent)]);
    let store = Store::default();
    assert!(World::new(&table, &store).land(&[frame(&[(5, 0), (6, 0), (7, 0)])]).stuck.is_some());
    // What lies between them is another batch's, and the first attempt may still put its object.
    let ends = [frame(&[(5, 0)]), frame(&[(7, 0)])];
    assert!(World::at(&table, &store, 31_000).land(&ends).stuck.is_some());
    assert_eq!(lines(&store), ["5.0", "6.0", "7.0"]);
    assert!(World::at(&table, &store, 200_000).land(&ends).stuck.is_none());
    assert_eq!(lines(&store), ["5.0", "7.0"]);
}

#[test]
fn what_landed_is_known_for_as_long_as_it_may_come_again() {
    let (table, store) = (Table::default(), Store::default());
    World::at(&table, &store, 1_000).land(&[frame(&[(5, 0)])]);
    let expires: Vec<_> = table.items().iter().map(|item| item.expires_at).collect();
    assert_eq!(expires.len(), 2, "the head and the log");
    assert!(expires.iter().all(|at| *at >= Micros::EPOCH.plus_ms(1_000 + 48 * 3_600_000)), "{expires:?}");
}
