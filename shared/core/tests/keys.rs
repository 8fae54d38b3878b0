//! The key of the tokens, asked for anew.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::guard::Guard;
use millrace_core::keys::{Keys, NoKeys};
use millrace_core::port::{Clock as _, Error, Kind, Secret};
use millrace_core::time::Micros;
use millrace_core::token::{NoKey, TokenKey};
use millrace_sim::{VirtualClock, run};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// A secret that somebody changes, or that cannot be had.
#[derive(Default)]
struct Held {
    text: RefCell<Option<String>>,
    asked: Cell<usize>,
}

impl Held {
    fn set(&self, id: &str) {
        self.text.replace(Some(format!(r#"{{"id":"{id}","key":"{}"}}"#, "x".repeat(32))));
    }
}

impl Secret for &Held {
    async fn get(&self) -> Result<String, Error> {
        self.asked.set(self.asked.get() + 1);
        let gone = || Error { what: "simulated".into(), kind: Kind::Permanent, source: None };
        self.text.borrow().clone().ok_or_else(gone)
    }
}

fn fetch<'s>(held: &'s Held, clock: &VirtualClock) -> Result<Keys<&'s Held>, NoKeys> {
    run(Keys::fetch(Guard::patient("secret", held), clock, clock.now().plus_ms(8_000), TokenKey::parse))
}

fn renew(keys: &mut Keys<&Held>, clock: &VirtualClock, seconds: u64) -> Result<(), NoKeys> {
    run(clock.sleep(Duration::from_secs(seconds)));
    run(keys.renew(clock, clock.now().plus_ms(60_000), TokenKey::parse))
}

#[test]
fn a_new_key_is_taken_within_five_minutes_without_a_deployment() {
    let (held, clock) = (Held::default(), VirtualClock::at(Micros::EPOCH));
    held.set("k1");
    let mut keys = fetch(&held, &clock).unwrap();
    held.set("k2");
    renew(&mut keys, &clock, 299).unwrap();
    assert_eq!((keys.key().id(), held.asked.get()), ("k1", 1), "it is not asked for with each batch");
    renew(&mut keys, &clock, 1).unwrap();
    assert_eq!((keys.key().id(), held.asked.get()), ("k2", 2));
}

#[test]
fn while_there_is_no_new_key_the_known_one_goes_on() {
    let (held, clock) = (Held::default(), VirtualClock::at(Micros::EPOCH));
    held.set("k1");
    let mut keys = fetch(&held, &clock).unwrap();
    held.text.replace(None);
    assert!(renew(&mut keys, &clock, 300).is_err());
    held.text.replace(Some("hunter2".into()));
    assert!(renew(&mut keys, &clock, 29).is_ok(), "it is left alone for half a minute");
    let why = renew(&mut keys, &clock, 1).unwrap_err().to_string();
    assert!(why.contains("not JSON of the form") && !why.contains("hunter2"), "{why}");
    assert_eq!(keys.key().id(), "k1");
    held.set("k2");
    renew(&mut keys, &clock, 30).unwrap();
    assert_eq!(keys.key().id(), "k2");
}

#[test]
fn a_key_that_will_not_do_for_the_pipeline_is_not_taken() {
    let (held, clock) = (Held::default(), VirtualClock::at(Micros::EPOCH));
    held.set("k1");
    let mut keys = fetch(&held, &clock).unwrap();
    held.set("k2");
    run(clock.sleep(Duration::from_mins(5)));
    let refuse = |_: &str| Err(NoKey::NoEncryption);
    assert!(run(keys.renew(&clock, clock.now().plus_ms(60_000), refuse)).is_err());
    assert_eq!(keys.key().id(), "k1");
}

#[test]
fn without_a_secret_there_is_no_start() {
    let (held, clock) = (Held::default(), VirtualClock::at(Micros::EPOCH));
    assert!(fetch(&held, &clock).is_err());
}

#[test]
fn a_key_that_did_not_do_is_asked_for_sooner_but_not_each_time() {
    let (held, clock) = (Held::default(), VirtualClock::at(Micros::EPOCH));
    held.set("k1");
    let mut keys = fetch(&held, &clock).unwrap();
    held.set("k2");
    assert!(!keys.hurry(clock.now()), "it has just been asked for");
    renew(&mut keys, &clock, 29).unwrap();
    assert_eq!(keys.key().id(), "k1");
    run(clock.sleep(Duration::from_secs(1)));
    assert!(keys.hurry(clock.now()));
    renew(&mut keys, &clock, 0).unwrap();
    assert_eq!((keys.key().id(), held.asked.get()), ("k2", 2));
    assert!(!keys.hurry(clock.now()));
    assert!(!Keys::fixed(()).hurry(clock.now()), "there is nobody to ask");
}
