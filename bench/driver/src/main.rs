//! Job T by the very code of the functions, without the network: `millrace-bench <mode> <in> <out> [<pipeline>]`.
//!
//! | mode | what it does with the batches, one Lambda event a line |
//! | --- | --- |
//! | `envelope`, `parse`, `steps` | takes the envelopes apart; reads the events, too; runs the steps, too |
//! | `steps-lambda` | the same up to the columns; nothing is written |
//! | `lambda` | one hop: all of it to Parquet; a file a batch and partition |
//! | `transform` | the first of the two hops as deployed: to frames as `transform` makes them; nothing is written |
//! | `two-hop` | as deployed: from these frames to files as `lake` does |
//! | `warm` | the same to files in memory, and no id is known to the next batch, so that batches may come again |
//!
//! The pipeline is `bench/pipeline.toml` if no other is named, the key that of the job. Counts stand on stdout, one line
//! of JSON.

use millrace_aws::source::KinesisEvent;
use millrace_core::batch::Batch;
use millrace_core::block::Block;
use millrace_core::decode;
use millrace_core::files;
use millrace_core::frame::Frame;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::record::Record;
use millrace_core::seen::Seen;
use millrace_core::sink::Cut;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_lake::{Frames, Layout, Part, Table};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

// As in the functions.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (mode, input, out, pipeline) = match args.as_slice() {
        [mode, input, out] => (mode, input, out, concat!(env!("CARGO_MANIFEST_DIR"), "/../pipeline.toml")),
        [mode, input, out, pipeline] => (mode, input, out, pipeline.as_str()),
        _ => return Err("usage: millrace-bench <mode> <in> <out> [<pipeline>]".into()),
    };
    let pipeline = Pipeline::compile(&fs::read_to_string(pipeline)?, &files::NONE)?;
    let key: Vec<u8> = (0..32).collect();
    let job = Job { pipeline, key: TokenKey::new("k1", &key)?, out: out.as_ref(), counts: Counts::default() };
    let batches = BufReader::with_capacity(1 << 20, File::open(input)?);
    match mode.as_str() {
        "envelope" => job.one_hop(batches, Until::Envelope),
        "parse" => job.one_hop(batches, Until::Parse),
        "steps" => job.one_hop(batches, Until::Steps),
        "steps-lambda" => job.one_hop(batches, Until::Columns),
        "lambda" => job.one_hop(batches, Until::Files),
        "transform" => job.two_hops(batches, Batch::remembering(), Lands::Nowhere),
        "two-hop" => job.two_hops(batches, Batch::remembering(), Lands::InFiles),
        "warm" => job.two_hops(batches, Batch::default(), Lands::InMemory),
        other => Err(format!("there is no mode `{other}`").into()),
    }
}

/// How far one hop goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Envelope,
    Parse,
    Steps,
    Columns,
    Files,
}

/// What becomes of the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lands {
    Nowhere,
    InMemory,
    InFiles,
}

struct Job<'a> {
    pipeline: Pipeline,
    key: TokenKey,
    out: &'a Path,
    counts: Counts,
}

/// What one hop works with.
struct Work {
    block: Block,
    seen: Seen,
    table: Table,
}

/// The job's counts.
#[derive(Debug, Default)]
struct Counts {
    r#in: usize,
    malformed: usize,
    rejected: usize,
    bots: usize,
    duplicates: usize,
    rows: usize,
}

