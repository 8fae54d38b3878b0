//! JSON gone through once: no text is copied, and what nobody asks for is passed by.
//!
//! A batch of Kinesis is some megabytes of base64 in a little JSON, which a general reader takes longer for than for the
//! base64. What is passed by is not looked at closely, but each bracket, comma and quote has to be where it belongs, so
//! that nothing is missed.

use memchr::memchr2;
use wide::u8x32;

/// A place in the JSON.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it is written, between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// The place behind the first quote.
    pub(crate) start: usize,
    pub(crate) raw: &'a str,
    pub(crate) has_escapes: bool,
}

/// Why the JSON cannot be gone through. Says nothing of what it holds.
pub(crate) type Flaw = &'static str;

const CUT_OFF: Flaw = "the JSON ends too early";
const UNSOUND: Flaw = "a bracket, comma, colon or quote is missing in the JSON";

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// What stands between two places.
    pub(crate) fn between(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Steps over what stands here, if it is this.
    #[inline]
    pub(crate) fn follows(&mut self, text: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let follows = rest.starts_with(text.as_bytes());
        self.at += if follows { text.len() } else { 0 };
        follows
    }

    /// Goes back to a place.
    pub(crate) fn back(&mut self, place: usize) {
        self.at = place;
    }

    /// Goes through the members of the object that stands here; `member` takes the value of each key, or leaves it.
    /// Anything but an object is passed by.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a str) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.blanks();
        if self.byte()? != b'{' {
            return self.pass();
        }
        self.at += 1;
        self.blanks();
        if self.byte()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let Some(key) = self.string()? else { return Err(UNSOUND) };
            self.blanks();
            if self.byte()? != b':' {
                return Err(UNSOUND);
            }
            self.at += 1;
            self.blanks();
            let value = self.at;
            member(self, key.raw)?;
            if self.at == value {
                self.pass()?;
            }
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Goes through the elements of the array that stands here, each of which `element` takes or leaves. Anything but an
    /// array is passed by.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.blanks();
        if self.byte()? != b'[' {
            return self.pass();
        }
        self.at += 1;
        self.blanks();
        if self.byte()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let value = self.at;
            element(self)?;
            if self.at == value {
                self.pass()?;
            }
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// The string that stands here, if one does.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Option<Text<'a>>, Flaw> {
        if self.byte()? != b'"' {
            return Ok(None);
        }
        let start = self.at + 1;
        let mut end = start;
        let mut has_escapes = false;
        loop {
            end = self.text_end(end)?;
            if self.text.as_bytes().get(end) == Some(&b'"') {
                break;
            }
            has_escapes = true;
            end += 2;
        }
        self.at = end + 1;
        Ok(Some(Text { start, raw: self.text.get(start..end).ok_or(CUT_OFF)?, has_escapes }))
    }

    /// What stands between here and the end of a string, unless there are escapes in it.
    #[inline]
    pub(crate) fn plain_text(&mut self) -> Option<&'a str> {
        let (start, end) = (self.at, self.text_end(self.at).ok()?);
        self.at = end;
        self.text.get(start..end).filter(|_| self.byte() == Ok(b'"'))
    }

    /// The first quote or backslash from here on.
    #[inline]
    fn text_end(&self, start: usize) -> Result<usize, Flaw> {
        let rest = self.text.as_bytes().get(start..).ok_or(CUT_OFF)?;
        // Most texts are short.
        for (number, chunk) in rest.as_chunks().0.iter().take(3).enumerate() {
            let ends = ends(*chunk);
            if ends != 0 {
                return Ok(start + number * WIDTH + ends.trailing_zeros() as usize);
            }
        }
        memchr2(b'"', b'\\', rest).map(|length| start + length).ok_or(CUT_OFF)
    }

    /// The digits of the number that stands here, or whatever else there is without quotes, brackets and commas.
    #[inline]
    pub(crate) fn number(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']' | b'"' | b'{' | b'[' | 0..=b' ');
        let length = rest.bytes().position(|byte| ends(&byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Passes the value that stands here by, without recursion.
    fn pass(&mut self) -> Result<(), Flaw> {
        let mut depth = 0_usize;
        loop {
            match self.byte()? {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(UNSOUND)?;
                    self.at += 1;
                }
                b',' | b':' if depth == 0 => return Err(UNSOUND),
                b',' | b':' | 0..=b' ' => self.at += 1,
                _ => _ = self.number(),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Steps over the comma behind a value, or over the bracket; whether it was the comma.
    #[inline]
    fn goes_on(&mut self, bracket: u8) -> Result<bool, Flaw> {
        self.blanks();
        let byte = self.byte()?;
        if byte != b',' && byte != bracket {
            return Err(UNSOUND);
        }
        self.at += 1;
        if byte == b',' {
            self.blanks();
        }
        Ok(byte == b',')
    }

    /// Nothing but blanks may be left.
    pub(crate) fn end(mut self) -> Result<(), Flaw> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { Err("there is more behind the JSON") }
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Result<u8, Flaw> {
        self.text.as_bytes().get(self.at).copied().ok_or(CUT_OFF)
    }
}

/// The bytes that are looked at together.
const WIDTH: usize = 32;

/// A bit for each byte that may end a string, the lowest for the first.
#[inline]
fn ends(bytes: [u8; WIDTH]) -> u32 {
    let bytes = u8x32::new(bytes);
    (bytes.simd_eq(u8x32::splat(b'"')) | bytes.simd_eq(u8x32::splat(b'\\'))).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    /// What the scan finds, as `serde_json` would have it; members named `left` are passed by.
    fn read(scan: &mut Scan<'_>) -> Result<Value, Flaw> {
        match scan.byte()? {
            b'{' => {
                let mut map = Map::new();
                scan.object(|scan, key| {
                    let value = if key == "left" { Value::Null } else { read(scan)? };
                    map.insert(key.to_owned(), value);
                    Ok(())
                })?;
                Ok(map.into())
            }
            b'[' => {
                let mut list = Vec::new();
                scan.array(|scan| {
                    list.push(read(scan)?);
                    Ok(())
                })?;
                Ok(list.into())
            }
            b'"' => {
                let text = scan.string()?.ok_or(UNSOUND)?;
                assert_eq!(text.has_escapes, text.raw.contains('\\'));
                Ok(serde_json::from_str(&format!("\"{}\"", text.raw)).unwrap_or_default())
            }
            _ => serde_json::from_str(scan.number()).map_err(|_| UNSOUND),
        }
    }

    fn whole(text: &str) -> Result<Value, Flaw> {
        let mut scan = Scan::new(text);
        let value = read(&mut scan)?;
        scan.end().map(|()| value)
    }

    #[test]
    fn it_finds_what_is_there_and_passes_the_rest_by() {
        let text = r#"{ "a" : [ 1 , -2.5e3, "x\"\\", {} , [ ] , true ], "left" : { "b": ["}", "]\\", {"c": "\""}], "d": null } , "e" : "\u00e9" } "#;
        assert_eq!(whole(text), Ok(json!({"a": [1, -2.5e3, "x\"\\", {}, [], true], "left": null, "e": "é"})));
    }

    #[test]
    fn nothing_is_missed_where_something_is_missing() {
        let sound = r#"{"a":[1,{"b":"x\\"}],"left":[[{}],"c"],"d":2}"#;
        assert!(whole(sound).is_ok());
        for cut in 0..sound.len() {
            assert!(whole(&sound[..cut]).is_err(), "{}", &sound[..cut]);
        }
        for text in [
            r#"{"a":1 "b":2}"#,
            r#"{"a" 1}"#,
            "{a:1}",
            "[1 2]",
            "[1,2]]",
            "{}{}",
            r#"{"left":,"a":1}"#,
            "[1,2}",
        ] {
            assert!(whole(text).is_err(), "{text}");
        }
    }
}
