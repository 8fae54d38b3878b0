//! A DynamoDB table of write keys.
//!
//! An item's `id` is `key/` and the key's hash: with `tenant`, `enabled`, `created`, and where they are wanted `quota` (events a
//! minute), `expires_at` (epoch seconds) and `note`. Or it is `sent/`, the hash and a minute: with `events`, how many were sent
//! within it, and `expires`, epoch seconds for the table's TTL.

use crate::clients::within;
use crate::failed;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;
use millrace_core::port::{Error, Kind, Spent, WriteKey, WriteKeys};
use millrace_core::time::Micros;
use millrace_core::write_key::Listed;
use std::collections::HashMap;
use std::time::Duration;

/// For how long the count of a minute is kept, minutes: as long as clocks may differ, and more.
const COUNT_KEPT_MINUTES: i64 = 60;

const MICROS: i64 = 1_000_000;

/// A table of write keys, by name.
#[derive(Debug, Clone)]
pub struct KeysTable {
    client: Client,
    name: String,
}

type Row = HashMap<String, AttributeValue>;

impl KeysTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config);
        let config = config.timeout_config(within(Duration::from_millis(1_500))).build();
        Self { client: Client::from_conf(config), name }
    }

    /// Adds a key.
    pub async fn add(&self, key: &Listed) -> Result<(), Error> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(write(key)));
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        answer
            .map(drop)
            .map_err(|error| failed(format!("add a key to {}", self.name), error.into_service_error()))
    }

    /// All keys, in no order.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        let (mut keys, mut from) = (Vec::new(), None);
        loop {
            let call = self
                .client
                .scan()
                .table_name(&self.name)
                .consistent_read(true)
                .filter_expression("begins_with(id, :key)")
                .expression_attribute_values(":key", AttributeValue::S(KEY.to_owned()))
                .set_exclusive_start_key(from);
            let answer = Box::pin(call.send()).await;
            let answer = answer.map_err(|error| {
                failed(format!("list the keys of {}", self.name), error.into_service_error())
            })?;
            for item in answer.items() {
                keys.push(read(item).ok_or_else(|| self.unreadable())?);
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Ends a key, which stays in the table.
    pub async fn revoke(&self, hash: &str) -> Result<(), Error> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", AttributeValue::S(format!("{KEY}{hash}")))
            .condition_expression("attribute_exists(id)")
            .update_expression("SET enabled = :no")
            .expression_attribute_values(":no", AttributeValue::Bool(false));
        let answer = Box::pin(call.send()).await;
        answer
            .map(drop)
            .map_err(|error| failed(format!("revoke a key of {}", self.name), error.into_service_error()))
    }

    fn unreadable(&self) -> Error {
        let what = format!("an item of the table {} cannot be read", self.name);
        Error { what, kind: Kind::Permanent, source: None }
    }
}

const KEY: &str = "key/";

impl WriteKeys for KeysTable {
    async fn find(&self, hash: &str) -> Result<Option<WriteKey>, Error> {
        let call = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("id", AttributeValue::S(format!("{KEY}{hash}")))
            .consistent_read(true); // a key that was just made works at once
        let answer = Box::pin(call.send()).await;
        let answer = answer.map_err(|error| {
            failed(format!("look up a key in the table {}", self.name), error.into_service_error())
        })?;
        let Some(item) = answer.item() else { return Ok(None) };
        read(item).map(|listed| Some(listed.key)).ok_or_else(|| self.unreadable())
    }

    async fn spend(&self, hash: &str, minute: i64, events: u64, most: u64) -> Result<Spent, Error> {
        let number = |number: i128| AttributeValue::N(number.to_string());
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("id", AttributeValue::S(format!("sent/{hash}/{minute}")))
            .update_expression("ADD #events :events SET expires = :expires")
            .condition_expression("attribute_not_exists(#events) OR #events <= :room")
            .expression_attribute_names("#events", "events")
            .expression_attribute_values(":events", number(events.into()))
            .expression_attribute_values(":room", number(i128::from(most) - i128::from(events)))
            .expression_attribute_values(":expires", number(i128::from(minute + COUNT_KEPT_MINUTES) * 60))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = Box::pin(call.send()).await;
        let counted =
            |item: Option<&Row>| number_of(item?, "events").and_then(|events| u64::try_from(events).ok());
        match answer.map_err(SdkError::into_service_error) {
            Ok(answer) => counted(answer.attributes()).map(Spent::Now).ok_or_else(|| self.unreadable()),
            Err(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                // Who does not say what stands there says at least that there is no more room.
                Ok(Spent::Over(counted(refused.item()).unwrap_or(most)))
            }
            Err(error) => Err(failed(format!("count events in the table {}", self.name), error)),
        }
    }
}

fn write(listed: &Listed) -> Row {
    let Listed { hash, key, created_at, note } = listed;
    let number = |number: i128| AttributeValue::N(number.to_string());
    let seconds = |at: Micros| number(at.get().div_euclid(MICROS).into());
    let fixed = [
        ("id", AttributeValue::S(format!("{KEY}{hash}"))),
        ("tenant", AttributeValue::S(key.tenant.clone())),
        ("enabled", AttributeValue::Bool(key.enabled)),
        ("created", seconds(*created_at)),
    ];
    let quota = key.quota.map(|quota| ("quota", number(quota.into())));
    let expires = key.expires_at.map(|at| ("expires_at", seconds(at)));
    let note = note.clone().map(|note| ("note", AttributeValue::S(note)));
    let all = fixed.into_iter().chain(quota).chain(expires).chain(note);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Reads a key. One that says something that cannot be read is none, rather than one without a limit.
fn read(item: &Row) -> Option<Listed> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let moment = |name: &str| Micros::new(number_of(item, name)?.checked_mul(MICROS)?);
    let quota = match item.get("quota") {
        Some(_) => Some(u64::try_from(number_of(item, "quota")?).ok()?),
        None => None,
    };
    let expires_at = match item.get("expires_at") {
        Some(_) => Some(moment("expires_at")?),
        None => None,
    };
    let enabled = *item.get("enabled")?.as_bool().ok()?;
    Some(Listed {
        hash: text("id")?.strip_prefix(KEY)?.to_owned(),
        key: WriteKey { tenant: text("tenant")?, enabled, expires_at, quota },
        created_at: moment("created")?,
        note: text("note"),
    })
}

fn number_of(item: &Row, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Listed {
        let at = |seconds: i64| Micros::new(seconds * MICROS).unwrap();
        let key = WriteKey {
            tenant: "acme".into(),
            enabled: true,
            expires_at: Some(at(1_800_000_000)),
            quota: Some(600),
        };
        Listed { hash: "ab12".into(), key, created_at: at(1_795_179_907), note: Some("the shop".into()) }
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let whole = listed();
        let bare = Listed {
            key: WriteKey { enabled: false, expires_at: None, quota: None, ..whole.key.clone() },
            note: None,
            ..whole.clone()
        };
        for key in [whole, bare] {
            assert_eq!(read(&write(&key)), Some(key));
        }
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_not_no_limit() {
        for (name, value) in [
            ("quota", AttributeValue::S("600".into())),
            ("quota", AttributeValue::N("-1".into())),
            ("expires_at", AttributeValue::N("soon".into())),
            ("enabled", AttributeValue::S("true".into())),
            ("tenant", AttributeValue::Null(true)),
        ] {
            let mut item = write(&listed());
            item.insert(name.to_owned(), value);
            assert_eq!(read(&item), None, "{name}");
        }
    }
}
