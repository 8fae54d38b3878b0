//! A lane's ids in memory.

use super::Known;
pub(super) use super::item::Batch;
use super::item::Hash;
use crate::record::order;
use crate::time::Micros;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// The ids that a lane let out: for each the number of it, which tells the batch, and there the record. An id takes 16
/// bytes and its share of free room, a record some 45.
#[derive(Debug)]
pub(super) struct Lane {
    ids: HashMap<Hash, u32, BuildHasherDefault<Folded>>,
    /// The numbers of ids that were let out before that, when the window did not reach so far: few.
    earlier: HashMap<Hash, Vec<u32>, BuildHasherDefault<Folded>>,
    /// In the order in which they were read: the oldest first.
    batches: VecDeque<Held>,
    /// The number of the next id.
    next: u32,
    /// From when on it was asked to know all.
    from: Micros,
    /// Up to this moment there may have been ids for which there was no room.
    cut: Micros,
    /// The position of the last item that is in it.
    last: String,
    /// Those that a redrive wrote, which are read again and again.
    redriven: BTreeSet<String>,
    /// The records that earlier attempts worked on, first and last, as far as they reach into the batch at hand.
    attempted: Vec<(String, String)>,
    /// When it was used last, counted in batches.
    pub(super) used: u64,
}

/// A batch without its hashes.
#[derive(Debug)]
struct Held {
    position: String,
    /// The number of its first id.
    first: u32,
    until: Micros,
    since: Micros,
    bounds: Option<(String, String)>,
    inherited: bool,
    /// What all sequence numbers begin with, and then what is their own, one after the other.
    head: String,
    tails: String,
    marks: Vec<HeldMark>,
}

/// A record: where its ids end, when it arrived after the first, ms, and where its sequence number ends.
#[derive(Debug, Clone, Copy)]
struct HeldMark {
    ids_end: u32,
    after_ms: u32,
    tail_end: u32,
}

impl Lane {
    /// A lane that knows nothing, of a time that begins here.
    pub(super) fn new(from: Micros) -> Self {
        Self {
            ids: HashMap::default(),
            earlier: HashMap::default(),
            batches: VecDeque::new(),
            next: 0,
            from,
            cut: Micros::EPOCH,
            last: String::new(),
            redriven: BTreeSet::new(),
            attempted: Vec::new(),
            used: 0,
        }
    }

