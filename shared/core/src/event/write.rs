//! Nodes back to JSON, on one line.

use super::special::plain;
use super::{Event, Id, Kind, Node, ROOT, Span};

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
                let mut members =
                    self.children(Id(id)).map(|child| (child.0, self.as_it_came(child.0))).peekable();
                let mut at = 0;
                while let Some((child, came)) = members.next() {
                    if at > 0 {
                        out.push(',');
                    }
                    at += 1;
                    let Some(mut came) = came else {
                        self.write_member(child, out);
                        continue;
                    };
                    // What stands side by side in the text goes out at once.
                    while let Some((_, next)) = members.next_if(|(_, next)| {
                        next.is_some_and(|next| {
                            next.start == came.end + 1
                                && self.bytes(Span { start: came.end, end: next.start }) == b","
                        })
                    }) {
                        came.end = next.map_or(came.end, |next| next.end);
                    }
                    out.push_str(self.slice(came));
                }
                out.push('}');
            }
        }
    }

    fn write_member(&self, id: u32, out: &mut String) {
        let node = self.node(id);
        if node.key_escaped {
            quote(self.slice(node.key), out);
        } else {
            out.push('"');
            out.push_str(self.slice(node.key));
            out.push('"');
        }
        out.push(':');
        self.write_node(id, out);
    }

    /// Where a member's key and value stand in the text with nothing but a colon between them, if they do.
    fn as_it_came(&self, id: u32) -> Option<Span> {
        let node = self.node(id);
        let Span { start, end } = node.key;
        let is_whole = !node.changed && !node.key_escaped && !self.lines && node.raw.start == end + 2;
        let has = |start: u32, signs: &[u8]| {
            self.text.as_bytes().get(start as usize..).is_some_and(|text| text.starts_with(signs))
        };
        let start =
            start.checked_sub(1).filter(|start| is_whole && has(*start, b"\"") && has(end, b"\":"))?;
        Some(Span { start, end: node.raw.end })
    }

    fn is_as_it_came(&self, node: &Node) -> bool {
        !node.changed && (node.kind == Kind::String || !self.lines)
    }
}

/// Appends a text as a JSON string.
pub fn quote(text: &str, out: &mut String) {
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
