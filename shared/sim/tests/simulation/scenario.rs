//! What happens in a run, all of it drawn from its seed: who sends what and when, how the stack is set up, what goes wrong.

use crate::feed::{self, Feed};
use crate::files::{self, Files};
use crate::webhooks::{self, Delivery};
use crate::{firehose, metrics, replay, review};
use millrace_core::port::Kind as Refusal;
use millrace_core::time::Micros;
use millrace_sim::chance::Chance;
use millrace_sim::fault::{CallFault, Fault, Happening, InvocationFault};
use millrace_sim::stream_mapping::Settings;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// 2026-11-20T12:00:00Z, when each run begins.
pub(crate) const START: Micros = match Micros::new(1_795_176_000_000_000) {
    Some(start) => start,
    None => Micros::EPOCH,
};

/// What an event is, and so what must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It lands.
    Good,
    /// It lands, and is so large that a record holds only one of its size.
    Large,
    /// A step drops it.
    Filtered,
    /// A step refuses it.
    Bad,
    /// It is no JSON; only a producer of its own, a message or a file can have it.
    Garbage,
    /// Ingest refuses it, or webhooks: it has no id.
    NoId,
    /// It lands, though it has no id: it is known by the message that it came in, or by its bytes in a feed.
    Unnamed,
    /// Webhooks refuses it: who sends it is not who it says.
    Forged,
    /// `transform` panics over it.
    PanicsTransform,
    /// `transform` dies of it.
    KillsTransform,
    /// `lake` panics over it.
    PanicsLake,
    /// `lake` dies of it.
    KillsLake,
    /// `queue` dies of the message that it is in.
    KillsQueue,
}

/// An event, or one body of it: two bodies may have the same id.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Its number, which stands in its body.
    pub(crate) serial: u32,
    pub(crate) id: String,
    pub(crate) user: u32,
    pub(crate) kind: Kind,
}

/// How events get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over HTTP, as an array.
    Array,
    /// Over HTTP, as NDJSON.
    Lines,
    /// Over HTTP, as NDJSON with gzip.
    Gzip,
    /// Into RawStream by a producer of its own, plain.
    Producer,
    /// Into RawStream by a producer of its own, with gzip.
    GzipProducer,
    /// Into RawStream by a producer of its own, as a KPL aggregate.
    Aggregate,
    /// In a message to the inbox queue, as NDJSON.
    Message,
    /// As a change of a table.
    Change,
    /// In a file that is dropped into the inbox.
    File,
}

/// Some events, sent at once.
#[derive(Debug, Clone)]
pub(crate) struct Send {
    pub(crate) at: Micros,
    pub(crate) way: Way,
    /// Places in the scenario's events.
    pub(crate) events: Vec<usize>,
    /// How many times the client tries.
    pub(crate) tries: u32,
}

/// How long dead letters wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// So long.
    For(Duration),
    /// Until the stream of one of them has forgotten its first records, and not its last ones.
    UntilTorn,
}

