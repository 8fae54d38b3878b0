# Millrace. `make` alone lists the targets.
# Needs Rust by rustup, Python 3.10 or newer with venv, and nothing else: the other tools come into .tools/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
ENV ?= default
export SAM_CLI_TELEMETRY := 0
build deploy lint-template: export PATH := $(CURDIR)/.tools/build/bin:$(PATH)

## Try it
demo: tools ## The whole way once, on this machine: events in over HTTP, rows out of Athena
	@.tools/aws/bin/python local/demo.py

SEED ?= 1

# A seed makes the same choices again, though not the same order of processes.
chaos: tools ## The stack on a bad day, and each event looked for: make chaos SECONDS=60 SEED=1
	@.tools/aws/bin/python local/chaos.py --seconds $(SECONDS) --seed $(SEED)

sources: tools ## Webhooks, queues, topics, buses, devices and a feed: from real clients to rows
	@.tools/aws/bin/python local/sources.py

# What Stripe sends, a check that is asked, and what it holds; a list of prices by file and by tenant.
cookbook: tools ## Pipelines of the cookbook on the whole way: make cookbook [PLAY="price-list payments"]
	@.tools/aws/bin/python local/cookbook.py $(PLAY)

least-privilege: tools ## Each permission of each function taken away in turn: something has to fail
	@.tools/aws/bin/python local/least_privilege.py

kpl: tools .tools/kpl/ready ## KPL aggregates in and out of the local stack, by AWS's own library
	@.tools/kpl/bin/python local/kpl.py

access: tools ## Every route with every credential, on this machine: write keys, tokens, CORS
	@.tools/aws/bin/python local/access.py

up: tools ## The stack on this machine, to play with: outputs in target/local/outputs.json
	@.tools/aws/bin/python local/stack.py up

down: ## End what `up` started
	@$(PYTHON) local/stack.py down

invoke: tools ## One function by itself against what is up: make invoke FN=transform [EVENT=file.json]
	@.tools/aws/bin/python local/invoke.py "$(FN)" $(EVENT)

## Change it
test: ## All tests
	cargo test --workspace --locked

SEEDS ?= 1000
FIRST ?= 0

# One seed makes one run, always the same. A run that breaks a promise is told as a story.
sim: ## The pipeline under all faults of AWS, run by run: make sim SEEDS=1000 FIRST=0
	@SEEDS=$(SEEDS) FIRST=$(FIRST) cargo test --quiet --locked --package millrace-sim --test simulation -- --nocapture no_run_breaks_a_promise

FUZZ_TARGETS := json decode frame steps pipeline path
SECONDS ?= 60
FUZZ := RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/fuzz/rustc.sh" cargo test --workspace --locked --features millrace-fuzz/engine --test fuzz

# libFuzzer finds inputs by what they reach in the code; that needs no nightly, for no unsafe code of ours wants a
# sanitizer, but a C++ compiler. What breaks a target is written to shared/core/tests/corpus/, where `make test` finds it.
fuzz: ## Look for input that breaks the core: make fuzz SECONDS=60 [FUZZ_TARGETS="json steps"]
	@command -v $${CXX:-c++} > /dev/null || { echo "error: make fuzz wants a C++ compiler: on Debian and Ubuntu, apt install g++" >&2; exit 1; }
	$(FUZZ) --no-run
	@for target in $(FUZZ_TARGETS); do \
	  found=$(CURDIR)/target/fuzz/$$target kept=$(CURDIR)/shared/core/tests/corpus/$$target log=$(CURDIR)/target/fuzz/$$target.log; \
	  mkdir -p $$found; \
	  TARGET=$$target $(FUZZ) --quiet -- $$found $$kept -artifact_prefix=$$kept/ -timeout=20 -max_len=4096 -rss_limit_mb=1024 \
	    -max_total_time=$$(( $(SECONDS) / $(words $(FUZZ_TARGETS)) )) -verbosity=0 -print_funcs=0 -print_final_stats=1 \
	    > $$log 2>&1 || { cat $$log >&2; exit 1; }; \
	  echo "fuzz $$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $$log) inputs tried, $$(ls $$found | wc -l) kept in $${found#$(CURDIR)/}"; done

check: check-rust check-core check-pipeline lint-template check-vtl ## Format, lints, docs, the core's purity, pipeline.toml, template.yaml

fmt: ## Format the code
	cargo fmt --all

check-rust:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package millrace-cli --features aws --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The core takes bytes and returns values: no AWS, no runtime.
check-core:
	@crates=$$(cargo tree --locked --package millrace-core --edges normal --prefix none); \
	if grep -E '^(aws|tokio)' <<< "$$crates"; then echo "error: millrace-core must not depend on these" >&2; exit 1; fi

check-pipeline:
	cargo run --quiet --locked --package millrace-cli -- check --strict pipeline.toml
	cargo run --quiet --locked --package millrace-cli -- test
	@cargo run --quiet --locked --package millrace-cli -- schema | diff -u pipeline.schema.json - || \
	  { echo "error: pipeline.schema.json is not current: cargo run -p millrace-cli -- schema > pipeline.schema.json" >&2; exit 1; }

# Each of the three finds what the others let pass. They call nothing, but want a region.
lint-template: export AWS_DEFAULT_REGION := us-east-1
lint-template: .tools/build/ready ## Check template.yaml, as it is and translated
	sam validate
	sam validate --lint
	.tools/build/bin/python local/lint_template.py

check-vtl: .tools/vtl/ready
	@.tools/vtl/bin/python local/check_vtl.py

## Measure it
bench: ## What an event costs, against peers that do the same job: make bench [EVENTS=200000] [ROUNDS=3]
	@$(PYTHON) bench/run.py --events $(or $(EVENTS),200000) --rounds $(or $(ROUNDS),3)

bench-functions: tools ## What a function's start costs, and a request to ingest; `make up` or `make build` first
	@.tools/aws/bin/python bench/functions.py

## Run it on AWS
build: .tools/build/ready ## The functions for AWS
	sam build --config-env $(ENV)

deploy: build ## Deploy to the account and region of the AWS profile: make deploy ENV=prod
	sam deploy --config-env $(ENV)

## Tidy up
clean: down ## Remove what was built; the tools stay
	rm -rf target .aws-sam

help:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^## / { printf "\n%s\n", substr($$0, 4) } \
	  /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ---- Tools, in two environments that pin different versions of botocore.
# `ready` is written last, so that what was interrupted begins anew, and is older than a changed requirements file.

tools: .tools/build/ready .tools/aws/ready

.tools/%/ready: local/requirements-%.txt
	@command -v cargo > /dev/null || { echo "error: Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: $$($(PYTHON) --version) is too old: Python 3.10 or newer, or make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || \
	  { echo "error: this Python has no venv: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "tools of $< ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: demo access chaos sources cookbook least-privilege kpl up down invoke test sim fuzz bench check fmt check-rust check-core check-pipeline lint-template check-vtl bench-functions build deploy clean help tools
