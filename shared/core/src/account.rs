//! What became of each event, in numbers that must balance.

use serde::ser::{SerializeStruct as _, Serializer};
use serde::{Deserialize, Serialize};
use std::ops::Add;

/// The fate of the events that a transform took: `in = out + filtered + duplicates + quarantined`.
///
/// A record that cannot be cut into events counts as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events taken.
    pub r#in: usize,
    /// Passed on.
    pub out: usize,
    /// Dropped by a step that says so.
    pub filtered: usize,
    /// Seen before.
    pub duplicates: usize,
    /// Bad, and put away whole with the reason.
    pub quarantined: usize,
}

impl Tally {
    /// Whether every event taken ended in exactly one place.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.r#in == self.out + self.filtered + self.duplicates + self.quarantined
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            r#in: self.r#in + more.r#in,
            out: self.out + more.out,
            filtered: self.filtered + more.filtered,
            duplicates: self.duplicates + more.duplicates,
            quarantined: self.quarantined + more.quarantined,
        }
    }
}

/// What one step did: `in = out + dropped + quarantined`, and of those that went out some it changed. It counts work,
/// not fates: a batch that comes again counts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTally {
    /// The step's name.
    pub step: &'static str,
    /// Events that came to it.
    pub r#in: usize,
    /// Of those that went on, the ones it changed.
    pub changed: usize,
    /// Dropped.
    pub dropped: usize,
    /// Bad.
    pub quarantined: usize,
}

/// The fate of the events of an invocation that are safe, and what each step did to all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The fates.
    #[serde(flatten)]
    pub tally: Tally,
    /// 1 where ids within the window were not known, for want of memory; 0 is not written, for a metric costs money.
    #[serde(skip_serializing_if = "is_zero")]
    pub window_short: usize,
    /// The steps, in their order.
    pub steps: Vec<StepTally>,
}

impl Counts {
    /// Adds what a batch did to what those before it did.
    pub fn add(&mut self, more: Self) {
        self.tally = self.tally + more.tally;
        self.window_short += more.window_short;
        StepTally::add_all(&mut self.steps, more.steps);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl StepTally {
    /// A step that did nothing yet.
    #[must_use]
    pub fn new(step: &'static str) -> Self {
        Self { step, r#in: 0, changed: 0, dropped: 0, quarantined: 0 }
    }

    /// Adds what the same step did elsewhere.
    pub fn add(&mut self, more: &Self) {
        self.r#in += more.r#in;
        self.changed += more.changed;
        self.dropped += more.dropped;
        self.quarantined += more.quarantined;
    }

    /// Adds what the same steps, in the same order, did elsewhere; to none of them all.
    pub fn add_all(steps: &mut Vec<Self>, more: Vec<Self>) {
        if steps.is_empty() {
            *steps = more;
        } else {
            steps.iter_mut().zip(&more).for_each(|(sum, more)| sum.add(more));
        }
    }

    /// Events that went on.
    #[must_use]
    pub fn out(&self) -> usize {
        self.r#in - self.dropped - self.quarantined
    }
}

/// What went on is written, too, though it follows from the rest.
impl Serialize for StepTally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tally = serializer.serialize_struct("StepTally", 6)?;
        tally.serialize_field("step", self.step)?;
        tally.serialize_field("in", &self.r#in)?;
        tally.serialize_field("out", &self.out())?;
        tally.serialize_field("changed", &self.changed)?;
        tally.serialize_field("dropped", &self.dropped)?;
        tally.serialize_field("quarantined", &self.quarantined)?;
        tally.end()
    }
}

/// The fate of the events that a sink took: `in = landed + skipped + quarantined`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Landing {
    /// Events taken. A frame that cannot be read counts as one.
    pub r#in: usize,
    /// Written to the sink.
    pub landed: usize,
    /// Landed already by an earlier attempt.
    pub skipped: usize,
    /// Bad, and put away whole with the reason.
    pub quarantined: usize,
}

impl Landing {
    /// The same events, all of them landed by an earlier attempt.
    #[must_use]
    pub const fn seen(self) -> Self {
        Self { r#in: self.r#in, landed: 0, skipped: self.r#in, quarantined: 0 }
    }

    /// The same without so many of the skipped ones, which had not landed but were left for the next attempt.
    #[must_use]
    pub const fn without_skipped(self, events: usize) -> Self {
        Self { r#in: self.r#in.saturating_sub(events), skipped: self.skipped.saturating_sub(events), ..self }
    }

    /// Whether every event taken ended in exactly one place.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.r#in == self.landed + self.skipped + self.quarantined
    }
}

impl Add for Landing {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            r#in: self.r#in + more.r#in,
            landed: self.landed + more.landed,
            skipped: self.skipped + more.skipped,
            quarantined: self.quarantined + more.quarantined,
        }
    }
}