/// All of a run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// Makes another run of the same scenario: what happens at once in another order, other times on the network.
    pub(crate) variant: u64,
    pub(crate) raw_shards: usize,
    pub(crate) clean_shards: usize,
    pub(crate) table_shards: usize,
    pub(crate) transform: Settings,
    pub(crate) changes: Settings,
    pub(crate) lake: Settings,
    /// How far the clock of a machine may be wrong, either way.
    pub(crate) skew_ms: i64,
    pub(crate) events: Vec<Event>,
    pub(crate) sends: Vec<Send>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) feed: Feed,
    pub(crate) files: Files,
    pub(crate) faults: Vec<Fault>,
    /// When dead letters are redriven, while all may still go wrong.
    pub(crate) redrives: Vec<Micros>,
    /// How long dead letters wait when all is well again.
    pub(crate) rest: Rest,
    /// How often a spilled message is received before it is a dead letter.
    pub(crate) spill_receives: u32,
    /// How often a message of the inbox queue is.
    pub(crate) inbox_receives: u32,
    /// Whether the functions bear at last what was poison to them.
    pub(crate) is_mended: bool,
    /// How `metrics` reads the table's changes, where it does.
    pub(crate) metrics: Option<Settings>,
    /// How `review` reads CleanStream, where it does.
    pub(crate) review: Option<Settings>,
    /// What is sent through Firehose, if anything is.
    pub(crate) firehose: Option<firehose::Plan>,
    /// Whether CleanStream carries KPL aggregates instead of frames.
    pub(crate) kpl: bool,
    /// The mistake in the pipeline and who mends it, where there is one.
    pub(crate) mistake: Option<replay::Plan>,
    /// A bug on purpose.
    pub(crate) mutant: Option<crate::mutant::Mutant>,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Chance::new(seed, "scenario");
        let mut scenario = Self {
            seed,
            variant: 0,
            raw_shards: chance.pick(&[1, 1, 2, 3]),
            clean_shards: chance.pick(&[1, 1, 2]),
            table_shards: chance.pick(&[1, 2]),
            transform: settings(&chance, 5_000),
            changes: settings(&chance, 5_000),
            lake: settings(&chance, 60_000),
            skew_ms: chance.pick(&[0, 0, 50, 2_000]),
            events: Vec::new(),
            sends: Vec::new(),
            deliveries: Vec::new(),
            feed: Feed::default(),
            files: Files::new(&Chance::new(seed, "files by queue")),
            faults: Vec::new(),
            redrives: Vec::new(),
            rest: Rest::For(Duration::from_hours(1)),
            spill_receives: 100, // as in the template
            inbox_receives: 100,
            is_mended: chance.percent(50),
            metrics: None,
            review: None,
            firehose: None,
            kpl: Chance::new(seed, "kpl").percent(6),
            mistake: None,
            mutant: None,
        };
        scenario.send(&chance);
        scenario.resend(&chance);
        scenario.aggregate(&Chance::new(seed, "aggregates"));
        let faults = chance.pick(&[0, 1, 2, 4, 8, 16]);
        scenario.faults = (0..faults).map(|_| fault(&chance)).collect();
        scenario.theme(&chance);
        let redrives = chance.pick(&[0, 1, 2]);
        scenario.redrives = (0..redrives).map(|_| moment(&chance).plus_ms(120_000)).collect();
        scenario.change_late(&chance);
        files::draw(&mut scenario, &Chance::new(seed, "files"));
        scenario.take_long(&Chance::new(seed, "long"));
        metrics::draw(&mut scenario, &Chance::new(seed, "metrics"));
        review::draw(&mut scenario, &Chance::new(seed, "review"));
        firehose::draw(&mut scenario, &Chance::new(seed, "firehose"));
        webhooks::draw(&mut scenario, &Chance::new(seed, "webhooks"));
        feed::draw(&mut scenario, &Chance::new(seed, "feed"));
        replay::draw(&mut scenario, &Chance::new(seed, "replay"));
        scenario
    }

    /// Now and then something takes hours.
    fn take_long(&mut self, chance: &Chance) {
        match chance.below(16) {
            // A dependency is down for longer than ids are known. (RawStream is not, for whose first copy and last one are
            // then two events.)
            0 => {
                let service = chance.pick(&["clean", "lake", "table", "quarantine", "secrets", "lambda"]);
                let (from, how) = (moment(chance), CallFault::Refused(Refusal::Transient));
                let until = from.plus_ms(chance.pick(&[2, 5]) * 3_600_000);
                self.faults.push(Fault::Spell { service, from, until, percent: 100, how });
            }
            // Nobody redrives for longer than the streams keep anything.
            1 if chance.percent(50) => self.rest = Rest::For(Duration::from_hours(25)),
            // Or until they have forgotten the first records of a batch that was given up, and not the last ones.
            1 => {
                self.rest = Rest::UntilTorn;
                self.redrives.clear();
                let (service, how) =
                    (chance.pick(&["clean", "lake"]), CallFault::Refused(Refusal::Transient));
                let (from, until) = (moment(chance), START.plus_ms(600_000));
                self.faults.push(Fault::Spell { service, from, until, percent: 100, how });
                for settings in [&mut self.transform, &mut self.lake] {
                    (settings.batch_size, settings.window_ms, settings.retries_max) = (100, 60_000, 1);
                }
            }
            // Drain gives up. It takes an hour until what it gave up comes again, so that nobody may send anything twice.
            2 => {
                let (until, how) = (START.plus_ms(1_000_000), CallFault::Refused(Refusal::Transient));
                self.faults = vec![Fault::Spell { service: "raw", from: START, until, percent: 100, how }];
                self.spill_receives = 2;
                self.send_once();
            }
            // A message kills queue, alone and with those that share a batch with it, until it is given up.
            3 => {
                self.inbox_receives = 2;
                self.rest = Rest::For(Duration::from_mins(15)); // as in the template: ids have to be known still
                self.files.by_queue = false; // all else has to be over within an hour, and a file may take hours
                self.send_once();
                self.sends.retain(|send| send.at < moment_max());
                let event = self.event(None, 0, Kind::KillsQueue);
                let place = self.sends.iter().position(|send| send.way == Way::Message);
                let place = place.unwrap_or_else(|| {
                    let send = Send { at: moment(chance), way: Way::Message, events: Vec::new(), tries: 1 };
                    self.sends.push(send);
                    self.sends.len() - 1
                });
                self.sends[place].events.push(event);
            }
            _ => {}
        }
    }

    /// Nobody sends anything twice.
    fn send_once(&mut self) {
        let mut met = BTreeSet::new();
        let events = &self.events;
        self.sends.retain(|send| send.events.iter().all(|place| met.insert(events[*place].id.clone())));
    }

    /// Now and then the key is rotated, or new functions are deployed, and events go on to come until long after.
    fn change_late(&mut self, chance: &Chance) {
        if !chance.percent(20) {
            return;
        }
        let what = chance.pick(&[Happening::Rotate, Happening::Rotate, Happening::Deploy]);
        self.faults.push(Fault::At { at: moment(chance).plus_ms(chance.pick(&[0, 600_000])), what });
        for _ in 0..chance.between(1, 4) {
            let at = START.plus_ms(i64::try_from(chance.below(1_800_000)).unwrap());
            let event = self.event(None, 0, Kind::Good);
            self.sends.push(Send { at, way: Way::Lines, events: vec![event], tries: 5 });
        }
    }

    /// When the key is rotated.
    pub(crate) fn rotated_at(&self) -> Option<Micros> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::At { at, what: Happening::Rotate } => Some(*at),
            _ => None,
        })
    }

    /// What goes wrong with the secret.
    fn of_secret(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| {
            matches!(fault, Fault::Call { service: "secrets", .. } | Fault::Spell { service: "secrets", .. })
        })
    }

    /// Whether the secret can be had at all times.
    pub(crate) fn secret_is_there(&self) -> bool {
        self.of_secret().next().is_none()
    }

    /// Now and then one thing goes wrong for long, and nothing else: what follows from it alone is seldom met otherwise.
    fn theme(&mut self, chance: &Chance) {
        let (service, how) = match chance.below(25) {
            0 => ("raw", CallFault::Partial(50, Refusal::Throttled)),
            1 => ("raw", CallFault::Refused(Refusal::Transient)),
            2 => ("secrets", CallFault::Refused(Refusal::Transient)),
            _ => return,
        };
        let until = START.plus_ms(if service == "secrets" { 1_000_000 } else { 100_000 });
        self.transform.retries_max = 1;
        self.faults = vec![Fault::Spell { service, from: START, until, percent: 100, how }];
    }

    fn send(&mut self, chance: &Chance) {
        let users = chance.between(1, 4);
        let poison = chance.percent(15);
        for _ in 0..chance.between(3, 30) {
            let way = chance.pick(&[
                Way::Array,
                Way::Array,
                Way::Lines,
                Way::Lines,
                Way::Gzip,
                Way::Producer,
                Way::GzipProducer,
                Way::Message,
                Way::Message,
                Way::Change,
            ]);
            let count = if way == Way::Change { 1 } else { chance.between(1, 6) };
            let user = u32::try_from(chance.below(users)).unwrap();
            let events = (0..count).map(|_| {
                let user = if http(way) && chance.percent(50) {
                    u32::try_from(chance.below(users)).unwrap()
                } else {
                    user
                };
                self.event(None, user, kind(chance, way, poison))
            });
            let events: Vec<_> = events.collect();
            let tries = chance.pick(&[1, 3, 5, 8]);
            // Sent again it is another message.
            let tries = if self.is_unnamed(&events) { 1 } else { tries };
            self.sends.push(Send { at: moment(chance), way, events, tries });
        }
    }

    fn is_unnamed(&self, places: &[usize]) -> bool {
        places.iter().any(|place| self.events.get(*place).is_some_and(|event| event.kind == Kind::Unnamed))
    }

    pub(crate) fn event(&mut self, id: Option<String>, user: u32, kind: Kind) -> usize {
        let serial = u32::try_from(self.events.len()).unwrap();
        let id = id.unwrap_or_else(|| format!("e-{serial}"));
        self.events.push(Event { serial, id, user, kind });
        self.events.len() - 1
    }

    /// Clients send again what they sent, soon or much later, and now and then another body under the same id.
    fn resend(&mut self, chance: &Chance) {
        for sent in 0..self.sends.len() {
            let mut again = self.sends[sent].clone();
            if again.way == Way::Change || self.is_unnamed(&again.events) || !chance.percent(25) {
                continue;
            }
            again.at = again.at.plus_ms(chance.pick(&[1, 1_000, 30_000, 1_200_000]));
            if chance.percent(20) {
                for place in &mut again.events {
                    let Event { id, user, kind, .. } = self.events[*place].clone();
                    if matches!(kind, Kind::Good | Kind::Filtered) {
                        let kind = chance.pick(&[Kind::Good, Kind::Good, Kind::Filtered]);
                        *place = self.event(Some(id), user, kind);
                    }
                }
            }
            self.sends.push(again);
        }
    }
}

