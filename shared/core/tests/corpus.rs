//! The inputs that are kept under `tests/corpus/`, through the targets of `make fuzz`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests fail by panicking")]

mod targets;

use std::path::Path;

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
