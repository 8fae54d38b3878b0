//! Streams: Kinesis' data streams, and the stream of a DynamoDB table, which Lambda reads alike.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | a partition key's hash decides the shard; sequence numbers grow within a shard | [concepts] |
//! | `PutRecords` takes entries in part, answers in their order, and promises no order among them | [`PutRecords`] |
//! | a split or merged shard is closed; its children take what comes from then on | [resharding] |
//! | records are kept for the retention, then gone, the oldest of a shard first | [retention] |
//! | the time of arrival is about right, and may be less than that of the record before | [record] |
//!
//! [concepts]: https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
//! [`PutRecords`]: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
//! [resharding]: https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
//! [record]: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html
//! [retention]: https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html

use crate::account::Account;
use crate::executor::Bell;
use crate::fault::CallFault;
use millrace_core::port::{self, Begin, Entry, Error, Kept, Kind, Lineage, Put, PutRecords, ReadAgain};
use millrace_core::record::order;
use millrace_core::seen;
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The largest call and the most entries of one.
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
const CALL_MAX_BYTES: usize = 10 << 20;
const CALL_MAX_RECORDS: usize = 500;

/// The largest record that a stream takes by default, with its key.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const RECORD_MAX_BYTES: usize = 1 << 20;

/// A record in a shard.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub sequence: String,
    /// When the stream took it.
    pub arrived_at: Micros,
    /// From when on its age counts for the retention: what lies behind a record is not gone before that one.
    ages_from: Micros,
    /// What decided the shard.
    pub partition_key: String,
    /// What the producer sent.
    pub data: Vec<u8>,
    /// How many records the stream took before it.
    pub order: u64,
}

/// A shard.
#[derive(Debug)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The places of the shards that it came from.
    pub parents: Vec<usize>,
    /// All records that it ever took, in order.
    pub records: Vec<Rc<Record>>,
    /// Whether it takes none any more.
    pub closed: bool,
    first: u128,
    last: u128,
}

impl Shard {
    fn new(place: usize, parents: Vec<usize>, first: u128, last: u128) -> Self {
        Self { id: format!("shardId-{place:012}"), parents, records: Vec::new(), closed: false, first, last }
    }
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// Its ARN.
    pub arn: String,
    /// How long it keeps records.
    pub retention_ms: i64,
    /// Rings when a record or a shard comes.
    pub bell: Bell,
    account: Account,
    shards: RefCell<Vec<Shard>>,
    sequence: Cell<u128>,
    taken: Cell<u64>,
    /// When somebody began to read at a record, by its shard and sequence number.
    begun: RefCell<BTreeMap<(String, String), Vec<Micros>>>,
}

impl Stream {
    /// A stream of so many shards.
    #[must_use]
    pub fn new(
        account: &Account,
        name: &'static str,
        arn: String,
        shards: usize,
        retention_ms: i64,
    ) -> Rc<Self> {
        let width = u128::MAX / shards.max(1) as u128;
        let shard = |place: usize| {
            let last = if place + 1 == shards { u128::MAX } else { width * (place as u128 + 1) - 1 };
            Shard::new(place, Vec::new(), width * place as u128, last)
        };
        Rc::new(Self {
            name,
            arn,
            retention_ms,
            bell: Bell::default(),
            account: account.clone(),
            shards: RefCell::new((0..shards.max(1)).map(shard).collect()),
            // The numbers soon get longer: who compares them as text is found out.
            sequence: Cell::new(10_u128.pow(20) - u128::from(account.chance().below(400))),
            taken: Cell::new(0),
            begun: RefCell::default(),
        })
    }

    /// Looks at the shards.
    pub fn shards<T>(&self, look: impl FnOnce(&[Shard]) -> T) -> T {
        look(&self.shards.borrow())
    }

