//! One event, as a line of JSON.

use crate::agents::{agent, pick};
use crate::words;
use fastrand::Rng;
use jiff::Timestamp;
use jiff::tz::Offset;
use std::fmt::Write as _;

/// Somebody in the shop, for some events.
pub(crate) struct Visitor {
    session_id: String,
    user_id: Option<String>,
    email: Option<String>,
    ip: String,
    browser: &'static str,
    user_agent: String,
    referrer: Option<&'static str>,
    query: String,
    locale: &'static str,
    screen: (u32, u32),
}

impl Visitor {
    /// `users` is how many people there are; some come back.
    pub(crate) fn arrives(rng: &mut Rng, users: u64) -> Self {
        let user = rng.u64(..users).min(rng.u64(..users));
        let (browser, user_agent) = agent(rng);
        Self {
            session_id: format!("s-{:016x}", rng.u64(..)),
            user_id: (rng.u32(..10) < 6).then(|| format!("user-{:012x}", Rng::with_seed(user).u64(..) >> 16)),
            email: (rng.u32(..10) < 4).then(|| address(user)),
            ip: ip(rng),
            browser,
            user_agent,
            referrer: (rng.u32(..10) < 4).then(|| pick(rng, words::REFERRERS)),
            query: if rng.u32(..10) < 4 { campaign(rng) } else { String::new() },
            locale: pick(rng, words::LOCALES),
            screen: (360 + rng.u32(..220) * 10, 640 + rng.u32(..160) * 10),
        }
    }

    pub(crate) fn bot(rng: &mut Rng, users: u64) -> Self {
        let user_agent = pick(rng, words::BOTS).into();
        Self { user_agent, browser: "", user_id: None, email: None, ..Self::arrives(rng, users) }
    }
}

/// What is wrong with an event that is one JSON object and yet none that counts.
#[derive(Clone, Copy)]
pub(crate) enum Flaw {
    /// A required field is absent, null, empty, or no string.
    Required,
    /// The timestamp is a string and none that the rules take.
    Time,
}

/// The line of one event.
pub(crate) fn line(rng: &mut Rng, visitor: &Visitor, at_ns: i64, sent_ms: i64, flaw: Option<Flaw>) -> String {
    let style = match rng.u32(..100) {
        0..6 => Style::Ascii,
        6..12 => Style::Slash,
        _ => Style::Plain,
    };
    let mut json = Json { out: String::with_capacity(800), style };
    required(rng, &mut json, at_ns, flaw);
    json.field(rng, "sessionId", Some(&visitor.session_id));
    json.field(rng, "browser", (!visitor.browser.is_empty()).then_some(visitor.browser));
    let target = match rng.u32(..10) {
        0..5 => format!("product:{}", pick(rng, words::PRODUCTS)),
        5..8 => "button".into(),
        8 => format!("link:{}", rng.u32(..100)),
        _ => String::new(),
    };
    json.field(rng, "target", Some(&target));
    json.field(rng, "userId", visitor.user_id.as_deref());
    json.field(rng, "email", visitor.email.as_deref());
    json.field(rng, "ip", Some(&visitor.ip));
    if rng.u32(..100) < 98 {
        json.field(rng, "userAgent", Some(&visitor.user_agent));
    }
    let path = url(rng, visitor);
    json.field(rng, "path", Some(&path));
    json.field(rng, "referrer", visitor.referrer);
    unasked(rng, &mut json, visitor, sent_ms);
    data(rng, &mut json);
    json.done()
}

fn required(rng: &mut Rng, json: &mut Json, at_ns: i64, flaw: Option<Flaw>) {
    let id = uuid(rng);
    let types = words::EVENT_TYPES;
    let event_type = types[rng.usize(..types.len()).min(rng.usize(..types.len()))];
    let time = match flaw {
        Some(Flaw::Time) => pick(rng, words::BAD_TIMES).to_owned(),
        _ => time(rng, at_ns),
    };
    let victim = matches!(flaw, Some(Flaw::Required)).then(|| rng.usize(..3));
    for (place, (name, value)) in
        [("id", &*id), ("eventType", event_type), ("timestamp", &time)].into_iter().enumerate()
    {
        if victim != Some(place) {
            json.text(name, value);
            continue;
        }
        match rng.u32(..4) {
            0 => {}
            1 => json.raw(name, "null"),
            2 => json.raw(name, "\"\""),
            _ => json.raw(name, "1795010700"),
        }
    }
}

