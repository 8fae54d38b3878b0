//! Who may send events, and whose they are.
//!
//! What is known of a write key is taken for a minute at the most, that there is none such too: a key that is revoked goes on for so
//! long. Where the table cannot be asked nobody comes in, and is told to come again.
//!
//! A quota holds for a minute of the clock, over all instances of the function. Each of them asks the table before
//! the first events of a minute, and again whenever it let in a twentieth of the quota; in between it counts by itself. So a
//! key costs some twenty writes a minute and instance, not one a request, and for each other instance at the most a twentieth is
//! let in beyond the quota. Events whose request fails afterwards are counted all the same.

use crate::answer::Problem;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_aws::settings::Env;
use millrace_core::guard::{Guard, Health};
use millrace_core::port::{Clock, Error, Spent, WriteKey, WriteKeys};
use millrace_core::time::Micros;
use millrace_core::{tenant, write_key};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;

/// For how long what is known of a key is taken, milliseconds.
const KNOWN_MS: i64 = 60_000;

/// Of so many keys something is known at a time: whoever tries keys must not fill the memory.
const KNOWN_MAX: usize = 10_000;

/// Such a part of a quota may be let in without telling the table.
const PART: u64 = 20;

const MINUTE_US: i64 = 60_000_000;

/// Who may send events. The environment tells it with the name of the table of keys, the function has it with the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access<T> {
    /// Whoever reaches the API. Nothing is said of whose the events are.
    Open,
    /// Who shows a write key; the key says whose the events are.
    Keys(T),
    /// Whose token API Gateway has checked; this claim of it says whose the events are.
    Jwt(String),
}

impl Access<String> {
    /// Reads `ACCESS`, with `KEYS_TABLE` or `TENANT_CLAIM`. What is misspelt wants keys, so that it lets nobody in.
    pub fn from_env<F: Fn(&str) -> Option<String>>(env: &mut Env<F>) -> Self {
        match env.text("ACCESS").as_str() {
            "open" => Self::Open,
            "jwt" => Self::Jwt(env.text("TENANT_CLAIM")),
            _ => Self::Keys(env.text("KEYS_TABLE")),
        }
    }

    /// It with the keys of the table of this name, where it wants one.
    pub fn over<K>(self, table: impl FnOnce(String) -> Guard<K>) -> Access<Keys<K>> {
        match self {
            Self::Open => Access::Open,
            Self::Keys(name) => Access::Keys(Keys::new(table(name))),
            Self::Jwt(claim) => Access::Jwt(claim),
        }
    }
}

impl<K: WriteKeys> Access<Keys<K>> {
    /// Lets the sender of a request in, or says why not.
    pub(crate) async fn admit(
        &self,
        shown: &Shown,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Sender, Problem> {
        match self {
            Self::Open => Ok(Sender::default()),
            Self::Keys(keys) => keys.admit(shown.key.as_deref(), clock, deadline).await,
            Self::Jwt(claim) => {
                let claims = shown.claims.as_ref().ok_or(Problem::NoToken)?;
                let name = claims.get(claim).and_then(Value::as_str).filter(|name| tenant::is_name(name));
                let tenant = name.ok_or(Problem::NoTenant)?.to_owned();
                Ok(Sender { tenant: Some(tenant), quota: None })
            }
        }
    }

    /// Counts a sender's events, or says that they are too many.
    pub(crate) async fn spend(
        &self,
        sender: &Sender,
        events: usize,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(), Problem> {
        match (self, &sender.quota) {
            (Self::Keys(keys), Some((hash, quota))) => {
                keys.spend(hash, *quota, events, clock, deadline).await
            }
            _ => Ok(()),
        }
    }

    /// How the table of keys is, as far as that is worth telling.
    pub(crate) fn health(&self) -> Option<Health> {
        match self {
            Self::Keys(keys) => keys.table.health(),
            Self::Open | Self::Jwt(_) => None,
        }
    }
}

/// The claims of a token, as API Gateway hands them over.
pub(crate) type Claims = HashMap<String, Value>;

/// What a client showed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    key: Option<String>,
    claims: Option<Claims>,
}

impl Shown {
    /// Looks where clients show a key: `authorization`, as a bearer's, or as a user's name as Segment's clients do;
    /// `x-write-key`; and for browsers' `sendBeacon`, which sets no header, `writeKey` in the query. The first counts.
    pub(crate) fn read<'h>(
        header: impl Fn(&str) -> Option<&'h str>,
        query: Option<String>,
        claims: Option<Claims>,
    ) -> Self {
        let key = header("authorization").and_then(bearer_or_user);
        let key = key.or_else(|| header("x-write-key").map(str::to_owned)).or(query);
        Self { key: key.filter(|key| !key.is_empty()), claims }
    }
}

