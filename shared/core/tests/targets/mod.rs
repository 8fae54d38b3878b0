//! What must hold for any bytes. `tests/json.rs` feeds these with what it makes up, `tests/corpus.rs` with what is
//! kept under `tests/corpus/`, and `make fuzz` with what an engine finds that looks for new ways through the code.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::batch::Batch;
use millrace_core::decode::Pieces;
use millrace_core::event::{Event, Flaw, ItemPath, New, NoPath, Number, Path, Pattern, Value};
use millrace_core::frame::{Body, Header, Reader, Writer};
use millrace_core::pipeline::{Outcome, Pipeline};
use millrace_core::quarantine::Reject;
use millrace_core::record::{Record, Source};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_core::{decode, kpl, quarantine};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::fmt;

pub(crate) type Target = fn(&[u8]);

/// All targets, by the folder of their corpus.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("json", json),
    ("decode", decode),
    ("frame", frame),
    ("steps", steps),
    ("pipeline", pipeline),
    ("path", path),
];

/// What the API reads, as `serde_json` has it.
pub(crate) fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => to_number(number),
        Value::String(text) => text.into(),
        Value::Array(items) => items.map(to_json).collect(),
        Value::Object(members) => members.map(|(key, value)| (key.to_owned(), to_json(value))).collect(),
    }
}

fn to_number(number: Number<'_>) -> Json {
    assert_eq!(number.is_integer(), !number.text().contains(['.', 'e', 'E']));
    // serde_json takes `-0` for a float.
    let integer = Some(number).filter(|number| number.text() != "-0");
    let signed = integer.and_then(Number::as_i64).map(Json::from);
    let unsigned = integer.and_then(Number::as_u64).map(Json::from);
    signed.or(unsigned).unwrap_or_else(|| {
        assert!(number.as_f64().is_finite());
        number.as_f64().into()
    })
}

/// What `serde_json` reads. Its own `Value` does not read an object whose first key is
/// `$serde_json::private::RawValue`, which it keeps for itself.
fn read(text: &str) -> serde_json::Result<Json> {
    serde_json::from_str(text).map(|Plain(json)| json)
}

struct Plain(Json);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, int: i64) -> Result<Json, E> {
        Ok(int.into())
    }

    fn visit_u64<E>(self, int: u64) -> Result<Json, E> {
        Ok(int.into())
    }

    fn visit_f64<E>(self, float: f64) -> Result<Json, E> {
        Ok(float.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut read = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut read = serde_json::Map::new();
        while let Some((key, Plain(value))) = members.next_entry()? {
            read.insert(key, value);
        }
        Ok(read.into())
    }
}

/// The event as `serde_json` has it, by all ways that lead there: its values, its text, and its text read again.
pub(crate) fn whole(event: &Event) -> Json {
    let walked = to_json(event.value(event.root()));
    let text = event.to_string();
    assert!(!text.contains(['\n', '\r']), "an event is one line");
    assert_eq!(read(&text).unwrap(), walked, "{text}");
    let again = Event::read(&text).unwrap();
    assert_eq!((again.to_string(), again.edits()), (text, 0), "what is written is read as the same");
    walked
}

/// Any text is taken or refused as `serde_json` takes or refuses it, and means the same. There are two differences:
/// [`Flaw::TooDeep`] comes some levels earlier, and [`Flaw::TooMuch`] only here.
pub(crate) fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return assert_eq!(decode::event(data, &mut Event::default()).unwrap_err().reason, "not_utf8");
    };
    let theirs = read(text);
    let ours = Event::read(text);
    thread_local! { static USED: RefCell<Event> = RefCell::default() }
    USED.with_borrow_mut(|used| match (&ours, used.parse(text)) {
        (Ok(fresh), Ok(())) => {
            assert_eq!((fresh.to_string(), fresh.edits()), (used.to_string(), used.edits()));
        }
        (Err(fresh), Err(used)) => assert_eq!(*fresh, used, "what was read before makes no difference"),
        (fresh, used) => panic!("fresh {fresh:?}, used {used:?}"),
    });
    match (ours, theirs) {
        (Ok(event), Ok(theirs)) => {
            assert_eq!((event.edits(), event.outgrown()), (0, None));
            assert_eq!(whole(&event), theirs);
        }
        (Err(Flaw::NotAnObject), Ok(theirs)) => assert!(!theirs.is_object()),
        (Err(Flaw::TooDeep | Flaw::TooMuch(_)), _) | (Err(_), Err(_)) => {}
        (Ok(_), Err(why)) => panic!("taken here, not there: {why}: {text:?}"),
        (Err(why), Ok(_)) => panic!("taken there, not here: {why}: {text:?}"),
    }
    if let Ok(value) = read(text)
        && let Ok(mut event) = Event::read(r#"{"a":1}"#)
    {
        event.put(&Path::from_key("b"), New::Json(text));
        if event.outgrown().is_none() {
            assert_eq!(
                whole(&event),
                serde_json::json!({"a": 1, "b": value}),
                "set in an event it is the same"
            );
        }
    }
}

