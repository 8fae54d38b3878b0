//! The work on a file, shared out among threads, with a result that does not depend on which of them is faster.
//!
//! The file is cut into chunks, and the workers get them in turn: chunk after chunk, worker after worker. What must be in
//! order is settled chunk by chunk: whether an id was seen before, the quarantine, and NDJSON. Nobody waits for that. A
//! worker hands in what became of its chunk, and whoever hands in the chunk whose turn it is settles those that waited for
//! it, too. A row that turns out to be a duplicate is taken back before its part is written. Nor does a worker that is
//! held up stop the others at once: they read its chunks for it and go on, as far ahead as memory allows.

use super::output::{Kept, Output, Quarantine, Sheet, Written};
use crate::error::Error;
use crate::input::{Input, Piece};
use millrace_core::account::{StepTally, Tally};
use millrace_core::block::{BLOCK_EVENTS, Block};
use millrace_core::event::Event;
use millrace_core::frame::EVENT_MAX;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::seen::Seen;
use millrace_core::step::Context;
use millrace_files::{Chunk, Room};
use millrace_lake::Row;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What stands on stdout.
#[derive(Serialize)]
pub(super) struct Counts {
    #[serde(flatten)]
    tally: Tally,
    #[serde(flatten)]
    written: Written,
    pub(super) steps: Vec<StepTally>,
}

