//! The story of a run that went wrong, with as little in it as it takes.

use crate::scenario::Scenario;
use crate::{logs, oracle, world, wrong};

/// How many runs the search for a shorter story may take.
const TRIES: u32 = 1_500;

/// How many variants are tried of each scenario: what is left out moves all that is drawn after it.
const VARIANTS: u64 = 3;

/// What goes wrong, without what differs from one story of it to the next.
pub(crate) fn kinds(wrong: &[String]) -> Vec<String> {
    let words = |text: &String| {
        let words = text.split(' ').filter(|word| !word.contains(|sign: char| sign.is_ascii_digit()));
        words.take(6).collect::<Vec<_>>().join(" ")
    };
    let mut kinds: Vec<String> = wrong.iter().map(words).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Leaves out of a scenario what it goes wrong without: faults, then clients' doings, then events.
fn shrunk(mut scenario: Scenario) -> Scenario {
    let first = kinds(&wrong(&scenario));
    let fails = |scenario: &Scenario| kinds(&wrong(scenario)).iter().any(|kind| first.contains(kind));
    let mut tries = 0;
    loop {
        let mut shorter = false;
        let mut attempt = |scenario: &mut Scenario, change: &dyn Fn(&mut Scenario)| {
            let mut less = scenario.clone();
            change(&mut less);
            for variant in 0..VARIANTS {
                less.variant = variant;
                tries += 1;
                if tries < TRIES && fails(&less) {
                    *scenario = less;
                    shorter = true;
                    return;
                }
            }
        };
        for place in (0..scenario.faults.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.faults.remove(place);
            });
        }
        for place in (0..scenario.sends.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.sends.remove(place);
            });
        }
        for send in 0..scenario.sends.len() {
            for place in (0..scenario.sends[send].events.len()).rev() {
                if scenario.sends[send].events.len() > 1 {
                    attempt(&mut scenario, &|less| {
                        less.sends[send].events.remove(place);
                    });
                }
            }
        }
        if scenario.kpl {
            attempt(&mut scenario, &|less| less.kpl = false);
        }
        if scenario.metrics.is_some() {
            attempt(&mut scenario, &|less| less.metrics = None);
        }
        if scenario.review.is_some() {
            attempt(&mut scenario, &|less| less.review = None);
        }
        if scenario.firehose.is_some() {
            attempt(&mut scenario, &|less| less.firehose = None);
        }
        let puts = |scenario: &Scenario| scenario.firehose.as_ref().map_or(0, |plan| plan.puts.len());
        for place in (0..puts(&scenario)).rev() {
            attempt(&mut scenario, &|less| {
                less.firehose.iter_mut().for_each(|plan| drop(plan.puts.remove(place)));
            });
        }
        for place in (0..scenario.deliveries.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.deliveries.remove(place);
            });
        }
        for place in (0..scenario.deliveries.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.deliveries[place].attacks.pop();
            });
        }
        for place in (0..scenario.feed.items.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.feed.items.remove(place);
            });
        }
        for place in (0..scenario.redrives.len()).rev() {
            attempt(&mut scenario, &|less| {
                less.redrives.remove(place);
            });
        }
        if scenario.mistake.is_some() {
            attempt(&mut scenario, &|less| less.mistake = None);
        }
        let replays = |scenario: &Scenario| scenario.mistake.as_ref().map_or(0, |plan| plan.attempts.len());
        for place in (0..replays(&scenario)).rev() {
            attempt(&mut scenario, &|less| {
                less.mistake.iter_mut().for_each(|plan| {
                    plan.attempts.remove(place);
                });
            });
        }
        if scenario.skew_ms != 0 {
            attempt(&mut scenario, &|less| less.skew_ms = 0);
        }
        if !shorter {
            return scenario;
        }
    }
}

/// Tells the story of a scenario.
pub(crate) fn tell(scenario: Scenario) -> String {
    let scenario = shrunk(scenario);
    let wrong = wrong(&scenario);
    logs::keep();
    let mut run = world::play(&scenario, true);
    if oracle::judge(&run).is_empty() {
        run.mend();
    }
    let Scenario { transform, changes, lake, raw_shards, clean_shards, skew_ms, .. } = &scenario;
    let mut lines = vec![String::new(), "Wrong:".to_owned()];
    lines.extend(wrong.iter().map(|wrong| format!("  {wrong}")));
    lines
        .push(format!("\nSet up: {raw_shards} raw and {clean_shards} clean shards, clocks {skew_ms} ms off"));
    for (name, settings) in [("transform", transform), ("changes", changes), ("lake", lake)] {
        lines.push(format!("  {name}: {settings:?}"));
    }
    for (name, settings) in [("metrics", &scenario.metrics), ("review", &scenario.review)] {
        lines.extend(settings.map(|settings| format!("  {name}: {settings:?}")));
    }
    if scenario.kpl {
        lines.push("  CleanStream carries KPL aggregates".to_owned());
    }
    if let Some(plan) = &scenario.mistake {
        lines.push(format!("  the pipeline has a mistake until {}", plan.mended_at.rfc3339()));
    }
    lines.push("\nFaults, as few as it takes:".to_owned());
    lines.extend(scenario.faults.iter().map(|fault| format!("  {fault}")));
    lines.push("\nWhat happened:".to_owned());
    lines.extend(run.stack.account.story().iter().map(|line| format!("  {line}")));
    lines.push(format!("\nAgain: make sim SEEDS=1 FIRST={}\n", scenario.seed));
    lines.join("\n")
}
