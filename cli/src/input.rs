//! A file of events, or stdin, read as the function `files` reads an object: by what it is, chunk by chunk.

use crate::error::Error;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_core::quarantine::Reject;
use millrace_files::{Chunk, Reader, Room, format, table};
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

pub(crate) use millrace_files::Piece;

/// How much is read at a time, bytes: large enough that the calls do not show, and small enough for a core's cache.
const READ: usize = 256 << 10;

/// A file or stdin.
pub(crate) struct Input {
    name: String,
    source: Source,
}

enum Source {
    Text(Box<Text>),
    Table(table::Rows),
}

struct Text {
    reader: Reader,
    bytes: Box<dyn Read + Send>,
    /// What was read, of which the first bytes were pushed.
    read: Vec<u8>,
    pushed: usize,
}

impl Input {
    /// Opens a file; `-` is stdin.
    pub(crate) fn open(path: &Path, progress: &ProgressBar) -> Result<Self, Error> {
        if path == Path::new("-") {
            return Ok(Self::text("stdin".to_owned(), progress.wrap_read(io::stdin())));
        }
        let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
        let (mut file, about) = opened.map_err(Error::io("cannot read", path))?;
        if about.is_dir() {
            let what =
                format!("`{}` is a directory: give one file, or `-` and the files on stdin", path.display());
            return Err(Error::Refused(what));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if !about.is_file() {
            return Ok(Self::text(name, progress.wrap_read(file)));
        }
        let mut head = Vec::new();
        let read = file.by_ref().take(4).read_to_end(&mut head).and_then(|_| file.rewind());
        read.map_err(Error::io("cannot read", path))?;
        if format::is_parquet(&head) {
            let rows = table::Rows::of(file, 0..usize::MAX, 1).map_err(unreadable(&name))?;
            return Ok(Self { name, source: Source::Table(rows) });
        }
        progress.set_length(about.len());
        style(progress, "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        Ok(Self::text(name, progress.wrap_read(file)))
    }

    fn text(name: String, bytes: impl Read + Send + 'static) -> Self {
        let reader = Reader::new(&name);
        let text = Text { reader, bytes: Box::new(bytes), read: Vec::new(), pushed: 0 };
        Self { name, source: Source::Text(Box::new(text)) }
    }

    /// The file's name, without its directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the next chunk into the room that is given; none at the end.
    pub(crate) fn chunk(&mut self, mut room: Room) -> Result<Option<Chunk>, Error> {
        match &mut self.source {
            Source::Text(text) => text.chunk(&mut room, &self.name),
            Source::Table(rows) => rows.chunk(&mut room).map_err(unreadable(&self.name)),
        }
    }
}

impl Text {
    fn chunk(&mut self, room: &mut Room, name: &str) -> Result<Option<Chunk>, Error> {
        let mut is_over = false;
        loop {
            if let Some(chunk) = self.reader.chunk(room) {
                return Ok(Some(chunk));
            }
            if is_over {
                return Ok(None);
            }
            if self.pushed == self.read.len() {
                self.read.clear();
                self.pushed = 0;
                let read = self.bytes.by_ref().take(READ as u64).read_to_end(&mut self.read);
                read.map_err(|source| {
                    let place = format!("`{name}`");
                    Error::Io { tried: "cannot read", place, source }
                })?;
                if format::is_parquet(&self.read) && self.reader.format().is_none() {
                    let what =
                        "Parquet cannot be read from a pipe: its end says where its rows are".to_owned();
                    return Err(Error::Refused(what));
                }
            }
            if self.read.is_empty() {
                self.reader.end().map_err(unreadable(name))?;
                is_over = true;
            } else {
                let rest = self.read.get(self.pushed..).unwrap_or_default();
                self.pushed += self.reader.push(rest).map_err(unreadable(name))?;
            }
        }
    }
}

fn unreadable(name: &str) -> impl FnOnce(Reject) -> Error {
    move |why| {
        let rest = match why.reason {
            "bad_array" | "bad_gzip" | "bad_zstd" => "; what was written until there is not all",
            _ => "",
        };
        Error::Refused(format!("`{name}` cannot be read: {}{rest}", why.detail))
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
    use millrace_files::cut::RECORD_MAX;
    use std::io::{Cursor, Write as _};

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn pieces(data: &[u8]) -> Result<Vec<String>, Error> {
        let mut pieces = Vec::new();
        let mut input = Input::text("x".to_owned(), Cursor::new(data.to_vec()));
        let mut room = Room::default();
        while let Some(mut chunk) = input.chunk(room)? {
            chunk.each(|piece| {
                let bytes = String::from_utf8_lossy(piece.bytes);
                let flaw = piece.flaw.map(|flaw| format!(" {flaw}")).unwrap_or_default();
                pieces.push(format!("{}: {bytes}{flaw}", piece.number));
                Ok::<_, Error>(())
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
    fn what_is_cut_short_is_lines_again() {
        check(
            "{\"a\":\n{\"a\":2}\n",
            expect![[r#"
            1: {"a":
            2: {"a":2}"#]],
        );
        let why = pieces(b"[{\"a\":1},{\"a\"").unwrap_err();
        assert!(why.to_string().contains("the array has no end: the file is cut off"), "{why}");
    }

    #[test]
    fn a_line_without_end_takes_no_memory_without_end() {
        let long = [vec![b'x'; RECORD_MAX + 7], b"\n{}\n".to_vec()].concat();
        let pieces = pieces(&long).unwrap();
        assert_eq!((pieces.len(), pieces[1].as_str()), (2, "2: {}"));
        assert!(pieces[0].contains("file: too_large: the line has more than 16777216 bytes"));
    }

    #[test]
    fn damaged_gzip_is_told() {
        let whole = gzip(b"{\"a\":1}\n");
        for damaged in [&whole[..2], &whole[..whole.len() - 6], &[&whole[..], b"trailing"].concat()] {
            let why = pieces(damaged).unwrap_err().page();
            assert!(
                why.starts_with("error: `x` cannot be read: the gzip data is damaged or cut off; what"),
                "{why}"
            );
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
