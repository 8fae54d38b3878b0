//! The Lambda runtime around a handler.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use millrace_core::time::Micros;
use serde::{Serialize, de::DeserializeOwned};

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
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| {
        let deadline =
            i64::try_from(event.context.deadline).ok().and_then(|ms| Micros::new(ms.saturating_mul(1000)));
        handler(event.payload, deadline.unwrap_or(Micros::EPOCH).plus_ms(-MARGIN_MS))
    }))
    .await
}
