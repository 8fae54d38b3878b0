//! Wires `transform`: RawStream through the pipeline to CleanStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{serve::serve, telemetry, transformer};
use millrace_transform::handle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let transformer = &transformer::from_env("transform", Env::of_process()).await?;
    serve(|event, deadline| async move {
        let (response, tally) = handle(event, deadline, transformer).await;
        telemetry::count("transform", &tally, &transformer.clock);
        Ok(response)
    })
    .await
}
