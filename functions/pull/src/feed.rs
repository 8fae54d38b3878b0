//! The feed as its settings describe it: where its pages are, and what stands where in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What stands in a URL for the cursor.
const CURSOR: &str = "{cursor}";

/// The longest cursor, bytes: the table has to hold it, and a server to take it in an address.
const CURSOR_MAX: usize = 8 << 10;

/// What a URL takes as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands in a header for the token.
const TOKEN: &str = "{token}";

/// The header that shows the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(crate) name: String,
    value: String,
}

impl Header {
    /// The header that is written so, `Authorization: Bearer {token}`.
    pub fn read(text: &str) -> Result<Self, NoFeed> {
        let (name, value) = text.split_once(':').ok_or(NoFeed::Header)?;
        let (name, value) = (name.trim(), value.trim());
        // RFC 9110, section 5.6.2.
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = !name.is_empty() && name.bytes().all(is_sign);
        let is_header = is_name && value.contains(TOKEN);
        is_header.then(|| Self { name: name.to_owned(), value: value.to_owned() }).ok_or(NoFeed::Header)
    }

    /// Its value with this token.
    pub(crate) fn value(&self, token: &str) -> String {
        self.value.replace(TOKEN, token.trim())
    }
}

/// Where pages are, and what stands where in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    url: String,
    items: String,
    cursor: Option<String>,
}

/// Settings that are none.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoFeed {
    /// Tokens and events would go over the network for all to read.
    #[error("FEED_URL must begin with https://, but for a server on this machine")]
    Plain,
    /// No JSON pointer.
    #[error(
        "FEED_ITEMS and FEED_CURSOR are JSON pointers: empty, or each part behind a `/`, as in /data/items"
    )]
    Pointer,
    /// No header.
    #[error("FEED_HEADER is a header, `Name: value`, with {{token}} in it where the token goes")]
    Header,
}

/// What `main` returns shows through Debug, and is meant for people.
impl fmt::Debug for NoFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a page is none. Says nothing of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPage {
    /// HTML perhaps, or cut off.
    #[error("the feed's page is no JSON: look at what FEED_URL answers")]
    NotJson,
    /// Another shape than was said.
    #[error("the feed's page has no array at `{0}`, where its items are by FEED_ITEMS")]
    NoItems(String),
    /// It has more bytes than a cursor may have.
    #[error("the feed's cursor has more than {CURSOR_MAX} bytes: does FEED_CURSOR lead to it?")]
    LongCursor,
    /// It leads to where the feed is not.
    #[error(
        "the feed's cursor is an address of another server than FEED_URL's, and the token goes to no other"
    )]
    Astray,
}

/// A page.
#[derive(Debug, Default)]
pub struct Page<'a> {
    /// The JSON of its items.
    pub items: Vec<&'a RawValue>,
    /// The cursor that leads on.
    pub next: Option<String>,
}

impl Feed {
    /// A feed: the URL with `{cursor}` in it where it goes, and JSON pointers to the items and to the next cursor in a page.
    pub fn new(url: String, items: String, cursor: Option<String>) -> Result<Self, NoFeed> {
        let is_pointer = |text: &str| text.is_empty() || text.starts_with('/');
        if !is_pointer(&items) || !cursor.as_deref().is_none_or(is_pointer) {
            return Err(NoFeed::Pointer);
        }
        let is_here = ["http://localhost", "http://127.0.0.1", "http://[::1]"].iter().any(|here| {
            let rest = url.strip_prefix(here);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        });
        if url.starts_with("https://") || is_here {
            Ok(Self { url, items, cursor })
        } else {
            Err(NoFeed::Plain)
        }
    }

