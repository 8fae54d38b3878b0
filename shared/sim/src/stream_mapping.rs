//! Event source mappings of streams: Lambda's pollers for Kinesis and for the streams of DynamoDB tables.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | each shard is read in order, one batch after the other; a child shard after its parents | [Kinesis] |
//! | a batch closes at its size, at the window's end, or at 6 MB of payload | [batching] |
//! | a batch that fails comes again, whole, or in halves without using up an attempt | [error handling] |
//! | an answer with failures: the lowest position is where it goes on, and all from there comes again | [partial] |
//! | an answer that names no record of the batch fails it whole | [partial] |
//! | after the last attempt, or at the age limit, the position goes to the destination, and the shard goes on | [error handling] |
//! | a function that cannot be invoked uses up no attempts | [error handling] |
//! | each record is handled at least once: another poller may begin again where the last checkpoint stood | [Kinesis] |
//!
//! With a tumbling window it is another one in much: see `tumbling`.
//!
//! How long it waits between attempts AWS does not say; here it doubles up to half a minute.
//!
//! [Kinesis]: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
//! [batching]: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
//! [error handling]: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
//! [partial]: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html

mod tumbling;

pub use tumbling::Tumbling;

use crate::account::Account;
use crate::executor::{Bell, first};
use crate::kinesis::{Record, Stream};
use crate::lambda::{Answer, Function, Outcome};
use crate::sqs::Queue;
use millrace_core::time::Micros;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What Lambda takes in one invocation, bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const PAYLOAD_MAX: usize = 6_000_000;

/// What the JSON around a record's data takes, bytes, about.
const ENVELOPE: usize = 600;

/// The settings of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Records in a batch at most.
    pub batch_size: usize,
    /// For how long a batch gathers.
    pub window_ms: i64,
    /// Attempts after the first one.
    pub retries_max: u32,
    /// The age at which a record is given up.
    pub age_max_ms: i64,
    /// The windows that the function aggregates over, if it does.
    pub tumbling: Option<Tumbling>,
}

/// A batch that the function answered for, as far as the answer counted.
#[derive(Debug)]
pub struct Acked {
    /// The shard.
    pub shard: String,
    /// The records that are safe by the answer.
    pub records: Vec<Rc<Record>>,
    /// Whether nothing of the batch comes again.
    pub is_whole: bool,
    /// What the function counted.
    pub counts: Value,
}

/// A mapping.
#[derive(Debug)]
pub struct StreamMapping {
    /// The stream.
    pub stream: Rc<Stream>,
    /// The function.
    pub function: Rc<Function>,
    /// Where the positions go that are given up.
    pub dead: Rc<Queue>,
    /// The settings.
    pub settings: Settings,
    account: Account,
    /// How a record looks in the function's event.
    render: fn(&Stream, &str, &Record) -> Value,
    leases: RefCell<BTreeMap<usize, Lease>>,
    acked: RefCell<Vec<Acked>>,
    bell: Bell,
}

/// Who reads a shard, and how far it is.
#[derive(Debug, Clone, Default)]
struct Lease {
    /// Which poller has it: one that finds another number has lost it.
    epoch: u32,
    /// How many records are done.
    done: usize,
    /// The window that is open.
    open: Option<tumbling::Open>,
    /// Whether the shard is closed and read to its end.
    over: bool,
}

impl StreamMapping {
    /// A mapping of this stream to this function.
    ///
    /// # Panics
    ///
    /// If records may be older than the stream keeps them: what it removes Lambda passes over, and tells nobody.
    pub fn start(
        account: &Account,
        stream: &Rc<Stream>,
        function: &Rc<Function>,
        dead: &Rc<Queue>,
        settings: Settings,
        render: fn(&Stream, &str, &Record) -> Value,
    ) -> Rc<Self> {
        assert!(
            settings.age_max_ms < stream.retention_ms,
            "records are given up before the stream removes them"
        );
        let mapping = Rc::new(Self {
            stream: Rc::clone(stream),
            function: Rc::clone(function),
            dead: Rc::clone(dead),
            settings,
            account: account.clone(),
            render,
            leases: RefCell::default(),
            acked: RefCell::default(),
            bell: Bell::default(),
        });
        let own = Rc::clone(&mapping);
        account.executor().spawn(async move {
            loop {
                for shard in 0..own.stream.shards(<[_]>::len) {
                    if !own.leases.borrow().contains_key(&shard) {
                        own.leases.borrow_mut().insert(shard, Lease::default());
                        own.lease(shard, 0);
                    }
                }
                own.stream.bell.wait().await;
            }
        });
        mapping
    }

