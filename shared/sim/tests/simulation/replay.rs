//! A mistake in the pipeline, and the operator who mends it: what is drawn of them, how the quarantine is replayed, and
//! what must be true of it.
//!
//! With the mistake `transform`, `changes` and `files` refuse every fourth event; they have it from the beginning, or get it with a
//! deployment. Then another version is deployed, and `millrace quarantine replay` sends what passes now: once or twice, perhaps twice at a time, now and then killed in the
//! midst of it; and once more when all is well again and no dead letter is left.

use crate::code::{PIPELINE, SPAN};
use crate::mutant::Mutant;
use crate::oracle::Found;
use crate::scenario::{Event, Kind, START, Scenario, moment};
use crate::truth;
use crate::world::{KEY, Run, Stack};
use bytes::Bytes;
use millrace_core::files;
use millrace_core::guard::Guard;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::{
    Browse, Entry, Error, Functions, Invoked, Kind as Refusal, ObjectStore, Put, PutRecords,
};
use millrace_core::quarantine::read::Which;
use millrace_core::quarantine::replay::{Replay, Tally};
use millrace_core::retry::Policy;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_sim::account::SkewedClock;
use millrace_sim::chance::Chance;
use millrace_sim::fault::{CallFault, Fault};
use millrace_sim::kinesis::{Record, Stream};
use millrace_sim::lambda::{self, Function};
use millrace_sim::s3;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The step that is a mistake: it divides by zero.
const MISTAKE: &str =
    "[[step]]\nenrich.compute = { rate = \"serial % 4 == 1 ? serial / (serial - serial) : null\" }\n\n";

/// Why it refuses an event.
pub(crate) const REASON: &str = "expression";

/// What an operator does about the mistake.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// When the version with it is deployed, where it is not there from the beginning.
    mistaken_at: Option<Micros>,
    /// When the version without it is deployed.
    pub(crate) mended_at: Micros,
    pub(crate) attempts: Vec<Attempt>,
}

/// One replay of the quarantine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) at: Micros,
    /// After how many steps it is killed, if it is.
    killed: Option<u32>,
    /// Whether it is for the mistake's entries alone.
    picks: bool,
}

/// In some runs there is a mistake, and things go wrong when it is mended.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if !chance.percent(17) {
        return;
    }
    // What a message is redriven for has to be known still when all is over.
    let most_ms = if scenario.kills_queue() { 600_000 } else { i64::MAX };
    let mended_at = moment(chance).plus_ms(chance.pick(&[0, 0, 600_000, 1_800_000]).min(most_ms));
    let mut at = mended_at.plus_ms(i64::try_from(chance.below(600_000)).unwrap());
    let mut attempts = Vec::new();
    for _ in 0..chance.between(1, 2) {
        let killed = chance.percent(50).then(|| u32::try_from(chance.below(40)).unwrap());
        attempts.push(Attempt { at, killed, picks: chance.percent(50) });
        for _ in 0..chance.below(3) {
            scenario.faults.push(fault(chance, at));
        }
        at = at.plus_ms(chance.pick(&[1, 1_000, 600_000, 7_200_000]).min(most_ms));
    }
    let mistaken_at = chance.percent(40).then(|| {
        let all_ms = (mended_at.get() - START.get()) / 1_000;
        START.plus_ms(i64::try_from(chance.below(u64::try_from(all_ms).unwrap() + 1)).unwrap())
    });
    scenario.mistake = Some(Plan { mistaken_at, mended_at, attempts });
}

fn fault(chance: &Chance, at: Micros) -> Fault {
    let how = chance.pick(&[
        CallFault::Refused(Refusal::Transient),
        CallFault::AnswerLost,
        CallFault::Late(Duration::from_millis(500)),
        CallFault::Partial(50, Refusal::Throttled),
    ]);
    let service = chance.pick(&["quarantine", "quarantine", "raw", "raw", "clean", "lambda"]);
    let from = at.plus_ms(i64::try_from(chance.below(300)).unwrap());
    let until = from.plus_ms(chance.pick(&[100, 1_000, 30_000, 120_000]));
    Fault::Spell { service, from, until, percent: chance.pick(&[50, 100]), how }
}

