//! `enrich.url`: what a URL tells, in fields of its own.
//!
//! ```toml
//! enrich.url = { from = "path", into = "page" }
//! ```
//! Gives `page.host` (lower case, without user and port), `page.path` and `page.utm_source`, `utm_medium`,
//! `utm_campaign`, `utm_term`, `utm_content`, decoded, where the URL has them. The URL may be absolute, or a path from
//! the site's root; of anything else nothing is taken. The rest of the query is left out: people's addresses and names travel there. What a producer had put
//! under `page` goes.

use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, New, Path};
use crate::files::Files;
use crate::mistake::Mistake;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::borrow::Cow;

const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

pub(crate) struct Url {
    from: Path,
    into: Path,
    host: Path,
    path: Path,
    campaign: [Path; CAMPAIGN.len()],
    url: String,
    text: String,
}

/// `enrich.url`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the URL.
    from: Path,
    /// The object that its parts go into.
    into: Path,
}

impl Step for Url {
    const NAME: &'static str = "enrich.url";
    type Settings = Settings;

    fn compile(Settings { from, into }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        if from == into {
            return Err(Mistake::new(format!(
                "`from` and `into` are both `{from}`: the fields would replace the URL"
            )));
        }
        Ok(Self {
            host: into.join("host"),
            path: into.join("path"),
            campaign: CAMPAIGN.map(|name| into.join(name)),
            from,
            into,
            url: String::new(),
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: vec![self.from.clone().into()],
            writes: vec![self.into.clone()],
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        event.remove_at(&self.into);
        self.url.clear();
        self.url.push_str(event.str(&self.from).unwrap_or_default());
        let Some(parts) = Parts::of(&self.url) else { return Verdict::Keep };
        if let Some(host) = parts.host {
            self.text.clear();
            self.text.push_str(host);
            self.text.make_ascii_lowercase();
            event.put(&self.host, New::Str(&self.text));
        }
        event.put(&self.path, New::Str(if parts.path.is_empty() { "/" } else { parts.path }));
        let mut seen = [false; CAMPAIGN.len()];
        for pair in parts.query.split('&') {
            let Some((name, value)) = pair.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let known = CAMPAIGN.iter().zip(&self.campaign).zip(&mut seen);
            // The first of a name counts.
            let Some((path, seen)) =
                known.filter(|((known, _), _)| **known == name).map(|((_, p), s)| (p, s)).next()
            else {
                continue;
            };
            if !std::mem::replace(seen, true) {
                event.put(path, New::Str(&decode(value, &mut self.text)));
            }
        }
        Verdict::Keep
    }
}

/// A value of a query, its plus signs and percent signs undone.
fn decode<'a>(value: &'a str, room: &'a mut String) -> Cow<'a, str> {
    if !value.contains(['+', '%']) {
        return Cow::Borrowed(value);
    }
    room.clear();
    room.extend(value.chars().map(|sign| if sign == '+' { ' ' } else { sign }));
    percent_decode_str(room).decode_utf8_lossy()
}

/// The parts of a URL by the generic syntax of RFC 3986, appendix B.
struct Parts<'a> {
    host: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// None where it is neither an absolute URL nor a path from the root: who knows what it is then.
    fn of(url: &'a str) -> Option<Self> {
        let url = url.trim().split('#').next().unwrap_or_default();
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((_scheme, rest)) = place.split_once("//").filter(|(scheme, _)| is_scheme(scheme)) else {
            return place.starts_with('/').then_some(Self { host: None, path: place, query });
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
        let port =
            host.rfind(':').filter(|colon| host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()));
        let host = port.map_or(host, |colon| &host[..colon]);
        Some(Self { host: Some(host).filter(|host| !host.is_empty()), path, query })
    }
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
    use crate::step::run;
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
    }

    #[test]
    fn what_a_producer_claims_goes_and_no_url_gives_nothing() {
        let settings = r#"{ from = "path", into = "page" }"#;
        assert_eq!(run::<Url>(settings, r#"{"page":{"host":"claimed"},"path":7}"#), r#"{"path":7}"#);
        assert_eq!(run::<Url>(settings, r#"{"page":"claimed"}"#), "{}");
        assert_eq!(run::<Url>(settings, r#"{"path":"ann@example.com"}"#), r#"{"path":"ann@example.com"}"#);
    }
}
