//! Nodes back to JSON, on one line.

use super::special::plain;
use super::{Event, Id, Kind, Node, ROOT};

impl Event {
    /// Appends the event's JSON: one line, without a line end.
    pub fn write(&self, out: &mut String) {
        self.write_node(ROOT, out);
    }

    /// Appends the JSON of one value.
    pub fn write_value(&self, id: Id, out: &mut String) {
        self.write_node(id.0, out);
    }

    fn write_node(&self, id: u32, out: &mut String) {
        let node = self.node(id);
        match node.kind {
            Kind::Null => out.push_str("null"),
            Kind::False => out.push_str("false"),
            Kind::True => out.push_str("true"),
            Kind::Integer | Kind::Float => out.push_str(self.slice(node.raw)),
            Kind::String | Kind::Array | Kind::Object if self.is_as_it_came(node) => {
                out.push_str(self.slice(node.raw));
            }
            Kind::String => quote(self.slice(node.data), out),
            Kind::Array => {
                out.push('[');
                for (at, child) in self.children(Id(id)).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.write_node(child.0, out);
                }
                out.push(']');
            }
            Kind::Object => {
                out.push('{');
                for (at, child) in self.children(Id(id)).enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    let node = self.node(child.0);
                    if node.key_escaped {
                        quote(self.slice(node.key), out);
                    } else {
                        out.push('"');
                        out.push_str(self.slice(node.key));
                        out.push('"');
                    }
                    out.push(':');
                    self.write_node(child.0, out);
                }
                out.push('}');
            }
        }
    }

    fn is_as_it_came(&self, node: &Node) -> bool {
        !node.changed && (node.kind == Kind::String || !self.lines)
    }
}

/// Appends a text as a JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let at = plain(rest.as_bytes());
        if at == rest.len() {
            break;
        }
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(control) => {
                out.push_str("\\u00");
                out.push(if u32::from(control) < 16 { '0' } else { '1' });
                out.push(char::from_digit(u32::from(control) & 15, 16).unwrap_or_default());
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}
