//! Queues: SQS' standard ones.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | a message is at most 1 MiB | [quotas] |
//! | messages come at least once, and in about the order they were sent in | [standard queues] |
//! | who receives a message has it alone until its visibility timeout ends, or deletes it | [visibility] |
//! | a message that was received too often goes to the dead letter queue | [dead letters] |
//!
//! [quotas]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
//! [standard queues]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html
//! [visibility]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
//! [dead letters]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html

use crate::account::Account;
use crate::executor::Bell;
use millrace_core::port::{self, Error, Kind};
use millrace_core::time::Micros;
use std::cell::RefCell;
use std::rc::Rc;

const MESSAGE_MAX: usize = 1 << 20;

/// The most messages that one call receives.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const RECEIVE_MAX: usize = 10;

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its text.
    pub body: String,
    /// When it was sent.
    pub sent_at: Micros,
    /// How many times it was received.
    pub receives: u32,
    visible_at: Micros,
    deleted: bool,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// How long a message that was received stays hidden.
    pub visibility_ms: i64,
    /// Rings when a message comes.
    pub bell: Bell,
    account: Account,
    messages: RefCell<Vec<Message>>,
    dead: Option<(Rc<Queue>, u32)>,
}

impl Queue {
    /// An empty queue; what is received more often than this goes to the dead letter queue.
    #[must_use]
    pub fn new(
        account: &Account,
        name: &'static str,
        visibility_ms: i64,
        dead: Option<(Rc<Self>, u32)>,
    ) -> Rc<Self> {
        Rc::new(Self {
            name,
            visibility_ms,
            bell: Bell::default(),
            account: account.clone(),
            messages: RefCell::default(),
            dead,
        })
    }

    /// Takes a message.
    pub fn take(&self, body: String) {
        let now = self.account.now();
        let id = format!("{}-{}", self.name, self.messages.borrow().len());
        self.hold(Message { id, body, sent_at: now, receives: 0, visible_at: now, deleted: false });
    }

    fn hold(&self, message: Message) {
        self.messages.borrow_mut().push(message);
        self.bell.ring();
    }

    /// The messages that nobody has deleted yet, received or not.
    #[must_use]
    pub fn waiting(&self) -> Vec<Message> {
        self.messages.borrow().iter().filter(|message| !message.deleted).cloned().collect()
    }

    /// All messages that it ever had.
    #[must_use]
    pub fn all(&self) -> Vec<Message> {
        self.messages.borrow().clone()
    }

    /// Receives at most so many messages, in about their order.
    pub fn receive(&self, max: usize) -> Vec<Message> {
        let now = self.account.now();
        let chance = self.account.chance();
        let mut dying = Vec::new();
        let mut messages = self.messages.borrow_mut();
        let mut due: Vec<_> =
            messages.iter_mut().filter(|message| !message.deleted && message.visible_at <= now).collect();
        if chance.percent(50) {
            chance.shuffle(&mut due);
        }
        let mut received = Vec::new();
        for message in due {
            if let Some((_, max)) = &self.dead
                && message.receives >= *max
            {
                dying.push(Message { receives: 0, visible_at: now, ..message.clone() });
                message.deleted = true;
                continue;
            }
            if received.len() < max {
                message.receives += 1;
                message.visible_at = now.plus_ms(self.visibility_ms);
                received.push(message.clone());
            }
        }
        drop(messages);
        for message in dying {
            self.account.tell(|| {
                format!("{}: {} was received too often and goes to its dead letters", self.name, message.id)
            });
            if let Some((dead, _)) = &self.dead {
                dead.hold(message);
            }
        }
        received
    }

    /// When the next message that is hidden now can be received.
    #[must_use]
    pub fn next_visible(&self) -> Option<Micros> {
        let messages = self.messages.borrow();
        messages.iter().filter(|message| !message.deleted).map(|message| message.visible_at).min()
    }

    /// Deletes a message.
    pub fn delete(&self, id: &str) {
        for message in self.messages.borrow_mut().iter_mut().filter(|message| message.id == id) {
            message.deleted = true;
        }
    }

    /// Gives a message back to whoever asks next.
    pub fn give_back(&self, id: &str) {
        for message in self.messages.borrow_mut().iter_mut().filter(|message| message.id == id) {
            message.visible_at = self.account.now();
        }
        self.bell.ring();
    }

    /// Makes a message that was received, deleted or not, come once more.
    pub fn deliver_twice(&self) {
        let mut messages = self.messages.borrow_mut();
        let mut had: Vec<_> = messages.iter_mut().filter(|message| message.receives > 0).collect();
        if had.is_empty() {
            return;
        }
        let place = self.account.chance().place(had.len());
        if let Some(message) = had.get_mut(place) {
            message.deleted = false;
            message.visible_at = self.account.now();
            // A copy on another server knows nothing of the receives.
            message.receives = 0;
            self.account.tell(|| format!("{}: {} is delivered once more", self.name, message.id));
        }
        drop(messages);
        self.bell.ring();
    }
}

/// A client of a queue.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Queue>);

impl port::Queue for Client {
    async fn send(&self, message: &str) -> Result<(), Error> {
        let (queue, message) = (Rc::clone(&self.0), message.to_owned());
        let effect = move |_| {
            if message.len() > MESSAGE_MAX {
                let what = format!("send to {}: the message is too large", queue.name);
                return Err(Error { what, kind: Kind::Permanent, source: None });
            }
            queue.account.tell(|| format!("  {}: takes a message", queue.name));
            queue.take(message);
            Ok(())
        };
        self.0.account.call(self.0.name, effect).await
    }
}

impl port::Inbox for Client {
    async fn receive(&self) -> Result<Vec<port::Message>, Error> {
        let queue = Rc::clone(&self.0);
        let message = |Message { id, body, sent_at, .. }: Message| port::Message {
            receipt: id.clone(),
            id,
            body,
            sent_at: Some(sent_at),
            attributes: Vec::new(),
        };
        let effect = move |_| Ok(queue.receive(RECEIVE_MAX).into_iter().map(message).collect());
        self.0.account.call(self.0.name, effect).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), Error> {
        let (queue, id) = (Rc::clone(&self.0), receipt.to_owned());
        let effect = move |_| {
            queue.account.tell(|| format!("  {}: {id} is deleted", queue.name));
            queue.delete(&id);
            Ok(())
        };
        self.0.account.call(self.0.name, effect).await
    }

    async fn give_back(&self, receipt: &str) -> Result<(), Error> {
        let (queue, id) = (Rc::clone(&self.0), receipt.to_owned());
        let effect = move |_| {
            queue.account.tell(|| format!("  {}: {id} is given back", queue.name));
            queue.give_back(&id);
            Ok(())
        };
        self.0.account.call(self.0.name, effect).await
    }
}
