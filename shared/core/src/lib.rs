//! The engine of Millrace: bytes and plain records in, values out.
//!
//! An event goes `decode → step → encode → port`, and the modules stand in that order:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`decode`] | a record's bytes become single events |
//! | [`event`], [`time`] | one JSON object, the paths into it, and moments |
//! | [`mistake`] | what is wrong with a `pipeline.toml`, where, and what was meant |
//! | [`pipeline`] | `pipeline.toml`, checked and compiled |
//! | [`step`] | what the pipeline can do to an event, one file a step |
//! | [`batch`] | the records of one invocation through the pipeline |
//! | [`frame`] | the record of the clean stream |
//! | [`quarantine`] | where bad data goes, whole and with the reason |
//! | [`account`] | what became of each event, in numbers |
//! | [`port`], [`retry`], [`publish`] | what a function needs of the world, and how it insists |
//! | [`transformer`] | all of this for a function that feeds the clean stream |
//!
//! There is no AWS SDK, no clock and no network in here: time, randomness and keys come in as arguments.
//! Bad data is a value ([`quarantine::Reject`]); a broken dependency is an error ([`port::Error`]).

pub mod account;
pub mod batch;
mod bots;
pub mod decode;
pub mod event;
mod expression;
pub mod files;
pub mod frame;
#[cfg_attr(not(test), expect(dead_code, reason = "no step wraps it yet"))]
mod geoip;
#[cfg_attr(not(test), expect(dead_code, reason = "no step wraps it yet"))]
mod matcher;
pub mod mistake;
pub mod pipeline;
pub mod port;
pub mod publish;
pub mod quarantine;
pub mod record;
#[cfg_attr(not(test), expect(dead_code, reason = "`anonymize.redact` comes next"))]
mod redact;
#[cfg_attr(not(test), expect(dead_code, reason = "no step wraps it yet"))]
mod referrer;
pub mod retry;
pub mod seen;
pub mod step;
pub mod time;
pub mod token;
pub mod transformer;
#[cfg_attr(not(test), expect(dead_code, reason = "no step wraps it yet"))]
mod user_agent;
