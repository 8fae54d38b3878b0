//! One column: values of JSON in, an arrow array out.

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_schema::{DataType, TimeUnit};
use millrace_core::event::{Number, Value};
use millrace_core::pipeline::ColumnType;
use millrace_core::time::Micros;
use std::sync::Arc;

/// A column that grows.
#[derive(Debug)]
pub(crate) enum Builder {
    String(StringBuilder),
    Bigint(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// The type of a column. Timestamps carry no zone: Athena's type has none, and reads them as UTC.
pub(crate) fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::String => DataType::Utf8,
        ColumnType::Bigint => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

impl Builder {
    /// An empty column without memory: a batch may have a row each in thousands of partitions.
    pub(crate) fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::String => Self::String(StringBuilder::with_capacity(0, 0)),
            ColumnType::Bigint => Self::Bigint(Int64Builder::with_capacity(0)),
            ColumnType::Double => Self::Double(Float64Builder::with_capacity(0)),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(0)),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(0)),
        }
    }

    /// Appends a value, or null where it is missing or does not fit; whether the column now holds all there is to it.
    pub(crate) fn append(&mut self, value: Option<Value<'_>>) -> bool {
        let value = value.unwrap_or(Value::Null);
        let fits = match self {
            Self::String(column) => {
                match value {
                    Value::String(text) => column.append_value(text),
                    Value::Number(number) => column.append_value(number.text()),
                    Value::Bool(flag) => column.append_value(if flag { "true" } else { "false" }),
                    _ => column.append_null(),
                }
                !matches!(value, Value::Array(_) | Value::Object(_))
            }
            Self::Bigint(column) => {
                let int = value.as_number().and_then(Number::as_i64);
                column.append_option(int);
                int.is_some()
            }
            Self::Double(column) => {
                let float = value.as_number().map(Number::as_f64);
                column.append_option(float);
                float.is_some()
            }
            Self::Boolean(column) => {
                let flag = value.as_bool();
                column.append_option(flag);
                flag.is_some()
            }
            Self::Timestamp(column) => {
                let moment = Micros::read(value).map(Micros::get);
                column.append_option(moment);
                moment.is_some()
            }
        };
        fits || value.is_null()
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::String(mut column) => Arc::new(column.finish()),
            Self::Bigint(mut column) => Arc::new(column.finish()),
            Self::Double(mut column) => Arc::new(column.finish()),
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
        }
    }
}