/// Runs the pipelines, one a thread, on what is read.
pub(super) fn run(
    pipelines: Vec<Pipeline>,
    cx: &Context<'_>,
    input: Input,
    output: Output,
    quarantine: Quarantine,
) -> Result<Counts, Error> {
    let workers = pipelines.len();
    let sheets: Vec<_> = (0..workers).map(|worker| output.sheet(worker, workers)).collect();
    let ahead_max = AHEAD * workers;
    let source = Source {
        state: Mutex::new(Reading {
            input,
            next: 0,
            ahead: HashMap::new(),
            rooms: Vec::new(),
            is_over: false,
        }),
        moved: Condvar::new(),
        ahead_max,
    };
    let line = Line {
        state: Mutex::new(InOrder {
            turn: 0,
            lots: HashMap::new(),
            is_broken: false,
            seen: Seen::default(),
            duplicates: 0,
            taken_back: (0..workers).map(|_| Vec::new()).collect(),
            output,
            quarantine,
        }),
        moved: Condvar::new(),
        ahead_max,
    };
    let done = thread::scope(|scope| {
        let mut running = Vec::new();
        for (place, (pipeline, sheet)) in pipelines.into_iter().zip(sheets).enumerate() {
            let worker = Worker {
                place,
                pipeline,
                cx: *cx,
                line: &line,
                block: Block::default(),
                lot: Lot::default(),
                sheet,
                tally: Tally::default(),
            };
            let source = &source;
            running.push(scope.spawn(move || worker.run(source, (place..).step_by(workers))));
        }
        let mut done = Vec::new();
        for worker in running {
            match worker.join() {
                Ok(result) => done.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done.into_iter().collect::<Result<Vec<_>, _>>()
    })?;

    let InOrder { duplicates, output, quarantine, .. } =
        line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut counts = Counts {
        tally: Tally::default(),
        written: output.finish()? + quarantine.finish()?,
        steps: Vec::new(),
    };
    for (tally, written, steps) in done {
        counts.tally = counts.tally + tally;
        counts.written = counts.written + written;
        StepTally::add_all(&mut counts.steps, steps);
    }
    counts.tally.duplicates += duplicates;
    counts.tally.out -= duplicates;
    debug_assert!(counts.tally.balances(), "every event ends in exactly one place");
    Ok(counts)
}

/// How many chunks, for each worker, the fastest is ahead of the slowest at most.
const AHEAD: usize = 4;

/// The input. Who works on a chunk reads it, as a rule, and has it in the cache of its core.
struct Source {
    state: Mutex<Reading>,
    moved: Condvar,
    ahead_max: usize,
}

struct Reading {
    input: Input,
    /// The number of the chunk that is read next.
    next: usize,
    /// What was read for a worker that has not come for it yet.
    ahead: HashMap<usize, Chunk>,
    /// The memory of chunks that are done.
    rooms: Vec<Room>,
    /// Whether there is no more, or nobody wants it.
    is_over: bool,
}

impl Source {
    /// The chunk of this number; none where there is none. Those before it that nobody came for are read, too.
    fn chunk(&self, number: usize) -> Result<Option<Chunk>, Error> {
        let mut reading = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(chunk) = reading.ahead.remove(&number) {
                self.moved.notify_all();
                return Ok(Some(chunk));
            }
            if reading.is_over {
                return Ok(None);
            }
            if reading.ahead.len() >= self.ahead_max {
                reading = self.moved.wait(reading).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let room = reading.rooms.pop().unwrap_or_default();
            match reading.input.chunk(room) {
                Ok(Some(chunk)) => {
                    let read = reading.next;
                    reading.next += 1;
                    reading.ahead.insert(read, chunk);
                }
                Ok(None) => {
                    reading.is_over = true;
                    self.moved.notify_all();
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Takes back the memory of a chunk.
    fn take_room(&self, chunk: Chunk) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rooms.push(chunk.into_room());
    }

    fn give_up(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.moved.notify_all();
    }
}

/// What goes on in the order of the chunks.
struct InOrder {
    /// The chunk whose turn it is.
    turn: usize,
    /// What became of chunks whose turn has not come.
    lots: HashMap<usize, Lot>,
    /// Whether a worker gave up, so that its turn never ends.
    is_broken: bool,
    seen: Seen,
    duplicates: usize,
    /// The rows of duplicates, by worker.
    taken_back: Vec<Vec<Row>>,
    output: Output,
    quarantine: Quarantine,
}

impl InOrder {
    /// Settles all whose turn has come.
    fn settle(&mut self) -> Result<(), Error> {
        while let Some(lot) = self.lots.remove(&self.turn) {
            let mut start = 0;
            for (id, kept) in lot.passed {
                let is_new = self.seen.insert_hash(id);
                self.duplicates += usize::from(!is_new);
                match kept {
                    Kept::Line { end } => {
                        let line = lot.lines.get(start..end).filter(|_| is_new);
                        self.output.write(line.unwrap_or_default())?;
                        start = end;
                    }
                    Kept::Row(_) if is_new => {}
                    Kept::Row(row) => {
                        if let Some(rows) = self.taken_back.get_mut(lot.worker) {
                            rows.push(row);
                        }
                    }
                }
            }
            for entry in lot.rejects {
                self.quarantine.push(entry)?;
            }
            self.turn += 1;
        }
        Ok(())
    }
}

struct Line {
    state: Mutex<InOrder>,
    moved: Condvar,
    ahead_max: usize,
}

impl Line {
    /// Takes what became of a chunk. Waits where the worker is too far ahead.
    fn hand_in(&self, number: usize, lot: Lot) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lots.insert(number, lot);
        if state.turn == number {
            state.settle()?;
            self.moved.notify_all();
        }
        drop(self.wait(state, (number + 1).saturating_sub(self.ahead_max)));
        Ok(())
    }

    /// The rows that a worker takes back, of all its chunks before this one.
    fn taken_back(&self, worker: usize, number: usize) -> Vec<Row> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.wait(state, number);
        state.taken_back.get_mut(worker).map(std::mem::take).unwrap_or_default()
    }

    /// Waits until it is this chunk's turn, or it never will be.
    fn wait<'a>(&self, mut state: MutexGuard<'a, InOrder>, turn: usize) -> MutexGuard<'a, InOrder> {
        while state.turn < turn && !state.is_broken {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn give_up(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_broken = true;
        self.moved.notify_all();
    }
}

struct Worker<'a> {
    /// Its place among the workers.
    place: usize,
    pipeline: Pipeline,
    cx: Context<'a>,
    line: &'a Line,
    block: Block,
    lot: Lot,
    sheet: Sheet,
    tally: Tally,
}

/// What became of a chunk, until its turn.
#[derive(Default)]
struct Lot {
    worker: usize,
    /// The hashes of the ids of the events that passed, and where these are.
    passed: Vec<(u128, Kept)>,
    /// The events that passed, where they are written as lines.
    lines: String,
    rejects: Vec<Entry>,
}

impl Worker<'_> {
    fn run(
        mut self,
        source: &Source,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<(Tally, Written, Vec<StepTally>), Error> {
        let done = self.chunks(source, numbers);
        if done.is_err() {
            source.give_up();
            self.line.give_up();
        }
        Ok((self.tally, done?, self.pipeline.take_tallies()))
    }

    /// Works on all its chunks, and tells what it wrote.
    fn chunks(&mut self, source: &Source, numbers: impl Iterator<Item = usize>) -> Result<Written, Error> {
        let mut handed_in = 0;
        for number in numbers {
            let Some(mut chunk) = source.chunk(number)? else { break };
            self.chunk(&mut chunk)?;
            source.take_room(chunk);
            let lot =
                Lot { worker: self.place, lines: self.sheet.take_lines(), ..std::mem::take(&mut self.lot) };
            self.line.hand_in(number, lot)?;
            handed_in = number + 1;
            if self.sheet.is_full() {
                self.sheet.flush(&self.line.taken_back(self.place, handed_in))?;
            }
        }
        self.sheet.flush(&self.line.taken_back(self.place, handed_in))
    }

    fn chunk(&mut self, chunk: &mut Chunk) -> Result<(), Error> {
        // So that it does not matter which worker had the chunk before.
        self.pipeline.begin_batch();
        let mut waiting = Vec::with_capacity(BLOCK_EVENTS);
        chunk.each(|piece| {
            let bytes = piece.bytes.len();
            if !self.block.has_room(bytes) {
                self.settle(&mut waiting);
            }
            self.block.push(self.cx.arrived_at, bytes, |event| piece.read(event));
            waiting.push(piece);
            Ok::<_, Error>(())
        })?;
        self.settle(&mut waiting);
        Ok(())
    }

    /// Runs the pipeline on the pieces that wait.
    fn settle(&mut self, waiting: &mut Vec<Piece<'_>>) {
        let mut block = std::mem::take(&mut self.block);
        for (piece, (event, outcome)) in waiting.drain(..).zip(block.apply(&mut self.pipeline, self.cx.key)) {
            self.take(&piece, event, outcome);
        }
        self.block = block;
    }

    fn take(&mut self, piece: &Piece<'_>, event: &mut Event, outcome: Outcome) {
        self.tally.r#in += 1;
        let kept = match outcome {
            Outcome::Out => {
                let id = self.pipeline.event().identity_of(event);
                fits(event).and_then(|()| Ok((id, self.sheet.push(event)?)))
            }
            Outcome::Filtered(_step) => {
                self.tally.filtered += 1;
                return;
            }
            Outcome::Rejected(why) => Err(why),
        };
        match kept {
            Ok(kept) => {
                self.tally.out += 1;
                self.lot.passed.push(kept);
            }
            Err(reject) => {
                self.tally.quarantined += 1;
                let sequence = piece.number.to_string().into();
                let (at, payload) = (self.cx.arrived_at, piece.bytes.to_vec());
                self.lot.rejects.push(Entry {
                    reject,
                    sequence,
                    index: None,
                    at,
                    may_be_known: false,
                    payload,
                });
            }
        }
    }
}

/// Refuses what would not fit a frame of the clean stream.
pub(crate) fn fits(event: &Event) -> Result<(), Reject> {
    if event.may_exceed(EVENT_MAX) && event.to_string().len() > EVENT_MAX {
        let detail = format!("the event has more than {EVENT_MAX} bytes");
        return Err(Reject::new("encode", "too_large", detail));
    }
    Ok(())
}
