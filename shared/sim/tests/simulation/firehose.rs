//! `firehose` in the played account: what is sent through a delivery stream, how the function is wired, and what must be
//! delivered.

use crate::code::{Binary, answer, deadline, read};
use crate::mutant;
use crate::scenario::{CANARY, CANARY_IP, Event, Kind, Scenario, moment, part_fault};
use crate::truth;
use crate::world::{self, Run, Stack};
use millrace_core::time::Micros;
use millrace_firehose::Room;
use millrace_sim::account::SkewedClock;
use millrace_sim::chance::Chance;
use millrace_sim::fault::{CallFault, Fault};
use millrace_sim::firehose::{Buffer, DeliveryStream};
use millrace_sim::lambda::{Answer, Function, Instance, Local};
use millrace_sim::secrets;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// What is sent, and how it gathers.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    buffer: Buffer,
    pub(crate) puts: Vec<Put>,
}

/// A record, and when it is put.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    at: Micros,
    form: Form,
    events: Vec<Event>,
    tries: u32,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Lines,
    Gzip,
    Aggregate,
}

/// The number of the first event that goes this way.
const FIRST: u32 = 1_000_000;

/// In some runs there is a delivery stream, and things go wrong with it.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if !chance.percent(20) {
        return;
    }
    let buffer = Buffer { bytes: chance.pick(&[1, 1_000, 1_000_000]), ms: chance.pick(&[0, 1_000, 60_000]) };
    let (mut puts, mut serial): (Vec<Put>, _) = (Vec::new(), FIRST);
    for _ in 0..chance.between(1, 20) {
        if !puts.is_empty() && chance.percent(20) {
            let again = puts[chance.place(puts.len())].clone();
            puts.push(Put { at: moment(chance), ..again });
            continue;
        }
        let events = (0..chance.between(1, 4)).map(|_| {
            serial += 1;
            let kind = match chance.below(20) {
                0..4 => Kind::Filtered,
                4 => Kind::Bad,
                5 => Kind::Garbage,
                _ => Kind::Good,
            };
            let user = u32::try_from(chance.below(4)).unwrap();
            Event { serial, id: format!("e-{serial}"), user, kind }
        });
        let events = events.collect();
        let form = chance.pick(&[Form::Lines, Form::Lines, Form::Gzip, Form::Aggregate]);
        puts.push(Put { at: moment(chance), form, events, tries: chance.pick(&[1, 3]) });
    }
    scenario.firehose = Some(Plan { buffer, puts });
    for _ in 0..chance.below(4) {
        let service = chance.pick(&["firehose", "delivery", "secrets"]);
        scenario.faults.push(part_fault(chance, "firehose", service));
    }
}

/// The stream of a run, and what its clients were told: of each event how often it was taken for sure.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) stream: Rc<DeliveryStream>,
    accepted: Rc<RefCell<BTreeSet<u32>>>,
}

/// Starts the stream and those who send to it.
pub(crate) fn start(stack: &Rc<Stack>, function: &Rc<Function>, plan: &Plan) -> Delivery {
    let account = &stack.account;
    let stream = DeliveryStream::start(account, function, plan.buffer);
    let accepted = Rc::default();
    for Put { at, form, events, tries } in plan.puts.clone() {
        let (account, stream, accepted) = (account.clone(), Rc::clone(&stream), Rc::clone(&accepted));
        account.clone().executor().spawn(async move {
            account.executor().sleep_until(at).await;
            let lines = |events: &[Event]| events.iter().map(Event::body).collect::<Vec<_>>().join(&b'\n');
            let data = match form {
                Form::Lines => lines(&events),
                Form::Gzip => world::gzip(&lines(&events)),
                Form::Aggregate => world::aggregate(events.chunks(2).map(lines)),
            };
            for _ in 0..tries {
                if stream.put(data.clone()).await.is_ok() {
                    let accepted: &RefCell<BTreeSet<u32>> = &accepted;
                    accepted.borrow_mut().extend(events.iter().map(|event| event.serial));
                    return;
                }
                account.sleep(Duration::from_millis(account.chance().between(200, 20_000))).await;
            }
        });
    }
    Delivery { stream, accepted }
}

/// An instance.
pub(crate) struct Firehose {
    stack: Rc<Stack>,
    deps: millrace_firehose::Deps<mutant::Bent<secrets::Client>, SkewedClock>,
}

impl Firehose {
    pub(crate) async fn start(binary: &Binary, version: u32) -> Result<Self, String> {
        let (pipeline, keys, clock) = binary.pipeline(version).await?;
        let deps = millrace_firehose::Deps { pipeline, keys, clock, room: Room::default() };
        Ok(Self { stack: Rc::clone(&binary.stack), deps })
    }
}

