//! Whole invocations of `metrics`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect;
use millrace_core::files;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::metric::Row;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::Kind;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_metrics::{Deps, Tally, handle};
use millrace_sim::{Fault, Rows, VirtualClock, run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::convert::Infallible;

const PIPELINE: &str = r#"
    [event]
    id = "id"
    type = "eventType"
    time = "timestamp"

    [[step]]
    filter.drop = "status == 'draft'"

    [[step]]
    clean.cast = { price = "float" }

    [[step]]
    anonymize.hmac = ["userId"]

    [[metric]]
    name = "revenue"
    when = "change.event == 'insert'"
    value = "price"
    key = "userId"
    window = "1m"

    [[metric]]
    name = "changes"
    key = "change.event"
    aggregates = ["count"]
    window = "1h"
    dimensions = ["insert"]
"#;

struct Function {
    deps: Deps<Rows, Infallible, VirtualClock>,
    told: RefCell<Vec<String>>,
}

impl Function {
    fn new(table: Rows) -> Self {
        let deps = Deps {
            table: Guard::patient("metrics table", table),
            keys: Keys::fixed(TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap()),
            pipeline: Pipeline::compile(PIPELINE, &files::NONE).unwrap(),
            clock: VirtualClock::at(Micros::new(1_795_179_960_000_000).unwrap()),
        };
        Self { deps, told: RefCell::default() }
    }

    fn invoke(&mut self, event: &Value) -> Result<(Value, Tally), String> {
        use millrace_core::port::Clock as _;
        let deadline = self.deps.clock.now().plus_ms(5_000);
        let event = serde_json::from_value(event.clone()).unwrap();
        let told = |row: &Row| self.told.borrow_mut().push(row.place.clone());
        let handled = run(handle(&event, "orders", deadline, &mut self.deps, told));
        handled
            .map(|(answer, tally)| (serde_json::to_value(answer).unwrap(), tally))
            .map_err(|why| why.to_string())
    }

    fn rows(&self) -> String {
        let line = |row: Row| {
            let numbers: Vec<_> = row.numbers().map(|(name, digits)| format!("{name} {digits}")).collect();
            format!("{} {}: {}", row.metric, row.place, numbers.join(", "))
        };
        self.deps.table.port().rows().into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn insert(sequence: &str, user: &str, price: &str) -> Value {
    json!({
        "eventID": format!("e{sequence}"), "eventName": "INSERT",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_179_908, "SequenceNumber": sequence, "Keys": {"orderId": {"S": sequence}},
            "NewImage": {"orderId": {"S": sequence}, "userId": {"S": user}, "price": {"N": price}, "status": {"S": "new"}},
        },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "that is how json! is written")]
fn window(records: &[Value], state: Value, is_final: bool) -> Value {
    json!({
        "Records": records, "state": state, "shardId": "shardId-7", "isFinalInvokeForWindow": is_final, "isWindowTerminatedEarly": false,
        "window": {"start": "2026-11-20T13:05:00Z", "end": "2026-11-20T13:06:00Z"},
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000",
    })
}

#[test]
fn a_window_is_folded_batch_by_batch_and_written_at_its_end() {
    let mut function = Function::new(Rows::default());
    let (answer, tally) = function
        .invoke(&window(&[insert("1", "ann", "0.1"), insert("2", "bob", "5")], json!({}), false))
        .unwrap();
    assert_eq!((tally.counted, tally.rows, function.rows().as_str()), (2, 0, ""));
    expect![[r#"
        {
          "batchItemFailures": [],
          "state": {
            "1795179600/changes/insert": "2",
            "1795179900/revenue/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95": "1 0.1 0.1 0.1",
            "1795179900/revenue/k1:643cdfc83364b72c5248ec2d45e7cd58caf99310228f3c6a590bd299519248a7": "1 5 5 5",
            "first": "1",
            "last": "2"
          }
        }"#]].assert_eq(&serde_json::to_string_pretty(&answer).unwrap());
    let (answer, tally) =
        function.invoke(&window(&[insert("3", "ann", "0.2")], answer["state"].clone(), false)).unwrap();
    assert_eq!((tally.counted, tally.rows), (1, 0));
    let (answer, tally) = function.invoke(&window(&[], answer["state"].clone(), true)).unwrap();
    assert_eq!(
        (tally.r#in, tally.rows, &answer),
        (0, 3, &json!({"batchItemFailures": [], "state": {"last": "3"}}))
    );
    expect![[r#"
        changes 2026-11-20T13:00:00Z/insert/shardId-7/1: count 3
        revenue 2026-11-20T13:05:00Z/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95/shardId-7/1: count 2, sum 0.3, min 0.1, max 0.2
        revenue 2026-11-20T13:05:00Z/k1:643cdfc83364b72c5248ec2d45e7cd58caf99310228f3c6a590bd299519248a7/shardId-7/1: count 1, sum 5, min 5, max 5"#]].assert_eq(&function.rows());
    assert!(!function.rows().contains("ann"), "no personal data is in a metric");
}

#[test]
fn a_final_invocation_that_comes_again_changes_nothing_and_is_told_once() {
    let mut function = Function::new(Rows::default());
    let last = window(
        &[insert("2", "ann", "1")],
        json!({"first": "1", "last": "1", "1795179900/revenue/x": "1 2 2 2"}),
        true,
    );
    function.invoke(&last).unwrap();
    let rows = function.rows();
    function.invoke(&last).unwrap();
    assert_eq!((function.rows(), function.told.borrow().len()), (rows, 3));
}

#[test]
fn records_that_are_in_the_state_do_not_count_again() {
    let mut function = Function::new(Rows::default());
    let batch = [insert("1", "ann", "1"), insert("2", "ann", "1")];
    let (answer, _) = function.invoke(&window(&batch, json!({}), false)).unwrap();
    let (again, tally) = function.invoke(&window(&batch, answer["state"].clone(), false)).unwrap();
    assert_eq!((again, tally.counted, tally.repeated), (answer, 0, 2));
}

#[test]
fn a_table_that_is_down_fails_a_window_by_an_error_and_the_next_attempt_writes_all_of_it() {
    let mut function = Function::new(Rows::failing(vec![Fault::Fails(Kind::Transient); 1000]));
    let last = window(&[insert("1", "ann", "1")], json!({}), true);
    let why = function.invoke(&last).unwrap_err();
    assert_eq!((why.as_str(), function.told.borrow().len()), ("simulated", 0));

    let mut function = Function::new(Rows::failing([Fault::Fails(Kind::Permanent), Fault::None]));
    function.invoke(&last).unwrap_err();
    function.invoke(&last).unwrap();
    assert_eq!(function.told.borrow().len(), 2, "each row once, though one was written before");
}

#[test]
fn an_answer_that_is_lost_tells_a_row_once() {
    let mut function = Function::new(Rows::failing([Fault::AnswerLost]));
    function.invoke(&window(&[insert("1", "ann", "1")], json!({}), true)).unwrap();
    assert_eq!(function.told.borrow().len(), 2);
}

#[test]
fn a_window_that_lambda_ends_early_goes_on_in_rows_of_its_own() {
    let mut function = Function::new(Rows::default());
    let (answer, _) = function.invoke(&window(&[insert("1", "ann", "1")], json!({}), false)).unwrap();
    let mut early = window(&[], answer["state"].clone(), false);
    early["isWindowTerminatedEarly"] = json!(true);
    function.invoke(&early).unwrap();
    function.invoke(&window(&[insert("2", "ann", "2")], json!({}), true)).unwrap();
    expect![[r#"
        changes 2026-11-20T13:00:00Z/insert/shardId-7/1: count 1
        changes 2026-11-20T13:00:00Z/insert/shardId-7/2: count 1
        revenue 2026-11-20T13:05:00Z/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95/shardId-7/1: count 1, sum 1, min 1, max 1
        revenue 2026-11-20T13:05:00Z/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95/shardId-7/2: count 1, sum 2, min 2, max 2"#]].assert_eq(&function.rows());
}

#[test]
fn a_state_that_is_full_becomes_rows_in_the_middle_of_a_window() {
    let mut function = Function::new(Rows::default());
    let records: Vec<_> = (1..=3_000).map(|n| insert(&n.to_string(), &format!("user-{n}"), "1")).collect();
    let mut states = Vec::new();
    for size in [3_000, 97] {
        let mut state = json!({});
        for batch in records.chunks(size) {
            let (answer, _) = function.invoke(&window(batch, state, false)).unwrap();
            state = answer["state"].clone();
            assert!(state.to_string().len() < 1_000_000);
        }
        states.push((state, function.rows()));
    }
    assert!(states[0].1.lines().count() > 1_000, "some are written");
    assert!(states[0] == states[1], "where batches are cut makes no difference");
}

#[test]
fn without_a_window_each_change_has_rows_of_its_own() {
    let mut function = Function::new(Rows::default());
    let records = [insert("1", "ann", "1"), insert("2", "ann", "2")];
    let (answer, tally) = function.invoke(&json!({"redriven": true, "Records": records})).unwrap();
    assert_eq!((answer, tally.counted, tally.rows), (json!({"batchItemFailures": []}), 2, 4));
    expect![[r#"
        changes 2026-11-20T13:00:00Z/insert/2026-11-20T12-00-00.000/1: count 1
        changes 2026-11-20T13:00:00Z/insert/2026-11-20T12-00-00.000/2: count 1
        revenue 2026-11-20T13:05:00Z/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95/2026-11-20T12-00-00.000/1: count 1, sum 1, min 1, max 1
        revenue 2026-11-20T13:05:00Z/k1:07db5b4bba5fef53c763f1a9cb1ae82cfbf75937aff297f88e797bebf09bfd95/2026-11-20T12-00-00.000/2: count 1, sum 2, min 2, max 2"#]].assert_eq(&function.rows());
    // Other cuts of the same records write the same rows.
    let rows = function.rows();
    for record in &records {
        function.invoke(&json!({"redriven": true, "Records": [record]})).unwrap();
    }
    assert_eq!((function.rows(), function.told.borrow().len()), (rows, 4));
}

#[test]
fn without_a_window_a_table_that_is_down_is_an_answer() {
    let mut function = Function::new(Rows::failing(vec![Fault::Fails(Kind::Transient); 1000]));
    let (answer, tally) =
        function.invoke(&json!({"redriven": true, "Records": [insert("1", "ann", "1")]})).unwrap();
    assert_eq!((answer, tally), (json!({"batchItemFailures": [{"itemIdentifier": "1"}]}), Tally::default()));
    assert_eq!(
        function.invoke(&json!({"redriven": true, "Records": []})).unwrap().0,
        json!({"batchItemFailures": []})
    );
}

#[test]
fn what_an_attempt_wrote_before_its_batch_was_given_up_is_not_counted_again() {
    let redriven = |records: &[Value], last: &str| json!({"redriven": true, "givenUp": {"shard": "shardId-7", "last": last}, "Records": records});
    let [one, two, three] = ["1", "2", "3"].map(|sequence| insert(sequence, "ann", sequence));
    let mut function = Function::new(Rows::default());
    let (answer, _) = function.invoke(&window(std::slice::from_ref(&one), json!({}), false)).unwrap();
    // It wrote its rows, nobody heard of it, and the window ended without its records.
    function.invoke(&window(&[two.clone(), three.clone()], answer["state"].clone(), true)).unwrap();
    function.invoke(&window(&[], answer["state"].clone(), true)).unwrap();
    let rows = function.rows();
    for records in [&[two.clone(), three.clone()][..], std::slice::from_ref(&three)] {
        let (answer, tally) = function.invoke(&redriven(records, "3")).unwrap();
        assert_eq!((answer, tally.rows), (json!({"batchItemFailures": []}), 0));
    }
    assert_eq!(function.rows(), rows);
    // The same of a batch that a later one went on from, without it.
    let (answer, _) = function.invoke(&window(&[insert("5", "ann", "5")], json!({}), false)).unwrap();
    function.invoke(&window(&[insert("6", "ann", "6")], answer["state"].clone(), true)).unwrap();
    function.invoke(&window(&[insert("7", "ann", "7")], answer["state"].clone(), true)).unwrap();
    let (_, tally) = function.invoke(&redriven(&[insert("6", "ann", "6")], "6")).unwrap();
    assert_eq!(tally.rows, 2, "the rows of 7 are over those of 6");
    let mut down = Function::new(Rows::failing(vec![Fault::Fails(Kind::Transient); 1000]));
    let (answer, _) = down.invoke(&redriven(&[three], "3")).unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "3"}]}));
}

#[test]
fn what_was_written_of_many_changes_is_asked_once_for_each_metric_window_and_key() {
    let mut function = Function::new(Rows::default());
    let insert = |n: i32| insert(&n.to_string(), if n % 4 == 0 { "ann" } else { "bob" }, "1");
    let mut redriven = |from: i32, last: i32| {
        let records: Vec<_> = (from..=last).map(insert).collect();
        let given_up = json!({"shard": "shardId-7", "last": last.to_string()});
        let event = json!({"redriven": true, "givenUp": given_up, "Records": records});
        let (_, tally) = function.invoke(&event).unwrap();
        (tally.rows, function.deps.table.port().asked())
    };
    assert_eq!(redriven(1, 60), (120, 3), "of changes, of ann's revenue, and of bob's");
    assert_eq!(redriven(61, 62), (4, 5));
}

#[test]
fn what_is_bad_or_filtered_is_counted_and_the_rest_goes_on() {
    let mut function = Function::new(Rows::default());
    let mut draft = insert("3", "ann", "1");
    draft["dynamodb"]["NewImage"]["status"] = json!({"S": "draft"});
    let mut dear = insert("4", "ann", "1");
    dear["dynamodb"]["NewImage"]["price"] = json!({"S": "dear"});
    let mut keys = insert("5", "ann", "1");
    keys["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let records = [
        json!("nothing"),
        json!({"dynamodb": {"SequenceNumber": "2"}}),
        draft,
        dear,
        keys,
        insert("6", "ann", "7"),
    ];
    let (answer, tally) = function.invoke(&window(&records, json!({}), true)).unwrap();
    assert_eq!(answer["state"], json!({"last": "6"}));
    assert_eq!(tally, Tally { r#in: 6, counted: 2, filtered: 1, bad: 3, repeated: 0, unfit: 0, rows: 2 });
}

#[test]
fn a_state_of_another_maker_fails_and_is_not_repeated() {
    let mut function = Function::new(Rows::default());
    let why = function.invoke(&window(&[], json!({"ann@example.com": "1"}), true)).unwrap_err();
    assert_eq!(why, "the state of the window is none that this function has made");
}

#[test]
fn the_sample_event_ends_a_window() {
    let mut function = Function::new(Rows::default());
    let sample = serde_json::from_str(include_str!("../../../events/metrics.json")).unwrap();
    let (answer, tally) = function.invoke(&sample).unwrap();
    expect![[r#"
        {"batchItemFailures":[],"state":{"last":"100000000000000000002"}}
        Tally { in: 2, counted: 2, filtered: 0, bad: 0, repeated: 0, unfit: 0, rows: 4 }
        changes 2026-11-20T13:00:00Z/insert/shardId-00000001795176000000-0a1b2c3d/99999999999999999998: count 1
        changes 2026-11-20T13:00:00Z/modify/shardId-00000001795176000000-0a1b2c3d/99999999999999999998: count 1
        orders 2026-11-20T13:05:00Z/new/shardId-00000001795176000000-0a1b2c3d/99999999999999999998: count 2, sum 100.5, min 20, max 80.5
        revenue 2026-11-20T13:05:00Z/k1:813a2f79241b5fddb4dd0b6cdab3ce807c6a46dfd59f772580bf84b2df5e98dc/shardId-00000001795176000000-0a1b2c3d/99999999999999999998: count 1, sum 80.5, min 80.5, max 80.5"#]].assert_eq(&format!("{answer}\n{tally:?}\n{}", function.rows()));
}

#[test]
fn a_start_without_settings_names_them_all() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_metrics")).env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    for name in ["TABLE_NAME", "TOKEN_KEY_SECRET", "METRICS_TABLE", "METRICS_DAYS"] {
        assert!(told.contains(name), "{told}");
    }
}
