//! The spill queue back into RawStream.
//!
//! What came first goes first, as far as the queue hands it out so. Messages that Kinesis still refuses stay in the
//! queue and come again after its visibility timeout, the rest of the batch untried: so the queue waits while Kinesis is
//! down. Of a message of which a part went through the rest is sent to the queue as a message of its own, so that a shard
//! that is short of room for long does not make the records of the others come again and again. One that is not ours
//! goes, after its retries, to the queue's own DLQ.

use crate::events;
use crate::spill::{self, Spilled};
use aws_lambda_events::event::sqs::SqsEvent;
use millrace_aws::source::BatchResponse;
use millrace_core::guard::{Guard, Health};
use millrace_core::port::{Clock, PutRecords, Queue};
use millrace_core::publish::{Left, publish};
use millrace_core::time::Micros;
use serde::Serialize;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, Q, C> {
    /// RawStream.
    pub raw: Guard<P>,
    /// The spill queue.
    pub spill: Guard<Q>,
    /// The clock.
    pub clock: C,
}

/// What became of a batch's events: those that are not out come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events in the batch.
    pub r#in: usize,
    /// Events now in RawStream.
    pub out: usize,
}

impl<P, Q, C> Deps<P, Q, C> {
    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        self.raw.health().into_iter().chain(self.spill.health()).collect()
    }
}

/// Handles one batch of messages.
pub async fn handle<P: PutRecords, Q: Queue, C: Clock>(
    event: SqsEvent,
    deadline: Micros,
    deps: &Deps<P, Q, C>,
) -> (BatchResponse, Tally) {
    let mut failed = Vec::new();
    let mut tally = Tally::default();
    let mut down = false;
    let mut spilled = Vec::new();
    for message in event.records {
        let id = message.message_id.unwrap_or_default();
        if let Some(message) = spill::read(message.body.as_deref().unwrap_or_default()) {
            spilled.push((id, message));
        } else {
            tracing::error!(id, "this message holds no spilled records");
            failed.push(id);
        }
    }
    spilled.sort_by_key(|(_, message)| message.order);
    for (id, Spilled { order, entries }) in spilled {
        if down {
            failed.push(id);
            continue;
        }
        let (records, count) = (entries.len(), entries.iter().map(events::count).sum::<usize>());
        tally.r#in += count;
        let Err(Left { entries, why }) =
            publish(&deps.raw, entries, &deps.clock, deadline.plus_ms(-spill::SPILL_MS)).await
        else {
            tally.out += count;
            continue;
        };
        tracing::warn!(id, records = entries.len(), why = why.chain(), "RawStream still refuses");
        down = true; // the others wait untried, or the answer would come too late
        if entries.len() == records {
            failed.push(id);
            continue;
        }
        let rest = spill::message(order, &entries);
        match deps.spill.call(&deps.clock, deadline, async |queue| queue.send(&rest).await).await {
            Ok(()) => tally.out += count - entries.iter().map(events::count).sum::<usize>(),
            Err(why) => {
                tracing::warn!(id, why = why.chain(), "what went through of this message is put again");
                failed.push(id);
            }
        }
    }
    (BatchResponse::failed(failed), tally)
}
