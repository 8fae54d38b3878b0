//! `millrace test`: the tests of a pipeline, which stand beside it.
//!
//! It shows what the events of the tests hold: somebody wrote them for that.

mod file;

use crate::check::compile;
use crate::diff::{self, Change};
use crate::error::Error;
use crate::paint::{self, ADDED, DIM, REMOVED, paint};
use crate::test::file::{Fate, Test};
use millrace_core::event::{Event, Path as EventPath};
use millrace_core::pipeline::{Outcome, Pipeline, RECEIVED_AT};
use millrace_core::step::Context;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// When an event arrives that has no time which can be read, in a test that does not say when: 2026-01-01T00:00:00Z.
const ARRIVAL: i64 = 1_767_225_600_000_000;

/// Run the tests of a pipeline
///
/// They stand in pipeline.test.toml beside it:
///
///   [[test]]
///   name = "over fifty a tenth is off"
///   given = { id = "e1", eventType = "view", timestamp = "2026-11-20T13:05:00Z", price = 80 }
///   expect_contains = { price = 80.0, discount = 8.0 }
///
/// Exits with 1 where one fails, and shows what differs. Tokens have a key of
/// their own, the same each time, which everybody knows.
#[derive(clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints it as it stands")]
#[allow(rustdoc::broken_intra_doc_links, reason = "`[[test]]` is TOML, and no link")]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The tests [default: pipeline.test.toml beside pipeline.toml]
    #[arg(value_name = "FILE")]
    tests: Option<PathBuf>,
    /// The pipeline
    #[arg(long, value_name = "FILE", default_value = "pipeline.toml")]
    pipeline: PathBuf,
}

pub(crate) fn test(args: &Args) -> Result<(), Error> {
    let mut pipeline = compile(&args.pipeline)?;
    let path = args.tests.clone().unwrap_or_else(|| args.pipeline.with_extension("test.toml"));
    let text = Error::read("cannot read", &path)?;
    let steps: Vec<_> = pipeline.steps().collect();
    let tests = file::read(&text, &steps).map_err(|mistakes| Error::mistakes(&path, &mistakes))?;

    let (key, mut failed) = (public_key(), 0);
    for test in &tests {
        let differences = run(&mut pipeline, test, &key);
        failed += usize::from(!differences.is_empty());
        paint::print(&page(test, &differences, &path))?;
    }
    let all = tests.len();
    match (failed, all) {
        (0, 1) => paint::print("\n1 test passed\n"),
        (0, _) => paint::print(&format!("\n{all} tests passed\n")),
        _ => Err(Error::Failed { failed, all }),
    }
}

/// The key of the tokens of tests, and the one they encrypt with. Everybody knows it: it makes nobody anonymous.
#[expect(clippy::expect_used, reason = "a constant, which the tests use")]
pub(crate) fn public_key() -> TokenKey {
    TokenKey::new("test", b"the key of millrace test, which everybody knows")
        .and_then(|key| key.with_encryption(b"the key that millrace test encrypts with, known as well"))
        .expect("both are long enough")
}

/// Runs a test, and tells what is not as expected, a line for each.
fn run(pipeline: &mut Pipeline, test: &Test, key: &TokenKey) -> Vec<String> {
    let mut event = test.given.clone();
    let read = |field: &EventPath| event.get(field).and_then(Micros::read);
    let known = read(&pipeline.event().time).max(read(&EventPath::from_key(RECEIVED_AT)));
    let arrived_at = test.at.or(known).or(Micros::new(ARRIVAL)).unwrap_or(Micros::EPOCH);
    let cx = Context { key, arrived_at };
    pipeline.begin_batch(); // no test hangs on those before it
    pipeline.begin_batch(); // no test sees another
    let outcome = match &test.steps {
        None => pipeline.apply(&mut event, &cx),
        Some(steps) => {
            let outcome = steps.iter().find_map(|at| pipeline.apply_step(*at, &mut event, &cx));
            outcome.unwrap_or(Outcome::Out)
        }
    };

    let mut differences = Vec::new();
    let is_met = match (&test.fate, &outcome) {
        (None | Some(Fate::Out), Outcome::Out) => true,
        (Some(Fate::Filtered { by }), Outcome::Filtered(at)) => {
            by.as_deref().is_none_or(|by| pipeline.steps().nth(*at) == Some(by))
        }
        (Some(Fate::Quarantined { by, reason }), Outcome::Rejected(why)) => {
            by.as_deref().is_none_or(|by| by == why.stage)
                && reason.as_deref().is_none_or(|reason| reason == why.reason)
        }
        _ => false,
    };
    if !is_met {
        let wanted = test.fate.as_ref().map_or_else(|| Fate::Out.to_string(), Fate::to_string);
        let told = told(pipeline, &outcome);
        differences.push(format!("expected: {}", paint(ADDED, wanted)));
        differences.push(format!("     got: {}", paint(REMOVED, paint::plain(&told))));
    }
    if outcome == Outcome::Out {
        differences.extend(event_differences(test, &event));
    }
    differences
}

/// A fate as a test would write it, with the detail of what was bad.
fn told(pipeline: &Pipeline, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Out => Fate::Out.to_string(),
        Outcome::Filtered(at) => {
            let by = pipeline.steps().nth(*at).map(str::to_owned);
            Fate::Filtered { by }.to_string()
        }
        Outcome::Rejected(why) => {
            let (by, reason) = (Some(why.stage.to_owned()), Some(why.reason.to_owned()));
            format!("{} ({})", Fate::Quarantined { by, reason }, why.detail)
        }
    }
}

fn event_differences(test: &Test, event: &Event) -> Vec<String> {
    let mut lines = Vec::new();
    let exact = test.expect.iter().flat_map(|expected| diff::changes(expected, event));
    let contained = test.expect_contains.iter().flat_map(|expected| {
        let mut changes = diff::changes(expected, event);
        // More fields are welcome; more elements are another array.
        changes.retain(|change| change.before.is_some() || change.path.ends_with(']'));
        changes
    });
    lines.extend(exact.chain(contained).map(|change| difference(&change)));
    let mut found = Vec::new();
    for pattern in &test.expect_absent {
        event.find_all(pattern, &mut found);
        if let Some(value) = found.first().and_then(|id| diff::json(event, *id)) {
            let value = paint(REMOVED, paint::plain(value.get()));
            lines.push(format!("{} {pattern}  expected nothing, got {value}", paint(REMOVED, "+")));
        }
    }
    lines
}

fn difference(change: &Change) -> String {
    let path = paint::plain(&change.path);
    let shown = |json: &serde_json::value::RawValue| paint::plain(json.get());
    let (expected, got) = (change.before.as_deref().map(shown), change.after.as_deref().map(shown));
    let sign = match (&expected, &got) {
        (Some(_), Some(_)) => paint(paint::CHANGED, "~"),
        (Some(_), None) => paint(REMOVED, "-"),
        (None, _) => paint(ADDED, "+"),
    };
    let expected = paint(ADDED, expected.as_deref().unwrap_or("nothing"));
    let got = paint(REMOVED, got.as_deref().unwrap_or("nothing"));
    format!("{sign} {path}  expected {expected}, got {got}")
}

fn page(test: &Test, differences: &[String], path: &Path) -> String {
    let name = paint::plain(&test.name);
    if differences.is_empty() {
        return format!("{} {name}\n", paint(ADDED, "ok  "));
    }
    let place = paint(DIM, format!("{}:{}", path.display(), test.line));
    let mut page = format!("{} {name}  {place}\n", paint(REMOVED, "FAIL"));
    for difference in differences {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "       {difference}");
    }
    page
}