    /// What its state is known by: another URL begins anew.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.url
    }

    /// Where the page is that a cursor leads to. Without one, what the cursor would stand in is left out of the query.
    pub fn at(&self, cursor: Option<&str>) -> Result<String, NoPage> {
        let Some(cursor) = cursor else {
            let Some((path, query)) = self.url.split_once('?') else {
                return Ok(self.url.replace(CURSOR, ""));
            };
            let query: Vec<_> = query.split('&').filter(|part| !part.contains(CURSOR)).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            return Ok(format!("{}{mark}{}", path.replace(CURSOR, ""), query.join("&")));
        };
        if cursor.starts_with("https://") || cursor.starts_with("http://") {
            let is_same = origin(cursor) == origin(&self.url);
            return if is_same { Ok(cursor.to_owned()) } else { Err(NoPage::Astray) };
        }
        Ok(self.url.replace(CURSOR, &utf8_percent_encode(cursor, PLAIN).to_string()))
    }

    /// Reads a page, and sees that its cursor leads nowhere else.
    pub fn read<'a>(&self, body: &'a [u8]) -> Result<Page<'a>, NoPage> {
        let body = std::str::from_utf8(body).map_err(|_| NoPage::NotJson)?;
        let page: &RawValue = serde_json::from_str(body).map_err(|_| NoPage::NotJson)?;
        let items = find(page, &self.items).and_then(|items| serde_json::from_str(items.get()).ok());
        let items = items.ok_or_else(|| NoPage::NoItems(self.items.clone()))?;
        let next = self.cursor.as_ref().and_then(|pointer| find(page, pointer)).and_then(text);
        if next.as_ref().is_some_and(|next| next.len() > CURSOR_MAX) {
            return Err(NoPage::LongCursor);
        }
        // Once noted, a cursor that leads astray would be asked for in all runs to come.
        if let Some(next) = &next {
            self.at(Some(next))?;
        }
        Ok(Page { items, next })
    }
}

/// The scheme and the server of a URL.
fn origin(url: &str) -> &str {
    let server = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(server..)
        .and_then(|rest| rest.find(['/', '?', '#', '\\']))
        .map_or(url.len(), |at| server + at);
    url.get(..end).unwrap_or(url)
}

