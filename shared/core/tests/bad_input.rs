//! Input that is large, odd or aimed: nothing panics, nothing is lost without a word, and the work stays in proportion.
//!
//! Where a test is about work, the input is so large that work in its square would not end.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

mod targets;

use expect_test::{Expect, expect};
use millrace_core::batch::Batch;
use millrace_core::event::{Event, Flaw, NODES_MAX, New, Number, Path, Pattern, Value};
use millrace_core::files;
use millrace_core::frame::{EVENT_MAX, Reader};
use millrace_core::pipeline::Pipeline;
use millrace_core::record::{Record, Source};
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;

const EVENT: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";

fn path(text: &str) -> Path {
    Path::try_from(text.to_owned()).unwrap()
}

fn all(event: &Event, pattern: &str) -> usize {
    let mut found = Vec::new();
    event.find_all(&Pattern::try_from(pattern.to_owned()).unwrap(), &mut found);
    found.len()
}

/// What comes out of a pipeline: the lines of its frames, then its rejects.
fn run(steps: &str, records: &[&str]) -> Vec<String> {
    let mut pipeline = Pipeline::compile(&format!("{EVENT}{steps}"), &files::NONE).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let source = Source { stream: "raw".into(), shard: "shardId-000000000000".into() };
    let mut batch = Batch::default();
    let arrived_at = Micros::new(1_573_841_200_000_000).unwrap();
    let sequences: Vec<_> = (0..records.len()).map(|n| n.to_string()).collect();
    let records = sequences.iter().zip(records);
    let records = records.map(|(sequence, data)| Record { sequence, arrived_at, data: data.as_bytes() });
    batch.begin(&mut pipeline, &key, &source).records(records);
    assert!(batch.tally(None).balances());
    let mut out = Vec::new();
    let mut reader = Reader::default();
    for frame in batch.take_frames() {
        out.extend(reader.read(&frame.data).unwrap().1.events().map(str::to_owned));
    }
    out.extend(batch.take_rejects().iter().map(|entry| entry.reject.to_string()));
    out
}

