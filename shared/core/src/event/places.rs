//! Where the values stand that a pattern fits, for people to read.

use super::path::{Part, Path, Pattern};
use super::{Event, Id, Kind};
use std::fmt::Write as _;

impl Event {
    /// Each field that a pattern names, written with its places in arrays, `items[0].sku`; without a value where it is
    /// missing. Of what goes any way down only those are told that are there.
    #[must_use]
    pub fn places(&self, pattern: &Pattern) -> Vec<(String, Option<Id>)> {
        let mut places = Vec::new();
        self.walk(self.root(), &pattern.0, &mut String::new(), &mut places);
        if places.is_empty() {
            places.push((pattern.to_string(), None));
        }
        places
    }

    fn walk(&self, at: Id, parts: &[Part], way: &mut String, places: &mut Vec<(String, Option<Id>)>) {
        let kind = self.kind(at);
        let Some((part, rest)) = parts.split_first() else { return places.push((way.clone(), Some(at))) };
        let found: Vec<Id> = match part {
            Part::Key(key) => self.child(at.0, key).map(Id).into_iter().collect(),
            Part::Items if kind == Kind::Array => self.children(at).collect(),
            Part::Items => Vec::new(),
            Part::Deep => {
                if !rest.is_empty() || !matches!(kind, Kind::Array | Kind::Object) {
                    let mut there = Vec::new();
                    self.walk(at, rest, way, &mut there);
                    // Any value might have the field.
                    places.extend(there.into_iter().filter(|(_, id)| id.is_some()));
                }
                self.children(at).collect()
            }
        };
        let length = way.len();
        if found.is_empty() && *part != Part::Deep {
            push(way, &Pattern(parts.to_vec()).to_string());
            places.push((way.clone(), None));
        }
        for (index, id) in found.into_iter().enumerate() {
            match part {
                Part::Deep | Part::Items if kind == Kind::Array => {
                    // Writing to a String cannot fail.
                    let _ = write!(way, "[{index}]");
                }
                _ => push(way, &Path::from_key(self.key(id)).to_string()),
            }
            self.walk(id, if *part == Part::Deep { parts } else { rest }, way, places);
            way.truncate(length);
        }
        way.truncate(length);
    }
}

fn push(way: &mut String, more: &str) {
    if !way.is_empty() && !more.starts_with('[') {
        way.push('.');
    }
    way.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_told_with_its_place() {
        let mut event = Event::default();
        event
            .parse(r#"{"id":1,"items":[{"sku":"A"},{},7,{"sku":null}],"m":[[{"k":1}],[]],"d":{"e.f":"x","g":[{"sku":2}]}}"#)
            .unwrap();
        for (pattern, expected) in [
            ("id", "id 1"),
            ("no.such", "no.such -"),
            ("id.x", "id.x -"),
            (r"d.e\.f", r#"d.e\.f "x""#),
            ("items[].sku", r#"items[0].sku "A", items[1].sku -, items[2].sku -, items[3].sku null"#),
            ("m[][].k", "m[0][0].k 1, m[1][].k -"),
            ("id[].sku", "id[].sku -"),
            ("no[].sku", "no[].sku -"),
            ("d.**", r#"d.e\.f "x", d.g[0].sku 2"#),
            ("**.sku", r#"items[0].sku "A", items[3].sku null, d.g[0].sku 2"#),
            ("**.items[].sku", r#"items[0].sku "A", items[3].sku null"#),
            ("**.no", "**.no -"),
            ("id.**", "id 1"),
        ] {
            let places = event.places(&Pattern::try_from(pattern.to_owned()).unwrap());
            let told = places.into_iter().map(|(place, id)| {
                let mut value = String::from(if id.is_some() { "" } else { "-" });
                if let Some(id) = id {
                    event.write_value(id, &mut value);
                }
                format!("{place} {value}")
            });
            assert_eq!(told.collect::<Vec<_>>().join(", "), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_told_is_what_is_found() {
        let mut event = Event::default();
        event.parse(r#"{"a":[{"b":[1,{"a":2}]},[{"b":3}],{}],"b":{"a":{"b":[]}}}"#).unwrap();
        for pattern in ["a", "a[].b", "a[][].b", "**", "**.b", "a.**", "a[].**.a", "**.b[]", "b.a.b[].x"] {
            let pattern = Pattern::try_from(pattern.to_owned()).unwrap();
            let mut found = Vec::new();
            event.find_all(&pattern, &mut found);
            let told: Vec<Id> = event.places(&pattern).into_iter().filter_map(|(_, id)| id).collect();
            assert_eq!(told, found, "{pattern}");
        }
    }
}
