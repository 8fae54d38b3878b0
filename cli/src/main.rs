//! The command `millrace`: the pipeline on your own machine, with the core that runs on AWS.

mod check;
mod cloud;
mod completions;
mod decrypt;
mod diff;
mod error;
mod explain;
mod generate;
mod input;
mod keys;
mod paint;
mod quarantine;
mod redrive;
mod run;
mod schema;
mod test;

use crate::error::Error;
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// Check and test a pipeline, see what it does to your events, make events to try it with.
///
/// What runs here is the very code that the functions run on AWS. A command exits with 0 where it did what it was to do,
/// with 1 where something is wrong, and with 2 where the command line is.
#[derive(Parser)]
#[command(name = "millrace", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Test(test::Args),
    Explain(explain::Args),
    Run(run::Args),
    Decrypt(decrypt::Args),
    Quarantine(quarantine::Args),
    Redrive(redrive::Args),
    Keys(keys::Args),
    Generate(generate::Args),
    Schema(schema::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(args) => check::check(&args),
        Command::Test(args) => test::test(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Run(args) => run::run(&args),
        Command::Decrypt(args) => decrypt::decrypt(&args),
        Command::Quarantine(args) => quarantine::quarantine(&args),
        Command::Redrive(args) => redrive::redrive(&args),
        Command::Keys(args) => keys::keys(&args),
        Command::Generate(args) => generate::generate(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Completions(args) => completions::completions(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads our output has seen enough, as in `millrace generate | head`.
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // Where even stderr is closed there is nobody to tell.
            let _ = write!(std::io::stderr(), "{}", error.page());
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to stdout.
fn say(line: &str) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{line}").map_err(Error::stdout)
}

/// Writes a page of warnings to stderr.
fn warn(page: &str) {
    let _ = write!(std::io::stderr(), "{page}");
}

/// Writes a note to stderr, for people only.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "note: {line}");
}
