//! Wires `review`: CleanStream to a check, and what it holds to a queue.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clock::SystemClock, http::Service, serve::serve_batches, sink, sqs::FifoQueue, telemetry,
};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::retry::Policy;
use millrace_review::{Deps, Desk, handle};
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (url, queue) = (env.text("CHECK_URL"), env.text("REVIEW_QUEUE_URL"));
    let driver = sink::from_env("review", env, |config| {
        Guard::patient("review queue", FifoQueue::new(config, queue))
    })?;
    let check = Guard::new("check", Service::new(url), Policy::BRIEF);
    let desk = Desk::new(EventSettings::read(PIPELINE)?);
    let deps = &Mutex::new(Deps { driver, check, desk });
    serve_batches(async |event, deadline| {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (response, counts) = handle(event, deadline, &mut deps).await;
        telemetry::count("review", &counts, &SystemClock);
        telemetry::health("review", &deps.health(), &SystemClock);
        Ok(response)
    })
    .await
}
