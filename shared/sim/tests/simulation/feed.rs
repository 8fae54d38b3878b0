//! A feed of somebody else's, which `pull` reads: what is drawn of it, what its server answers, who calls `pull`, and what
//! must be true of it.
//!
//! `EventBridge` Scheduler calls a target at least once, every five minutes here:
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/what-is-scheduler.html>. It does so until a run has read to the
//! end all that the feed will ever have; by then each item is in RawStream.

use crate::scenario::{CANARY, Event, Kind, START, Scenario, ends, is_unheard, moment};
use crate::truth;
use crate::world::{Ledger, Run, Stack};
use millrace_core::port::{Error, Kind as Refusal};
use millrace_core::time::Micros;
use millrace_pull::{Answer, Fetch};
use millrace_sim::account::Account;
use millrace_sim::chance::Chance;
use millrace_sim::fault::{CallFault, Fault, InvocationFault};
use millrace_sim::lambda::{Function, Outcome};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// What leads from a page to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Leads {
    /// A token, as long as there is more.
    #[default]
    Token,
    /// A token, at the end too.
    Always,
    /// The address of the next page, as long as there is more.
    Address,
    /// The id of the last item.
    LastId,
}

/// A feed: a log, to which items are added at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed {
    /// The places of its items in the scenario's events, each with how many questions it takes until it is there: some come
    /// between two pages of a run.
    pub(crate) items: Vec<(usize, u32)>,
    /// When `pull` is called for the first time.
    first: Micros,
    /// How many items a page has.
    size: usize,
    /// How many of a page's items were on the one before.
    overlap: usize,
    leads: Leads,
    /// After so many pages the feed wants to be left alone for a while; never, where it is 0.
    limit: u32,
}

/// What a feed's answers are fetched with.
pub(crate) const TOKEN: &str = "feed-t0ken";

/// The feed's address.
const URL: &str = "https://feed.example/items?after={cursor}";

const EVERY: Duration = Duration::from_mins(5);

/// How many times `pull` may be called until it has read to the end.
const RUNS_MAX: u32 = 150;

/// How long `pull` waits for a page, as in `functions/pull/src/http.rs`.
const HANGS: Duration = Duration::from_secs(30);

/// For how long after it was handed over a page may come again by mistake: so long `transform` knows its items for sure.
const AGAIN_MS: i64 = 1_500_000;

/// Now and then there is a feed.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    // What a run put and could not note comes again when it can: longer than ids are known, it would be another event.
    let is_long = scenario.faults.iter().any(|fault| {
        matches!(fault, Fault::Spell { service: "table" | "secrets", from, until, .. }
            if until.get() - from.get() > 1_800_000_000)
    });
    // A feed is read for an hour or longer.
    if !chance.percent(30) || is_long || scenario.kills_queue() {
        return;
    }
    let leads = chance.pick(&[Leads::Token, Leads::Token, Leads::Always, Leads::Address, Leads::LastId]);
    let mut questions = 0;
    let items = (0..chance.between(1, 20)).map(|_| {
        let kind = match chance.below(100) {
            0..12 => Kind::Filtered,
            12..20 => Kind::Bad,
            20..25 => Kind::Garbage,
            // Of these the last one would lead nowhere.
            25..35 if leads != Leads::LastId => Kind::Unnamed,
            _ => Kind::Good,
        };
        questions += chance.pick(&[0, 0, 0, 0, 1, 1, 2]);
        let user = u32::try_from(chance.below(3)).unwrap();
        (scenario.event(None, user, kind), questions)
    });
    let items: Vec<_> = items.collect();
    let size = usize::try_from(chance.between(1, 5)).unwrap();
    scenario.feed = Feed {
        items,
        first: START.plus_ms(i64::try_from(chance.below(60_000)).unwrap()),
        size,
        overlap: if chance.percent(40) { chance.place(size) } else { 0 },
        leads,
        limit: chance.pick(&[0, 0, 3]),
    };
    for _ in 0..chance.below(5) {
        let fault = fault(chance);
        scenario.faults.push(fault);
    }
}