/// What nobody asks for, and what has to be passed over.
fn unasked(rng: &mut Rng, json: &mut Json, visitor: &Visitor, sent_ms: i64) {
    json.raw("sentAt", &sent_ms.to_string());
    if rng.u32(..10) < 5 {
        json.text("locale", visitor.locale);
    }
    if rng.u32(..10) < 6 {
        json.raw("screen", &format!("{{\"w\":{},\"h\":{},\"dpr\":1.5}}", visitor.screen.0, visitor.screen.1));
    }
    if rng.u32(..10) < 1 {
        json.raw("tags", "[\"a/b:17\",\"beta\",{\"k\":[1,2,3e2,null]},true]");
    }
    if rng.u32(..100) < 3 {
        json.raw("consent", "{ \"ads\" : false , \"text\" : \"nur das N\\u00f6tige \\\"}]\" }");
    }
}

fn data(rng: &mut Rng, json: &mut Json) {
    match rng.u32(..200) {
        0 => return,
        1 => return json.raw("data", pick(rng, &["null", "\"x\"", "[1,2]", "7", "{}"])),
        _ => {}
    }
    let mut data = Json { out: String::new(), style: json.style };
    for name in ["x", "y"] {
        match rng.u32(..100) {
            0 => data.raw(name, pick(rng, &["\"1538\"", "null", "12.5", "true", "[1]", "\"\""])),
            1 => data.raw(name, &format!("-{}", rng.u32(1..500))),
            2..4 => {}
            _ => data.raw(name, &rng.u32(..2400).to_string()),
        }
    }
    match rng.u32(..1000) {
        0..5 => data.raw("price", pick(rng, &["\"12.99\"", "null", "true", "\"cheap\"", "{}"])),
        5..60 => data.raw("price", &rng.u32(1..200).to_string()),
        60..65 => data.raw("price", pick(rng, &["50", "50.0", "50.01", "0", "-5.5", "1.25e2", "1e3"])),
        65..330 => data.raw("price", &format!("{}.{:02}", rng.u32(..180), rng.u32(..100))),
        _ => {}
    }
    if rng.u32(..10) < 2 {
        let text = text(rng);
        data.field(rng, "text", Some(&text));
    }
    if rng.u32(..10) < 2 {
        data.raw("viewport", "{\"top\":120,\"depth\":0.75}");
    }
    json.raw("data", &data.done());
}

fn text(rng: &mut Rng) -> String {
    if rng.u32(..10) > 0 {
        return pick(rng, words::TEXTS).to_owned();
    }
    let mut out = String::new();
    let mut rest = pick(rng, words::CARD_TEXTS);
    while let Some((before, after)) = rest.split_once("{}") {
        out += before;
        out += &number(rng);
        rest = after;
    }
    out + rest
}

/// A number of 10 to 24 digits, mostly 16, in groups or not; most pass the Luhn test.
fn number(rng: &mut Rng) -> String {
    let len = match rng.u32(..10) {
        0..6 => 16,
        6 => 15,
        7 => rng.usize(13..20),
        _ => rng.usize(10..25),
    };
    let mut digits: Vec<u32> = (1..len).map(|_| rng.u32(..10)).collect();
    let folded = |twice: u32| if twice > 9 { twice - 9 } else { twice };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(i, &d)| if i % 2 == 0 { folded(d * 2) } else { d }).sum();
    let check = (10 - sum % 10) % 10;
    digits.push(if rng.u32(..3) < 2 { check } else { rng.u32(..10) });
    let (group, between) = match rng.u32(..4) {
        0 => (4, " "),
        1 => (4, "-"),
        2 => (rng.usize(1..7), pick(rng, &[" ", "-", "  ", "/"])),
        _ => (usize::MAX, ""),
    };
    let mut out = String::new();
    for (i, digit) in digits.iter().enumerate() {
        if i > 0 && i % group == 0 {
            out += between;
        }
        let _ = write!(out, "{digit}");
    }
    out
}

fn url(rng: &mut Rng, visitor: &Visitor) -> String {
    let product = format!("{}-{}", pick(rng, words::PRODUCTS), pick(rng, words::COLOURS));
    let page = match rng.u32(..20) {
        0..12 => format!("/{}/{product}", pick(rng, words::SECTIONS)),
        12..15 => format!("/{}", pick(rng, words::SECTIONS)),
        15 => "/cart/".into(),
        16 => "/".into(),
        17 => String::new(),
        18 => format!("/a%20b/{product}"),
        _ => format!("/p/{}", rng.u32(..100_000)),
    };
    let host = pick(rng, words::HOSTS);
    let query = &visitor.query;
    match rng.u32(..100) {
        0 => format!("{page}{query}"),
        1 => format!("HTTPS://{host}{page}"),
        2 => pick(rng, &["", "about:blank", "https:/shop", "ftp://example.com/x", "shop.example.com/living"])
            .into(),
        3 => format!("http://{host}:8080{page}{query}"),
        4 => format!("https://{}:443{page}{query}", host.to_uppercase()),
        5 => format!("https://{host}{page}{query}#reviews?utm_source=no"),
        6 => format!("https://{host}{page}?"),
        _ => format!("https://{host}{page}{query}"),
    }
}

