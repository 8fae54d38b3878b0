//! Webhooks: whether a request comes from whom it says, by its signature, and which event it brings.
//!
//! A signature is an HMAC-SHA256 over the bytes of the body as they came and, with most vendors, over the moment of
//! sending. How long a comparison takes says nothing of the right signature. What a message says of a request is which
//! header or field is wrong, never what stands in it.

use crate::event::{Event, Path};
use crate::time::Micros;
use crate::token::fingerprint;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;

/// How far from now the moment of sending may lie, seconds, unless a source says otherwise: five minutes, as the vendors' own
/// libraries have it.
const TOLERANCE_S: i64 = 300;

/// The widest tolerance a source may ask for, seconds: a day.
const TOLERANCE_MAX_S: i64 = 86_400;

/// The shortest secret taken, bytes. The vendors' own have 24 and more; with GitHub the user chooses.
const SECRET_MIN_BYTES: usize = 16;

/// Secrets that are valid at once: each costs whoever knocks an HMAC over the body. Two are for the time of a rotation.
const SECRETS_MAX: usize = 2;

/// Signatures of a request that are looked at: one a secret that the vendor holds, which are two while it rotates.
const SIGNATURES_MAX: usize = 16;

/// Base64 as the vendors' libraries take it, whether it is padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a vendor signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `Stripe-Signature: t=…,v1=…`: <https://docs.stripe.com/webhooks/signature>
    Stripe,
    /// `X-Hub-Signature-256: sha256=…`:
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    Github,
    /// `X-Shopify-Hmac-Sha256: …`, base64: <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>
    Shopify,
    /// `X-Slack-Signature: v0=…`: <https://docs.slack.dev/authentication/verifying-requests-from-slack>
    Slack,
    /// `webhook-signature: v1,…`, base64, by the names of Svix, too:
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    Standard,
}

impl Scheme {
    /// What a request that is verified brings. `body` is its body, which `event` is read from.
    pub fn read_event<'h>(
        self,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        event: &Event,
    ) -> Result<Brings, NoEvent> {
        let text = |path: &[&str]| event.str(&path_of(path)).filter(|text| !text.is_empty());
        let time = |path: &[&str]| event.get(&path_of(path)).and_then(Micros::read);
        let field = |name: &'static str| text(&[name]).map(str::to_owned).ok_or(NoEvent::Field(name));
        let wanted = |name| present(&header, name).map(str::to_owned).ok_or(NoEvent::Header(name));
        let mut news = News { id: String::new(), kind: None, at: None, shop: None };
        match self {
            Scheme::Stripe => {
                news.id = field("id")?;
                news.kind = Some(field("type")?);
                news.at = time(&["created"]);
            }
            Scheme::Github => {
                news.id = wanted("x-github-delivery")?;
                let event = wanted("x-github-event")?;
                news.kind =
                    Some(text(&["action"]).map_or(event.clone(), |action| format!("{event}.{action}")));
            }
            Scheme::Shopify => {
                news.id = wanted("x-shopify-webhook-id")?;
                news.kind = Some(wanted("x-shopify-topic")?.replace('/', "."));
                news.at = present(&header, "x-shopify-triggered-at").and_then(Micros::read_text);
                news.shop = present(&header, "x-shopify-shop-domain").map(str::to_owned);
            }
            Scheme::Slack => {
                let kind = field("type")?;
                if kind == "url_verification" {
                    return field("challenge").map(Brings::Challenge);
                }
                // Some, as `app_rate_limited`, have no id: the same body is the same news.
                news.id = text(&["event_id"]).map_or_else(|| fingerprint(body, 16), str::to_owned);
                news.kind = Some(text(&["event", "type"]).map_or(kind, str::to_owned));
                news.at = time(&["event_time"]);
            }
            Scheme::Standard => {
                let id = either(&header, STANDARD_ID).ok_or(NoEvent::Header(STANDARD_ID.0))?;
                news.id = String::from(id);
                news.kind = text(&["type"]).map(str::to_owned);
                news.at = time(&["timestamp"])
                    .or_else(|| seconds(either(&header, STANDARD_TIME)?).and_then(moment));
            }
        }
        Ok(Brings::News(news))
    }
}

