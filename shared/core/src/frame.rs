//! Frames, the records of the clean stream: many events, compressed, with the position each came from.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | the version, [`VERSION`] |
//! | 4 | the length of the header, little endian |
//! | … | the header, JSON: `{"lane", "first", "last", "events", "bytes"}` |
//! | … | the body, one zstd frame of NDJSON |
//!
//! The body's first line says where each event came from, `[["<sequence number>",[<index>,…]],…]`: for each record
//! of the lane the places, from 0, that its events had in it. Then comes a line an event. `bytes` is the size of the
//! body before compression. A reader that only wants to skip a frame looks at the header and leaves the body alone.

use crate::event::Event;
use crate::quarantine::Reject;
use crate::record::Sequence;
use serde::{Deserialize, Serialize};
use std::io::Read;

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

/// Level 1 makes NDJSON hardly larger than level 3, for two thirds of the time.
const ZSTD_LEVEL: i32 = 1;

const STAGE: &str = "frame";

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
    /// The sequence number that its last event came with.
    pub last: Sequence,
    /// How many events it holds, at least one.
    pub events: u32,
    /// The size of the body before compression, bytes.
    pub bytes: u32,
}

/// A frame, ready to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it says of itself.
    pub header: Header,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// Gathers the events of one lane, in order, into frames.
#[derive(Debug)]
pub struct Writer {
    lane: String,
    waiting: Vec<(Position, String)>,
    waiting_bytes: usize,
    frames: Vec<Frame>,
}

impl Writer {
    /// A writer for this lane.
    #[must_use]
    pub fn new(lane: String) -> Self {
        Self { lane, waiting: Vec::new(), waiting_bytes: 0, frames: Vec::new() }
    }

    /// Adds an event as one line of JSON; whether it fits, which is whether it has at most [`EVENT_MAX`] bytes.
    #[must_use]
    pub fn push(&mut self, position: Position, json: String) -> bool {
        if json.len() > EVENT_MAX {
            return false;
        }
        self.waiting_bytes += json.len();
        self.waiting.push((position, json));
        if self.waiting_bytes >= BODY_AIM {
            self.flush();
        }
        true
    }

    /// The frames, in the order of the events.
    #[must_use]
    pub fn finish(mut self) -> Vec<Frame> {
        self.flush();
        self.frames
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.encode(&waiting);
    }

    /// Encodes events as one frame, or as two halves where that is too large.
    fn encode(&mut self, events: &[(Position, String)]) {
        let Some(frame) = frame(&self.lane, events) else { return };
        if frame.data.len() > FRAME_MAX && events.len() > 1 {
            let (left, right) = events.split_at(events.len() / 2);
            self.encode(left);
            self.encode(right);
        } else {
            self.frames.push(frame);
        }
    }
}

/// The body's first line: a record's sequence number and the places of its events.
type Origin = (Sequence, Vec<u32>);

fn frame(lane: &str, events: &[(Position, String)]) -> Option<Frame> {
    let (first, last) = (&events.first()?.0, &events.last()?.0);
    let mut origins: Vec<Origin> = Vec::new();
    for (position, _) in events {
        match origins.last_mut() {
            Some((sequence, indexes)) if *sequence == position.sequence => indexes.push(position.index),
            _ => origins.push((position.sequence.clone(), vec![position.index])),
        }
    }
    let mut body = serde_json::to_vec(&origins).ok()?;
    for (_, json) in events {
        body.push(b'\n');
        body.extend_from_slice(json.as_bytes());
    }
    let header = Header {
        lane: lane.to_owned(),
        first: first.sequence.clone(),
        last: last.sequence.clone(),
        events: events.len().try_into().ok()?,
        bytes: body.len().try_into().ok()?,
    };
    let head = serde_json::to_vec(&header).ok()?;
    let mut data = vec![VERSION];
    data.extend_from_slice(&u32::try_from(head.len()).ok()?.to_le_bytes());
    data.extend_from_slice(&head);
    data.extend_from_slice(&zstd::bulk::compress(&body, ZSTD_LEVEL).ok()?);
    Some(Frame { header, data })
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

/// Reads a frame: its header and its events, each with its position. Random bytes are a reject like any bad data.
pub fn decode(data: &[u8]) -> Result<(Header, Vec<(Position, Event)>), Reject> {
    let (header, body) = header(data)?;
    let size = header.bytes as usize;
    if size > BODY_MAX {
        return Err(damaged("the body claims to be larger than any is"));
    }
    let mut plain = Vec::with_capacity(size);
    let read =
        zstd::Decoder::with_buffer(body).and_then(|zstd| zstd.take(size as u64 + 1).read_to_end(&mut plain));
    if read.is_err() || plain.len() != size {
        return Err(damaged("the body does not decompress to the size that the header names"));
    }
    let mut lines = plain.split(|byte| *byte == b'\n');
    let origins: Vec<Origin> = serde_json::from_slice(lines.next().unwrap_or_default())
        .map_err(|_| damaged("the line of positions cannot be read"))?;
    let positions = origins.into_iter().flat_map(|(sequence, indexes)| {
        indexes.into_iter().map(move |index| Position { sequence: sequence.clone(), index })
    });
    let events: Vec<Event> = lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|_| damaged("an event cannot be read"))?;
    let positions: Vec<Position> = positions.collect();
    if positions.len() != events.len() || events.len() != header.events as usize {
        return Err(damaged("the header, the positions and the events differ in number"));
    }
    Ok((header, positions.into_iter().zip(events).collect()))
}

fn damaged(detail: &'static str) -> Reject {
    Reject::new(STAGE, "damaged", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(events: &[(&str, u32, String)]) -> Vec<Frame> {
        let mut writer = Writer::new("raw/shardId-000000000000".to_owned());
        for (sequence, index, json) in events {
            assert!(writer.push(Position { sequence: (*sequence).into(), index: *index }, json.clone()));
        }
        writer.finish()
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
        let (header, events) = decode(&frame.data).unwrap();
        assert_eq!(header, frame.header);
        assert_eq!((header.first.as_str(), header.last.as_str(), header.events), ("7", "12", 3));
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
            for (position, event) in decode(&frame.data).unwrap().1 {
                assert_eq!((position.index, &event.fields()["n"]), (seen, &seen.into()));
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
        let mut writer = Writer::new("lane".to_owned());
        assert!(!writer.push(Position { sequence: "7".into(), index: 0 }, fill(EVENT_MAX + 1)));
    }

    #[test]
    fn what_is_no_frame_is_a_reject() {
        let whole = writer(&[("7", 0, r#"{"email":"x@example.com"}"#.into())]).remove(0).data;
        let reason = |data: &[u8]| decode(data).map_or_else(|why| why.reason, |_| "a frame");
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
            let _ = decode(&bent); // whatever it says, it does not panic
        }
    }
}
