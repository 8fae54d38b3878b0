//! A change of a table as an event.
//!
//! The fields are the item's attributes as plain JSON, and beside them the id, type and time that the pipeline wants, and
//! `change`, which says what happened. It then goes the way of any event.

mod attribute;

pub use attribute::{Attribute, Item};

use crate::decode;
use crate::event::{Event, New, Path, Pattern};
use crate::pipeline::{EventSettings, RECEIVED_AT};
use crate::quarantine::Reject;
use crate::time::Micros;
use attribute::write_item;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;

/// The field that says what happened.
const CHANGE: &str = "change";
/// Below it, the old values that are asked for.
const OLD: &str = "old";

/// `[changes]`: what the events of a table's changes have beside the item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangesSettings {
    /// The attributes whose values before the change are kept, below `change.old`. No others are: a value that no step
    /// names would slip past the anonymize steps.
    #[serde(default)]
    #[schemars(with = "Vec<Path>")]
    pub old: Vec<Spanned<Path>>,
}

/// Where an attribute's value before the change stands in the event.
pub(crate) fn old_place(attribute: &Path) -> Path {
    attribute.names().fold(Path::from_key(CHANGE).join(OLD), |place, name| place.join(name))
}

/// The names on the way to a field; where it is an attribute's value before the change, those of the attribute.
pub(crate) fn old_of(field: &Pattern) -> impl Iterator<Item = &str> {
    let is_old = field.names().take(2).eq([CHANGE, OLD]);
    field.names().skip(if is_old { 2 } else { 0 })
}

/// What happened to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Insert,
    /// It is another one.
    Modify,
    /// Somebody deleted it.
    Remove,
    /// Its time to live was over, and the table deleted it.
    Expire,
}

impl Kind {
    /// How events name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Modify => "modify",
            Self::Remove => "remove",
            Self::Expire => "expire",
        }
    }
}

/// A change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What tells it from all others.
    pub id: String,
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: Micros,
    /// Where it stands in its shard.
    pub sequence: String,
    /// The attributes that the item is known by.
    pub keys: Item,
    /// The item afterwards, where the stream has it.
    pub new: Option<Item>,
    /// The item before, where the stream has it.
    pub old: Option<Item>,
}

impl Change {
    /// The event that the change makes, of a table that events know by this name.
    ///
    /// It has the attributes of the item afterwards; else, where the stream has no such image, of the item before; else
    /// the keys alone; `change.attributes` says which. `change` names the key attributes, and those that the change
    /// changed, and leaves their values to the item, where the pipeline's steps find and anonymize them. An attribute that
    /// has the place of one of the event's own fields moves into `change.image`.
    ///
    /// What an event cannot hold is a reject, though hardly any item is: none has more than 400 KB.
    pub fn event(
        &self,
        table: &str,
        event: &EventSettings,
        changes: &ChangesSettings,
    ) -> Result<Event, Reject> {
        let name = self.kind.name();
        let (image, attributes) = match (&self.new, &self.old) {
            (Some(new), _) => (Some(new), "new"),
            (None, Some(old)) => (Some(old), "old"),
            (None, None) => (None, "keys"),
        };
        let keys: Vec<_> = self.keys.keys().collect();
        let mut about = Map::from_iter([
            ("event".to_owned(), json!(name)),
            ("table".to_owned(), json!(table)),
            ("keys".to_owned(), json!(keys)),
            ("attributes".to_owned(), json!(attributes)),
            ("sequence".to_owned(), json!(self.sequence)),
        ]);
        if let (Some(new), Some(old)) = (&self.new, &self.old) {
            about.insert("changed".to_owned(), json!(changed(new, old)));
        }
        let mut fields = String::new();
        write_item(image.unwrap_or(&self.keys), &mut fields);
        let mut made = Event::default();
        decode::text(&fields, &mut made)?;
        for (key, value) in
            self.keys.iter().filter(|(key, _)| image.is_some_and(|image| !image.contains_key(*key)))
        {
            fields.clear();
            value.write(&mut fields);
            made.put(&Path::from_key(key), New::Json(&fields));
        }
        self.put_own(&mut made, table, &Value::Object(about), event);
        self.put_old(&mut made, changes)?;
        Ok(made)
    }

