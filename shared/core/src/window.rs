//! The ids that a lane let out within a time: what a client sends again is a duplicate.
//!
//! A resent event has the same partition key, so it arrives on the same shard, and one function at a time works on a
//! shard. So what is known is kept by lane and batch: **an item holds the ids that a batch lets out, and is written
//! before any of them goes out**. An event is a duplicate only where its id was let out at *another* position: a batch
//! that comes again, whole or cut otherwise, finds its own ids at their own positions and lets them out again. The
//! window is measured by arrival times, and by no clock, so that an attempt decides like the one before it.
//!
//! An instance keeps in memory what it read, and reads only what is new. A child shard begins with the ids of its parents;
//! what is redriven in a parent looks at its children too, and is written down for them.

mod item;
mod lane;

use crate::guard::{Guard, Health};
use crate::port::{Between, Clock, Error, Item, KeyTable, Lineage, When};
use crate::record::Source;
use crate::time::Micros;
use futures_util::future::try_join;
pub use item::Outgoing;
use lane::{Batch, Lane};
use std::collections::{BTreeSet, HashMap};

/// What stands before the position of an item that a redrive wrote, and before the time of it: such items sort behind all
/// others, where every instance finds those that matter, for what they tell of lies far back.
const REDRIVEN: &str = "~";

/// By how much the arrival times of a stream may be out of order, milliseconds.
const DISORDER_MS: i64 = 10_000;

/// How long ids are known, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// For how long after its arrival an event makes duplicates of those with its id, milliseconds.
    pub window_ms: i64,
    /// For how long a record may be tried again, milliseconds: an attempt needs what the first one knew.
    pub retries_ms: i64,
    /// The most ids in memory, over all lanes: each takes some 70 bytes where it came in a record of its own, and up to 116
    /// while a window is read. Where a window has more, its oldest are forgotten early.
    pub ids_max: usize,
}

/// A batch, before it is worked on.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Where it comes from.
    pub source: &'a Source,
    /// The sequence number of its first record.
    pub first: &'a str,
    /// When its first record arrived.
    pub arrived_at: Micros,
    /// When its last record arrived.
    pub until: Micros,
    /// Whether it was a dead letter: later records went out before it.
    pub redriven: bool,
}

/// What is known of an event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// No other event with it was let out.
    New,
    /// Another one was.
    Duplicate,
    /// No other one was. But an earlier attempt at this very record wrote down what it lets out, and this is not among
    /// it: another version of the pipeline decided otherwise.
    Late,
}

/// What is known of ids.
pub trait Knows {
    /// What is known of an id that came with this record of the batch at hand.
    fn known(&self, id: u128, sequence: &str, arrived_at: Micros) -> Known;

    /// Whether an earlier attempt let anything of this record out, or noted that it would.
    fn let_out(&self, sequence: &str) -> bool;
}

/// What a stage remembers of the ids that it let out.
pub trait Memory: Knows {
    /// Makes known what a batch must know.
    fn open(
        &mut self,
        batch: Bounds<'_>,
        clock: &impl Clock,
        deadline: Micros,
    ) -> impl Future<Output = Result<(), Error>>;

    /// Writes down what the batch lets out. To be done before it goes out.
    fn keep(
        &mut self,
        out: &Outgoing,
        clock: &impl Clock,
        deadline: Micros,
    ) -> impl Future<Output = Result<(), Error>>;

    /// How its dependencies are.
    fn health(&self) -> Vec<Health>;

    /// Whether the batch was worked on without all that it should know, because there is no memory for so many ids: what
    /// is sent again late may go out twice.
    fn is_short(&self) -> bool;
}

/// Remembers nothing: for a source whose events come once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Knows for Forgetful {
    fn known(&self, _id: u128, _sequence: &str, _arrived_at: Micros) -> Known {
        Known::New
    }

    fn let_out(&self, _sequence: &str) -> bool {
        false
    }
}

impl Memory for Forgetful {
    async fn open(&mut self, _: Bounds<'_>, _: &impl Clock, _: Micros) -> Result<(), Error> {
        Ok(())
    }

    async fn keep(&mut self, _: &Outgoing, _: &impl Clock, _: Micros) -> Result<(), Error> {
        Ok(())
    }

