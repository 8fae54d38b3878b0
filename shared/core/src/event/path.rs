//! The way to a field, and the pattern that fits many.

use super::index::place;
use super::special::needs_escape;
use serde::Deserialize;
use std::fmt;

/// The way to one field: keys with dots between them, `data.x`. A sign that means something in a [`Pattern`] and is part
/// of a key has a backslash before it, `labels.app\.kubernetes\.io`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    pub(super) first: Key,
    pub(super) rest: Vec<Key>,
}

impl Path {
    /// The path of a top-level key, whatever signs are in it.
    #[must_use]
    pub fn from_key(key: impl Into<String>) -> Self {
        Self { first: Key::new(key), rest: Vec::new() }
    }

    /// The top-level key.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first.name
    }

    /// The keys, from the top.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The names of the keys, from the top.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| key.name.as_str())
    }

    /// The path one key further down.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        let mut longer = self.clone();
        longer.rest.push(Key::new(key));
        longer
    }

    /// The key of the field itself.
    #[must_use]
    pub fn last(&self) -> &str {
        &self.last_key().name
    }

    pub(super) fn last_key(&self) -> &Key {
        self.rest.last().unwrap_or(&self.first)
    }

    /// The objects on the way to the field, from the top.
    pub fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.rest.len()).filter_map(|many| {
            Some(Self { first: self.first.clone(), rest: self.rest.get(..many)?.to_vec() })
        })
    }

    /// Whether both fields stand in the same object.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        self.parents().eq(other.parents())
    }

    /// Whether this is the other path, or leads through it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.first == other.first && self.rest.starts_with(&other.rest)
    }
}

/// The way to one field of the event, or of each element of arrays in it: `data.x`, `items[].sku`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ItemPath {
    /// The arrays' elements; none for the event itself.
    pub(crate) items: Option<Pattern>,
    /// The way from there.
    pub(crate) path: Path,
}

impl TryFrom<String> for ItemPath {
    type Error = NoPath;

    fn try_from(text: String) -> Result<Self, NoPath> {
        let Pattern(mut parts) = Pattern::try_from(text.clone())?;
        if parts.contains(&Part::Deep) {
            return Err(NoPath::AnyWayDown(text));
        }
        let start = parts.iter().rposition(|part| *part == Part::Items).map_or(0, |at| at + 1);
        let path = Pattern(parts.split_off(start)).into_path().map_err(|_| NoPath::Element(text))?;
        Ok(Self { items: Some(Pattern(parts)).filter(|items| !items.0.is_empty()), path })
    }
}

/// A text is no path, or a pattern where one field is wanted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoPath {
    /// It has an empty key.
    #[error("`{0}` is no field path: it is keys with single dots between them, like `data.x`")]
    Empty(String),
    /// It fits many fields.
    #[error("`{0}` may be many fields, and this wants one, like `data.x`")]
    Many(String),
    /// It fits fields any way down.
    #[error(
        "`{0}` goes any way down, and this wants one field, of the event or of each element, like `data.x` or `items[].sku`"
    )]
    AnyWayDown(String),
    /// It fits elements, and not what is in them.
    #[error("`{0}` is each element itself, and this wants a field in it, like `items[].sku`")]
    Element(String),
    /// It goes any way down twice.
    #[error("`{0}` has more than one `**`")]
    Deep(String),
    /// A key goes on after `[]`.
    #[error("`{0}` is no field path: after `[]` comes a dot or nothing, like `items[].sku`")]
    Items(String),
    /// It is written as in another language, or has a sign in a key.
    #[error("`{0}` is no field path{hint}: each element is `items[]`, any way down `**`, and where one of `[ ] *` is part of a key it has a backslash before it", hint = hint(.0))]
    Foreign(String),
    /// A key begins or ends with a blank.
    #[error(
        "`{0}` has a blank before or behind a key: where it is part of the key it has a backslash before it"
    )]
    Blank(String),
}

/// What was probably meant by a path in the manner of `JSONPath`, jq or JSON Pointer.
fn hint(written: &str) -> String {
    let text = written.strip_prefix("$.").or_else(|| written.strip_prefix('.')).unwrap_or(written);
    let text = if text.starts_with('/') { text.replace('/', ".") } else { text.to_owned() };
    let mut meant = String::new();
    for (at, piece) in pieces(text.trim_start_matches('.')).enumerate() {
        meant.push_str(if at > 0 { "." } else { "" });
        let (key, rest) =
            piece.split_once('[').map_or((piece, 0), |(key, rest)| (key, 1 + rest.matches('[').count()));
        match key.strip_prefix('*').map(|key| key.trim_start_matches('*')) {
            Some("") => meant.push_str("**"),
            Some(key) => meant.extend(["**.", key]),
            None => meant.push_str(key),
        }
        meant.push_str(&"[]".repeat(rest));
    }
    let meant = Pattern::try_from(meant).ok().filter(|meant| meant.to_string() != written);
    meant.map(|meant| format!(", did you mean `{meant}`")).unwrap_or_default()
}

