//! Wires `metrics`: the changes of a table into metrics by key and window.

use lambda_runtime::Error;
use millrace_aws::metrics::MetricsTable;
use millrace_aws::settings::Env;
use millrace_aws::table::TableEvent;
use millrace_aws::{clients, clock::SystemClock, serve::serve, telemetry, transformer};
use millrace_core::guard::Guard;
use millrace_metrics::{Deps, handle};
use tokio::sync::Mutex;

// Batches leave large buffers behind: with this allocator they stand in huge pages, where the system has them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (of, secret) = (env.text("TABLE_NAME"), env.text("TOKEN_KEY_SECRET"));
    let (metrics, days) = (env.text("METRICS_TABLE"), env.number("METRICS_DAYS"));
    let config = clients::config(&mut env);
    env.check()?;
    let (pipeline, keys) = transformer::pipeline(&config, secret).await?;
    let table = Guard::patient("metrics table", MetricsTable::new(&config, metrics, days));
    let (of, deps) = (&of, &Mutex::new(Deps { table, keys, pipeline, clock: SystemClock }));
    serve(|event: TableEvent, deadline| async move {
        let mut deps = deps.lock().await; // one invocation at a time: nobody waits
        let handled = handle(&event, of, deadline, &mut deps, telemetry::metric).await;
        telemetry::health("metrics", &deps.health(), &deps.clock);
        let (answer, tally) = handled?;
        telemetry::count("metrics", &tally, &deps.clock);
        Ok(answer)
    })
    .await
}
