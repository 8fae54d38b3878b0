//! Where a visitor came from: a search, a social network, a mail, the site itself.
//!
//! By the host of the referrer alone, from `data/referrers.tsv`. Campaigns (`utm_source`, `gclid`) stand in the address of
//! the page that was visited, and tell more than this where they are.

use std::collections::HashMap;
use std::sync::LazyLock;

const LIST: &str = include_str!("../data/referrers.tsv");

/// What is before the country in domains like `co.uk`.
const SECOND_LEVELS: [&str; 6] = ["co", "com", "net", "org", "ne", "or"];

/// Where from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// No referrer: typed, bookmarked, or not told.
    Direct,
    /// A page of the site's own.
    Internal,
    Search,
    /// An assistant that answers from pages: `ChatGPT`.
    Chatbot,
    Social,
    Email,
    /// An advertising network's own host. Most advertisements come by way of others.
    Paid,
    /// Some other site.
    Unknown,
}

impl Medium {
    /// As it stands in an event.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Internal => "internal",
            Self::Search => "search",
            Self::Chatbot => "chatbot",
            Self::Social => "social",
            Self::Email => "email",
            Self::Paid => "paid",
            Self::Unknown => "unknown",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Search, Self::Chatbot, Self::Social, Self::Email, Self::Paid, Self::Unknown]
            .into_iter()
            .find(|medium| medium.as_str() == name)
    }
}

/// What a referrer's host tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Referrer {
    pub(crate) medium: Medium,
    /// `Google`, where it is known.
    pub(crate) source: Option<&'static str>,
    /// The parameters that have a search's words, with blanks between.
    terms: &'static str,
}

impl Referrer {
    /// What was searched for, from the query of the referrer (what is behind its `?`). Few search engines still tell.
    ///
    /// People search for names and addresses: it is personal data.
    pub(crate) fn term(&self, query: &str) -> Option<String> {
        self.terms.split_whitespace().find_map(|name| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, value)| key == name && !value.trim().is_empty())
                .map(|(_, value)| value.into_owned())
        })
    }
}

/// What the host of a referrer tells; an empty one is none. Own hosts stand for their subdomains too.
pub(crate) fn classify(referrer_host: &str, own_hosts: &[String]) -> Referrer {
    let is = |medium| Referrer { medium, source: None, terms: "" };
    let host = referrer_host.trim();
    let port = host.rfind(':').filter(|at| host.bytes().skip(at + 1).all(|byte| byte.is_ascii_digit()));
    let host = port.and_then(|at| host.get(..at)).unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() {
        is(Medium::Direct)
    } else if own_hosts.iter().any(|own| is_under(&host, own)) {
        is(Medium::Internal)
    } else {
        KNOWN.get(&host).unwrap_or_else(|| is(Medium::Unknown))
    }
}

fn is_under(host: &str, own: &str) -> bool {
    let own = own.trim_end_matches('.');
    let Some(before) = host.len().checked_sub(own.len()) else { return false };
    !own.is_empty()
        && host.get(before..).is_some_and(|end| end.eq_ignore_ascii_case(own))
        && (before == 0 || host.get(..before).is_some_and(|sub| sub.ends_with('.')))
}

static KNOWN: LazyLock<Known> = LazyLock::new(Known::read);

#[derive(Default)]
struct Known {
    hosts: HashMap<&'static str, Referrer>,
    /// `google` of `google.*`.
    under_any: HashMap<&'static str, Referrer>,
}

impl Known {
    fn read() -> Self {
        let mut known = Self::default();
        for line in LIST.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let mut next = || columns.next();
            let (Some(medium), Some(name), Some(terms), Some(hosts)) = (next(), next(), next(), next())
            else {
                continue;
            };
            let Some(medium) = Medium::named(medium) else { continue };
            let referrer = Referrer { medium, source: Some(name), terms: terms.trim_matches('-') };
            for host in hosts.split(' ') {
                match host.strip_suffix(".*") {
                    Some(name) => known.under_any.insert(name, referrer),
                    None => known.hosts.insert(host, referrer),
                };
            }
        }
        known
    }

    /// The longest known host that this one is, or is under.
    fn get(&self, host: &str) -> Option<Referrer> {
        let top = top_level(host);
        let ends = std::iter::successors(Some(host), |host| host.split_once('.').map(|(_, rest)| rest));
        for end in ends {
            let name = top.and_then(|top| end.strip_suffix(top)).and_then(|end| end.strip_suffix('.'));
            let found = self.hosts.get(end).or_else(|| self.under_any.get(name?));
            if found.is_some() {
                return found.copied();
            }
        }
        None
    }
}

