//! Where rows go: Arrow columns by the hour and the Parquet files of them, or NDJSON.

use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Why a run ended early: a file, or an input that is not what the generator makes.
pub type Failed = Box<dyn std::error::Error>;

/// So many rows of an hour go to its file at a time.
const CHUNK: usize = 4096;

const HOUR_US: i64 = 3_600_000_000;

/// One event as it comes out.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the columns of the job")]
pub struct Row<'a> {
    pub event_id: &'a str,
    pub event_type: &'a str,
    pub ts: i64,
    pub session_id: Option<&'a str>,
    pub browser: Option<&'a str>,
    pub target: Option<&'a str>,
    pub user_hash: Option<&'a str>,
    pub email_hash: Option<&'a str>,
    pub ip: Option<&'a str>,
    pub ua_family: &'a str,
    pub ua_os: &'a str,
    pub host: Option<&'a str>,
    pub page: Option<&'a str>,
    pub utm_source: Option<&'a str>,
    pub utm_medium: Option<&'a str>,
    pub utm_campaign: Option<&'a str>,
    pub price: Option<f64>,
    pub discount: Option<f64>,
    pub x: Option<i64>,
    pub y: Option<i64>,
    pub text: Option<&'a str>,
}

/// What takes rows.
pub trait Sink {
    /// One row.
    fn row(&mut self, row: &Row) -> Result<(), Failed>;
    /// All rows of a batch of Lambda, or all of a file, were there: what is written for them is finished.
    fn end_batch(&mut self) -> Result<(), Failed>;
}

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let needed = |name| Field::new(name, DataType::Utf8, false);
    let of = |name, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        needed("event_id"),
        needed("event_type"),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        text("session_id"),
        text("browser"),
        text("target"),
        text("user_hash"),
        text("email_hash"),
        text("ip"),
        needed("ua_family"),
        needed("ua_os"),
        text("host"),
        text("page"),
        text("utm_source"),
        text("utm_medium"),
        text("utm_campaign"),
        of("price", DataType::Float64),
        of("discount", DataType::Float64),
        of("x", DataType::Int64),
        of("y", DataType::Int64),
        text("text"),
    ]))
});

