//! The object that a step puts into an event, written as JSON, member by member.

use crate::event::{Event, Id, New, Path, quote};

/// Puts an object in place of whatever is at this path from another one on; an empty text is none.
pub(crate) fn replace(event: &mut Event, top: Id, into: &Path, json: &str) {
    event.remove_at_in(top, into);
    if !json.is_empty() {
        event.put_in(top, into, New::Json(json));
    }
}

/// Adds members to the JSON of an object.
pub(crate) struct Members<'a>(&'a mut String);

/// Writes an object in place of what the text holds; an empty text where it has no members.
pub(crate) fn object(json: &mut String, members: impl FnOnce(&mut Members<'_>)) {
    json.clear();
    members(&mut Members(json));
    if !json.is_empty() {
        json.push('}');
    }
}

impl Members<'_> {
    /// A member, its value in JSON.
    pub(crate) fn json(&mut self, key: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        quote(key, self.0);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// A text, where there is one.
    pub(crate) fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.json(key, "");
            quote(text, self.0);
        }
    }

    /// A float, where there is one.
    pub(crate) fn float(&mut self, key: &str, float: Option<f64>) {
        if let Some(float) = float.filter(|float| float.is_finite()) {
            self.json(key, zmij::Buffer::new().format_finite(float));
        }
    }

    /// An integer, where there is one.
    pub(crate) fn int(&mut self, key: &str, int: Option<i64>) {
        if let Some(int) = int {
            self.json(key, itoa::Buffer::new().format(int));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_what_is_there() {
        let mut json = "before".to_owned();
        object(&mut json, |_| {});
        assert_eq!(json, "");
        object(&mut json, |members| {
            members.text("say \"no\"", Some("a\nb"));
            members.text("none", None);
            members.float("f", Some(1.5));
            members.float("nan", Some(f64::NAN));
            members.int("i", Some(-7));
        });
        assert_eq!(json, r#"{"say \"no\"":"a\nb","f":1.5,"i":-7}"#);
    }
}
