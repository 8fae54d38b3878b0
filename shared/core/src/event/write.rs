//! Nodes back to JSON, on one line.

use super::{Event, Id, Kind, Node, ROOT};
use wide::u8x16;

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

/// Whether JSON cannot hold a text as it is.
pub(super) fn needs_escape(text: &str) -> bool {
    plain(text.as_bytes()) < text.len()
}

/// Whether a byte cannot stand in a string of JSON.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The bytes that are looked at together.
const WIDTH: usize = 16;

/// A bit for each of the bytes that cannot stand in a string of JSON, the lowest for the first.
#[inline]
fn special(bytes: [u8; WIDTH]) -> u32 {
    let bytes = u8x16::new(bytes);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// How many bytes can stand in a string as they are.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        let ends = special(*chunk);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += WIDTH;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
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
