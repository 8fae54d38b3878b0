//! The records of one invocation through the pipeline: frames, rejects, and the tally of both.

use crate::account::Tally;
use crate::decode;
use crate::event::Event;
use crate::frame::{self, Frame};
use crate::pipeline::{Outcome, Pipeline};
use crate::quarantine::{Entry, Reject};
use crate::record::{self, Record, Source};
use crate::seen::Seen;
use crate::step::Context;
use crate::time::Micros;
use crate::token::TokenKey;

/// The most rejects that one record makes; a record with more is put away whole. It bounds the memory of a batch.
const BAD_MAX: usize = 1_000;

/// A batch and what became of it. Nothing is put anywhere yet. The memory of one batch serves the next.
#[derive(Debug, Default)]
pub struct Batch {
    frames: frame::Writer,
    rejects: Vec<Entry>,
    /// The fate of each record's events, in order.
    fates: Vec<Fate>,
    /// The records' sequence numbers, one after the other.
    sequences: String,
    /// The ids of this batch: an event that is in it twice goes out once.
    seen: Seen,
    event: Event,
    inflated: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Fate {
    /// Where the record's sequence number stands.
    sequence: (usize, usize),
    tally: Tally,
}

impl Batch {
    /// Begins a batch of this source; what an earlier one left is gone.
    pub fn begin<'a>(
        &'a mut self,
        pipeline: &'a mut Pipeline,
        key: &'a TokenKey,
        source: &Source,
    ) -> Run<'a> {
        self.frames.begin(source.lane());
        self.rejects.clear();
        self.fates.clear();
        self.sequences.clear();
        self.seen.clear();
        pipeline.begin_batch();
        Run { pipeline, key, batch: self }
    }

    /// Takes the frames for the clean stream, in order.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.frames.finish()
    }

    /// Takes what is for the quarantine, in order.
    pub fn take_rejects(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.rejects)
    }

    /// The fate of the events before this record, or of all.
    #[must_use]
    pub fn tally(&self, before: Option<&str>) -> Tally {
        let is_safe = |fate: &&Fate| before.is_none_or(|end| record::order(self.sequence(fate), end).is_lt());
        self.fates.iter().filter(is_safe).fold(Tally::default(), |sum, fate| sum + fate.tally)
    }

    fn sequence(&self, fate: &Fate) -> &str {
        self.sequences.get(fate.sequence.0..fate.sequence.1).unwrap_or_default()
    }

    fn reject(&mut self, sequence: &str, at: Micros, reject: Reject, payload: &[u8]) {
        self.count(sequence).quarantined += 1;
        self.rejects.push(Entry { reject, sequence: sequence.into(), at, payload: payload.to_vec() });
    }

    /// Counts one event of this record as taken; the caller says what became of it.
    fn count(&mut self, sequence: &str) -> &mut Tally {
        let same = self.fates.pop_if(|last| self.sequences.get(last.sequence.0..) == Some(sequence));
        let fate = same.unwrap_or_else(|| {
            let start = self.sequences.len();
            self.sequences.push_str(sequence);
            Fate { sequence: (start, self.sequences.len()), tally: Tally::default() }
        });
        let fate = self.fates.push_mut(fate);
        fate.tally.r#in += 1;
        &mut fate.tally
    }
}

/// A batch on its way through the pipeline.
#[derive(Debug)]
pub struct Run<'a> {
    pipeline: &'a mut Pipeline,
    key: &'a TokenKey,
    batch: &'a mut Batch,
}

impl Run<'_> {
    /// Takes a record as a producer sent it. Nothing it holds fails the batch.
    pub fn record(&mut self, record: &Record<'_>) {
        let mut room = std::mem::take(&mut self.batch.inflated);
        self.pieces(record, &mut room);
        self.batch.inflated = room;
    }

    fn pieces(&mut self, record: &Record<'_>, room: &mut Vec<u8>) {
        let Record { sequence, arrived_at, data } = *record;
        let pieces = match decode::inflate(data, room).and_then(decode::split) {
            Ok(pieces) => pieces,
            Err(why) => return self.batch.reject(sequence, arrived_at, why, data),
        };
        let before = self.batch.rejects.len();
        let (mut count, mut readable) = (0, 0);
        for (index, piece) in (0..).zip(pieces) {
            count += 1;
            readable += usize::from(self.event(sequence, index, arrived_at, piece));
            if self.batch.rejects.len() - before > BAD_MAX {
                let detail = format!(
                    "more than {BAD_MAX} of its events are bad; those before the last of them went on"
                );
                return self.reject_whole(record, before, Reject::new("decode", "too_many_bad", detail));
            }
        }
        // Lines of which none is JSON are no lines: these bytes were something else.
        let first = self.batch.rejects.get(before).map(|first| first.reject.clone());
        if let Some(why) = first.filter(|_| readable == 0 && count > 1) {
            self.reject_whole(record, before, why);
        }
    }

    /// Puts a whole record in the place of its rejects, which are those from this place on.
    fn reject_whole(&mut self, record: &Record<'_>, before: usize, why: Reject) {
        let pieces = self.batch.rejects.len() - before;
        self.batch.rejects.truncate(before);
        if let Some(fate) = self.batch.fates.last_mut() {
            fate.tally.r#in -= pieces;
            fate.tally.quarantined -= pieces;
        }
        self.batch.reject(record.sequence, record.arrived_at, why, record.data);
    }

    /// Takes one event by its JSON, with its place in its record; whether it can be read.
    pub fn event(&mut self, sequence: &str, index: u32, arrived_at: Micros, json: &[u8]) -> bool {
        let Self { pipeline, key, batch } = self;
        if let Err(why) = decode::event(json, &mut batch.event) {
            batch.reject(sequence, arrived_at, why, json);
            return false;
        }
        match pipeline.apply(&mut batch.event, &Context { key, arrived_at }) {
            Outcome::Out => {
                let id = batch.event.str(&pipeline.event().id).unwrap_or_default();
                if !batch.seen.insert(id) {
                    batch.count(sequence).duplicates += 1;
                } else if batch.frames.push(sequence, index, |line| batch.event.write(line)) {
                    batch.count(sequence).out += 1;
                } else {
                    let detail = format!("the event has more than {} bytes", frame::EVENT_MAX);
                    batch.reject(sequence, arrived_at, Reject::new("encode", "too_large", detail), json);
                }
            }
            Outcome::Filtered(_step) => batch.count(sequence).filtered += 1,
            Outcome::Rejected(why) => batch.reject(sequence, arrived_at, why, json),
        }
        true
    }
}
