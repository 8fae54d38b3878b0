//! What `millrace check` and the build say of a wrong `pipeline.toml`, as a reviewer sees it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::{Expect, expect, expect_file};
use millrace_core::pipeline::Pipeline;
use proptest::prelude::*;

const EVENT: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn whole(text: &str, expected: Expect) {
    let mistakes = Pipeline::compile(text, &millrace_core::files::NONE).map(|_| "compiles".to_owned());
    expected.assert_eq(&mistakes.unwrap_or_else(|mistakes| mistakes.render("pipeline.toml")));
}

fn check(text: &str, expected: Expect) {
    whole(&format!("{EVENT}{text}"), expected);
}

#[test]
fn what_is_right_compiles() {
    check("", expect!["compiles"]);
}

#[test]
fn a_condition_is_pointed_at_like_any_expression() {
    check("[[step]]\nwhen = \"price > 1\"\nclean.trim = [\"a\"]\n", expect!["compiles"]);
    check(
        "[[step]]\nwhen = \"price >\"\nclean.trim = [\"a\"]\n",
        expect![[r#"
            pipeline.toml:6:16: error: no CEL expression: it ends where a value should stand
              |
            6 | when = "price >"
              |                ^
        "#]],
    );
    check(
        "[[step]]\nwhen = true\nclean.trim = [\"a\"]\n",
        expect![[r#"
            pipeline.toml:6:8: error: wrong type: boolean `true`, expected a string
              |
            6 | when = true
              |        ^^^^
              = a text has quotes: "true"
        "#]],
    );
    check(
        "[[step]]\nwhen = \"true\"\n",
        expect![[r#"
        pipeline.toml:5:1: error: this step is empty
          |
        5 | [[step]]
          | ^^^^^^^^
          = a step is written `clean.require = ["id"]` below `[[step]]`
    "#]],
    );
    check(
        "[[step]]\nwehn = \"true\"\nclean.trim = [\"a\"]\n",
        expect![[r#"
        pipeline.toml:6:1: error: `wehn` is not a kind of step, or `when`
          |
        6 | wehn = "true"
          | ^^^^
          = did you mean `when`?
    "#]],
    );
}

#[test]
fn a_function_that_is_not_there_is_pointed_at() {
    check(
        "[[step]]\nenrich.compute = { lenght = \"data.lenght == 'lenght(' ? 0 : strat(name)\" }\n",
        expect![[r#"
            pipeline.toml:6:61: error: there is no function `strat`
              |
            6 | enrich.compute = { lenght = "data.lenght == 'lenght(' ? 0 : strat(name)" }
              |                                                             ^^^^^
              = there are bool, bytes, charAt, contains, double, duration, dyn, endsWith, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, int, join, lastIndexOf, lowerAscii, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, replace, size, split, startsWith, string, substring, timestamp, trim, type, uint, upperAscii, all, exists, exists_one, existsOne, filter, has, map
        "#]],
    );
    check(
        "[[step]]\nfilter.keep = 'lenght(name) > 3'\n",
        expect![[r#"
        pipeline.toml:6:16: error: there is no function `lenght`
          |
        6 | filter.keep = 'lenght(name) > 3'
          |                ^^^^^^
          = there are bool, bytes, charAt, contains, double, duration, dyn, endsWith, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, int, join, lastIndexOf, lowerAscii, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, replace, size, split, startsWith, string, substring, timestamp, trim, type, uint, upperAscii, all, exists, exists_one, existsOne, filter, has, map
    "#]],
    );
}

#[test]
fn the_place_within_an_expression_is_pointed_at_however_it_is_written() {
    check(
        "[[step]]\nfilter.keep = \"\"\"\n  price > 10 &&\n\t\\\"ü\\\" == name && lenght(name) > 3\n\"\"\"\n",
        expect![[r#"
            pipeline.toml:8:19: error: there is no function `lenght`
              |
            8 | 	\"ü\" == name && lenght(name) > 3
              | 	                 ^^^^^^
              = there are bool, bytes, charAt, contains, double, duration, dyn, endsWith, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, int, join, lastIndexOf, lowerAscii, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, replace, size, split, startsWith, string, substring, timestamp, trim, type, uint, upperAscii, all, exists, exists_one, existsOne, filter, has, map
        "#]],
    );
    check(
        "[[step]]\nfilter.keep = '''\n  price > 10 &&\n  price <\n'''\n",
        expect![[r#"
            pipeline.toml:8:10: error: no CEL expression: it ends where a value should stand
              |
            8 |   price <
              |          ^
        "#]],
    );
    check(
        "[[step]]\nfilter.keep = \"name.matches('^\\\\\\\\d+') && name.matches('a(b') \"\n",
        expect![[r#"
            pipeline.toml:6:58: error: no regular expression: unclosed group
              |
            6 | filter.keep = "name.matches('^\\\\d+') && name.matches('a(b') "
              |                                                          ^
        "#]],
    );
    check(
        "[[step]]\nenrich.compute = { a = \"price.size('\\u00fc', \\\"x\\\")\", b = 'namespace + 1' }\n",
        expect![[r#"
            pipeline.toml:6:31: error: `size` is written `size(x)`
              |
            6 | enrich.compute = { a = "price.size('\u00fc', \"x\")", b = 'namespace + 1' }
              |                               ^^^^
        "#]],
    );
    let long = "country == 'DE' || ".repeat(30);
    check(
        &format!("[[step]]\nwhen = \"{long}contry = 'CH' || {long}x\"\nclean.trim = [\"a\"]\n"),
        expect![[r#"
            pipeline.toml:6:586: error: no CEL expression: `=` stands where an operator should
              |
            6 | …try == 'DE' || country == 'DE' || country == 'DE' || contry = 'CH' || country == 'DE' || country == 'DE' || country == 'DE' || country == 'DE' || country == 'DE…
              |                                                              ^
              = `==` compares
        "#]],
    );
}

#[test]
fn a_condition_that_can_only_fail_is_a_mistake() {
    for (condition, expected) in [
        (
            "'x'",
            expect![[r#"
            pipeline.toml:6:15: error: a condition is true or false, and this never is
              |
            6 | filter.keep = "'x'"
              |               ^^^^^
              = a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`
        "#]],
        ),
        (
            "price * 2.0",
            expect![[r#"
            pipeline.toml:6:15: error: a condition is true or false, and this never is
              |
            6 | filter.keep = "price * 2.0"
              |               ^^^^^^^^^^^^^
              = a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`
        "#]],
        ),
        (
            "price > 1 ? 'dear' : 'cheap'",
            expect![[r#"
            pipeline.toml:6:15: error: a condition is true or false, and this never is
              |
            6 | filter.keep = "price > 1 ? 'dear' : 'cheap'"
              |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`
        "#]],
        ),
        (
            "name.lowerAscii()",
            expect![[r#"
            pipeline.toml:6:15: error: a condition is true or false, and this never is
              |
            6 | filter.keep = "name.lowerAscii()"
              |               ^^^^^^^^^^^^^^^^^^^
              = a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`
        "#]],
        ),
        (
            "1 / 0 == 1",
            expect![[r#"
            pipeline.toml:6:15: error: this fails whatever the event: division by zero
              |
            6 | filter.keep = "1 / 0 == 1"
              |               ^^^^^^^^^^^^
        "#]],
        ),
    ] {
        check(&format!("[[step]]\nfilter.keep = \"{condition}\"\n"), expected);
    }
    for (step, at) in [
        ("filter.drop = \"null\"", "6:15"),
        ("when = \"[]\"\nfilter.drop = \"true\"", "6:8"),
        ("enrich.compute = { a = \"b\", c = \"1 / 0\" }", "6:33"),
        ("enrich.compute = { a = \"0.0 / 0.0\" }", "6:24"),
    ] {
        let text = format!("{EVENT}[[step]]\n{step}\n");
        let told = Pipeline::compile(&text, &millrace_core::files::NONE).map(drop).unwrap_err();
        let told = told.render("pipeline.toml");
        assert!(told.starts_with(&format!("pipeline.toml:{at}: error: ")), "{told}");
    }
    check(
        "[[metric]]\nname = \"a\"\nwindow = \"1m\"\nwhen = \"price + 1\"\n",
        expect![[r#"
        pipeline.toml:8:8: error: a condition is true or false, and this never is
          |
        8 | when = "price + 1"
          |        ^^^^^^^^^^^
          = a condition compares: `price > 10`, `country == 'DE'`, `has(data.x)`
    "#]],
    );
    for condition in ["price", "dyn(price)", "price + 1 > 2 || name", "!price", "l.filter(x, x) == []"] {
        check(&format!("[[step]]\nfilter.keep = \"{condition}\"\n"), expect!["compiles"]);
    }
}

/// Expressions that are right, with what may put a place off.
const RIGHT: [&str; 9] = [
    "a == 'ü😀'",
    "`grün-x` == 1",
    "has(b.c)",
    "l.exists(x, x > 1)",
    "a.matches('\\\\d+')",
    "a == 1 // \"ü\n",
    "a == 'it\\'s'",
    "\n\t`log.level` == \"warn\"",
    "a['size(1, 2)'] == 1.5e-3",
];

/// Expressions that are wrong, and the part that is.
const WRONG: [(&str, &str); 18] = [
    ("lenght(x)", "lenght"),
    ("x.substr(1)", "substr"),
    ("math.rond(x) == 1.0", "math.rond"),
    ("x == 99999999999999999999", "99999999999999999999"),
    ("x == 1.5e+999", "1.5e+999"),
    ("x = 1", "="),
    ("namespace == 1", "namespace"),
    ("x.matches('ü(')", "("),
    ("x.matches('\\\\d(')", "'\\\\d('"),
    ("x.matches(y + ('z'))", "y + ('z')"),
    ("has(x)", "x"),
    ("size(1, 2) == 1", "size"),
    ("timestamp(a).getHours('Mars') == 1", "'Mars'"),
    ("@x == 1", "@"),
    ("x.all(1, true)", "1"),
    ("Foo{a: 1} == 1", "Foo"),
    ("'\\q' == x", "'\\q'"),
    ("x ? y", "?"),
];

const QUOTES: [&str; 4] = ["\"", "'", "\"\"\"", "'''"];

/// A part of a string as TOML has it between these quotes; none where it cannot stand there.
fn written(part: &str, quotes: &str) -> Option<String> {
    let escaped = part.replace('\\', "\\\\").replace('"', "\\\"");
    match quotes {
        "'" => (!part.contains(['\'', '\n'])).then(|| part.to_owned()),
        "'''" => (!part.contains("'''")).then(|| part.to_owned()),
        "\"\"\"" => Some(escaped.replace("&&", "\\\n  &&")),
        _ => Some(escaped.replace('\n', "\\n").replace('ü', "\\u00fc").replace('\t', "\\t")),
    }
}

proptest! {
    #[test]
    fn a_mistake_in_an_expression_is_pointed_at_wherever_it_stands(
        before in prop::collection::vec(prop::sample::select(RIGHT.to_vec()), 0..4),
        (wrong, part) in prop::sample::select(WRONG.to_vec()),
        after in prop::collection::vec(prop::sample::select(RIGHT.to_vec()), 0..3),
        quotes in prop::sample::select(QUOTES.to_vec()),
    ) {
        let before: String = before.iter().flat_map(|right| [right, " && "]).collect();
        let after: String = after.iter().flat_map(|right| [" && ", right]).collect();
        let (start, end) = wrong.rsplit_once(part).unwrap();
        let parts = [before + start, part.to_owned(), end.to_owned() + &after];
        // What cannot stand between these quotes stands between the first.
        let all = |quotes| parts.iter().map(|part| written(part, quotes)).collect::<Option<Vec<_>>>();
        let (quotes, parts) = all(quotes).map_or_else(|| (QUOTES[0], all(QUOTES[0]).unwrap()), |parts| (quotes, parts));
        let [start, part, end] = <[String; 3]>::try_from(parts).unwrap();

        let head = format!("{EVENT}[[step]]\nfilter.keep = {quotes}{start}");
        let text = format!("{head}{part}{end}{quotes}\n");
        let told = Pipeline::compile(&text, &millrace_core::files::NONE).map(drop).unwrap_err().render("p");
        let line = head.matches('\n').count() + 1;
        let column = head.rsplit('\n').next().unwrap().chars().count() + 1;
        prop_assert!(told.starts_with(&format!("p:{line}:{column}: error: ")), "{}\n{}", text, told);
        let marks = told.lines().nth(3).unwrap().matches('^').count();
        prop_assert_eq!(marks, part.chars().count(), "{}\n{}", text, told);
    }
}

#[test]
fn unknown_names_are_pointed_at_and_mended() {
    check(
        "[laek]\n",
        expect![[r#"
        pipeline.toml:5:2: error: `laek` is not a table
          |
        5 | [laek]
          |  ^^^^
          = did you mean `lake`?
    "#]],
    );
    check(
        "[[step]]\nclaen.require = [\"id\"]\n",
        expect![[r#"
        pipeline.toml:6:1: error: `claen` is not a kind of step
          |
        6 | claen.require = ["id"]
          | ^^^^^
          = did you mean `clean`?
    "#]],
    );
    check(
        "[[step]]\nclean.requires = [\"id\"]\n",
        expect![[r#"
        pipeline.toml:6:7: error: `clean.requires` is not a step
          |
        6 | clean.requires = ["id"]
          |       ^^^^^^^^
          = did you mean `clean.require`?
    "#]],
    );
    check(
        "[[step]]\nfilter.frobnicate = 1\n",
        expect![[r#"
            pipeline.toml:6:8: error: `filter.frobnicate` is not a step
              |
            6 | filter.frobnicate = 1
              |        ^^^^^^^^^^
              = there are anonymize.drop, anonymize.encrypt, anonymize.generalize, anonymize.hmac, anonymize.keep_only, anonymize.mask, anonymize.redact, anonymize.truncate_ip, clean.cast, clean.default, clean.empty_to_null, clean.lowercase, clean.max_length, clean.rename, clean.require, clean.schema, clean.timestamp, clean.trim, clean.typed, enrich.classify, enrich.compute, enrich.constant, enrich.deadband, enrich.geoip, enrich.hash_id, enrich.lookup, enrich.referrer, enrich.sentiment, enrich.session, enrich.url, enrich.user_agent, filter.bots, filter.drop, filter.ip, filter.keep, filter.sample, filter.types
        "#]],
    );
    check(
        "[[step]]\nenrich.url = { form = \"path\", into = \"page\" }\n",
        expect![[r#"
            pipeline.toml:6:16: error: unknown setting `form`, expected one of `from`, `into`, `absolute`, `query`, `click_ids`
              |
            6 | enrich.url = { form = "path", into = "page" }
              |                ^^^^
              = did you mean `from`?
        "#]],
    );
    check(
        "[[step]]\nclean.cast = { price = \"flaot\" }\n",
        expect![[r#"
            pipeline.toml:6:24: error: unknown type `flaot`, expected one of `string`, `int`, `float`, `decimal_comma`, `bool`, `timestamp`
              |
            6 | clean.cast = { price = "flaot" }
              |                        ^^^^^^^
              = did you mean `float`?
        "#]],
    );
    check(
        "[lake]\ncolums = []\n",
        expect![[r#"
            pipeline.toml:6:1: error: unknown setting `colums`, expected one of `columns`, `partition_by`, `rest`, `zstd`
              |
            6 | colums = []
              | ^^^^^^
              = did you mean `columns`?
        "#]],
    );
    for level in ["0", "23", "255", "300", "-1"] {
        let text = format!("{EVENT}[lake]\nzstd = {level}\n");
        let told = Pipeline::compile(&text, &millrace_core::files::NONE).map(|_| ());
        let told = told.unwrap_err().render("pipeline.toml");
        assert!(
            told.starts_with(&format!("pipeline.toml:6:8: error: `zstd` is 1 to 22, not {level}\n")),
            "{told}"
        );
    }
    check("[lake]\nzstd = 22\n", expect!["compiles"]);
    check(
        "[lake]\ncolumns = [{ name = \"a\", type = \"text\" }]\n",
        expect![[r#"
            pipeline.toml:6:33: error: unknown value `text`, expected one of `string`, `bigint`, `double`, `boolean`, `timestamp`
              |
            6 | columns = [{ name = "a", type = "text" }]
              |                                 ^^^^^^
              = did you mean `string`?
        "#]],
    );
    whole(
        "[event]\nidd = \"id\"\ntype = \"t\"\ntime = \"at\"\n",
        expect![[r#"
            pipeline.toml:2:1: error: unknown setting `idd`, expected one of `id`, `missing_id`, `type`, `time`, `partition_key`
              |
            2 | idd = "id"
              | ^^^
              = did you mean `id`?
        "#]],
    );
}

#[test]
fn wrong_types_and_shapes_are_pointed_at() {
    check(
        "[[step]]\nclean.require = \"id\"\n",
        expect![[r#"
            pipeline.toml:6:17: error: wrong type: string "id", expected a list, `[…]`
              |
            6 | clean.require = "id"
              |                 ^^^^
              = a list has brackets: ["id"]
        "#]],
    );
    check(
        "[[step]]\nclean.require = [\"a..b\"]\n",
        expect![[r#"
            pipeline.toml:6:18: error: `a..b` is no field path: it is keys with single dots between them, like `data.x`
              |
            6 | clean.require = ["a..b"]
              |                  ^^^^^^
        "#]],
    );
    check(
        "[[step]]\nclean.cast = { data.x = \"int\" }\n",
        expect![[r#"
            pipeline.toml:6:16: error: wrong type: a table, expected a string
              |
            6 | clean.cast = { data.x = "int" }
              |                ^^^^
              = a field with dots in its name needs quotes here: "data.x"
        "#]],
    );
    check(
        "[[step]]\nenrich.url = { from = \"path\" }\n",
        expect![[r#"
            pipeline.toml:6:14: error: missing setting `into`
              |
            6 | enrich.url = { from = "path" }
              |              ^^^^^^^^^^^^^^^^^
        "#]],
    );
    check(
        "[[step]]\nenrich.url = { from = \"path\", into = \"path\" }\n",
        expect![[r#"
            pipeline.toml:6:16: error: `from` and `into` are both `path`: the fields would replace the URL
              |
            6 | enrich.url = { from = "path", into = "path" }
              |                ^^^^
        "#]],
    );
    check(
        "[[step]]\n",
        expect![[r#"
        pipeline.toml:5:1: error: this step is empty
          |
        5 | [[step]]
          | ^^^^^^^^
          = a step is written `clean.require = ["id"]` below `[[step]]`
    "#]],
    );
    check(
        "[[step]]\nclean.require = [\"id\"]\nfilter.keep = \"true\"\n",
        expect![[r#"
        pipeline.toml:7:1: error: a step is one thing: give each its own `[[step]]`
          |
        7 | filter.keep = "true"
          | ^^^^^^
          = the steps run in the order of the file
    "#]],
    );
    check(
        "[step]\nclean.require = [\"id\"]\n",
        expect![[r#"
        pipeline.toml:5:1: error: steps are a list: write `[[step]]`
          |
        5 | [step]
          | ^^^^^^
    "#]],
    );
    whole(
        "[lake]\n",
        expect![[r#"
        pipeline.toml:1:1: error: the table `[event]` is missing
          |
        1 | [lake]
          | ^
          = it says where an event has its id, type and time: `[event]`, `id = "id"`, `type = …`, `time = …`
    "#]],
    );
    whole(
        "event = 7\n",
        expect![[r#"
            pipeline.toml:1:9: error: wrong type: integer `7`, expected a table
              |
            1 | event = 7
              |         ^
        "#]],
    );
    whole(
        "[event\n",
        expect![[r#"
        pipeline.toml:1:7: error: unclosed table, expected `]`
          |
        1 | [event
          |       ^
    "#]],
    );
}

#[test]
fn expressions_and_columns_are_checked() {
    check(
        "[[step]]\nfilter.keep = \"price >\"\n",
        expect![[r#"
            pipeline.toml:6:23: error: no CEL expression: it ends where a value should stand
              |
            6 | filter.keep = "price >"
              |                       ^
        "#]],
    );
    check(
        "[[step]]\nenrich.compute = { a = \"1\", b = \"startWith(c, 'x')\" }\n",
        expect![[r#"
            pipeline.toml:6:34: error: there is no function `startWith`
              |
            6 | enrich.compute = { a = "1", b = "startWith(c, 'x')" }
              |                                  ^^^^^^^^^
              = did you mean `startsWith`?
        "#]],
    );
    check(
        "[lake]\ncolumns = [\n  { name = \"userId\", type = \"string\" },\n  { name = \"user.id\", type = \"string\" },\n  { name = \"rest\", type = \"string\" },\n]\n",
        expect![[r#"
            pipeline.toml:8:12: error: the column `user_id` is there twice: `userId` has it already
              |
            8 |   { name = "user.id", type = "string" },
              |            ^^^^^^^^^
            pipeline.toml:9:12: error: the column `rest` is there twice: the table has one of its own
              |
            9 |   { name = "rest", type = "string" },
              |            ^^^^^^
        "#]],
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    check(
        "[[step]]\nclean.requires = [\"id\"]\n[[step]]\nfilter.keep = 7\n[lake]\ncolumns = 7\n",
        expect![[r#"
            pipeline.toml:6:7: error: `clean.requires` is not a step
              |
            6 | clean.requires = ["id"]
              |       ^^^^^^^^
              = did you mean `clean.require`?
            pipeline.toml:8:15: error: wrong type: integer `7`, expected a string
              |
            8 | filter.keep = 7
              |               ^
              = a text has quotes: "7"
            pipeline.toml:10:11: error: wrong type: integer `7`, expected a list, `[…]`
               |
            10 | columns = 7
               |           ^
        "#]],
    );
}

#[test]
fn steps_tell_what_is_mistaken_in_them() {
    for (text, expected) in [
        (
            "clean.cast = { price = \"float\", otherwise = \"null\" }",
            expect![[r#"
                pipeline.toml:6:33: error: `otherwise` wants the fields in a table beside it: `{ fields = { … }, otherwise = … }`
                  |
                6 | clean.cast = { price = "float", otherwise = "null" }
                  |                                 ^^^^^^^^^
            "#]],
        ),
        (
            "clean.cast = { fields = { price = \"flaot\" } }",
            expect![[r#"
                pipeline.toml:6:35: error: unknown type `flaot`, expected one of `string`, `int`, `float`, `decimal_comma`, `bool`, `timestamp`
                  |
                6 | clean.cast = { fields = { price = "flaot" } }
                  |                                   ^^^^^^^
                  = did you mean `float`?
            "#]],
        ),
        (
            "clean.cast = { fields = { price = \"float\" }, otherwise = \"nul\" }",
            expect![[r#"
            pipeline.toml:6:58: error: unknown value `nul`, expected one of `quarantine`, `null`, `keep`
              |
            6 | clean.cast = { fields = { price = "float" }, otherwise = "nul" }
              |                                                          ^^^^^
              = did you mean `null`?
        "#]],
        ),
        (
            "clean.cast = { fields = { price = \"float\" }, othrwise = \"null\" }",
            expect![[r#"
                pipeline.toml:6:46: error: `othrwise` stands beside `fields`, which takes all fields
                  |
                6 | clean.cast = { fields = { price = "float" }, othrwise = "null" }
                  |                                              ^^^^^^^^
            "#]],
        ),
        (
            "clean.default = { data.x = 1 }",
            expect![[r#"
            pipeline.toml:6:19: error: wrong type: a table, expected a text, a number, true or false
              |
            6 | clean.default = { data.x = 1 }
              |                   ^^^^
              = a field with dots in its name needs quotes here: "data.x"
        "#]],
        ),
        (
            "clean.empty_to_null = { field = [\"a\"] }",
            expect![[r#"
                pipeline.toml:6:25: error: unknown setting `field`, expected `fields` or `also`
                  |
                6 | clean.empty_to_null = { field = ["a"] }
                  |                         ^^^^^
                  = did you mean `fields`?
            "#]],
        ),
        (
            "clean.max_length = { title = \"200\" }",
            expect![[r#"
            pipeline.toml:6:30: error: wrong type: string "200", expected a whole number
              |
            6 | clean.max_length = { title = "200" }
              |                              ^^^^^
        "#]],
        ),
        (
            "clean.rename = { \"items[].a\" = \"b\" }",
            expect![[r#"
                pipeline.toml:6:18: error: `items[].a` and `b` do not stand in the same element
                  |
                6 | clean.rename = { "items[].a" = "b" }
                  |                  ^^^^^^^^^^^
                  = up to the last `[]` both are the same, like `items[].sku` and `items[].product`
            "#]],
        ),
        (
            "clean.require = []",
            expect![[r#"
            pipeline.toml:6:17: error: no field is named, so the step does nothing
              |
            6 | clean.require = []
              |                 ^^
        "#]],
        ),
        (
            "clean.require = { fields = [\"id\", \"a..b\"] }",
            expect![[r#"
                pipeline.toml:6:35: error: `a..b` is no field path: it is keys with single dots between them, like `data.x`
                  |
                6 | clean.require = { fields = ["id", "a..b"] }
                  |                                   ^^^^^^
            "#]],
        ),
        (
            "clean.schema = \"event.json\"",
            expect![[r#"
            pipeline.toml:6:16: error: the schema `event.json` cannot be read: there is no such file
              |
            6 | clean.schema = "event.json"
              |                ^^^^^^^^^^^^
              = it is a file beside the pipeline
        "#]],
        ),
        (
            "clean.timestamp = { field = \"at\", formats = [\"epoch_ms\", \"rfc3393\"] }",
            expect![[r#"
                pipeline.toml:6:58: error: unknown format `rfc3393`, expected one of `rfc3339`, `iso8601`, `epoch`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or one such as `%d.%m.%Y %H:%M`
                  |
                6 | clean.timestamp = { field = "at", formats = ["epoch_ms", "rfc3393"] }
                  |                                                          ^^^^^^^^^
                  = did you mean `rfc3339`?
            "#]],
        ),
        (
            "clean.timestamp = [\"at\"]",
            expect![[r#"
                pipeline.toml:6:19: error: wrong type: a list, `[…]`, expected a string
                  |
                6 | clean.timestamp = ["at"]
                  |                   ^^^^^^
            "#]],
        ),
        (
            "filter.bots = { field = \"ua\", pattern = [\"x\"] }",
            expect![[r#"
                pipeline.toml:6:31: error: unknown setting `pattern`, expected one of `field`, `patterns`, `add`
                  |
                6 | filter.bots = { field = "ua", pattern = ["x"] }
                  |                               ^^^^^^^
                  = did you mean `patterns`?
            "#]],
        ),
        (
            "filter.ip = { field = \"ip\", deny = [\"10.0.0.0/8\", \"10.0.0.1/8\"] }",
            expect![[r#"
                pipeline.toml:6:51: error: `10.0.0.1/8` is an address within a network: the network is `10.0.0.0/8`
                  |
                6 | filter.ip = { field = "ip", deny = ["10.0.0.0/8", "10.0.0.1/8"] }
                  |                                                   ^^^^^^^^^^^^
            "#]],
        ),
        (
            "filter.sample = { by = \"userId\", keep = 10 }",
            expect![[r#"
                pipeline.toml:6:34: error: `keep` is 10, and no share: it is above 0 and up to 1
                  |
                6 | filter.sample = { by = "userId", keep = 10 }
                  |                                  ^^^^
                  = 10 percent is 0.1
            "#]],
        ),
        (
            "filter.types = { field = \"t\", allow = [\"a\"], deny = [\"b\"] }",
            expect![[r#"
                pipeline.toml:6:31: error: `allow` and `deny` are both given: one of them is meant
                  |
                6 | filter.types = { field = "t", allow = ["a"], deny = ["b"] }
                  |                               ^^^^^
                  = two steps, one of each, do both
            "#]],
        ),
    ] {
        check(&format!("[[step]]\n{text}\n"), expected);
    }
}

/// Steps as people write them who know another language or another tool.
const STEPS: &[&str] = &[
    "clean.require = [id]",
    r#"filter.keep = "price > 10
clean.x = 1"#,
    "filter.keep = price > 10",
    "filter.keep = “price > 10”",
    r#"clean.require = ["id"]
clean.require = ["at"]"#,
    r#"clean.trim: ["a"]"#,
    r#"name = "clean.trim"
fields = ["a"]"#,
    r#"type = "filter.keep"
expression = "a > 1""#,
    r#""clean.trim" = ["a"]"#,
    r#"clean.require = ["id", "items[0].sku"]"#,
    r#"anonymize.hmac = ["id", "data.*"]"#,
    r#"anonymize.drop = ["/data/x"]"#,
    r#"anonymize.hmac = "userId""#,
    r#"anonymize.hmac = { fields = ["userId"], key = "secret" }"#,
    r#"clean.cast = ["price", "float"]"#,
    r#"clean.cast = { price = "integer" }"#,
    r#"clean.cast = { price = "number", qty = "boolean" }"#,
    r#"clean.rename = ["a", "b"]"#,
    r#"clean.timestamp = { field = "at", formats = ["iso8601"], timezone = "Mars/Base" }"#,
    r#"clean.timestamp = { field = "at", formats = ["%Q"] }"#,
    r#"clean.timestamp = { field = "at", formats = ["yyyy-MM-dd"] }"#,
    r#"clean.timestamp = { field = "at", max_past = "30 days" }"#,
    r#"clean.timestamp = { field = "at", max_past = 30 }"#,
    r#"enrich.classify = { from = "ua", into = "kind", rules = [{ any = ["x"], label = "a" }, { matches = "a(b", label = "c" }] }"#,
    r#"enrich.classify = { from = "ua", into = "kind", rules = [{ label = "a" }] }"#,
    r#"filter.ip = { field = "ip", deny = ["10.0.0.0/8", "300.1.1.1"] }"#,
    r#"filter.ip = { field = "ip", deny = ["10.0.0.0/40"] }"#,
    r#"filter.sample = { by = "userId", keep = "10%" }"#,
    r#"enrich.lookup = { from = "sku", into = "product", table = "one.csv", key = "skuu" }"#,
    r#"anonymize.mask = { fields = ["card"], keep_last = -1 }"#,
    r#"anonymize.generalize = { at = "decade" }"#,
    r#"anonymize.redact = { fields = ["text"], find = ["email", "creditcard"] }"#,
    r#"anonymize.truncate_ip = { fields = ["ip"], v4 = 33 }"#,
    r#"filter.keep = "price > 10 and country == 'DE'""#,
    r#"filter.keep = "country == "DE"""#,
    r#"filter.keep = "country IN ('DE', 'CH')""#,
    r#"filter.keep = "country in ('DE', 'CH')""#,
    r#"filter.keep = "country not in ['DE']""#,
    r#"filter.keep = "name LIKE 'a%'""#,
    r#"filter.keep = "price <> 10""#,
    r#"filter.keep = "price === 10""#,
    r#"filter.keep = "price IS NOT NULL""#,
    r#"filter.keep = "price BETWEEN 1 AND 2""#,
    r#"enrich.compute = { d = "if price > 50 then 1 else 0" }"#,
    r#"enrich.compute = { d = "a ?? b" }"#,
    r#"enrich.compute = { d = "a?.b" }"#,
    r#"filter.keep = "items.exists(i => i.price > 1)""#,
    r#"enrich.compute = { d = "first . ' ' . last" }"#,
    r#"filter.keep = "$.price > 10""#,
    r#"filter.keep = "name =~ /a.*/""#,
    r#"filter.keep = "name.matches('\d+')""#,
    r#"filter.keep = '''name.matches('\d+')'''"#,
    r#"enrich.compute = { d = "price ** 2" }"#,
    r#"filter.keep = "timestamp(at) > now() - duration('1d')""#,
    r#"filter.keep = "timestamp(at) > timestamp('2026-01-01')""#,
    r#"filter.keep = "timestamp(at) - timestamp(receivedAt) > duration('1d')""#,
    r#"enrich.compute = { d = "price * 1,5" }"#,
    "filter.keep = true",
    r#"filter.keep = ["price > 10"]"#,
    r#"filter.keep = "isEmpty(name)""#,
    r#"enrich.compute = { d = "price.toString()" }"#,
    r#"enrich.compute = { d = "parseInt(price)" }"#,
    r#"enrich.compute = { d = "concat(a, b)" }"#,
    r#"filter.keep = "has(price)""#,
    r#"filter.keep = "has(data['x'])""#,
    r#"filter.keep = "price > 10;""#,
    r#"enrich.compute = { d = "count++" }"#,
    r#"enrich.compute = { d = "timestamp(at).getHours('CEST')" }"#,
    r#"enrich.compute = { d = "1 + 1.0" }"#,
    r#"enrich.compute = "price * 2""#,
    "enrich.compute = { tax = 0.19 }",
    r#"enrich.compute = { data.total = "a + b" }"#,
    r#"enrich.compute = { total = { expr = "a + b" } }"#,
    r#"enrich.constant = { data.x = "a" }"#,
    "clean.default = { x = null }",
    r#"when = "a == 1""#,
    r#"if = "a == 1"
clean.trim = ["a"]"#,
    r#"enrich.hash_id = { fields = ["a"], into = "id" , algo = "md5"}"#,
    r#"enrich.url = "path""#,
    r#"filter.types = { field = "type", allow = ["a", "*_x"] }"#,
    r#"enrich.classify = { from = "ua", into = "kind", rules = [{ any = ["x"], label = "a" }, { regex = "a(b", label = "c" }] }"#,
];

/// Other tables, likewise.
const TABLES: &[&str] = &[
    r#"[event]
id = "x""#,
    r#"[step.clean]
trim = ["a"]"#,
    r#"[lake]
columns = [{ name = "price", type = "float" }]"#,
    r#"[lake]
columns = ["price", "country"]"#,
    r#"[lake]
columns = { price = "double" }"#,
    r#"[lake]
columns = [{ name = "userId", type = "string" }, { name = "user_id", type = "string" }]"#,
    r#"[lake]
partition_by = ["tenant", "type"]"#,
    r#"[[metric]]
name = "a"
window = 60"#,
    r#"[check]
allow = "ip""#,
    r#"[changes]
old = "status""#,
];

const FILES: &[(&str, &[u8])] = &[("one.csv", b"sku,name\na,1\nb,2\n")];

#[test]
fn mistakes_that_people_make_are_told_with_their_place_and_what_was_meant() {
    let mut page = String::new();
    for (head, texts) in [("[[step]]\n", STEPS), ("", TABLES)] {
        for text in texts {
            let whole = format!("{EVENT}{head}{text}\n");
            let told = Pipeline::compile(&whole, &FILES).map(|_| ()).unwrap_err();
            page.extend([told.render("pipeline.toml"), "\n".to_owned()]);
        }
    }
    expect_file!["golden/mistakes.txt"].assert_eq(&page);
}

proptest! {
    /// Whatever stands there, it is told in a line that is there, and marked within it.
    #[test]
    fn no_text_is_told_outside_of_itself(
        text in prop::sample::select([STEPS, TABLES].concat()),
        at in any::<prop::sample::Index>(),
        sign in prop::sample::select(vec!["", "\"", "'", "\\", "`", "(", ")", "ü", "\n", "\r\n", "\u{0}", "[", "}", ",", "?", " in ", "=", "'''"]),
        removed in 0..3_usize,
    ) {
        let mut signs: Vec<String> = format!("{EVENT}[[step]]\n{text}\n").chars().map(String::from).collect();
        let at = at.index(signs.len());
        signs.splice(at..(at + removed).min(signs.len()), [sign.to_owned()]);
        let text = signs.concat();
        let told = match Pipeline::check(&text, &FILES) {
            Ok((_, warnings)) => warnings.render("p"),
            Err(mistakes) => mistakes.render("p"),
        };
        for place in told.lines().filter_map(|line| line.strip_prefix("p:")) {
            let mut numbers = place.split(':').map(|number| number.parse::<usize>().unwrap_or(0));
            let (line, column) = (numbers.next().unwrap(), numbers.next().unwrap());
            prop_assert!((1..=text.matches('\n').count() + 1).contains(&line), "{}", told);
            let length = text.split('\n').nth(line - 1).unwrap().chars().count();
            prop_assert!((1..=length + 1).contains(&column), "{}", told);
        }
        for marks in told.lines().filter(|line| line.trim_start().starts_with("| ") && line.ends_with('^')) {
            prop_assert!(marks.chars().count() < 200, "{}", told);
        }
    }
}