fn fault(chance: &Chance) -> Fault {
    let nth = |most| u32::try_from(chance.below(most)).unwrap();
    let how = chance.pick(&[
        CallFault::Refused(Refusal::Transient),
        CallFault::Refused(Refusal::Throttled),
        CallFault::AnswerLost,
        CallFault::Late(Duration::from_millis(500)),
        CallFault::Partial(50, Refusal::Throttled),
        CallFault::Partial(100, Refusal::Throttled),
        CallFault::Partial(50, Refusal::Transient),
    ]);
    match chance.below(6) {
        0 | 1 => Fault::Call { service: "feed", nth: nth(12), how },
        2 => {
            let (from, lasts) = (moment(chance), chance.pick(&[5_000, 120_000, 600_000]));
            let percent = chance.pick(&[50, 100]);
            Fault::Spell { service: "feed", from, until: from.plus_ms(lasts), percent, how }
        }
        3 => Fault::Call { service: chance.pick(&["raw", "table"]), nth: nth(20), how },
        _ => {
            let how = chance.pick(&[
                InvocationFault::Crash(nth(40)),
                InvocationFault::Crash(nth(40)),
                InvocationFault::Hang(nth(40)),
                InvocationFault::AnswerLost,
                InvocationFault::Throttled,
                InvocationFault::Cold,
            ]);
            Fault::Invocation { function: "pull", nth: nth(6), how }
        }
    }
}

/// The feed's server.
#[derive(Debug)]
pub(crate) struct Server {
    account: Account,
    feed: Feed,
    items: Vec<Event>,
    skew_ms: i64,
    told: Rc<Ledger>,
    asked: Cell<u32>,
    /// When each item was handed over first.
    served: RefCell<BTreeMap<usize, Micros>>,
    /// How many of its answers were bad ones.
    troubles: Cell<u32>,
    /// Whether the last page was the last one there will ever be.
    at_end: Cell<bool>,
    /// Until when it wants to be left alone, as far as who asks must know.
    alone: Cell<Option<Micros>>,
    /// How many runs are at work.
    running: Cell<u32>,
    /// Whether all was read.
    is_read: Cell<bool>,
    /// What each run counted, whether it failed or not.
    pub(crate) counted: RefCell<Vec<Value>>,
    wrong: RefCell<BTreeSet<String>>,
}

impl Server {
    pub(crate) fn new(account: &Account, scenario: &Scenario, told: &Rc<Ledger>) -> Rc<Self> {
        let feed = scenario.feed.clone();
        let items: Vec<_> = feed.items.iter().map(|(place, _)| scenario.events[*place].clone()).collect();
        Rc::new(Self {
            account: account.clone(),
            skew_ms: scenario.skew_ms,
            told: Rc::clone(told),
            asked: Cell::default(),
            served: RefCell::default(),
            troubles: Cell::default(),
            at_end: Cell::default(),
            alone: Cell::default(),
            running: Cell::default(),
            is_read: Cell::new(items.is_empty()),
            counted: RefCell::default(),
            wrong: RefCell::default(),
            feed,
            items,
        })
    }

    /// The settings of `pull` for this feed.
    pub(crate) fn settings(&self) -> millrace_pull::Feed {
        let cursor = if self.feed.leads == Leads::LastId { "/data/-/id" } else { "/next" };
        millrace_pull::Feed::new(URL.to_owned(), "/data".to_owned(), Some(cursor.to_owned())).unwrap()
    }

    /// How many items there are by now.
    fn there(&self) -> usize {
        self.feed.items.iter().filter(|(_, questions)| *questions <= self.asked.get()).count()
    }

    /// How many items come before what a cursor leads to.
    fn before(&self, cursor: &str) -> Option<usize> {
        let cursor = cursor.rsplit_once('=').map_or(cursor, |(_, cursor)| cursor);
        if let Some(number) = cursor.strip_prefix("p-") {
            return number.parse().ok().filter(|number| *number <= self.items.len());
        }
        self.items.iter().position(|item| item.id == cursor).map(|place| place + 1)
    }