/// A cursor's text; none where there is none.
fn text(value: &RawValue) -> Option<String> {
    let text = match serde_json::from_str::<serde_json::Value>(value.get()).ok()? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(_) => value.get().to_owned(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// What stands at a JSON pointer (RFC 6901), with one thing more: `-` is the last item of an array.
fn find<'a>(value: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut value = value;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        value = if value.get().starts_with('[') {
            let mut items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            if part == "-" { items.pop()? } else { items.get(part.parse::<usize>().ok()?).copied()? }
        } else {
            let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value.get()).ok()?;
            members.remove(part.as_str())?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_the_token() {
        let header = Header::read("Authorization: Bearer {token}").unwrap();
        assert_eq!(
            (header.name.as_str(), header.value(" t0ken\n").as_str()),
            ("Authorization", "Bearer t0ken")
        );
        for text in ["", "Authorization", "Author ization: {token}", ": {token}", "X-Key: t0ken"] {
            assert_eq!(Header::read(text), Err(NoFeed::Header), "{text}");
        }
    }

    #[test]
    fn a_cursor_has_an_end() {
        let feed = feed("https://a.example/x?after={cursor}", "/d", Some("/n")).unwrap();
        let page = |length: usize| format!(r#"{{"d":[],"n":"{}"}}"#, "x".repeat(length));
        assert!(feed.read(page(CURSOR_MAX).as_bytes()).unwrap().next.is_some());
        assert_eq!(feed.read(page(CURSOR_MAX + 1).as_bytes()).map(|_| ()), Err(NoPage::LongCursor));
    }

    fn feed(url: &str, items: &str, cursor: Option<&str>) -> Result<Feed, NoFeed> {
        Feed::new(url.to_owned(), items.to_owned(), cursor.map(str::to_owned))
    }

    #[test]
    fn a_feed_is_far_away_and_encrypted_or_here() {
        for url in [
            "https://a.example/x",
            "http://localhost:80/x",
            "http://127.0.0.1/",
            "http://[::1]?a",
            "http://localhost",
        ] {
            assert!(feed(url, "", None).is_ok(), "{url}");
        }
        for url in [
            "http://a.example/",
            "ftp://a.example",
            "",
            "http://localhost.example.com/",
            "http://127.0.0.1.example/",
        ] {
            assert_eq!(feed(url, "", None), Err(NoFeed::Plain), "{url}");
        }
        assert_eq!(feed("https://a.example", "data", None), Err(NoFeed::Pointer));
        assert_eq!(feed("https://a.example", "", Some("next")), Err(NoFeed::Pointer));
    }

    #[test]
    fn a_cursor_has_its_place_in_the_url() {
        for (url, cursor, expected) in [
            ("https://a.example/x?q=1&after={cursor}", None, "https://a.example/x?q=1"),
            ("https://a.example/x?after={cursor}", None, "https://a.example/x"),
            ("https://a.example/x?after={cursor}", Some("a b/&"), "https://a.example/x?after=a%20b%2F%26"),
            ("https://a.example/x/{cursor}", Some("7"), "https://a.example/x/7"),
            ("https://a.example/x/{cursor}", None, "https://a.example/x/"),
            ("https://a.example/x", Some("7"), "https://a.example/x"),
            ("https://a.example/x", Some("https://a.example/x?page=2"), "https://a.example/x?page=2"),
        ] {
            assert_eq!(feed(url, "", None).unwrap().at(cursor).unwrap(), expected);
        }
    }

    #[test]
    fn a_cursor_leads_to_no_other_server() {
        let feed = feed("https://a.example/x", "", None).unwrap();
        for cursor in [
            "https://b.example/x",
            "http://a.example/x",
            "https://a.example:444/x",
            "https://a.example@b.example/x",
            "https://a.example.b.example/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(feed.at(Some(cursor)), Err(NoPage::Astray), "{cursor}");
        }
    }

    #[test]
    fn pointers_lead_to_items_and_cursor() {
        for (items, cursor, page, told) in [
            ("/data", "/meta/next", r#"{"data":[{"id":1},2],"meta":{"next":"n"}}"#, (2, Some("n"))),
            (
                "",
                "/-/id",
                r#"[{"id":12345678901234567890123},{"id":12345678901234567890124}]"#,
                (2, Some("12345678901234567890124")),
            ),
            ("", "/0/id", r#"[{"id":7},{"id":6}]"#, (2, Some("7"))),
            ("/a~1b", "/c", r#"{"a\/b":[],"c":null}"#, (0, None)),
            ("/data", "/next", r#"{"data":[],"next":""}"#, (0, None)),
            ("/data", "/next", r#"{"data":[],"next":{"a":1}}"#, (0, None)),
        ] {
            let feed = feed("https://a.example", items, Some(cursor)).unwrap();
            let page = feed.read(page.as_bytes()).unwrap();
            assert_eq!((page.items.len(), page.next.as_deref()), told);
        }
    }

    #[test]
    fn what_is_no_page_is_told_without_what_it_holds() {
        let feed = feed("https://a.example", "/data", Some("/next")).unwrap();
        for page in ["", "<html>ann@example.com</html>", r#"{"data":["#, "\u{feff}{}"] {
            assert_eq!(feed.read(page.as_bytes()).unwrap_err(), NoPage::NotJson, "{page}");
        }
        assert_eq!(feed.read(b"\xff").unwrap_err(), NoPage::NotJson);
        for page in ["{}", "7", r#"{"data":{}}"#, r#"{"data":null}"#, "[]"] {
            assert_eq!(
                feed.read(page.as_bytes()).unwrap_err().to_string(),
                "the feed's page has no array at `/data`, where its items are by FEED_ITEMS"
            );
        }
    }
}