impl Scenario {
    /// Some producers have the library that aggregates.
    fn aggregate(&mut self, chance: &Chance) {
        for send in &mut self.sends {
            if matches!(send.way, Way::Producer | Way::GzipProducer) && chance.percent(50) {
                send.way = Way::Aggregate;
            }
        }
    }

    /// Whether queue dies of a message. That is redriven when all else is over, within an hour: ids have to be known still.
    pub(crate) fn kills_queue(&self) -> bool {
        self.events.iter().any(|event| event.kind == Kind::KillsQueue)
    }

    /// Whether nothing makes a client, ingest, webhooks, pull, drain or queue send again what did arrive.
    pub(crate) fn puts_once(&self) -> bool {
        !self.kills_queue()
            && self.faults.iter().all(|fault| match fault {
                Fault::Call { service, how, .. } | Fault::Spell { service, how, .. } => {
                    // Who waits for a secret has no time left for Kinesis, puts and spills at once.
                    let hurries = *service == "secrets" && !self.deliveries.is_empty();
                    let counts = ["api", "raw", "spill", "inbox", "lambda"].contains(service);
                    !hurries && (!counts || matches!(how, CallFault::Partial(..) | CallFault::Refused(_)))
                }
                Fault::Invocation { function, how, .. } => {
                    !["ingest", "webhooks", "pull", "drain", "queue"].contains(function) || is_harmless(*how)
                }
                Fault::At { what, .. } => {
                    !matches!(what, Happening::DeliveredTwice("spill" | "inbox" | "inbox-dead"))
                }
            })
    }