impl Job<'_> {
    /// Envelope to rows in one process, as a single function would.
    fn one_hop(mut self, mut batches: impl BufRead, until: Until) -> Done {
        let layout = Layout::new(self.pipeline.event(), self.pipeline.lake());
        let (mut line, mut room, mut invocation) = (Vec::new(), Vec::new(), KinesisEvent::default());
        let mut work =
            Work { block: Block::default(), seen: Seen::with_capacity(IDS), table: Table::new(layout) };
        for number in 0.. {
            if !next_line(&mut batches, &mut line)? {
                break;
            }
            invocation.fill(&line)?;
            for record in invocation.records() {
                self.record(&record, until, &mut room, &mut work)?;
            }
            self.settle(until, &mut work)?;
            if until == Until::Files {
                self.write(number, work.table.finish()?)?;
            } else {
                self.counts.rows += work.table.clear();
            }
        }
        self.say();
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>, until: Until, room: &mut Vec<u8>, work: &mut Work) -> Done {
        let plain = decode::inflate(record.data, room).map_err(|why| why.to_string())?;
        for piece in decode::split(plain).map_err(|why| why.to_string())? {
            self.counts.r#in += 1;
            if until == Until::Envelope {
                continue;
            }
            if !work.block.has_room(piece.len()) {
                self.settle(until, work)?;
            }
            work.block.push(record.arrived_at, piece.len(), |event| decode::event(piece, event));
        }
        Ok(())
    }

    /// What becomes of the events of a block.
    fn settle(&mut self, until: Until, work: &mut Work) -> Done {
        let Work { block, seen, table } = work;
        if until <= Until::Parse {
            block.clear();
            return Ok(());
        }
        for (event, outcome) in block.apply(&mut self.pipeline, &self.key) {
            match outcome {
                Outcome::Out if !seen.insert(event.str(&self.pipeline.event().id).unwrap_or_default()) => {
                    self.counts.duplicates += 1;
                }
                Outcome::Out if until == Until::Steps => self.counts.rows += 1,
                Outcome::Out => {
                    table.push(event).map_err(|why| why.to_string())?;
                }
                Outcome::Rejected(why) if why.stage == "decode" => self.counts.malformed += 1,
                Outcome::Filtered(step) if self.pipeline.steps().nth(step) == Some("filter.bots") => {
                    self.counts.bots += 1;
                }
                Outcome::Filtered(_) | Outcome::Rejected(_) => self.counts.rejected += 1,
            }
        }
        Ok(())
    }

    /// As deployed: what `transform` puts into CleanStream is what `lake` gets, five frames an invocation.
    fn two_hops(mut self, mut batches: impl BufRead, mut batch: Batch, lands: Lands) -> Done {
        let mut frames = Frames::new(Layout::new(self.pipeline.event(), self.pipeline.lake()));
        let (mut line, mut invocation) = (Vec::new(), KinesisEvent::default());
        let mut waiting: Vec<Frame> = Vec::new();
        let mut number = 0;
        loop {
            let more = next_line(&mut batches, &mut line)?;
            if more {
                invocation.fill(&line)?;
                if let Some(source) = invocation.source() {
                    batch.begin(&mut self.pipeline, &self.key, source).records(invocation.records());
                    waiting.extend(batch.take_frames());
                    let tally = batch.tally(None);
                    let malformed =
                        batch.take_rejects().iter().filter(|entry| entry.reject.stage == "decode").count();
                    self.counts.r#in += tally.r#in;
                    self.counts.malformed += malformed;
                    self.counts.duplicates += tally.duplicates;
                    self.counts.rejected += tally.filtered + tally.quarantined - malformed;
                    self.counts.rows += if lands == Lands::InFiles { 0 } else { tally.out };
                }
            }
            while lands != Lands::Nowhere
                && (waiting.len() >= FRAMES_A_BATCH || (!more && !waiting.is_empty()))
            {
                let rest = waiting.split_off(waiting.len().min(FRAMES_A_BATCH));
                let rows = frames.rows(waiting.iter().map(|frame| {
                    Cut::whole(Record { sequence: "0", arrived_at: Micros::EPOCH, data: &frame.data })
                }))?;
                if lands == Lands::InFiles {
                    self.write(number, rows.parts)?;
                }
                number += 1;
                waiting = rest;
            }
            if lands == Lands::Nowhere {
                waiting.clear();
            }
            if !more {
                break;
            }
        }
        self.counts.bots = self.bots();
        self.counts.rejected -= self.counts.bots;
        self.say();
        Ok(())
    }

    /// What the step for bots dropped.
    fn bots(&mut self) -> usize {
        let tallies = self.pipeline.take_tallies();
        tallies.iter().filter(|tally| tally.step == "filter.bots").map(|tally| tally.dropped).sum()
    }

    fn write(&mut self, number: usize, parts: Vec<Part>) -> Done {
        for part in parts {
            let dir = self.out.join(part.partition.to_string());
            fs::create_dir_all(&dir)?;
            fs::write(dir.join(format!("{number}.parquet")), &part.body)?;
            self.counts.rows += part.rows;
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the counts are what it prints")]
    fn say(&self) {
        let Counts { r#in, malformed, rejected, bots, duplicates, rows } = self.counts;
        println!(
            r#"{{"in":{in},"malformed":{malformed},"rejected":{rejected},"bots":{bots},"duplicates":{duplicates},"rows":{rows}}}"#
        );
    }
}

/// Reads a line; whether there was one.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    loop {
        let buffer = reader.fill_buf()?;
        let end = memchr::memchr(b'\n', buffer);
        let taken = end.map_or(buffer.len(), |end| end + 1);
        line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        let ended = end.is_some() || buffer.is_empty();
        reader.consume(taken);
        if ended {
            return Ok(!line.is_empty());
        }
    }
}

/// For so many ids there is room from the first batch on, as in a function that is warm.
const IDS: usize = 100_000;

/// How many frames make an invocation of `lake` here: about 6 MB at most, of frames up to 1 MB.
const FRAMES_A_BATCH: usize = 5;
