//! `DynamoDB`'s typed attribute values as plain JSON.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html>

use crate::event::quote;
use serde::de::{Deserialize, Deserializer, Error as _};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The attributes of an item, by name.
pub type Item = BTreeMap<String, Attribute>;

/// A value with its type, as it stands in a record of a table's stream.
///
/// Equal values are equal whatever order a set came in. Values of different types are not, though their JSON may be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub enum Attribute {
    /// A text.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Base64),
    /// True or false.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Null.
    #[serde(rename = "NULL")]
    Null(bool),
    /// A map.
    M(Item),
    /// A list.
    L(Vec<Attribute>),
    /// A set of texts.
    #[serde(rename = "SS")]
    Texts(Sorted<String>),
    /// A set of numbers.
    #[serde(rename = "NS")]
    Numbers(Sorted<Number>),
    /// A set of bytes.
    #[serde(rename = "BS")]
    Bytes(Sorted<Base64>),
}

impl Attribute {
    /// Appends the value as JSON without its type: a number digit for digit, bytes as base64, a set as a sorted array.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::S(text) | Self::B(Base64(text)) => quote(text, out),
            Self::N(Number(digits)) => out.push_str(digits),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Null(_) => out.push_str("null"),
            Self::M(item) => write_item(item, out),
            Self::L(items) => write_array(items, out, Self::write),
            Self::Texts(Sorted(texts)) => write_array(texts, out, |text, out| quote(text, out)),
            Self::Numbers(Sorted(numbers)) => {
                write_array(numbers, out, |Number(digits), out| out.push_str(digits));
            }
            Self::Bytes(Sorted(bytes)) => write_array(bytes, out, |Base64(text), out| quote(text, out)),
        }
    }
}

/// Appends an item as a JSON object.
pub(super) fn write_item(item: &Item, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in item.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        quote(name, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

fn write_array<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// The members of a set, sorted: a set has no order, and comes in any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted<T>(Vec<T>);

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for Sorted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Vec::<T>::deserialize(deserializer)?;
        members.sort();
        Ok(Self(members))
    }
}

/// A number as JSON writes it. `DynamoDB`'s have up to 38 digits, more than a float holds, so it stays text.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// The digits as they came, but for what JSON does not know: a plus before them, zeros before them, a bare point.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (sign, number) = match text.strip_prefix('-') {
            Some(number) => ("-", number),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match number.find(['e', 'E']) {
            Some(at) => number.split_at(at),
            None => (number, ""),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let power = exponent.get(1..).unwrap_or_default();
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        let has_digits = whole.len() + fraction.len() > 0 && exponent.is_empty() == power.is_empty();
        if !has_digits || ![whole, fraction, power].into_iter().all(is_digits) {
            return None;
        }
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(Self([sign, whole, point, fraction, exponent].concat()))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| D::Error::custom("no number"))
    }
}

