//! A record in the spill queue: JSON, the data as base64, because a message is text.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::port::Entry;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    partition_key: String,
    data: String,
}

pub(crate) fn message(entry: &Entry) -> String {
    let message =
        Message { partition_key: entry.partition_key.clone(), data: BASE64_STANDARD.encode(&entry.data) };
    // A struct of strings cannot refuse.
    serde_json::to_string(&message).unwrap_or_default()
}

/// The record of a message; none where it is no message of ours.
pub(crate) fn entry(message: &str) -> Option<Entry> {
    let Message { partition_key, data } = serde_json::from_str(message).ok()?;
    Some(Entry { partition_key, data: BASE64_STANDARD.decode(data).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RECORD_MAX;

    #[test]
    fn the_largest_record_fits_a_message_and_comes_back() {
        let record = Entry { partition_key: "0123456789abcdef".into(), data: vec![0xff; RECORD_MAX] };
        let text = message(&record);
        assert!(text.len() <= 1 << 20, "{} bytes; a message has at most 1 MiB", text.len());
        assert_eq!(entry(&text), Some(record));
    }

    #[test]
    fn what_is_no_message_of_ours_is_none() {
        for text in ["", "{}", r#"{"partitionKey":"a","data":"?"}"#] {
            assert_eq!(entry(text), None);
        }
    }
}
