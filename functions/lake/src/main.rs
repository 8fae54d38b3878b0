//! Wires `lake`: CleanStream to Parquet on S3.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clients, clock::SystemClock, dynamodb::Table, s3::Bucket, serve::serve_batches, telemetry,
};
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::Reader;
use millrace_core::guard::Guard;
use millrace_core::pipeline::{EventSettings, LakeSettings};
use millrace_core::sink::Driver;
use millrace_lake::{Frames, Layout};
use millrace_lake_function::{Deps, Lake, handle};
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (lake, quarantine) = (env.text("LAKE_BUCKET"), env.text("QUARANTINE_BUCKET"));
    let (table, retention_hours) = (env.text("STATE_TABLE"), env.number("STREAM_RETENTION_HOURS"));
    let config = clients::config(&mut env);
    env.check()?;
    // A record may be transformed again until RawStream forgets it, and its frame come again until CleanStream does.
    let kept_ms = retention_hours.saturating_mul(2 * 3_600_000);
    let layout = Layout::new(&EventSettings::read(PIPELINE)?, &LakeSettings::read(PIPELINE)?);
    let driver = Driver {
        function: "lake",
        checkpoints: Checkpoints::new(
            "lake",
            Guard::patient("state table", Table::new(&config, table)),
            kept_ms,
        ),
        objects: Guard::patient("lake", Bucket::new(&config, lake)),
        quarantine: Guard::patient("quarantine", Bucket::new(&config, quarantine)),
        clock: SystemClock,
        reader: Reader::default(),
    };
    let deps = &Mutex::new(Deps { driver, lake: Lake(Frames::new(layout)) });
    serve_batches(async |event, deadline| {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (response, landing) = handle(event, deadline, &mut deps).await?;
        telemetry::count("lake", &landing, &SystemClock);
        telemetry::health("lake", &deps.driver.health(), &SystemClock);
        Ok(response)
    })
    .await
}
