//! The client that asks feeds.

use crate::{Answer, Fetch, PAGE_MAX};
use millrace_aws::http::{Ask, Http, NoAnswer};
use millrace_core::port::{Error, Kind};
use std::time::Duration;

/// How long a page may take.
const WITHIN: Duration = Duration::from_secs(30);

impl Fetch for Http {
    async fn get(&self, url: &str, header: Option<(&str, &str)>) -> Result<Answer, Error> {
        let headers: Vec<_> = [("user-agent", "millrace")].into_iter().chain(header).collect();
        let ask = Ask { method: "GET", url, headers: &headers, body: "", within: WITHIN, most: PAGE_MAX };
        match self.ask(ask).await {
            Ok(answer) if answer.body.len() > PAGE_MAX => {
                Err(no_page("the page is larger than it may be", Kind::Permanent, None))
            }
            Ok(answer) => Ok(answer),
            Err(why) => Err(no_page(&why.to_string(), why.kind(), Some(why))),
        }
    }
}

fn no_page(why: &str, kind: Kind, source: Option<NoAnswer>) -> Error {
    // It says itself what it is; what lies beneath is more.
    let source = source.and_then(|why| match why {
        NoAnswer::Unreachable(beneath) => Some(beneath),
        _ => None,
    });
    Error { what: format!("ask the feed: {why}"), kind, source }
}
