//! The inputs that are kept under `tests/corpus/`, through the targets of `make fuzz`.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod targets;

use millrace_core::step::catalog;
use schemars::SchemaGenerator;
use std::path::Path;

#[test]
fn each_step_there_is_has_its_turn() {
    let tried = targets::STEPS.parse::<toml::Table>().unwrap();
    let mut tried: Vec<_> = tried["step"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step.as_table().unwrap())
        .filter(|(kind, _)| *kind != "when")
        .flat_map(|(kind, steps)| steps.as_table().unwrap().keys().map(move |name| format!("{kind}.{name}")))
        .collect();
    tried.sort();
    let mut all: Vec<_> = catalog(&mut SchemaGenerator::default()).iter().map(|step| step.name).collect();
    all.sort_unstable();
    assert_eq!(tried, all);
}

/// Values that are hard on a step, wherever it looks for one.
fn nasty() -> Vec<String> {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let long = format!("\"{}\"", "é\u{301}a ".repeat(2_000));
    let many = format!("[{}0]", "{\"x\":1},".repeat(500));
    let fixed = [
        "null",
        "true",
        "\"\"",
        "\" \"",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        r#"{"":""}"#,
        "-0",
        "0.0",
        "1e308",
        "-1e-400",
        "9007199254740993",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        r#""\u0041nn\u0040example.com""#,
        "\"\u{202e}evil\"",
        "\"NaN\"",
        "\"::ffff:1.2.3.4\"",
        "\"1.2.3.4.5\"",
        "\"256.0.0.1\"",
        "\"https://[::1\"",
        "\"http://x/?a=%zz&=&&b\"",
        "\"2019-02-30T25:61:61Z\"",
        "\"0000-00-00\"",
        "\"4111 1111 1111 1111\"",
        r#"{"x":{"x":{"x":[{"x":null}]}}}"#,
        r#"[{"x":1},7,"x",null]"#,
    ];
    fixed.map(str::to_owned).into_iter().chain([deep, long, many]).collect()
}

#[test]
fn each_step_bears_each_nasty_value_and_rejects_only_as_its_page_says() {
    let (pages, mut pipeline) = (catalog(&mut SchemaGenerator::default()), targets::all_steps());
    for value in nasty() {
        let event = format!(
            r#"{{"id":{value},"t":{value},"at":{value},"a":{value},"b":{value},"c":{value},"l":[{value},{value}],"d":{{"x":{value},"y":{value},"z":{{"x":{value}}}}},"u":{value},"e":[{value},{{"x":{value},"y":{{"x":{value}}},"z":[{{"x":{value}}},{value}]}}]}}"#
        );
        targets::steps(event.as_bytes());
        for why in targets::rejects(&mut pipeline, &event) {
            let page = pages.iter().find(|page| page.name == why.stage).unwrap();
            let is_any = matches!(why.reason, "too_deep" | "too_large");
            assert!(is_any || page.docs.contains(&format!("`{}`", why.reason)), "{why} of {event:.200}");
        }
    }
}

#[test]
fn what_was_found_once_stays_mended() {
    for (name, target) in targets::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has inputs");
        for file in files {
            println!("{}", file.display()); // shown where it fails
            target(&std::fs::read(file).unwrap());
        }
    }
}
