//! Clean events to Parquet: one file a partition, the same bytes for the same events.
//!
//! A row has `id`, `event_type`, `event_time` and `received_at`, then the columns of the pipeline's `[lake]`, then
//! `rest`: what no column names, as JSON. A value that does not fit its column's type stays in `rest` too, so that
//! nothing is lost to a schema.

mod bits;
mod column;
mod dictionary;
mod file;
mod frames;

use crate::column::Column;
use crate::file::Codec;
pub use crate::frames::{Frames, Rows as Landed};
use millrace_core::event::{Event, Path, Value};
use millrace_core::pipeline::{ColumnType, EventSettings, LakeSettings, RECEIVED_AT};
use millrace_core::quarantine::Reject;
use millrace_core::tenant;
use millrace_core::time::Micros;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The columns of the table, and where in an event their values are.
#[derive(Debug, Clone)]
pub struct Layout {
    time: Path,
    /// What the table is partitioned by before the time, and how its directories begin: `tenant=`.
    partition: Option<Box<(Path, String)>>,
    columns: Vec<(Path, ColumnType)>,
    rest: bool,
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    zstd: ZstdLevel,
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
        let rest = lake.rest.then_some(("rest", ColumnType::String));
        let names = all.iter().map(|(_, name, kind)| (name.as_str(), *kind)).chain(rest);
        Self {
            time: event.time.clone(),
            partition: lake
                .partition_by
                .as_ref()
                .zip(lake.partition())
                .map(|(field, name)| Box::new((field.get_ref().clone(), format!("{name}=")))),
            schema: Arc::new(SchemaDescriptor::new(Arc::new(schema(names)))),
            columns: all.iter().map(|(path, _, kind)| (path.clone(), *kind)).collect(),
            rest: lake.rest,
            properties: Arc::new(WriterProperties::builder().set_created_by("millrace".to_owned()).build()),
            zstd: ZstdLevel::try_new(lake.zstd.into()).unwrap_or_default(),
        }
    }
}

/// The schema of a file. Timestamps carry no zone: Athena's type has none, and reads them as UTC.
fn schema<'n>(columns: impl Iterator<Item = (&'n str, ColumnType)>) -> Type {
    let field = |(name, kind)| {
        let (physical, logical) = match kind {
            ColumnType::String => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnType::Bigint => (Physical::INT64, None),
            ColumnType::Double => (Physical::DOUBLE, None),
            ColumnType::Boolean => (Physical::BOOLEAN, None),
            ColumnType::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(false, TimeUnit::MICROS))),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.map(field).collect::<Result<_, _>>();
    let table = fields.and_then(|fields| Type::group_type_builder("events").with_fields(fields).build());
    #[expect(
        clippy::expect_used,
        reason = "these physical types hold these logical ones, whatever the names"
    )]
    table.expect("columns of five types make a table")
}

