//! The frames of a batch to rows, bad ones set apart.

use crate::{Error, Layout, Part, Table};
use millrace_core::account::Landing;
use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::frame::Reader;
use millrace_core::quarantine::{Entry, Reject};
use millrace_core::sink::Cut;
use std::borrow::Borrow;

/// Lays out batches of frames, in memory that serves one after the other.
#[derive(Debug)]
pub struct Frames {
    table: Table,
    reader: Reader,
    event: Event,
}

/// A batch, decoded and laid out.
#[derive(Debug)]
pub struct Rows {
    /// A file a partition.
    pub parts: Vec<Part>,
    /// What is for the quarantine: frames, or events of good ones, that cannot be read.
    pub rejects: Vec<Entry>,
    /// The fate of the events, if all of this is put.
    pub landing: Landing,
}

impl Frames {
    /// For tables of this layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { table: Table::new(layout), reader: Reader::default(), event: Event::default() }
    }

    /// Lays out the frames of one batch, as far as their events are to land.
    pub fn rows<'r>(&mut self, frames: impl Iterator<Item = impl Borrow<Cut<'r>>>) -> Result<Rows, Error> {
        let Self { table, reader, event } = self;
        table.clear(); // what a batch left that ended in a panic
        let mut rejects = Vec::new();
        let mut landing = Landing::default();
        for frame in frames {
            let Cut { record, lands } = frame.borrow();
            let mut reject = |index: Option<u32>, reject: Reject, payload: &[u8]| {
                rejects.push(Entry::of(record, index, reject, payload));
            };
            match reader.read(record.data) {
                Ok((_header, body)) => {
                    for (place, line) in body.events().enumerate() {
                        landing.r#in += 1;
                        if !lands.has(place) {
                            landing.skipped += 1;
                            continue;
                        }
                        match decode::text(line, event).and_then(|()| table.push(event)) {
                            Ok(_row) => landing.landed += 1,
                            Err(why) => reject(u32::try_from(place).ok(), why, line.as_bytes()),
                        }
                    }
                }
                Err(why) => {
                    landing.r#in += 1;
                    reject(None, why, record.data);
                }
            }
        }
        landing.quarantined = rejects.len();
        debug_assert!(landing.balances(), "every event ends in exactly one place");
        Ok(Rows { parts: table.finish()?, rejects, landing })
    }
}
