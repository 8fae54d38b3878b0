//! `enrich.deadband`: whether a reading differs from those before it by more than noise.
//!
//! ```toml
//! enrich.deadband = { by = ["device"], value = "celsius", band = 0.5, time = "at", every = "15m", into = "moved" }
//! ```
//! `moved` is `true` for the first reading of a device, for one that differs by more than `band` from the last that moved, and
//! for one that comes `every` so long after it, as a sign of life. It is `false` for all others.
//!
//! | option | meaning |
//! | --- | --- |
//! | `by` | the fields that tell one series of readings from another |
//! | `value` | the field of the number |
//! | `band` | the largest difference that is noise, 0 or more, in the unit of the value |
//! | `time`, `every` | the field of when it was read, and how long a series may stand still: `90s`, `15m`, `1h`. Both or neither |
//! | `into` | the field of the answer |
//!
//! **It sees one batch at a time**, like `enrich.session`: what comes again after a failure must not depend on what another copy of the
//! function remembers, so a series begins anew with each batch, and its first reading there moved. With a `TransformWindow` of a minute and
//! a reading a second that leaves one reading a minute of a series that stands still. For the same reason it marks, and does not
//! drop: where only the rest of a batch comes again, other readings are the first. Do not drop by it either; leave them out
//! when you ask, `WHERE moved`, or exactly, over all batches, by the lake itself:
//!
//! ```sql
//! SELECT * FROM (SELECT *, lag(celsius) OVER (PARTITION BY device ORDER BY event_time) AS before FROM events)
//! WHERE before IS NULL OR abs(celsius - before) > 0.5
//! ```
//! Where a field of `by` or the value is missing, or is none, nothing is set. A reading that is older than the last that moved
//! moved, too. Beyond 100 000 series in a batch each reading of another one does. What a producer had put under `into` goes in any case. The
//! step rejects nothing.

use super::settings::{Scope, Span, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Number, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::seen;
use crate::time::Micros;
use serde::Deserialize;
use std::collections::HashMap;

/// How many series are known at a time: some 6 MB.
const SERIES_MAX: usize = 100_000;

pub(crate) struct Deadband {
    by: Vec<Path>,
    value: Path,
    band: f64,
    sign: Option<(Path, i64)>,
    into: Path,
    /// The last reading of each series that moved.
    last: HashMap<u128, Reading>,
    name: String,
}

#[derive(Clone, Copy)]
struct Reading {
    value: f64,
    at: Option<i64>,
}

/// `enrich.deadband`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fields that tell one series of readings from another.
    by: Vec<Path>,
    /// The field of the number.
    value: Path,
    /// The largest difference that is noise.
    #[schemars(range(min = 0.0))]
    band: f64,
    /// The field of when it was read.
    time: Option<Path>,
    /// How long a series may stand still.
    every: Option<Span>,
    /// The field of the answer.
    into: Path,
}

impl Step for Deadband {
    const NAME: &'static str = "enrich.deadband";
    type Settings = Settings;

    fn compile(settings: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { by, value, band, time, every, into } = settings;
        if !(band >= 0.0 && band.is_finite()) {
            return Err(Mistake::new(format!("`band` is {band}: it is 0 or more")));
        }
        let sign = match (time, every) {
            (Some(time), Some(every)) => Some((time, every.micros)),
            (None, None) => None,
            _ => {
                let help = "`every` is measured by `time`: leave both out where there is no sign of life";
                return Err(Mistake::new("one of `time` and `every` is missing").with_help(help));
            }
        };
        let by = some(by, "field in `by`")?;
        for read in by.iter().chain([&value]).chain(sign.as_ref().map(|(time, _)| time)) {
            Scope::default().apart(read, &into)?;
        }
        Ok(Self { by, value, band, sign, into, last: HashMap::new(), name: String::new() })
    }

    fn touches(&self) -> Touches {
        let time = self.sign.as_ref().map(|(time, _)| time);
        let reads = self.by.iter().chain([&self.value]).chain(time).cloned().map(Into::into);
        Touches { reads: reads.collect(), writes: vec![self.into.clone().into()], ..Touches::default() }
    }

    fn begin_batch(&mut self) {
        self.last.clear();
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        self.name.clear();
        let mut has_name = true;
        for path in &self.by {
            match event.find(path).filter(|id| !event.value(*id).is_null()) {
                // As JSON, so that what stands behind it cannot be taken for a part of it.
                Some(id) => event.write_value(id, &mut self.name),
                None => has_name = false,
            }
        }
        let value = event.get(&self.value).and_then(Value::as_number).map(Number::as_f64);
        let at = self.sign.as_ref().and_then(|(time, _)| event.get(time).and_then(Micros::read));
        match value {
            Some(value) if has_name => {
                let moved = self.moved(Reading { value, at: at.map(Micros::get) });
                if event.get(&self.into).and_then(Value::as_bool) != Some(moved) {
                    event.put(&self.into, New::Bool(moved));
                }
            }
            _ => event.remove_at(&self.into),
        }
        Verdict::Keep
    }
}

