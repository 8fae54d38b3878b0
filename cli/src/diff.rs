//! What differs between two events, field by field.

use millrace_core::event::{Event, Id, Value};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt::Write as _;

/// A field that differs. Without `before` it was added, without `after` it was removed.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    /// As `pipeline.toml` writes it, with places in arrays: `items[0].sku`.
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Box<RawValue>>,
}

/// All that differs, in the order of the fields before, then what was added.
pub(crate) fn changes(before: &Event, after: &Event) -> Vec<Change> {
    let mut diff = Diff { before, after, path: String::new(), changes: Vec::new() };
    diff.both(before.root(), after.root());
    diff.changes
}

/// The JSON of a value.
pub(crate) fn json(event: &Event, id: Id) -> Option<Box<RawValue>> {
    let mut text = String::new();
    event.write_value(id, &mut text);
    RawValue::from_string(text).ok()
}

struct Diff<'a> {
    before: &'a Event,
    after: &'a Event,
    path: String,
    changes: Vec<Change>,
}

impl Diff<'_> {
    fn both(&mut self, before: Id, after: Id) {
        match (self.before.value(before), self.after.value(after)) {
            (Value::Object(_), Value::Object(_)) => self.members(before, after),
            (Value::Array(_), Value::Array(_)) => self.elements(before, after),
            (old, new) if same(old, new) => {}
            _ => self.note(Some(before), Some(after)),
        }
    }

    fn members(&mut self, before: Id, after: Id) {
        let (old, new) = (self.before, self.after);
        let mut added: Vec<Id> = new.children(after).collect();
        let by_key: HashMap<&str, Id> = added.iter().map(|id| (new.key(*id), *id)).collect();
        for child in old.children(before) {
            let twin = by_key.get(old.key(child)).copied();
            self.at(old.key(child), |diff| match twin {
                Some(twin) => diff.both(child, twin),
                None => diff.note(Some(child), None),
            });
        }
        let known: HashMap<&str, Id> = old.children(before).map(|id| (old.key(id), id)).collect();
        added.retain(|id| !known.contains_key(new.key(*id)));
        for child in added {
            self.at(new.key(child), |diff| diff.note(None, Some(child)));
        }
    }

    fn elements(&mut self, before: Id, after: Id) {
        let old: Vec<Id> = self.before.children(before).collect();
        let new: Vec<Id> = self.after.children(after).collect();
        for index in 0..old.len().max(new.len()) {
            let length = self.path.len();
            let _ = write!(self.path, "[{index}]"); // writing to a String cannot fail
            match (old.get(index), new.get(index)) {
                (Some(old), Some(new)) => self.both(*old, *new),
                (old, new) => self.note(old.copied(), new.copied()),
            }
            self.path.truncate(length);
        }
    }

    /// Does something one key further down.
    fn at(&mut self, key: &str, work: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(&key.replace('.', "\\."));
        work(self);
        self.path.truncate(length);
    }

    fn note(&mut self, before: Option<Id>, after: Option<Id>) {
        self.changes.push(Change {
            path: self.path.clone(),
            before: before.and_then(|id| json(self.before, id)),
            after: after.and_then(|id| json(self.after, id)),
        });
    }
}

/// Whether two values that are no containers say the same. `1` and `1.0` do not: a column takes one of them.
fn same(before: Value<'_>, after: Value<'_>) -> bool {
    match (before, after) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(old), Value::Bool(new)) => old == new,
        (Value::String(old), Value::String(new)) => old == new,
        (Value::Number(old), Value::Number(new)) => {
            old.text() == new.text()
                || !old.is_integer() && !new.is_integer() && old.as_f64().to_bits() == new.as_f64().to_bits()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(before: &str, after: &str, expected: Expect) {
        let changes = changes(&Event::read(before).unwrap(), &Event::read(after).unwrap());
        let lines: Vec<_> = changes.iter().map(|change| serde_json::to_string(change).unwrap()).collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        check(r#"{"a":"é","b":[1,{"c":2.50}]}"#, r#"{"b":[1,{"c":2.5}],"a":"\u00e9"}"#, expect![[""]]);
    }

    #[test]
    fn fields_are_added_changed_and_removed() {
        check(
            r#"{"a":1,"b":{"c":"x","d":null},"e.f":true}"#,
            r#"{"a":1.0,"b":{"c":"y","g":[]},"h":{"i":1}}"#,
            expect![[r#"
                {"path":"a","before":1,"after":1.0}
                {"path":"b.c","before":"x","after":"y"}
                {"path":"b.d","before":null}
                {"path":"b.g","after":[]}
                {"path":"e\\.f","before":true}
                {"path":"h","after":{"i":1}}"#]],
        );
        check(r#"{"a":{"b":1}}"#, r#"{"a":7}"#, expect![[r#"{"path":"a","before":{"b":1},"after":7}"#]]);
    }

    #[test]
    fn arrays_are_compared_place_by_place() {
        check(
            r#"{"a":[1,{"b":2},3]}"#,
            r#"{"a":[1,{"b":4}]}"#,
            expect![[r#"
            {"path":"a[1].b","before":2,"after":4}
            {"path":"a[2]","before":3}"#]],
        );
        check(r#"{"a":[]}"#, r#"{"a":[[1]]}"#, expect![[r#"{"path":"a[0]","after":[1]}"#]]);
    }
}
