//! `millrace redrive`: hand dead letters to their functions again, now.

use crate::error::Error;
use crate::{cloud, say};
use millrace_core::port::Invoked;

/// Hand dead letters to their functions again, now
///
/// Calls the stack's function `redrive` (the output `RedriveFunction`), which
/// also runs on a schedule, and prints its counts. Wants a build with
/// `--features aws`, and credentials as `millrace quarantine` does.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct Args {
    /// The name of the function
    #[arg(long, value_name = "NAME")]
    function: String,
    /// Only tell what is there
    #[arg(long, group = "what")]
    dry_run: bool,
    /// Do it
    #[arg(long, group = "what")]
    run: bool,
}

pub(crate) fn redrive(args: &Args) -> Result<(), Error> {
    let order = serde_json::json!({"dryRun": args.dry_run && !args.run});
    match cloud::invoke(&args.function, order.to_string())? {
        Invoked::Answered(answer) => say(&answer),
        Invoked::Died => {
            Err(Error::Refused(format!("the function {} died; its log says why", args.function)))
        }
    }
}
