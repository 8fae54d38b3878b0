//! `enrich.url`: what a URL tells, in fields of its own.
//!
//! ```toml
//! enrich.url = { from = "path", into = "page" }
//! ```
//!
//! ```toml
//! enrich.url = { from = "path", into = "page", absolute = true, query = ["q"], click_ids = true }
//! ```
//! | field | what |
//! | --- | --- |
//! | `page.host` | lower case, without user and port |
//! | `page.path` | as it is written; `/` where there is none |
//! | `page.utm_source`, `utm_medium`, `utm_campaign`, `utm_term`, `utm_content` | the campaign, decoded |
//! | `page.query.q` | a parameter that `query` names, decoded |
//! | `page.click_id`, `page.click_source` | with `click_ids`: the id that an advertising network put there, and which one: `google`, `facebook` … |
//!
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the URL, and the object that its parts go into |
//! | `absolute` | takes only what begins with `http://` or `https://`; if not said, also a path from the site's root, any scheme, and `//host/path` |
//! | `query` | names of parameters to keep; none if not said |
//! | `click_ids` | whether to keep click ids (`gclid`, `gbraid`, `wbraid`, `dclid`, `fbclid`, `msclkid`, `ttclid`, `twclid`, `li_fat_id`, `igshid`, `yclid`, `epik`, `ScCid`, `rdt_cid`); `false` if not said. Of several the first that is not empty. They are one person's click: leave them out if you do not need them |
//!
//! Of a parameter that stands there twice the first counts, and an empty one gives no field. Names are compared as they
//! are written. In values `+` is a space, percent signs are undone, and what is no UTF-8 becomes U+FFFD. The rest of
//! the query is left out: people's addresses and names travel there. The path is kept as it is, so where it holds names,
//! drop `page.path`.
//!
//! Where the field is missing, null, no string, or no URL, nothing is set. What a producer had put under `into` goes in
//! any case. The step rejects nothing.

use super::settings::FromInto;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Id, ItemPath, New, Path, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use memchr::{memchr, memchr_iter, memchr2, memrchr};
use percent_encoding::percent_decode;
use serde::Deserialize;
use std::borrow::Cow;

const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/// What networks call the id of a click, and who they are.
const CLICKS: [(&str, &str); 14] = [
    ("gclid", "google"),
    ("gbraid", "google"),
    ("wbraid", "google"),
    ("dclid", "google"),
    ("fbclid", "facebook"),
    ("msclkid", "microsoft"),
    ("ttclid", "tiktok"),
    ("twclid", "twitter"),
    ("li_fat_id", "linkedin"),
    ("igshid", "instagram"),
    ("yclid", "yandex"),
    ("epik", "pinterest"),
    ("ScCid", "snapchat"),
    ("rdt_cid", "reddit"),
];

pub(crate) struct Url {
    fields: FromInto,
    made: Made,
    absolute: bool,
    text: String,
}

/// The fields that are made of a URL.
struct Made {
    host: Path,
    path: Path,
    parameters: Vec<Parameter>,
    click: Option<Click>,
    room: Room,
}

/// A parameter of the query that gets a field.
struct Parameter {
    name: String,
    into: Path,
    /// The object below `page` that the field stands in, if it does not stand in `page` itself.
    within: Option<Path>,
    /// Whether this URL had it already.
    is_seen: bool,
}

struct Click {
    id: Path,
    source: Path,
}

/// Room to decode in.
#[derive(Default)]
struct Room {
    bytes: Vec<u8>,
    text: String,
}

/// `enrich.url`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the URL.
    from: ItemPath,
    /// The object that its parts go into.
    into: ItemPath,
    /// Whether to take only what begins with `http://` or `https://`.
    #[serde(default)]
    absolute: bool,
    /// Names of query parameters to keep, in an object `query` there.
    #[serde(default)]
    query: Vec<String>,
    /// Whether to keep the ids that advertising networks give to clicks.
    #[serde(default)]
    click_ids: bool,
}

