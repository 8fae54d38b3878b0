//! Insisting: exponential backoff with full jitter, inside the time that is left.

use crate::port::Clock;
use crate::time::Micros;
use std::time::Duration;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first attempt.
    pub base: Duration,
    /// The longest wait at all.
    pub cap: Duration,
}

impl Default for Backoff {
    /// 50 ms, doubled up to 2 s: a throttled shard takes records again within a second.
    fn default() -> Self {
        Self { base: Duration::from_millis(50), cap: Duration::from_secs(2) }
    }
}

impl Backoff {
    /// The wait after this attempt, counted from 1: evenly between 0 and `min(cap, base * 2^(attempt - 1))`.
    /// Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        let ceiling = doubled.min(self.cap).as_micros();
        let share = (ceiling * u128::from(random)) >> 64;
        Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Waits after this attempt. False, at once, where the deadline would pass meanwhile.
    pub async fn pause(&self, attempt: u32, clock: &impl Clock, deadline: Micros) -> bool {
        let delay = self.delay(attempt, clock.random());
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        if clock.now().plus_ms(ms) >= deadline {
            return false;
        }
        clock.sleep(delay).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_cap_and_is_jittered_from_zero() {
        let backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_millis(300) };
        for (attempt, ceiling) in [(1, 50), (2, 100), (3, 200), (4, 300), (5, 300), (u32::MAX, 300)] {
            assert_eq!(backoff.delay(attempt, 0), Duration::ZERO);
            assert_eq!(
                backoff.delay(attempt, 1 << 63),
                Duration::from_millis(ceiling) / 2,
                "attempt {attempt}"
            );
            let longest = backoff.delay(attempt, u64::MAX);
            assert!(longest < Duration::from_millis(ceiling) && longest > Duration::from_millis(ceiling - 1));
        }
    }
}
