#!/bin/sh
# What `make fuzz` compiles the crates of this repository with (RUSTC_WORKSPACE_WRAPPER): with all checks, and with the
# counters that tell libFuzzer which ways an input took. The dependencies stay as `make test` has built them. Level 1 takes
# half the time of level 3 to build, and tries three quarters as many inputs. Cargo does not see a change of this file.
exec "$@" -Copt-level=1 -Cdebug-assertions -Coverflow-checks -Ccodegen-units=4 \
  -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
