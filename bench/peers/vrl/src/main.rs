//! Job T in VRL, the language of Vector: `bench-vrl <mode> <in> <outdir>`.
//!
//! The rules are `check.vrl` and `row.vrl`. Between the two stands the set of ids, as Vector's `dedupe` stands between two of its
//! `remap` transforms: the language has no state. Envelope, base64, set of ids and Parquet are those of the reference.

use bench_reference::job::{Counts, Seen};
use bench_reference::sink::{Failed, Lake, Row, Sink};
use bench_reference::source::{self, Envelope};
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use vrl::compiler::runtime::Runtime;
use vrl::compiler::{Program, TargetValue, TimeZone, compile};
use vrl::diagnostic::Formatter;
use vrl::value::{ObjectMap, Secrets, Value};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "bench-vrl bulk|lambda|steps-bulk|steps-lambda <in> <outdir>";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [mode, input, out] => run(mode, input, out),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(counts) => {
            println!("{counts}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: &str, input: &str, out: &str) -> Result<Counts, Failed> {
    let file = File::open(input)?;
    let lake = || To::Lake(Box::new(Lake::new(Some(out.into()))));
    let (mut job, batches) = match mode {
        "bulk" => (Job::new(lake())?, false),
        "lambda" => (Job::new(lake())?, true),
        "steps-bulk" => (Job::new(To::Text(Vec::new()))?, false),
        "steps-lambda" => (Job::new(To::Text(Vec::new()))?, true),
        _ => return Err(USAGE.into()),
    };
    if batches {
        let mut envelope = Envelope::default();
        source::payloads(file, |payload| {
            envelope.open(payload, |line| job.line(line))?;
            job.end_batch()
        })?;
    } else {
        source::lines(file, |line| job.line(line))?;
        job.end_batch()?;
    }
    Ok(job.counts)
}

/// Where rows go.
enum To {
    /// The Parquet files of the reference.
    Lake(Box<Lake>),
    /// NDJSON in memory, which is dropped with its batch, or at each MiB: the steps alone.
    Text(Vec<u8>),
}

struct Job {
    to: To,
    counts: Counts,
    seen: Seen,
    runtime: Runtime,
    check: Program,
    row: Program,
}

impl Job {
    fn new(to: To) -> Result<Self, Failed> {
        let functions = vrl::stdlib::all();
        let program = |name: &str| -> Result<Program, Failed> {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))?;
            match compile(&text, &functions) {
                Ok(done) => Ok(done.program),
                Err(mistakes) => Err(format!("{name}\n{}", Formatter::new(&text, mistakes)).into()),
            }
        };
        Ok(Self {
            to,
            counts: Counts::default(),
            seen: Seen::default(),
            runtime: Runtime::default(),
            check: program("check.vrl")?,
            row: program("row.vrl")?,
        })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failed> {
        self.counts.lines += 1;
        let message = ObjectMap::from([("message".into(), Value::from(line))]);
        let mut target = TargetValue {
            value: message.into(),
            metadata: Value::Object(ObjectMap::new()),
            secrets: Secrets::default(),
        };
        let zone = TimeZone::default();
        let fate = self.runtime.resolve(&mut target, &self.check, &zone).map_err(|why| why.to_string())?;
        self.runtime.clear();
        match fate.to_str_lossy().as_deref() {
            Some("malformed") => self.counts.malformed += 1,
            Some("rejected") => self.counts.rejected += 1,
            Some("bots") => self.counts.bots += 1,
            _ => {
                let id =
                    target.value.as_object().and_then(|event| event.get("id")).and_then(Value::to_str_lossy);
                if !self.seen.insert(&id.unwrap_or_default()) {
                    self.counts.duplicates += 1;
                    return Ok(());
                }
                self.counts.rows += 1;
                let row =
                    self.runtime.resolve(&mut target, &self.row, &zone).map_err(|why| why.to_string())?;
                self.runtime.clear();
                self.take(&row)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, row: &Value) -> Result<(), Failed> {
        match &mut self.to {
            To::Lake(lake) => {
                let row = row.as_object().ok_or("a row is an object")?;
                let text = |name: &str| row.get(name).and_then(Value::to_str);
                let int = |name: &str| row.get(name).and_then(Value::as_integer);
                let float = |name: &str| match row.get(name) {
                    Some(Value::Float(number)) => Some(number.into_inner()),
                    _ => None,
                };
                lake.row(&Row {
                    event_id: text("event_id").unwrap_or_default(),
                    event_type: text("event_type").unwrap_or_default(),
                    ts: int("ts").unwrap_or_default(),
                    session_id: text("session_id"),
                    browser: text("browser"),
                    target: text("target"),
                    user_hash: text("user_hash"),
                    email_hash: text("email_hash"),
                    ip: text("ip"),
                    ua_family: text("ua_family").unwrap_or_default(),
                    ua_os: text("ua_os").unwrap_or_default(),
                    host: text("host"),
                    page: text("page"),
                    utm_source: text("utm_source"),
                    utm_medium: text("utm_medium"),
                    utm_campaign: text("utm_campaign"),
                    price: float("price"),
                    discount: float("discount"),
                    x: int("x"),
                    y: int("y"),
                    text: text("text"),
                })
            }
            To::Text(text) => {
                sonic_rs::to_writer(&mut *text, row)?;
                text.push(b'\n');
                if text.len() > 1 << 20 {
                    text.clear();
                }
                Ok(())
            }
        }
    }

    fn end_batch(&mut self) -> Result<(), Failed> {
        match &mut self.to {
            To::Lake(lake) => lake.end_batch(),
            To::Text(text) => {
                text.clear();
                Ok(())
            }
        }
    }
}
