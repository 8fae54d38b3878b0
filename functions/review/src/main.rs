//! Wires `review`: CleanStream to a check, and what it holds to a queue.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clients, clock::SystemClock, dynamodb::Table, http::Service, s3::Bucket, serve::serve_batches,
    sqs::FifoQueue, telemetry,
};
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::Reader;
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_review::{Deps, Desk, handle};
use tokio::sync::Mutex;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (url, queue) = (env.text("CHECK_URL"), env.text("REVIEW_QUEUE_URL"));
    let quarantine = env.text("QUARANTINE_BUCKET");
    let (table, retention_hours) = (env.text("STATE_TABLE"), env.number("STREAM_RETENTION_HOURS"));
    let config = clients::config(&mut env);
    env.check()?;
    // A record may be transformed again until RawStream forgets it, and its frame come again until CleanStream does.
    let kept_ms = retention_hours.saturating_mul(2 * 3_600_000);
    let table = Guard::patient("state table", Table::new(&config, table));
    let driver = Driver {
        function: "review",
        checkpoints: Checkpoints::new("review", table, kept_ms),
        objects: Guard::patient("review queue", FifoQueue::new(&config, queue)),
        quarantine: Guard::patient("quarantine", Bucket::new(&config, quarantine)),
        clock: SystemClock,
        reader: Reader::default(),
    };
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
