//! The whole stack in a simulated account, and a run of it.

use crate::code::{Binary, Poison, TABLE, Which};
use crate::feed;
use crate::files;
use crate::mutant::Mutant;
use crate::oracle;
use crate::scenario::{CANARY_IP, Event, Rest, START, Scenario, Send, Way};
use crate::truth;
use crate::{firehose, replay, review, webhooks};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::{Compression, write::GzEncoder};
use millrace_core::kpl;
use millrace_core::port::{Entry, Invoked, Put, PutRecords as _, Queue as _};
use millrace_sim::account::Account;
use millrace_sim::dynamodb::{Rows, Table};
use millrace_sim::executor::{End, first};
use millrace_sim::fault::{CallFault, Happening};
use millrace_sim::fifo;
use millrace_sim::kinesis::{self, Record, Stream};
use millrace_sim::lambda::{Function, Local, Outcome};
use millrace_sim::queue_mapping;
use millrace_sim::s3::Bucket;
use millrace_sim::secrets::Secret;
use millrace_sim::sqs::{self, Queue};
use millrace_sim::stream_mapping::{self, StreamMapping};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

/// The streams' retention: what the template has by default.
pub(crate) const RETENTION_MS: i64 = 86_400_000;

/// For how long a sink knows what landed: twice as long, and for the days of the quarantine, as the template has it by default.
pub(crate) const LOG_MS: i64 = 2 * RETENTION_MS + 30 * 86_400_000;

/// How long a run may go on, and how many steps it may take: far more than any does that ends.
const LONGEST_MS: i64 = 5 * 86_400_000;
const STEPS_MAX: u64 = 1_000_000;

/// How many redrives it may take until no dead letter is left.
const REDRIVES_MAX: u32 = 6;

/// The services of a stack.
pub(crate) struct Stack {
    pub(crate) account: Account,
    pub(crate) raw: Rc<Stream>,
    pub(crate) clean: Rc<Stream>,
    pub(crate) orders: Rc<Stream>,
    pub(crate) files: Rc<Bucket>,
    pub(crate) files_queue: Rc<Queue>,
    pub(crate) files_dead: Rc<Queue>,
    pub(crate) lake: Rc<Bucket>,
    pub(crate) quarantine: Rc<Bucket>,
    pub(crate) spill: Rc<Queue>,
    pub(crate) spill_dead: Rc<Queue>,
    pub(crate) inbox: Rc<Queue>,
    pub(crate) inbox_dead: Rc<Queue>,
    pub(crate) transform_dead: Rc<Queue>,
    pub(crate) changes_dead: Rc<Queue>,
    pub(crate) lake_dead: Rc<Queue>,
    /// Those of the functions that not every run has.
    pub(crate) metrics_dead: Rc<Queue>,
    pub(crate) review_dead: Rc<Queue>,
    /// The table of metrics, and how many changes CloudWatch was told of.
    pub(crate) rows: Rc<Rows>,
    pub(crate) counted: Cell<u64>,
    /// Who checks events, and the queue of those that are held.
    pub(crate) check: Rc<review::Check>,
    pub(crate) held: Rc<fifo::Queue>,
    /// Whether CleanStream carries KPL aggregates.
    pub(crate) kpl: bool,
    pub(crate) state: Rc<Table>,
    pub(crate) secret: Rc<Secret>,
    pub(crate) webhook_secrets: Rc<Secret>,
    pub(crate) feed_token: Rc<Secret>,
    pub(crate) feed: Rc<feed::Server>,
    /// What senders of webhooks were told.
    pub(crate) webhooks: webhooks::Book,
    /// What pull has not put yet though it should have, where that is the bug.
    pub(crate) unput: RefCell<Vec<Entry>>,
    /// The functions that redrive calls.
    pub(crate) functions: RefCell<Vec<Rc<Function>>>,
    /// The bug in the functions, if there is one on purpose.
    pub(crate) mutant: Option<Mutant>,
    /// The ids that a bug keeps, and those of the batch at hand.
    pub(crate) ids_kept: RefCell<HashSet<u128>>,
    pub(crate) ids_met: RefCell<Vec<u128>>,
    /// The user of the batch at hand, whom a bug notes.
    pub(crate) user: RefCell<String>,
    /// What went wrong before the eyes of the simulation.
    pub(crate) seen: RefCell<Vec<String>>,
    /// Whether a message comes again of which a part was put.
    pub(crate) drained_in_part: Cell<bool>,
    /// The messages of each event that queue worked on, what it answered, and what it counted.
    pub(crate) queued: RefCell<Vec<(Value, Value, Value)>>,
    /// What redrive called, and how each call ended.
    pub(crate) calls: RefCell<Vec<Call>>,
    /// What is known of the pipeline's mistake, and of the replays.
    pub(crate) replays: replay::Book,
    /// What replay has not sent yet though it should have, where that is the bug.
    pub(crate) late: RefCell<Vec<Local<'static, ()>>>,
    /// Whether the functions bear what was poison to them.
    pub(crate) cured: Cell<bool>,
    poisonous: bool,
    /// Whether there are metrics and review.
    reads: (bool, bool),
}

