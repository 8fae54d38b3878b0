//! The spill queue back into RawStream.
//!
//! What came first goes first, as far as the queue hands it out so. Messages that Kinesis still refuses stay in the
//! queue and come again after its visibility timeout, the rest of the batch untried: so the queue waits while Kinesis is
//! down. One that is not ours goes, after its retries, to the queue's own DLQ.

use crate::events;
use crate::spill::{self, Spilled};
use aws_lambda_events::event::sqs::SqsEvent;
use millrace_aws::source::BatchResponse;
use millrace_core::guard::Guard;
use millrace_core::port::{Clock, PutRecords};
use millrace_core::publish::{Left, publish};
use millrace_core::time::Micros;
use serde::Serialize;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, C> {
    /// RawStream.
    pub raw: Guard<P>,
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

/// Handles one batch of messages.
pub async fn handle<P: PutRecords, C: Clock>(
    event: SqsEvent,
    deadline: Micros,
    deps: &Deps<P, C>,
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
    for (id, Spilled { entries, .. }) in spilled {
        if down {
            failed.push(id);
            continue;
        }
        let count: usize = entries.iter().map(events::count).sum();
        tally.r#in += count;
        match publish(&deps.raw, entries, &deps.clock, deadline).await {
            Ok(()) => tally.out += count,
            Err(Left { why, .. }) => {
                tracing::warn!(id, why = why.chain(), "RawStream still refuses");
                failed.push(id);
                down = true; // the others wait untried, or the answer would come too late
            }
        }
    }
    (BatchResponse::failed(failed), tally)
}
