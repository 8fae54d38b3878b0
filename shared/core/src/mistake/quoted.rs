//! Strings of a TOML file: where a part of a string's value is written.
//!
//! An escape is several signs for one, a `\` at the end of a line some for none, and the first line break of a string of
//! several lines is none of its value. Grammar: <https://toml.io/en/v1.1.0#string>.

use std::ops::Range;

/// What opens and closes a string, the longer before the shorter.
const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// Where in the text a part of a string's value is written. The string is told with its quotes, the part in bytes of
/// the value. None where this is no such string.
pub(crate) fn place_of(text: &str, string: &Range<usize>, part: &Range<usize>) -> Option<Range<usize>> {
    let (mut place, signs) = signs(text.get(string.clone())?)?;
    let mut at = 0;
    for (sign, written) in signs {
        let end = at + sign.len_utf8();
        // An empty part stands behind the sign before it.
        if end <= part.start {
            place = written.end..written.end;
        } else if at < part.end {
            let start = if at <= part.start { written.start } else { place.start };
            place = start..written.end;
        }
        at = end;
    }
    (part.end <= at).then_some(string.start + place.start..string.start + place.end)
}

/// The signs of a string's value, each with the bytes that it is written with, behind the place where they begin.
#[expect(clippy::type_complexity, reason = "it is read once")]
fn signs(written: &str) -> Option<(Range<usize>, Vec<(char, Range<usize>)>)> {
    let quote = QUOTES.into_iter().find(|quote| written.starts_with(quote))?;
    let body = written.get(..written.len().checked_sub(quote.len())?).filter(|_| written.ends_with(quote))?;
    let mut at = quote.len();
    let rest = body.get(at..)?;
    if quote.len() == 3 {
        at += ["\n", "\r\n"].into_iter().find(|line_end| rest.starts_with(line_end)).map_or(0, str::len);
    }
    let start = at..at;
    let mut signs = Vec::new();
    while let Some(first) = body.get(at..)?.chars().next() {
        let (sign, length) = if first == '\\' && quote.starts_with('"') {
            escape(body.get(at + 1..)?)?
        } else {
            (Some(first), first.len_utf8())
        };
        signs.extend(sign.map(|sign| (sign, at..at + length)));
        at += length;
    }
    Some((start, signs))
}

