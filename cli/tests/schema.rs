//! `millrace schema` and `millrace completions`.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::expect_file;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

fn millrace(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(&millrace(&["schema"])).unwrap()).unwrap()
}

fn complaints(pipeline: &str) -> Vec<String> {
    let pipeline: Value = toml::from_str(pipeline).unwrap();
    schema().iter_errors(&pipeline).map(|error| error.instance_path().to_string()).collect()
}

#[test]
fn the_file_in_the_repository_is_current() {
    expect_file!["../../pipeline.schema.json"].assert_eq(&millrace(&["schema"]));
}

#[test]
fn the_shipped_pipelines_fit_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let recipes = fs::read_dir(root.join("cookbook")).unwrap();
    let mut files: Vec<_> = recipes.map(|recipe| recipe.unwrap().path().join("pipeline.toml")).collect();
    files.extend(["pipeline.toml", "bench/pipeline.toml"].map(|name| root.join(name)));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(complaints(&text), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn what_the_steps_show_of_themselves_fits_it() {
    let docs = include_str!("../../docs/steps.md");
    let schema = schema();
    let examples: Vec<_> =
        docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 7, "{} examples", examples.len());
    for example in examples {
        let mut pipeline: Value = toml::from_str(example).unwrap();
        if pipeline.get("step").is_none() {
            let kinds = pipeline.as_object().unwrap().clone();
            let steps: Vec<_> = kinds
                .into_iter()
                .flat_map(|(kind, steps)| {
                    let steps = steps.as_object().unwrap().clone();
                    steps.into_iter().map(move |(name, settings)| json!({ &kind: { name: settings } }))
                })
                .collect();
            pipeline = json!({ "step": steps });
        }
        pipeline["event"] = json!({ "id": "id", "type": "t", "time": "at" });
        let complaints: Vec<_> = schema.iter_errors(&pipeline).map(|error| error.to_string()).collect();
        assert_eq!(complaints, Vec::<String>::new(), "{example}");
    }
}

#[test]
fn what_is_wrong_does_not_fit_it() {
    let event = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
    assert_eq!(complaints(event), Vec::<String>::new());
    for (text, at) in [
        ("[[step]]\nclaen.require = [\"id\"]\n", "/step/0"),
        ("[[step]]\nclean.requires = [\"id\"]\n", "/step/0/clean"),
        ("[[step]]\nclean.require = 7\n", "/step/0/clean/require"),
        ("[[step]]\nclean.require = [\"id\"]\nfilter.keep = \"true\"\n", "/step/0"),
        ("[lake]\ncolumns = [{ name = \"x\", type = \"text\" }]\n", "/lake/columns/0/type"),
        ("[laek]\n", ""),
    ] {
        let complaints = complaints(&format!("{event}{text}"));
        assert!(complaints.iter().any(|place| place.starts_with(at)), "{text}: {complaints:?}");
        assert!(!complaints.is_empty(), "{text}");
    }
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = millrace(&["completions", shell]);
        assert!(script.contains("millrace") && script.contains("explain"), "{shell}");
    }
}