/// `com`, `de`, `co.uk`: what a company takes its name under. Others (`.zip`) anybody could take it under.
fn top_level(host: &str) -> Option<&str> {
    let country = |label: &str| label.len() == 2 && label.bytes().all(|byte| byte.is_ascii_alphabetic());
    let (before, last) = host.rsplit_once('.')?;
    let second = before.rsplit('.').next()?;
    if country(last) && SECOND_LEVELS.contains(&second) {
        return host.get(host.len() - last.len() - 1 - second.len()..);
    }
    (country(last) || last == "com").then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str) -> (&'static str, &'static str) {
        let own = ["shop.example.com".to_owned(), "Example.org.".to_owned()];
        let referrer = classify(host, &own);
        (referrer.medium.as_str(), referrer.source.unwrap_or_default())
    }

    #[test]
    fn a_host_tells_where_from() {
        for (host, expected) in [
            ("", ("direct", "")),
            ("shop.example.com", ("internal", "")),
            ("www.SHOP.example.com:8443", ("internal", "")),
            ("example.org", ("internal", "")),
            ("workshop.example.com", ("unknown", "")),
            ("google.com", ("search", "Google")),
            ("www.google.co.uk", ("search", "Google")),
            ("www.Google.com.au.", ("search", "Google")),
            ("news.google.com", ("search", "Google")),
            ("mail.google.com", ("email", "Gmail")),
            ("docs.google.com", ("unknown", "Google")),
            ("gemini.google.com", ("chatbot", "Gemini")),
            ("com.google.android.gm", ("email", "Gmail")),
            ("google.zip", ("unknown", "")),
            ("notgoogle.com", ("unknown", "")),
            ("google.com.evil.example", ("unknown", "")),
            ("google", ("unknown", "")),
            ("www.bing.com", ("search", "Bing")),
            ("de.search.yahoo.com", ("search", "Yahoo!")),
            ("duckduckgo.com", ("search", "DuckDuckGo")),
            ("yandex.ru", ("search", "Yandex")),
            ("m.facebook.com", ("social", "Facebook")),
            ("l.instagram.com", ("social", "Instagram")),
            ("t.co", ("social", "X")),
            ("lnkd.in", ("social", "LinkedIn")),
            ("out.reddit.com", ("social", "Reddit")),
            ("www.pinterest.co.uk", ("social", "Pinterest")),
            ("chatgpt.com", ("chatbot", "ChatGPT")),
            ("outlook.live.com", ("email", "Outlook.com")),
            ("googleads.g.doubleclick.net", ("paid", "Google Ads")),
            ("blog.example.net", ("unknown", "")),
            ("203.0.113.7", ("unknown", "")),
            ("...", ("direct", "")),
            ("日本.co.jp", ("unknown", "")),
        ] {
            assert_eq!(of(host), expected, "{host}");
        }
    }

    #[test]
    fn a_search_tells_what_for() {
        let term = |host, query| classify(host, &[]).term(query);
        assert_eq!(term("www.google.de", "hl=de&q=wool+blanket%20brown"), Some("wool blanket brown".into()));
        assert_eq!(term("search.yahoo.com", "p=soap"), Some("soap".into()));
        assert_eq!(term("www.google.de", "q=&query=soap"), Some("soap".into()));
        assert_eq!(term("www.google.de", "q="), None);
        assert_eq!(term("t.co", "q=soap"), None);
        assert_eq!(term("blog.example.net", "q=soap&=x"), None);
    }

    #[test]
    fn the_list_is_read_whole() {
        let mut hosts = 0;
        for line in LIST.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<_> = line.split('\t').collect();
            let [medium, name, terms, list] = columns[..] else { panic!("{line}") };
            assert!(Medium::named(medium).is_some() && !name.is_empty(), "{line}");
            assert_eq!(terms != "-", medium == "search", "{line}");
            assert!(list.split(' ').all(|host| host.contains('.') && host == host.to_lowercase()), "{line}");
            hosts += list.split(' ').count();
        }
        assert_eq!(KNOWN.hosts.len() + KNOWN.under_any.len(), hosts, "a host stands there twice");
        assert!(hosts > 400);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(host in "[a-z.:é0-9]{0,20}(google|co)?[.:]?(uk|com)?") {
            classify(&host, &["example.com".into()]);
        }
    }
}
