//! What a sink has landed of a lane: so that what the pipeline does twice, lands once.
//!
//! A frame comes again after a lost answer, a crash or a bisected retry, alone or among others, with the same positions in
//! the same lane. So a sink keeps, for each lane, **the ranges of positions that it landed**: an event in one of them is
//! skipped. It is no single mark that all lies behind: a dead letter leaves a gap, and is redriven into it.
//!
//! Objects cannot be written and noted in one step. So there are two kinds of items:
//!
//! - the *head* of a lane, one item: the *intent* of the last attempt, which objects it is about to put and until when.
//!   Who wants to land something replaces the head, if it is still the one that was read: so one attempt at a time works on
//!   a lane. Where the intent in it was never fulfilled, its objects go first. Its owner may be alive: so nobody replaces
//!   it before its time is over, but for an attempt at the very same objects, which only overwrites them. A deletion may be
//!   late as well: until it surely is over, nobody puts an object of that key, and each new head hands on what is doomed.
//! - the *log*, an item for each batch that landed: its ranges. With that item the intent is fulfilled.

use crate::frame::Position;
use crate::guard::Guard;
use crate::packed::{self, unpack};
use crate::port::{Between, Clock, Error, Item, KeyTable, Kind, When, Written};
use crate::record::Sequence;
use crate::time::Micros;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use twox_hash::XxHash3_64;

/// The position of a lane's head, behind all of its log.
const HEAD: &str = "~";

/// How long after its deadline an attempt may still have effects, milliseconds: requests on their way, and clocks that
/// differ.
const GRACE_MS: i64 = 5_000;

/// The most ranges that one batch lands of a lane: an item has to hold them.
pub const RANGES_MAX: usize = 6_000;

/// Positions from the first to the last, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first one.
    pub first: Position,
    /// The last one.
    pub last: Position,
}

impl Range {
    /// Just one position.
    #[must_use]
    pub fn of(position: Position) -> Self {
        Self { first: position.clone(), last: position }
    }
}

/// Ranges, in order. None lies within another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<Position, Position>);

impl Ranges {
    /// Adds a range.
    pub fn add(&mut self, range: Range) {
        if self.cover(&range) {
            return;
        }
        let within = self.0.range(&range.first..=&range.last).filter(|(_, last)| **last <= range.last);
        let within: Vec<_> = within.map(|(first, _)| first.clone()).collect();
        for first in &within {
            self.0.remove(first);
        }
        self.0.insert(range.first, range.last);
    }

    /// Whether a position is in one of them.
    #[must_use]
    pub fn has(&self, position: &Position) -> bool {
        self.0.range(..=position).next_back().is_some_and(|(_, last)| position <= last)
    }

    /// Whether all of a range is in one of them.
    #[must_use]
    pub fn cover(&self, range: &Range) -> bool {
        self.0.range(..=&range.first).next_back().is_some_and(|(_, last)| range.last <= *last)
    }

    /// Whether some of a range may be in one of them.
    #[must_use]
    pub fn meet(&self, range: &Range) -> bool {
        self.0.range(..=&range.last).next_back().is_some_and(|(_, last)| range.first <= *last)
    }
}

/// What is about to land of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The positions, at least one.
    pub ranges: Vec<Range>,
    /// The objects.
    pub keys: Vec<String>,
}

impl Plan {
    /// The place of its item in the log.
    fn position(&self) -> String {
        let first = self.ranges.iter().map(|range| &range.first).min();
        let last = self.ranges.iter().map(|range| &range.last).max();
        let place = |position: Option<&Position>| position.map(place).unwrap_or_default();
        format!("{}/{}", place(last), place(first))
    }
}

/// A position as text, in the order of the positions.
fn place(position: &Position) -> String {
    let digits = position.sequence.as_str();
    format!("{:03}{digits}.{:010}", digits.len(), position.index)
}

/// What a lane's head holds.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    /// The place of its item in the log, once it is fulfilled.
    position: String,
    /// What tells its ranges from others.
    ranges: u64,
    /// The objects that it puts.
    keys: Vec<String>,
    /// Objects of earlier attempts, which it deletes.
    stale: Vec<String>,
    /// Until when it may have effects.
    until: Micros,
    /// What attempts before it deleted, as far as these deletions may still be on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    doomed: Vec<Doomed>,
}