/// The sign that a `\` and what is behind it stand for, if for any, and how many bytes they are.
fn escape(behind: &str) -> Option<(Option<char>, usize)> {
    let code = behind.chars().next()?;
    let sign = match code {
        'b' => '\u{8}',
        'e' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '\\' | '"' => code,
        'x' | 'u' | 'U' => {
            let digits = match code {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let number = u32::from_str_radix(behind.get(1..1 + digits)?, 16).ok()?;
            return Some((Some(char::from_u32(number)?), 2 + digits));
        }
        ' ' | '\t' | '\r' | '\n' => {
            let rest = behind.trim_start_matches([' ', '\t', '\r', '\n']);
            return Some((None, 1 + behind.len() - rest.len()));
        }
        _ => return None,
    };
    Some((Some(sign), 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;
    use toml::de::{DeTable, DeValue};

    /// What is written where the word `here` stands in the value.
    fn here(string: &str) -> String {
        let text = format!("a = {string} # here\n");
        let table = DeTable::parse(&text).unwrap();
        let (_, value) = table.get_ref().iter().next().unwrap();
        let DeValue::String(told) = value.get_ref() else { panic!("{string}") };
        let at = told.find("here").unwrap();
        let place = place_of(&text, &value.span(), &(at..at + 4)).unwrap();
        format!("{}:{}", place.start - 4, &text[place])
    }

    #[test]
    fn a_part_is_found_however_the_string_is_written() {
        for (string, told) in [
            (r#""here""#, "1:here"),
            (r#"'\here'"#, "2:here"),
            (r#""\"\\here\"""#, "5:here"),
            (r#""\u00fc\U0001F600\x41 here""#, "22:here"),
            ("\"ü here\"", "4:here"),
            (r#""h\u0065re""#, r"1:h\u0065re"),
            ("'''here'''", "3:here"),
            ("'''\nhere'''", "4:here"),
            ("'''\r\na\r\n  here\r\n'''", "10:here"),
            ("'''''here'''''", "5:here"),
            ("\"\"\"\n\n\"here\" \\n\"\"\"", "6:here"),
            ("\"\"\"a \\\n  \n   here\"\"\"", "13:here"),
            ("\"\"\"he\\   \r\n\r\n re\"\"\"", "3:he\\   \r\n\r\n re"),
        ] {
            assert_eq!(here(string), told, "{string}");
        }
    }

    #[test]
    fn an_empty_part_stands_behind_what_is_before_it() {
        let place = |string: &str, at: usize| place_of(string, &(0..string.len()), &(at..at));
        assert_eq!(place("'''\nab\n'''", 2), Some(6..6));
        assert_eq!(place("'''\nab\n'''", 0), Some(4..4));
        assert_eq!(place("\"ab\"", 2), Some(3..3));
        assert_eq!(place("\"\"", 0), Some(1..1));
        assert_eq!(place("\"a\\\"\"", 2), Some(4..4));
    }

    #[test]
    fn what_is_no_string_or_too_short_has_no_such_part() {
        for text in ["", "a", "\"", "\"a", "'a\"", "''''", "7", r#""\q""#, r#""\u12""#, r#""\ud800""#] {
            assert_eq!(place_of(text, &(0..text.len()), &(0..1)), None, "{text}");
        }
        assert_eq!(place_of("\"ab\"", &(0..4), &(1..3)), None);
        assert_eq!(place_of("\"ab\"", &(0..9), &(0..1)), None);
    }

    /// A sign of a string's body, in one of the ways that it can be written in these quotes.
    fn write(sign: char, way: u8, quote: &str, string: &mut String) {
        let is_plain = match quote {
            "'" => sign != '\'' && (sign == '\t' || !sign.is_control()),
            "'''" => sign != '\'' && (matches!(sign, '\t' | '\n') || !sign.is_control()),
            "\"" => !matches!(sign, '"' | '\\') && (sign == '\t' || !sign.is_control()),
            _ => !matches!(sign, '"' | '\\') && (matches!(sign, '\t' | '\n') || !sign.is_control()),
        };
        let number = u32::from(sign);
        if quote.starts_with('\'') {
            string.push(if is_plain { sign } else { '-' });
        } else if is_plain && way < 4 {
            string.push(sign);
        } else if way == 5 && number < 0x100 {
            write!(string, "\\x{number:02x}").unwrap();
        } else if way == 6 && number < 0x1_0000 {
            write!(string, "\\u{number:04X}").unwrap();
        } else {
            write!(string, "\\U{number:08x}").unwrap();
        }
        if way == 7 && quote == "\"\"\"" {
            string.push_str("\\ \n\t \r\n");
        }
    }

    proptest! {
        /// The signs are those that the parser reads, each from a stretch of its own, one behind the other.
        #[test]
        fn signs_are_those_of_the_value(
            signs_and_ways in prop::collection::vec((any::<char>(), 0..8_u8), 0..24),
            quote in prop::sample::select(QUOTES.to_vec()),
            line_end in prop::sample::select(vec!["", "\n", "\r\n"]),
        ) {
            let mut string = quote.to_owned();
            if quote.len() == 3 {
                string.push_str(line_end);
            }
            for (sign, way) in signs_and_ways {
                write(sign, way, quote, &mut string);
            }
            string.push_str(quote);
            let text = format!("a = {string}");
            let table = DeTable::parse(&text).unwrap();
            let (_, value) = table.get_ref().iter().next().unwrap();
            let DeValue::String(told) = value.get_ref() else { panic!("{string}") };

            let (_, found) = signs(&string).unwrap();
            prop_assert_eq!(found.iter().map(|(sign, _)| *sign).collect::<String>(), told.as_ref());
            let mut end = 0;
            for (at, sign) in told.char_indices() {
                let place = place_of(&text, &value.span(), &(at..at + sign.len_utf8())).unwrap();
                prop_assert!(end <= place.start && place.start < place.end);
                let written = &text[place.clone()];
                prop_assert!(written == sign.to_string() || written.starts_with('\\'), "{}", written);
                end = place.end;
            }
        }

        #[test]
        fn no_text_is_too_much(text in "\\PC{0,9}[\"'\\\\\n\r xuU0-9]{0,12}", from in 0..12_usize, length in 0..12_usize) {
            if let Some(place) = place_of(&text, &(0..text.len()), &(from..from + length)) {
                prop_assert!(text.get(place).is_some());
            }
        }
    }
}