/// A call of a function by redrive that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) function: String,
    /// The records or messages that it was handed, by sequence number or id.
    pub(crate) records: Vec<String>,
    pub(crate) died: bool,
}

/// The records or messages of an event, by sequence number or id.
pub(crate) fn names(event: &Value) -> Vec<String> {
    let name = |record: &Value| {
        let names = [
            &record["kinesis"]["sequenceNumber"],
            &record["dynamodb"]["SequenceNumber"],
            &record["messageId"],
        ];
        names.into_iter().find_map(Value::as_str).expect("a name").to_owned()
    };
    event["Records"].as_array().expect("records").iter().map(name).collect()
}

/// What a client was told of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// How many times it was sent.
    pub(crate) sent: usize,
    pub(crate) accepted: bool,
    pub(crate) refused: bool,
}

/// A run, at its end.
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    pub(crate) stack: Rc<Stack>,
    pub(crate) transform: Rc<StreamMapping>,
    pub(crate) changes: Rc<StreamMapping>,
    pub(crate) drawn: Rc<StreamMapping>,
    pub(crate) metrics: Option<Rc<StreamMapping>>,
    pub(crate) review: Option<Rc<StreamMapping>>,
    pub(crate) delivery: Option<firehose::Delivery>,
    pub(crate) firehose: Rc<Function>,
    pub(crate) ingest: Rc<Function>,
    pub(crate) webhooks: Rc<Function>,
    pub(crate) drain: Rc<Function>,
    pub(crate) redrive: Rc<Function>,
    /// All functions.
    pub(crate) functions: Vec<Rc<Function>>,
    pub(crate) told: Rc<Ledger>,
    pub(crate) end: End,
}

/// What clients were told, by the event's number, and all that the API answered.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) told: RefCell<BTreeMap<u32, Told>>,
    pub(crate) answers: RefCell<String>,
    /// How many events ingest said that it accepted and rejected.
    pub(crate) heard: Cell<(usize, usize)>,
    /// Whether an answer of ingest may be lost.
    pub(crate) is_deaf: Cell<bool>,
}

impl Drop for Run {
    /// The tasks have the stack, and the stack has the tasks.
    fn drop(&mut self) {
        self.stack.account.executor().clear();
        // A function's code holds the stack that holds the function.
        self.stack.functions.borrow_mut().clear();
    }
}

/// What the secret holds, and after a rotation.
pub(crate) const KEY: &str = r#"{"id": "k1", "key": "0123456789abcdef0123456789abcdef"}"#;
pub(crate) const NEXT_KEY: &str = r#"{"id": "k2", "key": "fedcba9876543210fedcba9876543210", "previous": {"id": "k1", "key": "0123456789abcdef0123456789abcdef"}}"#;

