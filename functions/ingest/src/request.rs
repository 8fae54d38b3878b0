//! The request: which route, and the body's bytes, however API Gateway hands them over.

use crate::access::{Claims, Shown};
use crate::answer::Problem;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::decode::{self, Pieces};
use serde::Deserialize;
use std::collections::HashMap;

/// The most events in one request.
const EVENTS_MAX: usize = 10_000;

/// Content types of JSON in any of its forms. Browsers' `sendBeacon` sends text/plain.
const CONTENT_TYPES: [&str; 7] = [
    "application/json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/gzip",
    "application/octet-stream",
    "text/plain",
];

/// A request in API Gateway's payload format 2.0, as far as it is of interest.
///
/// `aws_lambda_events` has this type too, but reads headers as HTTP's own type, and where a client sent a sign that
/// does not belong there, fails with an error that repeats the header.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequest {
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    query_string_parameters: Option<HashMap<String, String>>,
    request_context: RequestContext,
    #[serde(default)]
    body: String,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
struct RequestContext {
    http: Http,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

/// What API Gateway's own check of a credential left behind.
#[derive(Debug, Deserialize)]
struct Authorizer {
    #[serde(default)]
    jwt: Option<Jwt>,
}

#[derive(Debug, Deserialize)]
struct Jwt {
    claims: Claims,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    path: String,
    #[serde(default)]
    source_ip: String,
    #[serde(default)]
    user_agent: String,
}

impl HttpRequest {
    pub(crate) fn method(&self) -> &str {
        &self.request_context.http.method
    }

    pub(crate) fn path(&self) -> &str {
        self.request_context.http.path.trim_end_matches('/')
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Events,
    Health,
    Webhook,
}

/// A request that is understood so far.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) route: Route,
    pub(crate) ip: String,
    pub(crate) user_agent: Option<String>,
    headers: HashMap<String, String>,
    pub(crate) shown: Shown,
    encoding: Encoding,
    raw: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
}

impl Request {
    /// Reads the envelope; the body stays as it is.
    pub(crate) fn read(request: HttpRequest) -> Result<Self, Problem> {
        let route = match (request.path(), request.method()) {
            (path, "POST") if path.ends_with("/v1/events") => Route::Events,
            (path, "GET" | "HEAD") if path.ends_with("/v1/health") => Route::Health,
            (path, _) if path.ends_with("/v1/events") => return Err(Problem::Method("POST")),
            (path, _) if path.ends_with("/v1/health") => return Err(Problem::Method("GET")),
            _ => return Err(Problem::NotFound),
        };
        let request = Self::of(route, request)?;
        if route == Route::Events && !request.content_type().is_none_or(|kind| is_json(&kind)) {
            return Err(Problem::ContentType);
        }
        Ok(request)
    }

    /// A request of this route.
    pub(crate) fn of(route: Route, request: HttpRequest) -> Result<Self, Problem> {
        let HttpRequest { headers, query_string_parameters, request_context, body, is_base64_encoded } =
            request;
        let RequestContext { http, authorizer } = request_context;
        let raw = if is_base64_encoded {
            BASE64_STANDARD
                .decode(body)
                .map_err(|_| Problem::Body("the body that API Gateway encoded is no base64".into()))?
        } else {
            body.into_bytes()
        };
        let encoding = match header(&headers, "content-encoding").map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "identity") => Encoding::Plain,
            Some("gzip" | "x-gzip") => Encoding::Gzip,
            Some(_) => return Err(Problem::ContentEncoding),
        };
        let user_agent = Some(http.user_agent).filter(|agent| !agent.is_empty());
        let user_agent = user_agent.or_else(|| header(&headers, "user-agent").map(str::to_owned));
        let query = query_string_parameters.and_then(|mut query| query.remove("writeKey"));
        let claims = authorizer.and_then(|authorizer| authorizer.jwt).map(|jwt| jwt.claims);
        let shown = Shown::read(|name| header(&headers, name), query, claims);
        Ok(Self { route, ip: http.source_ip, user_agent, headers, shown, encoding, raw })
    }

    /// A header, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The content type in lower case, without its parameters.
    pub(crate) fn content_type(&self) -> Option<String> {
        let header = self.header("content-type")?;
        Some(header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// The body's bytes as they came.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The body, inflated where it is gzip: said so, or begun so. It may have so many bytes, as it came and inflated.
    pub(crate) fn body<'a>(&'a self, most: usize, room: &'a mut Vec<u8>) -> Result<&'a [u8], Problem> {
        if self.raw.is_empty() {
            return Err(Problem::Body("the body is empty".into()));
        }
        if self.raw.len() > most {
            return Err(Problem::TooLarge(most));
        }
        let plain = decode::inflate(&self.raw, room).map_err(|why| match why.reason {
            "too_large" => Problem::TooLarge(most),
            _ => Problem::Body(why.detail.into_owned()),
        })?;
        match self.encoding {
            Encoding::Gzip if !self.raw.starts_with(&[0x1f, 0x8b]) => Err(Problem::NotGzip),
            _ if plain.len() > most => Err(Problem::TooLarge(most)),
            _ => Ok(plain),
        }
    }
}

fn header<'h>(headers: &'h HashMap<String, String>, name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// Whether this is a content type of JSON in any of its forms.
pub(crate) fn is_json(content_type: &str) -> bool {
    CONTENT_TYPES.contains(&content_type) || content_type.ends_with("+json")
}

/// Cuts the body into events.
pub(crate) fn split(body: &[u8]) -> Result<Pieces<'_>, Problem> {
    let pieces = decode::split(body).map_err(|why| match why.reason {
        "empty" => Problem::Body("the body is empty".into()),
        "too_many_events" => Problem::TooMany(EVENTS_MAX),
        _ => Problem::Body(why.detail.into_owned()),
    })?;
    match pieces.clone().take(EVENTS_MAX + 1).count() {
        0 => Err(Problem::Body("there is no event in the body".into())),
        1..=EVENTS_MAX => Ok(pieces),
        _ => Err(Problem::TooMany(EVENTS_MAX)),
    }
}
