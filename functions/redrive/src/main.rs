//! Wires `redrive`: dead letters back to the functions that gave up on them.

use lambda_runtime::Error;
use millrace_aws::settings::Env;
use millrace_aws::{
    clients, clock::SystemClock, functions::Lambda, history::History, s3::Bucket, serve::serve,
    sqs::SqsQueue, telemetry,
};
use millrace_core::guard::Guard;
use millrace_redrive::{CALL_MS, Deps};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (letters, quarantine) = (env.text("DEAD_LETTER_QUEUE_URLS"), env.text("QUARANTINE_BUCKET"));
    let (spill, spill_dead) = (env.text("SPILL_QUEUE_URL"), env.text("SPILL_DLQ_URL"));
    let inbox = env.optional("INBOX_DLQ_URL").zip(env.optional("QUEUE_FUNCTION"));
    let config = clients::config(&mut env);
    env.check()?;
    let queue = |url: &str| SqsQueue::new(&config, url.to_owned());
    let named = |url: &str| {
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        (name, Guard::patient("dead letters", queue(url)))
    };
    let deps = &Deps {
        letters: letters.split_whitespace().map(named).collect(),
        spilled: (
            Guard::patient("dead letters", queue(&spill_dead)),
            Guard::patient("spill queue", queue(&spill)),
        ),
        inbox: inbox.map(|(url, function)| (Guard::patient("dead letters", queue(&url)), function)),
        streams: Guard::patient("streams", History::new(&config)),
        functions: Guard::patient("functions", Lambda::lasting(&config, CALL_MS.into())),
        quarantine: Guard::patient("quarantine", Bucket::new(&config, quarantine)),
        clock: SystemClock,
    };
    serve(|order, deadline| async move {
        let tally = deps.handle(order, deadline).await;
        telemetry::count("redrive", &tally, &deps.clock);
        telemetry::health("redrive", &deps.health(), &deps.clock);
        Ok(tally)
    })
    .await
}