impl Ledger {
    pub(crate) fn note(&self, event: &Event, note: impl FnOnce(&mut Told)) {
        note(self.told.borrow_mut().entry(event.serial).or_default());
    }

    fn note_all(&self, events: &[Event], note: impl Fn(&mut Told)) {
        for event in events {
            self.note(event, &note);
        }
    }

    pub(crate) fn of(&self, serial: u32) -> Told {
        self.told.borrow().get(&serial).copied().unwrap_or_default()
    }
}

impl Stack {
    fn new(account: &Account, scenario: &Scenario, told: &Rc<Ledger>) -> Rc<Self> {
        let kinesis = |name, shards| {
            let arn = format!("arn:aws:kinesis:us-east-1:123456789012:stream/{name}");
            Stream::new(account, name, arn, shards, RETENTION_MS)
        };
        let queue = |name, visibility_ms, dead| Queue::new(account, name, visibility_ms, dead);
        let label = "2026-11-20T11:00:00.000";
        let arn = format!("arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}/stream/{label}");
        let spill_dead = queue("spill-dead", 900_000, None);
        let inbox_dead = queue("inbox-dead", 900_000, None);
        let files_dead = queue("files-dead", 900_000, None);
        Rc::new(Self {
            account: account.clone(),
            raw: kinesis("raw", scenario.raw_shards),
            clean: kinesis("clean", scenario.clean_shards),
            orders: Stream::new(account, TABLE, arn, scenario.table_shards, RETENTION_MS),
            files: Bucket::new(account, "files-inbox"),
            files_queue: queue(
                "files-queue",
                5_400_000,
                Some((Rc::clone(&files_dead), scenario.files.receives)),
            ),
            files_dead,
            lake: Bucket::new(account, "lake"),
            quarantine: Bucket::new(account, "quarantine"),
            spill: queue("spill", 180_000, Some((Rc::clone(&spill_dead), scenario.spill_receives))),
            spill_dead,
            inbox: queue("inbox", 180_000, Some((Rc::clone(&inbox_dead), scenario.inbox_receives))),
            inbox_dead,
            transform_dead: queue("transform-dead", 900_000, None),
            changes_dead: queue("changes-dead", 900_000, None),
            lake_dead: queue("lake-dead", 900_000, None),
            metrics_dead: queue("metrics-dead", 900_000, None),
            review_dead: queue("review-dead", 900_000, None),
            rows: Rows::new(account, "metrics table"),
            counted: Cell::default(),
            check: review::Check::new(account),
            held: fifo::Queue::new(account, "review-queue"),
            kpl: scenario.kpl,
            reads: (scenario.metrics.is_some(), scenario.review.is_some()),
            state: Table::new(account, "table"),
            secret: Secret::new(account, KEY),
            webhook_secrets: Secret::new(account, &webhooks::secrets(&[webhooks::Key::First])),
            feed_token: Secret::new(account, feed::TOKEN),
            feed: feed::Server::new(account, scenario, told),
            webhooks: webhooks::Book::default(),
            unput: RefCell::default(),
            functions: RefCell::default(),
            mutant: scenario.mutant,
            ids_kept: RefCell::default(),
            ids_met: RefCell::default(),
            user: RefCell::default(),
            seen: RefCell::default(),
            drained_in_part: Cell::default(),
            queued: RefCell::default(),
            calls: RefCell::default(),
            replays: replay::Book::new(scenario),
            late: RefCell::default(),
            cured: Cell::new(false),
            poisonous: scenario
                .events
                .iter()
                .any(|event| event.kind >= crate::scenario::Kind::PanicsTransform),
        })
    }