/// Objects that an attempt deletes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Doomed {
    keys: Vec<String>,
    /// Until when.
    until: Micros,
}

impl Intent {
    /// All deletions that may still be on their way.
    fn doomed(&self, now: Micros) -> Vec<Doomed> {
        let own = Doomed { keys: self.stale.clone(), until: self.until };
        let all = self.doomed.iter().cloned().chain([own]);
        all.filter(|doomed| !doomed.keys.is_empty() && now < doomed.until).collect()
    }
}

/// What an item of the log holds: for each range the first position and, where that is another one, the last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Logged {
    One(String, u32),
    Some(String, u32, String, u32),
}

/// What a sink has landed, by lane.
#[derive(Debug)]
pub struct Checkpoints<T> {
    sink: &'static str,
    table: Guard<T>,
    /// For how long an event may come again after it landed, milliseconds.
    kept_ms: i64,
    /// The heads that this instance fulfilled, by lane: it need not look.
    fulfilled: HashMap<String, u64>,
}

/// A lane as an attempt finds it.
#[derive(Debug)]
pub struct Lane {
    key: String,
    /// From here on its log was read.
    after: String,
    head: Option<(u64, Intent)>,
    /// Whether the head's intent was fulfilled, and is among what landed.
    is_fulfilled: bool,
    landed: Ranges,
}

impl Lane {
    /// The ranges that landed, from the first position on that was asked for.
    #[must_use]
    pub fn landed(&self) -> &Ranges {
        &self.landed
    }
}

/// What an attempt has in hand: the lane is its own until its deadline.
#[derive(Debug)]
pub struct Claim {
    key: String,
    version: u64,
    log: Item,
    /// Objects of earlier attempts, to be deleted before others are put.
    pub stale: Vec<String>,
}

/// Why a lane cannot be had.
#[derive(Debug)]
pub enum NoClaim {
    /// Another attempt may have it until then.
    Taken(Micros),
    /// The table failed.
    Failed(Error),
}

impl From<Error> for NoClaim {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<T: KeyTable> Checkpoints<T> {
    /// Those of the sink of this name.
    pub fn new(sink: &'static str, table: Guard<T>, kept_ms: i64) -> Self {
        Self { sink, table, kept_ms, fulfilled: HashMap::new() }
    }

    /// The table.
    pub const fn table(&self) -> &Guard<T> {
        &self.table
    }

