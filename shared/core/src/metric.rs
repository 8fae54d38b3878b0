//! Metrics of events: count, sum, min and max, by key and window of time.
//!
//! Events are folded into a [`State`], in order; from time to time its contents become [`Row`]s of a table, and it begins
//! anew. A window's result is the sum of its rows, so what comes late adds a row and changes none.
//!
//! **Each event counts once.** A row's place follows from the metric, the window, the key, the shard, and the record with
//! which the state began; its contents follow from the records since. So the same records make the same rows, wherever
//! batches were cut and however often they come again, and a row written twice is written over itself. When a state is full
//! follows from its records, too. A slow attempt that knows of fewer records does not write over one that knows of more.

use crate::decimal::Decimal;
use crate::event::{Event, Path, Value};
use crate::expression::Expression;
use crate::guard::Guard;
use crate::mistake::Mistake;
use crate::port::{Clock, Error, MetricTable};
use crate::record;
use crate::step::{Source, Span};
use crate::time::Micros;
use crate::transformer::slow_down;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

/// The most metrics of a pipeline. With [`KEY_MAX`] it bounds what one event adds to a state.
const METRICS_MAX: usize = 20;

/// The longest key, bytes. `DynamoDB` takes 1,024 of a sort key, of which it is a part.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const KEY_MAX: usize = 256;

/// The longest name of a metric, and the longest dimension that is listed.
const NAME_MAX: usize = 64;

/// The most dimensions that a metric lists.
const DIMENSIONS_MAX: usize = 50;

/// The longest window, microseconds: a day.
const WINDOW_MAX: i64 = 86_400_000_000;

/// The size at which a state makes room for a new one, bytes. Lambda keeps 1 MB for a shard, and would end the window early.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html>
const STATE_FULL: usize = 800_000;

/// The most bytes that the aggregate of a group takes in the state: a count, and three decimals.
const AGGREGATE_BYTES: usize = 180;

/// The most digits of a sequence number of a table's stream.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>
const SEQUENCE_MAX: usize = 40;

/// How many rows are on their way at once.
const ROWS_AT_ONCE: usize = 16;

/// `[[metric]]`: what is counted of events, by key and window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricSettings {
    /// What it is called in the table and in CloudWatch.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Which events it is of: those of which this expression (CEL) is true. All, where it is not there.
    pub(crate) when: Option<Source>,
    /// The field whose numbers are added up. Events that have none there do not count.
    #[schemars(with = "Option<Path>")]
    pub(crate) value: Option<Spanned<Path>>,
    /// The field by whose values there are results of their own.
    #[schemars(with = "Option<Path>")]
    pub(crate) key: Option<Spanned<Path>>,
    /// What is told; all of it, where it is not there.
    #[schemars(with = "Option<Vec<Told>>")]
    pub(crate) aggregates: Option<Spanned<Vec<Told>>>,
    /// How long a window is, up to a day: `1m`, `1h`. Windows begin at multiples of it since 1970.
    #[schemars(with = "Span")]
    pub(crate) window: Spanned<Span>,
    /// Keys that have a CloudWatch metric of their own; the others have one together, named `other`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) dimensions: Vec<Spanned<String>>,
}

/// A number that is told of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// How many events there were.
    Count,
    /// The sum of their values.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl Told {
    /// All that there is to tell.
    const ALL: &'static [Self] = &[Self::Count, Self::Sum, Self::Min, Self::Max];

    /// How it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// A metric, compiled.
#[derive(Debug)]
pub(crate) struct Metric {
    name: String,
    when: Option<Expression>,
    value: Option<Path>,
    key: Option<Path>,
    told: Vec<Told>,
    window: i64,
    dimensions: Vec<String>,
}

