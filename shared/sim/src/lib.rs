//! The core's ports in memory, with faults. For tests only.
//!
//! There are two kinds of them. Those of this module fail in the order that a test says, and serve tests of one function.
//! Those of the other modules are a small AWS account, [`account::Account`], with a virtual clock and chance from a seed,
//! in which whole systems run:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`chance`], [`executor`] | randomness from a seed; tasks in virtual time |
//! | [`fault`], [`account`] | what goes wrong, as a list; the network, and the story of a run |
//! | [`kinesis`], [`sqs`], [`fifo`], [`s3`], [`dynamodb`], [`secrets`], [`firehose`] | the services, one file each |
//! | [`lambda`] | functions: instances, timeouts, crashes, versions |
//! | [`stream_mapping`], [`queue_mapping`] | what brings streams and queues to functions |
//!
//! Time is virtual everywhere: a sleep moves the clock and takes none.

pub mod account;
pub mod chance;
pub mod dynamodb;
pub mod executor;
pub mod fault;
pub mod fifo;
pub mod firehose;
pub mod kinesis;
pub mod lambda;
pub mod queue_mapping;
pub mod s3;
pub mod secrets;
pub mod sqs;
pub mod stream_mapping;

use bytes::Bytes;
use millrace_core::metric::Row;
use millrace_core::port::{
    Begin, Between, Browse, Clock, Entry, Error, Functions, Inbox, Invoked, Item, Kept, KeyTable, Kind,
    Lineage, Message, MetricTable, ObjectStore, Page, Put, PutRecords, Queue, ReadAgain, ReadObject, Shard,
    Spent, When, WriteKey, WriteKeys, Written,
};
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails and does nothing.
    Fails(Kind),
    /// The call does its work, and its answer is lost.
    AnswerLost,
    /// The stream throttles the entries at these places, and takes the others.
    Throttles(Vec<usize>),
}

/// The faults of the calls to come; after the last of them all goes well.
#[derive(Debug, Default)]
struct Faults(RefCell<VecDeque<Fault>>);

impl Faults {
    fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(RefCell::new(faults.into_iter().collect()))
    }

    fn next(&self) -> Fault {
        self.0.borrow_mut().pop_front().unwrap_or(Fault::None)
    }
}

fn error(kind: Kind) -> Error {
    Error { what: "simulated".to_owned(), kind, source: None }
}

/// A stream in memory.
#[derive(Debug, Default)]
pub struct Stream {
    taken: RefCell<Vec<Entry>>,
    calls: RefCell<Vec<usize>>,
    faults: Faults,
}

impl Stream {
    /// A stream whose first calls go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The records that it took, in order.
    #[must_use]
    pub fn records(&self) -> Vec<Entry> {
        self.taken.borrow().clone()
    }

    /// How many entries each call had.
    #[must_use]
    pub fn calls(&self) -> Vec<usize> {
        self.calls.borrow().clone()
    }
}

impl PutRecords for Stream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        self.calls.borrow_mut().push(entries.len());
        let refused = match self.faults.next() {
            Fault::Fails(kind) => return Err(error(kind)),
            Fault::AnswerLost => {
                self.taken.borrow_mut().extend_from_slice(entries);
                return Err(error(Kind::Transient));
            }
            Fault::Throttles(places) => places,
            Fault::None => Vec::new(),
        };
        let take = |(place, entry): (usize, &Entry)| {
            if refused.contains(&place) {
                return Put::Throttled;
            }
            self.taken.borrow_mut().push(entry.clone());
            Put::Done
        };
        Ok(entries.iter().enumerate().map(take).collect())
    }
}

/// A bucket in memory.
#[derive(Debug, Default)]
pub struct Store {
    objects: RefCell<BTreeMap<String, Vec<u8>>>,
    faults: Faults,
}

impl Store {
    /// A bucket whose first puts go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// A bucket with these objects.
    pub fn with<K: Into<String>>(objects: impl IntoIterator<Item = (K, Vec<u8>)>) -> Self {
        let objects = objects.into_iter().map(|(key, body)| (key.into(), body)).collect();
        Self { objects: RefCell::new(objects), ..Self::default() }
    }

