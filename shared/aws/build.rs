//! Puts `pipeline.toml`, and the files that its steps name, into the functions; fails the build where it is wrong.
//! `MILLRACE_PIPELINE` names another file, from the workspace's root.

use millrace_core::files::Files;
use millrace_core::pipeline::Pipeline;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=MILLRACE_PIPELINE");
    let name =
        std::env::var_os("MILLRACE_PIPELINE").map_or_else(|| PathBuf::from("pipeline.toml"), PathBuf::from);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&name);
    println!("cargo::rerun-if-changed={}", file.display());
    println!("cargo::rustc-env=PIPELINE_FILE={}", file.display());
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(why) => return refuse(&format!("{} cannot be read: {why}", name.display())),
    };
    let beside = Beside { folder: file.with_file_name(""), read: RefCell::default() };
    if let Err(mistakes) = Pipeline::compile(&text, &beside) {
        return refuse(&mistakes.render(&name.display().to_string()));
    }
    let mut files = String::from("&[\n");
    for name in beside.read.take() {
        let path = beside.folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        // Writing to a String cannot fail.
        let _ = writeln!(files, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    files.push(']');
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default().join("files.rs");
    match std::fs::write(&out, files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => refuse(&format!("{} cannot be written: {why}", out.display())),
    }
}

/// The files beside `pipeline.toml`, and which of them were read.
struct Beside {
    folder: PathBuf,
    read: RefCell<BTreeSet<String>>,
}

impl Files for Beside {
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        self.read.borrow_mut().insert(name.to_owned());
        std::fs::read(self.folder.join(name)).map(Cow::Owned).map_err(|why| why.to_string())
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
