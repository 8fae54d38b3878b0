//! The records of one invocation through the pipeline: frames, rejects, and the tally of both.

use crate::account::Tally;
use crate::decode;
use crate::event::Event;
use crate::frame::{self, Frame, Position};
use crate::pipeline::{Clean, Outcome, Pipeline};
use crate::quarantine::{Entry, Reject};
use crate::record::{Record, Sequence, Source};
use crate::step::Context;
use crate::time::Micros;

/// The most rejects that one record makes; a record with more is put away whole. It bounds the memory of a batch.
const BAD_MAX: usize = 1_000;

/// What became of a batch. Nothing is put anywhere yet.
#[derive(Debug)]
pub struct Batch {
    /// For the clean stream, in order.
    pub frames: Vec<Frame>,
    /// For the quarantine, in order.
    pub rejects: Vec<Entry>,
    /// The fate of each record's events, in order.
    fates: Vec<(Sequence, Tally)>,
}

impl Batch {
    /// The fate of the events before this record, or of all.
    #[must_use]
    pub fn tally(&self, before: Option<&Sequence>) -> Tally {
        let safe = self.fates.iter().filter(|(sequence, _)| before.is_none_or(|end| sequence < end));
        safe.fold(Tally::default(), |sum, (_, tally)| sum + *tally)
    }
}

/// A batch on its way through the pipeline.
#[derive(Debug)]
pub struct Run<'a> {
    pipeline: &'a Pipeline,
    cx: Context<'a>,
    frames: frame::Writer,
    rejects: Vec<Entry>,
    fates: Vec<(Sequence, Tally)>,
}

impl<'a> Run<'a> {
    /// Begins a batch of this source.
    #[must_use]
    pub fn new(pipeline: &'a Pipeline, source: &Source, cx: Context<'a>) -> Self {
        let frames = frame::Writer::new(source.lane());
        Self { pipeline, cx, frames, rejects: Vec::new(), fates: Vec::new() }
    }

    /// Takes a record as a producer sent it. Nothing it holds fails the batch.
    pub fn record(&mut self, record: &Record) {
        let plain = match decode::inflate(&record.data) {
            Ok(plain) => plain,
            Err(why) => return self.reject(&record.sequence, record.arrived_at, why, record.data.clone()),
        };
        let pieces = match decode::split(&plain) {
            Ok(pieces) => pieces,
            Err(why) => return self.reject(&record.sequence, record.arrived_at, why, record.data.clone()),
        };
        let (count, before, mut readable) = (pieces.len(), self.rejects.len(), 0);
        for (index, piece) in (0..).zip(pieces) {
            let position = Position { sequence: record.sequence.clone(), index };
            match decode::event(piece) {
                Ok(event) => {
                    readable += 1;
                    self.event(position, record.arrived_at, event, || piece.to_vec());
                }
                Err(why) => self.reject(&record.sequence, record.arrived_at, why, piece.to_vec()),
            }
            if self.rejects.len() - before > BAD_MAX {
                let detail = format!(
                    "more than {BAD_MAX} of its events are bad; those before the last of them went on"
                );
                return self.reject_whole(record, before, Reject::new("decode", "too_many_bad", detail));
            }
        }
        // Lines of which none is JSON are no lines: these bytes were something else.
        let first = self.rejects.get(before).map(|first| first.reject.clone());
        if let Some(why) = first.filter(|_| readable == 0 && count > 1) {
            self.reject_whole(record, before, why);
        }
    }

    /// Puts a whole record in the place of its rejects, which are those from this place on.
    fn reject_whole(&mut self, record: &Record, before: usize, why: Reject) {
        let pieces = self.rejects.len() - before;
        self.rejects.truncate(before);
        if let Some((_, tally)) = self.fates.last_mut() {
            tally.r#in -= pieces;
            tally.quarantined -= pieces;
        }
        self.reject(&record.sequence, record.arrived_at, why, record.data.clone());
    }

    /// Takes one event. `payload` is what the quarantine gets of it if it is bad.
    pub fn event(
        &mut self,
        position: Position,
        arrived_at: Micros,
        event: Event,
        payload: impl FnOnce() -> Vec<u8>,
    ) {
        let sequence = position.sequence.clone();
        match self.pipeline.apply(event, arrived_at, &self.cx) {
            Outcome::Out(Clean(event)) => {
                if self.frames.push(position, event.to_string()) {
                    self.count(&sequence).out += 1;
                } else {
                    let detail = format!("the event has more than {} bytes", frame::EVENT_MAX);
                    self.reject(&sequence, arrived_at, Reject::new("encode", "too_large", detail), payload());
                }
            }
            Outcome::Filtered(_step) => self.count(&sequence).filtered += 1,
            Outcome::Rejected(why) => self.reject(&sequence, arrived_at, why, payload()),
        }
    }

    fn reject(&mut self, sequence: &Sequence, at: Micros, reject: Reject, payload: Vec<u8>) {
        self.count(sequence).quarantined += 1;
        self.rejects.push(Entry { reject, sequence: sequence.clone(), at, payload });
    }

    /// Counts one event of this record as taken; the caller says what became of it.
    fn count(&mut self, sequence: &Sequence) -> &mut Tally {
        let same = self.fates.pop_if(|(last, _)| last == sequence);
        let (_, tally) = self.fates.push_mut(same.unwrap_or_else(|| (sequence.clone(), Tally::default())));
        tally.r#in += 1;
        tally
    }

    /// Ends the batch.
    #[must_use]
    pub fn finish(self) -> Batch {
        let batch = Batch { frames: self.frames.finish(), rejects: self.rejects, fates: self.fates };
        debug_assert!(batch.tally(None).balances(), "every event ends in exactly one place");
        batch
    }
}
