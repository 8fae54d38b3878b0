//! `pipeline.toml`: read, checked, compiled, and applied to events.

mod file;
mod lake;
mod schema;
mod warn;

pub use file::{EventSettings, MissingId};
pub use lake::{Column, ColumnType, FIXED_COLUMNS, LakeSettings};
pub use schema::schema;
pub use warn::CheckSettings;

use crate::account::StepTally;
use crate::block::Slot;
use crate::change::ChangesSettings;
use crate::event::{DEPTH_MAX, Event, Flaw, New, Path, Pattern, Value};
use crate::files::Files;
use crate::metric::Metrics;
use crate::mistake::{Mistake, Mistakes};
use crate::quarantine::Reject;
use crate::step::{Apply, Context, Places, Verdict};
use crate::time::Micros;
use crate::token::{NoKey, TokenKey};

/// The field that holds when an event was received. Ingest writes it; elsewhere the stream's arrival time stands in.
pub const RECEIVED_AT: &str = "receivedAt";

/// The earliest event time that lands: 2015-01-01T00:00:00Z. The lake's table projects its partitions from here on,
/// and what landed before would be invisible there.
pub const EARLIEST: i64 = 1_420_070_400_000_000;

/// How far an event's time may lie ahead of its receipt: a day, as far as the lake's table projects ahead.
const AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// A compiled pipeline, and what its steps did so far.
pub struct Pipeline {
    event: EventSettings,
    steps: Vec<Box<dyn Apply>>,
    tallies: Vec<StepTally>,
    lake: LakeSettings,
    changes: ChangesSettings,
    metrics: Metrics,
    received_at: Path,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It goes on, clean: it has an id, a type, and as UTC microseconds a time and its receipt.
    Out,
    /// The step of this place, from 0, dropped it.
    Filtered(usize),
    /// It is bad.
    Rejected(Reject),
}

impl Pipeline {
    /// Compiles the text of a `pipeline.toml`, or tells all that is wrong with it.
    pub fn compile(text: &str, files: &dyn Files) -> Result<Self, Mistakes> {
        Self::read(text, files, |_| Vec::new()).map(|(pipeline, _)| pipeline)
    }

    /// [`compile`](Self::compile), and tells what is probably not meant so.
    pub fn check(text: &str, files: &dyn Files) -> Result<(Self, Mistakes), Mistakes> {
        Self::read(text, files, |parts| warn::warnings(text, parts))
    }

    fn read(
        text: &str,
        files: &dyn Files,
        warn: impl FnOnce(&warn::Parts<'_>) -> Vec<Mistake>,
    ) -> Result<(Self, Mistakes), Mistakes> {
        let (mut file, mut mistakes) = file::read(text);
        let (steps, step_mistakes) = file.compile_steps(files);
        mistakes.extend(step_mistakes);
        let (metrics, metric_mistakes) = file.compile_metrics();
        mistakes.extend(metric_mistakes);
        let event_words = std::mem::take(&mut file.event_words);
        let parts = (file.event.take(), file.lake.take(), file.changes.take(), file.check.take());
        match (parts, mistakes.is_empty()) {
            ((Some(event), Some(lake), Some(changes), Some(check)), true) => {
                let parts = warn::Parts {
                    event: &event,
                    event_words,
                    steps: &steps,
                    lake: &lake,
                    changes: &changes,
                    metric_settings: &file.metrics,
                    metrics: &metrics,
                    check: &check,
                };
                let warnings = Mistakes::new(text, warn(&parts));
                let steps: Vec<_> = steps.into_iter().map(|compiled| compiled.step).collect();
                let tallies = steps.iter().map(|step| StepTally::new(step.name())).collect();
                let received_at = file::received_at();
                Ok((Self { event, steps, tallies, lake, changes, metrics, received_at }, warnings))
            }
            _ => Err(Mistakes::new(text, mistakes)),
        }
    }

    /// The `[event]` table.
    #[must_use]
    pub fn event(&self) -> &EventSettings {
        &self.event
    }

    /// The `[lake]` table.
    #[must_use]
    pub fn lake(&self) -> &LakeSettings {
        &self.lake
    }

    /// The `[changes]` table.
    #[must_use]
    pub fn changes(&self) -> &ChangesSettings {
        &self.changes
    }

    /// The `[[metric]]`s.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The names of the steps, in their order.
    #[must_use]
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.steps.iter().map(|step| step.name())
    }

