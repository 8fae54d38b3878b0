//! Parquet, whose rows become lines of JSON.
//!
//! Numbers keep their digits, decimals too; moments are texts in RFC 3339, to the microsecond, days, times of day, spans of time
//! and UUIDs texts; other binary is base64. A file is read by row groups, each of which has to be in memory as a whole where
//! it comes over the network.
//!
//! The library takes the rows apart. It is told of the types that it gets right alone (`structure`): what it does not, its
//! values show as they are stored, and what they mean is read off the file's own schema, here.

use crate::cut::{CHUNK, Chunk, Kind, Mark, Room};
use crate::{footer, reject};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{Buf as _, Bytes, buf};
use millrace_core::event::{DEPTH_MAX, quote};
use millrace_core::quarantine::Reject;
use millrace_core::time::Micros;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::Decimal;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader as _, Length};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use std::cell::Cell;
use std::fmt::{self, Write as _};
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

/// A schema of the same columns for the library. INT96 has moments to the nanosecond, of which it would hand over milliseconds,
/// and at an INTERVAL it would panic: both are twelve bytes. Lists and maps that only the rules for old writers tell are the
/// groups that they are written as.
fn structure(kind: &Type) -> Result<Type, ParquetError> {
    let about = kind.get_basic_info();
    if kind.is_group() {
        let fields = fields(kind).iter().map(|field| structure(field).map(Arc::new));
        let mut group = Type::group_type_builder(about.name()).with_fields(fields.collect::<Result<_, _>>()?);
        if about.has_repetition() {
            group = group.with_repetition(about.repetition());
        }
        if is_standard(kind) {
            group = group.with_converted_type(about.converted_type());
        }
        return group.build();
    }
    if is_moment(kind) || about.converted_type() == ConvertedType::INTERVAL {
        let bytes = Type::primitive_type_builder(about.name(), Physical::FIXED_LEN_BYTE_ARRAY);
        return bytes.with_length(12).with_repetition(about.repetition()).build();
    }
    Ok(kind.clone())
}

/// Whether these are moments as Spark, Hive and Impala wrote them.
fn is_moment(kind: &Type) -> bool {
    kind.is_primitive() && kind.get_physical_type() == Physical::INT96
}

fn is_repeated(kind: &Type) -> bool {
    kind.get_basic_info().has_repetition() && kind.get_basic_info().repetition() == Repetition::REPEATED
}

/// Whether a group is a list or a map as it is written today: within it there is one repeated group, and the elements are in that.
fn is_standard(kind: &Type) -> bool {
    let [inner] = fields(kind) else { return false };
    let is_plain = fields(inner).iter().all(|field| !is_repeated(field));
    let is_nest = !is_repeated(kind) && is_repeated(inner) && is_plain;
    match (kind.get_basic_info().converted_type(), fields(inner).len()) {
        (ConvertedType::LIST, 1) => is_nest && !is_old_list(kind),
        (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, 1 | 2) => is_nest,
        _ => false,
    }
}

/// Whether what is repeated in a list is its element itself.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>
fn is_old_list(kind: &Type) -> bool {
    let (ConvertedType::LIST, [inner]) = (kind.get_basic_info().converted_type(), fields(kind)) else {
        return false;
    };
    let is_element = match fields(inner) {
        [only] => is_repeated(only) || inner.name() == "array" || inner.name().ends_with("_tuple"),
        _ => true,
    };
    is_repeated(inner) && is_element
}

