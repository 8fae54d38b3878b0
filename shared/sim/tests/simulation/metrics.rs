//! `metrics` in the played account: what happens to it, how it is wired, and what its table must hold.

use crate::code::{Binary, TABLE, Which, answer, deadline, read};
use crate::mutant::{self, Bent};
use crate::oracle::Found;
use crate::scenario::{CANARY, Event, Kind, Scenario, Send, Way, moment, part_fault, settings};
use crate::truth;
use crate::world::{KEY, NEXT_KEY, Run, Stack};
use millrace_core::guard::Guard;
use millrace_core::metric::Row;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_sim::account::SkewedClock;
use millrace_sim::chance::Chance;
use millrace_sim::dynamodb::RowsClient;
use millrace_sim::fault::{Fault, Happening, InvocationFault};
use millrace_sim::lambda::{Answer, Instance, Local};
use millrace_sim::secrets;
use millrace_sim::stream_mapping::{Settings, Tumbling};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A state of so many bytes is full, so that windows end early, where runs have it so.
const STATE_SMALL: usize = 200;

/// In some runs changes are counted, there are more of them, and things go wrong with that.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if !chance.percent(30) {
        return;
    }
    let tumbling = Some(Tumbling {
        length_ms: chance.pick(&[10_000, 60_000]),
        // AWS has 1 MB, which takes more keys than a run has.
        state_max: chance.pick(&[STATE_SMALL, 1_000_000]),
    });
    let settings = Settings { tumbling, ..settings(chance, 20_000) };
    scenario.metrics = Some(settings);
    for _ in 0..chance.below(20) {
        let user = u32::try_from(chance.below(4)).unwrap();
        let kind = chance.pick(&[Kind::Good, Kind::Good, Kind::Good, Kind::Filtered, Kind::Bad]);
        let events = vec![scenario.event(None, user, kind)];
        scenario.sends.push(Send { at: moment(chance), way: Way::Change, events, tries: 1 });
    }
    for _ in 0..chance.below(4) {
        scenario.faults.push(part_fault(chance, "metrics", "metrics table"));
    }
    if chance.percent(30) {
        // A batch is given up that was worked on.
        let (first, how) = (u32::try_from(chance.below(12)).unwrap(), InvocationFault::AnswerLost);
        let faults = first..=first + settings.retries_max;
        scenario.faults.extend(faults.map(|nth| Fault::Invocation { function: "metrics", nth, how }));
    }
}

/// An instance.
pub(crate) struct Metrics {
    stack: Rc<Stack>,
    deps: millrace_metrics::Deps<Bent<RowsClient>, Bent<secrets::Client>, SkewedClock>,
    /// The state that it answered last, for a bug that keeps it.
    last: Value,
}

impl Metrics {
    pub(crate) async fn start(binary: &Binary, version: u32) -> Result<Self, String> {
        let stack = Rc::clone(&binary.stack);
        let (pipeline, keys, clock) = binary.pipeline(version).await?;
        let table = Guard::patient(
            "metrics table",
            Bent::new(RowsClient(Rc::clone(&stack.rows)), &stack, Which::Metrics),
        );
        let deps = millrace_metrics::Deps { table, keys, pipeline, clock };
        Ok(Self { stack, deps, last: Value::Null })
    }
}

impl Instance for Metrics {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let event = mutant::state_kept(payload, &self.last, self.stack.mutant);
            let told = |row: &Row| {
                if row.metric == "orders" {
                    let (count, ..) = numbers(row);
                    self.stack.counted.set(self.stack.counted.get() + count);
                }
            };
            let event = read(&event)?;
            let done = millrace_metrics::handle(&event, TABLE, deadline(ends), &mut self.deps, told);
            let (answered, tally) = done.await.map_err(|why| why.to_string())?;
            let answer = answer(&answered, &tally);
            self.last = answer.payload["state"].clone();
            Ok(answer)
        })
    }
}

/// Count, sum, smallest and largest; a metric without values has its count alone.
type Numbers = (u64, Option<(u64, u64, u64)>);

fn numbers(row: &Row) -> Numbers {
    let all: BTreeMap<_, u64> = row.numbers().map(|(name, digits)| (name, digits.parse().unwrap())).collect();
    let values = all.get("sum").map(|sum| (*sum, all["min"], all["max"]));
    (all["count"], values)
}

/// The numbers of some events.
fn fold(all: impl Iterator<Item = Numbers>) -> Numbers {
    all.fold((0, None), |(count, values), (more, of_more)| {
        let values = match (values, of_more) {
            (Some((sum, min, max)), Some(more)) => Some((sum + more.0, more.1.min(min), more.2.max(max))),
            (one, other) => one.or(other),
        };
        (count + more, values)
    })
}

