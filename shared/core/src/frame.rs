//! Frames, the records of the clean stream: many events, compressed, with the position each came from.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | the version, [`VERSION`] |
//! | 4 | the length of the header, little endian |
//! | … | the header, JSON: `{"lane", "first", "last", "events", "bytes"}` and more, see [`Header`] |
//! | … | the body, one zstd frame of NDJSON |
//!
//! The body's first line says where each event came from, `[["<sequence number>",[<index>,…]],…]`: for each record
//! of the lane the places, from 0, that its events had in it. Then comes a line an event. `bytes` is the size of the
//! body before compression. A reader that only wants to skip a frame looks at the header and leaves the body alone.
//!
//! For readers that know no frames there is [`Encoding::Kpl`].

use crate::kpl;
use crate::quarantine::Reject;
use crate::record::Sequence;
use memchr::memchr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zstd::bulk::{Compressor, Decompressor};

/// The version of the format.
pub const VERSION: u8 = 1;

/// The largest frame, bytes: a Kinesis record takes 1 MiB, and the partition key, up to 256, counts.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
pub const FRAME_MAX: usize = (1 << 20) - 256;

/// The largest event that always fits a frame, bytes of JSON, however badly it compresses.
pub const EVENT_MAX: usize = 1_000_000;

/// The largest body, bytes before compression; a frame that claims more is damaged. It bounds a sink's memory.
pub const BODY_MAX: usize = 16 << 20;

/// How much a writer gathers before it compresses a frame, bytes.
const BODY_AIM: usize = 6 << 20;

/// How much a writer gathers before it makes an aggregate, bytes: with what stands around events it mostly fits a record.
const AGGREGATE_AIM: usize = 900_000;

/// The room for a body that a writer keeps, bytes.
const BODY_KEPT: usize = BODY_AIM + 2 * EVENT_MAX;

/// Level 1 makes NDJSON hardly larger than level 3, for two thirds of the time.
const ZSTD_LEVEL: i32 = 1;

const STAGE: &str = "frame";

/// What kind of records the clean stream has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Frames.
    #[default]
    Frames,
    /// KPL aggregates, in which each record is the JSON of an event, or that JSON alone: what Firehose, KCL and Flink read.
    /// They do not tell where an event came from.
    Kpl,
}

impl FromStr for Encoding {
    type Err = NoEncoding;

    fn from_str(name: &str) -> Result<Self, NoEncoding> {
        match name {
            "frames" => Ok(Self::Frames),
            "kpl" => Ok(Self::Kpl),
            _ => Err(NoEncoding),
        }
    }
}

/// There is no such encoding.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encoding of the clean stream, CLEAN_ENCODING, is `frames` or `kpl`")]
pub struct NoEncoding;

/// What `main` returns shows through Debug, and is meant for people.
impl fmt::Debug for NoEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an event came from: a record of its lane, and the place in that record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The record's sequence number.
    pub sequence: Sequence,
    /// The event's place among the events of the record, from 0.
    pub index: u32,
}

/// What a frame says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The ordered source of its events.
    pub lane: String,
    /// The sequence number that its first event came with.
    pub first: Sequence,
    /// The place that its first event had among the events of its record, from 0.
    #[serde(default)]
    pub first_index: u32,
    /// The sequence number that its last event came with.
    pub last: Sequence,
    /// The place of its last event.
    #[serde(default)]
    pub last_index: u32,
    /// Whether the lane has no order of its own, because several shards share it: what lies between the first and the
    /// last event may come in another frame.
    #[serde(default, skip_serializing_if = "is_false")]
    pub scattered: bool,
    /// How many events it holds, at least one.
    pub events: u32,
    /// The size of the body before compression, bytes.
    pub bytes: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "that is how serde asks")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A record of the clean stream, ready to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What a frame says of itself, and what an aggregate would.
    pub header: Header,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// Gathers the events of one lane, in order, into frames. What it takes memory for serves lane after lane.
#[derive(Default)]
pub struct Writer {
    encoding: Encoding,
    lane: String,
    scattered: bool,
    /// The waiting events, each with a line end before it.
    lines: String,
    /// The sequence numbers that they came with, one after the other.
    sequences: String,
    /// Where each sequence number ends.
    records: Vec<usize>,
    waiting: Vec<Waiting>,
    frames: Vec<Frame>,
    body: String,
    zstd: Option<Compressor<'static>>,
}

/// An event that is not in a frame yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Which of the records it came with.
    record: usize,
    index: u32,
    /// Where its line ends.
    end: usize,
}