/// Whether these are the pairs of a map that is an element of an old list.
fn is_old_map(kind: &Type) -> bool {
    let is_map =
        matches!(kind.get_basic_info().converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
    is_map && matches!(fields(kind), [pairs] if is_repeated(pairs) && fields(pairs).len() == 2)
}

/// What the library tells of a value lacks what `structure` withholds from it, and what only newer types say: the unit of
/// nanoseconds, and that 16 bytes are a UUID.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md>
fn write_newer(field: &Field, kind: &TypePtr, json: &mut String) -> Option<fmt::Result> {
    let about = kind.get_basic_info();
    Some(match (field, about.logical_type_ref()) {
        (Field::Bytes(bytes), _) if is_moment(kind) => write_int96(bytes.data().try_into().ok()?, json),
        (Field::Bytes(bytes), _) if about.converted_type() == ConvertedType::INTERVAL => {
            write_span(bytes.data(), json)
        }
        (Field::Group(row), _) if is_old_list(kind) => {
            write_field(row.get_column_iter().next()?.1, fields(kind).first(), json);
            Ok(())
        }
        (Field::Group(row), _) if is_old_map(kind) => {
            let Field::ListInternal(pairs) = row.get_column_iter().next()?.1 else { return None };
            let pairs = pairs.elements().iter().filter_map(|pair| {
                let Field::Group(pair) = pair else { return None };
                let mut pair = pair.get_column_iter().map(|(_, field)| field);
                Some((pair.next()?, pair.next()?))
            });
            write_map(pairs, Some(kind), json);
            Ok(())
        }
        (Field::Long(nanos), Some(LogicalType::Timestamp(of))) if of.unit == TimeUnit::NANOS => {
            write_moment(Some(nanos.div_euclid(1000)), json)
        }
        (Field::Long(nanos), Some(LogicalType::Time(of))) if of.unit == TimeUnit::NANOS => {
            write_time(nanos.div_euclid(1000), json)
        }
        (Field::Bytes(bytes), Some(LogicalType::Uuid)) => {
            let int = u128::from_be_bytes(bytes.data().try_into().ok()?);
            json.push('"');
            for (at, digit) in format!("{int:032x}").chars().enumerate() {
                json.push_str(if matches!(at, 8 | 12 | 16 | 20) { "-" } else { "" });
                json.push(digit);
            }
            write!(json, "\"")
        }
        _ => return None,
    })
}

/// The fields of a group.
fn fields(kind: &Type) -> &[TypePtr] {
    if kind.is_primitive() { &[] } else { kind.get_fields() }
}

/// What a list is of: what is repeated by itself, or stands in what is.
fn element(kind: &TypePtr) -> Option<&TypePtr> {
    if is_repeated(kind) { Some(kind) } else { fields(fields(kind).first()?).first() }
}

fn write_row(row: &Row, kind: Option<&TypePtr>, json: &mut String) {
    json.push('{');
    for (at, (name, field)) in row.get_column_iter().enumerate() {
        json.push_str(if at == 0 { "" } else { "," });
        quote(name, json);
        json.push(':');
        write_field(field, kind.and_then(|kind| fields(kind).get(at)), json);
    }
    json.push('}');
}

fn write_field(field: &Field, kind: Option<&TypePtr>, json: &mut String) {
    if kind.and_then(|kind| write_newer(field, kind, json)).is_some() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = match field {
        Field::Null => write!(json, "null"),
        Field::Bool(flag) => write!(json, "{flag}"),
        Field::Byte(int) => write!(json, "{int}"),
        Field::Short(int) => write!(json, "{int}"),
        Field::Int(int) => write!(json, "{int}"),
        Field::Long(int) => write!(json, "{int}"),
        Field::UByte(int) => write!(json, "{int}"),
        Field::UShort(int) => write!(json, "{int}"),
        Field::UInt(int) => write!(json, "{int}"),
        Field::ULong(int) => write!(json, "{int}"),
        Field::Float16(float) => write_float(f64::from(f32::from(*float)), json),
        // The shortest digits of a single are not those of the double that it is.
        Field::Float(float) => write_float(float.to_string().parse().unwrap_or(f64::NAN), json),
        Field::Double(float) => write_float(*float, json),
        Field::Decimal(decimal) => write_decimal(decimal, json),
        Field::Str(text) => {
            quote(text, json);
            Ok(())
        }
        Field::Bytes(bytes) => {
            quote(&BASE64_STANDARD.encode(bytes.data()), json);
            Ok(())
        }
        Field::Date(days) => match i64::from(*days).checked_mul(86_400_000_000).and_then(Micros::new) {
            Some(midnight) => write!(json, "\"{}\"", midnight.date()),
            None => write!(json, "null"),
        },
        Field::TimeMillis(ms) => write_time(i64::from(*ms) * 1000, json),
        Field::TimeMicros(micros) => write_time(*micros, json),
        Field::TimestampMillis(ms) => write_moment(ms.checked_mul(1000), json),
        Field::TimestampMicros(micros) => write_moment(Some(*micros), json),
        Field::Group(row) => {
            write_row(row, kind, json);
            Ok(())
        }
        Field::ListInternal(list) => {
            let kind = kind.and_then(element);
            json.push('[');
            for (at, field) in list.elements().iter().enumerate() {
                json.push_str(if at == 0 { "" } else { "," });
                write_field(field, kind, json);
            }
            json.push(']');
            Ok(())
        }
        Field::MapInternal(map) => {
            write_map(map.entries().iter().map(|(key, value)| (key, value)), kind, json);
            Ok(())
        }
    };
}

/// A map as an object: JSON has no other keys than texts.
fn write_map<'f>(
    pairs: impl Iterator<Item = (&'f Field, &'f Field)>,
    kind: Option<&TypePtr>,
    json: &mut String,
) {
    let pair = kind.and_then(|kind| fields(kind).first()).map_or(&[][..], |pair| fields(pair));
    json.push('{');
    for (at, (key, value)) in pairs.enumerate() {
        json.push_str(if at == 0 { "" } else { "," });
        let mut text = String::new();
        write_field(key, pair.first(), &mut text);
        if text.starts_with('"') {
            json.push_str(&text);
        } else {
            quote(&text, json);
        }
        json.push(':');
        write_field(value, pair.get(1), json);
    }
    json.push('}');
}

