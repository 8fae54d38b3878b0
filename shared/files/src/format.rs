//! What a file is, by its content: the first [`HEAD`] bytes of it decide.
//!
//! | it begins with | it is |
//! | --- | --- |
//! | `PAR1` | Parquet |
//! | the magic bytes of gzip or zstd | that, and within it one of those below, not packed again |
//! | other magic bytes, or what is in no text | nothing that is read: the file is refused, with what it is |
//! | `[` | a JSON array |
//! | `{` | NDJSON, or one object over many lines |
//! | rows that have as many cells as the first one | CSV, with `,`, `;`, tab or a vertical bar between the cells |
//! | anything else | lines, each of which is found bad; or CSV of one column, where the file's name ends with `.csv` |
//!
//! The first row of a CSV names the columns, unless one of its cells is a number, or the same as another.

use crate::cut::Mark;
use crate::refuse::refuse;
use crate::reject;
use crate::row::{self, End, Rows};
use memchr::memchr_iter;
use millrace_core::quarantine::Reject;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How much of a file's text decides what it is, bytes: an event is no longer, nor the names of ten thousand columns.
pub const HEAD: usize = 1 << 20;

/// So many rows show how many cells a row has.
const ROWS: usize = 50;

/// What may stand between cells.
const DELIMITERS: &[u8] = b",;\t|";

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// What was done to its bytes.
    pub packing: Packing,
    /// What its text is.
    pub shape: Shape,
    /// Where the first record begins: behind a byte order mark, the names of columns, the bracket of an array.
    pub begin: Mark,
}

/// What was done to a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Nothing.
    Plain,
    /// Gzip, one member or more.
    Gzip,
    /// Zstandard, one frame or more.
    Zstd,
}

impl Packing {
    /// Its name, for people; none where there is no packing.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// What a file's text is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// An event a line.
    Lines,
    /// One object, over many lines.
    Object,
    /// An array of events.
    Array,
    /// Rows of cells.
    Csv(Dialect),
    /// A table, no text.
    Parquet,
}

impl Shape {
    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lines => "ndjson",
            Self::Object => "object",
            Self::Array => "array",
            Self::Csv(_) => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// How a CSV is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// What stands between two cells.
    pub delimiter: u8,
    /// What stands around a cell that has a delimiter or a line end in it.
    pub quote: u8,
    /// Whether such a sign is one of the cell's own behind a backslash, as Spark and `MySQL` write them, or only where it is
    /// doubled.
    #[serde(default)]
    pub escaped: bool,
    /// The columns' names.
    pub names: Vec<String>,
}

/// Whether a file that begins so is Parquet.
/// <https://parquet.apache.org/docs/file-format/>
#[must_use]
pub fn is_parquet(head: &[u8]) -> bool {
    head.starts_with(b"PAR1")
}

