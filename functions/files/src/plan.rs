//! Finds out what a file is, and cuts it into ranges that are read by themselves.
//!
//! The file is read through once: where a record ends, only those before it tell. So the cuts are exact, whatever stands
//! in quotes, each range knows the number of its first record, and the digest is of all the bytes.

use crate::error::Error;
use crate::file::Contents;
use crate::ledger::{Plan, Range};
use bytes::Bytes;
use millrace_core::port::{Clock, ReadObject};
use millrace_core::quarantine::Reject;
use millrace_core::token::hex;
use millrace_files::{Format, Mark, Packing, Reader, Room, Shape, format};
use sha2::{Digest as _, Sha256};

/// The most ranges of one file: the history of a state machine has room for 25,000 events.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const RANGES_MAX: u64 = 500;

/// How long before the deadline planning gives up, milliseconds: it begins anew each time, so that it has to end in one go.
const GIVE_UP_MS: i64 = 10_000;

/// The plan of a file, in ranges of at least so many bytes.
pub(crate) async fn plan<O: ReadObject, C: Clock>(
    contents: &Contents<'_, O, C>,
    range: u64,
) -> Result<Plan, Error> {
    let size = contents.file.object.size;
    let least = range.max(size / RANGES_MAX);
    let mut digest = Sha256::new();
    let mut cuts = Cuts::new(contents.file.name(), least);
    let (mut at, mut is_table) = (0, false);
    while at < size {
        if at > 0 && contents.clock.now().plus_ms(GIVE_UP_MS) > contents.deadline {
            let detail = "it cannot be read through within one invocation: cut it into smaller files";
            return Err(Reject::new("file", "too_large", detail).into());
        }
        let part = contents.part(at, size).await?;
        digest.update(&part);
        is_table |= at == 0 && format::is_parquet(&part);
        at += part.len() as u64;
        if !is_table {
            cuts.push(part)?;
        }
    }
    let mut sha256 = String::new();
    hex(&digest.finalize(), &mut sha256);
    if is_table {
        let (groups, _) = contents.groups().await?;
        let begin = Mark { at: 0, number: 1 };
        let format = Format { packing: Packing::Plain, shape: Shape::Parquet, begin };
        let mut ranges = Vec::new();
        let (mut range, mut bytes, mut number) = (Range { begin, end: 0 }, 0, 1);
        for group in groups {
            number += group.rows;
            bytes += group.bytes.end - group.bytes.start;
            range.end += 1;
            if bytes >= least {
                ranges.push(range);
                range = Range { begin: Mark { at: range.end, number }, end: range.end };
                bytes = 0;
            }
        }
        ranges.extend((range.end > range.begin.at).then_some(range));
        return Ok(Plan { format, ranges, sha256 });
    }
    let (format, ranges) = cuts.end()?;
    Ok(Plan { format, ranges, sha256 })
}

/// The ranges of a text whose bytes come in.
struct Cuts {
    reader: Reader,
    room: Room,
    least: u64,
    ranges: Vec<Range>,
    /// Where the range begins that is not cut yet, and how far it came.
    open: Option<(Mark, Mark)>,
}

impl Cuts {
    fn new(name: &str, least: u64) -> Self {
        Self { reader: Reader::new(name), room: Room::default(), least, ranges: Vec::new(), open: None }
    }

    fn push(&mut self, mut part: Bytes) -> Result<(), Error> {
        // Of what is packed only the beginning tells anything: it is one range.
        while !part.is_empty() && !self.is_packed() {
            let taken = self.reader.push(&part)?;
            part = part.split_off(taken);
            self.chunks();
        }
        Ok(())
    }

    fn is_packed(&self) -> bool {
        self.reader.format().is_some_and(|format| format.packing != Packing::Plain)
    }

    fn chunks(&mut self) {
        while let Some(chunk) = self.reader.chunk(&mut self.room) {
            let (begin, end) = (self.open.map_or(chunk.begin(), |(begin, _)| begin), chunk.end());
            self.open = Some((begin, end));
            if end.at - begin.at >= self.least {
                self.ranges.push(Range { begin, end: end.at });
                self.open = None;
            }
            self.room = chunk.into_room();
        }
    }

    fn end(mut self) -> Result<(Format, Vec<Range>), Error> {
        if !self.is_packed() {
            self.reader.end()?;
            self.chunks();
        }
        let Some(format) = self.reader.format().cloned() else {
            return Err(Error::Mistaken("a file of which nothing is known"));
        };
        if format.packing != Packing::Plain {
            let range = Range { begin: format.begin, end: u64::MAX };
            return Ok((format, vec![range]));
        }
        self.ranges.extend(self.open.map(|(begin, end)| Range { begin, end: end.at }));
        Ok((format, self.ranges))
    }
}