fn bearer_or_user(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().to_owned()),
        "basic" => {
            let pair = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
            pair.split(':').next().map(str::to_owned)
        }
        _ => None,
    }
}

/// Somebody who was let in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Whose the events are.
    pub(crate) tenant: Option<String>,
    /// The key's hash and quota, where it has one.
    quota: Option<(String, u64)>,
}

/// The write keys, as far as they are known, and what was sent with them.
#[derive(Debug)]
pub struct Keys<K> {
    table: Guard<K>,
    /// By hash, until when.
    known: RefCell<HashMap<String, (Option<WriteKey>, Micros)>>,
    sent: RefCell<HashMap<String, Sent>>,
}

/// What was sent with a key within a minute.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    minute: i64,
    /// By all instances, when the table was asked; none, where it was not.
    told: Option<u64>,
    /// By this one since then.
    since: u64,
}

impl<K> Keys<K> {
    fn new(table: Guard<K>) -> Self {
        Self { table, known: RefCell::default(), sent: RefCell::default() }
    }
}

impl<K: WriteKeys> Keys<K> {
    async fn admit(
        &self,
        shown: Option<&str>,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Sender, Problem> {
        let hash = write_key::hash(shown.ok_or(Problem::NoKey)?).ok_or(Problem::BadKey)?;
        let key =
            self.find(&hash, clock, deadline).await?.filter(|key| key.enabled).ok_or(Problem::BadKey)?;
        if key.expires_at.is_some_and(|at| at <= clock.now()) {
            return Err(Problem::ExpiredKey);
        }
        Ok(Sender { tenant: Some(key.tenant), quota: key.quota.map(|quota| (hash, quota)) })
    }

    async fn find(
        &self,
        hash: &str,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Option<WriteKey>, Problem> {
        let now = clock.now();
        if let Some((key, until)) = self.known.borrow().get(hash)
            && now < *until
        {
            return Ok(key.clone());
        }
        let asked = self.table.call(clock, deadline, async |table| table.find(hash).await).await;
        let key = asked.map_err(|why| no_table(&why))?;
        let mut known = self.known.borrow_mut();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash.to_owned(), (key.clone(), now.plus_ms(KNOWN_MS)));
        Ok(key)
    }

    async fn spend(
        &self,
        hash: &str,
        quota: u64,
        events: usize,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(), Problem> {
        let now = clock.now();
        let minute = now.get().div_euclid(MINUTE_US);
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        if events > quota {
            return Err(Problem::TooMany(usize::try_from(quota).unwrap_or(usize::MAX)));
        }
        let over = Problem::OverQuota { again_s: 60 - now.get().rem_euclid(MINUTE_US) / 1_000_000 };
        let sent = self.sent.borrow().get(hash).copied().filter(|sent| sent.minute == minute);
        let mut sent = sent.unwrap_or(Sent { minute, ..Sent::default() });
        if sent.told.is_some_and(|told| told + sent.since + events > quota) {
            return Err(over);
        }
        let since = sent.since + events;
        let fits = if sent.told.is_some() && since <= quota / PART {
            sent.since = since;
            true
        } else {
            let ask = async |table: &K| table.spend(hash, minute, since, quota).await;
            match self.table.call(clock, deadline, ask).await.map_err(|why| no_table(&why))? {
                Spent::Now(told) => {
                    (sent.told, sent.since) = (Some(told), 0);
                    true
                }
                Spent::Over(told) => {
                    sent.told = Some(told);
                    false
                }
            }
        };
        let mut all = self.sent.borrow_mut();
        if all.len() >= KNOWN_MAX {
            all.retain(|_, sent| sent.minute == minute);
        }
        all.insert(hash.to_owned(), sent);
        if fits { Ok(()) } else { Err(over) }
    }
}

fn no_table(why: &Error) -> Problem {
    tracing::error!(why = why.chain(), "the table of write keys cannot be asked");
    Problem::NoKeys
}
