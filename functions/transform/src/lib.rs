//! Records of RawStream in, frames of CleanStream out.
//!
//! Nothing that a record holds fails a batch: bad events go, whole and with the reason, to the quarantine. A
//! dependency that fails answers with the first record that is not safe, and the stream sends the rest again.

use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_core::account::Counts;
use millrace_core::port::{Clock, ObjectStore, PutRecords};
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;

/// Handles one batch of a shard.
pub async fn handle<P: PutRecords, S: ObjectStore, C: Clock>(
    event: KinesisEvent,
    deadline: Micros,
    transformer: &mut Transformer<P, S, C>,
) -> (BatchResponse, Counts) {
    let Some(source) = event.source() else {
        return (BatchResponse::safe(), Counts::default());
    };
    let mut run = transformer.begin(source);
    for record in event.records() {
        run.record(&record);
    }
    let out = transformer.deliver(source, deadline).await;
    (BatchResponse::after(out.stuck), out.counts)
}
