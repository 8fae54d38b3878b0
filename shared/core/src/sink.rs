//! What every sink does with the frames of the clean stream, but for what it writes.
//!
//! Frames are taken lane by lane. What landed already is skipped, a frame that is only partly new is cut, what cannot be
//! read goes to the quarantine, and the objects of the rest are put: all of a lane's, or the lane comes again. Each lane has
//! objects of its own, so that a lane which fails takes back nothing of another.

use crate::account::Landing;
use crate::checkpoint::{Checkpoints, Claim, NoClaim, Plan, RANGES_MAX, Range, Ranges};
use crate::frame::{self, Header, Position, Reader};
use crate::guard::{Guard, Health};
use crate::port::{Clock, Error, KeyTable, Kind, ObjectStore};
use crate::quarantine::{self, Entry};
use crate::record::{Record, Sequence, Source};
use crate::time::Micros;
use crate::transformer::{Stuck, put_object, slow_down};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

/// How many objects are put side by side. A batch whose events' times are scattered has thousands of them.
const PUTS_AT_ONCE: usize = 16;

/// How many objects are put of a lane at a time, but for the last few: so many, at 50 ms each, are put in a quarter of a
/// minute. A batch whose events' times are made up may have ten times as many.
pub const OBJECTS_MAX: usize = 4_000;

/// What a sink makes of events.
pub trait Sink {
    /// A fault of its own, never of the data.
    type Error;

    /// Lays out the events of these frames as objects, of which `name` tells this batch from all others. The same frames
    /// make the same keys.
    fn lay_out(&mut self, name: &str, frames: &[Cut<'_>]) -> Result<Laid, Self::Error>;
}

/// A frame as it came, and which of its events are to land.
#[derive(Debug)]
pub struct Cut<'a> {
    /// The record of the clean stream.
    pub record: Record<'a>,
    /// Which events.
    pub lands: Lands,
}

impl<'a> Cut<'a> {
    /// A frame of which all is to land.
    #[must_use]
    pub fn whole(record: Record<'a>) -> Self {
        Self { record, lands: Lands::All }
    }
}

/// Which events of a frame are to land.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lands {
    /// All of them.
    All,
    /// Those of which it says so, in their order.
    Those(Vec<bool>),
}

impl Lands {
    /// Whether the event of this place is to land, counted from 0.
    #[must_use]
    pub fn has(&self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Those(those) => those.get(place).is_some_and(|lands| *lands),
        }
    }
}

/// What a sink made of events.
#[derive(Debug, Default)]
pub struct Laid {
    /// What to put.
    pub objects: Vec<Object>,
    /// What is for the quarantine: frames, or events of good ones, that cannot be read.
    pub rejects: Vec<Entry>,
    /// The fate of the events, if all of this is put.
    pub landing: Landing,
}

/// An object to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// What it holds.
    pub body: Vec<u8>,
}

/// What surrounds a sink.
#[derive(Debug)]
pub struct Driver<T, O, Q, C> {
    /// The function it works for, as the quarantine names it.
    pub function: &'static str,
    /// What landed.
    pub checkpoints: Checkpoints<T>,
    /// Where the sink's objects go.
    pub objects: Guard<O>,
    /// The quarantine's bucket.
    pub quarantine: Guard<Q>,
    /// The clock.
    pub clock: C,
    /// Reads the positions in frames.
    pub reader: Reader,
}

/// How far a batch came.
#[derive(Debug, Default)]
pub struct Landed {
    /// The fate of the events that were worked on.
    pub landing: Landing,
    /// What failed, if something did.
    pub stuck: Option<Stuck>,
    /// From here on the batch was too much at once and has to come again, though nothing failed.
    pub rest: Option<Sequence>,
}

/// The frames of one lane, in the order of the batch.
type OfLane<'r> = (String, Vec<(Record<'r>, Header)>);