    fn health(&self) -> Vec<Health> {
        Vec::new()
    }

    fn is_short(&self) -> bool {
        false
    }
}

/// Remembers by way of a table.
#[derive(Debug)]
pub struct Window<T, L> {
    table: Guard<T>,
    lineage: Guard<L>,
    span: Span,
    lanes: HashMap<String, Lane>,
    /// The lane that is open.
    open: String,
    redriven: bool,
    /// The shards that came from that of a redriven batch.
    heirs: Vec<String>,
    /// Counts batches, to tell which lane nobody used for long.
    batches: u64,
}

/// Where reading a lane's items ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the last one.
    Last,
    /// At one that is not wanted any more.
    Stop,
    /// There was no room for the next one, which had ids until this moment.
    Room(Micros),
}

impl End {
    /// Up to which moment there may be ids that were not read.
    fn cut(self) -> Micros {
        match self {
            Self::Room(until) => until,
            Self::Last | Self::Stop => Micros::EPOCH,
        }
    }
}

impl<T: KeyTable, L: Lineage> Window<T, L> {
    /// A window in this table, over the shards of a stream.
    pub fn new(table: Guard<T>, lineage: Guard<L>, span: Span) -> Self {
        Self {
            table,
            lineage,
            span,
            lanes: HashMap::new(),
            open: String::new(),
            redriven: false,
            heirs: Vec::new(),
            batches: 0,
        }
    }

    /// The table.
    pub const fn table(&self) -> &Guard<T> {
        &self.table
    }

    /// What tells the parents of a shard.
    pub const fn lineage(&self) -> &Guard<L> {
        &self.lineage
    }