/// JSON has no infinity.
fn write_float(float: f64, json: &mut String) -> fmt::Result {
    if float.is_finite() { write!(json, "{float:?}") } else { write!(json, "null") }
}

fn write_moment(micros: Option<i64>, json: &mut String) -> fmt::Result {
    match micros.and_then(Micros::new) {
        Some(moment) => write!(json, "\"{}\"", moment.rfc3339()),
        None => write!(json, "null"),
    }
}

/// The number of 1970-01-01 among Julian days.
const EPOCH_DAY: i64 = 2_440_588;

/// Nanoseconds of a day, and the number of the Julian day.
/// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift#L37>
fn write_int96([nanos @ .., a, b, c, d]: [u8; 12], json: &mut String) -> fmt::Result {
    let days = i64::from(i32::from_le_bytes([a, b, c, d])) - EPOCH_DAY;
    let micros = i64::from_le_bytes(nanos).div_euclid(1000);
    write_moment(days.checked_mul(86_400_000_000).and_then(|day| day.checked_add(micros)), json)
}

/// Months, days and milliseconds, as ISO 8601 has them: `P1M2DT3.500S`.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#interval>
fn write_span(bytes: &[u8], json: &mut String) -> fmt::Result {
    let (&[months, days, ms], []) = bytes.as_chunks() else { return write!(json, "null") };
    let [months, days, ms] = [months, days, ms].map(u32::from_le_bytes);
    write!(json, "\"P{months}M{days}DT{}.{:03}S\"", ms / 1000, ms % 1000)
}

fn write_time(micros: i64, json: &mut String) -> fmt::Result {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    write!(json, "\"{hours:02}:{minutes:02}:{:02}.{micros:06}\"", seconds % 60)
}

/// The most digits of a decimal: an `i128` holds so many, and so much is what writers of Parquet take.
const DIGITS_MAX: usize = 38;

/// A decimal as a number of JSON, with all its digits; null where it has more than [`DIGITS_MAX`].
fn write_decimal(decimal: &Decimal, json: &mut String) -> fmt::Result {
    let mut bytes = decimal.data();
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
    // A wide column has bytes in front that only repeat the sign.
    while let Some((first, rest)) = bytes.split_first()
        && let Some(next) = rest.first()
        && *first == sign
        && (*next >= 0x80) == (sign == 0xff)
    {
        bytes = rest;
    }
    let mut wide = [sign; 16];
    let Some(from) = wide.len().checked_sub(bytes.len()) else { return write!(json, "null") };
    for (to, byte) in wide.iter_mut().skip(from).zip(bytes) {
        *to = *byte;
    }
    let int = i128::from_be_bytes(wide);
    let scale = usize::try_from(decimal.scale()).unwrap_or_default();
    if scale > DIGITS_MAX {
        return write!(json, "null");
    }
    let digits = format!("{:0>width$}", int.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if fraction.is_empty() { "" } else { "." };
    write!(json, "{}{whole}{point}{fraction}", if int < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits_however_wide_they_are_stored() {
        let told = |bytes: &[u8], scale: i32| {
            let mut json = String::new();
            write_decimal(&Decimal::from_bytes(bytes.to_vec().into(), 38, scale), &mut json).unwrap();
            json
        };
        let wide = |int: i64| [vec![if int < 0 { 0xff } else { 0 }; 24], int.to_be_bytes().to_vec()].concat();
        for (int, scale, expected) in [
            (1250_i64, 2, "12.50"),
            (-1250, 2, "-12.50"),
            (5, 3, "0.005"),
            (-1, 0, "-1"),
            (0, 2, "0.00"),
            (128, 0, "128"),
            (-128, 0, "-128"),
        ] {
            assert_eq!(told(&int.to_be_bytes(), scale), expected);
            assert_eq!(told(&wide(int), scale), expected, "stored in 32 bytes");
        }
        for (bytes, scale) in [(vec![1; 17], 0), (vec![1], 39), (vec![1], 70_000), (vec![1], i32::MAX)] {
            assert_eq!(told(&bytes, scale), "null");
        }
        assert_eq!(told(&[], 0), "0");
    }
}
