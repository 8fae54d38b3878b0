//! Files as they come: whole, in stretches, packed, and broken.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use bytes::Bytes;
use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use millrace_core::quarantine::Reject;
use millrace_files::cut::{CHUNK, RECORD_MAX};
use millrace_files::format::Dialect;
use millrace_files::{Format, Mark, Packing, Reader, Room, Shape};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::Write as _;

/// A record as a test sees it.
type Told = (u64, String);

/// The records of what comes, read in pushes of this size, the marks between its chunks, and what it is.
fn read(reader: Reader, bytes: &[u8], push: usize) -> Result<(Vec<Told>, Vec<Mark>, Format), Reject> {
    read_to(reader, bytes, push, Reader::end)
}

/// The same, of bytes that end so.
fn read_to(
    mut reader: Reader,
    bytes: &[u8],
    push: usize,
    end: fn(&mut Reader) -> Result<(), Reject>,
) -> Result<(Vec<Told>, Vec<Mark>, Format), Reject> {
    let (mut told, mut marks, mut room) = (Vec::new(), Vec::new(), Room::default());
    let (mut at, mut ended) = (0, false);
    loop {
        if let Some(mut chunk) = reader.chunk(&mut room) {
            let Ok(()) = chunk.each(|piece| {
                let text = String::from_utf8_lossy(piece.bytes);
                let flaw = piece.flaw.map(|why| format!(" <- {why}")).unwrap_or_default();
                told.push((piece.number, format!("{text}{flaw}")));
                Ok::<_, Infallible>(())
            });
            marks.push(chunk.end());
            room = chunk.into_room();
        } else if at < bytes.len() {
            let end = (at + push).min(bytes.len());
            at += reader.push(&bytes[at..end])?;
        } else if ended {
            return Ok((told, marks, reader.format().unwrap().clone()));
        } else {
            end(&mut reader)?;
            ended = true;
        }
    }
}

