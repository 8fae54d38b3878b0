//! Wires `files`: objects of a bucket through the pipeline to CleanStream.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use millrace_aws::dynamodb::Table;
use millrace_aws::s3::Bucket;
use millrace_aws::settings::Env;
use millrace_aws::sqs::SqsQueue;
use millrace_aws::{serve, telemetry, transformer};
use millrace_core::guard::Guard;
use millrace_files_function::{Deps, Event, Lines, Sizes, handle};
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (inbox, state) = (env.text("INBOX_BUCKET"), env.text("STATE_TABLE"));
    let queue = env.optional("FILES_QUEUE_URL").unwrap_or_default(); // only where files come by way of it
    let lines: transformer::Later<_> =
        Box::new(move |config| Lines::new(Guard::patient("state table", Table::new(config, state))));
    let (transformer, config) = transformer::from_env("files", env, |_| lines).await?;
    let deps = Deps {
        transformer,
        inbox: Guard::patient("inbox", Bucket::new(&config, inbox)),
        queue: Guard::patient("files queue", SqsQueue::new(&config, queue)),
        sizes: Sizes::LAMBDA,
    };
    let deps = &Mutex::new(deps);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| async move {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (answer, done) = handle(event.payload, serve::deadline(&event.context), &mut deps).await;
        telemetry::count("files", &done, &deps.transformer.clock);
        telemetry::health("files", &deps.health(), &deps.transformer.clock);
        answer
    }))
    .await
}
