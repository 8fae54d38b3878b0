//! The key that makes tokens of personal data, and the tokens; and the key that encrypts it, where there is one.

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    cipher: Option<Aes256GcmSiv>,
    /// The key before this one: what it encrypted can still be read.
    previous: Option<Box<TokenKey>>,
}

/// What the key of the cipher is made for. The key of one person would be made for this and the person.
const PURPOSE: &[u8] = b"millrace anonymize.encrypt 1";

/// The cipher is made to bear one nonce for many texts (RFC 8452): what shows is which of them are the same, and that
/// is wanted here.
const NONCE: [u8; 12] = [0; 12];

/// What the cipher adds to a text.
const TAG_BYTES: usize = 16;

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
    /// A key to encrypt with that can be guessed.
    #[error("the secret's `encryption_key` must have at least {KEY_MIN_BYTES} bytes, it has {0}")]
    EncryptionTooShort(usize),
    /// Who destroys one would destroy both.
    #[error("the secret's `encryption_key` is the same as its `key`: make another one")]
    Same,
    /// A new key under an old name: its tokens could not be told apart.
    #[error("the secret's `id` is that of a key before it: a new key needs an id of its own")]
    SameId,
    /// No key to encrypt with, for a pipeline that does.
    #[error("the pipeline has the step anonymize.encrypt, and the secret has no `encryption_key`")]
    NoEncryption,
}

/// Why a text cannot be decrypted. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum NoText {
    /// Not `<key id>:<base64>`.
    #[error("it is no encrypted text: that is a key's id, a colon, and base64")]
    Shape,
    /// The id in front is another one.
    #[error("it was encrypted with a key of another id")]
    OtherKey,
    /// There is no key to decrypt with.
    #[error("the secret has no `encryption_key`")]
    NoEncryption,
    /// Damaged, or of another key.
    #[error("it is damaged, or was encrypted with another key of this id")]
    Damaged,
}

#[derive(Deserialize)]
struct Secret {
    id: String,
    key: String,
    encryption_key: Option<String>,
    previous: Option<Box<Secret>>,
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
        Ok(Self { id: id.to_owned(), mac, cipher: None, previous: None })
    }

    /// The same key, with another one beside it that encrypts, at least 32 bytes. Without that one nobody ever reads
    /// the texts again.
    pub fn with_encryption(mut self, key: &[u8]) -> Result<Self, NoKey> {
        if key.len() < KEY_MIN_BYTES {
            return Err(NoKey::EncryptionTooShort(key.len()));
        }
        let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| NoKey::EncryptionTooShort(key.len()))?;
        self.cipher = Some(Aes256GcmSiv::new(&mac.chain_update(PURPOSE).finalize().into_bytes()));
        Ok(self)
    }

    /// A key from the secret's text, `{"id": "k1", "key": "…"}`, with an `"encryption_key": "…"` where something is to
    /// be encrypted; the keys' bytes are their UTF-8. The key before it may stand beside them, as `"previous": {…}`.
    pub fn parse(secret: &str) -> Result<Self, NoKey> {
        Self::of(&serde_json::from_str(secret).map_err(|_| NoKey::Shape)?)
    }

    fn of(secret: &Secret) -> Result<Self, NoKey> {
        let key = Self::new(&secret.id, secret.key.as_bytes())?;
        let mut key = match &secret.encryption_key {
            None => key,
            Some(same) if *same == secret.key => return Err(NoKey::Same),
            Some(encryption) => key.with_encryption(encryption.as_bytes())?,
        };
        key.previous =
            secret.previous.as_ref().map(|previous| Self::of(previous).map(Box::new)).transpose()?;
        let mut earlier = key.previous.as_deref();
        while let Some(known) = earlier {
            if known.id == key.id {
                return Err(NoKey::SameId);
            }
            earlier = known.previous.as_deref();
        }
        Ok(key)
    }

    /// This key, or the one of that id among those before it.
    #[must_use]
    pub fn of_id(&self, id: &str) -> Option<&Self> {
        if self.id == id { Some(self) } else { self.previous.as_ref()?.of_id(id) }
    }

    /// What stands before the colon of what it makes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it can encrypt.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.cipher.is_some()
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

    /// Appends the JSON that stands in `json`, encrypted: `<key id>:<base64>`, URL-safe and without padding. The same
    /// JSON gives the same text. False, and nothing appended, where there is no key for it. `json` is used up.
    pub(crate) fn encrypt(&self, json: &mut Vec<u8>, out: &mut String) -> bool {
        let Some(cipher) = &self.cipher else { return false };
        let (nonce, id) = (Nonce::from(NONCE), self.id.as_bytes());
        let Ok(tag) = cipher.encrypt_inout_detached(&nonce, id, json.as_mut_slice().into()) else {
            return false; // it takes 64 GiB
        };
        json.extend_from_slice(&tag);
        out.push_str(&self.id);
        out.push(':');
        URL_SAFE_NO_PAD.encode_string(json, out);
        true
    }

    /// The JSON of the value that was encrypted.
    pub fn decrypt(&self, text: &str) -> Result<String, NoText> {
        let (id, text) = text.split_once(':').ok_or(NoText::Shape)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoText::Shape)?;
        let tag = bytes.split_off(bytes.len().checked_sub(TAG_BYTES).ok_or(NoText::Shape)?);
        let tag = tag.as_slice().try_into().map_err(|_| NoText::Shape)?;
        let key = self.of_id(id).ok_or(NoText::OtherKey)?;
        let cipher = key.cipher.as_ref().ok_or(NoText::NoEncryption)?;
        let opened = bytes.as_mut_slice().into();
        cipher
            .decrypt_inout_detached(&Nonce::from(NONCE), id.as_bytes(), opened, tag)
            .map_err(|_| NoText::Damaged)?;
        String::from_utf8(bytes).map_err(|_| NoText::Damaged)
    }
}

