//! `DynamoDB`'s typed attribute values as plain JSON.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_dynamo::AttributeValue;
use serde_json::{Number, Value};

/// Numbers that JSON's cannot hold exactly stay text; binary becomes base64; sets become sorted arrays.
pub(crate) fn plain(value: AttributeValue) -> Value {
    match value {
        AttributeValue::N(digits) => number(digits),
        AttributeValue::S(text) => text.into(),
        AttributeValue::Bool(flag) => flag.into(),
        AttributeValue::B(bytes) => BASE64_STANDARD.encode(bytes).into(),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::M(map) => map.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        AttributeValue::L(items) => items.into_iter().map(plain).collect(),
        AttributeValue::Ss(mut texts) => {
            texts.sort();
            texts.into()
        }
        AttributeValue::Ns(mut numbers) => {
            numbers.sort();
            numbers.into_iter().map(number).collect()
        }
        AttributeValue::Bs(sets) => {
            let mut texts: Vec<_> = sets.into_iter().map(|bytes| BASE64_STANDARD.encode(bytes)).collect();
            texts.sort();
            texts.into()
        }
    }
}

/// `DynamoDB` has 38 digits; a float is taken only where it stands for just the digits that were written.
fn number(digits: String) -> Value {
    if let Ok(int) = digits.parse::<i64>() {
        return int.into();
    }
    let float = digits.parse::<f64>().ok().and_then(Number::from_f64);
    let significant = |text: &str| {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let kept: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        kept.trim_matches('0').to_owned()
    };
    match float {
        Some(float) if significant(&float.to_string()) == significant(&digits) => Value::Number(float),
        _ => Value::String(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_exact_or_text() {
        for (digits, value) in [
            ("42", json!(42)),
            ("-7", json!(-7)),
            ("12.50", json!(12.5)),
            ("0.1", json!(0.1)),
            ("1E+3", json!(1000.0)),
            ("12345678901234567890123456789012345678", json!("12345678901234567890123456789012345678")),
            ("0.1234567890123456789012345678901234567", json!("0.1234567890123456789012345678901234567")),
        ] {
            assert_eq!(number(digits.to_owned()), value);
        }
    }

    #[test]
    fn all_types_become_plain() {
        let value: AttributeValue = serde_json::from_value(json!({"M": {
            "s": {"S": "x"}, "n": {"N": "1"}, "b": {"B": "AAE="}, "t": {"BOOL": true}, "z": {"NULL": true},
            "l": {"L": [{"N": "2"}, {"S": "y"}]}, "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["3"]}, "bs": {"BS": ["AAE="]},
        }}))
        .unwrap();
        assert_eq!(
            plain(value),
            json!({"s": "x", "n": 1, "b": "AAE=", "t": true, "z": null, "l": [2, "y"], "ss": ["a", "b"], "ns": [3], "bs": ["AAE="]})
        );
    }
}