impl<T: KeyTable, O: ObjectStore, Q: ObjectStore, C: Clock> Driver<T, O, Q, C> {
    /// Lands one batch of a shard of the clean stream.
    pub async fn land<'r, S: Sink>(
        &mut self,
        sink: &mut S,
        source: &Source,
        records: impl Iterator<Item = Record<'r>>,
        deadline: Micros,
    ) -> Result<Landed, S::Error> {
        let began = self.clock.now();
        let (lanes, rejects) = by_lane(records);
        let mut out = Landed::default();
        for (lane, frames) in lanes {
            let Some(first) = frames.first().map(|(record, _)| Sequence::from(record.sequence)) else {
                continue;
            };
            match self.land_lane(sink, source, &lane, &frames, deadline).await? {
                Ok((landing, rest)) => {
                    out.landing = out.landing + landing;
                    out.rest = out.rest.into_iter().chain(rest).min();
                }
                Err(why) => out.fail(first, why),
            }
        }
        let bad = Landing { r#in: rejects.len(), quarantined: rejects.len(), ..Landing::default() };
        match (rejects.first(), self.put_away(source, &rejects, deadline).await) {
            (Some(first), Err(why)) => out.fail(first.sequence.clone(), why),
            _ => out.landing = out.landing + bad,
        }
        debug_assert!(out.landing.balances(), "every event ends in exactly one place");
        if out.stuck.is_some() {
            slow_down(began, &self.clock, deadline).await;
        }
        Ok(out)
    }

    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let stores = self.objects.health().into_iter().chain(self.quarantine.health());
        stores.chain(self.checkpoints.table().health()).collect()
    }

    /// Lands what is new of a lane, all or nothing. Tells also from where on it was too much at once.
    async fn land_lane<S: Sink>(
        &mut self,
        sink: &mut S,
        source: &Source,
        lane: &str,
        frames: &[(Record<'_>, Header)],
        deadline: Micros,
    ) -> Result<Result<(Landing, Option<Sequence>), Error>, S::Error> {
        let Some(first) = frames.iter().map(|(_, header)| &header.first).min() else {
            return Ok(Ok((Landing::default(), None)));
        };
        let mut found = match self.checkpoints.read(lane, first, &self.clock, deadline).await {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let mut events_max = usize::MAX;
        loop {
            let New { cuts, ranges, events, put_off, skipped, rest } =
                self.cut(found.landed().clone(), frames, events_max);
            let seen = Landing { r#in: skipped, skipped, ..Landing::default() };
            if ranges.is_empty() {
                return Ok(Ok((seen, rest)));
            }
            let Laid { objects, rejects, landing } = sink.lay_out(&name(lane, &ranges), &cuts)?;
            if objects.len() > OBJECTS_MAX && events > 1 {
                events_max = (events * OBJECTS_MAX / objects.len()).max(1);
                continue;
            }
            let landing = landing.without_skipped(put_off);
            let plan = Plan { ranges, keys: objects.iter().map(|object| object.key.clone()).collect() };
            match self.checkpoints.claim(&found, &plan, &self.clock, deadline).await {
                Ok(claim) => {
                    let done = self.put(claim, objects, &rejects, source, deadline).await;
                    let fate = |is_first| if is_first { landing } else { landing.seen() };
                    return Ok(done.map(|is_first| (seen + fate(is_first), rest)));
                }
                // Where there is time left to work afterwards, it is waited for here. What is new is worked out anew: its
                // owner may have been alive.
                Err(NoClaim::Taken(until)) if self.has_time_after(until, deadline) => {
                    self.clock.sleep(self.clock.now().until(until)).await;
                    found = match self.checkpoints.read(lane, first, &self.clock, deadline).await {
                        Ok(found) => found,
                        Err(why) => return Ok(Err(why)),
                    };
                }
                Err(NoClaim::Taken(_)) => return Ok(Err(taken(lane))),
                Err(NoClaim::Failed(why)) => return Ok(Err(why)),
            }
        }
    }

    /// Half of the time, or more, is left after that moment.
    fn has_time_after(&self, moment: Micros, deadline: Micros) -> bool {
        let now = self.clock.now();
        now.until(moment) <= moment.until(deadline)
    }

    /// Works out what of the frames is new, so many events at most, and cuts off the rest.
    fn cut<'r>(&mut self, mut landed: Ranges, frames: &[(Record<'r>, Header)], events_max: usize) -> New<'r> {
        let mut new = New::default();
        for (record, header) in frames {
            let whole = whole(header);
            let room = events_max - new.events;
            let fits = header.events as usize <= room;
            let mut put_off = 0;
            let (lands, ranges) = if fits && !header.scattered && !landed.meet(&whole) {
                (Lands::All, vec![whole])
            } else if !header.scattered && landed.cover(&whole) {
                new.skipped += header.events as usize;
                continue;
            } else if let Ok((_, body)) = self.reader.read(record.data)
                && let Ok(positions) = body.positions()
            {
                let mut taken = 0;
                let lands: Vec<_> = positions
                    .iter()
                    .map(|position| {
                        let is_new = !landed.has(position);
                        taken += usize::from(is_new);
                        put_off += usize::from(is_new && taken > room);
                        is_new && taken <= room
                    })
                    .collect();
                let ranges = runs(positions, &lands, header.scattered);
                (Lands::Those(lands), ranges)
            } else if header.scattered {
                // It is damaged, as the sink will find. What lies between its ends may be in other frames.
                (Lands::All, vec![Range::of(whole.first), Range::of(whole.last)])
            } else {
                (Lands::All, vec![whole]) // it is damaged too
            };
            // What is damaged cannot be cut.
            let is_over = !fits && lands == Lands::All || new.ranges.len() + ranges.len() > RANGES_MAX;
            if is_over && !new.ranges.is_empty() || ranges.is_empty() && put_off > 0 {
                new.rest = Some(record.sequence.into());
                break;
            }
            if ranges.is_empty() {
                new.skipped += header.events as usize;
                continue;
            }
            ranges.iter().cloned().for_each(|range| landed.add(range));
            new.ranges.extend(ranges);
            new.events += match &lands {
                Lands::All => header.events as usize,
                Lands::Those(lands) => lands.iter().filter(|lands| **lands).count(),
            };
            new.cuts.push(Cut { record: *record, lands });
            if put_off > 0 {
                new.put_off = put_off;
                new.rest = Some(record.sequence.into());
                break;
            }
        }
        new
    }

    /// Puts a lane's objects and its bad data, and notes that they are there. Tells whether another attempt at the same
    /// had not noted it before.
    async fn put(
        &mut self,
        mut claim: Claim,
        objects: Vec<Object>,
        rejects: &[Entry],
        source: &Source,
        deadline: Micros,
    ) -> Result<bool, Error> {
        let (store, clock) = (&self.objects, &self.clock);
        let stale = std::mem::take(&mut claim.stale);
        let deletes =
            stale.iter().map(|key| store.call(clock, deadline, async |store| store.delete(key).await));
        stream::iter(deletes).buffer_unordered(PUTS_AT_ONCE).try_collect::<()>().await?;
        let puts = objects
            .into_iter()
            .map(|Object { key, body }| async move { put_object(store, &key, body, clock, deadline).await });
        stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).try_collect::<()>().await?;
        self.put_away(source, rejects, deadline).await?;
        self.checkpoints.fulfil(claim, &self.clock, deadline).await
    }

    /// Puts bad data into the quarantine.
    async fn put_away(&self, source: &Source, rejects: &[Entry], deadline: Micros) -> Result<(), Error> {
        let Some(mut page) = quarantine::page(self.function, source, rejects) else { return Ok(()) };
        // A frame that lands in parts may have bad events in more than one of them.
        if let Some(index) = rejects.first().and_then(|first| first.index)
            && let Some(begin) = page.key.strip_suffix(".ndjson.gz")
        {
            page.key = format!("{begin}-{index}.ndjson.gz");
        }
        put_object(&self.quarantine, &page.key, page.body, &self.clock, deadline).await
    }
}

