//! A client of HTTP/1.1, over TLS unless the server is on this machine.

use crate::{Answer, Fetch, PAGE_MAX};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use millrace_core::port::{Error, Kind};
use rustls::crypto::ring;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// How long a page may take.
const WITHIN: Duration = Duration::from_secs(30);

/// The client. It follows no redirect: a token goes to no server but the feed's.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client that trusts whom the system trusts.
    pub fn new() -> Result<Self, std::io::Error> {
        let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider())?;
        let connector = tls.https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }
}

impl Fetch for Http {
    async fn get(&self, url: &str, header: Option<(&str, &str)>) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("millrace"));
        if let Some((name, value)) = header {
            let name = name.parse::<HeaderName>().map_err(|_| bad("the header's name is none"))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| bad("the header's value is none"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut request = Request::get(url).body(Empty::new()).map_err(|_| bad("the address is none"))?;
        *request.headers_mut() = headers;
        let answer = tokio::time::timeout(WITHIN, self.ask(request)).await;
        answer.unwrap_or_else(|_| Err(failed("no answer in time", None)))
    }
}

impl Http {
    async fn ask(&self, request: Request<Empty<Bytes>>) -> Result<Answer, Error> {
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|why| failed("no answer", Some(why.into())))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, PAGE_MAX).collect().await;
        let body =
            body.map_err(|why| failed("the page broke off, or is larger than it may be", Some(why)))?;
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers.iter().filter_map(text).collect(),
            body: body.to_bytes().to_vec(),
        })
    }
}

fn bad(why: &str) -> Error {
    Error { what: format!("ask the feed: {why}"), kind: Kind::Permanent, source: None }
}

fn failed(why: &str, source: Option<Box<dyn StdError + Send + Sync>>) -> Error {
    Error { what: format!("ask the feed: {why}"), kind: Kind::Transient, source }
}
