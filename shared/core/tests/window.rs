//! The ids that a lane let out: what is a duplicate, and what is not.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::guard::Guard;
use millrace_core::port::{Clock as _, Kind};
use millrace_core::record::Source;
use millrace_core::seen::hash;
use millrace_core::time::Micros;
use millrace_core::window::{Bounds, Known, Knows as _, Memory as _, Outgoing, Span, Window};
use millrace_sim::{Fault, History, Table, VirtualClock, run};

const HOUR_MS: i64 = 3_600_000;

/// One instance of the function.
struct Instance<'t> {
    window: Window<&'t Table, History>,
    clock: VirtualClock,
}

/// A record: its sequence number, when it arrived, in ms, and the ids of its events.
type Event<'a> = (&'a str, i64, &'a str);

impl<'t> Instance<'t> {
    fn new(table: &'t Table, history: History) -> Self {
        Self::holding(usize::MAX, table, history)
    }

    fn holding(ids_max: usize, table: &'t Table, history: History) -> Self {
        let span = Span { window_ms: HOUR_MS, retries_ms: 24 * HOUR_MS, ids_max };
        let (table, history) = (Guard::patient("table", table), Guard::patient("shards", history));
        Self { window: Window::new(table, history, span), clock: VirtualClock::at(at(0)) }
    }

    /// Works on a batch: what is known of each id, in their order. What is new goes out.
    fn batch_of(&mut self, shard: &str, redriven: bool, events: &[Event<'_>]) -> Vec<Known> {
        let source = Source { stream: "raw".into(), shard: shard.into() };
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        let bounds =
            Bounds { source: &source, first: first.0, arrived_at: at(first.1), until: at(last.1), redriven };
        let deadline = self.clock.now().plus_ms(60_000);
        run(self.window.open(bounds, &self.clock, deadline)).unwrap();
        let mut out = Outgoing::default();
        out.begin(&source);
        let mut all = Vec::new();
        for (sequence, ms, id) in events {
            out.record(sequence, at(*ms));
            let known = self.window.known(hash(id), sequence, at(*ms));
            if known == Known::New {
                out.id(hash(id), sequence, at(*ms));
            }
            all.push(known);
        }
        run(self.window.keep(&out, &self.clock, deadline)).unwrap();
        all
    }

    fn batch(&mut self, events: &[Event<'_>]) -> Vec<Known> {
        self.batch_of("shardId-000000000000", false, events)
    }
}

fn at(ms: i64) -> Micros {
    Micros::new(1_573_841_200_000_000).unwrap().plus_ms(ms)
}

use Known::{Duplicate, Late, New};

#[test]
fn what_is_sent_again_is_a_duplicate_in_the_same_instance_and_in_others() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    assert_eq!(one.batch(&[("9", 0, "a"), ("10", 1, "b")]), [New, New]);
    assert_eq!(one.batch(&[("11", 5_000, "a"), ("12", 5_001, "c")]), [Duplicate, New]);
    let mut two = Instance::new(&table, History::default());
    assert_eq!(
        two.batch(&[("13", 9_000, "c"), ("14", 9_001, "b"), ("15", 9_002, "d")]),
        [Duplicate, Duplicate, New]
    );
    assert_eq!(one.batch(&[("16", 10_000, "d")]), [Duplicate], "what the other one let out");
}

#[test]
fn a_batch_that_comes_again_lets_out_the_same_whatever_its_boundaries() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    one.batch(&[("5", 0, "x")]);
    let first = [("9", 1, "a"), ("10", 2, "b"), ("11", 3, "x"), ("12", 4, "c")];
    let known = [New, New, Duplicate, New];
    assert_eq!(one.batch(&first), known);
    for mut instance in [one, Instance::new(&table, History::default())] {
        assert_eq!(instance.batch(&first), known);
        assert_eq!(instance.batch(&first[..2]), known[..2]);
        assert_eq!(instance.batch(&first[2..]), known[2..]);
        assert_eq!(instance.batch(&first[1..3]), known[1..3]);
        let longer = [first[2], first[3], ("13", 5, "b"), ("14", 6, "d")];
        assert_eq!(instance.batch(&longer), [Duplicate, New, Duplicate, New]);
    }
}

#[test]
fn the_window_is_measured_by_arrival_and_by_no_clock() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    one.batch(&[("9", 0, "a")]);
    assert_eq!(one.batch(&[("10", HOUR_MS, "a")]), [Duplicate], "just within it");
    assert_eq!(one.batch(&[("11", HOUR_MS + 1, "a")]), [New], "past it");
    let mut late = Instance::new(&table, History::default());
    late.clock = VirtualClock::at(at(20 * HOUR_MS));
    assert_eq!(late.batch(&[("10", HOUR_MS, "a")]), [Duplicate], "a retry much later decides the same");
    assert_eq!(late.batch(&[("11", HOUR_MS + 1, "a")]), [New]);
    assert_eq!(late.batch(&[("12", HOUR_MS + 2, "a")]), [Duplicate]);
    let kept_until = table.items().iter().map(|item| item.expires_at).min().unwrap();
    assert_eq!(kept_until, at(25 * HOUR_MS), "as long as a record of the window may be tried again");
}

