//! The function behind an event source mapping with tumbling windows, under the faults of AWS: each change counts once.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::files;
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::metric::Row;
use millrace_core::pipeline::Pipeline;
use millrace_core::port::Kind;
use millrace_core::record::Sequence;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_metrics::{Deps, handle};
use millrace_sim::account::{Account, SkewedClock};
use millrace_sim::chance::Chance;
use millrace_sim::dynamodb::{Rows, RowsClient};
use millrace_sim::executor::End;
use millrace_sim::fault::{CallFault, Fault, InvocationFault};
use millrace_sim::kinesis::{Record, Stream};
use millrace_sim::lambda::{Answer, Code, Function, Instance, Local, Outcome, die};
use millrace_sim::sqs::Queue;
use millrace_sim::stream_mapping::{self, Settings, StreamMapping, Tumbling};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

const START: Micros = match Micros::new(1_795_176_000_000_000) {
    Some(start) => start,
    None => Micros::EPOCH,
};

const PIPELINE: &str = r#"
    [event]
    id = "id"
    type = "eventType"
    time = "timestamp"

    [[step]]
    filter.drop = "status == 'draft'"

    [[metric]]
    name = "revenue"
    value = "price"
    key = "status"
    window = "30s"
"#;

/// How many runs there are.
const SEEDS: u64 = 300;

/// The function's world.
struct World {
    account: Account,
    rows: Rc<Rows>,
    /// Whether the function bears what kills it.
    cured: Cell<bool>,
    /// What CloudWatch was told: how many changes.
    told: Cell<u64>,
}

struct Binary(Rc<World>);

struct Metrics {
    world: Rc<World>,
    deps: Deps<RowsClient, Infallible, SkewedClock>,
}

impl Code for Binary {
    fn start(&self, _version: u32) -> Local<'_, Result<Box<dyn Instance>, String>> {
        let world = Rc::clone(&self.0);
        Box::pin(async move {
            let deps = Deps {
                table: Guard::patient("metrics table", RowsClient(Rc::clone(&world.rows))),
                keys: Keys::fixed(TokenKey::new("k1", &[7; 32]).unwrap()),
                pipeline: Pipeline::compile(PIPELINE, &files::NONE).unwrap(),
                clock: SkewedClock::new(&world.account, 0),
            };
            Ok(Box::new(Metrics { world, deps }) as Box<dyn Instance>)
        })
    }
}

impl Instance for Metrics {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            if !self.world.cured.get() && payload["Records"].to_string().contains("poison") {
                die();
            }
            let event = serde_json::from_value(payload.clone()).map_err(|why| why.to_string())?;
            let told = |row: &Row| {
                let count = row.numbers().find(|(name, _)| *name == "count").unwrap().1;
                self.world.told.set(self.world.told.get() + count.parse::<u64>().unwrap());
            };
            let (answer, tally) = handle(&event, "orders", ends.plus_ms(-2_000), &mut self.deps, told)
                .await
                .map_err(|why| why.to_string())?;
            Ok(Answer { payload: json!(answer), counts: json!(tally) })
        })
    }
}

/// Count and sum by window and key.
type Sums = BTreeMap<(String, String), (u64, i64)>;

fn add(sums: &mut Sums, window: String, key: String, count: u64, sum: i64) {
    let entry = sums.entry((window, key)).or_default();
    *entry = (entry.0 + count, entry.1 + sum);
}

/// What the records are to add up to.
fn expected(records: &[(String, Rc<Record>)]) -> Sums {
    let mut sums = Sums::new();
    for (_, record) in records {
        let change: Value = serde_json::from_slice(&record.data).unwrap();
        let image = &change["dynamodb"]["NewImage"];
        let status = image["status"]["S"].as_str().unwrap();
        if status != "draft" {
            let seconds = record.arrived_at.get() / 1_000_000 / 30 * 30;
            let price = image["price"]["N"].as_str().unwrap().parse().unwrap();
            add(&mut sums, Micros::new(seconds * 1_000_000).unwrap().rfc3339(), status.to_owned(), 1, price);
        }
    }
    sums
}