/// How a file that begins so is packed. Four bytes tell.
pub(crate) fn packing(head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// What a text is that begins so. `is_all` says that it also ends so.
pub(crate) fn shape(
    head: &[u8],
    packing: Packing,
    is_all: bool,
    name: &str,
) -> Result<(Shape, Mark), Reject> {
    refuse(head, packing)?;
    let bom = if head.starts_with(BOM) { BOM.len() } else { 0 };
    let text = head.get(bom..).unwrap_or_default();
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let (blanks, rest) = text.split_at(blank);
    let begin = Mark { at: (bom + blank) as u64, number: 1 + lines(blanks) };
    match rest.first() {
        None => Ok((Shape::Lines, begin)),
        Some(b'[') => Ok((Shape::Array, Mark { at: begin.at + 1, number: 1 })),
        Some(b'{') => {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let is_object =
                is_all && is_cut_short(line) && serde_json::from_slice::<IgnoredAny>(rest).is_ok();
            Ok((if is_object { Shape::Object } else { Shape::Lines }, begin))
        }
        Some(_) => Ok(csv(rest, is_all, name, begin)?.unwrap_or((Shape::Lines, begin))),
    }
}

/// Whether this is JSON as far as it goes.
fn is_cut_short(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(|error| error.is_eof())
}

fn csv(text: &[u8], is_all: bool, name: &str, begin: Mark) -> Result<Option<(Shape, Mark)>, Reject> {
    if text.split(|byte| *byte == b'\n').take(ROWS).any(|line| line.starts_with(b"{")) {
        return Ok(None);
    }
    let (text, begin, said) = match separator(text) {
        Some((line, delimiter)) => {
            let behind = Mark { at: begin.at + line as u64, number: begin.number + 1 };
            (text.get(line..).unwrap_or_default(), behind, Some(delimiter))
        }
        None => (text, begin, None),
    };
    let quote = if !text.contains(&b'"') && is_quoted_by(text, b'\'') { b'\'' } else { b'"' };
    let escaped = is_escaped(text, quote);
    let of = |delimiter| Dialect { delimiter, quote, escaped, names: Vec::new() };
    let mut best: Option<(usize, Dialect)> = None;
    for delimiter in said.as_ref().map_or(DELIMITERS, std::slice::from_ref) {
        let dialect = of(*delimiter);
        let counts: Vec<_> = sample(text, &dialect, is_all).iter().map(Vec::len).collect();
        let first = counts.first().copied().unwrap_or_default();
        let same = counts.iter().filter(|count| **count == first).count();
        // In thousandths, so that a delimiter which fits all rows goes before one that fits most.
        let score = same * 1000 / counts.len().max(1);
        let better = best.as_ref().is_none_or(|(than, _)| score > *than);
        if first > 1 && same * 2 > counts.len() && better {
            best = Some((score, dialect));
        }
    }
    let is_packing = |end: &&str| ["gz", "zst", "zstd"].iter().any(|packed| end.eq_ignore_ascii_case(packed));
    let is_named =
        name.rsplit('.').find(|end| !is_packing(end)).is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let Some(mut dialect) =
        best.map(|(_, dialect)| dialect).or_else(|| said.or(is_named.then_some(b',')).map(of))
    else {
        return Ok(None);
    };
    if !text.contains(&b'\n') && memchr_iter(b'\r', text).count() > 1 {
        let detail = "its lines end with a carriage return alone: save it with line feeds";
        return Err(reject("line_ends", detail));
    }
    let row = match row::end(text, &dialect, is_all) {
        End::At(end) => end,
        End::Bad(_) | End::Beyond if is_all => 0,
        End::Bad(_) | End::Beyond => {
            return Err(reject("no_header", format!("its first row does not end within {HEAD} bytes")));
        }
    };
    let first = sample(text, &dialect, is_all).into_iter().next().unwrap_or_default();
    if !is_header(&first) {
        dialect.names = (1..=first.len()).map(|column| format!("column_{column}")).collect();
        return Ok(Some((Shape::Csv(dialect), begin)));
    }
    dialect.names = names(&first);
    let header = text.get(..row).unwrap_or_default();
    let begin = Mark { at: begin.at + row as u64, number: begin.number + lines(header) };
    Ok(Some((Shape::Csv(dialect), begin)))
}

/// What stands between cells where the first line says so, as Excel writes and wants it: `sep=;`. And how long that line is.
fn separator(text: &[u8]) -> Option<(usize, u8)> {
    let rest = text.get(..4).filter(|begin| begin.eq_ignore_ascii_case(b"sep=")).and(text.get(4..))?;
    match rest {
        [delimiter, b'\n', ..] if DELIMITERS.contains(delimiter) => Some((6, *delimiter)),
        [delimiter, b'\r', b'\n', ..] if DELIMITERS.contains(delimiter) => Some((7, *delimiter)),
        _ => None,
    }
}

/// Whether cells of the first line have this sign at both ends.
fn is_quoted_by(text: &[u8], sign: u8) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    line.len() > 2 && line.starts_with(&[sign]) && line.ends_with(&[sign])
}

/// Whether a quote stands behind a backslash where no cell can end.
fn is_escaped(text: &[u8], quote: u8) -> bool {
    let is_end = |byte: u8| byte == quote || DELIMITERS.contains(&byte) || matches!(byte, b'\r' | b'\n');
    memchr_iter(b'\\', text).any(|at| {
        let is_first = at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\\');
        let next = text.get(at + 2).copied().unwrap_or(b'\n');
        is_first && text.get(at + 1) == Some(&quote) && !is_end(next)
    })
}

/// The cells of the first rows that are whole.
fn sample(text: &[u8], dialect: &Dialect, is_all: bool) -> Vec<Vec<String>> {
    let mut reader = Rows::new(dialect, &[]);
    let (mut at, mut rows) = (0, Vec::new());
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() && rows.len() < ROWS) {
        let (End::At(length) | End::Bad(length)) = row::end(rest, dialect, is_all) else { break };
        if let Ok(Some((cells, ends))) = reader.cells(rest.get(..length).unwrap_or_default()) {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let cell = |(start, end): (usize, &usize)| cells.get(start..*end).unwrap_or_default().to_owned();
            rows.push(starts.zip(ends).map(cell).collect());
        }
        at += length;
    }
    rows
}

/// Whether these are names: none of them a number, none twice, and not all of them empty.
fn is_header(cells: &[String]) -> bool {
    let is_number = |cell: &str| {
        let digits = cell.trim().trim_start_matches(['-', '+', '.']);
        digits.starts_with(|sign: char| sign.is_ascii_digit())
    };
    let mut named: Vec<_> = cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
    let count = named.len();
    named.sort_unstable();
    named.dedup();
    count > 0 && named.len() == count && !cells.iter().any(|cell| is_number(cell))
}

/// The columns' names; one that is empty gets its number, with a sign behind it where another one is called so.
fn names(cells: &[String]) -> Vec<String> {
    let given: HashSet<_> = cells.iter().map(|cell| cell.trim()).collect();
    let name = |(at, cell): (usize, &String)| match cell.trim() {
        "" => {
            let mut name = format!("column_{}", at + 1);
            while given.contains(name.as_str()) {
                name.push('_');
            }
            name
        }
        name => name.to_owned(),
    };
    cells.iter().enumerate().map(name).collect()
}