impl Step for Url {
    const NAME: &'static str = "enrich.url";
    type Settings = Settings;

    fn compile(settings: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { from, into, absolute, mut query, click_ids } = settings;
        query.sort_unstable();
        query.dedup();
        if from == into {
            return Err(Mistake::new(format!(
                "`from` and `into` are both `{}`: the fields would replace the URL",
                Pattern::from(from)
            )));
        }
        let fields = FromInto::new(from, into.clone())?.apart()?;
        let into = into.path;
        let campaign = CAMPAIGN.iter().map(|name| Parameter {
            name: (*name).to_owned(),
            into: into.join(name),
            within: None,
            is_seen: false,
        });
        let within = into.join("query");
        let named = query.into_iter().map(|name| Parameter {
            into: within.join(&name),
            within: Some(within.clone()),
            name,
            is_seen: false,
        });
        let made = Made {
            host: into.join("host"),
            path: into.join("path"),
            parameters: campaign.chain(named).collect(),
            click: click_ids.then(|| Click { id: into.join("click_id"), source: into.join("click_source") }),
            room: Room::default(),
        };
        Ok(Self { fields, made, absolute, text: String::new() })
    }

    fn touches(&self) -> Touches {
        let (_, into) = self.fields.patterns();
        let asked = self.made.parameters.iter().filter(|parameter| parameter.within.is_some());
        let brings = asked.map(|parameter| into.clone().key("query").key(&parameter.name)).collect();
        Touches { brings, ..self.fields.touches() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, made, absolute, text } = self;
        fields.each(event, |event, top, from, into| {
            event.remove_at_in(top, into);
            text.clear();
            text.push_str(event.str_in(top, from).unwrap_or_default());
            if *absolute && !(text.starts_with("https://") || text.starts_with("http://")) {
                return Verdict::Keep;
            }
            if let Some(parts) = Parts::of(text) {
                made.put(&parts, event, top, into);
            }
            Verdict::Keep
        })
    }
}

impl Made {
    /// Puts the parts of a URL into an object at this path from another one on.
    fn put(&mut self, parts: &Parts<'_>, event: &mut Event, top: Id, into: &Path) {
        let page = event.put_in(top, into, New::Object);
        if let Some(host) = parts.host {
            self.room.text.clear();
            if host.is_ascii() {
                self.room.text.push_str(host);
                self.room.text.make_ascii_lowercase();
            } else {
                self.room.text.push_str(&host.to_lowercase());
            }
            event.add_text(page, &self.host, &self.room.text);
        }
        event.add_text(page, &self.path, if parts.path.is_empty() { "/" } else { parts.path });
        if parts.query.is_empty() {
            return;
        }
        self.parameters.iter_mut().for_each(|parameter| parameter.is_seen = false);
        let mut query = None;
        let mut clicked = false;
        let mut rest = parts.query;
        while !rest.is_empty() {
            let pair = before(rest, b'&');
            rest = rest.get(pair.len() + 1..).unwrap_or_default();
            let name = before(pair, b'=');
            let value = pair.get(name.len() + 1..).unwrap_or_default();
            for parameter in self.parameters.iter_mut().filter(|parameter| parameter.name == name) {
                // The first of a name counts.
                if std::mem::replace(&mut parameter.is_seen, true) || value.is_empty() {
                    continue;
                }
                let object = match &parameter.within {
                    None => page,
                    Some(path) => *query.get_or_insert_with(|| event.put_in(top, path, New::Object)),
                };
                event.add_text(object, &parameter.into, &self.room.decode(value));
            }
            if let Some(click) = self.click.as_ref().filter(|_| !clicked && !value.is_empty())
                && let Some((_, source)) = CLICKS.iter().find(|(known, _)| *known == name)
            {
                clicked = true;
                event.add_text(page, &click.id, &self.room.decode(value));
                event.add_text(page, &click.source, source);
            }
        }
    }
}

