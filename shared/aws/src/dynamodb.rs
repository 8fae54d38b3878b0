//! A DynamoDB table of small items: what stages remember of their lanes.

use crate::clients::within;
use crate::failed;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;
use millrace_core::port::{Between, Error, Item, KeyTable, Kind, Page, When, Written};
use millrace_core::time::Micros;
use std::collections::HashMap;
use std::time::Duration;

/// A table, by name. Its items have a `key` and a `position`, texts; `version` and `expires`, numbers, the latter epoch
/// seconds for the table's TTL; and `body`, bytes.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        // A page has up to 1 MB.
        let config = aws_sdk_dynamodb::config::Builder::from(config);
        let config = config.timeout_config(within(Duration::from_secs(5))).build();
        Self { client: Client::from_conf(config), name }
    }

    fn unreadable(&self, key: &str) -> Error {
        let what = format!("an item of {key} in the table {} cannot be read", self.name);
        Error { what, kind: Kind::Permanent, source: None }
    }
}

impl KeyTable for Table {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        let (condition, values) = condition(key, between);
        let mut start = None;
        loop {
            let mut call = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .scan_index_forward(!between.backward)
                .set_exclusive_start_key(start)
                .key_condition_expression(condition)
                .expression_attribute_names("#k", "key");
            // A name that the condition has no use for is an error.
            if condition.contains("#p") {
                call = call.expression_attribute_names("#p", "position");
            }
            for (name, value) in &values {
                call = call.expression_attribute_values(*name, AttributeValue::S((*value).to_owned()));
            }
            let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
            let what = || format!("query the items of {key} in the table {}", self.name);
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            let items = answer.items().iter().map(|item| read(item).ok_or_else(|| self.unreadable(key)));
            let mut items = items.collect::<Result<Vec<_>, _>>()?;
            items.retain(|item| {
                item.position != between.after && Some(item.position.as_str()) != between.before
            });
            start = answer.last_evaluated_key;
            // A page without an item is the end: one of the bounds alone is none.
            if !items.is_empty() || start.is_none() {
                return Ok(Page { items, more: start.is_some() });
            }
        }
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(write(item)));
        let call = match when {
            When::Always => call,
            When::Absent => {
                call.condition_expression("attribute_not_exists(#k)").expression_attribute_names("#k", "key")
            }
            When::Version(version) => call
                .condition_expression("#v = :v")
                .expression_attribute_names("#v", "version")
                .expression_attribute_values(":v", AttributeValue::N(version.to_string())),
        };
        let call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        match answer.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(Written::Done),
            Err(PutItemError::ConditionalCheckFailedException(refused)) => {
                let there =
                    refused.item().map(|item| read(item).ok_or_else(|| self.unreadable(&item_key(item))));
                there.transpose().map(Written::Refused)
            }
            Err(error) => {
                let what = format!("put an item of {} to the table {}", item.key, self.name);
                Err(failed(what, error))
            }
        }
    }
}

/// The condition that finds the items of a key between two positions, and the values in it. It may have one comparison of
/// the position, or a range with both ends in it: the ends are left out of the answer.
fn condition<'a>(key: &'a str, between: Between<'a>) -> (&'static str, Vec<(&'static str, &'a str)>) {
    let (condition, ends) = match (between.after, between.before) {
        ("", None) => ("#k = :k", vec![]),
        ("", Some(before)) => ("#k = :k AND #p < :b", vec![(":b", before)]),
        (after, None) => ("#k = :k AND #p > :a", vec![(":a", after)]),
        (after, Some(before)) => ("#k = :k AND #p BETWEEN :a AND :b", vec![(":a", after), (":b", before)]),
    };
    (condition, [vec![(":k", key)], ends].concat())
}

fn item_key(item: &HashMap<String, AttributeValue>) -> String {
    item.get("key").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default()
}

fn write(item: &Item) -> HashMap<String, AttributeValue> {
    let expires = item.expires_at.get().div_euclid(1_000_000);
    HashMap::from([
        ("key".to_owned(), AttributeValue::S(item.key.clone())),
        ("position".to_owned(), AttributeValue::S(item.position.clone())),
        ("version".to_owned(), AttributeValue::N(item.version.to_string())),
        ("expires".to_owned(), AttributeValue::N(expires.to_string())),
        ("body".to_owned(), AttributeValue::B(Blob::new(item.body.as_slice()))),
    ])
}

fn read(item: &HashMap<String, AttributeValue>) -> Option<Item> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let number = |name: &str| item.get(name)?.as_n().ok();
    Some(Item {
        key: text("key")?,
        position: text("position")?,
        version: number("version")?.parse().ok()?,
        expires_at: Micros::new(number("expires")?.parse::<i64>().ok()?.checked_mul(1_000_000)?)?,
        body: item.get("body")?.as_b().ok()?.as_ref().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_uses_all_of_its_values() {
        for (after, before) in [("", None), ("", Some("9")), ("1", None), ("1", Some("9"))] {
            let (condition, values) = condition("k", Between { after, before, backward: false });
            assert_eq!(condition.matches(':').count(), values.len(), "{condition}");
            assert!(values.iter().all(|(name, _)| condition.contains(name)), "{condition}");
            assert_eq!(condition.contains("#p"), !after.is_empty() || before.is_some());
        }
    }

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let item = Item {
            key: "seen/raw/shardId-000000000000".into(),
            position: "0017/0017".into(),
            version: u64::MAX,
            expires_at: Micros::new(1_573_841_100_000_000).unwrap(),
            body: vec![1, 0, 255],
        };
        assert_eq!(read(&write(&item)), Some(item));
        assert_eq!(read(&HashMap::new()), None);
    }
}
