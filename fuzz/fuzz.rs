//! One target, named by the variable `TARGET`, for libFuzzer.
#![no_main]

#[path = "../shared/core/tests/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|(name, _)| *name == wanted);
    found
        .unwrap_or_else(|| {
            panic!(
                "TARGET={wanted} is none of {:?}",
                targets::ALL.iter().map(|(name, _)| name).collect::<Vec<_>>()
            )
        })
        .1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
