//! What a batch lets out, as items of a table.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | the version, [`VERSION`] |
//! | 4 | the length of the head, little endian |
//! | … | the head, one zstd frame of JSON: the records, and how many ids each let out |
//! | … | the ids' hashes, [`HASH`] bytes each, in the order of the records |

use crate::port::{Error, ITEM_MAX, Item, Kind};
use crate::record::Source;
use crate::time::Micros;
use crate::window::REDRIVEN;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// The form of a body.
const VERSION: u8 = 1;

/// The bytes of a hash that are kept. Among 10⁷ ids a new one is taken for one of them with a chance of 10⁻²².
pub(super) const HASH: usize = 12;

pub(super) type Hash = [u8; HASH];

/// The largest head, bytes: that of [`IDS`] ids, each with a record of its own.
const HEAD_MAX: usize = 8 << 20;

/// The most ids in one item. Beside them the head takes up to 20 bytes for each, where each has a record of its own.
const IDS: usize = 10_000;

const _: () = assert!(IDS * (HASH + 20) < ITEM_MAX, "an item has room for its ids");

/// What is kept of an id's hash.
pub(super) fn short(id: u128) -> Hash {
    let mut hash = [0; HASH];
    hash.copy_from_slice(id.to_le_bytes().first_chunk::<HASH>().unwrap_or(&[0; HASH]));
    hash
}

/// A sequence number as a position: texts in the order of the numbers.
pub(super) fn place(sequence: &str) -> String {
    format!("{:03}{sequence}", sequence.len())
}

/// Before the items of a redrive whose last record arrived at this moment.
pub(super) fn redriven_at(moment: Micros) -> String {
    format!("{REDRIVEN}{:017}", moment.get())
}

/// What the items of a shard are found by.
pub(super) fn key(shard: &Source) -> String {
    format!("seen/{}", shard.lane())
}

/// A record that let ids out, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark(pub(super) String, pub(super) Micros, pub(super) usize);

/// The ids that a batch lets out, by the records that they came with.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    source: Option<Source>,
    /// The first and the last record that were worked on, whatever they let out.
    bounds: (String, String),
    until: Micros,
    marks: Vec<Mark>,
    hashes: Vec<Hash>,
}

impl Outgoing {
    /// Begins a batch of this source.
    pub fn begin(&mut self, source: &Source) {
        *self = Self {
            source: Some(source.clone()),
            hashes: std::mem::take(&mut self.hashes),
            ..Self::default()
        };
        self.hashes.clear();
    }

    /// Notes a record that is worked on.
    pub fn record(&mut self, sequence: &str, arrived_at: Micros) {
        if self.bounds.0.is_empty() {
            sequence.clone_into(&mut self.bounds.0);
        }
        sequence.clone_into(&mut self.bounds.1);
        self.until = self.until.max(arrived_at);
    }

    /// Notes an id that goes out with this record.
    pub fn id(&mut self, id: u128, sequence: &str, arrived_at: Micros) {
        match self.marks.last_mut() {
            Some(last) if last.0 == sequence => last.2 += 1,
            _ => self.marks.push(Mark(sequence.to_owned(), arrived_at, 1)),
        }
        self.hashes.push(short(id));
    }

    /// Where they come from; none where there are none.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref().filter(|_| !self.hashes.is_empty())
    }

    /// The records that let something out, in their order.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(|mark| mark.0.as_str())
    }

    /// When the last record arrived.
    pub(super) fn until(&self) -> Micros {
        self.until
    }

    /// The items that hold them. The first one names the records that were worked on, unless it tells another shard.
    ///
    /// The place of an item is its last and its first record, and a print of what it holds: an attempt that lets out the same
    /// writes the same item again, and one that lets out other events, with another pipeline, leaves what is noted there.
    pub(super) fn items(&self, shard: &Source, redriven: bool, expires_at: Micros) -> Vec<Item> {
        let begin = if redriven { format!("{}/", redriven_at(self.until)) } else { String::new() };
        let (key, is_own) = (key(shard), self.source.as_ref() == Some(shard));
        let mut marks = self.marks.iter().cloned();
        let mut rest: Option<Mark> = None;
        let parts = self.hashes.chunks(IDS).enumerate().map(|(part, hashes)| {
            let mut of_part: Vec<Mark> = Vec::new();
            let mut missing = hashes.len();
            while missing > 0
                && let Some(Mark(sequence, at, ids)) = rest.take().or_else(|| marks.next())
            {
                let taken = ids.min(missing);
                missing -= taken;
                rest = (ids > taken).then(|| Mark(sequence.clone(), at, ids - taken));
                of_part.push(Mark(sequence, at, taken));
            }
            let (first, last) = &self.bounds;
            let bounds = (is_own && part == 0).then(|| (first.clone(), last.clone()));
            let head = Head { bounds, records: of_part };
            // Structs of texts and numbers cannot refuse, and neither can memory.
            let head = serde_json::to_vec(&head).unwrap_or_default();
            let print = XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(&head), hashes.as_flattened());
            let head = zstd::bulk::compress(&head, 3).unwrap_or_default();
            let mut body = vec![VERSION];
            body.extend_from_slice(&u32::try_from(head.len()).unwrap_or_default().to_le_bytes());
            body.extend_from_slice(&head);
            body.extend_from_slice(hashes.as_flattened());
            let position = format!("{begin}{}/{}/{part}-{print:016x}", place(last), place(first));
            Item { key: key.clone(), position, version: 0, expires_at, body }
        });
        parts.collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    bounds: Option<(String, String)>,
    records: Vec<Mark>,
}

