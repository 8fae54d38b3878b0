//! Where the root's members are, by the tags of their keys: nearly every field that a pipeline names is one of them,
//! and many events lack it.

use super::path::{Tag, mixed};

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

    /// Notes a member; whether its place was free, so that no other has its key.
    #[inline]
    pub(super) fn note(&mut self, tag: Tag, id: u32) -> bool {
        let Some(place) = self.0.get_mut(place_of(tag)) else { return false };
        let is_free = *place == EMPTY;
        *place = match u16::try_from(id) {
            Ok(id) if is_free && id != EMPTY => id,
            _ => UNCLEAR,
        };
        is_free
    }

    #[inline]
    pub(super) fn find(&self, tag: Tag) -> Found {
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

/// The upper bits of a product hang on all of the tag.
#[inline]
fn place_of(tag: Tag) -> usize {
    (mixed(tag) >> 56) as usize
}