/// What a reader adds up.
fn found(rows: &[Row]) -> Sums {
    let mut sums = Sums::new();
    for row in rows {
        let numbers: BTreeMap<_, _> = row.numbers().collect();
        let (count, sum) = (numbers["count"].parse().unwrap(), numbers["sum"].parse().unwrap());
        add(&mut sums, row.window.rfc3339(), row.key.clone(), count, sum);
    }
    sums
}

fn change(serial: u64, chance: &Chance, poison: bool) -> Value {
    let status = chance.pick(&["new", "paid", "paid", "shipped", "draft"]);
    let note = if poison && chance.percent(4) { "poison" } else { "" };
    json!({
        "eventID": format!("e{serial}"), "eventName": "INSERT",
        "dynamodb": {
            "Keys": {"orderId": {"S": serial.to_string()}},
            "NewImage": {
                "orderId": {"S": serial.to_string()}, "status": {"S": status}, "note": {"S": note},
                "price": {"N": chance.below(1_000).to_string()},
            },
        },
    })
}

/// What goes wrong within three minutes.
fn faults(chance: &Chance) -> Vec<Fault> {
    let moment = || START.plus_ms(i64::try_from(chance.below(180_000)).unwrap());
    let fault = |_| {
        if chance.percent(40) {
            let from = moment();
            let how = chance.pick(&[
                CallFault::Refused(Kind::Transient),
                CallFault::Refused(Kind::Throttled),
                CallFault::AnswerLost,
                CallFault::Late(Duration::from_secs(20)),
            ]);
            let until = from.plus_ms(i64::try_from(chance.below(30_000)).unwrap());
            return Fault::Spell {
                service: "metrics table",
                from,
                until,
                percent: chance.pick(&[20, 60, 100]),
                how,
            };
        }
        let after = u32::try_from(chance.below(12)).unwrap();
        let how = chance.pick(&[
            InvocationFault::Crash(after),
            InvocationFault::Hang(after),
            InvocationFault::AnswerLost,
            InvocationFault::AnswerLost,
            InvocationFault::Throttled,
            InvocationFault::Cold,
        ]);
        Fault::Invocation { function: "metrics", nth: u32::try_from(chance.below(25)).unwrap(), how }
    };
    (0..chance.below(10)).map(fault).collect()
}

/// A run: what is wrong with it, and its story.
fn run(seed: u64, tells: bool) -> (Vec<String>, Vec<String>) {
    let chance = Chance::new(seed, "scenario");
    let account = Account::new(START, seed, faults(&chance), tells);
    let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-20T12:00:00.000";
    let shards = usize::try_from(chance.between(1, 2)).unwrap();
    let stream = Stream::new(&account, "orders", arn.to_owned(), shards, 86_400_000);
    let rows = Rows::new(&account, "metrics table");
    let world =
        Rc::new(World { account: account.clone(), rows, cured: Cell::new(false), told: Cell::new(0) });
    let function = Function::new(&account, "metrics", 60_000, Box::new(Binary(Rc::clone(&world))));
    let dead = Queue::new(&account, "dead", 900_000, None);
    let settings = Settings {
        batch_size: chance.pick(&[1, 3, 10, 100]),
        window_ms: chance.pick(&[0, 1_000, 5_000]),
        retries_max: 40,
        age_max_ms: 21_600_000,
        tumbling: Some(Tumbling {
            length_ms: chance.pick(&[10_000, 60_000]),
            state_max: chance.pick(&[120, 1_000_000]),
        }),
    };
    let mapping = StreamMapping::start(&account, &stream, &function, &dead, settings, stream_mapping::table);
    let poison = chance.percent(30);
    for serial in 0..chance.below(60) {
        let (at, body) = (chance.below(150_000), change(serial, &chance, poison).to_string());
        let (account, stream) = (account.clone(), Rc::clone(&stream));
        account.clone().executor().spawn(async move {
            account.sleep(Duration::from_millis(at)).await;
            stream.take(&serial.to_string(), body.as_bytes());
        });
    }
    for _ in 0..chance.below(4) {
        let (at, what) = (chance.below(180_000), chance.below(3));
        let (account, stream, mapping) = (account.clone(), Rc::clone(&stream), Rc::clone(&mapping));
        account.clone().executor().spawn(async move {
            account.sleep(Duration::from_millis(at)).await;
            match what {
                0 => stream.split(),
                1 => stream.merge(),
                _ => mapping.lose_lease(),
            }
        });
    }
    let mut wrong = Vec::new();
    let end = account.executor().run(START.plus_ms(86_400_000), 1_000_000);
    if end != End::Quiet {
        wrong.push("there is no end to it".to_owned());
    }
    redrive(&world, &stream, &function, &dead, &chance);
    let (expected, found) = (expected(&stream.records()), found(&world.rows.rows()));
    for (place, sums) in &expected {
        if found.get(place) != Some(sums) {
            wrong.push(format!("{place:?} is {:?} instead of {sums:?}", found.get(place)));
        }
    }
    wrong.extend(
        found
            .keys()
            .filter(|place| !expected.contains_key(place))
            .map(|place| format!("{place:?} is made up")),
    );
    let (all, told) = (expected.values().map(|sums| sums.0).sum::<u64>(), world.told.get());
    if told > all {
        wrong.push(format!("CloudWatch is told of {told} changes, and there are {all}"));
    }
    let story = account.story();
    account.executor().clear();
    (wrong, story)
}