static PROPERTIES: LazyLock<WriterProperties> = LazyLock::new(|| {
    WriterProperties::builder()
        .set_compression(Codec::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_column_dictionary_enabled(ColumnPath::from("event_id"), false)
        .set_column_dictionary_enabled(ColumnPath::from("ts"), false)
        .build()
});

/// The rows of one hour, as Arrow builders.
#[derive(Debug)]
struct Columns {
    rows: usize,
    ts: TimestampMicrosecondBuilder,
    /// In the order of the schema, without the other types.
    text: [StringBuilder; 16],
    float: [Float64Builder; 2],
    int: [Int64Builder; 2],
}

impl Columns {
    fn new() -> Self {
        Self {
            rows: 0,
            ts: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            text: Default::default(),
            float: Default::default(),
            int: Default::default(),
        }
    }

    fn push(&mut self, row: &Row) {
        self.rows += 1;
        self.ts.append_value(row.ts);
        let text = [
            Some(row.event_id),
            Some(row.event_type),
            row.session_id,
            row.browser,
            row.target,
            row.user_hash,
            row.email_hash,
            row.ip,
            Some(row.ua_family),
            Some(row.ua_os),
            row.host,
            row.page,
            row.utm_source,
            row.utm_medium,
            row.utm_campaign,
            row.text,
        ];
        for (column, value) in self.text.iter_mut().zip(text) {
            column.append_option(value);
        }
        self.float[0].append_option(row.price);
        self.float[1].append_option(row.discount);
        self.int[0].append_option(row.x);
        self.int[1].append_option(row.y);
    }

    fn finish(&mut self) -> Result<RecordBatch, Failed> {
        self.rows = 0;
        let mut text = self.text.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let mut columns: Vec<ArrayRef> = text.by_ref().take(2).collect();
        columns.push(Arc::new(self.ts.finish()));
        columns.extend(text.by_ref().take(13));
        columns.extend(self.float.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.int.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(text);
        Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
    }
}

/// One hour of the events' own time.
struct Partition {
    hour: i64,
    columns: Columns,
    /// The file of this batch, once it has rows.
    open: Option<ArrowWriter<File>>,
}

/// Columns of each hour, and what becomes of them.
#[expect(missing_debug_implementations, reason = "an open Parquet file has none")]
pub struct Lake {
    to: Option<PathBuf>,
    partitions: Vec<Partition>,
    batches: usize,
}

impl Lake {
    /// Parquet files in Hive partitions of the directory. Without one the columns are finished and dropped: the steps alone.
    #[must_use]
    pub fn new(to: Option<PathBuf>) -> Self {
        Self { to, partitions: Vec::new(), batches: 0 }
    }

    /// Hands over what a partition has, and opens its file where none is.
    fn flush(&mut self, place: usize) -> Result<(), Failed> {
        let partition = &mut self.partitions[place];
        let batch = partition.columns.finish()?;
        let Some(to) = &self.to else { return Ok(()) };
        let open = match &mut partition.open {
            Some(open) => open,
            none => {
                let (year, month, day) = date(partition.hour.div_euclid(24));
                let hour = partition.hour.rem_euclid(24);
                let dir = to.join(format!("event_date={year:04}-{month:02}-{day:02}/event_hour={hour}"));
                fs::create_dir_all(&dir)?;
                let file = File::create(dir.join(format!("batch-{:05}.parquet", self.batches)))?;
                none.insert(ArrowWriter::try_new(file, SCHEMA.clone(), Some(PROPERTIES.clone()))?)
            }
        };
        open.write(&batch)?;
        Ok(())
    }
}

impl Sink for Lake {
    fn row(&mut self, row: &Row) -> Result<(), Failed> {
        let hour = row.ts.div_euclid(HOUR_US);
        // Most rows are of the hour that came last: it is looked at first.
        let found = self.partitions.iter().rposition(|partition| partition.hour == hour);
        let place = found.unwrap_or_else(|| {
            self.partitions.push(Partition { hour, columns: Columns::new(), open: None });
            self.partitions.len() - 1
        });
        let columns = &mut self.partitions[place].columns;
        columns.push(row);
        if columns.rows == CHUNK { self.flush(place) } else { Ok(()) }
    }

    fn end_batch(&mut self) -> Result<(), Failed> {
        for place in 0..self.partitions.len() {
            if self.partitions[place].columns.rows > 0 {
                self.flush(place)?;
            }
            if let Some(open) = self.partitions[place].open.take() {
                open.close()?;
            }
        }
        self.batches += 1;
        Ok(())
    }
}

/// Year, month and day of a day since the epoch: years count from March, 400 of them are 146,097 days.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month < 3), month, day)
}

/// gzip of NDJSON: a file for each batch of Lambda, or one.
#[derive(Debug)]
pub struct Ndjson {
    to: PathBuf,
    text: Vec<u8>,
    batches: usize,
}

impl Ndjson {
    /// Files in this directory.
    #[must_use]
    pub fn new(to: PathBuf) -> Self {
        Self { to, text: Vec::new(), batches: 0 }
    }
}

impl Sink for Ndjson {
    fn row(&mut self, row: &Row) -> Result<(), Failed> {
        write_row(&mut self.text, row);
        Ok(())
    }

    fn end_batch(&mut self) -> Result<(), Failed> {
        if !self.text.is_empty() {
            fs::create_dir_all(&self.to)?;
            let file = File::create(self.to.join(format!("batch-{:05}.ndjson.gz", self.batches)))?;
            let mut gzip = GzEncoder::new(file, Compression::new(6));
            gzip.write_all(&self.text)?;
            gzip.finish()?;
            self.text.clear();
        }
        self.batches += 1;
        Ok(())
    }
}

/// A row as one line of JSON, nulls left out.
fn write_row(out: &mut Vec<u8>, row: &Row) {
    let first = out.len();
    let text = [
        ("event_id", Some(row.event_id)),
        ("event_type", Some(row.event_type)),
        ("session_id", row.session_id),
        ("browser", row.browser),
        ("target", row.target),
        ("user_hash", row.user_hash),
        ("email_hash", row.email_hash),
        ("ip", row.ip),
        ("ua_family", Some(row.ua_family)),
        ("ua_os", Some(row.ua_os)),
        ("host", row.host),
        ("page", row.page),
        ("utm_source", row.utm_source),
        ("utm_medium", row.utm_medium),
        ("utm_campaign", row.utm_campaign),
        ("text", row.text),
    ];
    for (name, value) in text {
        if let Some(value) = value {
            key(out, name);
            quote(out, value);
        }
    }
    for (name, value) in [("ts", Some(row.ts)), ("x", row.x), ("y", row.y)] {
        if let Some(value) = value {
            key(out, name);
            out.extend(itoa::Buffer::new().format(value).bytes());
        }
    }
    for (name, value) in [("price", row.price), ("discount", row.discount)] {
        if let Some(value) = value {
            key(out, name);
            out.extend(zmij::Buffer::new().format(value).bytes());
        }
    }
    out[first] = b'{';
    out.extend(b"}\n");
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend(b",\"");
    out.extend(name.as_bytes());
    out.extend(b"\":");
}

fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        out.extend(&rest[..at]);
        match rest[at] {
            b @ (b'"' | b'\\') => out.extend([b'\\', b]),
            b'\n' => out.extend(b"\\n"),
            b => out.extend(format!("\\u{b:04x}").bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend(rest);
    out.push(b'"');
}
