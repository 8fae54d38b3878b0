//! A dependency behind its policy and its breaker.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::guard::{Guard, Health, State};
use millrace_core::port::{Clock as _, Error, Kind};
use millrace_core::time::Micros;
use millrace_sim::{VirtualClock, run};
use std::cell::Cell;

fn failing() -> Error {
    Error { what: "simulated".into(), kind: Kind::Transient, source: None }
}

/// A dependency that is well or not, and counts the attempts.
#[derive(Default)]
struct Moody {
    is_well: Cell<bool>,
    asked: Cell<usize>,
}

fn ask(guard: &Guard<Moody>, clock: &VirtualClock) -> Result<(), Error> {
    let deadline = clock.now().plus_ms(60_000);
    run(guard.call(clock, deadline, async |moody: &Moody| {
        moody.asked.set(moody.asked.get() + 1);
        moody.is_well.get().then_some(()).ok_or_else(failing)
    }))
}

#[test]
fn a_breaker_opens_lets_one_attempt_through_and_closes() {
    let clock = VirtualClock::at(Micros::EPOCH);
    let guard = Guard::patient("the store", Moody::default());
    assert_eq!((guard.state(clock.now()), guard.health()), (State::Closed, None));

    assert!(ask(&guard, &clock).is_err());
    assert_eq!(guard.port().asked.get(), 8, "then it is open, with time left");
    assert_eq!(guard.state(clock.now()), State::Open);
    let why = ask(&guard, &clock).unwrap_err();
    assert_eq!(why.to_string(), "the store is left alone for some seconds, it failed too often");
    assert_eq!(guard.port().asked.get(), 8, "it fails at once");
    assert_eq!(guard.health(), Some(Health { dependency: "the store", open: 1, refused: 1 }));

    run(clock.sleep(std::time::Duration::from_secs(10)));
    assert_eq!(guard.state(clock.now()), State::HalfOpen);
    assert!(ask(&guard, &clock).is_err());
    assert_eq!((guard.port().asked.get(), guard.state(clock.now())), (9, State::Open), "one attempt");

    run(clock.sleep(std::time::Duration::from_secs(10)));
    guard.port().is_well.set(true);
    assert!(ask(&guard, &clock).is_ok());
    assert_eq!(guard.state(clock.now()), State::Closed);
    assert_eq!(guard.health(), Some(Health { dependency: "the store", open: 0, refused: 0 }));
    assert_eq!(guard.health(), None);
}

#[test]
fn an_attempt_that_hangs_ends_with_the_deadline() {
    let clock = VirtualClock::at(Micros::EPOCH);
    let guard = Guard::patient("the store", ());
    let deadline = clock.now().plus_ms(5_000);
    let why = run(guard.call(&clock, deadline, async |()| std::future::pending::<Result<(), Error>>().await));
    assert_eq!(why.unwrap_err().to_string(), "the store did not answer before the time was over");
    assert!(clock.now() >= deadline);
}

#[test]
fn a_permanent_error_is_not_asked_again() {
    let clock = VirtualClock::at(Micros::EPOCH);
    let guard = Guard::patient("the store", Cell::new(0));
    let why = run(guard.call(&clock, clock.now().plus_ms(5_000), async |asked: &Cell<usize>| {
        asked.set(asked.get() + 1);
        Err::<(), _>(Error { kind: Kind::Permanent, ..failing() })
    }));
    assert!(why.is_err() && guard.port().get() == 1);
}
