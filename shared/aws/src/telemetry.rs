//! Logs and metrics. Nothing of an event's content goes into either.

use millrace_core::port::Clock;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Turns on JSON logs at the level that Lambda's logging configuration names.
///
/// The level holds for Millrace's own lines. Libraries log warnings and errors only: on finer levels the SDK writes
/// whole requests, personal data included.
pub fn init() {
    let wanted = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    let level = wanted.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let targets = Targets::new().with_default(LevelFilter::WARN.min(level)).with_target("millrace", level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    // A second call would mean two mains; the first one counts.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}

/// Writes the counts of one invocation as one line of CloudWatch's embedded metric format, so that they are a log
/// line and metrics at once.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub fn count(stage: &str, counts: &impl Serialize, clock: &impl Clock) {
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let line = emf(stage, &function, counts, clock.now().get() / 1000);
    // A log that cannot be written must not fail the batch.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn emf(stage: &str, function: &str, counts: &impl Serialize, at_ms: i64) -> Value {
    let mut line = match serde_json::to_value(counts) {
        Ok(Value::Object(counts)) => counts,
        _ => Map::new(),
    };
    let metrics: Vec<_> = line.keys().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let directive = json!({"Namespace": "Millrace", "Dimensions": [["function"]], "Metrics": metrics});
    line.insert("_aws".into(), json!({"Timestamp": at_ms, "CloudWatchMetrics": [directive]}));
    line.insert("stage".into(), stage.into());
    line.insert("function".into(), function.into());
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_core::account::Landing;

    #[test]
    fn counts_are_a_log_line_and_metrics_at_once() {
        let line = emf(
            "lake",
            "shop-lake",
            &Landing { r#in: 3, landed: 2, skipped: 0, quarantined: 1 },
            1_573_841_100_000,
        );
        assert_eq!(
            (&line["stage"], &line["landed"], &line["function"]),
            (&json!("lake"), &json!(2), &json!("shop-lake"))
        );
        let metrics = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Dimensions"], json!([["function"]]));
        assert_eq!(metrics["Metrics"].as_array().map(Vec::len), Some(4));
    }
}
