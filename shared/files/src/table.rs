//! Parquet, whose rows become lines of JSON.
//!
//! Numbers keep their digits, decimals too; moments are texts in RFC 3339, to the microsecond, days, times of day, spans of time
//! and UUIDs texts; other binary is base64. A file is read by row groups, each of which has to be in memory as a whole where
//! it comes over the network.
//!
//! The library takes the rows apart. It is told of the types that it gets right alone (`schema`): what it does not, its
//! values show as they are stored, and what they mean is read off the file's own schema (`value`).

mod schema;
mod value;

use crate::cut::{CHUNK, Chunk, Kind, Mark, Room};
use crate::table::schema::structure;
use crate::table::value::write_row;
use crate::{footer, reject};
use bytes::{Buf as _, Bytes, buf};
use millrace_core::event::DEPTH_MAX;
use millrace_core::quarantine::Reject;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader as _, Length};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{SchemaDescriptor, TypePtr};
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

/// How much of a file's end is asked for first, bytes: most footers are shorter.
pub const TAIL: u64 = 256 << 10;

/// The largest row group that is read over the network, bytes: it lies in memory.
pub const GROUP_MAX: u64 = 512 << 20;

/// A row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The bytes of the file that it has.
    pub bytes: Range<u64>,
    /// How many rows it has.
    pub rows: u64,
}

/// What the end of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Footer {
    /// The row groups.
    Groups(Vec<Group>),
    /// So many bytes of the end have to be there to tell.
    Needs(u64),
}

/// Reads the footer from a file's last bytes.
pub fn footer(tail: &Bytes, size: u64) -> Result<Footer, Reject> {
    let begin = size.saturating_sub(tail.len() as u64);
    if let Ok(footer) = footer_of(&Parts { size, parts: vec![(begin, tail.clone())] }) {
        check_depth(&footer)?;
    }
    let read = guarded(|| {
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse_sized(tail, size)?;
        reader.finish()
    });
    match read? {
        Ok(metadata) => {
            readable(&metadata)?;
            groups(&metadata, size).map(Footer::Groups)
        }
        Err(ParquetError::NeedMoreData(bytes)) => Ok(Footer::Needs(bytes as u64)),
        Err(_) => Err(damaged()),
    }
}

/// Refuses a schema that is deeper than events are: the library's stack has an end.
fn check_depth(footer: &[u8]) -> Result<(), Reject> {
    match footer::is_flat_enough(footer) {
        Some(true) => Ok(()),
        Some(false) => {
            let detail = format!("its schema has more than {DEPTH_MAX} levels, and an event has no more");
            Err(reject("bad_parquet", detail))
        }
        None => Err(damaged()),
    }
}

/// Refuses what the library cannot unpack as it is built, and names it.
fn readable(metadata: &ParquetMetaData) -> Result<(), Reject> {
    let mut columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let odd =
        columns.find(|column| matches!(column.compression(), Compression::BROTLI(_) | Compression::LZO));
    match odd {
        None => Ok(()),
        Some(column) => {
            let (path, how) = (column.column_path().string(), column.compression());
            let how = how.to_string().split('(').next().unwrap_or_default().to_lowercase();
            let detail = format!(
                "the column `{path}` is compressed with {how}, which is not read: write it with zstd or snappy"
            );
            Err(reject("bad_parquet", detail))
        }
    }
}

fn groups(metadata: &ParquetMetaData, size: u64) -> Result<Vec<Group>, Reject> {
    let group = |group: &RowGroupMetaData| {
        let mut bytes = size..0;
        for column in group.columns() {
            let begin = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let begin = u64::try_from(begin.min(column.data_page_offset())).ok()?;
            let end = begin.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
            bytes = bytes.start.min(begin)..bytes.end.max(end);
        }
        let rows = u64::try_from(group.num_rows()).ok()?;
        (bytes.end <= size).then(|| Group { bytes: bytes.start.min(bytes.end)..bytes.end, rows })
    };
    metadata.row_groups().iter().map(group).collect::<Option<_>>().ok_or_else(damaged)
}

/// The rows of some row groups of a file.
pub struct Rows {
    iter: RowIter<'static>,
    schema: TypePtr,
    at: Mark,
}

