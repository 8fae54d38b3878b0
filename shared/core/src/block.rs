//! Events that go through a pipeline side by side: each step works on all of them before the next one begins, so that its
//! code is in the processor's cache when it is wanted. That makes steps a tenth faster than to take one event after the
//! other, and changes nothing else: a step sees the same events in the same order.

use crate::event::Event;
use crate::pipeline::{Outcome, Pipeline};
use crate::quarantine::Reject;
use crate::step::Context;
use crate::time::Micros;
use crate::token::TokenKey;

/// So many events are in a block at most: more of them would not stay in the cache themselves.
pub const BLOCK_EVENTS: usize = 16;

/// So much JSON is in a block at most, if it is more than one event: it bounds the memory, for an event may take sixty
/// times its bytes.
const BLOCK_BYTES: usize = 32 << 10;

/// Events, in memory that serves one block after the other.
#[derive(Debug, Default)]
pub struct Block {
    /// Those of the block, and behind them such as are not in use.
    slots: Vec<Slot>,
    used: usize,
    bytes: usize,
}

/// An event of a block.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) event: Event,
    pub(crate) arrived_at: Micros,
    /// What became of it, as soon as that is known.
    pub(crate) outcome: Option<Outcome>,
}

impl Block {
    /// Whether there is room for another event, of so many bytes.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used == 0 || (self.used < BLOCK_EVENTS && self.bytes + bytes <= BLOCK_BYTES)
    }

    /// Adds an event that came as so many bytes, and that `read` reads; whether it can be read.
    pub fn push(
        &mut self,
        arrived_at: Micros,
        bytes: usize,
        read: impl FnOnce(&mut Event) -> Result<(), Reject>,
    ) -> bool {
        if self.used == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let Some(slot) = self.slots.get_mut(self.used) else { return false };
        slot.arrived_at = arrived_at;
        slot.outcome = read(&mut slot.event).err().map(Outcome::Rejected);
        self.used += 1;
        self.bytes += bytes;
        slot.outcome.is_none()
    }

    /// Runs a pipeline on the events, and hands over each with what became of it, in order. The block is empty then.
    pub fn apply<'b>(
        &'b mut self,
        pipeline: &mut Pipeline,
        key: &TokenKey,
    ) -> impl Iterator<Item = (&'b mut Event, Outcome)> + use<'b> {
        let slots = self.slots.get_mut(..std::mem::take(&mut self.used)).unwrap_or_default();
        self.bytes = 0;
        let steps = pipeline.steps().len();
        for step in 0..steps {
            pipeline.apply_step_to(step, slots, key);
        }
        for Slot { event, arrived_at, outcome } in &mut *slots {
            if outcome.is_none() {
                *outcome = Some(pipeline.land(event, &Context { key, arrived_at: *arrived_at }));
            }
        }
        slots.iter_mut().filter_map(|slot| Some((&mut slot.event, slot.outcome.take()?)))
    }

    /// Forgets the events.
    pub fn clear(&mut self) {
        self.used = 0;
        self.bytes = 0;
    }

    /// Forgets the events, and gives back the memory that only huge ones need.
    pub fn release(&mut self) {
        self.clear();
        self.slots.iter_mut().for_each(|slot| slot.event.release());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use proptest::prelude::*;

    const PIPELINE: &str = r#"
        [event]
        id = "id"
        type = "t"
        time = "at"
        [[step]]
        filter.drop = "n == 3"
        [[step]]
        clean.require = { fields = ["n"], otherwise = "quarantine" }
        [[step]]
        enrich.session = { user = "t", time = "at", gap = "30m", into = "session" }
        [[step]]
        filter.keep = "n < 6"
    "#;

    proptest! {
        /// What becomes of an event does not depend on who is in the block.
        #[test]
        fn side_by_side_is_as_one_after_the_other(
            numbers in prop::collection::vec(prop::option::of(0..8_i32), 0..60),
        ) {
            let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
            let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
            let files = &crate::files::NONE;
            let mut pipelines = [(); 2].map(|()| Pipeline::compile(PIPELINE, files).unwrap());
            let [alone, blocked] = &mut pipelines;
            let (mut expected, mut block, mut found) = (Vec::new(), Block::default(), Vec::new());
            let mut take = |block: &mut Block, found: &mut Vec<_>| {
                found.extend(block.apply(blocked, &key).map(|(event, outcome)| (event.to_string(), outcome)));
            };
            for (at, number) in numbers.iter().enumerate() {
                let n = number.map_or_else(|| "null".to_owned(), |n: i32| n.to_string());
                let end = if number == &Some(7) { "" } else { "}" };
                let json = format!(r#"{{"id":"{at}","t":"t{n}","n":{n},"at":{}{end}"#, 1_573_841_100 + at);
                let mut event = Event::default();
                let outcome = match decode::event(json.as_bytes(), &mut event) {
                    Ok(()) => alone.apply(&mut event, &Context { key: &key, arrived_at }),
                    Err(why) => Outcome::Rejected(why),
                };
                expected.push((event.to_string(), outcome));
                if !block.has_room(json.len()) {
                    take(&mut block, &mut found);
                }
                let is_read = block.push(arrived_at, json.len(), |event| decode::event(json.as_bytes(), event));
                prop_assert_eq!(is_read, number != &Some(7));
            }
            take(&mut block, &mut found);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(alone.take_tallies(), blocked.take_tallies());
        }
    }

    #[test]
    fn a_block_is_small_in_events_and_bytes() {
        let mut block = Block::default();
        assert!(block.has_room(10 * BLOCK_BYTES), "an event alone may be of any size");
        let mut push = |bytes| block.push(Micros::EPOCH, bytes, |_| Ok(())) && block.has_room(1);
        assert_eq!((0..BLOCK_EVENTS).filter(|_| push(1)).count(), BLOCK_EVENTS - 1);
        block.release();
        let mut push = |bytes| block.push(Micros::EPOCH, bytes, |_| Ok(())) && block.has_room(1);
        assert!(push(BLOCK_BYTES - 1) && !push(1));
    }
}
