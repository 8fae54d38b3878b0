use super::*;

fn path(text: &str) -> Path {
    Path::try_from(text.to_owned()).unwrap()
}

fn event(json: &str) -> Event {
    Event::read(json).unwrap()
}

fn all(json: &str, pattern: &str) -> Vec<String> {
    let event = event(json);
    let mut found = Vec::new();
    event.find_all(&Pattern::try_from(pattern.to_owned()).unwrap(), &mut found);
    let told = |id: &Id| {
        let mut json = String::new();
        event.write_value(*id, &mut json);
        json
    };
    found.iter().map(told).collect()
}

#[test]
fn what_nobody_touches_is_written_as_it_came() {
    for json in [
        r#"{}"#,
        r#"{ "a" : 1.10 , "b":[ 1, 2 ], "c": {"d" :"\u00e9\/"} }"#,
        r#"{"n":123456789012345678901234567890,"f":1E5,"z":-0,"t":true,"x":null}"#,
    ] {
        assert_eq!(event(json).to_string(), json);
    }
    assert_eq!(event("{\"a\":\n[1,\r\n2]}").to_string(), r#"{"a":[1,2]}"#, "but on one line");
}

#[test]
fn a_change_leaves_what_is_beside_it_as_it_came() {
    let mut event = event(r#"{"a": "\u00e9", "b": {"c": 1.0, "d": [ 1 ]}, "\u0065": 2}"#);
    event.put(&path("b.c"), New::Int(7));
    event.put(&path("x.y"), New::Str("say \"no\"\n\u{1}"));
    assert_eq!(
        event.to_string(),
        r#"{"a":"\u00e9","b":{"c":7,"d":[ 1 ]},"e":2,"x":{"y":"say \"no\"\n\u0001"}}"#
    );
}

#[test]
fn paths_reach_into_nested_objects() {
    let event = event(r#"{"a": {"b": {"c": 1}}, "n": null, "\u0061\u0062": "x", "l": [1]}"#);
    assert_eq!(event.get(&path("a.b.c")).and_then(Value::as_number).and_then(Number::as_i64), Some(1));
    assert!(event.get(&path("a.x.c")).is_none());
    assert!(event.get(&path("n.c")).is_none());
    assert!(event.get(&path("l.c")).is_none());
    assert_eq!(event.str(&path("ab")), Some("x"));
    assert!(event.get(&path("n")).is_some() && event.present(&path("n")).is_none());
}

#[test]
fn patterns_reach_into_arrays_and_any_way_down() {
    let json = r#"{"items":[{"sku":"a"},{"sku":"b","more":{"sku":"c"}},7],"sku":{"x":[1,{}]}}"#;
    assert_eq!(all(json, "items[].sku"), [r#""a""#, r#""b""#]);
    assert_eq!(all(json, "items[]"), [r#"{"sku":"a"}"#, r#"{"sku":"b","more":{"sku":"c"}}"#, "7"]);
    assert_eq!(all(json, "items.**"), [r#""a""#, r#""b""#, r#""c""#, "7"]);
    assert_eq!(all(json, "**.sku"), [r#"{"x":[1,{}]}"#, r#""a""#, r#""b""#, r#""c""#]);
    assert_eq!(all(json, "sku.**"), ["1"]);
    assert_eq!(all(json, "sku[]"), [""; 0]);
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    assert_eq!(event(r#"{"a":1,"b":2,"\u0061":3}"#).to_string(), r#"{"b":2,"a":3}"#);
    assert_eq!(event(r#"{"o":{"a":1,"a":{"x":1,"x":2}}}"#).to_string(), r#"{"o":{"a":{"x":2}}}"#);
    let many: Vec<_> = (0..2000).map(|n| format!("\"k{}\":{n}", n % 1000)).collect();
    let event = event(&format!("{{{}}}", many.join(",")));
    assert_eq!(event.fields().count(), 1000);
    assert!(event.fields().all(|(key, value)| {
        let number = value.as_number().and_then(Number::as_i64).unwrap();
        number >= 1000 && key == format!("k{}", number - 1000)
    }));
}

#[test]
fn put_makes_the_way() {
    let mut event = event(r#"{"a":1}"#);
    event.put(&path("a.b"), New::Int(2));
    event.put(&path("c.d.e"), New::Str("x"));
    assert_eq!(event.to_string(), r#"{"a":{"b":2},"c":{"d":{"e":"x"}}}"#);
    assert!(event.edits() > 0);
}

#[test]
fn remove_leaves_no_empty_objects() {
    let mut event = event(r#"{"a":{"b":{"c":1}},"d":2,"l":[{"x":1},2]}"#);
    event.remove_at(&path("a.b.c"));
    event.remove_at(&path("d.e"));
    let mut found = Vec::new();
    event.find_all(&Pattern::try_from("l[].x".to_owned()).unwrap(), &mut found);
    found.iter().for_each(|id| event.remove(*id));
    assert_eq!(event.to_string(), r#"{"d":2,"l":[2]}"#);
    event.put(&path("a"), New::Bool(true));
    assert_eq!(event.to_string(), r#"{"d":2,"l":[2],"a":true}"#);
}

#[test]
fn values_move_and_get_new_keys() {
    let mut moved = event(r#"{"a":{"b":[1,{"c":2}],"d":3},"e":"\u00e9"}"#);
    moved.move_to(moved.find(&path("a.b")).unwrap(), &path("x.y"));
    assert_eq!(moved.to_string(), r#"{"a":{"d":3},"e":"\u00e9","x":{"y":[1,{"c":2}]}}"#);
    moved.move_to(moved.find(&path("e")).unwrap(), &path("a"));
    assert_eq!(moved.to_string(), r#"{"a":"\u00e9","x":{"y":[1,{"c":2}]}}"#);
    moved.put(&path("x.y"), New::Json(r#"{"z":[1]}"#));
    moved.put(&path("x.y.k"), New::Null);
    assert_eq!(moved.to_string(), r#"{"a":"\u00e9","x":{"y":{"z":[1],"k":null}}}"#);
    moved.rename(moved.find(&path("x")).unwrap(), "a");
    assert_eq!(moved.to_string(), r#"{"a":{"y":{"z":[1],"k":null}}}"#);
    let mut inward = event(r#"{"a":1}"#);
    inward.move_to(inward.find(&path("a")).unwrap(), &path("a.b"));
    assert_eq!(inward.to_string(), r#"{"a":{"b":1}}"#);
}

#[test]
fn numbers_keep_their_digits() {
    let event = event(r#"{"a":9223372036854775807,"b":18446744073709551615,"c":1e2,"d":-0,"e":1.50}"#);
    let number = |key| event.get(&path(key)).and_then(Value::as_number).unwrap();
    assert_eq!((number("a").as_i64(), number("b").as_i64()), (Some(i64::MAX), None));
    assert_eq!((number("b").as_u64(), number("c").as_u64()), (Some(u64::MAX), None));
    assert_eq!((number("c").as_f64(), number("e").text()), (100.0, "1.50"));
}

#[test]
fn nesting_has_an_end() {
    let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), "1") + &"}".repeat(levels);
    assert!(Event::read(&nested(DEPTH_MAX)).is_ok());
    assert!(matches!(Event::read(&nested(DEPTH_MAX + 1)), Err(Flaw::Syntax { .. })));
    let mut deep = event(&nested(DEPTH_MAX - 1));
    let bottom = path(&vec!["a"; DEPTH_MAX - 1].join("."));
    deep.put(&bottom, New::Json("[]"));
    assert!(!deep.is_too_deep());
    deep.put(&bottom, New::Json("[[]]"));
    assert!(deep.is_too_deep());
    let mut made = event("{}");
    made.put(&path(&vec!["a"; DEPTH_MAX].join(".")), New::Int(1));
    assert!(!made.is_too_deep());
    made.put(&path(&vec!["a"; DEPTH_MAX + 1].join(".")), New::Int(1));
    assert!(made.is_too_deep());
}