    /// All records that it ever took, in the order in which it took them.
    #[must_use]
    pub fn records(&self) -> Vec<(String, Rc<Record>)> {
        let shards = self.shards.borrow();
        let of = |shard: &Shard| {
            shard.records.iter().map(|record| (shard.id.clone(), Rc::clone(record))).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = shards.iter().flat_map(of).collect();
        all.sort_by_key(|(_, record)| record.order);
        all
    }

    /// Whether a record is still there to be read.
    #[must_use]
    pub fn keeps(&self, record: &Record) -> bool {
        self.kept(record, self.account.now())
    }

    /// Whether a record was still there to be read at this time.
    #[must_use]
    pub fn kept(&self, record: &Record, at: Micros) -> bool {
        self.removed_at(record) > at
    }

    /// When the stream removes a record.
    #[must_use]
    pub fn removed_at(&self, record: &Record) -> Micros {
        record.ages_from.plus_ms(self.retention_ms)
    }

    /// When somebody began to read at this record, whether it was still there or not.
    #[must_use]
    pub fn begun(&self, shard: &str, sequence: &str) -> Vec<Micros> {
        let place = (shard.to_owned(), sequence.to_owned());
        self.begun.borrow().get(&place).cloned().unwrap_or_default()
    }

    /// Takes a record.
    pub fn take(&self, partition_key: &str, data: &[u8]) -> Rc<Record> {
        let hash = seen::hash(partition_key); // Kinesis takes MD5; any hash spreads as well
        // Numbers have gaps.
        self.sequence.set(self.sequence.get() + 1 + u128::from(self.account.chance().below(3)));
        let arrived_at = self.about_now();
        let mut shards = self.shards.borrow_mut();
        let shard =
            shards.iter_mut().find(|shard| !shard.closed && (shard.first..=shard.last).contains(&hash));
        let before = shard.as_ref().and_then(|shard| shard.records.last());
        let record = Rc::new(Record {
            sequence: self.sequence.get().to_string(),
            arrived_at,
            ages_from: before.map_or(arrived_at, |before| before.ages_from.max(arrived_at)),
            partition_key: partition_key.to_owned(),
            data: data.to_vec(),
            order: self.taken.get(),
        });
        self.taken.set(record.order + 1);
        if let Some(shard) = shard {
            shard.records.push(Rc::clone(&record));
        }
        drop(shards);
        self.bell.ring();
        record
    }

    /// The time as records have it: in milliseconds, not accurate, and not always increasing.
    /// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html>
    fn about_now(&self) -> Micros {
        let chance = self.account.chance();
        let wrong_ms = if chance.percent(10) { chance.below(2_000) } else { chance.below(20) };
        let now = self.account.now().plus_ms(-i64::try_from(wrong_ms).unwrap_or_default());
        Micros::new(now.get() / 1000 * 1000).unwrap_or(Micros::EPOCH)
    }

    /// Splits an open shard in two.
    pub fn split(&self) {
        let mut shards = self.shards.borrow_mut();
        let open: Vec<_> =
            (0..).zip(shards.iter()).filter(|(_, shard)| !shard.closed).map(|(at, _)| at).collect();
        if open.len() >= 4 {
            return; // enough to go wrong
        }
        let parent = self.account.chance().pick(&open);
        let next = shards.len();
        let children = shards.get_mut(parent).map(|shard: &mut Shard| {
            shard.closed = true;
            let middle = shard.first + (shard.last - shard.first) / 2;
            [
                Shard::new(next, vec![parent], shard.first, middle),
                Shard::new(next + 1, vec![parent], middle + 1, shard.last),
            ]
        });
        shards.extend(children.into_iter().flatten());
        drop(shards);
        self.account.tell(|| format!("{}: shard {parent} splits", self.name));
        self.bell.ring();
    }

    /// Makes one of two neighbouring open shards; does nothing where there is only one.
    pub fn merge(&self) {
        let mut shards = self.shards.borrow_mut();
        let open = |shard: &&(usize, (u128, u128), bool)| !shard.2;
        let all: Vec<_> = (0..)
            .zip(shards.iter())
            .map(|(at, shard)| (at, (shard.first, shard.last), shard.closed))
            .collect();
        let pair = all.iter().filter(open).find_map(|left| {
            let right = all.iter().filter(open).find(|right| left.1.1.checked_add(1) == Some(right.1.0))?;
            Some((left.0, right.0, left.1.0, right.1.1))
        });
        let Some((left, right, first, last)) = pair else { return };
        for at in [left, right] {
            if let Some(shard) = shards.get_mut(at) {
                shard.closed = true;
            }
        }
        let next = shards.len();
        shards.push(Shard::new(next, vec![left, right], first, last));
        drop(shards);
        self.account.tell(|| format!("{}: shards {left} and {right} merge", self.name));
        self.bell.ring();
    }

    /// `PutRecords`, when it has arrived.
    pub fn put_records(&self, entries: &[Entry], fault: Option<CallFault>) -> Result<Vec<Put>, Error> {
        let bytes = |entry: &Entry| entry.data.len() + entry.partition_key.len();
        if entries.len() > CALL_MAX_RECORDS
            || entries.iter().map(bytes).sum::<usize>() > CALL_MAX_BYTES
            || entries.iter().any(|entry| bytes(entry) > RECORD_MAX_BYTES || entry.partition_key.is_empty())
        {
            let what = format!("put records to {}: the call is too large", self.name);
            return Err(Error { what, kind: Kind::Permanent, source: None });
        }
        let chance = self.account.chance();
        let mut puts = vec![Put::Done; entries.len()];
        if let Some(CallFault::Partial(percent, kind)) = fault {
            let refused = if kind == Kind::Throttled { Put::Throttled } else { Put::Failed };
            puts.iter_mut().filter(|_| chance.percent(percent)).for_each(|put| *put = refused);
        }
        let mut order: Vec<_> = entries.iter().zip(&puts).filter(|(_, put)| **put == Put::Done).collect();
        if chance.percent(30) {
            chance.shuffle(&mut order);
        }
        for (entry, _) in order {
            self.take(&entry.partition_key, &entry.data);
        }
        Ok(puts)
    }
}

/// A client of a stream.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Stream>);

impl PutRecords for Client {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        let (stream, entries) = (Rc::clone(&self.0), entries.to_vec());
        self.0.account.call(self.0.name, move |fault| stream.put_records(&entries, fault)).await
    }
}