/// The first `length` bytes of the SHA-256, at most 32, in hex. Without a key: not for personal data.
#[must_use]
pub fn fingerprint(bytes: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(2 * length);
    fingerprint_into(bytes, length, &mut text);
    text
}

/// Appends [`fingerprint`].
pub(crate) fn fingerprint_into(bytes: &[u8], length: usize, out: &mut String) {
    hex(Sha256::digest(bytes).get(..length).unwrap_or_default(), out);
}

/// Appends at most 32 bytes in hex.
pub fn hex(bytes: &[u8], into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        for (digit, four) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = DIGITS.get(usize::from(four)).copied().unwrap_or_default();
        }
    }
    into.push_str(digits.get(..2 * bytes.len()).and_then(|hex| str::from_utf8(hex).ok()).unwrap_or_default());
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

    fn encrypting() -> TokenKey {
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        key.with_encryption(b"fedcba9876543210fedcba9876543210").unwrap()
    }

    fn encrypted(json: &str) -> String {
        let mut text = String::new();
        assert!(encrypting().encrypt(&mut json.as_bytes().to_vec(), &mut text));
        text
    }

    #[test]
    fn what_was_encrypted_is_read_again() {
        for json in [r#""ann@example.com""#, r#""""#, "42", r#"{"a":[1,"é"]}"#] {
            let text = encrypted(json);
            assert!(text.starts_with("k1:") && text == encrypted(json));
            assert_eq!(encrypting().decrypt(&text).as_deref(), Ok(json));
        }
        // Were it to change, nobody could read what stands in the lakes.
        expect_test::expect!["k1:VH7NU6zT14R0RQNdJjmgPs5w8_lhYoaMw8jpqVu3iVzf"]
            .assert_eq(&encrypted(r#""ann@example.com""#));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let text = encrypted("42");
        let other = TokenKey::new("k1", &[7; 32]).unwrap();
        assert_eq!(other.decrypt(&text), Err(NoText::NoEncryption));
        assert_eq!(other.with_encryption(&[8; 32]).unwrap().decrypt(&text), Err(NoText::Damaged));
        assert_eq!(encrypting().decrypt(&text.replace("k1", "k2")), Err(NoText::OtherKey));
        for text in ["", "ann", "k1:", "k1:é", "k1:AAAA", "k1:ann@example.com"] {
            assert_eq!(encrypting().decrypt(text), Err(NoText::Shape), "{text}");
        }
        let mut damaged = text.into_bytes();
        damaged[4] = if damaged[4] == b'A' { b'B' } else { b'A' };
        assert_eq!(encrypting().decrypt(str::from_utf8(&damaged).unwrap()), Err(NoText::Damaged));
    }

    #[test]
    fn a_secret_may_have_a_key_to_encrypt_with() {
        let secret = |more: &str| format!(r#"{{"id":"k1","key":"{}"{more}}}"#, "x".repeat(32));
        let parse = |more: &str| TokenKey::parse(&secret(more)).map(|key| key.encrypts());
        assert_eq!(parse(""), Ok(false));
        assert_eq!(parse(&format!(r#","encryption_key":"{}""#, "y".repeat(32))), Ok(true));
        assert_eq!(parse(&format!(r#","encryption_key":"{}""#, "x".repeat(32))), Err(NoKey::Same));
        assert_eq!(parse(r#","encryption_key":"hunter2""#), Err(NoKey::EncryptionTooShort(7)));
    }

    #[test]
    fn the_key_before_is_known_and_makes_no_tokens() {
        let long = |letter: &str| letter.repeat(32);
        let old = format!(r#"{{"id":"k1","key":"{}","encryption_key":"{}"}}"#, long("a"), long("b"));
        let new = format!(
            r#"{{"id":"k2","key":"{}","encryption_key":"{}","previous":{old}}}"#,
            long("c"),
            long("d")
        );
        let (old, new) = (TokenKey::parse(&old).unwrap(), TokenKey::parse(&new).unwrap());
        let mut text = String::new();
        assert!(old.encrypt(&mut b"42".to_vec(), &mut text));
        assert_eq!((new.decrypt(&text).as_deref(), old.decrypt(&text).as_deref()), (Ok("42"), Ok("42")));
        let (mut token, mut before) = (String::new(), String::new());
        new.token(b"ann", &mut token);
        new.of_id("k1").unwrap().token(b"ann", &mut before);
        assert!(token.starts_with("k2:") && before.starts_with("k1:") && new.of_id("k3").is_none());
        let same = format!(r#"{{"id":"k1","key":"{0}","previous":{{"id":"k1","key":"{0}"}}}}"#, long("a"));
        assert_eq!(TokenKey::parse(&same).unwrap_err(), NoKey::SameId);
    }

    #[test]
    fn no_key_in_a_chain_bears_the_name_of_another() {
        let chain = |ids: [&str; 3]| {
            let secret = |id: &str, more: &str| format!(r#"{{"id":"{id}","key":"{}"{more}}}"#, id.repeat(16));
            let oldest = secret(ids[2], "");
            let middle = secret(ids[1], &format!(r#","previous":{oldest}"#));
            TokenKey::parse(&secret(ids[0], &format!(r#","previous":{middle}"#)))
        };
        let key = chain(["k3", "k2", "k1"]).unwrap();
        assert!(["k3", "k2", "k1"].iter().all(|id| key.of_id(id).is_some_and(|key| key.id() == *id)));
        for ids in [["k1", "k2", "k1"], ["k1", "k1", "k2"], ["k2", "k1", "k1"]] {
            assert_eq!(chain(ids).unwrap_err(), NoKey::SameId, "{ids:?}");
        }
    }

    #[test]
    fn the_key_does_not_show_in_debug() {
        let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), r#"TokenKey { id: "k1", .. }"#);
    }
}
