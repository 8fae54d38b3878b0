//! `millrace check`: is the pipeline right, and does the template's table have its columns?
//!
//! Glue wants the columns written out in `template.yaml`, and by what the table is partitioned. They stand between comment lines
//! there, and this command compares them with those that `pipeline.toml` makes, or writes them anew:
//!
//! ```yaml
//! # lake columns: begin (written by `millrace check --fix` from pipeline.toml)
//! - { Name: id, Type: string }
//! # lake columns: end
//! ```

use crate::error::Error;
use crate::run::now;
use crate::{note, say, warn};
use millrace_core::files::Files;
use millrace_core::mistake::{Mistake, Mistakes};
use millrace_core::pipeline::{LakeSettings, Pipeline};
use millrace_core::time::Micros;
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// Check a pipeline, and that the template's table has its columns
///
/// Tells all that is wrong, with line and column, and exits with 1. Reads the
/// databases of enrich.geoip to the end, and tells their age. Warns of
/// what is probably not meant so: a step that reads a field which an earlier one
/// removes, a field that looks personal and is not anonymized, a column that is
/// always null. What is meant so after all stands in the pipeline:
/// `[check]`, `allow = ["field"]`.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The pipeline to check
    #[arg(default_value = "pipeline.toml")]
    pipeline: PathBuf,
    /// The template with the table [default: template.yaml beside the pipeline, if any]
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Write the columns into the template instead of complaining
    #[arg(long)]
    fix: bool,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
}

pub(crate) fn check(args: &Args) -> Result<(), Error> {
    let text = Error::read("cannot read", &args.pipeline)?;
    let checked = Pipeline::check(&text, &Beside(&args.pipeline));
    let (pipeline, warnings) = checked.map_err(|mistakes| Error::mistakes(&args.pipeline, &mistakes))?;
    databases(&args.pipeline, &text, &pipeline)?;
    let (steps, columns) = (pipeline.steps().count(), pipeline.lake().columns.len());
    let many = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut told =
        format!("{}: {}, {}", args.pipeline.display(), many(steps, "step"), many(columns, "column"));
    if !warnings.is_empty() {
        told = format!("{told}, {}", many(warnings.count(), "warning"));
    }
    say(&told)?;
    if !warnings.is_empty() && args.strict {
        return Err(Error::mistakes(&args.pipeline, &warnings));
    }
    warn(&warnings.render(&args.pipeline.display().to_string()));

    let path = match &args.template {
        Some(path) => path.clone(),
        None => args.pipeline.with_file_name("template.yaml"),
    };
    if args.template.is_none() && !path.exists() {
        return Ok(());
    }
    let template = Error::read("cannot read", &path)?;
    let mut rewritten = template;
    let mut changed = Vec::new();
    for Block { what, lines, is_default } in blocks(pipeline.lake()) {
        match compare(&rewritten, what, &lines) {
            Comparison::Same => {}
            Comparison::NoMarkers if is_default => {}
            Comparison::NoMarkers => {
                let begin = begin(what);
                note(&format!("`{}` has no line `{begin}`, so its {what} are not compared", path.display()));
            }
            Comparison::NoEnd { line } => {
                let end = end(what);
                return Err(Error::Mistaken(format!(
                    "{}:{line}: error: no line `{end}` comes after this one\n  = add it after the last of the {what}\n",
                    path.display()
                )));
            }
            Comparison::Differs { rewritten: better, .. } if args.fix => {
                rewritten = better;
                changed.push(what);
            }
            Comparison::Differs { line, has, wants, .. } => {
                return Err(Error::Mistaken(format!(
                    "{}:{line}: error: the {what} are not those of {}\n  = here: {has}\n  = there: {wants}\n  = run `millrace check --fix`\n",
                    path.display(),
                    args.pipeline.display()
                )));
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    fs::write(&path, rewritten).map_err(Error::io("cannot write", &path))?;
    say(&format!("{}: {} written anew", path.display(), changed.join(", ")))
}

/// Lines of the template that follow from the pipeline.
struct Block {
    what: &'static str,
    lines: Vec<String>,
    /// Whether a template without this block is as good.
    is_default: bool,
}

fn blocks(lake: &LakeSettings) -> [Block; 3] {
    let columns = lake.glue_columns().into_iter().map(|(name, kind)| column(&name, &kind)).collect();
    let partition = lake.partition();
    let is_default = partition.is_none();
    let above = partition.as_ref().map(|name| format!("{name}=${{!{name}}}/")).unwrap_or_default();
    let location = format!(
        "storage.location.template: !Sub \"s3://${{LakeBucket}}/events/{above}event_date=${{!event_date}}/event_hour=${{!event_hour}}\""
    );
    // An injected value stands in each query, so that nobody has to list all there are.
    let injected = partition.as_ref().map(|name| format!("projection.{name}.type: injected"));
    let keys = partition.into_iter().map(|name| column(&name, "string")).collect();
    [
        Block { what: "columns", lines: columns, is_default: false },
        Block { what: "partitions", lines: keys, is_default },
        Block { what: "projections", lines: injected.into_iter().chain([location]).collect(), is_default },
    ]
}

/// Reads the databases of places to the end, each once: a function opens them and trusts the rest.
fn databases(path: &Path, text: &str, pipeline: &Pipeline) -> Result<(), Error> {
    let mut places: Vec<_> = pipeline.places().collect();
    places.sort_by_key(|places| places.file.to_owned());
    places.dedup_by_key(|places| places.file.to_owned());
    let damaged = places.iter().filter_map(|places| {
        let why = places.verify().err()?;
        let at = text.find(places.file).map(|start| start..start + places.file.len());
        let mistake = Mistake::new(format!("`{}` {why}", places.file)).with_help("get it anew");
        Some(at.into_iter().fold(mistake, Mistake::within))
    });
    let damaged: Vec<_> = damaged.collect();
    if !damaged.is_empty() {
        return Err(Error::mistakes(path, &Mistakes::new(text, damaged)));
    }
    for places in &places {
        note(&format!(
            "`{}` is {}, {}",
            places.file,
            places.kind(),
            age(places.built_s(), now().get() / 1_000_000)
        ));
    }
    Ok(())
}

/// How old something is: `of 2026-01-01, 332 days old`.
fn age(built_s: u64, now_s: i64) -> String {
    let built_s = i64::try_from(built_s).unwrap_or(i64::MAX);
    let Some(built) = built_s.checked_mul(1_000_000).and_then(Micros::new) else {
        return "of an impossible date".to_owned();
    };
    let days = now_s.saturating_sub(built_s).max(0) / (24 * 60 * 60);
    format!("of {}, {days} {} old", built.date(), if days == 1 { "day" } else { "days" })
}

/// Reads and compiles a pipeline.
pub(crate) fn compile(path: &Path) -> Result<Pipeline, Error> {
    let text = Error::read("cannot read", path)?;
    Pipeline::compile(&text, &Beside(path)).map_err(|mistakes| Error::mistakes(path, &mistakes))
}

/// The files beside a pipeline.
struct Beside<'a>(&'a Path);

impl Files for Beside<'_> {
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        fs::read(self.0.with_file_name(name)).map(Cow::Owned).map_err(|why| why.to_string())
    }
}

