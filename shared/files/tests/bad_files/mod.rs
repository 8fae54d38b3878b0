//! Files that are bad, or odd, each with what becomes of it: for the function and for `millrace run`, which have to say the same.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use flate2::{Compression, write::GzEncoder};
use parquet::data_type::{ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::io::Write as _;
use std::sync::Arc;

/// A row becomes an event with its cell `id`.
pub(crate) const PIPELINE: &str = "
[event]
id = \"id\"
type = \"kind\"
time = \"at\"

[[step]]
enrich.constant = { kind = \"row\", at = 1768863600000000 }
";

/// A file, and what becomes of it.
pub(crate) struct Bad {
    /// What is bad, or odd.
    pub(crate) name: &'static str,
    pub(crate) body: Vec<u8>,
    /// How many rows land.
    pub(crate) out: usize,
    /// The rows that do not: the line, or place, and the reason.
    pub(crate) rejects: &'static [(&'static str, &'static str)],
    /// Why the file is refused, where it is.
    pub(crate) refused: Option<&'static str>,
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 3).unwrap()
}

/// Rows of a CSV, some chunks of them, whose text says little of how long they are packed.
fn rows(count: usize) -> String {
    let row = |n: usize| format!("r-{n},{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    std::iter::once("id,name\n".to_owned()).chain((0..count).map(row)).collect()
}

/// Rows of Parquet: maps within maps, a decimal, and nulls.
fn parquet(rows: usize) -> Vec<u8> {
    let schema = "message rows { required binary id (UTF8); optional int64 net (DECIMAL(9,2));
        optional group map (MAP) { repeated group key_value { required binary key (UTF8);
            optional group value (MAP) { repeated group key_value { required binary key (UTF8); optional int64 value; } } } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let ids: Vec<_> = (0..rows).map(|n| format!("p-{n}").as_str().into()).collect();
    let keys: Vec<_> = vec!["k".into(); rows];
    let none = vec![0; rows];
    // The last row has nothing but its id.
    let last = |level: i16| [vec![level; rows.saturating_sub(1)], vec![0; rows.min(1)]].concat();
    let some = rows.saturating_sub(1);
    macro_rules! column {
        ($kind:ty, $values:expr, $defined:expr) => {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<$kind>().write_batch($values, $defined, Some(&none)).unwrap();
            column.close().unwrap();
        };
    }
    column!(ByteArrayType, &ids, None);
    column!(Int64Type, &vec![-1250; some], Some(&last(1)));
    column!(ByteArrayType, &keys[..some], Some(&last(2)));
    column!(ByteArrayType, &keys[..some], Some(&last(4)));
    column!(Int64Type, &vec![7; some], Some(&last(5)));
    group.close().unwrap();
    writer.close().unwrap();
    file
}

/// A file whose one column lies within so many groups, without rows: its footer alone, in Thrift's compact protocol.
fn deep_parquet(groups: u32) -> Vec<u8> {
    let seven = |n: u32, at: u32| u8::try_from(n >> at & 0x7f).unwrap();
    let count = groups + 1;
    let head = [0x15, 2, 0x19, 0xfc, seven(count, 0) | 0x80, seven(count, 7) | 0x80, seven(count, 14)];
    let group = [0x48, 1, b'a', 0x15, 2, 0]; // a name, one child
    let leaf = [0x15, 4, 0x25, 0, 0x18, 1, b'a', 0]; // INT64, required, a name
    let footer = [&head[..], &group.repeat(groups as usize), &leaf, &[0x16, 0, 0x19, 0x0c, 0]].concat();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", footer.as_slice(), &length, b"PAR1"].concat()
}

/// All of them.
pub(crate) fn all() -> Vec<Bad> {
    let bad = |name, body: &[u8], out, rejects: &'static [(&'static str, &'static str)]| Bad {
        name,
        body: body.to_vec(),
        out,
        rejects,
        refused: None,
    };
    let refused = |name, body: &[u8], why| Bad { refused: Some(why), ..bad(name, body, 0, &[]) };
    let utf16 = |text: &str, mark: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        mark.then_some(0xfeff).into_iter().chain(units).flat_map(u16::to_le_bytes).collect()
    };
    let columns: Vec<_> = (0..10_000).map(|column| format!("c{column}")).collect();
    let wide = format!("id,{}\nr-1{}\nr-2{}\n", columns.join(","), ",1".repeat(10_000), ",1".repeat(10_001));
    // Chunks are of 256 KB, and the ranges of the test are single chunks.
    let plain = rows(60_000);
    let lines = |text: &str, each: &str, count: usize| text.to_owned() + &each.repeat(count);
    let long = lines("", "a line of a cell\n", 50_000);
    let packed = gzip(plain.as_bytes());
    vec![
        bad("a missing column", b"id,name\nr-1\nr-2,b\n", 1, &[("2", "missing_columns")]),
        bad("an extra column", b"id,name\nr-1,a,x\nr-2,b\n", 1, &[("2", "extra_columns")]),
        bad("an unclosed quote", b"id,name\nr-1,\"a\nr-2,b\n", 1, &[("2", "unclosed_quote")]),
        bad("a byte order mark", b"\xef\xbb\xbfid,name\nr-1,a\n", 1, &[]),
        refused(
            "UTF-16",
            &utf16("id,name\nr-1,a\n", true),
            "it is UTF-16, and only UTF-8 is read: save it as UTF-8",
        ),
        refused(
            "UTF-16 without its mark",
            &utf16("id,name\nr-1,a\n", false),
            "it is UTF-16, and only UTF-8 is read: save it as UTF-8",
        ),
        bad("both kinds of line ends", b"id,name\r\nr-1,a\nr-2,\"b\r\nc\"\r\nr-3,d\r\n", 3, &[]),
        bad("a NUL", b"id,name\nr-1,\0\nr-2,b\n", 2, &[]),
        bad("ten thousand columns", wide.as_bytes(), 1, &[("3", "extra_columns")]),
        bad("another encoding", b"id,name\nr-1,L\xe4mp\nr-2,b\n", 1, &[("2", "not_utf8")]),
        bad("a first line that says what separates", b"sep=;\r\nid;name\r\nr-1;1,5\r\n", 1, &[]),
        bad("nothing", b"", 0, &[]),
        bad("names alone", b"id,name\n", 0, &[]),
        bad(
            "a row longer than a range",
            format!("id,name\nr-1,a\nr-2,{}\nr-3,b\n", "x".repeat(700_000)).as_bytes(),
            3,
            &[],
        ),
        bad(
            "a quote that closes three ranges later",
            format!("id,name\nr-1,a\nr-2,\"{long}\"\nr-3,b\n").as_bytes(),
            3,
            &[],
        ),
        bad(
            "a line of 10 MB",
            format!("{{\"id\":\"r-1\"}}\n{{\"id\":\"{}\"}}\n{{\"id\":\"r-3\"}}\n", "x".repeat(10 << 20))
                .as_bytes(),
            2,
            &[("2", "too_large")],
        ),
        refused(
            "an array that is cut off in an item",
            b"[{\"id\":\"r-1\"},{\"id\":\"r",
            "the array has no end: the file is cut off, or a quote is missing",
        ),
        refused(
            "an array that is cut off between items",
            b"[{\"id\":\"r-1\"},\n{\"id\":\"r-2\"},\n",
            "the array has no end: the file is cut off, or a quote is missing",
        ),
        bad("an array with something behind it", b"[{\"id\":\"r-1\"}]\nend", 1, &[("2", "not_json")]),
        bad(
            "an array of items on lines, one of them with a stray quote",
            format!("[{{\"id\":\"r-\"1\"}},\n{}{{\"id\":\"r-3\"}}]", "{\"id\":\"r-2\"},\n".repeat(20))
                .as_bytes(),
            2,
            &[("1", "not_json")],
        ),
        bad(
            "an array of items on several lines, one of them with a stray quote",
            b"[\n{\n\"id\": \"r-1\"\n},\n{\n\"id\": \"r-\"2\",\n\"a\": 1\n},\n{\"id\": \"r-3\"}\n]\n",
            2,
            &[("2", "not_json"), ("3", "not_json")],
        ),
        refused(
            "an array on one line whose first item has a stray quote",
            format!("[{{\"id\":\"r-\"1\"}},{}]", "{\"id\":\"r-2\"},".repeat(1_300_000)).as_bytes(),
            "the item 1 of the array does not end within 16777216 bytes: a quote or a bracket may be missing",
        ),
        bad(
            "gzip of several members",
            &[gzip(&plain.as_bytes()[..9_999]), gzip(&plain.as_bytes()[9_999..])].concat(),
            60_000,
            &[],
        ),
        bad(
            "zstd of several frames",
            &[zstd(&plain.as_bytes()[..9_999]), zstd(&plain.as_bytes()[9_999..])].concat(),
            60_000,
            &[],
        ),
        // Of more than 1 MB of text that is cut off all whole chunks land.
        Bad {
            out: 53_012,
            ..refused(
                "gzip that is cut off",
                &packed[..packed.len() - 9_000],
                "the gzip data is damaged or cut off",
            )
        },
        Bad {
            out: 53_012,
            ..refused(
                "gzip with something behind it",
                &[&packed[..], b"trailing"].concat(),
                "the gzip data is damaged or cut off",
            )
        },
        refused(
            "gzip within gzip",
            &gzip(&gzip(b"id,name\nr-1,a\n")),
            "it is gzip within gzip: undo the outer one",
        ),
        refused(
            "gzip within zstd",
            &zstd(&gzip(b"id,name\nr-1,a\n")),
            "it is gzip within zstd: undo the outer one",
        ),
        refused("Parquet within gzip", &gzip(&parquet(2)), "it is Parquet within gzip: undo the outer one"),
        refused(
            "an archive",
            b"PK\x03\x04\x14\0\0\0",
            "it is a ZIP archive, or a spreadsheet, which is one: take it apart, or save it as CSV",
        ),
        bad("Parquet with maps in maps, a decimal and nulls", &parquet(3), 3, &[]),
        bad("Parquet without rows", &parquet(0), 0, &[]),
        refused(
            "Parquet with a schema of a hundred thousand levels",
            &deep_parquet(100_000),
            "its schema has more than 120 levels, and an event has no more",
        ),
        refused("Parquet that is cut off", &parquet(3)[..200], "the Parquet file is damaged or cut off"),
    ]
}