    /// The key in a secret's text, if it is all that the steps need.
    pub fn key(&self, secret: &str) -> Result<TokenKey, NoKey> {
        let key = TokenKey::parse(secret)?;
        self.check_key(&key)?;
        Ok(key)
    }

    /// The databases that places come from, in the order of the steps.
    pub fn places(&self) -> impl Iterator<Item = Places<'_>> {
        self.steps.iter().filter_map(|step| step.places())
    }

    /// Makes sure that the key is all that the steps need. To be asked before the first event.
    pub fn check_key(&self, key: &TokenKey) -> Result<(), NoKey> {
        let encrypts = self.steps.iter().any(|step| step.needs_encryption_key());
        if encrypts && !key.encrypts() { Err(NoKey::NoEncryption) } else { Ok(()) }
    }

    /// Tells the steps that a batch begins.
    pub fn begin_batch(&mut self) {
        self.steps.iter_mut().for_each(|step| step.begin_batch());
    }

    /// What each step did since it was last asked for.
    pub fn take_tallies(&mut self) -> Vec<StepTally> {
        let new = self.steps.iter().map(|step| StepTally::new(step.name())).collect();
        std::mem::replace(&mut self.tallies, new)
    }

    /// Runs the steps on an event, then makes sure that it can land.
    #[must_use]
    pub fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Outcome {
        for at in 0..self.steps.len() {
            if let Some(end) = self.apply_step(at, event, cx) {
                return end;
            }
        }
        self.land(event, cx)
    }

    /// Runs one step on an event, that of this place, from 0: none where the event goes on to the next.
    #[must_use]
    pub fn apply_step(&mut self, at: usize, event: &mut Event, cx: &Context<'_>) -> Option<Outcome> {
        let (step, tally) = (self.steps.get_mut(at)?, self.tallies.get_mut(at)?);
        run(step.as_mut(), tally, at, event, cx)
    }

    /// The fields that the step of this place, from 0, looks at.
    #[must_use]
    pub fn reads(&self, at: usize) -> Vec<Pattern> {
        self.steps.get(at).map(|step| step.touches().reads).unwrap_or_default()
    }

    /// Runs one step on the events of which it is open what becomes of them.
    pub(crate) fn apply_step_to(&mut self, at: usize, slots: &mut [Slot], key: &TokenKey) {
        let (Some(step), Some(tally)) = (self.steps.get_mut(at), self.tallies.get_mut(at)) else { return };
        for Slot { event, arrived_at, outcome } in slots {
            if outcome.is_none() {
                *outcome = run(step.as_mut(), tally, at, event, &Context { key, arrived_at: *arrived_at });
            }
        }
    }

    /// What comes behind the steps: makes sure that an event can land.
    #[must_use]
    pub fn land(&self, event: &mut Event, cx: &Context<'_>) -> Outcome {
        self.seal(event, cx.arrived_at).map_or_else(Outcome::Rejected, |()| Outcome::Out)
    }

    /// Makes sure that the event has an id, a type and a time that can land.
    fn seal(&self, event: &mut Event, arrived_at: Micros) -> Result<(), Reject> {
        let reject =
            |reason, path: &Path, what: &str| Reject::new("encode", reason, format!("`{path}` {what}"));
        let settings = &self.event;
        match event.present(&settings.id) {
            Some(Value::String(id)) if !id.is_empty() => {}
            Some(Value::Number(id)) if id.is_integer() => {
                let id = id.text().to_owned();
                event.put(&settings.id, New::Str(&id));
            }
            _ => {
                return Err(reject(
                    "no_id",
                    &settings.id,
                    "is missing, empty, or neither string nor integer",
                ));
            }
        }
        if event.str(&settings.r#type).is_none_or(str::is_empty) {
            return Err(reject("no_type", &settings.r#type, "is missing, empty, or no string"));
        }
        let time = event.find(&settings.time);
        let Some((at, time)) = time.and_then(|at| Some((at, Micros::read(event.value(at))?))) else {
            return Err(reject("no_time", &settings.time, "is missing, or no time that can be read"));
        };
        // A producer may say when it received the event, but not that this is still to come.
        let received_at =
            event.get(&self.received_at).and_then(Micros::read).map_or(arrived_at, |at| at.min(arrived_at));
        if time.get() < EARLIEST || time > received_at.plus_ms(AHEAD_MAX_MS) {
            let what = "lies before 2015 or more than a day after the event was received";
            return Err(reject("time_out_of_range", &settings.time, what));
        }
        event.set_int(at, time.get());
        match event.find(&self.received_at) {
            Some(at) => event.set_int(at, received_at.get()),
            None => _ = event.put(&self.received_at, New::Int(received_at.get())),
        }
        Ok(())
    }
}

/// Runs a step on an event, and counts what it did.
fn run(
    step: &mut dyn Apply,
    tally: &mut StepTally,
    at: usize,
    event: &mut Event,
    cx: &Context<'_>,
) -> Option<Outcome> {
    let edits = event.edits();
    tally.r#in += 1;
    let (reason, detail) = match step.apply(event, cx) {
        Verdict::Keep => match event.outgrown() {
            None => {
                tally.changed += usize::from(event.edits() != edits);
                return None;
            }
            Some(Flaw::TooDeep) => {
                ("too_deep", format!("it nests the event deeper than {DEPTH_MAX} levels").into())
            }
            Some(_) => ("too_large", "it makes the event too large for the memory".into()),
        },
        Verdict::Drop => {
            tally.dropped += 1;
            return Some(Outcome::Filtered(at));
        }
        Verdict::Reject(reason, detail) => (reason, detail),
    };
    tally.quarantined += 1;
    Some(Outcome::Rejected(Reject { stage: tally.step, reason, detail }))
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps: Vec<_> = self.steps().collect();
        f.debug_struct("Pipeline").field("steps", &steps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const SHOP: &str = include_str!("../../tests/shop.toml");
    const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../../data/demo.mmdb"))];

    fn apply(pipeline: &str, event: &str) -> String {
        let mut pipeline = Pipeline::compile(pipeline, &FILES).unwrap();
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
        let mut event = Event::read(event).unwrap();
        match pipeline.apply(&mut event, &Context { key: &key, arrived_at }) {
            Outcome::Out => event.to_string(),
            Outcome::Filtered(at) => format!("filtered by {}", pipeline.steps().nth(at).unwrap()),
            Outcome::Rejected(why) => why.to_string(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn shop(event: &str, expected: Expect) {
        expected.assert_eq(&apply(SHOP, event));
    }

    #[test]
    fn the_shop_s_pipeline_cleans_a_clickstream() {
        shop(
            r#"{"id":"e1","eventType":"purchase","timestamp":"2019-11-15 18:05:00Z","receivedAt":"2019-11-15T18:05:01Z",
                "userId":"u1","email":"ann@example.com","ip":"203.0.113.77","price":"80","path":"https://shop.example.com/p/7?utm_source=mail&email=ann@example.com"}"#,
            expect![[
                r#"{"id":"e1","eventType":"purchase","timestamp":1573841100000000,"receivedAt":1573841101000000,"userId":"k1:39536bc0c20e6efcd22ec30bb96eec5aff9be6a37fe8e9db166b4cc950c94e7e","email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","ip":"203.0.113.0","price":80.0,"discount":8.0,"page":{"host":"shop.example.com","path":"/p/7","utm_source":"mail"},"geo":{"country":"XE","region":"Kita","city":"Aoshima"}}"#
            ]],
        );
    }

    #[test]
    fn the_shop_s_pipeline_drops_what_is_not_wanted() {
        shop(r#"{"eventType":"view","timestamp":0}"#, expect!["filtered by clean.require"]);
        shop(r#"{"id":"e1","timestamp":0}"#, expect!["filtered by clean.require"]);
        shop(r#"{"id":"e1","eventType":"view"}"#, expect!["filtered by clean.require"]);
        shop(
            r#"{"id":"e1","eventType":"view","timestamp":1573841100,"price":9.99}"#,
            expect!["filtered by filter.keep"],
        );
    }

    #[test]
    fn a_step_with_a_condition_lets_the_others_pass() {
        let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        let pipeline = format!(
            "{bare}[[step]]\nwhen = \"price > 50\"\nenrich.constant = {{ dear = true }}\n[[step]]\nwhen = \"t == 'ping'\"\nfilter.drop = \"true\"\n"
        );
        let told = |fields: &str| apply(&pipeline, &format!(r#"{{"id":"a","at":1573841100,{fields}}}"#));
        assert!(told(r#""t":"x","price":60"#).contains(r#""price":60,"dear":true"#));
        assert!(!told(r#""t":"x","price":50"#).contains("dear"));
        assert_eq!(told(r#""t":"ping","price":1"#), "filtered by filter.drop");
        assert_eq!(
            told(r#""t":"x","price":"60""#),
            "enrich.constant: expression: in `when`: `>` does not take (string, int)"
        );
        let mut pipeline = Pipeline::compile(&pipeline, &crate::files::NONE).unwrap();
        let key = TokenKey::new("k1", &[7; 32]).unwrap();
        for price in [60, 40] {
            let mut event =
                Event::read(&format!(r#"{{"id":"a","t":"x","at":1573841100,"price":{price}}}"#)).unwrap();
            let cx = Context { key: &key, arrived_at: Micros::new(1_573_841_200_000_000).unwrap() };
            assert_eq!(pipeline.apply(&mut event, &cx), Outcome::Out);
        }
        let first = pipeline.take_tallies().swap_remove(0);
        assert_eq!((first.step, first.r#in, first.out(), first.changed), ("enrich.constant", 2, 2, 1));
    }

    #[test]
    fn what_cannot_land_is_rejected() {
        shop(
            r#"{"id":"e1","eventType":"view","timestamp":"soon"}"#,
            expect!["encode: no_time: `timestamp` is missing, or no time that can be read"],
        );
        shop(
            r#"{"id":"e1","eventType":"view","timestamp":0}"#,
            expect![
                "encode: time_out_of_range: `timestamp` lies before 2015 or more than a day after the event was received"
            ],
        );
        shop(
            r#"{"id":"e1","eventType":"view","timestamp":1573941200}"#,
            expect![
                "encode: time_out_of_range: `timestamp` lies before 2015 or more than a day after the event was received"
            ],
        );
        shop(
            r#"{"id":["e1"],"eventType":"view","timestamp":1573841100}"#,
            expect!["encode: no_id: `id` is missing, empty, or neither string nor integer"],
        );
        shop(
            r#"{"id":"e1","eventType":7,"timestamp":1573841100}"#,
            expect!["encode: no_type: `eventType` is missing, empty, or no string"],
        );
        shop(
            r#"{"id":"e1","eventType":"view","timestamp":1573841100,"price":"cheap"}"#,
            expect!["clean.cast: cannot_cast: `price` cannot be read as float"],
        );
    }

    #[test]
    fn a_producer_cannot_move_the_bound_of_time() {
        let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        let event = r#"{"id":"a","t":"x","at":"2030-01-01T00:00:00Z","receivedAt":"9999-01-01T00:00:00Z"}"#;
        assert!(apply(bare, event).starts_with("encode: time_out_of_range"));
    }

    #[test]
    fn a_step_cannot_nest_an_event_deeper_than_a_sink_reads() {
        let nesting = "\"[a]\"";
        let step = format!("[[step]]\nenrich.compute = {{ a = {nesting} }}\n").repeat(130);
        let pipeline = format!("[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n{step}");
        assert!(
            apply(&pipeline, r#"{"id":"a","t":"x","at":1573841100,"a":1}"#)
                .starts_with("enrich.compute: too_deep")
        );
    }

    #[test]
    fn who_encrypts_needs_a_key_for_it() {
        let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        let encrypting = format!("{bare}[[step]]\nanonymize.encrypt = [\"a\"]\n");
        let key = TokenKey::new("k1", &[7; 32]).unwrap();
        let check =
            |text: &str, key: &TokenKey| Pipeline::compile(text, &crate::files::NONE).unwrap().check_key(key);
        assert_eq!(check(bare, &key), Ok(()));
        assert_eq!(check(&encrypting, &key), Err(NoKey::NoEncryption));
        assert_eq!(check(&encrypting, &key.with_encryption(&[8; 32]).unwrap()), Ok(()));
    }

    #[test]
    fn without_steps_an_event_still_needs_an_id_a_type_and_a_time() {
        let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        assert_eq!(
            apply(bare, r#"{"id":7,"t":"x","at":1573841100}"#),
            r#"{"id":"7","t":"x","at":1573841100000000,"receivedAt":1573841200000000}"#
        );
        assert!(apply(bare, r#"{"t":"x","at":1573841100}"#).starts_with("encode: no_id"));
    }
}
