//! The core's ports in memory, with faults in the order that a test says. For tests only.
//!
//! Time is virtual: a sleep moves the clock and takes none.

use millrace_core::port::{Clock, Entry, Error, Kind, ObjectStore, Put, PutRecords, Queue};
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails and does nothing.
    Fails(Kind),
    /// The call does its work, and its answer is lost.
    AnswerLost,
    /// The stream throttles the entries at these places, and takes the others.
    Throttles(Vec<usize>),
}

/// The faults of the calls to come; after the last of them all goes well.
#[derive(Debug, Default)]
struct Faults(RefCell<VecDeque<Fault>>);

impl Faults {
    fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(RefCell::new(faults.into_iter().collect()))
    }

    fn next(&self) -> Fault {
        self.0.borrow_mut().pop_front().unwrap_or(Fault::None)
    }
}

fn error(kind: Kind) -> Error {
    Error { what: "simulated".to_owned(), kind, source: None }
}

/// A stream in memory.
#[derive(Debug, Default)]
pub struct Stream {
    taken: RefCell<Vec<Entry>>,
    calls: RefCell<Vec<usize>>,
    faults: Faults,
}

impl Stream {
    /// A stream whose first calls go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The records that it took, in order.
    #[must_use]
    pub fn records(&self) -> Vec<Entry> {
        self.taken.borrow().clone()
    }

    /// How many entries each call had.
    #[must_use]
    pub fn calls(&self) -> Vec<usize> {
        self.calls.borrow().clone()
    }
}

impl PutRecords for Stream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        self.calls.borrow_mut().push(entries.len());
        let refused = match self.faults.next() {
            Fault::Fails(kind) => return Err(error(kind)),
            Fault::AnswerLost => {
                self.taken.borrow_mut().extend_from_slice(entries);
                return Err(error(Kind::Transient));
            }
            Fault::Throttles(places) => places,
            Fault::None => Vec::new(),
        };
        let take = |(place, entry): (usize, &Entry)| {
            if refused.contains(&place) {
                return Put::Throttled;
            }
            self.taken.borrow_mut().push(entry.clone());
            Put::Done
        };
        Ok(entries.iter().enumerate().map(take).collect())
    }
}

/// A bucket in memory.
#[derive(Debug, Default)]
pub struct Store {
    objects: RefCell<BTreeMap<String, Vec<u8>>>,
    faults: Faults,
}

impl Store {
    /// A bucket whose first puts go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The objects in it.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.borrow().clone()
    }
}

impl ObjectStore for Store {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Error> {
        match self.faults.next() {
            Fault::Fails(kind) => return Err(error(kind)),
            Fault::AnswerLost => {
                self.objects.borrow_mut().insert(key.to_owned(), body);
                return Err(error(Kind::Transient));
            }
            Fault::None | Fault::Throttles(_) => {}
        }
        self.objects.borrow_mut().insert(key.to_owned(), body);
        Ok(())
    }
}

/// A queue in memory.
#[derive(Debug, Default)]
pub struct Messages {
    sent: RefCell<Vec<String>>,
    faults: Faults,
}

impl Messages {
    /// A queue whose first sends go so.
    pub fn failing(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: Faults::new(faults), ..Self::default() }
    }

    /// The messages in it.
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        self.sent.borrow().clone()
    }
}

impl Queue for Messages {
    async fn send(&self, message: String) -> Result<(), Error> {
        if let Fault::Fails(kind) = self.faults.next() {
            return Err(error(kind));
        }
        self.sent.borrow_mut().push(message);
        Ok(())
    }
}

/// A virtual clock, with chance from a seed.
#[derive(Debug)]
pub struct VirtualClock {
    now: Cell<Micros>,
    chance: Cell<u64>,
}

impl VirtualClock {
    /// A clock that stands at this moment.
    #[must_use]
    pub fn at(now: Micros) -> Self {
        Self { now: Cell::new(now), chance: Cell::new(0x9e37_79b9_7f4a_7c15) }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Micros {
        self.now.get()
    }

    async fn sleep(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.now.set(self.now.get().plus_ms(ms.max(1)));
    }

    /// xorshift64: <https://www.jstatsoft.org/article/view/v008i14>
    fn random(&self) -> u64 {
        let mut state = self.chance.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.chance.set(state);
        state
    }
}

/// Runs a future whose ports are all in memory, so that it never has to wait.
///
/// # Panics
///
/// When the future waits for something: then a port is not of this crate.
#[expect(clippy::panic, reason = "a test that waits for ever says less")]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something outside the simulation"),
    }
}
