//! JSON as it comes: what is taken, what is refused and where, what RFC 8259 leaves open, and that reading and changing
//! an event is what serde_json and a plain model make of it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

mod targets;

use expect_test::{Expect, expect};
use fastrand::Rng;
use millrace_core::event::{Event, New, Path, Pattern};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The event with this text as the value of `v`, or why there is none.
fn read(value: &str) -> String {
    let text = format!("{{\"v\":{value}}}");
    targets::json(text.as_bytes());
    match Event::read(&text) {
        Ok(event) => targets::to_json(event.get(&Path::from_key("v")).unwrap()).to_string(),
        Err(why) => why.to_string(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn check(values: &[&str], expected: Expect) {
    let line = |value: &&str| format!("{} => {}\n", visible(value), visible(&read(value)));
    expected.assert_eq(&values.iter().map(line).collect::<String>());
}

/// Text in which what nobody sees stands as its code.
fn visible(text: &str) -> String {
    let seen = |sign: char| sign == ' ' || sign.is_ascii_graphic() || (sign.is_alphanumeric() && sign < '\u{10000}');
    text.chars().map(|sign| if seen(sign) { sign.to_string() } else { sign.escape_default().to_string() }).collect()
}

// ---- What is JSON

#[test]
fn arrays_are_taken() {
    check(
        &["[]", "[ \t\r\n]", "[[]]", "[[],[ ]]", "[1]", "[ 1 , 2 ]", "[null,1,\"a\",{},[true]]", "[\"\"]", "[\n1\n]", "[1,null,null,2]"],
        expect![[r#"
            [] => []
            [ \t\r\n] => []
            [[]] => [[]]
            [[],[ ]] => [[],[]]
            [1] => [1]
            [ 1 , 2 ] => [1,2]
            [null,1,"a",{},[true]] => [null,1,"a",{},[true]]
            [""] => [""]
            [\n1\n] => [1]
            [1,null,null,2] => [1,null,null,2]
        "#]],
    );
}

#[test]
fn objects_are_taken() {
    check(
        &[
            "{}",
            "{\t}",
            "{\"a\":1}",
            "{ \"a\" : 1 , \"b\" : {} }",
            "{\"\":0}",
            "{\"a\":{\"a\":{\"a\":[]}}}",
            r#"{"\u0000\"\\":1}"#,
            r#"{"a\u0062":1,"\u00e9":2}"#,
            "{\"a\":1,\"a\":2}",
            r#"{"a":1,"\u0061":{"b":1,"b":2}}"#,
            "{\"é\":1,\"e\u{301}\":2}",
        ],
        expect![[r#"
            {} => {}
            {\t} => {}
            {"a":1} => {"a":1}
            { "a" : 1 , "b" : {} } => {"a":1,"b":{}}
            {"":0} => {"":0}
            {"a":{"a":{"a":[]}}} => {"a":{"a":{"a":[]}}}
            {"\u0000\"\\":1} => {"\u0000\"\\":1}
            {"a\u0062":1,"\u00e9":2} => {"ab":1,"é":2}
            {"a":1,"a":2} => {"a":2}
            {"a":1,"\u0061":{"b":1,"b":2}} => {"a":{"b":2}}
            {"é":1,"e\u{301}":2} => {"e\u{301}":2,"é":1}
        "#]],
    );
}

#[test]
fn numbers_are_taken() {
    check(
        &[
            "0", "-0", "7", "-7", "10", "120", "0.5", "-0.0", "1.10", "1e2", "1E2", "1e+2", "1E-2", "0e0", "0E+10",
            "1.5e3", "-1.5E-3", " 3 ", "\n4\t", "9007199254740993", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808", "18446744073709551615", "1.7976931348623157e308", "5e-324",
        ],
        expect![[r#"
            0 => 0
            -0 => -0.0
            7 => 7
            -7 => -7
            10 => 10
            120 => 120
            0.5 => 0.5
            -0.0 => -0.0
            1.10 => 1.1
            1e2 => 100.0
            1E2 => 100.0
            1e+2 => 100.0
            1E-2 => 0.01
            0e0 => 0.0
            0E+10 => 0.0
            1.5e3 => 1500.0
            -1.5E-3 => -0.0015
             3  => 3
            \n4\t => 4
            9007199254740993 => 9007199254740993
            9223372036854775807 => 9223372036854775807
            9223372036854775808 => 9223372036854775808
            -9223372036854775808 => -9223372036854775808
            18446744073709551615 => 18446744073709551615
            1.7976931348623157e308 => 1.7976931348623157e+308
            5e-324 => 5e-324
        "#]],
    );
}

#[test]
fn strings_are_taken() {
    check(
        &[
            r#""""#,
            r#"" ""#,
            r#""a/b""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u0000\u001f\u007f""#,
            r#""\u0022\u005C\u002f""#,
            r#""\u00e9\u00E9\uaBcD""#,
            r#""\\u0061""#,
            r#""\\\\\"""#,
            r#""\ud83d\ude00\uD83D\uDE00""#,
            r#""\ud800\udc00\udbff\udfff""#,
            r#""\ufdd0\uffff\ufeff\u2028""#,
            "\"\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}\"",
            "\"é\u{301}\u{fffd}\u{1f600}\"",
            r#""12345678\n""#,
            r#""1234567\n12345678""#,
        ],
        expect![[r#"
            "" => ""
            " " => " "
            "a/b" => "a/b"
            "\"\\\/\b\f\n\r\t" => "\"\\/\b\f\n\r\t"
            "\u0000\u001f\u007f" => "\u0000\u001f\u{7f}"
            "\u0022\u005C\u002f" => "\"\\/"
            "\u00e9\u00E9\uaBcD" => "ééꯍ"
            "\\u0061" => "\\u0061"
            "\\\\\"" => "\\\\\""
            "\ud83d\ude00\uD83D\uDE00" => "\u{1f600}\u{1f600}"
            "\ud800\udc00\udbff\udfff" => "\u{10000}\u{10ffff}"
            "\ufdd0\uffff\ufeff\u2028" => "\u{fdd0}\u{ffff}\u{feff}\u{2028}"
            "\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}" => "\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}"
            "é\u{301}\u{fffd}\u{1f600}" => "é\u{301}\u{fffd}\u{1f600}"
            "12345678\n" => "12345678\n"
            "1234567\n12345678" => "1234567\n12345678"
        "#]],
    );
}

#[test]
fn literals_and_blanks_are_taken() {
    check(&["true", "false", "null", " true ", "\r\nnull\t", "[true,false,null]"], expect![[r#"
        true => true
        false => false
        null => null
         true  => true
        \r\nnull\t => null
        [true,false,null] => [true,false,null]
    "#]]);
    for text in ["{}", " {}", "\n{ }\r\n\t ", "{\"a\":1}"] {
        targets::json(text.as_bytes());
        assert!(Event::read(text).is_ok(), "{text:?}");
    }
}

// ---- What is no JSON

#[test]
fn arrays_that_are_none_are_refused() {
    check(
        &[
            "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[,]", "[1 2]", "[1;2]", "[1:2]", "[}", "[1}", "[[]", "[]]", "[1],", "[*]", "[-]",
            "[\"a\"", "[\"a", "[\"a\",\n4\n,1,", "[a]", "[1,\u{b}]", "[\u{c}]", "[\u{a0}]", "[nul]", "[fals]", "[tru]", "[truth]",
        ],
        expect![[r#"
            [ => no JSON: no value at byte 6
            ] => no JSON: no value at byte 5
            [1 => no JSON: neither a comma nor the end of what is open at byte 7
            [1, => no JSON: no value at byte 8
            [1,] => no JSON: no value at byte 8
            [,1] => no JSON: no value at byte 6
            [1,,2] => no JSON: no value at byte 8
            [,] => no JSON: no value at byte 6
            [1 2] => no JSON: neither a comma nor the end of what is open at byte 8
            [1;2] => no JSON: neither a comma nor the end of what is open at byte 7
            [1:2] => no JSON: neither a comma nor the end of what is open at byte 7
            [} => no JSON: no value at byte 6
            [1} => no JSON: neither a comma nor the end of what is open at byte 7
            [[] => no JSON: neither a comma nor the end of what is open at byte 8
            []] => no JSON: neither a comma nor the end of what is open at byte 7
            [1], => no JSON: no key at byte 9
            [*] => no JSON: no value at byte 6
            [-] => no JSON: no digit in a number at byte 7
            ["a" => no JSON: neither a comma nor the end of what is open at byte 9
            ["a => the JSON ends too early
            ["a",\n4\n,1, => no JSON: no value at byte 16
            [a] => no JSON: no value at byte 6
            [1,\u{b}] => no JSON: no value at byte 8
            [\u{c}] => no JSON: no value at byte 6
            [\u{a0}] => no JSON: no value at byte 6
            [nul] => no JSON: no value at byte 6
            [fals] => no JSON: no value at byte 6
            [tru] => no JSON: no value at byte 6
            [truth] => no JSON: no value at byte 6
        "#]],
    );
}

#[test]
fn objects_that_are_none_are_refused() {
    check(
        &[
            "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,\"a\":1}", "{\"a\" 1}", "{\"a\"::1}", "{\"a\",1}", "{\"a\":1 \"b\":2}",
            "{\"a\":1,,\"b\":2}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", "{\"a\":}", "{\"a\"}", "{:1}", "{\"a\":1]", "{\"a\":1}}", "{\"a\":1}#", "{\"a\":1}//",
            "{/**/}", "{\"a\":/*1*/1}", "{\"a\\u00\":1}", "{\"a\":\"b\"/**/}",
        ],
        expect![[r#"
            { => the JSON ends too early
            } => no JSON: no value at byte 5
            {"a" => no JSON: no colon after the key at byte 9
            {"a": => no JSON: no value at byte 10
            {"a":1 => the JSON ends too early
            {"a":1, => no JSON: no key at byte 12
            {"a":1,} => no JSON: no key at byte 12
            {,"a":1} => no JSON: no key at byte 6
            {"a" 1} => no JSON: no colon after the key at byte 10
            {"a"::1} => no JSON: no value at byte 10
            {"a",1} => no JSON: no colon after the key at byte 9
            {"a":1 "b":2} => no JSON: neither a comma nor the end of what is open at byte 12
            {"a":1,,"b":2} => no JSON: no key at byte 12
            {a:1} => no JSON: no key at byte 6
            {'a':1} => no JSON: no key at byte 6
            {1:1} => no JSON: no key at byte 6
            {null:1} => no JSON: no key at byte 6
            {[]:1} => no JSON: no key at byte 6
            {"a":} => no JSON: no value at byte 10
            {"a"} => no JSON: no colon after the key at byte 9
            {:1} => no JSON: no key at byte 6
            {"a":1] => no JSON: neither a comma nor the end of what is open at byte 11
            {"a":1}} => no JSON: more after the value at byte 13
            {"a":1}# => no JSON: neither a comma nor the end of what is open at byte 12
            {"a":1}// => no JSON: neither a comma nor the end of what is open at byte 12
            {/**/} => no JSON: no key at byte 6
            {"a":/*1*/1} => no JSON: no value at byte 10
            {"a\u00":1} => no JSON: no hex digit after \u at byte 8
            {"a":"b"/**/} => no JSON: neither a comma nor the end of what is open at byte 13
        "#]],
    );
}

#[test]
fn numbers_that_are_none_are_refused() {
    check(
        &[
            "-", "+1", "++1", "--1", "01", "-01", "00", "012", "1.", "-1.", ".5", "-.5", "1.e2", ".e1", "1e", "1e+", "1e-", "1E", "e1", "1e1.5", "1ee2", "1e+-2",
            "1.2.3", "0x1f", "0b1", "1f", "1_000", "1,000", "1 000", "1a", "-a", "- 1", "NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf", "１", "1\u{0}", "0.1.", "0.e1",
            "2.e+3", "9.e+", "1/2",
        ],
        expect![[r#"
            - => no JSON: no digit in a number at byte 6
            +1 => no JSON: no value at byte 5
            ++1 => no JSON: no value at byte 5
            --1 => no JSON: no digit in a number at byte 6
            01 => no JSON: neither a comma nor the end of what is open at byte 6
            -01 => no JSON: neither a comma nor the end of what is open at byte 7
            00 => no JSON: neither a comma nor the end of what is open at byte 6
            012 => no JSON: neither a comma nor the end of what is open at byte 6
            1. => no JSON: no digit in a number at byte 7
            -1. => no JSON: no digit in a number at byte 8
            .5 => no JSON: no value at byte 5
            -.5 => no JSON: no digit in a number at byte 6
            1.e2 => no JSON: no digit in a number at byte 7
            .e1 => no JSON: no value at byte 5
            1e => no JSON: no digit in a number at byte 7
            1e+ => no JSON: no digit in a number at byte 8
            1e- => no JSON: no digit in a number at byte 8
            1E => no JSON: no digit in a number at byte 7
            e1 => no JSON: no value at byte 5
            1e1.5 => no JSON: neither a comma nor the end of what is open at byte 8
            1ee2 => no JSON: no digit in a number at byte 7
            1e+-2 => no JSON: no digit in a number at byte 8
            1.2.3 => no JSON: neither a comma nor the end of what is open at byte 8
            0x1f => no JSON: neither a comma nor the end of what is open at byte 6
            0b1 => no JSON: neither a comma nor the end of what is open at byte 6
            1f => no JSON: neither a comma nor the end of what is open at byte 6
            1_000 => no JSON: neither a comma nor the end of what is open at byte 6
            1,000 => no JSON: no key at byte 7
            1 000 => no JSON: neither a comma nor the end of what is open at byte 7
            1a => no JSON: neither a comma nor the end of what is open at byte 6
            -a => no JSON: no digit in a number at byte 6
            - 1 => no JSON: no digit in a number at byte 6
            NaN => no JSON: no value at byte 5
            -NaN => no JSON: no digit in a number at byte 6
            Infinity => no JSON: no value at byte 5
            -Infinity => no JSON: no digit in a number at byte 6
            nan => no JSON: no value at byte 5
            inf => no JSON: no value at byte 5
            １ => no JSON: no value at byte 5
            1\u{0} => no JSON: neither a comma nor the end of what is open at byte 6
            0.1. => no JSON: neither a comma nor the end of what is open at byte 8
            0.e1 => no JSON: no digit in a number at byte 7
            2.e+3 => no JSON: no digit in a number at byte 7
            9.e+ => no JSON: no digit in a number at byte 7
            1/2 => no JSON: neither a comma nor the end of what is open at byte 6
        "#]],
    );
}

#[test]
fn strings_that_are_none_are_refused() {
    check(
        &[
            "\"", "\"a", "'a'", "a", "\"\\", "\"\\\"", r#""\a""#, r#""\'""#, r#""\0""#, r#""\x41""#, r#""\U0041""#, "\"\\\u{e9}\"", "\"\\\u{1f600}\"",
            r#""\u""#, r#""\u0""#, r#""\u00""#, r#""\u004""#, "\"\\u004", r#""\u004g""#, r#""\u+041""#, r#""\u 041""#, r#""\u{41}""#, "\"\\u00é\"",
            "\"\n\"", "\"\t\"", "\"\r\"", "\"\u{0}\"", "\"\u{1f}\"", "\"12345678\u{1}\"", "\"\\n\u{1}\"", "\"a\"\"", "\"a\"b", "\"\\ \"", "\\u0041", "“a”",
        ],
        expect![[r#"
            " => the JSON ends too early
            "a => the JSON ends too early
            'a' => no JSON: no value at byte 5
            a => no JSON: no value at byte 5
            "\ => no JSON: no escape that JSON has at byte 6
            "\" => the JSON ends too early
            "\a" => no JSON: no escape that JSON has at byte 6
            "\'" => no JSON: no escape that JSON has at byte 6
            "\0" => no JSON: no escape that JSON has at byte 6
            "\x41" => no JSON: no escape that JSON has at byte 6
            "\U0041" => no JSON: no escape that JSON has at byte 6
            "\é" => no JSON: no escape that JSON has at byte 6
            "\\u{1f600}" => no JSON: no escape that JSON has at byte 6
            "\u" => no JSON: no hex digit after \u at byte 6
            "\u0" => no JSON: no hex digit after \u at byte 6
            "\u00" => no JSON: no hex digit after \u at byte 6
            "\u004" => no JSON: no hex digit after \u at byte 6
            "\u004 => no JSON: no hex digit after \u at byte 6
            "\u004g" => no JSON: no hex digit after \u at byte 6
            "\u+041" => no JSON: no hex digit after \u at byte 6
            "\u 041" => no JSON: no hex digit after \u at byte 6
            "\u{41}" => no JSON: no hex digit after \u at byte 6
            "\u00é" => no JSON: no hex digit after \u at byte 6
            "\n" => no JSON: a control character in a string at byte 6
            "\t" => no JSON: a control character in a string at byte 6
            "\r" => no JSON: a control character in a string at byte 6
            "\u{0}" => no JSON: a control character in a string at byte 6
            "\u{1f}" => no JSON: a control character in a string at byte 6
            "12345678\u{1}" => no JSON: a control character in a string at byte 14
            "\n\u{1}" => no JSON: a control character in a string at byte 8
            "a"" => no JSON: neither a comma nor the end of what is open at byte 8
            "a"b => no JSON: neither a comma nor the end of what is open at byte 8
            "\ " => no JSON: no escape that JSON has at byte 6
            \u0041 => no JSON: no value at byte 5
            \u{201c}a\u{201d} => no JSON: no value at byte 5
        "#]],
    );
}

#[test]
fn other_words_are_refused() {
    check(
        &["", " ", "True", "TRUE", "NULL", "None", "undefined", "nul", "tru", "f", "nulll", "truefalse", "true false", "<null>", "#", "1#", "@", "\u{feff}1", "\u{2060}1", "\u{0}", "\u{200b}1"],
        expect![[r#"
             => no JSON: no value at byte 5
              => no JSON: no value at byte 6
            True => no JSON: no value at byte 5
            TRUE => no JSON: no value at byte 5
            NULL => no JSON: no value at byte 5
            None => no JSON: no value at byte 5
            undefined => no JSON: no value at byte 5
            nul => no JSON: no value at byte 5
            tru => no JSON: no value at byte 5
            f => no JSON: no value at byte 5
            nulll => no JSON: neither a comma nor the end of what is open at byte 9
            truefalse => no JSON: neither a comma nor the end of what is open at byte 9
            true false => no JSON: neither a comma nor the end of what is open at byte 10
            <null> => no JSON: no value at byte 5
            # => no JSON: no value at byte 5
            1# => no JSON: neither a comma nor the end of what is open at byte 6
            @ => no JSON: no value at byte 5
            \u{feff}1 => no JSON: no value at byte 5
            \u{2060}1 => no JSON: no value at byte 5
            \u{0} => no JSON: no value at byte 5
            \u{200b}1 => no JSON: no value at byte 5
        "#]],
    );
}

#[test]
fn an_event_is_one_object_and_nothing_else() {
    let told = |text: &str| {
        targets::json(text.as_bytes());
        format!("{} => {}\n", visible(text), Event::read(text).unwrap_err())
    };
    let texts = [
        "", " ", "[", "{", "[]", "1", "\"a\"", "null", "{}{}", "{} {}", "{},", "{}]", "{}x", "{}\u{0}", "\u{feff}{}", "\u{0}{}", "<{}>", "[{}", "{\"a\":[", "{\"a\":[{",
        "{\"a\":[}]", "{]", "[}", "\\{}", "/**/{}", "{}#",
    ];
    expect![[r#"
         => the JSON ends too early
          => the JSON ends too early
        [ => the JSON ends too early
        { => the JSON ends too early
        [] => this is JSON, but not an object
        1 => this is JSON, but not an object
        "a" => this is JSON, but not an object
        null => this is JSON, but not an object
        {}{} => no JSON: more after the value at byte 2
        {} {} => no JSON: more after the value at byte 3
        {}, => no JSON: more after the value at byte 2
        {}] => no JSON: more after the value at byte 2
        {}x => no JSON: more after the value at byte 2
        {}\u{0} => no JSON: more after the value at byte 2
        \u{feff}{} => no JSON: no value at byte 0
        \u{0}{} => no JSON: no value at byte 0
        <{}> => no JSON: no value at byte 0
        [{} => the JSON ends too early
        {"a":[ => the JSON ends too early
        {"a":[{ => the JSON ends too early
        {"a":[}] => no JSON: no value at byte 6
        {] => no JSON: no key at byte 1
        [} => no JSON: no value at byte 1
        \{} => no JSON: no value at byte 0
        /**/{} => no JSON: no value at byte 0
        {}# => no JSON: more after the value at byte 2
    "#]].assert_eq(&texts.map(told).concat());
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let bad: [&[u8]; 14] = [
        b"\xff", b"\xfe\xff", b"\x80", b"\xc3", b"\xc3\x28", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\xbf\xbf\xbf", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98",
        b"\xe9", b"\xe5", b"\xfc\x80\x80\x80\x80\x80",
    ];
    for bytes in bad {
        for (before, after) in [("{\"a\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":", "}"), ("", ""), ("{}", "")] {
            let text = [before.as_bytes(), bytes, after.as_bytes()].concat();
            targets::json(&text);
            let why = millrace_core::decode::event(&text, &mut Event::default()).unwrap_err();
            assert_eq!(why.to_string(), format!("decode: not_utf8: byte {} is not UTF-8", before.len()));
        }
    }
    let utf16: Vec<u8> = "{\"a\":\"é\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(millrace_core::decode::event(&utf16, &mut Event::default()).unwrap_err().reason, "not_utf8");
}

// ---- What RFC 8259 leaves open: `event/parse.rs` says what is done

#[test]
fn numbers_that_no_float_reaches_are_refused_and_others_kept() {
    check(
        &[
            "1e309", "-1e309", "1e999999999999999999999", "0.1e310", "1e-999", "-1e-999", "0e999", "123e-10000000", "1.7976931348623159e308", "123456789012345678901234567890",
            "-9223372036854775809", "18446744073709551616", "0.1000000000000000055511151231257827021181583404541015625",
        ],
        expect![[r#"
            1e309 => no JSON: a number that is out of range at byte 10
            -1e309 => no JSON: a number that is out of range at byte 11
            1e999999999999999999999 => no JSON: a number that is out of range at byte 28
            0.1e310 => no JSON: a number that is out of range at byte 12
            1e-999 => 0.0
            -1e-999 => -0.0
            0e999 => 0.0
            123e-10000000 => 0.0
            1.7976931348623159e308 => no JSON: a number that is out of range at byte 27
            123456789012345678901234567890 => 1.2345678901234568e+29
            -9223372036854775809 => -9.223372036854776e+18
            18446744073709551616 => 1.8446744073709552e+19
            0.1000000000000000055511151231257827021181583404541015625 => 0.1
        "#]],
    );
    assert_eq!(read(&"9".repeat(309)), "no JSON: a number that is out of range at byte 314");
    for digits in [300, 301, 308] {
        let number = "9".repeat(digits);
        assert!(read(&number).ends_with(&format!("e+{}", digits)), "{}", read(&number));
        assert_eq!(Event::read(&format!("{{\"v\":{number}}}")).unwrap().to_string(), format!("{{\"v\":{number}}}"));
    }
    let long = format!("0.{}1", "0".repeat(100_000));
    assert_eq!(read(&long), "0.0");
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    check(
        &[
            r#""\ud800""#, r#""\udc00""#, r#""\udc00\ud800""#, r#""\ud800\ud800""#, r#""\ud800a""#, r#""\ud800\n""#, r#""\ud800\u0041""#, r#""\ud800\""#, r#""\ud800\u""#,
            r#""\ud800\udc""#, r#""\udfff\udfff""#, r#""\uD888\u1234""#, r#"{"\ud800":1}"#, r#"["\uDd1e\uD834"]"#,
        ],
        expect![[r#"
            "\ud800" => no JSON: half of a surrogate pair at byte 6
            "\udc00" => no JSON: half of a surrogate pair at byte 6
            "\udc00\ud800" => no JSON: half of a surrogate pair at byte 6
            "\ud800\ud800" => no JSON: half of a surrogate pair at byte 6
            "\ud800a" => no JSON: half of a surrogate pair at byte 6
            "\ud800\n" => no JSON: half of a surrogate pair at byte 6
            "\ud800\u0041" => no JSON: half of a surrogate pair at byte 6
            "\ud800\" => no JSON: half of a surrogate pair at byte 6
            "\ud800\u" => no JSON: no hex digit after \u at byte 6
            "\ud800\udc" => no JSON: no hex digit after \u at byte 6
            "\udfff\udfff" => no JSON: half of a surrogate pair at byte 6
            "\uD888\u1234" => no JSON: half of a surrogate pair at byte 6
            {"\ud800":1} => no JSON: half of a surrogate pair at byte 7
            ["\uDd1e\uD834"] => no JSON: half of a surrogate pair at byte 7
        "#]],
    );
}

#[test]
fn nesting_ends_at_the_same_level_for_objects_and_arrays() {
    use millrace_core::event::{DEPTH_MAX, Flaw};
    for (open, end) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested = |count: usize| {
            let (opened, ended) = (open.repeat(count), end.repeat(count));
            format!("{{\"v\":{opened}1{ended}}}")
        };
        let most = (DEPTH_MAX - 1) / levels;
        assert!(Event::read(&nested(most)).is_ok());
        for more in [most + 1, 1_000, 100_000] {
            assert!(matches!(Event::read(&nested(more)), Err(Flaw::TooDeep)));
        }
        targets::json(nested(most).as_bytes());
        targets::json(nested(most + 1).as_bytes());
        let opened = format!("{{\"v\":{}", open.repeat(100_000));
        assert!(matches!(Event::read(&opened), Err(Flaw::TooDeep)));
    }
    // Side by side is not deep.
    assert!(Event::read(&format!("{{\"v\":[{}[]]}}", "[[]],".repeat(1_000))).is_ok());
}

// ---- Compared with serde_json

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-9_i64..9).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
        "[\"\\\\/\u{0}-\u{1f}é\u{1f600}]{0,12}".prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "é", "e\u{301}", "a.b", "", "\"", "\\", "\n", "**", "[]"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..8).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), value()), 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// JSON as nobody writes it but somebody may: blanks anywhere, any escape, numbers in many ways, keys twice.
struct Scribe {
    random: Rng,
    text: String,
}

impl Scribe {
    fn write(value: &Value, seed: u64) -> String {
        let mut scribe = Self { random: Rng::with_seed(seed), text: String::new() };
        scribe.blanks();
        scribe.value(value);
        scribe.blanks();
        scribe.text
    }

    fn blanks(&mut self) {
        while self.random.u8(..) < 50 {
            self.text.push(self.random.choice([' ', ' ', '\t', '\n', '\r']).unwrap());
        }
    }

    fn separated<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.blanks();
            write(self, item);
            self.blanks();
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.text.push('[');
                self.blanks();
                self.separated(items, Self::value);
                self.text.push(']');
            }
            Value::Object(map) => {
                self.text.push('{');
                self.blanks();
                let mut fields: Vec<_> = map.iter().collect();
                self.random.shuffle(&mut fields);
                let twins = if self.random.u8(..) < 40 { fields.clone() } else { Vec::new() };
                let twins = twins.into_iter().map(|(key, _)| (key, &Value::Null));
                self.separated(twins.chain(fields), |scribe, (key, value)| {
                    scribe.string(key);
                    scribe.blanks();
                    scribe.text.push(':');
                    scribe.blanks();
                    scribe.value(value);
                });
                self.text.push('}');
            }
            Value::String(text) => self.string(text),
            Value::Number(number) if number.is_f64() && self.random.bool() => {
                let _ = write!(self.text, "{:e}", number.as_f64().unwrap());
            }
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str) {
        let escapes = self.random.choice([0, 0, 20, 255]).unwrap();
        self.text.push('"');
        for sign in text.chars() {
            let short = match sign {
                '"' => Some('"'),
                '\\' => Some('\\'),
                '/' => Some('/'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                _ => None,
            };
            let must = sign < ' ' || sign == '"' || sign == '\\';
            if !must && self.random.u8(..) >= escapes {
                self.text.push(sign);
            } else if let Some(short) = short.filter(|_| self.random.bool()) {
                self.text.push('\\');
                self.text.push(short);
            } else {
                for unit in sign.encode_utf16(&mut [0; 2]) {
                    let upper = self.random.bool();
                    let _ = if upper { write!(self.text, "\\u{unit:04X}") } else { write!(self.text, "\\u{unit:04x}") };
                }
            }
        }
        self.text.push('"');
    }
}

/// Changes some bytes as damage and malice do.
fn damage(text: &str, seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=bytes.len());
        match random.u8(..5) {
            0 => drop(bytes.drain(at..(at + random.usize(1..4)).min(bytes.len()))),
            1 => bytes.truncate(at),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
            3 => {
                let signs = b"{}[]\",:\\u0123456789abcdefABCDEF+-.eE tfn\n\r\t\0\x1f\x7f\x80\xc3\xff/'";
                bytes.insert(at, *random.choice(signs).unwrap());
            }
            _ => {
                let words = [
                    r"\ud800", r"\udc00", r"\ud83d\ude00", r"\u0000", "1e999", "-0", "00", "1e-999", "\u{feff}", "é", "true", "nul", "{}", "[]", "\"a\":1,", "\\\"",
                    "\u{2028}", "99999999999999999999",
                ];
                bytes.splice(at..at, random.choice(words).unwrap().bytes());
            }
        }
    }
    bytes
}

/// A way to change an event.
#[derive(Debug, Clone)]
enum Edit {
    Put(String, Set),
    Remove(String),
    Move(String, String),
    Rename(String, String),
    SetAll(String, Set),
    RemoveAll(String),
}

#[derive(Debug, Clone)]
enum Set {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(String),
    Object,
    Json(String),
}

impl Set {
    fn new(&self) -> New<'_> {
        match self {
            Self::Null => New::Null,
            Self::Bool(flag) => New::Bool(*flag),
            Self::Int(int) => New::Int(*int),
            Self::UInt(int) => New::UInt(*int),
            Self::Float(float) => New::Float(*float),
            Self::Str(text) => New::Str(text),
            Self::Object => New::Object,
            Self::Json(text) => New::Json(text),
        }
    }

    fn model(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => json!(flag),
            Self::Int(int) => json!(int),
            Self::UInt(int) => json!(int),
            Self::Float(float) => json!(float),
            Self::Str(text) => json!(text),
            Self::Object => json!({}),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["a", "a", "b", "c", "é", "e\u{301}", "a\\.b", "\"", "new", "\n"]);
    prop::collection::vec(key, 1..4).prop_map(|keys| keys.join("."))
}

fn set() -> impl Strategy<Value = Set> {
    prop_oneof![
        Just(Set::Null),
        any::<bool>().prop_map(Set::Bool),
        any::<i64>().prop_map(Set::Int),
        any::<u64>().prop_map(Set::UInt),
        any::<f64>().prop_map(Set::Float),
        Just(Set::Float(f64::NAN)),
        any::<String>().prop_map(Set::Str),
        Just(Set::Object),
        (value(), any::<u64>()).prop_map(|(value, seed)| Set::Json(Scribe::write(&value, seed))),
        (value(), any::<u64>()).prop_map(|(value, seed)| {
            Set::Json(String::from_utf8_lossy(&damage(&value.to_string(), seed)).into_owned())
        }),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let patterns = ["a[]", "a[].a", "**", "**.a", "a.**", "**.a[]", "b", "**[]", "*", "a.**.b"];
    let pattern = prop::sample::select(patterns.map(str::to_owned).to_vec());
    prop_oneof![
        4 => (path(), set()).prop_map(|(path, set)| Edit::Put(path, set)),
        3 => path().prop_map(Edit::Remove),
        3 => (path(), path()).prop_map(|(from, to)| Edit::Move(from, to)),
        2 => (path(), key()).prop_map(|(path, key)| Edit::Rename(path, key)),
        1 => (pattern.clone(), set()).prop_map(|(pattern, set)| Edit::SetAll(pattern, set)),
        1 => pattern.prop_map(Edit::RemoveAll),
    ]
}

fn apply(edit: &Edit, event: &mut Event) {
    let path = |text: &String| Path::try_from(text.clone()).unwrap();
    let all = |event: &Event, text: &String| {
        let mut found = Vec::new();
        event.find_all(&Pattern::try_from(text.clone()).unwrap(), &mut found);
        found
    };
    match edit {
        Edit::Put(at, set) => {
            let id = event.put(&path(at), set.new());
            assert_eq!(event.find(&path(at)), Some(id));
        }
        Edit::Remove(at) => event.remove_at(&path(at)),
        Edit::Move(from, to) => {
            if let Some(id) = event.find(&path(from)) {
                event.move_to(id, &path(to));
            }
        }
        Edit::Rename(at, key) => {
            if let Some(id) = event.find(&path(at)) {
                event.rename(id, key);
                assert_eq!(event.key(id), key);
            }
        }
        Edit::SetAll(pattern, set) => all(event, pattern).into_iter().for_each(|id| event.set(id, set.new())),
        Edit::RemoveAll(pattern) => all(event, pattern).into_iter().for_each(|id| event.remove(id)),
    }
}

/// The same on a plain value.
mod model {
    use super::{Edit, Map, Value};

    fn keys(path: &str) -> Vec<String> {
        path.replace("\\.", "\0").split('.').map(|key| key.replace('\0', ".")).collect()
    }

    fn put(at: &mut Value, keys: &[String], value: Value) {
        let Some((key, rest)) = keys.split_first() else {
            *at = value;
            return;
        };
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        put(at.as_object_mut().unwrap().entry(key.clone()).or_insert(Value::Null), rest, value);
    }

    /// Takes a value out, and the objects that are empty without it.
    fn take(at: &mut Value, keys: &[String]) -> Option<Value> {
        let (key, rest) = keys.split_first()?;
        let map = at.as_object_mut()?;
        if rest.is_empty() {
            return map.remove(key);
        }
        let child = map.get_mut(key)?;
        let taken = take(child, rest);
        if taken.is_some() && child.as_object().is_some_and(Map::is_empty) {
            map.remove(key);
        }
        taken
    }

    fn parts(pattern: &str) -> Vec<String> {
        pattern.replace("[]", ".[]").split('.').map(str::to_owned).collect()
    }

    /// The way is keys, and none for an element.
    fn fits(parts: &[String], way: &[Option<&str>], is_leaf: bool) -> bool {
        match (parts.split_first(), way.split_first()) {
            (None, None) => true,
            (Some((part, [])), _) if part == "**" => is_leaf,
            (Some((part, rest)), _) if part == "**" => (0..=way.len()).any(|at| fits(rest, &way[at..], is_leaf)),
            (Some((part, rest)), Some((step, way))) => *part == step.unwrap_or("[]") && step.is_none() == (part == "[]") && fits(rest, way, is_leaf),
            _ => false,
        }
    }

    /// Replaces each value that fits, or takes it out; whether this one is gone.
    fn all(at: &mut Value, way: &[Option<&str>], parts: &[String], new: Option<&Value>) -> bool {
        if fits(parts, way, !at.is_object() && !at.is_array()) && !way.is_empty() {
            if let Some(new) = new {
                *at = new.clone();
            }
            return new.is_none();
        }
        match at {
            Value::Array(items) => {
                let way = [way, &[None]].concat();
                items.retain_mut(|item| !all(item, &way, parts, new));
                false
            }
            Value::Object(map) => {
                let before = map.len();
                map.retain(|key, value| !all(value, &[way, &[Some(key)]].concat(), parts, new));
                before > 0 && map.is_empty() && !way.is_empty()
            }
            _ => false,
        }
    }

    pub(super) fn apply(edit: &Edit, event: &mut Value) {
        match edit {
            Edit::Put(path, set) => put(event, &keys(path), set.model()),
            Edit::Remove(path) => drop(take(event, &keys(path))),
            Edit::Move(from, to) => {
                if let Some(value) = take(event, &keys(from)) {
                    put(event, &keys(to), value);
                }
            }
            Edit::Rename(path, key) => {
                let keys = keys(path);
                let (last, above) = keys.split_last().unwrap();
                let map = above.iter().try_fold(event, |at, key| at.get_mut(key)).and_then(Value::as_object_mut);
                if let Some(map) = map
                    && let Some(value) = map.remove(last)
                {
                    map.insert(key.clone(), value);
                }
            }
            Edit::SetAll(pattern, set) => drop(all(event, &[], &parts(pattern), Some(&set.model()))),
            Edit::RemoveAll(pattern) => drop(all(event, &[], &parts(pattern), None)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_serde_json_takes_is_taken_and_means_the_same(value in object(), seed in any::<u64>()) {
        let text = Scribe::write(&value, seed);
        let event = Event::read(&text).unwrap();
        prop_assert_eq!(targets::whole(&event), value);
        targets::json(text.as_bytes());
    }

    #[test]
    fn what_serde_json_refuses_is_refused(value in object(), seed in any::<u64>(), damages in any::<u64>()) {
        let text = Scribe::write(&value, seed);
        for n in 0..8 {
            targets::json(&damage(&text, damages.wrapping_add(n)));
        }
    }

    #[test]
    fn edits_do_what_they_do_to_a_plain_value(value in object(), seed in any::<u64>(), edits in prop::collection::vec(edit(), 1..12)) {
        let text = Scribe::write(&value, seed);
        let (mut event, mut model) = (Event::read(&text).unwrap(), value);
        for edit in &edits {
            let (before, edited) = (model.clone(), event.edits());
            apply(edit, &mut event);
            model::apply(edit, &mut model);
            prop_assert_eq!(event.outgrown(), None);
            prop_assert_eq!(&targets::to_json(event.value(event.root())), &model, "after {:?}", edit);
            prop_assert!(event.edits() > edited || model == before);
        }
        prop_assert_eq!(targets::whole(&event), model);
    }

    #[test]
    fn patterns_find_what_a_plain_search_finds(value in object(), keys in path(), pattern in "(\\*\\*|a|b)(\\.a|\\.b|\\.\\*\\*|\\[\\]|\\[\\]\\[\\]){0,3}") {
        for pattern in [keys, pattern] {
            targets::path(format!("{pattern}\n{value}").as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_cut_and_framed(lines in prop::collection::vec(object(), 0..5), seed in any::<u64>()) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let bent = damage(&text, seed);
        targets::decode(&bent);
        targets::decode(format!("[{}]", text.trim_end().replace('\n', ",")).as_bytes());
        targets::frame(&bent);
    }
}
