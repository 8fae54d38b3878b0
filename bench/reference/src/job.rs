//! The order of the job: malformed, rejected, bot, duplicate, row. Each line counts once.

use crate::event::Event;
use crate::rules::{self, Agent, Hmac, Url};
use crate::sink::{Failed, Row, Sink};
use hashbrown::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_128};

/// More user agents than these are not kept.
const AGENTS_MAX: usize = 16_384;

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called what they are")]
pub struct Counts {
    pub lines: u64,
    pub malformed: u64,
    pub rejected: u64,
    pub bots: u64,
    pub duplicates: u64,
    pub rows: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, malformed, rejected, bots, duplicates, rows } = self;
        write!(
            f,
            "{{\"in\":{lines},\"malformed\":{malformed},\"rejected\":{rejected},\"bots\":{bots},\
             \"duplicates\":{duplicates},\"rows\":{rows}}}"
        )
    }
}

/// The ids that were there, by their 128-bit hash.
#[derive(Debug, Default)]
pub struct Seen(HashSet<u128, BuildHasherDefault<Half>>);

impl Seen {
    /// Whether the id is new.
    pub fn insert(&mut self, id: &str) -> bool {
        self.0.insert(xxh3_128(id.as_bytes()))
    }
}

/// A hash is hashed already.
#[derive(Debug, Default)]
struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u128 is hashed")
    }
    #[expect(clippy::cast_possible_truncation, reason = "half of a good hash is one")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// One run of the job.
#[derive(Debug)]
pub struct Job<S> {
    sink: S,
    counts: Counts,
    seen: Seen,
    agents: HashMap<Box<str>, Agent, Xxh3DefaultBuilder>,
    hmac: Hmac,
}

impl<S: Sink> Job<S> {
    /// A run whose rows go to `sink`.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            counts: Counts::default(),
            seen: Seen::default(),
            agents: HashMap::with_hasher(Xxh3DefaultBuilder::new()),
            hmac: Hmac::default(),
        }
    }

    /// Takes one line.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Failed> {
        self.counts.lines += 1;
        let Some(event) = Event::read(line) else {
            self.counts.malformed += 1;
            return Ok(());
        };
        let (Some(event_id), Some(event_type), Some(time)) = (&event.id, &event.event_type, &event.timestamp)
        else {
            self.counts.rejected += 1;
            return Ok(());
        };
        let Some(ts) = rules::timestamp(time).filter(|_| !event_id.is_empty() && !event_type.is_empty())
        else {
            self.counts.rejected += 1;
            return Ok(());
        };
        let agent = event.user_agent.as_deref().map_or(Agent::NONE, |text| self.agent(text));
        if agent.bot {
            self.counts.bots += 1;
            return Ok(());
        }
        if !self.seen.insert(event_id) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        self.counts.rows += 1;
        let user_hash = event.user_id.as_deref().map(|id| self.hmac.token(id));
        let email_hash = event.email.as_deref().map(|email| self.hmac.token(&rules::lower(email)));
        let ip = event.ip.as_deref().and_then(rules::network);
        let url = event.path.as_deref().map(Url::of).unwrap_or_default();
        let text = event.data.text.as_deref().map(rules::redact);
        let price = event.data.price;
        self.sink.row(&Row {
            event_id,
            event_type,
            ts,
            session_id: event.session_id.as_deref(),
            browser: event.browser.as_deref(),
            target: event.target.as_deref(),
            user_hash: user_hash.as_ref().map(rules::Hex::as_str),
            email_hash: email_hash.as_ref().map(rules::Hex::as_str),
            ip: ip.as_deref(),
            ua_family: agent.family,
            ua_os: agent.os,
            host: url.host.as_deref(),
            page: url.page,
            utm_source: url.utm_source.as_deref(),
            utm_medium: url.utm_medium.as_deref(),
            utm_campaign: url.utm_campaign.as_deref(),
            price,
            discount: price.filter(|&price| price > 50.0).map(|price| price * 0.1),
            x: event.data.x,
            y: event.data.y,
            text: text.as_deref(),
        })
    }

    fn agent(&mut self, text: &str) -> Agent {
        if let Some(agent) = self.agents.get(text) {
            return *agent;
        }
        let agent = Agent::of(text);
        if self.agents.len() == AGENTS_MAX {
            self.agents.clear();
        }
        self.agents.insert(text.into(), agent);
        agent
    }

    /// Ends one batch of Lambda.
    pub fn end_batch(&mut self) -> Result<(), Failed> {
        self.sink.end_batch()
    }

    /// Ends the run.
    pub fn finish(mut self) -> Result<Counts, Failed> {
        self.sink.end_batch()?;
        Ok(self.counts)
    }
}
