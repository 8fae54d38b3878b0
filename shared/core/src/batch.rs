//! The records of one invocation through the pipeline: frames, rejects, and the tally of both.

use crate::account::Tally;
use crate::block::{BLOCK_EVENTS, Block};
use crate::decode::{self, Pieces};
use crate::event::Event;
use crate::frame::{self, Encoding, Frame};
use crate::kpl;
use crate::pipeline::{Outcome, Pipeline};
use crate::quarantine::{Entry, Reject, TOO_MANY_BAD};
use crate::record::{self, Record, Source};
use crate::seen::Seen;
use crate::time::Micros;
use crate::token::TokenKey;
use crate::window::{Known, Knows, Outgoing};
use smallvec::SmallVec;

/// The most rejects that one record makes; a record with more is put away whole. It bounds the memory of a batch.
const BAD_MAX: usize = 1_000;

/// The most bytes of bad data that a batch keeps piece by piece. Beyond it a record whose bad pieces are larger than
/// the record, which is compressed then, is put away as it came: a few KB may inflate to [`decode::INFLATED_MAX`].
const BAD_BYTES_MAX: usize = 8 << 20;

/// What became of the others where a record has too many bad events: those read before it was noticed went on.
const SOME_WENT_ON: &str = "those before the last of them went on, and a few behind it";

/// The room for an inflated record that the next batch finds again, bytes.
pub const INFLATED_KEPT: usize = 4 << 20;

/// A batch and what became of it. Nothing is put anywhere yet. The memory of one batch serves the next.
#[derive(Debug, Default)]
pub struct Batch {
    frames: frame::Writer,
    rejects: Vec<Entry>,
    /// The size of their payloads.
    bad_bytes: usize,
    /// The fate of each record's events, in order.
    fates: Vec<Fate>,
    /// The records' sequence numbers, one after the other.
    sequences: String,
    /// The ids of this batch: an event that is in it twice goes out once.
    seen: Seen,
    /// Whether they stay known to the next batch.
    remembers: bool,
    /// The ids of the events that go out, where somebody wants to know.
    outgoing: Outgoing,
    block: Block,
    inflated: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Fate {
    /// Where the record's sequence number stands.
    sequence: (usize, usize),
    tally: Tally,
}

impl Batch {
    /// Batches of which none comes twice, so that an id may stay known from one to the next: a batch that came again
    /// would find all of its own ids known.
    #[must_use]
    pub fn remembering() -> Self {
        Self { remembers: true, ..Self::default() }
    }

    /// Batches that come out as records of this kind.
    #[must_use]
    pub fn writing(encoding: Encoding) -> Self {
        Self { frames: frame::Writer::new(encoding), ..Self::default() }
    }

    /// Begins a batch of this source; what an earlier one left is gone.
    pub fn begin<'a>(
        &'a mut self,
        pipeline: &'a mut Pipeline,
        key: &'a TokenKey,
        source: &Source,
    ) -> Run<'a> {
        self.release();
        self.frames.begin(source.lane());
        self.rejects.clear();
        self.bad_bytes = 0;
        self.fates.clear();
        self.sequences.clear();
        if !self.remembers {
            self.seen.clear();
        }
        self.outgoing.begin(source);
        pipeline.begin_batch();
        Run { pipeline, key, batch: self, knows: None }
    }

    /// Gives back the memory that only a huge batch needs.
    fn release(&mut self) {
        self.inflated.clear();
        self.inflated.shrink_to(INFLATED_KEPT);
        self.block.release();
    }

    /// Takes the frames for the clean stream, in order.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.frames.finish()
    }

    /// The ids of the events in the frames, where the batch was run with one who knows ids.
    #[must_use]
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
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

    fn reject(&mut self, sequence: &str, index: Option<u32>, at: Micros, reject: Reject, payload: &[u8]) {
        self.count(sequence).quarantined += 1;
        self.bad_bytes += payload.len();
        let (sequence, payload) = (sequence.into(), payload.to_vec());
        self.rejects.push(Entry { reject, sequence, index, at, may_be_known: false, payload });
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

/// A record that is one event, or none.
#[derive(Debug, Clone)]
pub struct Single<'r> {
    /// Where it stands in its source.
    pub sequence: &'r str,
    /// When it came.
    pub arrived_at: Micros,
    /// The event's JSON; as it came, where there is a flaw.
    pub bytes: &'r [u8],
    /// Why it is no event, where that is known already.
    pub flaw: Option<Reject>,
}