    /// What the function answered for.
    pub fn acked<T>(&self, look: impl FnOnce(&[Acked]) -> T) -> T {
        look(&self.acked.borrow())
    }

    /// Whether all records were read to the end, and which shards are behind.
    #[must_use]
    pub fn behind(&self) -> usize {
        let leases = self.leases.borrow();
        self.stream.shards(|shards| {
            let left = |(at, shard): (usize, &crate::kinesis::Shard)| {
                shard.records.len() - leases.get(&at).map_or(0, |lease| lease.done.min(shard.records.len()))
            };
            shards.iter().enumerate().map(left).sum()
        })
    }

    /// Another poller takes over a shard, while the one before it still works.
    pub fn lose_lease(self: &Rc<Self>) {
        let mut leases = self.leases.borrow_mut();
        let live: Vec<_> = leases.iter().filter(|(_, lease)| !lease.over).map(|(shard, _)| *shard).collect();
        if live.is_empty() {
            return;
        }
        let shard = self.account.chance().pick(&live);
        let Some(lease) = leases.get_mut(&shard) else { return };
        lease.epoch += 1;
        let epoch = lease.epoch;
        drop(leases);
        self.account.tell(|| format!("{}: another poller takes over shard {shard}", self.function.name));
        self.lease(shard, epoch);
    }

    fn lease(self: &Rc<Self>, shard: usize, epoch: u32) {
        let own = Rc::clone(self);
        self.account.executor().spawn(async move { own.poll(shard, epoch).await });
    }

    fn has(&self, shard: usize, epoch: u32) -> bool {
        self.leases.borrow().get(&shard).is_some_and(|lease| lease.epoch == epoch)
    }

    fn update(&self, shard: usize, epoch: u32, update: impl FnOnce(&mut Lease)) {
        if let Some(lease) = self.leases.borrow_mut().get_mut(&shard)
            && lease.epoch == epoch
        {
            update(lease);
        }
    }

    async fn poll(&self, shard: usize, epoch: u32) {
        let parents = self
            .stream
            .shards(|shards| shards.get(shard).map(|shard| shard.parents.clone()).unwrap_or_default());
        while !parents.iter().all(|parent| self.leases.borrow().get(parent).is_some_and(|lease| lease.over)) {
            self.bell.wait().await;
        }
        if let Some(windows) = self.settings.tumbling {
            return self.poll_windows(windows, shard, epoch).await;
        }
        let mut done = self.leases.borrow().get(&shard).map_or(0, |lease| lease.done);
        loop {
            if !self.has(shard, epoch) {
                return;
            }
            let (ready, closed) = self.ready(shard, done);
            if ready == 0 {
                if closed {
                    self.update(shard, epoch, |lease| lease.over = true);
                    self.bell.ring();
                    return;
                }
                self.stream.bell.wait().await;
                continue;
            }
            // Lambda asks a shard for records about once a second.
            self.account.sleep(Duration::from_millis(self.account.chance().below(1_000))).await;
            self.gather(shard, done).await;
            let batch = self.batch(shard, done);
            let before = done;
            done += batch.len();
            self.work(shard, epoch, before, batch).await;
        }
    }

    fn ready(&self, shard: usize, done: usize) -> (usize, bool) {
        self.stream.shards(|shards| {
            shards
                .get(shard)
                .map_or((0, true), |shard| (shard.records.len().saturating_sub(done), shard.closed))
        })
    }

