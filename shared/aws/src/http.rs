//! Services of others, asked over HTTP with the client that the SDK has.

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::http::Request;
use millrace_core::port::{Error, Kind, Post, Reply};
use millrace_core::token::fingerprint;
use std::time::Duration;

/// A client of HTTP/1.1, which trusts whom the system trusts and follows no redirect: what a header holds goes to no other
/// server.
#[derive(Debug)]
pub struct Http(Connector);

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `GET` or another method.
    pub method: &'a str,
    /// `https://…` or `http://…`.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its body.
    pub body: &'a str,
    /// How long the whole answer is waited for.
    pub within: Duration,
    /// How much of the answer's body is wanted, bytes. Of what is longer there is at least one byte more.
    pub most: usize,
}

/// What a server answered, of whatever status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Repeats neither URL nor header, which may have a secret in them.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The method or the address is none.
    #[error("the address is no URL that can be asked: it begins with https:// and has no blanks in it")]
    Address,
    /// A header's name is none.
    #[error("the header's name has a sign in it that HTTP does not take")]
    HeaderName,
    /// A header's value is none.
    #[error("the header's value, with the token in it, has a sign in it that HTTP does not take")]
    HeaderValue,
    /// There was none in time.
    #[error("no answer in time")]
    Late,
    /// The server cannot be reached, or hung up.
    #[error("no answer: the server cannot be reached, or hung up")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body broke off.
    #[error("the answer broke off")]
    BrokeOff,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl NoAnswer {
    /// Whether there may be one the next time.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address | Self::HeaderName | Self::HeaderValue => Kind::Permanent,
            Self::Late | Self::Unreachable(_) | Self::BrokeOff => Kind::Transient,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self(Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build())
    }
}

impl Http {
    /// Asks once.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, NoAnswer> {
        let request = request(ask)?;
        tokio::time::timeout(ask.within, self.send(request, ask.most)).await.map_err(|_| NoAnswer::Late)?
    }

    async fn send(&self, request: Request, most: usize) -> Result<Answer, NoAnswer> {
        let answer = self.0.call(request).await.map_err(|why| {
            if why.is_timeout() { NoAnswer::Late } else { NoAnswer::Unreachable(why.into()) }
        })?;
        let status = answer.status().as_u16();
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (mut body, mut rest) = (Vec::new(), ByteStream::new(answer.into_body()));
        while body.len() <= most
            && let Some(piece) = rest.next().await
        {
            body.extend_from_slice(&piece.map_err(|_| NoAnswer::BrokeOff)?);
        }
        Ok(Answer { status, headers, body })
    }
}

fn request(ask: Ask<'_>) -> Result<Request, NoAnswer> {
    let mut request = Request::new(SdkBody::from(ask.body));
    request.set_method(ask.method).map_err(|_| NoAnswer::Address)?;
    request.set_uri(ask.url).map_err(|_| NoAnswer::Address)?;
    let headers = request.headers_mut();
    for (name, value) in ask.headers {
        headers.try_insert((*name).to_owned(), "").map_err(|_| NoAnswer::HeaderName)?;
        headers.try_insert((*name).to_owned(), (*value).to_owned()).map_err(|_| NoAnswer::HeaderValue)?;
    }
    Ok(request)
}

/// How long the answer of a [`Service`] is waited for.
const ANSWER: Duration = Duration::from_secs(3);

/// The most of it that is read, bytes.
const BODY_MAX: usize = 64 << 10;

/// A URL that takes JSON.
#[derive(Debug)]
pub struct Service {
    http: Http,
    url: String,
}

impl Service {
    /// The service at this URL, `https://…` or `http://…`.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { http: Http::default(), url }
    }
}

impl Post for Service {
    async fn post(&self, key: &str, json: &str) -> Result<Reply, Error> {
        let error =
            |what: String, kind| Error { what: format!("ask the service: {what}"), kind, source: None };
        let (length, key) = (json.len().to_string(), fingerprint(key.as_bytes(), 16)); // a key may be any text, a header not
        let headers =
            [("content-type", "application/json"), ("content-length", &length), ("idempotency-key", &key)];
        let ask = Ask {
            method: "POST",
            url: &self.url,
            headers: &headers,
            body: json,
            within: ANSWER,
            most: BODY_MAX,
        };
        let answer = self.http.ask(ask).await.map_err(|why| {
            let what = match why {
                NoAnswer::Late => format!("no answer within {} s", ANSWER.as_secs()),
                _ => why.to_string(),
            };
            error(what, why.kind())
        })?;
        let Answer { status, mut body, .. } = answer;
        body.truncate(BODY_MAX);
        match status {
            429 => Err(error("it answers 429".into(), Kind::Throttled)),
            408 | 500.. => Err(error(format!("it answers {status}"), Kind::Transient)),
            _ => Ok(Reply { status, body }),
        }
    }
}
