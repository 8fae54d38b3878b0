//! How deep the schema of a Parquet file is, read off its footer before the library sees it. That goes from level to level by
//! calling itself, so a footer of a few hundred KB could take all of its stack, and with it the process.
//!
//! The footer is `FileMetaData`, in Thrift's compact protocol: its second field is the list of the schema's elements, each group
//! before its children.
//!
//! - <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>
//! - <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

use millrace_core::event::DEPTH_MAX;

/// The deepest value in a footer that is passed over: what the format has is less.
const SKIPPED_MAX: usize = 16;

/// Types of the compact protocol.
mod kind {
    pub(super) const STOP: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
}

/// Whether the schema has no more levels than an event may; none where this is no footer.
pub(crate) fn is_flat_enough(footer: &[u8]) -> Option<bool> {
    let mut bytes = Bytes(footer);
    let mut before = 0;
    loop {
        match bytes.field(before)? {
            (_, kind::STOP) => return None,
            (2, kind::LIST) => break,
            (field, kind) => {
                bytes.skip(kind, 0)?;
                before = field;
            }
        }
    }
    let (elements, kind::STRUCT) = bytes.list()? else { return None };
    // How many children are to come, of each group that is open.
    let mut open: Vec<u64> = Vec::new();
    for _ in 0..elements {
        while open.pop_if(|children| *children == 0).is_some() {}
        if let Some(children) = open.last_mut() {
            *children -= 1;
        }
        match bytes.children()? {
            0 => {}
            _ if open.len() > DEPTH_MAX => return Some(false),
            children => open.push(children),
        }
    }
    Some(true)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A number of seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The number and the type of the next field of a struct, behind the field with this number.
    fn field(&mut self, before: u64) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let (ahead, kind) = (head >> 4, head & 0x0f);
        if kind == kind::STOP || ahead > 0 {
            return Some((before.wrapping_add(ahead.into()), kind));
        }
        // Zigzag. The library keeps 16 bits of it, and the sign: what has more, or one below zero, could be two fields.
        let field = self.number()?;
        (field % 2 == 0 && field <= 2 * i16::MAX as u64).then_some((field / 2, kind))
    }

    /// How many elements a list or set has, and their type.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let few = u64::from(head >> 4);
        let count = if few == 15 { self.number()? } else { few };
        Some((count, head & 0x0f))
    }

    /// Passes over a `SchemaElement`; how many children it has.
    fn children(&mut self) -> Option<u64> {
        let (mut before, mut children) = (0, 0);
        loop {
            let (field, kind) = self.field(before)?;
            match (field, kind) {
                (_, kind::STOP) => return Some(children),
                (5, kind::I32) => children = self.number()? / 2, // zigzag; a leaf has none, or 0
                _ => self.skip(kind, 0)?,
            }
            before = field;
        }
    }

    /// Passes over a value of this type.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > SKIPPED_MAX {
            return None;
        }
        let within = |kind| if matches!(kind, kind::TRUE | kind::FALSE) { kind::BYTE } else { kind };
        match kind {
            kind::TRUE | kind::FALSE => {}
            kind::BYTE => self.pass(1)?,
            kind::I16 | kind::I32 | kind::I64 => drop(self.number()?),
            kind::DOUBLE => self.pass(8)?,
            kind::BINARY => {
                let length = self.number()?;
                self.pass(length)?;
            }
            kind::LIST | kind::SET => {
                let (count, kind) = self.list()?;
                for _ in 0..count {
                    self.skip(within(kind), depth + 1)?;
                }
            }
            kind::MAP => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                for _ in 0..count {
                    self.skip(within(kinds >> 4), depth + 1)?;
                    self.skip(within(kinds & 0x0f), depth + 1)?;
                }
            }
            kind::STRUCT => {
                let mut before = 0;
                loop {
                    let (field, kind) = self.field(before)?;
                    if kind == kind::STOP {
                        break;
                    }
                    self.skip(kind, depth + 1)?;
                    before = field;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(length).ok()?..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose one column lies within so many groups, the root among them.
    fn nested(groups: usize) -> Vec<u8> {
        let number = |mut number: usize| {
            let mut bytes = Vec::new();
            while number >= 0x80 {
                bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
                number >>= 7;
            }
            [bytes, vec![u8::try_from(number).unwrap()]].concat()
        };
        // Version 1; then a list of structs.
        let head = [&[0x15, 0x02, 0x19, 0xfc][..], &number(groups + 1)].concat();
        let group = [0x48, 1, b'a', 0x15, 0x02, 0]; // its name, one child
        let leaf = [0x15, 0x04, 0x25, 0x00, 0x18, 1, b'a', 0]; // INT64, required, its name
        let tail = [0x16, 0, 0x19, 0x0c, 0]; // no rows, no row groups
        [head, group.repeat(groups), leaf.to_vec(), tail.to_vec()].concat()
    }

    #[test]
    fn levels_are_counted() {
        assert_eq!(is_flat_enough(&nested(1)), Some(true));
        assert_eq!(is_flat_enough(&nested(DEPTH_MAX)), Some(true));
        assert_eq!(is_flat_enough(&nested(DEPTH_MAX + 2)), Some(false));
    }

    /// The list of the schema under a number that another reader takes for 2, or before one that it does not.
    #[test]
    fn a_field_has_one_number() {
        let footer = nested(3);
        for number in
            [&[0x84, 0x80, 0x08][..], &[0x05], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]]
        {
            let hidden = [&footer[..2], &[0x09], number, &footer[3..]].concat();
            assert_eq!(is_flat_enough(&hidden), None);
        }
        let explicit = [&footer[..2], &[0x09, 4], &footer[3..]].concat();
        assert_eq!(is_flat_enough(&explicit), Some(true));
    }

    #[test]
    fn what_is_no_footer_is_none_whatever_is_cut() {
        let footer = nested(3);
        for end in 0..footer.len() - 5 {
            assert_eq!(is_flat_enough(&footer[..end]), None, "{end}");
        }
        assert_eq!(is_flat_enough(&vec![0x29; 100_000]), None);
        assert_eq!(is_flat_enough(&vec![0x1c; 100_000]), None, "structs in structs");
    }
}
