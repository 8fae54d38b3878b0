//! `millrace quarantine`: what lies there, and what of it passes now.

mod place;
mod target;

use crate::check::compile;
use crate::cloud::{self, Clock};
use crate::error::Error;
use crate::quarantine::place::Place;
use crate::quarantine::target::Target;
use crate::run::random_key;
use crate::{note, say};
use millrace_core::guard::Guard;
use millrace_core::quarantine::read::{self, Line};
use millrace_core::quarantine::replay;
use millrace_core::retry::Policy;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

/// Look into the quarantine, and send again what passes now
///
/// The quarantine is a directory with its objects, or `s3://bucket`, where
/// this command was built with `--features aws`. Region and credentials come
/// from the environment, as `aws configure export-credentials --format env`
/// gives them.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Count the entries by function, stage and reason
    Ls(Which),
    /// Print the entries as they are, a line of JSON each: personal data shows
    Show(Which),
    /// Send the events that pass now to a stream or a file, and take them out
    Replay(Replay),
}

#[derive(clap::Args)]
struct Which {
    /// The quarantine
    #[arg(value_name = "DIR|s3://BUCKET")]
    place: String,
    /// Only what came on this day, 2026-11-20
    #[arg(long)]
    date: Option<String>,
    /// Only what is bad for this reason
    #[arg(long)]
    reason: Option<String>,
}

/// What has no place to go stays: events without `--out` or `--stream`, frames without `--clean-stream`, messages without
/// `--queue-function`. Without any of them it only tells what would be sent.
#[derive(clap::Args)]
struct Replay {
    #[command(flatten)]
    which: Which,
    /// The pipeline, as it is deployed now
    #[arg(long, value_name = "FILE", default_value = "pipeline.toml")]
    pipeline: PathBuf,
    /// The file to append the events to, a line each
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    out: Option<PathBuf>,
    /// The name of RawStream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// For how long transform knows ids, `DedupeWindowSeconds`: an event that
    /// killed it stays as long, for its id may be known though it never went out
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, verbatim_doc_comment)]
    window: u32,
    /// The name of CleanStream, for frames that a sink died on
    #[arg(long, value_name = "NAME")]
    clean_stream: Option<String>,
    /// The name of the function `queue`, for messages that it died on
    #[arg(long, value_name = "NAME")]
    queue_function: Option<String>,
}

pub(crate) fn quarantine(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Ls(which) => ls(which),
        Command::Show(which) => show(which),
        Command::Replay(replay) => self::replay(replay),
    }
}

fn ls(which: &Which) -> Result<(), Error> {
    let mut counts: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    each(which, |line, _| {
        *counts.entry((line.function.clone(), line.stage.clone(), line.reason.clone())).or_default() += 1;
        Ok(())
    })?;
    for ((function, stage, reason), entries) in counts {
        say(&format!("{entries:>8}  {function}  {stage}  {reason}"))?;
    }
    Ok(())
}

fn show(which: &Which) -> Result<(), Error> {
    each(which, |_, text| say(text))
}

/// Goes through the entries that are asked for, each once: a retried batch may have put one into two objects.
fn each(which: &Which, mut take: impl FnMut(&Line, &str) -> Result<(), Error>) -> Result<(), Error> {
    let quarantine = which.open()?;
    let which = which.wanted();
    let mut met = HashSet::new();
    cloud::run(async {
        for key in read::keys(&quarantine, &which, &Clock).await? {
            let Some(page) = read::page(&quarantine, &key, &Clock).await? else { continue };
            for (text, line) in &page.lines {
                let Some(line) = line.as_ref().filter(|line| which.wants(line)) else { continue };
                if met.insert(identity(line)) {
                    take(line, text)?;
                }
            }
        }
        Ok(())
    })
}

/// What tells an entry from all others.
fn identity(line: &Line) -> String {
    format!("{}\0{}\0{}\0{}", line.function, line.stage, line.reason, line.source)
}

impl Which {
    fn open(&self) -> Result<Guard<Place>, Error> {
        Ok(Guard::patient("the quarantine", Place::open(&self.place)?))
    }

    fn wanted(&self) -> read::Which {
        read::Which { date: self.date.clone(), reason: self.reason.clone() }
    }
}

fn replay(args: &Replay) -> Result<(), Error> {
    let mut pipeline = compile(&args.pipeline)?;
    let key = random_key()?; // whether an event passes does not depend on it
    let stream = |name: &String| Target::stream(name.as_str());
    let raw = match (&args.out, &args.stream) {
        (Some(file), _) => Some(Target::File(file.clone())),
        (None, name) => name.as_ref().map(stream).transpose()?,
    };
    let guarded = |target| Guard::patient("the stream", target);
    let queue = args.queue_function.as_ref().map(|name| {
        let functions = cloud::lambda()?;
        Ok::<_, Error>((Guard::new("the function", functions, Policy::BRIEF), name.clone()))
    });
    let replay = replay::Replay {
        quarantine: args.which.open()?,
        raw: raw.map(guarded),
        clean: args.clean_stream.as_ref().map(stream).transpose()?.map(guarded),
        queue: queue.transpose()?,
        clock: Clock,
        window_s: args.window,
    };
    let run = async { Ok(replay.run(&args.which.wanted(), &mut pipeline, &key).await?) };
    tell(&cloud::run(run)?)
}

/// Tells what became of the entries, and what the others want.
fn tell(tally: &replay::Tally) -> Result<(), Error> {
    let replay::Tally { sent, left, young, refused, .. } = *tally;
    let (events, frames, messages) = (tally.homeless_events, tally.homeless_frames, tally.homeless_messages);
    if events + frames + messages > 0 && sent == 0 {
        note("nothing was sent");
    }
    if events > 0 {
        note("events stay: `--stream NAME` or `--out FILE` says where to");
    }
    if young > 0 {
        note(&format!(
            "{young} events stay: their ids may be known still, and a resend would count as a duplicate"
        ));
    }
    if frames > 0 {
        note("frames stay: `--clean-stream NAME` says where to");
    }
    if messages > 0 {
        note("messages stay: `--queue-function NAME` says which function takes them");
    }
    if refused > 0 {
        note(&format!("{refused} messages stay: their function fails or dies of them; its log says why"));
    }
    say(&serde_json::json!({"passing": tally.passing(), "sent": sent, "left": left}).to_string())
}