    /// The page behind so many items.
    fn page(&self, before: usize) -> Answer {
        let there = self.there();
        let begin = before.saturating_sub(self.feed.overlap).min(there);
        let end = (begin + self.feed.size).min(there);
        let more = end < there;
        let next = match self.feed.leads {
            Leads::Always => json!(format!("p-{end}")),
            Leads::Token if more => json!(format!("p-{end}")),
            Leads::Address if more => json!(URL.replace("{cursor}", &format!("p-{end}"))),
            Leads::Token | Leads::Address | Leads::LastId => Value::Null,
        };
        let now = self.account.now();
        for place in begin..end {
            self.told.note(&self.items[place], |told| told.sent += 1);
            self.served.borrow_mut().entry(place).or_insert(now);
        }
        self.at_end.set(end == self.items.len());
        let items: Vec<_> = self.items[begin..end].iter().map(item).collect();
        self.account.tell(|| format!("  feed: hands over {begin} to {end}"));
        let body = format!(r#"{{"data":[{}],"next":{next}}}"#, items.join(","));
        Answer { status: 200, headers: Vec::new(), body: body.into_bytes() }
    }

    /// What it answers; none where it hangs.
    fn answer(&self, url: &str, header: Option<(&str, &str)>, fault: Option<CallFault>) -> Option<Answer> {
        let now = self.account.now();
        self.asked.set(self.asked.get() + 1);
        self.at_end.set(false);
        // Clocks are wrong, and a date of HTTP has whole seconds.
        let slack_ms = 2 * self.skew_ms + 1_100;
        if self.running.get() == 1 && self.alone.get().is_some_and(|until| now.plus_ms(slack_ms) < until) {
            self.wrong.borrow_mut().insert("the feed was asked while it wanted to be left alone".to_owned());
        }
        if header != Some(("Authorization", &format!("Bearer {TOKEN}"))) {
            return Some(self.plain(401, "who are you?"));
        }
        let cursor = url.split_once("after=").map_or("p-0", |(_, cursor)| cursor);
        let Some(before) = self.before(cursor) else {
            self.wrong.borrow_mut().insert("the feed was asked for what it has not".to_owned());
            return Some(self.plain(404, "there is no such page"));
        };
        if fault.is_some() {
            self.troubles.set(self.troubles.get() + 1);
        }
        let chance = self.account.chance();
        Some(match fault {
            None => {
                let mut page = self.page(before);
                if self.feed.limit > 0 && self.asked.get().is_multiple_of(self.feed.limit) {
                    page.headers = self.wait(&[("x-ratelimit-remaining", "0")], "x-ratelimit-reset", 15);
                }
                page
            }
            Some(CallFault::AnswerLost) => {
                self.page(before);
                return None;
            }
            Some(CallFault::Refused(Refusal::Throttled)) => {
                let seconds = chance.pick(&[2, 15, 90, 600]);
                let headers = match chance.below(3) {
                    0 => Vec::new(),
                    1 => self.wait(&[], "retry-after", seconds),
                    _ => {
                        let until = now.get() / 1_000_000 + seconds;
                        self.wait(&[("x-rate-limit-remaining", "0")], "x-rate-limit-reset", until)
                    }
                };
                Answer { headers, ..self.plain(429, "not so fast") }
            }
            Some(CallFault::Refused(_)) => self.plain(500, "<html>something went wrong</html>"),
            Some(CallFault::Late(_)) => {
                let headers = self.wait(&[], "retry-after", chance.pick(&[5, 120]));
                Answer { headers, ..self.plain(503, "we will be back soon") }
            }
            // The page before, from some cache.
            Some(CallFault::Partial(100, Refusal::Throttled)) => {
                self.page(before.saturating_sub(self.feed.size - self.feed.overlap))
            }
            // An older one.
            Some(CallFault::Partial(_, Refusal::Throttled)) => {
                let served = self.served.borrow();
                let is_old = |place: &usize| served.get(place).is_some_and(|at| at.plus_ms(AGAIN_MS) < now);
                let least = (0..before).rev().find(is_old).map_or(0, |place| place + 1);
                let least = (least + self.feed.overlap).min(before);
                drop(served);
                self.page(least + chance.place(before - least + 1))
            }
            Some(CallFault::Partial(..)) => match chance.below(5) {
                0 => self.plain(200, "<html>please log in</html>"),
                1 => self.plain(200, r#"{"error":"none of your business"}"#),
                2 => self.plain(403, "no"),
                3 => {
                    let mut page = self.page(before);
                    page.body.truncate(page.body.len() / 2);
                    page
                }
                _ => {
                    let mut page = self.page(before);
                    let next = br#","next":"https://other.example/items"}"#;
                    page.body
                        .truncate(page.body.windows(8).rposition(|text| text == br#","next":"#).unwrap());
                    page.body.extend(next);
                    page
                }
            },
        })
    }

    fn plain(&self, status: u16, body: &str) -> Answer {
        self.account.tell(|| format!("  feed: answers {status} {body}"));
        Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    /// The headers that say to wait, so many seconds or until that one.
    fn wait(&self, headers: &[(&str, &str)], name: &str, seconds: i64) -> Vec<(String, String)> {
        let now = self.account.now();
        let until = if seconds < 1_000_000 {
            now.plus_ms(seconds * 1_000)
        } else {
            Micros::new(seconds * 1_000_000).unwrap()
        };
        if self.running.get() == 1 {
            self.alone.set(Some(until));
        }
        self.account.tell(|| format!("  feed: wants to be left alone until {}", until.rfc3339()));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        headers.chain([(name.to_owned(), seconds.to_string())]).collect()
    }

    /// The cursor that is noted has passed nothing that RawStream has not.
    fn look_at_cursor(&self, stack: &Stack) {
        let item = stack.state.items().into_iter().find(|item| item.key.starts_with("pull/"));
        let place: Value = item.map_or(Value::Null, |item| serde_json::from_slice(&item.body).unwrap());
        let Some(cursor) = place["cursor"].as_str() else { return };
        let Some(before) = self.before(cursor) else {
            self.wrong.borrow_mut().insert("the cursor leads to what the feed has not".to_owned());
            return;
        };
        let records = stack.raw.records();
        let all: BTreeSet<_> =
            records.iter().flat_map(|(_, record)| truth::serials(&truth::plain(&record.data))).collect();
        for item in self.items.iter().take(before).filter(|item| !all.contains(&item.serial)) {
            let wrong = format!("the cursor has passed event {}, which is not safe", item.serial);
            self.wrong.borrow_mut().insert(wrong);
        }
    }

    async fn run(&self, stack: &Stack, pull: &Function) {
        self.running.set(self.running.get() + 1);
        if self.running.get() > 1 {
            self.alone.set(None); // who is at work already may not know
        }
        let (troubles, is_all) = (self.troubles.get(), self.there() == self.items.len());
        self.account.tell(|| "pull is called".to_owned());
        let outcome = pull.invoke(&json!({})).await;
        self.running.set(self.running.get() - 1);
        self.look_at_cursor(stack);
        let Outcome::Answered(answer) = outcome else {
            self.account.tell(|| format!("pull: {outcome:?}"));
            self.alone.set(None); // nor may who failed have told
            let Outcome::Failed(why) = outcome else { return };
            self.told.answers.borrow_mut().push_str(&why);
            return;
        };
        self.account.tell(|| format!("pull answers: {}", answer.told()));
        self.told.answers.borrow_mut().push_str(&answer.payload.to_string());
        let is_over = answer.payload["waits"] == 0 && answer.payload["stale"] == 0;
        if is_all && is_over && self.at_end.get() && troubles == self.troubles.get() {
            self.is_read.set(true);
            for item in &self.items {
                self.told.note(item, |told| told.accepted = true);
            }
        }
    }
}

/// An item, as it stands in a page.
fn item(event: &Event) -> String {
    if event.kind == Kind::Garbage {
        let (open, close) = ("[".repeat(150), "]".repeat(150));
        let Event { id, serial, .. } = event;
        return format!(r#"{{"id":"{id}","serial":{serial},"deep":{open}"{CANARY}"{close}}}"#);
    }
    String::from_utf8(event.body()).unwrap()
}

/// Begins to call `pull`.
pub(crate) fn begin(stack: &Rc<Stack>, pull: &Rc<Function>) {
    let (stack, pull) = (Rc::clone(stack), Rc::clone(pull));
    let (account, server) = (stack.account.clone(), Rc::clone(&stack.feed));
    if server.items.is_empty() {
        return;
    }
    account.clone().executor().spawn(async move {
        account.executor().sleep_until(server.feed.first).await;
        for _ in 0..RUNS_MAX {
            if server.is_read.get() {
                return;
            }
            for _ in 0..if account.chance().percent(15) { 2 } else { 1 } {
                let (stack, pull, account) = (Rc::clone(&stack), Rc::clone(&pull), account.clone());
                account.clone().executor().spawn(async move {
                    account.sleep(Duration::from_millis(account.chance().below(20_000))).await;
                    stack.feed.run(&stack, &pull).await;
                });
            }
            account.sleep(EVERY).await;
        }
    });
}

/// A client of the feed.
#[derive(Debug, Clone)]
pub(crate) struct Client(pub(crate) Rc<Server>);

impl Fetch for Client {
    async fn get(&self, url: &str, header: Option<(&str, &str)>) -> Result<Answer, Error> {
        let account = &self.0.account;
        let fault = account.faults().call("feed", account.now());
        let pause = || account.sleep(Duration::from_millis(account.chance().between(5, 300)));
        pause().await;
        if let Some(answer) = self.0.answer(url, header, fault) {
            pause().await;
            return Ok(answer);
        }
        account.tell(|| "  feed: hangs".to_owned());
        account.sleep(HANGS).await;
        Err(Error {
            what: "ask the feed: no answer in time".to_owned(),
            kind: Refusal::Transient,
            source: None,
        })
    }
}

/// What is wrong with how a run read its feed.
pub(crate) fn judge(run: &Run, wrong: &mut Vec<String>) {
    let (server, scenario) = (&run.stack.feed, &run.scenario);
    if server.items.is_empty() {
        return;
    }
    wrong.extend(server.wrong.borrow().iter().cloned());
    if !server.is_read.get() {
        wrong.push("the feed is not read to its end".to_owned());
    }
    let serials: BTreeSet<_> = server.items.iter().map(|item| item.serial).collect();
    let (records, replays) = (run.stack.raw.records(), &run.stack.replays);
    let own = records.iter().filter(|(_, record)| !replays.has(&run.stack.raw, record));
    let all = own.flat_map(|(_, record)| truth::serials(&truth::plain(&record.data)));
    let copies = all.filter(|serial| serials.contains(serial)).count();
    let handed: usize = serials.iter().map(|serial| run.told.of(*serial).sent).sum();
    let counted = server.counted.borrow();
    let sum = |name: &str| {
        counted.iter().map(|counts| usize::try_from(counts[name].as_u64().unwrap()).unwrap()).sum::<usize>()
    };
    let (taken, out, known) = (sum("in"), sum("out"), sum("known"));
    let is_well = scenario.faults.iter().all(|fault| match fault {
        Fault::Call { service, how, .. } | Fault::Spell { service, how, .. } => {
            *service != "raw" || !is_unheard(*how)
        }
        Fault::Invocation { function, how, .. } => *function != "pull" || !ends(*how),
        Fault::At { .. } => true,
    });
    if taken != out + known || taken > handed || out > copies || is_well && out < copies {
        wrong.push(format!(
            "pull counted in, out, known {:?}, and {handed} items were handed over, {copies} are in RawStream",
            [taken, out, known]
        ));
    }
}
