//! One column: values of JSON in, and the bytes of Parquet's encoding PLAIN out, one value after the other.

use millrace_core::event::{Event, Id, Number, Value};
use millrace_core::pipeline::ColumnType;
use millrace_core::time::Micros;
use std::cmp::Ordering;
use std::ops::Range;

/// What stands before a text in the encoding PLAIN: its length, little endian.
const LENGTH_BYTES: usize = 4;

/// The memory that a column keeps for the next batch: bytes, and rows.
const BYTES_KEPT: usize = 1 << 20;
const ROWS_KEPT: usize = 64 << 10;

/// A column that grows.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) kind: ColumnType,
    /// Whether a dictionary is worth a try.
    pub(crate) repeats: bool,
    /// The values, a flag as a byte.
    values: Vec<u8>,
    /// Where the value of each row ends. One without a value has no bytes, and a value has some.
    ends: Vec<usize>,
    /// How many rows have no value.
    nulls: usize,
}

impl Column {
    /// An empty column without memory: a batch may have a row each in thousands of partitions.
    pub(crate) fn new(kind: ColumnType, repeats: bool) -> Self {
        Self { kind, repeats, values: Vec::new(), ends: Vec::new(), nulls: 0 }
    }

    /// Forgets the rows and keeps the memory, but for what only a huge batch needs.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.values.shrink_to(BYTES_KEPT);
        self.ends.clear();
        self.ends.shrink_to(ROWS_KEPT);
        self.nulls = 0;
    }

    /// Appends a value of an event, or null where it is missing or does not fit; whether the column now holds all there
    /// is to it.
    #[inline]
    pub(crate) fn append(&mut self, event: &Event, found: Option<Id>) -> bool {
        let Some(id) = found else {
            self.null();
            return true;
        };
        if let (ColumnType::String, Some(text)) = (self.kind, event.text_bytes(id)) {
            self.text(text);
            return true;
        }
        self.convert(event.value(id))
    }

    /// Appends a text, or null.
    pub(crate) fn append_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text.as_bytes()),
            None => self.null(),
        }
    }

    #[inline]
    fn null(&mut self) {
        self.ends.push(self.values.len());
        self.nulls += 1;
    }

    fn convert(&mut self, value: Value<'_>) -> bool {
        let before = self.values.len();
        match self.kind {
            ColumnType::String => {
                let text = match value {
                    Value::String(text) => Some(text),
                    Value::Number(number) => Some(number.text()),
                    Value::Bool(flag) => Some(if flag { "true" } else { "false" }),
                    Value::Null | Value::Array(_) | Value::Object(_) => None,
                };
                self.append_text(text);
                return text.is_some() || value.is_null();
            }
            ColumnType::Bigint => {
                self.fixed(value.as_number().and_then(Number::as_i64).map(i64::to_le_bytes));
            }
            ColumnType::Double => self.fixed(value.as_number().map(|number| number.as_f64().to_le_bytes())),
            ColumnType::Boolean => self.values.extend(value.as_bool().map(u8::from)),
            ColumnType::Timestamp => self.fixed(Micros::read(value).map(|time| time.get().to_le_bytes())),
        }
        let has_value = self.values.len() > before;
        self.ends.push(self.values.len());
        self.nulls += usize::from(!has_value);
        has_value || value.is_null()
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        #[expect(clippy::cast_possible_truncation, reason = "an event has far fewer bytes")]
        self.values.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.values.extend_from_slice(text);
        self.ends.push(self.values.len());
    }

    #[inline]
    fn fixed(&mut self, bytes: Option<[u8; 8]>) {
        if let Some(bytes) = bytes {
            self.values.extend_from_slice(&bytes);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// How many of these rows have a value.
    pub(crate) fn present(&self, rows: Range<usize>) -> usize {
        match self.nulls {
            0 => rows.len(),
            _ => self.each(rows).filter(|value| !value.is_empty()).count(),
        }
    }

    /// The values of these rows, one after the other.
    pub(crate) fn values(&self, rows: Range<usize>) -> &[u8] {
        self.values.get(self.begin(rows.start)..self.begin(rows.end)).unwrap_or_default()
    }

    /// The value of each of these rows; no bytes where it has none.
    pub(crate) fn each(&self, rows: Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let mut start = self.begin(rows.start);
        let ends = self.ends.get(rows).unwrap_or_default().iter();
        ends.map(move |end| self.values.get(std::mem::replace(&mut start, *end)..*end).unwrap_or_default())
    }

    /// The values there are.
    pub(crate) fn some(&self) -> impl Iterator<Item = &[u8]> {
        self.each(0..self.rows()).filter(|value| !value.is_empty())
    }

    /// Where the value of a row begins.
    fn begin(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default()
    }

    /// These rows of the column alone.
    pub(crate) fn only(&self, kept: &[Range<usize>]) -> Self {
        let mut left = Self::new(self.kind, self.repeats);
        left.values.reserve(self.values.len());
        left.ends.reserve(self.ends.len());
        for rows in kept {
            let shift = self.begin(rows.start) - left.values.len();
            left.values.extend_from_slice(self.values(rows.clone()));
            left.ends.extend(self.ends.get(rows.clone()).unwrap_or_default().iter().map(|end| end - shift));
            left.nulls += rows.len() - self.present(rows.clone());
        }
        left
    }
}

/// The text of a value in the encoding PLAIN.
pub(crate) fn text_of(plain: &[u8]) -> &[u8] {
    plain.get(LENGTH_BYTES..).unwrap_or_default()
}

/// Whether values are the same; those of one or two words without a call.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.first_chunk::<8>(), other.first_chunk::<8>(), one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(one_first), Some(other_first), Some(one_last), Some(other_last)) if one.len() <= 16 => {
            one_first == other_first && one_last == other_last
        }
        _ => one == other,
    }
}

/// The order of texts, which their first eight bytes mostly tell.
#[inline]
pub(crate) fn order_of_texts(one: &[u8], other: &[u8]) -> Ordering {
    match (one.first_chunk(), other.first_chunk()) {
        (Some(first), Some(second)) if first != second => {
            u64::from_be_bytes(*first).cmp(&u64::from_be_bytes(*second))
        }
        _ => one.cmp(other),
    }
}

/// The bits of a value of fixed size.
pub(crate) fn bits_of(plain: &[u8]) -> u64 {
    plain.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
