//! A feed of somebody else's, page by page, to RawStream.
//!
//! A run asks for the page that the cursor leads to, puts its items into RawStream, and **only then notes the next cursor**, in
//! one conditional write: whatever dies in between, the page comes again, and its items are known by their ids. It goes on
//! so until the feed has no more, its time is over, or the feed wants to be left alone.
//!
//! **A feed that answers nonsense stops the run where it is**: an error, HTML, another shape, a cursor that leads to another
//! server. The cursor stays, the run fails, and the next one asks again. So does a run where the feed has asked for nothing but more
//! time for an hour. A feed that hands over the same page for ever, under whatever
//! cursor, ends the run too, and `stale` counts it.

mod feed;
mod http;
mod limits;
mod state;

use crate::feed::Page;
pub use crate::feed::{Feed, Header, NoFeed, NoPage};
use crate::state::{Place, State};
pub use millrace_aws::http::Answer;
use millrace_core::decode;
use millrace_core::event::{Event, New};
use millrace_core::guard::{Guard, Health};
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock, Entry, Error, KeyTable, Kind, PutRecords, Secret};
use millrace_core::publish::{Left, publish};
use millrace_core::retry::{Delay, Policy};
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use millrace_ingest::events::{self, RECORD_MAX, Stamp};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// The largest page, bytes.
pub const PAGE_MAX: usize = 10 << 20;

/// How to insist on a feed: three times more within some ten seconds. The next run comes soon.
pub const PATIENCE: Policy = Policy {
    delay: Delay::FullJitter { base: Duration::from_millis(1500), cap: Duration::from_secs(6) },
    attempts_max: 4,
};

/// The largest record: a stream takes 1 MiB with the partition key.
const STREAM_RECORD_MAX: usize = 1_000_000;

/// How long before the deadline no further page is asked for, milliseconds.
const PAGE_MS: i64 = 60_000;

/// For how long a run waits for the feed itself, milliseconds; for longer the next one does.
const WAIT_MS: i64 = 20_000;

/// For how long a feed is left alone that asks for it and does not say until when, milliseconds.
const UNSAID_MS: i64 = 60_000;

/// For how long a feed may ask for nothing but more time, milliseconds, before the runs fail, so that somebody hears of it.
const WAITS_MS: i64 = 3_600_000;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<F, S, T, P, C> {
    /// What is asked for.
    pub feed: Feed,
    /// The client that asks.
    pub http: Guard<F>,
    /// The header that goes with each request, where there is one, and the token in it.
    pub token: Option<(Header, Guard<S>)>,
    /// The state table.
    pub table: Guard<T>,
    /// RawStream.
    pub raw: Guard<P>,
    /// The clock.
    pub clock: C,
    /// The pipeline's `[event]`.
    pub event: EventSettings,
}

/// A client of HTTP.
pub trait Fetch {
    /// Asks once for what is at a URL, with a header perhaps. An answer of any status is one.
    fn get(&self, url: &str, header: Option<(&str, &str)>) -> impl Future<Output = Result<Answer, Error>>;
}

/// What became of a run's items. `in` = `out` + `known`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Pages whose items are safe.
    pub pages: usize,
    /// Items in them.
    pub r#in: usize,
    /// Items now in RawStream.
    pub out: usize,
    /// Of these, what could not be read and went as it came, for the quarantine.
    pub unread: usize,
    /// Items that an earlier page had.
    pub known: usize,
    /// 1 where the feed wants to be left alone for longer than the run could wait.
    pub waits: usize,
    /// 1 where the feed said that there is more, and handed over what it had handed over before.
    pub stale: usize,
}

/// Why a run failed. Says nothing of what the feed holds.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The stream, the table, the secret or the feed's server cannot be reached.
    #[error("{}", .0.chain())]
    Dependency(#[from] Error),
    /// The feed refuses.
    #[error("the feed answers with the status {0}{hint}", hint = hint(*.0))]
    Status(u16),
    /// The feed has been asking for nothing but more time.
    #[error("for an hour the feed asks to be left alone, by the status 429 or 5xx, and hands over no page")]
    Waits,
    /// The feed answers with what is no page.
    #[error(transparent)]
    Page(#[from] NoPage),
    /// The table holds what this did not write, under this key.
    #[error(
        "the state table's item `{0}` does not say how far the feed was read: without it the feed is read anew"
    )]
    State(String),
    /// Another run is at work.
    #[error("another run has moved the cursor meanwhile, and goes on")]
    Overtaken,
}