/// The pipeline's text with the mistake.
pub(crate) fn mistaken(text: &str) -> String {
    text.replacen("[[step]]\nfilter.keep", &format!("{MISTAKE}[[step]]\nfilter.keep"), 1)
}

impl Scenario {
    /// Whether the mistake refuses an event that is good.
    pub(crate) fn mistakes(&self, event: &Event) -> bool {
        let is_refused = matches!(event.kind, Kind::Bad | Kind::Garbage | Kind::NoId | Kind::Forged);
        self.mistake.is_some() && event.serial % 4 == 1 && !is_refused
    }

    /// Which entries are replayed. What kills its function is not, as long as it does.
    fn wanted(&self, picks: bool, is_cured: bool) -> Which {
        let is_poisonous = self.events.iter().any(|event| event.kind >= Kind::PanicsTransform);
        let reason = (picks || is_poisonous && !is_cured).then(|| REASON.to_owned());
        Which { date: None, reason }
    }
}

/// What was replayed.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Whether the functions that start have the mistake.
    pub(crate) is_mistaken: Cell<bool>,
    /// The records that were replayed, by their stream and the number of those before each.
    records: RefCell<BTreeSet<(&'static str, u64)>>,
    /// What each replay that came to its end counted, and how many entries its streams and its function said they took.
    counted: RefCell<Vec<(Tally, usize)>>,
    /// What the last of all wanted, and counted.
    last: RefCell<Option<(Which, Tally)>>,
}

impl Book {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let is_mistaken = scenario.mistake.as_ref().is_some_and(|plan| plan.mistaken_at.is_none());
        Self { is_mistaken: Cell::new(is_mistaken), ..Self::default() }
    }

    /// Whether this record of a stream was replayed.
    pub(crate) fn has(&self, stream: &Stream, record: &Record) -> bool {
        self.has_of(stream.name, record.order)
    }

    pub(crate) fn has_of(&self, stream: &'static str, order: u64) -> bool {
        self.records.borrow().contains(&(stream, order))
    }
}

/// Begins to mend, and to replay.
pub(crate) fn begin(stack: &Rc<Stack>, scenario: &Rc<Scenario>, functions: Vec<Rc<Function>>) {
    let Some(plan) = &scenario.mistake else { return };
    let account = &stack.account;
    let (begins, ends) = (plan.mistaken_at.map(|at| (at, true)), (plan.mended_at, false));
    let own = Rc::clone(stack);
    account.executor().spawn(async move {
        for (at, is_mistaken) in begins.into_iter().chain([ends]) {
            own.account.executor().sleep_until(at).await;
            own.account.tell(|| format!("another pipeline is deployed, mistaken: {is_mistaken}"));
            own.replays.is_mistaken.set(is_mistaken);
            for function in &functions {
                function.deploy();
            }
        }
    });
    for attempt in plan.attempts.clone() {
        let (own, scenario) = (Rc::clone(stack), Rc::clone(scenario));
        account.executor().spawn(async move {
            own.account.executor().sleep_until(attempt.at).await;
            replay(&own, &scenario, scenario.wanted(attempt.picks, false), attempt.killed).await;
        });
    }
}

/// Replays what is left, when all is well; whether nothing has to wait until ids are forgotten.
pub(crate) async fn finish(stack: &Rc<Stack>, scenario: &Scenario) -> bool {
    let which = scenario.wanted(false, stack.cured.get());
    let tally = replay(stack, scenario, which.clone(), None).await;
    stack.replays.last.replace(tally.map(|tally| (which, tally)));
    tally.is_some_and(|tally| tally.young == 0)
}

