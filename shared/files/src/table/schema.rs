//! The schema of a table: what the library is told of it, and which lists and maps are written as of old.

use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// A schema of the same columns for the library. INT96 has moments to the nanosecond, of which it would hand over milliseconds,
/// and at an INTERVAL it would panic: both are twelve bytes. Lists and maps that only the rules for old writers tell are the
/// groups that they are written as.
pub(super) fn structure(kind: &Type) -> Result<Type, ParquetError> {
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
pub(super) fn is_moment(kind: &Type) -> bool {
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
pub(super) fn is_old_list(kind: &Type) -> bool {
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
pub(super) fn is_old_map(kind: &Type) -> bool {
    let is_map =
        matches!(kind.get_basic_info().converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
    is_map && matches!(fields(kind), [pairs] if is_repeated(pairs) && fields(pairs).len() == 2)
}

/// The fields of a group.
pub(super) fn fields(kind: &Type) -> &[TypePtr] {
    if kind.is_primitive() { &[] } else { kind.get_fields() }
}

/// What a list is of: what is repeated by itself, or stands in what is.
pub(super) fn element(kind: &TypePtr) -> Option<&TypePtr> {
    if is_repeated(kind) { Some(kind) } else { fields(fields(kind).first()?).first() }
}
