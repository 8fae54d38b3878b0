//! `millrace run`: the pipeline on files. The steps, the quarantine and the Parquet are those of the functions.

mod input;
mod output;

use crate::check::compile;
use crate::error::Error;
use crate::run::input::{Input, Piece};
use crate::run::output::{Output, Quarantine, Written};
use crate::{note, say};
use indicatif::{ProgressBar, ProgressStyle};
use millrace_core::account::Tally;
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::frame::EVENT_MAX;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::seen::Seen;
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_lake::Layout;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Run a pipeline on a file
///
/// The events that pass go to the output directory, as Parquet like that of the
/// lake or as NDJSON; the bad ones go, whole and with the reason, to
/// quarantine.ndjson.gz there. The counts stand on stdout, one line of JSON.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The pipeline to run
    #[arg(long, value_name = "FILE", default_value = "pipeline.toml")]
    pipeline: PathBuf,
    /// The events: NDJSON, one JSON object or a JSON array, plain or gzip; `-` is stdin
    #[arg(long = "in", value_name = "FILE|-")]
    input: PathBuf,
    /// The directory for what comes out, made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to write the events as
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    format: Format,
    /// The key for tokens, {"id": "k1", "key": "32 bytes or more"} [default: a random one]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    /// Parquet files, a directory for each hour of the events' own time
    Parquet,
    /// One plain file, a line of JSON for each event
    Ndjson,
}

/// What stands on stdout.
#[derive(Serialize)]
struct Counts {
    #[serde(flatten)]
    tally: Tally,
    #[serde(flatten)]
    written: Written,
}

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut pipeline = compile(&args.pipeline)?;
    let layout = Layout::new(pipeline.event(), pipeline.lake());
    let key = args.key.as_deref().map_or_else(random_key, read_key)?;
    pipeline.check_key(&key).map_err(|why| Error::Refused(why.to_string()))?;
    let progress = progress();
    let input = Input::open(&args.input, &progress)?;
    let output = Output::begin(&args.out, args.format, &layout)?;
    let quarantine = Quarantine::new(&args.out, input.name());
    if args.key.is_none() {
        note("the tokens of this run have a random key, and what it encrypts nobody can read: `--key FILE` gives one that lasts");
    }

    let cx = Context { key: &key, arrived_at: now() };
    let (event, seen, tally) = (Event::default(), Seen::default(), Tally::default());
    let mut run = Run { pipeline: &mut pipeline, cx, event, seen, output, quarantine, tally };
    input.each(|piece| run.take(&piece))?;
    let counts = run.finish()?;
    progress.finish_and_clear();
    // A struct of numbers cannot refuse.
    say(&serde_json::to_string(&counts).unwrap_or_default())
}

struct Run<'a> {
    pipeline: &'a mut Pipeline,
    cx: Context<'a>,
    event: Event,
    seen: Seen,
    output: Output<'a>,
    quarantine: Quarantine,
    tally: Tally,
}

impl Run<'_> {
    fn take(&mut self, piece: &Piece<'_>) -> Result<(), Error> {
        self.tally.r#in += 1;
        let fate = match piece.read(&mut self.event) {
            Ok(()) => self.pipeline.apply(&mut self.event, &self.cx),
            Err(why) => Outcome::Rejected(why),
        };
        let rejected = match fate {
            Outcome::Filtered(_step) => {
                self.tally.filtered += 1;
                return Ok(());
            }
            Outcome::Out if !self.seen.insert(self.event.str(&self.pipeline.event().id).unwrap_or_default()) => {
                self.tally.duplicates += 1;
                return Ok(());
            }
            Outcome::Out => match fits(&self.event, piece.bytes.len()) {
                Ok(()) => self.output.push(&mut self.event, piece.bytes.len())?,
                Err(why) => Err(why),
            },
            Outcome::Rejected(why) => Err(why),
        };
        match rejected {
            Ok(()) => self.tally.out += 1,
            Err(reject) => {
                self.tally.quarantined += 1;
                let sequence = piece.number.to_string().into();
                let payload = piece.bytes.to_vec();
                self.quarantine.push(Entry { reject, sequence, at: self.cx.arrived_at, payload })?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Counts, Error> {
        debug_assert!(self.tally.balances(), "every event ends in exactly one place");
        let written = self.output.finish()? + self.quarantine.finish()?;
        Ok(Counts { tally: self.tally, written })
    }
}

impl Piece<'_> {
    fn read(&self, event: &mut Event) -> Result<(), Reject> {
        match &self.flaw {
            Some(flaw) => Err(flaw.clone()),
            None => decode::event(self.bytes, event),
        }
    }
}

/// Refuses what would not fit a frame of the clean stream. The steps do not make an event four times as large, so only
/// those that came large are measured.
fn fits(event: &Event, bytes_in: usize) -> Result<(), Reject> {
    if bytes_in > EVENT_MAX / 4 && event.to_string().len() > EVENT_MAX {
        let detail = format!("the event has more than {EVENT_MAX} bytes");
        return Err(Reject::new("encode", "too_large", detail));
    }
    Ok(())
}

fn read_key(path: &Path) -> Result<TokenKey, Error> {
    let secret = fs::read_to_string(path).map_err(Error::io("cannot read the key", path))?;
    TokenKey::parse(&secret)
        .map_err(|why| Error::Refused(format!("the key in `{}` is no key: {why}", path.display())))
}

/// A key that nobody knows: from the operating system, as it has to be as good as one that lasts.
fn random_key() -> Result<TokenKey, Error> {
    let mut bytes = [0; 64];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).map_err(|source| {
        let place = "from /dev/urandom: give one with `--key FILE`".to_owned();
        Error::Io { tried: "cannot make a random key", place, source }
    })?;
    let (token, encryption) = bytes.split_at(32);
    let key = TokenKey::new("run", token).and_then(|key| key.with_encryption(encryption));
    key.map_err(|why| Error::Refused(why.to_string()))
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Micros::new).unwrap_or(Micros::EPOCH)
}

/// A bar on stderr, which shows only where stderr is a terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::no_length();
    style(&bar, "{spinner} {bytes} read, {bytes_per_sec}");
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
}
