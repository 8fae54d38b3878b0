//! A text as a reader sees it: signs of ASCII for those that look like them, escapes as what they stand for.

use super::{Find, work};
use std::ops::Range;

/// A text as the rules read it.
///
/// Each piece is read for itself, whatever stands around it: what remains of a text beside its finds is read as before.
pub(super) struct Folded {
    pub(super) text: String,
    pieces: Vec<Piece>,
}

/// What is read as something else, or as nothing.
struct Piece {
    source: Range<usize>,
    folded: Range<usize>,
}

impl Folded {
    /// None for a text that is read as it stands, as most are.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut folded = Self { text: String::new(), pieces: Vec::new() };
        let (mut at, mut done) = (0, 0);
        while let Some(next) = text.as_bytes().get(at..).and_then(|rest| rest.iter().position(|&b| folds(b)))
        {
            work(next);
            at += next;
            let rest = text.get(at..).unwrap_or_default();
            let (length, read) = match rest.as_bytes().first() {
                Some(b'\\') => json_escape(rest),
                Some(b'&') => html_escape(rest),
                Some(b'%') => url_escape(rest),
                _ => {
                    let c = rest.chars().next().unwrap_or_default();
                    (c.len_utf8(), Some(c))
                }
            };
            let read = read.map(fold);
            work(length);
            let source = at..at + length;
            at = source.end;
            // A sign that is read as itself is nothing to note.
            let as_it_is = |&c: &char| rest.starts_with(c) && c.len_utf8() == length;
            if let Some(read) = read.filter(|read| !read.as_ref().is_some_and(as_it_is)) {
                if folded.pieces.is_empty() {
                    folded.text.reserve(text.len());
                }
                folded.text.push_str(text.get(done..source.start).unwrap_or_default());
                done = source.end;
                let start = folded.text.len();
                folded.text.extend(read);
                folded.pieces.push(Piece { source, folded: start..folded.text.len() });
            }
        }
        if folded.pieces.is_empty() {
            return None;
        }
        folded.text.push_str(text.get(done..).unwrap_or_default());
        Some(folded)
    }

    /// Where a find stands in the source, without what is invisible at its ends.
    pub(super) fn source(&self, find: Find) -> Range<usize> {
        let last = |count: usize| count.checked_sub(1).and_then(|at| self.pieces.get(at));
        let start = match last(self.pieces.partition_point(|piece| piece.folded.end <= find.start)) {
            Some(piece) => piece.source.end + (find.start - piece.folded.end),
            None => find.start,
        };
        let end = match last(self.pieces.partition_point(|piece| piece.folded.start < find.end)) {
            Some(piece) => piece.source.end + find.end.saturating_sub(piece.folded.end),
            None => find.end,
        };
        start..end
    }
}

/// Whether a byte may begin what is read as something else: an escape, or a sign that `fold` knows.
pub(super) const fn folds(byte: u8) -> bool {
    matches!(byte, b'\\' | b'&' | b'%' | 0xc2 | 0xd9 | 0xdb | 0xe1..=0xe3 | 0xef)
}

/// The sign of ASCII that a sign is read as; none for what is invisible.
fn fold(c: char) -> Option<char> {
    let digit = |zero: u32| char::from_digit(u32::from(c) - zero, 10);
    match c {
        // Spaces (General_Category=Zs).
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        // Dashes and the minus.
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Some('-'),
        // The soft hyphen, joiners, marks of direction.
        '\u{ad}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => None,
        '\u{fe6b}' => Some('@'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        '\u{660}'..='\u{669}' => digit(0x660),
        '\u{6f0}'..='\u{6f9}' => digit(0x6f0),
        _ => Some(c),
    }
}

/// The length of an escape at the start of a text, and what it stands for; none if that is no business of the rules.
type Escape = (usize, Option<char>);

/// `\u0040`, `\n`: JSON within a text. Of JSON within JSON within a text the `\` have doubled.
fn json_escape(text: &str) -> Escape {
    let name = text.bytes().take_while(|&byte| byte == b'\\').count();
    let c = match text.as_bytes().get(name) {
        Some(b'n' | b'r') => return (name + 1, Some('\n')),
        Some(b't') => return (name + 1, Some('\t')),
        Some(b'u') => text.get(name + 1..name + 5).and_then(|code| scalar(code, 16)),
        _ => None,
    };
    if c.is_some() { (name + 5, c) } else { (name, None) }
}

/// `&#64;`, `&#x40;`, `&commat;`, `&nbsp;`.
fn html_escape(text: &str) -> Escape {
    /// `&#0000064;`
    const LENGTH_MAX: usize = 10;
    let end = text.bytes().take(LENGTH_MAX).position(|byte| byte == b';').unwrap_or_default();
    let c = match text.get(1..end).unwrap_or_default() {
        "commat" => Some('@'),
        "nbsp" => Some(' '),
        name => name.strip_prefix('#').and_then(|code| match code.strip_prefix(['x', 'X']) {
            Some(code) => scalar(code, 16),
            None => scalar(code, 10),
        }),
    };
    if c.is_some() { (end + 1, c) } else { (1, None) }
}

/// `%2B` and `%20`, and both and `%40` in a URL that is part of another one's query: `%2540`. A plain `%40` is the
/// rule's for emails.
fn url_escape(text: &str) -> Escape {
    let nested =
        text.as_bytes().get(1..).unwrap_or_default().chunks(2).take_while(|two| *two == b"25").count();
    let code = 1 + 2 * nested;
    match text.as_bytes().get(code..code + 2) {
        Some(b"2B" | b"2b") => (code + 2, Some('+')),
        Some(b"20") => (code + 2, Some(' ')),
        Some(b"40") if nested > 0 => (code + 2, Some('@')),
        _ => (code, None),
    }
}

fn scalar(code: &str, radix: u32) -> Option<char> {
    // `from_str_radix` takes a sign.
    let digits = !code.is_empty() && code.chars().all(|c| c.is_digit(radix));
    char::from_u32(u32::from_str_radix(code, radix).ok().filter(|_| digits)?)
}
