//! Logs and metrics. Nothing of an event's content goes into either.

use millrace_core::guard::Health;
use millrace_core::keys::NoKeys;
use millrace_core::metric::Row;
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

/// Writes the counts of one invocation as lines of CloudWatch's embedded metric format, so that they are log lines and
/// metrics at once: one line for the function, and where the counts have `steps` one for each step that did something.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
///
/// A line has at most 1 MB and 100 metrics, a set of dimensions at most 30: these have a few of each.
pub fn count(stage: &str, counts: &impl Serialize, clock: &impl Clock) {
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let mut out = std::io::stdout().lock();
    for line in emf(stage, &function, counts, clock.now().get() / 1000) {
        // A log that cannot be written must not fail the batch.
        let _ = writeln!(out, "{line}");
    }
}

/// Writes how dependencies are, as far as that is worth telling: a line for each, with the metrics `open` and `refused`.
pub fn health(stage: &str, dependencies: &[Health], clock: &impl Clock) {
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let mut out = std::io::stdout().lock();
    for health in dependencies {
        let Ok(Value::Object(line)) = serde_json::to_value(health) else { continue };
        let metrics = ["open".to_owned(), "refused".to_owned()];
        let at_ms = clock.now().get() / 1000;
        let line = document(line, stage, &function, &["function", "dependency"], &metrics, at_ms);
        let _ = writeln!(out, "{line}");
    }
}

/// Writes the numbers of a row as metrics of the pipeline's own: for its metric, and where that has a key for the key, too, at
/// the time when the window began. CloudWatch adds up those of all rows: ask for the sum of `count` and `sum`, the minimum of
/// `min`, the maximum of `max`.
///
/// The key is a dimension only where the metric lists it; each other is `other`. So there are as many metrics as the pipeline
/// says, whatever the events hold.
pub fn metric(row: &Row) {
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let _ = writeln!(std::io::stdout().lock(), "{}", row_line(row, &function));
}

fn row_line(row: &Row, function: &str) -> Value {
    let mut line: Map<_, _> = row.floats().map(|(name, number)| (name.to_owned(), json!(number))).collect();
    let metrics: Vec<_> = line.keys().map(|name| json!({"Name": name})).collect();
    let mut dimensions = vec![vec!["function", "metric"]];
    if let Some(key) = &row.dimension {
        line.insert("key".into(), json!(key));
        dimensions.push(vec!["function", "metric", "key"]);
    }
    let directive = json!({"Namespace": "Millrace", "Dimensions": dimensions, "Metrics": metrics});
    line.insert(
        "_aws".into(),
        json!({"Timestamp": row.window.get() / 1000, "CloudWatchMetrics": [directive]}),
    );
    line.insert("function".into(), function.into());
    line.insert("metric".into(), row.metric.as_str().into());
    Value::Object(line)
}

/// Says why there is no new key, though it was time for one: the one that there is goes on.
pub fn key_stays(why: &NoKeys) {
    tracing::error!(%why, "the token key cannot be renewed; the one that is known goes on");
}

fn emf(stage: &str, function: &str, counts: &impl Serialize, at_ms: i64) -> Vec<Value> {
    let mut line = match serde_json::to_value(counts) {
        Ok(Value::Object(counts)) => counts,
        _ => Map::new(),
    };
    let steps = match line.remove("steps") {
        Some(Value::Array(steps)) => steps,
        _ => Vec::new(),
    };
    let all: Vec<_> = line.keys().cloned().collect();
    let mut lines = vec![document(line, stage, function, &["function"], &all, at_ms)];
    for step in steps {
        let Value::Object(step) = step else { continue };
        // A metric is paid for by the hour in which it is written: what a step did not do is none, nor is what follows
        // from the others.
        let done = step.iter().filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
        let mut done: Vec<_> = done.map(|(name, _)| name.clone()).filter(|name| name != "out").collect();
        done.sort();
        if done.iter().any(|name| name != "in") {
            lines.push(document(step, stage, function, &["function", "step"], &done, at_ms));
        }
    }
    lines
}

