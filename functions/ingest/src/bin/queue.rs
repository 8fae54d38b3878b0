//! Wires `queue`: messages of the inbox queue to RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{clients, clock::SystemClock, kinesis::Stream, serve::serve, telemetry};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_ingest::queue::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let raw = env.text("RAW_STREAM");
    let config = clients::config(&mut env);
    env.check()?;
    let deps = Deps {
        raw: Guard::patient("RawStream", Stream::new(&config, raw)),
        clock: SystemClock,
        event: EventSettings::read(PIPELINE)?,
    };
    let deps = &deps;
    serve(|event, deadline| async move {
        let (response, tally) = handle(event, deadline, deps).await;
        telemetry::count("queue", &tally, &deps.clock);
        telemetry::health("queue", deps.raw.health().as_slice(), &deps.clock);
        Ok(response)
    })
    .await
}
