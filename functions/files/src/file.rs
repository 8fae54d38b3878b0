//! A file: an object of the inbox, as it was dropped, and its bytes.

use crate::error::Error;
use bytes::Bytes;
use millrace_core::guard::Guard;
use millrace_core::port::{Clock, ReadObject};
use millrace_core::quarantine::Reject;
use millrace_core::record::Source;
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use millrace_files::table::{self, Footer, GROUP_MAX, Group, Parts, Rows, TAIL};
use millrace_files::{Chunk, Reader, Room};
use serde::{Deserialize, Serialize};

/// How much one call reads, bytes.
const PART: u64 = 8 << 20;

/// The longest footer of a Parquet file, bytes. It takes many times as much memory: a file of thousands of row groups with
/// hundreds of columns has some 10 MB.
const FOOTER_MAX: u64 = 32 << 20;

/// What stands before a file's id in the name of its lanes.
const LANES: &str = "files-";

/// What S3 says, by way of `EventBridge`, of an object that came; as far as it is of interest.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When it came, RFC 3339.
    pub time: String,
    /// What came.
    pub detail: Detail,
}

/// The bucket and the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The bucket.
    pub bucket: Bucket,
    /// The object.
    pub object: Object,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key, as it is.
    pub key: String,
    /// Its size, bytes; S3 leaves it out where it is 0.
    #[serde(default)]
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
}

/// An object that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// What tells it from all others: its bucket, its key, and the `ETag` that its bytes have.
    pub(crate) id: String,
    pub(crate) object: Object,
    pub(crate) bucket: String,
    /// When it came: so its rows came then.
    pub(crate) at: Micros,
}

impl File {
    pub(crate) fn new(dropped: &Dropped) -> Result<Self, Error> {
        let Detail { bucket, object } = &dropped.detail;
        let at =
            Micros::read_rfc3339(&dropped.time).ok_or(Error::Mistaken("`time` is no time in RFC 3339"))?;
        let mut parts = Vec::new();
        for part in [&bucket.name, &object.key, &object.etag] {
            parts.extend_from_slice(&(part.len() as u64).to_le_bytes());
            parts.extend_from_slice(part.as_bytes());
        }
        let id = fingerprint(&parts, 16);
        Ok(Self { id, object: object.clone(), bucket: bucket.name.clone(), at })
    }

    /// The file's name, without what stands before it.
    pub(crate) fn name(&self) -> &str {
        self.object.key.rsplit('/').next().unwrap_or_default()
    }

    /// What all that is known of it lies under.
    pub(crate) fn state_key(&self) -> String {
        state_key(&self.id)
    }

    /// The lane that a range of it is. A key may hold personal data, so that lanes have none.
    pub(crate) fn lane(&self, range: &str) -> Source {
        Source { stream: format!("{LANES}{}", self.id), shard: range.to_owned() }
    }
}

/// What all that is known of a file lies under, by the lane that a range of it is.
pub(crate) fn state_key_of(lane: &Source) -> String {
    state_key(lane.stream.strip_prefix(LANES).unwrap_or(&lane.stream))
}

fn state_key(id: &str) -> String {
    format!("files/{id}")
}

/// The bytes of a file, as long as it is the one that was dropped.
#[derive(Debug)]
pub(crate) struct Contents<'a, O, C> {
    pub(crate) objects: &'a Guard<O>,
    pub(crate) clock: &'a C,
    pub(crate) deadline: Micros,
    pub(crate) file: &'a File,
}