    /// Whether the spill queue takes all that it is sent.
    pub(crate) fn spill_is_well(&self) -> bool {
        !self.faults.iter().any(|fault| {
            matches!(fault, Fault::Call { service: "spill", .. } | Fault::Spell { service: "spill", .. })
        })
    }

    /// Whether the quarantine answers whenever it took something.
    pub(crate) fn quarantine_answers(&self) -> bool {
        !self.faults.iter().any(|fault| match fault {
            Fault::Call { service, how, .. } | Fault::Spell { service, how, .. } => {
                *service == "quarantine" && !matches!(how, CallFault::Refused(_))
            }
            _ => false,
        })
    }

    /// Whether redrive comes to an end each time, and counts.
    pub(crate) fn redrive_ends(&self) -> bool {
        !self.faults.iter().any(|fault| matches!(fault, Fault::Invocation { function: "redrive", .. }))
    }

    /// Whether no record is in two dead letters, and each letter is had once.
    pub(crate) fn letters_come_once(&self) -> bool {
        !self.faults.iter().any(|fault| {
            let Fault::At { what, .. } = fault else { return false };
            matches!(what, Happening::LeaseLost(_) | Happening::DeliveredTwice(_))
        })
    }

    /// Whether nothing keeps the lake from counting what it notes as landed: it counts though its answer is lost, and what is
    /// refused it tries again.
    pub(crate) fn sink_is_well(&self) -> bool {
        let faults = self.faults.iter().all(|fault| match fault {
            Fault::Call { service, how, .. } | Fault::Spell { service, how, .. } => {
                !["lake", "table"].contains(service) || !is_unheard(*how)
            }
            Fault::Invocation { function, how, .. } => *function != "lake" || !ends(*how),
            Fault::At { what, .. } => *what != Happening::LeaseLost("clean"),
        });
        faults && !self.events.iter().any(|event| matches!(event.kind, Kind::PanicsLake | Kind::KillsLake))
    }
}

/// Whether a call does its work, and nobody hears of it.
pub(crate) fn is_unheard(how: CallFault) -> bool {
    matches!(how, CallFault::AnswerLost | CallFault::Late(_))
}

