//! What a function needs of the world, in its own words. `millrace-aws` has them over the SDK; tests have them in
//! memory, with faults.
//!
//! A call is one attempt. Its answer may be lost after it did its work, so an error says only that nobody knows.

use crate::metric::Row;
use crate::record::Sequence;
use crate::time::Micros;
use bytes::Bytes;
use std::time::Duration;

/// A record to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What decides the shard; 1 to 256 characters.
    pub partition_key: String,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// A stream that takes records.
pub trait PutRecords {
    /// Tries once to put records. The answer has one item an entry, in the order of the entries.
    fn put(&self, entries: &[Entry]) -> impl Future<Output = Result<Vec<Put>, Error>>;
}

/// A stream that several share.
impl<P: PutRecords> PutRecords for &P {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        P::put(self, entries).await
    }
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The stream has it.
    Done,
    /// The shard is at its limit.
    Throttled,
    /// The stream failed on it.
    Failed,
}

/// A place for objects.
pub trait ObjectStore {
    /// Puts an object, over one that is there already.
    fn put(&self, key: &str, body: Bytes) -> impl Future<Output = Result<(), Error>>;

    /// Deletes an object; one that is not there is deleted already.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Error>>;
}

/// A place that several share.
impl<S: ObjectStore> ObjectStore for &S {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        S::put(self, key, body).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        S::delete(self, key).await
    }
}

/// A place whose objects people look at.
pub trait Browse {
    /// The keys that begin so.
    fn keys(&self, begin: &str) -> impl Future<Output = Result<Vec<String>, Error>>;

    /// What an object holds; none where it is not there.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, Error>>;
}

impl<B: Browse> Browse for &B {
    async fn keys(&self, begin: &str) -> Result<Vec<String>, Error> {
        (**self).keys(begin).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        (**self).get(key).await
    }
}

/// A place whose objects are read, a part at a time.
pub trait ReadObject {
    /// The bytes of an object from this one on, so many of them or up to its end. None where it is no longer the one of
    /// this `ETag`.
    fn read(
        &self,
        key: &str,
        etag: &str,
        from: u64,
        bytes: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, Error>>;
}

/// A place that several read from.
impl<R: ReadObject> ReadObject for &R {
    async fn read(&self, key: &str, etag: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        R::read(self, key, etag, from, bytes).await
    }
}

/// A table of small items under a key each, in the order of their positions: what a stage remembers of a lane.
pub trait KeyTable {
    /// The items of a key that lie between two positions, neither of them included, as far as one page goes. The next
    /// page begins behind the last item of this one. Consistent: what was written before is seen. What has expired may
    /// still be there.
    fn page(&self, key: &str, between: Between<'_>) -> impl Future<Output = Result<Page, Error>>;

    /// Writes an item, if what stands in its place is so.
    fn put(&self, item: &Item, when: When) -> impl Future<Output = Result<Written, Error>>;
}

/// A table that several share.
impl<T: KeyTable> KeyTable for &T {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        T::page(self, key, between).await
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        T::put(self, item, when).await
    }
}

/// An item of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it belongs to.
    pub key: String,
    /// Its place among the items of this key, ordered as text. Not empty.
    pub position: String,
    /// Tells one writing from another.
    pub version: u64,
    /// From here on nobody needs it. It goes some time afterwards.
    pub expires_at: Micros,
    /// What it holds, at most [`ITEM_MAX`] bytes.
    pub body: Vec<u8>,
}

/// The largest body of an item, bytes: `DynamoDB` takes 400 KB with the names and the other attributes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const ITEM_MAX: usize = 390_000;

/// Which items of a key, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between<'a> {
    /// They lie behind this position; empty for the first one.
    pub after: &'a str,
    /// They lie before this position; none for no end.
    pub before: Option<&'a str>,
    /// Whether the last one comes first.
    pub backward: bool,
}

/// Some items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// What must stand in an item's place for it to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Whatever stands there.
    Always,
    /// Nothing.
    Absent,
    /// An item of this version.
    Version(u64),
}

/// Whether an item was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It was.
    Done,
    /// It was not: this stands in its place.
    Refused(Option<Item>),
}

/// A table of the rows of metrics.
pub trait MetricTable {
    /// Writes a row over the one in its place, if that does not reach further, and says whether this attempt was the first
    /// to write one there.
    fn put(&self, row: &Row, attempt: u64) -> impl Future<Output = Result<bool, Error>>;

    /// The rows of a metric whose places begin so: each one's place, and how far it reaches.
    fn reaches(
        &self,
        metric: &str,
        begin: &str,
    ) -> impl Future<Output = Result<Vec<(String, String)>, Error>>;
}

/// Which shards of a stream came from which.
pub trait Lineage {
    /// The shards that this shard was split or merged from, as far as the stream still knows them.
    fn parents(&self, shard: &str) -> impl Future<Output = Result<Vec<String>, Error>>;

    /// The shards that this shard was split or merged into.
    fn children(&self, shard: &str) -> impl Future<Output = Result<Vec<String>, Error>>;
}

/// What streams still hold.
pub trait ReadAgain {
    /// Reads records of a shard in their order, from one on or from behind one, as many as one call gives; none where
    /// there are no more. What the stream has forgotten is left out.
    fn read(&self, shard: &Shard, begin: Begin<'_>) -> impl Future<Output = Result<Vec<Kept>, Error>>;
}

/// A shard of some stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The stream's ARN, of Kinesis or of a table.
    pub stream: String,
    /// The shard's id.
    pub shard: String,
}

