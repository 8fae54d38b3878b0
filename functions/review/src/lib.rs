//! Frames of CleanStream in, and those events that want a check to a service: what it approves is done, what it holds goes to
//! a queue, for a person to decide.
//!
//! Which events want one is for `pipeline.toml` to say: those with `"review": true`. All others pass by. A check that cannot be
//! reached decides nothing: the batch comes again from there. One that answers and does not approve, whatever it
//! says, holds the event: nothing is approved by mistake. An event that is held is in the queue once, by what the sink's checkpoint
//! says, and by the queue's own knowledge of a key that it took within five minutes.

use futures_util::stream::{self, StreamExt as _};
use memchr::memmem;
use millrace_aws::source::{BatchResponse, KinesisEvent};
use millrace_core::account::Landing;
use millrace_core::decode;
use millrace_core::event::{Event, Path};
use millrace_core::frame::Reader;
use millrace_core::guard::{Guard, Health};
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock, Error, KeyTable, ObjectStore, Post, Reply};
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::record::Record;
use millrace_core::seen;
use millrace_core::sink::{Cut, Driver, Laid, Object, Sink};
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use millrace_core::transformer::{Stuck, slow_down};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<T, O, Q, H, C> {
    /// Everything but the check.
    pub driver: Driver<T, O, Q, C>,
    /// Who is asked.
    pub check: Guard<H>,
    /// What was answered.
    pub desk: Desk,
}

/// How many questions are asked side by side.
const ASKS_AT_ONCE: usize = 8;

/// What is kept of the time for what was answered, milliseconds.
const LAND_MS: i64 = 15_000;

/// The longest reason that is taken over, characters.
const REASON_MAX: usize = 200;

/// How an event of a frame stands in it: frames are written without blanks.
const MARK: &[u8] = br#""review":true"#;

/// What was asked in an invocation. It counts work, not fates: a batch that comes again counts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Events that were checked.
    pub asked: usize,
    /// Of these: approved.
    pub approved: usize,
    /// Of these: held.
    pub held: usize,
}

/// The fate of the events that are safe, and what was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Landed is also what wants no check.
    #[serde(flatten)]
    pub landing: Landing,
    /// What was asked.
    #[serde(flatten)]
    pub asked: Asked,
}

/// Handles one batch of a shard.
pub async fn handle<T: KeyTable, O: ObjectStore, Q: ObjectStore, H: Post, C: Clock>(
    event: &KinesisEvent,
    deadline: Micros,
    deps: &mut Deps<T, O, Q, H, C>,
) -> (BatchResponse, Counts) {
    let Some(source) = event.source() else { return (BatchResponse::safe(), Counts::default()) };
    let began = deps.driver.clock.now();
    let (mut asked, mut ready, mut stuck) = (Asked::default(), 0, None);
    for record in event.records() {
        match deps.ask(&record, deadline.plus_ms(-LAND_MS), &mut asked).await {
            Ok(()) => ready += 1,
            Err(why) => {
                stuck = Some(Stuck { from: record.sequence.into(), why });
                break;
            }
        }
    }
    let Ok(mut landed) =
        deps.driver.land(&mut deps.desk, source, event.records().take(ready), deadline).await;
    if landed.stuck.is_none() && stuck.is_some() {
        slow_down(began, &deps.driver.clock, deadline).await;
        landed.stuck = stuck;
    }
    if landed.again().is_none() {
        deps.desk.verdicts.clear();
    }
    (BatchResponse::of(&landed), Counts { landing: landed.landing, asked })
}

