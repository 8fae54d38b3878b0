//! Puts `pipeline.toml` into the functions, and fails the build where it is wrong.

use millrace_core::pipeline::Pipeline;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipeline.toml");
    println!("cargo::rerun-if-changed={}", file.display());
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(why) => return refuse(&format!("pipeline.toml cannot be read: {why}")),
    };
    match Pipeline::compile(&text) {
        Ok(_) => ExitCode::SUCCESS,
        Err(mistakes) => refuse(&mistakes.render("pipeline.toml")),
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
