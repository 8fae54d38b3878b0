//! `millrace check`, as people call it.

#![expect(clippy::unwrap_used, reason = "a test may fail, its helpers too")]

use expect_test::expect;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn check(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.current_dir(dir).arg("check").args(args).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const PIPELINE: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[lake]\ncolumns = [{ name = \"userId\", type = \"string\" }]\n[check]\nallow = [\"ip\", \"userId\"]\n";

const TEMPLATE: &str =
    "Columns:\n  # lake columns: begin\n  - { Name: id, Type: string }\n  # lake columns: end\n";

#[test]
fn a_mistake_is_shown_where_it_is_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = format!("{PIPELINE}[[step]]\nclean.requires = [\"id\"]\n");
    fs::write(dir.path().join("mine.toml"), wrong).unwrap();
    let (code, stdout, stderr) = told(&check(dir.path(), &["mine.toml"]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    expect![[r#"
        mine.toml:10:7: error: `clean.requires` is not a step
           |
        10 | clean.requires = ["id"]
           |       ^^^^^^^^
           = did you mean `clean.require`?
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn a_database_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut database = fs::read(root.join("data/demo.mmdb")).unwrap();
    let step = "[[step]]\nenrich.geoip = { from = \"ip\", into = \"geo\", database = \"demo.mmdb\" }\n";
    fs::write(dir.path().join("pipeline.toml"), format!("{PIPELINE}{step}{step}")).unwrap();
    fs::write(dir.path().join("demo.mmdb"), &database).unwrap();
    let (code, _, stderr) = told(&check(dir.path(), &[]));
    assert_eq!(code, Some(0), "{stderr}");
    let notes: Vec<_> = stderr.lines().filter(|line| line.starts_with("note: ")).collect();
    assert!(
        matches!(notes.as_slice(), [note] if note.starts_with("note: `demo.mmdb` is Millrace-Demo-City, of 2026-01-01, ")),
        "{stderr}"
    );

    let mark = database.windows(14).rposition(|bytes| bytes == b"\xab\xcd\xefMaxMind.com").unwrap();
    database[mark - 4000..mark].fill(0xff);
    fs::write(dir.path().join("demo.mmdb"), &database).unwrap();
    let (code, stdout, stderr) = told(&check(dir.path(), &[]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("pipeline.toml:10:57: error: `demo.mmdb` is damaged: "), "{stderr}");
    assert!(stderr.contains("enrich.geoip = ") && stderr.contains("= get it anew"), "{stderr}");
}

#[test]
fn a_template_that_differs_fails_until_it_is_fixed() {
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template.yaml");
    fs::write(dir.path().join("pipeline.toml"), PIPELINE).unwrap();
    fs::write(&template, TEMPLATE).unwrap();

    let (code, _, stderr) = told(&check(dir.path(), &[]));
    assert_eq!(code, Some(1));
    expect![[r#"
        template.yaml:4: error: the columns are not those of pipeline.toml
          = here: no more columns
          = there: `- { Name: event_type, Type: string }`
          = run `millrace check --fix`
    "#]]
    .assert_eq(&stderr);
    assert_eq!(fs::read_to_string(&template).unwrap(), TEMPLATE, "a check changes nothing");

    let (code, stdout, _) = told(&check(dir.path(), &["--fix"]));
    assert_eq!((code, stdout.lines().last()), (Some(0), Some("template.yaml: columns written anew")));
    expect![[r"
        Columns:
          # lake columns: begin
          - { Name: id, Type: string }
          - { Name: event_type, Type: string }
          - { Name: event_time, Type: timestamp }
          - { Name: received_at, Type: timestamp }
          - { Name: user_id, Type: string }
          - { Name: rest, Type: string }
          # lake columns: end
    "]]
    .assert_eq(&fs::read_to_string(&template).unwrap());
    assert_eq!(told(&check(dir.path(), &[])).0, Some(0));
}

#[test]
fn a_template_without_markers_is_noted_and_one_that_is_not_there_is_an_error_only_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pipeline.toml"), PIPELINE).unwrap();
    assert_eq!(told(&check(dir.path(), &[])).0, Some(0));
    let (code, _, stderr) = told(&check(dir.path(), &["--template", "other.yaml"]));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: cannot read `other.yaml`: "), "{stderr}");

    fs::write(dir.path().join("other.yaml"), "Resources: {}\n").unwrap();
    let (code, _, stderr) = told(&check(dir.path(), &["--template", "other.yaml"]));
    assert_eq!(code, Some(0));
    expect![[r"
        note: `other.yaml` has no line `# lake columns: begin`, so its columns are not compared
    "]]
    .assert_eq(&stderr);
}

#[test]
fn a_pipeline_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, stderr) = told(&check(dir.path(), &[]));
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: cannot read `pipeline.toml`: "), "{stderr}");
}

#[test]
fn warnings_are_told_and_fail_only_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline =
        format!("{}[[step]]\nanonymize.truncate_ip = [\"ip\"]\n", PIPELINE.replace("\"ip\", \"userId\"", ""));
    fs::write(dir.path().join("pipeline.toml"), pipeline).unwrap();
    let (code, stdout, stderr) = told(&check(dir.path(), &[]));
    assert_eq!((code, stdout.as_str()), (Some(0), "pipeline.toml: 1 step, 1 column, 1 warning\n"));
    expect![[r#"
        pipeline.toml:6:21: warning: `userId` looks personal, and no step anonymizes it
          |
        6 | columns = [{ name = "userId", type = "string" }]
          |                     ^^^^^^^^
          = add `anonymize.hmac = ["userId"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["userId"]`
    "#]].assert_eq(&stderr);
    assert_eq!(told(&check(dir.path(), &["--strict"])), (Some(1), stdout, stderr));
    fs::write(dir.path().join("pipeline.toml"), PIPELINE).unwrap();
    let (code, _, stderr) = told(&check(dir.path(), &["--strict"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}
