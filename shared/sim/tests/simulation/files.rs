//! Files in the played account: how they are brought to `files`, what happens to them, and what their manifests must say.

use crate::oracle::number;
use crate::scenario::{Event, Kind, START, Scenario, Send, Way, kind, moment};
use crate::world::{Run, Stack};
use millrace_core::port::Kind as Refusal;
use millrace_sim::account::Account;
use millrace_sim::chance::Chance;
use millrace_sim::etag;
use millrace_sim::fault::{CallFault, Fault, Happening, InvocationFault};
use millrace_sim::lambda::{Function, Outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How files are brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files {
    /// Whether the queue brings them, not the state machine.
    pub(crate) by_queue: bool,
    /// How often a message of that queue is received before it is a dead letter.
    pub(crate) receives: u32,
    /// The timeout of the function.
    pub(crate) seconds: i64,
}

impl Files {
    pub(crate) fn new(chance: &Chance) -> Self {
        let by_queue = chance.percent(50);
        let receives = chance.pick(&[8, 8, 2]); // 8 in the template
        // 900 in the template; with 45 each range ends an invocation, and what is left of the file goes on by a message.
        let seconds = if by_queue { chance.pick(&[900, 45]) } else { 900 };
        Self { by_queue, receives, seconds }
    }
}

/// Now and then files are dropped, some of them twice, and things go wrong with these.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if !chance.percent(40) {
        return;
    }
    for _ in 0..chance.between(1, 4) {
        let count = chance.between(1, 12);
        let events = (0..count).map(|_| scenario.event(None, 0, kind(chance, Way::File, false))).collect();
        let send = Send { at: moment(chance), way: Way::File, events, tries: 1 };
        if chance.percent(25) {
            let at = send.at.plus_ms(chance.pick(&[1, 1_000, 30_000, 1_200_000]));
            scenario.sends.push(Send { at, ..send.clone() });
        }
        scenario.sends.push(send);
    }
    for _ in 0..chance.below(4) {
        let nth = u32::try_from(chance.below(12)).unwrap();
        let after = u32::try_from(chance.below(30)).unwrap();
        scenario.faults.push(if chance.percent(40) {
            let how = chance.pick(&[
                CallFault::Refused(Refusal::Transient),
                CallFault::Refused(Refusal::Throttled),
                CallFault::AnswerLost,
            ]);
            Fault::Call { service: "files-inbox", nth, how }
        } else {
            let how = chance.pick(&[
                InvocationFault::Crash(after),
                InvocationFault::Hang(after),
                InvocationFault::AnswerLost,
                InvocationFault::Throttled,
                InvocationFault::Cold,
            ]);
            Fault::Invocation { function: "files", nth, how }
        });
    }
    if !scenario.files.by_queue {
        return;
    }
    if chance.percent(25) {
        let how = chance.pick(&[CallFault::Refused(Refusal::Transient), CallFault::AnswerLost]);
        let nth = u32::try_from(chance.below(4)).unwrap();
        scenario.faults.push(Fault::Call { service: "files-queue", nth, how });
    }
    if chance.percent(25) {
        let what = Happening::DeliveredTwice("files-queue");
        scenario.faults.push(Fault::At { at: moment(chance).plus_ms(5_000), what });
    }
}

/// Puts a file of the events into the inbox. `EventBridge` tells of it at least once.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>
pub(crate) fn drop(stack: &Rc<Stack>, files: &Rc<Function>, events: &[Event], by_queue: bool) {
    let account = &stack.account;
    let body = events.iter().map(Event::body).collect::<Vec<_>>().join(&b'\n');
    let key = key(events[0].serial);
    account.tell(|| format!("{key} is dropped"));
    let file = json!({
        "time": START.rfc3339(),
        "detail": {"bucket": {"name": "inbox"}, "object": {"key": key, "size": body.len(), "etag": etag(&body)}},
    });
    stack.files.hold(&key, body.into());
    for _ in 0..if account.chance().percent(20) { 2 } else { 1 } {
        let (stack, files, account, file) =
            (Rc::clone(stack), Rc::clone(files), account.clone(), file.clone());
        let run = format!("execution-{}", account.chance().below(1 << 40));
        account.clone().executor().spawn(async move {
            account.sleep(Duration::from_millis(account.chance().between(100, 5_000))).await;
            if by_queue {
                stack.files_queue.take(file.to_string());
            } else {
                by_steps(&account, &files, &file, &run).await;
            }
        });
    }
}

/// The key of the file whose first event is this.
fn key(serial: u32) -> String {
    format!("inbox/{serial}.ndjson")
}