    /// Waits until a batch is full or its window ends.
    async fn gather(&self, shard: usize, done: usize) {
        let end = self.account.now().plus_ms(self.settings.window_ms);
        while self.account.now() < end {
            let (ready, closed) = self.ready(shard, done);
            if ready >= self.settings.batch_size || closed {
                break;
            }
            let _ = first(self.stream.bell.wait(), self.account.executor().sleep_until(end)).await;
        }
    }

    fn batch(&self, shard: usize, done: usize) -> Vec<Rc<Record>> {
        let mut bytes = 0;
        self.stream.shards(|shards| {
            let records = shards.get(shard).and_then(|shard| shard.records.get(done..)).unwrap_or_default();
            let fits = |record: &&Rc<Record>| {
                bytes += record.data.len().div_ceil(3) * 4 + ENVELOPE;
                bytes <= PAYLOAD_MAX || bytes - record.data.len().div_ceil(3) * 4 - ENVELOPE == 0
            };
            records.iter().take(self.settings.batch_size).take_while(fits).cloned().collect()
        })
    }

    /// Works on a batch until all of it is safe or given up.
    async fn work(&self, shard: usize, epoch: u32, mut done: usize, batch: Vec<Rc<Record>>) {
        let id =
            self.stream.shards(|shards| shards.get(shard).map(|shard| shard.id.clone()).unwrap_or_default());
        let mut parts = VecDeque::from([(batch, 0)]);
        let mut waits = 0;
        while let Some((mut part, attempts)) = parts.pop_front() {
            let now = self.account.now();
            let old = |record: &&Rc<Record>| record.arrived_at.plus_ms(self.settings.age_max_ms) <= now;
            let old = part.iter().take_while(old).count();
            if old > 0 {
                let rest = part.split_off(old);
                self.give_up(&id, &part, attempts, "RecordAgeExceeded");
                done += part.len();
                part = rest;
            }
            if part.is_empty() {
                continue;
            }
            if attempts > self.settings.retries_max {
                self.give_up(&id, &part, attempts, "RetryAttemptsExhausted");
                done += part.len();
                continue;
            }
            let records: Vec<_> =
                part.iter().map(|record| (self.render)(&self.stream, &id, record)).collect();
            self.account.tell(|| {
                let [first, last] =
                    [part.first(), part.last()].map(|record| record.map_or("", |record| &record.sequence));
                format!(
                    "{} gets {} records of {} {id}, {first} to {last}",
                    self.function.name,
                    part.len(),
                    self.stream.name
                )
            });
            let outcome = self.function.invoke(&json!({ "Records": records })).await;
            if !self.has(shard, epoch) {
                self.account
                    .tell(|| format!("{} answers a poller that has lost shard {shard}", self.function.name));
                return;
            }
            match outcome {
                Outcome::Throttled => {
                    parts.push_front((part, attempts));
                    self.pause(&mut waits).await;
                    continue;
                }
                Outcome::Answered(answer) => {
                    let Some(safe) = safe(&answer, &part) else {
                        self.account
                            .tell(|| format!("{} answers with no record of the batch", self.function.name));
                        self.halve(&mut parts, part, attempts);
                        self.pause(&mut waits).await;
                        continue;
                    };
                    let rest = part.split_off(safe);
                    self.account.tell(|| {
                        format!(
                            "{} answers: {safe} safe, {} not; {}",
                            self.function.name,
                            rest.len(),
                            answer.told()
                        )
                    });
                    done += part.len();
                    let is_whole = rest.is_empty();
                    let acked = Acked { shard: id.clone(), records: part, is_whole, counts: answer.counts };
                    self.acked.borrow_mut().push(acked);
                    if !is_whole {
                        parts.push_front((rest, attempts + 1));
                        self.pause(&mut waits).await;
                    }
                }
                Outcome::Failed(why) => {
                    self.account.tell(|| format!("{} fails: {why}", self.function.name));
                    self.halve(&mut parts, part, attempts);
                    self.pause(&mut waits).await;
                    continue;
                }
            }
            // A checkpoint is moved at the end of the batch, or somewhere on the way.
            if self.account.chance().percent(50) {
                self.update(shard, epoch, |lease| lease.done = done);
            }
        }
        self.update(shard, epoch, |lease| lease.done = done);
    }

