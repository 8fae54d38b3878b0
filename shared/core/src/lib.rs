//! The engine of Millrace: bytes and plain records in, values out.
//!
//! An event goes `decode → step → encode → port`, and the modules stand in that order:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`decode`], [`kpl`] | a record's bytes become single events |
//! | [`change`] | a change of a table becomes an event |
//! | [`event`], [`time`] | one JSON object in flat memory, the paths into it, and moments |
//! | [`mistake`] | what is wrong with a `pipeline.toml`, where, and what was meant |
//! | [`pipeline`] | `pipeline.toml`, checked and compiled |
//! | [`step`], [`files`] | what the pipeline can do to an event, one file a step; the files that steps use |
//! | [`batch`], [`seen`] | the records of one invocation through the pipeline, and the ids in them |
//! | [`frame`] | the record of the clean stream |
//! | [`quarantine`] | where bad data goes, whole and with the reason |
//! | [`account`] | what became of each event, in numbers |
//! | [`port`], [`retry`], [`guard`], [`publish`] | what a function needs of the world, and how it insists |
//! | [`keys`] | what a secret holds, as the key of the tokens, asked for anew from time to time |
//! | [`webhook`] | who sent a webhook, by its signature, and which event it brings |
//! | [`write_key`], [`tenant`] | what clients show to be let in, and whose an event is then |
//! | [`window`] | the ids that a lane let out within a time: what comes again is a duplicate |
//! | [`transformer`] | all of this for a function that feeds the clean stream |
//! | [`metric`] | count, sum, min and max of events, by key and window |
//! | [`checkpoint`], [`sink`] | what a sink has landed, and all of this for a function that empties the clean stream |
//!
//! There is no AWS SDK, no clock and no network in here: time, randomness and keys come in as arguments.
//! Bad data is a value ([`quarantine::Reject`]); a broken dependency is an error ([`port::Error`]).

pub mod account;
pub mod batch;
pub mod block;
mod bots;
pub mod change;
pub mod checkpoint;
mod decimal;
pub mod decode;
pub mod event;
mod expression;
pub mod files;
pub mod frame;
mod geoip;
pub mod guard;
pub mod keys;
pub mod kpl;
mod matcher;
pub mod metric;
pub mod mistake;
pub mod packed;
pub mod pipeline;
pub mod port;
pub mod publish;
pub mod quarantine;
pub mod record;
mod redact;
mod referrer;
pub mod retry;
pub mod seen;
pub mod sink;
pub mod step;
pub mod tenant;
pub mod time;
pub mod token;
pub mod transformer;
mod user_agent;
pub mod webhook;
pub mod window;
pub mod write_key;
