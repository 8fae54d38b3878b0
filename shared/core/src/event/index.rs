//! Where the members of the root, and of the objects in it, are, by the tags of their keys: nearly every field that a
//! pipeline names is one of them, and many events lack it.

use super::path::Tag;

const PLACES: usize = 512;

const EMPTY: u16 = 0;
/// More than one member has, or had, this place; or it is too far back in the table to be noted.
const UNCLEAR: u16 = u16::MAX;

/// A place for each member, shared by some.
#[derive(Debug, Clone)]
pub(super) struct Index([u16; PLACES]);

/// What an index knows of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// It can only be this one.
    At(u32),
    /// Only a look at all members tells.
    Unclear,
}

impl Index {
    /// For an event without members.
    pub(super) fn clear(&mut self) {
        self.0.fill(EMPTY);
    }

    /// For an event of which nothing is known.
    pub(super) fn forget(&mut self) {
        self.0.fill(UNCLEAR);
    }

    /// Notes the member of an object whose key has this [`place`]; whether it was free, so that no other has its key.
    #[inline]
    pub(super) fn note(&mut self, place: u16, parent: u32, id: u32) -> bool {
        let Some(place) = self.0.get_mut(within(place, parent)) else { return false };
        let is_free = *place == EMPTY;
        *place = match u16::try_from(id) {
            Ok(id) if is_free && id != EMPTY => id,
            _ => UNCLEAR,
        };
        is_free
    }

    #[inline]
    pub(super) fn find(&self, place: u16, parent: u32) -> Found {
        match self.0.get(within(place, parent)).copied() {
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

/// The place of a key in the root: the upper bits of a product, which hang on all of the tag.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the tag are taken")]
pub(super) fn place(tag: Tag) -> u16 {
    let mixed = (tag as u64 ^ ((tag >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as u16
}

/// The place of a key in another object is another one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low bits tell objects apart")]
fn within(place: u16, parent: u32) -> usize {
    usize::from(place.wrapping_add(parent as u16)) % PLACES
}