/// Whether an invocation does all of its work, once, and is heard; or nothing of it.
pub(crate) fn is_harmless(how: InvocationFault) -> bool {
    matches!(how, InvocationFault::Throttled | InvocationFault::Cold)
}

/// Whether an invocation is cut off in the midst of its work.
pub(crate) fn ends(how: InvocationFault) -> bool {
    matches!(how, InvocationFault::Crash(_) | InvocationFault::Hang(_))
}

pub(crate) fn http(way: Way) -> bool {
    matches!(way, Way::Array | Way::Lines | Way::Gzip)
}

pub(crate) fn settings(chance: &Chance, window_max_ms: u64) -> Settings {
    Settings {
        tumbling: None,
        batch_size: chance.pick(&[1, 3, 10, 100]),
        window_ms: i64::try_from(chance.pick(&[0, 1_000, window_max_ms])).unwrap(),
        retries_max: chance.pick(&[1, 3, 10]),
        age_max_ms: chance.pick(&[60_000, 600_000, 21_600_000]),
    }
}

/// Within the two minutes in which most happens.
pub(crate) fn moment(chance: &Chance) -> Micros {
    START.plus_ms(i64::try_from(chance.below(120_000)).unwrap())
}

fn moment_max() -> Micros {
    START.plus_ms(120_000)
}

pub(crate) fn kind(chance: &Chance, way: Way, poison: bool) -> Kind {
    if way == Way::Change {
        return chance.pick(&[Kind::Good, Kind::Good, Kind::Good, Kind::Filtered]);
    }
    if poison && chance.percent(8) {
        return chance.pick(&[
            Kind::PanicsTransform,
            Kind::KillsTransform,
            Kind::PanicsLake,
            Kind::KillsLake,
        ]);
    }
    match chance.below(100) {
        0..15 => Kind::Filtered,
        15..23 => Kind::Bad,
        23..27 if http(way) => Kind::NoId,
        23..38 if way == Way::Message => Kind::Unnamed,
        38..40 if way == Way::Message => Kind::Garbage,
        23..27 => Kind::Garbage,
        27 if http(way) && chance.percent(10) => Kind::Large,
        _ => Kind::Good,
    }
}

const CALLED: [&str; 18] = [
    "api",
    "raw",
    "raw",
    "clean",
    "clean",
    "lake",
    "lake",
    "quarantine",
    "spill",
    "inbox",
    "inbox-dead",
    "secrets",
    "table",
    "table",
    "shards",
    "lambda",
    "transform-dead",
    "lake-dead",
];
const INVOKED: [&str; 7] = ["ingest", "drain", "queue", "transform", "changes", "lake", "redrive"];

fn fault(chance: &Chance) -> Fault {
    let nth = |most| u32::try_from(chance.below(most)).unwrap();
    match chance.below(10) {
        0..3 => Fault::Call { service: chance.pick(&CALLED), nth: nth(20), how: call_fault(chance) },
        3..5 => {
            let from = moment(chance);
            let service = chance.pick(&CALLED);
            let lasts = chance.pick(&[500, 5_000, 30_000, 120_000, 1_000_000]);
            let until = from.plus_ms(lasts);
            Fault::Spell {
                service,
                from,
                until,
                percent: chance.pick(&[30, 80, 100]),
                how: call_fault(chance),
            }
        }
        5..8 => {
            let after = nth(12);
            let how = chance.pick(&[
                InvocationFault::Crash(after),
                InvocationFault::Crash(after),
                InvocationFault::Hang(after),
                InvocationFault::AnswerLost,
                InvocationFault::Throttled,
                InvocationFault::Cold,
            ]);
            Fault::Invocation { function: chance.pick(&INVOKED), nth: nth(12), how }
        }
        _ => {
            let what = chance.pick(&[
                Happening::Deploy,
                Happening::Recycle("transform"),
                Happening::LeaseLost("raw"),
                Happening::LeaseLost("raw"),
                Happening::LeaseLost("clean"),
                Happening::LeaseLost("clean"),
                Happening::LeaseLost("orders"),
                Happening::Split("raw"),
                Happening::Merge("raw"),
                Happening::Split("clean"),
                Happening::Merge("clean"),
                Happening::Split("orders"),
                Happening::DeliveredTwice("spill"),
                Happening::DeliveredTwice("inbox"),
                Happening::DeliveredTwice("transform-dead"),
                Happening::DeliveredTwice("lake-dead"),
            ]);
            Fault::At { at: moment(chance), what }
        }
    }
}