impl Metric {
    /// Checks the settings beyond their types; `taken` are the names of the metrics before it.
    pub(crate) fn compile(settings: &MetricSettings, taken: &[Self]) -> Result<Self, Mistake> {
        let mistake = |message: &str, at: std::ops::Range<usize>| Err(Mistake::new(message).within(at));
        let name = settings.name.get_ref();
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "_-.".contains(sign);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            let message = "the name of a metric has up to 64 letters, digits, `_`, `-` and `.`";
            return mistake(message, settings.name.span());
        }
        if taken.iter().any(|metric| metric.name == *name) {
            return mistake("a metric of this name is there already", settings.name.span());
        }
        if taken.len() >= METRICS_MAX {
            return mistake("there are at most 20 metrics", settings.name.span());
        }
        let told = settings.aggregates.as_ref().map_or(Told::ALL, |told| told.get_ref().as_slice());
        if let Some(told) = &settings.aggregates {
            let needs_value = told.get_ref().iter().any(|told| *told != Told::Count);
            if told.get_ref().is_empty() {
                return mistake("no aggregate is named, so the metric tells nothing", told.span());
            }
            if needs_value && settings.value.is_none() {
                return mistake(
                    "`sum`, `min` and `max` want a `value`, the field with the numbers",
                    told.span(),
                );
            }
        }
        let window = settings.window.get_ref().micros;
        if !(1_000_000..=WINDOW_MAX).contains(&window) {
            return mistake("a window is at least a second long, and at most a day", settings.window.span());
        }
        if let Some(first) = settings.dimensions.first() {
            if settings.key.is_none() {
                return mistake("dimensions are values of the `key`, and there is none", first.span());
            }
            let is_long = |dimension: &&Spanned<String>| {
                dimension.get_ref().is_empty() || dimension.get_ref().len() > NAME_MAX
            };
            if let Some(long) = settings.dimensions.iter().find(is_long) {
                return mistake("a dimension has 1 to 64 bytes", long.span());
            }
            if settings.dimensions.len() > DIMENSIONS_MAX {
                return mistake(
                    "there are at most 50 dimensions: CloudWatch bills each of them",
                    first.span(),
                );
            }
        }
        Ok(Self {
            name: name.clone(),
            when: settings.when.as_ref().map(|source| Expression::condition(&source.0)).transpose()?,
            value: settings.value.as_ref().map(|path| path.get_ref().clone()),
            key: settings.key.as_ref().map(|path| path.get_ref().clone()),
            told: told.to_vec(),
            window,
            dimensions: settings.dimensions.iter().map(|dimension| dimension.get_ref().clone()).collect(),
        })
    }

    /// Which events it is of.
    pub(crate) fn when(&self) -> Option<&Expression> {
        self.when.as_ref()
    }

    /// What an event adds, if it counts here.
    fn of(&self, event: &Event, at: Micros) -> Result<Option<(Group, Aggregate)>, Cow<'static, str>> {
        if let Some(when) = &self.when
            && !when.test(event).map_err(|why| Cow::<str>::Owned(format!("in `when`: {why}")))?
        {
            return Ok(None);
        }
        let values = match &self.value {
            None => None,
            Some(path) => match event.present(path) {
                None => return Ok(None),
                Some(Value::Number(number)) => {
                    Some(Decimal::read(number.text()).ok_or("its value is too large")?)
                }
                Some(_) => return Err("its value is no number".into()),
            },
        };
        let key = match self.key.as_ref().and_then(|path| event.present(path)) {
            None => String::new(),
            Some(Value::String(text)) => text.to_owned(),
            Some(Value::Number(number)) => number.text().to_owned(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(_) => return Err("its key is neither text, number nor boolean".into()),
        };
        if key.len() > KEY_MAX {
            return Err("its key is longer than 256 bytes".into());
        }
        let window = at.get().div_euclid(self.window).saturating_mul(self.window);
        let group = Group { window: window.div_euclid(1_000_000), metric: self.name.clone(), key };
        Ok(Some((group, Aggregate { count: 1, values: values.map(Values::of) })))
    }
}

/// The metrics of a pipeline.
#[derive(Debug, Default)]
pub struct Metrics(pub(crate) Vec<Metric>);

/// A metric that an event would count in, were it not for its value, its key, or its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// What is wrong, without a value of the event.
    pub why: Cow<'static, str>,
}

