//! Frames of CleanStream in, one Parquet object per partition out.
//!
//! All or nothing: a store that fails fails the batch, and the stream sends it again. An object's key is a function of
//! the batch, so the retry overwrites what the first attempt wrote.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_core::account::Landing;
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::frame;
use millrace_core::port::{Error, ObjectStore};
use millrace_core::quarantine::{self, Entry, Reject};
use millrace_core::record::Source;
use millrace_core::transformer::Stuck;
use millrace_lake::{Layout, Part, Table};

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<L, Q> {
    /// The lake's bucket.
    pub lake: L,
    /// The quarantine's bucket.
    pub quarantine: Q,
    /// The table's columns.
    pub layout: Layout,
    /// Room for the frame at hand.
    pub reader: frame::Reader,
    /// Room for the event at hand.
    pub event: Event,
}

/// How many objects are put side by side. A batch whose events' times are scattered has thousands of them.
const PUTS_AT_ONCE: usize = 16;

/// Handles one batch of a shard.
pub async fn handle<L: ObjectStore, Q: ObjectStore>(
    event: KinesisEvent,
    deps: &mut Deps<L, Q>,
) -> Result<(BatchResponse, Landing), millrace_lake::Error> {
    let Some(source) = event.source() else { return Ok((BatchResponse::safe(), Landing::default())) };
    let Rows { parts, rejects, landing } = rows(&event, deps)?;
    match put(source, &event, parts, &rejects, deps).await {
        Ok(()) => Ok((BatchResponse::safe(), landing)),
        Err(why) => {
            let stuck = event.records().next().map(|first| Stuck { from: first.sequence.into(), why });
            Ok((BatchResponse::after(stuck), Landing::default()))
        }
    }
}

/// A batch, decoded and laid out.
struct Rows {
    parts: Vec<Part>,
    rejects: Vec<Entry>,
    landing: Landing,
}

fn rows<L, Q>(batch: &KinesisEvent, deps: &mut Deps<L, Q>) -> Result<Rows, millrace_lake::Error> {
    let Deps { layout, reader, event, .. } = deps;
    let mut table = Table::new(layout);
    let mut rejects = Vec::new();
    let mut landing = Landing::default();
    for record in batch.records() {
        let mut reject = |reject: Reject, payload: &[u8]| {
            let (sequence, at) = (record.sequence.into(), record.arrived_at);
            rejects.push(Entry { reject, sequence, at, payload: payload.to_vec() });
        };
        match reader.read(record.data) {
            Ok((_header, body)) => {
                for line in body.events() {
                    landing.r#in += 1;
                    match decode::event(line.as_bytes(), event).and_then(|()| table.push(event)) {
                        Ok(()) => landing.landed += 1,
                        Err(why) => reject(why, line.as_bytes()),
                    }
                }
            }
            Err(why) => {
                landing.r#in += 1;
                reject(why, record.data);
            }
        }
    }
    landing.quarantined = rejects.len();
    debug_assert!(landing.balances(), "every event ends in exactly one place");
    Ok(Rows { parts: table.finish()?, rejects, landing })
}

async fn put<L: ObjectStore, Q: ObjectStore>(
    source: &Source,
    batch: &KinesisEvent,
    parts: Vec<Part>,
    rejects: &[Entry],
    deps: &Deps<L, Q>,
) -> Result<(), Error> {
    let (Some(first), Some(last)) = (batch.records().next(), batch.records().last()) else { return Ok(()) };
    let name = &format!("{}-{}-{}", source.shard, first.sequence, last.sequence);
    let puts = parts.into_iter().map(|part| async move {
        deps.lake.put(&format!("events/{}/{name}.parquet", part.partition), part.body).await
    });
    stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).try_collect::<()>().await?;
    match quarantine::page("lake", source, rejects) {
        Some(page) => deps.quarantine.put(&page.key, page.body).await,
        None => Ok(()),
    }
}
