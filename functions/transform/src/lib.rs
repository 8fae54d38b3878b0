//! Records of RawStream in, frames of CleanStream out.
//!
//! Nothing that a record holds fails a batch: bad events go, whole and with the reason, to the quarantine. A
//! dependency that fails answers with the first record that is not safe, and the stream sends the rest again. An event
//! whose id went out before, within the window, is a duplicate.

use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_aws::telemetry;
use millrace_core::account::Counts;
use millrace_core::port::{Clock, ObjectStore, PutRecords, Secret};
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;
use millrace_core::window::Memory;

/// Handles one batch of a shard.
pub async fn handle<P: PutRecords, S: ObjectStore, M: Memory, K: Secret, C: Clock>(
    event: &KinesisEvent,
    deadline: Micros,
    transformer: &mut Transformer<P, S, M, K, C>,
) -> (BatchResponse, Counts) {
    let Some(batch) = event.bounds() else {
        return (BatchResponse::safe(), Counts::default());
    };
    if let Err(stuck) = transformer.open(batch, deadline, telemetry::key_stays).await {
        return (BatchResponse::after(Some(stuck)), Counts::default());
    }
    transformer.begin(batch.source).records(event.records());
    let out = transformer.deliver(batch.source, deadline).await;
    (BatchResponse::after(out.stuck), out.counts)
}
