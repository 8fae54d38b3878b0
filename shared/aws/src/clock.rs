//! Time and chance, from the machine.

use millrace_core::port::Clock;
use millrace_core::time::Micros;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).ok().and_then(Micros::new).unwrap_or(Micros::EPOCH)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// From the system's entropy, by way of the keys that a hash map gets. Ids of events and of attempts are made of this, so
    /// that a generator which is seeded by the time since the start will not do: sandboxes that start alike would make the same.
    fn random(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_bits_of_a_random_number_are_random() {
        let numbers: Vec<_> = (0..1_000).map(|_| SystemClock.random()).collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        for bit in 0..64 {
            let ones = numbers.iter().filter(|number| *number >> bit & 1 == 1).count();
            assert!((350..650).contains(&ones), "bit {bit} is set {ones} times of 1,000");
        }
    }
}