impl Writer {
    /// A writer of records of this kind.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, ..Self::default() }
    }

    /// Begins a lane. Frames of an earlier one that nobody took are gone.
    pub fn begin(&mut self, lane: String) {
        self.lane = lane;
        self.scattered = false;
        self.frames.clear();
        self.clear();
        self.lines.shrink_to(BODY_KEPT);
        self.body.clear();
        self.body.shrink_to(BODY_KEPT);
    }

    /// Says that several shards share the lane, so that it has no order of its own.
    pub fn scatter(&mut self) {
        self.scattered = true;
    }

    /// Adds an event, which `write` appends as one line of JSON; whether it fits, which is whether it has at most
    /// [`EVENT_MAX`] bytes. What does not fit is left out.
    #[must_use]
    pub fn push(&mut self, sequence: &str, index: u32, write: impl FnOnce(&mut String)) -> bool {
        let before = self.lines.len();
        self.lines.push('\n');
        write(&mut self.lines);
        if self.lines.len() - before > EVENT_MAX + 1 {
            self.lines.truncate(before);
            return false;
        }
        if self.records.is_empty() || self.sequence(self.records.len() - 1) != sequence {
            self.sequences.push_str(sequence);
            self.records.push(self.sequences.len());
        }
        self.waiting.push(Waiting { record: self.records.len() - 1, index, end: self.lines.len() });
        let is_full = match self.encoding {
            // The body begins with the sequence numbers, which may be longer than the events.
            Encoding::Frames => self.lines.len() + self.sequences.len() >= BODY_AIM,
            Encoding::Kpl => self.lines.len() >= AGGREGATE_AIM || self.waiting.len() >= kpl::RECORDS_MAX,
        };
        if is_full {
            self.flush();
        }
        true
    }

    /// The frames, in the order of the events.
    #[must_use]
    pub fn finish(&mut self) -> Vec<Frame> {
        self.flush();
        std::mem::take(&mut self.frames)
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.encode(&waiting, 0);
        self.waiting = waiting;
        self.clear();
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.sequences.clear();
        self.records.clear();
        self.waiting.clear();
    }

    /// Encodes events, of which the first line begins here, as one frame, or as two halves where that is too large.
    fn encode(&mut self, events: &[Waiting], start: usize) {
        let Some(frame) = self.frame(events, start) else { return };
        if frame.data.len() > FRAME_MAX && events.len() > 1 {
            let (left, right) = events.split_at(events.len() / 2);
            self.encode(left, start);
            self.encode(right, left.last().map_or(start, |last| last.end));
        } else {
            self.frames.push(frame);
        }
    }

    fn frame(&mut self, events: &[Waiting], start: usize) -> Option<Frame> {
        match self.encoding {
            Encoding::Frames => self.compressed(events, start),
            Encoding::Kpl => self.aggregate(events, start),
        }
    }

    fn aggregate(&self, events: &[Waiting], mut start: usize) -> Option<Frame> {
        let line = |event: &Waiting| {
            let line = self.lines.get(start + 1..event.end).unwrap_or_default();
            start = event.end;
            line.as_bytes()
        };
        let lines: Vec<_> = events.iter().map(line).collect();
        let data = kpl::write(&self.lane, &lines);
        Some(Frame { header: self.header(events, data.len())?, data })
    }

    fn compressed(&mut self, events: &[Waiting], start: usize) -> Option<Frame> {
        let last = events.last()?;
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        for (at, of_record) in events.chunk_by(|a, b| a.record == b.record).enumerate() {
            let record = of_record.first().map_or(0, |event| event.record);
            // Digits need no escape, and what a source calls a sequence number is digits.
            body.push_str(if at == 0 { "[[\"" } else { ",[\"" });
            body.push_str(self.sequence(record));
            body.push_str("\",[");
            for (at, event) in of_record.iter().enumerate() {
                body.push_str(if at == 0 { "" } else { "," });
                body.push_str(itoa::Buffer::new().format(event.index));
            }
            body.push_str("]]");
        }
        body.push(']');
        body.push_str(self.lines.get(start..last.end)?);
        let header = self.header(events, body.len())?;
        let head = serde_json::to_vec(&header).ok()?;
        let mut data = vec![VERSION];
        data.extend_from_slice(&u32::try_from(head.len()).ok()?.to_le_bytes());
        data.extend_from_slice(&head);
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Compressor::new(ZSTD_LEVEL).ok()?),
        };
        data.extend_from_slice(&zstd.compress(body.as_bytes()).ok()?);
        self.body = body;
        Some(Frame { header, data })
    }

    fn header(&self, events: &[Waiting], bytes: usize) -> Option<Header> {
        let (first, last) = (events.first()?, events.last()?);
        Some(Header {
            lane: self.lane.clone(),
            first: self.sequence(first.record).into(),
            first_index: first.index,
            last: self.sequence(last.record).into(),
            last_index: last.index,
            scattered: self.scattered,
            events: events.len().try_into().ok()?,
            bytes: bytes.try_into().ok()?,
        })
    }

    fn sequence(&self, record: usize) -> &str {
        let end_of = |record: usize| self.records.get(record).copied().unwrap_or_default();
        let start = record.checked_sub(1).map_or(0, end_of);
        self.sequences.get(start..end_of(record)).unwrap_or_default()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("lane", &self.lane)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// Reads a frame's header, and hands back where its body begins.
pub fn header(data: &[u8]) -> Result<(Header, &[u8]), Reject> {
    let (version, rest) =
        data.split_first().ok_or_else(|| Reject::new(STAGE, "empty", "the record is empty"))?;
    if *version != VERSION {
        return Err(Reject::new(
            STAGE,
            "unknown_version",
            format!("version {version}, and {VERSION} is the only one known"),
        ));
    }
    let (length, rest) =
        rest.split_first_chunk::<4>().ok_or_else(|| damaged("the header's length is cut off"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, body) = rest.split_at_checked(length).ok_or_else(|| damaged("the header is cut off"))?;
    let header: Header = serde_json::from_slice(head).map_err(|_| damaged("the header cannot be read"))?;
    Ok((header, body))
}

/// Reads frames, in memory that serves one after the other.
#[derive(Default)]
pub struct Reader {
    plain: Vec<u8>,
    zstd: Option<Decompressor<'static>>,
}

/// A frame that was read.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    origins: &'a str,
    lines: &'a str,
}

/// The body's first line: a record's sequence number and the places of its events.
type Origin = (Sequence, Vec<u32>);

impl Reader {
    /// Reads a frame: its header and its events. Random bytes are a reject like any bad data.
    pub fn read(&mut self, data: &[u8]) -> Result<(Header, Body<'_>), Reject> {
        let (header, body) = header(data)?;
        let size = header.bytes as usize;
        if size > BODY_MAX {
            return Err(damaged("the body claims to be larger than any is"));
        }
        let unpacked = || damaged("the body does not decompress to the size that the header names");
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(|_| unpacked())?),
        };
        self.plain.clear();
        self.plain.reserve(size);
        if zstd.decompress_to_buffer(body, &mut self.plain).ok() != Some(size) {
            return Err(unpacked());
        }
        let plain = simdutf8::basic::from_utf8(&self.plain).map_err(|_| damaged("the body is not UTF-8"))?;
        let end = memchr(b'\n', plain.as_bytes()).unwrap_or(plain.len());
        let (origins, lines) = plain.split_at(end);
        if memchr::memchr_iter(b'\n', lines.as_bytes()).count() != header.events as usize {
            return Err(damaged("the header and the events differ in number"));
        }
        Ok((header, Body { origins, lines }))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<'a> Body<'a> {
    /// The events, each one line of JSON.
    pub fn events(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let line = rest.strip_prefix('\n')?;
            let end = memchr(b'\n', line.as_bytes()).unwrap_or(line.len());
            let (line, left) = line.split_at_checked(end)?;
            rest = left;
            Some(line)
        })
    }

    /// Where each event came from.
    pub fn positions(self) -> Result<Vec<Position>, Reject> {
        let origins: Vec<Origin> = serde_json::from_str(self.origins)
            .map_err(|_| damaged("the line of positions cannot be read"))?;
        let positions: Vec<_> = origins
            .into_iter()
            .flat_map(|(sequence, indexes)| {
                indexes.into_iter().map(move |index| Position { sequence: sequence.clone(), index })
            })
            .collect();
        if positions.len() != self.events().count() {
            return Err(damaged("the positions and the events differ in number"));
        }
        Ok(positions)
    }
}