fn whole(bytes: &[u8]) -> Result<Vec<Told>, Reject> {
    read(Reader::new("x.csv"), bytes, 1 << 20).map(|(told, ..)| told)
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn check(bytes: impl AsRef<[u8]>, expected: Expect) {
    let told = match whole(bytes.as_ref()) {
        Ok(told) => lines(&told),
        Err(why) => format!("{why}\n"),
    };
    expected.assert_eq(&told);
}

fn lines(told: &[Told]) -> String {
    let line = |(number, text): &Told| format!("{number}: {text}\n");
    told.iter().map(line).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn rows_become_objects_and_bad_ones_are_named() {
    check(
        "\u{feff}sku;name;price\r\nL-1;\"Lamp; paper\";64.50\r\n\nS-7;Soap\nS-8;Soap;9;EUR\r\nS-9;\"So\nap\";\"\"\nB-1;5\" plank;\0\n",
        expect![[r#"
            2: {"sku":"L-1","name":"Lamp; paper","price":"64.50"}
            4: S-7;Soap <- file: missing_columns: the row has 2 cells, and there are 3 columns
            5: S-8;Soap;9;EUR <- file: extra_columns: the row has 4 cells, and there are 3 columns
            6: {"sku":"S-9","name":"So\nap","price":""}
            8: {"sku":"B-1","name":"5\" plank","price":"\u0000"}
        "#]],
    );
    check(
        "sku\nS-7,Soap\n",
        expect![[r#"
            2: S-7,Soap <- file: extra_columns: the row has 2 cells, and there is 1 column
        "#]],
    );
    check(
        b"a,b\n1,\xff\n2,3\n",
        expect![[r#"
            2: 1,� <- file: not_utf8: the row is not UTF-8: save the file as UTF-8
            3: {"a":"2","b":"3"}
        "#]],
    );
}

#[test]
fn a_stray_quote_takes_its_own_line_and_no_more() {
    check(
        "a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n",
        expect![[r#"
            2: 1,"x <- file: unclosed_quote: a quote is not closed as it should be
            3: {"a":"2","b":"y"}
            4: {"a":"3","b":"z"}
            5: {"a":"4","b":"w"}
        "#]],
    );
    check(
        "a,b\n1,2\n3,\"x\n4,y",
        expect![[r#"
            2: {"a":"1","b":"2"}
            3: 3,"x <- file: unclosed_quote: a quote is not closed as it should be
            4: {"a":"4","b":"y"}
        "#]],
    );
}

#[test]
fn one_column_is_csv_by_the_name_packed_or_not() {
    let text = b"id\nr-1\n";
    for (name, file) in [
        ("x.csv", text.to_vec()),
        ("x.csv.gz", gzip(text)),
        ("x.CSV.zst", zstd::bulk::compress(text, 3).unwrap()),
    ] {
        let (told, ..) = read(Reader::new(name), &file, 9).unwrap();
        assert_eq!(told, [(2, r#"{"id":"r-1"}"#.to_owned())], "{name}");
    }
    let (told, ..) = read(Reader::new("x.gz"), &gzip(text), 9).unwrap();
    assert_eq!(told[0].1, "id");
}

/// Spark writes its CSV so.
#[test]
fn a_quote_behind_a_backslash_is_one_of_the_cell_where_the_file_is_written_so() {
    check(
        "id,name\n1,\"a \\\"b\\\" c\"\n2,\"b, \\\"c\\\"\"\n3,\"C:\\\\\"\n4,\"d\"\"\\n\"\n",
        expect![[r#"
            2: {"id":"1","name":"a \"b\" c"}
            3: {"id":"2","name":"b, \"c\""}
            4: {"id":"3","name":"C:\\"}
            5: {"id":"4","name":"d\"\\n"}
        "#]],
    );
    // Here it is none, and a row that would have to be guessed at is bad.
    check(
        "id,name\n1,\"C:\\\"\n2,\"b\"\n",
        expect![[r#"
        2: {"id":"1","name":"C:\\"}
        3: {"id":"2","name":"b"}
    "#]],
    );
    let late = format!("id,name\n{}3,\"a \\\"b\\\"\"\n4,c\n", "2,b\n".repeat(300_000));
    let told = whole(late.as_bytes()).unwrap();
    expect![[r#"
        300002: 3,"a \"b\"" <- file: unclosed_quote: a quote is not closed as it should be
        300003: {"id":"4","name":"c"}
    "#]]
    .assert_eq(&lines(&told[300_000..]));
}

/// Whatever stands in a row, it is not looked at again and again: in the square of their lengths these would take hours.
#[test]
fn a_long_row_takes_the_time_of_its_length() {
    let slashes = "\\".repeat(3 << 20);
    let told = whole(format!("id,name\n1,\"a \\\"b\\\"\"\n2,\"{slashes}x\"\n").as_bytes()).unwrap();
    assert_eq!(told[1].1.len(), r#"{"id":"2","name":"x"}"#.len() + 2 * slashes.len());
    let stray = "\"a\"b,".repeat(500_000);
    let told = whole(format!("id,name\n1,x\n{stray}\n2,y\n").as_bytes()).unwrap();
    assert_eq!((told.len(), told[2].1.as_str()), (3, r#"{"id":"2","name":"y"}"#));
}

#[test]
fn json_comes_in_lines_in_an_array_or_alone() {
    check(
        "\n{\"a\":1}\r\n\n  oops\n[3]\n{\"a\":2}",
        expect![[r#"
            2: {"a":1}
            4: oops
            5: [3]
            6: {"a":2}
        "#]],
    );
    check(
        " [ {\"a\":\"],\\\"\"} ,\n {\"b\":[1,{}]}, ] ",
        expect![[r#"
            1: {"a":"],\""}
            2: {"b":[1,{}]}
        "#]],
    );
    check(
        "[{\"a\":1},{\"a\"",
        expect![[r#"
            file: bad_array: the array has no end: the file is cut off, or a quote is missing
        "#]],
    );
    check("[]", expect![[""]]);
    check(
        "{\n\"a\":\n1}\n",
        expect![[r#"
        1: {
        "a":
        1}
    "#]],
    );
}

#[test]
fn what_has_no_rows_has_none() {
    for nothing in ["", "\n\n", "\u{feff}", "a,b", "a,b\r\n"] {
        assert_eq!(whole(nothing.as_bytes()).unwrap(), [], "{nothing:?}");
    }
}

#[test]
fn ten_thousand_columns() {
    let names: Vec<_> = (0..10_000).map(|column| format!("c{column}")).collect();
    let row = vec!["1"; 10_000].join(",");
    let file = format!("{}\n{row}\n{row},1\n", names.join(","));
    let told = whole(file.as_bytes()).unwrap();
    assert_eq!(told.len(), 2);
    let event: serde_json::Value = serde_json::from_str(&told[0].1).unwrap();
    assert_eq!(event["c9999"], "1");
    assert!(
        told[1].1.ends_with("<- file: extra_columns: the row has 10001 cells, and there are 10000 columns")
    );
}

#[test]
fn packed_files_are_read_through() {
    let text = "a,b\n".to_owned() + &"1,2\n".repeat(300_000);
    let plain = whole(text.as_bytes()).unwrap();
    let members = [gzip(&text.as_bytes()[..700_000]), gzip(&text.as_bytes()[700_000..])].concat();
    let frames =
        [&text[..9], &text[9..]].map(|part| zstd::bulk::compress(part.as_bytes(), 3).unwrap()).concat();
    for packed in [gzip(text.as_bytes()), members, frames] {
        assert_eq!(whole(&packed).unwrap(), plain);
        let cut = whole(&packed[..packed.len() - 3]).unwrap_err();
        assert!(["bad_gzip", "bad_zstd"].contains(&cut.reason), "{cut}");
        assert!(whole(&[&packed[..], b"trailing"].concat()).is_err());
    }
    assert_eq!(whole(&[0x1f, 0x8b]).unwrap_err().reason, "bad_gzip");
}

#[test]
fn a_packed_file_goes_on_where_it_stopped() {
    let text = "a,b\n".to_owned() + &"1,2\n".repeat(300_000);
    let packed = gzip(text.as_bytes());
    let (all, marks, format) = read(Reader::new("x"), &packed, 9_000).unwrap();
    assert_eq!(format.packing, Packing::Gzip);
    let mark = marks[2];
    let (rest, ..) = read(Reader::from(&format, mark).unwrap(), &packed, 9_000).unwrap();
    let expected: Vec<_> = all.into_iter().filter(|(number, _)| *number >= mark.number).collect();
    assert!(!rest.is_empty() && rest == expected);
}

#[test]
fn a_record_without_end_takes_no_memory_without_end() {
    let long = [vec![b'x'; RECORD_MAX + 7 * CHUNK], b"\n{}\n".to_vec()].concat();
    let (told, ..) = read(Reader::new("x"), &[b"{}\n", &long[..]].concat(), 1 << 20).unwrap();
    assert_eq!((told.len(), told[2].clone()), (3, (3, "{}".to_owned())));
    assert!(
        told[1].1.ends_with(
            "<- file: too_large: the line has more than 16777216 bytes, of which the first are kept"
        )
    );

    // A quote that is never closed, with more rows behind it than are kept.
    let rows = "1,2\n".repeat(RECORD_MAX / 4 + 100_000);
    let (told, ..) = read(Reader::new("x"), format!("a,b\n1,\"\n{rows}").as_bytes(), 1 << 20).unwrap();
    assert_eq!(told.len(), RECORD_MAX / 4 + 100_001);
    assert!(told[0].1.contains("unclosed_quote") && !told[1].1.contains("<-"));
}

/// Reads each stretch between two marks by itself.
fn stretches(bytes: &[u8], format: &Format, cuts: &[Mark]) -> Vec<Told> {
    let mut told = Vec::new();
    let mut begin = format.begin;
    for end in cuts {
        let stretch = &bytes[usize::try_from(begin.at).unwrap()..usize::try_from(end.at).unwrap()];
        let reader = Reader::from(format, begin).unwrap();
        told.extend(read_to(reader, stretch, 50_000, Reader::end_stretch).unwrap().0);
        begin = *end;
    }
    told
}

#[test]
fn stretches_of_a_large_file_have_all_its_records_once() {
    let row = |n: usize| match n % 7 {
        0 => format!("{n},\"multi\nline \"\" quoted\"\r\n"),
        1 if n % 35 == 1 => format!("{n},\"never closed\n"),
        2 => format!("{n},a,b\n"),
        _ => format!("{n},plain text of some length\n"),
    };
    let csv: String = std::iter::once("id,text\n".to_owned()).chain((0..60_000).map(row)).collect();
    let line = |n: usize| format!("{{\"id\":{n},\"text\":\"line\"}}\n");
    let ndjson: String = (0..60_000).map(line).collect();
    let array = format!(
        "[{}]",
        (0..60_000).map(|n| format!("{{\"id\":{n},\"t\":\"[,]\"}}")).collect::<Vec<_>>().join(",\n")
    );
    for file in [csv, ndjson, array] {
        let bytes = file.as_bytes();
        let (all, marks, format) = read(Reader::new("x"), bytes, 1 << 20).unwrap();
        assert!(marks.len() > 4 && all.len() >= 60_000);
        assert_eq!(
            read(Reader::new("x"), bytes, 777).unwrap().1,
            marks,
            "the chunks do not depend on the pushes"
        );
        assert_eq!(stretches(bytes, &format, &marks), all);
        let some: Vec<_> = marks.iter().copied().skip(1).step_by(2).chain(marks.last().copied()).collect();
        assert_eq!(stretches(bytes, &format, &some), all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes are: no panic, lines in order, and every byte that is no blank in some record.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(
        prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b'['), Just(b'{'), Just(b'}'), Just(b']'), any::<u8>()], 0..60,
    ), header in prop_oneof![Just(""), Just("a,b\n"), Just("["), Just("{}\n")], push in 1_usize..20) {
        let file = [header.as_bytes(), &bytes].concat();
        if let Ok((told, ..)) = read(Reader::new("x"), &file, push) {
            prop_assert!(told.is_sorted_by(|a, b| a.0 < b.0), "{told:?}");
            prop_assert_eq!(whole_of(&file), told);
        }
    }

    /// A row of CSV begins at a row's end, wherever the file is cut in two at one.
    #[test]
    fn rows_are_the_same_from_any_row_on(file in "[a\"\\\\,\r\n]{0,120}", escaped in any::<bool>()) {
        let dialect = Dialect { delimiter: b',', quote: b'"', escaped, names: vec!["x".to_owned(), "y".to_owned()] };
        let begin = Mark { at: 0, number: 1 };
        let format = Format { packing: Packing::Plain, shape: Shape::Csv(dialect), begin };
        let (all, ..) = read(Reader::from(&format, begin).unwrap(), file.as_bytes(), 1 << 20).unwrap();
        // Where records begin: at the line with their number.
        let mut at = 0;
        let begins: Vec<u64> = file.split_inclusive('\n').map(|line| { at += line.len() as u64; at - line.len() as u64 }).collect();
        for (number, _) in &all {
            let cut = Mark { at: begins[usize::try_from(number - 1).unwrap()], number: *number };
            let end = Mark { at: file.len() as u64, number: 0 };
            prop_assert_eq!(stretches(file.as_bytes(), &format, &[cut, end]), all.clone(), "cut before {}", number);
        }
    }
}

fn whole_of(bytes: &[u8]) -> Vec<Told> {
    read(Reader::new("x"), bytes, 1 << 20).unwrap().0
}

mod parquet_files {
    use super::*;
    use millrace_files::table::{Footer, Parts, Rows, footer};
    use parquet::column::writer::ColumnWriter;
    use parquet::data_type::{
        ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type, Int96,
        Int96Type,
    };
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Two row groups of two rows.
    fn file() -> Bytes {
        let schema = "message rows {
            required int64 id; optional binary name (UTF8); required double price;
            required fixed_len_byte_array(4) net (DECIMAL(9,2)); required int32 day (DATE);
            required int64 at (TIMESTAMP_MICROS); required binary raw; }";
        let mut bytes = Vec::new();
        let properties = Arc::new(
            WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build(),
        );
        let mut writer =
            SerializedFileWriter::new(&mut bytes, Arc::new(parse_message_type(schema).unwrap()), properties)
                .unwrap();
        for group in 0..2_i64 {
            let mut rows = writer.next_row_group().unwrap();
            macro_rules! column {
                ($kind:ty, $values:expr, $levels:expr) => {
                    let mut column = rows.next_column().unwrap().unwrap();
                    column.typed::<$kind>().write_batch($values, $levels, None).unwrap();
                    column.close().unwrap();
                };
            }
            column!(Int64Type, &[i64::MAX - group, group], None);
            column!(ByteArrayType, &["Lämp \"x\"".into()], Some(&[1, 0]));
            column!(DoubleType, &[64.5, f64::NAN], None);
            let decimal = |int: i32| FixedLenByteArray::from(int.to_be_bytes().to_vec());
            column!(FixedLenByteArrayType, &[decimal(-5), decimal(123_456)], None);
            column!(Int32Type, &[20_473, 0], None);
            column!(Int64Type, &[1_795_179_900_000_000, -1], None);
            column!(ByteArrayType, &[vec![0_u8, 255].into(), vec![].into()], None);
            rows.close().unwrap();
        }
        writer.close().unwrap();
        bytes.into()
    }

    fn told(rows: Result<Rows, Reject>) -> Result<Vec<Told>, Reject> {
        let (mut rows, mut told, mut room) = (rows?, Vec::new(), Room::default());
        while let Some(mut chunk) = rows.chunk(&mut room)? {
            let Ok(()) = chunk.each(|piece| {
                told.push((piece.number, String::from_utf8_lossy(piece.bytes).into_owned()));
                Ok::<_, Infallible>(())
            });
        }
        Ok(told)
    }

    #[test]
    fn rows_become_json_with_all_their_digits() {
        let all = told(Rows::of(file(), 0..9, 1)).unwrap();
        expect![[r#"
            1: {"id":9223372036854775807,"name":"Lämp \"x\"","price":64.5,"net":-0.05,"day":"2026-01-20","at":"2026-11-20T13:05:00Z","raw":"AP8="}
            2: {"id":0,"name":null,"price":null,"net":1234.56,"day":"1970-01-01","at":"1969-12-31T23:59:59.999999Z","raw":""}
            3: {"id":9223372036854775806,"name":"Lämp \"x\"","price":64.5,"net":-0.05,"day":"2026-01-20","at":"2026-11-20T13:05:00Z","raw":"AP8="}
            4: {"id":1,"name":null,"price":null,"net":1234.56,"day":"1970-01-01","at":"1969-12-31T23:59:59.999999Z","raw":""}
        "#]]
        .assert_eq(&lines(&all));

        // A row group by itself, of which only its own bytes and the end of the file are there.
        let bytes = file();
        let size = bytes.len() as u64;
        let Footer::Needs(tail) = footer(&bytes.slice(bytes.len() - 8..), size).unwrap() else { panic!() };
        let tail_at = size - tail;
        let tail = bytes.slice(usize::try_from(tail_at).unwrap()..);
        let Footer::Groups(groups) = footer(&tail, size).unwrap() else { panic!() };
        let second = groups[1].bytes.clone();
        let second = (
            second.start,
            bytes.slice(usize::try_from(second.start).unwrap()..usize::try_from(second.end).unwrap()),
        );
        let parts = Parts { size, parts: vec![second, (tail_at, tail)] };
        let mut rows = Rows::of(parts.clone(), 1..2, 3).unwrap();
        assert_eq!(told(Ok(Rows::of(parts, 1..2, 3).unwrap())).unwrap(), all[2..]);
        rows.skip_to(4).unwrap();
        assert_eq!(told(Ok(rows)).unwrap(), all[3..]);
    }

    /// A file of this schema with a row; each column has this value.
    fn row_of(schema: &str, int: i64, bytes: &[u8]) -> Bytes {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
        let mut rows = writer.next_row_group().unwrap();
        while let Some(mut column) = rows.next_column().unwrap() {
            let levels: (Option<&[i16]>, Option<&[i16]>) = (Some(&[1]), Some(&[0]));
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(column) => column.write_batch(&[int], levels.0, levels.1),
                ColumnWriter::ByteArrayColumnWriter(column) => {
                    column.write_batch(&[bytes.to_vec().into()], levels.0, levels.1)
                }
                ColumnWriter::FixedLenByteArrayColumnWriter(column) => {
                    column.write_batch(&[bytes.to_vec().into()], levels.0, levels.1)
                }
                _ => unreachable!(),
            }
            .unwrap();
            column.close().unwrap();
        }
        rows.close().unwrap();
        writer.close().unwrap();
        file.into()
    }

    /// pandas writes its moments so.
    #[test]
    fn nanoseconds_and_uuids_are_texts_at_any_depth() {
        let file = row_of(
            "message rows {
            required int64 at (TIMESTAMP(NANOS,true)); required int64 local (TIMESTAMP(NANOS,false)); required int64 time (TIME(NANOS,true));
            required fixed_len_byte_array(16) id (UUID); required int64 int;
            required group in { required int64 at (TIMESTAMP(NANOS,true)); }
            required group list (LIST) { repeated group list { required int64 element (TIMESTAMP(NANOS,true)); } }
            required group rows (LIST) { repeated group list { required group element { required int64 at (TIMESTAMP(NANOS,true)); required int64 int; } } }
            required group old (LIST) { repeated int64 array (TIMESTAMP(NANOS,true)); }
            repeated int64 bare (TIMESTAMP(NANOS,true));
            required group map (MAP) { repeated group key_value { required int64 key (TIMESTAMP(NANOS,true)); required int64 value (TIMESTAMP(NANOS,true)); } }
            }",
            45_296_123_456_789,
            &[0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0],
        );
        expect![[r#"
            1: {"at":"1970-01-01T12:34:56.123456Z","local":"1970-01-01T12:34:56.123456Z","time":"12:34:56.123456","id":"123e4567-e89b-12d3-a456-426614174000","int":45296123456789,"in":{"at":"1970-01-01T12:34:56.123456Z"},"list":["1970-01-01T12:34:56.123456Z"],"rows":[{"at":"1970-01-01T12:34:56.123456Z","int":45296123456789}],"old":["1970-01-01T12:34:56.123456Z"],"bare":["1970-01-01T12:34:56.123456Z"],"map":{"1970-01-01T12:34:56.123456Z":"1970-01-01T12:34:56.123456Z"}}
        "#]].assert_eq(&lines(&told(Rows::of(file, 0..9, 1)).unwrap()));
    }

    /// A file of this schema and three rows, whose columns have these numbers, and definition and repetition levels.
    fn nested(schema: &str, columns: &[(&[i64], &[i16], &[i16])]) -> Bytes {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
        let mut rows = writer.next_row_group().unwrap();
        for (numbers, defined, repeated) in columns {
            let mut column = rows.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(numbers, Some(defined), Some(repeated)).unwrap();
            column.close().unwrap();
        }
        rows.close().unwrap();
        writer.close().unwrap();
        file.into()
    }

    /// The rules for old writers, one after the other: Avro wrote most of these.
    /// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>
    #[test]
    fn lists_of_old_writers_are_lists_and_no_lists_in_lists() {
        let flat: (&[i64], &[i16], &[i16]) = (&[1, 2], &[0, 1, 2, 2], &[0, 0, 0, 1]);
        let deep: (&[i64], &[i16], &[i16]) = (&[1, 2, 3], &[0, 1, 3, 3, 3], &[0, 0, 0, 2, 1]);
        let file = nested(
            "message rows {
            optional group a (LIST) { repeated int64 element; }
            optional group b (LIST) { repeated group element { required int64 x; required int64 y; } }
            optional group c (LIST) { repeated group array (LIST) { repeated int64 array; } }
            optional group d (LIST) { repeated group array { required int64 x; } }
            optional group e (LIST) { repeated group e_tuple { required int64 x; } }
            optional group f (LIST) { repeated group element { required int64 x; } }
            optional group g (LIST) { repeated group array { repeated int64 x; } }
            optional group h (LIST) { repeated group array (MAP) { repeated group key_value { required int64 key; required int64 value; } } }
            optional group i (LIST) { repeated group array (LIST) { repeated group array (LIST) { repeated int64 array; } } }
            }",
            &[
                flat, flat, flat, deep, flat, flat, flat, deep, deep, deep,
                (&[1, 2, 3, 4], &[0, 1, 4, 4, 4, 4], &[0, 0, 0, 3, 2, 1]),
            ],
        );
        expect![[r#"
            1: {"a":null,"b":null,"c":null,"d":null,"e":null,"f":null,"g":null,"h":null,"i":null}
            2: {"a":[],"b":[],"c":[],"d":[],"e":[],"f":[],"g":[],"h":[],"i":[]}
            3: {"a":[1,2],"b":[{"x":1,"y":1},{"x":2,"y":2}],"c":[[1,2],[3]],"d":[{"x":1},{"x":2}],"e":[{"x":1},{"x":2}],"f":[1,2],"g":[{"x":[1,2]},{"x":[3]}],"h":[{"1":1,"2":2},{"3":3}],"i":[[[1,2],[3]],[[4]]]}
        "#]].assert_eq(&lines(&told(Rows::of(file, 0..9, 1)).unwrap()));
    }

    /// Spark, Hive and Impala wrote their moments so: nanoseconds of a day, and the number of the day.
    #[test]
    fn int96_is_a_moment_to_the_microsecond_at_any_depth() {
        let schema = "message rows { optional int96 at;
            optional group list (LIST) { repeated group list { optional int96 element; } }
            optional group old (LIST) { repeated int96 array; }
            optional group map (MAP) { repeated group key_value { required int96 key; optional int96 value; } } }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let moment = |day: u32, nanos: u64| {
            let [low, high] = [nanos & 0xffff_ffff, nanos >> 32].map(|half| u32::try_from(half).unwrap());
            Int96::from(vec![low, high, day])
        };
        let moments = [moment(2_461_061, 45_296_123_456_789), moment(2_440_587, 86_399_999_999_999)];
        let mut file = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
        let mut rows = writer.next_row_group().unwrap();
        let levels: [(&[i16], &[i16]); 5] = [
            (&[1, 0, 1], &[0, 0, 0]),
            (&[3, 2, 3, 1, 0], &[0, 1, 1, 0, 0]),
            (&[2, 2, 1, 0], &[0, 1, 0, 0]),
            (&[2, 2, 1, 0], &[0, 1, 0, 0]),
            (&[3, 3, 1, 0], &[0, 1, 0, 0]),
        ];
        for (defined, repeated) in levels {
            let mut column = rows.next_column().unwrap().unwrap();
            column.typed::<Int96Type>().write_batch(&moments, Some(defined), Some(repeated)).unwrap();
            column.close().unwrap();
        }
        rows.close().unwrap();
        writer.close().unwrap();
        expect![[r#"
            1: {"at":"2026-01-20T12:34:56.123456Z","list":["2026-01-20T12:34:56.123456Z",null,"1969-12-31T23:59:59.999999Z"],"old":["2026-01-20T12:34:56.123456Z","1969-12-31T23:59:59.999999Z"],"map":{"2026-01-20T12:34:56.123456Z":"2026-01-20T12:34:56.123456Z","1969-12-31T23:59:59.999999Z":"1969-12-31T23:59:59.999999Z"}}
            2: {"at":null,"list":[],"old":[],"map":{}}
            3: {"at":"1969-12-31T23:59:59.999999Z","list":null,"old":null,"map":null}
        "#]].assert_eq(&lines(&told(Rows::of(Bytes::from(file), 0..9, 1)).unwrap()));
    }

    #[test]
    fn an_interval_is_a_text() {
        let schema =
            "message rows { required group in { required fixed_len_byte_array(12) pause (INTERVAL); } }";
        let file = row_of(schema, 0, &[14, 0, 0, 0, 3, 0, 0, 0, 0xe9, 3, 0, 0]);
        expect![[r#"
            1: {"in":{"pause":"P14M3DT1.001S"}}
        "#]]
        .assert_eq(&lines(&told(Rows::of(file, 0..9, 1)).unwrap()));
    }

    #[test]
    fn a_compression_that_is_not_read_is_named() {
        // The library writes no such file as it is built. In the footer the codec is the fourth field of a column, an enum.
        let file = row_of("message rows { required group in { required int64 pause; } }", 7, b"");
        let mut bytes = file.to_vec();
        let path = bytes.windows(5).rposition(|window| window == b"pause").unwrap();
        assert_eq!(bytes[path + 5..path + 7], [0x15, 0], "not compressed");
        bytes[path + 6] = 8;
        let file = Bytes::from(bytes);
        let why = told(Rows::of(file.clone(), 0..9, 1)).unwrap_err();
        expect!["file: bad_parquet: the column `in.pause` is compressed with brotli, which is not read: write it with zstd or snappy"].assert_eq(&why.to_string());
        assert_eq!(footer(&file, file.len() as u64), Err(why), "before a row is read");
    }

    #[test]
    fn a_file_cut_short_or_damaged_is_refused() {
        let whole = file();
        for length in [4, 8, 20, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let cut = whole.slice(..length);
            let why = told(Rows::of(cut.clone(), 0..9, 1)).unwrap_err();
            assert_eq!(
                (why.reason, why.detail.as_ref()),
                ("bad_parquet", "the Parquet file is damaged or cut off")
            );
            assert!(footer(&cut, length as u64).is_err());
        }
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x55;
            let _ = told(Rows::of(Bytes::from(bytes), 0..9, 1));
        }
    }
}
