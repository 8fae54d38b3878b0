//! Records in the spill queue: JSON, the data as base64, because a message is text.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::port::Entry;
use millrace_core::time::Micros;
use serde::{Deserialize, Serialize};

/// How long before the deadline no further attempt at Kinesis begins, milliseconds: the time of the spill queue.
pub(crate) const SPILL_MS: i64 = 4_000;

/// The largest message, bytes: SQS takes 1 MiB.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MESSAGE_MAX: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Message {
    /// When it was sent, and its place among those of one request.
    #[serde(default)]
    order: (Micros, usize),
    records: Vec<Record>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    partition_key: String,
    data: String,
}

impl Record {
    fn of(Entry { partition_key, data }: &Entry) -> Self {
        Self { partition_key: partition_key.clone(), data: BASE64_STANDARD.encode(data) }
    }

    /// Its length in a message, with the JSON around it. Neither field has a character that JSON escapes.
    fn len(&self) -> usize {
        self.partition_key.len() + self.data.len() + r#"{"partitionKey":"","data":""},"#.len()
    }
}

/// What records have for themselves in a message: the JSON around them has at most two numbers of 20 digits.
const RECORDS_MAX: usize = MESSAGE_MAX - r#"{"order":[,],"records":[]}"#.len() - 40;

/// The message that carries these records, of one that was read, in the place of that one.
pub(crate) fn message(order: (Micros, usize), entries: &[Entry]) -> String {
    text(&Message { order, records: entries.iter().map(Record::of).collect() })
}

/// The messages that carry these records, in their order, as few as they fit in.
pub(crate) fn messages(entries: &[Entry], at: Micros) -> Vec<String> {
    let mut messages: Vec<Message> = Vec::new();
    let mut room = 0;
    for record in entries.iter().map(Record::of) {
        match messages.last_mut() {
            Some(message) if record.len() <= room => {
                room -= record.len();
                message.records.push(record);
            }
            _ => {
                room = RECORDS_MAX.saturating_sub(record.len());
                messages.push(Message { order: (at, messages.len()), records: vec![record] });
            }
        }
    }
    messages.iter().map(text).collect()
}

fn text(message: &Message) -> String {
    serde_json::to_string(message).unwrap_or_default() // structs of strings and numbers cannot refuse
}

/// A message that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spilled {
    /// What came first is the least.
    pub(crate) order: (Micros, usize),
    pub(crate) entries: Vec<Entry>,
}

/// Reads a message; none where it is no message of ours.
pub(crate) fn read(message: &str) -> Option<Spilled> {
    let Message { order, records } = serde_json::from_str(message).ok()?;
    let entry = |Record { partition_key, data }| {
        Some(Entry { partition_key, data: BASE64_STANDARD.decode(data).ok()? })
    };
    Some(Spilled { order, entries: records.into_iter().map(entry).collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RECORD_MAX;

    fn record(bytes: usize) -> Entry {
        Entry { partition_key: "0123456789abcdef".into(), data: vec![0xff; bytes] }
    }

    #[test]
    fn records_come_back_in_order_from_messages_that_sqs_takes() {
        for sizes in [
            vec![RECORD_MAX],
            vec![10; 500],
            vec![RECORD_MAX, 10, RECORD_MAX, 36_000, 10],
            vec![1000; 800],
            vec![],
        ] {
            let records: Vec<_> = sizes.into_iter().map(record).collect();
            let messages = messages(&records, Micros::new(1_573_841_100_000_000).unwrap());
            assert!(messages.iter().all(|message| message.len() <= MESSAGE_MAX));
            let read: Vec<_> = messages.iter().map(|message| read(message).unwrap()).collect();
            assert!(read.is_sorted_by(|a, b| a.order < b.order));
            let back: Vec<_> = read.into_iter().flat_map(|message| message.entries).collect();
            assert_eq!(back, records);
        }
    }

    #[test]
    fn many_small_records_share_a_message() {
        assert_eq!(messages(&vec![record(10); 500], Micros::EPOCH).len(), 1);
    }

    #[test]
    fn what_is_no_message_of_ours_is_none() {
        for text in ["", "{}", r#"{"records":[{"partitionKey":"a","data":"?"}]}"#, r#"{"records":[7]}"#] {
            assert_eq!(read(text), None);
        }
    }
}
