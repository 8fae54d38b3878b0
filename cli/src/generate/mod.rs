//! `millrace generate`: a day of a shop's clickstream, made from a seed. The same seed makes the same lines.
//!
//! It is as untidy as the real thing: about 3 in 100 events come from bots, 2 are sent twice, 1 is bad; timestamps come
//! in all formats that the pipeline reads, prices as numbers and as text. Visitors' ids and addresses stand only where
//! the shipped pipeline makes tokens of them or takes them out: `userId`, `email`, `ip`, and the query strings of
//! `path` and `referrer`.

mod words;

use crate::error::Error;
use fastrand::Rng;
use millrace_core::time::Micros;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Make a day of a shop's clickstream to try a pipeline with
///
/// Among the events are bots, bad lines, duplicates and invented personal data.
/// The same seed makes the same lines.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What the events depend on, beside the other options
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many lines to make, the bad ones included
    #[arg(long, value_name = "N", default_value_t = 2000)]
    events: u64,
    /// When the day begins that they spread over, RFC 3339
    #[arg(long, value_name = "TIME", default_value = "2026-11-20T00:00:00Z", value_parser = moment)]
    start: Micros,
    /// Where to write them; `-` is stdout
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    out: PathBuf,
}

pub(crate) fn generate(args: &Args) -> Result<(), Error> {
    let clickstream = Clickstream::new(args.seed, args.events, args.start);
    if args.out == Path::new("-") {
        return write(io::stdout(), clickstream).map_err(Error::stdout);
    }
    let file = File::create(&args.out).map_err(Error::io("cannot write", &args.out))?;
    write(file, clickstream).map_err(Error::io("cannot write", &args.out))
}

fn write(out: impl Write, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, out);
    for line in lines {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn moment(text: &str) -> Result<Micros, &'static str> {
    Micros::read_text(text).ok_or("this is no RFC 3339 time, like 2026-11-20T00:00:00Z")
}

const DAY_MS: u128 = 24 * 60 * 60 * 1000;

/// How many visitors are in the shop at a time.
const VISITORS: usize = 40;

/// A line is sent twice within so many lines.
const RESENT_WITHIN: usize = 50;

/// Of 1000 lines so many come from bots, are sent again, are bad.
const BOTS: u32 = 30;
const RESENT: u32 = 20;
const BAD: u32 = 10;

/// The lines, from first to last.
struct Clickstream {
    rng: Rng,
    start: Micros,
    events: u64,
    made: u64,
    bad: usize,
    visitors: Vec<Visitor>,
    recent: VecDeque<String>,
}

