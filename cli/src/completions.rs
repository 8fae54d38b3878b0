//! `millrace completions`: what a shell needs to complete this command.

use crate::Cli;
use crate::error::Error;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Print a script that lets a shell complete this command
///
/// bash:  millrace completions bash > ~/.local/share/bash-completion/completions/millrace
/// zsh:   millrace completions zsh > a directory of $fpath, as _millrace
/// fish:  millrace completions fish > ~/.config/fish/completions/millrace.fish
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "millrace", &mut script);
    std::io::stdout().write_all(&script).map_err(Error::stdout)
}
