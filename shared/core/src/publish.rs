//! Getting records into a stream.

use crate::port::{Clock, Entry, Error, Kind, Put, PutRecords};
use crate::retry::Backoff;
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
pub async fn publish(
    stream: &impl PutRecords,
    mut entries: Vec<Entry>,
    clock: &impl Clock,
    deadline: Micros,
) -> Result<(), Left> {
    let backoff = Backoff::default();
    let mut attempt = 1;
    loop {
        let (left, why) = publish_once(stream, entries).await;
        let Some(why) = why else { return Ok(()) };
        entries = left;
        if why.kind == Kind::Permanent || !backoff.pause(attempt, clock, deadline).await {
            return Err(Left { entries, why });
        }
        attempt += 1;
    }
}

/// Tries each entry once; hands back those that failed and the last reason.
async fn publish_once(stream: &impl PutRecords, entries: Vec<Entry>) -> (Vec<Entry>, Option<Error>) {
    let mut left = Vec::new();
    let mut why = None;
    for call in calls(entries) {
        match stream.put(&call).await {
            Ok(puts) => {
                let mut throttled = false;
                let before = left.len();
                let outcomes = puts.into_iter().chain(std::iter::repeat(Put::Failed));
                for (entry, put) in call.into_iter().zip(outcomes) {
                    throttled |= put == Put::Throttled;
                    if put != Put::Done {
                        left.push(entry);
                    }
                }
                if left.len() > before {
                    let kind = if throttled { Kind::Throttled } else { Kind::Transient };
                    let what = format!("put records: {} refused", left.len() - before);
                    why = Some(Error { what, kind, source: None });
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
