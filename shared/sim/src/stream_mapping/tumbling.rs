//! Tumbling windows: a function's answer comes back to it as the state of its next invocation, until the window ends.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | when a record came into the stream decides its window; a window begins at a multiple of its length | [windows] |
//! | an answer must have a `state`, else the invocation failed; it comes with the next one of the shard's window | [windows] |
//! | an invocation with `isFinalInvokeForWindow` ends the window, with records or without; then the state is dropped | [windows] |
//! | one that fails comes again, and nothing goes on until it succeeds | [windows] |
//! | a state of more than 1 MB ends the window early; the next invocation goes on in the same window with a fresh state | [windows] |
//! | where a shard ends, so does its window; its children begin fresh | [windows] |
//! | records are given up by attempts and age as without windows | [windows] |
//!
//! What AWS leaves open is drawn: whether the last records of a window come with its final invocation or before it, how long
//! after its end a silent window is closed, and whether an early end is marked as final, too. Position and state of a
//! shard are noted together, for another poller to begin with. Batches are not halved, and no part of an answer may be reported as
//! failed: the template asks for neither here.
//!
//! [windows]: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html

use super::StreamMapping;
use crate::executor::first;
use crate::kinesis::Record;
use crate::lambda::Outcome;
use millrace_core::time::Micros;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

/// The windows of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tumbling {
    /// How long they are.
    pub length_ms: i64,
    /// The most bytes of a state; AWS has 1 MB.
    pub state_max: usize,
}

impl Tumbling {
    fn start_of(self, record: &Record) -> Micros {
        let length = self.length_ms * 1000;
        Micros::new(record.arrived_at.get().div_euclid(length) * length).unwrap_or(Micros::EPOCH)
    }
}

/// How long after its end a silent window is closed at the latest.
const SILENT_MS: u64 = 60_000;

/// A window that is open on a shard.
#[derive(Debug, Clone)]
pub(super) struct Open {
    start: Micros,
    state: Value,
}

/// How an invocation is marked.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    is_final: bool,
    is_early: bool,
}

/// A poller that has lost its shard.
struct Lost;

impl StreamMapping {
    pub(super) async fn poll_windows(&self, windows: Tumbling, shard: usize, epoch: u32) {
        // That it was lost is told where it was found out.
        let _ = self.work_windows(windows, shard, epoch).await;
    }

    async fn work_windows(&self, windows: Tumbling, shard: usize, epoch: u32) -> Result<(), Lost> {
        let (mut done, mut open) = self
            .leases
            .borrow()
            .get(&shard)
            .map(|lease| (lease.done, lease.open.clone()))
            .unwrap_or_default();
        while self.has(shard, epoch) {
            let (ready, closed) = self.ready(shard, done);
            if ready == 0 {
                let Some(window) = open.take() else {
                    if closed {
                        self.update(shard, epoch, |lease| lease.over = true);
                        self.bell.ring();
                        return Ok(());
                    }
                    self.stream.bell.wait().await;
                    continue;
                };
                let silent_ms = i64::try_from(self.account.chance().below(SILENT_MS)).unwrap_or_default();
                let end = window.start.plus_ms(windows.length_ms + silent_ms);
                if !closed && self.account.now() < end {
                    let _ = first(self.stream.bell.wait(), self.account.executor().sleep_until(end)).await;
                    open = Some(window);
                    continue;
                }
                self.close(windows, shard, epoch, &window).await?;
                self.update(shard, epoch, |lease| (lease.done, lease.open) = (done, None));
                continue;
            }
            self.account.sleep(Duration::from_millis(self.account.chance().below(1_000))).await;
            self.gather(shard, done).await;
            let mut batch = self.batch(shard, done);
            let Some(start) = batch.first().map(|record| windows.start_of(record)) else { continue };
            if let Some(over) = open.take_if(|window| window.start < start) {
                self.close(windows, shard, epoch, &over).await?;
                self.update(shard, epoch, |lease| (lease.done, lease.open) = (done, None));
                continue;
            }
            let mut window = open.take().unwrap_or_else(|| Open { start, state: json!({}) });
            // Times do not always increase: what lies behind a record of a later window waits with that.
            let within = batch.iter().take_while(|record| windows.start_of(record) <= window.start).count();
            let is_last = within < batch.len();
            batch.truncate(within);
            let marks = Marks { is_final: is_last && self.account.chance().percent(50), is_early: false };
            let is_safe = self.aggregate(windows, shard, epoch, &mut window, &batch, marks).await?;
            done += batch.len();
            open = Some(window).filter(|_| !(is_safe && marks.is_final));
            if open.is_none() || self.account.chance().percent(50) {
                self.update(shard, epoch, |lease| (lease.done, lease.open) = (done, open.clone()));
            }
        }
        Ok(())
    }

