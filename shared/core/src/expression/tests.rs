use super::*;
use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

fn compiled(source: &str) -> Expression {
    Expression::compile(&Spanned::new(0..0, source.to_owned())).expect(source)
}

fn evaluate(source: &str, event: &Json) -> Result<Json, String> {
    let event = Event::read(&event.to_string()).unwrap();
    let mut room = String::new();
    let program = compiled(source).0;
    let (value, mut budget) =
        Run::new(&program, &event).run(&program.root).map_err(|error| error.to_string())?;
    value.write(&mut room, &mut budget).map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(&room).unwrap())
}

/// Looks at expressions over one event: the JSON of each, or the error.
fn table(event: &Json, rows: &[(&str, &str)]) {
    for (source, wanted) in rows {
        let told = evaluate(source, event).map_or_else(|error| error, |value| value.to_string());
        assert_eq!(&told, wanted, "{source} over {event}");
    }
}

#[test]
fn the_fields_are_the_variables() {
    for (source, event, result) in [
        ("price == null || price > 10.0", json!({}), json!(true)),
        ("price == null || price > 10.0", json!({"price": null}), json!(true)),
        ("price == null || price > 10.0", json!({"price": 10}), json!(false)),
        ("price > 10", json!({"price": 10.5}), json!(true)),
        ("price * 0.1", json!({"price": 60.0}), json!(6.0)),
        ("count + 1", json!({"count": 41}), json!(42)),
        ("has(data.x) && data.x > 1", json!({"data": {}}), json!(false)),
        ("has(data.x) && data.x > 1", json!({"data": {"x": 2}}), json!(true)),
        ("items.exists(i, i.sku == 'b')", json!({"items": [{"sku": "a"}, {"sku": "b"}]}), json!(true)),
        ("items.map(i, i.n)", json!({"items": [{"n": 1}, {"n": 2}]}), json!([1, 2])),
        ("name.matches('^a.*z$') && name.startsWith('a')", json!({"name": "abcz"}), json!(true)),
        ("type(price) == double", json!({"price": 1.5}), json!(true)),
        ("size(name)", json!({"name": "grün"}), json!(4)),
    ] {
        assert_eq!(evaluate(source, &event), Ok(result), "{source} over {event}");
    }
}

#[test]
fn numbers_are_rounded_and_compared() {
    table(
        &json!({"price": 59.985, "math": {"x": 3}, "list": [2.5, -2.5]}),
        &[
            ("math.round(price * 100.0) / 100.0", "59.99"),
            ("list.map(x, math.round(x))", "[3.0,-3.0]"),
            ("list.map(math, math)", "[2.5,-2.5]"),
            ("list.map(x, math.ceil(x))", "[3.0,-2.0]"),
            ("list.map(x, math.floor(x))", "[2.0,-3.0]"),
            ("list.map(x, math.trunc(x))", "[2.0,-2.0]"),
            ("list.map(x, math.abs(x))", "[2.5,2.5]"),
            ("math.abs(-7) + int(math.abs(7u))", "14"),
            ("math.abs(-9223372036854775807 - 1)", "`math.abs` overflows"),
            ("math.greatest(1, 1.5)", "1.5"),
            ("math.greatest(2, 2.0)", "2"),
            ("math.least(price, 3u)", "3"),
            ("math.least(price, '3')", "`math.least` does not take (double, string)"),
            ("math.least(price, double('NaN'))", "`math.least` has no answer for NaN"),
            ("math.round(1)", "`math.round` does not take (int)"),
            ("math.round(null)", "`math.round` does not take (null)"),
            ("math.x", "3"),
        ],
    );
}