impl Lineage for Client {
    async fn parents(&self, shard: &str) -> Result<Vec<String>, Error> {
        let (stream, shard) = (Rc::clone(&self.0), shard.to_owned());
        let effect = move |_| {
            let shards = stream.shards.borrow();
            let parents = shards.iter().find(|known| known.id == shard).map(|shard| shard.parents.as_slice());
            let id = |place: &usize| shards.get(*place).map(|shard| shard.id.clone());
            Ok(parents.unwrap_or_default().iter().filter_map(id).collect())
        };
        self.0.account.call("shards", effect).await
    }

    async fn children(&self, shard: &str) -> Result<Vec<String>, Error> {
        let (stream, shard) = (Rc::clone(&self.0), shard.to_owned());
        let effect = move |_| {
            let shards = stream.shards.borrow();
            let place = shards.iter().position(|known| known.id == shard);
            let children = shards.iter().filter(|child| child.parents.iter().any(|of| Some(*of) == place));
            Ok(children.map(|child| child.id.clone()).collect())
        };
        self.0.account.call("shards", effect).await
    }
}

/// How a record of a shard looks to who reads it.
pub type Look = fn(&Stream, &str, &Record) -> Kept;

/// A client that reads what streams still hold, as `GetShardIterator` and `GetRecords` do.
/// <https://docs.aws.amazon.com/streams/latest/dev/developing-consumers-with-sdk.html>
#[derive(Debug, Clone)]
pub struct Reader {
    /// The account.
    pub account: Account,
    /// The streams, each with how a record looks to who reads it.
    pub streams: Vec<(Rc<Stream>, Look)>,
}

impl ReadAgain for Reader {
    async fn read(&self, shard: &port::Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let (streams, shard) = (self.streams.clone(), shard.clone());
        let (from, inclusive) = match begin {
            Begin::At(sequence) => (sequence.to_string(), true),
            Begin::After(sequence) => (sequence.to_string(), false),
        };
        let effect = move |_| {
            let Some((stream, kept)) = streams.iter().find(|(stream, _)| stream.arn == shard.stream) else {
                let what = format!("read {}: there is no such stream", shard.stream);
                return Err(Error { what, kind: Kind::Permanent, source: None });
            };
            if inclusive {
                let place = (shard.shard.clone(), from.clone());
                stream.begun.borrow_mut().entry(place).or_default().push(stream.account.now());
            }
            let shards = stream.shards.borrow();
            let records =
                shards.iter().find(|known| known.id == shard.shard).map(|shard| shard.records.as_slice());
            let wanted = |record: &&Rc<Record>| {
                let order = order(&record.sequence, &from);
                stream.keeps(record) && (order.is_gt() || inclusive && order.is_eq())
            };
            let most = usize::try_from(stream.account.chance().between(1, 4)).unwrap_or(1);
            let records = records.unwrap_or_default().iter().filter(wanted).take(most);
            Ok(records.map(|record| kept(stream, &shard.shard, record)).collect())
        };
        self.account.call("shards", effect).await
    }
}

/// A record as who reads a Kinesis stream has it.
#[must_use]
pub fn kept(_stream: &Stream, _shard: &str, record: &Record) -> Kept {
    Kept {
        sequence: record.sequence.as_str().into(),
        arrived_at: record.arrived_at,
        partition_key: record.partition_key.clone(),
        data: record.data.clone(),
    }
}

/// A record as who reads a table's stream has it.
#[must_use]
pub fn kept_change(stream: &Stream, shard: &str, record: &Record) -> Kept {
    let data = crate::stream_mapping::table(stream, shard, record).to_string().into_bytes();
    Kept { partition_key: String::new(), data, ..kept(stream, shard, record) }
}