    /// How many ids are in memory.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.lanes.values().map(Lane::ids).sum()
    }

    /// Reads items of a lane, in the order that is asked for, until one says stop or there is no more room. Tells where
    /// it ended.
    async fn read(
        &self,
        key: &str,
        between: Between<'_>,
        stop: impl Fn(&Batch) -> bool,
        room: usize,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(Vec<Batch>, End), Error> {
        let mut batches = Vec::new();
        let mut ids = 0;
        let mut last: Option<String> = None;
        loop {
            let between = match &last {
                Some(last) if between.backward => Between { before: Some(last), ..between },
                Some(last) => Between { after: last, ..between },
                None => between,
            };
            let page = self.table.call(clock, deadline, async |table| table.page(key, between).await).await?;
            for item in &page.items {
                let batch = item::read(item)?;
                if stop(&batch) {
                    return Ok((batches, End::Stop));
                }
                if ids >= room {
                    return Ok((batches, End::Room(batch.until())));
                }
                ids += batch.ids();
                batches.push(batch);
            }
            match page.items.last() {
                Some(item) if page.more => last = Some(item.position.clone()),
                _ => return Ok((batches, End::Last)),
            }
        }
    }

    /// What a lane knows at the start of an instance: its own ids as far back as the window goes, and where they do not
    /// go so far, those of its parents.
    async fn load(
        &self,
        source: &Source,
        from: Micros,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Lane, Error> {
        let mut lane = Lane::new(from);
        let mut shards = vec![source.shard.clone()];
        let mut met: BTreeSet<_> = shards.iter().cloned().collect();
        let mut found = Vec::new();
        while let Some(shard) = shards.pop() {
            let is_own = shard == source.shard;
            let key = item::key(&Source { stream: source.stream.clone(), shard: shard.clone() });
            let room = self.span.ids_max.saturating_sub(found.iter().map(Batch::ids).sum());
            let (batches, end) = self.read_back(&key, from, room, &mut lane, clock, deadline).await?;
            found.extend(batches.into_iter().map(|batch| if is_own { batch } else { batch.inherited() }));
            if end == End::Last {
                let parents = self.parents(&shard, clock, deadline).await?;
                shards.extend(parents.into_iter().filter(|parent| met.insert(parent.clone())));
            }
        }
        for batch in found.into_iter().rev() {
            lane.push(batch);
        }
        Ok(lane)
    }

    /// What a shard let out from this moment on: what was redriven of it, then the rest, the latest first. Tells where that
    /// ended, and the lane where there was no room.
    async fn read_back(
        &self,
        key: &str,
        from: Micros,
        room: usize,
        lane: &mut Lane,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(Vec<Batch>, End), Error> {
        let live = Between { after: "", before: Some(REDRIVEN), backward: true };
        let is_old = |batch: &Batch| batch.until() < from;
        let live = self.read(key, live, is_old, room, clock, deadline);
        let again = self.read_redriven(key, from, None, room, clock, deadline);
        let ((live, end), (mut found, cut)) = try_join(live, again).await?;
        lane.cut(end.cut());
        lane.cut(cut.cut());
        found.extend(live);
        Ok((found, end))
    }

    /// What was redriven of a shard and arrived within the window from this moment on, or not long after the other one.
    async fn read_redriven(
        &self,
        key: &str,
        from: Micros,
        until: Option<Micros>,
        room: usize,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(Vec<Batch>, End), Error> {
        let after = item::redriven_at(from);
        let between = Between { after: &after, before: None, backward: false };
        // They stand in the order of their last records, and one of them may begin long before another one that ends earlier.
        let until = until.map(|until| until.plus_ms(self.span.window_ms));
        let is_late = |batch: &Batch| until.is_some_and(|until| batch.since() > until);
        self.read(key, between, is_late, room, clock, deadline).await
    }

    /// What a redrive must know: what was let out within the window before its records, and after them; in their shard, in
    /// those that it came from, and in those that came from it, which it tells as well.
    async fn look_around(
        &self,
        batch: Bounds<'_>,
        from: Micros,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(Lane, Vec<String>), Error> {
        let Source { stream, shard } = batch.source;
        let of = |shard: &str| item::key(&Source { stream: stream.clone(), shard: shard.to_owned() });
        let until = batch.until.plus_ms(self.span.window_ms);
        let is_old = |batch: &Batch| batch.until() < from;
        let is_late = |batch: &Batch| batch.since() > until;
        let here = item::place(batch.first);
        let all = Between { after: "", before: None, backward: true };
        let live = Between { after: "", before: Some(REDRIVEN), backward: false };
        let room = self.span.ids_max;

        let mut lane = Lane::new(from);
        let before = Between { before: Some(&here), ..all };
        let (mut found, end) = self.read(&of(shard), before, is_old, room, clock, deadline).await?;
        found.reverse();
        lane.cut(end.cut());
        let after = Between { after: &here, ..live };
        let (later, cut) = self.read(&of(shard), after, is_late, room, clock, deadline).await?;
        found.extend(later);
        lane.cut(cut.cut());
        let (again, cut) = self.read_redriven(&of(shard), from, Some(until), room, clock, deadline).await?;
        found.extend(again);
        lane.cut(cut.cut());

        let mut met = BTreeSet::new();
        let mut parents =
            if end == End::Last { self.parents(shard, clock, deadline).await? } else { Vec::new() };
        while let Some(parent) = parents.pop() {
            if !met.insert(parent.clone()) {
                continue;
            }
            let (batches, end) = self.read_back(&of(&parent), from, room, &mut lane, clock, deadline).await?;
            found.extend(batches.into_iter().map(Batch::of_another_shard));
            if end == End::Last {
                parents.extend(self.parents(&parent, clock, deadline).await?);
            }
        }
        let mut heirs = Vec::new();
        let mut children = self.children(shard, clock, deadline).await?;
        while let Some(child) = children.pop() {
            if heirs.contains(&child) {
                continue;
            }
            let (batches, cut) = self.read(&of(&child), live, is_late, room, clock, deadline).await?;
            found.extend(batches.into_iter().map(Batch::of_another_shard));
            lane.cut(cut.cut());
            let (batches, cut) =
                self.read_redriven(&of(&child), from, Some(until), room, clock, deadline).await?;
            found.extend(batches);
            lane.cut(cut.cut());
            children.extend(self.children(&child, clock, deadline).await?);
            heirs.push(child);
        }
        for batch in found {
            lane.push(batch);
        }
        Ok((lane, heirs))
    }

    async fn parents(&self, shard: &str, clock: &impl Clock, deadline: Micros) -> Result<Vec<String>, Error> {
        self.lineage.call(clock, deadline, async |lineage| lineage.parents(shard).await).await
    }

    async fn children(
        &self,
        shard: &str,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Vec<String>, Error> {
        self.lineage.call(clock, deadline, async |lineage| lineage.children(shard).await).await
    }

    /// Writes items down. The first one says which records were worked on; it comes last, when the others are there.
    async fn write(&self, items: &[Item], clock: &impl Clock, deadline: Micros) -> Result<(), Error> {
        for item in items.iter().rev() {
            self.table.call(clock, deadline, async |table| table.put(item, When::Always).await).await?;
        }
        Ok(())
    }

    /// Gives memory back: lanes that nobody used for long, then the oldest ids of this one.
    fn make_room(&mut self) {
        while self.ids() > self.span.ids_max {
            let others = self.lanes.iter().filter(|(name, _)| **name != self.open);
            let oldest = others.min_by_key(|(_, lane)| lane.used).map(|(name, _)| name.clone());
            match oldest {
                Some(name) => drop(self.lanes.remove(&name)),
                None => match self.lanes.get_mut(&self.open) {
                    Some(lane) => lane.forget_to(self.span.ids_max),
                    None => return,
                },
            }
        }
    }
}

impl<T: KeyTable, L: Lineage> Knows for Window<T, L> {
    fn known(&self, id: u128, sequence: &str, arrived_at: Micros) -> Known {
        self.lanes
            .get(&self.open)
            .map_or(Known::New, |lane| lane.known(item::short(id), sequence, arrived_at, self.span.window_ms))
    }

    fn let_out(&self, sequence: &str) -> bool {
        self.lanes.get(&self.open).is_some_and(|lane| lane.let_out(sequence))
    }
}

impl<T: KeyTable, L: Lineage> Memory for Window<T, L> {
    async fn open(&mut self, batch: Bounds<'_>, clock: &impl Clock, deadline: Micros) -> Result<(), Error> {
        // Another record of the batch may have arrived a little before the first one.
        let from = batch.arrived_at.plus_ms(-self.span.window_ms - DISORDER_MS);
        self.batches += 1;
        self.redriven = batch.redriven;
        self.open = if batch.redriven { REDRIVEN.to_owned() } else { batch.source.lane() };
        let warm = self.lanes.remove(&self.open).filter(|lane| !batch.redriven && lane.reaches(from));
        let mut lane = match warm {
            Some(mut lane) => {
                let (key, room) = (item::key(batch.source), self.span.ids_max);
                let new = Between { after: lane.last(), before: Some(REDRIVEN), backward: true };
                let new = self.read(&key, new, |_| false, room, clock, deadline);
                let again = self.read_redriven(&key, from, None, room, clock, deadline);
                let ((new, end), (again, cut)) = try_join(new, again).await?;
                lane.cut(end.cut());
                lane.cut(cut.cut());
                for batch in new.into_iter().rev().chain(again) {
                    lane.push(batch);
                }
                lane
            }
            None if batch.redriven => {
                let (lane, heirs) = self.look_around(batch, from, clock, deadline).await?;
                self.heirs = heirs;
                lane
            }
            None => self.load(batch.source, from, clock, deadline).await?,
        };
        lane.forget_before(from);
        lane.begin(batch.first);
        lane.used = self.batches;
        self.lanes.insert(self.open.clone(), lane);
        self.make_room();
        Ok(())
    }

    async fn keep(&mut self, out: &Outgoing, clock: &impl Clock, deadline: Micros) -> Result<(), Error> {
        let Some(source) = out.source() else { return Ok(()) };
        let expires_at = out.until().plus_ms(self.span.window_ms.saturating_add(self.span.retries_ms));
        let heirs = if self.redriven { self.heirs.as_slice() } else { &[] };
        let items = out.items(source, self.redriven, expires_at);
        self.write(&items, clock, deadline).await?;
        for heir in heirs {
            let heir = Source { stream: source.stream.clone(), shard: heir.clone() };
            self.write(&out.items(&heir, self.redriven, expires_at), clock, deadline).await?;
        }
        if let Some(lane) = self.lanes.get_mut(&self.open) {
            for item in &items {
                lane.push(item::read(item)?);
            }
        }
        Ok(())
    }

    fn health(&self) -> Vec<Health> {
        self.table.health().into_iter().chain(self.lineage.health()).collect()
    }

    fn is_short(&self) -> bool {
        self.lanes.get(&self.open).is_some_and(Lane::is_short)
    }
}
