//! What of the quarantine passes now is sent again, and then taken out.
//!
//! **A page is rewritten or deleted only after all that leaves it is sent.** Who dies in between leaves it as it was, and
//! the next run sends the same again: events with their ids, frames with their positions, messages with their own ids, by
//! which `transform`, the sinks and `queue` know them.

use crate::decode;
use crate::event::Event;
use crate::frame;
use crate::guard::Guard;
use crate::pipeline::{Outcome, Pipeline};
use crate::port::{Browse, Clock, Entry, Error, Functions, ObjectStore, PutRecords};
use crate::publish::{Left, publish};
use crate::quarantine::TOO_MANY_BAD;
use crate::quarantine::read::{self, ANSWER_MS, Line, Which};
use crate::step::Context;
use crate::token::TokenKey;
use crate::transformer::put_object;
use flate2::{Compression, write::GzEncoder};
use std::collections::HashSet;
use std::io::Write as _;

/// How long a function may take, milliseconds: as long as any.
pub const CALL_MS: u32 = 900_000;

/// How far two clocks may be apart, milliseconds: that of whoever replays, and that of the stream.
const APART_MS: i64 = 60_000;

/// A quarantine, and where what passes goes. What has no place to go stays, else it would be nowhere.
#[derive(Debug)]
pub struct Replay<S, P, F, C> {
    /// The quarantine.
    pub quarantine: Guard<S>,
    /// RawStream, for events.
    pub raw: Option<Guard<P>>,
    /// CleanStream, for frames that a sink died on.
    pub clean: Option<Guard<P>>,
    /// The functions, and the name of `queue` among them, for messages that it died on.
    pub queue: Option<(Guard<F>, String)>,
    /// The clock.
    pub clock: C,
    /// For how long `transform` knows ids, seconds. An event whose id it may know stays as long: it would be a duplicate of
    /// what never went out.
    pub window_s: u32,
}

/// What became of the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events, frames and messages that went out.
    pub sent: usize,
    /// Entries that do not pass.
    pub left: usize,
    /// Events that pass, but have no place to go.
    pub homeless_events: usize,
    /// Frames that have no place to go.
    pub homeless_frames: usize,
    /// Messages that have no place to go.
    pub homeless_messages: usize,
    /// Events whose ids may be known still.
    pub young: usize,
    /// Messages of which their function still dies, or which fail in it.
    pub refused: usize,
}

impl Tally {
    /// All that passes.
    #[must_use]
    pub fn passing(&self) -> usize {
        let homeless = self.homeless_events + self.homeless_frames + self.homeless_messages;
        homeless + self.young + self.refused + self.sent
    }
}

/// What an entry is worth now.
enum Passing {
    /// Events for RawStream.
    Events(Vec<Entry>),
    /// A frame for CleanStream.
    Frame(Entry),
    /// An event for the function `queue`.
    Message(String),
}

/// What of a page goes out when all of it has been looked at.
#[derive(Default)]
struct Out {
    raw: Vec<Entry>,
    clean: Vec<Entry>,
}

