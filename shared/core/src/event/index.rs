//! Where the root's members are, by the tags of their keys: nearly every field that a pipeline names is one of them,
//! and many events lack it.

const PLACES: usize = 256;

const EMPTY: u16 = 0;
/// More than one member has, or had, this place; or it is too far back in the table to be noted.
const UNCLEAR: u16 = u16::MAX;

/// A place for each tag, shared by some.
#[derive(Debug, Clone)]
pub(super) struct Index([u16; PLACES]);

/// What an index knows of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No member has it.
    Nothing,
    /// No other member than this has it.
    At(u32),
    /// Only a look at all members tells.
    Unclear,
}

impl Index {
    /// For an object without members.
    pub(super) fn clear(&mut self) {
        self.0.fill(EMPTY);
    }

    /// For an object of which nothing is known.
    pub(super) fn forget(&mut self) {
        self.0.fill(UNCLEAR);
    }

    /// Notes a member.
    pub(super) fn note(&mut self, tag: u16, id: u32) {
        if let Some(place) = self.0.get_mut(place_of(tag)) {
            *place = match u16::try_from(id) {
                Ok(id) if *place == EMPTY && id != EMPTY => id,
                _ => UNCLEAR,
            };
        }
    }

    pub(super) fn find(&self, tag: u16) -> Found {
        match self.0.get(place_of(tag)).copied() {
            Some(EMPTY) => Found::Nothing,
            Some(UNCLEAR) | None => Found::Unclear,
            Some(id) => Found::At(id.into()),
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self([EMPTY; PLACES])
    }
}

/// The length shifts the signs, so that keys with like ends part.
fn place_of(tag: u16) -> usize {
    let [length, ends] = tag.to_le_bytes();
    usize::from(ends.wrapping_add(length.wrapping_mul(37)))
}
