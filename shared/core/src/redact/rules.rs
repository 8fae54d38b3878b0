//! The forms of all that is no email: phone numbers, cards, IBANs, social security numbers, addresses of the internet.

use super::{Find, Kind, Kinds, work};
use std::net::Ipv6Addr;
use std::ops::Range;

/// A text as its bytes, and where the last find ended: what lies before is a label by now.
#[derive(Clone, Copy)]
pub(super) struct View<'t> {
    pub(super) bytes: &'t [u8],
    pub(super) fence: usize,
}

impl View<'_> {
    /// The byte at a place; 0, which is part of nothing, off the text.
    fn byte(self, at: usize) -> u8 {
        work(1);
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// The byte `back` places before another.
    fn before(self, at: usize, back: usize) -> u8 {
        if at < self.fence + back { 0 } else { self.byte(at - back) }
    }

    fn digits(self, at: usize, most: usize) -> usize {
        (0..most).take_while(|n| self.byte(at + n).is_ascii_digit()).count()
    }

    /// Whether no letter or digit continues these bytes, and no more digits behind a joiner.
    fn stands_alone(self, start: usize, end: usize, joiners: &[u8]) -> bool {
        let continued =
            |next: u8, one_more: u8| is_word(next) || joiners.contains(&next) && one_more.is_ascii_digit();
        !continued(self.before(start, 1), self.before(start, 2))
            && !continued(self.byte(end), self.byte(end + 1))
    }
}

/// ASCII alone: scripts without spaces write `电话555-123-4567`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where a find that starts at a place ends.
type Rule = fn(View<'_>, usize) -> Option<usize>;

/// The rules for what starts with this byte, cards aside.
const fn rules(byte: u8) -> &'static [(Kind, Rule)] {
    match byte {
        b'0'..=b'9' => {
            &[(Kind::Phone, north_american), (Kind::UsSsn, us_ssn), (Kind::Ip, ipv4), (Kind::Ip, ipv6)]
        }
        b'A'..=b'F' | b'a'..=b'f' => &[(Kind::Iban, iban), (Kind::Ip, ipv6)],
        b'G'..=b'Z' | b'g'..=b'z' => &[(Kind::Iban, iban)],
        b'+' => &[(Kind::Phone, international)],
        b'(' => &[(Kind::Phone, north_american)],
        b':' => &[(Kind::Ip, ipv6)],
        _ => &[],
    }
}

/// The first find that is no email and starts in a range.
pub(super) fn first_number(
    view: View<'_>,
    within: Range<usize>,
    kinds: Kinds,
    cards: &mut Cards,
) -> Option<Find> {
    if kinds.only([Kind::Email, Kind::CreditCard]) {
        return if kinds.has(Kind::CreditCard) { cards.first(view, within) } else { None };
    }
    let mut in_word = is_word(view.before(within.start, 1));
    for (start, &byte) in view.bytes.iter().enumerate().take(within.end).skip(within.start) {
        work(1);
        let inside = std::mem::replace(&mut in_word, is_word(byte)) && in_word;
        let mut longest: Option<Find> = None;
        if byte.is_ascii_digit() && start >= cards.next && kinds.has(Kind::CreditCard) {
            longest = cards.at(view, start).map(|end| Find { kind: Kind::CreditCard, start, end });
        }
        if !inside {
            for &(kind, rule) in rules(byte) {
                if kinds.has(kind)
                    && let Some(end) = rule(view, start)
                    && longest.is_none_or(|other| other.end < end)
                {
                    longest = Some(Find { kind, start, end });
                }
            }
        }
        if longest.is_some() {
            return longest;
        }
    }
    None
}

/// The search for cards, and how far it is: a match that fails is passed over whole, as a regex's replace-all does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cards {
    pub(super) next: usize,
    /// Where the match that ends at `next` starts.
    pub(super) failed: usize,
}

impl Cards {
    /// The shortest match, and its digits.
    const SHORTEST: usize = 13;