fn column(name: &str, kind: &str) -> String {
    format!("- {{ Name: {}, Type: {kind} }}", yaml(name))
}

fn begin(what: &str) -> String {
    format!("# lake {what}: begin")
}

fn end(what: &str) -> String {
    format!("# lake {what}: end")
}

#[derive(Debug, PartialEq, Eq)]
enum Comparison {
    Same,
    NoMarkers,
    /// The block that begins in this line does not end.
    NoEnd {
        line: usize,
    },
    /// The first difference, and the template as it should be.
    Differs {
        line: usize,
        has: String,
        wants: String,
        rewritten: String,
    },
}

fn compare(template: &str, what: &str, wanted: &[String]) -> Comparison {
    let (begin_line, end_line) = (begin(what), end(what));
    let lines: Vec<&str> = template.split_inclusive('\n').collect();
    let Some(begin) = lines.iter().position(|line| line.trim_start().starts_with(&begin_line)) else {
        return Comparison::NoMarkers;
    };
    let (before, after) = lines.split_at(begin + 1);
    let Some(end) = after.iter().position(|line| line.trim() == end_line) else {
        return Comparison::NoEnd { line: begin + 1 };
    };
    let (block, after) = after.split_at(end);

    let marker = before.last().copied().unwrap_or_default();
    let indent = marker.split('#').next().unwrap_or_default();
    let newline = if marker.ends_with("\r\n") { "\r\n" } else { "\n" };
    let wanted: Vec<String> = wanted.iter().map(|line| format!("{indent}{line}{newline}")).collect();

    let differs = (0..block.len().max(wanted.len()))
        .map(|index| (index, block.get(index).copied(), wanted.get(index).map(String::as_str)))
        .find(|(_, has, wants)| has != wants);
    match differs {
        None => Comparison::Same,
        Some((index, has, wants)) => {
            let shown = |line: Option<&str>| {
                line.map_or_else(|| format!("no more {what}"), |line| format!("`{}`", line.trim()))
            };
            Comparison::Differs {
                line: begin + index + 2, // counted from 1, and below the marker
                has: shown(has),
                wants: shown(wants),
                rewritten: before.concat() + &wanted.concat() + &after.concat(),
            }
        }
    }
}