impl Rows {
    /// The rows of these row groups, of which the first row has this number.
    pub fn of<R: ChunkReader + 'static>(
        source: R,
        groups: Range<usize>,
        number: u64,
    ) -> Result<Self, Reject> {
        let at = Mark { at: groups.start as u64, number };
        let rows = guarded(|| {
            let footer = footer_of(&source)?;
            if let Err(why) = check_depth(&footer) {
                return Ok(Err(why));
            }
            let schema = ParquetMetaDataReader::decode_schema(&footer)?.root_schema_ptr();
            let told = Arc::new(SchemaDescriptor::new(Arc::new(structure(&schema)?)));
            let wanted = Box::new(move |_: &_, group| groups.contains(&group));
            let options = ReadOptionsBuilder::new().with_predicate(wanted).with_parquet_schema(told).build();
            let file = SerializedFileReader::new_with_options(source, options)?;
            let is_readable = readable(file.metadata());
            Ok(is_readable.map(|()| (RowIter::from_file_into(Box::new(file)), schema)))
        });
        let (iter, schema) = rows?.map_err(|_: ParquetError| damaged())??;
        Ok(Self { iter, schema, at })
    }

    /// Leaves out rows up to this number.
    pub fn skip_to(&mut self, number: u64) -> Result<(), Reject> {
        while self.at.number < number {
            match guarded(|| self.iter.next())? {
                Some(Ok(_)) => self.at.number += 1,
                Some(Err(_)) => return Err(self.damaged()),
                None => break,
            }
        }
        Ok(())
    }

    /// The next chunk, in the room that is given; none at the end.
    pub fn chunk(&mut self, room: &mut Room) -> Result<Option<Chunk>, Reject> {
        let mut json = String::from_utf8(std::mem::take(&mut room.bytes)).unwrap_or_default();
        json.clear();
        let begin = self.at;
        while json.len() < CHUNK {
            match guarded(|| self.iter.next())? {
                Some(Ok(row)) => {
                    write_row(&row, Some(&self.schema), &mut json);
                    json.push('\n');
                    self.at.number += 1;
                }
                Some(Err(_)) => return Err(self.damaged()),
                None => break,
            }
        }
        if json.is_empty() {
            return Ok(None);
        }
        let mut room = std::mem::take(room);
        room.bytes = json.into_bytes();
        Ok(Some(Chunk::new(begin, self.at, room, Kind::Lines)))
    }

    fn damaged(&self) -> Reject {
        reject("bad_parquet", format!("row {} of the Parquet file cannot be read", self.at.number))
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Parts of a file that are in memory, in the place of the file.
#[derive(Debug, Clone)]
pub struct Parts {
    /// How large the file is, bytes.
    pub size: u64,
    /// Where each part begins, and its bytes.
    pub parts: Vec<(u64, Bytes)>,
}

impl Parts {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let part = self.parts.iter().find_map(|(begin, bytes)| {
            let at = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (at < bytes.len()).then(|| bytes.slice(at..))
        });
        part.ok_or_else(|| ParquetError::EOF("not in the parts that are there".to_owned()))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Parts {
    type T = buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("not in the parts that are there".to_owned()));
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

thread_local! {
    /// Whether this thread is in the library.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// The library says of damaged files what their bytes are, or panics: neither gets further. A panic would say so on stderr, which
/// is a log, before it is caught; what other code panics with is told as ever.
fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, Reject> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |why| {
            if !READING.get() {
                before(why);
            }
        }));
    });
    READING.set(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    READING.set(false);
    read.map_err(|_| damaged())
}

fn damaged() -> Reject {
    reject("bad_parquet", "the Parquet file is damaged or cut off")
}

/// A file's footer, which begins with its schema.
/// <https://parquet.apache.org/docs/file-format/>
fn footer_of(source: &impl ChunkReader) -> Result<Bytes, ParquetError> {
    let cut_off = || ParquetError::EOF("no footer".to_owned());
    let end = source.len().checked_sub(8).ok_or_else(cut_off)?;
    let tail = source.get_bytes(end, 8)?;
    let length = tail.first_chunk().copied().map(u32::from_le_bytes).ok_or_else(cut_off)?;
    let begin = end.checked_sub(u64::from(length)).ok_or_else(cut_off)?;
    source.get_bytes(begin, usize::try_from(length)?)
}
