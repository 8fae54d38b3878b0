//! A dependency behind its policy and its circuit breaker.
//!
//! All calls of a port go through here: tried again as the policy says, never past the deadline, and not at all while
//! the breaker is open. A breaker is closed until so many attempts in a row failed; then it is open for a while, and
//! what is asked meanwhile fails at once, so that nobody waits for what will not come and the dependency is left alone.
//! Then one attempt is let through, half-open: its success closes the breaker, its failure opens it again. So who asks several things
//! at once of a guard that is not patient hears each to its end: cut off by those that are refused, that one would close nothing.

use crate::port::{Clock, Error, Kind};
use crate::retry::{Policy, within};
use crate::time::Micros;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many attempts in a row fail before the breaker opens. With [`Policy::PATIENT`] they take some two seconds where
/// the dependency refuses at once: a shard that is throttled for a moment does not get there.
const FAILURES_MAX: u32 = 8;

/// How long the breaker stays open, milliseconds.
const OPEN_MS: i64 = 10_000;

/// A dependency.
#[derive(Debug)]
pub struct Guard<P> {
    port: P,
    name: &'static str,
    policy: Policy,
    breaker: Mutex<Breaker>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Breaker {
    /// Attempts in a row that failed.
    failures: u32,
    /// Until when nothing is let through, where it is not closed.
    open_until: Option<Micros>,
    /// Whether an attempt was let through to see.
    probing: bool,
    /// Calls that failed at once since the last report.
    refused: usize,
    /// Whether the last report said that it is not closed.
    told: bool,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All.
    Closed,
    /// One attempt, to see.
    HalfOpen,
    /// Nothing.
    Open,
}

/// How a dependency is, as a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Which one.
    pub dependency: &'static str,
    /// Whether its breaker is open: 1, or 0 where it has just closed.
    pub open: usize,
    /// Calls that failed at once meanwhile.
    pub refused: usize,
}

impl<P> Guard<P> {
    /// The dependency of this name, which stands in metrics and errors.
    pub const fn new(name: &'static str, port: P, policy: Policy) -> Self {
        let breaker = Breaker { failures: 0, open_until: None, probing: false, refused: 0, told: false };
        Self { port, name, policy, breaker: Mutex::new(breaker) }
    }

    /// A dependency that is tried as long as there is time.
    pub const fn patient(name: &'static str, port: P) -> Self {
        Self::new(name, port, Policy::PATIENT)
    }

    /// The port itself.
    pub const fn port(&self) -> &P {
        &self.port
    }

    /// The port itself, without its guard.
    pub fn into_port(self) -> P {
        self.port
    }

    /// Asks until it is answered. What is [`Kind::Permanent`] is not asked again.
    pub async fn call<T>(
        &self,
        clock: &impl Clock,
        deadline: Micros,
        ask: impl AsyncFn(&P) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.once(clock, deadline, &ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind == Kind::Permanent
                || self.state(clock.now()) == State::Open
                || !self.policy.pause(attempt, clock, deadline).await
            {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// One attempt, if the breaker lets it through.
    pub(crate) async fn once<T>(
        &self,
        clock: &impl Clock,
        deadline: Micros,
        ask: impl AsyncFn(&P) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.admit(clock.now())?;
        let answer = within(clock, deadline, ask(&self.port)).await;
        let answer = answer
            .unwrap_or_else(|| Err(self.error("did not answer before the time was over", Kind::Transient)));
        self.learn(clock.now(), answer.is_ok());
        answer
    }

    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the breaker lets through now.
    pub fn state(&self, now: Micros) -> State {
        let breaker = self.breaker();
        match breaker.open_until {
            None => State::Closed,
            Some(until) if now < until && !breaker.probing => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// How the dependency is, where that is worth telling: while its breaker is not closed, and once it is again.
    pub fn health(&self) -> Option<Health> {
        let mut breaker = self.breaker();
        let open = usize::from(breaker.open_until.is_some());
        let refused = std::mem::take(&mut breaker.refused);
        let tell = open > 0 || breaker.told;
        breaker.told = open > 0;
        tell.then_some(Health { dependency: self.name, open, refused })
    }

    fn admit(&self, now: Micros) -> Result<(), Error> {
        let mut breaker = self.breaker();
        match breaker.open_until {
            Some(until) if now < until => {
                breaker.refused += 1;
                Err(self.error("is left alone for some seconds, it failed too often", Kind::Transient))
            }
            // Until this attempt has told how it went, and for as long as the breaker opens for at the most, it is
            // the only one: it may be cut off and never tell.
            Some(_) => {
                (breaker.probing, breaker.open_until) = (true, Some(now.plus_ms(OPEN_MS)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn learn(&self, now: Micros, is_well: bool) {
        let mut breaker = self.breaker();
        breaker.probing = false;
        if is_well {
            (breaker.failures, breaker.open_until) = (0, None);
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= FAILURES_MAX {
            breaker.open_until = Some(now.plus_ms(OPEN_MS));
        }
    }

    fn error(&self, what: &str, kind: Kind) -> Error {
        Error { what: format!("{} {what}", self.name), kind, source: None }
    }

    /// Nothing panics while it is held; and if it did, numbers are numbers.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
