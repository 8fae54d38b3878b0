//! Columns to a Parquet file: pages, statistics, the bloom filter, and the library's footer around them.
//!
//! The library would compress each column of each file with a context of its own, which for files of some thousand rows
//! costs more than compressing; here one context serves all. <https://parquet.apache.org/docs/file-format/>

use crate::bits;
use crate::column::{Column, FIXED_BYTES, NULL};
use crate::{Error, Layout};
use bytes::Bytes;
use millrace_core::pipeline::ColumnType;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// What a page is to have at most, rows and bytes before compression; a reader that wants one row reads a page.
const PAGE_ROWS: usize = 20_000;
const PAGE_BYTES: usize = 1 << 20;

/// A larger dictionary is left out, for a reader holds all of it.
const DICTIONARY_BYTES: usize = 1 << 20;

/// A longer text is not told by the statistics whole.
const BOUND_BYTES: usize = 64;

/// Of ids that are not in a file, one in a hundred seems to be.
const BLOOM_ERRORS: f64 = 0.01;

/// Compresses pages, with memory that serves all of them.
#[derive(Default)]
pub(crate) struct Codec {
    zstd: Option<Compressor<'static>>,
    body: Vec<u8>,
    packed: Vec<u8>,
    /// The codes of the rows that stay.
    stay: Vec<u32>,
}

impl Codec {
    fn compress(&mut self, level: ZstdLevel) -> Result<Bytes, ParquetError> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Compressor::new(level.compression_level())?),
        };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.body.len()));
        zstd.compress_to_buffer(&self.body, &mut self.packed)?;
        Ok(Bytes::copy_from_slice(&self.packed))
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec").finish_non_exhaustive()
    }
}

/// The rows of these columns that are not taken back, as a file.
pub(crate) fn write(
    layout: &Layout,
    columns: &[Column],
    taken_back: &[bool],
    codec: &mut Codec,
) -> Result<Vec<u8>, Error> {
    let descriptions = layout.schema.columns();
    let root = layout.schema.root_schema_ptr();
    let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::clone(&layout.properties))?;
    let mut group = file.next_row_group()?;
    let mut stay = std::mem::take(&mut codec.stay);
    for (at, (column, description)) in columns.iter().zip(descriptions).enumerate() {
        let mut rows = column.codes();
        if !taken_back.is_empty() {
            stay.clear();
            let taken_back = taken_back.iter().chain(std::iter::repeat(&false));
            stay.extend(rows.iter().zip(taken_back).filter(|(_, gone)| !**gone).map(|(code, _)| *code));
            rows = &stay;
        }
        let is_id = at == 0;
        let chunk = Chunk { column, rows, zstd: layout.zstd, exact: taken_back.is_empty(), is_id };
        let (bytes, close) = chunk.encode(description, codec)?;
        group.append_column(&bytes, close)?;
    }
    codec.stay = stay;
    group.close()?;
    Ok(file.into_inner()?)
}

/// A column of a file.
struct Chunk<'a> {
    column: &'a Column,
    /// The code of each row.
    rows: &'a [u32],
    zstd: ZstdLevel,
    /// Whether each value of the column is that of a row.
    exact: bool,
    is_id: bool,
}