impl TryFrom<String> for Path {
    type Error = NoPath;

    fn try_from(text: String) -> Result<Self, NoPath> {
        Pattern::try_from(text)?.into_path().map_err(|pattern| NoPath::Many(pattern.to_string()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.rest.iter().try_for_each(|key| write!(f, ".{key}"))
    }
}

/// The way to any number of fields: as [`Path`], and `items[]` is each element of an array, `**` any way down, or
/// at the end each value below that is no object and no array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub(super) Vec<Part>);

impl schemars::JsonSchema for Path {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "The way to a field: keys with dots between them, `data.x`." })
    }
}

impl schemars::JsonSchema for ItemPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FieldOfItems".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The way to a field, of the event or of each element of an array: `data.x`, `items[].sku`.",
        })
    }
}

impl schemars::JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The way to any number of fields: `data.x`, `items[].sku`, `data.**`.",
        })
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The value of a key.
    Key(Key),
    /// Each element.
    Items,
    /// Any number of levels.
    Deep,
}

impl Pattern {
    /// The one field that it names, or itself where it may be many.
    pub fn into_path(self) -> Result<Path, Self> {
        let mut keys = self.0.iter().filter_map(|part| match part {
            Part::Key(key) => Some(key.clone()),
            Part::Items | Part::Deep => None,
        });
        match keys.next() {
            Some(first) if !self.0.iter().any(|part| !matches!(part, Part::Key(_))) => {
                Ok(Path { first, rest: keys.collect() })
            }
            _ => Err(self),
        }
    }

    /// Whether it goes any way down, so that it leaves open which fields it names.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.0.contains(&Part::Deep)
    }

    /// The keys on the way, from the top, as if each array were its element.
    #[must_use]
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Key(key) => Some(key.name.as_str()),
            Part::Items | Part::Deep => None,
        })
    }

    /// Whether this is the other pattern, or leads through it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether its end leaves open what the fields are called.
    #[must_use]
    pub(crate) fn ends_deep(&self) -> bool {
        self.0.last() == Some(&Part::Deep)
    }

    /// Where this goes when what it is within goes to another place.
    #[must_use]
    pub(crate) fn moved(&self, from: &Self, into: &Self) -> Option<Self> {
        self.0.strip_prefix(&*from.0).map(|rest| Self([&*into.0, rest].concat()))
    }

    /// The pattern of a key in what this one fits.
    #[must_use]
    pub(crate) fn key(mut self, name: &str) -> Self {
        self.0.push(Part::Key(Key::new(name)));
        self
    }

    /// The pattern of each element of what this one fits.
    #[must_use]
    pub(crate) fn items(mut self) -> Self {
        self.0.push(Part::Items);
        self
    }

    /// The pattern without `**` at its end: where what that fits begins.
    #[must_use]
    pub(crate) fn without_end(mut self) -> Self {
        self.0.pop_if(|part| *part == Part::Deep);
        self
    }

    /// Whether it fits what the other one does, which does not go any way down, or what that is within.
    #[must_use]
    pub fn covers(&self, field: &Self) -> bool {
        fn covers(parts: &[Part], field: &[Part]) -> bool {
            match (parts.split_first(), field.split_first()) {
                (None, _) => true,
                (Some((Part::Deep, rest)), _) => {
                    rest.is_empty()
                        || (0..=field.len())
                            .any(|at| field.get(at..).is_some_and(|field| covers(rest, field)))
                }
                (Some((part, rest)), Some((first, field))) => part == first && covers(rest, field),
                (Some(_), None) => false,
            }
        }
        covers(&self.0, &field.0)
    }
}

impl From<Path> for Pattern {
    fn from(path: Path) -> Self {
        Self(std::iter::once(path.first).chain(path.rest).map(Part::Key).collect())
    }
}

impl From<ItemPath> for Pattern {
    fn from(ItemPath { items, path }: ItemPath) -> Self {
        let parts = items.into_iter().flat_map(|items| items.0);
        Self(parts.chain(Self::from(path).0).collect())
    }
}

impl TryFrom<String> for Pattern {
    type Error = NoPath;

