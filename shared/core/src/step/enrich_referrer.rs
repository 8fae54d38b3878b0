//! `enrich.referrer`: where a visitor came from, by the referrer.
//!
//! ```toml
//! enrich.referrer = { from = "referrer", into = "source", own = ["shop.example.com"] }
//! ```
//! | field | what |
//! | --- | --- |
//! | `source.medium` | `direct` (no referrer), `internal` (an own host), `search`, `chatbot`, `social`, `email`, `paid` (an advertising network's own host) or `unknown` |
//! | `source.source` | the name, where it is known: `Google` |
//! | `source.term` | with `term`: what was searched for, where the search engine still tells |
//!
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the referrer, and the object for what it tells |
//! | `own` | your own hosts; each stands for its subdomains too. None if not said |
//! | `term` | whether to keep what was searched for; `false` if not said. People search for names and addresses: it is personal data |
//!
//! The referrer's host alone tells; a path without a host is an own page. A referrer that is missing, null or empty is
//! `direct`; of what is no string nothing is set; of a text that is no URL the medium is `unknown`. Campaigns stand in the
//! URL of the page that was visited and tell more: take `enrich.url` there. What a producer had put under `into` goes. The
//! step rejects nothing.

use super::cache::Cache;
use super::enrich_url::Parts;
use super::object::{object, replace};
use super::settings::FromInto;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::referrer::{Medium, classify};
use serde::Deserialize;

pub(crate) struct Referrer {
    fields: FromInto,
    own: Vec<String>,
    term: bool,
    known: Cache<String>,
}

/// `enrich.referrer`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the referrer.
    from: ItemPath,
    /// The object for what it tells.
    into: ItemPath,
    /// Your own hosts; each stands for its subdomains too.
    #[serde(default)]
    own: Vec<String>,
    /// Whether to keep what was searched for: it is personal data.
    #[serde(default)]
    term: bool,
}

impl Step for Referrer {
    const NAME: &'static str = "enrich.referrer";
    type Settings = Settings;

    fn compile(settings: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { from, into, own, term } = settings;
        let fields = FromInto::new(from, into)?.apart()?;
        if let Some(host) = own.iter().find(|host| host.is_empty() || host.contains(['/', ':', '*', ' '])) {
            return Err(Mistake::new(format!("`{host}` is no host"))
                .with_help("a host is written `example.com`, and stands for its subdomains too"));
        }
        Ok(Self { fields, own, term, known: Cache::new() })
    }

    fn touches(&self) -> Touches {
        self.fields.touches()
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, own, term, known } = self;
        fields.each(event, |event, top, from, into| {
            let url = match event.get_in(top, from) {
                None | Some(Value::Null) => Some(""),
                Some(value) => value.as_str(),
            };
            let json = url.map(|url| {
                // Hosts come again more often than URLs.
                let key = if *term { url } else { place(url) };
                known.get(key, |key, json| told(key, own, *term, json))
            });
            replace(event, top, into, json.map_or("", String::as_str));
            Verdict::Keep
        })
    }
}

/// All of a URL up to its path.
fn place(url: &str) -> &str {
    let host = url.find("//").map_or(0, |at| at + 2);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map(|at| host + at);
    end.and_then(|end| url.get(..=end)).unwrap_or(url)
}

fn told(url: &str, own: &[String], term: bool, json: &mut String) {
    let parts = Parts::of(url);
    let (medium, source, words) = match &parts {
        Some(Parts { host: None, .. }) => (Medium::Internal, None, None),
        Some(Parts { host: Some(host), query, .. }) => {
            let found = classify(host, own);
            (found.medium, found.source, if term { found.term(query) } else { None })
        }
        None if url.trim().is_empty() => (Medium::Direct, None, None),
        None => (Medium::Unknown, None, None),
    };
    object(json, |members| {
        members.text("medium", Some(medium.as_str()));
        members.text("source", source);
        members.text("term", words.as_deref());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{refuse, run};
    use expect_test::expect;

    fn told(more: &str, value: &str) -> String {
        let settings = format!(r#"{{ from = "r", into = "s", own = ["shop.example.com"]{more} }}"#);
        let after = run::<Referrer>(&settings, &format!(r#"{{"r":{value}}}"#));
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        let of = |key: &str| after["s"][key].as_str().unwrap_or("-").to_owned();
        [of("medium"), of("source"), of("term")].join(" ")
    }

    #[test]
    fn the_host_tells_where_from() {
        for (value, expected) in [
            (r#""https://www.google.com/search?q=x""#, "search Google -"),
            (r#""https://www.google.de""#, "search Google -"),
            (r#""https://a.SHOP.example.com:8443/x""#, "internal - -"),
            (r#""/p/7""#, "internal - -"),
            (r#""https://other.example/?u=https://www.google.com/""#, "unknown - -"),
            (r#""ann@example.com""#, "unknown - -"),
            (r#""é""#, "unknown - -"),
            (r#""""#, "direct - -"),
            ("null", "direct - -"),
            ("7", "- - -"),
            (r#"["https://www.google.com/"]"#, "- - -"),
        ] {
            assert_eq!(told("", value), expected, "{value}");
        }
        assert_eq!(
            run::<Referrer>(r#"{ from = "r", into = "s" }"#, r#"{"s":{"source":"claimed"}}"#),
            r#"{"s":{"medium":"direct"}}"#
        );
    }

    #[test]
    fn words_are_kept_where_asked() {
        let value = r#""https://www.bing.com/search?q=red+shoes""#;
        assert_eq!(told(", term = true", value), "search Bing red shoes");
        assert_eq!(told("", value), "search Bing -");
    }

    #[test]
    fn what_is_no_host_is_a_mistake() {
        refuse::<Referrer>(
            r#"{ from = "r", into = "s", own = ["https://example.com"] }"#,
            &expect![
                "`https://example.com` is no host = a host is written `example.com`, and stands for its subdomains too"
            ],
        );
    }
}