    /// The same, without faults.
    #[must_use]
    pub fn healed(self) -> Self {
        self.faulty([])
    }

    /// The same, with these faults to come.
    #[must_use]
    pub fn faulty(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..self }
    }

    /// The objects in it.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.borrow().clone()
    }
}

impl ObjectStore for Store {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        // A bucket names the object.
        let error = |kind| Error { what: format!("put the object {key}"), ..error(kind) };
        match self.faults.next() {
            Fault::Fails(kind) => return Err(error(kind)),
            Fault::AnswerLost => {
                self.objects.borrow_mut().insert(key.to_owned(), body.to_vec());
                return Err(error(Kind::Transient));
            }
            Fault::None | Fault::Throttles(_) => {}
        }
        self.objects.borrow_mut().insert(key.to_owned(), body.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let fault = self.faults.next();
        if let Fault::Fails(kind) = fault {
            return Err(error(kind));
        }
        self.objects.borrow_mut().remove(key);
        if fault == Fault::AnswerLost { Err(error(Kind::Transient)) } else { Ok(()) }
    }
}

impl Browse for Store {
    async fn keys(&self, begin: &str) -> Result<Vec<String>, Error> {
        let keys = self.objects.borrow().keys().filter(|key| key.starts_with(begin)).cloned().collect();
        Ok(keys)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.objects.borrow().get(key).cloned().map(Bytes::from))
    }
}

impl ReadObject for Store {
    async fn read(&self, key: &str, etag: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.faults.next() {
            Fault::Fails(kind) => return Err(error(kind)),
            Fault::AnswerLost => return Err(error(Kind::Transient)),
            Fault::None | Fault::Throttles(_) => {}
        }
        Ok(part(self.objects.borrow().get(key).map(Vec::as_slice), etag, from, bytes))
    }
}

/// A part of an object, if it is the one of this `ETag`.
pub(crate) fn part(object: Option<&[u8]>, etag: &str, from: u64, bytes: u64) -> Option<Bytes> {
    let object = object.filter(|object| self::etag(object) == etag)?;
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(object.len());
    object.get(place(from)..place(from.saturating_add(bytes))).map(Bytes::copy_from_slice)
}

/// The `ETag` of an object with these bytes: FNV-1a does here.
/// <http://www.isthe.com/chongo/tech/comp/fnv/>
#[must_use]
pub fn etag(object: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", object.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// A table in memory. A page has [`PAGE_ITEMS`] items.
#[derive(Debug, Default)]
pub struct Table {
    items: RefCell<BTreeMap<(String, String), Item>>,
    puts: Cell<usize>,
    read: Cell<usize>,
    faults: Faults,
}

/// How many items a page of a [`Table`] has: few, so that tests see more than one page.
pub const PAGE_ITEMS: usize = 3;

impl Table {
    /// A table whose first calls go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The same, without faults.
    #[must_use]
    pub fn healed(self) -> Self {
        Self { faults: Faults::default(), ..self }
    }

    /// The items in it, by key and position.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        self.items.borrow().values().cloned().collect()
    }

    /// How often an item was written.
    #[must_use]
    pub fn puts(&self) -> usize {
        self.puts.get()
    }
}

impl Table {
    /// How many items were read.
    #[must_use]
    pub fn read(&self) -> usize {
        self.read.get()
    }
}

impl KeyTable for Table {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        let items = self.items.borrow();
        let is_wanted = |item: &&Item| {
            item.key == key
                && item.position.as_str() > between.after
                && between.before.is_none_or(|end| item.position.as_str() < end)
        };
        let mut wanted: Vec<_> = items.values().filter(is_wanted).cloned().collect();
        if between.backward {
            wanted.reverse();
        }
        let more = wanted.len() > PAGE_ITEMS;
        wanted.truncate(PAGE_ITEMS);
        self.read.set(self.read.get() + wanted.len());
        Ok(Page { items: wanted, more })
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        let fault = self.faults.next();
        if let Fault::Fails(kind) = fault {
            return Err(error(kind));
        }
        let mut items = self.items.borrow_mut();
        let place = (item.key.clone(), item.position.clone());
        let there = items.get(&place);
        let fits = match when {
            When::Always => true,
            When::Absent => there.is_none(),
            When::Version(version) => there.is_some_and(|item| item.version == version),
        };
        if !fits {
            return Ok(Written::Refused(there.cloned()));
        }
        self.puts.set(self.puts.get() + 1);
        items.insert(place, item.clone());
        if fault == Fault::AnswerLost { Err(error(Kind::Transient)) } else { Ok(Written::Done) }
    }
}

