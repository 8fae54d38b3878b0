//! The world around a pipeline, from the environment.

use crate::clients;
use crate::clock::SystemClock;
use crate::kinesis::Stream;
use crate::s3::Bucket;
use crate::secrets;
use crate::settings::{Env, FILES, PIPELINE};
use lambda_runtime::Error;
use millrace_core::batch::Batch;
use millrace_core::pipeline::Pipeline;
use millrace_core::transformer::Transformer;

/// Reads `CLEAN_STREAM`, `QUARANTINE_BUCKET` and `TOKEN_KEY_SECRET`, and fetches the key from the secret.
pub async fn from_env<F: Fn(&str) -> Option<String>>(
    function: &'static str,
    mut env: Env<F>,
) -> Result<Transformer<Stream, Bucket, SystemClock>, Error> {
    let (clean, quarantine) = (env.text("CLEAN_STREAM"), env.text("QUARANTINE_BUCKET"));
    let secret = env.text("TOKEN_KEY_SECRET");
    let config = clients::config(&mut env);
    env.check()?;
    let pipeline = Pipeline::compile(PIPELINE, &FILES)?;
    let key = secrets::token_key(&config, &secret).await?;
    pipeline.check_key(&key)?;
    let (clean, quarantine) = (Stream::new(&config, clean), Bucket::new(&config, quarantine));
    Ok(Transformer {
        function,
        clean,
        quarantine,
        clock: SystemClock,
        pipeline,
        key,
        batch: Batch::default(),
    })
}
