//! Frames of CleanStream in, one Parquet object per partition out.
//!
//! All or nothing: a store that fails fails the batch, and the stream sends it again. An object's key is a function of
//! the batch, so the retry overwrites what the first attempt wrote.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_core::account::Landing;
use millrace_core::port::{Error, ObjectStore};
use millrace_core::quarantine::{self, Entry};
use millrace_core::record::Source;
use millrace_core::transformer::Stuck;
use millrace_lake::{Frames, Landed, Part};

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<L, Q> {
    /// The lake's bucket.
    pub lake: L,
    /// The quarantine's bucket.
    pub quarantine: Q,
    /// Lays out what comes, in the table's columns.
    pub frames: Frames,
}

/// How many objects are put side by side. A batch whose events' times are scattered has thousands of them.
const PUTS_AT_ONCE: usize = 16;

/// Handles one batch of a shard.
pub async fn handle<L: ObjectStore, Q: ObjectStore>(
    event: KinesisEvent,
    deps: &mut Deps<L, Q>,
) -> Result<(BatchResponse, Landing), millrace_lake::Error> {
    let Some(source) = event.source() else { return Ok((BatchResponse::safe(), Landing::default())) };
    let Landed { parts, rejects, landing } = deps.frames.rows(event.records())?;
    match put(source, &event, parts, &rejects, deps).await {
        Ok(()) => Ok((BatchResponse::safe(), landing)),
        Err(why) => {
            let stuck = event.records().next().map(|first| Stuck { from: first.sequence.into(), why });
            Ok((BatchResponse::after(stuck), Landing::default()))
        }
    }
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
