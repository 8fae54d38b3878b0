//! JSON as it comes, in tables: what is taken, what is refused and where, and what is done where RFC 8259 leaves a choice.
//! `tests/reference.rs` compares with another reader.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

mod targets;

use expect_test::{Expect, expect};
use millrace_core::event::{Event, Path};

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
    let seen =
        |sign: char| sign == ' ' || sign.is_ascii_graphic() || (sign.is_alphanumeric() && sign < '\u{10000}');
    text.chars()
        .map(|sign| if seen(sign) { sign.to_string() } else { sign.escape_default().to_string() })
        .collect()
}

// ---- What is JSON

#[rustfmt::skip] // a table
#[test]
fn arrays_are_taken() {
    check(
        &[
            "[]", "[ \t\r\n]", "[[]]", "[[],[ ]]", "[1]", "[ 1 , 2 ]", "[null,1,\"a\",{},[true]]",
            "[\"\"]", "[\n1\n]", "[1,null,null,2]",
        ],
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

#[rustfmt::skip] // a table
#[test]
fn objects_are_taken() {
    check(
        &[
            "{}", "{\t}", "{\"a\":1}", "{ \"a\" : 1 , \"b\" : {} }", "{\"\":0}",
            "{\"a\":{\"a\":{\"a\":[]}}}", r#"{"\u0000\"\\":1}"#, r#"{"a\u0062":1,"\u00e9":2}"#,
            "{\"a\":1,\"a\":2}", r#"{"a":1,"\u0061":{"b":1,"b":2}}"#, "{\"é\":1,\"e\u{301}\":2}",
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

#[rustfmt::skip] // a table
#[test]
fn numbers_are_taken() {
    check(
        &[
            "0", "-0", "7", "-7", "10", "120", "0.5", "-0.0", "1.10", "1e2", "1E2", "1e+2", "1E-2", "0e0",
            "0E+10", "1.5e3", "-1.5E-3", " 3 ", "\n4\t", "9007199254740993", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "18446744073709551615",
            "1.7976931348623157e308", "5e-324",
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

#[rustfmt::skip] // a table
#[test]
fn strings_are_taken() {
    check(
        &[
            r#""""#, r#"" ""#, r#""a/b""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u0000\u001f\u007f""#,
            r#""\u0022\u005C\u002f""#, r#""\u00e9\u00E9\uaBcD""#, r#""\\u0061""#, r#""\\\\\"""#,
            r#""\ud83d\ude00\uD83D\uDE00""#, r#""\ud800\udc00\udbff\udfff""#,
            r#""\ufdd0\uffff\ufeff\u2028""#, "\"\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff}\"",
            "\"é\u{301}\u{fffd}\u{1f600}\"", r#""12345678\n""#, r#""1234567\n12345678""#,
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
    check(
        &["true", "false", "null", " true ", "\r\nnull\t", "[true,false,null]"],
        expect![[r#"
        true => true
        false => false
        null => null
         true  => true
        \r\nnull\t => null
        [true,false,null] => [true,false,null]
    "#]],
    );
    for text in ["{}", " {}", "\n{ }\r\n\t ", "{\"a\":1}"] {
        targets::json(text.as_bytes());
        assert!(Event::read(text).is_ok(), "{text:?}");
    }
}

// ---- What is no JSON

#[rustfmt::skip] // a table
#[test]
fn arrays_that_are_none_are_refused() {
    check(
        &[
            "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[,]", "[1 2]", "[1;2]", "[1:2]", "[}", "[1}",
            "[[]", "[]]", "[1],", "[*]", "[-]", "[\"a\"", "[\"a", "[\"a\",\n4\n,1,", "[a]", "[1,\u{b}]",
            "[\u{c}]", "[\u{a0}]", "[nul]", "[fals]", "[tru]", "[truth]",
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

#[rustfmt::skip] // a table
#[test]
fn objects_that_are_none_are_refused() {
    check(
        &[
            "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,\"a\":1}",
            "{\"a\" 1}", "{\"a\"::1}", "{\"a\",1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{a:1}",
            "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", "{\"a\":}", "{\"a\"}", "{:1}", "{\"a\":1]",
            "{\"a\":1}}", "{\"a\":1}#", "{\"a\":1}//", "{/**/}", "{\"a\":/*1*/1}", "{\"a\\u00\":1}",
            "{\"a\":\"b\"/**/}",
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

#[rustfmt::skip] // a table
#[test]
fn numbers_that_are_none_are_refused() {
    check(
        &[
            "-", "+1", "++1", "--1", "01", "-01", "00", "012", "1.", "-1.", ".5", "-.5", "1.e2", ".e1",
            "1e", "1e+", "1e-", "1E", "e1", "1e1.5", "1ee2", "1e+-2", "1.2.3", "0x1f", "0b1", "1f",
            "1_000", "1,000", "1 000", "1a", "-a", "- 1", "NaN", "-NaN", "Infinity", "-Infinity", "nan",
            "inf", "１", "1\u{0}", "0.1.", "0.e1", "2.e+3", "9.e+", "1/2",
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

#[rustfmt::skip] // a table
#[test]
fn strings_that_are_none_are_refused() {
    check(
        &[
            "\"", "\"a", "'a'", "a", "\"\\", "\"\\\"", r#""\a""#, r#""\'""#, r#""\0""#, r#""\x41""#,
            r#""\U0041""#, "\"\\\u{e9}\"", "\"\\\u{1f600}\"", r#""\u""#, r#""\u0""#, r#""\u00""#,
            r#""\u004""#, "\"\\u004", r#""\u004g""#, r#""\u+041""#, r#""\u 041""#, r#""\u{41}""#,
            "\"\\u00é\"", "\"\n\"", "\"\t\"", "\"\r\"", "\"\u{0}\"", "\"\u{1f}\"", "\"12345678\u{1}\"",
            "\"\\n\u{1}\"", "\"a\"\"", "\"a\"b", "\"\\ \"", "\\u0041", "“a”",
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

#[rustfmt::skip] // a table
#[test]
fn other_words_are_refused() {
    check(
        &[
            "", " ", "True", "TRUE", "NULL", "None", "undefined", "nul", "tru", "f", "nulll", "truefalse",
            "true false", "<null>", "#", "1#", "@", "\u{feff}1", "\u{2060}1", "\u{0}", "\u{200b}1",
        ],
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
        "",
        " ",
        "[",
        "{",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{}{}",
        "{} {}",
        "{},",
        "{}]",
        "{}x",
        "{}\u{0}",
        "\u{feff}{}",
        "\u{0}{}",
        "<{}>",
        "[{}",
        "{\"a\":[",
        "{\"a\":[{",
        "{\"a\":[}]",
        "{]",
        "[}",
        "\\{}",
        "/**/{}",
        "{}#",
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
    "#]]
    .assert_eq(&texts.map(told).concat());
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let bad: [&[u8]; 14] = [
        b"\xff",
        b"\xfe\xff",
        b"\x80",
        b"\xc3",
        b"\xc3\x28",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\xbf\xbf\xbf",
        b"\xf5\x80\x80\x80",
        b"\xf0\x9f\x98",
        b"\xe9",
        b"\xe5",
        b"\xfc\x80\x80\x80\x80\x80",
    ];
    for bytes in bad {
        for (before, after) in
            [("{\"a\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":", "}"), ("", ""), ("{}", "")]
        {
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

#[rustfmt::skip] // a table
#[test]
fn numbers_that_no_float_reaches_are_refused_and_others_kept() {
    check(
        &[
            "1e309", "-1e309", "1e999999999999999999999", "0.1e310", "1e-999", "-1e-999", "0e999",
            "123e-10000000", "1.7976931348623159e308", "123456789012345678901234567890",
            "-9223372036854775809", "18446744073709551616",
            "0.1000000000000000055511151231257827021181583404541015625",
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
        assert!(read(&number).ends_with(&format!("e+{digits}")), "{}", read(&number));
        assert_eq!(
            Event::read(&format!("{{\"v\":{number}}}")).unwrap().to_string(),
            format!("{{\"v\":{number}}}")
        );
    }
    let long = format!("0.{}1", "0".repeat(100_000));
    assert_eq!(read(&long), "0.0");
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    check(
        &[
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\udc00\ud800""#,
            r#""\ud800\ud800""#,
            r#""\ud800a""#,
            r#""\ud800\n""#,
            r#""\ud800\u0041""#,
            r#""\ud800\""#,
            r#""\ud800\u""#,
            r#""\ud800\udc""#,
            r#""\udfff\udfff""#,
            r#""\uD888\u1234""#,
            r#"{"\ud800":1}"#,
            r#"["\uDd1e\uD834"]"#,
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
