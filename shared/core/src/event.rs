//! An event, one JSON object, and the paths into it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// One JSON object. Of a key that stands twice the last one counts, as in JavaScript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event(Map<String, Value>);

impl Event {
    /// The value at a path; none where a key is missing or something on the way is no object.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Value> {
        let mut value = self.0.get(path.first())?;
        for key in path.rest() {
            value = value.as_object()?.get(key)?;
        }
        Some(value)
    }

    /// The value at a path, to change it in place.
    pub fn get_mut(&mut self, path: &Path) -> Option<&mut Value> {
        let mut value = self.0.get_mut(path.first())?;
        for key in path.rest() {
            value = value.as_object_mut()?.get_mut(key)?;
        }
        Some(value)
    }

    /// The value at a path, null counting as missing.
    #[must_use]
    pub fn present(&self, path: &Path) -> Option<&Value> {
        self.get(path).filter(|value| !value.is_null())
    }

    /// Puts a value at a path. What stands in the way and is no object makes room.
    pub fn set(&mut self, path: &Path, value: impl Into<Value>) {
        let mut slot = self.0.entry(path.first()).or_insert(Value::Null);
        for key in path.rest() {
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let Value::Object(map) = slot else { return };
            slot = map.entry(key).or_insert(Value::Null);
        }
        *slot = value.into();
    }

    /// Takes the value at a path out of the event. Objects that it leaves empty go with it.
    pub fn remove(&mut self, path: &Path) -> Option<Value> {
        fn take(map: &mut Map<String, Value>, key: &str, rest: &[String]) -> Option<Value> {
            let Some((next, rest)) = rest.split_first() else { return map.remove(key) };
            let inner = map.get_mut(key)?.as_object_mut()?;
            let taken = take(inner, next, rest)?;
            if inner.is_empty() {
                map.remove(key);
            }
            Some(taken)
        }
        take(&mut self.0, path.first(), path.rest())
    }

    /// Whether objects and arrays are nested in more levels than this; the event itself is the first.
    #[must_use]
    pub fn is_deeper_than(&self, levels: usize) -> bool {
        fn deeper(value: &Value, levels: usize) -> bool {
            let Some(left) = levels.checked_sub(1) else { return value.is_object() || value.is_array() };
            match value {
                Value::Object(map) => map.values().any(|value| deeper(value, left)),
                Value::Array(items) => items.iter().any(|value| deeper(value, left)),
                _ => false,
            }
        }
        levels == 0 || self.0.values().any(|value| deeper(value, levels - 1))
    }

    /// The top-level fields.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Event {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// The way to a field: keys with dots between them, `data.x`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    first: String,
    rest: Vec<String>,
}

impl Path {
    /// The path of a top-level key, whatever signs are in it.
    #[must_use]
    pub fn from_key(key: impl Into<String>) -> Self {
        Self { first: key.into(), rest: Vec::new() }
    }

    /// The top-level key.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    fn rest(&self) -> &[String] {
        &self.rest
    }

    /// The path one key further down.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        let mut longer = self.clone();
        longer.rest.push(key.to_owned());
        longer
    }
}

/// A path is keys with single dots between them.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no field path: it is keys with single dots between them, like `data.x`")]
pub struct NoPath(String);

impl TryFrom<String> for Path {
    type Error = NoPath;

    fn try_from(text: String) -> Result<Self, NoPath> {
        let mut keys = text.split('.').map(str::to_owned);
        match (keys.next(), keys.collect::<Vec<_>>()) {
            (Some(first), rest) if !first.is_empty() && rest.iter().all(|key| !key.is_empty()) => {
                Ok(Self { first, rest })
            }
            _ => Err(NoPath(text)),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        self.rest.iter().try_for_each(|key| write!(f, ".{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> Path {
        Path::try_from(text.to_owned()).unwrap()
    }

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn paths_reach_into_nested_objects() {
        let event = event(json!({"a": {"b": {"c": 1}}, "n": null}));
        assert_eq!(event.get(&path("a.b.c")), Some(&json!(1)));
        assert_eq!(event.get(&path("a.x.c")), None);
        assert_eq!(event.get(&path("n.c")), None);
        assert_eq!((event.get(&path("n")), event.present(&path("n"))), (Some(&json!(null)), None));
    }

    #[test]
    fn set_makes_the_way() {
        let mut event = event(json!({"a": 1}));
        event.set(&path("a.b"), 2);
        event.set(&path("c.d.e"), "x");
        assert_eq!(event.to_string(), r#"{"a":{"b":2},"c":{"d":{"e":"x"}}}"#);
    }

    #[test]
    fn remove_leaves_no_empty_objects() {
        let mut event = event(json!({"a": {"b": {"c": 1}}, "d": 2}));
        assert_eq!(event.remove(&path("a.b.c")), Some(json!(1)));
        assert_eq!(event.remove(&path("d.e")), None);
        assert_eq!(event.to_string(), r#"{"d":2}"#);
    }

    #[test]
    fn a_path_has_no_empty_keys() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert!(Path::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
