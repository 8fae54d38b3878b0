//! What a function needs of the world, in its own words. `millrace-aws` has them over the SDK; tests have them in
//! memory, with faults.

use crate::time::Micros;
use std::time::Duration;

/// A record to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What decides the shard; 1 to 256 characters.
    pub partition_key: String,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// A stream that takes records.
pub trait PutRecords {
    /// Tries once to put records. The answer has one item an entry, in the order of the entries.
    fn put(&self, entries: &[Entry]) -> impl Future<Output = Result<Vec<Put>, Error>>;
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The stream has it.
    Done,
    /// The shard is at its limit.
    Throttled,
    /// The stream failed on it.
    Failed,
}

/// A place for objects.
pub trait ObjectStore {
    /// Puts an object, over one that is there already.
    fn put(&self, key: &str, body: Vec<u8>) -> impl Future<Output = Result<(), Error>>;
}

/// A queue.
pub trait Queue {
    /// Sends a message of text, or says that it could not.
    fn send(&self, message: String) -> impl Future<Output = Result<(), Error>>;
}

/// Time and chance.
pub trait Clock {
    /// Now.
    fn now(&self) -> Micros;
    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
    /// A random number, each as likely as the other.
    fn random(&self) -> u64;
}

/// A dependency that failed. Bad data is never one.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What was tried on what, without a payload.
    pub what: String,
    /// Whether it is worth trying again.
    pub kind: Kind,
    /// What the dependency said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How a dependency failed, as far as the caller's decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks to be left alone for a while.
    Throttled,
    /// It may answer the next time.
    Transient,
    /// It will answer the same the next time: no permission, no such stream.
    Permanent,
}

impl Error {
    /// The error with all that lies beneath it, for a log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
