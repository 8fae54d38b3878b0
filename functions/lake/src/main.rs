//! Wires `lake`: CleanStream to Parquet on S3.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{clients, clock::SystemClock, s3::Bucket, serve::serve_batches, telemetry};
use millrace_core::pipeline::{EventSettings, LakeSettings};
use millrace_lake::{Frames, Layout};
use millrace_lake_function::{Deps, handle};
use tokio::sync::Mutex;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (lake, quarantine) = (env.text("LAKE_BUCKET"), env.text("QUARANTINE_BUCKET"));
    let config = clients::config(&mut env);
    env.check()?;
    let deps = Deps {
        lake: Bucket::new(&config, lake),
        quarantine: Bucket::new(&config, quarantine),
        frames: Frames::new(Layout::new(&EventSettings::read(PIPELINE)?, &LakeSettings::read(PIPELINE)?)),
    };
    let deps = &Mutex::new(deps);
    serve_batches(|event, _deadline| async move {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (response, landing) = handle(event, &mut deps).await?;
        telemetry::count("lake", &landing, &SystemClock);
        Ok(response)
    })
    .await
}
