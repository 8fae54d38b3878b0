//! An event, one JSON object, in flat memory: its text once, and a table of nodes that point into it.
//!
//! Reading an event copies its bytes as they are and fills the table; nothing is allocated where the buffers, which
//! the next event uses again, are large enough. A step reads and changes single nodes. What no step touched is written
//! as the bytes it came in: a number keeps all its digits, a text its escapes, a field its place.

mod index;
mod number;
mod parse;
mod path;
mod places;
mod special;
mod write;

pub use number::Number;
pub use parse::{DEPTH_MAX, Flaw, NODES_MAX};
pub use path::{ItemPath, NoPath, Path, Pattern};
pub use write::quote;

use index::Index;
use parse::TEXT_MAX;
use path::{Key, Part, Tag, is_exact};
use special::{Specials, needs_escape};
use std::fmt;

/// One JSON object. Of a key that stands twice the last one counts, as in JavaScript.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// The text of the event, then what was unescaped or set.
    text: String,
    /// The root first; children point to their parent.
    nodes: Vec<Node>,
    /// Finds the members of the root, and of the objects in it, by their keys.
    index: Index,
    /// Whether line ends stand between the tokens, so that the text is not one line.
    lines: bool,
    /// What an edit did that an event cannot hold.
    outgrown: Option<Flaw>,
    edits: u32,
    /// Room for the work on objects of many keys.
    order: Vec<u32>,
    /// Room for what is open while it is parsed.
    open: Vec<parse::Open>,
    /// Room for where strings may end while it is parsed.
    specials: Specials,
}

/// A value within an event, as long as it is not parsed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u32);

impl Id {
    /// What tells it from the other values of its event.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What an event keeps of its memory for the next ones.
const KEPT_BYTES: usize = 2 << 20;
const KEPT_NODES: usize = 50_000;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// A stretch of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// No stretch, and no integer.
const NOWHERE: Span = Span { start: NONE, end: NONE };

impl Span {
    /// The bits of an integer in the place of a stretch. That of -1 tells nothing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both halves are kept")]
    fn of_int(int: i64) -> Self {
        Self { start: int as u32, end: (int >> 32) as u32 }
    }

