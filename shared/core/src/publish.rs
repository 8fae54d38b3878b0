//! Getting records into a stream.

use crate::guard::{Guard, State};
use crate::port::{Clock, Entry, Error, Kind, Put, PutRecords};
use crate::time::Micros;

/// The most records that one call takes.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
pub const CALL_MAX_RECORDS: usize = 500;

/// The most bytes that one call takes here, partition keys counted. Kinesis takes 10 MiB since 2025; 5 MB is what
/// every endpoint takes, and as much as ingest is ever sent.
pub const CALL_MAX_BYTES: usize = 5_000_000;

/// What could not be put, and why the last attempt failed.
#[derive(Debug)]
pub struct Left {
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// What the stream said last.
    pub why: Error,
}

/// Puts all entries, in calls as large as they may be. An entry that fails is sent again, and no other; a call that
/// fails is sent again whole, for nobody knows what it did. What is not put by the deadline is left.
pub async fn publish<P: PutRecords>(
    stream: &Guard<P>,
    mut entries: Vec<Entry>,
    clock: &impl Clock,
    deadline: Micros,
) -> Result<(), Left> {
    let mut attempt = 1;
    loop {
        let (left, why) = publish_once(stream, entries, clock, deadline).await;
        let Some(why) = why else { return Ok(()) };
        entries = left;
        if why.kind == Kind::Permanent
            || stream.state(clock.now()) == State::Open
            || !stream.policy().pause(attempt, clock, deadline).await
        {
            return Err(Left { entries, why });
        }
        attempt += 1;
    }
}

/// Tries each entry once; hands back those that failed and the last reason.
async fn publish_once<P: PutRecords>(
    stream: &Guard<P>,
    entries: Vec<Entry>,
    clock: &impl Clock,
    deadline: Micros,
) -> (Vec<Entry>, Option<Error>) {
    let mut left = Vec::new();
    let mut why = None;
    for call in calls(entries) {
        let answer = stream.once(clock, deadline, async |stream| put(stream, &call).await);
        match answer.await {
            Ok(puts) => {
                let before = left.len();
                let outcomes = puts.iter().copied().chain(std::iter::repeat(Put::Failed));
                left.extend(
                    call.into_iter().zip(outcomes).filter(|(_, put)| *put != Put::Done).map(|(e, _)| e),
                );
                if left.len() > before {
                    why = Some(refused(left.len() - before, &puts));
                }
            }
            Err(error) => {
                left.extend(call);
                why = Some(error);
            }
        }
    }
    (left, why)
}

/// One call. A stream that refuses all of it has failed, like one that gives no answer.
async fn put(stream: &impl PutRecords, call: &[Entry]) -> Result<Vec<Put>, Error> {
    let puts = stream.put(call).await?;
    if puts.contains(&Put::Done) { Ok(puts) } else { Err(refused(call.len(), &puts)) }
}

fn refused(entries: usize, puts: &[Put]) -> Error {
    let kind = if puts.contains(&Put::Throttled) { Kind::Throttled } else { Kind::Transient };
    Error { what: format!("put records: {entries} refused"), kind, source: None }
}

/// Packs entries, in order, into calls within both limits.
fn calls(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut calls: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.data.len() + entry.partition_key.len();
        match calls.last_mut() {
            Some(call) if call.len() < CALL_MAX_RECORDS && bytes + size <= CALL_MAX_BYTES => {
                call.push(entry);
                bytes += size;
            }
            _ => {
                calls.push(vec![entry]);
                bytes = size;
            }
        }
    }
    calls
}
