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
    for id in found {
        event.remove(id);
    }
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
    assert!(matches!(Event::read(&nested(DEPTH_MAX + 1)), Err(Flaw::TooDeep)));
    let mut deep = event(&nested(DEPTH_MAX - 1));
    let bottom = path(&vec!["a"; DEPTH_MAX - 1].join("."));
    deep.put(&bottom, New::Json("[]"));
    assert_eq!(deep.outgrown(), None);
    deep.put(&bottom, New::Json("[[]]"));
    assert_eq!(deep.outgrown(), Some(Flaw::TooDeep));
    let mut made = event("{}");
    made.put(&path(&vec!["a"; DEPTH_MAX].join(".")), New::Int(1));
    assert_eq!(made.outgrown(), None);
    made.put(&path(&vec!["a"; DEPTH_MAX + 1].join(".")), New::Int(1));
    assert_eq!(made.outgrown(), Some(Flaw::TooDeep));
}

#[test]
fn json_that_makes_an_event_too_deep_is_told_and_not_just_null() {
    let mut event = event("{}");
    event.put(&path("a"), New::Json(&"[".repeat(DEPTH_MAX + 1)));
    assert_eq!(event.outgrown(), Some(Flaw::TooDeep));
    event.parse("{}").unwrap();
    assert_eq!(event.outgrown(), None, "the next event is another");
    event.put(&path("a"), New::Json("[1,"));
    assert_eq!((event.outgrown(), event.to_string().as_str()), (None, r#"{"a":null}"#));
}

#[test]
fn what_steps_add_has_an_end() {
    let mut event = event(r#"{"a":1}"#);
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        event.put(&path("a"), New::Str(&large));
    }
    assert_eq!(event.outgrown(), None);
    for _ in 0..40 {
        event.put(&path("a"), New::Str(&large));
    }
    assert!(matches!(event.outgrown(), Some(Flaw::TooMuch(_))));
    event.parse(r#"{"a":1}"#).unwrap();
    let zeros = format!("[{}0]", "0,".repeat(NODES_MAX / 2));
    event.put(&path("a"), New::Json(&zeros));
    assert_eq!(event.outgrown(), None);
    event.put(&path("b"), New::Json(&zeros));
    assert!(matches!(event.outgrown(), Some(Flaw::TooMuch(_))));
}

#[test]
fn json_with_a_key_twice_counts_as_an_edit() {
    let mut event = event(r#"{"a":1}"#);
    let before = event.edits();
    event.put(&path("a"), New::Json(r#"{"x":1,"x":2}"#));
    assert!(event.edits() > before);
    assert_eq!(event.to_string(), r#"{"a":{"x":2}}"#);
}

#[test]
fn an_event_that_was_never_read_is_empty_and_can_be_filled() {
    let mut event = Event::default();
    assert!(event.fields().next().is_none() && event.get(&path("a")).is_none());
    event.put(&path("a.b"), New::Int(1));
    assert_eq!(event.to_string(), r#"{"a":{"b":1}}"#);
    assert!(event.parse("{").is_err());
    event.put(&path("c"), New::Int(1));
    assert_eq!(event.to_string(), r#"{"c":1}"#, "nor is anything left of one with a flaw");
}

#[test]
fn what_was_removed_gets_no_other_key() {
    let mut event = event(r#"{"a":1,"b":2,"c":3}"#);
    let [a, b] = ["a", "b"].map(|key| event.find(&path(key)).unwrap());
    event.rename(a, "b");
    event.rename(b, "c");
    event.rename(event.root(), "a");
    assert_eq!(event.to_string(), r#"{"b":1,"c":3}"#);
}

#[test]
fn removing_many_fields_takes_no_longer_for_each() {
    let fields: Vec<_> = (0..300_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let mut event = event(&format!(r#"{{"id":1,"o":{{{}}}}}"#, fields.join(",")));
    let mut found = Vec::new();
    event.find_all(&Pattern::try_from("o.**".to_owned()).unwrap(), &mut found);
    assert_eq!(found.len(), 300_000);
    // Were it quadratic, nobody would wait for it.
    for id in found {
        event.remove(id);
    }
    assert_eq!(event.to_string(), r#"{"id":1}"#);
    event.put(&path("o.x"), New::Int(1));
    assert_eq!(event.to_string(), r#"{"id":1,"o":{"x":1}}"#);
}

#[test]
fn a_huge_event_does_not_keep_its_memory() {
    let mut event = event(&format!(r#"{{"a":[{}0],"b":"{}"}}"#, "0,".repeat(400_000), "x".repeat(4 << 20)));
    let bytes = |event: &Event| event.text.capacity() + event.nodes.capacity() * size_of::<Node>();
    assert!(bytes(&event) > 16 << 20);
    event.release();
    assert!(bytes(&event) <= 8 << 20);
    let kept = bytes(&event);
    event.parse(r#"{"a":1}"#).unwrap();
    event.release();
    assert_eq!(bytes(&event), kept, "what ordinary events need stays");
}
