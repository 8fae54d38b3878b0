//! `bench-reference <mode> <in> <outdir>`: job T. The counts go to stdout as one line of JSON.

use bench_reference::job::{Counts, Job};
use bench_reference::sink::{Failed, Lake, Ndjson, Sink};
use bench_reference::source::{self, Envelope};
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "bench-reference bulk|lambda|steps-bulk|steps-lambda|bulk-ndjson|lambda-ndjson <in> <outdir>";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [mode, input, out] => run(mode, input, out.into()),
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

fn run(mode: &str, input: &str, out: PathBuf) -> Result<Counts, Failed> {
    let file = File::open(input)?;
    match mode {
        "bulk" => bulk(file, Lake::new(Some(out))),
        "lambda" => lambda(file, Lake::new(Some(out))),
        "steps-bulk" => bulk(file, Lake::new(None)),
        "steps-lambda" => lambda(file, Lake::new(None)),
        "bulk-ndjson" => bulk(file, Ndjson::new(out)),
        "lambda-ndjson" => lambda(file, Ndjson::new(out)),
        _ => Err(USAGE.into()),
    }
}

fn bulk(file: File, sink: impl Sink) -> Result<Counts, Failed> {
    let mut job = Job::new(sink);
    source::lines(file, |line| job.line(line))?;
    job.finish()
}

fn lambda(file: File, sink: impl Sink) -> Result<Counts, Failed> {
    let mut job = Job::new(sink);
    let mut envelope = Envelope::default();
    source::payloads(file, |payload| {
        envelope.open(payload, |line| job.line(line))?;
        job.end_batch()
    })?;
    job.finish()
}
