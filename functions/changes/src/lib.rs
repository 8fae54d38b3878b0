//! Changes of a DynamoDB table in, frames of CleanStream out.
//!
//! Each change becomes an event ([`millrace_core::change`]) and goes the way of any event. A table's stream is a lane of
//! its own. Nobody sends a change twice, so no ids are remembered.

use millrace_aws::source::BatchResponse;
use millrace_aws::table::TableEvent;
use millrace_aws::telemetry;
use millrace_core::account::Counts;
use millrace_core::port::{Clock, ObjectStore, PutRecords, Secret};
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;
use millrace_core::window::{Bounds, Memory};

/// Handles one batch of the stream of a table, which events know by this name.
pub async fn handle<P: PutRecords, S: ObjectStore, M: Memory, K: Secret, C: Clock>(
    event: &TableEvent,
    table: &str,
    deadline: Micros,
    transformer: &mut Transformer<P, S, M, K, C>,
) -> (BatchResponse, Counts) {
    let Some(source) = event.source() else { return (BatchResponse::safe(), Counts::default()) };
    let now = transformer.clock.now();
    let records: Vec<_> = event.records().collect();
    let times = records.iter().map(|record| record.at.unwrap_or(now));
    let batch = Bounds {
        source: &source,
        first: records.first().map(|record| record.sequence.as_str()).unwrap_or_default(),
        arrived_at: times.clone().min().unwrap_or_default(),
        until: times.max().unwrap_or_default(),
        redriven: false,
    };
    if let Err(stuck) = transformer.open(batch, deadline, telemetry::key_stays).await {
        return (BatchResponse::after(Some(stuck)), Counts::default());
    }
    let (of_event, of_changes) =
        (transformer.pipeline.event().clone(), transformer.pipeline.changes().clone());
    let mut run = transformer.begin(&source).scattered();
    for record in records {
        let at = record.at.unwrap_or(now);
        match record.change.and_then(|change| change.event(table, &of_event, &of_changes)) {
            Ok(event) => run.event(&record.sequence, at, event.to_string().as_bytes()),
            Err(why) => run.reject(&record.sequence, at, why, record.payload.as_bytes()),
        }
    }
    let out = transformer.deliver(&source, deadline).await;
    (BatchResponse::after(out.stuck), out.counts)
}