impl Metrics {
    /// Adds an event that went through the steps, of this time, to the state; hands back where it does not fit.
    pub fn fold(&self, event: &Event, at: Micros, state: &mut State) -> Vec<Unfit<'_>> {
        let mut unfit = Vec::new();
        for metric in &self.0 {
            match metric.of(event, at) {
                Ok(Some((group, aggregate))) => state.add(group, aggregate),
                Ok(None) => {}
                Err(why) => unfit.push(Unfit { metric: &metric.name, why }),
            }
        }
        unfit
    }

    /// Takes the rows that a state makes, of records of this shard. The state is empty then, and goes on behind them.
    pub fn rows(&self, shard: &str, state: &mut State) -> Vec<Row> {
        let first = std::mem::take(&mut state.first);
        state.bytes = 0;
        let reaches = format!("{:0>SEQUENCE_MAX$}", state.last);
        let row = |(Group { window, metric, key }, aggregate): (Group, Aggregate)| {
            let compiled = self.0.iter().find(|known| known.name == metric);
            let is_listed = |known: &Metric| known.dimensions.contains(&key);
            let dimension = compiled
                .filter(|known| known.key.is_some())
                .map(|known| if is_listed(known) { key.clone() } else { "other".to_owned() });
            Row {
                place: format!("{}/{key}/{shard}/{first}", moment(window).rfc3339()),
                reaches: reaches.clone(),
                window: moment(window),
                // A metric that is no longer in the pipeline tells all that it has.
                told: compiled.map_or(Told::ALL, |known| known.told.as_slice()).to_vec(),
                metric,
                key,
                dimension,
                aggregate,
            }
        };
        std::mem::take(&mut state.groups).into_iter().map(row).collect()
    }
}

fn moment(seconds: i64) -> Micros {
    seconds.checked_mul(1_000_000).and_then(Micros::new).unwrap_or(Micros::EPOCH)
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// When the window begins, seconds since 1970.
    window: i64,
    metric: String,
    /// Empty where the metric has none, or the event has none there.
    key: String,
}

/// The numbers of some events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate {
    count: u64,
    /// None of a metric that only counts.
    values: Option<Values>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values {
    sum: Decimal,
    min: Decimal,
    max: Decimal,
}

impl Values {
    fn of(value: Decimal) -> Self {
        Self { sum: value, min: value, max: value }
    }
}

impl Aggregate {
    /// Adds the numbers of other events.
    fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.values = match (self.values, more.values) {
            (Some(a), Some(b)) => {
                Some(Values { sum: a.sum.plus(b.sum), min: a.min.min(b.min), max: a.max.max(b.max) })
            }
            (a, b) => a.or(b),
        };
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let count = parts.next()?.parse().ok()?;
        let values: Vec<_> = parts.map(Decimal::read).collect::<Option<_>>()?;
        let values = match values.as_slice() {
            [] => None,
            [sum, min, max] => Some(Values { sum: *sum, min: *min, max: *max }),
            _ => return None,
        };
        Some(Self { count, values })
    }

    fn number(&self, told: Told) -> Option<Decimal> {
        let values = self.values.as_ref();
        match told {
            Told::Count => Decimal::read(&self.count.to_string()),
            Told::Sum => values.map(|values| values.sum),
            Told::Min => values.map(|values| values.min),
            Told::Max => values.map(|values| values.max),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        self.values.iter().try_for_each(|Values { sum, min, max }| write!(f, " {sum} {min} {max}"))
    }
}

/// What was counted since the last rows, of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The record with which it began; empty where it is empty.
    first: String,
    /// The last record that is in it, or was in one before it.
    last: String,
    groups: BTreeMap<Group, Aggregate>,
    /// The most that its JSON may take.
    bytes: usize,
}

/// What Lambda keeps of a state: texts under texts, which is what all of its client libraries can hold.
pub type Kept = BTreeMap<String, String>;