impl<S: ObjectStore + Browse, P: PutRecords, F: Functions, C: Clock> Replay<S, P, F, C> {
    /// Goes through the entries that are wanted, with the pipeline as it is deployed now. Whether an event passes does not
    /// depend on the key.
    pub async fn run(&self, which: &Which, pipeline: &mut Pipeline, key: &TokenKey) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut met = HashSet::new();
        for page in read::keys(&self.quarantine, which, &self.clock).await? {
            // Another replay may have been faster.
            let Some(page) = read::page(&self.quarantine, &page, &self.clock).await? else { continue };
            let (mut out, mut gone) = (Out::default(), HashSet::new());
            for (text, line) in &page.lines {
                let Some(line) = line.as_ref().filter(|line| which.wants(line)) else { continue };
                let Some(passing) = passing(line, pipeline, key) else {
                    tally.left += 1;
                    continue;
                };
                // A retried batch may have put it into two objects, and for two reasons, if another pipeline was deployed
                // in between: it is the same all the same.
                let is_new = met.insert(line.source.to_string());
                if self.place(line, passing, is_new, &mut out, &mut tally).await? {
                    gone.insert(text.as_str());
                }
            }
            if gone.is_empty() {
                continue;
            }
            let sent = out.raw.len() + out.clean.len();
            self.send(self.raw.as_ref(), out.raw).await?;
            self.send(self.clean.as_ref(), out.clean).await?;
            tally.sent += sent;
            self.take_out(&page.key, &gone).await?;
        }
        Ok(tally)
    }

    /// Finds a place for what passes, and hands over messages at once; whether its entry goes.
    async fn place(
        &self,
        line: &Line,
        passing: Passing,
        is_new: bool,
        out: &mut Out,
        tally: &mut Tally,
    ) -> Result<bool, Error> {
        let new = usize::from(is_new);
        match passing {
            Passing::Events(events) if self.raw.is_none() => tally.homeless_events += new * events.len(),
            Passing::Events(events) if self.may_be_known(line) => tally.young += new * events.len(),
            Passing::Frame(_) if self.clean.is_none() => tally.homeless_frames += new,
            Passing::Message(_) if self.queue.is_none() => tally.homeless_messages += new,
            // It went out from the object before.
            _ if !is_new => return Ok(true),
            Passing::Events(events) => {
                out.raw.extend(events);
                return Ok(true);
            }
            Passing::Frame(entry) => {
                out.clean.push(entry);
                return Ok(true);
            }
            Passing::Message(event) => {
                let is_taken = self.takes(&event).await?;
                tally.sent += usize::from(is_taken);
                tally.refused += usize::from(!is_taken);
                return Ok(is_taken);
            }
        }
        Ok(false)
    }

    /// Whether `transform` may know its ids still, because it noted them and died before it put the events.
    fn may_be_known(&self, line: &Line) -> bool {
        let forgotten = self.clock.now().plus_ms(-1_000 * i64::from(self.window_s) - APART_MS);
        line.may_be_known && line.arrived_at().is_some_and(|at| at > forgotten)
    }

    async fn send(&self, stream: Option<&Guard<P>>, entries: Vec<Entry>) -> Result<(), Error> {
        let Some(stream) = stream.filter(|_| !entries.is_empty()) else { return Ok(()) };
        let deadline = self.clock.now().plus_ms(ANSWER_MS);
        publish(stream, entries, &self.clock, deadline).await.map_err(|Left { why, .. }| why)
    }

    /// Whether the function takes a message. One that it still dies of keeps none of the others back.
    async fn takes(&self, event: &str) -> Result<bool, Error> {
        let Some((functions, queue)) = &self.queue else { return Ok(false) };
        let deadline = self.clock.now().plus_ms(i64::from(CALL_MS));
        let invoke = async |functions: &F| functions.invoke(queue, event.to_owned()).await;
        Ok(functions.call(&self.clock, deadline, invoke).await?.is_safe())
    }

    /// Takes these lines out of an object, as it is by now: a batch that came again may have put more into it meanwhile.
    async fn take_out(&self, key: &str, gone: &HashSet<&str>) -> Result<(), Error> {
        let Some(page) = read::page(&self.quarantine, key, &self.clock).await? else { return Ok(()) };
        let texts = page.lines.iter().map(|(text, _)| text.as_str());
        let stay: Vec<_> = texts.filter(|text| !gone.contains(text)).collect();
        let deadline = self.clock.now().plus_ms(ANSWER_MS);
        if stay.is_empty() {
            return self.quarantine.call(&self.clock, deadline, async |store| store.delete(key).await).await;
        }
        put_object(&self.quarantine, key, gzip(&stay), &self.clock, deadline).await
    }
}

/// What of an entry passes now: all of it, or it stays. Of a record with too many bad events the good ones went on.
fn passing(line: &Line, pipeline: &mut Pipeline, key: &TokenKey) -> Option<Passing> {
    // What lake refused went through the steps: it would get tokens of tokens, and its id is known.
    let is_as_it_came = line.reason != TOO_MANY_BAD && line.stage != "lake" && !line.is_change();
    let payload = line.payload().filter(|payload| !payload.is_empty() && is_as_it_came)?;
    if line.is_message() {
        return Some(Passing::Message(String::from_utf8(payload).ok()?));
    }
    if let Ok((header, _)) = frame::header(&payload) {
        return Some(Passing::Frame(Entry { partition_key: header.lane, data: payload }));
    }
    let arrived_at = line.arrived_at()?;
    let mut room = Vec::new();
    let payloads = decode::unpack(&payload, &mut room).ok()?;
    let mut events = Vec::new();
    let mut event = Event::default();
    for payload in payloads {
        for piece in payload.pieces.ok()? {
            decode::event(piece, &mut event).ok()?;
            let partition_key = pipeline.event().partition_key_of(&event);
            if let Outcome::Rejected(_) = pipeline.apply(&mut event, &Context { key, arrived_at }) {
                return None;
            }
            events.push(Entry { partition_key, data: piece.to_vec() });
        }
    }
    (!events.is_empty()).then_some(Passing::Events(events))
}

fn gzip(lines: &[&str]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        // Memory does not refuse.
        let _ = encoder.write_all(line.as_bytes()).and_then(|()| encoder.write_all(b"\n"));
    }
    encoder.finish().unwrap_or_default()
}