/// Somebody who sends webhooks: how they sign, and with what.
#[derive(Clone)]
pub struct Source {
    scheme: Scheme,
    macs: Vec<Hmac<Sha256>>,
    tolerance_s: i64,
}

/// The key does not show.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// All that may send, by name.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, Result<Source, BadSource>>);

/// The secret is not the JSON that is expected. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    r#"the secret is not a JSON object of the form {{"stripe": {{"scheme": "stripe", "secrets": ["…"]}}}}"#
)]
pub struct NoSources;

/// Why a source cannot be used. Says nothing of what the secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// A name that could not stand in a path and in an event's type.
    #[error("a name has 1 to 64 lower-case letters, digits, `-` and `_`")]
    Name,
    /// Not the JSON that is expected.
    #[error(
        r#"it is not of the form {{"scheme": "…", "secrets": ["…"]}}, with the scheme stripe, github, shopify, slack or standard"#
    )]
    Shape,
    /// None, or a crowd.
    #[error("`secrets` has {0}: one, or two while it is rotated")]
    Count(usize),
    /// One that can be guessed.
    #[error("a secret has {0} bytes: it must have at least {SECRET_MIN_BYTES}")]
    TooShort(usize),
    /// Standard Webhooks' secrets are base64.
    #[error("a secret of the scheme standard is `whsec_` and base64")]
    NotBase64,
    /// No time at all, or for ever.
    #[error("`tolerance_seconds` is from 1 to {TOLERANCE_MAX_S}")]
    Tolerance,
}

/// A source as the secret has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scheme: Scheme,
    secrets: Vec<String>,
    #[serde(default = "tolerance_s")]
    tolerance_seconds: i64,
}

const fn tolerance_s() -> i64 {
    TOLERANCE_S
}

impl Sources {
    /// Reads them from a secret's text, `{"stripe": {"scheme": "stripe", "secrets": ["new", "old"]}, …}`. One that is
    /// wrong is known to be so, and takes none of the others with it.
    pub fn parse(secret: &str) -> Result<Self, NoSources> {
        let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(secret).map_err(|_| NoSources)?;
        let read = |(name, written): (String, serde_json::Value)| {
            let source = Source::read(&name, written);
            (name, source)
        };
        Ok(Self(all.into_iter().map(read).collect()))
    }

    /// The source of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Result<Source, BadSource>> {
        self.0.get(name)
    }
}