    #[inline]
    fn int(self) -> Option<i64> {
        let int = (u64::from(self.end) << 32 | u64::from(self.start)).cast_signed();
        (self != NOWHERE).then_some(int)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    /// A number without point and exponent.
    Integer,
    /// Any other number.
    Float,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// Taken out: readers pass it by.
    removed: bool,
    /// The raw text no longer says what it is: it, or something in it, was changed.
    changed: bool,
    /// The key has signs that JSON escapes.
    key_escaped: bool,
    parent: u32,
    next: u32,
    /// Who has the same place in the index and was there before.
    before: u32,
    /// What tells the key from others.
    tag: Tag,
    /// The key, unescaped; empty in arrays.
    key: Span,
    /// The JSON text.
    raw: Span,
    /// Of a string its text, unescaped; of an object or array the first and the last child; of an integer that was
    /// set its bits.
    data: Span,
}

const NIL: Node = Node {
    kind: Kind::Null,
    removed: true,
    changed: true,
    key_escaped: false,
    parent: NONE,
    next: NONE,
    before: NONE,
    tag: 0,
    key: Span { start: 0, end: 0 },
    raw: Span { start: 0, end: 0 },
    data: NOWHERE,
};

/// A value, read.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as it is written.
    Number(Number<'a>),
    /// A text, unescaped.
    String(&'a str),
    /// An array.
    Array(Items<'a>),
    /// An object.
    Object(Members<'a>),
}

/// A value to be set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum New<'a> {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond those.
    UInt(u64),
    /// A float; null where JSON has no such number.
    Float(f64),
    /// A text.
    Str(&'a str),
    /// An object without members.
    Object,
    /// Any JSON text; null where it is none.
    Json(&'a str),
}

impl Event {
    /// An event from its JSON.
    pub fn read(json: &str) -> Result<Self, Flaw> {
        let mut event = Self::default();
        event.parse(json)?;
        Ok(event)
    }

    /// The whole event as a value.
    #[must_use]
    pub fn root(&self) -> Id {
        Id(ROOT)
    }

    // ---- Reading

    /// The value of a node.
    #[must_use]
    #[inline]
    pub fn value(&self, id: Id) -> Value<'_> {
        let node = self.node(id.0);
        match node.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Integer => Value::Number(Number::integer(self.slice(node.raw), node.data.int())),
            Kind::Float => Value::Number(Number::float(self.slice(node.raw))),
            Kind::String => Value::String(self.slice(node.data)),
            Kind::Array => Value::Array(Items(Children { event: self, next: node.data.start })),
            Kind::Object => Value::Object(Members(Children { event: self, next: node.data.start })),
        }
    }

    /// What a value is, for who needs no more of it.
    #[inline]
    pub(crate) fn kind(&self, id: Id) -> Kind {
        self.node(id.0).kind
    }

    /// The node at a path; none where a key is missing or something on the way is no object.
    #[must_use]
    #[inline]
    pub fn find(&self, path: &Path) -> Option<Id> {
        let first = self.member(ROOT, &path.first)?;
        // Most fields are the root's.
        if path.rest.is_empty() { Some(Id(first)) } else { self.find_below(first, &path.rest) }
    }

    #[inline(never)]
    fn find_below(&self, first: u32, keys: &[Key]) -> Option<Id> {
        keys.iter().try_fold(first, |at, key| self.child(at, key)).map(Id)
    }

    /// The node at a path that begins at another node.
    #[must_use]
    #[inline]
    pub fn find_in(&self, top: Id, path: &Path) -> Option<Id> {
        if top.0 == ROOT { self.find(path) } else { self.find_from(top.0, path) }
    }

    #[inline(never)]
    fn find_from(&self, top: u32, path: &Path) -> Option<Id> {
        path.keys().try_fold(top, |at, key| self.child(at, key)).map(Id)
    }

    /// The value at a path.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Value<'_>> {
        self.find(path).map(|id| self.value(id))
    }

    /// The value at a path that begins at another node.
    #[inline]
    pub(crate) fn get_in(&self, top: Id, path: &Path) -> Option<Value<'_>> {
        self.find_in(top, path).map(|id| self.value(id))
    }

    /// The text at a path that begins at another node, where there is one.
    #[inline]
    pub(crate) fn str_in(&self, top: Id, path: &Path) -> Option<&str> {
        let node = self.node(self.find_in(top, path)?.0);
        (node.kind == Kind::String).then(|| self.slice(node.data))
    }

    /// The value at a path, null counting as missing.
    #[must_use]
    pub fn present(&self, path: &Path) -> Option<Value<'_>> {
        self.get(path).filter(|value| !matches!(value, Value::Null))
    }

    /// The text at a path, where there is one.
    #[must_use]
    pub fn str(&self, path: &Path) -> Option<&str> {
        self.str_in(Id(ROOT), path)
    }

    /// The bytes of a text, where the value is one: for who does not care that they are UTF-8.
    #[must_use]
    #[inline]
    pub fn text_bytes(&self, id: Id) -> Option<&[u8]> {
        let node = self.node(id.0);
        (node.kind == Kind::String).then(|| self.bytes(node.data))
    }

    /// Collects the nodes that a pattern fits, each once: what stands in another behind it, else in the order of the
    /// event.
    pub fn find_all(&self, pattern: &Pattern, found: &mut Vec<Id>) {
        found.clear();
        self.matches(ROOT, &pattern.0, found);
    }

    fn matches(&self, at: u32, parts: &[Part], found: &mut Vec<Id>) {
        match parts.split_first() {
            None => found.push(Id(at)),
            Some((Part::Key(key), rest)) => {
                if let Some(child) = self.child(at, key) {
                    self.matches(child, rest, found);
                }
            }
            Some((Part::Items, rest)) => {
                if self.node(at).kind == Kind::Array {
                    for child in self.children(Id(at)) {
                        self.matches(child.0, rest, found);
                    }
                }
            }
            // At the end it means the leaves; else the value itself and all below it.
            Some((Part::Deep, rest)) => {
                let is_leaf = !matches!(self.node(at).kind, Kind::Array | Kind::Object);
                if !rest.is_empty() || is_leaf {
                    self.matches(at, rest, found);
                }
                for child in self.children(Id(at)) {
                    self.matches(child.0, parts, found);
                }
            }
        }
    }

