#!/bin/sh
# What `make fuzz` compiles the crates of this repository with (RUSTC_WORKSPACE_WRAPPER): fast, with all checks, and with
# the counters that tell libFuzzer which ways an input took. The dependencies stay as `make test` has built them.
exec "$@" -Copt-level=3 -Cdebug-assertions -Coverflow-checks -Ccodegen-units=4 \
  -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
