//! What a feed says of how often it may be asked.

use crate::Answer;
use jiff::fmt::rfc2822::DateTimeParser;
use millrace_core::time::Micros;

/// How feeds call their limits, in front of `remaining` and `reset`. There is no one standard.
const FAMILIES: [&str; 3] = ["x-ratelimit-", "x-rate-limit-", "ratelimit-"];

/// The longest that a feed is left alone, milliseconds: a day. What asks for more is probably mistaken.
const LONGEST_MS: i64 = 86_400_000;

/// A larger number of seconds is no wait, but a moment since 1970: it is 2001.
const MOMENT_MIN: i64 = 1_000_000_000;

/// Until when the feed wants to be left alone, where it says so: `Retry-After`, or a limit of which nothing remains.
pub(crate) fn until(answer: &Answer, now: Micros) -> Option<Micros> {
    let asked = answer.header("retry-after").and_then(|text| moment(text, now));
    let spent = FAMILIES.iter().filter_map(|family| {
        let remaining = answer.header(&format!("{family}remaining"))?;
        let is_spent = remaining.trim().parse::<i64>().is_ok_and(|left| left <= 0);
        let reset = answer.header(&format!("{family}reset")).filter(|_| is_spent)?;
        moment(reset, now)
    });
    asked
        .into_iter()
        .chain(spent)
        .max()
        .filter(|until| *until > now)
        .map(|until| until.min(now.plus_ms(LONGEST_MS)))
}

/// A wait in seconds, a moment in seconds since 1970, or a date of HTTP.
fn moment(text: &str, now: Micros) -> Option<Micros> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let Ok(seconds) = whole.parse::<i64>() else {
        let date = DateTimeParser::new().parse_timestamp(text).ok()?;
        return Micros::new(date.as_microsecond());
    };
    // Up: who comes too early may be left waiting for longer.
    let seconds = seconds.checked_add(part.bytes().any(|digit| digit != b'0').into())?;
    if seconds >= MOMENT_MIN {
        Micros::new(seconds.checked_mul(1_000_000)?)
    } else {
        Some(now.plus_ms(seconds.checked_mul(1_000)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_says_when_it_may_be_asked_again() {
        let now = Micros::new(1_795_179_600_000_000).unwrap(); // 2026-11-20T13:00:00Z
        for (headers, seconds) in [
            (&[][..], None),
            (&[("Retry-After", "120")], Some(120)),
            (&[("retry-after", "Fri, 20 Nov 2026 13:05:00 GMT")], Some(300)),
            (&[("retry-after", "Fri, 20 Nov 2026 12:00:00 GMT")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-7")], None),
            (&[("retry-after", "999999999")], Some(86_400)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1795179700")], Some(100)),
            (&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "30.5")], Some(31)),
            (&[("retry-after", "30.001")], Some(31)),
            (&[("retry-after", "30.0")], Some(30)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1795179700.2")], Some(101)),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30"), ("retry-after", "60")], Some(60)),
            (&[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "30")], None),
            (&[("x-ratelimit-remaining", "0")], None),
            (&[("retry-after", "9223372036854775807")], None),
        ] {
            let headers =
                headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let answer = Answer { status: 200, headers, body: Vec::new() };
            let told = until(&answer, now).map(|until| (until.get() - now.get()) / 1_000_000);
            assert_eq!(told, seconds, "{:?}", answer.headers);
        }
    }
}
