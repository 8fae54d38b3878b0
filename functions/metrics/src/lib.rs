//! Changes of a DynamoDB table in, metrics by key and window out: rows of a table, and lines for CloudWatch.
//!
//! A change becomes an event and goes through the pipeline's steps, as in `changes`, so that no metric holds personal data
//! that they take out. What passes is folded into the state ([`millrace_core::metric`]) that Lambda keeps for a shard while a
//! tumbling window lasts. With the invocation that ends the window the state becomes rows.
//!
//! **A change counts once.** A batch of a window that fails comes again with the state that it came with, so it fails whole,
//! and by an error: AWS does not say which state goes with an answer that reports a part of a batch as failed. What is in the
//! state already is known by its position.
//!
//! **Without a window**, which is how dead letters are redriven, each change makes rows of its own, at a place that its
//! position tells: however often it comes, and with whichever others. What an attempt wrote before its batch was given up has
//! it already, and is looked for first. A failure is an answer here, for `redrive` takes an error for the death of the function.
//!
//! What is bad was put into the quarantine by `changes`, which has the same records; here it is counted.

use millrace_aws::source::BatchResponse;
use millrace_aws::table::{TableEvent, TableRecord};
use millrace_aws::telemetry;
use millrace_core::guard::{Guard, Health};
use millrace_core::keys::Keys;
use millrace_core::metric::{self, Kept, NoState, Row, State};
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::port::{self, Clock, MetricTable, Secret};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::transformer::Stuck;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<T, K, C> {
    /// The table of metrics.
    pub table: Guard<T>,
    /// Make tokens of personal data.
    pub keys: Keys<K>,
    /// What happens to an event, and what is counted.
    pub pipeline: Pipeline,
    /// The clock.
    pub clock: C,
}

/// What the event source mapping is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    #[serde(flatten)]
    batch: BatchResponse,
    /// What Lambda keeps until the next invocation of the window. Without it the invocation would have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Kept>,
}

/// What became of changes: `in = counted + filtered + bad + repeated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Changes taken.
    pub r#in: usize,
    /// Went through the steps to the metrics.
    pub counted: usize,
    /// Dropped by a step that says so.
    pub filtered: usize,
    /// Bad; `changes` puts them away.
    pub bad: usize,
    /// In the state already.
    pub repeated: usize,
    /// How many times a metric would have counted an event, were it not for its value, its key or its condition.
    pub unfit: usize,
    /// Rows written.
    pub rows: usize,
}

/// Why an invocation fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table takes no rows.
    #[error("{}", .0.chain())]
    Table(#[from] port::Error),
    /// Lambda handed back another state than it was given.
    #[error(transparent)]
    State(#[from] NoState),
}

impl<T, K: Secret, C> Deps<T, K, C> {
    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        self.table.health().into_iter().chain(self.keys.health()).collect()
    }
}

/// Handles one batch of the stream of a table, which events know by this name. Each row that is new is told.
pub async fn handle<T: MetricTable, K: Secret, C: Clock>(
    event: &TableEvent,
    table: &str,
    deadline: Micros,
    deps: &mut Deps<T, K, C>,
    told: impl Fn(&Row),
) -> Result<(Answer, Tally), Error> {
    let pipeline = &deps.pipeline;
    if let Err(why) = deps.keys.renew(&deps.clock, deadline, |secret| pipeline.key(secret)).await {
        telemetry::key_stays(&why);
    }
    let Some(window) = event.window() else { return Ok(alone(event, table, deadline, deps, told).await) };
    let mut state = State::read(&window.state)?;
    let mut fold = Fold::new(table, deps);
    let mut rows = Vec::new();
    for record in event.records() {
        if fold.take(record, &mut state) && state.is_full() {
            rows.extend(fold.pipeline.metrics().rows(window.shard, &mut state));
        }
    }
    if window.ends {
        rows.extend(fold.pipeline.metrics().rows(window.shard, &mut state));
    }
    let tally = Tally { rows: rows.len(), ..fold.end() };
    metric::write(&deps.table, &rows, &deps.clock, deadline, told).await?;
    Ok((Answer { batch: BatchResponse::safe(), state: Some(state.keep()) }, tally))
}

