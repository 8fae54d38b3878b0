//! Wires `drain`: the spill queue back into RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{clients, clock::SystemClock, kinesis::Stream, serve::serve, telemetry};
use millrace_core::guard::Guard;
use millrace_ingest::drain::{Deps, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let raw = env.text("RAW_STREAM");
    let config = clients::config(&mut env);
    env.check()?;
    let deps = Deps { raw: Guard::patient("RawStream", Stream::new(&config, raw)), clock: SystemClock };
    let deps = &deps;
    serve(|event, deadline| async move {
        let (response, tally) = handle(event, deadline, deps).await;
        telemetry::count("drain", &tally, &deps.clock);
        telemetry::health("drain", deps.raw.health().as_slice(), &deps.clock);
        Ok(response)
    })
    .await
}
