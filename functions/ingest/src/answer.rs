//! The answers: 202, or a problem document (RFC 9457).

use crate::events::RECORD_MAX;
use millrace_core::webhook::{NoEvent, Refused};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An event that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Why, in words that repeat nothing of it.
    pub reason: String,
}

/// An answer in the shape that API Gateway takes, payload format 2.0.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status.
    pub status_code: u16,
    /// The HTTP headers.
    pub headers: BTreeMap<&'static str, Cow<'static, str>>,
    /// The body, JSON.
    pub body: String,
}

impl Answer {
    fn json(status_code: u16, content_type: &'static str, body: &Value) -> Self {
        Self {
            status_code,
            headers: BTreeMap::from([("content-type", content_type.into())]),
            body: body.to_string(),
        }
    }

    pub(crate) fn healthy() -> Self {
        Self::json(200, "application/json", &json!({"status": "ok"}))
    }

    pub(crate) fn accepted(accepted: usize, rejected: &[Rejected]) -> Self {
        Self::json(202, "application/json", &json!({"accepted": accepted, "rejected": rejected}))
    }

    /// A webhook came again, and is there already.
    pub(crate) fn known() -> Self {
        Self::json(200, "application/json", &json!({"accepted": 0, "known": 1, "rejected": []}))
    }

    /// What Slack wants back.
    pub(crate) fn challenge(text: &str) -> Self {
        Self::json(200, "application/json", &json!({"challenge": text}))
    }
}

/// Why a request is not answered with 202.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Body(String),
    #[error(
        "the body is said to be gzip and is not, or came as text: send gzip as application/x-ndjson, for API Gateway \
         takes application/json and text for text"
    )]
    NotGzip,
    #[error("no event of this request could be accepted; `rejected` tells why, by index")]
    NothingAccepted(Vec<Rejected>),
    #[error("send a write key: as `authorization: Bearer`, as the user name of Basic, or as `x-write-key`")]
    NoKey,
    #[error("there is no such write key, or no longer")]
    BadKey,
    #[error("the write key has expired")]
    ExpiredKey,
    #[error("send a token: as `authorization: Bearer`")]
    NoToken,
    #[error("the token does not say whose the events are, in letters, digits, `_`, `-` and dots")]
    NoTenant,
    #[error("the quota of this write key is used up for this minute")]
    OverQuota {
        /// Seconds to the next minute.
        again_s: i64,
    },
    #[error(
        "the write keys cannot be looked up; nothing of this request was taken: send it again, with the same ids"
    )]
    NoKeys,
    #[error("there is POST /v1/events and GET /v1/health")]
    NotFound,
    #[error("this resource takes {0}")]
    Method(&'static str),
    #[error("the body may have {0} bytes, also when it is inflated; send the events in several requests")]
    TooLarge(usize),
    #[error("a request may have {0} events; send them in several requests")]
    TooMany(usize),
    #[error("send JSON as application/json, application/x-ndjson or text/plain")]
    ContentType,
    #[error("there is no webhook source of this name: the secret `WebhookSecrets` names those there are")]
    NoSource,
    #[error("what the secret `WebhookSecrets` says of this source will not do; the function's log says why")]
    BadSource,
    #[error("{0}")]
    Unsigned(#[from] Refused),
    #[error("{0}")]
    NoEvent(#[from] NoEvent),
    #[error("a webhook may have {RECORD_MAX} bytes, with the fields that are put around it")]
    WebhookTooLarge,
    #[error(
        "send the webhook as application/json; GitHub may send it as a form, too, with the field `payload`"
    )]
    WebhookContentType,
    #[error("send the body plain or with content-encoding gzip")]
    ContentEncoding,
    #[error(
        "the stream is at its limit; nothing is promised of this request: send it again, with the same ids"
    )]
    Busy,
    #[error(
        "the stream cannot be reached; nothing is promised of this request: send it again, with the same ids"
    )]
    Unavailable,
}

impl Problem {
    fn status(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Body(_) | Self::NotGzip => (400, "bad-body", "The body cannot be read"),
            Self::NothingAccepted(_) => (400, "nothing-accepted", "No event could be accepted"),
            Self::NoEvent(_) => (400, "no-event", "The webhook does not say what it is"),
            Self::Unsigned(Refused::NoHeader(_)) => (401, "no-signature", "The webhook is not signed"),
            Self::Unsigned(Refused::Malformed(..)) => {
                (401, "malformed-signature", "The signature cannot be read")
            }
            Self::Unsigned(Refused::Wrong) => (401, "wrong-signature", "The signature is not right"),
            Self::Unsigned(Refused::Clock(_)) => (401, "wrong-time", "The webhook was not signed just now"),
            Self::NoSource => (404, "no-source", "There is no such source"),
            Self::NoKey | Self::BadKey | Self::ExpiredKey | Self::NoToken => {
                (401, "unauthorized", "The request has no credential that is good")
            }
            Self::NoTenant => (403, "no-tenant", "The credential names no tenant"),
            Self::OverQuota { .. } => (429, "over-quota", "The quota is used up"),
            Self::NoKeys => (503, "unavailable", "The write keys cannot be looked up"),
            Self::NotFound => (404, "not-found", "There is no such resource"),
            Self::Method(_) => (405, "method-not-allowed", "The resource does not take this method"),
            Self::TooLarge(_) | Self::WebhookTooLarge => (413, "body-too-large", "The body is too large"),
            Self::TooMany(_) => (413, "too-many-events", "There are too many events"),
            Self::ContentType | Self::WebhookContentType => {
                (415, "content-type", "The content type is not JSON")
            }
            Self::ContentEncoding => (415, "content-encoding", "The content encoding is not known"),
            Self::BadSource => (503, "bad-source", "The source is not set up right"),
            Self::Busy => (429, "busy", "The stream is at its limit"),
            Self::Unavailable => (503, "unavailable", "The stream cannot be reached"),
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let (status, name, title) = problem.status();
        let mut document = json!({
            "type": format!("urn:millrace:problem:{name}"),
            "title": title,
            "status": status,
            "detail": problem.to_string(),
        });
        if let (Problem::NothingAccepted(rejected), Value::Object(document)) = (&problem, &mut document) {
            document.insert("accepted".into(), 0.into());
            document.insert("rejected".into(), json!(rejected));
        }
        let mut answer = Self::json(status, "application/problem+json", &document);
        let header: Option<(_, Cow<'static, str>)> = match problem {
            Problem::Busy | Problem::Unavailable | Problem::NoKeys => Some(("retry-after", "2".into())),
            Problem::OverQuota { again_s } => Some(("retry-after", again_s.to_string().into())),
            Problem::NoKey | Problem::BadKey | Problem::ExpiredKey | Problem::NoToken => {
                Some(("www-authenticate", "Bearer realm=\"millrace\"".into()))
            }
            Problem::Method(allowed) => Some(("allow", allowed.into())),
            _ => None,
        };
        answer.headers.extend(header);
        answer
    }
}
