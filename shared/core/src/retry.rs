//! Insisting: one policy for all that can fail, always inside the time that is left.

use crate::port::Clock;
use crate::time::Micros;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How to insist on a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What lies between two attempts.
    pub delay: Delay,
    /// The most attempts; the deadline may come first.
    pub attempts_max: u32,
}

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// Evenly between 0 and `min(cap, base * 2^(attempt - 1))`.
    /// Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    FullJitter {
        /// The longest wait after the first attempt.
        base: Duration,
        /// The longest wait at all.
        cap: Duration,
    },
    /// Always the same.
    Fixed(Duration),
}

impl Policy {
    /// As long as there is time: 50 ms, doubled up to 2 s. A throttled shard takes records again within a second.
    pub const PATIENT: Self = Self {
        delay: Delay::FullJitter { base: Duration::from_millis(50), cap: Duration::from_secs(2) },
        attempts_max: u32::MAX,
    };

    /// Once more, soon: somebody waits for the answer.
    pub const BRIEF: Self = Self { delay: Delay::Fixed(Duration::from_millis(100)), attempts_max: 2 };

    /// Waits after this attempt, counted from 1. False, at once, where it was the last one, or the deadline would pass
    /// meanwhile.
    pub async fn pause(&self, attempt: u32, clock: &impl Clock, deadline: Micros) -> bool {
        let delay = self.delay.after(attempt, clock.random());
        if attempt >= self.attempts_max || clock.now().until(deadline) <= delay {
            return false;
        }
        clock.sleep(delay).await;
        true
    }
}

impl Delay {
    /// The wait after this attempt, counted from 1.
    #[must_use]
    pub fn after(&self, attempt: u32, random: u64) -> Duration {
        match *self {
            Self::FullJitter { base, cap } => {
                let doubled = base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
                let share = (doubled.min(cap).as_micros() * u128::from(random)) >> 64;
                Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
            }
            Self::Fixed(delay) => delay,
        }
    }
}

/// Waits for an answer until the deadline. An attempt that is cut off may have done its work.
pub async fn within<T>(clock: &impl Clock, deadline: Micros, attempt: impl Future<Output = T>) -> Option<T> {
    let mut attempt = pin!(attempt);
    let mut late = pin!(clock.sleep(clock.now().until(deadline)));
    std::future::poll_fn(|cx| match attempt.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_is_jittered_from_zero() {
        let delay = Delay::FullJitter { base: Duration::from_millis(50), cap: Duration::from_millis(300) };
        for (attempt, ceiling) in [(1, 50), (2, 100), (3, 200), (4, 300), (5, 300), (u32::MAX, 300)] {
            assert_eq!(delay.after(attempt, 0), Duration::ZERO);
            assert_eq!(
                delay.after(attempt, 1 << 63),
                Duration::from_millis(ceiling) / 2,
                "attempt {attempt}"
            );
            let longest = delay.after(attempt, u64::MAX);
            assert!(longest < Duration::from_millis(ceiling) && longest > Duration::from_millis(ceiling - 1));
        }
    }

    #[test]
    fn a_fixed_wait_is_always_the_same() {
        let delay = Delay::Fixed(Duration::from_millis(70));
        for (attempt, random) in [(1, 0), (2, u64::MAX), (9, 1 << 63)] {
            assert_eq!(delay.after(attempt, random), Duration::from_millis(70));
        }
    }

    /// A clock whose sleeps take no time, but move it.
    struct Hands(Cell<Micros>);

    impl Clock for Hands {
        fn now(&self) -> Micros {
            self.0.get()
        }

        async fn sleep(&self, time: Duration) {
            self.0.set(self.0.get().plus_ms(i64::try_from(time.as_millis()).unwrap()));
        }

        fn random(&self) -> u64 {
            u64::MAX
        }
    }

    #[test]
    fn no_wait_reaches_the_deadline_and_no_attempt_outlives_it() {
        let clock = Hands(Cell::new(Micros::EPOCH));
        let deadline = Micros::EPOCH.plus_ms(10_000);
        let mut attempts = 1;
        while millrace_sim::run(Policy::PATIENT.pause(attempts, &clock, deadline)) {
            attempts += 1;
        }
        // 50 + 100 + … + 1600 ms, then 2 s each.
        assert_eq!((attempts, clock.now().get() / 1_000_000), (10, 9));
        let never = std::future::pending::<()>();
        assert_eq!(millrace_sim::run(within(&clock, deadline, never)), None);
        assert_eq!(clock.now(), deadline);
        assert_eq!(
            millrace_sim::run(within(&clock, deadline, async { 7 })),
            Some(7),
            "an answer is an answer"
        );
    }

    #[test]
    fn a_brief_policy_tries_twice() {
        let clock = Hands(Cell::new(Micros::EPOCH));
        let deadline = Micros::EPOCH.plus_ms(10_000);
        assert!(millrace_sim::run(Policy::BRIEF.pause(1, &clock, deadline)));
        assert!(!millrace_sim::run(Policy::BRIEF.pause(2, &clock, deadline)));
    }
}
