//! JSON to nodes, in one pass without recursion.
//!
//! What RFC 8259 calls JSON is taken and nothing else. Where it leaves a choice: a number that no float reaches
//! (`1e999`) and half of a surrogate pair (`"\ud800"`) are refused, as the readers behind the lake do; of a key that
//! stands twice the last counts; nesting ends at [`DEPTH_MAX`] levels.

use super::index::place;
use super::path::{Tag, tag, tag_at};
use super::{Event, Kind, NIL, NONE, NOWHERE, Node, ROOT, Span};

/// How many levels of objects and arrays an event may have, itself the first.
pub const DEPTH_MAX: usize = 120;

/// How many values an event may have: as many as fit [`crate::frame::EVENT_MAX`] bytes, with a comma each. It bounds
/// the memory: an event of this size has 32 MB of nodes.
pub const NODES_MAX: usize = 500_000;

/// The most text that an event may hold, bytes: what is read, again without its escapes, and what steps add. What
/// [`crate::decode`] hands over has at most a quarter of it.
pub(super) const TEXT_MAX: usize = 64 << 20;

/// Why a text is no event. Says nothing of what the text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The text ends within the JSON.
    #[error("the JSON ends too early")]
    CutOff,
    /// It is no JSON.
    #[error("no JSON: {what} at byte {at}")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Where, from 0.
        at: usize,
    },
    /// It is JSON, but no object.
    #[error("this is JSON, but not an object")]
    NotAnObject,
    /// It is JSON nested deeper than an event may be.
    #[error("it is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It is more than an event may be.
    #[error("it has {0}")]
    TooMuch(&'static str),
}

impl Event {
    /// Reads an event in place of the one that was here. After a flaw there is none.
    pub fn parse(&mut self, json: &str) -> Result<(), Flaw> {
        self.clear();
        self.nodes.push(Node { removed: false, ..NIL });
        let read = self.parse_at(ROOT, json);
        let is_object = self.node(ROOT).kind == Kind::Object;
        if read.is_err() || !is_object {
            self.nodes.clear();
        }
        read.and(if is_object { Ok(()) } else { Err(Flaw::NotAnObject) })
    }

    /// Forgets the event that is here.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.nodes.clear();
        self.index.clear();
        (self.lines, self.outgrown, self.edits) = (false, None, 0);
    }

    /// Reads a value in place of the one that is here.
    pub(super) fn parse_at(&mut self, id: u32, json: &str) -> Result<(), Flaw> {
        // Twice, for its texts may come again without their escapes.
        if json.len() > TEXT_MAX.saturating_sub(self.text.len()) / 2 {
            return Err(Flaw::TooMuch("more bytes than any event"));
        }
        let base = self.text.len();
        self.text.push_str(json);
        self.specials.fill(json.as_bytes());
        let mut parser = Parser { bytes: json.as_bytes(), at: 0, base, event: self, flaw: Flaw::CutOff };
        parser.read(id).map_err(|Broken| parser.flaw)
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the bytes stand in the event's text.
    base: usize,
    event: &'a mut Event,
    /// What is wrong, once something is.
    flaw: Flaw,
}

/// It cannot be read; the parser knows why. Nothing has to be carried past each value for it.
#[derive(Debug, Clone, Copy)]
struct Broken;

type Read<T> = Result<T, Broken>;

/// A key, read: where it stands, its tag, and whether it has escapes.
#[derive(Clone, Copy, Default)]
struct Name {
    span: Span,
    tag: Tag,
    escaped: bool,
}

/// An object or array that is not closed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    id: u32,
    is_object: bool,
    /// Whether the index knows its members.
    is_indexed: bool,
    /// Its last child so far.
    last: u32,
    children: u32,
    /// A bit for each place of its keys, shared by some.
    places: u64,
}

impl Open {
    fn new(id: u32, bracket: u8) -> Self {
        Self { id, is_object: bracket == b'{', is_indexed: false, last: NONE, children: 0, places: 0 }
    }

    fn kind(&self) -> Kind {
        if self.is_object { Kind::Object } else { Kind::Array }
    }
}

/// An object with more members looks for keys that stand twice at its end, all at once.
const FEW: u32 = 64;

