//! Frames of CleanStream in, Parquet objects out, one for each lane and partition.
//!
//! What landed before is skipped, whatever the batches are in which it comes again; what fails comes again.

use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_core::account::Landing;
use millrace_core::port::{Clock, KeyTable, ObjectStore};
use millrace_core::sink::{Cut, Driver, Laid, Object, Sink};
use millrace_core::time::Micros;
use millrace_lake::{Frames, Landed};

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<T, L, Q, C> {
    /// Everything but the layout.
    pub driver: Driver<T, L, Q, C>,
    /// Lays out what comes, in the table's columns.
    pub lake: Lake,
}

/// The lake as a sink.
#[derive(Debug)]
pub struct Lake(pub Frames);

impl Sink for Lake {
    type Error = millrace_lake::Error;

    fn lay_out(&mut self, name: &str, frames: &[Cut<'_>]) -> Result<Laid, Self::Error> {
        let Landed { parts, rejects, landing } = self.0.rows(frames.iter())?;
        let object = |part: millrace_lake::Part| Object {
            key: format!("events/{}/{name}.parquet", part.partition),
            body: part.body,
        };
        Ok(Laid { objects: parts.into_iter().map(object).collect(), rejects, landing })
    }
}

/// Handles one batch of a shard.
pub async fn handle<T: KeyTable, L: ObjectStore, Q: ObjectStore, C: Clock>(
    event: &KinesisEvent,
    deadline: Micros,
    deps: &mut Deps<T, L, Q, C>,
) -> Result<(BatchResponse, Landing), millrace_lake::Error> {
    let Some(source) = event.source() else { return Ok((BatchResponse::safe(), Landing::default())) };
    let landed = deps.driver.land(&mut deps.lake, source, event.records(), deadline).await?;
    Ok((BatchResponse::of(&landed), landed.landing))
}