#[test]
fn a_warm_instance_reads_only_what_is_new() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    for n in 100..120 {
        one.batch(&[(&n.to_string(), n, &format!("id-{n}"))]);
    }
    assert_eq!(table.read(), 0, "it knows what it wrote");
    let mut two = Instance::new(&table, History::default());
    two.batch(&[("120", 120, "id-100")]);
    assert_eq!(table.read(), 20);
    one.batch(&[("121", 121, "id-121")]);
    two.batch(&[("122", 122, "id-121")]);
    assert_eq!(table.read(), 21);
    two.batch(&[("300", HOUR_MS + 110, "id-110")]);
    assert_eq!((two.window.ids(), table.read()), (21, 21), "old ids go in bulk");
}

#[test]
fn a_start_reads_no_further_back_than_the_window_goes() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    for n in 0..50 {
        one.batch(&[(&(100 + n).to_string(), n * HOUR_MS / 10, &format!("id-{n}"))]);
    }
    let mut two = Instance::new(&table, History::default());
    assert_eq!(two.batch(&[("150", 5 * HOUR_MS, "id-40")]), [Duplicate]);
    assert_eq!(two.window.ids(), 10);
}

#[test]
fn a_child_shard_begins_with_the_ids_of_its_parents() {
    let table = Table::default();
    let history = || {
        let mut history = History::default();
        history.parents.insert("child".into(), vec!["left".into(), "right".into()]);
        history.parents.insert("right".into(), vec!["root".into()]);
        history
    };
    let mut one = Instance::new(&table, history());
    // The numbers of a parent may be higher: all that it has is earlier.
    one.batch_of("root", false, &[("7000", 0, "r")]);
    one.batch_of("left", false, &[("9000", 1, "a")]);
    one.batch_of("right", false, &[("9001", 2, "b"), ("9002", 3, "r")]);
    let resent = [("500", 10, "a"), ("501", 11, "b"), ("502", 12, "r"), ("503", 13, "c")];
    assert_eq!(one.batch_of("child", false, &resent), [Duplicate, Duplicate, Duplicate, New]);
    let mut cold = Instance::new(&table, history());
    assert_eq!(cold.batch_of("child", false, &resent), [Duplicate, Duplicate, Duplicate, New]);
}

#[test]
fn what_is_redriven_yields_to_what_went_out_meanwhile() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    let mut other = Instance::new(&table, History::default());
    // Records 10 and 11 are dead letters, of which nothing was written down. Then a client sent `a` again.
    one.batch(&[("9", 0, "x")]);
    one.batch(&[("12", 2, "a"), ("13", 3, "c")]);
    let dead = [("10", 1, "a"), ("11", 1, "b")];
    assert_eq!(other.batch_of("shardId-000000000000", true, &dead), [Duplicate, New]);
    assert_eq!(
        other.batch_of("shardId-000000000000", true, &dead),
        [Duplicate, New],
        "again, after a lost answer"
    );
    assert_eq!(one.batch(&[("14", 4, "b"), ("15", 5, "d")]), [Duplicate, New], "a warm instance hears of it");
    let mut cold = Instance::new(&table, History::default());
    assert_eq!(cold.batch(&[("16", 6, "b"), ("17", 7, "x")]), [Duplicate, Duplicate]);
}

#[test]
fn what_is_redriven_after_a_reshard_knows_parents_and_children() {
    let table = Table::default();
    let parents = [("child", vec!["parent".to_owned()]), ("grandchild", vec!["child".to_owned()])];
    let lineage = || History {
        parents: parents.clone().map(|(shard, of)| (shard.to_owned(), of)).into(),
        ..History::default()
    };
    let mut one = Instance::new(&table, lineage());
    one.batch_of("parent", false, &[("9", 0, "a")]);
    one.batch_of("child", false, &[("20", 20, "x")]);
    one.batch_of("grandchild", false, &[("30", 30, "b")]);
    let mut other = Instance::new(&table, lineage());
    for _ in ["once", "again, after a lost answer"] {
        // Record 10 of the parent and record 21 of its child are dead letters.
        assert_eq!(other.batch_of("parent", true, &[("10", 1, "b"), ("11", 1, "c")]), [Duplicate, New]);
        assert_eq!(other.batch_of("child", true, &[("21", 21, "a"), ("22", 22, "d")]), [Duplicate, New]);
    }
    let again = [("31", 31, "c"), ("32", 32, "d"), ("33", 33, "e")];
    assert_eq!(
        one.batch_of("grandchild", false, &again),
        [Duplicate, Duplicate, New],
        "a warm instance hears of it"
    );
}