impl Room {
    /// A value of a query, its plus signs and percent signs undone.
    fn decode<'a>(&'a mut self, value: &'a str) -> Cow<'a, str> {
        if memchr2(b'+', b'%', value.as_bytes()).is_none() {
            return Cow::Borrowed(value);
        }
        self.text.clear();
        self.text.extend(value.chars().map(|sign| if sign == '+' { ' ' } else { sign }));
        self.bytes.clear();
        self.bytes.extend(percent_decode(self.text.as_bytes()));
        String::from_utf8_lossy(&self.bytes)
    }
}

/// The parts of a URL by the generic syntax of RFC 3986, appendix B.
pub(super) struct Parts<'a> {
    pub(super) host: Option<&'a str>,
    path: &'a str,
    pub(super) query: &'a str,
}

impl<'a> Parts<'a> {
    /// None where it is neither an absolute URL nor a path from the root: who knows what it is then.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let url = before(url.trim(), b'#');
        let place = before(url, b'?');
        let query = url.get(place.len() + 1..).unwrap_or_default();
        let scheme_end = double_slash(place).filter(|at| is_scheme(place.get(..*at).unwrap_or_default()));
        let Some(rest) = scheme_end.and_then(|at| place.get(at + 2..)) else {
            return place.starts_with('/').then_some(Self { host: None, path: place, query });
        };
        // Browsers read `\` as `/` here (WHATWG, URL, "authority state").
        let end = memchr2(b'/', b'\\', rest.as_bytes());
        let authority = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        let path = rest.get(authority.len()..).unwrap_or_default();
        let at = memrchr(b'@', authority.as_bytes()).map_or(0, |at| at + 1);
        let host = authority.get(at..).unwrap_or_default();
        let port = memrchr(b':', host.as_bytes()).filter(|colon| {
            host.as_bytes().get(colon + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit))
        });
        let host = port.and_then(|colon| host.get(..colon)).unwrap_or(host);
        Some(Self { host: Some(host).filter(|host| !host.is_empty()), path, query })
    }
}

/// The text before the first of these signs, which is one byte; all of it where there is none.
fn before(text: &str, sign: u8) -> &str {
    memchr(sign, text.as_bytes()).and_then(|at| text.get(..at)).unwrap_or(text)
}

/// Where the first `//` is.
fn double_slash(text: &str) -> Option<usize> {
    memchr_iter(b'/', text.as_bytes()).find(|at| text.as_bytes().get(at + 1) == Some(&b'/'))
}