impl Deadband {
    /// Whether a reading of the series at hand moved.
    fn moved(&mut self, new: Reading) -> bool {
        let series = seen::hash(&self.name);
        let is_full = self.last.len() >= SERIES_MAX;
        let every = self.sign.as_ref().map_or(i64::MAX, |(_, every)| *every);
        let Some(last) = self.last.get_mut(&series) else {
            if !is_full {
                self.last.insert(series, new);
            }
            return true;
        };
        let since = new.at.zip(last.at).map(|(new, last)| new.saturating_sub(last));
        if since.is_some_and(|since| since < 0) {
            return true;
        }
        let moved = (new.value - last.value).abs() > self.band || since.is_some_and(|since| since >= every);
        if moved {
            *last = new;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, refuse, step};
    use expect_test::expect;

    fn band() -> Deadband {
        step(
            r#"{ by = ["d", "k"], value = "v", band = 0.5, time = "at", every = "15m", into = "moved" }"#,
            &crate::files::NONE,
        )
    }

    fn moved(step: &mut Deadband, device: &str, value: f64, at: i64) -> bool {
        let after = play(step, &format!(r#"{{"d":"{device}","k":1,"v":{value},"at":{at}}}"#));
        serde_json::from_str::<serde_json::Value>(&after).unwrap()["moved"].as_bool().unwrap()
    }

    #[test]
    fn noise_is_told_from_change_and_silence() {
        let (mut step, start) = (band(), 1_573_841_100);
        for (device, value, at, expected) in [
            ("a", 20.0, 0, true),
            ("a", 20.5, 1, false),
            ("a", 20.25, 2, false),
            ("b", 20.25, 2, true),
            ("a", 20.75, 3, true),
            ("a", 20.25, 4, false),
            ("a", 20.5, 3 + 900, true),
            ("a", 20.5, 3 + 901, false),
            ("a", 20.5, 2, true),
            ("a", 20.5, 3 + 902, false),
        ] {
            assert_eq!(moved(&mut step, device, value, start + at), expected, "{device} {value} {at}");
        }
        // Slow drift is change, too: it is measured from the last that moved.
        let drift: Vec<_> = (0..6).map(|n| moved(&mut step, "c", f64::from(n) * 0.25, start)).collect();
        assert_eq!(drift, [true, false, false, true, false, false]);
    }

    #[test]
    fn a_batch_begins_anew() {
        let mut step = band();
        let batch = |step: &mut Deadband| {
            Step::begin_batch(step);
            (0..20).map(|n| moved(step, "a", f64::from(n % 7) * 0.2, 1_573_841_100)).collect::<Vec<_>>()
        };
        let first = batch(&mut step);
        assert_eq!(batch(&mut step), first);
        assert!(first[0] && first.contains(&false));
    }

    #[test]
    fn what_is_no_reading_gets_no_answer_and_a_claim_goes() {
        for event in [
            r#"{"moved":true}"#,
            r#"{"moved":true,"d":"a","k":1}"#,
            r#"{"moved":true,"d":"a","k":1,"v":"20"}"#,
            r#"{"moved":true,"d":null,"k":1,"v":20}"#,
        ] {
            assert!(!play(&mut band(), event).contains("moved"), "{event}");
        }
        assert_eq!(
            play(&mut band(), r#"{"moved":7,"d":"a","k":1,"v":20}"#),
            r#"{"moved":true,"d":"a","k":1,"v":20}"#
        );
    }

    #[test]
    fn series_are_not_mixed_up_and_are_bounded() {
        let mut step = band();
        let mut is_first = |event: &str| play(&mut step, event).contains("true");
        assert!(is_first(r#"{"d":"a","k":"bc","v":1}"#) && is_first(r#"{"d":"ab","k":"c","v":1}"#));
        assert!(!is_first(r#"{"d":"a","k":"bc","v":1}"#));
        for series in 0..SERIES_MAX + 10 {
            step.name = series.to_string();
            step.moved(Reading { value: 1.0, at: None });
        }
        assert_eq!(step.last.len(), SERIES_MAX);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Deadband>(
            r#"{ by = ["d"], value = "v", band = -1.0, into = "m" }"#,
            &expect!["`band` is -1: it is 0 or more"],
        );
        refuse::<Deadband>(
            r#"{ by = ["d"], value = "v", band = 1.0, every = "1h", into = "m" }"#,
            &expect![
                "one of `time` and `every` is missing = `every` is measured by `time`: leave both out where there is no sign of life"
            ],
        );
        refuse::<Deadband>(
            r#"{ by = [], value = "v", band = 1.0, into = "m" }"#,
            &expect![[r#"no field in `by` is named, so the step does nothing"#]],
        );
        refuse::<Deadband>(
            r#"{ by = ["d"], value = "v", band = 1.0, into = "v" }"#,
            &expect!["`into` is `v`: to write it would replace `v`, which is read"],
        );
    }
}