    /// Puts the event's own fields where they belong, and what stood there aside.
    fn put_own(&self, event: &mut Event, table: &str, about: &Value, settings: &EventSettings) {
        let change = Path::from_key(CHANGE);
        let aside = Path::from_key("\0image");
        let at = json!(self.at.get());
        let own = [
            (&settings.id, json!(self.id)),
            (&settings.r#type, json!(format!("{table}.{}", self.kind.name()))),
            (&settings.time, at.clone()),
            (&Path::from_key(RECEIVED_AT), at),
            (&change, about.clone()),
        ];
        for (path, _) in &own {
            if let Some(taken) = event.find(path) {
                event.move_to(taken, &aside.join(&path.to_string()));
            }
        }
        for (path, value) in own {
            event.put(path, New::Json(&value.to_string()));
        }
        if let Some(moved) = event.find(&aside) {
            event.move_to(moved, &change.join("image"));
        }
    }

    /// Puts the old values that are asked for, where there is a new item beside the old one.
    fn put_old(&self, event: &mut Event, changes: &ChangesSettings) -> Result<(), Reject> {
        let (Some(_), Some(item)) = (&self.new, &self.old) else { return Ok(()) };
        if changes.old.is_empty() {
            return Ok(());
        }
        let (mut json, mut old) = (String::new(), Event::default());
        write_item(item, &mut json);
        decode::text(&json, &mut old)?;
        for path in &changes.old {
            if let Some(value) = old.find(path.get_ref()) {
                json.clear();
                old.write_value(value, &mut json);
                event.put(&old_place(path.get_ref()), New::Json(&json));
            }
        }
        Ok(())
    }
}

/// The names of the attributes that differ, sorted.
fn changed<'a>(new: &'a Item, old: &'a Item) -> Vec<&'a str> {
    let differ = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let mut names: Vec<_> = differ.map(|(name, _)| name.as_str()).chain(gone.map(String::as_str)).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NONE;
    use crate::pipeline::Pipeline;
    use expect_test::{Expect, expect};

    const EVENT: &str = "[event]\nid = \"id\"\ntype = \"type\"\ntime = \"at\"\n";

    fn item(json: &str) -> Item {
        serde_json::from_str(json).unwrap()
    }

    fn change(kind: Kind, new: Option<&str>, old: Option<&str>) -> Change {
        Change {
            id: "e1".into(),
            kind,
            at: Micros::new(1_795_179_908_000_000).unwrap(),
            sequence: "111".into(),
            keys: item(r#"{"orderId": {"S": "o-1"}}"#),
            new: new.map(item),
            old: old.map(item),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(settings: &str, change: &Change, expected: Expect) {
        let pipeline = Pipeline::compile(&format!("{EVENT}{settings}"), &NONE).unwrap();
        let event = change.event("orders", pipeline.event(), pipeline.changes()).unwrap();
        expected.assert_eq(&event.to_string());
    }

    const NEW: &str = r#"{"orderId": {"S": "o-1"}, "status": {"S": "paid"}, "tags": {"SS": ["a", "b"]}, "price": {"N": "7"}}"#;
    const OLD_ITEM: &str = r#"{"orderId": {"S": "o-1"}, "status": {"S": "new"}, "tags": {"SS": ["b", "a"]}, "note": {"S": "ring twice"}}"#;

    #[test]
    fn a_change_says_what_the_stream_shows_of_it() {
        // NEW_AND_OLD_IMAGES
        check(
            "",
            &change(Kind::Insert, Some(NEW), None),
            expect![[
                r#"{"orderId":"o-1","price":7,"status":"paid","tags":["a","b"],"id":"e1","type":"orders.insert","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","event":"insert","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        check(
            "",
            &change(Kind::Modify, Some(NEW), Some(OLD_ITEM)),
            expect![[
                r#"{"orderId":"o-1","price":7,"status":"paid","tags":["a","b"],"id":"e1","type":"orders.modify","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","changed":["note","price","status"],"event":"modify","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        check(
            "",
            &change(Kind::Remove, None, Some(OLD_ITEM)),
            expect![[
                r#"{"note":"ring twice","orderId":"o-1","status":"new","tags":["a","b"],"id":"e1","type":"orders.remove","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"old","event":"remove","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        check(
            "",
            &change(Kind::Expire, None, Some(OLD_ITEM)),
            expect![[
                r#"{"note":"ring twice","orderId":"o-1","status":"new","tags":["a","b"],"id":"e1","type":"orders.expire","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"old","event":"expire","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        // NEW_IMAGE
        check(
            "",
            &change(Kind::Modify, Some(NEW), None),
            expect![[
                r#"{"orderId":"o-1","price":7,"status":"paid","tags":["a","b"],"id":"e1","type":"orders.modify","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","event":"modify","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        check(
            "",
            &change(Kind::Remove, None, None),
            expect![[
                r#"{"orderId":"o-1","id":"e1","type":"orders.remove","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"keys","event":"remove","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        // OLD_IMAGE
        check(
            "",
            &change(Kind::Modify, None, Some(OLD_ITEM)),
            expect![[
                r#"{"note":"ring twice","orderId":"o-1","status":"new","tags":["a","b"],"id":"e1","type":"orders.modify","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"old","event":"modify","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
        // KEYS_ONLY
        check(
            "",
            &change(Kind::Insert, None, None),
            expect![[
                r#"{"orderId":"o-1","id":"e1","type":"orders.insert","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"keys","event":"insert","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
    }

    #[test]
    fn only_the_old_values_that_are_named_are_there() {
        let settings = "[changes]\nold = [\"status\", \"price\", \"address.city\"]\n";
        let old = r#"{"orderId": {"S": "o-1"}, "status": {"S": "new"}, "email": {"S": "ann@example.com"}, "address": {"M": {"city": {"S": "Bonn"}, "line1": {"S": "Main St 1"}}}}"#;
        check(
            settings,
            &change(Kind::Modify, Some(NEW), Some(old)),
            expect![[
                r#"{"orderId":"o-1","price":7,"status":"paid","tags":["a","b"],"id":"e1","type":"orders.modify","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","changed":["address","email","price","status","tags"],"event":"modify","keys":["orderId"],"sequence":"111","table":"orders","old":{"status":"new","address":{"city":"Bonn"}}}}"#
            ]],
        );
        // There is nothing beside which the old ones would tell more.
        check(
            settings,
            &change(Kind::Remove, None, Some(old)),
            expect![[
                r#"{"address":{"city":"Bonn","line1":"Main St 1"},"email":"ann@example.com","orderId":"o-1","status":"new","id":"e1","type":"orders.remove","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"old","event":"remove","keys":["orderId"],"sequence":"111","table":"orders"}}"#
            ]],
        );
    }

    #[test]
    fn what_an_event_cannot_hold_is_told() {
        let pipeline = Pipeline::compile(EVENT, &NONE).unwrap();
        let change = change(Kind::Insert, Some(r#"{"n": {"N": "1e999"}}"#), None);
        let why = change.event("orders", pipeline.event(), pipeline.changes()).unwrap_err();
        assert_eq!(why.reason, "not_json");
    }

    #[test]
    fn attributes_in_the_place_of_the_events_own_move_aside() {
        let new = r#"{"orderId": {"S": "o-1"}, "id": {"N": "7"}, "change": {"S": "mine"}}"#;
        check(
            "[changes]\nold = [\"id\"]\n",
            &change(Kind::Modify, Some(new), Some(new)),
            expect![[
                r#"{"orderId":"o-1","id":"e1","type":"orders.modify","at":1795179908000000,"receivedAt":1795179908000000,"change":{"attributes":"new","changed":[],"event":"modify","keys":["orderId"],"sequence":"111","table":"orders","image":{"id":7,"change":"mine"},"old":{"id":7}}}"#
            ]],
        );
    }
}
