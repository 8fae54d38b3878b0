//! Events: validated, stamped, and packed into records.

use millrace_core::decode;
use millrace_core::event::{Event, Path};
use millrace_core::pipeline::{EventSettings, MissingId, RECEIVED_AT};
use millrace_core::port::Entry;
use millrace_core::time::Micros;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The largest record, bytes. The spill queue must be able to hold it: its messages are text of at most 1 MiB, and
/// base64 makes four bytes of three.
pub(crate) const RECORD_MAX: usize = 750_000;

/// What the request tells about each of its events.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) received_at: Micros,
    pub(crate) ip: &'a str,
    pub(crate) user_agent: Option<&'a str>,
}

/// An event that may go on, as one line of JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    partition_key: String,
    line: String,
}

/// Takes one event of the body, or says why not, without repeating what it holds.
pub(crate) fn accept(
    piece: &[u8],
    settings: &EventSettings,
    stamp: &Stamp<'_>,
    random: impl Fn() -> u64,
) -> Result<Accepted, String> {
    let mut event = decode::event(piece).map_err(|why| why.detail.into_owned())?;
    if event.present(&settings.id).is_none_or(|id| id.as_str() == Some("")) {
        let id = match settings.missing_id {
            MissingId::Reject => return Err(format!("the field `{}` is missing", settings.id)),
            MissingId::Hash => hex(&Sha256::digest(piece)[..16]),
            MissingId::Generate => format!("{:016x}{:016x}", random(), random()),
        };
        event.set(&settings.id, id);
    }
    event.set(&Path::from_key(RECEIVED_AT), stamp.received_at.rfc3339());
    let mut default = |key: &str, value: &str| {
        let path = Path::from_key(key);
        if !value.is_empty() && event.present(&path).is_none() {
            event.set(&path, value);
        }
    };
    default("ip", stamp.ip);
    default("userAgent", stamp.user_agent.unwrap_or_default());
    let line = event.to_string();
    if line.len() > RECORD_MAX {
        return Err(format!("the event has more than {RECORD_MAX} bytes"));
    }
    Ok(Accepted { partition_key: partition_key(&event, settings), line })
}

/// The key that order is kept by, hashed: Kinesis takes at most 256 characters, and shows keys in its metrics.
fn partition_key(event: &Event, settings: &EventSettings) -> String {
    let mut fields = settings.partition_key.iter().chain([&settings.id]);
    let key = fields.find_map(|path| event.present(path)).unwrap_or(&Value::Null);
    let digest = match key {
        Value::String(text) => Sha256::digest(text),
        other => Sha256::digest(other.to_string()),
    };
    hex(&digest[..8])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Packs events into records, NDJSON, one a partition key as long as they fit; in the order of the events, so that
/// what shares a key stays in order.
pub(crate) fn records(events: &[Accepted]) -> Vec<Entry> {
    let mut records: Vec<Entry> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for Accepted { partition_key, line } in events {
        let room = open.get(partition_key.as_str()).and_then(|at| records.get_mut(*at));
        match room.filter(|record| record.data.len() + 1 + line.len() <= RECORD_MAX) {
            Some(record) => {
                record.data.push(b'\n');
                record.data.extend_from_slice(line.as_bytes());
            }
            None => {
                open.insert(partition_key, records.len());
                records.push(Entry { partition_key: partition_key.clone(), data: line.clone().into_bytes() });
            }
        }
    }
    records
}

/// How many events a record of [`records`] has. Serialized JSON has no newline in it.
pub(crate) fn count(record: &Entry) -> usize {
    record.data.iter().filter(|byte| **byte == b'\n').count() + 1
}
