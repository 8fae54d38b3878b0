//! The input, cut into lines: a file of lines, or the records of Lambda's Kinesis events.

use crate::sink::Failed;
use memchr::{memchr_iter, memrchr};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

const PIECE: usize = 1 << 20;

/// Each line of the file. Memory holds a piece of it, and a line.
pub fn lines(mut file: File, mut take: impl FnMut(&[u8]) -> Result<(), Failed>) -> Result<(), Failed> {
    let mut buffer = vec![0; PIECE];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let read = file.read(&mut buffer[filled..])?;
        if read == 0 {
            break;
        }
        let fresh = filled;
        filled += read;
        let Some(end) = memrchr(b'\n', &buffer[fresh..filled]).map(|at| fresh + at + 1) else { continue };
        let mut start = 0;
        for at in memchr_iter(b'\n', &buffer[..end]) {
            take(&buffer[start..at])?;
            start = at + 1;
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
    if filled > 0 { take(&buffer[..filled]) } else { Ok(()) }
}

/// Each batch of the file, by its JSON: what the runtime of Lambda hands over.
pub fn payloads(file: File, mut take: impl FnMut(&[u8]) -> Result<(), Failed>) -> Result<(), Failed> {
    let mut file = BufReader::with_capacity(PIECE, file);
    let mut payload = Vec::new();
    while file.read_until(b'\n', &mut payload)? > 0 {
        take(&payload)?;
        payload.clear();
    }
    Ok(())
}

/// Takes batches apart into lines, in one buffer for all.
#[derive(Debug, Default)]
pub struct Envelope {
    line: Vec<u8>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    kinesis: Kinesis<'a>,
}

#[derive(Deserialize)]
struct Kinesis<'a> {
    data: &'a str,
}

impl Envelope {
    /// The data of each record.
    pub fn open(
        &mut self,
        payload: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let payload: Payload = sonic_rs::from_slice(payload)?;
        for record in payload.records {
            self.line.clear();
            base64_simd::STANDARD.decode_append(record.kinesis.data, &mut self.line)?;
            take(&self.line)?;
        }
        Ok(())
    }
}