    /// The first card that starts in a range. All that it may have in its first 13 bytes are digits and signs, so
    /// the search goes on behind the last byte that is none: most texts are read in steps of 13.
    fn first(&mut self, view: View<'_>, within: Range<usize>) -> Option<Find> {
        let mut start = within.start.max(self.next);
        while start < within.end {
            let window = view.bytes.get(start..start + Self::SHORTEST)?;
            let other = window.iter().rposition(|byte| !matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'.'));
            work(Self::SHORTEST);
            if let Some(other) = other {
                start += other + 1;
            } else if let Some(end) = self.at(view, start) {
                return Some(Find { kind: Kind::CreditCard, start, end });
            } else {
                start = self.next.max(start + 1);
            }
        }
        None
    }

    /// The end of the card at a place from `next` on.
    fn at(&mut self, view: View<'_>, start: usize) -> Option<usize> {
        if let Some(end) = Self::dotted(view, start) {
            *self = Self { next: end, failed: start };
            return Some(end);
        }
        let mut digits = 0;
        let mut end = start;
        // Luhn doubles each other digit, beginning with the last but one. A digit more, and it is the others.
        let (mut luhn, mut others) = (0, 0);
        while digits < 19 {
            let sign = usize::from(digits > 0 && matches!(view.byte(end), b' ' | b'-'));
            let byte = view.byte(end + sign);
            if !byte.is_ascii_digit() {
                break;
            }
            let digit = u32::from(byte - b'0');
            (luhn, others) = (others + digit, luhn + digit * 2 - if digit > 4 { 9 } else { 0 });
            digits += 1;
            end += sign + 1;
        }
        *self = Self { next: end, failed: start };
        (digits >= Self::SHORTEST && luhn % 10 == 0).then_some(end)
    }

    /// A card as it is embossed, with dots for the gaps.
    fn dotted(view: View<'_>, start: usize) -> Option<usize> {
        if view.byte(start + 4) != b'.' {
            return None;
        }
        let groups: &[usize] = if view.byte(start + 9) == b'.' { &[4, 4, 4, 4] } else { &[4, 6, 5] };
        let (mut end, mut digits, mut luhn) = (start, 0, 0);
        let parity = groups.iter().sum::<usize>() % 2;
        for (n, &group) in groups.iter().enumerate() {
            if n > 0 {
                if view.byte(end) != b'.' {
                    return None;
                }
                end += 1;
            }
            if view.digits(end, group) < group {
                return None;
            }
            for at in end..end + group {
                let digit = u32::from(view.byte(at) - b'0');
                let doubled = digits % 2 == parity;
                luhn += if doubled { digit * 2 / 10 + digit * 2 % 10 } else { digit };
                digits += 1;
            }
            end += group;
        }
        (luhn % 10 == 0 && view.stands_alone(start, end, b".-")).then_some(end)
    }
}

/// E.164: a country code, which has no leading zero, and up to 15 digits in all. Groups of them stand apart by one
/// sign, or two where one is a parenthesis: `+49 (0) 30 123456`.
fn international(view: View<'_>, start: usize) -> Option<usize> {
    if is_word(view.before(start, 1)) {
        return None;
    }
    let mut longest = None;
    let mut at = start + 1 + usize::from(view.byte(start + 1) == b'(');
    let mut digits = 0;
    if view.byte(at) == b'0' {
        return None;
    }
    loop {
        let group = view.digits(at, 16);
        digits += group;
        at += group;
        if group == 0 || digits > 15 {
            return longest;
        }
        if digits >= 7 {
            longest = Some(at);
        }
        at += match (view.byte(at), view.byte(at + 1)) {
            (b' ' | b'.' | b'-' | b'/', b'(') | (b')', b' ' | b'.' | b'-' | b'/') => 2,
            (b' ' | b'.' | b'-' | b'/' | b'(' | b')', _) => 1,
            _ => return longest,
        };
    }
}

/// Three, three and four digits, and a 1 before them or none. Without parentheses both signs are the same, `-` or
/// `.`, and the area starts with 2 to 9, as all do.
fn north_american(view: View<'_>, start: usize) -> Option<usize> {
    let one = match (view.byte(start), view.byte(start + 1)) {
        (b'1', b' ' | b'-' | b'.') => 2,
        (b'1', b'(') => 1,
        _ => 0,
    };
    let area = start + one + usize::from(view.byte(start + one) == b'(');
    if view.digits(area, 3) < 3 {
        return None;
    }
    let first = view.byte(area + 3);
    let (exchange, second) = match (first, view.byte(area + 4)) {
        (b')', b' ' | b'-' | b'.') => (area + 5, view.byte(area + 8)),
        _ => (area + 4, view.byte(area + 7)),
    };
    let signs = if first == b')' {
        matches!(second, b' ' | b'-' | b'.')
    } else {
        matches!(first, b'-' | b'.') && first == second && matches!(view.byte(area), b'2'..=b'9')
    };
    let end = exchange + 8;
    (signs
        && view.digits(exchange, 3) == 3
        && view.digits(exchange + 4, 4) == 4
        && view.stands_alone(start, end, b".-"))
    .then_some(end)
}

fn us_ssn(view: View<'_>, start: usize) -> Option<usize> {
    let number = |at: usize, digits: usize| {
        (view.digits(at, digits) == digits)
            .then(|| (0..digits).fold(0, |sum, n| sum * 10 + u32::from(view.byte(at + n) - b'0')))
    };
    let (area, sign) = (number(start, 3)?, view.byte(start + 3));
    if !matches!(sign, b' ' | b'-') || view.byte(start + 6) != sign || matches!(area, 0 | 666 | 900..) {
        return None;
    }
    let given = number(start + 4, 2)? > 0 && number(start + 7, 4)? > 0;
    (given && view.stands_alone(start, start + 11, b".-")).then_some(start + 11)
}