/// A partition of the table: an hour of events' own time, UTC, perhaps of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// The directory above: `tenant=acme`.
    above: Option<Arc<str>>,
    /// Hours since 1970.
    hours: i64,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = self.hours.checked_mul(3_600_000_000).and_then(Micros::new).unwrap_or(Micros::EPOCH);
        if let Some(above) = &self.above {
            write!(f, "{above}/")?;
        }
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
#[error("the table does not make a Parquet file")]
pub struct Error(#[from] ParquetError);

/// Rows on their way into files, in memory that serves one batch after the other.
#[derive(Debug)]
pub struct Table {
    layout: Layout,
    parts: BTreeMap<Partition, Rows>,
    /// The directory of the event before, which is mostly that of the next.
    above: Option<Arc<str>>,
    /// The columns of partitions that are finished.
    free: Vec<Rows>,
    text: String,
    codec: Codec,
}

/// So many partitions' columns are kept for the next batch.
const FREE_MAX: usize = 8;

#[derive(Debug)]
struct Rows {
    columns: Vec<Column>,
    count: usize,
    /// Whether a row is no longer there; as long as the last such.
    taken_back: Vec<bool>,
}

/// Where an event came to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    partition: Partition,
    at: usize,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            parts: BTreeMap::new(),
            above: None,
            free: Vec::new(),
            text: String::new(),
            codec: Codec::default(),
        }
    }

    /// Adds an event, of which nothing but the rest is left then; or says why it has no place: it lacks a time, or what it is to be
    /// partitioned by is no name.
    pub fn push(&mut self, event: &mut Event) -> Result<Row, Reject> {
        let Self { layout, parts, above, free, text, .. } = self;
        let Some(time) = event.get(&layout.time).and_then(Micros::read) else {
            let detail = format!("`{}` is missing, or no time that can be read", layout.time);
            return Err(Reject::new("lake", "no_time", detail));
        };
        let hours = time.hours();
        if let Some((path, begin)) = layout.partition.as_deref() {
            let found = event.find(path);
            let name = match found.map(|id| event.value(id)) {
                None | Some(Value::Null) => tenant::NONE,
                Some(Value::String(name)) if tenant::is_name(name) => name,
                Some(_) => {
                    let detail = format!("`{path}` is no text of letters, digits, `_`, `-` and dots");
                    return Err(Reject::new("lake", "no_partition", detail));
                }
            };
            if above.as_deref().and_then(|above| above.strip_prefix(begin.as_str())) != Some(name) {
                *above = Some(format!("{begin}{name}").into());
            }
            if let Some(id) = found {
                event.remove(id);
            }
        }
        let partition = Partition { above: above.clone(), hours };
        let rows =
            parts.entry(partition.clone()).or_insert_with(|| free.pop().unwrap_or_else(|| Rows::new(layout)));
        let (columns, rest) = rows.columns.split_at_mut(layout.columns.len());
        for ((path, _), column) in layout.columns.iter().zip(columns) {
            let found = event.find(path);
            if column.append(event, found)
                && let Some(id) = found.filter(|_| layout.rest)
            {
                event.remove(id);
            }
        }
        if let [rest] = rest {
            text.clear();
            if event.fields().next().is_some() {
                event.write(text);
            }
            rest.append_text(Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        rows.count += 1;
        Ok(Row { partition, at: rows.count - 1 })
    }

    /// Takes a row out again, one that turned out to be a duplicate.
    pub fn take_back(&mut self, row: &Row) {
        if let Some(rows) = self.parts.get_mut(&row.partition) {
            rows.taken_back.resize(rows.taken_back.len().max(row.at + 1), false);
            if let Some(gone) = rows.taken_back.get_mut(row.at) {
                *gone = true;
            }
        }
    }

    /// The files of the partitions that have rows, in the order of these. The table is empty then.
    pub fn finish(&mut self) -> Result<Vec<Part>, Error> {
        let mut files = Vec::new();
        for (partition, rows) in std::mem::take(&mut self.parts) {
            let left = rows.count - rows.taken_back.iter().filter(|gone| **gone).count();
            if left > 0 {
                let body = file::write(&self.layout, &rows.columns, &rows.taken_back, &mut self.codec)?;
                files.push(Part { partition, rows: left, body });
            }
            self.recycle(rows);
        }
        Ok(files)
    }

    /// Drops the rows, and tells how many there were.
    pub fn clear(&mut self) -> usize {
        let parts = std::mem::take(&mut self.parts).into_values();
        parts.fold(0, |sum, rows| {
            let count = rows.count;
            self.recycle(rows);
            sum + count
        })
    }

    /// Keeps the memory of a partition's columns for another's.
    fn recycle(&mut self, mut rows: Rows) {
        if self.free.len() < FREE_MAX {
            rows.clear();
            self.free.push(rows);
        }
    }
}

impl Rows {
    fn new(layout: &Layout) -> Self {
        // Each event has an id of its own, and mostly a time.
        let repeats = |path: &Path, at| at != 0 && *path != layout.time;
        let columns =
            layout.columns.iter().enumerate().map(|(at, (path, kind))| Column::new(*kind, repeats(path, at)));
        let rest = layout.rest.then(|| Column::new(ColumnType::String, true));
        Self { columns: columns.chain(rest).collect(), count: 0, taken_back: Vec::new() }
    }

    fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.count = 0;
        self.taken_back.clear();
    }
}
