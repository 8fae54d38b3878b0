//! Events: validated, stamped, and packed into records.

use crate::answer::Problem;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::{Compression, write::GzEncoder};
use millrace_core::decode;
use millrace_core::event::{Event, New, Number, Path, Value};
use millrace_core::pipeline::{EventSettings, MissingId, RECEIVED_AT};
use millrace_core::port::Entry;
use millrace_core::tenant;
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use serde::de::IgnoredAny;
use std::collections::HashMap;
use std::io::Write as _;

/// The largest record, bytes. The spill queue must be able to hold it: its messages are text of at most 1 MiB, and
/// base64 makes four bytes of three.
pub const RECORD_MAX: usize = 750_000;

/// The field that says of which source a webhook is. Of what comes by a function of this crate only an event has it that was
/// signed. Who writes to RawStream itself may set it.
pub(crate) const WEBHOOK: &str = "webhook";

/// What the request tells about each of its events.
#[derive(Debug)]
pub struct Stamp<'a> {
    /// When it was received.
    pub received_at: Micros,
    /// The address that it came from; empty where nobody knows.
    pub ip: &'a str,
    /// What sent it.
    pub user_agent: Option<&'a str>,
    /// Whose the events are, whatever they say; none, where nobody knows.
    pub tenant: Option<&'a str>,
}

/// An event that may go on, as one line of JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What decides its shard.
    pub partition_key: String,
    line: String,
}

/// Takes one event of the body, or says why not, without repeating what it holds.
pub(crate) fn accept(
    piece: &[u8],
    event: &mut Event,
    settings: &EventSettings,
    stamp: &Stamp<'_>,
    random: impl Fn() -> u64,
) -> Result<Accepted, String> {
    decode::event(piece, event).map_err(|why| why.detail.into_owned())?;
    if lacks_id(event, settings) {
        let id = match settings.missing_id {
            MissingId::Reject => return Err(format!("the field `{}` is missing", settings.id)),
            MissingId::Hash => fingerprint(piece, 16),
            MissingId::Generate => format!("{:016x}{:016x}", random(), random()),
        };
        event.put(&settings.id, New::Str(&id));
    }
    fit(stamped(event, settings, stamp)?)
}

/// An event whose sender is verified, which has to fit a record as it is: a body that does may be too large with what is put around it.
pub(crate) fn verified(
    event: &mut Event,
    settings: &EventSettings,
    stamp: &Stamp<'_>,
) -> Result<Accepted, Problem> {
    fit(sealed(event, settings, stamp).map_err(Problem::Body)?).map_err(|_| Problem::WebhookTooLarge)
}

fn fit(accepted: Accepted) -> Result<Accepted, String> {
    if accepted.line.len() > RECORD_MAX {
        return Err(format!("the event has more than {RECORD_MAX} bytes"));
    }
    Ok(accepted)
}

/// Whether an event has no id yet.
#[must_use]
pub fn lacks_id(event: &Event, settings: &EventSettings) -> bool {
    event.present(&settings.id).is_none_or(|id| id.as_str() == Some(""))
}

/// Takes an event that has all but what the request tells, or says why not, without repeating what it holds.
pub fn stamped(event: &mut Event, settings: &EventSettings, stamp: &Stamp<'_>) -> Result<Accepted, String> {
    event.remove_at(&Path::from_key(WEBHOOK)); // only what is verified has it
    sealed(event, settings, stamp)
}

/// The record of a piece that does not go on as an event, so that `transform` looks again and says in the quarantine why not. It
/// must not find there what nobody looked at here: an array is one bad event and not its items, and nobody says that a webhook was verified.
#[must_use]
pub fn unread(piece: &[u8], event: &mut Event) -> Vec<u8> {
    if decode::is_packed(piece) {
        return BASE64_STANDARD.encode(piece).into_bytes();
    }
    // By itself it is a payload, and a mark in front of that is skipped: the one that is behind it, too, would be.
    let mut piece = piece.trim_ascii();
    while let Some(rest) = piece.strip_prefix(b"\xef\xbb\xbf") {
        piece = rest.trim_ascii();
    }
    // What is no JSON is left as it is: in brackets it might be more than one item.
    if piece.starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(piece).is_ok() {
        return [b"[", piece, b"]"].concat();
    }
    let webhook = Path::from_key(WEBHOOK);
    if decode::event(piece, event).is_err() || event.get(&webhook).is_none() {
        return piece.to_vec();
    }
    event.remove_at(&webhook);
    let mut line = String::with_capacity(event.weight());
    event.write(&mut line);
    line.into_bytes()
}

fn sealed(event: &mut Event, settings: &EventSettings, stamp: &Stamp<'_>) -> Result<Accepted, String> {
    let is_id = |id: Value<'_>| id.as_str().is_some() || id.as_number().is_some_and(Number::is_integer);
    if !event.get(&settings.id).is_some_and(is_id) {
        return Err(format!("the field `{}` is neither a string nor an integer", settings.id));
    }
    event.put(&Path::from_key(RECEIVED_AT), New::Str(&stamp.received_at.rfc3339()));
    if let Some(name) = stamp.tenant {
        event.put(&Path::from_key(tenant::FIELD), New::Str(name));
    }
    let mut default = |key: &str, value: &str| {
        let path = Path::from_key(key);
        if !value.is_empty() && event.present(&path).is_none() {
            event.put(&path, New::Str(value));
        }
    };
    default("ip", stamp.ip);
    default("userAgent", stamp.user_agent.unwrap_or_default());
    let mut line = String::with_capacity(event.weight() + 128);
    event.write(&mut line);
    Ok(Accepted { partition_key: settings.partition_key_of(event), line })
}

/// Packs events into records, NDJSON, one a partition key as long as they fit; in the order of the events, so that
/// what shares a key stays in order.
#[must_use]
pub fn records(events: &[Accepted]) -> Vec<Entry> {
    let mut records: Vec<Entry> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for Accepted { partition_key, line } in events {
        let room = open.get(partition_key.as_str()).and_then(|at| records.get_mut(*at));
        if let Some(record) = room.filter(|record| record.data.len() + 1 + line.len() <= RECORD_MAX) {
            record.data.push(b'\n');
            record.data.extend_from_slice(line.as_bytes());
        } else {
            open.insert(partition_key, records.len());
            records.push(Entry { partition_key: partition_key.clone(), data: line.clone().into_bytes() });
        }
    }
    records
}

/// A record that Kinesis takes, for who has no spill queue behind it: what is larger than [`RECORD_MAX`] goes as gzip, which
/// makes less of any text than the 1 MiB that a record may have, if the text has no more than that.
#[must_use]
pub fn fitting(record: Entry) -> Entry {
    if record.data.len() <= RECORD_MAX {
        return record;
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default()); // the faster ones do without Huffman codes of their own
    match gzip.write_all(&record.data).and_then(|()| gzip.finish()) {
        Ok(data) => Entry { data, ..record },
        Err(_) => record, // a vector refuses nothing
    }
}

/// How many events a record of [`records`] has. Serialized JSON has no newline in it.
pub(crate) fn count(record: &Entry) -> usize {
    record.data.split(|byte| *byte == b'\n').count()
}
