//! What a value becomes. Each function is one rule of the job.

use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Microseconds since the epoch of `YYYY-MM-DD[T ]HH:MM:SS[.1-9 digits](Z|±HH:MM)`; finer digits are cut off.
#[must_use]
pub fn timestamp(text: &str) -> Option<i64> {
    let (civil, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b' ', _, _, b':', _, _, b':', _, _] = civil else {
        return None;
    };
    let year = two(civil, 0)? * 100 + two(civil, 2)?;
    let (month, day) = (two(civil, 5)?, two(civil, 8)?);
    let (hour, minute, second) = (two(civil, 11)?, two(civil, 14)?, two(civil, 17)?);
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = match rest {
        [b'.', rest @ ..] => {
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&len) {
                return None;
            }
            let digits = rest[..len].iter().map(|b| i64::from(b - b'0')).chain([0; 5]).take(6);
            (digits.fold(0, |all, digit| all * 10 + digit), &rest[len..])
        }
        rest => (0, rest),
    };
    let offset = match zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(zone, 1)?, two(zone, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some(seconds * 1_000_000 + micros)
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    let (a, b) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i64::from(a * 10 + b))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch. A year counts from March, so that the odd day is its last; 153 days are five months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// What the job wants to know of a user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Whether it is a machine.
    pub bot: bool,
    /// The browser.
    pub family: &'static str,
    /// The operating system.
    pub os: &'static str,
}

impl Agent {
    /// No user agent.
    pub const NONE: Self = Self { bot: false, family: "Other", os: "Other" };

    /// Reads a user agent.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let bot = BOTS.iter().any(|part| lower.contains(part));
        Self { bot, family: first(text, FAMILIES), os: first(text, SYSTEMS) }
    }
}

fn first(text: &str, names: &[(&'static str, &[&str])]) -> &'static str {
    let found = names.iter().find(|(_, parts)| parts.iter().any(|part| text.contains(part)));
    found.map_or("Other", |(name, _)| name)
}

const BOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl/",
    "wget/",
    "python-requests",
    "headlesschrome",
    "facebookexternalhit",
];
const FAMILIES: &[(&str, &[&str])] = &[
    ("Edge", &["Edg/", "EdgA/", "EdgiOS/", "Edge/"]),
    ("Opera", &["OPR/", "Opera"]),
    ("Samsung Internet", &["SamsungBrowser/"]),
    ("Firefox", &["Firefox/", "FxiOS/"]),
    ("Chrome", &["CriOS/", "Chrome/"]),
    ("Safari", &["Safari/"]),
    ("IE", &["MSIE ", "Trident/"]),
];
const SYSTEMS: &[(&str, &[&str])] = &[
    ("Windows", &["Windows"]),
    ("iOS", &["iPhone", "iPad", "iPod"]),
    ("Android", &["Android"]),
    ("ChromeOS", &["CrOS"]),
    ("macOS", &["Mac OS X", "Macintosh"]),
    ("Linux", &["Linux", "X11"]),
];

/// HMAC-SHA256 with the key of the job. What the key's two blocks do to the hash is worked out once.
#[derive(Debug)]
pub struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Default for Hmac {
    fn default() -> Self {
        let mut key = [0; 64];
        for (place, byte) in key.iter_mut().zip(0..32) {
            *place = byte;
        }
        Self {
            inner: Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)),
            outer: Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)),
        }
    }
}

impl Hmac {
    /// The token of a text.
    #[must_use]
    pub fn token(&self, text: &str) -> Hex {
        let inner = self.inner.clone().chain_update(text).finalize();
        let mac = self.outer.clone().chain_update(inner).finalize();
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(mac) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Hex(hex)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// 32 bytes in lower-case hex.
#[derive(Debug)]
pub struct Hex([u8; 64]);

impl Hex {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// `a.b.c.0` of `a.b.c.d`, each 1 to 3 digits.
#[must_use]
pub fn network(ip: &str) -> Option<String> {
    let mut parts = ip.split('.');
    let four = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let digits = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !four.iter().all(digits) {
        return None;
    }
    let mut network = String::with_capacity(16);
    network.push_str(&ip[..ip.len() - four[3].len()]);
    network.push('0');
    Some(network)
}

/// Of a URL what the job asks for.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called what they are")]
pub struct Url<'a> {
    pub host: Option<Cow<'a, str>>,
    pub page: Option<&'a str>,
    pub utm_source: Option<Cow<'a, str>>,
    pub utm_medium: Option<Cow<'a, str>>,
    pub utm_campaign: Option<Cow<'a, str>>,
}

impl<'a> Url<'a> {
    /// Nothing where the text is no URL of `http` or `https`.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return Self::default();
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (host, page) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let page = if page.is_empty() { "/" } else { page };
        let mut url = Self { host: Some(lower(host)), page: Some(page), ..Self::default() };
        if let Some(query) = query {
            url.parameters(query);
        }
        url
    }

    fn parameters(&mut self, query: &'a str) {
        let mut found = [None; 3];
        for parameter in query.split('&') {
            let Some(rest) = parameter.strip_prefix("utm_") else { continue };
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            let place = match name {
                "source" => 0,
                "medium" => 1,
                "campaign" => 2,
                _ => continue,
            };
            found[place].get_or_insert(value);
        }
        [self.utm_source, self.utm_medium, self.utm_campaign] =
            found.map(|value| value.filter(|value| !value.is_empty()).map(unescape));
    }
}

/// A-Z in lower case.
#[must_use]
pub fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

/// `+` is a space, `%` and two hex digits a byte; what is no UTF-8 then becomes U+FFFD.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'+' | b'%')) {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(hex(*a) * 16 + hex(*b));
                rest = after;
            }
            _ => out.push(*byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The text with each leftmost, longest match of `[0-9](?:[ -]?[0-9]){12,18}` that passes the Luhn test as `[card]`.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) {
        let mut digits = [0; 19];
        let mut count = 0;
        let mut end = start;
        while count < 19 {
            let next = match bytes[end..] {
                [b'0'..=b'9', ..] => end,
                [b' ' | b'-', b'0'..=b'9', ..] => end + 1,
                _ => break,
            };
            digits[count] = bytes[next] - b'0';
            count += 1;
            end = next + 1;
        }
        if count >= 13 && luhn(&digits[..count]) {
            out += &text[kept..start];
            out += "[card]";
            kept = end;
        }
        at = end;
    }
    if kept == 0 { text.into() } else { (out + &text[kept..]).into() }
}

