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
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands in its shard.
    pub sequence: Sequence,
    /// When the stream took it.
    pub arrived_at: Micros,
    /// What the producer sent, base64 already undone.
    pub data: Vec<u8>,
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