/// Hands the records of dead letters to the function without a window, as `redrive` does; some of them twice, with other cuts.
fn redrive(
    world: &Rc<World>,
    stream: &Rc<Stream>,
    function: &Rc<Function>,
    dead: &Rc<Queue>,
    chance: &Chance,
) {
    world.cured.set(true);
    world.account.faults().end();
    for letter in dead.all() {
        let letter: Value = serde_json::from_str(&letter.body).unwrap();
        let batch = &letter["DDBStreamBatchInfo"];
        let place = |name: &str| Sequence::from(batch[name].as_str().unwrap());
        let range = place("startSequenceNumber")..=place("endSequenceNumber");
        let within = |(shard, record): &&(String, Rc<Record>)| {
            batch["shardId"] == json!(shard) && range.contains(&Sequence::from(record.sequence.as_str()))
        };
        let all = stream.records();
        let records: Vec<_> = all
            .iter()
            .filter(within)
            .map(|(shard, record)| stream_mapping::table(stream, shard, record))
            .collect();
        assert!(!records.is_empty());
        for size in [records.len(), chance.place(records.len()) + 1] {
            for records in records.chunks(size) {
                let (function, event) = (Rc::clone(function), json!({"redriven": true, "Records": records}));
                let answered = Rc::new(RefCell::new(None));
                let answer = Rc::clone(&answered);
                world.account.executor().spawn(async move {
                    *answer.borrow_mut() = Some(function.invoke(&event).await);
                });
                assert_eq!(
                    world.account.executor().run(START.plus_ms(2 * 86_400_000), 2_000_000),
                    End::Quiet
                );
                let (outcome, safe) = (answered.take(), json!({"batchItemFailures": []}));
                assert!(
                    matches!(&outcome, Some(Outcome::Answered(answer)) if answer.payload == safe),
                    "{outcome:?}"
                );
            }
        }
    }
}

#[test]
fn each_change_counts_once_whatever_goes_wrong() {
    for seed in 0..SEEDS {
        let (wrong, _) = run(seed, false);
        if !wrong.is_empty() {
            let (wrong, story) = run(seed, true);
            panic!("seed {seed}: {}\n{}", wrong.join("\n"), story.join("\n"));
        }
    }
}

/// The runs are not without what they are for.
#[test]
fn the_runs_meet_what_can_go_wrong() {
    let stories: Vec<_> = (0..60).map(|seed| run(seed, true).1.join("\n")).collect();
    for what in [
        "is_early: true",
        "is_final: true",
        "gives up",
        "another poller",
        "splits",
        "merge",
        "AnswerLost",
        "Late",
        "crashes",
        "times out",
    ] {
        assert!(stories.iter().any(|story| story.contains(what)), "{what} never happens");
    }
}
