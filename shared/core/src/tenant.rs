//! Whose an event is.

use crate::event::Path;
use std::sync::LazyLock;

/// The field that says it. Where clients have to show a credential, ingest writes it by the credential, over what the client
/// says; with no credential it is a field like any other.
pub const FIELD: &str = "tenant";

/// The place of that field.
pub static PATH: LazyLock<Path> = LazyLock::new(|| Path::from_key(FIELD));

/// The tenant, in the lake's partition, of events that say none. Nobody is called so.
pub const NONE: &str = "none";

/// The longest name, characters.
const NAME_MAX: usize = 128;

/// Whether a text can be a tenant's name, which stands in keys of objects and in queries as it is: letters, digits, `_`, `-`,
/// and dots that are not the first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    text != NONE
        && (1..=NAME_MAX).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_the_key_of_an_object() {
        let long = "a".repeat(129);
        for name in ["acme", "7", "a.b-c_D", &long[1..], "0oa1b2c3-4d5e"] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", "none", ".", "..", ".a", "a/b", "a b", "a=b", "ann@example.com", "ä", "a\0", &long]
        {
            assert!(!is_name(text), "{text}");
        }
    }
}
