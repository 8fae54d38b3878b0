//! A file of events, cut into pieces as `core::decode` cuts a record, but in bounded memory.
//!
//! NDJSON is read line by line, through gzip where the file is gzip; only a JSON array has to be there as a whole.

use crate::error::Error;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::quarantine::Reject;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// The longest line taken, bytes: more than any record that the pipeline can get. It bounds the memory.
const LINE_MAX: usize = decode::INFLATED_MAX;

/// How much is read at a time, bytes: large enough that the calls do not show.
const CHUNK: usize = 256 << 10;

/// One event as it came, or what stands in an event's place.
pub(crate) struct Piece<'a> {
    /// The line that it stands in, or its place in the array; from 1.
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

/// A file or stdin.
pub(crate) struct Input {
    name: String,
    reader: Box<dyn BufRead>,
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

    fn new(name: String, source: impl Read + 'static) -> Result<Self, Error> {
        let mut source = BufReader::with_capacity(CHUNK, source);
        let mut head = Vec::new();
        source.by_ref().take(2).read_to_end(&mut head).map_err(unreadable(&name))?;
        let gzip = head == [0x1f, 0x8b];
        let source = Cursor::new(head).chain(source);
        let reader: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        };
        Ok(Self { name, reader })
    }

    /// The file's name, without its directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Hands over the pieces, in order.
    pub(crate) fn each(mut self, mut take: impl FnMut(Piece<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let number = 1 + self.skip_blanks().map_err(unreadable(&self.name))?;
        match self.reader.fill_buf().map_err(unreadable(&self.name))?.first() {
            None => Ok(()),
            Some(b'[') => self.array(take),
            Some(_) => match self.object().map_err(unreadable(&self.name))? {
                Some(object) => take(Piece { number, bytes: object.trim_ascii(), flaw: None }),
                None => self.lines(number, take),
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

    fn array(mut self, mut take: impl FnMut(Piece<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut whole = Vec::new();
        self.reader.read_to_end(&mut whole).map_err(unreadable(&self.name))?;
        match decode::split(&whole) {
            Ok(items) => {
                (1..).zip(items).try_for_each(|(number, bytes)| take(Piece { number, bytes, flaw: None }))
            }
            Err(flaw) => take(Piece { number: 1, bytes: &whole, flaw: Some(flaw) }),
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

    fn lines(
        mut self,
        first: u64,
        mut take: impl FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut line = Vec::new();
        for number in first.. {
            line.clear();
            let limit = LINE_MAX as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
            if read.map_err(unreadable(&self.name))? == 0 {
                break;
            }
            let flaw = (line.len() > LINE_MAX && !line.ends_with(b"\n")).then(|| {
                let detail = format!("the line has more than {LINE_MAX} bytes, of which the first are kept");
                Reject::new("decode", "too_large", detail)
            });
            if flaw.is_some() {
                self.reader.skip_until(b'\n').map_err(unreadable(&self.name))?;
            }
            let bytes = line.trim_ascii();
            if !bytes.is_empty() || flaw.is_some() {
                take(Piece { number, bytes, flaw })?;
            }
        }
        Ok(())
    }
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
                "the gzip data of `{name}` is damaged or cut off: what was written until there is not all"
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
        Input::new("x".to_owned(), Cursor::new(data.to_vec()))?.each(|piece| {
            let bytes = String::from_utf8_lossy(piece.bytes);
            let flaw = piece.flaw.map(|flaw| format!(" {flaw}")).unwrap_or_default();
            pieces.push(format!("{}: {bytes}{flaw}", piece.number));
            Ok(())
        })?;
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
            assert!(why.starts_with("error: the gzip data of `x` is damaged or cut off"), "{why}");
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