#[test]
fn what_was_redriven_of_one_parent_says_nothing_of_the_other_ones_records() {
    let table = Table::default();
    let parents = vec!["one".to_owned(), "other".to_owned()];
    let lineage = History { parents: [("child".to_owned(), parents)].into(), ..History::default() };
    let mut instance = Instance::new(&table, lineage);
    assert_eq!(instance.batch_of("one", true, &[("10", 1, "a"), ("14", 1, "b")]), [New, New]);
    assert_eq!(
        instance.batch_of("other", true, &[("12", 1, "c")]),
        [New],
        "it is between them, and was not there"
    );
    assert_eq!(instance.batch_of("other", true, &[("13", 1, "b")]), [Duplicate]);
}

#[test]
fn what_another_version_of_the_pipeline_had_left_out_is_late() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    one.batch(&[("9", 0, "a"), ("12", 3, "c")]);
    // The attempt before knew record 10 or 11 and let nothing of them out.
    let again = [("9", 0, "a"), ("10", 1, "b"), ("12", 3, "c"), ("13", 4, "d")];
    assert_eq!(one.batch(&again), [New, Late, New, New]);
}

/// Else what the first attempt noted and put would be late in a third one, and what it noted and did not put would be new.
#[test]
fn what_another_version_lets_out_leaves_what_the_first_one_noted() {
    let table = Table::default();
    let instance = || Instance::new(&table, History::default());
    instance().batch(&[("9", 0, "a"), ("10", 1, "b")]);
    assert_eq!(instance().batch(&[("9", 0, "other"), ("10", 1, "b")]), [Late, New]);
    assert_eq!(instance().batch(&[("9", 0, "a"), ("10", 1, "b")]), [New, New]);
    assert_eq!(instance().batch(&[("11", 2, "a")]), [Duplicate]);
    assert_eq!(table.items().len(), 2, "the same again is the same item");
}

#[test]
fn what_was_redriven_of_long_ago_is_not_read() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    for n in 0..20 {
        one.batch_of("shardId-000000000000", true, &[(&(100 + n).to_string(), n, &format!("id-{n}"))]);
    }
    let mut two = Instance::new(&table, History::default());
    let before = table.read();
    two.batch(&[("500", 5 * HOUR_MS, "id-1")]);
    two.batch(&[("501", 5 * HOUR_MS, "id-2")]);
    assert_eq!(table.read() - before, 0);
    let mut three = Instance::new(&table, History::default());
    assert_eq!(three.batch(&[("300", HOUR_MS, "id-1")]), [Duplicate]);
}

#[test]
fn a_table_that_is_down_fails_the_batch() {
    let table = Table::failing(vec![Fault::Fails(Kind::Transient); 100]);
    let mut one = Instance::new(&table, History::default());
    let source = Source { stream: "raw".into(), shard: "s".into() };
    let bounds = Bounds { source: &source, first: "9", arrived_at: at(0), until: at(0), redriven: false };
    assert!(run(one.window.open(bounds, &one.clock, at(60_000))).is_err());
}

#[test]
fn a_lost_answer_is_written_again() {
    let table = Table::failing([Fault::None, Fault::None, Fault::AnswerLost]);
    let mut one = Instance::new(&table, History::default());
    assert_eq!(one.batch(&[("9", 0, "a")]), [New]);
    assert_eq!((table.puts(), table.items().len()), (2, 1));
}

/// 60,000 ids, of which each came in a record of its own, or fifty in one.
#[test]
fn an_id_takes_little_room() {
    for (per_record, bytes_max) in [(1, 110), (50, 50)] {
        let table = Table::default();
        let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
        let mut one = Instance::new(&table, History::default());
        let (mut record, mut id) = (0_u64, 0_u64);
        let measured = allocation_counter::measure(|| {
            for batch in 0..60 {
                let sequence =
                    |record: u64| format!("49590338271490256608559692{:030}", u128::from(record) << 60);
                let (from, to) = (sequence(record), at(batch * 1000));
                let bounds =
                    Bounds { source: &source, first: &from, arrived_at: to, until: to, redriven: false };
                run(one.window.open(bounds, &one.clock, one.clock.now().plus_ms(60_000))).unwrap();
                let mut out = Outgoing::default();
                out.begin(&source);
                for _ in 0..1_000 {
                    let sequence = sequence(record);
                    out.record(&sequence, to);
                    out.id(hash(&id.to_string()), &sequence, to);
                    id += 1;
                    record += u64::from(id % per_record == 0);
                }
                run(one.window.keep(&out, &one.clock, one.clock.now().plus_ms(60_000))).unwrap();
            }
        });
        assert_eq!(one.window.ids(), 60_000);
        let in_table: usize = table.items().iter().map(|item| item.body.len()).sum();
        let units: usize = table.items().iter().map(|item| (item.body.len() + 150).div_ceil(1024)).sum();
        let in_memory = usize::try_from(measured.bytes_current).unwrap() - in_table;
        let told = format!(
            "{per_record} a record: {in_table} bytes, {units} write units, {in_memory} bytes in memory"
        );
        assert!(in_memory / 60_000 < bytes_max && units < 60_000 / 40, "{told}");
        // A new instance has them twice for a moment: as they were read, and as they are kept.
        let mut new = Instance::new(&table, History::default());
        let read = allocation_counter::measure(|| {
            let (first, at) = (format!("49590338271490256608559693{:030}", 0), at(60_000));
            let bounds =
                Bounds { source: &source, first: &first, arrived_at: at, until: at, redriven: false };
            run(new.window.open(bounds, &new.clock, new.clock.now().plus_ms(60_000))).unwrap();
        });
        assert_eq!(new.window.ids(), 60_000);
        assert!(read.bytes_max / 60_000 < 116, "{told}, {} bytes while it is read", read.bytes_max);
    }
}