/// A table of metrics in memory.
#[derive(Debug, Default)]
pub struct Rows {
    written: RefCell<BTreeMap<(String, String), (Row, u64)>>,
    asked: Cell<usize>,
    faults: Faults,
}

impl Rows {
    /// A table whose first calls go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The rows in it.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.written.borrow().values().map(|(row, _)| row.clone()).collect()
    }

    /// How many times it was asked which rows are there.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.get()
    }
}

impl MetricTable for Rows {
    async fn put(&self, row: &Row, attempt: u64) -> Result<bool, Error> {
        let fault = self.faults.next();
        if let Fault::Fails(kind) = fault {
            return Err(error(kind));
        }
        let place = (row.metric.clone(), row.place.clone());
        let mut rows = self.written.borrow_mut();
        let (there, first) = rows.entry(place).or_insert_with(|| (row.clone(), attempt));
        if there.reaches <= row.reaches {
            there.clone_from(row);
        }
        if fault == Fault::AnswerLost {
            return Err(error(Kind::Transient));
        }
        Ok(*first == attempt)
    }

    async fn reaches(&self, metric: &str, begin: &str) -> Result<Vec<(String, String)>, Error> {
        self.asked.set(self.asked.get() + 1);
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        Ok(reaches(self.written.borrow().values().map(|(row, _)| row), metric, begin))
    }
}

/// Where the rows of a metric stand, and how far each reaches, of those whose places begin so.
fn reaches<'a>(rows: impl Iterator<Item = &'a Row>, metric: &str, begin: &str) -> Vec<(String, String)> {
    rows.filter(|row| row.metric == metric && row.place.starts_with(begin))
        .map(|row| (row.place.clone(), row.reaches.clone()))
        .collect()
}

/// Write keys in memory, by hash, and what was sent with each within a minute.
#[derive(Debug, Default)]
pub struct Keys {
    /// The keys.
    pub keys: RefCell<BTreeMap<String, WriteKey>>,
    /// The events, by hash and minute.
    pub sent: RefCell<BTreeMap<(String, i64), u64>>,
    finds: Cell<usize>,
    spends: Cell<usize>,
    faults: RefCell<Faults>,
}

impl Keys {
    /// The calls from now on go so.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.replace(Faults::new(faults));
    }

    /// How often a key was looked up, and events were counted.
    #[must_use]
    pub fn calls(&self) -> (usize, usize) {
        (self.finds.get(), self.spends.get())
    }

    fn call(&self, count: &Cell<usize>) -> Result<(), Error> {
        count.set(count.get() + 1);
        match self.faults.borrow().next() {
            Fault::Fails(kind) => Err(error(kind)),
            Fault::None | Fault::AnswerLost | Fault::Throttles(_) => Ok(()),
        }
    }
}

impl WriteKeys for Keys {
    async fn find(&self, hash: &str) -> Result<Option<WriteKey>, Error> {
        self.call(&self.finds)?;
        Ok(self.keys.borrow().get(hash).cloned())
    }

    async fn spend(&self, hash: &str, minute: i64, events: u64, most: u64) -> Result<Spent, Error> {
        self.call(&self.spends)?;
        let mut sent = self.sent.borrow_mut();
        let sent = sent.entry((hash.to_owned(), minute)).or_default();
        if *sent + events > most {
            return Ok(Spent::Over(*sent));
        }
        *sent += events;
        Ok(Spent::Now(*sent))
    }
}

/// What streams hold, in memory, and which shards came from which.
#[derive(Debug, Default)]
pub struct History {
    /// The records, by shard, in their order.
    pub records: BTreeMap<String, Vec<Kept>>,
    /// The parents, by shard.
    pub parents: BTreeMap<String, Vec<String>>,
}

