//! The world around a sink, from the environment.

use crate::clients;
use crate::clock::SystemClock;
use crate::dynamodb::Table;
use crate::s3::Bucket;
use crate::settings::{Env, Missing};
use aws_types::SdkConfig;
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::Reader;
use millrace_core::guard::Guard;
use millrace_core::sink::Driver;

/// Reads `QUARANTINE_BUCKET`, `QUARANTINE_DAYS`, `STATE_TABLE` and `STREAM_RETENTION_HOURS`; `objects` is where the sink's objects go.
pub fn from_env<F: Fn(&str) -> Option<String>, O>(
    function: &'static str,
    mut env: Env<F>,
    objects: impl FnOnce(&SdkConfig) -> Guard<O>,
) -> Result<Driver<Table, O, Bucket, SystemClock>, Missing> {
    let (table, quarantine) = (env.text("STATE_TABLE"), env.text("QUARANTINE_BUCKET"));
    let retention_hours = env.number("STREAM_RETENTION_HOURS");
    let quarantine_days = env.number("QUARANTINE_DAYS");
    let config = clients::config(&mut env);
    env.check()?;
    // A record may be transformed again until RawStream forgets it, and its frame come again until CleanStream does; and then be
    // replayed, if another sink died of it, as long as the quarantine has it.
    let kept_ms = retention_hours.saturating_mul(2).saturating_add(quarantine_days.saturating_mul(24));
    let kept_ms = kept_ms.saturating_mul(3_600_000);
    let table = Guard::patient("state table", Table::new(&config, table));
    Ok(Driver {
        function,
        checkpoints: Checkpoints::new(function, table, kept_ms),
        objects: objects(&config),
        quarantine: Guard::patient("quarantine", Bucket::new(&config, quarantine)),
        clock: SystemClock,
        reader: Reader::default(),
    })
}
