//! A file of events, cut into pieces as `core::decode` cuts a record, but in bounded memory.
//!
//! NDJSON is read in chunks of whole lines, through gzip or zstd where the file is that; only a JSON array, or a record of
//! a stream that is a KPL aggregate, has to be there as a whole.

use crate::error::Error;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_core::decode::{self, Payload, Pieces};
use millrace_core::event::Event;
use millrace_core::kpl;
use millrace_core::quarantine::Reject;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::iter;
use std::path::Path;

/// The longest line taken, bytes: more than any record that the pipeline can get. It bounds the memory.
const LINE_MAX: usize = decode::INFLATED_MAX;

/// How much is read at a time, bytes: large enough that the calls do not show, and small enough for a core's cache.
const CHUNK: usize = 256 << 10;

/// One event as it came, or what stands in an event's place.
pub(crate) struct Piece<'a> {
    /// The line that it stands in, or its place in the array or aggregate; from 1.
    pub(crate) number: u64,
    pub(crate) bytes: &'a [u8],
    /// Why it cannot be parsed, where that is known already.
    pub(crate) flaw: Option<Reject>,
}

impl Piece<'_> {
    /// Reads it as an event.
    pub(crate) fn read(&self, event: &mut Event) -> Result<(), Reject> {
        match &self.flaw {
            Some(flaw) => Err(flaw.clone()),
            None => decode::event(self.bytes, event),
        }
    }
}

/// Pieces that stand one after the other in a file.
pub(crate) struct Chunk {
    /// The number of the first of them.
    first: u64,
    bytes: Vec<u8>,
    shape: Shape,
}

enum Shape {
    /// Whole lines, of which the last is longer than a line may be, where there is a flaw.
    Lines(Option<Reject>),
    /// One object.
    Object,
    /// An array.
    Array,
    /// The events of an aggregate, one after the other: where each ends, and its flaw.
    Aggregate(Vec<(usize, Option<Reject>)>),
}