impl Landed {
    /// The first record that has to come again.
    #[must_use]
    pub fn again(&self) -> Option<&Sequence> {
        self.stuck.iter().map(|stuck| &stuck.from).chain(&self.rest).min()
    }

    fn fail(&mut self, from: Sequence, why: Error) {
        match &mut self.stuck {
            Some(stuck) => stuck.from = std::cmp::min(stuck.from.clone(), from),
            none => *none = Some(Stuck { from, why }),
        }
    }
}

/// What is new of a lane.
#[derive(Default)]
struct New<'r> {
    cuts: Vec<Cut<'r>>,
    ranges: Vec<Range>,
    /// The events that are to land.
    events: usize,
    /// Events of the last frame that are left for the next time.
    put_off: usize,
    skipped: usize,
    rest: Option<Sequence>,
}

/// Sorts frames by their lanes; what is no frame is bad data.
fn by_lane<'r>(records: impl Iterator<Item = Record<'r>>) -> (Vec<OfLane<'r>>, Vec<Entry>) {
    let mut lanes: Vec<OfLane<'r>> = Vec::new();
    let mut rejects = Vec::new();
    for record in records {
        match frame::header(record.data) {
            Ok((header, _)) => match lanes.iter_mut().find(|(lane, _)| *lane == header.lane) {
                Some((_, frames)) => frames.push((record, header)),
                None => lanes.push((header.lane.clone(), vec![(record, header)])),
            },
            Err(reject) => rejects.push(Entry::of(&record, None, reject, record.data)),
        }
    }
    (lanes, rejects)
}

/// All positions of a frame, of a lane with an order.
fn whole(header: &Header) -> Range {
    let position = |sequence: &Sequence, index| Position { sequence: sequence.clone(), index };
    Range {
        first: position(&header.first, header.first_index),
        last: position(&header.last, header.last_index),
    }
}

/// The ranges of those events that land: runs of neighbours, or in a scattered lane each for itself.
fn runs(positions: Vec<Position>, lands: &[bool], scattered: bool) -> Vec<Range> {
    let mut runs: Vec<Range> = Vec::new();
    let mut goes_on = false;
    for (position, lands) in positions.into_iter().zip(lands) {
        match runs.last_mut() {
            Some(run) if *lands && goes_on => run.last = position,
            _ if *lands => runs.push(Range::of(position)),
            _ => {}
        }
        goes_on = *lands && !scattered;
    }
    runs
}

/// What tells the objects of a batch of a lane from all others: the lane, and the first and the last position in it.
fn name(lane: &str, ranges: &[Range]) -> String {
    let place = |position: Option<&Position>| {
        position.map(|position| format!("{}.{}", position.sequence, position.index)).unwrap_or_default()
    };
    let first = place(ranges.iter().map(|range| &range.first).min());
    let last = place(ranges.iter().map(|range| &range.last).max());
    format!("{}-{first}-{last}", lane.replace('/', "."))
}

fn taken(lane: &str) -> Error {
    let what = format!("an earlier attempt may still be at work on the lane {lane}");
    Error { what, kind: Kind::Transient, source: None }
}