    /// The members or elements of a value, in their order; none where it has none.
    #[must_use]
    pub fn children(&self, id: Id) -> Ids<'_> {
        let node = self.node(id.0);
        let first = if matches!(node.kind, Kind::Array | Kind::Object) { node.data.start } else { NONE };
        Ids(Children { event: self, next: first })
    }

    /// What a value stands in; none of the whole event.
    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        Some(self.node(id.0).parent).filter(|parent| *parent != NONE).map(Id)
    }

    /// The key that a member stands under; empty for an element of an array.
    #[must_use]
    pub fn key(&self, id: Id) -> &str {
        self.slice(self.node(id.0).key)
    }

    /// The top-level fields.
    #[must_use]
    pub fn fields(&self) -> Members<'_> {
        Members(Children { event: self, next: self.node(ROOT).data.start })
    }

    /// How often it was changed since it was parsed.
    #[must_use]
    pub fn edits(&self) -> u32 {
        self.edits
    }

    /// Whether edits made it more than an event may be, nested deeper than [`DEPTH_MAX`] levels or too large in
    /// memory: then it no longer says what it should, and must not go on.
    #[must_use]
    pub fn outgrown(&self) -> Option<Flaw> {
        self.outgrown
    }

    /// The bytes of its text and of what was set since: what it takes of the memory, but for the table.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.text.len()
    }

    /// Whether it may have more than so many bytes when it is written. JSON makes at most six bytes of one, and what an
    /// integer or a float has that is not in the text is shorter than a line.
    #[must_use]
    pub fn may_exceed(&self, bytes: usize) -> bool {
        self.text.len() * 6 + self.nodes.len() * 32 > bytes
    }

    /// Forgets the event, and gives back the memory that only a huge one needs.
    pub fn release(&mut self) {
        self.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.nodes.shrink_to(KEPT_NODES);
        self.order.shrink_to(KEPT_NODES);
        self.specials.shrink_to(KEPT_BYTES);
    }

    // ---- Changing

    /// Puts a text at a path, unless it stands there already.
    pub fn put_str(&mut self, path: &Path, text: &str) {
        self.put_str_in(Id(ROOT), path, text);
    }

    /// As [`put_str`](Self::put_str), from another object on.
    pub(crate) fn put_str_in(&mut self, top: Id, path: &Path, text: &str) {
        match self.find_in(top, path) {
            Some(id) if self.value(id).as_str() == Some(text) => {}
            Some(id) => self.set(id, New::Str(text)),
            None => _ = self.put_in(top, path, New::Str(text)),
        }
    }

    /// Puts an integer in the place of a value, unless it stands there already.
    pub fn set_int(&mut self, id: Id, int: i64) {
        if self.value(id).as_number().and_then(Number::as_i64) != Some(int) {
            self.set(id, New::Int(int));
        }
    }

    /// Adds a member under the last key of this path to an object that has no such member.
    pub fn add_text(&mut self, object: Id, path: &Path, text: &str) {
        self.add(object.0, path.last_key(), New::Str(text));
    }

    /// Puts a value in the place of another.
    pub fn set(&mut self, id: Id, new: New<'_>) {
        if let New::Json(json) = new {
            return self.graft(id.0, json);
        }
        let Node { kind, raw, data, .. } = self.fresh(new);
        self.touch(id.0);
        let Some(node) = self.node_mut(id.0) else { return };
        let had_members = node.kind == Kind::Object;
        (node.kind, node.raw, node.data) = (kind, raw, data);
        if had_members {
            self.index.forget();
        }
        if new == New::Object {
            self.measure(id.0);
        }
    }

    /// A node of its own for a value: of any JSON text, null for now.
    fn fresh(&mut self, new: New<'_>) -> Node {
        let (kind, raw) = match new {
            New::Int(int) => {
                let raw = self.append(itoa::Buffer::new().format(int));
                return Node { kind: Kind::Integer, raw, data: Span::of_int(int), ..NIL };
            }
            New::Str(text) => {
                let text = self.append(text);
                return Node { kind: Kind::String, raw: text, data: text, ..NIL };
            }
            New::Float(float) if float.is_finite() => {
                (Kind::Float, self.append(zmij::Buffer::new().format_finite(float)))
            }
            New::UInt(int) => (Kind::Integer, self.append(itoa::Buffer::new().format(int))),
            New::Bool(false) => (Kind::False, NOWHERE),
            New::Bool(true) => (Kind::True, NOWHERE),
            New::Object => (Kind::Object, NOWHERE),
            New::Null | New::Float(_) | New::Json(_) => (Kind::Null, NOWHERE),
        };
        Node { kind, raw, data: NOWHERE, ..NIL }
    }

    /// Puts a value at a path, and hands back where. What stands in the way and is no object makes room.
    pub fn put(&mut self, path: &Path, new: New<'_>) -> Id {
        if self.nodes.is_empty() {
            self.nodes.push(Node { kind: Kind::Object, removed: false, ..NIL });
        }
        self.put_in(Id(ROOT), path, new)
    }

    /// As [`put`](Self::put), from another object on.
    pub(crate) fn put_in(&mut self, top: Id, path: &Path, new: New<'_>) -> Id {
        let (parent, key) = (self.make_way(top, path), path.last_key());
        let Some(id) = self.child(parent, key) else { return self.add(parent, key, new) };
        self.set(Id(id), new);
        Id(id)
    }

    /// The node at a path from an object on, null where it was not there.
    fn make(&mut self, top: Id, path: &Path) -> Id {
        let (parent, key) = (self.make_way(top, path), path.last_key());
        self.child(parent, key).map_or_else(|| self.add(parent, key, New::Null), Id)
    }

    /// The object that a path from an object on ends in.
    fn make_way(&mut self, top: Id, path: &Path) -> u32 {
        let mut at = top.0;
        for key in path.keys().take(path.rest.len()) {
            at = self.child(at, key).unwrap_or_else(|| self.add(at, key, New::Object).0);
            if self.node(at).kind != Kind::Object {
                self.set(Id(at), New::Object);
            }
        }
        at
    }

    /// Takes a value out of the event. Objects that it leaves empty go with it, arrays stay.
    pub fn remove(&mut self, id: Id) {
        self.remove_in(Id(ROOT), id);
    }

    /// As [`remove`](Self::remove), but for this object that it is in, which stays though it be empty.
    pub(crate) fn remove_in(&mut self, top: Id, id: Id) {
        let mut at = id.0;
        loop {
            if at == ROOT || at == top.0 {
                return;
            }
            self.touch(at);
            let Some(node) = self.node_mut(at) else { return };
            node.removed = true;
            at = node.parent;
            if self.node(at).kind != Kind::Object {
                return;
            }
            // What is gone at the front is not looked at again when the next one goes.
            let first = self.children(Id(at)).next().map_or(NONE, |first| first.0);
            if let Some(node) = self.node_mut(at) {
                node.data.start = first;
            }
            if first != NONE {
                return;
            }
        }
    }

    /// Takes the value at a path out, where there is one.
    pub fn remove_at(&mut self, path: &Path) {
        self.remove_at_in(Id(ROOT), path);
    }

    /// As [`remove_at`](Self::remove_at), from an object on, which stays though it be empty.
    pub(crate) fn remove_at_in(&mut self, top: Id, path: &Path) {
        if let Some(id) = self.find_in(top, path) {
            self.remove_in(top, id);
        }
    }

    /// Moves a value, with all that is in it, to a path, in place of what was there.
    pub fn move_to(&mut self, id: Id, path: &Path) {
        self.move_in(Id(ROOT), id, path);
    }

    /// As [`move_to`](Self::move_to), within an object that the value is in, which stays though it be empty meanwhile.
    pub(crate) fn move_in(&mut self, top: Id, id: Id, path: &Path) {
        let from = *self.node(id.0);
        if from.removed || id == top {
            return;
        }
        // Out first, so that the way to the new place never goes through the old one.
        self.remove_in(top, id);
        let to = self.make(top, path).0;
        self.touch(to);
        if self.node(to).kind == Kind::Object || from.kind == Kind::Object {
            self.index.forget();
        }
        if let Some(node) = self.node_mut(to) {
            (node.kind, node.raw, node.data, node.changed, node.removed) =
                (from.kind, from.raw, from.data, from.changed, false);
        }
        if matches!(from.kind, Kind::Array | Kind::Object) {
            let mut child = from.data.start;
            while let Some(node) = self.node_mut(child) {
                node.parent = to;
                child = node.next;
            }
            self.measure(to);
        }
    }

    /// Gives a member another key, in its place; a member that has the key already goes.
    pub fn rename(&mut self, id: Id, key: &str) {
        let Node { parent, removed, .. } = *self.node(id.0);
        if removed || id.0 == ROOT {
            return;
        }
        let tag = path::tag(key.as_bytes());
        let twin = self.children(Id(parent)).find(|other| *other != id && self.key(*other) == key);
        if let Some(twin) = twin {
            self.touch(twin.0);
            if let Some(node) = self.node_mut(twin.0) {
                node.removed = true;
            }
        }
        let span = self.append(key);
        self.touch(parent);
        self.index.forget();
        if let Some(node) = self.node_mut(id.0) {
            (node.key, node.tag, node.key_escaped) = (span, tag, needs_escape(key));
        }
    }

    /// Puts the value of any JSON text in the place of another.
    fn graft(&mut self, id: u32, json: &str) {
        self.touch(id);
        if self.node(id).kind == Kind::Object {
            self.index.forget();
        }
        if let Err(flaw) = self.parse_at(id, json) {
            if matches!(flaw, Flaw::TooDeep | Flaw::TooMuch(_)) {
                self.outgrown = Some(flaw);
            }
            self.set(Id(id), New::Null);
        }
        self.measure(id);
    }

    /// Notes whether a value that came to stand here nests the event too deep.
    fn measure(&mut self, id: u32) {
        let above =
            std::iter::successors(Some(id), |at| Some(self.node(*at).parent).filter(|at| *at != NONE));
        let above = above.count();
        if self.is_deeper(id, DEPTH_MAX.saturating_sub(above - 1)) {
            self.outgrown = Some(Flaw::TooDeep);
        }
    }

    fn is_deeper(&self, id: u32, levels: usize) -> bool {
        matches!(self.node(id).kind, Kind::Array | Kind::Object)
            && (levels == 0 || self.children(Id(id)).any(|child| self.is_deeper(child.0, levels - 1)))
    }

    /// Adds a member with this value behind the others of an object.
    fn add(&mut self, parent: u32, key: &Key, new: New<'_>) -> Id {
        let node = self.fresh(new);
        let id = self.add_member(parent, key, node);
        if let New::Json(json) = new {
            self.graft(id, json);
        } else if new == New::Object {
            self.measure(id);
        }
        Id(id)
    }

    /// Adds this node as a member.
    fn add_member(&mut self, parent: u32, key: &Key, value: Node) -> u32 {
        let name = self.append(&key.name);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an event has at most NODES_MAX nodes, and what steps add"
        )]
        let id = self.nodes.len() as u32;
        let before = self.index.put(key.place, parent, id);
        let named = Node { parent, before, tag: key.tag, key: name, key_escaped: key.is_escaped, ..value };
        self.nodes.push(Node { removed: false, ..named });
        self.touch(parent);
        let Span { start, end } = self.node(parent).data;
        if let Some(last) = self.node_mut(end) {
            last.next = id;
        }
        if let Some(node) = self.node_mut(parent) {
            node.data = Span { start: if start == NONE { id } else { start }, end: id };
        }
        id
    }

    /// Marks a value and all that it is in as changed.
    #[inline]
    fn touch(&mut self, id: u32) {
        self.edits += 1;
        let mut at = id;
        while let Some(node) = self.node_mut(at) {
            if node.changed && at != id {
                return;
            }
            node.changed = true;
            at = node.parent;
        }
    }

    // ---- The table and the text

    #[inline]
    fn child(&self, parent: u32, key: &Key) -> Option<u32> {
        if self.is_indexed(parent) { self.member(parent, key) } else { self.search(parent, key) }
    }

    /// Whether the index knows the members of a node.
    #[inline]
    fn is_indexed(&self, id: u32) -> bool {
        id == ROOT || self.node(id).parent == ROOT
    }

    /// A member of what [`is_indexed`](Self::is_indexed).
    #[inline]
    fn member(&self, parent: u32, key: &Key) -> Option<u32> {
        let at = self.index.get(key.place, parent);
        let node = self.node(at);
        // Nearly always; what is left stands apart, so that this has little to set up.
        if at == NONE && !self.index.is_stale() {
            None
        } else if node.tag == key.tag && node.parent == parent && !node.removed && is_exact(key.tag) {
            Some(at)
        } else {
            self.further_member(at, parent, key)
        }
    }

    /// A member among those that share the place of this one and came before it.
    #[inline(never)]
    fn further_member(&self, first: u32, parent: u32, key: &Key) -> Option<u32> {
        if self.index.is_stale() {
            return self.search(parent, key);
        }
        let mut at = first;
        while at != NONE {
            let node = self.node(at);
            if node.parent == parent && self.is_at(node, key) {
                return Some(at);
            }
            at = node.before;
        }
        None
    }

    /// A member by a look at all of them: seldom, so that it stands apart from what is nearly always done.
    #[inline(never)]
    fn search(&self, parent: u32, key: &Key) -> Option<u32> {
        let node = self.node(parent);
        if node.kind != Kind::Object {
            return None;
        }
        let mut at = node.data.start;
        while at != NONE {
            let node = self.node(at);
            if self.is_at(node, key) {
                return Some(at);
            }
            at = node.next;
        }
        None
    }

    #[inline]
    fn is_at(&self, node: &Node, key: &Key) -> bool {
        node.tag == key.tag
            && !node.removed
            && (is_exact(key.tag) || self.bytes(node.key) == key.name.as_bytes())
    }

    #[inline]
    fn node(&self, id: u32) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&NIL)
    }

    #[inline]
    fn node_mut(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    /// A stretch of the text of which it does not matter that it is text.
    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        self.text.as_bytes().get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    #[inline]
    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    #[expect(clippy::cast_possible_truncation, reason = "TEXT_MAX fits")]
    fn append(&mut self, text: &str) -> Span {
        if text.len() > TEXT_MAX.saturating_sub(self.text.len()) {
            self.outgrown = Some(Flaw::TooMuch("more bytes than any event"));
            return Span::default();
        }
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, end: self.text.len() as u32 }
    }
}

