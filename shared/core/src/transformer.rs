//! What `transform` and `changes` are beneath their sources: the pipeline, and the way a batch gets out.

use crate::account::Counts;
use crate::batch::{Batch, Run};
use crate::frame::Frame;
use crate::guard::{Guard, Health};
use crate::keys::{Keys, NoKeys};
use crate::pipeline::Pipeline;
use crate::port::{Clock, Entry, Error, ObjectStore, PutRecords, Secret};
use crate::publish::publish;
use crate::quarantine;
use crate::record::{Sequence, Source};
use crate::time::Micros;
use crate::window::{Bounds, Memory};
use bytes::Bytes;

/// A pipeline with the world around it.
#[derive(Debug)]
pub struct Transformer<P, S, M, K, C> {
    /// The function it works for, as the quarantine names it.
    pub function: &'static str,
    /// CleanStream.
    pub clean: Guard<P>,
    /// The quarantine's bucket.
    pub quarantine: Guard<S>,
    /// The ids that went out.
    pub memory: M,
    /// The clock.
    pub clock: C,
    /// What happens to an event.
    pub pipeline: Pipeline,
    /// Make tokens of personal data.
    pub keys: Keys<K>,
    /// The batch at hand.
    pub batch: Batch,
}

/// How far a batch came.
#[derive(Debug)]
pub struct Delivered {
    /// The fate of the events that are safe, and what each step did.
    pub counts: Counts,
    /// Where the batch is no longer safe, if it is not safe whole.
    pub stuck: Option<Stuck>,
}

/// From this record on a batch must come again.
#[derive(Debug)]
pub struct Stuck {
    /// The first record that is not safe.
    pub from: Sequence,
    /// What failed.
    pub why: Error,
}

/// A failing attempt lasts at least so long, milliseconds. The event source mapping makes hardly a pause between
/// attempts and counts them; while a breaker is open they would be used up within minutes.
pub(crate) const ATTEMPT_MS: i64 = 30_000;

/// Waits, after a failure, until the attempt that began then has lasted long enough; within its time.
pub async fn slow_down(began: Micros, clock: &impl Clock, deadline: Micros) {
    let until = began.plus_ms(ATTEMPT_MS).min(deadline);
    clock.sleep(clock.now().until(until)).await;
}

impl<P: PutRecords, S: ObjectStore, M: Memory, K: Secret, C: Clock> Transformer<P, S, M, K, C> {
    /// Makes known what a batch must know. Why there is no new key, though it is time for one, goes to `warn`: the one
    /// that there is goes on.
    pub async fn open(
        &mut self,
        batch: Bounds<'_>,
        deadline: Micros,
        warn: impl FnOnce(&NoKeys),
    ) -> Result<(), Stuck> {
        let began = self.clock.now();
        let pipeline = &self.pipeline;
        if let Err(why) = self.keys.renew(&self.clock, deadline, |secret| pipeline.key(secret)).await {
            warn(&why);
        }
        let opened = self.memory.open(batch, &self.clock, deadline).await;
        let Err(why) = opened else { return Ok(()) };
        slow_down(began, &self.clock, deadline).await;
        Err(Stuck { from: batch.first.into(), why })
    }

    /// Begins a batch of this source.
    pub fn begin(&mut self, source: &Source) -> Run<'_> {
        self.batch.begin(&mut self.pipeline, self.keys.key(), source).knowing(&self.memory)
    }

    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let own = self.clean.health().into_iter().chain(self.quarantine.health());
        own.chain(self.memory.health()).chain(self.keys.health()).collect()
    }

    /// Brings the batch out: the ids of what goes out to the memory, then its frames, one after the other, to the clean
    /// stream, then its bad data to the quarantine.
    ///
    /// What fails is a suffix of the batch, which the source sends again; bad data of that suffix waits for then, so
    /// that it is not put away twice.
    pub async fn deliver(&mut self, source: &Source, deadline: Micros) -> Delivered {
        let began = self.clock.now();
        let mut rejects = self.batch.take_rejects();
        for entry in &mut rejects {
            entry.may_be_known = self.memory.let_out(entry.sequence.as_str());
        }
        let mut stuck = self.put_frames(source, deadline).await.err();
        rejects.retain(|entry| stuck.as_ref().is_none_or(|stuck| entry.sequence < stuck.from));
        if let (Some(page), Some(first)) =
            (quarantine::page(self.function, source, &rejects), rejects.first())
            && let Err(why) = put_object(&self.quarantine, &page.key, page.body, &self.clock, deadline).await
        {
            stuck = Some(Stuck { from: first.sequence.clone(), why });
        }
        let tally = self.batch.tally(stuck.as_ref().map(|stuck| stuck.from.as_str()));
        debug_assert!(tally.balances(), "every event ends in exactly one place");
        if stuck.is_some() {
            slow_down(began, &self.clock, deadline).await;
        }
        let window_short = usize::from(self.memory.is_short());
        Delivered { counts: Counts { tally, window_short, steps: self.pipeline.take_tallies() }, stuck }
    }

    async fn put_frames(&mut self, source: &Source, deadline: Micros) -> Result<(), Stuck> {
        let frames = self.batch.take_frames();
        let Some(first) = frames.first().map(|frame| frame.header.first.clone()) else { return Ok(()) };
        let kept = self.memory.keep(self.batch.outgoing(), &self.clock, deadline).await;
        kept.map_err(|why| Stuck { from: first, why })?;
        for Frame { header, data } in frames {
            let entry = Entry { partition_key: source.lane(), data };
            let put = publish(&self.clean, vec![entry], &self.clock, deadline).await;
            put.map_err(|left| Stuck { from: header.first, why: left.why })?;
        }
        Ok(())
    }
}

/// Puts an object, insisting.
pub async fn put_object<S: ObjectStore>(
    store: &Guard<S>,
    key: &str,
    body: Vec<u8>,
    clock: &impl Clock,
    deadline: Micros,
) -> Result<(), Error> {
    let body = Bytes::from(body);
    store.call(clock, deadline, async |store| store.put(key, body.clone()).await).await
}