fn damaged(detail: &'static str) -> Reject {
    Reject::new(STAGE, "damaged", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(events: &[(&str, u32, String)]) -> Vec<Frame> {
        let mut writer = Writer::default();
        writer.begin("raw/shardId-000000000000".to_owned());
        for (sequence, index, json) in events {
            assert!(writer.push(sequence, *index, |line| line.push_str(json)));
        }
        writer.finish()
    }

    fn read(data: &[u8]) -> Result<(Header, Vec<(Position, String)>), Reject> {
        let mut reader = Reader::default();
        let (header, body) = reader.read(data)?;
        Ok((header, body.positions()?.into_iter().zip(body.events().map(str::to_owned)).collect()))
    }

    /// Text that zstd cannot make much smaller.
    fn noise(bytes: usize, seed: u64) -> String {
        let mut state = seed;
        let letters = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(
                b" !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`ab"[(state % 64) as usize],
            )
        });
        letters.take(bytes).collect()
    }

    #[test]
    fn a_frame_tells_where_each_event_came_from() {
        let frames = writer(&[
            ("7", 0, r#"{"a":1}"#.into()),
            ("7", 2, r#"{"a":2}"#.into()),
            ("12", 0, r#"{"a":3}"#.into()),
        ]);
        let [frame] = frames.as_slice() else { panic!("{} frames", frames.len()) };
        let (header, events) = read(&frame.data).unwrap();
        assert_eq!(header, frame.header);
        assert_eq!((header.first.as_str(), header.last.as_str(), header.events), ("7", "12", 3));
        assert_eq!((header.first_index, header.last_index, header.scattered), (0, 0, false));
        let told: Vec<_> = events.iter().map(|(p, e)| format!("{} {} {e}", p.sequence, p.index)).collect();
        assert_eq!(told, [r#"7 0 {"a":1}"#, r#"7 2 {"a":2}"#, r#"12 0 {"a":3}"#]);
    }

    #[test]
    fn no_events_make_no_frame() {
        assert_eq!(writer(&[]), []);
    }

    #[test]
    fn frames_stay_below_the_limit_and_in_order() {
        let event = |n: u64| format!(r#"{{"n":{n},"noise":"{}"}}"#, noise(300_000, n + 1));
        let events: Vec<_> = (0..5).map(|n| ("7", u32::try_from(n).unwrap(), event(n))).collect();
        let frames = writer(&events);
        let mut seen = 0;
        for frame in &frames {
            assert!(frame.data.len() <= FRAME_MAX);
            for (position, event) in read(&frame.data).unwrap().1 {
                assert!(event.starts_with(&format!(r#"{{"n":{seen},"#)));
                assert_eq!(position.index, seen);
                seen += 1;
            }
        }
        assert_eq!(seen, 5);
        assert!(frames.len() > 1, "1.5 MB of noise do not fit one frame");
    }

    #[test]
    fn the_largest_event_fits_and_a_larger_one_is_refused() {
        let fill = |bytes: usize| format!(r#"{{"a":"{}"}}"#, noise(bytes - 8, 1));
        let frames = writer(&[("7", 0, fill(EVENT_MAX))]);
        assert!(frames[0].data.len() <= FRAME_MAX);
        let mut writer = Writer::default();
        writer.begin("lane".to_owned());
        assert!(!writer.push("7", 0, |line| line.push_str(&fill(EVENT_MAX + 1))));
        assert_eq!(writer.finish(), []);
    }

    #[test]
    fn small_events_with_long_positions_make_frames_that_can_be_read() {
        let sequence = |n: usize| format!("{n:0128}");
        let events: Vec<_> = (0..150_000).map(|n| (sequence(n), 0, "{}".to_owned())).collect();
        let events: Vec<_> = events.iter().map(|(s, i, e)| (s.as_str(), *i, e.clone())).collect();
        let read: usize = writer(&events).iter().map(|frame| read(&frame.data).unwrap().1.len()).sum();
        assert_eq!(read, events.len());
    }

    #[test]
    fn a_writer_does_not_keep_what_one_event_took() {
        let mut writer = Writer::default();
        writer.begin("lane".to_owned());
        assert!(!writer.push("7", 0, |line| line.push_str(&" ".repeat(BODY_MAX))));
        writer.begin("lane".to_owned());
        assert!(writer.lines.capacity() <= BODY_KEPT);
    }

    #[test]
    fn what_is_no_frame_is_a_reject() {
        let whole = writer(&[("7", 0, r#"{"email":"x@example.com"}"#.into())]).remove(0).data;
        let reason = |data: &[u8]| read(data).map_or_else(|why| why.reason, |_| "a frame");
        assert_eq!(reason(&whole), "a frame");
        assert_eq!(reason(b""), "empty");
        assert_eq!(reason(b"\x02whatever"), "unknown_version");
        assert_eq!(reason(b"\x01\xff\xff\xff\xff"), "damaged");
        for end in 1..whole.len() {
            assert_eq!(reason(&whole[..end]), "damaged", "cut at {end}");
        }
        for at in 1..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x55;
            let _ = read(&bent); // whatever it says, it does not panic
        }
    }
}