    /// Looks at what drain did with a batch: what shares a partition key came to RawStream in the order of the messages.
    pub(crate) fn see_drained(&self, payload: &Value, before: usize) {
        let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let mut sent: HashMap<(String, Vec<u8>), (u64, u64)> = HashMap::new();
        for message in payload["Records"].as_array().into_iter().flatten() {
            let body: Value = serde_json::from_str(&text(message, "body")).unwrap_or_default();
            let order =
                [&body["order"][0], &body["order"][1]].map(|number| number.as_u64().unwrap_or_default());
            let order = (order[0], order[1]);
            for record in body["records"].as_array().into_iter().flatten() {
                let data = BASE64_STANDARD.decode(text(record, "data")).unwrap_or_default();
                let known = sent.entry((text(record, "partitionKey"), data)).or_insert(order);
                *known = (*known).min(order);
            }
        }
        let (mut last, mut met) = (HashMap::new(), BTreeSet::new());
        for (_, record) in self.raw.records().into_iter().skip(before) {
            let what = (record.partition_key.clone(), record.data.clone());
            let Some(at) = sent.get(&what).copied() else { continue };
            if met.insert(what)
                && last.insert(record.partition_key.clone(), at).is_some_and(|before| before > at)
            {
                self.seen.borrow_mut().push("what was spilled came back in another order".to_owned());
            }
        }
    }

    /// Notes how a call by redrive ended.
    pub(crate) fn note_call(&self, function: &str, event: &str, invoked: &Invoked) {
        let event: Value = serde_json::from_str(event).unwrap();
        self.calls.borrow_mut().push(Call {
            function: function.rsplit(':').next().unwrap_or_default().to_owned(),
            records: names(&event),
            died: *invoked == Invoked::Died,
        });
    }

    /// How many dead letters there are.
    pub(crate) fn letters(&self) -> usize {
        let more = [&self.spill_dead, &self.inbox_dead, &self.files_dead];
        let queues = self.letters_of_streams().into_iter().chain(more);
        queues.map(|queue| queue.waiting().len()).sum()
    }

    /// The dead letter queues of what reads streams.
    pub(crate) fn letters_of_streams(&self) -> Vec<&Rc<Queue>> {
        let (metrics, review) = self.reads;
        let more = [metrics.then_some(&self.metrics_dead), review.then_some(&self.review_dead)];
        let all = [&self.transform_dead, &self.changes_dead, &self.lake_dead];
        all.into_iter().chain(more.into_iter().flatten()).collect()
    }

    /// What a batch does to this stage, where one of its records is poisonous.
    pub(crate) fn poison(&self, payload: &Value, stage: &str) -> Option<Poison> {
        if !self.poisonous || self.cured.get() {
            return None;
        }
        let records = payload["Records"].as_array()?;
        let has = |how: &str| {
            records.iter().any(|record| {
                let data = || BASE64_STANDARD.decode(record["kinesis"]["data"].as_str().unwrap()).unwrap();
                let text = match stage {
                    "queue" => record["body"].as_str().unwrap().as_bytes().to_vec(),
                    "lake" => truth::frame(&data()).0.into_bytes(),
                    _ => truth::plain(&data()),
                };
                truth::find(&text, format!("{how}-{stage}").as_bytes()).is_some()
            })
        };
        let after = u32::try_from(self.account.chance().below(8)).unwrap();
        if has("panics") {
            return Some(Poison::Panics(after));
        }
        has("kills").then_some(Poison::Kills(after))
    }
}

