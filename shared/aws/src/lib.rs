//! The edges of Millrace: what a function needs to meet AWS.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`settings`] | the environment, read once at start, and the pipeline that was built in |
//! | [`source`] | AWS's event shapes become plain records, and answers AWS's |
//! | [`clients`], [`kinesis`], [`s3`], [`secrets`], [`sqs`] | the core's ports over the SDK, one file a service |
//! | [`clock`] | the port that tells the time |
//! | [`telemetry`] | logs and metrics, without personal data |
//! | [`transformer`] | the wiring that `transform` and `changes` share |
//! | [`serve`] | the Lambda runtime, with the deadline in the core's words |

pub mod clients;
pub mod clock;
pub mod kinesis;
pub mod s3;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod source;
pub mod sqs;
pub mod telemetry;
pub mod transformer;

use millrace_core::port::{Error, Kind};
use std::error::Error as StdError;

/// An SDK error in the core's words. `code` is the service's own name for it, which says best what happened.
fn failed(what: String, code: Option<&str>, source: impl StdError + Send + Sync + 'static) -> Error {
    let kind = match code {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "LimitExceededException"
            | "SlowDown"
            | "RequestThrottled"
            | "TooManyRequestsException",
        ) => Kind::Throttled,
        Some(code) if is_permanent(code) => Kind::Permanent,
        _ => Kind::Transient,
    };
    Error { what, kind, source: Some(Box::new(source)) }
}

fn is_permanent(code: &str) -> bool {
    code.contains("AccessDenied")
        || code.contains("NotFound")
        || code.contains("NonExistent")
        || code.contains("NoSuch")
        || code.contains("Validation")
        || code.contains("Invalid")
}