/// The whole, less its first four characters and then with them, is 1 modulo 97, where A is 10 and Z is 35.
fn iban(view: View<'_>, start: usize) -> Option<usize> {
    let country = [view.byte(start).to_ascii_uppercase(), view.byte(start + 1).to_ascii_uppercase()];
    let length = iban_length(country)?;
    if view.digits(start + 2, 2) < 2 {
        return None;
    }
    let append = |rest: u32, byte: u8| {
        let value = char::from(byte).to_digit(36)?;
        Some((rest * if value < 10 { 10 } else { 100 } + value) % 97)
    };
    let mut at = start + 4;
    let mut rest = 0;
    for n in 4..length {
        at += usize::from(n % 4 == 0 && matches!(view.byte(at), b' ' | b'-' | b'.'));
        rest = append(rest, view.byte(at))?;
        at += 1;
    }
    for n in 0..4 {
        rest = append(rest, view.byte(start + n))?;
    }
    (rest == 1 && view.stands_alone(start, at, b"")).then_some(at)
}

/// The countries of the SWIFT IBAN registry, release 100, with the territories that it names under others:
/// <https://www.swift.com/standards/data-standards/iban-international-bank-account-number>
#[rustfmt::skip]
const fn iban_length(country: [u8; 2]) -> Option<usize> {
    Some(match &country {
        b"NO" => 15,
        b"BE" => 16,
        b"AX" | b"DK" | b"FI" | b"FK" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"MN" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"GG" | b"IE" | b"IM" | b"JE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"BL" | b"DJ" | b"FR" | b"GF" | b"GP" | b"GR" | b"IT" | b"MC" | b"MF" | b"MQ" | b"MR" | b"NC"
        | b"PF" | b"PM" | b"RE" | b"SM" | b"TF" | b"WF" | b"YT" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

/// Four numbers to 255, without leading zeros. What ends in `.0.0.0` is no one's address: browsers have frozen the
/// versions that they tell of so (`Chrome/120.0.0.0`).
fn ipv4(view: View<'_>, start: usize) -> Option<usize> {
    let mut at = start;
    let mut network = true;
    for octet in 0..4 {
        if octet > 0 {
            if view.byte(at) != b'.' {
                return None;
            }
            at += 1;
        }
        let digits = view.digits(at, 3);
        let value = (0..digits).fold(0, |sum, n| sum * 10 + u32::from(view.byte(at + n) - b'0'));
        if digits == 0 || value > 255 || digits > 1 && view.byte(at) == b'0' {
            return None;
        }
        network &= octet == 0 || value == 0;
        at += digits;
    }
    (!network && view.stands_alone(start, at, b".")).then_some(at)
}

/// The longest part of a run of hex digits, `:` and `.` that is an address and ends where a group does: what follows
/// may be a port or the end of a sentence.
fn ipv6(view: View<'_>, start: usize) -> Option<usize> {
    /// The longest address has 45 bytes, a port six. A longer run is a fingerprint.
    const RUN_MAX: usize = 51;
    let part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    if !(0..5).any(|n| view.byte(start + n) == b':') || continues_groups(view, start) {
        return None;
    }
    let run = (0..=RUN_MAX).take_while(|n| part(view.byte(start + n))).count();
    let run = view.bytes.get(start..start + run).filter(|run| run.len() <= RUN_MAX)?;
    if run.split(|&byte| byte == b':').count() < 8 && !run.windows(2).any(|two| two == b"::") {
        return None;
    }
    (3..=run.len()).rev().find_map(|length| {
        let end = start + length;
        if is_word(view.byte(end)) {
            return None;
        }
        let address = std::str::from_utf8(run.get(..length)?).ok()?;
        let numeric = address.bytes().any(|byte| byte.is_ascii_digit());
        (numeric && address.parse::<Ipv6Addr>().is_ok()).then_some(end)
    })
}

/// Whether a run of groups started before this place. A `:` behind a longer word does not: `source:2001:db8::1`.
fn continues_groups(view: View<'_>, start: usize) -> bool {
    match view.before(start, 1) {
        b':' => {
            let group = (2..7).take_while(|&n| view.before(start, n).is_ascii_hexdigit()).count();
            let before = view.before(start, 2 + group);
            view.before(start, 2) == b':' || (1..=4).contains(&group) && !is_word(before)
        }
        b'.' => view.before(start, 2).is_ascii_digit(),
        byte => is_word(byte),
    }
}