/// Plays a scenario to its end.
pub(crate) fn play(scenario: &Scenario, tells: bool) -> Run {
    let account = Account::new(START, scenario.seed ^ scenario.variant << 32, scenario.faults.clone(), tells);
    let told = Rc::new(Ledger::default());
    let stack = Stack::new(&account, scenario, &told);
    let function = |name, which, seconds: i64| {
        Function::new(&account, name, seconds * 1_000, Box::new(Binary::new(which, &stack, scenario)))
    };
    // The timeouts of the template.
    let ingest = function("ingest", Which::Ingest, 15);
    let drain = function("drain", Which::Drain, 30);
    let queue = function("queue", Which::Queue, 30);
    let transform = function("transform", Which::Transform, 60);
    let changes = function("changes", Which::Changes, 60);
    let files = function("files", Which::Files, scenario.files.seconds);
    let lake = function("lake", Which::Lake, 120);
    let redrive = function("redrive", Which::Redrive, 840);
    let metrics = function("metrics", Which::Metrics, 60);
    let review = function("review", Which::Review, 60);
    let firehose = function("firehose", Which::Firehose, 60);
    let webhooks = function("webhooks", Which::Webhooks, 15);
    let pull = function("pull", Which::Pull, 300);
    *stack.functions.borrow_mut() =
        [&queue, &transform, &changes, &lake, &metrics, &review].map(Rc::clone).into();

    queue_mapping::start(&account, &stack.spill, &drain, 10, 2);
    queue_mapping::start(&account, &stack.inbox, &queue, 10, 3);
    queue_mapping::start(&account, &stack.files_queue, &files, 1, 4);
    let map = |stream: &Rc<Stream>, function: &Rc<Function>, dead: &Rc<Queue>, settings, render| {
        StreamMapping::start(&account, stream, function, dead, settings, render)
    };
    let kinesis = stream_mapping::kinesis;
    let (dead, settings) = (&stack.transform_dead, scenario.transform);
    let of_raw = map(&stack.raw, &transform, dead, settings, kinesis);
    let (dead, settings) = (&stack.changes_dead, scenario.changes);
    let of_orders = map(&stack.orders, &changes, dead, settings, stream_mapping::table);
    // Lake reads frames alone: a stream of something else it is not given.
    let unread = scenario.kpl.then(|| Stream::new(&account, "nothing", String::new(), 1, RETENTION_MS));
    let clean = unread.as_ref().unwrap_or(&stack.clean);
    let of_clean = map(clean, &lake, &stack.lake_dead, scenario.lake, kinesis);
    let (dead, render) = (&stack.metrics_dead, stream_mapping::table);
    let of_changes = scenario.metrics.map(|settings| map(&stack.orders, &metrics, dead, settings, render));
    let dead = &stack.review_dead;
    let of_checked = scenario.review.map(|settings| map(&stack.clean, &review, dead, settings, kinesis));
    let delivery = scenario.firehose.as_ref().map(|plan| firehose::start(&stack, &firehose, plan));

    for send in &scenario.sends {
        let client = Client {
            stack: Rc::clone(&stack),
            ingest: Rc::clone(&ingest),
            files: Rc::clone(&files),
            by_queue: scenario.files.by_queue,
            told: Rc::clone(&told),
        };
        let events = send.events.iter().map(|place| scenario.events[*place].clone()).collect();
        let send = send.clone();
        account.executor().spawn(async move { client.send(send, events).await });
    }
    webhooks::begin(webhooks::Sender {
        stack: Rc::clone(&stack),
        webhooks: Rc::clone(&webhooks),
        told: Rc::clone(&told),
        scenario: Rc::new(scenario.clone()),
    });
    feed::begin(&stack, &pull);
    let functions = [&ingest, &webhooks, &pull, &drain, &queue, &transform, &changes, &files, &lake];
    let functions: Vec<_> =
        functions.into_iter().chain([&metrics, &review, &firehose]).map(Rc::clone).collect();
    replay::begin(&stack, &Rc::new(scenario.clone()), functions.clone());
    let happenings: Vec<_> = account.faults().happenings().collect();
    for (at, what) in happenings {
        let functions = functions.clone();
        let mappings = [&of_raw, &of_orders, &of_clean].into_iter().chain(&of_changes).chain(&of_checked);
        let mappings: Vec<_> = mappings.map(Rc::clone).collect();
        let (stack, account) = (Rc::clone(&stack), account.clone());
        account.clone().executor().spawn(async move {
            account.executor().sleep_until(at).await;
            account.tell(|| format!("{what:?}"));
            happen(what, &stack, &functions, &mappings);
        });
    }
    for at in scenario.redrives.clone() {
        let (account, redrive) = (account.clone(), Rc::clone(&redrive));
        account.clone().executor().spawn(async move {
            account.executor().sleep_until(at).await;
            drive(&account, &redrive).await;
        });
    }
    let end = account.executor().run(START.plus_ms(LONGEST_MS), STEPS_MAX);
    Run {
        scenario: scenario.clone(),
        stack,
        transform: of_raw,
        changes: of_orders,
        drawn: of_clean,
        metrics: of_changes,
        review: of_checked,
        delivery,
        firehose,
        ingest,
        webhooks,
        drain,
        functions: functions.into_iter().chain([Rc::clone(&redrive)]).collect(),
        redrive,
        told,
        end,
    }
}

