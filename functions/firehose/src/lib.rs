//! The records of a Firehose delivery stream through the pipeline, and back to it.
//!
//! Firehose wants each record back, once: with what is to go on, dropped, or failed. A record of which an event is bad fails
//! whole, so that it is mended and sent again whole: Firehose puts it, as it came, below the prefix of its errors. That is why
//! this function has no quarantine; it logs the reasons. What would make the answer larger than Lambda takes fails, too.

use millrace_aws::firehose::{Fate, FirehoseAnswer, FirehoseEvent, FirehoseRecord};
use millrace_aws::telemetry;
use millrace_core::account::{Counts, Tally};
use millrace_core::batch::INFLATED_KEPT;
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::keys::Keys;
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::port::{Clock, Secret};
use millrace_core::quarantine::Reject;
use millrace_core::seen::Seen;
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use std::collections::BTreeMap;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<K, C> {
    /// What happens to an event.
    pub pipeline: Pipeline,
    /// Make tokens of personal data.
    pub keys: Keys<K>,
    /// The clock.
    pub clock: C,
    /// The memory of one invocation serves the next.
    pub room: Room,
}

/// Memory to work in.
#[derive(Debug, Default)]
pub struct Room {
    event: Event,
    inflated: Vec<u8>,
    /// The ids of an invocation: an event that is in it twice goes on once.
    seen: Seen,
}

/// Handles some records. In its counts a record that fails is one event.
pub async fn handle<K: Secret, C: Clock>(
    event: FirehoseEvent,
    deadline: Micros,
    deps: &mut Deps<K, C>,
) -> (FirehoseAnswer, Counts) {
    let Deps { pipeline, keys, clock, room } = deps;
    if let Err(why) = keys.renew(clock, deadline, |secret| pipeline.key(secret)).await {
        telemetry::key_stays(&why);
    }
    room.seen.clear();
    pipeline.begin_batch();
    let records = event.into_records();
    let mut answer = FirehoseAnswer::to(&records);
    let (mut tally, mut rejects) = (Tally::default(), Rejects::default());
    for record in records {
        let mut work = Work { pipeline, key: keys.key(), room, passed: Vec::new(), tally: Tally::default() };
        let fate = match work.record(&record, answer.room()) {
            Ok(fate) => {
                tally = tally + work.tally;
                fate
            }
            Err(why) => {
                work.forget();
                tally = tally + Tally { r#in: 1, quarantined: 1, ..Tally::default() };
                rejects.note(record.id(), &why);
                Fate::Failed
            }
        };
        answer.push(record, fate);
    }
    debug_assert!(tally.balances(), "every event ends in exactly one place");
    rejects.log();
    room.release();
    (answer, Counts { tally, window_short: 0, steps: pipeline.take_tallies() })
}

impl Room {
    /// Gives back what only a huge record needs.
    fn release(&mut self) {
        self.event.release();
        self.inflated.clear();
        self.inflated.shrink_to(INFLATED_KEPT);
    }
}

/// One record on its way.
struct Work<'a> {
    pipeline: &'a mut Pipeline,
    key: &'a TokenKey,
    room: &'a mut Room,
    /// The ids of its events that passed.
    passed: Vec<u128>,
    tally: Tally,
}

impl Work<'_> {
    /// Makes text of at most so many bytes of a record, a line an event, or says what of it is bad.
    fn record(&mut self, record: &FirehoseRecord, room: usize) -> Result<Fate, Reject> {
        let arrived_at = record.arrived_at();
        let no_data = || Reject::new("decode", "not_base64", "the record has no data, or what is no base64");
        let data = record.data().ok_or_else(no_data)?;
        let Room { event, inflated, seen } = &mut *self.room;
        let (mut text, mut at) = (String::new(), None);
        for payload in decode::unpack(&data, inflated)? {
            for piece in payload.pieces? {
                self.tally.r#in += 1;
                decode::event(piece, event)?;
                match self.pipeline.apply(event, &Context { key: self.key, arrived_at }) {
                    Outcome::Filtered(_step) => self.tally.filtered += 1,
                    Outcome::Rejected(why) => return Err(why),
                    Outcome::Out => {
                        let id = self.pipeline.event().identity_of(event);
                        if !seen.insert_hash(id) {
                            self.tally.duplicates += 1;
                            continue;
                        }
                        self.passed.push(id);
                        self.tally.out += 1;
                        event.write(&mut text);
                        text.push('\n');
                        if text.len() > room {
                            let detail = "with it the answer would be larger than Lambda takes";
                            return Err(Reject::new("encode", "answer_full", detail));
                        }
                        at = at.or_else(|| event.get(&self.pipeline.event().time).and_then(Micros::read));
                    }
                }
            }
        }
        Ok(at.map_or(Fate::Dropped, |at| Fate::Ok(text, at)))
    }

    /// Its events did not go on, so what comes with their ids is no duplicate.
    fn forget(self) {
        self.passed.into_iter().for_each(|id| self.room.seen.forget_hash(id));
    }
}

/// Why records failed: the first of each kind, and how many there are.
#[derive(Default)]
struct Rejects(BTreeMap<(&'static str, &'static str), (usize, String, Reject)>);

impl Rejects {
    fn note(&mut self, record: &str, why: &Reject) {
        let first = || (0, record.to_owned(), why.clone());
        self.0.entry((why.stage, why.reason)).or_insert_with(first).0 += 1;
    }

    fn log(self) {
        for (records, first, why) in self.0.into_values() {
            tracing::warn!(records, first, %why, "records failed, and Firehose keeps them with its errors");
        }
    }
}
