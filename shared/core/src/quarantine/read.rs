//! What lies in the quarantine, read back.

use crate::decode;
use crate::guard::Guard;
use crate::port::{Browse, Clock, Error, Kind};
use crate::quarantine::{INBOX, NO_CHANGE, REDRIVE};
use crate::time::Micros;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::Value;

/// How long a call may take, milliseconds.
pub const ANSWER_MS: i64 = 60_000;

/// Which entries are of interest.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Only what came on this day, 2026-11-20.
    pub date: Option<String>,
    /// Only what is bad for this reason.
    pub reason: Option<String>,
}

/// An object, line by line, with what is understood of each.
#[derive(Debug)]
pub struct Page {
    /// Its key.
    pub key: String,
    /// The lines as they are, and read.
    pub lines: Vec<(String, Option<Line>)>,
}

/// An entry, as far as it is of interest.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Why it is bad.
    pub reason: String,
    /// Where it was found bad.
    pub stage: String,
    /// Which function found it so.
    pub function: String,
    /// Where it came from.
    pub source: Value,
    /// When it came.
    pub at: String,
    /// Whether its id may be known though the event is nowhere else.
    #[serde(default)]
    pub may_be_known: bool,
    encoding: String,
    payload: String,
}

/// The keys of the objects that may hold what is wanted, in order.
pub async fn keys<S: Browse>(
    quarantine: &Guard<S>,
    which: &Which,
    clock: &impl Clock,
) -> Result<Vec<String>, Error> {
    let deadline = clock.now().plus_ms(ANSWER_MS);
    let mut keys = quarantine.call(clock, deadline, async |store| store.keys("quarantine/").await).await?;
    let of_day = |key: &String| which.date.as_ref().is_none_or(|date| key.contains(&format!("date={date}/")));
    keys.retain(|key| key.ends_with(".ndjson.gz") && of_day(key));
    keys.sort();
    Ok(keys)
}

/// An object, read; none where it is gone meanwhile.
pub async fn page<S: Browse>(
    quarantine: &Guard<S>,
    key: &str,
    clock: &impl Clock,
) -> Result<Option<Page>, Error> {
    let deadline = clock.now().plus_ms(ANSWER_MS);
    let body = quarantine.call(clock, deadline, async |store| store.get(key).await).await?;
    let Some(body) = body else { return Ok(None) };
    let refused =
        |why| Error { what: format!("{key} in the quarantine {why}"), kind: Kind::Permanent, source: None };
    let mut room = Vec::new();
    let text = decode::inflate(&body, &mut room).map_err(|_| refused("is no gzip file"))?;
    let text = std::str::from_utf8(text).map_err(|_| refused("is no text"))?;
    let lines = text.lines().map(|line| (line.to_owned(), serde_json::from_str(line).ok())).collect();
    Ok(Some(Page { key: key.to_owned(), lines }))
}

impl Which {
    /// Whether this entry is wanted.
    #[must_use]
    pub fn wants(&self, line: &Line) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == line.reason)
    }
}

impl Line {
    /// The bytes as they came; none where they are damaged.
    #[must_use]
    pub fn payload(&self) -> Option<Vec<u8>> {
        match self.encoding.as_str() {
            "utf8" => Some(self.payload.clone().into_bytes()),
            _ => BASE64_STANDARD.decode(&self.payload).ok(),
        }
    }

    /// When the stream took it.
    pub(super) fn arrived_at(&self) -> Option<Micros> {
        Micros::read_rfc3339(&self.at)
    }

    /// Whether it is a message that `queue` died on, as the event that `queue` got.
    pub(super) fn is_message(&self) -> bool {
        self.stage == REDRIVE && self.source.get("stream").is_some_and(|stream| stream == INBOX)
    }

    /// Whether it is a record of a table's stream as it came: `changes` alone makes an event of it. As an event it would be
    /// another one, with the item's values where no step looks for them.
    pub(super) fn is_change(&self) -> bool {
        let of_table = |record: &Value| {
            let (arn, table) =
                (record.get("eventSourceARN")?.as_str()?, self.source.get("stream")?.as_str()?);
            Some(arn.contains(&format!(":table/{table}/stream/")))
        };
        self.reason == NO_CHANGE
            || serde_json::from_str(&self.payload).is_ok_and(|record| of_table(&record) == Some(true))
    }
}
