//! The values of a table as JSON.

use crate::table::schema::{element, fields, is_moment, is_old_list, is_old_map};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::event::quote;
use millrace_core::time::Micros;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::data_type::Decimal;
use parquet::record::{Field, Row};
use parquet::schema::types::TypePtr;
use std::fmt::{self, Write as _};

pub(super) fn write_row(row: &Row, kind: Option<&TypePtr>, json: &mut String) {
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
