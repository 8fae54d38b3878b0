//! What a run writes: the events, in parts of bounded size, and the quarantine.

use super::Format;
use crate::error::Error;
use millrace_core::event::Event;
use millrace_core::quarantine::{self, Entry, Reject};
use millrace_core::record::Source;
use millrace_lake::{Layout, Row, Table};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::Add;
use std::path::{Path, PathBuf};

/// A part of the lake has at most so many events, or events of so many bytes. It bounds the memory.
const PART_EVENTS: usize = 256 << 10;
const PART_BYTES: usize = 128 << 20;

/// How many bytes of bad events are gathered before they are compressed, and what one takes beside its payload.
const PAGE_BYTES: usize = 4 << 20;
const ENTRY_BYTES: usize = 256;

const QUARANTINE: &str = "quarantine.ndjson.gz";

/// What is on the disk now.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Written {
    files: usize,
    bytes: u64,
}

impl Add for Written {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { files: self.files + more.files, bytes: self.bytes + more.bytes }
    }
}

/// The events that passed: what all workers share of them.
pub(super) enum Output {
    Ndjson { path: PathBuf, file: BufWriter<File> },
    Parquet { dir: PathBuf, layout: Layout },
}

impl Output {
    /// Makes the directory, and refuses one that holds an earlier run: nobody could tell their parts apart.
    pub(super) fn begin(dir: &Path, format: Format, layout: Layout) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::io("cannot make the directory", dir))?;
        for entry in fs::read_dir(dir).map_err(Error::io("cannot read the directory", dir))? {
            let name = entry.map_err(Error::io("cannot read the directory", dir))?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("part-") || name.starts_with("event_date=") || name == QUARANTINE {
                return Err(Error::Refused(format!(
                    "`{}` holds the output of an earlier run, `{name}`: remove it, or give another directory with `--out`",
                    dir.display()
                )));
            }
        }
        Ok(match format {
            Format::Parquet => Self::Parquet { dir: dir.to_owned(), layout },
            Format::Ndjson => {
                let path = dir.join("part-00000.ndjson");
                let file = File::create_new(&path).map_err(Error::io("cannot write", &path))?;
                Self::Ndjson { path, file: BufWriter::with_capacity(256 << 10, file) }
            }
        })
    }

    /// What one of so many workers writes to.
    pub(super) fn sheet(&self, worker: usize, workers: usize) -> Sheet {
        match self {
            Self::Ndjson { .. } => Sheet::Lines(String::new()),
            Self::Parquet { dir, layout } => {
                Sheet::Rows(Box::new(Parts::new(dir, layout.clone(), worker, workers)))
            }
        }
    }

    /// Writes a line, where lines are what it writes.
    pub(super) fn write(&mut self, line: &str) -> Result<(), Error> {
        match self {
            Self::Ndjson { path, file } => {
                file.write_all(line.as_bytes()).map_err(Error::io("cannot write", path))
            }
            Self::Parquet { .. } => Ok(()),
        }
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Result<Written, Error> {
        match self {
            Self::Parquet { .. } => Ok(Written::default()),
            Self::Ndjson { path, mut file } => {
                let about = file.flush().and_then(|()| file.get_ref().metadata());
                let bytes = about.map_err(Error::io("cannot write", &path))?.len();
                Ok(Written { files: 1, bytes })
            }
        }
    }
}

/// The events of one worker.
pub(super) enum Sheet {
    /// The lines of a chunk, which wait for its turn.
    Lines(String),
    /// Rows, in files of the worker's own.
    Rows(Box<Parts>),
}

/// Where an event is on a sheet.
pub(super) enum Kept {
    /// It ends there, and begins where the one before it does.
    Line {
        end: usize,
    },
    Row(Row),
}