impl State {
    /// Reads what [`keep`](Self::keep) made; nothing at all is an empty state.
    pub fn read(kept: &Kept) -> Result<Self, NoState> {
        let mut state = Self::default();
        for (name, text) in kept {
            match name.as_str() {
                "first" => state.first.clone_from(text),
                "last" => state.last.clone_from(text),
                _ => {
                    let mut parts = name.splitn(3, '/');
                    let mut next = || parts.next();
                    let window = next().and_then(|window| window.parse().ok());
                    let (Some(window), Some(metric), Some(key)) = (window, next(), next()) else {
                        return Err(NoState);
                    };
                    let group = Group { window, metric: metric.to_owned(), key: key.to_owned() };
                    state.add(group, Aggregate::read(text).ok_or(NoState)?);
                }
            }
        }
        Ok(state)
    }

    /// What Lambda is to keep.
    #[must_use]
    pub fn keep(&self) -> Kept {
        let places = [("first", &self.first), ("last", &self.last)];
        let places = places.into_iter().filter(|(_, place)| !place.is_empty());
        let groups = self.groups.iter().map(|(Group { window, metric, key }, aggregate)| {
            (format!("{window}/{metric}/{key}"), aggregate.to_string())
        });
        places.map(|(name, place)| (name.to_owned(), place.clone())).chain(groups).collect()
    }

    /// Goes on to this record; false where it is in the state already, or was in one before it, and so comes again.
    #[must_use]
    pub fn reach(&mut self, sequence: &str) -> bool {
        if record::order(sequence, &self.last).is_le() {
            return false;
        }
        sequence.clone_into(&mut self.last);
        if self.first.is_empty() {
            sequence.clone_into(&mut self.first);
        }
        true
    }

    /// Whether its rows are to be taken before the next record.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= STATE_FULL
    }

    fn add(&mut self, group: Group, more: Aggregate) {
        if let Some(aggregate) = self.groups.get_mut(&group) {
            aggregate.add(more);
        } else {
            self.bytes += 32 + group.metric.len() + escaped(&group.key) + AGGREGATE_BYTES;
            self.groups.insert(group, more);
        }
    }
}

/// The most bytes that a text takes in JSON, whoever writes it.
fn escaped(text: &str) -> usize {
    let bytes = |byte: u8| match byte {
        0..b' ' => 6,
        b'"' | b'\\' => 2,
        b' '..=b'~' => 1,
        // Two of them may become `\u00e4`.
        _ => 3,
    };
    text.bytes().map(bytes).sum()
}

/// A state that Lambda handed back is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state of the window is none that this function has made")]
pub struct NoState;

/// Numbers of a window, one of the rows that have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The metric's name.
    pub metric: String,
    /// Where it stands among the rows of its metric: the window, the key, the shard, and the record with which it began.
    pub place: String,
    /// How far its state reached: the last record's sequence number, with zeros before it so that it is ordered as text.
    pub reaches: String,
    /// When the window begins.
    pub window: Micros,
    /// The value of the key; empty where there is none.
    pub key: String,
    /// What CloudWatch calls the key; none where the metric has no key.
    pub dimension: Option<String>,
    told: Vec<Told>,
    aggregate: Aggregate,
}

impl Row {
    /// The numbers that are told, each by its name, as decimal digits.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.decimals().map(|(name, number)| (name, number.to_string()))
    }

    /// The numbers that are told, each by its name, as near as a float comes.
    pub fn floats(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.decimals().map(|(name, number)| (name, number.float()))
    }

    fn decimals(&self) -> impl Iterator<Item = (&'static str, Decimal)> {
        self.told.iter().filter_map(|told| Some((told.name(), self.aggregate.number(*told)?)))
    }
}

/// Writes rows, insisting, and tells each that no earlier attempt had written, as soon as it is there.
pub async fn write<T: MetricTable, C: Clock>(
    table: &Guard<T>,
    rows: &[Row],
    clock: &C,
    deadline: Micros,
    told: impl Fn(&Row),
) -> Result<(), Error> {
    let (began, attempt) = (clock.now(), clock.random());
    let told = &told;
    let put = |row| async move {
        let is_new = table.call(clock, deadline, async |table| table.put(row, attempt).await).await?;
        if is_new {
            told(row);
        }
        Ok::<_, Error>(())
    };
    let written = stream::iter(rows).map(put).buffer_unordered(ROWS_AT_ONCE).try_collect().await;
    if written.is_err() {
        slow_down(began, clock, deadline).await;
    }
    written
}