impl Chunk<'_> {
    fn encode(
        &self,
        description: &ColumnDescPtr,
        codec: &mut Codec,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = Pages { to: SerializedPageWriter::new(&mut sink), written: Vec::new() };
        let plain_bytes: usize = self.rows.iter().map(|code| self.size(*code)).sum();
        let dictionary = self.dictionary(plain_bytes);
        let encoding = if dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        if let Some(codes) = dictionary {
            codec.body.clear();
            codec.body.extend_from_slice(self.column.values());
            let (uncompressed, buf) = (codec.body.len(), codec.compress(self.zstd)?);
            #[expect(clippy::cast_possible_truncation, reason = "a dictionary has at most a MiB")]
            let num_values = codes as u32;
            let page =
                Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            pages.write(page, uncompressed)?;
        }
        let a_page = PAGE_BYTES / (plain_bytes / self.rows.len().max(1) + 1);
        let mut nulls = 0;
        for rows in self.rows.chunks(a_page.clamp(1, PAGE_ROWS)) {
            nulls += self.body(rows, dictionary, &mut codec.body);
            let (uncompressed, buf) = (codec.body.len(), codec.compress(self.zstd)?);
            let num_values = u32::try_from(rows.len())?;
            let levels = Encoding::RLE;
            let page = Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding: levels,
                rep_level_encoding: levels,
                statistics: None,
            };
            pages.write(page, uncompressed)?;
        }
        let written = std::mem::take(&mut pages.written);
        drop(pages);
        let sizes = |of: fn(&PageWriteSpec) -> usize| written.iter().map(of).sum::<usize>() as i64;
        let data = written.iter().filter(|page| page.page_type != PageType::DICTIONARY_PAGE);
        let mut stats = Vec::from_iter(dictionary.map(|_| PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        }));
        stats.push(PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding,
            count: i32::try_from(data.clone().count())?,
        });
        let mut encodings = vec![Encoding::RLE, Encoding::PLAIN];
        encodings.extend(dictionary.map(|_| Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(Arc::clone(description))
            .set_compression(Compression::ZSTD(self.zstd))
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_num_values(self.rows.len() as i64)
            .set_total_compressed_size(sizes(|page| page.compressed_size))
            .set_total_uncompressed_size(sizes(|page| page.uncompressed_size))
            .set_data_page_offset(data.clone().next().map_or(0, |page| page.offset as i64))
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_statistics(self.statistics(nulls));
        let bytes = Bytes::from(sink.into_inner()?);
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows.len() as u64,
            metadata: metadata.build()?,
            bloom_filter: self.bloom_filter()?,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes, close))
    }

    /// What a row takes in the encoding PLAIN, bytes.
    fn size(&self, code: u32) -> usize {
        match (code, self.column.kind()) {
            (NULL, _) => 0,
            (_, ColumnType::Boolean) => 1,
            (_, ColumnType::String) => self.column.plain(code).len(),
            _ => FIXED_BYTES,
        }
    }

    /// How many values a dictionary would have, where it makes the column smaller.
    fn dictionary(&self, plain_bytes: usize) -> Option<usize> {
        let values = self.column.distinct();
        let bytes = self.column.values().len();
        let codes = self.rows.len() * bits::width(values) as usize / 8;
        let pays = self.column.kind() != ColumnType::Boolean && bytes + codes < plain_bytes / 4 * 3;
        (pays && bytes <= DICTIONARY_BYTES).then_some(values)
    }

    /// Fills in the body of a page: which rows have a value, then the values. How many have none.
    fn body(&self, rows: &[u32], dictionary: Option<usize>, body: &mut Vec<u8>) -> u64 {
        body.clear();
        body.extend_from_slice(&[0; 4]);
        bits::hybrid(rows.iter().map(|code| u32::from(*code != NULL)), 1, body);
        #[expect(clippy::cast_possible_truncation, reason = "a bit a row")]
        let length = (body.len() as u32 - 4).to_le_bytes();
        if let Some(place) = body.first_chunk_mut() {
            *place = length;
        }
        let mut present: Vec<u32> = Vec::new();
        let codes = if rows.contains(&NULL) {
            present.extend(rows.iter().filter(|code| **code != NULL));
            present.as_slice()
        } else {
            rows
        };
        match (dictionary, self.column.kind()) {
            (Some(values), _) => {
                let width = bits::width(values);
                body.push(width.to_le_bytes()[0]);
                bits::hybrid(codes.iter().copied(), width, body);
            }
            (None, ColumnType::Boolean) => {
                for eight in codes.chunks(8) {
                    body.push(eight.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag == 1)));
                }
            }
            (None, _) => codes.iter().for_each(|code| body.extend_from_slice(self.column.plain(*code))),
        }
        (rows.len() - codes.len()) as u64
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let exact = self.exact;
        /// The library's trait for what has bounds cannot be named.
        macro_rules! statistics {
            ($kind:ident, $bounds:expr) => {{
                let (min, max) = $bounds.unzip();
                let statistics = ValueStatistics::new(min, max, None, Some(nulls), false);
                Statistics::$kind(statistics.with_min_is_exact(exact).with_max_is_exact(exact))
            }};
        }
        match self.column.kind() {
            ColumnType::Bigint | ColumnType::Timestamp => {
                statistics!(Int64, bounds(self.column.bits().map(u64::cast_signed), i64::cmp))
            }
            ColumnType::Double => {
                let doubles = bounds(self.column.bits().map(f64::from_bits), f64::total_cmp);
                // Zero has two signs, and a reader may ask for either.
                let zero = |bound: f64, sign: f64| if bound == 0.0 { sign } else { bound };
                let doubles = doubles.map(|(min, max)| (zero(min, -0.0), zero(max, 0.0)));
                statistics!(Double, doubles)
            }
            ColumnType::Boolean => {
                let flags = bounds(self.rows.iter().filter(|code| **code != NULL), Ord::cmp);
                statistics!(Boolean, flags.map(|(min, max)| (*min == 1, *max == 1)))
            }
            ColumnType::String => {
                let (min, max) = bounds(self.column.texts(), Ord::cmp).unzip();
                let exact = |text: Option<&[u8]>| exact && text.is_none_or(|text| text.len() <= BOUND_BYTES);
                let (least, greatest) = (min.map(|min| below(min).to_vec()), max.and_then(above));
                let (least, greatest) = (least.map(ByteArray::from), greatest.map(ByteArray::from));
                let statistics = ValueStatistics::new(least, greatest, None, Some(nulls), false);
                let statistics = statistics.with_min_is_exact(exact(min)).with_max_is_exact(exact(max));
                Statistics::ByteArray(statistics)
            }
        }
    }

    /// Lets Athena leave out files when it looks for one event.
    fn bloom_filter(&self) -> Result<Option<Sbbf>, ParquetError> {
        if !self.is_id {
            return Ok(None);
        }
        let mut filter = Sbbf::new_with_ndv_fpp(self.column.distinct().max(1) as u64, BLOOM_ERRORS)?;
        self.column.texts().for_each(|text| filter.insert(text));
        Ok(Some(filter))
    }
}