impl Instance for Firehose {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (answered, counts) =
                millrace_firehose::handle(read(payload)?, deadline(ends), &mut self.deps).await;
            let mut answer = answer(&answered, &counts);
            answer.payload = mutant::dropped(answer.payload, self.stack.mutant);
            Ok(answer)
        })
    }
}

/// Each record is delivered, dropped or failed; what passes is delivered, clean, and in the partition of its hour.
pub(crate) fn judge(run: &Run, wrong: &mut Vec<String>) {
    let (Some(delivery), Some(plan)) = (&run.delivery, &run.scenario.firehose) else { return };
    let stream = &delivery.stream;
    wrong.extend(
        stream.misnamed().iter().map(|id| format!("firehose does not say once what becomes of {id}")),
    );
    let all: BTreeMap<u32, &Event> =
        plan.puts.iter().flat_map(|put| &put.events).map(|event| (event.serial, event)).collect();
    // How often the stream took an event, and which ones share a record with a bad one.
    let (mut taken, mut mates) = (BTreeMap::<u32, usize>::new(), BTreeSet::new());
    for data in stream.taken() {
        let serials = serials(&data);
        if serials.iter().any(|serial| matches!(all[serial].kind, Kind::Bad | Kind::Garbage)) {
            mates.extend(serials.iter().copied());
        }
        for serial in serials {
            *taken.entry(serial).or_default() += 1;
        }
    }
    let (mut delivered, mut in_batch) = (BTreeMap::<u32, usize>::new(), BTreeMap::new());
    for piece in stream.delivered() {
        let serials = truth::serials(&piece.data);
        for serial in &serials {
            *delivered.entry(*serial).or_default() += 1;
            let times: &mut usize = in_batch.entry((piece.batch, *serial)).or_default();
            *times += 1;
        }
        let hour = all[&serials[0]].time();
        if piece.partition != format!("{} {}", hour.date(), hour.hour()) {
            wrong.push(format!("event {} is delivered to the partition {}", serials[0], piece.partition));
        }
        for canary in [CANARY, CANARY_IP] {
            if truth::find(&piece.data, canary.as_bytes()).is_some() {
                wrong.push("personal data in what Firehose delivers".to_owned());
            }
        }
    }
    let (mut bad, mut unanswered) = (BTreeSet::new(), BTreeSet::new());
    for failed in stream.failed() {
        let serials = serials(&failed.data);
        if failed.is_bad {
            bad.extend(serials);
        } else {
            unanswered.extend(serials);
        }
    }
    let is_put_once = run.scenario.faults.iter().all(|fault| {
        !matches!(
            fault,
            Fault::Call { service: "delivery", how: CallFault::AnswerLost | CallFault::Late(_), .. }
                | Fault::Spell { service: "delivery", how: CallFault::AnswerLost | CallFault::Late(_), .. }
        )
    });
    for (serial, event) in &all {
        let times = delivered.get(serial).copied().unwrap_or_default();
        let has_failed = bad.contains(serial) || unanswered.contains(serial);
        let is_accepted = delivery.accepted.borrow().contains(serial);
        let passes = event.kind == Kind::Good && !mates.contains(serial);
        if is_accepted && passes && times == 0 && !has_failed {
            wrong.push(format!("event {serial} is lost in Firehose"));
        }
        if times > 0 && !passes {
            wrong.push(format!("event {serial} is delivered, and should not be"));
        }
        if is_accepted && mates.contains(serial) && !has_failed {
            wrong.push(format!("event {serial} has failed, and Firehose does not have it"));
        }
        if bad.contains(serial) && !mates.contains(serial) {
            wrong.push(format!("event {serial} has failed, and there is nothing bad in its record"));
        }
        if is_put_once && times > taken.get(serial).copied().unwrap_or_default() {
            wrong.push(format!("event {serial} is delivered {times} times"));
        }
    }
    if is_put_once && in_batch.values().any(|times| *times > 1) {
        wrong.push("an event is delivered twice of one invocation".to_owned());
    }
    for counts in run.firehose.counted() {
        let count = |name: &str| counts[name].as_u64().unwrap_or_default();
        let parts = ["out", "filtered", "duplicates", "quarantined"];
        if count("in") != parts.into_iter().map(count).sum::<u64>() {
            wrong.push(format!("firehose counted what cannot be: {counts}"));
        }
    }
}

fn serials(data: &[u8]) -> Vec<u32> {
    truth::serials(&truth::plain(data))
}
