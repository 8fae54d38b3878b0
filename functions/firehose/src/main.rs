//! Wires `firehose`: the pipeline as the transformation of a delivery stream.

use lambda_runtime::Error;
use millrace_aws::clock::SystemClock;
use millrace_aws::settings::Env;
use millrace_aws::{clients, serve::serve, telemetry, transformer};
use millrace_firehose::{Deps, Room, handle};
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let secret = env.text("TOKEN_KEY_SECRET");
    let config = clients::config(&mut env);
    env.check()?;
    let (pipeline, keys) = transformer::pipeline(&config, secret).await?;
    let deps = &Mutex::new(Deps { pipeline, keys, clock: SystemClock, room: Room::default() });
    serve(|event, deadline| async move {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (answer, counts) = handle(event, deadline, &mut deps).await;
        telemetry::count("firehose", &counts, &deps.clock);
        telemetry::health("firehose", deps.keys.health().as_slice(), &deps.clock);
        Ok(answer)
    })
    .await
}
