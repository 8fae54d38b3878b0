//! Bugs on purpose, to see that the simulation finds them: each bends a port or an answer of the functions as a bug would.

use crate::code::Which;
use crate::truth;
use crate::webhooks::{Key, secrets};
use crate::world::{KEY, Stack};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use millrace_core::guard::Health;
use millrace_core::metric::Row;
use millrace_core::port::{
    self, Between, Clock, Entry, Error, Functions, Inbox, Invoked, Item, KeyTable, MetricTable, ObjectStore,
    Page, Post, Put, PutRecords, Queue, Reply, Secret, When, Written,
};
use millrace_core::time::Micros;
use millrace_core::window::{Bounds, Known, Knows, Memory, Outgoing};
use millrace_pull::{Answer, Fetch};
use millrace_sim::kinesis;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Ingest answers 202 before Kinesis has answered.
    AcceptedBeforePut,
    /// Ingest sends all entries of a call again where some failed.
    AllEntriesAgain,
    /// Webhooks notes an id before its event is safe.
    NotedBeforePut,
    /// Webhooks takes what anybody signs.
    AnySignature,
    /// Webhooks does not care when a request was signed.
    AnyTime,
    /// Pull moves the cursor, then puts the items.
    CursorBeforePut,
    /// Pull does not hear that the feed wants to be left alone.
    NotLeftAlone,
    /// Drain says that all went well, whatever failed.
    DrainForgets,
    /// Files lets go of a file of which something is left.
    LeftUnsent,
    /// Queue gives what has no id another one each time that its message comes.
    NamedAnew,
    /// Transform takes an id for a duplicate wherever it was seen, its own position included.
    NoPositionRule,
    /// Transform and lake name the record behind the first one that is not safe.
    WrongItem,
    /// The quarantine is written after the answer, if at all.
    QuarantineAfterAnswer,
    /// Transform leaves out a step that anonymizes.
    NotAnonymized,
    /// Transform logs what it gets.
    LogsPayload,
    /// Transform notes a user beside the ids of a batch.
    UserNoted,
    /// Transform goes on with the key of before a rotation.
    KeyKept,
    /// Lake moves the checkpoint, then puts the objects.
    CheckpointBeforePut,
    /// Lake leaves the objects of an attempt that another one supersedes.
    NotSuperseded,
    /// Lake claims a lane whoever has it.
    ClaimsUnasked,
    /// What lake notes as landed expires at once.
    LogExpires,
    /// Redrive deletes the message, then works on it.
    LetterDeletedFirst,
    /// Redrive takes a function that does not start for one that died of its record.
    StartTakenForPoison,
    /// Metrics goes on with the state that it answered last, not with the one that it is handed.
    StateKept,
    /// Metrics gives a row a place of its own each time that it writes it.
    RowPlacedAnew,
    /// Metrics counts what was given up, though an attempt at it had written rows.
    GivenUpCounted,
    /// Review approves what it cannot ask about.
    DownApproves,
    /// Review puts what is held into the queue after its answer, if at all.
    HeldAfterAnswer,
    /// Firehose drops what is bad, as if a step had filtered it.
    BadDropped,
    /// Replay takes entries out of the quarantine, then sends them.
    PageBeforeSend,
}

impl Mutant {
    /// All of them, each with the seed of a run that finds it.
    pub(crate) const ALL: [(Self, u64); 30] = [
        (Self::AcceptedBeforePut, 8),
        (Self::AllEntriesAgain, 83),
        (Self::NotedBeforePut, 201),
        (Self::AnySignature, 4),
        (Self::AnyTime, 1),
        (Self::CursorBeforePut, 28),
        (Self::NotLeftAlone, 12),
        (Self::DrainForgets, 8),
        (Self::LeftUnsent, 13),
        (Self::NamedAnew, 56),
        (Self::NoPositionRule, 0),
        (Self::WrongItem, 4),
        (Self::QuarantineAfterAnswer, 26),
        (Self::NotAnonymized, 0),
        (Self::LogsPayload, 0),
        (Self::UserNoted, 0),
        (Self::KeyKept, 6),
        (Self::CheckpointBeforePut, 6),
        (Self::NotSuperseded, 4),
        (Self::ClaimsUnasked, 228),
        (Self::LogExpires, 0),
        (Self::LetterDeletedFirst, 6),
        (Self::StartTakenForPoison, 15),
        (Self::StateKept, 34),
        (Self::RowPlacedAnew, 1),
        (Self::GivenUpCounted, 43),
        (Self::DownApproves, 4),
        (Self::HeldAfterAnswer, 74),
        (Self::BadDropped, 6),
        (Self::PageBeforeSend, 23),
    ];
}