    /// Hands records to the function until they are in the state; false where they are given up, and are not.
    async fn aggregate(
        &self,
        windows: Tumbling,
        shard: usize,
        epoch: u32,
        window: &mut Open,
        batch: &[Rc<Record>],
        marks: Marks,
    ) -> Result<bool, Lost> {
        let mut waits = 0;
        let mut attempts = 0;
        loop {
            let id = self.id(shard);
            let now = self.account.now();
            let is_old = |record: &Rc<Record>| record.arrived_at.plus_ms(self.settings.age_max_ms) <= now;
            if batch.iter().any(is_old) || attempts > self.settings.retries_max {
                let why = if attempts > self.settings.retries_max {
                    "RetryAttemptsExhausted"
                } else {
                    "RecordAgeExceeded"
                };
                self.give_up(&id, batch, attempts, why);
                return Ok(false);
            }
            match self.call(windows, shard, epoch, window, batch, marks).await? {
                Called::Done(state) => {
                    let is_large = state.to_string().len() > windows.state_max;
                    window.state = state;
                    if is_large && !marks.is_final {
                        let is_final = self.account.chance().percent(50);
                        self.insist(windows, shard, epoch, window, Marks { is_final, is_early: true })
                            .await?;
                        window.state = json!({});
                    }
                    return Ok(true);
                }
                Called::Failed => attempts += 1,
                Called::Throttled => {}
            }
            self.pause(&mut waits).await;
        }
    }

    /// Ends a window with an invocation without records.
    async fn close(&self, windows: Tumbling, shard: usize, epoch: u32, window: &Open) -> Result<(), Lost> {
        self.insist(windows, shard, epoch, window, Marks { is_final: true, is_early: false }).await
    }

    /// Invokes the function without records until it succeeds.
    async fn insist(
        &self,
        windows: Tumbling,
        shard: usize,
        epoch: u32,
        window: &Open,
        marks: Marks,
    ) -> Result<(), Lost> {
        let mut waits = 0;
        while !matches!(self.call(windows, shard, epoch, window, &[], marks).await?, Called::Done(_)) {
            self.pause(&mut waits).await;
        }
        Ok(())
    }

    async fn call(
        &self,
        windows: Tumbling,
        shard: usize,
        epoch: u32,
        window: &Open,
        batch: &[Rc<Record>],
        marks: Marks,
    ) -> Result<Called, Lost> {
        let id = self.id(shard);
        self.account.tell(|| {
            let [first, last] =
                [batch.first(), batch.last()].map(|record| record.map_or("", |record| &record.sequence));
            let count = batch.len();
            format!(
                "{} gets {count} records of {id}, {first} to {last}, {marks:?}, {}",
                self.function.name, window.state
            )
        });
        let records: Vec<_> = batch.iter().map(|record| (self.render)(&self.stream, &id, record)).collect();
        let event = json!({
            "Records": records,
            "window": {
                "start": window.start.rfc3339(),
                "end": window.start.plus_ms(windows.length_ms).rfc3339(),
            },
            "state": window.state,
            "shardId": id,
            "eventSourceARN": self.stream.arn,
            "isFinalInvokeForWindow": marks.is_final,
            "isWindowTerminatedEarly": marks.is_early,
        });
        let outcome = self.function.invoke(&event).await;
        if !self.has(shard, epoch) {
            self.account
                .tell(|| format!("{} answers a poller that has lost shard {shard}", self.function.name));
            return Err(Lost);
        }
        Ok(match outcome {
            Outcome::Throttled => Called::Throttled,
            Outcome::Failed(why) => {
                self.account.tell(|| format!("{} fails: {why}", self.function.name));
                Called::Failed
            }
            Outcome::Answered(mut answer) => {
                self.account.tell(|| format!("{} answers {}", self.function.name, answer.payload));
                answer.payload.get_mut("state").map_or(Called::Failed, |state| Called::Done(state.take()))
            }
        })
    }

    fn id(&self, shard: usize) -> String {
        self.stream.shards(|shards| shards.get(shard).map(|shard| shard.id.clone()).unwrap_or_default())
    }
}

enum Called {
    /// With this state.
    Done(Value),
    Failed,
    Throttled,
}