impl Chunk {
    /// Hands over the pieces, in order.
    pub(crate) fn each<'c>(
        &'c self,
        mut take: impl FnMut(Piece<'c>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &self.shape {
            Shape::Object => take(Piece { number: self.first, bytes: self.bytes.trim_ascii(), flaw: None }),
            Shape::Array => match decode::split(&self.bytes) {
                Ok(items) => (self.first..)
                    .zip(items)
                    .try_for_each(|(number, bytes)| take(Piece { number, bytes, flaw: None })),
                Err(flaw) => take(Piece { number: self.first, bytes: &self.bytes, flaw: Some(flaw) }),
            },
            Shape::Aggregate(ends) => {
                let mut start = 0;
                (self.first..).zip(ends).try_for_each(|(number, (end, flaw))| {
                    let bytes = self.bytes.get(start..*end).unwrap_or_default();
                    start = *end;
                    take(Piece { number, bytes, flaw: flaw.clone() })
                })
            }
            Shape::Lines(flaw) => {
                let mut start = 0;
                let ends = memchr::memchr_iter(b'\n', &self.bytes).chain([self.bytes.len()]);
                for (number, end) in (self.first..).zip(ends) {
                    let flaw = flaw.as_ref().filter(|_| end == self.bytes.len()).cloned();
                    let bytes = self.bytes.get(start..end).unwrap_or_default().trim_ascii();
                    start = end + 1;
                    if !bytes.is_empty() || flaw.is_some() {
                        take(Piece { number, bytes, flaw })?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The memory of the chunk, to read the next one into.
    pub(crate) fn into_room(self) -> Vec<u8> {
        self.bytes
    }
}

/// A file or stdin.
pub(crate) struct Input {
    name: String,
    reader: Box<dyn BufRead + Send>,
    /// The number of the next piece; none before the first.
    next: Option<u64>,
}

impl Input {
    /// Opens a file; `-` is stdin.
    pub(crate) fn open(path: &Path, progress: &ProgressBar) -> Result<Self, Error> {
        if path == Path::new("-") {
            return Self::new("stdin".to_owned(), progress.wrap_read(io::stdin()));
        }
        let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
        let (file, about) = opened.map_err(Error::io("cannot read", path))?;
        if about.is_dir() {
            let what =
                format!("`{}` is a directory: give one file, or `-` and the files on stdin", path.display());
            return Err(Error::Refused(what));
        }
        if about.is_file() {
            progress.set_length(about.len());
            style(progress, "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::new(name, progress.wrap_read(file))
    }

    fn new(name: String, source: impl Read + Send + 'static) -> Result<Self, Error> {
        let mut source = BufReader::with_capacity(CHUNK, source);
        let mut head = Vec::new();
        source.by_ref().take(4).read_to_end(&mut head).map_err(unreadable(&name))?;
        let (is_gzip, is_zstd) = (head.starts_with(&[0x1f, 0x8b]), head == [0x28, 0xb5, 0x2f, 0xfd]);
        let source = Cursor::new(head).chain(source);
        let reader: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(source)))
        } else if is_zstd {
            let zstd = zstd::Decoder::with_buffer(source).map_err(unreadable(&name))?;
            Box::new(BufReader::with_capacity(CHUNK, zstd))
        } else {
            Box::new(source)
        };
        Ok(Self { name, reader, next: None })
    }

    /// The file's name, without its directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the next chunk into the room that is given; none at the end.
    pub(crate) fn chunk(&mut self, mut room: Vec<u8>) -> Result<Option<Chunk>, Error> {
        room.clear();
        self.read(room).map_err(unreadable(&self.name))
    }

    fn read(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Chunk>> {
        if let Some(first) = self.next {
            return self.lines(first, bytes);
        }
        let first = 1 + self.skip_blanks()?;
        self.next = Some(first);
        let head = self.reader.fill_buf()?;
        let is_aggregate = kpl::begins(head);
        match head.first().copied() {
            None => Ok(None),
            Some(b'[') => {
                self.reader.read_to_end(&mut bytes)?;
                Ok(Some(Chunk { first: 1, bytes, shape: Shape::Array }))
            }
            Some(_) if is_aggregate => {
                self.reader.read_to_end(&mut bytes)?;
                Ok(Some(aggregate(&bytes)))
            }
            Some(_) => match self.object()? {
                Some(bytes) => Ok(Some(Chunk { first, bytes, shape: Shape::Object })),
                None => self.lines(first, bytes),
            },
        }
    }

    /// Skips blanks and empty lines, and says how many line ends they had.
    fn skip_blanks(&mut self) -> io::Result<u64> {
        let mut lines = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            lines += buffer.iter().take(blank).map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            let found = blank < buffer.len() || buffer.is_empty();
            self.reader.consume(blank);
            if found {
                return Ok(lines);
            }
        }
    }

    /// The whole input where it is one object written over many lines, no longer than a line may be. Else all is left
    /// to read as it was.
    fn object(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut head = Vec::new();
        let limit = LINE_MAX as u64;
        self.reader.by_ref().take(limit).read_until(b'\n', &mut head)?;
        if is_cut_short(&head) {
            self.reader.by_ref().take(limit).read_to_end(&mut head)?;
            let is_all = self.reader.fill_buf()?.is_empty();
            if is_all && serde_json::from_slice::<IgnoredAny>(&head).is_ok() {
                return Ok(Some(head));
            }
        }
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(head).chain(rest));
        Ok(None)
    }

    /// Whole lines, as many as a chunk has and the rest of the last one.
    fn lines(&mut self, first: u64, mut bytes: Vec<u8>) -> io::Result<Option<Chunk>> {
        self.reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        let mut flaw = None;
        if !bytes.ends_with(b"\n") && !bytes.is_empty() {
            let begun = bytes.len() - memchr::memrchr(b'\n', &bytes).map_or(0, |newline| newline + 1);
            let limit = LINE_MAX.saturating_sub(begun) as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
            if begun + read > LINE_MAX && !bytes.ends_with(b"\n") {
                let detail = format!("the line has more than {LINE_MAX} bytes, of which the first are kept");
                flaw = Some(Reject::new("decode", "too_large", detail));
                self.reader.skip_until(b'\n')?;
            }
        }
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
        self.next = Some(first + lines + u64::from(flaw.is_some()));
        Ok((!bytes.is_empty()).then_some(Chunk { first, bytes, shape: Shape::Lines(flaw) }))
    }
}

/// The events of an aggregate; of one that is damaged there is one, all of it.
fn aggregate(bytes: &[u8]) -> Chunk {
    let (mut room, mut events, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let damaged = |flaw| iter::once(Payload { data: bytes, pieces: Err(flaw) }).collect();
    for payload in decode::unpack(bytes, &mut room).unwrap_or_else(damaged) {
        let (pieces, flaw) = match payload.pieces {
            Ok(pieces) => (pieces, None),
            Err(flaw) => (Pieces::One(Some(payload.data)), Some(flaw)),
        };
        for piece in pieces {
            events.extend_from_slice(piece);
            ends.push((events.len(), flaw.clone()));
        }
    }
    Chunk { first: 1, bytes: events, shape: Shape::Aggregate(ends) }
}

/// Whether this is JSON as far as it goes.
fn is_cut_short(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(|error| error.is_eof())
}

/// The words of flate2 say little to people.
fn unreadable(name: &str) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Refused(format!(
                "the compressed data of `{name}` is damaged or cut off: what was written until there is not all"
            ))
        }
        _ => Error::Io { tried: "cannot read", place: format!("`{name}`"), source: error },
    }
}