impl Ord for Number {
    /// By value as far as a float holds it, then by the digits.
    fn cmp(&self, other: &Self) -> Ordering {
        let float = |Self(digits): &Self| digits.parse().unwrap_or(f64::NAN);
        float(self).total_cmp(&float(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Bytes as base64, as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base64(String);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(&text).map_err(|_| D::Error::custom("no base64"))?;
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Path};
    use expect_test::expect;
    use proptest::prelude::*;

    fn read(json: &str) -> Option<Attribute> {
        serde_json::from_str(json).ok()
    }

    fn plain(json: &str) -> String {
        let mut out = String::new();
        read(json).unwrap().write(&mut out);
        out
    }

    #[test]
    fn all_types_become_plain() {
        let item = r#"{"M": {
            "text": {"S": "a \"quoted\"\nline"}, "empty": {"S": ""}, "number": {"N": "1"}, "bytes": {"B": "AAE="}, "no bytes": {"B": ""},
            "yes": {"BOOL": true}, "no": {"BOOL": false}, "nothing": {"NULL": true},
            "list": {"L": [{"N": "2"}, {"S": "y"}, {"L": []}, {"M": {}}]}, "map": {"M": {"a": {"M": {"b": {"NULL": true}}}}},
            "texts": {"SS": ["b", "a"]}, "numbers": {"NS": ["20", "3", "-1.5"]}, "blobs": {"BS": ["AQ==", "AAE="]},
            "no texts": {"SS": []}, "no numbers": {"NS": []}, "no blobs": {"BS": []}
        }}"#;
        expect![[r#"{"blobs":["AAE=","AQ=="],"bytes":"AAE=","empty":"","list":[2,"y",[],{}],"map":{"a":{"b":null}},"no":false,"no blobs":[],"no bytes":"","no numbers":[],"no texts":[],"nothing":null,"number":1,"numbers":[-1.5,3,20],"text":"a \"quoted\"\nline","texts":["a","b"],"yes":true}"#]]
            .assert_eq(&plain(item));
    }

    #[test]
    fn a_number_keeps_its_digits() {
        for (digits, json) in [
            ("42", "42"),
            ("-7", "-7"),
            ("12.50", "12.50"),
            ("1E+3", "1E+3"),
            ("-1.5e-130", "-1.5e-130"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("0.1234567890123456789012345678901234567", "0.1234567890123456789012345678901234567"),
            ("+5", "5"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("00", "0"),
        ] {
            assert_eq!(Number::read(digits), Some(Number(json.to_owned())), "{digits}");
        }
        for text in
            ["", ".", "-", "+", "1e", "1e+", "e5", "0x1", "NaN", "Infinity", "1 2", "١", "1.2.3", "--1"]
        {
            assert_eq!(Number::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for json in [
            "{}",
            "null",
            "7",
            r#"{"X": "x"}"#,
            r#"{"S": 7}"#,
            r#"{"N": 7}"#,
            r#"{"N": "seven"}"#,
            r#"{"B": "???"}"#,
            r#"{"B": "AAE"}"#,
            r#"{"SS": ["a", 1]}"#,
            r#"{"S": "a", "N": "1"}"#,
            r#"{"M": []}"#,
            r#"{"L": {}}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn sets_are_equal_in_any_order_and_types_are_not() {
        assert_eq!(read(r#"{"NS": ["1", "20"]}"#), read(r#"{"NS": ["20", "1"]}"#));
        assert_ne!(read(r#"{"L": [{"N": "1"}, {"N": "2"}]}"#), read(r#"{"L": [{"N": "2"}, {"N": "1"}]}"#));
        assert_ne!(read(r#"{"S": "1"}"#), read(r#"{"N": "1"}"#));
        assert_ne!(read(r#"{"S": "AAE="}"#), read(r#"{"B": "AAE="}"#));
    }

    /// Any attribute with the JSON that it is to become.
    fn attribute() -> impl Strategy<Value = (serde_json::Value, serde_json::Value)> {
        use serde_json::{Value, json};
        let leaf = prop_oneof![
            any::<String>().prop_map(|text| (json!({"S": text}), json!(text))),
            any::<i64>().prop_map(|int| (json!({"N": int.to_string()}), json!(int))),
            any::<bool>().prop_map(|flag| (json!({"BOOL": flag}), json!(flag))),
            Just((json!({"NULL": true}), Value::Null)),
            prop::collection::btree_set(any::<String>(), 0..4)
                .prop_map(|set| (json!({"SS": set}), json!(set))),
            prop::collection::btree_set(any::<i32>(), 0..4).prop_map(|set| {
                (json!({"NS": set.iter().rev().map(ToString::to_string).collect::<Vec<_>>()}), json!(set))
            }),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| {
                    let (typed, plain): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                    (json!({"L": typed}), json!(plain))
                }),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(|map| {
                    let typed: serde_json::Map<_, _> =
                        map.iter().map(|(name, (typed, _))| (name.clone(), typed.clone())).collect();
                    let plain: serde_json::Map<_, _> =
                        map.into_iter().map(|(name, (_, plain))| (name, plain)).collect();
                    (json!({"M": typed}), json!(plain))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_becomes_its_json((typed, json) in attribute()) {
            let out = plain(&typed.to_string());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), json);
        }

        /// From the stream's text to the text of the event that goes out, as many digits as a table can hold.
        #[test]
        fn digits_survive_the_event(number in "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,19})?([eE][+-]?[0-9]{1,2})?") {
            let out = plain(&format!(r#"{{"M": {{"n": {{"N": "{number}"}}}}}}"#));
            let event = Event::read(&out).unwrap();
            prop_assert_eq!(event.to_string(), format!(r#"{{"n":{number}}}"#));
            let value = event.get(&Path::from_key("n")).unwrap();
            prop_assert_eq!(value.as_number().unwrap().text(), number);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (Number::read(&text), read(&text), read(&format!(r#"{{"N": "{text}"}}"#)));
        }
    }
}