/// Any bytes are cut into pieces that lie within them, in order, and each piece is an event or a reject. So are the payloads
/// of an aggregate, each as by itself. The bytes are also taken as the message of an aggregate that is sound otherwise.
pub(crate) fn decode(data: &[u8]) {
    for record in [data, &kpl::seal(data)] {
        let (mut room, mut events) = (Vec::new(), 0);
        for payload in decode::unpack(record, &mut room).unwrap_or_default() {
            let (place, whole) = (payload.data.as_ptr_range(), record.as_ptr_range());
            assert!(whole.start <= place.start && place.end <= whole.end);
            let mut room = Vec::new();
            let plain = decode::inflate(payload.data, &mut room);
            match (payload.pieces, plain.clone().and_then(decode::split)) {
                (Ok(pieces), Ok(alone)) => {
                    assert!(pieces.eq(alone.clone()));
                    events += read_pieces(alone, plain.unwrap());
                }
                (pieces, alone) => assert_eq!(pieces.unwrap_err(), alone.unwrap_err()),
            }
        }
        assert!(events <= decode::EVENTS_MAX);
    }
}

/// Reads the pieces of these bytes, and counts them.
fn read_pieces(pieces: Pieces<'_>, plain: &[u8]) -> usize {
    let (mut event, mut rest, mut count) = (Event::default(), plain.as_ptr_range(), 0);
    for piece in pieces {
        count += 1;
        let place = piece.as_ptr_range();
        assert!(rest.start <= place.start && place.end <= rest.end && !piece.is_empty());
        rest.start = place.end;
        if decode::event(piece, &mut event).is_ok() {
            whole(&event);
        }
    }
    count
}

/// An event with the record and the place in it that it came from.
type Placed = (String, u32, String);

