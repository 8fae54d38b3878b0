//! The pipelines of `cookbook/`, and `docs/cookbook.md`, which shows them: the blocks of the page are the files and what
//! the commands print. `UPDATE_EXPECT=1` writes them anew.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::expect_file;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command prints that succeeds, run in the checkout's folder.
fn millrace(args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_millrace")).current_dir(root()).args(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "millrace {}\n{stdout}{stderr}", args.join(" "));
    stdout
}

/// The folders below `cookbook/`, by name.
fn recipes() -> Vec<String> {
    let folders = fs::read_dir(root().join("cookbook")).unwrap();
    let mut names: Vec<_> =
        folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

#[test]
fn each_pipeline_is_right_and_passes_its_tests() {
    for name in recipes() {
        let pipeline = format!("cookbook/{name}/pipeline.toml");
        let checked = millrace(&["check", "--strict", &pipeline]);
        assert!(!checked.contains("warning"), "{checked}");
        millrace(&["test", "--pipeline", &pipeline]);
    }
}

#[test]
fn each_sample_shows_what_comes_out_what_is_filtered_and_what_is_bad() {
    for name in recipes() {
        let (pipeline, events) =
            (format!("cookbook/{name}/pipeline.toml"), format!("cookbook/{name}/events.ndjson"));
        let told = millrace(&["explain", "--pipeline", &pipeline, "--in", &events]);
        let fates: BTreeSet<_> = told
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["fate"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(Vec::from_iter(&fates), ["filtered", "out", "quarantined"], "{name}");

        // The lake takes what comes out, as the functions write it.
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().to_str().unwrap();
        let counts: Value =
            serde_json::from_str(&millrace(&["run", "--pipeline", &pipeline, "--in", &events, "--out", out]))
                .unwrap();
        assert_eq!(counts["in"], told.lines().count(), "{name}");
        assert!(counts["out"].as_u64() > Some(0) && counts["quarantined"].as_u64() > Some(0), "{name}");
    }
}

#[test]
fn the_page_shows_the_files_and_what_the_commands_print() {
    let path = root().join("docs/cookbook.md");
    let page = fs::read_to_string(&path).unwrap();
    for name in recipes() {
        for file in ["pipeline.toml", "events.ndjson"] {
            assert!(page.contains(&format!(" cookbook/{name}/{file}\n")), "the page shows {name}/{file}");
        }
        assert!(
            page.contains(&format!("$ millrace explain --pipeline cookbook/{name}/pipeline.toml")),
            "{name}"
        );
    }
    expect_file![path].assert_eq(&renewed(&page));
}

/// The page with its blocks written anew: those that name a file behind the language, and the outputs of commands.
fn renewed(page: &str) -> String {
    let mut renewed = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        let Some(about) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        match about.split_once(' ') {
            Some((_, file)) => renewed.push_str(&fs::read_to_string(root().join(file)).unwrap()),
            None if about == "console" => {
                for command in block.iter().filter(|line| line.starts_with("$ ")) {
                    renewed.extend([*command, "\n", &printed(command)]);
                }
            }
            None => block.iter().for_each(|line| renewed.extend([*line, "\n"])),
        }
        renewed.push_str("```\n");
    }
    renewed
}

/// What people see of a command on a terminal, but for the colours.
fn printed(command: &str) -> String {
    let words: Vec<_> = command.split_whitespace().skip(1).collect();
    match words.split_first() {
        Some((&"millrace", args)) if args.first() == Some(&"explain") => {
            millrace(&[args, &["--format", "text"]].concat())
        }
        Some((&"millrace", args)) => millrace(args),
        _ => panic!("the page may only run millrace: {command}"),
    }
}