fn luhn(digits: &[u8]) -> bool {
    let folded = |(i, &digit): (usize, &u8)| match digit * 2 {
        _ if i % 2 == 0 => u32::from(digit),
        twice @ 10.. => u32::from(twice) - 9,
        twice => u32::from(twice),
    };
    digits.iter().rev().enumerate().map(folded).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        let at = 1_795_010_700_000_000;
        for (text, micros) in [
            ("2026-11-18T14:05:00Z", Some(at)),
            ("2026-11-18 14:05:00Z", Some(at)),
            ("2026-11-18T14:05:00.1234567+00:00", Some(at + 123_456)),
            ("2026-11-18T14:05:00.5-00:30", Some(at + 1_800_500_000)),
            ("2026-11-18T23:05:00+09:00", Some(at)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-11-18t14:05:00Z", None),
            ("2026-11-18T14:05:00z", None),
            ("2026-11-18T14:05:00", None),
            ("2026-11-18T14:05:00.Z", None),
            ("2026-11-18T14:05:00.1234567890Z", None),
            ("2026-11-18T24:00:00Z", None),
            ("2026-11-18T14:05:60Z", None),
            ("2026-11-18T14:05:00+0900", None),
            ("2026-11-18  14:05:00Z", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text), micros, "{text}");
        }
    }

    #[test]
    fn urls() {
        let url = Url::of(
            "https://Shop.Example.com:8443/a%20b/?utm_source=caf%C3%A9+1&utm_medium=&utm_medium=x&utm_campaign=50%+#?",
        );
        assert_eq!(url.host.as_deref(), Some("shop.example.com"));
        assert_eq!(url.page, Some("/a%20b/"));
        assert_eq!(url.utm_source.as_deref(), Some("café 1"));
        assert_eq!(url.utm_medium, None);
        assert_eq!(url.utm_campaign.as_deref(), Some("50% "));
        assert_eq!(Url::of("http://a?b").page, Some("/"));
        assert_eq!(Url::of("/cart"), Url::default());
    }

    #[test]
    fn cards() {
        for (text, redacted) in [
            ("4111 1111 1111 1111", "[card]"),
            ("a 4111-1111-1111-1111, b", "a [card], b"),
            ("4111 1111 1111 1112", "4111 1111 1111 1112"),
            ("4111  1111 1111 1111", "4111  1111 1111 1111"),
            ("é4111111111111111é4111111111111111", "é[card]é[card]"),
            ("- 411111111111", "- 411111111111"),
        ] {
            assert_eq!(redact(text), redacted);
        }
    }

    #[test]
    fn tokens() {
        let expected = "c49dc017978a22e182445ec29fd48df801134c55420b0ff5bf21932f3eff5583";
        assert_eq!(Hmac::default().token("user-1").as_str(), expected);
    }

    #[test]
    fn networks() {
        let cases = [
            ("198.18.1.77", Some("198.18.1.0")),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            ("1.2.3.", None),
            ("::1", None),
        ];
        for (ip, out) in cases {
            assert_eq!(network(ip).as_deref(), out);
        }
    }

    #[test]
    fn agents() {
        let agent = Agent::of("Mozilla/5.0 (Linux; Android 14; K) Chrome/1 SamsungBrowser/2");
        assert_eq!(agent, Agent { bot: false, family: "Samsung Internet", os: "Android" });
        assert!(Agent::of("GoogleBOT").bot);
    }
}