/// A batch on its way through the pipeline.
pub struct Run<'a> {
    pipeline: &'a mut Pipeline,
    key: &'a TokenKey,
    batch: &'a mut Batch,
    knows: Option<&'a dyn Knows>,
}

impl<'a> Run<'a> {
    /// The same, with one who knows the ids that went out before.
    #[must_use]
    pub fn knowing(self, knows: &'a dyn Knows) -> Self {
        Self { knows: Some(knows), ..self }
    }

    /// The same, of a lane that several shards share.
    #[must_use]
    pub fn scattered(self) -> Self {
        self.batch.frames.scatter();
        self
    }

    /// Takes records as producers sent them. Nothing they hold fails the batch.
    pub fn records<'r>(&mut self, records: impl IntoIterator<Item = Record<'r>>) {
        let mut room = std::mem::take(&mut self.batch.inflated);
        let mut waiting = Waiting::new();
        for record in records {
            let Record { sequence, arrived_at, data } = record;
            if self.knows.is_some() {
                self.batch.outgoing.record(sequence, arrived_at);
            }
            // Most records are one event, as it is.
            if let Some(json) = decode::single(data) {
                if !self.batch.block.has_room(json.len()) {
                    self.settle(&mut waiting);
                }
                self.wait(&mut waiting, Piece { sequence, index: 0, arrived_at, json });
            } else {
                self.settle(&mut waiting);
                self.pieces(&record, &mut room);
            }
        }
        self.settle(&mut waiting);
        self.batch.inflated = room;
    }

    /// Takes one event by its JSON.
    pub fn event(&mut self, sequence: &str, arrived_at: Micros, json: &[u8]) {
        self.singles([Single { sequence, arrived_at, bytes: json, flaw: None }]);
    }

    /// Takes records of which each is one event, or none.
    pub fn singles<'r>(&mut self, singles: impl IntoIterator<Item = Single<'r>>) {
        let mut waiting = Waiting::new();
        for Single { sequence, arrived_at, bytes, flaw } in singles {
            if let Some(why) = flaw {
                self.settle(&mut waiting);
                self.batch.reject(sequence, None, arrived_at, why, bytes);
                continue;
            }
            if !self.batch.block.has_room(bytes.len()) {
                self.settle(&mut waiting);
            }
            self.wait(&mut waiting, Piece { sequence, index: 0, arrived_at, json: bytes });
        }
        self.settle(&mut waiting);
    }

    /// Takes a record that holds no event.
    pub fn reject(&mut self, sequence: &str, at: Micros, why: Reject, payload: &[u8]) {
        self.batch.reject(sequence, None, at, why, payload);
    }

    /// Takes what is more than one event, or none, or no plain text.
    fn pieces(&mut self, record: &Record<'_>, room: &mut Vec<u8>) {
        let Record { sequence, arrived_at, data } = *record;
        let payloads = match decode::unpack(data, room) {
            Ok(payloads) => payloads,
            Err(why) => return self.batch.reject(sequence, None, arrived_at, why, data),
        };
        let is_aggregate = kpl::begins(data);
        let is_one =
            !is_aggregate && payloads.iter().all(|payload| matches!(payload.pieces, Ok(Pieces::One(_))));
        let (before, bytes_before) = (self.batch.rejects.len(), self.batch.bad_bytes);
        let too_bad = |batch: &Batch| {
            let too_bad = |detail| Reject::new("decode", TOO_MANY_BAD, detail);
            if batch.rejects.len() - before > BAD_MAX {
                return Some(too_bad(format!("more than {BAD_MAX} of its events are bad; {SOME_WENT_ON}")));
            }
            let is_large = batch.bad_bytes > BAD_BYTES_MAX && batch.bad_bytes - bytes_before > data.len();
            (is_large && !is_one)
                .then(|| too_bad(format!("its bad events inflate to too much; {SOME_WENT_ON}")))
        };
        // Over all payloads, of which one that cannot be cut into events counts as one.
        let mut index = 0;
        let mut waiting = Waiting::new();
        for payload in payloads {
            // Payloads of one event wait together.
            if !matches!(payload.pieces, Ok(Pieces::One(_))) {
                self.settle(&mut waiting);
                if let Some(why) = too_bad(self.batch) {
                    return self.reject_together(record, before, why, None, data);
                }
            }
            let place = is_aggregate.then_some(index);
            let (first, first_index, mut readable) = (self.batch.rejects.len(), index, 0);
            let pieces = match payload.pieces {
                Ok(pieces) => pieces,
                Err(why) => {
                    self.batch.reject(sequence, place, arrived_at, why, payload.data);
                    index += 1;
                    continue;
                }
            };
            for json in pieces {
                if !self.batch.block.has_room(json.len()) {
                    self.settle(&mut waiting);
                    if let Some(why) = too_bad(self.batch) {
                        return self.reject_together(record, before, why, None, data);
                    }
                }
                readable += usize::from(self.wait(&mut waiting, Piece { sequence, index, arrived_at, json }));
                index += 1;
            }
            // Lines of which none is JSON are no lines: these bytes were something else.
            if readable == 0 && index - first_index > 1 {
                self.settle(&mut waiting);
                if let Some(why) = too_bad(self.batch) {
                    return self.reject_together(record, before, why, None, data);
                }
                let why = self.batch.rejects.get(first).map(|first| first.reject.clone());
                if let Some(why) = why {
                    self.reject_together(record, first, why, place, payload.data);
                }
            }
        }
        self.settle(&mut waiting);
        let inflates = is_one && self.batch.bad_bytes > BAD_BYTES_MAX;
        let first = self.batch.rejects.get(before).filter(|_| inflates).map(|first| first.reject.clone());
        if let Some(why) = too_bad(self.batch).or(first) {
            self.reject_together(record, before, why, None, data);
        }
    }

    /// Puts one reject, of a record or of a payload in it, in the place of those from this place on.
    fn reject_together(
        &mut self,
        record: &Record<'_>,
        before: usize,
        why: Reject,
        index: Option<u32>,
        payload: &[u8],
    ) {
        let pieces = self.batch.rejects.len() - before;
        let bytes: usize = self.batch.rejects.drain(before..).map(|entry| entry.payload.len()).sum();
        self.batch.bad_bytes -= bytes;
        if let Some(fate) = self.batch.fates.last_mut() {
            fate.tally.r#in -= pieces;
            fate.tally.quarantined -= pieces;
        }
        self.batch.reject(record.sequence, index, record.arrived_at, why, payload);
    }

    /// Puts an event with those that wait, who must leave it room; whether it can be read.
    fn wait<'p>(&mut self, waiting: &mut Waiting<'p>, piece: Piece<'p>) -> bool {
        waiting.push(piece);
        let Piece { arrived_at, json, .. } = piece;
        self.batch.block.push(arrived_at, json.len(), |event| decode::event(json, event))
    }

    /// Runs the pipeline on the events that wait, and settles what becomes of each.
    fn settle(&mut self, waiting: &mut Waiting<'_>) {
        let mut block = std::mem::take(&mut self.batch.block);
        for (piece, (event, outcome)) in waiting.drain(..).zip(block.apply(self.pipeline, self.key)) {
            let Piece { sequence, index, arrived_at, json } = piece;
            match outcome {
                Outcome::Out => self.let_out(&piece, event),
                Outcome::Filtered(_step) => self.batch.count(sequence).filtered += 1,
                Outcome::Rejected(why) => self.batch.reject(sequence, Some(index), arrived_at, why, json),
            }
        }
        self.batch.block = block;
    }

    /// Puts an event that passed into a frame, unless its id went out before.
    fn let_out(&mut self, piece: &Piece<'_>, event: &Event) {
        let Self { pipeline, batch, knows, .. } = self;
        let Piece { sequence, index, arrived_at, json } = *piece;
        let id = pipeline.event().identity_of(event);
        let known = knows.map_or(Known::New, |knows| knows.known(id, sequence, arrived_at));
        // What is a duplicate of a later record of this batch must not make that one a duplicate.
        if known == Known::Duplicate || !batch.seen.insert_hash(id) {
            batch.count(sequence).duplicates += 1;
        } else if known == Known::Late {
            let detail = "an earlier attempt at its record, with another pipeline, had left the event out";
            batch.reject(sequence, Some(index), arrived_at, Reject::new("window", "late", detail), json);
        } else if batch.frames.push(sequence, index, |line| event.write(line)) {
            batch.count(sequence).out += 1;
            if knows.is_some() {
                batch.outgoing.id(id, sequence, arrived_at);
            }
        } else {
            // It did not go out, so what comes with its id is no duplicate.
            batch.seen.forget_hash(id);
            let detail = format!("the event has more than {} bytes", frame::EVENT_MAX);
            batch.reject(sequence, Some(index), arrived_at, Reject::new("encode", "too_large", detail), json);
        }
    }
}