    fn try_from(text: String) -> Result<Self, NoPath> {
        let mut parts = Vec::new();
        for piece in pieces(&text) {
            let (key, mut rest) = piece.split_at(bare(piece, '[').unwrap_or(piece.len()));
            match key {
                "" => return Err(NoPath::Empty(text.clone())),
                "**" => parts.push(Part::Deep),
                _ if bare(key, '*').or(bare(key, ']')).is_some() => {
                    return Err(NoPath::Foreign(text.clone()));
                }
                "$" if parts.is_empty() => return Err(NoPath::Foreign(text.clone())),
                _ if parts.is_empty() && key.starts_with('/') => return Err(NoPath::Foreign(text.clone())),
                _ if key.starts_with(' ') || key.ends_with(' ') && !key.ends_with("\\ ") => {
                    return Err(NoPath::Blank(text.clone()));
                }
                _ => parts.push(Part::Key(Key::new(unescaped(key)))),
            }
            while let Some(more) = rest.strip_prefix("[]") {
                parts.push(Part::Items);
                rest = more;
            }
            match rest {
                "" => {}
                rest if rest.starts_with('[') => return Err(NoPath::Foreign(text.clone())),
                _ => return Err(NoPath::Items(text.clone())),
            }
        }
        if parts.iter().filter(|part| **part == Part::Deep).count() > 1 {
            return Err(NoPath::Deep(text));
        }
        Ok(Self(parts))
    }
}

/// Cuts at the dots that have no backslash.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut before = ' ';
    text.split(move |sign| std::mem::replace(&mut before, sign) != '\\' && sign == '.')
}

/// Where a sign stands that has no backslash.
fn bare(text: &str, wanted: char) -> Option<usize> {
    let mut before = ' ';
    text.find(|sign| std::mem::replace(&mut before, sign) != '\\' && sign == wanted)
}

/// The signs that a backslash may stand before.
fn is_sign(sign: char) -> bool {
    matches!(sign, '.' | '[' | ']' | '*' | '$' | '/' | ' ')
}

/// A key as it is, of a key as it is written.
fn unescaped(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '\\' || !signs.peek().copied().is_some_and(is_sign) {
            key.push(sign);
        }
    }
    key
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Items => f.write_str("[]")?,
                _ if at > 0 => f.write_str(".")?,
                _ => {}
            }
            match part {
                Part::Key(key) => write!(f, "{key}")?,
                Part::Deep => f.write_str("**")?,
                Part::Items => {}
            }
        }
        Ok(())
    }
}

/// A key with what it is told apart by at a glance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) tag: Tag,
    /// Where the index has it.
    pub(super) place: u8,
    /// Whether JSON cannot hold it as it is.
    pub(super) is_escaped: bool,
}

impl Key {
    fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let tag = tag(name.as_bytes());
        Self { tag, place: place(tag), is_escaped: needs_escape(&name), name }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_str();
        let mut before = ' ';
        for (at, sign) in name.char_indices() {
            let is_meant = match sign {
                '.' | '[' | ']' | '*' => true,
                // Else the backslash that is part of the key would be taken for one that is not.
                sign if is_sign(sign) && before == '\\' => true,
                '/' => at == 0,
                ' ' => at == 0 || at + 1 == name.len(),
                '$' => name == "$",
                _ => false,
            };
            before = sign;
            f.write_str(if is_meant { "\\" } else { "" })?;
            write!(f, "{sign}")?;
        }
        Ok(())
    }
}

/// What tells a key from others at a glance. Keys with different tags are different; of tags that are
/// [exact](is_exact) the same holds the other way round.
///
/// A key of at most fifteen bytes is its tag, with its length at the top. A longer one has its first and its last
/// sixteen bytes folded into it, which tells most apart.
pub(super) type Tag = u128;

const WIDTH: usize = size_of::<Tag>();

/// The tag of a key.
pub(super) fn tag(key: &[u8]) -> Tag {
    match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => {
            let (first, last) = (Tag::from_le_bytes(*first), Tag::from_le_bytes(*last));
            let folded =
                first ^ last.rotate_left(59) ^ (key.len() as Tag).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            folded << 8 >> 8 | (WIDTH as Tag) << 120
        }
        _ => short_tag(key.iter().rev().fold(0, |word, byte| word << 8 | Tag::from(*byte)), key.len()),
    }
}

