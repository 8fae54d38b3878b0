//! One column: values of JSON in, codes and the values they stand for out.
//!
//! Each value is kept once and in the bytes of Parquet's encoding PLAIN, and each row has the code of its value: what
//! repeats makes a dictionary as it comes, and the memory of a column serves batch after batch.

use crate::places::{Places, TRIAL};
use millrace_core::event::{Number, Value};
use millrace_core::pipeline::ColumnType;
use millrace_core::time::Micros;
use twox_hash::XxHash3_64;

/// The code of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;

/// What a value of fixed size takes, bytes.
pub(crate) const FIXED_BYTES: usize = 8;

/// What stands before a text in the encoding PLAIN: its length, little endian.
pub(crate) const LENGTH_BYTES: usize = 4;

/// The memory that a column keeps for the next batch: values, bytes.
const VALUES_KEPT: usize = 1 << 20;
/// And rows.
const ROWS_KEPT: usize = 64 << 10;

/// A column that grows.
#[derive(Debug)]
pub(crate) struct Column {
    kind: ColumnType,
    /// A row's value, or [`NULL`].
    codes: Vec<u32>,
    /// The values, one after the other.
    values: Vec<u8>,
    /// Where each text ends; values of fixed size need it not.
    ends: Vec<usize>,
    places: Places,
}

impl Column {
    /// An empty column without memory: a batch may have a row each in thousands of partitions. Where values are not
    /// expected to `repeat`, none is looked for.
    pub(crate) fn new(kind: ColumnType, repeat: bool) -> Self {
        let places = if repeat { Places::default() } else { Places::useless() };
        Self { kind, codes: Vec::new(), values: Vec::new(), ends: Vec::new(), places }
    }

    /// Forgets the rows and keeps the memory, but for what only a huge batch needs.
    pub(crate) fn clear(&mut self) {
        self.codes.clear();
        self.codes.shrink_to(ROWS_KEPT);
        self.values.clear();
        self.values.shrink_to(VALUES_KEPT);
        self.ends.clear();
        self.ends.shrink_to(ROWS_KEPT);
        self.places.clear();
    }

    /// Appends a value, or null where it is missing or does not fit; whether the column now holds all there is to it.
    pub(crate) fn append(&mut self, value: Option<Value<'_>>) -> bool {
        let value = value.unwrap_or(Value::Null);
        let code = match self.kind {
            ColumnType::String => match value {
                Value::String(text) => Some(self.text(text)),
                Value::Number(number) => Some(self.text(number.text())),
                Value::Bool(flag) => Some(self.text(if flag { "true" } else { "false" })),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
            ColumnType::Bigint => {
                value.as_number().and_then(Number::as_i64).map(|int| self.fixed(int.cast_unsigned()))
            }
            ColumnType::Double => value.as_number().map(|number| self.fixed(number.as_f64().to_bits())),
            ColumnType::Boolean => value.as_bool().map(u32::from),
            ColumnType::Timestamp => Micros::read(value).map(|time| self.fixed(time.get().cast_unsigned())),
        };
        self.codes.push(code.unwrap_or(NULL));
        if self.codes.len() == TRIAL {
            self.places.judge(TRIAL, self.distinct());
        }
        code.is_some() || value.is_null()
    }

    fn text(&mut self, text: &str) -> u32 {
        let Self { values, ends, places, .. } = self;
        let known = |code: u32| text_of(values, ends, code as usize) == text.as_bytes();
        let next = ends.len();
        let code = places.find(|| XxHash3_64::oneshot(text.as_bytes()), next, known);
        if code as usize == next {
            #[expect(clippy::cast_possible_truncation, reason = "an event has far fewer bytes")]
            values.extend_from_slice(&(text.len() as u32).to_le_bytes());
            values.extend_from_slice(text.as_bytes());
            ends.push(values.len());
        }
        code
    }

    fn fixed(&mut self, bits: u64) -> u32 {
        let Self { values, places, .. } = self;
        let bytes = bits.to_le_bytes();
        let known = |code: u32| fixed_of(values, code as usize) == Some(&bytes);
        let next = values.len() / FIXED_BYTES;
        // Fibonacci hashing, folded: https://probablydance.com/2018/06/16/fibonacci-hashing/
        let code = places.find(|| (bits ^ (bits >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15), next, known);
        if code as usize == next {
            values.extend_from_slice(&bytes);
        }
        code
    }

    pub(crate) fn kind(&self) -> ColumnType {
        self.kind
    }

    /// The code of each row.
    pub(crate) fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The values that codes stand for, one after the other in the encoding PLAIN.
    pub(crate) fn values(&self) -> &[u8] {
        &self.values
    }

    /// How many values codes stand for.
    pub(crate) fn distinct(&self) -> usize {
        match self.kind {
            ColumnType::String => self.ends.len(),
            ColumnType::Boolean => 2,
            ColumnType::Bigint | ColumnType::Double | ColumnType::Timestamp => {
                self.values.len() / FIXED_BYTES
            }
        }
    }

    /// A value in the encoding PLAIN; empty for null.
    pub(crate) fn plain(&self, code: u32) -> &[u8] {
        let code = code as usize;
        if self.kind == ColumnType::String {
            self.values.get(start_of(&self.ends, code)..end_of(&self.ends, code)).unwrap_or_default()
        } else {
            fixed_of(&self.values, code).map_or(&[], |bytes| bytes.as_slice())
        }
    }

    /// The texts that codes stand for.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|code| text_of(&self.values, &self.ends, code))
    }

    /// The bits of the values of fixed size that codes stand for.
    pub(crate) fn bits(&self) -> impl Iterator<Item = u64> {
        self.values.as_chunks::<FIXED_BYTES>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

fn end_of(ends: &[usize], code: usize) -> usize {
    ends.get(code).copied().unwrap_or_default()
}

fn start_of(ends: &[usize], code: usize) -> usize {
    code.checked_sub(1).map_or(0, |before| end_of(ends, before))
}

fn text_of<'v>(values: &'v [u8], ends: &[usize], code: usize) -> &'v [u8] {
    values.get(start_of(ends, code) + LENGTH_BYTES..end_of(ends, code)).unwrap_or_default()
}

fn fixed_of(values: &[u8], code: usize) -> Option<&[u8; FIXED_BYTES]> {
    values.get(code * FIXED_BYTES..)?.first_chunk()
}
