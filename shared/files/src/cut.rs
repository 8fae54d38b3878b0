//! Text into chunks of whole records, and a chunk into its records.

use crate::format::{Dialect, Shape};
use crate::reject;
use crate::row::{self, End, Rows};
use memchr::{memchr, memchr_iter, memchr3, memrchr};
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::quarantine::Reject;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest record taken, bytes: more than any that the pipeline can get. It bounds the memory.
pub const RECORD_MAX: usize = decode::INFLATED_MAX;

/// How large a chunk is, bytes: large enough that the calls do not show, and small enough for a core's cache.
pub const CHUNK: usize = 256 << 10;

/// A place between two records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How many bytes of the text, unpacked, lie before it; of Parquet the row groups that do.
    pub at: u64,
    /// The number of the next record: the line that it begins on, from 1; its place in an array or a table, from 1.
    pub number: u64,
}

/// A record as one event, or what stands in an event's place.
#[derive(Debug, Clone)]
pub struct Piece<'a> {
    /// The line that it begins on, or its place in the array or the table; from 1.
    pub number: u64,
    /// JSON; as it came, where there is a flaw.
    pub bytes: &'a [u8],
    /// Why it is no event, where that is known already.
    pub flaw: Option<Reject>,
}

impl Piece<'_> {
    /// Reads it as an event.
    pub fn read(&self, event: &mut Event) -> Result<(), Reject> {
        match &self.flaw {
            Some(flaw) => Err(flaw.clone()),
            None => decode::event(self.bytes, event),
        }
    }
}

/// Memory of a chunk, for the next one.
#[derive(Debug, Default)]
pub struct Room {
    pub(crate) bytes: Vec<u8>,
    json: String,
    spans: Vec<Span>,
    /// Where the items of an array end, with what separates them.
    ends: Vec<usize>,
}

/// A row of a chunk: where its JSON stands, or its bytes where there is a flaw.
#[derive(Debug)]
struct Span {
    number: u64,
    start: usize,
    end: usize,
    flaw: Option<Reject>,
}

/// How the records of a chunk stand in it.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// One a line.
    Lines,
    /// One.
    Object,
    /// Items of an array, with what separates them.
    Items,
    /// Rows of CSV: how they are written, and the columns' keys in JSON.
    Rows(Arc<(Dialect, Vec<String>)>),
    /// One that is no event.
    Flawed(Reject),
}

impl Kind {
    pub(crate) fn of(shape: &Shape) -> Self {
        match shape {
            Shape::Lines | Shape::Parquet => Self::Lines,
            Shape::Object => Self::Object,
            Shape::Array => Self::Items,
            Shape::Csv(dialect) => Self::Rows(Arc::new((dialect.clone(), row::keys(&dialect.names)))),
        }
    }
}

/// Records that stand one after the other in a file.
#[derive(Debug)]
pub struct Chunk {
    begin: Mark,
    end: Mark,
    room: Room,
    kind: Kind,
}

impl Chunk {
    pub(crate) fn new(begin: Mark, end: Mark, room: Room, kind: Kind) -> Self {
        Self { begin, end, room, kind }
    }

    /// Where it begins.
    #[must_use]
    pub fn begin(&self) -> Mark {
        self.begin
    }

    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> Mark {
        self.end
    }

    /// Hands over the records, in order.
    pub fn each<'c, E>(&'c mut self, mut take: impl FnMut(Piece<'c>) -> Result<(), E>) -> Result<(), E> {
        let first = self.begin.number;
        match &self.kind {
            Kind::Flawed(flaw) => {
                take(Piece { number: first, bytes: &self.room.bytes, flaw: Some(flaw.clone()) })
            }
            Kind::Object => take(Piece { number: first, bytes: self.room.bytes.trim_ascii(), flaw: None }),
            Kind::Lines => {
                let (bytes, mut start) = (&self.room.bytes, 0);
                let ends = memchr_iter(b'\n', bytes).chain([bytes.len()]);
                for (number, end) in (first..).zip(ends) {
                    let line = bytes.get(start..end).unwrap_or_default().trim_ascii();
                    start = end + 1;
                    if !line.is_empty() {
                        take(Piece { number, bytes: line, flaw: None })?;
                    }
                }
                Ok(())
            }
            Kind::Items => {
                for (number, bytes) in (first..).zip(items(&self.room.bytes, &self.room.ends)) {
                    take(Piece { number, bytes, flaw: None })?;
                }
                Ok(())
            }
            Kind::Rows(columns) => {
                let Room { bytes, json, spans, .. } = &mut self.room;
                rows(bytes, first, &columns.0, &columns.1, json, spans);
                let Room { bytes, json, spans, .. } = &self.room;
                for Span { number, start, end, flaw } in spans {
                    let text = if flaw.is_some() { bytes.as_slice() } else { json.as_bytes() };
                    let bytes = text.get(*start..*end).unwrap_or_default();
                    take(Piece { number: *number, bytes, flaw: flaw.clone() })?;
                }
                Ok(())
            }
        }
    }

