//! Wires `webhooks`: signed HTTP requests of vendors to RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clients, clock::SystemClock, dynamodb::Table, kinesis::Stream, secrets, serve::serve, sqs::SqsQueue,
    telemetry,
};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::retry::Policy;
use millrace_core::webhook::Sources;
use millrace_ingest::access::Access;
use millrace_ingest::webhooks::{BODY_MAX, Deps, handle};
use tokio::sync::Mutex;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (raw, spill) = (env.text("RAW_STREAM"), env.text("SPILL_QUEUE_URL"));
    let (table, secret) = (env.text("STATE_TABLE"), env.text("WEBHOOK_SECRETS"));
    let config = clients::config(&mut env);
    env.check()?;
    let sources = secrets::fetch("webhook secrets", &config, secret, Sources::parse).await?;
    let ingest = millrace_ingest::Deps {
        raw: Guard::patient("RawStream", Stream::new(&config, raw)),
        spill: Guard::new("spill queue", SqsQueue::new(&config, spill), Policy::BRIEF),
        clock: SystemClock,
        event: EventSettings::read(PIPELINE)?,
        access: Access::Open, // the signature says who may
        body_max: BODY_MAX,
    };
    let ids = Guard::new("state table", Table::new(&config, table), Policy::BRIEF);
    let deps = &Mutex::new(Deps { ingest, sources, ids });
    serve(|request, deadline| async move {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let (answer, tally) = handle(request, deadline, &mut deps).await;
        telemetry::count("webhooks", &tally, &SystemClock);
        telemetry::health("webhooks", &deps.health(), &SystemClock);
        Ok(answer)
    })
    .await
}