/// An event that can land, with more fields.
fn event(fields: &str) -> String {
    format!(r#"{{"id":"e","t":"x","at":1573841100,{fields}}}"#)
}

const STEPS: &str = r#"
[[step]]
clean.require = ["id", "o"]
[[step]]
clean.cast = { n = "int" }
[[step]]
enrich.compute = { m = "n + 1" }
[[step]]
anonymize.hmac = ["user"]
[[step]]
anonymize.drop = ["gone"]
"#;

#[test]
fn an_event_of_a_megabyte_goes_through_and_a_larger_one_is_told() {
    let line = |filler: &str| event(&format!(r#""n":"7","user":"u","gone":[1],"o":{filler}"#));
    let spare = 300; // what the steps add
    let fits = EVENT_MAX - spare;
    for filler in [
        format!("\"{}\"", "x".repeat(fits)),
        format!("\"{}\"", "\\u00e9".repeat(fits / 6)),
        format!("\"{}\"", "é".repeat(fits / 2)),
        format!("[{}0]", "0,".repeat(fits / 2 - 100)),
        format!("[{}{{}}]", "{},".repeat(fits / 3 - 100)),
        format!(
            "{{{}\"a\":0}}",
            (0..fits / 10).map(|n| format!("\"{n:05}\":0,")).collect::<Vec<_>>().concat()
        ),
    ] {
        let out = run(STEPS, &[&line(&filler)]);
        assert!(out[0].contains(&filler) && out[0].len() <= EVENT_MAX, "{:.200}", out[0]);
        assert!(out[0].contains(r#""n":7,"#) && out[0].contains(r#""m":8"#) && !out[0].contains("gone"));
    }
    let out = run(STEPS, &[&line(&format!("\"{}\"", "x".repeat(EVENT_MAX)))]);
    assert_eq!(out, ["encode: too_large: the event has more than 1000000 bytes"]);
}

#[test]
fn ten_thousand_fields_keep_their_order_and_are_found() {
    let fields: Vec<_> = (0..10_000).map(|n| format!("\"field{n}\":{n}")).collect();
    let mut read = Event::read(&format!("{{{}}}", fields.join(","))).unwrap();
    assert_eq!(read.fields().count(), 10_000);
    assert!(read.fields().enumerate().all(|(n, (key, _))| key == format!("field{n}")));
    for n in (0..10_000).step_by(97) {
        assert_eq!(
            read.put(&path(&format!("field{n}")), New::Null),
            read.find(&path(&format!("field{n}"))).unwrap()
        );
    }
    assert_eq!(read.fields().filter(|(_, value)| value.is_null()).count(), 104);
    assert_eq!(all(&read, "**"), 10_000);
    targets::whole(&read);
    let out = run(STEPS, &[&event(&format!("\"o\":{{{}}},\"n\":1", fields.join(",")))]);
    assert!(out[0].contains(&fields.join(",")));
}

#[test]
fn the_last_of_very_many_fields_is_found_like_the_first() {
    let fields: Vec<_> = (0..70_000).map(|n| format!("\"field{n}\":{n}")).collect();
    let mut read = Event::read(&format!("{{{}}}", fields.join(","))).unwrap();
    let number = |read: &Event, key: &str| read.get(&path(key)).and_then(Value::as_number)?.as_i64();
    for n in [0, 1, 254, 255, 256, 65_533, 65_534, 65_535, 65_536, 69_999] {
        assert_eq!(number(&read, &format!("field{n}")), Some(n));
    }
    read.put(&path("new"), New::Int(1));
    read.rename(read.find(&path("field69999")).unwrap(), "renamed");
    read.remove_at(&path("field0"));
    let told = ["new", "renamed", "field69999", "field0", "nothing"].map(|key| number(&read, key));
    assert_eq!(told, [Some(1), Some(69_999), None, None, None]);
}

#[test]
fn keys_that_are_made_to_look_alike_take_no_more_work() {
    // The parser tells keys apart by their length and their ends first; these have all of that in common.
    let key = |n: usize| format!("k{:06}k", n % 50_000);
    for (many, left) in [(50_000, 50_000), (100_000, 50_000)] {
        let fields: Vec<_> = (0..many).map(|n| format!("\"{}\":{n}", key(n))).collect();
        let read = Event::read(&format!("{{\"o\":{{{}}}}}", fields.join(","))).unwrap();
        let Some(Value::Object(members)) = read.get(&path("o")) else { panic!("an object") };
        assert_eq!(members.count(), left);
        assert!(members.zip(many - left..).all(|((name, value), n)| {
            name == key(n) && value.as_number().unwrap().as_u64() == Some(n as u64)
        }));
    }
    // One key over and over, plain and escaped, and in many small objects.
    let twins = format!("{{{}\"a\":1}}", "\"a\":0,\"\\u0061\":0,".repeat(50_000));
    assert_eq!(Event::read(&twins).unwrap().to_string(), r#"{"a":1}"#);
    let small = format!("{{\"a\":[{}{{}}]}}", r#"{"a":1,"a":2,"a":3},"#.repeat(20_000));
    assert_eq!(Event::read(&small).unwrap().to_string(), small.replace(r#""a":1,"a":2,"#, ""));
    // Long keys that differ at their ends only.
    let long = "x".repeat(2_000);
    let fields: Vec<_> = (0..2_000).map(|n| format!("\"{long}{n:04}x\":0")).collect();
    assert_eq!(Event::read(&format!("{{{}}}", fields.join(","))).unwrap().fields().count(), 2_000);
}

#[test]
fn keys_that_differ_by_normalisation_are_two_fields() {
    let text = "\"é\":1,\"e\u{301}\":2,\"\\u0065\\u0301\\u0302\":3,\"ﬁ\":4,\"fi\":5,\"Å\":6,\"\u{212b}\":7";
    let mut read = Event::read(&format!("{{{text}}}")).unwrap();
    let values = ["é", "e\u{301}", "e\u{301}\u{302}", "ﬁ", "fi", "Å", "\u{212b}"]
        .map(|key| read.get(&Path::from_key(key)).and_then(Value::as_number).and_then(Number::as_i64));
    assert_eq!(values, [1, 2, 3, 4, 5, 6, 7].map(Some));
    read.put(&path("e\u{301}"), New::Null);
    assert_eq!(read.get(&path("é")).and_then(Value::as_number).and_then(Number::as_i64), Some(1));
    let out = run("[[step]]\nanonymize.drop = [\"e\u{301}\", \"fi\"]\n", &[&event(text)]);
    assert!(out[0].contains("\"é\":1,") && out[0].contains("\"ﬁ\":4,"), "{}", out[0]);
    assert!(!out[0].contains("e\u{301}\"") && !out[0].contains("\"fi\""), "{}", out[0]);
}

#[test]
fn integers_keep_all_their_digits_through_steps_that_do_not_touch_them() {
    let numbers = [
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890123456789012345678901234567890",
        "-0",
        "0.10",
        "1.000000000000000000000000000001",
        "1E+2",
    ];
    for number in numbers {
        let fields =
            format!(r#""o":{{"a":{number},"b":[{number}]}},"n":1,"gone":{number},"user":"u","big":{number}"#);
        let out = run(STEPS, &[&event(&fields)]);
        assert!(out[0].contains(&format!(r#""o":{{"a":{number},"b":[{number}]}},"#)), "{}", out[0]);
        assert!(out[0].contains(&format!(r#""big":{number}"#)), "{}", out[0]);
    }
    // As an id an integer is its digits, however many.
    for id in &numbers[..8] {
        let out = run("", &[&format!(r#"{{"id":{id},"t":"x","at":1573841100}}"#)]);
        assert!(out[0].starts_with(&format!(r#"{{"id":"{id}","#)), "{}", out[0]);
    }
}

#[test]
fn arrays_end_at_so_many_values() {
    let array = |items: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(items - 1));
    // The event, the array, the items.
    let read = Event::read(&array(NODES_MAX - 2)).unwrap();
    assert_eq!(all(&read, "a[]"), NODES_MAX - 2);
    for items in [NODES_MAX - 1, 1_000_000] {
        assert!(matches!(Event::read(&array(items)), Err(Flaw::TooMuch(_))));
        assert_eq!(run("", &[&array(items)]), ["decode: too_large: it has more values than any event"]);
    }
    // What fits a record of the clean stream has no more values than that.
    assert!(array(NODES_MAX - 2).len() + "\"id\":\"\",".len() > EVENT_MAX);
}

#[test]
fn text_keeps_its_escapes_where_nobody_touches_it_and_its_meaning_where_somebody_does() {
    let written = r#""\"\\\/\b\f\n\r\t\u0000\u001f\u0022\u005c\u00e9\uD83D\uDE00\u2028é😀""#;
    let meant = "\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\"\\é😀\u{2028}é😀";
    let out = run(STEPS, &[&event(&format!(r#""o":{written},"n":1"#))]);
    assert!(out[0].contains(&format!(r#""o":{written},"#)), "{}", out[0]);
    let out =
        run("[[step]]\nenrich.compute = { copy = \"o + ''\" }\n", &[&event(&format!("\"o\":{written}"))]);
    let read = Event::read(&out[0]).unwrap();
    assert_eq!((read.str(&path("o")), read.str(&path("copy"))), (Some(meant), Some(meant)));
    // As a key, too.
    let mut read = Event::read(&format!("{{{written}:{written}}}")).unwrap();
    assert_eq!(read.str(&Path::from_key(meant)), Some(meant));
    read.put(&path("x"), New::Null);
    assert_eq!(targets::whole(&read), serde_json::json!({ meant: meant, "x": null }));
}

#[test]
fn a_step_may_not_make_an_event_larger_than_the_memory_bears() {
    let step = "[[step]]\nenrich.compute = { a = \"a + a\" }\n".repeat(40);
    let out = run(&step, &[&event(&format!("\"a\":\"{}\"", "x".repeat(100_000)))]);
    assert_eq!(out, ["enrich.compute: too_large: it makes the event too large for the memory"]);
}

#[test]
fn a_step_that_nests_too_deep_at_once_is_told() {
    let nested = format!("\"a\":{}1{}", "[".repeat(115), "]".repeat(115));
    let compute = format!("[[step]]\nenrich.compute = {{ a = \"{}a{}\" }}\n", "[".repeat(6), "]".repeat(6));
    let out = run(&compute, &[&event(&nested)]);
    assert_eq!(out, ["enrich.compute: too_deep: it nests the event deeper than 120 levels"]);
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn through_wrong_types(step: &str, expected: Expect) {
    let values = [
        "1",
        "\"x\"",
        "null",
        "[]",
        "[{\"b\":{\"c\":\"2\"}}]",
        "{}",
        "{\"b\":[1]}",
        "{\"b\":{\"c\":{\"d\":1}}}",
        "{\"b\":{\"c\":[\"2\"]}}",
    ];
    let mut told = String::new();
    for value in values {
        let out = run(&format!("[[step]]\n{step}\n"), &[&event(&format!("\"a\":{value}"))]);
        let out = out.first().map_or("filtered", String::as_str);
        let shown = out.strip_prefix(r#"{"id":"e","t":"x","at":1573841100000000,"#).unwrap_or(out);
        told += &[value, " => ", &shown.replace(r#""receivedAt":1573841200000000}"#, "…}"), "\n"].concat();
    }
    expected.assert_eq(&told);
}

#[test]
fn paths_through_the_wrong_type_find_nothing() {
    through_wrong_types(
        "clean.require = [\"a.b.c\"]",
        expect![[r#"
        1 => filtered
        "x" => filtered
        null => filtered
        [] => filtered
        [{"b":{"c":"2"}}] => filtered
        {} => filtered
        {"b":[1]} => filtered
        {"b":{"c":{"d":1}}} => "a":{"b":{"c":{"d":1}}},…}
        {"b":{"c":["2"]}} => "a":{"b":{"c":["2"]}},…}
    "#]],
    );
    through_wrong_types(
        "clean.cast = { \"a.b.c\" = \"int\" }",
        expect![[r#"
        1 => "a":1,…}
        "x" => "a":"x",…}
        null => "a":null,…}
        [] => "a":[],…}
        [{"b":{"c":"2"}}] => "a":[{"b":{"c":"2"}}],…}
        {} => "a":{},…}
        {"b":[1]} => "a":{"b":[1]},…}
        {"b":{"c":{"d":1}}} => clean.cast: cannot_cast: `a.b.c` cannot be read as int
        {"b":{"c":["2"]}} => clean.cast: cannot_cast: `a.b.c` cannot be read as int
    "#]],
    );
    through_wrong_types(
        "anonymize.drop = [\"a.b.c\"]",
        expect![[r#"
        1 => "a":1,…}
        "x" => "a":"x",…}
        null => "a":null,…}
        [] => "a":[],…}
        [{"b":{"c":"2"}}] => "a":[{"b":{"c":"2"}}],…}
        {} => "a":{},…}
        {"b":[1]} => "a":{"b":[1]},…}
        {"b":{"c":{"d":1}}} => …}
        {"b":{"c":["2"]}} => …}
    "#]],
    );
    through_wrong_types(
        "anonymize.hmac = [\"a.b.c\"]",
        expect![[r#"
        1 => "a":1,…}
        "x" => "a":"x",…}
        null => "a":null,…}
        [] => "a":[],…}
        [{"b":{"c":"2"}}] => "a":[{"b":{"c":"2"}}],…}
        {} => "a":{},…}
        {"b":[1]} => "a":{"b":[1]},…}
        {"b":{"c":{"d":1}}} => "a":{"b":{"c":"k1:acc0ecdb89dd1d2852b0aaef0123c8e711aa1791aea4835c17986e439a1f37de"}},…}
        {"b":{"c":["2"]}} => "a":{"b":{"c":"k1:fe80e4f140675b196f501f15f19c24dd4da3f66244b3148e395246962cebe84d"}},…}
    "#]],
    );
    through_wrong_types(
        "anonymize.truncate_ip = [\"a.b.c\"]",
        expect![[r#"
        1 => "a":1,…}
        "x" => "a":"x",…}
        null => "a":null,…}
        [] => "a":[],…}
        [{"b":{"c":"2"}}] => "a":[{"b":{"c":"2"}}],…}
        {} => "a":{},…}
        {"b":[1]} => "a":{"b":[1]},…}
        {"b":{"c":{"d":1}}} => …}
        {"b":{"c":["2"]}} => …}
    "#]],
    );
    through_wrong_types(
        "enrich.compute = { \"a.b.c\" = \"1 + 1\" }",
        expect![[r#"
        1 => "a":{"b":{"c":2}},…}
        "x" => "a":{"b":{"c":2}},…}
        null => "a":{"b":{"c":2}},…}
        [] => "a":{"b":{"c":2}},…}
        [{"b":{"c":"2"}}] => "a":{"b":{"c":2}},…}
        {} => "a":{"b":{"c":2}},…}
        {"b":[1]} => "a":{"b":{"c":2}},…}
        {"b":{"c":{"d":1}}} => "a":{"b":{"c":2}},…}
        {"b":{"c":["2"]}} => "a":{"b":{"c":2}},…}
    "#]],
    );
    through_wrong_types(
        "enrich.url = { from = \"a.b.c\", into = \"a.b.u\" }",
        expect![[r#"
        1 => "a":1,…}
        "x" => "a":"x",…}
        null => "a":null,…}
        [] => "a":[],…}
        [{"b":{"c":"2"}}] => "a":[{"b":{"c":"2"}}],…}
        {} => "a":{},…}
        {"b":[1]} => "a":{"b":[1]},…}
        {"b":{"c":{"d":1}}} => "a":{"b":{"c":{"d":1}}},…}
        {"b":{"c":["2"]}} => "a":{"b":{"c":["2"]}},…}
    "#]],
    );
}