    /// The memory of the chunk.
    #[must_use]
    pub fn into_room(self) -> Room {
        self.room
    }
}

/// The rows of a chunk as JSON.
fn rows(
    bytes: &[u8],
    first: u64,
    dialect: &Dialect,
    keys: &[String],
    json: &mut String,
    spans: &mut Vec<Span>,
) {
    json.clear();
    spans.clear();
    let mut rows = Rows::new(dialect, keys);
    let (mut at, mut number) = (0, first);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, flaw) = match row::end(rest, dialect, true) {
            End::Bad(length) => {
                (length, Some(reject("unclosed_quote", "a quote is not closed as it should be")))
            }
            End::At(length) => (length, None),
            End::Beyond => (rest.len(), None),
        };
        let row = rest.get(..length).unwrap_or_default();
        let start = json.len();
        let made = flaw.map_or_else(|| rows.json(row, json), Err);
        match made {
            Ok(true) => spans.push(Span { number, start, end: json.len(), flaw: None }),
            Ok(false) => {}
            Err(why) => {
                json.truncate(start);
                let end = at + row.trim_ascii_end().len();
                spans.push(Span { number, start: at, end, flaw: Some(why) });
            }
        }
        at += length;
        number += lines(row);
    }
}

/// Where an item of an array ends that begins with the first of these bytes: behind the comma or the bracket that follows
/// it; none where that is not in them. No text goes over a line's end: where one seems to, a quote too many or too few is before it,
/// and the item ends with the line, so that it takes no others with it.
fn item(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => loop {
                at += memchr3(b'"', b'\\', b'\n', bytes.get(at..)?)?;
                match bytes.get(at)? {
                    b'"' => break at += 1,
                    b'\n' => return Some(at + 1),
                    _ => at += 2,
                }
            },
            b'{' | b'[' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether an array goes on behind these bytes, whose items end there, by what was known of it before them.
fn goes_on(before: Option<bool>, bytes: &[u8], ends: &[usize]) -> Option<bool> {
    if before == Some(false) || bytes.trim_ascii().is_empty() {
        return before;
    }
    let closes = |end: &usize| bytes.get(..*end).is_some_and(|bytes| bytes.trim_ascii_end().ends_with(b"]"));
    Some(!ends.iter().any(closes))
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Cuts text that is pushed in.
#[derive(Debug)]
pub(crate) struct Cutter {
    kind: Kind,
    /// What is not in a chunk yet stands behind `start`.
    bytes: Vec<u8>,
    start: usize,
    at: Mark,
    ended: bool,
    /// So many bytes behind `start` were looked through for the end of a record, and there was none.
    tried: usize,
    /// A line that is too long, of which the rest is left out.
    long: Option<Long>,
    /// Whether an array goes on behind what was read of it, where some was.
    is_open: Option<bool>,
    /// Why there is nothing more to be had.
    failed: Option<Reject>,
}

#[derive(Debug)]
struct Long {
    kept: Vec<u8>,
    length: u64,
}

impl Cutter {
    pub(crate) fn new(shape: &Shape, at: Mark) -> Self {
        Self {
            kind: Kind::of(shape),
            bytes: Vec::new(),
            start: 0,
            at,
            ended: false,
            tried: 0,
            long: None,
            is_open: None,
            failed: None,
        }
    }

    /// Where text is to be appended, if it is of any use.
    pub(crate) fn text(&mut self) -> Result<&mut Vec<u8>, Reject> {
        self.bytes.drain(..std::mem::take(&mut self.start));
        self.failed.clone().map_or(Ok(&mut self.bytes), Err)
    }

    /// There is no more text: of the file, or of a stretch of it. An array has an end, by which one that is cut off is known.
    pub(crate) fn end(&mut self, is_whole: bool) -> Result<(), Reject> {
        self.ended = true;
        if is_whole && matches!(self.kind, Kind::Items) {
            let rest = self.bytes.get(self.start..).unwrap_or_default();
            let ends: Vec<_> = ends(rest, item).collect();
            if goes_on(self.is_open, rest, &ends) == Some(true) {
                return Err(reject(
                    "bad_array",
                    "the array has no end: the file is cut off, or a quote is missing",
                ));
            }
        }
        Ok(())
    }

    /// The next chunk, as far as it is there.
    pub(crate) fn chunk(&mut self, room: &mut Room) -> Option<Chunk> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        if let Some(mut long) = self.long.take() {
            let newline = memchr(b'\n', rest);
            let length = newline.map_or(rest.len(), |newline| newline + 1);
            long.length += length as u64;
            self.start += length;
            if newline.is_none() && !self.ended {
                self.long = Some(long);
                return None;
            }
            let detail = format!("the line has more than {RECORD_MAX} bytes, of which the first are kept");
            let end = Mark { at: self.at.at + long.length, number: self.at.number + 1 };
            let begin = std::mem::replace(&mut self.at, end);
            let room = Room { bytes: long.kept, ..Room::default() };
            return Some(Chunk::new(begin, end, room, Kind::Flawed(reject("too_large", detail))));
        }
        // A long record is not looked through anew for each few bytes that come.
        if !self.ended && rest.len() < self.tried + CHUNK && rest.len() <= RECORD_MAX {
            return None;
        }
        let window = rest.get(..CHUNK);
        room.ends.clear();
        let length = match window.and_then(|window| self.last(window, &mut room.ends)) {
            Some(length) => length,
            None if window.is_none() && self.ended => {
                self.all(rest, &mut room.ends);
                rest.len()
            }
            None if window.is_none() => return None,
            // A record that is longer than a chunk.
            None => match self.first(rest) {
                Some(length) => {
                    room.ends.push(length);
                    length
                }
                // Behind it nobody knows where the next one begins.
                None if rest.len() > RECORD_MAX && matches!(self.kind, Kind::Items) => {
                    let item = self.at.number;
                    let detail = format!(
                        "the item {item} of the array does not end within {RECORD_MAX} bytes: a quote or a bracket may be missing"
                    );
                    self.failed = Some(reject("bad_array", detail));
                    return None;
                }
                None if rest.len() > RECORD_MAX => {
                    let kept = rest.get(..RECORD_MAX).unwrap_or_default().to_vec();
                    self.long = Some(Long { kept, length: RECORD_MAX as u64 });
                    self.start += RECORD_MAX;
                    return self.chunk(room);
                }
                None => {
                    self.tried = rest.len();
                    return None;
                }
            },
        };
        let bytes = rest.get(..length).filter(|bytes| !bytes.is_empty())?;
        let mut room = std::mem::take(room);
        room.bytes.clear();
        room.bytes.extend_from_slice(bytes);
        let records = match self.kind {
            Kind::Items => {
                self.is_open = goes_on(self.is_open, bytes, &room.ends);
                items(bytes, &room.ends).count() as u64
            }
            _ => lines(bytes),
        };
        self.tried = 0;
        let end = Mark { at: self.at.at + length as u64, number: self.at.number + records };
        let begin = std::mem::replace(&mut self.at, end);
        self.start += length;
        Some(Chunk::new(begin, end, room, self.kind.clone()))
    }

    /// Where the last record ends that ends in these bytes and of which nothing else says otherwise. Where all items of an
    /// array do is noted on the way.
    fn last(&self, bytes: &[u8], items: &mut Vec<usize>) -> Option<usize> {
        let newline = || memrchr(b'\n', bytes).map(|newline| newline + 1);
        match &self.kind {
            Kind::Lines | Kind::Flawed(_) => newline(),
            Kind::Object => None,
            // Without a quote all line ends are ends of rows.
            Kind::Rows(columns) if memchr(columns.0.quote, bytes).is_none() => newline(),
            Kind::Rows(columns) => ends(bytes, |rest| match row::end(rest, &columns.0, false) {
                End::At(length) | End::Bad(length) => Some(length),
                End::Beyond => None,
            })
            .last(),
            Kind::Items => {
                items.extend(ends(bytes, item));
                items.last().copied()
            }
        }
    }

    /// Notes where the items of an array end in the bytes that are left, of which the last may have nothing behind it.
    fn all(&self, bytes: &[u8], items: &mut Vec<usize>) {
        if matches!(self.kind, Kind::Items) {
            items.extend(ends(bytes, item).filter(|end| *end < bytes.len()));
            items.push(bytes.len());
        }
    }

    /// Where the first record ends, however long it is; none where that is to come, or never comes.
    fn first(&self, bytes: &[u8]) -> Option<usize> {
        let is_all = self.ended || bytes.len() > RECORD_MAX;
        let head = bytes.get(..=RECORD_MAX).unwrap_or(bytes);
        let newline = || memchr(b'\n', head).map(|newline| newline + 1);
        let all = || (self.ended && bytes.len() <= RECORD_MAX).then_some(bytes.len());
        match &self.kind {
            Kind::Lines | Kind::Flawed(_) => newline().or_else(all),
            Kind::Object => all(),
            Kind::Rows(columns) => match row::end(bytes, &columns.0, is_all) {
                End::At(length) | End::Bad(length) if length < bytes.len() => Some(length),
                End::At(_) | End::Bad(_) => newline().filter(|newline| *newline == bytes.len()).or_else(all),
                End::Beyond => None,
            },
            Kind::Items => {
                item(bytes).or_else(all).or_else(|| newline().filter(|_| bytes.len() > RECORD_MAX))
            }
        }
    }
}

/// Where the records end that end in these bytes, by how long the first of some bytes is.
fn ends(bytes: &[u8], length: impl Fn(&[u8]) -> Option<usize>) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes.get(at..).filter(|rest| !rest.is_empty()).and_then(&length)?;
        Some(at)
    })
}

/// The items of an array, without what separates them; what is empty is none.
fn items<'b>(bytes: &'b [u8], ends: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let item = |(start, end): (usize, &usize)| {
        let item = bytes.get(start..*end).unwrap_or_default();
        item.strip_suffix(b",").or_else(|| item.strip_suffix(b"]")).unwrap_or(item).trim_ascii()
    };
    starts.zip(ends).map(item).filter(|item| !item.is_empty())
}