/// The least and the greatest; none of nothing.
fn bounds<T: Copy>(
    values: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Option<(T, T)> {
    values.fold(None, |bounds, value| {
        let (min, max) = bounds.unwrap_or((value, value));
        let min = if order(&value, &min).is_lt() { value } else { min };
        Some((min, if order(&value, &max).is_gt() { value } else { max }))
    })
}

/// The text, or where it is long a shorter one that comes before it.
fn below(text: &[u8]) -> &[u8] {
    let end = (0..=BOUND_BYTES).rev().find(|end| text.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80));
    text.get(..end.unwrap_or_default()).unwrap_or(text)
}

/// The text, or where it is long a shorter one that comes after all that begin like it; none where no sign of it has
/// a sign after it in ASCII.
fn above(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() <= BOUND_BYTES {
        return Some(text.to_vec());
    }
    let short = below(text);
    let at = short.iter().rposition(|byte| *byte < 0x7f)?;
    let mut bound = short.get(..=at)?.to_vec();
    *bound.last_mut()? += 1;
    Some(bound)
}

struct Pages<'a> {
    to: SerializedPageWriter<'a, Vec<u8>>,
    written: Vec<PageWriteSpec>,
}

impl Pages<'_> {
    fn write(&mut self, page: Page, uncompressed: usize) -> Result<(), ParquetError> {
        self.written.push(self.to.write_page(CompressedPage::new(page, uncompressed))?);
        Ok(())
    }
}
