//! KPL aggregates: many records in one record of a stream, as Kinesis' own producer library packs them.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | the magic, [`MAGIC`] |
//! | … | a protobuf message: two tables of keys, and the records, each with its places in the tables |
//! | 16 | the MD5 of the message |
//!
//! <https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>
//!
//! The keys chose the shard and are of no interest any more, but their places must be right: a record with a wrong one is a
//! sign that more is wrong, and the aggregate is refused whole. No text begins like the magic, which is no UTF-8, so what
//! begins so and is no aggregate is refused, too.

use crate::decode::{self, EVENTS_MAX};
use crate::quarantine::Reject;
use md5::{Digest as _, Md5};

/// What an aggregate begins with.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The most records that are written into one aggregate: Firehose takes no aggregate apart that has more.
/// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>
pub const RECORDS_MAX: usize = 500;

const MD5_BYTES: usize = 16;

/// The fields of the messages.
const PARTITION_KEY: u64 = 1;
const HASH_KEY: u64 = 2;
const RECORD: u64 = 3;
const DATA: u64 = 3;

/// How a field stands in a message. <https://protobuf.dev/programming-guides/encoding/>
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED_32: u64 = 5;

/// Whether these bytes begin like an aggregate.
#[must_use]
pub fn begins(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// The records of an aggregate, in their order: all of them, or the reason why nobody can tell.
pub fn read(data: &[u8]) -> Result<Vec<&[u8]>, Reject> {
    let rest = data.strip_prefix(&MAGIC).ok_or_else(|| bad("it does not begin like an aggregate"))?;
    let (message, md5) = rest
        .split_last_chunk::<MD5_BYTES>()
        .filter(|(message, _)| !message.is_empty())
        .ok_or_else(|| bad("the aggregate is cut off"))?;
    if Md5::digest(message).as_slice() != md5 {
        return Err(bad("the aggregate is damaged or cut off: its MD5 is not that of its bytes"));
    }
    let (mut partition_keys, mut hash_keys, mut records) = (0, 0, Vec::new());
    for field in Fields(message) {
        match field.ok_or_else(|| bad("the aggregate is no protobuf message"))? {
            (PARTITION_KEY, Value::Bytes(_)) => partition_keys += 1,
            (HASH_KEY, Value::Bytes(_)) => hash_keys += 1,
            (RECORD, Value::Bytes(_)) if records.len() == EVENTS_MAX => return Err(decode::too_many()),
            (RECORD, Value::Bytes(record)) => {
                let number = records.len();
                let why = || {
                    bad(format!(
                        "record {number} of the aggregate, counted from 0, lacks a field or is cut off"
                    ))
                };
                records.push(Record::read(record).ok_or_else(why)?);
            }
            _ => {}
        }
    }
    // A table may stand behind the records.
    for (number, record) in records.iter().enumerate() {
        let misses = |table, size| {
            bad(format!(
                "record {number} of the aggregate, counted from 0, names a place in its table of {table} that has {size}"
            ))
        };
        if record.partition_key >= partition_keys {
            return Err(misses("partition keys", partition_keys));
        }
        if record.hash_key.is_some_and(|place| place >= hash_keys) {
            return Err(misses("explicit hash keys", hash_keys));
        }
    }
    Ok(records.into_iter().map(|record| record.data).collect())
}

/// Writes records as one aggregate, or the only one as it is, as the library does.
///
/// All are under the partition key that the aggregate is put with, so that each belongs to the shard which has it: a KCL
/// consumer throws an aggregate away of which one record does not.
#[must_use]
pub fn write(partition_key: &str, records: &[&[u8]]) -> Vec<u8> {
    if let [record] = records {
        return record.to_vec();
    }
    let mut message = Vec::with_capacity(records.iter().map(|record| record.len() + 16).sum());
    put_bytes(&mut message, PARTITION_KEY, partition_key.as_bytes());
    let mut head = Vec::new();
    for record in records {
        head.clear();
        put_tag(&mut head, PARTITION_KEY, VARINT);
        put_varint(&mut head, 0);
        put_tag(&mut head, DATA, LENGTH);
        put_varint(&mut head, record.len() as u64);
        put_tag(&mut message, RECORD, LENGTH);
        put_varint(&mut message, (head.len() + record.len()) as u64);
        message.extend_from_slice(&head);
        message.extend_from_slice(record);
    }
    seal(&message)
}

/// Makes an aggregate of a message.
#[must_use]
pub fn seal(message: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), message, Md5::digest(message).as_slice()].concat()
}