fn unframe(data: &[u8]) -> Option<(Header, Vec<Placed>)> {
    let mut reader = Reader::default();
    let (header, body): (Header, Body<'_>) = reader.read(data).ok()?;
    let events: Vec<_> = body.events().map(str::to_owned).collect();
    assert_eq!(events.len(), header.events as usize);
    let positions = body.positions().ok()?;
    let placed = positions.into_iter().zip(events);
    Some((header, placed.map(|(at, event)| (at.sequence.as_str().to_owned(), at.index, event)).collect()))
}

/// Any bytes are a frame or a reject; the events of a frame, framed again, are the same. The last bytes of the input
/// are also taken as the body of a frame that is sound otherwise.
pub(crate) fn frame(data: &[u8]) {
    let mut writer = Writer::default();
    let mut again = |events: &[Placed]| {
        writer.begin("lane".to_owned());
        for (sequence, index, event) in events {
            assert!(writer.push(sequence, *index, |line| line.push_str(event)));
        }
        let frames = writer.finish();
        frames.iter().flat_map(|frame| unframe(&frame.data).unwrap().1).collect::<Vec<_>>()
    };
    if let Some((_, events)) = unframe(data)
        && events.iter().all(|(sequence, ..)| sequence.bytes().all(|byte| byte.is_ascii_digit()))
    {
        assert_eq!(again(&events), events);
    }
    let events: Vec<_> = String::from_utf8_lossy(data)
        .split('\n')
        .zip(0..)
        .map(|(line, n)| ((n / 3).to_string(), n, line.to_owned()))
        .collect();
    assert_eq!(again(&events), events);
    let (body, size) = data.split_at(data.len().saturating_sub(4));
    let (events, bytes) = size.split_at(size.len() / 2);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let header = Header {
        lane: String::new(),
        first: "0".into(),
        last: "0".into(),
        events: number(events),
        bytes: number(bytes),
        first_index: 0,
        last_index: 0,
        scattered: false,
    };
    let head = serde_json::to_vec(&header).unwrap();
    let mut framed = vec![millrace_core::frame::VERSION];
    framed.extend(u32::try_from(head.len()).unwrap().to_le_bytes());
    framed.extend(head);
    framed.extend(body);
    unframe(&framed);
}

/// The pipeline of [`steps`].
pub(crate) const STEPS: &str = include_str!("steps.toml");
const FILES_OF_STEPS: &[(&str, &[u8])] = &[
    ("demo.mmdb", include_bytes!("../../../../data/demo.mmdb")),
    (
        "schema.json",
        br#"{"properties": {"a": {"type": "string", "pattern": "^[^!]*$"}, "l": {"maxItems": 3}}}"#,
    ),
    ("table.csv", b"k,n,name\n1,2.5,one\na,,\n2.0,3,two\n"),
];

/// Any event goes through each step by itself, and through all of them, one behind the other: it stays an event, and
/// what a step keeps of earlier ones, in its caches, makes no difference.
pub(crate) fn steps(data: &[u8]) {
    thread_local! {
        static PIPELINE: RefCell<Pipeline> = RefCell::new(all_steps());
    }
    let mut event = Event::default();
    if decode::event(data, &mut event).is_err() {
        return;
    }
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let key = key.with_encryption(b"fedcba9876543210fedcba9876543210").unwrap();
    let cx = Context { key: &key, arrived_at: Micros::new(1_573_841_200_000_000).unwrap() };
    PIPELINE.with_borrow_mut(|pipeline| {
        for at in 0..pipeline.steps().count() {
            let mut once = || {
                let mut event = event.clone();
                pipeline.begin_batch();
                let outcome = pipeline.apply_step(at, &mut event, &cx);
                let goes_on = !matches!(outcome, Some(Outcome::Rejected(_)));
                (outcome, goes_on.then(|| whole(&event)))
            };
            assert_eq!(once(), once());
        }
        let mut all = || {
            let mut event = event.clone();
            pipeline.begin_batch();
            let outcome = pipeline.apply(&mut event, &cx);
            let is_out = outcome == Outcome::Out;
            (outcome, is_out.then(|| whole(&event)))
        };
        assert_eq!(all(), all());
        for tally in pipeline.take_tallies() {
            assert!(tally.changed <= tally.out(), "{tally:?}");
        }
    });
}

pub(crate) fn all_steps() -> Pipeline {
    Pipeline::compile(STEPS, &FILES_OF_STEPS).unwrap()
}

/// What each step of a pipeline, by itself, says of an event that it rejects.
pub(crate) fn rejects(pipeline: &mut Pipeline, event: &str) -> Vec<Reject> {
    let event = Event::read(event).unwrap();
    let key = TokenKey::new("k1", &[7; 32]).unwrap().with_encryption(&[8; 32]).unwrap();
    let cx = Context { key: &key, arrived_at: Micros::new(1_573_841_200_000_000).unwrap() };
    let all = 0..pipeline.steps().count();
    let outcome = |at| pipeline.apply_step(at, &mut event.clone(), &cx);
    all.filter_map(outcome)
        .filter_map(|end| if let Outcome::Rejected(why) = end { Some(why) } else { None })
        .collect()
}

const SHOP: &str = include_str!("../shop.toml");
const FILES: &[(&str, &[u8])] = &[("data/demo.mmdb", include_bytes!("../../../../data/demo.mmdb"))];

fn source() -> Source {
    Source { stream: "raw".into(), shard: "shardId-000000000000".into() }
}

struct Works(Pipeline, Batch);

/// Any bytes go through a whole pipeline: each event ends in one place, what goes out has what an event needs, and
/// what an earlier batch left behind makes no difference.
pub(crate) fn pipeline(data: &[u8]) {
    thread_local! {
        static WORKS: RefCell<Works> =
            RefCell::new(Works(Pipeline::compile(SHOP, &FILES).unwrap(), Batch::default()));
    }
    WORKS.with_borrow_mut(|Works(pipeline, used)| {
        let mut fresh = Batch::default();
        let [once, again] = [used, &mut fresh].map(|batch| outcome(pipeline, batch, data));
        assert_eq!(once, again);
    });
}

fn outcome(pipeline: &mut Pipeline, batch: &mut Batch, data: &[u8]) -> (Vec<String>, Vec<String>) {
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
    let records = ["1", "2"].map(|sequence| Record { sequence, arrived_at, data });
    batch.begin(pipeline, &key, &source()).records(records);
    let tally = batch.tally(None);
    assert!(tally.balances());
    assert!(tally.out <= tally.duplicates, "the second record brings what the first one brought");
    let frames = batch.take_frames();
    let events: Vec<_> = frames.iter().flat_map(|frame| unframe(&frame.data).unwrap().1).collect();
    assert_eq!(events.len(), tally.out);
    for (_, _, text) in &events {
        let event = whole(&Event::read(text).unwrap());
        assert!(event["id"].is_string() && event["eventType"].is_string());
        assert!(event["timestamp"].is_i64() && event["receivedAt"].is_i64());
        assert!(event.get("path").is_none() && event.get("referrer").is_none());
    }
    let rejects = batch.take_rejects();
    assert_eq!(rejects.len(), tally.quarantined);
    assert_eq!(quarantine::page("transform", &source(), &rejects).is_some(), tally.quarantined > 0);
    let told = rejects.iter().map(|entry| entry.reject.to_string()).collect();
    (events.into_iter().map(|(_, _, event)| event).collect(), told)
}

/// Any text is a path, a pattern or neither, is written as it is read, and finds what a plain search finds. The first
/// line is the pattern, the rest an event.
pub(crate) fn path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.contains(HIDDEN.map(|(_, hidden)| hidden)) {
        return;
    }
    let (line, json) = text.split_once('\n').unwrap_or((&text, "{}"));
    let pattern = match Pattern::try_from(line.to_owned()) {
        Ok(pattern) => pattern,
        Err(why) => {
            assert!(!matches!(why, NoPath::Many(_)));
            return assert_eq!(Path::try_from(line.to_owned()), Err(why));
        }
    };
    assert_eq!(Pattern::try_from(pattern.to_string()).as_ref(), Ok(&pattern));
    let path = Path::try_from(line.to_owned());
    assert_eq!(path.is_ok(), pattern.clone().into_path().is_ok());
    let Ok(mut event) = Event::read(json) else { return };
    let mut found = Vec::new();
    event.find_all(&pattern, &mut found);
    let mut values: Vec<_> = found.iter().map(|id| to_json(event.value(*id)).to_string()).collect();
    let mut expected = search(&whole(&event), &pattern.to_string());
    values.sort();
    expected.sort();
    assert_eq!(values, expected, "{pattern} in {event}");
    if let Ok(path) = &path {
        assert_eq!(event.find(path), found.first().copied());
        assert!(pattern.covers(&path.clone().into()));
        assert_eq!(path.first(), path.to_string().parse_first());
    }
    // Of what is in an element, or in the event, nothing is lost; what is not says why.
    match ItemPath::try_from(line.to_owned()) {
        Ok(item) => assert_eq!(Pattern::from(item), pattern),
        Err(NoPath::AnyWayDown(_)) => assert!(pattern.is_deep()),
        Err(why) => assert_eq!(why, NoPath::Element(line.to_owned())),
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), values.len(), "each value is found once");
    // Gone is gone.
    for id in found {
        event.remove(id);
    }
    let mut left = Vec::new();
    event.find_all(&pattern, &mut left);
    assert_eq!(left, []);
    whole(&event);
    if let Ok(path) = path {
        event.put(&path, New::Str("x"));
        if event.outgrown().is_none() {
            assert_eq!(event.str(&path), Some("x"));
            whole(&event);
        }
    }
}

