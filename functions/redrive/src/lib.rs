//! Dead letters back to the functions that gave up on them.
//!
//! A dead letter of a stream holds positions, and the stream forgets. So its records are read back in time and handed to
//! the same function once more, in an event like that of the event source mapping: with their own positions, so that what
//! went through before is skipped, and what did not fills its gap. **A function that answers with failures has a
//! dependency that is down**: the letter waits. **One that dies gets half of the records**, down to a single one: what
//! still kills it, and lives without it, is put into the quarantine, whole. Only then is the message deleted.
//!
//! **A function that hangs takes all of a run's time, and nobody else's for ever**: what never hangs comes first, the queues come
//! in another order each time, and what deaths have told of a letter is kept: one that has to wait becomes two, one of the
//! records in hand and one of those behind them, at the end of its queue. So each run gets further, and what comes behind has its turn.
//!
//! A message that `queue` gave up on is whole itself: it is handed to `queue` alone, and what kills it is put away as a record is.

mod letter;

use crate::letter::Letter;
use millrace_core::guard::{Guard, Health};
use millrace_core::port::{
    Begin, Clock, Error, Functions, Inbox, Invoked, Kept, Kind, Message, ObjectStore, Queue, ReadAgain,
};
use millrace_core::quarantine::{self, Entry, INBOX, REDRIVE, Reject};
use millrace_core::record::Source;
use millrace_core::time::Micros;
use millrace_core::transformer::put_object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// The most records in one event, as in the event source mappings of the template.
const RECORDS_MAX: usize = 1_000;

/// The most data in one event, bytes: Lambda takes 6 MB of JSON, and base64 makes four bytes of three.
const DATA_MAX: usize = 4_000_000;

/// How often a function may die on a single record or message before that is put away.
const DEATHS_MAX: usize = 2;

/// Why such a one is put away.
const DIED: &str = "function_died";
const DIED_DETAIL: &str = "the function that was to handle this died on it, and again alone";

/// Why a letter is put away whose records are gone.
const FORGOTTEN: &str = "forgotten";

/// How long a call of a function may last, milliseconds: a little longer than the longest in the template. So long before the
/// deadline no further one begins.
pub const CALL_MS: u32 = 125_000;

/// For how long a function that died may leave behind what the next one has to wait for, milliseconds: a lane of a sink is
/// an attempt's own until it would have timed out, and a grace.
const HELD_MS: i64 = 135_000;

/// How long to wait before it is asked again meanwhile.
const AGAIN: Duration = Duration::from_secs(5);

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<I, Q, R, F, S, C> {
    /// The dead letter queues of streams, by name.
    pub letters: Vec<(String, Guard<I>)>,
    /// The dead letter queue of the spill queue, and the spill queue.
    pub spilled: (Guard<I>, Guard<Q>),
    /// The dead letter queue of the inbox queue, and the function that gave up on its messages.
    pub inbox: Option<(Guard<I>, String)>,
    /// What the streams still hold.
    pub streams: Guard<R>,
    /// The functions.
    pub functions: Guard<F>,
    /// The quarantine's bucket.
    pub quarantine: Guard<S>,
    /// The clock.
    pub clock: C,
}

/// What is asked for. A schedule's event asks for all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Only to look: nothing is sent, put or deleted.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of dead letters and of their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages that were received.
    pub letters: usize,
    /// Messages that are done and deleted.
    pub done: usize,
    /// Messages that stay: a dependency is down, the time was over, or nobody knows what they are.
    pub left: usize,
    /// Records read back, and messages handed to their function.
    pub records: usize,
    /// Records and messages that went through.
    pub redriven: usize,
    /// Records and messages that kill their function, and were put away.
    pub quarantined: usize,
    /// Messages of which the stream has forgotten records.
    pub forgotten: usize,
}

/// A letter in hand.
struct InHand<'a> {
    letter: &'a Letter,
    deadline: Micros,
    order: Order,
    /// Whether the stream had all of its records.
    is_whole: bool,
    /// Until when a function that died of some may hold something.
    held_until: Option<Micros>,
}

/// How a letter ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Left,
    /// Others are in its place, of what is left of it.
    Parted,
}