/// A record in an aggregate.
struct Record<'a> {
    /// Its place in the table of partition keys.
    partition_key: u64,
    /// Its place in the table of explicit hash keys, if it has one.
    hash_key: Option<u64>,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads a record; none where it is cut off or lacks what each has. Of a field that stands twice the last one counts.
    fn read(message: &'a [u8]) -> Option<Self> {
        let (mut partition_key, mut hash_key, mut data) = (None, None, None);
        for field in Fields(message) {
            match field? {
                (PARTITION_KEY, Value::Number(place)) => partition_key = Some(place),
                (HASH_KEY, Value::Number(place)) => hash_key = Some(place),
                (DATA, Value::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        Some(Self { partition_key: partition_key?, hash_key, data: data? })
    }
}

/// What a field holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Something that no field of ours is.
    Other,
}

/// The fields of a message with their numbers, those too that nobody here knows. After one that cannot be read, which is
/// none, nothing follows.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Value::Other)?,
            FIXED_32 => self.take(4).map(|_| Value::Other)?,
            // A group, which nobody writes any more, or nothing at all.
            _ => return None,
        };
        (tag >> 3 > 0).then_some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_tag(message, field, LENGTH);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_tag(message: &mut Vec<u8>, field: u64, kind: u64) {
    put_varint(message, field << 3 | kind);
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    message.push(number.to_le_bytes()[0]);
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Reject {
    Reject::new("decode", "bad_kpl", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(data: &[u8]) -> String {
        match read(data) {
            Ok(records) => format!("{} records", records.len()),
            Err(why) => why.to_string(),
        }
    }

    /// A message with so many keys, and records with these places in the tables.
    fn message(partition_keys: usize, hash_keys: usize, records: &[(u64, Option<u64>)]) -> Vec<u8> {
        let mut message = Vec::new();
        for (partition_key, hash_key) in records {
            let mut record = Vec::new();
            put_tag(&mut record, PARTITION_KEY, VARINT);
            put_varint(&mut record, *partition_key);
            if let Some(hash_key) = hash_key {
                put_tag(&mut record, HASH_KEY, VARINT);
                put_varint(&mut record, *hash_key);
            }
            put_bytes(&mut record, DATA, b"{}");
            put_bytes(&mut message, RECORD, &record);
        }
        (0..partition_keys).for_each(|_| put_bytes(&mut message, PARTITION_KEY, b"key"));
        (0..hash_keys).for_each(|_| put_bytes(&mut message, HASH_KEY, b"7"));
        message
    }

    #[test]
    fn a_wrong_place_refuses_the_aggregate_and_names_the_record() {
        let told = |partition_keys, hash_keys, records: &[_]| {
            told(&seal(&message(partition_keys, hash_keys, records)))
        };
        assert_eq!(told(2, 1, &[(0, None), (1, Some(0)), (0, Some(0))]), "3 records");
        assert_eq!(
            told(1, 1, &[(0, None), (1, Some(0))]),
            "decode: bad_kpl: record 1 of the aggregate, counted from 0, names a place in its table of partition keys that has 1"
        );
        assert_eq!(
            told(2, 0, &[(1, Some(0))]),
            "decode: bad_kpl: record 0 of the aggregate, counted from 0, names a place in its table of explicit hash keys that has 0"
        );
        assert!(told(1, 0, &[(u64::MAX, None)]).contains("partition keys that has 1"));
    }

    #[test]
    fn what_is_damaged_or_cut_off_is_refused() {
        let whole = write("key", &[br#"{"email":"x@example.com"}"#, b"{}"]);
        assert_eq!(told(&whole), "2 records");
        for end in MAGIC.len()..whole.len() {
            let why = told(&whole[..end]);
            assert!(
                why.starts_with("decode: bad_kpl: the aggregate is ") && why.contains("cut off"),
                "{why}"
            );
        }
        for at in MAGIC.len()..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x55;
            assert!(told(&bent).contains("MD5"), "at {at}");
        }
        assert_eq!(told(b"{}"), "decode: bad_kpl: it does not begin like an aggregate");
    }

    #[test]
    fn a_message_that_is_none_is_refused() {
        let sound = message(1, 0, &[(0, None)]);
        let no_message = "decode: bad_kpl: the aggregate is no protobuf message";
        let lacks = "decode: bad_kpl: record 1 of the aggregate, counted from 0, lacks a field or is cut off";
        for (end, expected) in [
            (b"".as_slice(), "1 records"),
            (b"\x20\x07\x29abcdefgh\x35abcd\x3a\x01x", "1 records"), // fields that nobody knows, one of each kind
            (b"\x18\x07", "1 records"),                              // and one that is of another kind
            (b"\x00\x00", no_message),
            (b"\x0b\x0c", no_message),
            (b"\x0a\x05key", no_message),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", no_message),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", no_message),
            (b"\x0a", no_message),
            (b"\x1a\x00", lacks),
            (b"\x1a\x02\x08\x00", lacks),
            (b"\x1a\x02\x1a\x00", lacks),
            (b"\x1a\x03\x08\x00\x1a", lacks),
            (b"\x1a\x04\x08\x00\x1a\x00", "2 records"),
        ] {
            assert_eq!(told(&seal(&[&sound, end].concat())), expected, "{end:x?}");
        }
    }

    #[test]
    fn it_takes_no_memory_without_end() {
        let many = |records: usize| {
            seal(&[b"\x0a\x00".to_vec(), b"\x1a\x04\x08\x00\x1a\x00".repeat(records)].concat())
        };
        assert_eq!(told(&many(EVENTS_MAX)), "100000 records");
        assert!(told(&many(EVENTS_MAX + 1)).starts_with("decode: too_many_events"));
    }

    proptest! {
        #[test]
        fn an_aggregate_gives_back_its_records(
            key in ".{1,8}",
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 2..40),
        ) {
            let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
            let aggregate = write(&key, &records);
            prop_assert_eq!(read(&aggregate).unwrap(), records.clone());
            prop_assert_eq!(write(&key, &records[..1]), records[0], "one alone is no aggregate");
        }

        #[test]
        fn no_bytes_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&message);
            let _ = read(&seal(&message));
        }
    }
}
