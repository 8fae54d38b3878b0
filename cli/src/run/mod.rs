//! `millrace run`: the pipeline on files. The steps, the quarantine and the Parquet are those of the functions.

mod output;
pub(crate) mod workers;

use crate::check::compile;
use crate::error::Error;
use crate::input::{Input, progress};
use crate::run::output::{Output, Quarantine};
use crate::{note, paint, say};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_lake::Layout;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
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
    /// The events: CSV, NDJSON, JSON or Parquet, plain, gzip or zstd; `-` is stdin
    #[arg(long = "in", value_name = "FILE|-")]
    input: PathBuf,
    /// The directory for what comes out, made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to write the events as
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    format: Format,
    /// How many threads work on it [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
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

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let pipeline = compile(&args.pipeline)?;
    let layout = Layout::new(pipeline.event(), pipeline.lake());
    let key = args.key.as_deref().map_or_else(random_key, read_key)?;
    pipeline.check_key(&key).map_err(|why| Error::Refused(why.to_string()))?;
    let progress = progress();
    let input = Input::open(&args.input, &progress)?;
    let output = Output::begin(&args.out, args.format, layout)?;
    let quarantine = Quarantine::new(&args.out, input.name());
    if args.key.is_none() {
        note(
            "the tokens of this run have a random key, and what it encrypts nobody can read: `--key FILE` gives one that lasts",
        );
    }

    let threads = args.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut pipelines = vec![pipeline];
    for _ in 1..threads {
        pipelines.push(compile(&args.pipeline)?); // each has caches of its own
    }
    let counts =
        workers::run(pipelines, &Context { key: &key, arrived_at: now() }, input, output, quarantine)?;
    progress.finish_and_clear();
    if std::io::stderr().is_terminal() {
        paint::warn(&paint::table(&counts.steps));
    }
    // A struct of numbers cannot refuse.
    say(&serde_json::to_string(&counts).unwrap_or_default())
}

pub(crate) fn read_key(path: &Path) -> Result<TokenKey, Error> {
    let secret = Error::read("cannot read the key", path)?;
    TokenKey::parse(&secret)
        .map_err(|why| Error::Refused(format!("the key in `{}` is no key: {why}", path.display())))
}

/// A key that nobody knows: from the operating system, as it has to be as good as one that lasts.
pub(crate) fn random_key() -> Result<TokenKey, Error> {
    let bytes: [u8; 64] = random()?;
    let (token, encryption) = bytes.split_at(32);
    let key = TokenKey::new("run", token).and_then(|key| key.with_encryption(encryption));
    key.map_err(|why| Error::Refused(why.to_string()))
}

/// What nobody can guess, from the operating system.
pub(crate) fn random<const BYTES: usize>() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    let place = || "from /dev/urandom".to_owned();
    read.map_err(|source| Error::Io { tried: "cannot make a random key", place: place(), source })?;
    Ok(bytes)
}

pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Micros::new).unwrap_or(Micros::EPOCH)
}
