//! `millrace quarantine`: what lies there, and what of it passes now.

mod place;

use crate::check::compile;
use crate::error::Error;
use crate::quarantine::place::Place;
use crate::run::{now, random_key};
use crate::{note, say};
use flate2::{Compression, write::GzEncoder};
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::frame;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::port::{Entry, Invoked};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write as _;
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

/// An entry, as far as it is of interest here.
#[derive(Deserialize)]
struct Line {
    reason: String,
    stage: String,
    function: String,
    source: serde_json::Value,
    at: String,
    encoding: String,
    payload: String,
}

impl Line {
    fn bytes(&self) -> Option<Vec<u8>> {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        match self.encoding.as_str() {
            "utf8" => Some(self.payload.clone().into_bytes()),
            _ => BASE64_STANDARD.decode(&self.payload).ok(),
        }
    }
}

/// An object, line by line, with what is understood of each.
struct Page {
    key: String,
    lines: Vec<(String, Option<Line>)>,
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
    each(&Place::open(&which.place)?, which, |_, line, _| {
        *counts.entry((line.function.clone(), line.stage.clone(), line.reason.clone())).or_default() += 1;
        Ok(())
    })?;
    for ((function, stage, reason), entries) in counts {
        say(&format!("{entries:>8}  {function}  {stage}  {reason}"))?;
    }
    Ok(())
}

fn show(which: &Which) -> Result<(), Error> {
    each(&Place::open(&which.place)?, which, |_, _, text| say(text))
}

/// Goes through the entries that are asked for, each once: a retried batch may have put one into two objects.
fn each(
    place: &Place,
    which: &Which,
    mut take: impl FnMut(&str, &Line, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut met = HashSet::new();
    for key in place.list(which.date.as_deref())? {
        let page = read(place, key)?;
        for (text, line) in &page.lines {
            let Some(line) = line.as_ref().filter(|line| which.wants(line)) else { continue };
            if met.insert(line.identity()) {
                take(&page.key, line, text)?;
            }
        }
    }
    Ok(())
}

impl Which {
    fn wants(&self, line: &Line) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == line.reason)
    }
}

impl Line {
    /// Whether transform may have noted its ids after this moment, and died before it put them.
    fn may_be_known_since(&self, moment: Micros) -> bool {
        self.reason == "function_died" && Micros::read_rfc3339(&self.at).is_some_and(|at| at > moment)
    }

    /// Whether it is a message that `queue` died on, as the event that `queue` got.
    fn is_message(&self) -> bool {
        self.stage == "redrive" && self.source.get("stream").is_some_and(|stream| stream == "inbox")
    }

    /// Whether it is a record of a table's stream as it came: `changes` alone makes an event of it. As an event it would be
    /// another one, with the item's values where no step looks for them.
    fn is_change(&self) -> bool {
        let of_table = |record: &serde_json::Value| {
            let (arn, table) =
                (record.get("eventSourceARN")?.as_str()?, self.source.get("stream")?.as_str()?);
            Some(arn.contains(&format!(":table/{table}/stream/")))
        };
        self.reason == "no_change"
            || serde_json::from_str(&self.payload).is_ok_and(|record| of_table(&record) == Some(true))
    }

    /// What tells it from all others.
    fn identity(&self) -> String {
        format!("{}\0{}\0{}\0{}", self.function, self.stage, self.reason, self.source)
    }
}

fn read(place: &Place, key: String) -> Result<Page, Error> {
    let refused = |why: &str| Error::Refused(format!("{key} in the quarantine {why}"));
    let body = place.read(&key)?;
    let mut room = Vec::new();
    let text = decode::inflate(&body, &mut room).map_err(|_| refused("is no gzip file"))?;
    let text = std::str::from_utf8(text).map_err(|_| refused("is no text"))?;
    let lines = text.lines().map(|line| (line.to_owned(), serde_json::from_str(line).ok())).collect();
    Ok(Page { key, lines })
}

/// Where events go.
struct Target<'a> {
    args: &'a Replay,
}