impl<I, Q, R, F, S, C> Deps<I, Q, R, F, S, C>
where
    I: Inbox + Queue,
    Q: Queue,
    R: ReadAgain,
    F: Functions,
    S: ObjectStore,
    C: Clock,
{
    /// Empties the dead letter queues, as far as time and dependencies allow.
    pub async fn handle(&self, order: Order, deadline: Micros) -> Tally {
        let mut tally = Tally::default();
        let (dead, spill) = &self.spilled;
        self.drain("spill", dead, order, deadline, &mut tally, async |message, _| {
            let is_spilled = serde_json::from_str::<Value>(&message.body)
                .is_ok_and(|body| body.get("records").is_some_and(Value::is_array));
            if !is_spilled || order.dry_run {
                return Ok(End::Left);
            }
            spill.call(&self.clock, deadline, async |queue| queue.send(&message.body).await).await?;
            Ok(End::Done)
        })
        .await;
        let letters = self.letters.iter().map(|(name, queue)| (name.as_str(), queue, None));
        let inbox = self.inbox.iter().map(|(queue, function)| (INBOX, queue, Some(function)));
        let mut queues: Vec<_> = letters.chain(inbox).collect();
        // A function that hangs takes all of the time: those behind it are before it in another run.
        queues.sort_by_cached_key(|_| self.clock.random());
        for (name, queue, function) in queues {
            let work = async |message: &Message, tally: &mut Tally| match function {
                Some(_) if order.dry_run => Ok(End::Left),
                Some(function) => self.deliver(function, message, deadline, tally).await,
                None => {
                    if let Some(letter) = Letter::read(&message.body) {
                        return self.redrive(&letter, queue, order, deadline, tally).await;
                    }
                    let id = &message.id;
                    tracing::error!(queue = name, id, "this message is no dead letter of a stream");
                    Ok(End::Left)
                }
            };
            self.drain(name, queue, order, deadline, &mut tally, work).await;
        }
        tally
    }

    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let inbox = self.inbox.iter().filter_map(|(queue, _)| queue.health());
        let queues = self.letters.iter().filter_map(|(_, queue)| queue.health()).chain(inbox);
        let rest = [self.spilled.0.health(), self.spilled.1.health(), self.streams.health()];
        let more = [self.functions.health(), self.quarantine.health()];
        queues.chain(rest.into_iter().chain(more).flatten()).collect()
    }

    /// Takes the messages of a queue, and deletes those that are done. Those that are left are given back in the end, so
    /// that who looked first and then redrives, or redrives again when a dependency is back, need not wait.
    async fn drain(
        &self,
        name: &str,
        queue: &Guard<I>,
        order: Order,
        deadline: Micros,
        tally: &mut Tally,
        work: impl AsyncFn(&Message, &mut Tally) -> Result<End, Error>,
    ) {
        let mut left = Vec::new();
        while self.has_time(deadline) {
            let received = queue.call(&self.clock, deadline, async |queue| queue.receive().await).await;
            let messages = match received {
                Ok(messages) if !messages.is_empty() => messages,
                Ok(_) => break,
                Err(why) => {
                    tracing::error!(queue = name, why = why.chain(), "no dead letters can be had");
                    break;
                }
            };
            for message in messages {
                tally.letters += 1;
                let end = match work(&message, tally).await {
                    Ok(end) if end == End::Left || order.dry_run => {
                        left.push(message.receipt);
                        continue;
                    }
                    Ok(end) => {
                        let delete = async |queue: &I| queue.delete(&message.receipt).await;
                        queue.call(&self.clock, deadline, delete).await.map(|()| end)
                    }
                    Err(why) => Err(why),
                };
                match end {
                    Ok(End::Parted) => tally.left += 1,
                    Ok(_) => tally.done += 1,
                    Err(why) => {
                        left.push(message.receipt);
                        tracing::warn!(
                            queue = name,
                            id = message.id,
                            why = why.chain(),
                            "the dead letter waits"
                        );
                    }
                }
            }
        }
        tally.left += left.len();
        for receipt in left {
            let given =
                queue.call(&self.clock, deadline, async |queue| queue.give_back(&receipt).await).await;
            if let Err(why) = given {
                tracing::warn!(
                    queue = name,
                    why = why.chain(),
                    "a dead letter that waits stays hidden for a while"
                );
            }
        }
    }

    fn has_time(&self, deadline: Micros) -> bool {
        self.clock.now() < deadline.plus_ms(-i64::from(CALL_MS))
    }

    /// Hands a message to the function that gave up on it, with its own id: what it did of it before is known by that.
    async fn deliver(
        &self,
        function: &str,
        message: &Message,
        deadline: Micros,
        tally: &mut Tally,
    ) -> Result<End, Error> {
        tally.records += 1;
        let event = letter::delivery(Some(message));
        for _ in 0..DEATHS_MAX {
            if !self.has_time(deadline) {
                return Err(waits("there is no time left"));
            }
            match self.invoke(function, &event, deadline).await? {
                invoked if invoked.is_safe() => {
                    tally.redriven += 1;
                    return Ok(End::Done);
                }
                Invoked::Answered(_) => return Err(waits("its function still answers with failures")),
                Invoked::Died => self.must_live(function, &letter::delivery(None), deadline).await?,
            }
        }
        let record = Kept {
            sequence: message.id.as_str().into(),
            arrived_at: message.sent_at.unwrap_or_else(|| self.clock.now()),
            partition_key: String::new(),
            data: event.into_bytes(),
        };
        let source = Source { stream: INBOX.to_owned(), shard: String::new() };
        self.put_away(&source, &record, DIED, DIED_DETAIL.into(), deadline).await?;
        tally.quarantined += 1;
        Ok(End::Done)
    }

    /// Reads a letter's records back and hands them to its function; what the stream has forgotten of them is told once, when the
    /// rest has gone through or has letters of its own.
    async fn redrive(
        &self,
        letter: &Letter,
        queue: &Guard<I>,
        order: Order,
        deadline: Micros,
        tally: &mut Tally,
    ) -> Result<End, Error> {
        let mut hand = InHand { letter, deadline, order, is_whole: true, held_until: None };
        let page = self.read(&hand, Begin::At(&letter.start)).await?;
        hand.is_whole = page.first().is_some_and(|first| first.sequence == letter.start);
        let end = self.hand_over(&mut hand, page, queue, tally).await?;
        if !hand.is_whole {
            tally.forgotten += 1;
            self.note_forgotten(letter, order, deadline).await?;
        }
        Ok(end)
    }

    /// Hands a letter's records to its function, page by page.
    async fn hand_over(
        &self,
        hand: &mut InHand<'_>,
        mut page: Vec<Kept>,
        queue: &Guard<I>,
        tally: &mut Tally,
    ) -> Result<End, Error> {
        while let Some(last) = page.last() {
            // Where the records behind this page begin is known before it is sent: the letter may be parted there.
            let next = self.read_behind(hand, last).await?;
            tally.records += page.len();
            if !hand.order.dry_run {
                let mut waiting: Vec<_> = events(&page).collect();
                waiting.reverse();
                if let Err(why) = self.send(hand, &mut waiting, tally).await {
                    // Without a death nothing is known of them that is not known of the whole letter.
                    let Some(records) = waiting.pop().filter(|_| hand.held_until.is_some()) else {
                        return Err(why);
                    };
                    let behind = waiting.last().copied().unwrap_or(&next).first();
                    return self.part(hand, queue, records, behind, why).await;
                }
            }
            page = next;
        }
        Ok(End::Done)
    }

    /// A page of a letter's records.
    async fn read(&self, hand: &InHand<'_>, begin: Begin<'_>) -> Result<Vec<Kept>, Error> {
        let InHand { letter, deadline, .. } = hand;
        let read = async |streams: &R| streams.read(&letter.shard, begin).await;
        let mut page = self.streams.call(&self.clock, *deadline, read).await?;
        page.retain(|record| record.sequence <= letter.end);
        Ok(page)
    }

    /// The page behind this record, which is read once more: where it is gone by now, others may be.
    async fn read_behind(&self, hand: &mut InHand<'_>, last: &Kept) -> Result<Vec<Kept>, Error> {
        if last.sequence >= hand.letter.end {
            return Ok(Vec::new());
        }
        let mut page = self.read(hand, Begin::At(&last.sequence)).await?;
        if page.first().is_none_or(|first| first.sequence != last.sequence) {
            hand.is_whole = false;
            return Ok(page);
        }
        page.remove(0);
        if page.is_empty() { self.read(hand, Begin::After(&last.sequence)).await } else { Ok(page) }
    }

    /// Puts letters of some records, and of those behind them, in the place of one that waits. Else the next run would begin
    /// with all of it, and a function that takes a minute to die of a record would never be done with a thousand.
    async fn part(
        &self,
        hand: &InHand<'_>,
        queue: &Guard<I>,
        records: &[Kept],
        behind: Option<&Kept>,
        why: Error,
    ) -> Result<End, Error> {
        let InHand { letter, deadline, .. } = hand;
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Err(why) };
        if first.sequence == letter.start && last.sequence == letter.end {
            return Err(why);
        }
        tracing::warn!(shard = letter.shard.shard, start = %letter.start, end = %letter.end, why = why.chain(), "the rest of the dead letter waits");
        let behind = behind.map(|behind| letter.part(&behind.sequence, &letter.end));
        for part in [Some(letter.part(&first.sequence, &last.sequence)), behind].into_iter().flatten() {
            queue.call(&self.clock, *deadline, async |queue| queue.send(&part).await).await?;
        }
        Ok(End::Parted)
    }

    /// Hands records to the function; where it dies, the halves of them; what kills it alone goes to the quarantine. What
    /// is done is no longer waiting.
    async fn send(
        &self,
        hand: &mut InHand<'_>,
        waiting: &mut Vec<&[Kept]>,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let InHand { letter, deadline, held_until, .. } = hand;
        let mut deaths = 0;
        while let Some(&records) = waiting.last() {
            if !self.has_time(*deadline) {
                return Err(waits("there is no time left"));
            }
            match self.invoke(&letter.function, &letter.event(records), *deadline).await? {
                invoked if invoked.is_safe() => {
                    tally.redriven += records.len();
                    deaths = 0;
                    waiting.pop();
                }
                // Else a record that kills would keep those behind it from ever going through.
                Invoked::Answered(_) if held_until.is_some_and(|until| self.clock.now() < until) => {
                    self.clock.sleep(AGAIN).await;
                }
                Invoked::Answered(_) => return Err(waits("its function still answers with failures")),
                Invoked::Died => {
                    *held_until = Some(self.clock.now().plus_ms(HELD_MS));
                    deaths += 1;
                    // Each time: one that did not start twice may start in between.
                    self.must_live(&letter.function, &letter.event(&[]), *deadline).await?;
                    if records.len() == 1 && deaths < DEATHS_MAX {
                        continue;
                    }
                    if let [record] = records {
                        self.put_away(&letter.source(), record, DIED, DIED_DETAIL.into(), *deadline).await?;
                        tally.quarantined += 1;
                        waiting.pop();
                    } else {
                        let (left, right) = records.split_at(records.len() / 2);
                        waiting.pop();
                        waiting.extend([right, left]); // the left one is taken first
                    }
                    deaths = 0;
                }
            }
        }
        Ok(())
    }

    /// Has the letter wait unless its function lives through an event without records: one that does not start, because a
    /// dependency is down or because it is broken, has not died of a record.
    async fn must_live(&self, function: &str, empty: &str, deadline: Micros) -> Result<(), Error> {
        match self.invoke(function, empty, deadline).await? {
            Invoked::Answered(_) => Ok(()),
            Invoked::Died => Err(waits("its function dies of no records at all")),
        }
    }

    async fn invoke(&self, function: &str, event: &str, deadline: Micros) -> Result<Invoked, Error> {
        let invoke = async |functions: &F| functions.invoke(function, event.to_owned()).await;
        self.functions.call(&self.clock, deadline, invoke).await
    }

    /// What a stream has forgotten nobody can bring back: the letter itself stays in the quarantine as its trace.
    async fn note_forgotten(&self, letter: &Letter, order: Order, deadline: Micros) -> Result<(), Error> {
        tracing::error!(shard = letter.shard.shard, start = %letter.start, end = %letter.end, "the stream has forgotten records");
        if order.dry_run {
            return Ok(());
        }
        let detail =
            format!("of the records {} to {} the stream has forgotten the first", letter.start, letter.end);
        let record = Kept {
            sequence: letter.start.clone(),
            arrived_at: self.clock.now(),
            partition_key: String::new(),
            data: Vec::new(),
        };
        self.put_away(&letter.source(), &record, FORGOTTEN, detail.into(), deadline).await
    }

    async fn put_away(
        &self,
        source: &Source,
        record: &Kept,
        reason: &'static str,
        detail: Cow<'static, str>,
        deadline: Micros,
    ) -> Result<(), Error> {
        let entry = Entry {
            reject: Reject::new(REDRIVE, reason, detail),
            sequence: record.sequence.clone(),
            index: None,
            at: record.arrived_at,
            may_be_known: reason == DIED, // nobody knows what its function did before
            payload: record.data.clone(),
        };
        // What was forgotten has no payload, and takes no place of something that has one.
        let function = if reason == FORGOTTEN { "redrive-forgotten" } else { REDRIVE };
        let Some(page) = quarantine::page(function, source, &[entry]) else { return Ok(()) };
        put_object(&self.quarantine, &page.key, page.body, &self.clock, deadline).await
    }
}

/// Cuts records into events that Lambda takes.
fn events(records: &[Kept]) -> impl Iterator<Item = &[Kept]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut data = 0;
        let fits = |record: &&Kept| {
            data += record.data.len() + record.partition_key.len() + 512;
            data <= DATA_MAX
        };
        let count = rest.iter().take(RECORDS_MAX).take_while(fits).count().max(1);
        let (event, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(event)
    })
}

fn waits(why: &str) -> Error {
    Error { what: why.to_owned(), kind: Kind::Transient, source: None }
}
