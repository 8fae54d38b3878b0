//! The work on a file, shared out among threads, with a result that does not depend on which of them is faster.
//!
//! The file is cut into chunks, and the workers read them in turn: chunk after chunk, worker after worker. What must
//! be in order waits for its turn: whether an id was seen before, the quarantine, and NDJSON. Rows do not wait: one that
//! turns out to be a duplicate is taken back.

use super::output::{Kept, Output, Quarantine, Sheet, Written};
use crate::error::Error;
use crate::input::{Input, Piece};
use millrace_core::account::{StepTally, Tally};
use millrace_core::block::{BLOCK_EVENTS, Block};
use millrace_core::event::Event;
use millrace_core::frame::EVENT_MAX;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::seen::{self, Seen};
use millrace_core::step::Context;
use millrace_files::{Chunk, Room};
use serde::Serialize;
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
    let source =
        Source { state: Mutex::new(Reading { input, next: 0, is_over: false }), moved: Condvar::new() };
    let line = Line {
        state: Mutex::new(InOrder { turn: 0, is_broken: false, seen: Seen::default(), output, quarantine }),
        moved: Condvar::new(),
    };
    let done = thread::scope(|scope| {
        let mut running = Vec::new();
        for (first, (pipeline, sheet)) in pipelines.into_iter().zip(sheets).enumerate() {
            let worker = Worker {
                pipeline,
                cx: *cx,
                line: &line,
                block: Block::default(),
                lot: Lot::default(),
                sheet,
                tally: Tally::default(),
            };
            let source = &source;
            running.push(scope.spawn(move || worker.run(source, (first..).step_by(workers))));
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

    let InOrder { output, quarantine, .. } = line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut counts = Counts {
        tally: Tally::default(),
        written: output.finish()? + quarantine.finish()?,
        steps: Vec::new(),
    };
    for (tally, written, steps) in done {
        counts.tally = counts.tally + tally;
        counts.written = counts.written + written;
        if counts.steps.is_empty() {
            counts.steps = steps;
        } else {
            counts.steps.iter_mut().zip(steps).for_each(|(sum, more)| sum.add(&more));
        }
    }
    debug_assert!(counts.tally.balances(), "every event ends in exactly one place");
    Ok(counts)
}

/// The input, which the workers read in turn: who reads a chunk works on it, and has it in the cache of its core.
struct Source {
    state: Mutex<Reading>,
    moved: Condvar,
}

struct Reading {
    input: Input,
    /// The number of the chunk that is read next.
    next: usize,
    /// Whether there is no more, or nobody wants it.
    is_over: bool,
}

impl Source {
    /// Reads the chunk of this number when its turn has come; none where there is none.
    fn chunk(&self, number: usize, room: Room) -> Result<Option<Chunk>, Error> {
        let mut reading = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while reading.next != number && !reading.is_over {
            reading = self.moved.wait(reading).unwrap_or_else(PoisonError::into_inner);
        }
        if reading.is_over {
            return Ok(None);
        }
        let chunk = reading.input.chunk(room);
        (reading.next, reading.is_over) = (number + 1, !matches!(chunk, Ok(Some(_))));
        drop(reading);
        self.moved.notify_all();
        chunk
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
    /// Whether a worker gave up, so that its turn never ends.
    is_broken: bool,
    seen: Seen,
    output: Output,
    quarantine: Quarantine,
}

struct Line {
    state: Mutex<InOrder>,
    moved: Condvar,
}

impl Line {
    /// Waits for a chunk's turn; none where it will never come.
    fn wait(&self, number: usize) -> Option<MutexGuard<'_, InOrder>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.turn != number && !state.is_broken {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.is_broken).then_some(state)
    }

    fn give_up(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_broken = true;
        self.moved.notify_all();
    }
}

struct Worker<'a> {
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
    /// The hashes of the ids of the events that passed, and where these are.
    passed: Vec<(u128, Kept)>,
    rejects: Vec<Entry>,
}

impl Worker<'_> {
    fn run(
        mut self,
        source: &Source,
        numbers: impl Iterator<Item = usize>,
    ) -> Result<(Tally, Written, Vec<StepTally>), Error> {
        let mut room = Room::default();
        for number in numbers {
            let Some(mut chunk) = source.chunk(number, room)? else { break };
            if let Err(why) = self.chunk(number, &mut chunk) {
                source.give_up();
                self.line.give_up();
                return Err(why);
            }
            room = chunk.into_room();
        }
        Ok((self.tally, self.sheet.finish()?, self.pipeline.take_tallies()))
    }

    fn chunk(&mut self, number: usize, chunk: &mut Chunk) -> Result<(), Error> {
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
        let Some(mut state) = self.line.wait(number) else { return Ok(()) };
        let InOrder { turn, seen, output, quarantine, .. } = &mut *state;
        for (id, kept) in self.lot.passed.drain(..) {
            if !seen.insert_hash(id) {
                self.tally.duplicates += 1;
                self.tally.out -= 1;
                self.sheet.take_back(kept);
            }
        }
        for entry in self.lot.rejects.drain(..) {
            quarantine.push(entry)?;
        }
        output.take(&mut self.sheet)?;
        *turn += 1;
        drop(state);
        self.line.moved.notify_all();
        self.sheet.flush_if_full()
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
                let id = seen::hash(event.str(&self.pipeline.event().id).unwrap_or_default());
                let bytes = piece.bytes.len();
                fits(event, bytes).and_then(|()| Ok((id, self.sheet.push(event, bytes)?)))
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
                self.lot.rejects.push(Entry { reject, sequence, index: None, at, payload });
            }
        }
    }
}

/// Refuses what would not fit a frame of the clean stream. The steps do not make an event four times as large, so only
/// those that came large are measured.
pub(crate) fn fits(event: &Event, bytes_in: usize) -> Result<(), Reject> {
    if bytes_in > EVENT_MAX / 4 && event.to_string().len() > EVENT_MAX {
        let detail = format!("the event has more than {EVENT_MAX} bytes");
        return Err(Reject::new("encode", "too_large", detail));
    }
    Ok(())
}
