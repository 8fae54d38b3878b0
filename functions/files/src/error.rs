//! What ends a task. Its kind is what the state machine decides by, and what people read.

use lambda_runtime::Diagnostic;
use millrace_core::port::{self, Kind};
use millrace_core::quarantine::Reject;

/// Why a task did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read, however often one tries.
    #[error("{0}")]
    Refused(Reject),
    /// The object is another one by now, or gone.
    #[error("the object was replaced or deleted while it was read; what replaced it is a file of its own")]
    Changed,
    /// Another attempt at the same range, or another run of the same file, is at work.
    #[error("another attempt is at work on this file")]
    Busy,
    /// A dependency failed.
    #[error("{}", .0.chain())]
    Dependency(#[from] port::Error),
    /// What the task says cannot be.
    #[error("{0}")]
    Mistaken(&'static str),
}

impl Error {
    /// What the state machine knows it by: `Refused` and `Changed` are final, `Throttled`, `Transient` and `Busy` pass,
    /// `Permanent` passes when somebody has mended it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "Refused",
            Self::Changed => "Changed",
            Self::Busy => "Busy",
            Self::Dependency(error) => match error.kind {
                Kind::Throttled => "Throttled",
                Kind::Transient => "Transient",
                Kind::Permanent => "Permanent",
            },
            Self::Mistaken(_) => "Mistaken",
        }
    }
}

impl From<Reject> for Error {
    fn from(why: Reject) -> Self {
        Self::Refused(why)
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self { error_type: error.kind().to_owned(), error_message: error.to_string() }
    }
}