#[test]
fn fields_are_found_or_missing() {
    let event = json!({
        "data": {"x": 1, "nil": null, "deep": {"y": "z"}, "content-type": "text", "a.b": 3},
        "list": [{"n": 1}, {"n": 2}], "text": "abc", "none": null, "int": 5,
    });
    let missing = "a nested field is missing, and no has() guards it";
    table(
        &event,
        &[
            ("data.deep.y", r#""z""#),
            ("data['deep'].y + data['content-type']", r#""ztext""#),
            ("data.`content-type`", r#""text""#),
            ("data['a.b']", "3"),
            (".data.x", "1"),
            ("list[1].n + list[0]['n']", "3"),
            ("[list[1]][0].n", "2"),
            ("data.none", missing),
            ("data.deep.none", missing),
            ("data.none.y", missing),
            ("nobody.x", missing),
            ("none.x", missing),
            ("nobody.x.y", missing),
            ("text.x", "`.` does not take (string, string)"),
            ("text.x.y", "`.` does not take (string, string)"),
            ("data.nil", "null"),
            ("data.nil.x", missing),
            ("has(data.x)", "true"),
            ("has(data.nil)", "true"),
            ("has(data.none)", "false"),
            ("has(nobody.x)", "false"),
            ("has(none.x)", "false"),
            ("has(data.nil.x)", "false"),
            ("has(data.deep.y)", "true"),
            ("has(data.none.y)", "has() asks for a field of what is missing itself: guard that first"),
            ("has(nobody.x.y)", "has() asks for a field of what is missing itself: guard that first"),
            ("has(data.deep) && has(data.deep.none)", "false"),
            ("has(text.x)", "`.` does not take (string, string)"),
            ("has(data.x.y)", "`.` does not take (int, string)"),
            ("has(list[0].n) && !has(list[0].m)", "true"),
            ("has({'a': 1}.a)", "true"),
            ("int + 1", "6"),
            ("[data.x, data.x, data.x]", "[1,1,1]"),
            ("data", &event["data"].to_string()),
        ],
    );
}

#[test]
fn numbers_stand_on_one_line() {
    let event = json!({
        "big": u64::MAX, "max": i64::MAX, "min": i64::MIN, "half": 0.5, "one": 1, "float": 1.0, "huge": 1e300,
    });
    table(
        &event,
        &[
            ("one == 1.0 && 1u == one && float == 1", "true"),
            ("one < 1.5 && half < one && -1 < 0u && 0u > -1", "true"),
            ("big > max && big > min && min < 0u", "true"),
            // What a double cannot tell apart, integers do.
            ("9007199254740993 == 9007199254740992.0", "false"),
            ("9007199254740993 > 9007199254740992.0", "true"),
            ("9007199254740992 == 9007199254740992.0", "true"),
            ("max == 9223372036854775808.0", "false"),
            ("max < 9223372036854775808.0", "true"),
            ("min == -9223372036854775808.0", "true"),
            ("big == 18446744073709551616.0", "false"),
            ("big < huge && min > -huge && one < huge", "true"),
            ("1 < 1.0 / 0.0 && 1 > -1.0 / 0.0", "true"),
            ("-1 > -1.5 && -1.5 < -1 && -2 < -1.5", "true"),
            ("0.0 / 0.0 == 0.0 / 0.0", "false"),
            ("0.0 / 0.0 != 0.0 / 0.0", "true"),
            ("1 == 0.0 / 0.0", "false"),
            ("1 < 0.0 / 0.0", "`<` has no answer for NaN"),
            ("max + 1", "`+` overflows"),
            ("min - 1", "`-` overflows"),
            ("max * 2", "`*` overflows"),
            ("min / -1", "`/` overflows"),
            ("min % -1", "`%` overflows"),
            ("-min", "`-` overflows"),
            ("big + 1u", "`+` overflows"),
            ("0u - 1u", "`-` overflows"),
            ("one / 0", "division by zero"),
            ("one % 0", "division by zero"),
            ("big / 0u", "division by zero"),
            ("-7 / 2", "-3"),
            ("-7 % 2", "-1"),
            ("one / 0.0 > 1e308", "`/` does not take (int, double)"),
            ("one * half", "`*` does not take (int, double)"),
            ("one + 1u", "`+` does not take (int, uint)"),
            ("half % 2.0", "`%` does not take (double, double)"),
            ("-1u", "`-` does not take (uint)"),
            ("-half", "-0.5"),
            ("huge * huge", "nothing that JSON can hold"),
        ],
    );
}

#[test]
fn logic_does_not_hang_on_the_side_an_error_is() {
    let error = "division by zero";
    table(
        &json!({"zero": 0, "n": 1}),
        &[
            ("1 / zero == 1 || true", "true"),
            ("true || 1 / zero == 1", "true"),
            ("1 / zero == 1 && false", "false"),
            ("false && 1 / zero == 1", "false"),
            ("1 / zero == 1 || false", error),
            ("1 / zero == 1 && true", error),
            ("n || true", "true"),
            ("false && n", "false"),
            ("n || false", "`||` does not take (int, bool)"),
            ("true && n", "`&&` does not take (bool, int)"),
            ("n ? 1 : 2", "`? :` wants true or false, not int"),
            ("true ? 1 : 1 / zero", "1"),
            ("!n", "`!` does not take (int)"),
            ("[1, 0].exists(i, n / i == 1)", "true"),
            ("[0, 1].exists(i, n / i == 1)", "true"),
            ("[0, 1].exists(i, n / i == 2)", error),
            ("[0, 2].all(i, n / i == 1)", "false"),
            ("[0, 1].all(i, n / i == 1)", error),
            ("[1, 2].all(i, i)", "`&&` does not take (bool, int)"),
            ("[0, 1].exists_one(i, n / i == 1)", error),
        ],
    );
}

#[test]
fn lists_and_maps_are_compared_by_what_is_in_them() {
    table(
        &json!({"l": [1, 2.0, "a", null, [3]], "m": {"a": 1, "b": [2]}, "n": 2, "s": "a"}),
        &[
            ("l == [1.0, 2u, 'a', null, [3]]", "true"),
            ("l == [1, 2]", "false"),
            ("[1, 2] == l", "false"),
            ("m == {'b': [2.0], 'a': 1u}", "true"),
            ("m == {'a': 1}", "false"),
            ("{'a': 1} == m", "false"),
            ("m == {'a': 1, 'c': [2]}", "false"),
            ("{1: 'a'} == {1u: 'a'}", "true"),
            ("l == 1", "false"),
            ("[0.0 / 0.0] == [0.0 / 0.0]", "false"),
            ("n in l && 'a' in l && null in l && [3] in l && !('b' in l)", "true"),
            ("s in ['x', 'a']", "true"),
            ("s in [1, 'b']", "false"),
            ("'a' in m && !('x' in m) && !(1 in m)", "true"),
            ("2.0 in {2: 'x'}", "true"),
            ("null in m", "`in` does not take (null, map)"),
            ("n in s", "`in` does not take (int, string)"),
            ("l[0] + l[n - 2]", "2"),
            ("l[1.0] == l[1u]", "true"),
            ("l[0.5]", "`[]` does not take (list, double)"),
            ("l[-1]", "an index is out of bounds"),
            ("l[5]", "an index is out of bounds"),
            ("m[s]", "1"),
            ("m[s + 'x']", "a map has no such key, and no `in` guards it"),
            ("m[null]", "`[]` does not take (map, null)"),
            ("{1: 'x', true: 'y'}[1.0] + {1: 'x', true: 'y'}[true]", r#""xy""#),
            ("s[0]", "`[]` does not take (string, int)"),
            ("l + [n]", r#"[1,2.0,"a",null,[3],2]"#),
            ("m + m", "`+` does not take (map, map)"),
            ("l + m", "`+` does not take (list, map)"),
            ("{s: 1, 'a': 2}", "a map has a key twice"),
            ("{1: 1, 1u: 2}", "a map has a key twice"),
            ("{null: 1}", "null is no key of a map"),
            ("{1.5: 1}", "double is no key of a map"),
            ("{'x': l[1], 2: s, true: {}}", r#"{"2":"a","true":{},"x":2.0}"#),
            ("size(l) + size(m) + [].size() + m.size()", "9"),
            ("[1] < [2]", "`<` does not take (list, list)"),
            ("null < 1", "`<` does not take (null, int)"),
            ("false < true && 'a' < 'b' && b'a' < b'b'", "true"),
        ],
    );
}

#[test]
fn macros_go_over_lists_and_keys() {
    table(
        &json!({"l": [1, 2, 3], "m": {"a": 1, "b": 2}, "i": 7, "o": [{"n": 1, "t": ["x"]}, {"n": 2, "t": []}]}),
        &[
            ("l.all(i, i > 0) && !l.all(i, i > 1)", "true"),
            ("l.exists(i, i == 2) && !l.exists(i, i > 3)", "true"),
            ("l.exists_one(i, i == 2) && !l.exists_one(i, i > 1)", "true"),
            ("[].all(i, false) && ![].exists(i, true)", "true"),
            ("l.map(i, i * i)", "[1,4,9]"),
            ("l.map(i, i > 1, i * i)", "[4,9]"),
            ("l.filter(i, i % 2 == 1)", "[1,3]"),
            ("m.map(k, k + string(m[k]))", r#"["a1","b2"]"#),
            ("m.exists(k, m[k] == 2)", "true"),
            ("l.map(i, l.map(j, i * j))", "[[1,2,3],[2,4,6],[3,6,9]]"),
            ("l.map(i, l.map(i, i))[0]", "[1,2,3]"),
            ("l.map(x, x + i)", "[8,9,10]"),
            ("l.map(i, .i)", "[7,7,7]"),
            ("o.filter(x, x.t.exists(t, t == 'x')).map(x, x.n)", "[1]"),
            ("o.map(x, has(x.n) && !has(x.z))", "[true,true]"),
            ("o.map(x, x.z)", "a nested field is missing, and no has() guards it"),
            ("i.map(x, x)", "a macro goes over lists and maps, not over int"),
            ("nobody.all(x, x)", "a macro goes over lists and maps, not over null"),
            ("l.filter(x, x)", "`filter` wants true or false, not int"),
            ("l.map(x, 6 / (x - 1))", "division by zero"),
        ],
    );
}

#[test]
fn functions_convert_and_look_into_texts() {
    table(
        &json!({"s": "grün", "n": 12, "f": 2.9, "big": u64::MAX, "e": "", "t": "1.5"}),
        &[
            ("size(s) + size(bytes(s)) + size(e)", "9"),
            ("s.contains('ü') && s.startsWith('gr') && s.endsWith('n') && s.contains('')", "true"),
            ("s.contains('x') || s.startsWith('x') || s.endsWith('x')", "false"),
            ("s.contains(1)", "`contains` does not take (string, int)"),
            ("s.matches('r.n') && matches(s, '^g') && !s.matches('^n')", "true"),
            ("n.matches('1')", "`matches` does not take (int, string)"),
            (
                "string(n) + string(f) + string(big) + string(true) + string(1.0)",
                r#""122.918446744073709551615true1""#,
            ),
            ("string(b'ab') + string(s)", r#""abgrün""#),
            (r"string(b'\xff')", "string() cannot convert this bytes"),
            ("string([1])", "`string` does not take (list)"),
            ("int(f) + int('12') + int(-2.9) + int(7u)", "19"),
            ("int(big)", "int() cannot convert this uint"),
            ("int(9223372036854775808.0)", "int() cannot convert this double"),
            ("int(-9223372036854775808.0)", "int() cannot convert this double"),
            ("int(t)", "int() cannot convert this string"),
            ("int(0.0 / 0.0)", "int() cannot convert this double"),
            ("uint(n) == 12u && uint('5') == 5u && uint(f) == 2u", "true"),
            ("uint(-1)", "uint() cannot convert this int"),
            ("uint(-0.5)", "uint() cannot convert this double"),
            ("double(n) * 0.5 + double(t)", "7.5"),
            ("bool('true') && !bool('f')", "true"),
            ("bool('yes')", "bool() cannot convert this string"),
            ("bool(1)", "`bool` does not take (int)"),
            ("int(null)", "`int` does not take (null)"),
            ("dyn(n) == 12", "true"),
            (
                "type(n) == int && type(null) == null_type && type(type(n)) == type && type([]) == list",
                "true",
            ),
            ("type(n) == 'int'", "false"),
            ("type(n)", "nothing that JSON can hold"),
            ("b'ab'", "nothing that JSON can hold"),
            (r"'a\n\u00fc\x41' + r'\n' + '''it's'''", r#""a\nüA\\nit's""#),
        ],
    );
}

#[test]
fn errors_name_kinds_and_never_values() {
    for (source, event) in [
        ("email > 10", json!({"email": "x@example.com"})),
        ("email * 2.0", json!({"email": "x@example.com"})),
        ("data.email", json!({"data": {"phone": "x@example.com"}})),
        ("data[email]", json!({"data": {}, "email": "x@example.com"})),
        ("int(email)", json!({"email": "x@example.com"})),
        ("price * 0.1", json!({"price": 60})),
        ("1 / n", json!({"n": 0})),
        ("[1][n]", json!({"n": 7})),
        ("email.size() + email", json!({"email": "x@example.com"})),
        ("email.name", json!({"email": "x@example.com"})),
        ("{email: 1, email: 2}", json!({"email": "x@example.com"})),
        ("email.map(x, x)", json!({"email": "x@example.com"})),
        ("email ? 1 : 2", json!({"email": "x@example.com"})),
    ] {
        let error = evaluate(source, &event).expect_err(source);
        assert!(!error.contains("example.com"), "{source}: {error}");
    }
    assert_eq!(
        evaluate("price * 0.1", &json!({"price": 60})).unwrap_err(),
        "`*` does not take (int, double)"
    );
}

#[test]
fn what_is_computed_keeps_the_digits_of_the_event() {
    let event = Event::read(r#"{"l":[1.10,123456789012345678901,{"a\n":1e2}],"s":"\u00fc\""}"#).unwrap();
    let mut room = String::new();
    let told = compiled("[l, s]").compute(&event, &mut room).unwrap();
    assert_eq!(told, New::Json(r#"[[1.10,123456789012345678901,{"a\n":1e2}],"ü\""]"#));
    assert_eq!(compiled("s").compute(&event, &mut room).unwrap(), New::Str("ü\""));
}

#[test]
fn what_it_reads_is_as_far_down_as_it_is_named() {
    let reads = |source: &str| {
        let told: Vec<_> = compiled(source).reads().iter().map(ToString::to_string).collect();
        told.join(" ")
    };
    assert_eq!(reads("has(data.x) && data.x > 1 && data['y'].z == a"), "a data.x data.y.z");
    assert_eq!(reads("items.exists(i, i.sku == sku)"), "items sku");
    assert_eq!(reads("items[0].sku == x.`y z` || true"), "items x.y z");
    assert_eq!(reads("1 + 1 == 2"), "");
}

// ---- Limits

#[test]
fn what_takes_too_long_ends() {
    let many: Vec<_> = (0..3000).collect();
    let long = "x".repeat(1 << 20);
    let event = json!({"items": many, "long": long, "nested": many.iter().map(|_| "a").collect::<Vec<_>>()});
    for source in [
        "items.map(i, items.map(j, i * j))",
        "items.all(i, items.exists(j, i == j - 1) || true)",
        "items.filter(i, items.filter(j, j > i) == items)",
        "items.map(i, items)",
        "items.map(i, long + long)",
        "items.exists(i, long.contains('y'))",
        "items.all(i, long.matches('(a+)+$') == false)",
        "items.all(i, items == items)",
        "items.exists(i, long + 'y' == long + 'z')",
        "items.map(i, items[2999 - i]).map(i, items[2999])",
        "items.map(i, size(items))",
        "items.all(i, items.exists(j, 1 / 0 == 1) || true)",
    ] {
        assert_eq!(evaluate(source, &event), Err("it takes too long".to_owned()), "{source}");
    }
    assert_eq!(evaluate("items.exists(i, i == 2999)", &event), Ok(json!(true)));
    assert_eq!(evaluate("2999 in items && items == items", &event), Ok(json!(true)));
}

#[test]
fn patterns_are_linear() {
    let event = json!({"text": "a".repeat(100_000) + "b"});
    assert_eq!(evaluate("text.matches('(a+)+$')", &event), Ok(json!(false)));
    assert_eq!(evaluate("text.matches('^(a|a)*b$')", &event), Ok(json!(true)));
}

#[test]
fn nesting_has_an_end() {
    for (source, deep) in [
        ("(".repeat(70) + "1" + &")".repeat(70), false),
        ("(".repeat(100) + "1" + &")".repeat(100), true),
        ("[".repeat(3000) + &"]".repeat(3000), true),
        ("1".to_owned() + &"+1".repeat(70), false),
        ("1".to_owned() + &"+1".repeat(10_000), true),
        ("a".to_owned() + &".a".repeat(10_000), true),
        ("a".to_owned() + &"[0]".repeat(5_000), true),
        ("!".repeat(5_000) + "a", true),
        ("a ? 1 : ".repeat(60) + "2", false),
        ("a ? 1 : ".repeat(3_000) + "2", true),
        ("a || ".repeat(1_000) + "b", false),
        ("a == 'x' && ".repeat(500) + "b", false),
        (format!("a in [{}'']", "'x', ".repeat(2_000)), false),
        ("a == ".repeat(2_000) + "b", true),
        ("l.all(x, ".repeat(25) + "true" + &")".repeat(25), false),
        ("'x' + ".repeat(30) + "'('", false),
    ] {
        let told = Expression::compile(&Spanned::new(0..0, source.clone()));
        let start = source.get(..20).unwrap_or(&source);
        match (told, deep) {
            (Ok(_), false) => {}
            (Err(mistake), true) => assert!(format!("{mistake:?}").contains("nested too deep"), "{start}"),
            (told, _) => panic!("{start}: {told:?}"),
        }
    }
    let long = "x".repeat(40_000);
    assert!(Expression::compile(&Spanned::new(0..0, long)).is_err());
}

#[test]
fn deep_values_are_compared() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let event = Event::read(&format!("{{\"a\":{},\"b\":{}}}", nested(115), nested(115))).unwrap();
    assert_eq!(compiled("a == b && [[a]] == [[b]] && a != [b]").test(&event), Ok(true));
}

#[test]
fn deep_expressions_are_worked_out() {
    let event = Event::read(r#"{"a":1,"l":[1]}"#).unwrap();
    let list = "[".repeat(75) + "a" + &"]".repeat(75);
    assert_eq!(compiled(&format!("{list} == {list}")).test(&event), Ok(true));
    let sum = "a".to_owned() + &" + a".repeat(70);
    assert_eq!(compiled(&format!("({sum}) == 71")).test(&event), Ok(true));
    let loops = "l.all(x, ".repeat(25) + "x == a" + &")".repeat(25);
    assert_eq!(compiled(&loops).test(&event), Ok(true));
    let conditions = "a == 2 ? false : ".repeat(70) + "true";
    assert_eq!(compiled(&conditions).test(&event), Ok(true));
}

// ---- Mistakes

#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn mistakes(sources: &[&str], expected: Expect) {
    let told = sources.iter().map(|source| {
        let told = Expression::compile(&Spanned::new(0..0, (*source).to_owned()));
        let told = told.map_or_else(
            |mistake| crate::mistake::Mistakes::new("", vec![mistake]).render("").replace("\n  = ", "; "),
            |_| "compiles\n".to_owned(),
        );
        format!("{source:?} {}", told.trim_start_matches(":1:1: error: ").replace("\n  |\n", "; "))
    });
    expected.assert_eq(&told.collect::<String>());
}

#[test]
fn mistakes_of_syntax_are_told_in_words() {
    mistakes(
        &[
            "",
            "   ",
            "price >",
            "price > > 1",
            "price 1",
            "a and b",
            "not a",
            "a = 1",
            "a & b",
            "a is null",
            "(a",
            "a)",
            "[1, 2",
            "a ? b",
            "[a ? b, c]",
            "{a ? b : c: d}",
            "f(1,)",
            "'abc",
            "\"a",
            "a == 'it's'",
            "a #",
            "@",
            "1 +\n+ 2",
            "if",
            "a.",
            "a.?b",
            "a[?0]",
            "99999999999999999999",
            "99999999999999999999u",
            "1e999",
            r"'\q'",
            "has(a)",
            "l.all(1, true)",
            "Foo{a: 1}",
            "{'a' 1}",
            "grün == 1",
            "a ==== b",
            "x.y z",
            "a && || b",
        ],
        expect![[r#"
            "" no CEL expression: it is empty
            "   " no CEL expression: it is empty
            "price >" no CEL expression: column 8: it ends where a value should stand
            "price > > 1" no CEL expression: column 9: `>` stands where a value should
            "price 1" no CEL expression: column 7: `1` stands where an operator should
            "a and b" no CEL expression: column 3: `and` stands where an operator should; `&&` is and
            "not a" no CEL expression: column 5: `a` stands where an operator should; `!` is not
            "a = 1" no CEL expression: column 3: `=` stands where an operator should; `==` compares
            "a & b" no CEL expression: column 3: `&` stands where an operator should; `&&` is and
            "a is null" no CEL expression: column 3: `is` stands where an operator should; `==` compares, with null too
            "(a" no CEL expression: column 1: `(` is never closed
            "a)" no CEL expression: column 2: no bracket is open for `)`
            "[1, 2" no CEL expression: column 1: `[` is never closed
            "a ? b" no CEL expression: a `?` has no `:`
            "[a ? b, c]" no CEL expression: a `?` has no `:`
            "{a ? b : c: d}" compiles
            "f(1,)" no CEL expression: column 5: `)` stands where a value should
            "'abc" no CEL expression: column 1: a text has no end; a text stands in quotes, and on one line: 'like this'
            "\"a" no CEL expression: column 1: a text has no end; a text stands in quotes, and on one line: 'like this'
            "a == 'it's'" no CEL expression: column 11: a text has no end; a text stands in quotes, and on one line: 'like this'
            "a #" no CEL expression: column 3: `#` stands where an operator should
            "@" no CEL expression: column 1: `@` stands where a value should
            "1 +\n+ 2" no CEL expression: line 2, column 1: `+` stands where a value should
            "if" no CEL expression: column 1: `if` is a word that CEL keeps for itself
            "a." no CEL expression: column 3: it ends where a value should stand
            "a.?b" no CEL expression: column 2: optional fields and elements, with `?`, are not supported
            "a[?0]" no CEL expression: column 2: optional fields and elements, with `?`, are not supported
            "99999999999999999999" no CEL expression: column 1: this is more than an int holds
            "99999999999999999999u" no CEL expression: column 1: this is more than a uint holds
            "1e999" no CEL expression: column 1: this is more than a double holds
            "'\\q'" no CEL expression: column 1: a text has a `\` before what it cannot stand before: `\\` is one that stands for itself
            "has(a)" no CEL expression: column 5: `has` is written `has(data.x)`
            "l.all(1, true)" no CEL expression: column 7: a macro wants a name first: `list.all(x, x > 0)`
            "Foo{a: 1}" there is no message type `Foo`; a map is written `{'key': value}`
            "{'a' 1}" no CEL expression: column 6: `1` stands where an operator should
            "grün == 1" no CEL expression: column 1: `grün` is no name: CEL has a to z, digits and _
            "a ==== b" no CEL expression: column 5: `==` stands where a value should
            "x.y z" no CEL expression: column 5: `z` stands where an operator should
            "a && || b" no CEL expression: column 6: `||` stands where a value should
        "#]],
    );
}

#[test]
fn mistakes_in_calls_are_told() {
    mistakes(
        &[
            "startWith(c, 'x')",
            "startsWith(c, 'x')",
            "c.startsWith()",
            "c.int()",
            "int()",
            "int(1, 2)",
            "size(1, 2)",
            "c.size(1)",
            "l.exist(x, x)",
            "l.exists(x)",
            "exists(l, x, x)",
            "max(1, 2)",
            "matches(a, b)",
            "a.matches('(')",
            "a.matches('[a')",
            "a.matches(1)",
            r"a.matches('\\p{L}{500}{500}')",
            "a.matches('(?=x)')",
            "optional.of(1)",
            "a.matches('a' + 'b')",
            "timestamp(a)",
            "foo(a)",
            "math.rond(a)",
            "math.round(a, 2)",
            "round(a)",
            "length(a)",
        ],
        expect![[r#"
            "startWith(c, 'x')" there is no function `startWith`; did you mean `startsWith`?
            "startsWith(c, 'x')" `startsWith` is written `text.startsWith('start')`
            "c.startsWith()" `startsWith` is written `text.startsWith('start')`
            "c.int()" `int` is written `int(x)`
            "int()" `int` is written `int(x)`
            "int(1, 2)" `int` is written `int(x)`
            "size(1, 2)" `size` is written `size(x)`
            "c.size(1)" `size` is written `size(x)`
            "l.exist(x, x)" there is no function `exist`; did you mean `exists`?
            "l.exists(x)" `exists` is written `list.exists(x, x > 0)`
            "exists(l, x, x)" `exists` is written `list.exists(x, x > 0)`
            "max(1, 2)" there is no function `max`; CEL calls it `math.greatest`
            "matches(a, b)" the pattern of `matches` is no constant; patterns are compiled once, not for each event: write the pattern as a text
            "a.matches('(')" no regular expression: unclosed group
            "a.matches('[a')" no regular expression: unclosed character class
            "a.matches(1)" the pattern of `matches` is a text, not int
            "a.matches('\\\\p{L}{500}{500}')" this pattern becomes too large
            "a.matches('(?=x)')" no regular expression: look-around, including look-ahead and look-behind, is not supported
            "optional.of(1)" there is no function `of`; there are bool, bytes, contains, double, dyn, endsWith, int, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, size, startsWith, string, type, uint, all, exists, exists_one, existsOne, filter, has, map
            "a.matches('a' + 'b')" compiles
            "timestamp(a)" there is no function `timestamp`; there are bool, bytes, contains, double, dyn, endsWith, int, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, size, startsWith, string, type, uint, all, exists, exists_one, existsOne, filter, has, map
            "foo(a)" there is no function `foo`; there are bool, bytes, contains, double, dyn, endsWith, int, matches, math.abs, math.ceil, math.floor, math.greatest, math.least, math.round, math.trunc, size, startsWith, string, type, uint, all, exists, exists_one, existsOne, filter, has, map
            "math.rond(a)" there is no function `math.rond`; did you mean `math.round`?
            "math.round(a, 2)" `math.round` is written `math.round(x)`
            "round(a)" there is no function `round`; CEL calls it `math.round`
            "length(a)" there is no function `length`; CEL calls it `size`
        "#]],
    );
}