async fn drive(account: &Account, redrive: &Function) {
    account.tell(|| "the dead letters are redriven".to_owned());
    let outcome = redrive.invoke(&json!({})).await;
    account.tell(|| match outcome {
        Outcome::Answered(answer) => format!("redrive answers: {}", answer.told()),
        other => format!("redrive: {other:?}"),
    });
}

impl Run {
    /// The mappings of streams.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = &Rc<StreamMapping>> {
        [&self.transform, &self.changes, &self.drawn].into_iter().chain(&self.metrics).chain(&self.review)
    }

    /// How long it takes until one of the dead letters has records that its stream has forgotten, and others.
    fn until_torn(&self) -> Option<Duration> {
        let waiting = self.mappings().flat_map(|mapping| {
            mapping.dead.waiting().into_iter().map(move |message| (&mapping.stream, message))
        });
        let span = |(stream, message): (&Rc<Stream>, sqs::Message)| {
            let records = oracle::records(stream, &message);
            let removed_at =
                |of: Option<&(String, Rc<Record>)>| of.map(|(_, record)| stream.removed_at(record));
            let (first, last) = (removed_at(records.first())?, removed_at(records.last())?);
            Some(((last.get() - first.get()) / 1_000, first))
        };
        let (span_ms, first_removed_at) = waiting.filter_map(span).max()?;
        let rest_ms = (first_removed_at.get() - self.stack.account.now().get()) / 1_000 + span_ms / 2;
        u64::try_from(rest_ms).ok().map(Duration::from_millis)
    }

    /// All is well again, and so are the functions where the scenario mends them: after a rest the dead letters are redriven,
    /// once an hour, until none are left.
    pub(crate) fn mend(&mut self) {
        let account = self.stack.account.clone();
        account.tell(|| "all is well again".to_owned());
        account.faults().end();
        self.stack.cured.set(self.scenario.is_mended);
        let (stack, redrive) = (Rc::clone(&self.stack), Rc::clone(&self.redrive));
        let rest = match self.scenario.rest {
            Rest::For(rest) => rest,
            Rest::UntilTorn => self.until_torn().unwrap_or(Duration::from_hours(1)),
        };
        let scenario = self.scenario.clone();
        account.clone().executor().spawn(async move {
            let mut rest = rest;
            let mut is_replayed = scenario.mistake.is_none();
            let most = REDRIVES_MAX + 3 * u32::from(!is_replayed); // what is replayed may be given up again
            for _ in 0..most {
                account.sleep(rest).await;
                rest = Duration::from_hours(1);
                match stack.letters() {
                    0 if is_replayed => return,
                    0 => is_replayed = replay::finish(&stack, &scenario).await,
                    _ => {
                        files::send_again(&stack);
                        drive(&account, &redrive).await;
                    }
                }
            }
        });
        let account = &self.stack.account;
        let until = account.now().plus_ms(LONGEST_MS);
        self.end = account.executor().run(until, account.executor().steps() + STEPS_MAX);
    }
}

