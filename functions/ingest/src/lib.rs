//! HTTP requests in, records of RawStream out.
//!
//! A 202 means that each accepted event is in RawStream or, where Kinesis refuses, in the spill queue: the answer
//! waits for that. Events of one request that share a partition key travel as one record, because Kinesis rounds
//! records up and Lambda is paid by invocation.

pub mod access;
pub mod answer;
pub mod drain;
pub mod events;
pub mod queue;
mod request;
mod spill;
pub mod webhooks;

use crate::access::{Access, Keys};
use crate::answer::{Answer, Problem, Rejected};
use crate::events::{Accepted, Stamp};
pub use crate::request::HttpRequest;
use crate::request::{Request, Route};
use millrace_core::event::Event;
use millrace_core::guard::{Guard, Health};
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock, Kind, PutRecords, Queue, WriteKeys};
use millrace_core::publish::{Left, publish};
use millrace_core::time::Micros;
use serde::Serialize;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, Q, C, K> {
    /// RawStream.
    pub raw: Guard<P>,
    /// The spill queue.
    pub spill: Guard<Q>,
    /// The clock.
    pub clock: C,
    /// The pipeline's `[event]`.
    pub event: EventSettings,
    /// Who may send events.
    pub access: Access<Keys<K>>,
    /// The largest body, bytes as they came and bytes inflated. API Gateway takes 10 MB; Lambda takes 6 MB of JSON, of which
    /// base64 leaves some 4.4 MB, so that it is a gzip body that reaches as far.
    pub body_max: usize,
}

/// What became of a request's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Safe, and answered so.
    pub accepted: usize,
    /// Refused, and answered so.
    pub rejected: usize,
    /// Of the accepted: in the spill queue instead of RawStream.
    pub spilled: usize,
}

impl<P, Q, C, K: WriteKeys> Deps<P, Q, C, K> {
    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        self.raw.health().into_iter().chain(self.spill.health()).chain(self.access.health()).collect()
    }
}

/// Answers one request.
pub async fn handle<P: PutRecords, Q: Queue, C: Clock, K: WriteKeys>(
    request: HttpRequest,
    deadline: Micros,
    deps: &Deps<P, Q, C, K>,
) -> (Answer, Tally) {
    match Request::read(request) {
        Ok(Request { route: Route::Health, .. }) => (Answer::healthy(), Tally::default()),
        Ok(request) => {
            take(request, deadline, deps).await.unwrap_or_else(|problem| (problem.into(), Tally::default()))
        }
        Err(problem) => (problem.into(), Tally::default()),
    }
}

async fn take<P: PutRecords, Q: Queue, C: Clock, K: WriteKeys>(
    request: Request,
    deadline: Micros,
    deps: &Deps<P, Q, C, K>,
) -> Result<(Answer, Tally), Problem> {
    let sender = deps.access.admit(&request.shown, &deps.clock, deadline).await?;
    let mut room = Vec::new();
    let pieces = request::split(request.body(deps.body_max, &mut room)?)?;
    let stamp = Stamp {
        received_at: deps.clock.now(),
        ip: &request.ip,
        user_agent: request.user_agent.as_deref(),
        tenant: sender.tenant.as_deref(),
    };
    let mut rejected = Vec::new();
    let mut accepted = Vec::new();
    let mut event = Event::default();
    for (index, piece) in pieces.enumerate() {
        match events::accept(piece, &mut event, &deps.event, &stamp, || deps.clock.random()) {
            Ok(event) => accepted.push(event),
            Err(reason) => rejected.push(Rejected { index, reason }),
        }
    }
    if accepted.is_empty() {
        let tally = Tally { rejected: rejected.len(), ..Tally::default() };
        return Ok((Problem::NothingAccepted(rejected).into(), tally));
    }
    deps.access.spend(&sender, accepted.len(), &deps.clock, deadline).await?;
    let spilled = put(&accepted, deadline, deps).await?;
    let tally = Tally { accepted: accepted.len(), rejected: rejected.len(), spilled };
    Ok((Answer::accepted(accepted.len(), &rejected), tally))
}

/// Makes the events safe. Tells how many of them the spill queue has.
async fn put<P: PutRecords, Q: Queue, C: Clock, K: WriteKeys>(
    accepted: &[Accepted],
    deadline: Micros,
    deps: &Deps<P, Q, C, K>,
) -> Result<usize, Problem> {
    let records = events::records(accepted);
    let Err(Left { entries, why }) =
        publish(&deps.raw, records, &deps.clock, deadline.plus_ms(-spill::SPILL_MS)).await
    else {
        return Ok(0);
    };
    tracing::warn!(records = entries.len(), why = why.chain(), "RawStream refuses, spilling");
    for message in spill::messages(&entries, deps.clock.now()) {
        let sent = deps.spill.call(&deps.clock, deadline, async |queue| queue.send(&message).await);
        sent.await.map_err(|error| {
            tracing::error!(why = error.chain(), "the spill queue refuses too");
            match why.kind {
                Kind::Throttled => Problem::Busy,
                Kind::Transient | Kind::Permanent => Problem::Unavailable,
            }
        })?;
    }
    Ok(entries.iter().map(events::count).sum())
}