/// The name, quoted where YAML 1.1 would read a truth value, nothing or a number.
fn yaml(name: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if WORDS.contains(&name) || name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "Columns:\n  # lake columns: begin (written by …)\n  - { Name: id, Type: string }\n  - { Name: price, Type: double }\n  # lake columns: end\nMore: 1\n";

    fn columns(columns: &[(&str, &str)]) -> Vec<String> {
        columns.iter().map(|(name, kind)| column(name, kind)).collect()
    }

    fn difference(template: &str, wanted: &[(&str, &str)]) -> (usize, String, String) {
        match compare(template, "columns", &columns(wanted)) {
            Comparison::Differs { line, has, wants, rewritten } => {
                assert_eq!(compare(&rewritten, "columns", &columns(wanted)), Comparison::Same, "{rewritten}");
                (line, has, wants)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_columns_match() {
        let wanted = columns(&[("id", "string"), ("price", "double")]);
        assert_eq!(compare(TEMPLATE, "columns", &wanted), Comparison::Same);
        assert_eq!(compare(&TEMPLATE.replace('\n', "\r\n"), "columns", &wanted), Comparison::Same);
    }

    #[test]
    fn the_first_difference_is_told() {
        for (wanted, line, has, wants) in [
            (
                vec![("id", "string"), ("price", "bigint")],
                4,
                "`- { Name: price, Type: double }`",
                "`- { Name: price, Type: bigint }`",
            ),
            (vec![("id", "string")], 4, "`- { Name: price, Type: double }`", "no more columns"),
            (
                vec![("id", "string"), ("price", "double"), ("on", "string")],
                5,
                "no more columns",
                "`- { Name: \"on\", Type: string }`",
            ),
        ] {
            assert_eq!(difference(TEMPLATE, &wanted), (line, has.to_owned(), wants.to_owned()));
        }
        difference(&TEMPLATE.replace("  -", "    -"), &[("id", "string"), ("price", "double")]);
    }

    #[test]
    fn a_fix_changes_the_block_alone() {
        let Comparison::Differs { rewritten, .. } =
            compare(TEMPLATE, "columns", &columns(&[("x", "bigint")]))
        else {
            panic!("they differ");
        };
        assert_eq!(
            rewritten,
            "Columns:\n  # lake columns: begin (written by …)\n  - { Name: x, Type: bigint }\n  # lake columns: end\nMore: 1\n"
        );
    }

    #[test]
    fn a_table_that_is_partitioned_by_a_field_has_it_in_its_location_and_among_its_keys() {
        let lake = |text: &str| {
            let event = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n[lake]\n";
            blocks(&LakeSettings::read(&format!("{event}{text}")).unwrap()).map(|block| block.lines)
        };
        let [_, keys, projections] = lake("");
        assert_eq!((keys.len(), projections.len()), (0, 1));
        let [_, keys, projections] = lake("partition_by = \"data.shopId\"");
        assert_eq!(keys, ["- { Name: data_shop_id, Type: string }"]);
        let [injected, location] = projections.as_slice() else { panic!("{projections:?}") };
        assert_eq!(injected, "projection.data_shop_id.type: injected");
        assert!(location.contains("/events/data_shop_id=${!data_shop_id}/event_date="), "{location}");
    }

    #[test]
    fn an_age_is_in_days() {
        let day = 24 * 60 * 60;
        assert_eq!(age(1_767_225_600, 1_767_225_600 + 332 * day + 5), "of 2026-01-01, 332 days old");
        assert_eq!(age(1_767_225_600, 1_767_225_600 + day), "of 2026-01-01, 1 day old");
        assert_eq!(age(1_767_225_600, 0), "of 2026-01-01, 0 days old");
        assert_eq!(age(u64::MAX, 0), "of an impossible date");
    }

    #[test]
    fn markers_may_be_missing() {
        assert_eq!(compare("", "columns", &[]), Comparison::NoMarkers);
        assert_eq!(
            compare("Columns:\n  - { Name: id, Type: string }\n", "columns", &[]),
            Comparison::NoMarkers
        );
        assert_eq!(
            compare("a\n# lake columns: begin\n- { Name: id, Type: string }\n", "columns", &[]),
            Comparison::NoEnd { line: 2 }
        );
    }
}