/// An event as it came.
#[derive(Clone, Copy)]
struct Piece<'p> {
    /// Its record, and its place in that.
    sequence: &'p str,
    index: u32,
    arrived_at: Micros,
    json: &'p [u8],
}

/// How the events of a block came.
type Waiting<'p> = SmallVec<[Piece<'p>; BLOCK_EVENTS]>;

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn run(records: &[&[u8]]) -> Batch {
        let text = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        let mut pipeline = Pipeline::compile(text, &crate::files::NONE).unwrap();
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
        let mut batch = Batch::default();
        let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
        let sequences: Vec<_> = (0..records.len()).map(|n| n.to_string()).collect();
        let records =
            sequences.iter().zip(records).map(|(sequence, data)| Record { sequence, arrived_at, data });
        batch.begin(&mut pipeline, &key, &source).records(records);
        assert!(batch.tally(None).balances());
        batch
    }

    #[test]
    fn an_event_that_is_too_large_does_not_make_the_next_of_its_id_a_duplicate() {
        let event = |text: &str| format!(r#"{{"id":"a","t":"x","at":1573841100,"text":"{text}"}}"#);
        let (large, small) = (event(&"x".repeat(frame::EVENT_MAX)), event("x"));
        let batch = run(&[large.as_bytes(), small.as_bytes(), small.as_bytes()]);
        let tally = batch.tally(None);
        assert_eq!((tally.quarantined, tally.out, tally.duplicates), (1, 1, 1));
    }

    #[test]
    fn the_ids_of_one_tenant_say_nothing_of_those_of_another() {
        let event = |tenant: &str| format!(r#"{{"id":"a","t":"x","at":1573841100{tenant}}}"#).into_bytes();
        let of = [event(r#","tenant":"acme""#), event(r#","tenant":"globex""#), event("")];
        let batch = run(&[&of[0], &of[1], &of[2], &of[1]]);
        let tally = batch.tally(None);
        assert_eq!((tally.out, tally.duplicates), (3, 1));
    }

    #[test]
    fn bad_data_that_inflates_to_much_is_kept_as_it_came() {
        // 900 bad lines of 10 KB each, in some 50 KB.
        let bomb = gzip(format!("{{}}\n{}", format!("{}\n", "x".repeat(10_000)).repeat(900)).as_bytes());
        let mut batch = run(&[bomb.as_slice(); 20]);
        let rejects = batch.take_rejects();
        let kept: usize = rejects.iter().map(|entry| entry.payload.len()).sum();
        assert!(kept < 12 << 20, "{kept} bytes");
        let whole: Vec<_> = rejects.iter().filter(|entry| entry.payload == bomb).collect();
        assert!(whole.len() >= 19 && whole.iter().all(|entry| entry.reject.reason == "too_many_bad"));

        // What came so large is kept, all of it and with its own reason; so is one event that inflates.
        let plain = "x".repeat(BAD_BYTES_MAX);
        let one = gzip(format!("{{\"a\":\"{plain}\"").as_bytes());
        let mut batch = run(&[plain.as_bytes(), plain.as_bytes(), one.as_slice(), one.as_slice()]);
        let rejects = batch.take_rejects();
        assert!(rejects.iter().all(|entry| entry.reject.reason == "not_json"));
        assert_eq!(
            rejects.iter().map(|entry| entry.payload.len()).collect::<Vec<_>>(),
            [plain.len(), plain.len(), one.len(), one.len()]
        );
    }

    #[test]
    fn a_huge_record_does_not_keep_its_memory() {
        let mut batch = run(&[&gzip(&vec![b' '; decode::INFLATED_MAX])]);
        batch.release();
        assert!(batch.inflated.capacity() <= INFLATED_KEPT);
    }
}