/// What to look at where a feed answers so.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => ": FEED_URL is to be where it leads to",
        401 | 403 => ": does it take the token, in FEED_HEADER?",
        404 | 410 => ": is FEED_URL right?",
        _ => "",
    }
}

/// How a page ended.
enum End {
    /// The cursor leads on.
    More,
    /// There is nothing new, or no time.
    Over,
}

impl<F, S, T, P, C> Deps<F, S, T, P, C>
where
    F: Fetch,
    S: Secret,
    T: KeyTable,
    P: PutRecords,
    C: Clock,
{
    /// Reads on, as far as the feed and the time go.
    pub async fn handle(&self, deadline: Micros) -> (Tally, Result<(), Stopped>) {
        let mut tally = Tally::default();
        let done = self.run(deadline, &mut tally).await;
        (tally, done)
    }

    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let token = self.token.as_ref().and_then(|(_, secret)| secret.health());
        [self.http.health(), token, self.table.health(), self.raw.health()].into_iter().flatten().collect()
    }

    async fn run(&self, deadline: Micros, tally: &mut Tally) -> Result<(), Stopped> {
        let mut state = State::read(&self.table, self.feed.name(), &self.clock, deadline).await?;
        self.read_on(&mut state, deadline, tally).await?;
        let now = self.clock.now();
        let waits_long = state.place.waits_since.is_some_and(|since| since.plus_ms(WAITS_MS) <= now);
        if waits_long { Err(Stopped::Waits) } else { Ok(()) }
    }

    async fn read_on(&self, state: &mut State, deadline: Micros, tally: &mut Tally) -> Result<(), Stopped> {
        let mut known: HashSet<String> = state.place.known.iter().cloned().collect();
        let header = self.header(deadline).await?;
        while self.clock.now() < deadline.plus_ms(-PAGE_MS) {
            if let Some(until) = state.place.not_before
                && !self.wait(until, deadline).await
            {
                tally.waits = 1;
                return Ok(());
            }
            match self.page(state, &mut known, header.as_ref(), deadline, tally).await? {
                End::More => {}
                End::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// The header with the token in it.
    async fn header(&self, deadline: Micros) -> Result<Option<(String, String)>, Stopped> {
        let Some((header, secret)) = &self.token else { return Ok(None) };
        let token = secret.call(&self.clock, deadline, async |secret| secret.get().await).await?;
        Ok(Some((header.name.clone(), header.value(&token))))
    }

    /// Waits until this moment; false, at once, where that is too long for this run.
    async fn wait(&self, until: Micros, deadline: Micros) -> bool {
        let now = self.clock.now();
        if until > now.plus_ms(WAIT_MS).min(deadline.plus_ms(-PAGE_MS)) {
            return until <= now;
        }
        self.clock.sleep(now.until(until) + Duration::from_millis(1)).await;
        true
    }

    /// Takes one page.
    async fn page(
        &self,
        state: &mut State,
        known: &mut HashSet<String>,
        header: Option<&(String, String)>,
        deadline: Micros,
        tally: &mut Tally,
    ) -> Result<End, Stopped> {
        let url = self.feed.at(state.place.cursor.as_deref())?;
        let header = header.map(|(name, value)| (name.as_str(), value.as_str()));
        let ask = async |http: &F| {
            let answer = http.get(&url, header).await?;
            let is_down = answer.status >= 500 && answer.header("retry-after").is_none();
            if is_down { Err(down(answer.status)) } else { Ok(answer) }
        };
        let answer = self.http.call(&self.clock, deadline, ask).await?;
        let now = self.clock.now();
        let until = limits::until(&answer, now);
        match answer.status {
            200..300 => {}
            429 | 500.. => {
                let not_before = Some(until.unwrap_or(now.plus_ms(UNSAID_MS)));
                let waits_since = state.place.waits_since.or(Some(now));
                let place = Place { not_before, waits_since, ..state.place.clone() };
                state.write(place, &self.table, &self.clock, deadline).await?;
                return Ok(End::More);
            }
            status => return Err(Stopped::Status(status)),
        }
        // The status says that there is nothing in it, so nothing that could be wrong.
        let is_empty = answer.status == 204;
        let page = if is_empty { Page::default() } else { self.feed.read(&answer.body)? };
        let Parcel { entries, ids, count, unread } = self.pack(&page.items, known, now);
        let leads_on = page.next.is_some() && page.next != state.place.cursor;
        // The first page of a run is the last one of the run before, which may lead on now and have nothing new itself.
        if leads_on && count == 0 && !ids.is_empty() && tally.pages > 0 {
            tracing::warn!("the feed hands over again what it had handed over, and says that there is more");
            tally.stale = 1;
            (tally.r#in, tally.known) = (tally.r#in + page.items.len(), tally.known + page.items.len());
            let place = Place { not_before: until, waits_since: None, ..state.place.clone() };
            state.write(place, &self.table, &self.clock, deadline).await?;
            return Ok(End::Over);
        }
        let put = publish(&self.raw, entries, &self.clock, deadline).await;
        put.map_err(|Left { why, .. }| why)?;
        let place = Place {
            cursor: page.next.or_else(|| state.place.cursor.clone()),
            not_before: until,
            waits_since: None,
            known: if ids.is_empty() { state.place.known.clone() } else { ids.clone() },
        };
        tally.pages += 1;
        (tally.r#in, tally.out) = (tally.r#in + page.items.len(), tally.out + count);
        (tally.unread, tally.known) = (tally.unread + unread, tally.known + page.items.len() - count);
        state.write(place, &self.table, &self.clock, deadline).await?;
        known.extend(ids);
        Ok(if leads_on { End::More } else { End::Over })
    }

    /// The records of those items of a page that are not known, and the hashes of all of them.
    fn pack(&self, items: &[&serde_json::value::RawValue], known: &HashSet<String>, now: Micros) -> Parcel {
        let stamp = Stamp { received_at: now, ip: "", user_agent: None, tenant: None };
        let mut parcel = Parcel::default();
        let mut accepted = Vec::new();
        let mut event = Event::default();
        for piece in items.iter().map(|item| item.get().as_bytes()) {
            let read = decode::event(piece, &mut event).is_ok();
            if read && events::lacks_id(&event, &self.event) {
                // The same item has the same bytes.
                event.put(&self.event.id, New::Str(&fingerprint(piece, 16)));
            }
            let mut id = String::new();
            if let Some(found) = event.find(&self.event.id).filter(|_| read) {
                event.write_value(found, &mut id);
            }
            let hash = fingerprint(if id.is_empty() { piece } else { id.as_bytes() }, 8);
            if !parcel.ids.insert(hash.clone()) || known.contains(&hash) {
                continue;
            }
            parcel.count += 1;
            let sealed =
                if read { events::stamped(&mut event, &self.event, &stamp) } else { Err(String::new()) };
            if let Ok(event) = sealed {
                accepted.push(event);
            } else {
                // `transform` looks again, and says in the quarantine why not.
                parcel.unread += 1;
                parcel.entries.push(Entry { partition_key: hash, data: events::unread(piece, &mut event) });
            }
        }
        parcel.entries.extend(events::records(&accepted));
        parcel.entries = parcel.entries.into_iter().map(events::fitting).map(cut).collect();
        parcel
    }
}

/// What a page makes.
#[derive(Default)]
struct Parcel {
    entries: Vec<Entry>,
    /// The hashes of all its items.
    ids: BTreeSet<String>,
    /// How many of them are new.
    count: usize,
    unread: usize,
}

/// A record that is too large for the stream, gzip or not, would keep the cursor for ever where it is: its begin goes, which
/// cannot be read, and `transform` puts that into the quarantine.
fn cut(mut record: Entry) -> Entry {
    if record.data.len() > STREAM_RECORD_MAX {
        tracing::error!(
            bytes = record.data.len(),
            "an item is too large for the stream, its begin goes to the quarantine"
        );
        record.data.truncate(RECORD_MAX);
    }
    record
}

fn down(status: u16) -> Error {
    let what = format!("ask the feed: it answers with the status {status}");
    Error { what, kind: Kind::Transient, source: None }
}