/// [`tag`] of the key that has these places in a text, which may be read from behind its end.
#[inline]
pub(super) fn tag_at(text: &[u8], start: usize, end: usize) -> Tag {
    match text.get(start..).and_then(|rest| rest.first_chunk()) {
        Some(word) if end - start < WIDTH => {
            let bits = 8 * (end - start);
            short_tag(Tag::from_le_bytes(*word) & !(Tag::MAX << bits), end - start)
        }
        _ => tag(text.get(start..end).unwrap_or_default()),
    }
}

#[inline]
fn short_tag(word: Tag, length: usize) -> Tag {
    word | (length as Tag) << 120
}

/// Whether no other key has the tag.
#[inline]
pub(super) fn is_exact(tag: Tag) -> bool {
    tag >> 120 < WIDTH as Tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    fn path(text: &str) -> Path {
        Path::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_short_key_is_its_tag_and_a_long_one_has_one_wherever_it_stands() {
        let text = "ab\0abcdefgh userAgent userAgentVersion userAgentWersion";
        let keys = [
            (0, 0),
            (0, 1),
            (0, 2),
            (0, 3),
            (3, 10),
            (3, 11),
            (12, 21),
            (22, 37),
            (22, 38),
            (39, 55),
            (12, 55),
        ];
        let tags: Vec<_> = keys.iter().map(|(start, end)| tag_at(text.as_bytes(), *start, *end)).collect();
        for (at, (start, end)) in keys.iter().enumerate() {
            assert_eq!(tags[at], tag(&text.as_bytes()[*start..*end]));
            assert_eq!(is_exact(tags[at]), end - start < WIDTH);
            assert_eq!(tags.iter().filter(|tag| **tag == tags[at]).count(), 1, "{:?}", &text[*start..*end]);
        }
    }

    #[test]
    fn a_path_has_no_empty_keys() {
        for text in ["", ".", "a.", ".a", "a..b", "[]", "a.[]", "a[]b", "a[][]b"] {
            assert!(Pattern::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_written_as_it_is_read() {
        for text in ["a", "a.b.c", r"a\.b.c", "items[].sku", "m[][].x", "data.**", "**.email"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        for (text, first) in [
            (r"a\.b", "a.b"),
            (r"\..b", "."),
            (r"a\\.b", r"a\.b"),
            (r"\a.b", r"\a"),
            ("a\0b.c", "a\0b"),
            (r"é\[0.b", "é[0"),
            (r"\*", "*"),
            (r"a\[\].b", "a[]"),
            (r"\$.b", "$"),
            (r"\/a/b", "/a/b"),
            (r"\ a b\ .c", " a b "),
            ("$set.a/b", "$set"),
            (r"a\\/b", r"a\/b"),
            (r"\\ a", r"\ a"),
        ] {
            let path = path(text);
            assert_eq!((path.to_string().as_str(), path.first()), (text, first));
        }
    }

    #[test]
    fn a_path_in_a_foreign_notation_is_told_what_it_is_here() {
        for (text, meant) in [
            ("items[0].sku", "items[].sku"),
            ("items[*].sku", "items[].sku"),
            ("a[0][1]", "a[][]"),
            ("*.email", "**.email"),
            ("data.*", "data.**"),
            ("data.**email", "data.**.email"),
            ("$.data.x", "data.x"),
            ("/data/x", "data.x"),
            ("data[x]", "data[]"),
        ] {
            let why = Pattern::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(why.contains(&format!("`{text}` is no field path, did you mean `{meant}`:")), "{why}");
            assert_eq!(Path::try_from(text.to_owned()).unwrap_err().to_string(), why);
        }
        for text in ["a*b.c", "a].b", "[0]", "$", "/", "a[", "data.x ", " x", "a. b"] {
            assert!(Pattern::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_no_path() {
        for text in ["items[].sku", "data.**"] {
            assert_eq!(Path::try_from(text.to_owned()), Err(NoPath::Many(text.to_owned())));
        }
    }

    #[test]
    fn patterns_cover_fields() {
        for (text, field, covers) in [
            ("a", "a", true),
            ("a", "a.b", true),
            ("a.b", "a", false),
            ("a.**", "a.b.c", true),
            ("a.**", "b", false),
            ("**.email", "a.b.email", true),
            ("**.email", "email", true),
            ("**.email", "a.phone", false),
            ("**.email", "people[].email", true),
            ("items[].sku", "items[].sku.x", true),
            ("items[].sku", "items.sku", false),
            ("items.sku", "items[].sku", false),
            ("items", "items[].sku", true),
            ("items.**", "items[][].sku", true),
        ] {
            assert_eq!(pattern(text).covers(&pattern(field)), covers, "{text} over {field}");
        }
    }
}
