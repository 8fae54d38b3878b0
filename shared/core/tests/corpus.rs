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