/// Replays the quarantine once; what was counted, if it came to its end.
async fn replay(stack: &Rc<Stack>, scenario: &Scenario, which: Which, killed: Option<u32>) -> Option<Tally> {
    let account = &stack.account;
    account.tell(|| format!("the quarantine is replayed: {which:?}, killed: {killed:?}"));
    let ahead = i64::try_from(account.chance().below(u64::try_from(2 * scenario.skew_ms + 1).unwrap()));
    let clock = SkewedClock::new(account, ahead.unwrap() - scenario.skew_ms);
    let taken = Rc::new(Cell::new(0));
    let named = |stream: &Rc<Stream>| {
        let put = Puts { stack: Rc::clone(stack), stream: Rc::clone(stream), taken: Rc::clone(&taken) };
        Guard::patient("the stream", put)
    };
    let calls = Calls {
        client: lambda::Client { account: account.clone(), functions: stack.functions.borrow().clone() },
        taken: Rc::clone(&taken),
    };
    let operator = Replay {
        quarantine: Guard::patient("the quarantine", Pages(Rc::clone(stack))),
        raw: Some(named(&stack.raw)),
        clean: Some(named(&stack.clean)),
        queue: Some((Guard::new("the function", calls, Policy::BRIEF), "queue".to_owned())),
        clock,
        window_s: u32::try_from(SPAN.window_ms / 1_000).unwrap(),
    };
    let mut pipeline = Pipeline::compile(PIPELINE, &files::NONE).unwrap();
    let key = TokenKey::parse(KEY).unwrap();
    let mut work = pin!(operator.run(&which, &mut pipeline, &key));
    let mut went_on = 0;
    let done = poll_fn(|cx| {
        went_on += 1;
        if killed.is_some_and(|after| went_on > after) {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    });
    let done = done.await;
    account.tell(|| match &done {
        Some(Ok(tally)) => format!("the operator is told {tally:?}"),
        Some(Err(why)) => format!("the operator is told: {}", why.chain()),
        None => "the replay is killed".to_owned(),
    });
    let tally = done?.ok()?;
    stack.replays.counted.borrow_mut().push((tally, taken.get()));
    Some(tally)
}

/// A stream, as the operator has it.
struct Puts {
    stack: Rc<Stack>,
    stream: Rc<Stream>,
    /// How many entries it said that it took.
    taken: Rc<Cell<usize>>,
}

impl PutRecords for Puts {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        let (stack, stream, own) = (Rc::clone(&self.stack), Rc::clone(&self.stream), entries.to_vec());
        let put = async move {
            let name = stream.name;
            let effect = {
                let stack = Rc::clone(&stack);
                move |fault| {
                    let before = stream.records().len() as u64;
                    let puts = stream.put_records(&own, fault)?;
                    let records = before..stream.records().len() as u64;
                    stack.replays.records.borrow_mut().extend(records.map(|order| (name, order)));
                    Ok(puts)
                }
            };
            stack.account.call(name, effect).await
        };
        if self.stack.mutant == Some(Mutant::PageBeforeSend) {
            self.stack.late.borrow_mut().push(Box::pin(async move { drop(put.await) }));
            self.taken.set(self.taken.get() + entries.len());
            return Ok(vec![Put::Done; entries.len()]);
        }
        let puts = put.await?;
        self.taken.set(self.taken.get() + puts.iter().filter(|put| **put == Put::Done).count());
        Ok(puts)
    }
}

/// The quarantine, as the operator has it.
struct Pages(Rc<Stack>);

impl Pages {
    fn bucket(&self) -> s3::Client {
        s3::Client(Rc::clone(&self.0.quarantine))
    }

    /// Sends at last what was said to be sent.
    async fn flush(&self) {
        let late = self.0.late.take();
        for put in late {
            put.await;
        }
    }
}

impl Browse for Pages {
    async fn keys(&self, begin: &str) -> Result<Vec<String>, Error> {
        self.bucket().keys(begin).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        self.bucket().get(key).await
    }
}

impl ObjectStore for Pages {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.bucket().put(key, body).await?;
        self.flush().await;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.bucket().delete(key).await?;
        self.flush().await;
        Ok(())
    }
}

