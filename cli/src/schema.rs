//! `millrace schema`: the JSON Schema of `pipeline.toml`.

use crate::error::Error;
use crate::say;
use millrace_core::pipeline;

/// Print the JSON Schema of pipeline.toml, for editors
///
/// With pipeline.schema.json beside a pipeline whose first line is
/// `#:schema ./pipeline.schema.json`, editors that know taplo (Even Better TOML)
/// complete and check it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn schema(_args: &Args) -> Result<(), Error> {
    // A value of JSON cannot refuse to be written.
    say(&serde_json::to_string_pretty(&pipeline::schema()).unwrap_or_default())
}
