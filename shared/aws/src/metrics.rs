//! The table of metrics.

use crate::clients::within;
use crate::failed;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_types::SdkConfig;
use millrace_core::metric::Row;
use millrace_core::port::{Error, MetricTable};
use std::collections::HashMap;
use std::time::Duration;

/// A table, by name. Its items have a `metric` and a `place`, texts, which are their key; `window`, the moment when it began,
/// and `key`, texts; the numbers; `expires`, epoch seconds for the table's TTL; `reaches`, how far its records go; and
/// `attempt`, which invocation wrote it first.
#[derive(Debug, Clone)]
pub struct MetricsTable {
    client: Client,
    name: String,
    keep_s: i64,
}

impl MetricsTable {
    /// The table of this name, whose items stay for so many days after their window began.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String, days: i64) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config);
        let config = config.timeout_config(within(Duration::from_secs(5))).build();
        Self { client: Client::from_conf(config), name, keep_s: days.saturating_mul(86_400) }
    }
}

impl MetricTable for MetricsTable {
    async fn put(&self, row: &Row, attempt: u64) -> Result<bool, Error> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("metric", AttributeValue::S(row.metric.clone()))
            .key("place", AttributeValue::S(row.place.clone()))
            .condition_expression("attribute_not_exists(#reaches) OR #reaches <= :reaches")
            .return_values(ReturnValue::AllNew);
        // Who wrote first stays known, also to an attempt that asks again because an answer was lost.
        let mut sets = vec!["#attempt = if_not_exists(#attempt, :attempt)".to_owned()];
        for (name, value) in attributes(row, attempt, self.keep_s) {
            if name != "attempt" {
                sets.push(format!("#{name} = :{name}"));
            }
            call = call
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let call = call.update_expression(format!("SET {}", sets.join(", ")));
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        match answer.map_err(SdkError::into_service_error) {
            Ok(answer) => {
                let first = answer.attributes().and_then(|item| item.get("attempt"));
                Ok(first == Some(&AttributeValue::N(attempt.to_string())))
            }
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(failed(format!("write a row to the table {}", self.name), error)),
        }
    }

    async fn reaches(&self, metric: &str, begin: &str) -> Result<Vec<(String, String)>, Error> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("#metric = :metric AND begins_with(#place, :begin)")
                .projection_expression("#place, #reaches")
                .expression_attribute_names("#metric", "metric")
                .expression_attribute_names("#place", "place")
                .expression_attribute_names("#reaches", "reaches")
                .expression_attribute_values(":metric", AttributeValue::S(metric.to_owned()))
                .expression_attribute_values(":begin", AttributeValue::S(begin.to_owned()))
                .set_exclusive_start_key(from);
            let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
            let what = || format!("query the rows of {metric} in the table {}", self.name);
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            found.extend(answer.items().iter().filter_map(place));
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Where an item stands, and how far it reaches.
fn place(item: &HashMap<String, AttributeValue>) -> Option<(String, String)> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some((text("place")?, text("reaches")?))
}

/// What a row has beside its key.
fn attributes(row: &Row, attempt: u64, keep_s: i64) -> Vec<(&'static str, AttributeValue)> {
    let expires = (row.window.get() / 1_000_000).saturating_add(keep_s);
    let own = [
        ("window", AttributeValue::S(row.window.rfc3339())),
        ("key", AttributeValue::S(row.key.clone())),
        ("reaches", AttributeValue::S(row.reaches.clone())),
        ("expires", AttributeValue::N(expires.to_string())),
        ("attempt", AttributeValue::N(attempt.to_string())),
    ];
    own.into_iter().chain(row.numbers().map(|(name, digits)| (name, AttributeValue::N(digits)))).collect()
}