#[test]
fn a_window_of_too_many_ids_is_short_and_says_so() {
    const IDS_MAX: usize = 1_000;
    let table = Table::default();
    let mut warm = Instance::holding(IDS_MAX, &table, History::default());
    let many = |batch: usize| -> Vec<String> {
        (0..IDS_MAX / 4).map(|number| format!("{batch}-{number}")).collect()
    };
    for batch in 0..5_i64 {
        let (sequence, ids) = (format!("{}", 100 + batch), many(usize::try_from(batch).unwrap()));
        let events: Vec<Event<'_>> = ids.iter().map(|id| (sequence.as_str(), batch, id.as_str())).collect();
        assert!(warm.batch(&events).iter().all(|known| *known == New));
        assert!(!warm.window.is_short(), "nothing was forgotten before the batch");
    }
    // The oldest are forgotten, by who was there and by who comes new; the newest are not.
    for mut instance in [warm, Instance::holding(IDS_MAX, &table, History::default())] {
        assert_eq!(instance.batch(&[("200", 10, "0-0"), ("201", 10, "4-0")]), [New, Duplicate]);
        assert!(instance.window.is_short() && instance.window.ids() <= IDS_MAX + IDS_MAX / 4);
    }
    // Where the window has moved on, it is whole again.
    let mut later = Instance::holding(IDS_MAX, &table, History::default());
    later.batch(&[("300", 2 * HOUR_MS, "x")]);
    assert!(!later.window.is_short());
}

#[test]
fn a_window_that_was_cut_says_so_though_ids_repeat() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    one.batch(&[("9", 0, "old")]);
    // The same ten records, written down by attempts with other boundaries: ten ids, nine, eight …
    let all: Vec<_> = (0..10).map(|n| (format!("{}", 20 + n), 10 + n, format!("id-{n}"))).collect();
    let all: Vec<Event<'_>> = all.iter().map(|(s, ms, id)| (s.as_str(), *ms, id.as_str())).collect();
    for end in (1..=10).rev() {
        one.batch(&all[..end]);
    }
    let mut two = Instance::holding(15, &table, History::default());
    assert_eq!(two.batch(&[("40", 1000, "old")]), [New]);
    assert!(two.window.is_short() && two.window.ids() <= 15);
}

#[test]
fn a_window_that_was_cut_stays_short_until_it_has_moved_on() {
    let table = Table::default();
    let mut one = Instance::holding(10, &table, History::default());
    let ids: Vec<_> = (0..40).map(|n| (format!("{}", 100 + n), n, format!("id-{n}"))).collect();
    let all: Vec<Event<'_>> = ids.iter().map(|(s, ms, id)| (s.as_str(), *ms, id.as_str())).collect();
    one.batch(&all[..8]);
    one.batch(&all[8..16]);
    for event in &all[16..20] {
        one.batch(std::slice::from_ref(event));
        assert!(one.window.is_short());
    }
    assert_eq!(one.batch(&[("200", 100, "id-0")]), [New]);
    assert!(one.window.is_short());
    one.batch(&[("300", HOUR_MS + 11_000, "x")]);
    assert!(!one.window.is_short());
}

#[test]
fn what_was_let_out_behind_a_record_makes_it_a_duplicate() {
    let table = Table::default();
    let mut one = Instance::new(&table, History::default());
    // The record before it was given up; another poller begins with it again.
    assert_eq!(one.batch(&[("20", 1_000, "a")]), [New]);
    for mut instance in [one, Instance::new(&table, History::default())] {
        assert_eq!(instance.batch(&[("10", 0, "a"), ("20", 1_000, "a")]), [Duplicate, New]);
    }
}