/// Leaves out those rows of a given up record, of which each has some, that have it already: an attempt at its batch wrote rows
/// before it failed. The batch was of this shard, and this was its last record.
///
/// A row that ends within the batch is of such an attempt, and has all records from its first one on. A row that goes on
/// behind the batch is of later ones, and was made without it. Rows of the same metric, window and key ask the table once.
pub async fn missing<T: MetricTable, C: Clock>(
    table: &Guard<T>,
    rows: Vec<Row>,
    (shard, last): (&str, &str),
    clock: &C,
    deadline: Micros,
) -> Result<Vec<Row>, Error> {
    let mut asked: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let begin = format!("{}/{}/{shard}/", row.window.rfc3339(), row.key);
        asked.entry((row.metric.clone(), begin)).or_default().push(row);
    }
    let look = |((metric, begin), mut rows): ((String, String), Vec<Row>)| async move {
        let call = async |table: &T| table.reaches(&metric, &begin).await;
        let there = table.call(clock, deadline, call).await?;
        let has = |record: &str, (place, reaches): &(String, String)| {
            let (first, reaches) = (place.strip_prefix(&begin), digits(reaches));
            first.is_some_and(|first| record::order(first, record).is_le())
                && record::order(record, reaches).is_le()
                && record::order(reaches, last).is_le()
        };
        rows.retain(|row| !there.iter().any(|there| has(digits(&row.reaches), there)));
        Ok::<_, Error>(rows)
    };
    stream::iter(asked).map(look).buffered(ROWS_AT_ONCE).try_concat().await
}

