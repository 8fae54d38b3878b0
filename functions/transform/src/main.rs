//! Wires `transform`: RawStream through the pipeline to CleanStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{serve::serve_batches, telemetry, transformer};
use millrace_transform::handle;
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let (transformer, _) = transformer::from_env("transform", Env::of_process(), transformer::window).await?;
    let transformer = &Mutex::new(transformer);
    serve_batches(async |event, deadline| {
        let mut transformer = transformer.lock().await; // one invocation at a time: nobody waits
        let (response, counts) = handle(event, deadline, &mut transformer).await;
        telemetry::count("transform", &counts, &transformer.clock);
        telemetry::health("transform", &transformer.health(), &transformer.clock);
        Ok(response)
    })
    .await
}
