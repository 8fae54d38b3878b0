//! Wires `changes`: the changes of a table through the pipeline to CleanStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::table::TableEvent;
use millrace_aws::{serve::serve, telemetry, transformer};
use millrace_changes::handle;
use millrace_core::window::Forgetful;
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let table = &env.text("TABLE_NAME");
    let forgetful = |_: &mut _| -> Box<dyn FnOnce(&_) -> _> { Box::new(|_| Forgetful) };
    let transformer = &Mutex::new(transformer::from_env("changes", env, forgetful).await?);
    serve(|event: TableEvent, deadline| async move {
        let mut transformer = transformer.lock().await; // one invocation at a time: nobody waits
        let (response, counts) = handle(&event, table, deadline, &mut transformer).await;
        telemetry::count("changes", &counts, &transformer.clock);
        telemetry::health("changes", &transformer.health(), &transformer.clock);
        Ok(response)
    })
    .await
}
