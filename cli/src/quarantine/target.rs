//! Where events go that pass now: a file, or a stream.

use crate::cloud::{self, Stream};
use crate::error::Error;
use millrace_core::port::{self, Entry, Put, PutRecords};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

pub(super) enum Target {
    /// To which they are appended, a line each.
    File(PathBuf),
    Stream(Stream),
}

impl Target {
    pub(super) fn stream(name: &str) -> Result<Self, Error> {
        cloud::stream(name).map(Self::Stream)
    }
}

impl PutRecords for Target {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, port::Error> {
        match self {
            Self::File(path) => {
                let lines: Vec<u8> =
                    entries.iter().flat_map(|entry| [entry.data.as_slice(), b"\n"].concat()).collect();
                let opened = OpenOptions::new().create(true).append(true).open(path);
                let written =
                    opened.and_then(|mut file| file.write_all(&lines).and_then(|()| file.sync_all()));
                written.map_err(Error::port("cannot write", path))?;
                Ok(vec![Put::Done; entries.len()])
            }
            Self::Stream(stream) => stream.put(entries).await,
        }
    }
}
