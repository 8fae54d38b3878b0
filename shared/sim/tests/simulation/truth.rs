//! What the bytes of the stores hold, read without the code that wrote them.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use flate2::read::GzDecoder;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use std::io::Read as _;

/// The bytes, inflated where they are gzip.
pub(crate) fn inflated(data: &[u8]) -> Vec<u8> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return data.to_vec();
    }
    let mut plain = Vec::new();
    GzDecoder::new(data).read_to_end(&mut plain).expect("whole gzip");
    plain
}

/// What a record of RawStream holds, inflated: itself, or the records of the aggregate that it is.
pub(crate) fn payloads(data: &[u8]) -> Vec<Vec<u8>> {
    let Some(rest) = data.strip_prefix(b"\xf3\x89\x9a\xc2") else { return vec![inflated(data)] };
    let message = &rest[..rest.len() - 16];
    let of_field = |message, wanted| fields(message).into_iter().filter(move |(tag, _)| *tag == wanted);
    let data = of_field(message, 0x1a).flat_map(|(_, record)| of_field(record, 0x1a));
    data.map(|(_, data)| inflated(data)).collect()
}

/// All that a record of RawStream holds, inflated.
pub(crate) fn plain(data: &[u8]) -> Vec<u8> {
    payloads(data).join(&b'\n')
}

/// The fields of a protobuf message that are bytes, by their tags; the others are numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let mut number = || {
            let end = message.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
            let (digits, rest) = message.split_at(end);
            message = rest;
            digits.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
        };
        let (tag, value) = (number(), number());
        if tag & 7 == 2 {
            let (bytes, rest) = message.split_at(usize::try_from(value).unwrap());
            message = rest;
            fields.push((tag, bytes));
        }
    }
    fields
}

/// The numbers of the events in these bytes, in their order: each event has its own in it once.
pub(crate) fn serials(plain: &[u8]) -> Vec<u32> {
    const MARK: &[u8] = b"\"serial\":";
    let mut serials = Vec::new();
    let mut rest = plain;
    while let Some(at) = find(rest, MARK) {
        rest = &rest[at + MARK.len()..];
        let text: Vec<u8> = rest
            .iter()
            .copied()
            .skip_while(|byte| !byte.is_ascii_digit())
            .take_while(u8::is_ascii_digit)
            .collect();
        serials.push(String::from_utf8(text).unwrap().parse().expect("a number"));
    }
    serials
}

/// The numbers of the events in a line of the quarantine.
pub(crate) fn quarantined(line: &Value) -> Vec<u32> {
    let text = line["payload"].as_str().expect("a payload");
    if line["source"]["stream"] == "inbox" {
        let event: Value = serde_json::from_str(text).expect("an event of Lambda");
        return serials(event["Records"][0]["body"].as_str().expect("a message").as_bytes());
    }
    if line["encoding"] == "utf8" {
        return serials(text.as_bytes());
    }
    let data = BASE64_STANDARD.decode(text).expect("base64");
    if line["source"]["stream"] == "clean" {
        return frame(&data).1.into_iter().map(|place| place.serial).collect();
    }
    serials(&plain(&data))
}

/// Where these bytes first stand in others.
pub(crate) fn find(all: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(all, wanted)
}

/// Where an event of the clean stream came from, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) lane: String,
    pub(crate) sequence: String,
    pub(crate) index: u64,
    pub(crate) serial: u32,
}

impl Place {
    /// The record that it came from: stream, shard and sequence number.
    pub(crate) fn from(&self) -> (String, String, String) {
        let (stream, shard) = self.lane.split_once('/').expect("a stream and a shard");
        (stream.to_owned(), shard.to_owned(), self.sequence.clone())
    }
}

/// The header of a frame, and what is behind it.
pub(crate) fn header(data: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = data[1..].split_first_chunk::<4>().expect("a length");
    rest.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap())
}

/// All that stands in a frame: its header, and its body as it is inflated.
pub(crate) fn unframed(data: &[u8]) -> Vec<u8> {
    let (header, body) = header(data);
    [header, &zstd::stream::decode_all(body).expect("whole zstd")].concat()
}

/// All that stands in the body of an item of the state table: what is packed, inflated; the hashes of ids as they are.
pub(crate) fn unpacked(body: &[u8]) -> Vec<u8> {
    let inflated = |data: &[u8]| zstd::stream::decode_all(data).expect("whole zstd");
    match body {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => inflated(body),
        // What a batch let out has a frame's form: a version, a head and its length, and the hashes.
        [1, ..] => {
            let (head, hashes) = header(body);
            [&inflated(head), hashes].concat()
        }
        text => std::str::from_utf8(text).expect("an item is packed, or text").as_bytes().to_vec(),
    }
}

/// The text of a frame's body, and the places of its events.
pub(crate) fn frame(data: &[u8]) -> (String, Vec<Place>) {
    let (header, body) = header(data);
    let header: Value = serde_json::from_slice(header).expect("a header");
    let body = zstd::stream::decode_all(body).expect("whole zstd");
    let body = String::from_utf8(body).expect("text");
    let (origins, events) = body.split_once('\n').expect("origins, then events");
    let origins: Vec<(String, Vec<u64>)> = serde_json::from_str(origins).expect("origins");
    let origins = origins
        .into_iter()
        .flat_map(|(sequence, places)| places.into_iter().map(move |place| (sequence.clone(), place)));
    let lane = header["lane"].as_str().expect("a lane");
    let place = |((sequence, index), line): ((String, u64), &str)| {
        let serial = *serials(line.as_bytes()).first().expect("a number in each event");
        Place { lane: lane.to_owned(), sequence, index, serial }
    };
    let places: Vec<_> = origins.zip(events.split('\n')).map(place).collect();
    assert_eq!(places.len(), events.split('\n').count(), "as many origins as events");
    (body, places)
}

/// The number of each event in the text of a frame's body, and the token of its user.
pub(crate) fn tokens(body: &str) -> Vec<(u32, String)> {
    let events = body.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of = |event: Value| {
        let serial = event["serial"].as_u64().and_then(|serial| u32::try_from(serial).ok());
        (serial.expect("a number in each event"), event["userId"].as_str().unwrap_or_default().to_owned())
    };
    events.map(of).collect()
}

/// A row of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) object: String,
    pub(crate) id: String,
    pub(crate) serial: u32,
}

/// The rows of a Parquet file, and all text that stands in it.
pub(crate) fn rows(object: &str, data: &[u8]) -> (Vec<Row>, String) {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(data)).expect("a whole Parquet file");
    let (mut rows, mut text) = (Vec::new(), String::new());
    for row in reader.get_row_iter(None).expect("rows") {
        let (mut id, mut serial) = (String::new(), None);
        for (name, field) in row.expect("a row").get_column_iter() {
            match (name.as_str(), field) {
                ("serial", Field::Long(number)) => serial = u32::try_from(*number).ok(),
                (name, Field::Str(value)) => {
                    if name == "id" {
                        id.clone_from(value);
                    }
                    text.push_str(value);
                    text.push('\n');
                }
                _ => {}
            }
        }
        rows.push(Row { object: object.to_owned(), id, serial: serial.expect("a number in each row") });
    }
    (rows, text)
}