impl Lineage for History {
    async fn parents(&self, shard: &str) -> Result<Vec<String>, Error> {
        Ok(self.parents.get(shard).cloned().unwrap_or_default())
    }

    async fn children(&self, shard: &str) -> Result<Vec<String>, Error> {
        let of = self.parents.iter().filter(|(_, parents)| parents.iter().any(|of| of == shard));
        Ok(of.map(|(child, _)| child.clone()).collect())
    }
}

impl ReadAgain for History {
    async fn read(&self, shard: &Shard, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let wanted = |kept: &&Kept| match begin {
            Begin::At(sequence) => kept.sequence >= *sequence,
            Begin::After(sequence) => kept.sequence > *sequence,
        };
        let records = self.records.get(&shard.shard).into_iter().flatten();
        Ok(records.filter(wanted).take(PAGE_ITEMS).cloned().collect())
    }
}

/// Functions that a test plays: it gets the name and the event.
pub struct Played<F>(pub F);

impl<F: Fn(&str, String) -> Result<Invoked, Kind>> Functions for Played<F> {
    async fn invoke(&self, function: &str, event: String) -> Result<Invoked, Error> {
        (self.0)(function, event).map_err(error)
    }
}

/// A queue in memory. Each message is handed out once, until it is given back, and is there until it is deleted.
#[derive(Debug, Default)]
pub struct Messages {
    sent: RefCell<Vec<String>>,
    received: RefCell<BTreeSet<usize>>,
    deleted: RefCell<Vec<usize>>,
    faults: Faults,
}

impl Messages {
    /// A queue whose first sends go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// A queue with these messages.
    pub fn with(messages: impl IntoIterator<Item = String>) -> Self {
        Self { sent: RefCell::new(messages.into_iter().collect()), ..Self::default() }
    }

    /// The messages that are not deleted.
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        let deleted = self.deleted.borrow();
        let there = |(place, text): (usize, &String)| (!deleted.contains(&place)).then(|| text.clone());
        self.sent.borrow().iter().enumerate().filter_map(there).collect()
    }
}

impl Inbox for Messages {
    async fn receive(&self) -> Result<Vec<Message>, Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        let sent = self.sent.borrow();
        let message = |(place, body): (usize, &String)| Message {
            id: format!("m{place}"),
            receipt: place.to_string(),
            body: body.clone(),
            sent_at: None,
            attributes: Vec::new(),
        };
        let mut received = self.received.borrow_mut();
        let there = sent.iter().enumerate().filter(|(place, _)| received.insert(*place));
        Ok(there.take(PAGE_ITEMS).map(message).collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        self.deleted.borrow_mut().extend(receipt.parse::<usize>());
        Ok(())
    }

    async fn give_back(&self, receipt: &str) -> Result<(), Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        if let Ok(place) = receipt.parse() {
            self.received.borrow_mut().remove(&place);
        }
        Ok(())
    }
}

impl Queue for Messages {
    async fn send(&self, message: &str) -> Result<(), Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        self.sent.borrow_mut().push(message.to_owned());
        Ok(())
    }
}

/// A virtual clock, with chance from a seed.
#[derive(Debug)]
pub struct VirtualClock {
    now: Cell<Micros>,
    chance: Cell<u64>,
}

impl VirtualClock {
    /// A clock that stands at this moment.
    #[must_use]
    pub fn at(now: Micros) -> Self {
        Self { now: Cell::new(now), chance: Cell::new(0x9e37_79b9_7f4a_7c15) }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Micros {
        self.now.get()
    }

    async fn sleep(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.now.set(self.now.get().plus_ms(ms.max(1)));
    }

    /// xorshift64: <https://www.jstatsoft.org/article/view/v008i14>
    fn random(&self) -> u64 {
        let mut state = self.chance.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.chance.set(state);
        state
    }
}

/// Runs a future whose ports are all in memory, so that it never has to wait.
///
/// # Panics
///
/// When the future waits for something: then a port is not of this crate.
#[expect(clippy::panic, reason = "a test that waits for ever says less")]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something outside the simulation"),
    }
}
