//! A record as a stream hands it over, and where it stood there.

use crate::time::Micros;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A sequence number: decimal digits, unique within a shard and growing with the records' order.
///
/// Kinesis' have up to 128 digits, so they stay text; a longer number without leading zeros is the larger one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(String);

impl Sequence {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Sequence {
    fn from(digits: String) -> Self {
        Self(digits)
    }
}

impl From<&str> for Sequence {
    fn from(digits: &str) -> Self {
        Self(digits.to_owned())
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

/// The order of two sequence numbers by their digits.
#[must_use]
pub fn order(a: &str, b: &str) -> Ordering {
    (a.len(), a).cmp(&(b.len(), b))
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands in its shard: a sequence number's digits.
    pub sequence: &'a str,
    /// When the stream took it.
    pub arrived_at: Micros,
    /// What the producer sent, base64 already undone.
    pub data: &'a [u8],
}

/// The ordered source that the records of a batch come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The stream's or the table's name.
    pub stream: String,
    /// The shard's id; a table's stream does not tell it and has the stream's label here.
    pub shard: String,
}

impl Source {
    /// The lane that this source makes on the clean stream.
    #[must_use]
    pub fn lane(&self) -> String {
        format!("{}/{}", self.stream, self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_compare_as_numbers() {
        assert!(Sequence::from("9") < Sequence::from("10"));
        assert!(
            Sequence::from("49590338271490256608559692538361571095921575989136588898")
                > Sequence::from("4959")
        );
    }
}