    /// A part that failed comes again, in halves where it can be halved.
    #[expect(clippy::unused_self, reason = "it belongs to the mapping")]
    fn halve(&self, parts: &mut VecDeque<(Vec<Rc<Record>>, u32)>, mut part: Vec<Rc<Record>>, attempts: u32) {
        if part.len() > 1 {
            let right = part.split_off(part.len() / 2);
            parts.push_front((right, attempts));
            parts.push_front((part, attempts));
        } else {
            parts.push_front((part, attempts + 1));
        }
    }

    async fn pause(&self, waits: &mut u32) {
        let longest = 30_000.min(200 << (*waits).min(8));
        *waits += 1;
        self.account.sleep(Duration::from_millis(self.account.chance().between(100, longest))).await;
    }

    /// The message that names what was given up.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>
    fn give_up(&self, shard: &str, part: &[Rc<Record>], attempts: u32, condition: &str) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { return };
        self.account.tell(|| {
            format!(
                "{} gives up {} to {} of {shard}: {condition}",
                self.function.name, first.sequence, last.sequence
            )
        });
        let info = json!({
            "shardId": shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": first.arrived_at.rfc3339(),
            "approximateArrivalOfLastRecord": last.arrived_at.rfc3339(),
            "batchSize": part.len(),
            "streamArn": self.stream.arn,
        });
        let kind =
            if self.stream.arn.contains(":dynamodb:") { "DDBStreamBatchInfo" } else { "KinesisBatchInfo" };
        let message = json!({
            "requestContext": {
                "requestId": "00000000-0000-0000-0000-000000000000",
                "functionArn": format!("arn:aws:lambda:us-east-1:123456789012:function:{}", self.function.name),
                "condition": condition,
                "approximateInvokeCount": attempts + 1,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": self.account.now().rfc3339(),
            kind: info,
        });
        self.dead.take(message.to_string());
    }
}

/// How many records are safe by this answer; none where it names what is not in the batch.
fn safe(answer: &Answer, part: &[Rc<Record>]) -> Option<usize> {
    let failures = match answer.payload.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(part.len()),
        Some(failures) => failures.as_array()?,
    };
    let place = |failure: &Value| {
        let sequence = failure.get("itemIdentifier")?.as_str()?;
        part.iter().position(|record| record.sequence == sequence)
    };
    let places: Option<Vec<_>> = failures.iter().map(place).collect();
    Some(places?.into_iter().min().unwrap_or(part.len()))
}

/// A record in the event of a Kinesis stream.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>
#[must_use]
pub fn kinesis(stream: &Stream, shard: &str, record: &Record) -> Value {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": record.sequence,
            "data": BASE64_STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": seconds(record.arrived_at),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{shard}:{}", record.sequence),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/millrace",
        "awsRegion": "us-east-1",
        "eventSourceARN": stream.arn,
    })
}

/// A record in the event of a table's stream: its data is the change itself, `{"eventID", "eventName", "dynamodb"}`. The
/// shard is not told.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
#[must_use]
pub fn table(stream: &Stream, _shard: &str, record: &Record) -> Value {
    let mut event: Value = serde_json::from_slice(&record.data).unwrap_or_default();
    if let Some(event) = event.as_object_mut() {
        event.insert("eventVersion".into(), "1.1".into());
        event.insert("eventSource".into(), "aws:dynamodb".into());
        event.insert("awsRegion".into(), "us-east-1".into());
        event.insert("eventSourceARN".into(), stream.arn.as_str().into());
        if let Some(change) = event.get_mut("dynamodb").and_then(Value::as_object_mut) {
            change.insert("SequenceNumber".into(), record.sequence.as_str().into());
            change.insert("ApproximateCreationDateTime".into(), (record.arrived_at.get() / 1_000_000).into());
            change.insert("SizeBytes".into(), record.data.len().into());
            change.insert("StreamViewType".into(), "NEW_AND_OLD_IMAGES".into());
        }
    }
    event
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of these years fit")]
fn seconds(at: Micros) -> f64 {
    (at.get() / 1000) as f64 / 1000.0
}
