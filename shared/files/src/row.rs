//! A row of CSV: where it ends, and its cells as JSON.
//!
//! RFC 4180 (<https://www.rfc-editor.org/rfc/rfc4180>), read leniently as `csv-core` reads it: a quote within a cell that did not begin
//! with one is a sign like any other. What a stray quote opens would swallow rows up to the next quote, so a row over
//! several lines has to be quoted as it should be; where it is not, its first line is bad, and the next row begins behind that.

use crate::format::Dialect;
use crate::reject;
use csv_core::{ReadRecordResult, ReaderBuilder, Terminator};
use memchr::{memchr, memchr2};
use millrace_core::event::quote;
use millrace_core::quarantine::Reject;
use std::cell::LazyCell;

/// Where a row ends that begins with the first of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Behind its line end, or with the bytes.
    At(usize),
    /// A quote is not closed as it should be; its first line ends here.
    Bad(usize),
    /// Not in these bytes.
    Beyond,
}

/// Finds the end of a row. `is_all` says that no bytes follow these.
///
/// Of bytes that end where a row ends it tells the same as of those with more behind them: a row that is found bad by what
/// follows leaves a quote open in what is there.
pub(crate) fn end(bytes: &[u8], dialect: &Dialect, is_all: bool) -> End {
    let (delimiter, quote) = (dialect.delimiter, dialect.quote);
    let from = |at: usize| bytes.get(at..).unwrap_or_default();
    let first_line = LazyCell::new(|| memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1));
    let mut at = 0;
    loop {
        let Some(found) = memchr2(quote, b'\n', from(at)) else {
            return if is_all { End::At(bytes.len()) } else { End::Beyond };
        };
        let place = at + found;
        at = place + 1;
        if bytes.get(place) == Some(&b'\n') {
            return End::At(at);
        }
        if place > 0 && bytes.get(place - 1) != Some(&delimiter) {
            continue;
        }
        loop {
            let Some(found) = memchr(quote, from(at)) else {
                return if is_all { End::Bad(*first_line) } else { End::Beyond };
            };
            at += found + 1;
            if dialect.escaped && backslashes(bytes.get(..at - 1).unwrap_or_default()) % 2 == 1 {
                continue;
            }
            match bytes.get(at) {
                Some(next) if *next == quote => at += 1,
                Some(next) if *next == delimiter || matches!(next, b'\r' | b'\n') => break,
                // Behind a backslash it was meant as a sign of the cell.
                Some(_) if *first_line < at || bytes.get(at - 2) == Some(&b'\\') => {
                    return End::Bad(*first_line);
                }
                Some(_) => break,
                None if is_all => break,
                None => return End::Beyond,
            }
        }
    }
}

/// With how many backslashes these end.
fn backslashes(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count()
}

/// A row with two quotes for one behind a backslash, as the standard has it. Any other backslash is one. (`csv-core` can have an
/// escape, but takes it away before any sign: of `"C:\dir"` it leaves `C:dir`.)
fn doubled(row: &[u8], delimiter: u8, quote: u8) -> Vec<u8> {
    let mut plain = Vec::with_capacity(row.len());
    let (mut at, mut is_quoted, mut begins) = (0, false, true);
    while let Some(byte) = row.get(at).copied() {
        let rest = row.get(at..).unwrap_or_default();
        let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let next = rest.get(slashes.max(1)) == Some(&quote);
        if is_quoted && slashes > 0 && next {
            plain.extend(rest.iter().take(slashes / 2));
            at += slashes;
            if slashes % 2 == 1 {
                plain.extend([quote, quote]);
                at += 1;
            }
            continue;
        }
        if slashes > 0 {
            plain.extend(rest.iter().take(slashes));
            at += slashes;
            begins = false;
            continue;
        }
        plain.push(byte);
        at += 1;
        if byte == quote && is_quoted && next {
            plain.push(quote);
            at += 1;
        } else if byte == quote {
            is_quoted = begins;
        }
        begins = byte == delimiter && !is_quoted;
    }
    plain
}

