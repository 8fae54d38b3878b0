//! JSON that is known to be sound, gone through once: no text is copied, and what nobody asks for is passed by.
//!
//! A batch of Kinesis is some megabytes of base64 in a little JSON. `serde_json` has looked whether it is JSON before any of this
//! is called, so this only has to find the way; on anything else it ends early, with an error or with less than there is.

use memchr::memchr2;
use wide::u8x16;

/// A place in the JSON.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it is written, between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a str,
    pub(crate) has_escapes: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Goes through the members of an object; `member` takes the value of each key, or leaves it. Anything else is passed by.
    pub(crate) fn object<E>(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a str) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.opens(b'{') {
            self.pass();
            return Ok(());
        }
        while let Some(key) = self.string() {
            self.blanks();
            self.at += 1; // the colon
            self.blanks();
            let value = self.at;
            member(self, key.raw)?;
            if self.at == value {
                self.pass();
            }
            if !self.goes_on() {
                break;
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Goes through the elements of an array, each of which `element` takes or leaves. Anything else is passed by.
    pub(crate) fn array<E>(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        if !self.opens(b'[') {
            self.pass();
            return Ok(());
        }
        while self.byte().is_some_and(|byte| byte != b']') {
            let value = self.at;
            element(self)?;
            if self.at == value {
                self.pass();
            }
            if !self.goes_on() {
                break;
            }
        }
        self.at += 1;
        Ok(())
    }

    /// The string that stands here, if one does.
    pub(crate) fn string(&mut self) -> Option<Text<'a>> {
        if self.byte() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        // What is cut off has no end but that of the text.
        self.at = self.text.len();
        let mut end = start;
        let mut has_escapes = false;
        loop {
            let rest = self.text.as_bytes().get(end..)?;
            end += match rest.first_chunk().map(|chunk| ends(*chunk)) {
                // Most texts are short.
                Some(ends) if ends != 0 => ends.trailing_zeros() as usize,
                _ => memchr2(b'"', b'\\', rest)?,
            };
            if self.text.as_bytes().get(end) == Some(&b'"') {
                break;
            }
            has_escapes = true;
            end += 2;
        }
        self.at = end + 1;
        Some(Text { raw: self.text.get(start..end)?, has_escapes })
    }

    /// The digits of the number that stands here; whatever else has no quotes and no brackets comes too.
    pub(crate) fn number(&mut self) -> &'a str {
        let start = self.at;
        while self.byte().is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b'"' | b'{' | b'[' | 0..=b' ')) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Passes the value that stands here by, without recursion.
    fn pass(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.byte() {
                Some(b'"') => _ = self.string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':' | 0..=b' ') => self.at += 1,
                Some(_) => _ = self.number(),
                None => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Steps over an opening bracket; whether it stands here.
    fn opens(&mut self, bracket: u8) -> bool {
        self.blanks();
        let opens = self.byte() == Some(bracket);
        if opens {
            self.at += 1;
            self.blanks();
        }
        opens
    }

    /// Steps over a comma behind a value; whether there is one.
    fn goes_on(&mut self) -> bool {
        self.blanks();
        let goes_on = self.byte() == Some(b',');
        if goes_on {
            self.at += 1;
            self.blanks();
        }
        goes_on
    }

    #[inline]
    fn blanks(&mut self) {
        if self.byte().is_some_and(|byte| byte <= b' ') {
            self.more_blanks();
        }
    }

    #[cold]
    fn more_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// A bit for each byte that may end a string, the lowest for the first.
#[inline]
fn ends(bytes: [u8; 16]) -> u32 {
    let bytes = u8x16::new(bytes);
    (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What the scan finds, as serde_json would have it.
    fn read(scan: &mut Scan<'_>) -> Value {
        let Ok::<_, ()>(value) = (match scan.byte() {
            Some(b'{') => {
                let mut map = serde_json::Map::new();
                let done = scan.object(|scan, key| {
                    let value = if key == "left" { Value::Null } else { read(scan) };
                    map.insert(key.to_owned(), value);
                    Ok(())
                });
                done.map(|()| Value::Object(map))
            }
            Some(b'[') => {
                let mut list = Vec::new();
                scan.array(|scan| {
                    list.push(read(scan));
                    Ok(())
                })
                .map(|()| Value::Array(list))
            }
            Some(b'"') => {
                let text = scan.string().unwrap();
                assert_eq!(text.has_escapes, text.raw.contains('\\'));
                Ok(serde_json::from_str(&format!("\"{}\"", text.raw)).unwrap())
            }
            _ => Ok(serde_json::from_str(scan.number()).unwrap()),
        }) else {
            unreachable!()
        };
        value
    }

    #[test]
    fn it_finds_what_is_there_and_passes_the_rest_by() {
        let text = r#" { "a" : [ 1 , -2.5e3, "x\"\\", {} , [ ] , true ], "left" : { "b": ["}", "]\\", {"c": "\""}], "d": null } , "e" : "\u00e9" } "#;
        let mut scan = Scan::new(text.trim());
        assert_eq!(read(&mut scan), json!({"a": [1, -2.5e3, "x\"\\", {}, [], true], "left": null, "e": "é"}));
        assert_eq!(scan.at, text.trim().len());
    }

    #[test]
    fn it_ends_on_anything() {
        let sound = r#"{"a":[1,{"b":"x\\"}],"left":[[{}]],"c":2}"#;
        for cut in 0..sound.len() {
            for text in [&sound[..cut], &sound[cut..], &sound.replace(&sound[cut..=cut], "[")] {
                let mut scan = Scan::new(text);
                let _ = scan.object(|scan, _| scan.array(|_| Ok::<_, ()>(())));
                scan.pass();
            }
        }
    }
}