impl Source {
    fn read(name: &str, written: serde_json::Value) -> Result<Self, BadSource> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(BadSource::Name);
        }
        let Written { scheme, secrets, tolerance_seconds } =
            serde_json::from_value(written).map_err(|_| BadSource::Shape)?;
        if !(1..=SECRETS_MAX).contains(&secrets.len()) {
            return Err(BadSource::Count(secrets.len()));
        }
        if !(1..=TOLERANCE_MAX_S).contains(&tolerance_seconds) {
            return Err(BadSource::Tolerance);
        }
        let macs = secrets.iter().map(|secret| mac(scheme, secret)).collect::<Result<_, _>>()?;
        Ok(Self { scheme, macs, tolerance_s: tolerance_seconds })
    }

    /// How it signs.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether one of the request's signatures is of one of the source's secrets, and the request was sent about now.
    /// Names of headers are asked for in lower case.
    pub fn verify<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now: Micros,
    ) -> Result<(), Refused> {
        let signed = Signed::read(self.scheme, header)?;
        let mut is_right = false;
        for mac in &self.macs {
            let mac = mac.clone().chain_update(&signed.before).chain_update(body);
            // All of them, whichever is right.
            for signature in &signed.signatures {
                is_right |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        if !is_right {
            return Err(Refused::Wrong);
        }
        let tolerance_us = self.tolerance_s.unsigned_abs() * 1_000_000;
        match signed.sent {
            Some(sent) if sent.get().abs_diff(now.get()) > tolerance_us => {
                Err(Refused::Clock(self.tolerance_s))
            }
            _ => Ok(()),
        }
    }
}

/// The key of a secret. Those of Standard Webhooks are base64; of the others it is the text itself.
fn mac(scheme: Scheme, secret: &str) -> Result<Hmac<Sha256>, BadSource> {
    let key = match scheme {
        Scheme::Standard => {
            let text = secret.strip_prefix("whsec_").unwrap_or(secret);
            BASE64.decode(text).map_err(|_| BadSource::NotBase64)?
        }
        Scheme::Stripe | Scheme::Github | Scheme::Shopify | Scheme::Slack => secret.as_bytes().to_vec(),
    };
    if key.len() < SECRET_MIN_BYTES {
        return Err(BadSource::TooShort(key.len()));
    }
    Hmac::new_from_slice(&key).map_err(|_| BadSource::TooShort(key.len()))
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not signed, or only in part.
    #[error("the header {0} is missing")]
    NoHeader(&'static str),
    /// No signature can be read.
    #[error("the header {0} is not of the form {1}")]
    Malformed(&'static str, &'static str),
    /// It is signed by somebody else, or was changed on its way.
    #[error(
        "no signature matches: it was made with another secret, or the body is not the one that was signed"
    )]
    Wrong,
    /// It is signed well, but not about now.
    #[error("it was signed more than {0} seconds from now: it was sent again, or a clock is wrong")]
    Clock(i64),
}

/// Why a request that is signed well is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// It lacks what says what it is.
    #[error("the header {0} is missing")]
    Header(&'static str),
    /// It lacks what says what it is.
    #[error("the field `{0}` of the body is missing, or no text")]
    Field(&'static str),
}

/// What a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brings {
    /// Something happened.
    News(News),
    /// Slack wants this text back, to see that the address is its owner's.
    /// <https://docs.slack.dev/reference/events/url_verification>
    Challenge(String),
}

/// What the vendor says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The vendor's id of it. It is the same when it is sent again.
    pub id: String,
    /// The vendor's name for what happened, with points: `payment_intent.succeeded`.
    pub kind: Option<String>,
    /// When it happened.
    pub at: Option<Micros>,
    /// Whose shop it happened in, where a body may not say it.
    pub shop: Option<String>,
}

/// What a request's headers say of its signature.
struct Signed {
    /// What was signed before the body.
    before: String,
    signatures: Vec<[u8; 32]>,
    sent: Option<Micros>,
}

/// Headers of Standard Webhooks, and what Svix calls them.
const STANDARD_ID: (&str, &str) = ("webhook-id", "svix-id");
const STANDARD_TIME: (&str, &str) = ("webhook-timestamp", "svix-timestamp");
const STANDARD_SIGNATURE: (&str, &str) = ("webhook-signature", "svix-signature");

