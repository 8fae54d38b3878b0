//! The whole pipeline under every fault that AWS can throw: the delivery promises of `docs/delivery.md`, run by run.
//!
//! `make sim SEEDS=1000 FIRST=0` plays a thousand runs. One that breaks a promise is told as a story, with as few faults
//! and events as it takes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod code;
mod feed;
mod files;
mod firehose;
mod found;
mod kpl;
mod logs;
mod metrics;
mod mutant;
mod oracle;
mod replay;
mod review;
mod scenario;
mod story;
mod truth;
mod webhooks;
mod world;

use crate::mutant::Mutant;
use crate::scenario::{Rest, Scenario};
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many runs there are where nobody says.
const SEEDS: u64 = 200;

/// What is wrong with the run of a scenario.
fn wrong(scenario: &Scenario) -> Vec<String> {
    logs::keep();
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut run = world::play(scenario, false);
        let wrong = oracle::judge(&run);
        if !wrong.is_empty() || run.stack.letters() == 0 && scenario.mistake.is_none() {
            return wrong;
        }
        run.mend();
        oracle::judge_mended(&run)
    }));
    judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![format!("a panic: {}", text.unwrap_or_default())]
    })
}

/// Plays the runs of these seeds, side by side, and hands back those that went wrong.
fn play(seeds: std::ops::Range<u64>, judge: impl Fn(u64) -> Vec<String> + Sync) -> Vec<(u64, Vec<String>)> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let wrong = judge(seed);
                    if !wrong.is_empty() {
                        failed.lock().unwrap().push((seed, wrong));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    failed
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("SEEDS and FIRST are numbers"))
}

#[test]
#[expect(clippy::print_stderr, reason = "a night's runs want a word")]
fn no_run_breaks_a_promise() {
    let (first, seeds) = (setting("FIRST", 0), setting("SEEDS", SEEDS));
    let began = Instant::now();
    let failed = play(first..first + seeds, |seed| wrong(&Scenario::new(seed)));
    eprintln!("{seeds} runs in {:.1} s, {} of them wrong", began.elapsed().as_secs_f64(), failed.len());
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, wrong) in &failed {
        for kind in story::kinds(wrong) {
            kinds.entry(kind).or_default().push(*seed);
        }
    }
    for (kind, seeds) in kinds {
        eprintln!("  {kind}: {} runs, with the seeds {:?}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
    if let Some((seed, _)) = failed.first() {
        let told =
            std::thread::scope(|scope| scope.spawn(|| story::tell(Scenario::new(*seed))).join().unwrap());
        panic!("{} of {seeds} runs break a promise; the first of them:\n{told}", failed.len());
    }
}

/// Each bug on purpose is found by the run of its seed. `SEARCH=1000` looks for the first such seed anew, and prints the table
/// of `docs/delivery.md`.
#[test]
#[expect(clippy::print_stderr, reason = "the table")]
fn bugs_on_purpose_are_found() {
    let search = setting("SEARCH", 0);
    let mut missed = Vec::new();
    for (mutant, known) in Mutant::ALL {
        let bent = |seed| Scenario { mutant: Some(mutant), ..Scenario::new(seed) };
        let seeds = if search > 0 { 0..search } else { known..known + 1 };
        let found = seeds.step_by(16).find_map(|first| {
            let last = if search > 0 { first + 16 } else { first + 1 };
            play(first..last, |seed| wrong(&bent(seed))).into_iter().next()
        });
        match found {
            Some((seed, wrong)) => eprintln!("| {mutant:?} | {seed} | {} |", wrong[0]),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What takes hours until it happens does happen in some runs: a stream forgets what a dead letter points to, all of it or a
/// part, spilled messages that drain gave up come back, a message that queue dies of is put away, a webhook is replayed when
/// only the note of its id can tell.
#[test]
fn what_is_seldom_happens() {
    let mut seldom = BTreeMap::from(
        ["forgotten", "forgotten in part", "spilled again", "message put away", "known by its note"]
            .map(|name| (name, None)),
    );
    for seed in 0..1_000 {
        logs::keep();
        let scenario = Scenario::new(seed);
        let mut run = world::play(&scenario, false);
        if run.stack.letters() > 0 {
            run.mend();
        }
        let forgets = run.redrive.counted().iter().any(|counts| counts["forgotten"].as_u64() > Some(0));
        let in_part =
            |counts: &Value| counts["forgotten"].as_u64() > Some(0) && counts["redriven"].as_u64() > Some(0);
        let in_part = scenario.rest == Rest::UntilTorn && run.redrive.counted().iter().any(in_part);
        let again = !run.stack.spill_dead.all().is_empty() && run.stack.spill_dead.waiting().is_empty();
        let away = run.stack.quarantine.objects().keys().any(|key| key.contains("/redrive-inbox-"));
        let known = run.stack.webhooks.knew_by_note.get();
        let all = [
            ("forgotten", forgets),
            ("forgotten in part", in_part),
            ("spilled again", again),
            ("message put away", away),
            ("known by its note", known),
        ];
        for (name, happened) in all {
            if happened {
                seldom.entry(name).and_modify(|first| *first = first.or(Some(seed)));
            }
        }
        if seldom.values().all(Option::is_some) {
            return;
        }
    }
    panic!("{seldom:?}");
}

/// What is told of a bug is what it takes, and no more.
#[test]
fn the_story_of_a_bug_is_short() {
    let bent = |seed| Scenario { mutant: Some(Mutant::LetterDeletedFirst), ..Scenario::new(seed) };
    let seed = (0..1_000).find(|seed| !wrong(&bent(*seed)).is_empty()).unwrap();
    let told = story::tell(bent(seed));
    let is_told = told.contains("is lost") || told.contains("should be in the quarantine");
    assert!(is_told && told.contains(&format!("make sim SEEDS=1 FIRST={seed}\n")), "{told}");
    assert!(told.lines().count() < 120, "{told}");
}

/// The same seed makes the same run, to the last line of its story and the last byte of its stores.
#[test]
fn a_seed_makes_the_same_run_each_time() {
    for seed in 0..6 {
        let run = || {
            logs::keep();
            let mut run = world::play(&Scenario::new(seed), true);
            run.mend();
            (
                run.stack.account.story(),
                run.stack.lake.objects(),
                run.stack.quarantine.objects(),
                run.stack.state.items(),
                run.stack.rows.rows(),
            )
        };
        let (one, other) = (run(), run());
        assert!(one == other, "seed {seed}");
        assert!(!one.0.is_empty());
    }
}