/// Handles changes that no window is around: each by itself.
async fn alone<T: MetricTable, K: Secret, C: Clock>(
    event: &TableEvent,
    table: &str,
    deadline: Micros,
    deps: &mut Deps<T, K, C>,
    told: impl Fn(&Row),
) -> (Answer, Tally) {
    let shard = event.source().map(|source| source.shard).unwrap_or_default();
    let mut fold = Fold::new(table, deps);
    let mut rows = Vec::new();
    let mut first = None;
    for record in event.records() {
        first.get_or_insert_with(|| record.sequence.clone());
        let mut state = State::default();
        if fold.take(record, &mut state) {
            rows.extend(fold.pipeline.metrics().rows(&shard, &mut state));
        }
    }
    let tally = fold.end();
    let written = async {
        if let Some(batch) = event.given_up() {
            let batch = (batch.shard.as_str(), batch.last.as_str());
            rows = metric::missing(&deps.table, rows, batch, &deps.clock, deadline).await?;
        }
        metric::write(&deps.table, &rows, &deps.clock, deadline, told).await?;
        Ok(rows.len())
    };
    let (stuck, tally) = match written.await {
        Ok(rows) => (None, Tally { rows, ..tally }),
        Err(why) => (Some(Stuck { from: first.unwrap_or_default().into(), why }), Tally::default()),
    };
    (Answer { batch: BatchResponse::after(stuck), state: None }, tally)
}

/// Changes on their way through the steps into states.
struct Fold<'a, K> {
    table: &'a str,
    pipeline: &'a mut Pipeline,
    keys: &'a Keys<K>,
    tally: Tally,
    /// What did not fit, by metric: how many times, and why the first time.
    unfit: BTreeMap<String, (usize, String)>,
}

impl<'a, K: Secret> Fold<'a, K> {
    fn new<T, C>(table: &'a str, deps: &'a mut Deps<T, K, C>) -> Self {
        deps.pipeline.begin_batch();
        Self {
            table,
            pipeline: &mut deps.pipeline,
            keys: &deps.keys,
            tally: Tally::default(),
            unfit: BTreeMap::new(),
        }
    }

    /// Takes a record into a state, if it is not in there already; whether it is new.
    fn take(&mut self, record: TableRecord<'_>, state: &mut State) -> bool {
        self.tally.r#in += 1;
        let Ok(change) = record.change else {
            self.tally.bad += 1;
            return false;
        };
        if !state.reach(&change.sequence) {
            self.tally.repeated += 1;
            return false;
        }
        let pipeline = &mut *self.pipeline;
        let cx = Context { key: self.keys.key(), arrived_at: change.at };
        let made = change.event(self.table, pipeline.event(), pipeline.changes());
        let outcome = made.map(|mut event| (pipeline.apply(&mut event, &cx), event));
        let event = match outcome {
            Ok((Outcome::Out, event)) => event,
            Ok((Outcome::Filtered(_), _)) => {
                self.tally.filtered += 1;
                return true;
            }
            Ok((Outcome::Rejected(_), _)) | Err(_) => {
                self.tally.bad += 1;
                return true;
            }
        };
        self.tally.counted += 1;
        // What went through the pipeline has a time.
        let at = event.get(&pipeline.event().time).and_then(Micros::read).unwrap_or(change.at);
        for unfit in pipeline.metrics().fold(&event, at, state) {
            self.tally.unfit += 1;
            self.unfit.entry(unfit.metric.to_owned()).or_insert_with(|| (0, unfit.why.into_owned())).0 += 1;
        }
        true
    }

    fn end(self) -> Tally {
        for (metric, (events, why)) in self.unfit {
            tracing::warn!(metric, events, why, "events do not fit a metric");
        }
        self.tally
    }
}