/// Somebody in the shop, for some events.
#[derive(Clone)]
struct Visitor {
    session_id: String,
    user_id: Option<String>,
    email: Option<String>,
    ip: Option<String>,
    browser: Option<&'static str>,
    user_agent: Option<&'static str>,
    referrer: Option<String>,
    campaign: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Click<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Value>,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser: Option<&'static str>,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'static str>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Value>,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    x: Value,
    y: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Clickstream {
    fn new(seed: u64, events: u64, start: Micros) -> Self {
        let mut rng = Rng::with_seed(seed);
        let visitors = (0..VISITORS).map(|_| Visitor::arrives(&mut rng)).collect();
        Self { rng, start, events, made: 0, bad: 0, visitors, recent: VecDeque::new() }
    }

    /// A moment in the stretch of the day that belongs to the line of this number.
    fn time(&mut self, line: u64) -> Micros {
        let ms = |line: u64| u128::from(line) * DAY_MS / u128::from(self.events.max(1));
        let (from, until) = (ms(line), ms(line + 1));
        let at = self.rng.u128(from..until.max(from + 1));
        self.start.plus_ms(i64::try_from(at).unwrap_or_default())
    }

    /// One event of one visitor, as JSON that is whole but for what `flaw` takes from it.
    fn click(&mut self, line: u64, flaw: Option<Flaw>) -> String {
        let at = self.time(line);
        let rng = &mut self.rng;
        let visitor = if rng.u32(..1000) < BOTS {
            Visitor::bot(rng)
        } else {
            let place = rng.usize(..VISITORS);
            if rng.u8(..12) == 0
                && let Some(leaving) = self.visitors.get_mut(place)
            {
                *leaving = Visitor::arrives(rng);
            }
            self.visitors.get(place).cloned().unwrap_or_else(|| Visitor::arrives(rng))
        };
        let mut click = Click::of(&visitor, at, rng);
        match flaw {
            Some(Flaw::NoId) => click.id = None,
            Some(Flaw::NoType) => click.event_type = None,
            Some(Flaw::NoTime) => click.timestamp = None,
            Some(Flaw::BadTime) => click.timestamp = Some(json!("20/11/2026 noon")),
            Some(Flaw::BadPrice) => click.price = Some(json!("cheap")),
            _ => {}
        }
        // A struct of text and numbers cannot refuse.
        let mut line = serde_json::to_string(&click).unwrap_or_default();
        match flaw {
            Some(Flaw::CutShort) => line.truncate(floor(&line, rng.usize(line.len() / 4..line.len() - 1))),
            Some(Flaw::InArray) => line = format!("[{line}]"),
            Some(Flaw::NoJson) => "GET /healthz HTTP/1.1 200 0.004".clone_into(&mut line),
            Some(Flaw::BareString) => "\"add_to_cart\"".clone_into(&mut line),
            _ => {}
        }
        line
    }
}

impl Iterator for Clickstream {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.made == self.events {
            return None;
        }
        let line = self.made;
        self.made += 1;
        let dice = self.rng.u32(..1000);
        // A file that begins with the line of an array would be read as an array: the first line is good.
        if (0..BAD).contains(&dice) && line > 0 {
            let flaw = FLAWS.get(self.bad % FLAWS.len()).copied();
            self.bad += 1;
            return Some(self.click(line, flaw));
        }
        if (BAD..BAD + RESENT).contains(&dice) && !self.recent.is_empty() {
            let again = self.rng.usize(..self.recent.len());
            return self.recent.get(again).cloned();
        }
        let click = self.click(line, None);
        self.recent.push_back(click.clone());
        if self.recent.len() >= RESENT_WITHIN {
            self.recent.pop_front();
        }
        Some(click)
    }
}

/// What can be wrong with a line.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    CutShort,
    NoJson,
    InArray,
    BareString,
    NoId,
    NoType,
    NoTime,
    BadTime,
    BadPrice,
}

/// In turn, so that even a small file has each of them.
const FLAWS: [Flaw; 9] = [
    Flaw::BadPrice,
    Flaw::CutShort,
    Flaw::NoId,
    Flaw::BadTime,
    Flaw::NoJson,
    Flaw::NoTime,
    Flaw::BareString,
    Flaw::NoType,
    Flaw::InArray,
];

impl Visitor {
    fn arrives(rng: &mut Rng) -> Self {
        let known = rng.u8(..10) < 7;
        let name = format!("{}.{}", pick(rng, &words::FIRST_NAMES), pick(rng, &words::LAST_NAMES));
        let email = format!("{name}{}@{}", rng.u16(1..1000), pick(rng, &words::MAIL_DOMAINS));
        let (browser, user_agent) = pick(rng, &words::BROWSERS);
        let (page, source, medium) = pick(rng, &words::REFERRERS);
        let campaign =
            format!("utm_source={source}&utm_medium={medium}&utm_campaign={}", pick(rng, &words::CAMPAIGNS));
        // A newsletter's links tell who reads it.
        let referrer = match source {
            "newsletter" => format!("{page}?to={}", email.replace('@', "%40")),
            _ => format!("{page}?ref={}", hex(rng, 6)),
        };
        Self {
            session_id: format!("s-{}", hex(rng, 16)),
            user_id: known.then(|| format!("user-{}", hex(rng, 12))),
            email: (known && rng.u8(..10) < 8).then_some(email),
            ip: (rng.u8(..20) > 0).then(|| ip(rng)),
            browser: Some(browser),
            user_agent: (rng.u8(..20) > 0).then_some(user_agent),
            referrer: (rng.u8(..10) < 7).then_some(referrer),
            campaign,
        }
    }