/// One line: the counts, of which these are metrics, for these dimensions.
fn document(
    mut line: Map<String, Value>,
    stage: &str,
    function: &str,
    dimensions: &[&str],
    metrics: &[String],
    at_ms: i64,
) -> Value {
    let metrics: Vec<_> = metrics.iter().map(|name| json!({"Name": name, "Unit": "Count"})).collect();
    let directive = json!({"Namespace": "Millrace", "Dimensions": [dimensions], "Metrics": metrics});
    line.insert("_aws".into(), json!({"Timestamp": at_ms, "CloudWatchMetrics": [directive]}));
    line.insert("stage".into(), stage.into());
    line.insert("function".into(), function.into());
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_core::account::{Counts, Landing, StepTally, Tally};
    use millrace_core::event::Event;
    use millrace_core::metric::State;
    use millrace_core::pipeline::Pipeline;
    use millrace_core::time::Micros;

    #[test]
    fn counts_are_a_log_line_and_metrics_at_once() {
        let landing = Landing { r#in: 3, landed: 2, skipped: 0, quarantined: 1 };
        let lines = emf("lake", "shop-lake", &landing, 1_573_841_100_000);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(
            (&line["stage"], &line["landed"], &line["function"]),
            (&json!("lake"), &json!(2), &json!("shop-lake"))
        );
        let metrics = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Dimensions"], json!([["function"]]));
        assert_eq!(metrics["Metrics"].as_array().map(Vec::len), Some(4));
    }

    #[test]
    fn each_step_that_did_something_has_a_line_of_its_own() {
        let step =
            |step, r#in, changed, dropped| StepTally { r#in, changed, dropped, ..StepTally::new(step) };
        let tally = Tally { r#in: 3, out: 2, filtered: 1, ..Tally::default() };
        let steps =
            vec![step("clean.require", 3, 0, 0), step("filter.keep", 3, 0, 1), step("clean.cast", 2, 2, 0)];
        let lines =
            emf("transform", "shop-transform", &Counts { tally, steps, window_short: 0 }, 1_573_841_100_000);
        let [whole, keep, cast] = lines.as_slice() else { panic!("{lines:?}") };

        assert_eq!(whole.get("steps"), None);
        assert_eq!(whole["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map(Vec::len), Some(5));
        assert_eq!(
            *keep,
            json!({
                "_aws": {
                    "Timestamp": 1_573_841_100_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Millrace",
                        "Dimensions": [["function", "step"]],
                        "Metrics": [{"Name": "dropped", "Unit": "Count"}, {"Name": "in", "Unit": "Count"}],
                    }],
                },
                "stage": "transform", "function": "shop-transform", "step": "filter.keep",
                "in": 3, "out": 2, "changed": 0, "dropped": 1, "quarantined": 0,
            })
        );
        let counts = Counts { window_short: 1, ..Counts::default() };
        let lines = emf("transform", "shop-transform", &counts, 1_573_841_100_000);
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"][5]["Name"], "window_short");
        assert_eq!((&cast["step"], &cast["changed"]), (&json!("clean.cast"), &json!(2)));
    }

    #[test]
    fn a_key_is_a_dimension_where_the_metric_lists_it() {
        let text = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[[metric]]\nname = \"sales\"\nvalue = \"price\"\nkey = \"country\"\naggregates = [\"count\", \"sum\"]\nwindow = \"1m\"\ndimensions = [\"DE\"]\n";
        let pipeline = Pipeline::compile(text, &millrace_core::files::NONE).unwrap();
        let mut state = State::default();
        let at = Micros::new(1_795_179_908_000_000).unwrap();
        for country in ["DE", "FR"] {
            let event = Event::read(&format!(r#"{{"country":"{country}","price":80.5}}"#)).unwrap();
            assert!(pipeline.metrics().fold(&event, at, &mut state).is_empty());
        }
        let lines: Vec<_> = pipeline
            .metrics()
            .rows("s", &mut state)
            .iter()
            .map(|row| row_line(row, "shop-metrics"))
            .collect();
        assert_eq!(
            lines[0],
            json!({
                "_aws": {
                    "Timestamp": 1_795_179_900_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Millrace",
                        "Dimensions": [["function", "metric"], ["function", "metric", "key"]],
                        "Metrics": [{"Name": "count"}, {"Name": "sum"}],
                    }],
                },
                "function": "shop-metrics", "metric": "sales", "key": "DE", "count": 1.0, "sum": 80.5,
            })
        );
        assert_eq!(lines[1]["key"], "other");
    }
}