/// A bar on stderr, which shows only where stderr is a terminal.
pub(crate) fn progress() -> ProgressBar {
    let bar = ProgressBar::no_length();
    style(&bar, "{spinner} {bytes} read, {bytes_per_sec}");
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn pieces(data: &[u8]) -> Result<Vec<String>, Error> {
        let mut pieces = Vec::new();
        let mut input = Input::new("x".to_owned(), Cursor::new(data.to_vec()))?;
        let mut room = Vec::new();
        while let Some(chunk) = input.chunk(room)? {
            chunk.each(|piece| {
                let bytes = String::from_utf8_lossy(piece.bytes);
                let flaw = piece.flaw.map(|flaw| format!(" {flaw}")).unwrap_or_default();
                pieces.push(format!("{}: {bytes}{flaw}", piece.number));
                Ok(())
            })?;
            room = chunk.into_room();
        }
        Ok(pieces)
    }

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(data: impl AsRef<[u8]>, expected: Expect) {
        let told = |pieces: Result<Vec<_>, Error>| pieces.map_or_else(|e| e.page(), |p| p.join("\n"));
        expected.assert_eq(&told(pieces(data.as_ref())));
        expected.assert_eq(&told(pieces(&gzip(data.as_ref()))));
    }

    #[test]
    fn lines_an_object_or_an_array() {
        check(
            "\n{\"a\":1}\r\n\n  oops\n[3]\n{\"a\":2}",
            expect![[r#"
                2: {"a":1}
                4: oops
                5: [3]
                6: {"a":2}"#]],
        );
        check(
            "\n{\n\"a\":\n1}\n",
            expect![[r#"
            2: {
            "a":
            1}"#]],
        );
        check(
            " [ {\"a\":1} ,\n {\"a\":2} ]",
            expect![[r#"
            1: {"a":1}
            2: {"a":2}"#]],
        );
        check("", expect![""]);
        check(" \n\t\n", expect![""]);
    }

    #[test]
    fn an_aggregate_is_its_events() {
        let sound = include_bytes!("../../shared/core/tests/kpl/payloads.kpl");
        let pieces = |data: &[u8]| pieces(data).unwrap();
        expect![[r#"
            1: {"id": "k-0", "eventType": "view", "timestamp": 1573841100}
            2: {"id": "k-1", "eventType": "view", "timestamp": 1573841101}
            3: oops
            4: {"id": "k-2", "eventType": "view", "timestamp": 1573841102}
            5: {"id": "k-3", "eventType": "view", "timestamp": 1573841103}
            6: {"id": "k-4", "eventType": "view", "timestamp": 1573841104}
            7: {"id": "k-5", "eventType": "view", "timestamp": 1573841105}
            8: {"id": "k-6", "eventType": "view", "timestamp": 1573841106}
            9:  decode: empty: there is nothing in it
            10: �damaged decode: bad_gzip: the gzip data is damaged or cut off
            11: no
            12: lines
            13: at all
            14: {"id": "k-7", "eventType": "view", "timestamp": 1573841107}"#]]
        .assert_eq(&pieces(sound).join("\n"));
        let damaged = pieces(include_bytes!("../../shared/core/tests/kpl/bad_md5.kpl"));
        assert!(damaged.len() == 1 && damaged[0].contains("decode: bad_kpl"), "{damaged:?}");
    }

    #[test]
    fn what_is_cut_short_is_lines_again() {
        check(
            "{\"a\":\n{\"a\":2}\n",
            expect![[r#"
            1: {"a":
            2: {"a":2}"#]],
        );
        check(
            "[{\"a\":1},{\"a\"",
            expect![[r#"
            1: [{"a":1},{"a" decode: not_json: the JSON ends too early: EOF while parsing an object at line 1 column 13"#]],
        );
    }

    #[test]
    fn a_line_without_end_takes_no_memory_without_end() {
        let long = [vec![b'x'; LINE_MAX + 7], b"\n{}\n".to_vec()].concat();
        let pieces = pieces(&long).unwrap();
        assert_eq!((pieces.len(), pieces[1].as_str()), (2, "2: {}"));
        assert!(pieces[0].contains("decode: too_large: the line has more than 16777216 bytes"));
    }

    #[test]
    fn damaged_gzip_is_told() {
        let whole = gzip(b"{\"a\":1}\n");
        for damaged in [&whole[..2], &whole[..whole.len() - 6], &[&whole[..], b"trailing"].concat()] {
            let why = pieces(damaged).unwrap_err().page();
            assert!(why.starts_with("error: the compressed data of `x` is damaged or cut off"), "{why}");
        }
    }

    #[test]
    fn no_bytes_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let signs = b"[]{}\",:\\ \n\r\x00\xff\x1f\x8bae1-.";
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.usize(0..40))
                .map(|_| if random.bool() { random.u8(..) } else { signs[random.usize(..signs.len())] })
                .collect();
            let _ = pieces(&bytes);
        }
    }
}
