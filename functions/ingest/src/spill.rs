//! Records in the spill queue: JSON, the data as base64, because a message is text.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::port::Entry;
use serde::{Deserialize, Serialize};

/// The largest message, bytes: SQS takes 1 MiB.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MESSAGE_MAX: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Message {
    records: Vec<Spilled>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spilled {
    partition_key: String,
    data: String,
}

impl Spilled {
    /// Its length in a message, with the JSON around it. Neither field has a character that JSON escapes.
    fn len(&self) -> usize {
        self.partition_key.len() + self.data.len() + r#"{"partitionKey":"","data":""},"#.len()
    }
}

/// The messages that carry these records, in their order, as few as they fit in.
pub(crate) fn messages(entries: &[Entry]) -> Vec<String> {
    let mut messages = vec![Message { records: Vec::new() }];
    let mut room = MESSAGE_MAX - r#"{"records":[]}"#.len();
    for Entry { partition_key, data } in entries {
        let record = Spilled { partition_key: partition_key.clone(), data: BASE64_STANDARD.encode(data) };
        match messages.last_mut() {
            Some(message) if record.len() <= room => {
                room -= record.len();
                message.records.push(record);
            }
            _ => {
                room = (MESSAGE_MAX - r#"{"records":[]}"#.len()).saturating_sub(record.len());
                messages.push(Message { records: vec![record] });
            }
        }
    }
    messages.retain(|message| !message.records.is_empty());
    // Structs of strings cannot refuse.
    messages.iter().map(|message| serde_json::to_string(message).unwrap_or_default()).collect()
}

/// The records of a message; none where it is no message of ours.
pub(crate) fn entries(message: &str) -> Option<Vec<Entry>> {
    let Message { records } = serde_json::from_str(message).ok()?;
    let entry = |Spilled { partition_key, data }| {
        Some(Entry { partition_key, data: BASE64_STANDARD.decode(data).ok()? })
    };
    records.into_iter().map(entry).collect()
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
            let messages = messages(&records);
            assert!(messages.iter().all(|message| message.len() <= MESSAGE_MAX));
            let back: Vec<_> = messages.iter().flat_map(|message| entries(message).unwrap()).collect();
            assert_eq!(back, records);
        }
    }

    #[test]
    fn many_small_records_share_a_message() {
        assert_eq!(messages(&vec![record(10); 500]).len(), 1);
    }

    #[test]
    fn what_is_no_message_of_ours_is_none() {
        for text in ["", "{}", r#"{"records":[{"partitionKey":"a","data":"?"}]}"#, r#"{"records":[7]}"#] {
            assert_eq!(entries(text), None);
        }
    }
}
