//! One line of JSON: the fields of the job, borrowed from the line wherever they are written without escapes.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The fields that the job asks for. What is absent, null or of another type is `None`.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "they are called what they are called in the event")]
pub struct Event<'a> {
    pub id: Text<'a>,
    pub event_type: Text<'a>,
    pub timestamp: Text<'a>,
    pub session_id: Text<'a>,
    pub browser: Text<'a>,
    pub target: Text<'a>,
    pub user_id: Text<'a>,
    pub email: Text<'a>,
    pub ip: Text<'a>,
    pub user_agent: Text<'a>,
    pub path: Text<'a>,
    pub data: Data<'a>,
}

/// What the job asks for of `data`.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "they are called what they are called in the event")]
pub struct Data<'a> {
    pub price: Option<f64>,
    pub x: Option<i64>,
    pub y: Option<i64>,
    pub text: Text<'a>,
}

/// A JSON string, or `None` for any other value.
pub type Text<'a> = Option<Cow<'a, str>>;

impl<'a> Event<'a> {
    /// `None` where the line is not one JSON object.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        sonic_rs::from_slice(line).ok()
    }
}

/// The keys of an object, and for each the field it fills and the type it must have.
macro_rules! object {
    ($what:ident, $keys:ident, $($name:literal => $variant:ident, $field:ident, $kind:ty;)+) => {
        enum $keys { $($variant,)+ Other }

        impl<'de> Deserialize<'de> for $keys {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Key;
                impl Visitor<'_> for Key {
                    type Value = $keys;
                    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result { f.write_str("a key") }
                    fn visit_str<E>(self, key: &str) -> Result<$keys, E> {
                        Ok(match key { $($name => $keys::$variant,)+ _ => $keys::Other })
                    }
                }
                from.deserialize_str(Key)
            }
        }

        impl<'de> $what<'de> {
            fn fill<M: MapAccess<'de>>(mut map: M) -> Result<Self, M::Error> {
                let mut this = Self::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        $($keys::$variant => this.$field = map.next_value::<Any<$kind>>()?.0,)+
                        $keys::Other => { map.next_value::<IgnoredAny>()?; }
                    }
                }
                Ok(this)
            }
        }
    };
}

object! { Event, EventKey,
    "id" => Id, id, Str;
    "eventType" => EventType, event_type, Str;
    "timestamp" => Timestamp, timestamp, Str;
    "sessionId" => SessionId, session_id, Str;
    "browser" => Browser, browser, Str;
    "target" => Target, target, Str;
    "userId" => UserId, user_id, Str;
    "email" => Email, email, Str;
    "ip" => Ip, ip, Str;
    "userAgent" => UserAgent, user_agent, Str;
    "path" => Path, path, Str;
    "data" => Data, data, Object;
}

object! { Data, DataKey,
    "price" => Price, price, Number;
    "x" => X, x, Int;
    "y" => Y, y, Int;
    "text" => Text, text, Str;
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Event<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Event<'de>, M::Error> {
                Event::fill(map)
            }
        }
        from.deserialize_map(Whole)
    }
}

/// Any value: `K` says of which type it must be to count. Other types give the default.
struct Any<'de, K: Kind<'de>>(K::Value);

/// A type of JSON value: what has it is taken, the rest is passed over.
trait Kind<'de> {
    type Value: Default;
    fn borrowed(_: &'de str) -> Self::Value {
        Self::Value::default()
    }
    fn unescaped(_: &str) -> Self::Value {
        Self::Value::default()
    }
    fn int(_: i64) -> Self::Value {
        Self::Value::default()
    }
    fn large(_: u64) -> Self::Value {
        Self::Value::default()
    }
    fn float(_: f64) -> Self::Value {
        Self::Value::default()
    }
    fn object<M: MapAccess<'de>>(mut map: M) -> Result<Self::Value, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::Value::default())
    }
}

enum Str {}
enum Number {}
enum Int {}
enum Object {}

impl<'de> Kind<'de> for Str {
    type Value = Text<'de>;
    fn borrowed(text: &'de str) -> Text<'de> {
        Some(Cow::Borrowed(text))
    }
    fn unescaped(text: &str) -> Text<'de> {
        Some(Cow::Owned(text.into()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what the job asks for")]
impl Kind<'_> for Number {
    type Value = Option<f64>;
    fn int(number: i64) -> Option<f64> {
        Some(number as f64)
    }
    fn large(number: u64) -> Option<f64> {
        Some(number as f64)
    }
    fn float(number: f64) -> Option<f64> {
        Some(number)
    }
}

impl Kind<'_> for Int {
    type Value = Option<i64>;
    fn int(number: i64) -> Option<i64> {
        Some(number)
    }
    fn large(number: u64) -> Option<i64> {
        number.try_into().ok()
    }
}

impl<'de> Kind<'de> for Object {
    type Value = Data<'de>;
    fn object<M: MapAccess<'de>>(map: M) -> Result<Data<'de>, M::Error> {
        Data::fill(map)
    }
}

impl<'de, K: Kind<'de>> Deserialize<'de> for Any<'de, K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value<K>(PhantomData<K>);
        impl<'de, K: Kind<'de>> Visitor<'de> for Value<K> {
            type Value = K::Value;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<K::Value, E> {
                Ok(K::borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<K::Value, E> {
                Ok(K::unescaped(text))
            }
            fn visit_i64<E>(self, number: i64) -> Result<K::Value, E> {
                Ok(K::int(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<K::Value, E> {
                Ok(K::large(number))
            }
            fn visit_f64<E>(self, number: f64) -> Result<K::Value, E> {
                Ok(K::float(number))
            }
            fn visit_bool<E>(self, _: bool) -> Result<K::Value, E> {
                Ok(K::Value::default())
            }
            fn visit_unit<E>(self) -> Result<K::Value, E> {
                Ok(K::Value::default())
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<K::Value, S::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(K::Value::default())
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<K::Value, M::Error> {
                K::object(map)
            }
        }
        from.deserialize_any(Value::<K>(PhantomData)).map(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_types_give_nothing() {
        let line = br#"{"id":1,"browser":["a",{}],"target":"a\n","data":{"x":1.5,"y":-2,"price":3,"text":{"a":[]}},"z":{"id":"b"}}"#;
        let event = Event::read(line).unwrap();
        assert_eq!((event.id, event.browser, event.target.as_deref()), (None, None, Some("a\n")));
        assert_eq!((event.data.x, event.data.y, event.data.price), (None, Some(-2), Some(3.0)));
        assert_eq!(event.data.text, None);
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for line in [
            "",
            "null",
            "[]",
            "[{}]",
            "{}{}",
            "{\"a\":tru}",
            "{\"a\":\"",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":\"\\x\"}",
        ] {
            assert!(Event::read(line.as_bytes()).is_none(), "{line}");
        }
        assert!(Event::read(b" {\"data\":[]} ").is_some());
        assert!(Event::read(b"{\"a\":\"\xff\"}").is_none());
    }
}
