//! The same lines as Lambda gets them from a Kinesis stream.

use base64_simd::STANDARD;
use std::fmt::Write as _;
use std::io::{self, Write};

/// What Lambda takes as the payload of an invocation at most.
const PAYLOAD_MAX: usize = 6 * 1024 * 1024;

/// What an event source mapping hands over at most.
const RECORDS_MAX: usize = 10_000;

const SHARD: &str = "shardId-000000000000";

/// Writes one Lambda event a line, each as full as it may be, with one event a record.
pub(crate) struct Batches<W> {
    out: W,
    batch: String,
    records: usize,
    sequence: u128,
}

impl<W: Write> Batches<W> {
    pub(crate) fn new(out: W) -> Self {
        let sequence = 49_659_187_325_112_000_000_000_000_000_000_000_000;
        Self { out, batch: String::new(), records: 0, sequence }
    }

    pub(crate) fn push(&mut self, line: &str, partition_key: u128, arrival_ms: i64) -> io::Result<()> {
        // Sequence numbers rise and have gaps; their 56 digits do not fit 128 bits.
        self.sequence += 1 + partition_key % 1_000_000_007;
        let sequence = format!("{}{:018}", self.sequence, partition_key % 1_000_000_000_000_000_000);
        let mut record = String::with_capacity(line.len() * 4 / 3 + 600);
        let _ = write!(
            record,
            "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"{partition_key:032x}\",\
             \"sequenceNumber\":\"{sequence}\",\"data\":\"{}\",\"approximateArrivalTimestamp\":{}.{:03}}},\
             \"eventSource\":\"aws:kinesis\",\"eventVersion\":\"1.0\",\"eventID\":\"{SHARD}:{sequence}\",\
             \"eventName\":\"aws:kinesis:record\",\
             \"invokeIdentityArn\":\"arn:aws:iam::123456789012:role/transform-role\",\"awsRegion\":\"eu-central-1\",\
             \"eventSourceARN\":\"arn:aws:kinesis:eu-central-1:123456789012:stream/raw\"}}",
            STANDARD.encode_to_string(line),
            arrival_ms / 1000,
            arrival_ms % 1000,
        );
        if self.batch.len() + record.len() + 3 > PAYLOAD_MAX || self.records == RECORDS_MAX {
            self.flush()?;
        }
        self.batch += if self.batch.is_empty() { "{\"Records\":[" } else { "," };
        self.batch += &record;
        self.records += 1;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.records > 0 {
            self.batch += "]}\n";
            self.out.write_all(self.batch.as_bytes())?;
            self.batch.clear();
            self.records = 0;
        }
        self.out.flush()
    }
}