/// What an item holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) position: String,
    pub(super) bounds: Option<(String, String)>,
    pub(super) marks: Vec<Mark>,
    pub(super) hashes: Vec<Hash>,
    pub(super) inherited: bool,
}

impl Batch {
    pub(super) fn ids(&self) -> usize {
        self.hashes.len()
    }

    /// When its first record arrived.
    pub(super) fn since(&self) -> Micros {
        self.marks.iter().map(|mark| mark.1).min().unwrap_or_default()
    }

    /// When its last record arrived.
    pub(super) fn until(&self) -> Micros {
        self.marks.iter().map(|mark| mark.1).max().unwrap_or_default()
    }

    pub(super) fn is_redriven(&self) -> bool {
        self.position.starts_with(REDRIVEN)
    }

    /// The same, of a parent: all of it lies before what the child has.
    pub(super) fn inherited(self) -> Self {
        Self { inherited: true, bounds: None, ..self }
    }

    /// The same, for what is redriven in another shard: whatever lies there came before it. What was redriven itself is
    /// told by its position, for it may be this very record.
    pub(super) fn of_another_shard(self) -> Self {
        if self.is_redriven() { self } else { self.inherited() }
    }
}

/// Reads an item.
pub(super) fn read(item: &Item) -> Result<Batch, Error> {
    parse(&item.body)
        .map(|(head, hashes)| Batch {
            position: item.position.clone(),
            bounds: head.bounds,
            marks: head.records,
            hashes,
            inherited: false,
        })
        .ok_or_else(|| Error {
            what: format!("the item {} {} cannot be read", item.key, item.position),
            kind: Kind::Permanent,
            source: None,
        })
}

fn parse(body: &[u8]) -> Option<(Head, Vec<Hash>)> {
    let (&VERSION, rest) = body.split_first()? else { return None };
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, hashes) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(&zstd::bulk::decompress(head, HEAD_MAX).ok()?).ok()?;
    let (hashes, rest) = hashes.as_chunks::<HASH>();
    let ids: usize = head.records.iter().map(|mark| mark.2).sum();
    (rest.is_empty() && ids == hashes.len()).then(|| (head, hashes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Micros {
        Micros::EPOCH.plus_ms(ms)
    }

    #[test]
    fn what_goes_out_is_read_again_in_as_many_items_as_it_takes() {
        let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
        for records in [vec![("7", 3)], vec![("7", 1), ("12", IDS), ("13", 5)], vec![("9", 2 * IDS + 1)]] {
            let mut out = Outgoing::default();
            out.begin(&source);
            out.record("5", at(1));
            let mut id = 0;
            for (sequence, ids) in &records {
                out.record(sequence, at(2));
                for _ in 0..*ids {
                    id += 1;
                    out.id(id, sequence, at(2));
                }
            }
            let items = out.items(&source, false, at(9));
            assert!(items.iter().all(|item| item.body.len() <= ITEM_MAX && item.expires_at == at(9)));
            assert!(items.is_sorted_by(|a, b| a.position < b.position));
            let batches: Vec<_> = items.iter().map(|item| read(item).unwrap()).collect();
            let hashes: Vec<_> = batches.iter().flat_map(|batch| batch.hashes.clone()).collect();
            assert_eq!(hashes, (1..=id).map(short).collect::<Vec<_>>());
            let last = records.last().map(|(sequence, _)| (*sequence).to_owned()).unwrap();
            assert_eq!(batches[0].bounds, Some(("5".to_owned(), last)));
            assert!(batches.iter().skip(1).all(|batch| batch.bounds.is_none()));
            for (sequence, ids) in records {
                let of_record =
                    batches.iter().flat_map(|batch| &batch.marks).filter(|mark| mark.0 == sequence);
                assert_eq!(of_record.map(|mark| mark.2).sum::<usize>(), ids);
            }
        }
    }

    #[test]
    fn the_fullest_item_fits() {
        let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
        let mut out = Outgoing::default();
        out.begin(&source);
        let mut random = fastrand::Rng::with_seed(7);
        for n in (0..).take(IDS) {
            // Sequence numbers as Kinesis gives them, of which half of the digits differ, and more than that.
            let sequence = format!("49590338271490256608559692{:030}", random.u128(..) % 10_u128.pow(30));
            out.record(&sequence, at(n));
            out.id(random.u128(..), &sequence, at(n));
        }
        let items = out.items(&source, false, at(9));
        let [item] = items.as_slice() else { panic!("{} items", items.len()) };
        assert!(item.body.len() < ITEM_MAX, "{} bytes", item.body.len());
    }

    #[test]
    fn positions_are_in_the_order_of_the_numbers() {
        assert!(place("9") < place("10") && place("10") < place("11") && place("999").as_str() < REDRIVEN);
    }

    #[test]
    fn a_damaged_item_is_an_error() {
        let mut out = Outgoing::default();
        let source = Source { stream: "raw".into(), shard: "s".into() };
        out.begin(&source);
        out.record("5", at(1));
        out.id(7, "5", at(1));
        let item = out.items(&source, false, at(9)).remove(0);
        assert!(read(&item).is_ok());
        for end in 0..item.body.len() {
            let cut = Item { body: item.body[..end].to_vec(), ..item.clone() };
            assert!(read(&cut).is_err(), "cut at {end}");
        }
    }
}
