//! Makes the input of job T: lines of JSON, and the same lines as Lambda gets them from a Kinesis stream.
//!
//! The same seed makes the same bytes. `bench/README.md` says what is in them, and what is not.

mod agents;
mod event;
mod lambda;
mod words;

use event::{Flaw, Visitor};
use fastrand::Rng;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// 2026-11-18T06:00:00Z. The events spread over the six hours from then.
const START_MS: i64 = 1_794_981_600_000;
const SPAN_MS: u64 = 6 * 3_600_000;

/// How many visitors are in the shop at a time.
const VISITORS: usize = 2000;

/// An event is sent again within so many lines.
const RESENT_WITHIN: usize = 10_000;

/// Of 1000 lines so many are sent again, malformed, incomplete, without a time that can be read, from bots, and late.
const RESENT: u32 = 20;
const MALFORMED: u32 = 4;
const INCOMPLETE: u32 = 4;
const TIMELESS: u32 = 3;
const BOTS: u32 = 40;
const LATE: u32 = 20;

/// What is late is late by up to two hours.
const LATE_MS: i64 = 2 * 3_600_000;

struct Args {
    events: u64,
    seed: u64,
    ndjson: String,
    lambda: String,
}

fn main() -> ExitCode {
    let done = args().and_then(|args| generate(&args).map_err(|why| why.to_string()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn args() -> Result<Args, String> {
    let usage = "bench-generator EVENTS SEED FILE.ndjson FILE.lambda";
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or(usage);
    let number = |text: String| text.parse().map_err(|_| format!("{text} is no number; {usage}"));
    Ok(Args { events: number(next()?)?, seed: number(next()?)?, ndjson: next()?, lambda: next()? })
}

fn generate(args: &Args) -> io::Result<()> {
    let mut rng = Rng::with_seed(args.seed);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&args.ndjson)?);
    let mut batches = lambda::Batches::new(BufWriter::new(File::create(&args.lambda)?));
    let users = (args.events / 20).max(1000);
    let mut visitors: Vec<Visitor> = (0..VISITORS).map(|_| Visitor::arrives(&mut rng, users)).collect();
    let mut recent = VecDeque::new();
    for number in 0..args.events {
        let since_ms = (number * SPAN_MS / args.events).cast_signed();
        let line = next(&mut rng, users, since_ms, &mut visitors, &mut recent);
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        batches.push(&line, rng.u128(..), START_MS + since_ms + rng.i64(20..400))?;
    }
    out.flush()?;
    batches.flush()
}

/// The line that arrives so long after the start.
fn next(
    rng: &mut Rng,
    users: u64,
    since_ms: i64,
    visitors: &mut [Visitor],
    recent: &mut VecDeque<String>,
) -> String {
    let place = rng.usize(..VISITORS);
    if rng.u32(..12) == 0 {
        visitors[place] = Visitor::arrives(rng, users);
    }
    let kind = rng.u32(..1000);
    if kind < RESENT && !recent.is_empty() {
        let first = rng.usize(..recent.len());
        return again(rng, &recent[first]);
    }
    let (malformed_at, incomplete_at, timeless_at) =
        (RESENT, RESENT + MALFORMED, RESENT + MALFORMED + INCOMPLETE);
    let flaw = if (incomplete_at..timeless_at).contains(&kind) {
        Some(Flaw::Required)
    } else if (timeless_at..timeless_at + TIMELESS).contains(&kind) {
        Some(Flaw::Time)
    } else {
        None
    };
    let late_max = if rng.u32(..1000) < LATE { LATE_MS } else { 3000 };
    let at_ms = START_MS + (since_ms - rng.i64(0..late_max)).max(0);
    let at_ns = at_ms * 1_000_000 + rng.i64(0..1_000_000);
    let bot = (rng.u32(..1000) < BOTS).then(|| Visitor::bot(rng, users));
    let visitor = bot.as_ref().unwrap_or(&visitors[place]);
    let line = event::line(rng, visitor, at_ns, START_MS + since_ms, flaw);
    if (malformed_at..incomplete_at).contains(&kind) {
        return malformed(rng, &line);
    }
    if recent.len() == RESENT_WITHIN {
        recent.pop_front();
    }
    recent.push_back(line.clone());
    line
}

/// The same id once more. Some are not the same otherwise, so that it shows which one is kept, and on what grounds.
fn again(rng: &mut Rng, line: &str) -> String {
    match rng.u32(..10) {
        0..5 => line.into(),
        5..8 => line.replacen("\"sessionId\":\"", "\"sessionId\":\"again-", 1),
        8 => line.replacen("\"userAgent\":\"", "\"userAgent\":\"curl/8.14.1 ", 1),
        _ => line.replacen("\"userAgent\":\"", "\"agent\":\"", 1),
    }
}

fn malformed(rng: &mut Rng, line: &str) -> String {
    // No arrays: in a record of its own an array is the events in it, to those who take arrays.
    match rng.u32(..3) {
        0..2 => {
            let mut end = rng.usize(line.len() / 4..line.len());
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line[..end].into()
        }
        _ => agents::pick(rng, words::NO_OBJECTS).into(),
    }
}