/// Something that goes wrong with a function, or with the service that it calls.
pub(crate) fn part_fault(chance: &Chance, function: &'static str, service: &'static str) -> Fault {
    let nth = |most| u32::try_from(chance.below(most)).unwrap();
    match chance.below(10) {
        0..3 => Fault::Call { service, nth: nth(12), how: call_fault(chance) },
        3..5 => {
            let from = moment(chance);
            let until = from.plus_ms(chance.pick(&[500, 30_000, 400_000]));
            Fault::Spell { service, from, until, percent: chance.pick(&[50, 100]), how: call_fault(chance) }
        }
        _ => {
            let after = nth(12);
            let how = chance.pick(&[
                InvocationFault::Crash(after),
                InvocationFault::Hang(after),
                InvocationFault::AnswerLost,
                InvocationFault::AnswerLost,
                InvocationFault::Throttled,
                InvocationFault::Cold,
            ]);
            Fault::Invocation { function, nth: nth(12), how }
        }
    }
}

fn call_fault(chance: &Chance) -> CallFault {
    chance.pick(&[
        CallFault::Refused(Refusal::Transient),
        CallFault::Refused(Refusal::Throttled),
        CallFault::AnswerLost,
        CallFault::AnswerLost,
        CallFault::Late(Duration::from_millis(500)),
        CallFault::Partial(50, Refusal::Throttled),
        CallFault::Partial(50, Refusal::Transient),
        CallFault::Partial(100, Refusal::Throttled),
    ])
}

/// What is planted where personal data stands: none of it may be seen where no personal data may be.
pub(crate) const CANARY: &str = "canary";

/// The network that clients are in, and the begin of all their addresses there.
pub(crate) const CANARY_IP: &str = "198.51.100.1";

impl Event {
    /// When it was, as its body says.
    pub(crate) fn time(&self) -> Micros {
        START.plus_ms(-i64::from(self.user) * 1_800_000)
    }

    /// Its body.
    pub(crate) fn body(&self) -> Vec<u8> {
        let Self { serial, id, kind, .. } = self;
        if *kind == Kind::Garbage {
            return format!("{CANARY} \"serial\":{serial} is no JSON").into_bytes();
        }
        let mut body = self.fields();
        body["serial"] = json!(serial);
        if !matches!(kind, Kind::NoId | Kind::Unnamed) {
            body["id"] = json!(id);
        }
        body["eventType"] = json!("view");
        body["timestamp"] = json!(self.time().get() / 1000);
        if *kind == Kind::Large {
            body["large"] = json!("x".repeat(400_000));
        }
        body.to_string().into_bytes()
    }

    pub(crate) fn fields(&self) -> Value {
        let Self { serial, user, kind, .. } = self;
        let price = match kind {
            Kind::Filtered => json!(5),
            Kind::Bad => json!(format!("{CANARY} of no number")),
            _ => json!(80),
        };
        let mut fields = json!({
            "userId": format!("{CANARY}-{user}"), "email": format!("{CANARY}-{serial}@example.com"), "price": price,
        });
        match kind {
            Kind::PanicsTransform => fields["poison"] = json!("panics-transform"),
            Kind::KillsTransform => fields["poison"] = json!("kills-transform"),
            Kind::PanicsLake => fields["poison"] = json!("panics-lake"),
            Kind::KillsLake => fields["poison"] = json!("kills-lake"),
            Kind::KillsQueue => fields["poison"] = json!("kills-queue"),
            _ => {}
        }
        fields
    }

    /// It as a change of a table, as the table's stream has it.
    pub(crate) fn change(&self) -> Vec<u8> {
        let text = |value: &Value| match value {
            Value::String(text) => json!({ "S": text }),
            other => json!({ "N": other.to_string() }),
        };
        let fields = self.fields();
        let mut image: serde_json::Map<_, _> =
            fields.as_object().unwrap().iter().map(|(key, value)| (key.clone(), text(value))).collect();
        image.insert("serial".into(), json!({"N": self.serial.to_string()}));
        image.insert("ip".into(), json!({"S": format!("{CANARY_IP}{:02}", self.user)}));
        let keys = json!({"orderId": {"S": format!("order-{}", self.user)}});
        image.insert("orderId".into(), keys["orderId"].clone());
        json!({"eventID": self.id, "eventName": "MODIFY", "dynamodb": {"Keys": keys, "NewImage": image}})
            .to_string()
            .into_bytes()
    }
}
