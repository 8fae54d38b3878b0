//! Files to events, without an AWS, a clock or a file system: bytes are pushed in, chunks of whole records come out.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`mod@format`] | what a file is, by its content |
//! | `refuse` | what is no text, with what it is and what to do |
//! | `unpack` | gzip and zstd undone, piece by piece |
//! | `row` | where a row of CSV ends, and its cells |
//! | [`cut`] | text into chunks of whole records, and a chunk into its records |
//! | [`reader`] | all of these for one file, or for a stretch of it |
//! | [`table`] | Parquet, whose rows become lines of JSON |
//! | `footer` | how deep the schema of Parquet is |
//!
//! A record becomes a [`Piece`]: the JSON of one event, with the line that it stands in; or what stands in an event's
//! place, as it came, with a [`Reject`]. **Where a chunk ends, and which records are in it, follows from its bytes and from
//! where it begins**: so a file may be read whole, in stretches side by side, or again from the middle, and gives the same
//! records each time, none twice and none lost. Memory is bounded by [`RECORD_MAX`](cut::RECORD_MAX).

pub mod cut;
mod footer;
pub mod format;
pub mod reader;
mod refuse;
mod row;
pub mod table;
mod unpack;

pub use cut::{Chunk, Mark, Piece, Room};
pub use format::{Format, Packing, Shape};
pub use reader::Reader;

use millrace_core::quarantine::Reject;
use std::borrow::Cow;

/// What is wrong with a file, as its records have it.
fn reject(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Reject {
    Reject::new("file", reason, detail)
}
