//! Where the members of the root, and of the objects in it, are, by the tags of their keys: nearly every field that a
//! pipeline names is one of them, and many events lack it.

use super::NONE;
use super::path::Tag;

const PLACES: usize = 256;

/// A hash table: each place has the last node that came there, which knows the one before it.
#[derive(Debug, Clone)]
pub(super) struct Index {
    places: [u32; PLACES],
    /// Whether it lacks members, so that only a look at all of them tells that one is not there.
    is_stale: bool,
}

impl Index {
    /// For an event without members.
    pub(super) fn clear(&mut self) {
        self.places.fill(NONE);
        self.is_stale = false;
    }

    /// No longer says where the members are that are there now.
    pub(super) fn forget(&mut self) {
        self.places.fill(NONE);
        self.is_stale = true;
    }

    #[inline]
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Puts a member of an object at the [`place`] of its key, and hands back who was there.
    #[inline]
    pub(super) fn put(&mut self, place: u8, parent: u32, id: u32) -> u32 {
        self.places.get_mut(within(place, parent)).map_or(NONE, |place| std::mem::replace(place, id))
    }

    /// Who was put last where the member of an object would be.
    #[inline]
    pub(super) fn get(&self, place: u8, parent: u32) -> u32 {
        self.places.get(within(place, parent)).copied().unwrap_or(NONE)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { places: [NONE; PLACES], is_stale: false }
    }
}

/// The place of a key in the root: the upper bits of a product, which hang on all of the tag.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the tag are taken")]
pub(super) fn place(tag: Tag) -> u8 {
    ((tag as u64 ^ ((tag >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The place of a key in another object is another one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low bits tell objects apart")]
fn within(place: u8, parent: u32) -> usize {
    place.wrapping_add(parent as u8).into()
}