fn replay(args: &Replay) -> Result<(), Error> {
    let mut pipeline = compile(&args.pipeline)?;
    let key = random_key()?; // whether an event passes does not depend on it
    let place = Place::open(&args.which.place)?;
    let target = Target { args };
    let (mut met, mut sent, mut stays) = (HashSet::new(), 0, 0);
    let (mut homeless_events, mut homeless_frames, mut homeless_messages) = (0, 0, 0);
    let (mut young, mut refused) = (0, 0);
    let forgotten = now().plus_ms(-1_000 * i64::from(args.window));
    for name in place.list(args.which.date.as_deref())? {
        let page = read(&place, name)?;
        let (mut raw, mut clean, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (text, line) in &page.lines {
            let wanted = line.as_ref().filter(|line| args.which.wants(line));
            let Some(passing) = wanted.and_then(|line| passing(line, &mut pipeline, &key)) else {
                stays += usize::from(wanted.is_some());
                left.push(text.as_str());
                continue;
            };
            let is_new = wanted.is_some_and(|line| met.insert(line.identity()));
            match passing {
                // What has no place to go stays, else it would be nowhere.
                Passing::Events(events) if !args.takes_events() => {
                    homeless_events += if is_new { events.len() } else { 0 };
                    left.push(text.as_str());
                }
                Passing::Events(events) if wanted.is_some_and(|line| line.may_be_known_since(forgotten)) => {
                    young += if is_new { events.len() } else { 0 };
                    left.push(text.as_str());
                }
                Passing::Frame(_) if args.clean_stream.is_none() => {
                    homeless_frames += usize::from(is_new);
                    left.push(text.as_str());
                }
                Passing::Message(_) if args.queue_function.is_none() => {
                    homeless_messages += usize::from(is_new);
                    left.push(text.as_str());
                }
                // It is in an earlier object too, and went out from there.
                _ if !is_new => {}
                Passing::Events(events) => raw.extend(events),
                Passing::Frame(entry) => clean.push(entry),
                Passing::Message(event) => {
                    if target.takes(event)? {
                        sent += 1;
                    } else {
                        refused += 1;
                        left.push(text.as_str());
                    }
                }
            }
        }
        if left.len() == page.lines.len() {
            continue;
        }
        sent += raw.len() + clean.len();
        target.send(raw, clean)?;
        if left.is_empty() { place.delete(&page.key)? } else { place.write(&page.key, gzip(&left))? }
    }
    if homeless_events + homeless_frames + homeless_messages > 0 && sent == 0 {
        note("nothing was sent");
    }
    if homeless_events > 0 {
        note("events stay: `--stream NAME` or `--out FILE` says where to");
    }
    if young > 0 {
        note(&format!(
            "{young} events stay: their ids may be known still, and a resend would count as a duplicate"
        ));
    }
    if homeless_frames > 0 {
        note("frames stay: `--clean-stream NAME` says where to");
    }
    if homeless_messages > 0 {
        note("messages stay: `--queue-function NAME` says which function takes them");
    }
    if refused > 0 {
        note(&format!("{refused} messages stay: their function fails or dies of them; its log says why"));
    }
    let passing = homeless_events + homeless_frames + homeless_messages + young + refused + sent;
    say(&serde_json::json!({"passing": passing, "sent": sent, "left": stays}).to_string())
}

impl Replay {
    /// Whether there is a place for events.
    fn takes_events(&self) -> bool {
        self.out.is_some() || self.stream.is_some()
    }
}

fn gzip(lines: &[&str]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        // Memory does not refuse.
        let _ = encoder.write_all(line.as_bytes()).and_then(|()| encoder.write_all(b"\n"));
    }
    encoder.finish().unwrap_or_default()
}

/// What an entry is worth now.
enum Passing {
    /// Events for RawStream.
    Events(Vec<Entry>),
    /// A frame for CleanStream.
    Frame(Entry),
    /// An event for the function `queue`.
    Message(String),
}

/// What of an entry passes now: all of it, or it stays. Of a record with too many bad events the good ones went on.
fn passing(line: &Line, pipeline: &mut Pipeline, key: &TokenKey) -> Option<Passing> {
    // What lake refused went through the steps: it would get tokens of tokens, and its id is known.
    let is_as_it_came = line.reason != "too_many_bad" && line.stage != "lake" && !line.is_change();
    let payload = line.bytes().filter(|payload| !payload.is_empty() && is_as_it_came)?;
    if line.is_message() {
        return Some(Passing::Message(String::from_utf8(payload).ok()?));
    }
    if let Ok((header, _)) = frame::header(&payload) {
        return Some(Passing::Frame(Entry { partition_key: header.lane, data: payload }));
    }
    let arrived_at = Micros::read_rfc3339(&line.at)?;
    let mut room = Vec::new();
    let payloads = decode::unpack(&payload, &mut room).ok()?;
    let mut events = Vec::new();
    let mut event = Event::default();
    for payload in payloads {
        for piece in payload.pieces.ok()? {
            decode::event(piece, &mut event).ok()?;
            let partition_key = pipeline.event().partition_key_of(&event);
            if let Outcome::Rejected(_) = pipeline.apply(&mut event, &Context { key, arrived_at }) {
                return None;
            }
            events.push(Entry { partition_key, data: piece.to_vec() });
        }
    }
    (!events.is_empty()).then_some(Passing::Events(events))
}

impl Target<'_> {
    fn send(&self, raw: Vec<Entry>, clean: Vec<Entry>) -> Result<(), Error> {
        if let Some(path) = &self.args.out {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(Error::io("cannot write", path))?;
            for entry in &raw {
                let line = [entry.data.as_slice(), b"\n"].concat();
                file.write_all(&line).map_err(Error::io("cannot write", path))?;
            }
            file.sync_all().map_err(Error::io("cannot write", path))?;
        }
        for (stream, entries) in [(&self.args.stream, raw), (&self.args.clean_stream, clean)] {
            if let Some(stream) = stream.as_ref().filter(|_| !entries.is_empty()) {
                crate::cloud::publish(stream, entries)?;
            }
        }
        Ok(())
    }

    /// Whether the function takes a message. One that it still dies of keeps none of the others back.
    fn takes(&self, event: String) -> Result<bool, Error> {
        let Some(function) = &self.args.queue_function else { return Ok(false) };
        let Invoked::Answered(answer) = crate::cloud::invoke(function, event)? else { return Ok(false) };
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        Ok(answer.get("batchItemFailures") == Some(&serde_json::json!([])))
    }
}