/// What may stand before `//`: a scheme with its colon, or nothing.
fn is_scheme(text: &str) -> bool {
    text.is_empty()
        || text.strip_suffix(':').is_some_and(|scheme| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{refuse, run};
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn page(url: &str, expected: Expect) {
        let event = serde_json::json!({ "path": url }).to_string();
        let after = run::<Url>(r#"{ from = "path", into = "page" }"#, &event);
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        expected.assert_eq(&after["page"].to_string());
    }

    #[test]
    fn a_url_becomes_host_path_and_campaign() {
        page(
            "https://Shop.Example.com:8443/p/7?utm_source=news+letter&utm_medium=e%2Dmail&q=x#top",
            expect![[
                r#"{"host":"shop.example.com","path":"/p/7","utm_medium":"e-mail","utm_source":"news letter"}"#
            ]],
        );
        page("https://shop.example.com", expect![[r#"{"host":"shop.example.com","path":"/"}"#]]);
        page("http://[::1]:80/x", expect![[r#"{"host":"[::1]","path":"/x"}"#]]);
        page("http://[::1]/x", expect![[r#"{"host":"[::1]","path":"/x"}"#]]);
        page("//shop.example.com/x", expect![[r#"{"host":"shop.example.com","path":"/x"}"#]]);
        page("/p/7?utm_campaign=a&utm_campaign=b", expect![[r#"{"path":"/p/7","utm_campaign":"a"}"#]]);
        page("/p/7?utm_source=&utm_source=b&utm_medium", expect![[r#"{"path":"/p/7"}"#]]);
        page("/go//twice?utm_source=", expect![[r#"{"path":"/go//twice"}"#]]);
        page(
            "https://a.example/?utm_source=%ff%zz",
            expect![[r#"{"host":"a.example","path":"/","utm_source":"�%zz"}"#]],
        );
    }

    #[test]
    fn nothing_personal_comes_along() {
        page(
            "https://ann:secret@shop.example.com/?email=ann%40example.com&utm_source=x",
            expect![[r#"{"host":"shop.example.com","path":"/","utm_source":"x"}"#]],
        );
        // What people type into passwords, and what others type to deceive.
        page("https://ann:se@cret@shop.example.com/", expect![[r#"{"host":"shop.example.com","path":"/"}"#]]);
        page("https://a.com:80\\evil.com/", expect![[r#"{"host":"a.com","path":"\\evil.com/"}"#]]);
        page("https://a.com\\@evil.com/", expect![[r#"{"host":"a.com","path":"\\@evil.com/"}"#]]);
        page("https://BÜCHER.example/", expect![[r#"{"host":"bücher.example","path":"/"}"#]]);
    }

    #[test]
    fn parameters_are_kept_by_name() {
        let settings = r#"{ from = "u", into = "p", query = ["q", "utm_source", "a.b"] }"#;
        let after = run::<Url>(settings, r#"{"u":"/?q=%C3%A9+1&q=2&utm_source=x&a.b=3&host=h&Q=4&email=a"}"#);
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        expect![[r#"{"path":"/","query":{"a.b":"3","q":"é 1","utm_source":"x"},"utm_source":"x"}"#]]
            .assert_eq(&after["p"].to_string());
    }

    #[test]
    fn clicks_are_kept_where_asked() {
        let settings = r#"{ from = "u", into = "p", click_ids = true }"#;
        let event = r#"{"u":"https://a.example/?gclid=&fbclid=x%2D1&gclid=y"}"#;
        let after = run::<Url>(settings, event);
        assert!(
            after.ends_with(
                r#""p":{"host":"a.example","path":"/","click_id":"x-1","click_source":"facebook"}}"#
            )
        );
        let after = run::<Url>(r#"{ from = "u", into = "p" }"#, event);
        assert!(after.ends_with(r#""p":{"host":"a.example","path":"/"}}"#));
    }

    #[test]
    fn absolute_is_http_and_no_more() {
        let settings = r#"{ from = "u", into = "p", absolute = true }"#;
        for url in ["/p", "//a.example/", "ftp://a.example/", "HTTP://a.example/", " https://a.example", ""] {
            let event = format!(r#"{{"u":"{url}"}}"#);
            assert_eq!(run::<Url>(settings, &event), event);
        }
        let after = run::<Url>(settings, r#"{"u":"http://A.example:80"}"#);
        assert!(after.ends_with(r#""p":{"host":"a.example","path":"/"}}"#), "{after}");
    }

    #[test]
    fn what_is_read_is_not_replaced() {
        refuse::<Url>(
            r#"{ from = "page.url", into = "page" }"#,
            &expect!["`into` is `page`: to write it would replace `page.url`, which is read"],
        );
    }

    #[test]
    fn what_a_producer_claims_goes_and_no_url_gives_nothing() {
        let settings = r#"{ from = "path", into = "page" }"#;
        assert_eq!(run::<Url>(settings, r#"{"page":{"host":"claimed"},"path":7}"#), r#"{"path":7}"#);
        assert_eq!(run::<Url>(settings, r#"{"page":"claimed"}"#), "{}");
        assert_eq!(run::<Url>(settings, r#"{"path":"ann@example.com"}"#), r#"{"path":"ann@example.com"}"#);
    }
}
