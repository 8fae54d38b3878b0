//! The key of the tokens, or whatever else a secret holds, asked for anew from time to time: so that a new one takes no
//! deployment.
//!
//! While the secret cannot be had, or holds no key that will do, the one that is known goes on working: no event waits for
//! a rotation.

use crate::guard::{Guard, Health};
use crate::port::{Clock, Error, Secret};
use crate::time::Micros;
use crate::token::{NoKey, TokenKey};
use std::convert::Infallible;
use std::fmt;

/// For how long a key is taken without asking, milliseconds. It is also for how long, after a rotation, tokens of both
/// keys are made.
const RENEW_MS: i64 = 5 * 60_000;

/// For how long not to ask again after it failed, milliseconds.
const AGAIN_MS: i64 = 30_000;

/// How long a batch waits for the answer at most, milliseconds.
const ANSWER_MS: i64 = 2_000;

/// A key, and where the next one comes from.
#[derive(Debug)]
pub struct Keys<S, K = TokenKey> {
    source: Option<Guard<S>>,
    key: K,
    asked_at: Micros,
    renew_at: Micros,
}

/// Why there is no key, or no new one. Nothing of the secret is in it.
#[derive(thiserror::Error)]
pub enum NoKeys<B = NoKey> {
    /// The secret cannot be had.
    #[error(transparent)]
    Failed(#[from] Error),
    /// What it holds will not do.
    #[error("what the secret holds will not do: {0}")]
    Bad(B),
}

/// What `main` returns shows through Debug, and is meant for people.
impl<B: fmt::Display> fmt::Debug for NoKeys<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Keys<Infallible, K> {
    /// Always this key.
    #[must_use]
    pub fn fixed(key: K) -> Self {
        Self { source: None, key, asked_at: Micros::EPOCH, renew_at: Micros::EPOCH }
    }
}

impl<S: Secret, K> Keys<S, K> {
    /// Asks for the first key. `read` makes it of the secret's text, and says no where it will not do.
    pub async fn fetch<B>(
        source: Guard<S>,
        clock: &impl Clock,
        deadline: Micros,
        read: impl Fn(&str) -> Result<K, B>,
    ) -> Result<Self, NoKeys<B>> {
        let key = ask(&source, clock, deadline, read).await?;
        let now = clock.now();
        Ok(Self { source: Some(source), key, asked_at: now, renew_at: now.plus_ms(RENEW_MS) })
    }

    /// Asks for a new key, if it is time. An error leaves the key that there is.
    pub async fn renew<B>(
        &mut self,
        clock: &impl Clock,
        deadline: Micros,
        read: impl Fn(&str) -> Result<K, B>,
    ) -> Result<(), NoKeys<B>> {
        let now = clock.now();
        let Some(source) = self.source.as_ref().filter(|_| now >= self.renew_at) else { return Ok(()) };
        let deadline = deadline.min(now.plus_ms(ANSWER_MS));
        self.asked_at = now;
        match ask(source, clock, deadline, read).await {
            Ok(key) => {
                (self.key, self.renew_at) = (key, now.plus_ms(RENEW_MS));
                Ok(())
            }
            Err(why) => {
                self.renew_at = now.plus_ms(AGAIN_MS);
                Err(why)
            }
        }
    }

    /// What is known did not do, so there may be a newer one: it is time half a minute after the last question. Whether
    /// that is now.
    pub fn hurry(&mut self, now: Micros) -> bool {
        self.renew_at = self.renew_at.min(self.asked_at.plus_ms(AGAIN_MS));
        self.source.is_some() && now >= self.renew_at
    }

    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// How the secret is, as far as that is worth telling.
    pub fn health(&self) -> Option<Health> {
        self.source.as_ref().and_then(Guard::health)
    }
}

async fn ask<S: Secret, K, B>(
    source: &Guard<S>,
    clock: &impl Clock,
    deadline: Micros,
    read: impl Fn(&str) -> Result<K, B>,
) -> Result<K, NoKeys<B>> {
    let text = source.call(clock, deadline, async |secret| secret.get().await).await?;
    read(&text).map_err(NoKeys::Bad)
}
