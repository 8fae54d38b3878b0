//! Frames of CleanStream in, one Parquet object per partition out.
//!
//! All or nothing: a store that fails fails the batch, and the stream sends it again. An object's key is a function of
//! the batch, so the retry overwrites what the first attempt wrote.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use millrace_aws::source::{self, BatchResponse, KinesisEvent};
use millrace_core::account::Landing;
use millrace_core::frame;
use millrace_core::port::{Error, ObjectStore};
use millrace_core::quarantine::{self, Entry, Reject};
use millrace_core::record::{Record, Source};
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
}

/// How many objects are put side by side. A batch whose events' times are scattered has thousands of them.
const PUTS_AT_ONCE: usize = 16;

/// Handles one batch of a shard.
pub async fn handle<L: ObjectStore, Q: ObjectStore>(
    event: KinesisEvent,
    deps: &Deps<L, Q>,
) -> Result<(BatchResponse, Landing), millrace_lake::Error> {
    let Some((source, records)) = source::kinesis(event) else {
        return Ok((BatchResponse::safe(), Landing::default()));
    };
    let Rows { parts, rejects, landing } = rows(&records, &deps.layout)?;
    match put(&source, &records, parts, &rejects, deps).await {
        Ok(()) => Ok((BatchResponse::safe(), landing)),
        Err(why) => {
            let stuck = records.into_iter().next().map(|first| Stuck { from: first.sequence, why });
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

fn rows(records: &[Record], layout: &Layout) -> Result<Rows, millrace_lake::Error> {
    let mut table = Table::new(layout);
    let mut rejects = Vec::new();
    let mut landing = Landing::default();
    for record in records {
        let mut reject = |reject: Reject, payload: Vec<u8>| {
            rejects.push(Entry { reject, sequence: record.sequence.clone(), at: record.arrived_at, payload });
        };
        match frame::decode(&record.data) {
            Ok((_header, events)) => {
                for (_position, event) in events {
                    landing.r#in += 1;
                    match table.push(event) {
                        Ok(()) => landing.landed += 1,
                        Err((why, event)) => reject(why, event.to_string().into_bytes()),
                    }
                }
            }
            Err(why) => {
                landing.r#in += 1;
                reject(why, record.data.clone());
            }
        }
    }
    landing.quarantined = rejects.len();
    debug_assert!(landing.balances(), "every event ends in exactly one place");
    Ok(Rows { parts: table.finish()?, rejects, landing })
}

async fn put<L: ObjectStore, Q: ObjectStore>(
    source: &Source,
    records: &[Record],
    parts: Vec<Part>,
    rejects: &[Entry],
    deps: &Deps<L, Q>,
) -> Result<(), Error> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
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
