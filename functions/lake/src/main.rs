//! Wires `lake`: CleanStream to Parquet on S3.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{clock::SystemClock, s3::Bucket, serve::serve_batches, sink, telemetry};
use millrace_core::guard::Guard;
use millrace_core::pipeline::{EventSettings, LakeSettings};
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
    let lake = env.text("LAKE_BUCKET");
    let driver = sink::from_env("lake", env, |config| Guard::patient("lake", Bucket::new(config, lake)))?;
    let layout = Layout::new(&EventSettings::read(PIPELINE)?, &LakeSettings::read(PIPELINE)?);
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
