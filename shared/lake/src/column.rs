//! One column: values of JSON in, and the bytes of Parquet's encoding PLAIN out, one value after the other.

use millrace_core::event::{Event, Id, Number, Value};
use millrace_core::pipeline::ColumnType;
use millrace_core::time::Micros;

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
}

impl Column {
    /// An empty column without memory: a batch may have a row each in thousands of partitions.
    pub(crate) fn new(kind: ColumnType, repeats: bool) -> Self {
        Self { kind, repeats, values: Vec::new(), ends: Vec::new() }
    }

    /// Forgets the rows and keeps the memory, but for what only a huge batch needs.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.values.shrink_to(BYTES_KEPT);
        self.ends.clear();
        self.ends.shrink_to(ROWS_KEPT);
    }

    /// Appends a value of an event, or null where it is missing or does not fit; whether the column now holds all there
    /// is to it.
    #[inline]
    pub(crate) fn append(&mut self, event: &Event, found: Option<Id>) -> bool {
        let Some(id) = found else {
            self.ends.push(self.values.len());
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
            None => self.ends.push(self.values.len()),
        }
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
        self.ends.push(self.values.len());
        self.values.len() > before || value.is_null()
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

    /// The values of all rows, one after the other.
    pub(crate) fn values(&self) -> &[u8] {
        &self.values
    }

    /// The value of each row; no bytes where it has none.
    pub(crate) fn each(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends
            .iter()
            .map(move |end| self.values.get(std::mem::replace(&mut start, *end)..*end).unwrap_or_default())
    }

    /// The column without some of its rows.
    pub(crate) fn without(&self, taken_back: &[bool]) -> Self {
        let mut left = Self::new(self.kind, self.repeats);
        let taken_back = taken_back.iter().chain(std::iter::repeat(&false));
        for (value, _) in self.each().zip(taken_back).filter(|(_, gone)| !**gone) {
            left.values.extend_from_slice(value);
            left.ends.push(left.values.len());
        }
        left
    }
}

/// The text of a value in the encoding PLAIN.
pub(crate) fn text_of(plain: &[u8]) -> &[u8] {
    plain.get(LENGTH_BYTES..).unwrap_or_default()
}

/// The bits of a value of fixed size.
pub(crate) fn bits_of(plain: &[u8]) -> u64 {
    plain.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
