//! Whole runs against a feed that a test plays.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests fail by panicking")]

use millrace_core::decode;
use millrace_core::event::Event;
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock as _, Error, Item, KeyTable as _, Kind, When};
use millrace_core::retry::{Delay, Policy};
use millrace_core::time::Micros;
use millrace_pull::{Answer, Deps, Feed, Fetch, Header, Stopped, Tally};
use millrace_sim::{Fault, Stream, Table, VirtualClock, run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

const PIPELINE: &str = include_str!("../../../shared/core/tests/shop.toml");
const RUN_MS: i64 = 298_000;

/// A feed: what it answers to a cursor.
struct Played<F> {
    answer: F,
    asked: RefCell<Vec<String>>,
}

impl<F: Fn(&str, usize) -> Result<Answer, Kind>> Fetch for Played<F> {
    async fn get(&self, url: &str, _: Option<(&str, &str)>) -> Result<Answer, Error> {
        let cursor = url.split_once("after=").map_or("", |(_, cursor)| cursor).to_owned();
        self.asked.borrow_mut().push(cursor.clone());
        let nth = self.asked.borrow().len();
        (self.answer)(&cursor, nth).map_err(|kind| Error { what: "played".into(), kind, source: None })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside answers that are errors")]
fn answer(status: u16, headers: &[(&str, &str)], body: &Value) -> Result<Answer, Kind> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ok(Answer { status, headers, body: body.to_string().into_bytes() })
}

fn page(ids: &[&str], next: Option<&str>) -> Value {
    let items: Vec<_> = ids.iter().map(|id| json!({"id": id, "text": "hello"})).collect();
    json!({"data": items, "next": next})
}

/// What several runs share.
struct World {
    table: Table,
    raw: Stream,
    clock: VirtualClock,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::at(Micros::new(1_795_179_600_000_000).unwrap());
        Self { table: Table::default(), raw: Stream::default(), clock }
    }

    /// A run, and the cursors that it asked for.
    fn run(
        &self,
        answer: impl Fn(&str, usize) -> Result<Answer, Kind>,
    ) -> (Tally, Result<(), Stopped>, Vec<String>) {
        let url = "https://feed.example/x?after={cursor}".to_owned();
        let delay = Delay::FullJitter { base: Duration::from_millis(500), cap: Duration::from_secs(8) };
        let deps = Deps {
            feed: Feed::new(url, "/data".into(), Some("/next".into())).unwrap(),
            http: Guard::new(
                "feed",
                Played { answer, asked: RefCell::default() },
                Policy { delay, attempts_max: 4 },
            ),
            token: None::<(Header, Guard<Infallible>)>,
            table: Guard::patient("table", &self.table),
            raw: Guard::patient("raw", &self.raw),
            clock: &self.clock,
            event: EventSettings::read(PIPELINE).unwrap(),
        };
        let (tally, done) = run(deps.handle(self.clock.now().plus_ms(RUN_MS)));
        assert!(done.is_err() || tally.r#in == tally.out + tally.known, "{tally:?}");
        (tally, done, deps.http.port().asked.take())
    }

    /// The events of RawStream, by id, in its order.
    fn ids(&self) -> Vec<String> {
        let text = self.raw.records().into_iter().map(|record| String::from_utf8(record.data).unwrap());
        let lines = text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let id = |line: String| {
            serde_json::from_str::<Value>(&line).unwrap()["id"].as_str().unwrap_or("?").to_owned()
        };
        let mut ids: Vec<_> = lines.map(id).collect();
        ids.sort();
        ids
    }

    fn place(&self) -> Value {
        serde_json::from_slice(&self.table.items()[0].body).unwrap()
    }
}

/// A log of three pages.
fn log(cursor: &str, _: usize) -> Result<Answer, Kind> {
    match cursor {
        "" => answer(200, &[], &page(&["a", "b"], Some("1"))),
        "1" => answer(200, &[], &page(&["c"], Some("2"))),
        _ => answer(200, &[], &page(&["d"], None)),
    }
}

#[test]
fn a_run_reads_to_the_end_and_the_next_one_goes_on_there() {
    let world = World::new();
    let (tally, done, asked) = world.run(log);
    done.unwrap();
    assert_eq!(tally, Tally { pages: 3, r#in: 4, out: 4, ..Tally::default() });
    assert_eq!(
        (asked, world.ids()),
        (vec![String::new(), "1".into(), "2".into()], vec!["a".into(), "b".into(), "c".into(), "d".into()])
    );
    assert_eq!(world.place()["cursor"], "2");

    // The last page grows, and what it had is known.
    let grown = |_: &str, _| answer(200, &[], &page(&["d", "e"], None));
    let (tally, done, asked) = world.run(grown);
    done.unwrap();
    assert_eq!(tally, Tally { pages: 1, r#in: 2, out: 1, known: 1, ..Tally::default() });
    assert_eq!((asked, world.ids().len()), (vec!["2".to_owned()], 5));
    let puts = world.table.puts();
    let (tally, ..) = world.run(grown);
    assert_eq!((tally.known, tally.out, world.table.puts()), (2, 0, puts), "nothing new, nothing written");
}

#[test]
fn the_cursor_moves_only_when_the_events_are_safe() {
    let mut world = World::new();
    world.raw = Stream::failing([Fault::Fails(Kind::Permanent)]);
    let (tally, done, _) = world.run(log);
    assert!(matches!(done, Err(Stopped::Dependency(_))));
    assert_eq!((tally, world.table.items().len(), world.ids().len()), (Tally::default(), 0, 0));
    let (tally, done, _) = world.run(log);
    done.unwrap();
    assert_eq!((tally.out, world.ids().len()), (4, 4));
}

#[test]
fn a_cursor_that_cannot_be_noted_makes_the_page_come_again() {
    let mut world = World::new();
    world.table = Table::failing([Fault::None, Fault::None, Fault::Fails(Kind::Permanent)]);
    let (_, done, _) = world.run(log);
    assert!(done.is_err());
    let (tally, done, asked) = world.run(log);
    done.unwrap();
    assert_eq!((tally.out, asked[0].as_str()), (2, "1"));
    assert_eq!(world.ids(), ["a", "b", "c", "c", "d"], "with the same id, which transform knows");
}

#[test]
fn a_lost_answer_of_the_table_is_no_other_run() {
    let mut world = World::new();
    world.table = Table::failing([Fault::None, Fault::AnswerLost]);
    let (tally, done, _) = world.run(log);
    done.unwrap();
    assert_eq!(tally.out, 4);
}

#[test]
fn two_runs_at_once_find_out() {
    let world = World::new();
    world.run(log).1.unwrap();
    let (_, done, _) = world.run(|_, _| {
        let item = world.table.items()[0].clone();
        run(world.table.put(&Item { version: item.version + 7, ..item }, When::Always)).unwrap();
        answer(200, &[], &page(&["z"], Some("9")))
    });
    assert!(matches!(done, Err(Stopped::Overtaken)));
}

#[test]
fn the_same_page_for_ever_ends_the_run_and_loses_nothing() {
    let world = World::new();
    let (tally, done, asked) =
        world.run(|_, nth| answer(200, &[], &page(&["a", "b"], Some(&nth.to_string()))));
    done.unwrap();
    assert_eq!((tally.stale, tally.out, tally.known, asked.len()), (1, 2, 2, 2));
    assert_eq!(
        (world.ids(), world.place()["cursor"].clone()),
        (vec!["a".to_owned(), "b".to_owned()], json!("1"))
    );
    // In a circle, too.
    let world = World::new();
    let circle = |cursor: &str, _| match cursor {
        "b" => answer(200, &[], &page(&["2"], Some("a"))),
        _ => answer(200, &[], &page(&["1"], Some("b"))),
    };
    let (tally, done, asked) = world.run(circle);
    done.unwrap();
    assert_eq!((tally.stale, tally.out, asked.len()), (1, 2, 3));
}

/// The last page was full, and so led nowhere; when the feed grows, it has nothing new and leads on.
#[test]
fn a_full_page_that_was_the_last_one_leads_on_when_there_is_more() {
    let world = World::new();
    let (_, done, _) = world.run(|_, _| answer(200, &[], &page(&["a", "b"], None)));
    done.unwrap();
    let grown = |cursor: &str, _| match cursor {
        "" => answer(200, &[], &page(&["a", "b"], Some("1"))),
        _ => answer(200, &[], &page(&["c"], None)),
    };
    let (tally, done, asked) = world.run(grown);
    done.unwrap();
    assert_eq!((tally.known, tally.out, tally.stale, asked.len()), (2, 1, 0, 2));
    assert_eq!((world.ids().len(), world.place()["cursor"].clone()), (3, json!("1")));
}

#[test]
fn empty_pages_may_lead_on_and_end_with_the_time() {
    let world = World::new();
    let (tally, done, asked) = world.run(|_, nth| {
        run(world.clock.sleep(Duration::from_secs(30)));
        answer(200, &[], &page(&[], Some(&nth.to_string())))
    });
    done.unwrap();
    assert_eq!((tally.pages, asked.len(), tally.stale), (8, 8, 0));
}

#[test]
fn a_feed_that_is_down_or_answers_nonsense_fails_the_run_where_it_is() {
    let html =
        |_: &str, _| Ok(Answer { status: 200, headers: vec![], body: b"<html>ann@example.com".to_vec() });
    for (told, asked, feed) in [
        (
            "ask the feed: it answers with the status 500",
            4,
            &(|_: &str, _| answer(500, &[], &json!("ann@example.com"))) as &dyn Fn(&str, usize) -> _,
        ),
        (
            "the feed answers with the status 401: does it take the token, in FEED_HEADER?",
            1,
            &|_: &str, _| answer(401, &[], &json!({})),
        ),
        ("the feed answers with the status 302: FEED_URL is to be where it leads to", 1, &|_: &str, _| {
            answer(302, &[("location", "http://169.254.169.254/")], &json!({}))
        }),
        ("the feed's page is no JSON: look at what FEED_URL answers", 1, &html),
        ("the feed's page has no array at `/data`, where its items are by FEED_ITEMS", 1, &|_: &str, _| {
            answer(200, &[], &json!({"error": "ann@example.com"}))
        }),
        (
            "the feed's cursor is an address of another server than FEED_URL's, and the token goes to no other",
            1,
            &|_: &str, _| answer(200, &[], &page(&["a"], Some("https://other.example/"))),
        ),
        ("played", 4, &|_: &str, _| Err(Kind::Transient)),
    ] {
        let world = World::new();
        let (_, done, calls) = world.run(feed);
        assert_eq!((done.unwrap_err().to_string().as_str(), calls.len()), (told, asked));
        assert!(world.table.items().is_empty());
        let (tally, done, _) = world.run(log);
        done.unwrap();
        assert_eq!(tally.out, 4);
    }
}

#[test]
fn a_feed_is_left_alone_as_long_as_it_asks_for() {
    let world = World::new();
    let busy = |seconds: &'static str| {
        move |cursor: &str, nth| {
            if nth == 2 { answer(429, &[("retry-after", seconds)], &json!({})) } else { log(cursor, nth) }
        }
    };
    let began = world.clock.now();
    let (tally, done, asked) = world.run(busy("5"));
    done.unwrap();
    assert_eq!((tally.out, tally.waits, asked.len()), (4, 0, 4));
    assert!(began.until(world.clock.now()) >= Duration::from_secs(5));

    let world = World::new();
    let (tally, done, asked) = world.run(busy("900"));
    done.unwrap();
    assert_eq!((tally.out, tally.waits, asked.len()), (2, 1, 2), "what came before is safe");
    let (tally, done, asked) = world.run(log);
    done.unwrap();
    assert_eq!((tally.waits, asked.len()), (1, 0), "the next run does not ask");
    run(world.clock.sleep(Duration::from_mins(15)));
    let (tally, ..) = world.run(log);
    assert_eq!((tally.out, tally.waits), (2, 0));
}

#[test]
fn a_feed_that_asks_for_nothing_but_more_time_fails_the_runs_after_an_hour() {
    for (status, headers) in
        [(429, &[("retry-after", "600")][..]), (503, &[("retry-after", "5")]), (429, &[])]
    {
        let world = World::new();
        let busy = |_: &str, _| answer(status, headers, &json!({}));
        let began = world.clock.now();
        let mut failed = Vec::new();
        while began.until(world.clock.now()) < Duration::from_hours(3) {
            let at = world.clock.now();
            let (_, done, _) = world.run(busy);
            let passed = began.until(world.clock.now());
            match done {
                Ok(()) => assert!(passed < Duration::from_hours(1), "{status} {passed:?}"),
                Err(why) => {
                    assert!(matches!(why, Stopped::Waits), "{why}");
                    assert!(passed >= Duration::from_hours(1), "{status} {passed:?}");
                    failed.push(passed);
                }
            }
            // The next run by a schedule of five minutes.
            run(world.clock.sleep(Duration::from_mins(5).saturating_sub(at.until(world.clock.now()))));
        }
        assert!(failed.len() >= 23, "{status} {failed:?}");

        // A page ends it, and what comes then is a new hour.
        run(world.clock.sleep(Duration::from_mins(11)));
        world.run(log).1.unwrap();
        world.run(busy).1.unwrap();
        assert_eq!(world.ids().len(), 4);
    }
}

#[test]
fn a_place_that_was_noted_without_since_when_is_read() {
    let world = World::new();
    world.run(log).1.unwrap();
    let item = world.table.items()[0].clone();
    let mut place = world.place();
    place.as_object_mut().unwrap().remove("waits_since").unwrap();
    let body = serde_json::to_vec(&place).unwrap();
    run(world.table.put(&Item { version: item.version + 1, body, ..item }, When::Always)).unwrap();
    let (_, done, asked) = world.run(log);
    done.unwrap();
    assert_eq!(asked, ["2"]);
}

#[test]
fn no_content_is_a_page_without_items() {
    let world = World::new();
    world.run(log).1.unwrap();
    let nothing = |_: &str, _| Ok(Answer { status: 204, headers: vec![], body: Vec::new() });
    let (tally, done, asked) = world.run(nothing);
    done.unwrap();
    assert_eq!((tally, asked), (Tally { pages: 1, ..Tally::default() }, vec!["2".to_owned()]));
    let (tally, done, _) = world.run(log);
    done.unwrap();
    assert_eq!((tally.known, tally.out), (1, 0), "what was known stays known");
    // An empty page that does not say that it is one is a mistake.
    let empty = |_: &str, _| Ok(Answer { status: 200, headers: vec![], body: Vec::new() });
    assert!(matches!(world.run(empty).1, Err(Stopped::Page(_))));
}

#[test]
fn a_limit_that_is_spent_is_respected_and_the_page_counts() {
    let world = World::new();
    let spent = [("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1795180500")];
    let (tally, done, asked) = world.run(|_, _| answer(200, &spent, &page(&["a"], Some("1"))));
    done.unwrap();
    assert_eq!((tally.out, tally.waits, asked.len()), (1, 1, 1));
    assert_eq!(world.place()["cursor"], "1");
}

#[test]
fn items_have_ids_that_stay_and_bad_ones_go_as_they_came() {
    let items =
        json!({"data": [{"text": "no id"}, {"id": 1.5}, 7, {"id": 8}, {"text": "no id"}], "next": null});
    let world = World::new();
    let (tally, done, _) = world.run(|_, _| answer(200, &[], &items));
    done.unwrap();
    assert_eq!((tally.r#in, tally.out, tally.unread, tally.known), (5, 4, 2, 1));
    let bodies: Vec<_> =
        world.raw.records().into_iter().map(|record| String::from_utf8(record.data).unwrap()).collect();
    assert!(bodies.contains(&r#"{"id":1.5}"#.to_owned()) && bodies.contains(&"7".to_owned()));
    let (tally, ..) = world.run(|_, _| answer(200, &[], &items));
    assert_eq!((tally.out, tally.known), (0, 5));
}

/// `transform` takes an array for its items; but here the array is the item, and what is in it no event.
#[test]
fn an_item_that_is_an_array_is_one_bad_item() {
    for item in ["[]", r#"[{"id":"x","webhook":{"source":"stripe"}}]"#, "[\n{\"id\":\"x\"}\n]", "[1,2]"] {
        let body = format!(r#"{{"data":[{item}],"next":null}}"#).into_bytes();
        let world = World::new();
        let (tally, done, _) =
            world.run(|_, _| Ok(Answer { status: 200, headers: vec![], body: body.clone() }));
        done.unwrap();
        assert_eq!((tally.out, tally.unread), (1, 1));
        let (data, mut event) = (&world.raw.records()[0].data, Event::default());
        let pieces: Vec<_> = decode::split(data).unwrap().collect();
        assert_eq!(pieces.len(), 1, "{item}");
        assert_eq!(decode::event(pieces[0], &mut event).unwrap_err().reason, "not_an_object");
    }
}

/// A step may make the id that is wrong here.
#[test]
fn an_item_that_cannot_go_on_does_not_say_that_it_is_a_webhook() {
    let world = World::new();
    let items =
        json!({"data": [{"id": 1.5, "webhook": {"source": "stripe"}, "text": "hello"}], "next": null});
    let (tally, done, _) = world.run(|_, _| answer(200, &[], &items));
    done.unwrap();
    assert_eq!((tally.out, tally.unread), (1, 1));
    let event: Value = serde_json::from_slice(&world.raw.records()[0].data).unwrap();
    assert_eq!(event, json!({"id": 1.5, "text": "hello"}));
}

#[test]
fn an_item_that_no_record_can_hold_leaves_a_trace_and_the_feed_goes_on() {
    let mut state = 7_u64;
    let mut text = String::new();
    while text.len() < 3_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap()));
    }
    let world = World::new();
    let (tally, done, _) =
        world.run(|_, _| answer(200, &[], &json!({"data": [{"id": "a", "text": text}], "next": null})));
    done.unwrap();
    assert_eq!(tally.out, 1);
    assert!(world.raw.records()[0].data.len() < 1_000_000);
}

#[test]
fn a_start_without_settings_names_them_all() {
    let start = |settings: &[(&str, &str)]| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_pull"));
        let out = program.env_clear().envs(settings.iter().copied()).output().unwrap();
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let told = start(&[]);
    for name in ["RAW_STREAM", "STATE_TABLE", "FEED_URL"] {
        assert!(told.contains(name), "{told}");
    }
    let names = ["RAW_STREAM", "STATE_TABLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let mut settings: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
    settings.push(("FEED_URL", "http://feed.example/"));
    assert!(start(&settings).contains("must begin with https://"), "{}", start(&settings));
}