/// An object with more members is none for the index, where keys made to share a place would take for ever.
const MANY: u32 = 1024;

impl Parser<'_> {
    /// Reads one value, and what is in it, as that of this node.
    fn read(&mut self, root: u32) -> Read<()> {
        self.event.open.clear();
        let byte = self.token()?;
        let start = self.at;
        let (kind, data, opened) = if let b'{' | b'[' = byte {
            self.at += 1;
            let is_indexed = self.event.is_indexed(root);
            let opened = Open { is_indexed, ..Open::new(root, byte) };
            (opened.kind(), NOWHERE, Some(opened))
        } else {
            let (kind, data) = self.scalar(byte)?;
            (kind, data, None)
        };
        let raw = self.span(start, self.at);
        if let Some(node) = self.event.node_mut(root) {
            (node.kind, node.changed, node.raw, node.data) = (kind, false, raw, data);
        }
        match opened {
            None => self.end(),
            Some(opened) => self.inside(opened),
        }
    }

    /// Reads what is in a container, up to the end of the text.
    fn inside(&mut self, first: Open) -> Read<()> {
        let mut open = first;
        let mut is_new = true;
        loop {
            // A child begins here, or the container ends.
            let mut byte = self.token()?;
            if byte == if open.is_object { b'}' } else { b']' } {
                self.close(open);
                match self.event.open.pop() {
                    None => return self.end(),
                    Some(outer) => (open, is_new) = (outer, false),
                }
                continue;
            }
            if !is_new {
                if byte != b',' {
                    return Err(self.wrong("neither a comma nor the end of what is open"));
                }
                self.at += 1;
                byte = self.token()?;
            }
            is_new = false;
            let mut name = Name::default();
            if open.is_object {
                name = self.key(byte)?;
                byte = self.token()?;
            }
            let id = self.next_id()?;
            let start = self.at;
            if let b'{' | b'[' = byte {
                self.at += 1;
                let is_indexed = open.id == ROOT;
                let inner = Open { is_indexed, ..Open::new(id, byte) };
                self.add(&mut open, id, name, (inner.kind(), self.span(start, self.at), NOWHERE));
                if self.event.open.len() + 2 > DEPTH_MAX {
                    return Err(self.broken(Flaw::TooDeep));
                }
                self.event.open.push(open);
                (open, is_new) = (inner, true);
            } else {
                let (kind, data) = self.scalar(byte)?;
                self.add(&mut open, id, name, (kind, self.span(start, self.at), data));
            }
        }
    }

    fn end(&mut self) -> Read<()> {
        self.skip_blanks();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.wrong("more after the value")) }
    }

    /// The number of the next node.
    #[inline]
    fn next_id(&mut self) -> Read<u32> {
        let many = self.event.nodes.len();
        if many >= NODES_MAX {
            return Err(self.broken(Flaw::TooMuch("more values than any event")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "NODES_MAX fits")]
        Ok(many as u32)
    }

    /// Reads a value that has no others in it.
    #[inline]
    fn scalar(&mut self, first: u8) -> Read<(Kind, Span)> {
        match first {
            b'"' => self.string().map(|(text, _)| (Kind::String, text)),
            b'-' | b'0'..=b'9' => self.number().map(|kind| (kind, NOWHERE)),
            b't' => self.literal(b"true", Kind::True),
            b'f' => self.literal(b"false", Kind::False),
            b'n' => self.literal(b"null", Kind::Null),
            _ => Err(self.wrong("no value")),
        }
    }

    /// Adds a node as the last child of its parent: what kind it is, its JSON, and its data.
    #[inline]
    fn add(&mut self, parent: &mut Open, id: u32, name: Name, value: (Kind, Span, Span)) {
        let event = &mut *self.event;
        let Name { span: key, tag, escaped: key_escaped } = name;
        let (kind, raw, data) = value;
        match event.node_mut(parent.last) {
            Some(last) => last.next = id,
            None => {
                if let Some(node) = event.node_mut(parent.id) {
                    node.data.start = id;
                }
            }
        }
        parent.last = id;
        parent.children += 1;
        let mut before = NONE;
        let mut may_be_twin = false;
        if parent.is_object {
            let place = place(tag);
            if parent.is_indexed && parent.children <= MANY {
                before = event.index.put(place, parent.id, id);
                may_be_twin = before != NONE;
            } else {
                let bit = 1 << (place % 64);
                may_be_twin = parent.places & bit != 0 && parent.children <= FEW;
                parent.places |= bit;
            }
        }
        let (removed, changed, next, parent_id) = (false, false, NONE, parent.id);
        event.nodes.push(Node {
            kind,
            removed,
            changed,
            key_escaped,
            parent: parent_id,
            next,
            before,
            tag,
            key,
            raw,
            data,
        });
        if may_be_twin {
            drop_earlier_twin(event, parent, id);
        }
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Read<(Kind, Span)> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            let is_cut = word.starts_with(rest);
            return Err(if is_cut { self.broken(Flaw::CutOff) } else { self.wrong("no value") });
        }
        self.at += word.len();
        Ok((kind, NOWHERE))
    }

    /// Ends an object or array at its bracket.
    #[inline]
    fn close(&mut self, open: Open) {
        self.at += 1;
        let end = self.span(self.at, self.at).end;
        if let Some(node) = self.event.node_mut(open.id) {
            node.raw.end = end;
            node.data.end = open.last;
        }
        if open.is_indexed && open.children > MANY {
            self.event.index.forget();
        }
        if open.is_object && open.children > if open.is_indexed { MANY } else { FEW } {
            drop_twins_of_many(self.event, open.id);
        }
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self, first: u8) -> Read<Name> {
        if first != b'"' {
            return Err(self.wrong("no key"));
        }
        let (span, escaped) = self.string()?;
        let tag = if escaped {
            tag(self.event.bytes(span))
        } else {
            tag_at(self.bytes, span.start as usize - self.base, span.end as usize - self.base)
        };
        if self.token()? != b':' {
            return Err(self.wrong("no colon after the key"));
        }
        self.at += 1;
        Ok(Name { span, tag, escaped })
    }

    /// A string from its quote on: its text, and whether it had escapes.
    #[inline]
    fn string(&mut self) -> Read<(Span, bool)> {
        let start = self.at + 1;
        let end = self.plain_end(start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok((self.span(start, end), false));
        }
        self.unescape(start, end).map(|span| (span, true))
    }

    /// Where a string's plain text ends: at a quote, a backslash, a control character or the end of the bytes.
    #[inline]
    fn plain_end(&self, start: usize) -> usize {
        self.event.specials.next(start).unwrap_or(self.bytes.len())
    }

    /// A string with escapes, the first of them at `end`: its text goes behind the event's.
    #[inline(never)]
    fn unescape(&mut self, start: usize, end: usize) -> Read<Span> {
        let begin = self.event.text.len();
        let (mut from, mut at) = (start, end);
        loop {
            self.copy(from, at);
            self.at = at;
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {}
                Some(_) => return Err(self.wrong("a control character in a string")),
                None => return Err(self.broken(Flaw::CutOff)),
            }
            let Some(escape) = self.bytes.get(at + 1) else { return Err(self.broken(Flaw::CutOff)) };
            let sign = match escape {
                b'"' => '"',
                b'\\' => '\\',
                b'/' => '/',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let (sign, length) = self.code(at).map_err(|flaw| self.broken(flaw))?;
                    at += length - 2;
                    sign
                }
                _ => return Err(self.wrong("no escape that JSON has")),
            };
            self.event.text.push(sign);
            from = at + 2;
            at = self.plain_end(from);
        }
        self.at += 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "unescaped text is shorter than what it is read from"
        )]
        Ok(Span { start: begin as u32, end: self.event.text.len() as u32 })
    }

    /// The sign of a `\uXXXX`, or of a pair of them, and how many bytes it took.
    fn code(&self, at: usize) -> Result<(char, usize), Flaw> {
        let unit = |at: usize| {
            (at..at + 4).try_fold(0, |sum, at| {
                let digit = char::from(*self.bytes.get(at).ok_or(Flaw::CutOff)?).to_digit(16);
                digit.map(|digit| sum << 4 | digit).ok_or_else(|| self.flaw("no hex digit after \\u"))
            })
        };
        let lone = || self.flaw("half of a surrogate pair");
        let high = unit(at + 2)?;
        if !(0xd800..0xe000).contains(&high) {
            return char::from_u32(high).map(|sign| (sign, 6)).ok_or_else(lone);
        }
        match self.bytes.get(at + 6..at + 8) {
            Some(b"\\u") if high < 0xdc00 => {
                let low = unit(at + 8)?;
                let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(lone)?;
                let sign = char::from_u32(0x10000 + ((high - 0xd800) << 10 | low));
                sign.map(|sign| (sign, 12)).ok_or_else(lone)
            }
            _ => Err(lone()),
        }
    }

    fn copy(&mut self, from: usize, to: usize) {
        let span = self.span(from, to);
        self.event.text.extend_from_within(span.start as usize..span.end as usize);
    }

    fn number(&mut self) -> Read<Kind> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(_) => return Err(self.wrong("no digit in a number")),
            None => return Err(self.broken(Flaw::CutOff)),
        }
        let mut kind = Kind::Integer;
        let mut is_large = self.at - start > 300;
        if self.byte() == Some(b'.') {
            kind = Kind::Float;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            (kind, is_large) = (Kind::Float, true);
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let text = || self.bytes.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok());
        if is_large && text().and_then(|text| text.parse().ok()).is_none_or(f64::is_infinite) {
            return Err(self.wrong("a number that is out of range"));
        }
        Ok(kind)
    }

    fn some_digits(&mut self) -> Read<()> {
        match self.byte() {
            Some(b'0'..=b'9') => {
                self.digits();
                Ok(())
            }
            Some(_) => Err(self.wrong("no digit in a number")),
            None => Err(self.broken(Flaw::CutOff)),
        }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.byte() {
            self.event.lines |= byte == b'\n' || byte == b'\r';
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no blank.
    #[inline]
    fn token(&mut self) -> Read<u8> {
        match self.byte() {
            Some(byte) if byte > b' ' => Ok(byte),
            _ => self.token_behind_blanks(),
        }
    }

    #[inline(never)]
    fn token_behind_blanks(&mut self) -> Read<u8> {
        self.skip_blanks();
        self.byte().ok_or_else(|| self.broken(Flaw::CutOff))
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw::Syntax { what, at: self.at }
    }

    #[cold]
    fn wrong(&mut self, what: &'static str) -> Broken {
        self.broken(self.flaw(what))
    }

    #[cold]
    fn broken(&mut self, flaw: Flaw) -> Broken {
        self.flaw = flaw;
        Broken
    }

    #[expect(clippy::cast_possible_truncation, reason = "`parse_at` takes at most TEXT_MAX bytes")]
    fn span(&self, start: usize, end: usize) -> Span {
        Span { start: (self.base + start) as u32, end: (self.base + end) as u32 }
    }
}

/// Takes the member out that has the key of this one and came before it, if there is one.
#[inline(never)]
fn drop_earlier_twin(event: &mut Event, parent: &Open, id: u32) {
    let Node { tag, key, before, .. } = *event.node(id);
    let first = if parent.is_indexed { before } else { event.node(parent.id).data.start };
    let mut at = first;
    while at != id && at != NONE {
        let node = *event.node(at);
        let is_same = node.parent == parent.id && node.tag == tag && !node.removed;
        if is_same && event.slice(node.key) == event.slice(key) {
            return remove(event, at);
        }
        at = if parent.is_indexed { node.before } else { node.next };
    }
}

fn drop_twins_of_many(event: &mut Event, id: u32) {
    let mut order = std::mem::take(&mut event.order);
    order.clear();
    order.extend(event.children(super::Id(id)).map(|child| child.0));
    order.sort_unstable_by(|a, b| {
        event.slice(event.node(*a).key).cmp(event.slice(event.node(*b).key)).then(a.cmp(b))
    });
    for pair in order.windows(2) {
        if let [earlier, later] = *pair
            && event.slice(event.node(earlier).key) == event.slice(event.node(later).key)
        {
            remove(event, earlier);
        }
    }
    event.order = order;
}

/// Takes a twin out; the text of what it stood in no longer says what it is.
fn remove(event: &mut Event, id: u32) {
    let edits = event.edits;
    event.touch(id);
    event.edits = edits;
    if let Some(node) = event.node_mut(id) {
        node.removed = true;
    }
}
