//! What items of the table hold, where it is much: JSON, compressed.

use crate::port::{Error, Item, Kind};
use serde::{Serialize, de::DeserializeOwned};

/// The largest item, bytes before compression.
const PLAIN_MAX: usize = 16 << 20;

/// The body of an item; none of what JSON cannot hold.
#[must_use]
pub fn pack(value: &impl Serialize) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(value).ok()?;
    zstd::bulk::compress(&json, 3).ok()
}

/// What an item holds that was packed.
pub fn unpack<V: DeserializeOwned>(item: &Item) -> Result<V, Error> {
    let json = zstd::bulk::decompress(&item.body, PLAIN_MAX).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| Error {
        what: format!("the item {} {} cannot be read", item.key, item.position),
        kind: Kind::Permanent,
        source: None,
    })
}
