//! Wires `changes`: the changes of a table through the pipeline to CleanStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::table::TableEvent;
use millrace_aws::{serve::serve, telemetry, transformer};
use millrace_changes::handle;
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let table = &env.text("TABLE_NAME");
    let (transformer, _) = transformer::from_env("changes", env, transformer::forgetful).await?;
    let transformer = &Mutex::new(transformer);
    serve(|event: TableEvent, deadline| async move {
        let mut transformer = transformer.lock().await; // one invocation at a time: nobody waits
        let (response, counts) = handle(&event, table, deadline, &mut transformer).await;
        telemetry::count("changes", &counts, &transformer.clock);
        telemetry::health("changes", &transformer.health(), &transformer.clock);
        Ok(response)
    })
    .await
}
