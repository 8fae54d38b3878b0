//! Why a command failed, told to the person who typed it: what, where, and what to do. Never what an event holds.

use millrace_core::mistake::Mistakes;
use millrace_core::port::{self, Kind};
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file does not say what it should. The text has the place, and more than one line.
    #[error("{0}")]
    Mistaken(String),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// Tests failed, as told on stdout.
    #[error("{failed} of {all} tests failed")]
    Failed { failed: usize, all: usize },
    /// No failure: the rest of the input is not wanted.
    #[error("the rest of the input is not wanted")]
    Enough,
    /// The system said no.
    #[error("{tried} {place}")]
    Io {
        tried: &'static str,
        place: String,
        #[source]
        source: io::Error,
    },
    /// Rows that make no Parquet file.
    #[error("cannot make a Parquet file")]
    Lake(#[from] millrace_lake::Error),
}

impl From<port::Error> for Error {
    fn from(why: port::Error) -> Self {
        Self::Refused(why.chain())
    }
}

impl Error {
    pub(crate) fn io(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let place = format!("`{}`", path.display());
        move |source| Self::Io { tried, place, source }
    }

    /// The same, of a place that is a port's. A system that said no will say it again.
    pub(crate) fn port(tried: &str, path: &Path) -> impl FnOnce(io::Error) -> port::Error {
        let what = format!("{tried} `{}`", path.display());
        move |source| port::Error { what, kind: Kind::Permanent, source: Some(Box::new(source)) }
    }

    /// Reads a text.
    pub(crate) fn read(tried: &'static str, path: &Path) -> Result<String, Self> {
        let bytes = fs::read(path).map_err(Self::io(tried, path))?;
        String::from_utf8(bytes).map_err(|why| {
            let valid = why.utf8_error().valid_up_to();
            let line = why.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
            Self::Refused(format!("{tried} `{}`: line {line} is not UTF-8: save it as UTF-8", path.display()))
        })
    }

    pub(crate) fn stdout(source: io::Error) -> Self {
        Self::Io { tried: "cannot write", place: "stdout".to_owned(), source }
    }

    pub(crate) fn mistakes(path: &Path, mistakes: &Mistakes) -> Self {
        Self::Mistaken(mistakes.render(&path.display().to_string()))
    }

    /// Whether it is only that nobody reads stdout any more.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What stands on stderr: `error: …` with all its causes.
    pub(crate) fn page(&self) -> String {
        if let Self::Mistaken(page) = self {
            return page.clone();
        }
        let mut page = format!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Writing to a String cannot fail.
            let _ = write!(page, ": {error}");
            cause = error.source();
        }
        page.push('\n');
        page
    }
}