impl Sheet {
    /// Takes an event, or says why it has no place.
    pub(super) fn push(&mut self, event: &mut Event) -> Result<Kept, Reject> {
        match self {
            Self::Rows(parts) => parts.push(event).map(Kept::Row),
            Self::Lines(text) => {
                event.write(text);
                text.push('\n');
                Ok(Kept::Line { end: text.len() })
            }
        }
    }

    /// Hands over the lines that it has, if lines are what it has.
    pub(super) fn take_lines(&mut self) -> String {
        match self {
            Self::Lines(text) => std::mem::take(text),
            Self::Rows(_) => String::new(),
        }
    }

    /// Whether there is enough for a part of the lake.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Rows(parts) if parts.is_full())
    }

    /// Writes a part of the lake, without these rows, and tells what was written so far.
    pub(super) fn flush(&mut self, taken_back: &[Row]) -> Result<Written, Error> {
        let Self::Rows(parts) = self else { return Ok(Written::default()) };
        for row in taken_back {
            parts.table.take_back(row);
        }
        parts.flush()?;
        Ok(parts.written)
    }
}

/// Rows as Parquet, a directory for each partition.
pub(super) struct Parts {
    dir: PathBuf,
    table: Table,
    /// The next part's number; each worker has numbers of its own.
    number: usize,
    workers: usize,
    events: usize,
    bytes: usize,
    written: Written,
}

impl Parts {
    fn new(dir: &Path, layout: Layout, worker: usize, workers: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            table: Table::new(layout),
            number: worker,
            workers,
            events: 0,
            bytes: 0,
            written: Written::default(),
        }
    }

    fn push(&mut self, event: &mut Event) -> Result<Row, Reject> {
        let row = self.table.push(event)?;
        self.events += 1;
        self.bytes += event.weight();
        Ok(row)
    }

    /// The memory is bounded for all workers together.
    fn is_full(&self) -> bool {
        self.events >= PART_EVENTS / self.workers || self.bytes >= PART_BYTES / self.workers
    }

    /// Writes the part of each partition that has events.
    fn flush(&mut self) -> Result<(), Error> {
        for part in self.table.finish()? {
            let dir = self.dir.join(part.partition.to_string());
            fs::create_dir_all(&dir).map_err(Error::io("cannot make the directory", &dir))?;
            let path = dir.join(format!("part-{:05}.parquet", self.number));
            fs::write(&path, &part.body).map_err(Error::io("cannot write", &path))?;
            self.written = self.written + Written { files: 1, bytes: part.body.len() as u64 };
        }
        (self.number, self.events, self.bytes) = (self.number + self.workers, 0, 0);
        Ok(())
    }
}

/// The bad events, in the quarantine's own format. There is no file where all is good.
pub(super) struct Quarantine {
    path: PathBuf,
    source: Source,
    file: Option<File>,
    waiting: Vec<Entry>,
    waiting_bytes: usize,
    bytes: u64,
}

impl Quarantine {
    /// A quarantine for the events of this file.
    pub(super) fn new(dir: &Path, file: &str) -> Self {
        let source = Source { stream: file.to_owned(), shard: "file".to_owned() };
        Self {
            path: dir.join(QUARANTINE),
            source,
            file: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            bytes: 0,
        }
    }

    /// Takes a bad event.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Error> {
        self.waiting_bytes += entry.payload.len() + ENTRY_BYTES;
        self.waiting.push(entry);
        if self.waiting_bytes >= PAGE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Appends a page: gzip files one after the other are one gzip file.
    fn flush(&mut self) -> Result<(), Error> {
        let entries = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(page) = quarantine::page("run", &self.source, &entries) else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.file.insert(File::create_new(&self.path).map_err(Error::io("cannot write", &self.path))?)
            }
        };
        file.write_all(&page.body).map_err(Error::io("cannot write", &self.path))?;
        self.bytes += page.body.len() as u64;
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<Written, Error> {
        self.flush()?;
        Ok(Written { files: usize::from(self.file.is_some()), bytes: self.bytes })
    }
}
