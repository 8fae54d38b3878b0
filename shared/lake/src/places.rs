//! Where the values of a column stand: a hash table of codes, which gives up where values do not repeat.

/// How many values are looked at before it is asked whether they repeat.
pub(crate) const TRIAL: usize = 1024;

/// How many places are looked at for one value. Values made to share a place cost no more than that: they are only
/// kept twice.
const PROBES: usize = 16;

/// The places that are kept for the next batch.
const KEPT: usize = 64 << 10;

/// A table of codes. At most half of its places are taken.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Half of the hash, and the code plus one; zeros where nothing is.
    places: Vec<(u32, u32)>,
    taken: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Looking,
    /// The values of this batch do not repeat.
    GivenUp,
    /// No batch's do.
    Useless,
}

impl Places {
    /// A table for values that do not repeat: it finds nothing.
    pub(crate) fn useless() -> Self {
        Self { state: State::Useless, ..Self::default() }
    }

    pub(crate) fn clear(&mut self) {
        self.places.truncate(KEPT);
        self.places.fill((0, 0));
        self.taken = 0;
        if self.state == State::GivenUp {
            self.state = State::Looking;
        }
    }

    /// The code of a value that is `known` by one, or `next`, which is its code from now on.
    pub(crate) fn find(
        &mut self,
        hash: impl FnOnce() -> u64,
        next: usize,
        known: impl Fn(u32) -> bool,
    ) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a batch has far fewer rows")]
        let code = next as u32;
        if self.state != State::Looking {
            return code;
        }
        if self.taken * 2 >= self.places.len() {
            self.grow();
        }
        #[expect(clippy::cast_possible_truncation, reason = "the upper half is the better one of a product")]
        let hash = (hash() >> 32) as u32;
        let mask = self.places.len() - 1;
        for probe in 0..PROBES {
            let Some(place) = self.places.get_mut((hash as usize + probe) & mask) else { break };
            if place.1 == 0 {
                *place = (hash, code + 1);
                self.taken += 1;
                break;
            }
            if place.0 == hash && known(place.1 - 1) {
                return place.1 - 1;
            }
        }
        code
    }

    /// Tells that there are so many rows, and so many values; gives up where that is nearly the same.
    pub(crate) fn judge(&mut self, rows: usize, values: usize) {
        if values * 8 > rows * 7 && self.state == State::Looking {
            self.state = State::GivenUp;
        }
    }

    fn grow(&mut self) {
        let places = std::mem::take(&mut self.places);
        self.places = vec![(0, 0); (places.len() * 2).max(16)];
        let mask = self.places.len() - 1;
        for (hash, code) in places.into_iter().filter(|(_, code)| *code != 0) {
            let free = (0..self.places.len()).map(|probe| (hash as usize + probe) & mask);
            let mut free = free.filter(|at| self.places.get(*at).is_some_and(|place| place.1 == 0));
            if let Some(at) = free.next()
                && let Some(place) = self.places.get_mut(at)
            {
                *place = (hash, code);
            }
        }
    }
}
