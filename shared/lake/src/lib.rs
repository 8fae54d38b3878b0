//! Clean events to Parquet: one file a partition, the same bytes for the same events.
//!
//! A row has `id`, `event_type`, `event_time` and `received_at`, then the columns of the pipeline's `[lake]`, then
//! `rest`: what no column names, as JSON. A value that does not fit its column's type stays in `rest` too, so that
//! nothing is lost to a schema.

mod column;
mod frames;

use crate::column::Builder;
pub use crate::frames::{Frames, Rows as Landed};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::filter::filter_record_batch;
use millrace_core::event::{Event, Path, Value};
use millrace_core::pipeline::{ColumnType, EventSettings, LakeSettings, RECEIVED_AT};
use millrace_core::quarantine::Reject;
use millrace_core::time::Micros;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The columns of the table, and where in an event their values are.
#[derive(Debug, Clone)]
pub struct Layout {
    time: Path,
    columns: Vec<(Path, ColumnType)>,
    rest: bool,
    schema: Arc<Schema>,
    properties: WriterProperties,
}

impl Layout {
    /// The layout that a pipeline's `[event]` and `[lake]` make.
    #[must_use]
    pub fn new(event: &EventSettings, lake: &LakeSettings) -> Self {
        let fixed = [
            (event.id.clone(), "id".to_owned(), ColumnType::String),
            (event.r#type.clone(), "event_type".to_owned(), ColumnType::String),
            (event.time.clone(), "event_time".to_owned(), ColumnType::Timestamp),
            (Path::from_key(RECEIVED_AT), "received_at".to_owned(), ColumnType::Timestamp),
        ];
        let own = lake
            .columns
            .iter()
            .map(|column| (column.name.get_ref().clone(), column.flat_name(), column.r#type));
        let all: Vec<_> = fixed.into_iter().chain(own).collect();
        let mut fields: Vec<_> =
            all.iter().map(|(_, name, kind)| Field::new(name, column::data_type(*kind), true)).collect();
        if lake.rest {
            fields.push(Field::new("rest", column::data_type(ColumnType::String), true));
        }
        Self {
            time: event.time.clone(),
            columns: all.into_iter().map(|(path, _, kind)| (path, kind)).collect(),
            rest: lake.rest,
            schema: Arc::new(Schema::new(fields)),
            properties: properties(lake.zstd),
        }
    }
}

/// The bloom filter lets Athena leave out files when it looks for one event.
fn properties(zstd: u8) -> WriterProperties {
    let id = ColumnPath::from("id");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(zstd.into()).unwrap_or_default()))
        .set_column_dictionary_enabled(id.clone(), false) // ids do not repeat
        .set_column_bloom_filter_enabled(id, true)
        .set_created_by("millrace".to_owned())
        .build()
}

/// A partition of the table: an hour of events' own time, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// Hours since 1970.
    hours: i64,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = self.hours.checked_mul(3_600_000_000).and_then(Micros::new).unwrap_or(Micros::EPOCH);
        write!(f, "event_date={}/event_hour={}", begin.date(), begin.hour())
    }
}

/// The rows of one partition as a Parquet file.
#[derive(Debug)]
pub struct Part {
    /// Where it belongs.
    pub partition: Partition,
    /// How many rows it has.
    pub rows: usize,
    /// The file.
    pub body: Vec<u8>,
}

/// A file that could not be written: a fault of ours, for rows that fit their columns.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The columns do not make a table.
    #[error("the columns do not make a table")]
    Table(#[from] ArrowError),
    /// The table does not make a file.
    #[error("the table does not make a Parquet file")]
    File(#[from] ParquetError),
}

/// Rows on their way into files.
#[derive(Debug)]
pub struct Table<'a> {
    layout: &'a Layout,
    parts: BTreeMap<Partition, Rows>,
    text: String,
}

#[derive(Debug)]
struct Rows {
    columns: Vec<Builder>,
    /// None where the table has no such column.
    rest: Option<Builder>,
    taken_back: BTreeSet<usize>,
    count: usize,
}

/// Where an event came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    partition: Partition,
    at: usize,
}

impl<'a> Table<'a> {
    /// A table without rows.
    #[must_use]
    pub fn new(layout: &'a Layout) -> Self {
        Self { layout, parts: BTreeMap::new(), text: String::new() }
    }

    /// Adds an event, of which nothing but the rest is left then; or says why it has no place: it lacks a time.
    pub fn push(&mut self, event: &mut Event) -> Result<Row, Reject> {
        let Some(time) = event.get(&self.layout.time).and_then(Micros::read) else {
            let detail = format!("`{}` is missing, or no time that can be read", self.layout.time);
            return Err(Reject::new("lake", "no_time", detail));
        };
        let partition = Partition { hours: time.hours() };
        let rows = self.parts.entry(partition).or_insert_with(|| Rows {
            columns: self.layout.columns.iter().map(|(_, kind)| Builder::new(*kind)).collect(),
            rest: self.layout.rest.then(|| Builder::new(ColumnType::String)),
            taken_back: BTreeSet::new(),
            count: 0,
        });
        for ((path, _), column) in self.layout.columns.iter().zip(&mut rows.columns) {
            let found = event.find(path);
            if column.append(found.map(|id| event.value(id)))
                && let Some(id) = found.filter(|_| self.layout.rest)
            {
                event.remove(id);
            }
        }
        if let Some(rest) = &mut rows.rest {
            self.text.clear();
            if event.fields().next().is_some() {
                event.write(&mut self.text);
            }
            rest.append(Some(Value::String(&self.text)).filter(|_| !self.text.is_empty()));
        }
        rows.count += 1;
        Ok(Row { partition, at: rows.count - 1 })
    }

    /// Takes a row out again, one that turned out to be a duplicate.
    pub fn take_back(&mut self, row: Row) {
        if let Some(rows) = self.parts.get_mut(&row.partition) {
            rows.taken_back.insert(row.at);
        }
    }

    /// The rows as arrays, in the order of their partitions.
    pub fn batches(self) -> impl Iterator<Item = Result<(Partition, RecordBatch), Error>> {
        let schema = &self.layout.schema;
        self.parts.into_iter().map(|(partition, rows)| {
            let columns = rows.columns.into_iter().chain(rows.rest).map(Builder::finish).collect();
            let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
            if rows.taken_back.is_empty() {
                return Ok((partition, batch));
            }
            let stays: BooleanArray =
                (0..rows.count).map(|at| Some(!rows.taken_back.contains(&at))).collect();
            Ok((partition, filter_record_batch(&batch, &stays)?))
        })
    }

    /// The files, in the order of their partitions.
    pub fn finish(self) -> Result<Vec<Part>, Error> {
        let Layout { schema, properties, .. } = self.layout;
        let part = |batch: Result<(Partition, RecordBatch), Error>| {
            let (partition, batch) = batch?;
            let mut body = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut body, Arc::clone(schema), Some(properties.clone()))?;
            writer.write(&batch)?;
            writer.close()?;
            Ok(Part { partition, rows: batch.num_rows(), body })
        };
        self.batches().map(part).collect()
    }
}
