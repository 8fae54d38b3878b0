//! `millrace explain`: what each step does to each event.
//!
//! It shows what events hold: that is its purpose, for those on whose machine they are already.

use crate::check::compile;
use crate::diff::{self, Change};
use crate::error::Error;
use crate::input::{Input, Piece};
use crate::paint::{self, ADDED, BOLD, DIM, REMOVED, paint};
use crate::run::workers::fits;
use crate::run::{now, read_key};
use crate::say;
use crate::test::public_key;
use indicatif::ProgressBar;
use millrace_core::account::Tally;
use millrace_core::event::{Event, Pattern};
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::quarantine::Reject;
use millrace_core::seen::Seen;
use millrace_core::step::Context;
use millrace_files::Room;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// How many events a person is shown who does not say how many.
const LIMIT: usize = 10;

/// How many lines a person is shown of one step. An event may have ten thousand fields.
const LINES: usize = 40;

/// What comes behind the steps: it makes sure that an event can land.
const ENCODE: &str = "encode";

/// Show what each step does to each event
///
/// For people a page: each field that a step added, changed or removed, what
/// a step looked at that an event did not get past, and in the end what each
/// step did. For programs NDJSON, a line for each event:
/// {"number", "fate", "steps": [{"step", "verdict", "changes": [{"path",
/// "before", "after"}], "read": [{"path", "value"}]}], "event"}, and the
/// page's end on stderr. Nothing is written anywhere else.
///
/// It shows what the events hold, also what the pipeline then anonymizes. It
/// exits with 0 whatever becomes of the events, and with 1 where they, or the
/// pipeline, cannot be read.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The pipeline
    #[arg(long, value_name = "FILE", default_value = "pipeline.toml")]
    pipeline: PathBuf,
    /// The events: CSV, NDJSON, JSON or Parquet, plain, gzip or zstd; `-` is stdin
    #[arg(long = "in", value_name = "FILE|-")]
    input: PathBuf,
    /// How many events to show, from the first; 0 is all [default: 10 as text, all as NDJSON]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The key for tokens, {"id": "k1", "key": "32 bytes or more"} [default: that of `millrace test`]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What to show it as
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text on a terminal, NDJSON in a pipe
    Auto,
    /// For people
    Text,
    /// For programs
    Ndjson,
}

pub(crate) fn explain(args: &Args) -> Result<(), Error> {
    let pipeline = compile(&args.pipeline)?;
    let key = args.key.as_deref().map_or_else(|| Ok(public_key()), read_key)?;
    pipeline.check_key(&key).map_err(|why| Error::Refused(why.to_string()))?;
    let mut input = Input::open(&args.input, &ProgressBar::hidden())?;
    let is_text = match args.format {
        Format::Auto => io::stdout().is_terminal(),
        Format::Text => true,
        Format::Ndjson => false,
    };
    let limit = match args.limit {
        Some(0) => usize::MAX,
        Some(limit) => limit,
        None if is_text => LIMIT,
        None => usize::MAX,
    };
    let cx = Context { key: &key, arrived_at: now() };
    let mut lens = Lens { pipeline, cx, seen: Seen::default(), tally: Tally::default() };
    let mut show = |piece: Piece<'_>| {
        if lens.tally.r#in >= limit {
            return Err(Error::Enough);
        }
        let story = lens.follow(&piece);
        if is_text {
            paint::print(&page(&story))
        } else {
            // Strings and JSON cannot refuse to be written.
            say(&serde_json::to_string(&story).unwrap_or_default())
        }
    };
    let mut is_all = true;
    while let Some(mut chunk) = input.chunk(Room::default())? {
        match chunk.each(&mut show) {
            Ok(()) => {}
            Err(Error::Enough) => {
                is_all = false;
                break;
            }
            Err(why) => return Err(why),
        }
    }
    let mut end = paint::table(&lens.pipeline.take_tallies());
    let Tally { r#in, out, filtered, duplicates, quarantined } = lens.tally;
    let events = if r#in == 1 { "event" } else { "events" };
    let _ = writeln!(
        end,
        "\n{in} {events}: {out} out, {filtered} filtered, {duplicates} duplicates, {quarantined} quarantined"
    );
    if !is_all {
        let _ =
            writeln!(end, "{}", paint(DIM, "There are more: `--limit N` shows so many, `--limit 0` all."));
    }
    if is_text {
        return paint::print(&end);
    }
    paint::warn(&end);
    Ok(())
}

