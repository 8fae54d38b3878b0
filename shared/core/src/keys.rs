//! The key of the tokens, asked for anew from time to time: so that a new one takes no deployment.
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
pub struct Keys<S> {
    source: Option<Guard<S>>,
    key: TokenKey,
    renew_at: Micros,
}

/// Why there is no key, or no new one. Nothing of the secret is in it.
#[derive(thiserror::Error)]
pub enum NoKeys {
    /// The secret cannot be had.
    #[error(transparent)]
    Failed(#[from] Error),
    /// What it holds will not do.
    #[error("the token key in the secret: {0}")]
    Bad(#[from] NoKey),
}

/// What `main` returns shows through Debug, and is meant for people.
impl fmt::Debug for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Keys<Infallible> {
    /// Always this key.
    #[must_use]
    pub fn fixed(key: TokenKey) -> Self {
        Self { source: None, key, renew_at: Micros::EPOCH }
    }
}

impl<S: Secret> Keys<S> {
    /// Asks for the first key, which has to do for the pipeline.
    pub async fn fetch(
        source: Guard<S>,
        clock: &impl Clock,
        deadline: Micros,
        check: impl Fn(&TokenKey) -> Result<(), NoKey>,
    ) -> Result<Self, NoKeys> {
        let key = ask(&source, clock, deadline, check).await?;
        Ok(Self { source: Some(source), key, renew_at: clock.now().plus_ms(RENEW_MS) })
    }

    /// Asks for a new key, if it is time. An error leaves the key that there is.
    pub async fn renew(
        &mut self,
        clock: &impl Clock,
        deadline: Micros,
        check: impl Fn(&TokenKey) -> Result<(), NoKey>,
    ) -> Result<(), NoKeys> {
        let now = clock.now();
        let Some(source) = self.source.as_ref().filter(|_| now >= self.renew_at) else { return Ok(()) };
        let deadline = deadline.min(now.plus_ms(ANSWER_MS));
        match ask(source, clock, deadline, check).await {
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

    /// The key.
    pub const fn key(&self) -> &TokenKey {
        &self.key
    }

    /// How the secret is, as far as that is worth telling.
    pub fn health(&self) -> Option<Health> {
        self.source.as_ref().and_then(Guard::health)
    }
}

async fn ask<S: Secret>(
    source: &Guard<S>,
    clock: &impl Clock,
    deadline: Micros,
    check: impl Fn(&TokenKey) -> Result<(), NoKey>,
) -> Result<TokenKey, NoKeys> {
    let text = source.call(clock, deadline, async |secret| secret.get().await).await?;
    let key = TokenKey::parse(&text)?;
    check(&key)?;
    Ok(key)
}
