//! Records of RawStream in, frames of CleanStream out.
//!
//! Nothing that a record holds fails a batch: bad events go, whole and with the reason, to the quarantine. A
//! dependency that fails answers with the first record that is not safe, and the stream sends the rest again.

use millrace_aws::source::{self, BatchResponse, KinesisEvent};
use millrace_core::account::Tally;
use millrace_core::port::{Clock, ObjectStore, PutRecords};
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;

/// Handles one batch of a shard.
pub async fn handle<P: PutRecords, S: ObjectStore, C: Clock>(
    event: KinesisEvent,
    deadline: Micros,
    transformer: &Transformer<P, S, C>,
) -> (BatchResponse, Tally) {
    let Some((source, records)) = source::kinesis(event) else {
        return (BatchResponse::safe(), Tally::default());
    };
    let mut run = transformer.begin(&source);
    for record in &records {
        run.record(record);
    }
    let out = transformer.deliver(run.finish(), &source, deadline).await;
    (BatchResponse::after(out.stuck), out.tally)
}