    fn bot(rng: &mut Rng) -> Self {
        Self {
            user_id: None,
            email: None,
            browser: None,
            user_agent: Some(pick(rng, &words::BOTS)),
            referrer: None,
            ..Self::arrives(rng)
        }
    }
}

impl<'a> Click<'a> {
    fn of(visitor: &'a Visitor, at: Micros, rng: &mut Rng) -> Self {
        let (category, thing, cents) = pick(rng, &words::PRODUCTS);
        let colour = pick(rng, &words::COLOURS);
        let slug = thing.replace(' ', "-");
        let page = format!("/{category}/{slug}-{colour}");
        let (event_type, page, target, text, priced) = match rng.u8(..100) {
            0..50 => ("view", page, format!("product:{slug}"), None, rng.u8(..10) < 6),
            50..72 => {
                ("click", page, "button".to_owned(), Some(pick(rng, &words::BUTTONS).to_owned()), false)
            }
            72..84 => (
                "search",
                "/search".to_owned(),
                "search-box".to_owned(),
                Some(format!("{thing} {colour}")),
                false,
            ),
            84..94 => ("add_to_cart", page, format!("cart:{slug}"), None, true),
            _ => {
                let remark = (rng.u8(..3) == 0).then(|| pick(rng, &words::REMARKS).to_owned());
                ("purchase", "/checkout/done".to_owned(), format!("order:{}", hex(rng, 8)), remark, true)
            }
        };
        let mut path = format!("https://shop.example.com{page}?{}", visitor.campaign);
        if let Some(email) = visitor.email.as_deref().filter(|_| rng.u8(..100) < 8) {
            path.push_str("&email=");
            path.push_str(&email.replace('@', "%40"));
        }
        Self {
            id: Some(uuid(rng)),
            event_type: Some(event_type),
            timestamp: Some(timestamp(at, rng)),
            session_id: &visitor.session_id,
            browser: visitor.browser,
            target,
            user_id: visitor.user_id.as_deref(),
            email: visitor.email.as_deref(),
            ip: visitor.ip.as_deref(),
            user_agent: visitor.user_agent,
            path,
            referrer: visitor.referrer.as_deref(),
            price: priced.then(|| price(cents, rng)),
            data: Data { x: pixel(rng, 1920), y: pixel(rng, 1080), text },
        }
    }
}

/// The moment as one producer or another writes it.
fn timestamp(at: Micros, rng: &mut Rng) -> Value {
    let whole_seconds = at.get() - at.get().rem_euclid(1_000_000);
    let seconds = Micros::new(whole_seconds).unwrap_or(at);
    match rng.u8(..100) {
        0..55 => json!(at.rfc3339()),
        55..70 => {
            let (hours, written) = pick(rng, &[(1, "+01:00"), (-5, "-05:00"), (9, "+09:00")]);
            let local = at.plus_ms(hours * 60 * 60 * 1000).rfc3339();
            json!(format!("{}{written}", local.trim_end_matches('Z')))
        }
        70..80 => json!(seconds.rfc3339().replace('T', " ")),
        80..86 => json!(whole_seconds / 1_000_000),
        86..95 => json!(at.get() / 1000),
        _ => json!(at.get() + rng.i64(0..1000)),
    }
}

/// A price in the shop's currency, on some pages as text.
fn price(cents: i64, rng: &mut Rng) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    match text.parse::<f64>() {
        Ok(number) if rng.u8(..12) > 0 => json!(number),
        _ => json!(text),
    }
}

