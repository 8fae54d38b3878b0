//! Job T written by hand: straight Rust for just this job, to see how near a general engine comes.
//!
//! The order is that of the data: [`source`] cuts the input into lines, [`event`] reads a line, [`job`] decides and counts with
//! what [`rules`] works out, and [`sink`] makes Arrow columns, Parquet files or NDJSON of the rows.

pub mod event;
pub mod job;
pub mod rules;
pub mod sink;
pub mod source;