impl<T: KeyTable, O: ObjectStore, Q: ObjectStore, H: Post, C: Clock> Deps<T, O, Q, H, C> {
    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        self.driver.health().into_iter().chain(self.check.health()).collect()
    }

    /// Asks for the events of a frame that want it and are not decided yet.
    async fn ask(&mut self, record: &Record<'_>, deadline: Micros, asked: &mut Asked) -> Result<(), Error> {
        let (check, clock) = (&self.check, &self.driver.clock);
        let questions = self.desk.questions(record).into_iter().map(|(event, id, line)| async move {
            let reply = check.call(clock, deadline, async |check| check.post(&id, &line).await).await?;
            Ok::<_, Error>((event, Verdict::of(&reply)))
        });
        let mut answers = stream::iter(questions).buffer_unordered(ASKS_AT_ONCE);
        let mut failed = None;
        // Each question is heard to its end: while the breaker is half-open it lets one through, and if those that it refuses cut
        // that one off, nobody ever finds out that the check is back.
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((event, verdict)) => {
                    asked.asked += 1;
                    match verdict {
                        Verdict::Approved => asked.approved += 1,
                        Verdict::Held(_) => asked.held += 1,
                    }
                    self.desk.verdicts.insert(event, verdict);
                }
                Err(why) => {
                    failed.get_or_insert(why);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// What was decided of the events of a batch; of one that comes again it is known what was answered before.
#[derive(Debug)]
pub struct Desk {
    id: Path,
    /// By what an event is, whole: two may have the same id.
    verdicts: HashMap<u128, Verdict>,
    reader: Reader,
    event: Event,
}

/// What was decided of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Approved,
    /// For a person to look at, with the reason.
    Held(String),
}

/// What the check answers.
#[derive(Deserialize)]
struct Answer {
    decision: String,
    #[serde(default)]
    reason: String,
}

impl Verdict {
    fn of(reply: &Reply) -> Self {
        if !(200..300).contains(&reply.status) {
            return Self::Held(format!("the check answers {}", reply.status));
        }
        match serde_json::from_slice(&reply.body) {
            Ok(Answer { decision, .. }) if decision == "approve" => Self::Approved,
            Ok(Answer { decision, reason }) if decision == "hold" => {
                Self::Held(reason.chars().take(REASON_MAX).collect())
            }
            _ => Self::Held("the check's answer has no decision".to_owned()),
        }
    }
}

impl Desk {
    /// A desk with nothing on it.
    #[must_use]
    pub fn new(settings: EventSettings) -> Self {
        let (reader, event) = (Reader::default(), Event::default());
        Self { id: settings.id, verdicts: HashMap::new(), reader, event }
    }

    /// The events of a frame that are to be checked, with what they are known by and their ids. One that cannot be read is none: the
    /// sink puts it away.
    fn questions(&mut self, record: &Record<'_>) -> Vec<(u128, String, String)> {
        let Ok((_, body)) = self.reader.read(record.data) else { return Vec::new() };
        let mut questions = Vec::new();
        for line in body.events() {
            let Ok(Some(id)) = wanted(line, &mut self.event, &self.id) else { continue };
            let event = seen::hash(line);
            if !self.verdicts.contains_key(&event) {
                questions.push((event, id, line.to_owned()));
            }
        }
        questions
    }
}

/// The id of an event that wants a check.
fn wanted(line: &str, event: &mut Event, id: &Path) -> Result<Option<String>, Reject> {
    if memmem::find(line.as_bytes(), MARK).is_none() {
        return Ok(None); // most do not, and need not be read
    }
    decode::text(line, event)?;
    let is_marked = event.get(&Path::from_key("review")).and_then(millrace_core::event::Value::as_bool);
    let Some(node) = event.find(id).filter(|_| is_marked == Some(true)) else { return Ok(None) };
    Ok(Some(event.value(node).as_str().map_or_else(
        || {
            let mut text = String::new();
            event.write_value(node, &mut text);
            text
        },
        str::to_owned,
    )))
}

impl Sink for Desk {
    type Error = Infallible;

    fn lay_out(&mut self, _name: &str, frames: &[Cut<'_>]) -> Result<Laid, Self::Error> {
        let mut laid = Laid::default();
        let Self { id, verdicts, reader, event } = self;
        for Cut { record, lands } in frames {
            let mut reject = |index: Option<u32>, reject: Reject, payload: &[u8]| {
                laid.rejects.push(Entry::of(record, index, reject, payload));
            };
            let body = match reader.read(record.data) {
                Ok((_, body)) => body,
                Err(why) => {
                    laid.landing.r#in += 1;
                    reject(None, why, record.data);
                    continue;
                }
            };
            for (place, line) in body.events().enumerate() {
                laid.landing.r#in += 1;
                if !lands.has(place) {
                    laid.landing.skipped += 1;
                    continue;
                }
                match wanted(line, event, id) {
                    Ok(wanted) => {
                        laid.landing.landed += 1;
                        if wanted.is_some()
                            && let Some(Verdict::Held(reason)) = verdicts.get(&seen::hash(line))
                        {
                            laid.objects.push(held(line, reason));
                        }
                    }
                    Err(why) => reject(u32::try_from(place).ok(), why, line.as_bytes()),
                }
            }
        }
        laid.landing.quarantined = laid.rejects.len();
        Ok(laid)
    }
}

/// The message of an event that is held. Its key is the event's own, all of it: the queue drops a second one of a key.
fn held(line: &str, reason: &str) -> Object {
    // The line is JSON, and stays as it is.
    let body = format!(r#"{{"event":{line},"reason":{}}}"#, json!(reason));
    Object { key: fingerprint(line.as_bytes(), 16), body: body.into_bytes() }
}