/// Where to begin to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin<'a> {
    /// With this record.
    At(&'a Sequence),
    /// With the next one.
    After(&'a Sequence),
}

/// A record that a stream still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands in its shard.
    pub sequence: Sequence,
    /// When the stream took it.
    pub arrived_at: Micros,
    /// What its producer chose the shard by; empty for a table's stream.
    pub partition_key: String,
    /// What the producer sent; of a table's stream the record as Lambda hands it over, JSON.
    pub data: Vec<u8>,
}

/// The functions of the pipeline, to be called by name.
pub trait Functions {
    /// Calls a function with an event, JSON, and waits for its answer.
    fn invoke(&self, function: &str, event: String) -> impl Future<Output = Result<Invoked, Error>>;
}

/// How a call of a function ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invoked {
    /// It answered with this JSON.
    Answered(String),
    /// It died, or took too long.
    Died,
}

impl Invoked {
    /// Whether it answered that nothing of the event failed.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let Self::Answered(answer) = self else { return false };
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
        answer.get("batchItemFailures").and_then(serde_json::Value::as_array).is_some_and(Vec::is_empty)
    }
}

/// A queue that takes messages.
pub trait Queue {
    /// Sends a message of text, or says that it could not.
    fn send(&self, message: &str) -> impl Future<Output = Result<(), Error>>;
}

/// A service of somebody else's that is asked over HTTP.
pub trait Post {
    /// Posts JSON. The same `key` is the same question again. What may be answered the next time (429, 5xx) is an error.
    fn post(&self, key: &str, json: &str) -> impl Future<Output = Result<Reply, Error>>;
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status, which is neither 408, 429 nor 5xx.
    pub status: u16,
    /// Its body, the beginning of it.
    pub body: Vec<u8>,
}

/// A queue that several share.
impl<Q: Queue> Queue for &Q {
    async fn send(&self, message: &str) -> Result<(), Error> {
        Q::send(self, message).await
    }
}

/// A queue that hands messages out.
pub trait Inbox {
    /// Takes some messages, which nobody else gets for a while; none where the queue is empty.
    fn receive(&self) -> impl Future<Output = Result<Vec<Message>, Error>>;

    /// Deletes a message that was received.
    fn delete(&self, receipt: &str) -> impl Future<Output = Result<(), Error>>;

    /// Gives a message that was received back: whoever asks next may have it.
    fn give_back(&self, receipt: &str) -> impl Future<Output = Result<(), Error>>;
}

/// A message out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is known by.
    pub id: String,
    /// What deletes it, or gives it back.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// When it was sent, where the queue says so.
    pub sent_at: Option<Micros>,
    /// What stands beside its text.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type, as its sender calls it: `String`, `Number` or `Binary`, and perhaps more behind a point.
    pub kind: String,
    /// Its value; a binary one as base64.
    pub value: String,
}

/// A secret.
pub trait Secret {
    /// Its text, as it is now.
    fn get(&self) -> impl Future<Output = Result<String, Error>>;
}

impl Secret for std::convert::Infallible {
    async fn get(&self) -> Result<String, Error> {
        match *self {}
    }
}

/// Write keys, and what was sent with each. A key is known by the SHA-256 of its text, hex: who reads the table sees no key.
pub trait WriteKeys {
    /// What is known of the key of this hash.
    fn find(&self, hash: &str) -> impl Future<Output = Result<Option<WriteKey>, Error>>;

    /// Adds events to what was sent with a key within a minute, counted from 1970, if that is no more than this then.
    fn spend(
        &self,
        hash: &str,
        minute: i64,
        events: u64,
        most: u64,
    ) -> impl Future<Output = Result<Spent, Error>>;
}

/// Keys that several share.
impl<K: WriteKeys> WriteKeys for &K {
    async fn find(&self, hash: &str) -> Result<Option<WriteKey>, Error> {
        K::find(self, hash).await
    }

    async fn spend(&self, hash: &str, minute: i64, events: u64, most: u64) -> Result<Spent, Error> {
        K::spend(self, hash, minute, events, most).await
    }
}

impl WriteKeys for std::convert::Infallible {
    async fn find(&self, _hash: &str) -> Result<Option<WriteKey>, Error> {
        match *self {}
    }

    async fn spend(&self, _hash: &str, _minute: i64, _events: u64, _most: u64) -> Result<Spent, Error> {
        match *self {}
    }
}

/// A write key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteKey {
    /// Whose it is.
    pub tenant: String,
    /// Whether it is good; not, where it was revoked.
    pub enabled: bool,
    /// From here on it is no longer good; never, where there is none.
    pub expires_at: Option<Micros>,
    /// How many events may be sent with it in a minute; any number, where there is none.
    pub quota: Option<u64>,
}

/// What was sent with a key within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// So many events, those that were added among them.
    Now(u64),
    /// Too many with those that were to be added, which were not: so many without them.
    Over(u64),
}

/// Time and chance.
pub trait Clock {
    /// Now.
    fn now(&self) -> Micros;
    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
    /// A random number, each as likely as the other.
    fn random(&self) -> u64;
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> Micros {
        (**self).now()
    }

    async fn sleep(&self, time: Duration) {
        (**self).sleep(time).await;
    }

    fn random(&self) -> u64 {
        (**self).random()
    }
}

/// A dependency that failed. Bad data is never one.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What was tried on what, without a payload.
    pub what: String,
    /// Whether it is worth trying again.
    pub kind: Kind,
    /// What the dependency said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How a dependency failed, as far as the caller's decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks to be left alone for a while.
    Throttled,
    /// It may answer the next time.
    Transient,
    /// It will answer the same the next time: no permission, no such stream.
    Permanent,
}

impl Error {
    /// The error with all that lies beneath it, for a log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let beneath = error.to_string();
            // Some errors show all that lies beneath them already.
            if !text.ends_with(&beneath) {
                text.push_str(": ");
                text.push_str(&beneath);
            }
            cause = error.source();
        }
        text
    }
}