    /// Reads what landed of a lane from this record on: the head first, so that what others land meanwhile replaces it, or
    /// is the intent in it.
    pub async fn read(
        &self,
        lane: &str,
        first: &Sequence,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Lane, Error> {
        let key = format!("{}/{lane}", self.sink);
        let digits = first.as_str();
        let after = format!("{:03}{digits}", digits.len());
        let mut found = Lane { key, after, head: None, is_fulfilled: false, landed: Ranges::default() };
        let mut before = None;
        loop {
            let between = Between { after: &found.after, before: before.as_deref(), backward: true };
            let page = self.page(&found.key, between, clock, deadline).await?;
            for item in &page.items {
                if item.position == HEAD {
                    found.head = Some((item.version, unpack(item)?));
                } else {
                    found.is_fulfilled |=
                        found.head.as_ref().is_some_and(|(_, intent)| intent.position == item.position);
                    let logged: Vec<Logged> = unpack(item)?;
                    for range in logged {
                        found.landed.add(range.into());
                    }
                }
            }
            match page.items.last() {
                Some(last) if page.more => before = Some(last.position.clone()),
                _ => return Ok(found),
            }
        }
    }

    /// Claims a lane for a plan, until the deadline.
    pub async fn claim(
        &self,
        lane: &Lane,
        plan: &Plan,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Claim, NoClaim> {
        let position = plan.position();
        let ranges = plan.ranges.iter().map(Logged::from).collect::<Vec<_>>();
        let print = XxHash3_64::oneshot(&serde_json::to_vec(&ranges).unwrap_or_default());
        let keys: HashSet<_> = plan.keys.iter().collect();
        let doomed = lane.head.as_ref().map(|(_, intent)| intent.doomed(clock.now())).unwrap_or_default();
        let in_the_way = doomed.iter().filter(|doomed| doomed.keys.iter().any(|key| keys.contains(key)));
        if let Some(until) = in_the_way.map(|doomed| doomed.until).max() {
            return Err(NoClaim::Taken(until));
        }
        let mut stale = Vec::new();
        if let Some((version, intent)) = &lane.head
            && !lane.is_fulfilled
            && self.fulfilled.get(&lane.key) != Some(version)
        {
            if self.is_logged(lane, intent, clock, deadline).await? {
                // What it landed is before all that was read, or came after it was read.
                if intent.position > lane.after {
                    return Err(NoClaim::Taken(clock.now()));
                }
            } else {
                let is_same =
                    intent.position == position && intent.ranges == print && intent.keys == plan.keys;
                if !is_same && clock.now() < intent.until {
                    return Err(NoClaim::Taken(intent.until));
                }
                stale.extend(intent.keys.iter().chain(&intent.stale).cloned());
                stale.retain(|key| !keys.contains(key));
            }
        }
        let until = deadline.plus_ms(GRACE_MS);
        let intent = Intent {
            position: position.clone(),
            ranges: print,
            keys: plan.keys.clone(),
            stale: stale.clone(),
            until,
            doomed,
        };
        let version = clock.random();
        let expires_at = clock.now().plus_ms(self.kept_ms);
        let item = |position: &str, version, body| Item {
            key: lane.key.clone(),
            position: position.to_owned(),
            version,
            expires_at,
            body,
        };
        let when = lane.head.as_ref().map_or(When::Absent, |(version, _)| When::Version(*version));
        let head = item(HEAD, version, pack(&intent)?);
        let written = self.table.call(clock, deadline, async |table| table.put(&head, when).await);
        match written.await? {
            Written::Done => {}
            // The answer of an attempt that had written it was lost.
            Written::Refused(Some(there)) if there.version == version => {}
            Written::Refused(there) => {
                let until = there.map_or(Ok(until), |there| unpack::<Intent>(&there).map(|it| it.until))?;
                return Err(NoClaim::Taken(until));
            }
        }
        Ok(Claim { key: lane.key.clone(), version, log: item(&position, version, pack(&ranges)?), stale })
    }

    /// Notes that all of a claim landed. Tells whether it was this attempt that landed it: another one at the very same
    /// objects may have been there before.
    pub async fn fulfil(
        &mut self,
        claim: Claim,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<bool, Error> {
        let Claim { key, version, log, .. } = claim;
        let written =
            self.table.call(clock, deadline, async |table| table.put(&log, When::Absent).await).await?;
        self.fulfilled.insert(key, version);
        Ok(match written {
            Written::Done => true,
            // Its own, if the answer was lost.
            Written::Refused(there) => there.is_some_and(|there| there.version == version),
        })
    }

    /// Whether what an intent wanted to land has landed by now.
    async fn is_logged(
        &self,
        lane: &Lane,
        intent: &Intent,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<bool, Error> {
        // Its first and last positions had not landed when it was made. So an item in this place is of this intent, or of
        // the same attempt again.
        let before = format!("{}!", intent.position);
        let after = intent.position.get(..intent.position.len() - 1).unwrap_or_default();
        let between = Between { after, before: Some(&before), backward: true };
        let page = self.page(&lane.key, between, clock, deadline).await?;
        Ok(page.items.iter().any(|item| item.position == intent.position))
    }

    async fn page(
        &self,
        key: &str,
        between: Between<'_>,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<crate::port::Page, Error> {
        self.table.call(clock, deadline, async |table| table.page(key, between).await).await
    }
}

impl From<Logged> for Range {
    fn from(logged: Logged) -> Self {
        let position = |sequence: String, index| Position { sequence: sequence.into(), index };
        match logged {
            Logged::One(sequence, index) => Self::of(position(sequence, index)),
            Logged::Some(first, first_index, last, last_index) => {
                Self { first: position(first, first_index), last: position(last, last_index) }
            }
        }
    }
}

impl From<&Range> for Logged {
    fn from(Range { first, last }: &Range) -> Self {
        let (digits, index) = (first.sequence.to_string(), first.index);
        if first == last {
            Self::One(digits, index)
        } else {
            Self::Some(digits, index, last.sequence.to_string(), last.index)
        }
    }
}

/// A plan as an item holds it.
fn pack(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let what = "pack a checkpoint".to_owned();
    packed::pack(value).ok_or(Error { what, kind: Kind::Permanent, source: None })
}