impl<O: ReadObject, C: Clock> Contents<'_, O, C> {
    /// The bytes from this one to that one, in as many calls as it takes.
    async fn bytes(&self, from: u64, end: u64) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        let mut at = from;
        while at < end {
            let part = self.part(at, end).await?;
            at += part.len() as u64;
            if all.is_empty() {
                if at == end {
                    return Ok(part);
                }
                // All at once: a row group has hundreds of MB, and must not be there twice.
                all.reserve_exact(usize::try_from(end - from).unwrap_or_default());
            }
            all.extend_from_slice(&part);
        }
        Ok(all.into())
    }

    /// The bytes from this one on, up to that one, as many as one call reads.
    pub(crate) async fn part(&self, from: u64, end: u64) -> Result<Bytes, Error> {
        let Object { key, etag, .. } = &self.file.object;
        let bytes = PART.min(end.saturating_sub(from));
        let read = async |objects: &O| objects.read(key, etag, from, bytes).await;
        let part = self.objects.call(self.clock, self.deadline, read).await?.ok_or(Error::Changed)?;
        // An object of this ETag has the size that was told.
        if part.len() as u64 == bytes { Ok(part) } else { Err(Error::Changed) }
    }

    /// The row groups of a Parquet file, and the end of it that tells them.
    pub(crate) async fn groups(&self) -> Result<(Vec<Group>, Bytes), Error> {
        let size = self.file.object.size;
        let mut tail = self.bytes(size.saturating_sub(TAIL), size).await?;
        loop {
            match table::footer(&tail, size)? {
                Footer::Groups(groups) => {
                    if groups.iter().any(|group| group.bytes.end - group.bytes.start > GROUP_MAX) {
                        let detail = format!("a row group has more than {} MB", GROUP_MAX >> 20);
                        return Err(Reject::new("file", "too_large", detail).into());
                    }
                    return Ok((groups, tail));
                }
                Footer::Needs(bytes) if bytes > FOOTER_MAX && bytes <= size => {
                    let detail =
                        format!("the description of its row groups has more than {} MB", FOOTER_MAX >> 20);
                    return Err(Reject::new("file", "too_large", detail).into());
                }
                Footer::Needs(bytes) if bytes > tail.len() as u64 && bytes <= size => {
                    tail = self.bytes(size - bytes, size).await?;
                }
                Footer::Needs(_) => {
                    let detail = "the Parquet file is damaged or cut off";
                    return Err(Reject::new("file", "bad_parquet", detail).into());
                }
            }
        }
    }
}

/// Chunks of a text, one after the other, while its bytes come.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) reader: Reader,
    /// Up to here it was read, and up to there it is to be.
    pub(crate) at: u64,
    pub(crate) end: u64,
    pub(crate) part: Bytes,
}

impl Text {
    /// The next chunk; none at the end.
    pub(crate) async fn chunk<O: ReadObject, C: Clock>(
        &mut self,
        contents: &Contents<'_, O, C>,
        room: &mut Room,
    ) -> Result<Option<Chunk>, Error> {
        loop {
            if let Some(chunk) = self.reader.chunk(room) {
                return Ok(Some(chunk));
            }
            if self.part.is_empty() && self.at < self.end {
                self.part = contents.part(self.at, self.end).await?;
                self.at += self.part.len() as u64;
            }
            if self.part.is_empty() {
                if self.at < contents.file.object.size {
                    self.reader.end_stretch()?;
                } else {
                    self.reader.end()?;
                }
                return Ok(self.reader.chunk(room));
            }
            let taken = self.reader.push(&self.part)?;
            self.part = self.part.split_off(taken);
        }
    }
}

/// Chunks of a table, row group after row group.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) groups: Vec<Group>,
    pub(crate) tail: Bytes,
    /// The row group that comes next, and the number of its first row.
    pub(crate) group: usize,
    pub(crate) number: u64,
    pub(crate) end: usize,
    /// Rows before this one are left out.
    pub(crate) from: u64,
    pub(crate) rows: Option<Rows>,
}

impl Table {
    pub(crate) async fn chunk<O: ReadObject, C: Clock>(
        &mut self,
        contents: &Contents<'_, O, C>,
        room: &mut Room,
    ) -> Result<Option<Chunk>, Error> {
        loop {
            if let Some(rows) = &mut self.rows {
                if let Some(chunk) = rows.chunk(room)? {
                    return Ok(Some(chunk));
                }
                self.rows = None;
            }
            let Some(group) = self.groups.get(self.group).filter(|_| self.group < self.end) else {
                return Ok(None);
            };
            if self.number + group.rows > self.from {
                let size = contents.file.object.size;
                let bytes = contents.bytes(group.bytes.start, group.bytes.end).await?;
                let tail = (size - self.tail.len() as u64, self.tail.clone());
                let source = Parts { size, parts: vec![(group.bytes.start, bytes), tail] };
                let mut rows = Rows::of(source, self.group..self.group + 1, self.number)?;
                rows.skip_to(self.from)?;
                self.rows = Some(rows);
            }
            self.group += 1;
            self.number += group.rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_tells_what_its_file_lies_under() {
        let object = Object { key: "inbox/a-b.csv".into(), size: 3, etag: "e-1".into() };
        let detail = Detail { bucket: Bucket { name: "files-inbox".into() }, object };
        let file = File::new(&Dropped { time: "2026-11-20T13:05:00Z".into(), detail }).unwrap();
        assert_eq!(state_key_of(&file.lane("7")), file.state_key());
        assert_eq!(file.state_key(), format!("files/{}", file.id));
    }
}
