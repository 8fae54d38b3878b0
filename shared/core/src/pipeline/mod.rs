//! `pipeline.toml`: read, checked, compiled, and applied to events.

mod file;
mod lake;

pub use file::{EventSettings, MissingId};
pub use lake::{Column, ColumnType, FIXED_COLUMNS, LakeSettings};

use crate::event::{Event, Path};
use crate::mistake::Mistakes;
use crate::quarantine::Reject;
use crate::step::{Apply, Context, Verdict};
use crate::time::Micros;
use serde_json::Value;

/// The field that holds when an event was received. Ingest writes it; elsewhere the stream's arrival time stands in.
pub const RECEIVED_AT: &str = "receivedAt";

/// The earliest event time that lands: 2015-01-01T00:00:00Z. The lake's table projects its partitions from here on,
/// and what landed before would be invisible there.
pub const EARLIEST: i64 = 1_420_070_400_000_000;

/// How far an event's time may lie ahead of its receipt: a day, as far as the lake's table projects ahead.
const AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// How deep an event may be nested: a sink reads as deep as the decoder does, 127 levels.
const DEPTH_MAX: usize = 120;

/// A compiled pipeline.
pub struct Pipeline {
    event: EventSettings,
    steps: Vec<Box<dyn Apply>>,
    lake: LakeSettings,
    received_at: Path,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It goes on, clean.
    Out(Clean),
    /// The step of this name dropped it.
    Filtered(&'static str),
    /// It is bad.
    Rejected(Reject),
}

/// An event that went through all steps and has what the lake needs. Its time and its receipt are UTC microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Clean(pub Event);

impl Pipeline {
    /// Compiles the text of a `pipeline.toml`, or tells all that is wrong with it.
    pub fn compile(text: &str) -> Result<Self, Mistakes> {
        let (file, mut mistakes) = file::read(text);
        let (steps, step_mistakes) = file.compile_steps();
        mistakes.extend(step_mistakes);
        match (file.event, file.lake, mistakes.is_empty()) {
            (Some(event), Some(lake), true) => {
                Ok(Self { event, steps, lake, received_at: file::received_at() })
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

    /// The names of the steps, in their order.
    pub fn steps(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|step| step.name())
    }

    /// Runs the steps on an event that its stream took at `arrived_at`.
    #[must_use]
    pub fn apply(&self, mut event: Event, arrived_at: Micros, cx: &Context<'_>) -> Outcome {
        for step in &self.steps {
            match step.apply(&mut event, cx) {
                Verdict::Keep => {}
                Verdict::Drop => return Outcome::Filtered(step.name()),
                Verdict::Reject(reason, detail) => {
                    return Outcome::Rejected(Reject { stage: step.name(), reason, detail });
                }
            }
        }
        self.seal(event, arrived_at).map_or_else(Outcome::Rejected, Outcome::Out)
    }

    /// Makes sure that the event has an id, a type and a time that can land.
    fn seal(&self, mut event: Event, arrived_at: Micros) -> Result<Clean, Reject> {
        let reject =
            |reason, path: &Path, what: &str| Reject::new("encode", reason, format!("`{path}` {what}"));
        match event.present(&self.event.id) {
            Some(Value::String(id)) if !id.is_empty() => {}
            Some(Value::Number(id)) if !id.is_f64() => {
                let id = id.to_string();
                event.set(&self.event.id, id);
            }
            _ => {
                return Err(reject(
                    "no_id",
                    &self.event.id,
                    "is missing, empty, or neither string nor integer",
                ));
            }
        }
        if event.present(&self.event.r#type).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(reject("no_type", &self.event.r#type, "is missing, empty, or no string"));
        }
        let Some(time) = event.get(&self.event.time).and_then(Micros::read) else {
            return Err(reject("no_time", &self.event.time, "is missing, or no time that can be read"));
        };
        // A producer may say when it received the event, but not that this is still to come.
        let received_at =
            event.get(&self.received_at).and_then(Micros::read).map_or(arrived_at, |at| at.min(arrived_at));
        if time.get() < EARLIEST || time > received_at.plus_ms(AHEAD_MAX_MS) {
            let what = "lies before 2015 or more than a day after the event was received";
            return Err(reject("time_out_of_range", &self.event.time, what));
        }
        if event.is_deeper_than(DEPTH_MAX) {
            let detail = format!("a step nested the event deeper than {DEPTH_MAX} levels");
            return Err(Reject::new("encode", "too_deep", detail));
        }
        event.set(&self.event.time, time.get());
        event.set(&self.received_at, received_at.get());
        Ok(Clean(event))
    }
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
    use crate::token::TokenKey;
    use expect_test::{Expect, expect};

    const SHIPPED: &str = include_str!("../../../../pipeline.toml");

    fn apply(pipeline: &str, event: &str) -> String {
        let pipeline = Pipeline::compile(pipeline).unwrap();
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
        match pipeline.apply(serde_json::from_str(event).unwrap(), arrived_at, &Context { key: &key }) {
            Outcome::Out(Clean(event)) => event.to_string(),
            Outcome::Filtered(step) => format!("filtered by {step}"),
            Outcome::Rejected(why) => why.to_string(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn shipped(event: &str, expected: Expect) {
        expected.assert_eq(&apply(SHIPPED, event));
    }

    #[test]
    fn the_shipped_pipeline_cleans_a_clickstream() {
        shipped(
            r#"{"id":"e1","eventType":"purchase","timestamp":"2019-11-15 18:05:00Z","receivedAt":"2019-11-15T18:05:01Z",
                "userId":"u1","email":"ann@example.com","ip":"203.0.113.77","price":"80","path":"https://shop.example.com/p/7?utm_source=mail&email=ann@example.com"}"#,
            expect![[
                r#"{"discount":8.0,"email":"k1:093e3dd9df951c5008225d533a0175475075f7551ed269c5e61fa29bc2819ae4","eventType":"purchase","id":"e1","ip":"203.0.113.0","page":{"host":"shop.example.com","path":"/p/7","utm_source":"mail"},"price":80.0,"receivedAt":1573841101000000,"timestamp":1573841100000000,"userId":"k1:39536bc0c20e6efcd22ec30bb96eec5aff9be6a37fe8e9db166b4cc950c94e7e"}"#
            ]],
        );
    }

    #[test]
    fn the_shipped_pipeline_drops_what_is_not_wanted() {
        shipped(r#"{"eventType":"view","timestamp":0}"#, expect!["filtered by clean.require"]);
        shipped(r#"{"id":"e1","timestamp":0}"#, expect!["filtered by clean.require"]);
        shipped(r#"{"id":"e1","eventType":"view"}"#, expect!["filtered by clean.require"]);
        shipped(
            r#"{"id":"e1","eventType":"view","timestamp":1573841100,"price":9.99}"#,
            expect!["filtered by filter.keep"],
        );
    }

    #[test]
    fn what_cannot_land_is_rejected() {
        shipped(
            r#"{"id":"e1","eventType":"view","timestamp":"soon"}"#,
            expect!["encode: no_time: `timestamp` is missing, or no time that can be read"],
        );
        shipped(
            r#"{"id":"e1","eventType":"view","timestamp":0}"#,
            expect![
                "encode: time_out_of_range: `timestamp` lies before 2015 or more than a day after the event was received"
            ],
        );
        shipped(
            r#"{"id":"e1","eventType":"view","timestamp":1573941200}"#,
            expect![
                "encode: time_out_of_range: `timestamp` lies before 2015 or more than a day after the event was received"
            ],
        );
        shipped(
            r#"{"id":["e1"],"eventType":"view","timestamp":1573841100}"#,
            expect!["encode: no_id: `id` is missing, empty, or neither string nor integer"],
        );
        shipped(
            r#"{"id":"e1","eventType":7,"timestamp":1573841100}"#,
            expect!["encode: no_type: `eventType` is missing, empty, or no string"],
        );
        shipped(
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
            apply(&pipeline, r#"{"id":"a","t":"x","at":1573841100,"a":1}"#).starts_with("encode: too_deep")
        );
    }

    #[test]
    fn without_steps_an_event_still_needs_an_id_a_type_and_a_time() {
        let bare = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
        assert_eq!(
            apply(bare, r#"{"id":7,"t":"x","at":1573841100}"#),
            r#"{"at":1573841100000000,"id":"7","receivedAt":1573841200000000,"t":"x"}"#
        );
        assert!(apply(bare, r#"{"t":"x","at":1573841100}"#).starts_with("encode: no_id"));
    }
}