/// A port that a bug may bend.
pub(crate) struct Bent<P> {
    port: P,
    stack: Rc<Stack>,
    which: Which,
    /// What was said to be put and is not yet.
    late: Rc<RefCell<Vec<(String, Bytes)>>>,
}

impl<P> Bent<P> {
    pub(crate) fn new(port: P, stack: &Rc<Stack>, which: Which) -> Self {
        Self { port, stack: Rc::clone(stack), which, late: Rc::default() }
    }

    fn has(&self, mutant: Mutant) -> bool {
        self.stack.mutant == Some(mutant)
    }
}

impl<P: ObjectStore> Bent<P> {
    /// Puts at last what was said to be put.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        for (key, body) in self.late.take() {
            self.port.put(&key, body).await?;
        }
        Ok(())
    }
}

/// RawStream as ingest, webhooks and pull have it.
impl<P: PutRecords + Clone + 'static> PutRecords for Bent<P> {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        if self.has(Mutant::AcceptedBeforePut) && self.which == Which::Ingest {
            let (port, entries, done) = (self.port.clone(), entries.to_vec(), vec![Put::Done; entries.len()]);
            self.stack.account.executor().spawn(async move {
                let _ = port.put(&entries).await;
            });
            return Ok(done);
        }
        if self.has(Mutant::CursorBeforePut) && self.which == Which::Pull {
            self.stack.unput.replace(entries.to_vec());
            return Ok(vec![Put::Done; entries.len()]);
        }
        let mut puts = self.port.put(entries).await?;
        let is_ingest = self.which == Which::Ingest;
        if self.has(Mutant::AllEntriesAgain) && is_ingest && puts.iter().any(|put| *put != Put::Done) {
            puts.fill(Put::Failed);
        }
        Ok(puts)
    }
}

/// A bucket, the quarantine's or the lake's, and the queue of what review holds.
impl<P: ObjectStore + Clone + 'static> ObjectStore for Bent<P> {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let is_lake = key.starts_with("events/");
        if self.has(Mutant::CheckpointBeforePut) && is_lake {
            self.late.borrow_mut().push((key.to_owned(), body));
            return Ok(());
        }
        let waits = self.has(Mutant::QuarantineAfterAnswer) && key.starts_with("quarantine/")
            || self.has(Mutant::HeldAfterAnswer) && !key.contains('/');
        if waits {
            let (port, key) = (self.port.clone(), key.to_owned());
            self.stack.account.executor().spawn(async move {
                let _ = port.put(&key, body).await;
            });
            return Ok(());
        }
        self.port.put(key, body).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        if self.has(Mutant::NotSuperseded) { Ok(()) } else { self.port.delete(key).await }
    }
}

/// The table as transform, lake, webhooks and pull have it.
impl<P: KeyTable> KeyTable for Bent<P> {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        let page = self.port.page(key, between).await?;
        if self.has(Mutant::NotedBeforePut) && self.which == Which::Webhooks && page.items.is_empty() {
            let expires_at = self.stack.account.now().plus_ms(86_400_000);
            let (key, position) = (key.to_owned(), "safe".to_owned());
            let item = Item { key, position, version: 1, expires_at, body: Vec::new() };
            self.port.put(&item, When::Always).await?;
        }
        Ok(page)
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        let is_lake = self.which == Which::Lake;
        let when = if self.has(Mutant::ClaimsUnasked) && is_lake { When::Always } else { when };
        let mut item = item.clone();
        if self.has(Mutant::LogExpires) && is_lake && when == When::Absent {
            item.expires_at = Micros::EPOCH;
        }
        if self.has(Mutant::UserNoted) && self.which == Which::Transform {
            item.body = with_user(&item.body, &self.stack.user.borrow());
        }
        let written = self.port.put(&item, when).await?;
        if self.has(Mutant::CursorBeforePut) && self.which == Which::Pull {
            let late = self.stack.unput.take();
            kinesis::Client(Rc::clone(&self.stack.raw)).put(&late).await?;
        }
        Ok(written)
    }
}

