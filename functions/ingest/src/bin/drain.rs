//! Wires `drain`: the spill queue back into RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{clients, clock::SystemClock, kinesis::Stream, serve::serve, sqs::SqsQueue, telemetry};
use millrace_core::guard::Guard;
use millrace_core::retry::Policy;
use millrace_ingest::drain::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (raw, spill) = (env.text("RAW_STREAM"), env.text("SPILL_QUEUE_URL"));
    let config = clients::config(&mut env);
    env.check()?;
    let deps = Deps {
        raw: Guard::patient("RawStream", Stream::new(&config, raw)),
        spill: Guard::new("spill queue", SqsQueue::new(&config, spill), Policy::BRIEF),
        clock: SystemClock,
    };
    let deps = &deps;
    serve(|event, deadline| async move {
        let (response, tally) = handle(event, deadline, deps).await;
        telemetry::count("drain", &tally, &deps.clock);
        telemetry::health("drain", &deps.health(), &deps.clock);
        Ok(response)
    })
    .await
}