/// What became of one event, and how.
#[derive(Serialize)]
struct Story {
    /// The line that it stood in, or its place in the array.
    number: u64,
    #[serde(flatten)]
    fate: Fate,
    steps: Vec<Chapter>,
    /// How it was in the end; none where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(tag = "fate", rename_all = "lowercase")]
enum Fate {
    Out,
    Filtered { by: &'static str },
    Duplicate,
    Quarantined { by: &'static str, reason: &'static str, detail: Cow<'static, str> },
}

/// What one step did to an event.
#[derive(Serialize)]
struct Chapter {
    step: &'static str,
    verdict: &'static str,
    changes: Vec<Change>,
    /// What it looked at, where the event did not get past it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read: Vec<Read>,
    /// Its place in the file, from 1; none for what comes behind the steps.
    #[serde(skip)]
    place: Option<usize>,
}

/// A field that a step looked at, with its place in arrays; without a value where there was none.
#[derive(Serialize)]
struct Read {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

impl Read {
    /// The fields that these fit, each as it was in the event.
    fn all(event: &Event, patterns: &[Pattern]) -> Vec<Self> {
        let places = patterns.iter().flat_map(|pattern| event.places(pattern));
        places.map(|(path, id)| Self { path, value: id.and_then(|id| diff::json(event, id)) }).collect()
    }
}

/// The pipeline, step by step.
struct Lens<'a> {
    pipeline: Pipeline,
    cx: Context<'a>,
    seen: Seen,
    tally: Tally,
}

impl Lens<'_> {
    fn follow(&mut self, piece: &Piece<'_>) -> Story {
        self.tally.r#in += 1;
        let mut event = Event::default();
        let mut steps = Vec::new();
        let read = piece.read(&mut event);
        let is_read = read.is_ok();
        let outcome = match read {
            Ok(()) => self.steps(&mut event, &mut steps),
            Err(why) => Outcome::Rejected(why),
        };
        let (count, fate) = match outcome {
            Outcome::Out if !self.seen.insert_hash(self.pipeline.event().identity_of(&event)) => {
                (&mut self.tally.duplicates, Fate::Duplicate)
            }
            Outcome::Out => (&mut self.tally.out, Fate::Out),
            Outcome::Filtered(at) => {
                let by = self.pipeline.steps().nth(at).unwrap_or_default();
                (&mut self.tally.filtered, Fate::Filtered { by })
            }
            Outcome::Rejected(Reject { stage, reason, detail }) => {
                (&mut self.tally.quarantined, Fate::Quarantined { by: stage, reason, detail })
            }
        };
        *count += 1;
        let event = if is_read { diff::json(&event, event.root()) } else { None };
        Story { number: piece.number, fate, steps, event }
    }

    fn steps(&mut self, event: &mut Event, chapters: &mut Vec<Chapter>) -> Outcome {
        let names: Vec<_> = self.pipeline.steps().collect();
        let mut before = event.clone();
        for (at, step) in names.into_iter().enumerate() {
            let outcome = self.pipeline.apply_step(at, event, &self.cx);
            let changes = diff::changes(&before, event);
            let mut chapter = Chapter::new(step, Some(at + 1), outcome.as_ref(), changes);
            if outcome.is_some() {
                chapter.read = Read::all(&before, &self.pipeline.reads(at));
            }
            chapters.push(chapter);
            match outcome {
                Some(outcome) => return outcome,
                None => before.clone_from(event),
            }
        }
        let landed = self.pipeline.land(event, &self.cx);
        let outcome = match fits(event) {
            Err(why) if landed == Outcome::Out => Outcome::Rejected(why),
            _ => landed,
        };
        let changes = diff::changes(&before, event);
        chapters.push(Chapter::new(ENCODE, None, Some(&outcome), changes));
        outcome
    }
}

impl Chapter {
    fn new(
        step: &'static str,
        place: Option<usize>,
        outcome: Option<&Outcome>,
        changes: Vec<Change>,
    ) -> Self {
        let verdict = match outcome {
            Some(Outcome::Filtered(_)) => "dropped",
            Some(Outcome::Rejected(_)) => "quarantined",
            None | Some(Outcome::Out) if changes.is_empty() => "unchanged",
            None | Some(Outcome::Out) => "changed",
        };
        Self { step, verdict, changes, read: Vec::new(), place }
    }
}

/// A story for people.
fn page(story: &Story) -> String {
    let fate = match &story.fate {
        Fate::Out => paint(ADDED, "out"),
        Fate::Duplicate => paint(REMOVED, "duplicate") + ": an event before it has the same id",
        Fate::Filtered { by } => format!("{} by {by}", paint(REMOVED, "filtered")),
        Fate::Quarantined { by, reason, detail } => {
            format!("{} by {by}: {reason}: {}", paint(REMOVED, "quarantined"), paint::plain(detail))
        }
    };
    let mut page = format!("{} {fate}\n", paint(BOLD, format!("event {}", story.number)));
    let mut unchanged: Vec<String> = Vec::new();
    for chapter in &story.steps {
        let name = match chapter.place {
            Some(place) => format!("{place} {}", chapter.step),
            None => chapter.step.to_owned(),
        };
        if chapter.verdict == "unchanged" {
            unchanged.push(name);
            continue;
        }
        flush(&mut page, &mut unchanged);
        let verdict = match chapter.verdict {
            "changed" => String::new(),
            verdict => format!("  {}", paint(REMOVED, verdict)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "  {name}{verdict}");
        let changes = chapter.changes.iter().map(paint::change);
        let lines: Vec<_> = changes.chain(chapter.read.iter().map(line)).collect();
        for line in lines.iter().take(LINES) {
            let _ = writeln!(page, "      {line}");
        }
        if let Some(more) = lines.len().checked_sub(LINES + 1) {
            let more = format!("… and {} more, which `--format ndjson` has", more + 1);
            let _ = writeln!(page, "      {}", paint(DIM, more));
        }
    }
    flush(&mut page, &mut unchanged);
    page.push('\n');
    page
}

/// What a step looked at, in a line.
fn line(read: &Read) -> String {
    let path = paint::plain(&read.path);
    match &read.value {
        Some(value) => format!("  {path}  {}", paint::plain(value.get())),
        None => format!("  {path}  {}", paint(DIM, "missing")),
    }
}

/// The steps that changed nothing, in one line.
fn flush(page: &mut String, unchanged: &mut Vec<String>) {
    if !unchanged.is_empty() {
        let _ = writeln!(page, "  {}", paint(DIM, format!("{}: unchanged", unchanged.join(", "))));
        unchanged.clear();
    }
}