/// A sequence number without the zeros before it.
fn digits(reaches: &str) -> &str {
    reaches.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NONE;
    use crate::pipeline::Pipeline;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    const EVENT: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
    const REVENUE: &str = r#"
        [[metric]]
        name = "revenue"
        when = "status == 'paid'"
        value = "price"
        key = "country"
        window = "1m"
        dimensions = ["DE", "AT"]

        [[metric]]
        name = "changes"
        aggregates = ["count"]
        window = "1h"
    "#;

    fn compile(metrics: &str) -> Pipeline {
        Pipeline::compile(&format!("{EVENT}{metrics}"), &NONE).map_err(|m| m.render("pipeline.toml")).unwrap()
    }

    fn at(seconds: i64) -> Micros {
        moment(1_795_179_900 + seconds)
    }

    fn told(rows: &[Row]) -> String {
        let line = |row: &Row| {
            let numbers: Vec<_> = row.numbers().map(|(name, digits)| format!("{name} {digits}")).collect();
            format!("{} {} [{}] {:?}", row.metric, row.place, numbers.join(", "), row.dimension)
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn events_become_rows_by_key_and_window() {
        let pipeline = compile(REVENUE);
        let mut state = State::default();
        for (sequence, second, event) in [
            ("8", 0, r#"{"status":"paid","price":80.5,"country":"DE"}"#),
            ("9", 59, r#"{"status":"paid","price":0.1,"country":"DE"}"#),
            ("10", 60, r#"{"status":"paid","price":12,"country":"FR"}"#),
            ("11", 60, r#"{"status":"new","price":12,"country":"FR"}"#),
            ("12", 61, r#"{"status":"paid","price":null,"country":"FR"}"#),
            ("13", 61, r#"{"status":"paid","price":-3}"#),
        ] {
            assert!(state.reach(sequence));
            assert!(pipeline.metrics().fold(&Event::read(event).unwrap(), at(second), &mut state).is_empty());
        }
        let rows = pipeline.metrics().rows("shardId-1", &mut state);
        expect![[r#"
            changes 2026-11-20T13:00:00Z//shardId-1/8 [count 6] None
            revenue 2026-11-20T13:05:00Z/DE/shardId-1/8 [count 2, sum 80.6, min 0.1, max 80.5] Some("DE")
            revenue 2026-11-20T13:06:00Z//shardId-1/8 [count 1, sum -3, min -3, max -3] Some("other")
            revenue 2026-11-20T13:06:00Z/FR/shardId-1/8 [count 1, sum 12, min 12, max 12] Some("other")"#]]
        .assert_eq(&told(&rows));
        assert_eq!(state.keep(), Kept::from([("last".to_owned(), "13".to_owned())]));
        assert!(!state.reach("9") && !state.reach("13") && state.reach("14"));
        assert_eq!(state.first, "14");
    }

    #[test]
    fn what_does_not_fit_is_told_without_its_value() {
        let pipeline = compile(REVENUE);
        let long = format!(r#"{{"status":"paid","price":1,"country":"{}"}}"#, "x".repeat(KEY_MAX + 1));
        for (event, why) in [
            (r#"{"status":"paid","price":"ann@example.com"}"#, "its value is no number"),
            (r#"{"status":"paid","price":1e200}"#, "its value is too large"),
            (
                r#"{"status":"paid","price":1,"country":["ann"]}"#,
                "its key is neither text, number nor boolean",
            ),
            (long.as_str(), "its key is longer than 256 bytes"),
        ] {
            let (mut state, event) = (State::default(), Event::read(event).unwrap());
            let unfit = pipeline.metrics().fold(&event, at(0), &mut state);
            assert_eq!(unfit, [Unfit { metric: "revenue", why: why.into() }]);
            assert_eq!(pipeline.metrics().rows("", &mut state).len(), 1, "the other one counts it");
        }
        let pipeline = compile("[[metric]]\nname = \"a\"\nwhen = \"x > 1\"\nwindow = \"1m\"\n");
        let unfit = |event: &str| {
            pipeline.metrics().fold(&Event::read(event).unwrap(), at(0), &mut State::default()).len()
        };
        assert_eq!((unfit(r#"{"x":"ann"}"#), unfit(r#"{"x":2}"#)), (1, 0));
    }

    #[test]
    fn a_state_of_another_maker_is_refused() {
        for (name, text) in [
            ("x", "1"),
            ("1/a", "1"),
            ("x/a/b", "1"),
            ("1/a/b", ""),
            ("1/a/b", "1 2"),
            ("1/a/b", "1 2 3 x"),
            ("1/a/b", "-1"),
        ] {
            assert_eq!(
                State::read(&Kept::from([(name.to_owned(), text.to_owned())])),
                Err(NoState),
                "{name} {text}"
            );
        }
        assert_eq!(State::read(&Kept::new()), Ok(State::default()));
    }

    #[test]
    fn a_full_state_fits_what_lambda_keeps() {
        let pipeline = compile("[[metric]]\nname = \"a\"\nkey = \"k\"\nvalue = \"v\"\nwindow = \"1m\"\n");
        let mut state = State::default();
        let mut records = 0;
        while !state.is_full() {
            records += 1;
            assert!(state.reach(&records.to_string()));
            // Control signs take the most in JSON.
            let key = format!("{}{records}", r"\u0001".repeat(200));
            let event = format!(r#"{{"k":"{key}","v":-1234567890123456789012345678901234567.8e-90}}"#);
            assert!(pipeline.metrics().fold(&Event::read(&event).unwrap(), at(0), &mut state).is_empty());
        }
        let size = serde_json::to_string(&state.keep()).unwrap().len();
        assert!(records > 400 && (400_000..1_000_000).contains(&size), "{records} records, {size} bytes");
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn wrong(metrics: &str, expected: Expect) {
        let mistakes = Pipeline::compile(&format!("{EVENT}{metrics}"), &NONE).unwrap_err();
        expected.assert_eq(&mistakes.render("pipeline.toml"));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        wrong(
            "[[metric]]\nname = \"a b\"\nwindow = \"1m\"\n",
            expect![[r#"
            pipeline.toml:6:8: error: the name of a metric has up to 64 letters, digits, `_`, `-` and `.`
              |
            6 | name = "a b"
              |        ^^^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"2d\"\n",
            expect![[r#"
            pipeline.toml:7:10: error: a window is at least a second long, and at most a day
              |
            7 | window = "2d"
              |          ^^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\naggregates = [\"sum\"]\n",
            expect![[r#"
            pipeline.toml:8:14: error: `sum`, `min` and `max` want a `value`, the field with the numbers
              |
            8 | aggregates = ["sum"]
              |              ^^^^^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\naggregates = []\n",
            expect![[r#"
            pipeline.toml:8:14: error: no aggregate is named, so the metric tells nothing
              |
            8 | aggregates = []
              |              ^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\naggregates = [\"mean\"]\n",
            expect![[r#"
            pipeline.toml:8:15: error: unknown value `mean`, expected one of `count`, `sum`, `min`, `max`
              |
            8 | aggregates = ["mean"]
              |               ^^^^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\n[[metric]]\nname = \"a\"\nwindow = \"1h\"\n",
            expect![[r#"
            pipeline.toml:9:8: error: a metric of this name is there already
              |
            9 | name = "a"
              |        ^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\ndimensions = [\"x\"]\n",
            expect![[r#"
            pipeline.toml:8:15: error: dimensions are values of the `key`, and there is none
              |
            8 | dimensions = ["x"]
              |               ^^^
        "#]],
        );
        wrong(
            "[[metric]]\nname = \"a\"\nwindow = \"1m\"\nwhen = \"price >\"\n",
            expect![[r#"
                pipeline.toml:8:16: error: no CEL expression: it ends where a value should stand
                  |
                8 | when = "price >"
                  |                ^
            "#]],
        );
        wrong(
            "[metric]\nname = \"a\"\n",
            expect![[r#"
            pipeline.toml:5:1: error: metrics are a list: write `[[metric]]`
              |
            5 | [metric]
              | ^^^^^^^^
        "#]],
        );
    }

    /// Records of a shard: each has a key, a value and a second.
    fn records() -> impl Strategy<Value = Vec<(String, i32, i64)>> {
        prop::collection::vec(("[a-c/\"\u{1}ü]{0,3}", any::<i32>(), 0..200_i64), 0..30)
    }

    proptest! {
        /// Wherever the batches are cut, and however often one comes again, the rows are the same.
        #[test]
        fn rows_follow_from_the_records_alone(records in records(), cuts in prop::collection::vec((1..6_usize, any::<bool>()), 0..30)) {
            let pipeline = compile("[[metric]]\nname = \"a\"\nkey = \"k\"\nvalue = \"v\"\nwindow = \"1m\"\n");
            let take = |state: &mut State, from: usize, records: &[(String, i32, i64)]| {
                for (place, (key, value, second)) in (from..).zip(records) {
                    if state.reach(&(place + 1).to_string()) {
                        let mut event = Event::default();
                        event.put(&Path::from_key("k"), crate::event::New::Str(key));
                        event.put(&Path::from_key("v"), crate::event::New::Int(i64::from(*value)));
                        assert!(pipeline.metrics().fold(&event, at(*second), state).is_empty());
                    }
                }
            };
            let mut whole = State::default();
            take(&mut whole, 0, &records);

            let (mut state, mut done) = (State::default(), 0);
            for (length, again) in cuts {
                let end = (done + length).min(records.len());
                let mut next = State::read(&state.keep()).unwrap();
                prop_assert_eq!(&next, &state);
                take(&mut next, done, &records[done..end]);
                if again {
                    take(&mut next, done, &records[done..end]);
                }
                (state, done) = (next, end);
            }
            take(&mut state, done, &records[done..]);
            prop_assert_eq!(pipeline.metrics().rows("s", &mut state), pipeline.metrics().rows("s", &mut whole));
        }

        #[test]
        fn no_state_panics(kept in prop::collection::btree_map("[0-9a-z/]{0,12}", "[0-9 .e-]{0,20}", 0..5)) {
            let _ = State::read(&kept);
        }
    }
}
