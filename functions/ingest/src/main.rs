//! Wires `ingest`: HTTP requests to RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clients, clock::SystemClock, kinesis::Stream, serve::serve, sqs::SqsQueue, telemetry,
    write_keys::KeysTable,
};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::retry::Policy;
use millrace_ingest::access::Access;
use millrace_ingest::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (raw, spill) = (env.text("RAW_STREAM"), env.text("SPILL_QUEUE_URL"));
    let body_max = usize::try_from(env.number("REQUEST_BYTES")).unwrap_or_default();
    let access = Access::from_env(&mut env);
    let config = clients::config(&mut env);
    env.check()?;
    let deps = Deps {
        raw: Guard::patient("RawStream", Stream::new(&config, raw)),
        spill: Guard::new("spill queue", SqsQueue::new(&config, spill), Policy::BRIEF),
        clock: SystemClock,
        event: EventSettings::read(PIPELINE)?,
        access: access.over(|table| Guard::new("keys table", KeysTable::new(&config, table), Policy::BRIEF)),
        body_max,
    };
    let deps = &deps;
    serve(|request, deadline| async move {
        let (answer, tally) = handle(request, deadline, deps).await;
        telemetry::count("ingest", &tally, &deps.clock);
        telemetry::health("ingest", &deps.health(), &deps.clock);
        Ok(answer)
    })
    .await
}
