//! `review` in the played account: what happens to it, how it is wired, who is asked, and where events must be.

use crate::code::{Binary, Which, answer, deadline, read};
use crate::mutant::Bent;
use crate::oracle::Found;
use crate::scenario::{CANARY, CANARY_IP, Scenario, ends, moment, part_fault, settings};
use crate::truth;
use crate::world::{LOG_MS, Run};
use millrace_core::checkpoint::Checkpoints;
use millrace_core::frame::Reader;
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Error, Post, Reply};
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_review::Desk;
use millrace_sim::account::{Account, SkewedClock};
use millrace_sim::chance::Chance;
use millrace_sim::fault::{Fault, Happening};
use millrace_sim::lambda::{Answer, Instance, Local};
use millrace_sim::{dynamodb, fifo, s3};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// In some runs events are checked, and things go wrong with that.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if scenario.kpl || !chance.percent(30) {
        return;
    }
    scenario.review = Some(settings(chance, 5_000));
    for _ in 0..chance.below(4) {
        let service = chance.pick(&["check", "check", "review-queue", "table"]);
        scenario.faults.push(part_fault(chance, "review", service));
    }
    if chance.percent(20) {
        scenario
            .faults
            .push(Fault::At { at: moment(chance), what: Happening::DeliveredTwice("review-dead") });
    }
}

/// The third party: it answers a question always in the same way.
#[derive(Debug)]
pub(crate) struct Check {
    account: Account,
    /// What it was asked, and under which key.
    asked: RefCell<Vec<(String, String)>>,
}

impl Check {
    pub(crate) fn new(account: &Account) -> Rc<Self> {
        Rc::new(Self { account: account.clone(), asked: RefCell::default() })
    }
}

/// Who asks it. What it answers with 429 or 5xx, and where it hangs until the client gives up, are faults of the call.
#[derive(Debug, Clone)]
pub(crate) struct Asks(pub(crate) Rc<Check>);

impl Post for Asks {
    async fn post(&self, key: &str, json: &str) -> Result<Reply, Error> {
        let (check, question) = (Rc::clone(&self.0), (key.to_owned(), json.to_owned()));
        let effect = move |_| {
            let serial = truth::serials(question.1.as_bytes())[0];
            check.account.tell(|| format!("  the check is asked of event {serial}"));
            check.asked.borrow_mut().push(question);
            Ok(reply(serial))
        };
        self.0.account.call("check", effect).await
    }
}

/// Whether an event wants a check: what `pipeline.toml` says.
fn wants(serial: u32) -> bool {
    serial.is_multiple_of(3)
}

fn reply(serial: u32) -> Reply {
    let (status, body) = match serial / 3 % 5 {
        0 | 1 => (200, json!({"decision": "approve"}).to_string()),
        2 => (200, json!({"decision": "hold", "reason": format!("no to {serial}")}).to_string()),
        3 => (404, "<html>who are you?</html>".to_owned()),
        _ => (200, "perhaps".to_owned()),
    };
    Reply { status, body: body.into_bytes() }
}

/// Why an event is held, if it is.
fn holds(serial: u32) -> Option<String> {
    match serial / 3 % 5 {
        0 | 1 => None,
        2 => Some(format!("no to {serial}")),
        3 => Some("the check answers 404".to_owned()),
        _ => Some("the check's answer has no decision".to_owned()),
    }
}

/// An instance.
pub(crate) struct Review(
    millrace_review::Deps<
        Bent<dynamodb::Client>,
        Bent<fifo::Client>,
        Bent<s3::Client>,
        Bent<Asks>,
        SkewedClock,
    >,
);

impl Review {
    pub(crate) fn start(binary: &Binary, pipeline: &str) -> Self {
        let stack = &binary.stack;
        let table = Guard::patient("state table", binary.bent(binary.table()));
        let queue = Bent::new(fifo::Client(Rc::clone(&stack.held)), stack, Which::Review);
        let driver = Driver {
            function: "review",
            checkpoints: Checkpoints::new("review", table, LOG_MS),
            objects: Guard::patient("review queue", queue),
            quarantine: binary.quarantine(),
            clock: binary.clock(),
            reader: Reader::default(),
        };
        let check = Guard::new(
            "check",
            Bent::new(Asks(Rc::clone(&stack.check)), stack, Which::Review),
            Policy::BRIEF,
        );
        let desk = Desk::new(EventSettings::read(pipeline).unwrap());
        Self(millrace_review::Deps { driver, check, desk })
    }
}