/// The function `queue`, as the operator has it.
struct Calls {
    client: lambda::Client,
    taken: Rc<Cell<usize>>,
}

impl Functions for Calls {
    async fn invoke(&self, function: &str, event: String) -> Result<Invoked, Error> {
        let invoked = self.client.invoke(function, event).await?;
        if invoked.is_safe() {
            self.taken.set(self.taken.get() + 1);
        }
        Ok(invoked)
    }
}

/// The events that a replay sent, or may have: what `queue` died of it hands to that.
fn sent(run: &Run, found: &Found) -> BTreeSet<u32> {
    let raw = &run.stack.raw;
    let records = raw.records();
    let replayed = records.iter().filter(|(_, record)| run.stack.replays.has(raw, record));
    let serials = replayed.flat_map(|(_, record)| truth::serials(&truth::plain(&record.data)));
    serials.chain(found.died_in_messages()).collect()
}

/// How far the arrival times of a batch may be out of order. `transform` reads what it knows as of those of its first record.
const DISORDER_MS: i64 = 2_000;

/// How often events of one id may have landed: once, and if the mistake refused one of them or a replay sent it, once more
/// for each time that nobody could know it. A record that
/// came later than ids are known, or under another partition key, may let it out again; so may a file or a table, whose ids
/// nobody knows.
pub(crate) fn lands_at_most(run: &Run, found: &Found, events: &[&Event]) -> usize {
    if run.scenario.mistake.is_none() {
        return 1;
    }
    let is_of = |serial: u32| events.iter().any(|event| event.serial == serial);
    let sent = sent(run, found);
    if !found.mistaken.iter().chain(&sent).any(|serial| is_of(*serial)) {
        return 1;
    }
    let out = found.let_out(is_of);
    let is_one_shard = run.stack.raw.shards(<[_]>::len) == 1;
    let mut others = BTreeSet::new();
    let mut times: Vec<(String, Micros)> = Vec::new();
    for (stream, shard, sequence) in out {
        let records = run.stack.raw.records();
        let record = records.iter().find(|(of, record)| *of == shard && record.sequence == sequence);
        match record.filter(|_| stream == run.stack.raw.name) {
            Some((_, record)) => {
                let key = if is_one_shard { String::new() } else { record.partition_key.clone() };
                times.push((key, record.arrived_at));
            }
            None => {
                others.insert((stream, shard, sequence));
            }
        }
    }
    times.sort();
    let (mut apart, mut last): (usize, Option<(String, Micros)>) = (0, None);
    for (key, at) in times {
        let is_known = last
            .as_ref()
            .is_some_and(|(of, first)| *of == key && at <= first.plus_ms(SPAN.window_ms - DISORDER_MS));
        if !is_known {
            apart += 1;
            last = Some((key, at));
        }
    }
    (apart + others.len()).max(1)
}

/// What came to its end counted what it sent; and at last nothing is left that passes now.
pub(crate) fn judge(run: &Run, found: &Found, wrong: &mut Vec<String>) {
    for (tally, taken) in run.stack.replays.counted.borrow().iter() {
        if tally.sent != *taken {
            wrong.push(format!("replay counted {} as sent, and {taken} were taken", tally.sent));
        }
    }
    let last = run.stack.replays.last.borrow();
    let Some((which, tally)) = last.as_ref() else { return };
    let lines: Vec<&Value> = found
        .lines
        .iter()
        .filter(|line| which.reason.as_ref().is_none_or(|reason| line["reason"] == **reason))
        .collect();
    for line in &lines {
        if line["reason"] == REASON || line["stage"] == "window" {
            let serials = truth::quarantined(line);
            wrong.push(format!("the events {serials:?} pass now, and are still in the quarantine"));
        }
    }
    // What was too young, or was sent back, is among the lines.
    if tally.young + tally.refused == 0 && lines.len() < tally.left {
        wrong.push(format!("replay left {}, and {} are in the quarantine", tally.left, lines.len()));
    }
}
