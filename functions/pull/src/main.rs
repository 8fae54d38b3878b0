//! Wires `pull`: a feed to RawStream.

use lambda_runtime::Error;
use millrace_aws::settings::{Env, PIPELINE};
use millrace_aws::{
    clients, clock::SystemClock, dynamodb::Table, http::Http, kinesis::Stream, secrets::Stored, serve::serve,
    telemetry,
};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_pull::{Deps, Feed, Header, NoFeed, PATIENCE};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut env = Env::of_process();
    let (raw, table, url) = (env.text("RAW_STREAM"), env.text("STATE_TABLE"), env.text("FEED_URL"));
    let (items, cursor) = (env.optional("FEED_ITEMS").unwrap_or_default(), env.optional("FEED_CURSOR"));
    let (header, token) = (env.optional("FEED_HEADER"), env.optional("FEED_TOKEN_SECRET"));
    let config = clients::config(&mut env);
    env.check()?;
    // Without a token there is nothing to say.
    let token = token.map(|id| {
        let header = Header::read(&header.unwrap_or_default())?;
        Ok::<_, NoFeed>((header, Guard::patient("feed's token", Stored::new(&config, id))))
    });
    let deps = Deps {
        feed: Feed::new(url, items, cursor)?,
        http: Guard::new("feed", Http::default(), PATIENCE),
        token: token.transpose()?,
        table: Guard::patient("state table", Table::new(&config, table)),
        raw: Guard::patient("RawStream", Stream::new(&config, raw)),
        clock: SystemClock,
        event: EventSettings::read(PIPELINE)?,
    };
    let deps = &deps;
    serve(|_: IgnoredAny, deadline| async move {
        let (tally, done) = deps.handle(deadline).await;
        telemetry::count("pull", &tally, &deps.clock);
        telemetry::health("pull", &deps.health(), &deps.clock);
        // An error is what the alarm hears.
        done.map(|()| tally).map_err(Error::from)
    })
    .await
}