impl Signed {
    fn read<'h>(scheme: Scheme, header: impl Fn(&str) -> Option<&'h str>) -> Result<Self, Refused> {
        let wanted = |name| present(&header, name).ok_or(Refused::NoHeader(name));
        let standard = |name: (&'static str, _)| either(&header, name).ok_or(Refused::NoHeader(name.0));
        match scheme {
            Scheme::Stripe => {
                let form = Refused::Malformed("stripe-signature", "t=<seconds>,v1=<64 hex digits>");
                let text = wanted("stripe-signature")?;
                let of = |key: &'static str| {
                    let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
                    pairs.filter(move |(found, _)| *found == key).map(|(_, value)| value)
                };
                let time = of("t").next().ok_or(form)?;
                Self::new(format!("{time}."), of("v1").map(hex), Some(time), form)
            }
            Scheme::Github => {
                let form = Refused::Malformed("x-hub-signature-256", "sha256=<64 hex digits>");
                let text = wanted("x-hub-signature-256")?;
                Self::new(String::new(), [text.strip_prefix("sha256=").and_then(hex)], None, form)
            }
            Scheme::Shopify => {
                let form = Refused::Malformed("x-shopify-hmac-sha256", "<base64 of 32 bytes>");
                Self::new(String::new(), [base64(wanted("x-shopify-hmac-sha256")?)], None, form)
            }
            Scheme::Slack => {
                let (text, time) = (wanted("x-slack-signature")?, wanted("x-slack-request-timestamp")?);
                seconds(time).ok_or(Refused::Malformed("x-slack-request-timestamp", "<seconds>"))?;
                let form = Refused::Malformed("x-slack-signature", "v0=<64 hex digits>");
                let signature = text.strip_prefix("v0=").and_then(hex);
                Self::new(format!("v0:{time}:"), [signature], Some(time), form)
            }
            Scheme::Standard => {
                let (id, time) = (standard(STANDARD_ID)?, standard(STANDARD_TIME)?);
                seconds(time).ok_or(Refused::Malformed(STANDARD_TIME.0, "<seconds>"))?;
                let form = Refused::Malformed(STANDARD_SIGNATURE.0, "v1,<base64 of 32 bytes>");
                let all = standard(STANDARD_SIGNATURE)?.split(' ');
                let signatures = all.filter_map(|each| each.strip_prefix("v1,")).map(base64);
                Self::new(format!("{id}.{time}."), signatures, Some(time), form)
            }
        }
    }

    /// What was read of the headers; `malformed`, where there is no signature among it, or no moment.
    fn new(
        before: String,
        signatures: impl IntoIterator<Item = Option<[u8; 32]>>,
        time: Option<&str>,
        malformed: Refused,
    ) -> Result<Self, Refused> {
        let signatures: Vec<_> = signatures.into_iter().flatten().take(SIGNATURES_MAX).collect();
        if signatures.is_empty() {
            return Err(malformed);
        }
        let sent = match time.map(|time| seconds(time).and_then(moment)) {
            Some(None) => return Err(malformed),
            Some(sent) => sent,
            None => None,
        };
        Ok(Self { before, signatures, sent })
    }
}

fn present<'h>(header: &impl Fn(&str) -> Option<&'h str>, name: &str) -> Option<&'h str> {
    header(name).map(str::trim).filter(|text| !text.is_empty())
}

fn either<'h>(header: &impl Fn(&str) -> Option<&'h str>, names: (&str, &str)) -> Option<&'h str> {
    present(header, names.0).or_else(|| present(header, names.1))
}