/// What stands for signs that are part of a key.
const HIDDEN: [(&str, char); 7] = [
    ("\\.", '\u{fffe}'),
    ("\\[", '\u{fdd0}'),
    ("\\]", '\u{fdd1}'),
    ("\\*", '\u{fdd2}'),
    ("\\$", '\u{fdd3}'),
    ("\\/", '\u{fdd4}'),
    ("\\ ", '\u{fdd5}'),
];

fn hide(path: &str) -> String {
    HIDDEN.iter().fold(path.to_owned(), |path, (sign, hidden)| path.replace(sign, &hidden.to_string()))
}

fn show(key: &str) -> String {
    HIDDEN.iter().fold(key.to_owned(), |key, (sign, hidden)| key.replace(*hidden, &sign[1..]))
}

trait ParseFirst {
    fn parse_first(&self) -> String;
}

impl ParseFirst for String {
    /// The first key of a path: up to the first dot without a backslash.
    fn parse_first(&self) -> String {
        show(hide(self).split('.').next().unwrap())
    }
}

/// A step on the way to a value.
#[derive(Clone)]
enum Way {
    Key(String),
    Item,
}

/// The values that a pattern fits, by looking at the ways to all values.
fn search(event: &Json, pattern: &str) -> Vec<String> {
    let hidden = hide(pattern).replace("[]", ".[]");
    let parts: Vec<_> = hidden.split('.').collect();
    let mut ways = vec![(Vec::new(), event)];
    let mut found = Vec::new();
    while let Some((way, value)) = ways.pop() {
        if fits(&parts, &way, !value.is_object() && !value.is_array()) {
            found.push(value.to_string());
        }
        let longer = |step: Way| way.iter().cloned().chain([step]).collect::<Vec<_>>();
        match value {
            Json::Array(items) => ways.extend(items.iter().map(|item| (longer(Way::Item), item))),
            Json::Object(map) => {
                ways.extend(map.iter().map(|(key, value)| (longer(Way::Key(key.clone())), value)));
            }
            _ => {}
        }
    }
    found
}

fn fits(parts: &[&str], way: &[Way], is_leaf: bool) -> bool {
    match (parts.split_first(), way.split_first()) {
        (None, None) => true,
        (Some((&"**", [])), _) => is_leaf,
        (Some((&"**", rest)), _) => (0..=way.len()).any(|at| fits(rest, &way[at..], is_leaf)),
        (Some((part, rest)), Some((Way::Item, way))) => *part == "[]" && fits(rest, way, is_leaf),
        (Some((part, rest)), Some((Way::Key(key), way))) => {
            *part != "[]" && show(part) == *key && fits(rest, way, is_leaf)
        }
        _ => false,
    }
}