/// The query that a visitor came with.
fn campaign(rng: &mut Rng) -> String {
    let source = pick(rng, words::SOURCES);
    let medium = pick(rng, words::MEDIUMS);
    let campaign = pick(rng, words::CAMPAIGNS);
    match rng.u32(..20) {
        0 => format!("?page=2&utm_source&utm_medium={medium}"),
        1 => format!("?utm_source={source}&utm_source=second&UTM_MEDIUM=no"),
        2 => format!("?gclid={:x}&utm_campaign={campaign}&&=&utm_medium=&utm_medium={medium}", rng.u64(..)),
        3 => format!("?q={campaign}"),
        4..8 => format!("?utm_source={source}&utm_medium={medium}"),
        _ => format!("?utm_source={source}&utm_medium={medium}&utm_campaign={campaign}"),
    }
}

fn ip(rng: &mut Rng) -> String {
    match rng.u32(..100) {
        0..82 => format!("198.{}.{}.{}", 18 + rng.u32(..2), rng.u8(..), rng.u8(..)),
        82..96 => {
            format!("2001:db8:{:x}:{:x}:0:{:x}:{:x}:fa", rng.u16(..), rng.u16(..), rng.u16(..), rng.u16(..))
        }
        96 => "::1".into(),
        97 => format!("::ffff:198.18.0.{}", rng.u8(..)),
        _ => pick(rng, words::BAD_IPS).into(),
    }
}

/// The address of a user: the same each time.
fn address(user: u64) -> String {
    let mut rng = Rng::with_seed(user);
    let first = pick(&mut rng, words::FIRST_NAMES);
    let last = pick(&mut rng, words::LAST_NAMES);
    format!("{first}.{last}{}@{}", user % 1000, pick(&mut rng, words::MAIL_HOSTS))
}

fn uuid(rng: &mut Rng) -> String {
    let bits = rng.u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0xfff,
        (bits >> 48) & 0x3fff | 0x8000,
        bits & 0xffff_ffff_ffff
    )
}

/// A moment in one of the ways in which clients write it.
fn time(rng: &mut Rng, at_ns: i64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
    let minutes: i32 = match rng.u32(..100) {
        0..4 => 540,
        4..7 => -300,
        7..9 => 330,
        9 => 0,
        _ => return civil(rng, at, Offset::UTC) + "Z",
    };
    let offset = Offset::from_seconds(minutes * 60).unwrap_or(Offset::UTC);
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{}{sign}{:02}:{:02}", civil(rng, at, offset), minutes.abs() / 60, minutes.abs() % 60)
}

fn civil(rng: &mut Rng, at: Timestamp, offset: Offset) -> String {
    let t = offset.to_datetime(at);
    let between = if rng.u32(..12) == 0 { ' ' } else { 'T' };
    let mut out = format!(
        "{:04}-{:02}-{:02}{between}{:02}:{:02}:{:02}",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    );
    let digits = match rng.u32(..20) {
        0..3 => 0,
        3..6 => 1 + rng.usize(..9),
        _ => 3,
    };
    if digits > 0 {
        let fraction = format!("{:09}", t.subsec_nanosecond());
        let _ = write!(out, ".{}", &fraction[..digits]);
    }
    out
}

/// How a client escapes what need not be escaped.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    /// All but ASCII as `\u00e9`, as Python does.
    Ascii,
    /// `/` as `\/`, as PHP does.
    Slash,
}

struct Json {
    out: String,
    style: Style,
}

impl Json {
    fn name(&mut self, name: &str) {
        self.out.push(if self.out.is_empty() { '{' } else { ',' });
        let _ = write!(self.out, "\"{name}\":");
    }

    fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out += value;
    }

    /// A text that is nearly always that: one in 400 is null or of another type.
    fn field(&mut self, rng: &mut Rng, name: &str, value: Option<&str>) {
        if rng.u32(..400) == 0 {
            self.raw(name, pick(rng, &["null", "17", "true", "[]", "{\"a\":\"b\"}", "1.5"]));
        } else if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.push('"');
        for c in value.chars() {
            match c {
                '"' => self.out += "\\\"",
                '\\' => self.out += "\\\\",
                '\n' => self.out += "\\n",
                '\t' => self.out += "\\t",
                '/' if self.style == Style::Slash => self.out += "\\/",
                c if self.style == Style::Ascii && !c.is_ascii() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn done(mut self) -> String {
        self.out += if self.out.is_empty() { "{}" } else { "}" };
        self.out
    }
}
