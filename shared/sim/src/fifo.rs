//! Queues: SQS' FIFO ones, as who sends to them has them.
//!
//! A message whose deduplication id was sent within five minutes is taken, and not delivered a second time:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html>.
//! Nobody receives here: what was delivered stays to be looked at.

use crate::account::Account;
use bytes::Bytes;
use millrace_core::port::{Error, Kind, ObjectStore};
use millrace_core::time::Micros;
use std::cell::RefCell;
use std::rc::Rc;

/// For how long a deduplication id is known, milliseconds.
const KNOWN_MS: i64 = 5 * 60_000;

/// The largest message, bytes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MESSAGE_MAX: usize = 1 << 20;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its group and its deduplication id, which are the same here.
    pub key: String,
    /// Its text.
    pub body: Vec<u8>,
    sent_at: Micros,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    name: &'static str,
    account: Account,
    messages: RefCell<Vec<Message>>,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(account: &Account, name: &'static str) -> Rc<Self> {
        Rc::new(Self { name, account: account.clone(), messages: RefCell::default() })
    }

    /// The messages that it delivers.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.messages.borrow().clone()
    }

    fn take(&self, key: &str, body: &[u8]) -> Result<(), Error> {
        if body.len() > MESSAGE_MAX {
            let what = format!("send to {}: the message is too large", self.name);
            return Err(Error { what, kind: Kind::Permanent, source: None });
        }
        let now = self.account.now();
        let mut messages = self.messages.borrow_mut();
        let is_known = messages.iter().any(|known| known.key == key && known.sent_at.plus_ms(KNOWN_MS) > now);
        self.account.tell(|| {
            let what = if is_known { "knows" } else { "takes" };
            format!("  {}: {what} the message {key}", self.name)
        });
        if !is_known {
            messages.push(Message { key: key.to_owned(), body: body.to_vec(), sent_at: now });
        }
        Ok(())
    }
}

/// A client of a queue, by the port that sinks put their objects by.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Queue>);

impl ObjectStore for Client {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let (queue, key) = (Rc::clone(&self.0), key.to_owned());
        self.0.account.call(self.0.name, move |_| queue.take(&key, &body)).await
    }

    /// A message that was sent stays sent.
    async fn delete(&self, _key: &str) -> Result<(), Error> {
        Ok(())
    }
}
