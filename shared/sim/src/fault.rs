//! What goes wrong in a run, and when: a list, so that a story can be told with as few of them as it takes.

use crate::chance::Chance;
use millrace_core::port::Kind;
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The n-th call of a service, counted from 0.
    Call {
        /// The service, by name.
        service: &'static str,
        /// Which of its calls.
        nth: u32,
        /// What becomes of it.
        how: CallFault,
    },
    /// All calls of a service for some time, or so many of a hundred.
    Spell {
        /// The service, by name.
        service: &'static str,
        /// From then on.
        from: Micros,
        /// Until then.
        until: Micros,
        /// So many of a hundred calls.
        percent: u64,
        /// What becomes of them.
        how: CallFault,
    },
    /// The n-th invocation of a function, counted from 0.
    Invocation {
        /// The function, by name.
        function: &'static str,
        /// Which of its invocations.
        nth: u32,
        /// What becomes of it.
        how: InvocationFault,
    },
    /// Something that happens to a part of the account at one time.
    At {
        /// The moment.
        at: Micros,
        /// What happens.
        what: Happening,
    },
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// It is refused, and does nothing.
    Refused(Kind),
    /// It does its work, and the answer is lost: the client waits until it gives up.
    AnswerLost,
    /// The client gives up, and so much later the call does its work all the same.
    Late(Duration),
    /// Of what it carries some entries are refused, each with this chance of a hundred.
    Partial(u64, Kind),
}

/// What becomes of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationFault {
    /// The process dies after it went on so many times; out of memory, a bug, or the machine.
    Crash(u32),
    /// It hangs after it went on so many times, until its timeout.
    Hang(u32),
    /// It does its work, and Lambda loses the answer.
    AnswerLost,
    /// Lambda has no room for it.
    Throttled,
    /// A new instance takes it, though warm ones are idle.
    Cold,
}

/// What happens to a part of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A new version of all functions: who works goes on to the end, who comes next is new.
    Deploy,
    /// The key of the tokens is rotated: the secret holds another one, and the one before it beside it.
    Rotate,
    /// The warm instances of a function go.
    Recycle(&'static str),
    /// Another poller of this stream's event source mapping takes over one of its shards, while the one before it still works.
    LeaseLost(&'static str),
    /// A shard of this stream is split in two.
    Split(&'static str),
    /// Two shards of this stream become one.
    Merge(&'static str),
    /// A message of this queue is delivered a second time, although it is not due or was deleted.
    DeliveredTwice(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { service, nth, how } => write!(f, "call {nth} of {service}: {how:?}"),
            Self::Spell { service, from, until, percent, how } => {
                write!(f, "{service}: {how:?} for {percent}% of the calls")?;
                write!(f, " from {} to {}", from.rfc3339(), until.rfc3339())
            }
            Self::Invocation { function, nth, how } => write!(f, "invocation {nth} of {function}: {how:?}"),
            Self::At { at, what } => write!(f, "{}: {what:?}", at.rfc3339()),
        }
    }
}

/// The faults of a run, and how far they have come.
#[derive(Debug)]
pub struct Faults {
    all: Vec<Fault>,
    chance: Chance,
    calls: RefCell<BTreeMap<&'static str, u32>>,
    invocations: RefCell<BTreeMap<&'static str, u32>>,
    over: Cell<bool>,
    /// Which services a call went wrong with, and when.
    met: RefCell<Vec<(&'static str, Micros)>>,
}

impl Faults {
    /// These faults.
    #[must_use]
    pub fn new(all: Vec<Fault>, chance: Chance) -> Self {
        Self {
            all,
            chance,
            calls: RefCell::default(),
            invocations: RefCell::default(),
            over: Cell::new(false),
            met: RefCell::default(),
        }
    }

    /// From now on all goes well.
    pub fn end(&self) {
        self.over.set(true);
    }

    /// What becomes of the next call of this service.
    pub fn call(&self, service: &'static str, now: Micros) -> Option<CallFault> {
        let this = next(&self.calls, service);
        if self.over.get() {
            return None;
        }
        let fault = self.all.iter().find_map(|fault| match fault {
            Fault::Call { service: of, nth, how } if (*of, *nth) == (service, this) => Some(*how),
            Fault::Spell { service: of, from, until, percent, how }
                if *of == service && (*from..*until).contains(&now) && self.chance.percent(*percent) =>
            {
                Some(*how)
            }
            _ => None,
        });
        if fault.is_some() {
            self.met.borrow_mut().push((service, now));
        }
        fault
    }

    /// When a call of this service went wrong.
    #[must_use]
    pub fn met(&self, service: &str) -> Vec<Micros> {
        self.met.borrow().iter().filter(|(of, _)| *of == service).map(|(_, at)| *at).collect()
    }

    /// What becomes of the next invocation of this function.
    pub fn invocation(&self, function: &'static str) -> Option<InvocationFault> {
        let this = next(&self.invocations, function);
        if self.over.get() {
            return None;
        }
        self.all.iter().find_map(|fault| match fault {
            Fault::Invocation { function: of, nth, how } if (*of, *nth) == (function, this) => Some(*how),
            _ => None,
        })
    }

    /// What happens at one time, and when.
    pub fn happenings(&self) -> impl Iterator<Item = (Micros, Happening)> {
        self.all.iter().filter_map(|fault| match fault {
            Fault::At { at, what } => Some((*at, *what)),
            _ => None,
        })
    }
}

fn next(counts: &RefCell<BTreeMap<&'static str, u32>>, name: &'static str) -> u32 {
    let mut counts = counts.borrow_mut();
    let count = counts.entry(name).or_default();
    *count += 1;
    *count - 1
}
