//! What `transform` and `changes` are beneath their sources: the pipeline, and the way a batch gets out.

use crate::account::Counts;
use crate::batch::{Batch, Run};
use crate::frame::Frame;
use crate::pipeline::Pipeline;
use crate::port::{Clock, Entry, Error, ObjectStore, PutRecords};
use crate::publish::publish;
use crate::quarantine;
use crate::record::{Sequence, Source};
use crate::time::Micros;
use crate::token::TokenKey;

/// A pipeline with the world around it.
#[derive(Debug)]
pub struct Transformer<P, S, C> {
    /// The function it works for, as the quarantine names it.
    pub function: &'static str,
    /// CleanStream.
    pub clean: P,
    /// The quarantine's bucket.
    pub quarantine: S,
    /// The clock.
    pub clock: C,
    /// What happens to an event.
    pub pipeline: Pipeline,
    /// Makes tokens of personal data.
    pub key: TokenKey,
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

impl<P: PutRecords, S: ObjectStore, C: Clock> Transformer<P, S, C> {
    /// Begins a batch of this source.
    pub fn begin(&mut self, source: &Source) -> Run<'_> {
        self.batch.begin(&mut self.pipeline, &self.key, source)
    }

    /// Brings the batch out: its frames, one after the other, to the clean stream, then its bad data to the quarantine.
    ///
    /// What fails is a suffix of the batch, which the source sends again; bad data of that suffix waits for then, so
    /// that it is not put away twice.
    pub async fn deliver(&mut self, source: &Source, deadline: Micros) -> Delivered {
        let mut stuck = None;
        for Frame { header, data } in self.batch.take_frames() {
            let entry = Entry { partition_key: source.lane(), data };
            if let Err(left) = publish(&self.clean, vec![entry], &self.clock, deadline).await {
                stuck = Some(Stuck { from: header.first, why: left.why });
                break;
            }
        }
        let mut rejects = self.batch.take_rejects();
        rejects.retain(|entry| stuck.as_ref().is_none_or(|stuck| entry.sequence < stuck.from));
        if let (Some(page), Some(first)) =
            (quarantine::page(self.function, source, &rejects), rejects.first())
            && let Err(why) = self.quarantine.put(&page.key, page.body).await
        {
            stuck = Some(Stuck { from: first.sequence.clone(), why });
        }
        let tally = self.batch.tally(stuck.as_ref().map(|stuck| stuck.from.as_str()));
        debug_assert!(tally.balances(), "every event ends in exactly one place");
        Delivered { counts: Counts { tally, steps: self.pipeline.take_tallies() }, stuck }
    }
}
