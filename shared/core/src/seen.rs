//! The ids that were seen: an event whose id came before is a duplicate.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use twox_hash::{XxHash3_64, XxHash3_128};

/// For so many ids a set keeps its room: more than a full batch has, unless it is compressed well.
const KEPT: usize = 100_000;

/// A set of ids, kept as hashes of 128 bits: among 10¹² ids two different ones are taken for one with a chance of
/// 10⁻¹⁵. It takes some 35 bytes an id at the least and twice that when it has just grown.
#[derive(Debug, Clone, Default)]
pub struct Seen(HashSet<u128, BuildHasherDefault<Folded>>);

impl Seen {
    /// A set with room for so many ids.
    #[must_use]
    pub fn with_capacity(ids: usize) -> Self {
        Self(HashSet::with_capacity_and_hasher(ids, BuildHasherDefault::default()))
    }

    /// Notes an id; whether it is new.
    pub fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(hash(id))
    }

    /// Notes an id by its hash; whether it is new.
    pub fn insert_hash(&mut self, hash: u128) -> bool {
        self.0.insert(hash)
    }

    /// Takes an id back.
    pub fn forget_hash(&mut self, hash: u128) {
        self.0.remove(&hash);
    }

    /// Forgets all ids and keeps the room, but for what only a huge batch needs.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }
}

/// What an id is known by.
#[must_use]
pub fn hash(id: &str) -> u128 {
    XxHash3_128::oneshot(id.as_bytes())
}

/// What a tenant's id is known by: the ids of one say nothing of another's.
#[must_use]
pub fn hash_of_tenant(tenant: &str, id: &str) -> u128 {
    XxHash3_128::oneshot_with_seed(XxHash3_64::oneshot(tenant.as_bytes()), id.as_bytes())
}

/// The keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough to find a place by")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = Seen::with_capacity(2);
        assert_eq!([seen.insert("a"), seen.insert("b"), seen.insert("a")], [true, true, false]);
        seen.forget_hash(hash("a"));
        assert!(seen.insert("a") && !seen.insert("a"));
        seen.clear();
        assert!(seen.insert("a"));
    }

    #[test]
    fn the_room_of_a_huge_batch_is_given_back() {
        let mut seen = Seen::with_capacity(20 * KEPT);
        seen.clear();
        assert!((KEPT..4 * KEPT).contains(&seen.0.capacity()));
    }
}
