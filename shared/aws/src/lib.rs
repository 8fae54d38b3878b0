//! The edges of Millrace: what a function needs to meet AWS.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`settings`] | the environment, read once at start, and the pipeline that was built in |
//! | [`source`], [`table`], [`firehose`] | AWS's event shapes become plain records, and answers AWS's |
//! | [`clients`], [`dynamodb`], [`kinesis`], [`metrics`], [`s3`], [`secrets`], [`sqs`], [`write_keys`] | the core's ports over the SDK, one file a service |
//! | `http` | what only `pull` and `review` need: services of others, asked over HTTP |
//! | `history`, `functions` | what only `redrive` needs of the SDK: streams read again, functions called |
//! | [`clock`] | the port that tells the time |
//! | [`telemetry`] | logs and metrics, without personal data |
//! | [`transformer`] | the wiring that `transform`, `changes` and `files` share, and of the pipeline alone `metrics` and `firehose` |
//! | [`sink`] | the wiring that `lake` and `review` share |
//! | [`serve`] | the Lambda runtime, with the deadline in the core's words |

#[cfg(feature = "sdk")]
pub mod clients;
pub mod clock;
#[cfg(feature = "sdk")]
pub mod dynamodb;
pub mod firehose;
#[cfg(feature = "redrive")]
pub mod functions;
#[cfg(feature = "redrive")]
pub mod history;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "sdk")]
pub mod kinesis;
#[cfg(feature = "sdk")]
pub mod metrics;
#[cfg(feature = "sdk")]
pub mod s3;
mod scan;
#[cfg(feature = "sdk")]
pub mod secrets;
#[cfg(feature = "sdk")]
pub mod serve;
pub mod settings;
mod shape;
#[cfg(feature = "sdk")]
pub mod sink;
pub mod source;
#[cfg(feature = "sdk")]
pub mod sqs;
pub mod table;
pub mod telemetry;
#[cfg(feature = "sdk")]
pub mod transformer;
#[cfg(feature = "sdk")]
pub mod write_keys;

#[cfg(feature = "sdk")]
use aws_sdk_s3::error::ProvideErrorMetadata;
#[cfg(feature = "sdk")]
use millrace_core::port::{Error, Kind};
#[cfg(feature = "sdk")]
use std::error::Error as StdError;

/// A service's error in the core's words. The service's own code says best what happened.
#[cfg(feature = "sdk")]
fn failed<E: ProvideErrorMetadata + StdError + Send + Sync + 'static>(what: String, source: E) -> Error {
    let kind = match source.code() {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "LimitExceededException"
            | "SlowDown"
            | "RequestThrottled"
            | "TooManyRequestsException"
            | "RequestLimitExceeded",
        ) => Kind::Throttled,
        Some(code) if is_permanent(code) => Kind::Permanent,
        _ => Kind::Transient,
    };
    Error { what, kind, source: Some(Box::new(source)) }
}

#[cfg(feature = "sdk")]
fn is_permanent(code: &str) -> bool {
    code.contains("AccessDenied")
        || code.contains("NotFound")
        || code.contains("NonExistent")
        || code.contains("NoSuch")
        || code.contains("Validation")
        || code.contains("Invalid")
}
