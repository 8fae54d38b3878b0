//! Columns to a Parquet file: pages, statistics, the bloom filter, and the library's footer around them.
//!
//! The library would compress each column of each file with a context of its own, which for files of some thousand rows
//! costs more than compressing; here one context serves all. <https://parquet.apache.org/docs/file-format/>

use crate::bits;
use crate::column::{Column, bits_of, order_of_texts, text_of};
use crate::dictionary::Dictionary;
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
use std::ops::Range;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// What a page is to have at most, rows and bytes before compression; a reader that wants one row reads a page.
const PAGE_ROWS: usize = 20_000;
const PAGE_BYTES: usize = 1 << 20;

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
    dictionary: Dictionary,
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
    let kept = (!taken_back.is_empty()).then(|| kept(columns.first().map_or(0, Column::rows), taken_back));
    for (at, (column, description)) in columns.iter().zip(descriptions).enumerate() {
        let left = kept.as_deref().map(|kept| column.only(kept));
        let column = left.as_ref().unwrap_or(column);
        let (bytes, close) =
            Chunk { column, zstd: layout.zstd, is_id: at == 0 }.encode(description, codec)?;
        group.append_column(&bytes, close)?;
    }
    group.close()?;
    Ok(file.into_inner()?)
}

/// The stretches of so many rows that are not taken back.
fn kept(rows: usize, taken_back: &[bool]) -> Vec<Range<usize>> {
    let gone = taken_back.iter().enumerate().filter(|(_, gone)| **gone).map(|(row, _)| row);
    let mut start = 0;
    gone.chain([rows]).map(|end| std::mem::replace(&mut start, end + 1)..end).collect()
}

/// A column of a file.
struct Chunk<'a> {
    column: &'a Column,
    zstd: ZstdLevel,
    is_id: bool,
}

impl Chunk<'_> {
    fn encode(
        &self,
        description: &ColumnDescPtr,
        codec: &mut Codec,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let rows = self.column.rows();
        let mut dictionary = std::mem::take(&mut codec.dictionary);
        let values = dictionary.fill(self.column).then_some(&dictionary);
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = Pages { to: SerializedPageWriter::new(&mut sink), written: Vec::new() };
        let encoding = if values.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN };
        if let Some(dictionary) = values {
            codec.body.clear();
            codec.body.extend_from_slice(&dictionary.values);
            let (uncompressed, buf) = (codec.body.len(), codec.compress(self.zstd)?);
            let num_values = u32::try_from(dictionary.len())?;
            let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            pages.write(page, uncompressed)?;
        }
        let a_page = PAGE_BYTES / (self.column.values(0..rows).len() / rows.max(1) + 1);
        let a_page = a_page.clamp(1, PAGE_ROWS);
        let mut left = values.map(|dictionary| dictionary.codes.as_slice());
        let mut nulls = 0;
        for start in (0..rows).step_by(a_page) {
            let rows = start..rows.min(start + a_page);
            let present = self.column.present(rows.clone());
            nulls += (rows.len() - present) as u64;
            let here = left.as_mut().and_then(|codes| codes.split_off(..present));
            self.body(rows.clone(), present, here.zip(values), &mut codec.body);
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
        let sizes = |of: fn(&PageWriteSpec) -> usize| i64::try_from(written.iter().map(of).sum::<usize>());
        let of_data = |page: &&PageWriteSpec| page.page_type != PageType::DICTIONARY_PAGE;
        let data_offset = written.iter().find(of_data).map_or(0, |page| page.offset);
        let page_stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let mut stats =
            Vec::from_iter(values.map(|_| page_stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1)));
        let data_pages = i32::try_from(written.iter().filter(of_data).count())?;
        stats.push(page_stats(PageType::DATA_PAGE, encoding, data_pages));
        let mut encodings = vec![Encoding::RLE, Encoding::PLAIN];
        encodings.extend(values.map(|_| Encoding::RLE_DICTIONARY));
        let metadata = ColumnChunkMetaData::builder(Arc::clone(description))
            .set_compression(Compression::ZSTD(self.zstd))
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_num_values(i64::try_from(rows)?)
            .set_total_compressed_size(sizes(|page| page.compressed_size)?)
            .set_total_uncompressed_size(sizes(|page| page.uncompressed_size)?)
            .set_data_page_offset(i64::try_from(data_offset)?)
            .set_dictionary_page_offset(values.map(|_| 0))
            .set_statistics(match values {
                Some(dictionary) => self.statistics(dictionary.each(), nulls),
                None => self.statistics(self.column.some(), nulls),
            });
        codec.dictionary = dictionary;
        let bytes = Bytes::from(sink.into_inner()?);
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: self.bloom_filter()?,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes, close))
    }

    /// Fills in the body of a page: which rows have a value, so many, then the values, or their codes.
    fn body(
        &self,
        rows: Range<usize>,
        present: usize,
        codes: Option<(&[u32], &Dictionary)>,
        body: &mut Vec<u8>,
    ) {
        body.clear();
        body.extend_from_slice(&[0; 4]);
        if present == rows.len() {
            bits::run(1, rows.len(), 1, body);
        } else {
            bits::hybrid(self.column.each(rows.clone()).map(|value| u32::from(!value.is_empty())), 1, body);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a bit a row")]
        let length = (body.len() as u32 - 4).to_le_bytes();
        if let Some(place) = body.first_chunk_mut() {
            *place = length;
        }
        match codes {
            Some((codes, dictionary)) => {
                let width = bits::width(dictionary.len());
                body.push(width.to_le_bytes()[0]);
                bits::hybrid(codes.iter().copied(), width, body);
            }
            None if self.column.kind == ColumnType::Boolean => {
                for flags in self.column.values(rows).chunks(8) {
                    body.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | flag));
                }
            }
            None => body.extend_from_slice(self.column.values(rows)),
        }
    }

    /// The statistics of these values, in the encoding PLAIN.
    fn statistics<'v>(&self, values: impl Iterator<Item = &'v [u8]>, nulls: u64) -> Statistics {
        /// The library's trait for what has bounds cannot be named.
        macro_rules! statistics {
            ($kind:ident, $bounds:expr) => {{
                let (min, max) = $bounds.unzip();
                Statistics::$kind(ValueStatistics::new(min, max, None, Some(nulls), false))
            }};
        }
        match self.column.kind {
            ColumnType::Bigint | ColumnType::Timestamp => {
                statistics!(Int64, bounds(values.map(|value| bits_of(value).cast_signed()), i64::cmp))
            }
            ColumnType::Double => {
                let doubles = bounds(values.map(|value| f64::from_bits(bits_of(value))), f64::total_cmp);
                // Zero has two signs, and a reader may ask for either.
                let zero = |bound: f64, sign: f64| if bound == 0.0 { sign } else { bound };
                statistics!(Double, doubles.map(|(min, max)| (zero(min, -0.0), zero(max, 0.0))))
            }
            ColumnType::Boolean => {
                statistics!(Boolean, bounds(values.map(|value| value == [1]), Ord::cmp))
            }
            ColumnType::String => {
                let (min, max) = bounds(values.map(text_of), |one, other| order_of_texts(one, other)).unzip();
                let exact = |text: Option<&[u8]>| text.is_none_or(|text| text.len() <= BOUND_BYTES);
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
        let mut filter = Sbbf::new_with_ndv_fpp(self.column.rows().max(1) as u64, BLOOM_ERRORS)?;
        self.column.some().for_each(|id| filter.insert(text_of(id)));
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
