//! A service of somebody else's, asked over HTTP with the client that the SDK has.

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::http::Request;
use millrace_core::port::{Error, Kind, Post, Reply};
use millrace_core::token::fingerprint;
use std::time::Duration;

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(3);

/// The most of an answer that is read, bytes.
const BODY_MAX: usize = 64 << 10;

/// A URL that takes JSON.
#[derive(Debug)]
pub struct Service {
    connector: Connector,
    url: String,
}

impl Service {
    /// The service at this URL, `https://…` or `http://…`.
    #[must_use]
    pub fn new(url: String) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self { connector, url }
    }

    fn request(&self, key: &str, json: &str) -> Option<Request> {
        let mut request = Request::new(SdkBody::from(json));
        request.set_method("POST").ok()?;
        request.set_uri(self.url.as_str()).ok()?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert("content-length", json.len().to_string());
        headers.insert("idempotency-key", fingerprint(key.as_bytes(), 16)); // a key may be any text, a header not
        Some(request)
    }
}

impl Post for Service {
    async fn post(&self, key: &str, json: &str) -> Result<Reply, Error> {
        // The URL may have a secret in it, and so may what the client says of it: no message repeats them.
        let error =
            |what: String, kind| Error { what: format!("ask the service: {what}"), kind, source: None };
        let request = self.request(key, json);
        let request = request.ok_or_else(|| error("its URL is none".into(), Kind::Permanent))?;
        let answer = async {
            let answer = self.connector.call(request).await.map_err(|why| {
                let what = if why.is_timeout() { "no answer in time" } else { "no connection, or it broke" };
                error(what.into(), Kind::Transient)
            })?;
            let status = answer.status().as_u16();
            match status {
                429 => return Err(error("it answers 429".into(), Kind::Throttled)),
                408 | 500.. => return Err(error(format!("it answers {status}"), Kind::Transient)),
                _ => {}
            }
            let mut body = Vec::new();
            let mut rest = ByteStream::new(answer.into_body());
            while body.len() < BODY_MAX
                && let Some(piece) = rest.next().await
            {
                let piece = piece.map_err(|_| error("its answer broke off".into(), Kind::Transient))?;
                body.extend_from_slice(&piece);
            }
            body.truncate(BODY_MAX);
            Ok(Reply { status, body })
        };
        let late = |_| error(format!("no answer within {} s", ANSWER.as_secs()), Kind::Transient);
        tokio::time::timeout(ANSWER, answer).await.map_err(late)?
    }
}
