//! `docs/steps.md` is what the steps say of themselves. `UPDATE_EXPECT=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::expect_file;
use millrace_core::step::{About, catalog};
use schemars::SchemaGenerator;
use std::fmt::Write as _;

/// The kinds, in the order in which a pipeline usually has them.
const KINDS: [(&str, &str); 4] = [
    ("clean", "They bring events into shape, and refuse what has none."),
    ("filter", "They drop what is not wanted. It counts as filtered, and is kept nowhere."),
    ("enrich", "They add what follows from an event and from files beside the pipeline."),
    ("anonymize", "They take out of an event who somebody is."),
];

const HEAD: &str = "\
<!-- Made of the comments at the top of shared/core/src/step/*.rs by `UPDATE_EXPECT=1 cargo test -p millrace-core --test docs`. -->

# Steps

What can stand behind `[[step]]` in [`pipeline.toml`](pipeline.md). Each step has its own `[[step]]`, and they run in the order of
the file. A step keeps an event, drops it, or rejects it to the quarantine; the later steps do not see it then.

How a field is named, and which of them take `items[].sku` and `data.**`, stands in [Fields](pipeline.md#fields); what an
expression may say in [Expressions](pipeline.md#expressions).
";

#[test]
fn the_pages_of_the_steps_are_current() {
    let steps = catalog(&mut SchemaGenerator::default());
    let of_kind = |kind: &str| -> Vec<&About> {
        let mut steps: Vec<_> =
            steps.iter().filter(|step| step.name.starts_with(&format!("{kind}."))).collect();
        steps.sort_by_key(|step| step.name);
        steps
    };
    let listed: usize = KINDS.iter().map(|(kind, _)| of_kind(kind).len()).sum();
    assert_eq!(listed, steps.len(), "a kind of step is missing here");

    let mut page = format!("{HEAD}\n| | |\n| --- | --- |\n");
    for step in KINDS.iter().flat_map(|(kind, _)| of_kind(kind)) {
        writeln!(page, "| [`{0}`](#{1}) | {2} |", step.name, anchor(step.name), step.summary).unwrap();
    }
    for (kind, about) in KINDS {
        writeln!(page, "\n## {kind}\n\n{about}").unwrap();
        for step in of_kind(kind) {
            assert!(step.docs.contains("```toml"), "{} shows how it is written", step.name);
            writeln!(page, "\n### `{}`\n\n{}\n\n{}", step.name, step.summary, step.docs).unwrap();
        }
    }
    expect_file!["../../../docs/steps.md"].assert_eq(&page);
}

/// What GitHub makes of a heading.
fn anchor(name: &str) -> String {
    name.replace('.', "")
}