impl Instance for Review {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (answered, counts) =
                millrace_review::handle(&read(payload)?, deadline(ends), &mut self.0).await;
            Ok(answer(&answered, &counts))
        })
    }
}

/// Whether nothing makes review do again what it did, so that the queue has each event once.
fn is_well(scenario: &Scenario) -> bool {
    scenario.faults.iter().all(|fault| match fault {
        Fault::Call { service, .. } | Fault::Spell { service, .. } => {
            !["table", "review-queue"].contains(service)
        }
        Fault::Invocation { function, how, .. } => *function != "review" || !ends(*how),
        Fault::At { what, .. } => !matches!(what, Happening::LeaseLost("clean")),
    })
}

/// What wants a check was asked of, and is held where the check does not approve it: at least once, and once where nothing
/// is done again. All else passes by.
pub(crate) fn judge(run: &Run, found: &Found, wrong: &mut Vec<String>) {
    let Some(mapping) = &run.review else { return };
    if mapping.behind() > 0 {
        wrong.push(format!("review is {} records behind", mapping.behind()));
    }
    let gone = found.gone(mapping);
    // Attempts of two versions make two lines of one event.
    let mut lines: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let (mut safe, mut known, mut events) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (shard, record) in run.stack.clean.records() {
        let (text, places) = truth::frame(&record.data);
        let is_gone = gone.contains(&crate::oracle::at(&mapping.stream, &shard, &record));
        for (line, place) in text.lines().skip(1).zip(places) {
            lines.entry(place.serial).or_default().insert(line.to_owned());
            if !is_gone && !found.deadly.contains(&place.serial) {
                safe.insert(place.serial);
                known.insert(place.lane.clone());
            }
            events.insert(place);
        }
    }
    let mut held: BTreeMap<u32, u32> = BTreeMap::new();
    for message in run.stack.held.messages() {
        let serial = truth::serials(&message.body)[0];
        *held.entry(serial).or_default() += 1;
        let reason = json!(holds(serial).unwrap_or_default());
        let is_it =
            |line: &String| message.body == format!(r#"{{"event":{line},"reason":{reason}}}"#).as_bytes();
        if !lines.get(&serial).is_some_and(|lines| lines.iter().any(is_it)) {
            wrong.push(format!("what is held of event {serial} is not what came, or not for the reason"));
        }
    }
    let asked = run.stack.check.asked.borrow();
    let questions: BTreeSet<_> =
        asked.iter().map(|(_, question)| truth::serials(question.as_bytes())[0]).collect();
    for (key, question) in asked.iter() {
        let event: Value = serde_json::from_str(question).unwrap();
        let is_own = event["id"].as_str() == Some(key);
        let is_personal = [CANARY, CANARY_IP]
            .iter()
            .any(|canary| truth::find(question.as_bytes(), canary.as_bytes()).is_some());
        if !is_own || is_personal {
            wrong.push("the check is asked with another key, or is told personal data".to_owned());
        }
    }
    for serial in safe.iter().copied() {
        if wants(serial) && !questions.contains(&serial) {
            wrong.push(format!("event {serial} wants a check, and nobody was asked"));
        }
        if wants(serial) && holds(serial).is_some() && !held.contains_key(&serial) {
            wrong.push(format!("event {serial} should be held, and is not"));
        }
    }
    for (serial, times) in held {
        if !wants(serial) || holds(serial).is_none() {
            wrong.push(format!("event {serial} is held, and should have passed"));
        }
        // What went out twice, later than ids are known, is two events.
        let places = events.iter().filter(|place| place.serial == serial).count();
        if times as usize > places && is_well(&run.scenario) {
            wrong.push(format!("event {serial} is held {times} times"));
        }
    }
    if let Some(serial) = questions.iter().find(|serial| !wants(**serial)) {
        wrong.push(format!("event {serial} wants no check, and the check was asked"));
    }
    if run.stack.account.now() < crate::scenario::START.plus_ms(LOG_MS) {
        let keys: BTreeSet<_> = run.stack.state.items().into_iter().map(|item| item.key).collect();
        for lane in known {
            if !keys.contains(&format!("review/{lane}")) {
                wrong.push(format!("review remembers nothing of the lane {lane}"));
            }
        }
    }
    let counted = mapping.function.counted();
    let sum = |name: &str| counted.iter().filter_map(|counts| counts[name].as_u64()).sum::<u64>();
    if sum("landed") > events.len() as u64 || sum("asked") != sum("approved") + sum("held") {
        wrong.push(format!("review counted {} landed of {} events", sum("landed"), events.len()));
    }
}
