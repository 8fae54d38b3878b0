//! The world around a pipeline, from the environment.

use crate::clients;
use crate::clock::SystemClock;
use crate::dynamodb::Table;
use crate::kinesis::Stream;
use crate::s3::Bucket;
use crate::secrets::{self, Stored};
use crate::settings::{Env, FILES, PIPELINE};
use aws_types::SdkConfig;
use lambda_runtime::Error;
use millrace_core::batch::Batch;
use millrace_core::frame::Encoding;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::Pipeline;
use millrace_core::transformer::Transformer;
use millrace_core::window::{Forgetful, Memory, Span, Window};

/// What is made of the SDK's configuration, once the environment is read.
pub type Later<M> = Box<dyn FnOnce(&SdkConfig) -> M>;

/// Reads `CLEAN_STREAM`, `CLEAN_ENCODING` where it is set, `QUARANTINE_BUCKET` and `TOKEN_KEY_SECRET`, and what the memory
/// reads, and fetches the key from the secret. Hands over the SDK's configuration, too, for other clients.
pub async fn from_env<F: Fn(&str) -> Option<String>, M: Memory>(
    function: &'static str,
    mut env: Env<F>,
    memory: impl FnOnce(&mut Env<F>) -> Later<M>,
) -> Result<(Transformer<Stream, Bucket, M, Stored, SystemClock>, SdkConfig), Error> {
    let (clean, quarantine) = (env.text("CLEAN_STREAM"), env.text("QUARANTINE_BUCKET"));
    let secret = env.text("TOKEN_KEY_SECRET");
    let encoding = env.optional("CLEAN_ENCODING");
    let memory = memory(&mut env);
    let config = clients::config(&mut env);
    env.check()?;
    let encoding: Option<Encoding> = encoding.map(|name| name.parse()).transpose()?;
    let (pipeline, keys) = pipeline(&config, secret).await?;
    let transformer = Transformer {
        function,
        clean: Guard::patient("CleanStream", Stream::new(&config, clean)),
        quarantine: Guard::patient("quarantine", Bucket::new(&config, quarantine)),
        memory: memory(&config),
        clock: SystemClock,
        pipeline,
        keys,
        batch: Batch::writing(encoding.unwrap_or_default()),
    };
    Ok((transformer, config))
}

/// The pipeline that was built in, and the key that this secret holds.
pub async fn pipeline(config: &SdkConfig, secret: String) -> Result<(Pipeline, Keys<Stored>), Error> {
    let pipeline = Pipeline::compile(PIPELINE, &FILES)?;
    let keys = secrets::fetch("token key", config, secret, |secret| pipeline.key(secret)).await?;
    Ok((pipeline, keys))
}

/// How many ids are known in a function of so much memory, MB: they take half of it at the most.
fn ids_max(memory: Option<&str>) -> usize {
    const IDS_A_MB: usize = 9_000; // of 116 bytes each, see `Span::ids_max`
    let memory = memory.and_then(|memory| memory.parse().ok()).unwrap_or(512_usize);
    (memory / 2).saturating_mul(IDS_A_MB)
}

/// No ids: of a source whose events come once.
pub fn forgetful<F>(_env: &mut Env<F>) -> Later<Forgetful> {
    Box::new(|_| Forgetful)
}

/// The ids that a lane of `RAW_STREAM` let out, in `STATE_TABLE`, for `DEDUPE_WINDOW_SECONDS`; a record may be tried again
/// for `STREAM_RETENTION_HOURS`.
pub fn window<F: Fn(&str) -> Option<String>>(env: &mut Env<F>) -> Later<Window<Table, Stream>> {
    let (raw, table) = (env.text("RAW_STREAM"), env.text("STATE_TABLE"));
    let span = Span {
        window_ms: env.number("DEDUPE_WINDOW_SECONDS").saturating_mul(1000),
        retries_ms: env.number("STREAM_RETENTION_HOURS").saturating_mul(3_600_000),
        ids_max: ids_max(env.optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").as_deref()),
    };
    Box::new(move |config| {
        let table = Guard::patient("state table", Table::new(config, table));
        Window::new(table, Guard::patient("RawStream's shards", Stream::new(config, raw)), span)
    })
}