    pub(super) fn ids(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Whether it knows all from this moment on, and has numbers left for more.
    pub(super) fn reaches(&self, from: Micros) -> bool {
        self.from <= from && self.next < u32::MAX / 2
    }

    /// There was no room for ids up to this moment.
    pub(super) fn cut(&mut self, until: Micros) {
        self.cut = self.cut.max(until);
    }

    /// Whether there was no room for all from its first moment on.
    pub(super) fn is_short(&self) -> bool {
        self.cut >= self.from && self.cut > Micros::EPOCH
    }

    /// Adds a batch, if it is not there.
    pub(super) fn push(&mut self, batch: Batch) {
        let is_there = if batch.is_redriven() {
            !self.redriven.insert(batch.position.clone())
        } else {
            !batch.inherited
                && batch.position <= self.last
                && self.batches.iter().any(|held| held.position == batch.position)
        };
        let Ok(ids) = u32::try_from(batch.ids()) else { return };
        if is_there || self.next.checked_add(ids).is_none() {
            return;
        }
        if !batch.is_redriven() && !batch.inherited && batch.position > self.last {
            self.last.clone_from(&batch.position);
        }
        let first = self.next;
        self.next += ids;
        let hashes = batch.hashes.clone();
        self.batches.push_back(Held::new(batch, first));
        for (number, hash) in (first..).zip(hashes) {
            let Some(before) = self.ids.insert(hash, number) else { continue };
            // An attempt that came again lets out the same.
            if self.record(before).map(|(_, let_out, _)| let_out)
                != self.record(number).map(|(_, new, _)| new)
            {
                self.earlier.entry(hash).or_default().push(before);
            }
        }
    }

    /// Begins a batch with this record.
    pub(super) fn begin(&mut self, first: &str) {
        let reaches = |(_, last): &&(String, String)| order(last, first).is_ge();
        let attempted = self.batches.iter().filter_map(|held| held.bounds.as_ref()).filter(reaches);
        self.attempted = attempted.cloned().collect();
    }

    /// What is known of an id that came with this record.
    pub(super) fn known(&self, hash: Hash, sequence: &str, arrived_at: Micros, window_ms: i64) -> Known {
        let latest = self.ids.get(&hash).into_iter();
        let all = latest.chain(self.earlier.get(&hash).into_iter().flatten());
        let mut is_duplicate = false;
        for (held, let_out, at) in all.filter_map(|number| self.record(*number)) {
            let apart_ms = (arrived_at.get() - at.get()) / 1000;
            match if held.inherited { Ordering::Less } else { order(&let_out, sequence) } {
                Ordering::Equal => return Known::New,
                Ordering::Less => is_duplicate |= apart_ms <= window_ms,
                // It did not go out when it came, or another instance was at work: meanwhile a later one with its id did.
                Ordering::Greater => is_duplicate |= -apart_ms <= window_ms,
            }
        }
        if is_duplicate {
            return Known::Duplicate;
        }
        if self.is_attempted(sequence) { Known::Late } else { Known::New }
    }

    /// Whether an earlier attempt noted an id that came with this record.
    pub(super) fn let_out(&self, sequence: &str) -> bool {
        self.is_attempted(sequence) && self.batches.iter().any(|held| held.has(sequence))
    }

    /// Whether an earlier attempt worked on this record.
    fn is_attempted(&self, sequence: &str) -> bool {
        let is_in = |(first, last): &(String, String)| {
            order(first, sequence).is_le() && order(sequence, last).is_le()
        };
        self.attempted.iter().any(is_in)
    }

    /// The record that let out the id of this number: its batch, its sequence number, and when it arrived.
    fn record(&self, number: u32) -> Option<(&Held, String, Micros)> {
        let after = self.batches.partition_point(|held| held.first <= number);
        let held = self.batches.get(after.checked_sub(1)?)?;
        held.record(number - held.first).map(|(sequence, at)| (held, sequence, at))
    }

    /// Forgets the batches that ended before this moment.
    pub(super) fn forget_before(&mut self, from: Micros) {
        self.forget_while(|lane| lane.batches.front().is_some_and(|held| held.until < from));
        self.from = self.from.max(from);
    }

    /// Forgets the oldest batches, until so many ids are left.
    pub(super) fn forget_to(&mut self, ids: usize) {
        let forgotten = self.forget_while(|lane| {
            lane.batches.front().is_some_and(|held| (lane.next - held.first) as usize > ids)
        });
        self.cut(forgotten);
        self.tidy();
    }

    /// Tells when the last of what it forgot was let out.
    fn forget_while(&mut self, is_over: impl Fn(&Self) -> bool) -> Micros {
        let mut until = Micros::EPOCH;
        while is_over(self)
            && let Some(held) = self.batches.pop_front()
        {
            self.redriven.remove(&held.position);
            until = until.max(held.until);
        }
        // The map is tidied up when a quarter of it is of no use, so that it costs a few steps an id.
        let live = self.batches.front().map_or(0, |held| (self.next - held.first) as usize);
        if self.ids.len() > live + live / 3 + 1000 {
            self.tidy();
        }
        until
    }

    fn tidy(&mut self) {
        let first = self.batches.front().map_or(self.next, |held| held.first);
        self.ids.retain(|_, number| *number >= first);
        self.ids.shrink_to(self.ids.len() * 2);
        self.earlier.retain(|_, numbers| {
            numbers.retain(|number| *number >= first);
            !numbers.is_empty()
        });
    }
}

impl Held {
    fn new(batch: Batch, first: u32) -> Self {
        let (since, until) = (batch.since(), batch.until());
        let head = common(batch.marks.iter().map(|mark| mark.0.as_str())).to_owned();
        let (mut tails, mut ids_end) = (String::new(), 0);
        let marks = batch.marks.iter().map(|mark| {
            tails.push_str(mark.0.get(head.len()..).unwrap_or_default());
            ids_end += u32::try_from(mark.2).unwrap_or_default();
            let after_ms = u32::try_from((mark.1.get() - since.get()) / 1000).unwrap_or_default();
            HeldMark { ids_end, after_ms, tail_end: u32::try_from(tails.len()).unwrap_or_default() }
        });
        let marks = marks.collect();
        let Batch { position, bounds, inherited, .. } = batch;
        Self { position, first, until, since, bounds, inherited, head, tails, marks }
    }

    /// The record that let out the id of this number, from 0: its sequence number, and when it arrived.
    fn record(&self, number: u32) -> Option<(String, Micros)> {
        let at = self.marks.partition_point(|mark| mark.ids_end <= number);
        let after_ms = self.marks.get(at)?.after_ms;
        Some((format!("{}{}", self.head, self.tail(at)?), self.since.plus_ms(after_ms.into())))
    }

    /// Whether a record of its own lane let out an id.
    fn has(&self, sequence: &str) -> bool {
        let tail = sequence.strip_prefix(&self.head).filter(|_| !self.inherited);
        tail.is_some_and(|tail| (0..self.marks.len()).any(|at| self.tail(at) == Some(tail)))
    }

    /// What is its own of this record's sequence number.
    fn tail(&self, at: usize) -> Option<&str> {
        let end = self.marks.get(at)?.tail_end;
        let begin =
            at.checked_sub(1).and_then(|before| self.marks.get(before)).map_or(0, |mark| mark.tail_end);
        self.tails.get(begin as usize..end as usize)
    }
}

/// What all these texts of digits begin with.
fn common<'a>(mut texts: impl Iterator<Item = &'a str>) -> &'a str {
    let Some(mut head) = texts.next() else { return "" };
    for text in texts {
        let same = head.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        head = head.get(..same).unwrap_or_default();
    }
    head
}

/// The keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}