/// Where the pointer was; old scripts write it as text.
fn pixel(rng: &mut Rng, below: i64) -> Value {
    let pixel = rng.i64(0..below);
    if rng.u8(..40) == 0 { json!(pixel.to_string()) } else { json!(pixel) }
}

/// An address that belongs to nobody, and is not its own network.
fn ip(rng: &mut Rng) -> String {
    let host = rng.u8(1..255);
    match rng.u8(..20) {
        0..3 => {
            let [a, b] = [rng.u16(1..), rng.u16(1..)];
            Ipv6Addr::new(0x2001, 0xdb8, rng.u16(..), rng.u16(..), 0, a, b, u16::from(host)).to_string()
        }
        3..5 => Ipv4Addr::new(192, 0, 2, host).to_string(),
        5..7 => Ipv4Addr::new(198, 51, 100, host).to_string(),
        7..9 => Ipv4Addr::new(203, 0, 113, host).to_string(),
        _ => Ipv4Addr::new(198, rng.u8(18..20), rng.u8(..), host).to_string(),
    }
}

/// A random UUID, version 4.
fn uuid(rng: &mut Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |from, until| hex.get(from..until).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// So many random hex digits.
fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

fn pick<T: Copy + Default, const N: usize>(rng: &mut Rng, of: &[T; N]) -> T {
    of.get(rng.usize(..N)).copied().unwrap_or_default()
}

/// The last place at or before this one where the text can be cut.
fn floor(text: &str, place: usize) -> usize {
    (0..=place).rev().find(|place| text.is_char_boundary(*place)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_core::event::{Event, Path};
    use serde_json::json;
    use std::collections::HashSet;

    fn lines(seed: u64, events: u64) -> Vec<String> {
        Clickstream::new(seed, events, moment("2026-11-20T00:00:00Z").unwrap()).collect()
    }

    fn share(lines: &[String], what: impl Fn(&str) -> bool) -> usize {
        lines.iter().filter(|line| what(line)).count() * 1000 / lines.len()
    }

    #[test]
    fn the_same_seed_makes_the_same_lines() {
        assert_eq!(lines(7, 300), lines(7, 300));
        assert_ne!(lines(7, 300), lines(8, 300));
        assert_eq!((lines(7, 0).len(), lines(7, 1).len()), (0, 1));
    }

    #[test]
    fn it_is_as_untidy_as_it_says() {
        let lines = lines(1, 20_000);
        let bots = share(&lines, |line| words::BOTS.iter().any(|bot| line.contains(bot)));
        let mut seen = HashSet::new();
        let resent = lines.iter().filter(|line| line.len() > 50 && !seen.insert(line.as_str())).count();
        let average = lines.iter().map(String::len).sum::<usize>() / lines.len();
        assert!((25..35).contains(&bots), "{bots} of 1000 are bots");
        assert!((300..500).contains(&resent), "{resent} of 20000 are sent twice");
        assert!((530..590).contains(&average), "{average} bytes on average");
    }

    #[test]
    fn times_lie_in_the_day_and_come_in_all_formats() {
        let (from, until) =
            (moment("2026-11-20T00:00:00Z").unwrap(), moment("2026-11-21T00:00:00Z").unwrap());
        let times: Vec<Value> = lines(1, 2000)
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("timestamp").cloned())
            .filter(|time| time != "20/11/2026 noon")
            .collect();
        for time in &times {
            let event = Event::read(&json!({ "at": time }).to_string()).unwrap();
            let read = Micros::read(event.get(&Path::from_key("at")).unwrap()).unwrap();
            assert!(from <= read && read < until, "{time}");
        }
        for digits in [10, 13, 16] {
            assert!(
                times.iter().any(|time| time.is_number() && time.to_string().len() == digits),
                "{digits}"
            );
        }
        for sign in ["T", " ", "+01:00", "-05:00"] {
            assert!(times.iter().any(|time| time.as_str().is_some_and(|text| text.contains(sign))), "{sign}");
        }
    }
}