fn lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(text: impl AsRef<[u8]>, expected: Expect) {
        let told = match shape(text.as_ref(), Packing::Plain, true, "x") {
            Ok((Shape::Csv(dialect), Mark { at, number })) => format!(
                "csv {:?} {:?} {:?} from byte {at}, line {number}",
                char::from(dialect.delimiter),
                char::from(dialect.quote),
                dialect.names
            ),
            Ok((shape, Mark { at, number })) => format!("{} from byte {at}, number {number}", shape.name()),
            Err(why) => why.to_string(),
        };
        expected.assert_eq(&told);
    }

    #[test]
    fn json_begins_as_json_does() {
        check("\n {\"a\":1}\n{\"a\":2}", expect!["ndjson from byte 2, number 2"]);
        check("\u{feff}{\"a\":1}", expect!["ndjson from byte 3, number 1"]);
        check("\n{\n\"a\":1}\n", expect!["object from byte 1, number 2"]);
        check("{\n\"a\":1}\n{}", expect!["ndjson from byte 0, number 1"]);
        check(" [{\"a\":1}]", expect!["array from byte 2, number 1"]);
        check("oops, this is\n{\"a\":1}\n", expect!["ndjson from byte 0, number 1"]);
        check("oops", expect!["ndjson from byte 0, number 1"]);
        check("", expect!["ndjson from byte 0, number 1"]);
        check(" \n", expect!["ndjson from byte 2, number 2"]);
    }

    #[test]
    fn rows_of_as_many_cells_are_csv() {
        check("a,b\n1,2\n", expect![[r#"csv ',' '"' ["a", "b"] from byte 4, line 2"#]]);
        check(
            "\u{feff}\"a\";b ;\r\n1,5;2;\r\n",
            expect![[r#"csv ';' '"' ["a", "b", "column_3"] from byte 12, line 2"#]],
        );
        check("a\tb\n1\t2\n", expect![[r#"csv '\t' '"' ["a", "b"] from byte 4, line 2"#]]);
        check("a|b\nx,y|2\n", expect![[r#"csv '|' '"' ["a", "b"] from byte 4, line 2"#]]);
        check("'a','b'\n'1,5','2'\n", expect![[r#"csv ',' '\'' ["a", "b"] from byte 8, line 2"#]]);
        check("\"a\nb\",c\n1,2\n", expect![[r#"csv ',' '"' ["a\nb", "c"] from byte 8, line 3"#]]);
        // No two columns have the same name.
        check(
            "column_2,,column_2_\n1,2,3\n",
            expect![[r#"csv ',' '"' ["column_2", "column_2__", "column_2_"] from byte 20, line 2"#]],
        );
        // Excel says what it is.
        check("sep=;\r\na,b;c\r\n1,5;2\r\n", expect![[r#"csv ';' '"' ["a,b", "c"] from byte 14, line 3"#]]);
        check("sep=|\na\n1\n", expect![[r#"csv '|' '"' ["a"] from byte 8, line 3"#]]);
        check("sep=,b\n1,2\n", expect![[r#"csv ',' '"' ["sep=", "b"] from byte 7, line 2"#]]);
        // A header alone, and none.
        check("a,b", expect![[r#"csv ',' '"' ["a", "b"] from byte 3, line 1"#]]);
        check("x,1\ny,2\n", expect![[r#"csv ',' '"' ["column_1", "column_2"] from byte 0, line 1"#]]);
        check("x,x\ny,y\n", expect![[r#"csv ',' '"' ["column_1", "column_2"] from byte 0, line 1"#]]);
    }

    #[test]
    fn a_name_decides_what_one_column_is() {
        let (csv, _) = shape(b"sku\nA-1\n", Packing::Plain, true, "list.CSV").unwrap();
        assert_eq!(
            csv,
            Shape::Csv(Dialect {
                delimiter: b',',
                quote: b'"',
                escaped: false,
                names: vec!["sku".to_owned()]
            })
        );
        assert_eq!(shape(b"sku\nA-1\n", Packing::Plain, true, "list").unwrap().0, Shape::Lines);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_advice() {
        check(
            b"\xff\xfea\0,\0b\0",
            expect!["file: utf16: it is UTF-16, and only UTF-8 is read: save it as UTF-8"],
        );
        check(
            "a,b\r1,2\r3,4\r",
            expect!["file: line_ends: its lines end with a carriage return alone: save it with line feeds"],
        );
        // A text may have some signs that are in none.
        check("a,b\n1,\0\x01\n", expect![[r#"csv ',' '"' ["a", "b"] from byte 4, line 2"#]]);
    }

    #[test]
    fn ten_thousand_columns_have_their_names() {
        let header: Vec<_> = (0..10_000).map(|column| format!("c{column}")).collect();
        let (csv, begin) =
            shape(format!("{}\n", header.join(",")).as_bytes(), Packing::Plain, true, "x").unwrap();
        assert!(matches!(csv, Shape::Csv(dialect) if dialect.names == header));
        assert_eq!(begin.number, 2);
    }
}