fn happen(what: Happening, stack: &Stack, functions: &[Rc<Function>], mappings: &[Rc<StreamMapping>]) {
    let stream =
        |name: &str| [&stack.raw, &stack.clean, &stack.orders].into_iter().find(|stream| stream.name == name);
    match what {
        Happening::Deploy => functions.iter().for_each(|function| function.deploy()),
        Happening::Rotate => {
            stack.secret.rotate(NEXT_KEY);
            let keys = [webhooks::Key::Second, webhooks::Key::First];
            stack.webhook_secrets.rotate(&webhooks::secrets(&keys));
        }
        Happening::Recycle(name) => {
            functions.iter().filter(|function| function.name == name).for_each(|function| function.recycle());
        }
        Happening::LeaseLost(name) => {
            mappings.iter().filter(|mapping| mapping.stream.name == name).for_each(StreamMapping::lose_lease);
        }
        Happening::Split(name) => stream(name).into_iter().for_each(|stream| stream.split()),
        Happening::Merge(name) => stream(name).into_iter().for_each(|stream| stream.merge()),
        Happening::DeliveredTwice(name) => {
            let queues = [&stack.spill, &stack.inbox, &stack.files_queue, &stack.transform_dead];
            let queues = queues.into_iter().chain([&stack.lake_dead, &stack.review_dead]);
            queues.filter(|queue| queue.name == name).for_each(|queue| queue.deliver_twice());
        }
    }
}

/// Someone who has events.
struct Client {
    stack: Rc<Stack>,
    ingest: Rc<Function>,
    files: Rc<Function>,
    by_queue: bool,
    told: Rc<Ledger>,
}

impl Client {
    async fn send(self, send: Send, events: Vec<Event>) {
        let account = self.stack.account.clone();
        account.executor().sleep_until(send.at).await;
        if send.way == Way::Change {
            for event in &events {
                account.tell(|| format!("a change of the table, event {}", event.serial));
                let key = format!("order-{}", event.user);
                self.stack.orders.take(&key, &event.change());
                self.told.note(event, |told| (told.sent, told.accepted) = (1, true));
            }
            return;
        }
        if send.way == Way::File {
            self.told.note_all(&events, |told| (told.sent, told.accepted) = (1, true));
            files::drop(&self.stack, &self.files, &events, self.by_queue);
            return;
        }
        for attempt in 0..send.tries {
            if attempt > 0 {
                account.sleep(Duration::from_millis(account.chance().between(200, 20_000))).await;
            }
            account.tell(|| {
                let serials: Vec<_> = events.iter().map(|event| event.serial.to_string()).collect();
                format!("a client sends {} ({:?}), attempt {}", serials.join(", "), send.way, attempt + 1)
            });
            self.told.note_all(&events, |told| told.sent += 1);
            let over = match send.way {
                Way::Producer | Way::GzipProducer | Way::Aggregate => self.put(send.way, &events).await,
                Way::Message => self.message(&events).await,
                _ => self.post(send.way, &events).await,
            };
            if over {
                return;
            }
        }
    }

    /// Puts the events into RawStream, as any producer may; whether that is over.
    async fn put(&self, way: Way, events: &[Event]) -> bool {
        let lines = |events: &[Event]| events.iter().map(Event::body).collect::<Vec<_>>().join(&b'\n');
        let data = match way {
            Way::Aggregate => aggregate(events.chunks(2).map(lines)),
            Way::GzipProducer => gzip(&lines(events)),
            _ => lines(events),
        };
        let entry = Entry { partition_key: format!("producer-{}", events[0].user), data };
        let done = kinesis::Client(Rc::clone(&self.stack.raw)).put(&[entry]).await;
        let done = done.is_ok_and(|puts| puts == [Put::Done]);
        if done {
            self.told.note_all(events, |told| told.accepted = true);
        }
        done
    }

    /// Sends the events to the inbox queue; whether that is over.
    async fn message(&self, events: &[Event]) -> bool {
        let lines = events.iter().map(Event::body).collect::<Vec<_>>().join(&b'\n');
        let inbox = sqs::Client(Rc::clone(&self.stack.inbox));
        let done = inbox.send(&String::from_utf8(lines).unwrap()).await.is_ok();
        if done {
            self.told.note_all(events, |told| told.accepted = true);
        }
        done
    }

