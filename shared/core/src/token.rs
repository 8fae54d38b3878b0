//! The key that makes tokens of personal data, and the tokens.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The shortest key taken: as long as the hash is wide (RFC 2104, section 3).
const KEY_MIN_BYTES: usize = 32;

/// A key with its id. The id stands in each token, so that tokens of different keys are never compared.
#[derive(Clone)]
pub struct TokenKey {
    id: String,
    mac: Hmac<Sha256>,
}

/// Why a secret is no key. Says nothing of what the secret holds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoKey {
    /// Not the JSON that is expected.
    #[error(r#"the secret is not JSON of the form {{"id": "k1", "key": "…"}}"#)]
    Shape,
    /// An id that could not stand in a token.
    #[error("the secret's `id` must have 1 to 16 letters, digits, `-` or `_`")]
    Id,
    /// A key that can be guessed.
    #[error("the secret's `key` must have at least {KEY_MIN_BYTES} bytes, it has {0}")]
    TooShort(usize),
}

#[derive(Deserialize)]
struct Secret {
    id: String,
    key: String,
}

impl TokenKey {
    /// A key from its id and its bytes, at least 32 of them.
    pub fn new(id: &str, key: &[u8]) -> Result<Self, NoKey> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=16).contains(&id.len()) || !id.bytes().all(plain) {
            return Err(NoKey::Id);
        }
        if key.len() < KEY_MIN_BYTES {
            return Err(NoKey::TooShort(key.len()));
        }
        let mac = Hmac::new_from_slice(key).map_err(|_| NoKey::TooShort(key.len()))?;
        Ok(Self { id: id.to_owned(), mac })
    }

    /// A key from the secret's text, `{"id": "k1", "key": "…"}`; the key's bytes are its UTF-8.
    pub fn parse(secret: &str) -> Result<Self, NoKey> {
        let secret: Secret = serde_json::from_str(secret).map_err(|_| NoKey::Shape)?;
        Self::new(&secret.id, secret.key.as_bytes())
    }

    /// Appends the token of a value: `<key id>:<HMAC-SHA256, 64 lower-case hex digits>`.
    pub fn token(&self, value: &[u8], out: &mut String) {
        out.push_str(&self.id);
        out.push(':');
        self.bare_token(value, out);
    }

    /// Appends the token of a value without the key's id.
    pub fn bare_token(&self, value: &[u8], out: &mut String) {
        hex(&self.mac.clone().chain_update(value).finalize().into_bytes(), out);
    }
}

/// The first `length` bytes of the SHA-256, at most 32, in hex. Without a key: not for personal data.
#[must_use]
pub fn fingerprint(bytes: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(2 * length);
    hex(Sha256::digest(bytes).get(..length).unwrap_or_default(), &mut text);
    text
}

fn hex(bytes: &[u8], into: &mut String) {
    for byte in bytes {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for digit in [byte >> 4, byte & 15] {
            into.push(char::from(DIGITS.get(usize::from(digit)).copied().unwrap_or_default()));
        }
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_hmac_of_rfc_4231() {
        // Test case 7: a key and data longer than a block.
        let key = TokenKey::new("k1", &[0xaa; 131]).unwrap();
        let data = b"This is a test using a larger than block-size key and a larger than block-size data. \
                     The key needs to be hashed before being used by the HMAC algorithm.";
        let mut token = String::new();
        key.token(data, &mut token);
        assert_eq!(token, "k1:9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    }

    #[test]
    fn a_secret_without_a_proper_key_is_refused_without_being_repeated() {
        let long = "x".repeat(32);
        assert!(TokenKey::parse(&format!(r#"{{"id":"k1","key":"{long}"}}"#)).is_ok());
        for (secret, why) in [
            (String::new(), NoKey::Shape),
            ("hunter2".to_owned(), NoKey::Shape),
            (r#"{"id":"k1"}"#.to_owned(), NoKey::Shape),
            (format!(r#"{{"key":"{long}"}}"#), NoKey::Shape),
            (format!(r#"{{"id":"a:b","key":"{long}"}}"#), NoKey::Id),
            (r#"{"id":"k1","key":"hunter2"}"#.to_owned(), NoKey::TooShort(7)),
        ] {
            let error = TokenKey::parse(&secret).unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
            assert_eq!(error, why, "{secret}");
        }
    }

    #[test]
    fn the_key_does_not_show_in_debug() {
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), r#"TokenKey { id: "k1", .. }"#);
    }
}