/// Reads rows, in memory that serves one after the other.
pub(crate) struct Rows<'d> {
    reader: csv_core::Reader,
    /// The names of the columns as JSON has them, with what stands before each.
    keys: &'d [String],
    /// Delimiter and quote, where a quote may stand behind a backslash.
    escaped: Option<(u8, u8)>,
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl<'d> Rows<'d> {
    pub(crate) fn new(dialect: &Dialect, keys: &'d [String]) -> Self {
        // A row is handed over by itself: the only line ends in it are those within quotes.
        let reader = ReaderBuilder::new()
            .delimiter(dialect.delimiter)
            .quote(dialect.quote)
            .terminator(Terminator::Any(b'\n'))
            .build();
        let escaped = dialect.escaped.then_some((dialect.delimiter, dialect.quote));
        Self { reader, keys, escaped, cells: Vec::new(), ends: Vec::new() }
    }

    /// Appends a row as a JSON object; whether it is no blank line.
    pub(crate) fn json(&mut self, row: &[u8], json: &mut String) -> Result<bool, Reject> {
        let keys = self.keys;
        let Some((cells, ends)) = self.cells(row)? else { return Ok(false) };
        let (has, names) = (ends.len(), keys.len());
        if has != names {
            let reason = if has < names { "missing_columns" } else { "extra_columns" };
            let cells = if has == 1 { "cell" } else { "cells" };
            let columns = if names == 1 { "is 1 column".to_owned() } else { format!("are {names} columns") };
            return Err(reject(reason, format!("the row has {has} {cells}, and there {columns}")));
        }
        let mut start = 0;
        for (key, end) in keys.iter().zip(ends) {
            json.push_str(key);
            quote(cells.get(start..*end).unwrap_or_default(), json);
            start = *end;
        }
        json.push('}');
        Ok(true)
    }

    /// The cells of a row, one after the other, and where each ends; none of a blank line.
    pub(crate) fn cells(&mut self, row: &[u8]) -> Result<Option<(&str, &[usize])>, Reject> {
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if row.is_empty() {
            return Ok(None);
        }
        if let Some((delimiter, quote)) = self.escaped
            && memchr(b'\\', row).is_some()
        {
            return self.standard(&doubled(row, delimiter, quote));
        }
        self.standard(row)
    }

    /// The cells of a row in which what is doubled is a quote.
    fn standard(&mut self, row: &[u8]) -> Result<Option<(&str, &[usize])>, Reject> {
        self.reader.reset();
        self.cells.resize(self.cells.len().max(row.len() + 1), 0);
        self.ends.resize(self.ends.len().max(self.keys.len() + 1), 0);
        let (mut read, mut written, mut count) = (0, 0, 0);
        loop {
            let (result, took, wrote, ended) = self.reader.read_record(
                row.get(read..).unwrap_or_default(),
                self.cells.get_mut(written..).unwrap_or_default(),
                self.ends.get_mut(count..).unwrap_or_default(),
            );
            read += took;
            written += wrote;
            count += ended;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => break,
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
        let cells = self.cells.get(..written).unwrap_or_default();
        let cells = simdutf8::basic::from_utf8(cells)
            .map_err(|_| reject("not_utf8", "the row is not UTF-8: save the file as UTF-8"))?;
        Ok(Some((cells, self.ends.get(..count).unwrap_or_default())))
    }
}

/// What stands before each cell of a row in its JSON: `{"a":`, `,"b":`.
pub(crate) fn keys(names: &[String]) -> Vec<String> {
    let key = |(at, name): (usize, &String)| {
        let mut key = String::from(if at == 0 { "{" } else { "," });
        quote(name, &mut key);
        key.push(':');
        key
    };
    names.iter().enumerate().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Dialect {
        Dialect { delimiter: b',', quote: b'"', escaped: false, names: Vec::new() }
    }

    #[test]
    fn a_row_ends_with_its_line_unless_that_is_quoted() {
        for (bytes, is_all, expected) in [
            ("a,b\nc", false, End::At(4)),
            ("a,b", false, End::Beyond),
            ("a,b", true, End::At(3)),
            ("a,\"x\ny\"\nc", false, End::At(8)),
            ("\"x\n\"\"y\"\r\nc", false, End::At(9)),
            ("5\" pipe,6\"\nc", false, End::At(11)),
            ("a,\"x\"y\nc", false, End::At(7)),
            // A backslash says that this dialect is another one.
            ("a,\"x\\\"y\"\nc", false, End::Bad(9)),
            ("a,\"x\\\"\nc", false, End::At(7)),
            // Not closed: at the end, or by a quote that is another cell's.
            ("a,\"x\nb,y\n", false, End::Beyond),
            ("a,\"x\nb,y\n", true, End::Bad(5)),
            ("a,\"x\nb,\"y\"\n", false, End::Bad(5)),
            ("a,\"x", true, End::Bad(4)),
            ("a,\"x\"", false, End::Beyond),
            ("a,\"x\"", true, End::At(5)),
        ] {
            assert_eq!(end(bytes.as_bytes(), &dialect(), is_all), expected, "{bytes:?}");
        }
    }

    #[test]
    fn cells_are_those_of_the_csv_crate() {
        let names: Vec<String> = ["a", "b\""].map(str::to_owned).to_vec();
        let keys = keys(&names);
        let (dialect, mut json) = (dialect(), String::new());
        let mut rows = Rows::new(&dialect, &keys);
        for (row, expected) in [
            ("1,2\n", Ok(r#"{"a":"1","b\"":"2"}"#)),
            ("1,2\r\n", Ok(r#"{"a":"1","b\"":"2"}"#)),
            ("\"1,\n\"\"x\",", Ok(r#"{"a":"1,\n\"x","b\"":""}"#)),
            ("\0,\"\"", Ok(r#"{"a":"\u0000","b\"":""}"#)),
            (",", Ok(r#"{"a":"","b\"":""}"#)),
            ("\r\n", Ok("")),
            ("1\n", Err("file: missing_columns: the row has 1 cell, and there are 2 columns")),
            ("1,2,3,4,5,6,7\n", Err("file: extra_columns: the row has 7 cells, and there are 2 columns")),
        ] {
            json.clear();
            let told = rows.json(row.as_bytes(), &mut json).map(|_| json.as_str());
            assert_eq!(
                told.map_err(|why| why.to_string()).as_deref(),
                expected.map_err(str::to_owned).as_deref(),
                "{row:?}"
            );
        }
        assert_eq!(rows.json(b"\xff,1\n", &mut json).unwrap_err().reason, "not_utf8");
    }

    #[test]
    fn behind_a_backslash_a_quote_is_one_of_the_cell() {
        let dialect = Dialect { escaped: true, ..dialect() };
        for (row, expected) in [
            (r#""a \"b\" c",1"#, [r#"a "b" c"#, "1"]),
            (r#""a, \"b\"",1"#, [r#"a, "b""#, "1"]),
            (r#""C:\dir\\",1"#, [r"C:\dir\", "1"]),
            (r#""a ""b"" \\\"",1"#, [r#"a "b" \""#, "1"]),
            (r#"5\" x,"\"""#, [r#"5\" x"#, "\""]),
            ("\"a\nb \\\"c\\\"\",1", ["a\nb \"c\"", "1"]),
            (r#""","""#, ["", ""]),
        ] {
            let line = format!("{row}\n");
            assert_eq!(end(line.as_bytes(), &dialect, false), End::At(line.len()), "{row}");
            let mut rows = Rows::new(&dialect, &[]);
            let (cells, ends) = rows.cells(line.as_bytes()).unwrap().unwrap();
            assert_eq!([&cells[..ends[0]], &cells[ends[0]..]], expected, "{row}");
        }
    }
}
