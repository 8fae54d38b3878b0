//! Wires `transform`: RawStream through the pipeline to CleanStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{serve::serve_batches, telemetry, transformer};
use millrace_transform::handle;
use tokio::sync::Mutex;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let transformer = &Mutex::new(transformer::from_env("transform", Env::of_process()).await?);
    serve_batches(|event, deadline| async move {
        let mut transformer = transformer.lock().await; // one invocation at a time: nobody waits
        let (response, counts) = handle(event, deadline, &mut transformer).await;
        telemetry::count("transform", &counts, &transformer.clock);
        Ok(response)
    })
    .await
}