/// A metric, when its window begins, and the user whose key it is.
type Place = (String, Micros, u32);

/// A metric counts the changes that passed, each once, by its window and key; in no case one that nobody made.
pub(crate) fn judge(run: &Run, found: &Found, wrong: &mut Vec<String>) {
    let Some(mapping) = &run.metrics else { return };
    if mapping.behind() > 0 {
        wrong.push(format!("metrics is {} records behind", mapping.behind()));
    }
    let events: BTreeMap<u32, &Event> =
        run.scenario.events.iter().map(|event| (event.serial, event)).collect();
    let gone = found.gone(mapping);
    let mut truth: BTreeMap<Place, Vec<u64>> = BTreeMap::new();
    let mut lost = Vec::new();
    for (shard, record) in run.stack.orders.records() {
        let at = crate::oracle::at(&mapping.stream, &shard, &record);
        let serial = truth::serials(&record.data)[0];
        let event = events[&serial];
        if event.kind != Kind::Good {
            continue;
        }
        if gone.contains(&at) || found.deadly.contains(&serial) {
            lost.push(event);
            continue;
        }
        // A change has the second in which it was made.
        for (metric, window_s) in [("orders", 30), ("users", 60)] {
            let start = record.arrived_at.get() / 1_000_000 / window_s * window_s;
            let start = Micros::new(start * 1_000_000).unwrap();
            truth.entry((metric.to_owned(), start, event.user)).or_default().push(u64::from(serial));
        }
    }
    let made: u64 =
        truth.iter().filter(|(place, _)| place.0 == "orders").map(|(_, all)| all.len() as u64).sum();
    // What one poller gave up another one may have read again, from the last checkpoint on; and what one had written early, for its state
    // was full, another one may cut otherwise.
    let is_lost = |fault: &Fault| matches!(fault, Fault::At { what: Happening::LeaseLost("orders"), .. });
    let tumbling = run.scenario.metrics.and_then(|settings| settings.tumbling);
    let is_early = tumbling.is_some_and(|tumbling| tumbling.state_max == STATE_SMALL);
    let is_read_again =
        (is_early || !mapping.dead.all().is_empty()) && run.scenario.faults.iter().any(is_lost);
    let user_of = users();
    let mut rows: BTreeMap<Place, Vec<Numbers>> = BTreeMap::new();
    for row in run.stack.rows.rows() {
        let Some(user) = user_of.get(&row.key) else {
            wrong.push(format!("a row of {} has the key {}", row.metric, row.key));
            continue;
        };
        rows.entry((row.metric.clone(), row.window, *user)).or_default().push(numbers(&row));
    }
    let places: BTreeSet<_> = truth.keys().chain(rows.keys()).cloned().collect();
    for place in places {
        let told = fold(rows.get(&place).into_iter().flatten().copied());
        let has_values = place.0 == "orders";
        let of = |serial: &u64| (1, has_values.then_some((*serial, *serial, *serial)));
        let truth = fold(truth.get(&place).into_iter().flatten().map(of));
        // Of what is given up, and of what died, a part may have been written. And a token of the next key has a row of its own,
        // whatever an attempt with the key before it wrote.
        let is_rotated = !has_values && run.scenario.rotated_at().is_some();
        let may_be_more = is_rotated || is_read_again || lost.iter().any(|event| event.user == place.2);
        if told != truth && !(may_be_more && told.0 >= truth.0) {
            let (metric, start, user) = place;
            wrong.push(format!(
                "metric {metric} of user {user} from {} on says {told:?}, and it was {truth:?}",
                start.rfc3339()
            ));
        }
    }
    let told = run.stack.counted.get();
    if told > made && lost.is_empty() && !is_read_again {
        wrong.push(format!("CloudWatch is told of {told} changes, and there were {made}"));
    }
    for counts in mapping.function.counted() {
        let count = |name: &str| counts[name].as_u64().unwrap_or_default();
        if count("in") != ["counted", "filtered", "bad", "repeated"].into_iter().map(count).sum::<u64>() {
            wrong.push(format!("metrics counted what cannot be: {counts}"));
        }
    }
}

/// The keys of the metrics, and whose they are.
fn users() -> BTreeMap<String, u32> {
    let keys = [KEY, NEXT_KEY].map(|secret| TokenKey::parse(secret).unwrap());
    let of = |user: u32| {
        let token = |key: &TokenKey| {
            let mut token = String::new();
            key.token(format!("{CANARY}-{user}").as_bytes(), &mut token);
            token
        };
        let tokens = keys.each_ref().map(token);
        tokens.into_iter().chain([format!("order-{user}")]).map(move |key| (key, user)).collect::<Vec<_>>()
    };
    (0..8).flat_map(of).collect()
}