/// Whole seconds since 1970, in digits and nothing else.
fn seconds(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn moment(seconds: i64) -> Option<Micros> {
    Micros::new(seconds.checked_mul(1_000_000)?)
}

/// 32 bytes as all vendors write them: in lower case, so that there is one way to write them.
fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn base64(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn path_of(keys: &[&str]) -> Path {
    let mut keys = keys.iter();
    let first = Path::from_key(keys.next().copied().unwrap_or_default());
    keys.fold(first, |path, key| path.join(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600;
    const SECRET: &str = "a secret of the tests";

    fn now() -> Micros {
        moment(NOW).unwrap()
    }

    fn source(scheme: &str, secrets: &[&str]) -> Source {
        let written = serde_json::json!({"scheme": scheme, "secrets": secrets});
        Source::read("name", written).unwrap()
    }

    fn sign(secret: &[u8], parts: &[&str]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        for part in parts {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    fn hexed(secret: &str, parts: &[&str]) -> String {
        sign(secret.as_bytes(), parts).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn verify(source: &Source, headers: &[(&str, &str)], body: &str) -> Result<(), Refused> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        source.verify(header, body.as_bytes(), now())
    }

    #[test]
    fn stripe_may_sign_with_several_secrets_and_other_schemes_beside() {
        let source = source("stripe", &[SECRET, "the secret before this one"]);
        let right = hexed(SECRET, &[&NOW.to_string(), ".", "{}"]);
        let old = hexed("the secret before this one", &[&NOW.to_string(), ".", "{}"]);
        let wrong = hexed("another one altogether", &[&NOW.to_string(), ".", "{}"]);
        let form = Refused::Malformed("stripe-signature", "t=<seconds>,v1=<64 hex digits>");
        for (header, told) in [
            (format!("t={NOW},v1={right}"), Ok(())),
            (format!("t={NOW}, v1={wrong}, v1={right}, v0=abc"), Ok(())),
            (format!("v1={old},t={NOW}"), Ok(())),
            (format!("t={NOW},v1=nonsense,v1={right}"), Ok(())),
            (format!("t={NOW},v1={wrong}"), Err(Refused::Wrong)),
            (format!("t={},v1={right}", NOW + 1), Err(Refused::Wrong)),
            (format!("t={NOW},v0={right}"), Err(form)),
            (format!("v1={right}"), Err(form)),
            (format!("t=,v1={right}"), Err(form)),
            (format!("t=now,v1={right}"), Err(form)),
            (format!("t=-1,v1={right}"), Err(form)),
            (format!("t={NOW},v1={right}00"), Err(form)),
            ("t=99999999999999999999,v1=".to_owned() + &right, Err(form)),
            ("  ".to_owned(), Err(Refused::NoHeader("stripe-signature"))),
        ] {
            assert_eq!(verify(&source, &[("stripe-signature", &header)], "{}"), told, "{header}");
        }
        assert_eq!(verify(&source, &[], "{}"), Err(Refused::NoHeader("stripe-signature")));
    }

    #[test]
    fn a_moment_may_lie_five_minutes_away_either_way_or_as_far_as_the_source_says() {
        let stripe = source("stripe", &[SECRET]);
        let wide = serde_json::json!({"scheme": "stripe", "secrets": [SECRET], "tolerance_seconds": 600});
        let wide = Source::read("name", wide).unwrap();
        for (away, told, of_wide) in [
            (-601, Err(Refused::Clock(300)), Err(Refused::Clock(600))),
            (-301, Err(Refused::Clock(300)), Ok(())),
            (-300, Ok(()), Ok(())),
            (300, Ok(()), Ok(())),
            (301, Err(Refused::Clock(300)), Ok(())),
        ] {
            let time = (NOW + away).to_string();
            let header = format!("t={time},v1={}", hexed(SECRET, &[&time, ".", "{}"]));
            assert_eq!(verify(&stripe, &[("stripe-signature", &header)], "{}"), told, "{away}");
            assert_eq!(verify(&wide, &[("stripe-signature", &header)], "{}"), of_wide, "{away}");
        }
    }

    #[test]
    fn github_and_shopify_sign_the_body_alone() {
        let github = source("github", &[SECRET]);
        let good = format!("sha256={}", hexed(SECRET, &["{}"]));
        let form = Refused::Malformed("x-hub-signature-256", "sha256=<64 hex digits>");
        for (header, told) in [
            (good.as_str(), Ok(())),
            (good.strip_prefix("sha256=").unwrap(), Err(form)),
            ("sha256=", Err(form)),
            ("sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709", Err(form)),
        ] {
            assert_eq!(verify(&github, &[("x-hub-signature-256", header)], "{}"), told, "{header}");
        }
        assert_eq!(verify(&github, &[("x-hub-signature-256", &good)], "{} "), Err(Refused::Wrong));
        let shopify = source("shopify", &[SECRET]);
        let good = BASE64.encode(sign(SECRET.as_bytes(), &["{}"]));
        let form = Refused::Malformed("x-shopify-hmac-sha256", "<base64 of 32 bytes>");
        for (header, told) in [
            (good.as_str(), Ok(())),
            (good.trim_end_matches('='), Ok(())),
            (&good[4..], Err(form)),
            ("ab!=", Err(form)),
            ("é", Err(form)),
        ] {
            assert_eq!(verify(&shopify, &[("x-shopify-hmac-sha256", header)], "{}"), told, "{header}");
        }
    }

    #[test]
    fn slack_and_standard_webhooks_need_all_of_their_headers() {
        let time = NOW.to_string();
        let slack = source("slack", &[SECRET]);
        let signature = format!("v0={}", hexed(SECRET, &["v0:", &time, ":", "{}"]));
        let all = [("x-slack-signature", signature.as_str()), ("x-slack-request-timestamp", time.as_str())];
        assert_eq!(verify(&slack, &all, "{}"), Ok(()));
        assert_eq!(verify(&slack, &all[..1], "{}"), Err(Refused::NoHeader("x-slack-request-timestamp")));
        assert_eq!(verify(&slack, &all[1..], "{}"), Err(Refused::NoHeader("x-slack-signature")));
        let odd = [all[0], ("x-slack-request-timestamp", "soon")];
        let form = Refused::Malformed("x-slack-request-timestamp", "<seconds>");
        assert_eq!(verify(&slack, &odd, "{}"), Err(form));

        let standard = source("standard", &["whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3Rz"]);
        let signature = BASE64.encode(sign(SECRET.as_bytes(), &["msg_1.", &time, ".", "{}"]));
        let signatures = format!("v1a,abc v1,{} v1,{signature}", BASE64.encode([7; 32]));
        let all = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signatures.as_str()),
        ];
        assert_eq!(verify(&standard, &all, "{}"), Ok(()));
        let svix = all.map(|(name, value)| (name.replace("webhook", "svix"), value));
        let svix = [0, 1, 2].map(|at| (svix[at].0.as_str(), svix[at].1));
        assert_eq!(verify(&standard, &svix, "{}"), Ok(()));
        assert_eq!(verify(&standard, &all[1..], "{}"), Err(Refused::NoHeader("webhook-id")));
        assert_eq!(verify(&standard, &[("webhook-id", "msg_2"), all[1], all[2]], "{}"), Err(Refused::Wrong));
        let form = Refused::Malformed("webhook-signature", "v1,<base64 of 32 bytes>");
        for malformed in ["v1", "v1,", "v1a,abc", "v1,ab!="] {
            assert_eq!(
                verify(&standard, &[all[0], all[1], ("webhook-signature", malformed)], "{}"),
                Err(form)
            );
        }
    }

    #[test]
    fn a_source_that_will_not_do_says_why_takes_no_other_with_it_and_is_not_repeated() {
        let told = |written: &str| {
            let json = format!(r#"{{"good": {{"scheme": "github", "secrets": ["{SECRET}"]}}, {written}}}"#);
            let sources = Sources::parse(&json).unwrap();
            assert!(sources.get("good").unwrap().is_ok() && sources.get("none").is_none());
            let name = written.split('"').nth(1).unwrap();
            let why = *sources.get(name).unwrap().as_ref().unwrap_err();
            assert!(!why.to_string().contains("hunter2"));
            why
        };
        for (written, why) in [
            (r#""Stripe": {"scheme": "stripe", "secrets": ["hunter2hunter2hunter2"]}"#, BadSource::Name),
            (r#""": {"scheme": "stripe", "secrets": ["hunter2hunter2hunter2"]}"#, BadSource::Name),
            (r#""a": "hunter2""#, BadSource::Shape),
            (r#""a": {"scheme": "hunter2", "secrets": ["hunter2hunter2hunter2"]}"#, BadSource::Shape),
            (r#""a": {"scheme": "stripe", "secret": "hunter2"}"#, BadSource::Shape),
            (r#""a": {"scheme": "stripe", "secrets": []}"#, BadSource::Count(0)),
            (r#""a": {"scheme": "stripe", "secrets": ["1", "2", "3"]}"#, BadSource::Count(3)),
            (r#""a": {"scheme": "stripe", "secrets": ["hunter2"]}"#, BadSource::TooShort(7)),
            (r#""a": {"scheme": "standard", "secrets": ["whsec_hunter2!"]}"#, BadSource::NotBase64),
            (r#""a": {"scheme": "standard", "secrets": ["whsec_aHVudGVyMg=="]}"#, BadSource::TooShort(7)),
            (
                r#""a": {"scheme": "slack", "secrets": ["hunter2hunter2hunter2"], "tolerance_seconds": 0}"#,
                BadSource::Tolerance,
            ),
        ] {
            assert_eq!(told(written), why, "{written}");
        }
        for text in ["", "hunter2", "[]", r#"["hunter2"]"#] {
            assert_eq!(Sources::parse(text).unwrap_err(), NoSources);
        }
        assert!(Sources::parse("{}").unwrap().get("stripe").is_none());
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        assert_eq!(format!("{:?}", source("slack", &[SECRET])), "Source { scheme: Slack, .. }");
    }

    fn brings(scheme: &str, headers: &[(&str, &str)], body: &str) -> Result<Brings, NoEvent> {
        let secret = if scheme == "standard" { "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3Rz" } else { SECRET };
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        source(scheme, &[secret]).scheme().read_event(header, body.as_bytes(), &Event::read(body).unwrap())
    }

    #[test]
    fn an_event_is_what_the_vendor_says_it_is() {
        let at = |text| Micros::read_text(text);
        let news = |id: &str, kind: Option<&str>, at| {
            let kind = kind.map(str::to_owned);
            Ok(Brings::News(News { id: id.to_owned(), kind, at, shop: None }))
        };
        let stripe = r#"{"id": "evt_1", "type": "charge.succeeded", "created": 1767225600}"#;
        assert_eq!(
            brings("stripe", &[], stripe),
            news("evt_1", Some("charge.succeeded"), at("2026-01-01T00:00:00Z"))
        );
        assert_eq!(brings("stripe", &[], r#"{"type": "charge.succeeded"}"#), Err(NoEvent::Field("id")));
        assert_eq!(brings("stripe", &[], r#"{"id": 7, "type": "a"}"#), Err(NoEvent::Field("id")));
        let github = [("x-github-delivery", "d1"), ("x-github-event", "issues")];
        assert_eq!(
            brings("github", &github, r#"{"action": "opened"}"#),
            news("d1", Some("issues.opened"), None)
        );
        assert_eq!(brings("github", &github, "{}"), news("d1", Some("issues"), None));
        assert_eq!(brings("github", &github[..1], "{}"), Err(NoEvent::Header("x-github-event")));
        let slack = r#"{"type": "event_callback", "event_id": "Ev1", "event_time": 1767225600, "event": {"type": "message"}}"#;
        assert_eq!(brings("slack", &[], slack), news("Ev1", Some("message"), at("2026-01-01T00:00:00Z")));
        let limited = r#"{"type": "app_rate_limited", "minute_rate_limited": 1767225600}"#;
        assert_eq!(
            brings("slack", &[], limited),
            news(&fingerprint(limited.as_bytes(), 16), Some("app_rate_limited"), None)
        );
        let challenge = r#"{"type": "url_verification", "challenge": "abc"}"#;
        assert_eq!(brings("slack", &[], challenge), Ok(Brings::Challenge("abc".into())));
        let standard = [("webhook-id", "msg_1"), ("webhook-timestamp", "1767225601")];
        assert_eq!(brings("standard", &standard, "{}"), news("msg_1", None, at("2026-01-01T00:00:01Z")));
        let body = r#"{"type": "invoice.paid", "timestamp": "2026-01-01T00:00:00Z", "data": {}}"#;
        assert_eq!(
            brings("standard", &standard, body),
            news("msg_1", Some("invoice.paid"), at("2026-01-01T00:00:00Z"))
        );
        let shopify = [
            ("x-shopify-webhook-id", "w1"),
            ("x-shopify-topic", "orders/create"),
            ("x-shopify-triggered-at", "2026-01-01T00:00:00.5Z"),
            ("x-shopify-shop-domain", "a.myshopify.com"),
        ];
        let told = brings("shopify", &shopify, "{}");
        let (kind, shop) = (Some("orders.create".to_owned()), Some("a.myshopify.com".to_owned()));
        let at = at("2026-01-01T00:00:00.5Z");
        assert_eq!(told, Ok(Brings::News(News { id: "w1".into(), kind, at, shop })));
    }
}
