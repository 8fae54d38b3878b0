//! The Lambda runtime around a handler.

use crate::source::KinesisEvent;
use bytes::Bytes;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Context, Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use millrace_core::time::Micros;
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;

/// What a handler keeps of its time, milliseconds: for the answer. No attempt at a dependency outlives the rest.
pub const MARGIN_MS: i64 = 2_000;

/// Serves invocations until the sandbox ends. The handler gets the event and the moment by which it should be done.
pub async fn serve<E, A, F>(handler: impl Fn(E, Micros) -> F) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
    F: Future<Output = Result<A, Error>>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| handler(event.payload, deadline(&event.context))))
        .await
}

/// [`serve`] for batches of a Kinesis shard. The runtime would read their JSON key by key, with a note of where it is in it for
/// its messages. [`KinesisEvent::fill`] goes through it once, so the payload is laid aside before the runtime reads it.
pub async fn serve_batches<A: Serialize>(
    handler: impl AsyncFn(&KinesisEvent, Micros) -> Result<A, Error>,
) -> Result<(), Error> {
    let batch = &RefCell::new(KinesisEvent::default());
    let (handler, payload) = (&handler, &RefCell::new(Bytes::new()));
    let lay_aside = MapRequestLayer::new(move |mut invocation: LambdaInvocation| {
        payload.replace(std::mem::replace(&mut invocation.body, Bytes::from_static(b"null")));
        invocation
    });
    // One invocation at a time: what was laid aside is of this one.
    let handle = service_fn(move |event: LambdaEvent<()>| async move {
        let mut taken = batch.take();
        taken.fill(&payload.take())?;
        let answer = handler(&taken, deadline(&event.context)).await;
        batch.replace(taken);
        answer
    });
    Runtime::new(handle).layer(lay_aside).run().await
}

/// The moment by which a handler should be done.
#[must_use]
pub fn deadline(context: &Context) -> Micros {
    let deadline = i64::try_from(context.deadline).ok().and_then(|ms| Micros::new(ms.saturating_mul(1000)));
    deadline.unwrap_or(Micros::EPOCH).plus_ms(-MARGIN_MS)
}