/// Nodes that stand side by side.
#[derive(Debug, Clone, Copy)]
struct Children<'a> {
    event: &'a Event,
    next: u32,
}

#[expect(clippy::copy_iterator, reason = "a value that is read is copied, and this is two words of it")]
impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.next != NONE {
            let at = self.next;
            let node = self.event.node(at);
            self.next = node.next;
            if !node.removed {
                return Some(at);
            }
        }
        None
    }
}

/// The nodes of members or elements.
#[derive(Debug, Clone)]
pub struct Ids<'a>(Children<'a>);

impl Iterator for Ids<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        self.0.next().map(Id)
    }
}

/// The elements of an array.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a>(Children<'a>);

#[expect(clippy::copy_iterator, reason = "a value that is read is copied, and this is two words of it")]
impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.next().map(|id| self.0.event.value(Id(id)))
    }
}

/// The members of an object.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a>(Children<'a>);

impl<'a> Members<'a> {
    /// The value of a key.
    #[must_use]
    pub fn get(mut self, key: &str) -> Option<Value<'a>> {
        self.find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

#[expect(clippy::copy_iterator, reason = "a value that is read is copied, and this is two words of it")]
impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.0.event;
        self.0.next().map(|id| (event.slice(event.node(id).key), event.value(Id(id))))
    }
}

impl<'a> Value<'a> {
    /// The text, where it is one.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, where it is one.
    #[must_use]
    pub fn as_number(self) -> Option<Number<'a>> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// True or false, where it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(flag) } else { None }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = String::new();
        self.write(&mut json);
        f.write_str(&json)
    }
}

#[cfg(test)]
mod tests;