    /// Posts the events; whether that is over.
    async fn post(&self, way: Way, events: &[Event]) -> bool {
        let account = &self.stack.account;
        let answer = through_api(account, &self.ingest, &request(way, events)).await;
        account.tell(|| match &answer {
            Some((status, body)) => format!("the client is told {status} {body}"),
            None => "the client is told nothing".into(),
        });
        let Some((status, body)) = answer else {
            self.told.is_deaf.set(true);
            return false;
        };
        self.told.answers.borrow_mut().push_str(&body);
        // API Gateway's own answers have no body: 503 where the function was not asked.
        if body.is_empty() && status != 503 {
            self.told.is_deaf.set(true);
        }
        let rejected = || {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let places = body["rejected"].as_array().cloned().unwrap_or_default();
            places
                .iter()
                .map(|place| usize::try_from(place["index"].as_u64().unwrap()).unwrap())
                .collect::<Vec<_>>()
        };
        let (accepted, refused) = self.told.heard.get();
        let more = if status == 202 { events.len() - rejected().len() } else { 0 };
        self.told.heard.set((accepted + more, refused + rejected().len()));
        match status {
            202 => {
                let rejected = rejected();
                for (index, event) in events.iter().enumerate() {
                    let refused = rejected.contains(&index);
                    self.told.note(event, |told| {
                        told.accepted |= !refused;
                        told.refused |= refused;
                    });
                }
                true
            }
            400 => {
                self.told.note_all(events, |told| told.refused = true);
                true
            }
            _ => false,
        }
    }
}

/// What API Gateway does with a request; none, where its sender hears nothing.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
pub(crate) async fn through_api(
    account: &Account,
    function: &Rc<Function>,
    request: &Value,
) -> Option<(u16, String)> {
    account.sleep(Duration::from_millis(account.chance().between(1, 50))).await;
    let fault = account.faults().call("api", account.now());
    if let Some(how) = fault {
        account.tell(|| format!("  api: {how:?}"));
    }
    if let Some(CallFault::Refused(_)) = fault {
        return Some((503, String::new()));
    }
    let (function, event) = (Rc::clone(function), request.clone());
    let work = account.detach(async move { function.invoke(&event).await });
    let outcome = first(work, account.sleep(Duration::from_secs(30))).await;
    account.sleep(Duration::from_millis(account.chance().between(1, 50))).await;
    if matches!(fault, Some(CallFault::AnswerLost | CallFault::Late(_))) {
        return None;
    }
    Some(match outcome {
        Err(()) => (504, String::new()),
        Ok(Outcome::Throttled) => (503, String::new()),
        Ok(Outcome::Failed(_)) => (500, String::new()),
        Ok(Outcome::Answered(answer)) => {
            let status = answer.payload["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
            (status.unwrap(), answer.payload["body"].as_str().unwrap().to_owned())
        }
    })
}

fn request(way: Way, events: &[Event]) -> Value {
    let bodies: Vec<_> = events.iter().map(Event::body).collect();
    let (kind, body) = match way {
        Way::Array => ("application/json", [b"[", bodies.join(&b',').as_slice(), b"]"].concat()),
        Way::Lines => ("application/x-ndjson", bodies.join(&b'\n')),
        _ => ("application/x-ndjson", gzip(&bodies.join(&b'\n'))),
    };
    let (body, base64) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(bytes) => (BASE64_STANDARD.encode(bytes.as_bytes()), true),
    };
    let address = format!("{CANARY_IP}{:02}", events[0].user);
    json!({
        "version": "2.0", "rawPath": "/v1/events", "headers": {"content-type": kind}, "body": body,
        "isBase64Encoded": base64,
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/events", "sourceIp": address, "userAgent": "simulated/1.0"},
        },
    })
}

/// An aggregate of these payloads, of which every other one has gzip.
pub(crate) fn aggregate(payloads: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let payloads = payloads.enumerate().map(|(n, plain)| if n % 2 == 1 { gzip(&plain) } else { plain });
    let payloads: Vec<_> = payloads.collect();
    kpl::write("any", &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}
