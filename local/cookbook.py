"""Pipelines of the cookbook on the whole way, on this machine: `cookbook.py [price-list] [payments]`, all if none is named.

Each is built into the functions that its events go through, in place of pipeline.toml, and gets a stack of its own. `prices.py` has what is
done with the price list, `payments.py` with the payments. Then the stack goes down. Exit code 0 only if what comes out is right.

The functions are debug builds, whose dependencies the tests have built already. Those that no event of a pipeline goes through are there, but
say nothing.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import payments
import prices
import stack
from stack import Failed, step

PLAYS = {"price-list": prices, "payments": payments}


def main() -> int:
    wanted = sys.argv[1:] or list(PLAYS)
    if strangers := set(wanted) - set(PLAYS):
        raise Failed(f"not played here: {' '.join(sorted(strangers))}; there are {' '.join(PLAYS)}")
    with stack.by_itself():
        for name in wanted:
            print(f"{name}:")
            with step("build"):
                template = build(name, PLAYS[name])
            with step("start"):
                url = stack.start()
            PLAYS[name].play(url, template)
            print()
    return 0


def build(name: str, pipeline: ModuleType) -> str:
    """The template with the columns of this pipeline, as `sam build` leaves it: each function names a folder with its program."""
    folder = stack.STATE / "cookbook" / name
    source, template = stack.ROOT / "cookbook" / name / "pipeline.toml", folder / "template.yaml"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if hasattr(pipeline, "changed"):
        source = folder / "pipeline.toml"
        source.write_text(pipeline.changed((stack.ROOT / "cookbook" / name / "pipeline.toml").read_text()))
    shutil.copy(stack.ROOT / "template.yaml", template)
    bins = [word for bin in ("millrace", *pipeline.FUNCTIONS) for word in ("--bin", bin)]
    stack.run("cargo", "build", "--locked", "--workspace", "--features", "millrace-cli/aws", *bins, env={"MILLRACE_PIPELINE": str(source)})
    debug = Path(os.environ.get("CARGO_TARGET_DIR", stack.ROOT / "target"), "debug")
    os.environ["MILLRACE"] = str(debug / "millrace")
    stack.run(os.environ["MILLRACE"], "check", "--fix", "--template", str(template), str(source))
    for function in stack.FUNCTIONS:
        program = folder / function / "bootstrap"
        program.parent.mkdir()
        if function in pipeline.FUNCTIONS:
            shutil.copy(debug / function, program)
        else:
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
    head = r"(?m)^  (\w+)Function:\n(?:    .*\n)*?    Properties:\n"
    template.write_text(re.sub(head, lambda found: f"{found[0]}      CodeUri: {found[1].lower()}\n", template.read_text()))
    return str(template)


if __name__ == "__main__":
    stack.main_guard(main)