/// What the state machine does with a file.
async fn by_steps(account: &Account, files: &Function, file: &Value, run: &str) {
    let task = async |task: &str, range: &Value| {
        let event = json!({"task": task, "run": run, "file": file, "range": range});
        insist(account, files, &event).await
    };
    let planned = task("plan", &json!(0)).await;
    if planned["skip"] == true {
        return;
    }
    for range in planned["ranges"].as_array().unwrap() {
        while task("range", range).await["done"] != true {}
    }
    task("finish", &json!(0)).await;
}

/// What the state machine does with a task: it tries again what fails, after growing pauses. The template's gives up in
/// the end; here all that fails passes.
async fn insist(account: &Account, files: &Function, event: &Value) -> Value {
    let mut most_ms = 3_000;
    loop {
        match files.invoke(event).await {
            Outcome::Answered(answer) => return answer.payload,
            other => account.tell(|| format!("files: {other:?}")),
        }
        account.sleep(Duration::from_millis(account.chance().between(0, most_ms))).await;
        most_ms = (most_ms * 2).min(300_000);
    }
}

/// Sends the dead letters of files to their queue again, as `docs/sources.md` tells people to.
pub(crate) fn send_again(stack: &Stack) {
    for message in stack.files_dead.waiting() {
        stack.account.tell(|| format!("{} is sent to the queue of files again", message.id));
        stack.files_queue.take(message.body);
        stack.files_dead.delete(&message.id);
    }
}

/// The keys of the files that are not through: who gave up on them left a dead letter.
fn given_up(stack: &Stack) -> Vec<String> {
    let key = |body: &str| {
        let file: Value = serde_json::from_str(body).unwrap();
        file["detail"]["object"]["key"].as_str().unwrap().to_owned()
    };
    stack.files_dead.waiting().iter().map(|message| key(&message.body)).collect()
}

/// The events of the files that are not through.
pub(crate) fn dead(run: &Run) -> impl Iterator<Item = u32> {
    let dead = given_up(&run.stack);
    let sends = run.scenario.sends.iter().filter(|send| send.way == Way::File);
    let events = sends.map(|send| send.events.iter().map(|place| run.scenario.events[*place].serial));
    let events = events.filter(move |events| dead.contains(&key(events.clone().next().unwrap())));
    events.flatten()
}

/// The events that come in files.
pub(crate) fn serials(scenario: &Scenario) -> BTreeSet<u32> {
    let sends = scenario.sends.iter().filter(|send| send.way == Way::File);
    sends.flat_map(|send| &send.events).map(|place| scenario.events[*place].serial).collect()
}

/// Each file that was dropped has a manifest, which counts each of its rows once, whatever was tried again.
pub(crate) fn judge(run: &Run, manifests: &[Value], wrong: &mut Vec<String>) {
    if !run.stack.files_queue.waiting().is_empty() {
        wrong.push("the queue of files is not empty".to_owned());
    }
    let mut files = BTreeMap::new();
    for send in run.scenario.sends.iter().filter(|send| send.way == Way::File) {
        let events: Vec<_> = send.events.iter().map(|place| &run.scenario.events[*place]).collect();
        let of = |is: &dyn Fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let is_bad = |event: &Event| matches!(event.kind, Kind::Bad | Kind::Garbage);
        let is_filtered = |event: &Event| event.kind == Kind::Filtered;
        // What the mistake refuses was refused, or not, as the version was that read it.
        let either = |is: &dyn Fn(&Event) -> bool| {
            let sure = of(&|event| is(event) && !run.scenario.mistakes(event));
            sure..=of(is)
        };
        let bad = of(&is_bad)..=of(&|event| is_bad(event) || run.scenario.mistakes(event));
        let out = either(&|event| !is_bad(event) && !is_filtered(event));
        files.insert(key(events[0].serial), (events.len(), [out, either(&is_filtered), bad]));
    }
    let mut told = BTreeSet::new();
    for manifest in manifests {
        let rows = &manifest["rows"];
        let key = manifest["key"].as_str().unwrap();
        let counts = ["out", "filtered", "quarantined"].map(|name| number(rows, name));
        let is_true = files.get(key).is_some_and(|(all, truth)| {
            number(rows, "in") == *all
                && counts.iter().sum::<usize>() == *all
                && counts.iter().zip(truth).all(|(count, truth)| truth.contains(count))
        });
        if !is_true {
            wrong.push(format!("the manifest of {key} says {rows}, and it was {:?}", files.get(key)));
        }
        told.insert(key);
    }
    let dead = given_up(&run.stack);
    let silent = files.keys().filter(|key| !told.contains(key.as_str()) && !dead.contains(key));
    wrong.extend(silent.map(|key| format!("{key} has no manifest")));
}