/// The table of metrics.
impl<P: MetricTable> MetricTable for Bent<P> {
    async fn put(&self, row: &Row, attempt: u64) -> Result<bool, Error> {
        if self.has(Mutant::RowPlacedAnew) {
            let mut row = row.clone();
            row.place = format!("{}/{attempt}", row.place);
            return self.port.put(&row, attempt).await;
        }
        self.port.put(row, attempt).await
    }

    async fn reaches(&self, metric: &str, begin: &str) -> Result<Vec<(String, String)>, Error> {
        if self.has(Mutant::GivenUpCounted) { Ok(Vec::new()) } else { self.port.reaches(metric, begin).await }
    }
}

/// The check that review asks.
impl<P: Post> Post for Bent<P> {
    async fn post(&self, key: &str, json: &str) -> Result<Reply, Error> {
        let reply = self.port.post(key, json).await;
        if self.has(Mutant::DownApproves) && reply.is_err() {
            return Ok(Reply { status: 200, body: br#"{"decision":"approve"}"#.to_vec() });
        }
        reply
    }
}

/// The queue that brings files, and those of dead letters.
impl<P: Queue> Queue for Bent<P> {
    async fn send(&self, message: &str) -> Result<(), Error> {
        let is_left = self.has(Mutant::LeftUnsent) && self.which == Which::Files;
        if is_left { Ok(()) } else { self.port.send(message).await }
    }
}

/// Dead letters.
impl<P: Inbox> Inbox for Bent<P> {
    async fn receive(&self) -> Result<Vec<port::Message>, Error> {
        let messages = self.port.receive().await?;
        if self.has(Mutant::LetterDeletedFirst) {
            for message in &messages {
                self.port.delete(&message.receipt).await?;
            }
        }
        Ok(messages)
    }

    async fn delete(&self, receipt: &str) -> Result<(), Error> {
        self.port.delete(receipt).await
    }

    async fn give_back(&self, receipt: &str) -> Result<(), Error> {
        self.port.give_back(receipt).await
    }
}

/// The feed that pull asks.
impl<P: Fetch> Fetch for Bent<P> {
    async fn get(&self, url: &str, header: Option<(&str, &str)>) -> Result<Answer, Error> {
        let mut answer = self.port.get(url, header).await?;
        if self.has(Mutant::NotLeftAlone) {
            answer.headers.clear();
        }
        Ok(answer)
    }
}

/// The key of the tokens, and the secrets of the webhooks.
impl<P: Secret> Secret for Bent<P> {
    async fn get(&self) -> Result<String, Error> {
        let text = self.port.get().await?;
        let is_webhooks = self.which == Which::Webhooks;
        if self.has(Mutant::KeyKept) && !is_webhooks {
            return Ok(KEY.to_owned());
        }
        if self.has(Mutant::AnySignature) && is_webhooks {
            return Ok(secrets(&[Key::First, Key::Foreign]));
        }
        if self.has(Mutant::AnyTime) && is_webhooks {
            return Ok(text.replace(r#""secrets""#, r#""tolerance_seconds":86400,"secrets""#));
        }
        Ok(text)
    }
}

/// The functions that redrive calls.
impl<P: Functions> Functions for Bent<P> {
    async fn invoke(&self, function: &str, event: String) -> Result<Invoked, Error> {
        if self.has(Mutant::StartTakenForPoison) && event.contains(r#""Records":[]"#) {
            return Ok(Invoked::Answered(r#"{"batchItemFailures":[]}"#.to_owned()));
        }
        let invoked = self.port.invoke(function, event.clone()).await?;
        self.stack.note_call(function, &event, &invoked);
        Ok(invoked)
    }
}

/// The ids that transform knows.
impl<M: Memory> Knows for Bent<M> {
    fn known(&self, id: u128, sequence: &str, arrived_at: Micros) -> Known {
        let known = self.port.known(id, sequence, arrived_at);
        if !self.has(Mutant::NoPositionRule) {
            return known;
        }
        self.stack.ids_met.borrow_mut().push(id);
        if self.stack.ids_kept.borrow().contains(&id) { Known::Duplicate } else { known }
    }

    fn let_out(&self, sequence: &str) -> bool {
        self.port.let_out(sequence)
    }
}

impl<M: Memory> Memory for Bent<M> {
    async fn open(&mut self, batch: Bounds<'_>, clock: &impl Clock, deadline: Micros) -> Result<(), Error> {
        self.stack.ids_met.borrow_mut().clear();
        self.port.open(batch, clock, deadline).await
    }

    async fn keep(&mut self, out: &Outgoing, clock: &impl Clock, deadline: Micros) -> Result<(), Error> {
        self.port.keep(out, clock, deadline).await?;
        self.stack.ids_kept.borrow_mut().extend(self.stack.ids_met.take());
        Ok(())
    }

    fn health(&self) -> Vec<Health> {
        self.port.health()
    }

    fn is_short(&self) -> bool {
        self.port.is_short()
    }
}

/// The pipeline that transform has.
pub(crate) fn pipeline(text: String, mutant: Option<Mutant>) -> String {
    if mutant == Some(Mutant::NotAnonymized) { text.replace(r#", "email"]"#, "]") } else { text }
}

/// The messages that queue gets.
pub(crate) fn named_anew(payload: &Value, mutant: Option<Mutant>) -> Value {
    let mut payload = payload.clone();
    if mutant == Some(Mutant::NamedAnew) {
        for message in payload["Records"].as_array_mut().into_iter().flatten() {
            message["messageId"] = message["receiptHandle"].clone();
        }
    }
    payload
}

/// The event that metrics gets, which had answered with this state.
pub(crate) fn state_kept(payload: &Value, last: &Value, mutant: Option<Mutant>) -> Value {
    let mut payload = payload.clone();
    if mutant == Some(Mutant::StateKept) && last.is_object() {
        payload["state"] = last.clone();
    }
    payload
}

/// What firehose answers.
pub(crate) fn dropped(mut answer: Value, mutant: Option<Mutant>) -> Value {
    for record in answer["records"].as_array_mut().into_iter().flatten() {
        if mutant == Some(Mutant::BadDropped) && record["result"] == "ProcessingFailed" {
            record["result"] = json!("Dropped");
        }
    }
    answer
}

/// The text of the first record of a batch.
pub(crate) fn first_text(payload: &Value) -> String {
    let data = payload["Records"][0]["kinesis"]["data"].as_str().unwrap_or_default();
    let data = truth::plain(&BASE64_STANDARD.decode(data).unwrap_or_default());
    String::from_utf8_lossy(&data).into_owned()
}

/// The user of the first event of a batch that says whose it is.
pub(crate) fn first_user(payload: &Value) -> String {
    let text = first_text(payload);
    let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.find_map(|event| Some(event["userId"].as_str()?.to_owned())).unwrap_or_default()
}

/// The body of an item of ids whose head names a user, too.
fn with_user(body: &[u8], user: &str) -> Vec<u8> {
    let (head, hashes) = truth::header(body);
    let mut head: Value = serde_json::from_slice(&zstd::stream::decode_all(head).unwrap()).unwrap();
    head["user"] = json!(user);
    let head = zstd::stream::encode_all(head.to_string().as_bytes(), 3).unwrap();
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&body[..1], &length, &head, hashes].concat()
}

/// What drain answers.
pub(crate) fn forgetful(answer: Value, mutant: Option<Mutant>) -> Value {
    if mutant == Some(Mutant::DrainForgets) { json!({"batchItemFailures": []}) } else { answer }
}

/// What transform and lake answer for these records.
pub(crate) fn answer(mut answer: Value, payload: &Value, mutant: Option<Mutant>) -> Value {
    if mutant == Some(Mutant::WrongItem)
        && let Some(named) = answer["batchItemFailures"][0]["itemIdentifier"].as_str()
    {
        let records = payload["Records"].as_array().into_iter().flatten();
        let sequences: Vec<_> = records.map(|record| record["kinesis"]["sequenceNumber"].clone()).collect();
        let place = sequences.iter().position(|sequence| sequence == named);
        answer = match place.and_then(|place| sequences.get(place + 1)) {
            Some(next) if next.is_string() => json!({"batchItemFailures": [{"itemIdentifier": next}]}),
            _ => json!({"batchItemFailures": []}),
        };
    }
    answer
}
