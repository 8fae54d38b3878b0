//! The write keys that clients show, and what is kept of them.
//!
//! A key is 32 random bytes, so its plain SHA-256 gives nothing away: nobody can try all keys, nor list likely ones. What
//! slows guesses down, as for passwords, would only slow each request down. The beginning is there for those who
//! look for secrets where none should be.

use crate::port::WriteKey;
use crate::time::Micros;
use crate::token::fingerprint;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

/// How a key begins.
const PREFIX: &str = "mw_";

/// How many random bytes a key has.
pub const BYTES: usize = 32;

/// A key as it stands in the table of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its [`hash`].
    pub hash: String,
    /// What holds for it.
    pub key: WriteKey,
    /// When it was made.
    pub created_at: Micros,
    /// What people are to know of it.
    pub note: Option<String>,
}

/// The key of these random bytes.
#[must_use]
pub fn text(random: &[u8; BYTES]) -> String {
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// What a key is known by: its SHA-256, hex. None where the text has not the form of a key, and need not be looked for.
#[must_use]
pub fn hash(text: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    (bytes.len() == BYTES).then(|| fingerprint(text.as_bytes(), BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash() {
        let key = text(&[7; BYTES]);
        assert_eq!(key, "mw_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        // printf %s mw_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc | sha256sum
        assert_eq!(
            hash(&key).as_deref(),
            Some("3d8ab49034d99d8de1f44079b9875c093fa85c72d928215f26053f6841678006")
        );
        assert_ne!(hash(&key), hash(&text(&[8; BYTES])));
    }

    #[test]
    fn what_is_no_key_is_not_looked_for() {
        let key = text(&[7; BYTES]);
        for text in [
            "",
            "mw_",
            &key[3..],
            &key[..45],
            &format!("{key}a"),
            &format!("{key},{key}"),
            &key.to_uppercase(),
        ] {
            assert_eq!(hash(text), None, "{text}");
        }
    }
}
