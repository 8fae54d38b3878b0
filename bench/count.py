"""Instructions and allocations an event, counted by valgrind: by stage of the way, by steps and by size.

Unlike times they are the same on a busy machine. SHA-256 and what else processors have instructions for that valgrind has not
counts as if they had none. Needs `make bench` to have run, and valgrind.
"""

import base64
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parent
DRIVER = BENCH / "target" / "millrace" / "release" / "millrace-bench"
GENERATOR = BENCH / "target" / "release" / "bench-generator"

# Each is the one before and more.
STAGES = {
    "envelope": "the envelope: JSON of Lambda, base64",
    "parse": "the event's JSON",
    "steps": "the steps, and duplicates",
    "steps-lambda": "columns",
    "lambda": "Parquet",
}
HOPS = {"transform": "the first hop, frames instead of columns and Parquet", "two-hop": "both hops"}

# Of the system, for code in C, and of mimalloc.
ALLOCATORS = {"malloc", "calloc", "realloc", "mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"}

HEAD = """\
[event]
id = "id"
type = "eventType"
time = "timestamp"
"""
# What pipelines do, mixed. The first of them are a pipeline of one and of five steps.
STEPS = [
    'clean.require = ["id", "eventType", "timestamp"]',
    'clean.timestamp = { field = "timestamp", formats = ["rfc3339"] }',
    'filter.bots = { field = "userAgent" }',
    'enrich.url = { from = "path", into = "page" }',
    'anonymize.hmac = ["userId"]',
    'anonymize.truncate_ip = ["ip"]',
    'clean.trim = ["target", "browser"]',
    'clean.lowercase = ["eventType"]',
    'clean.typed = { fields = { sessionId = "string" }, otherwise = "null" }',
    'clean.empty_to_null = ["target"]',
    'clean.default = { target = "none" }',
    'clean.max_length = { target = 100 }',
    'enrich.compute = { wide = "has(data.x) && data.x > 1000" }',
    'enrich.constant = { source = "web" }',
    'enrich.user_agent = { from = "userAgent", into = "agent" }',
    'filter.types = { field = "eventType", deny = ["heartbeat"] }',
    'filter.drop = "size(eventType) > 40"',
    'anonymize.redact = ["data.text"]',
    'anonymize.drop = ["sentAt", "userAgent"]',
    'clean.rename = { browser = "client" }',
]


class Failed(Exception):
    """Something that a run needs does not work."""


def count(mode: str, source: Path, pipeline: Path | None = None) -> tuple:
    """The instructions and the allocations of a run."""
    with tempfile.TemporaryDirectory() as folder:
        profile, out = Path(folder, "profile"), Path(folder, "out")
        out.mkdir()
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", DRIVER, mode, source, out]
        done = subprocess.run([*map(str, command), *([str(pipeline)] if pipeline else [])], capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr[-2000:])
        return instructions_and_allocations(profile)


def instructions_and_allocations(profile: Path) -> tuple:
    """Of a callgrind profile: <https://valgrind.org/docs/manual/cl-format.html>"""
    instructions = allocations = 0
    allocates = {}
    callee = None
    with profile.open(errors="replace") as lines:
        for line in lines:
            if line.startswith("summary:"):
                instructions = int(line.split()[1])
            elif line.startswith(("fn=", "cfn=")):
                number, name = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line).groups()
                if name:
                    allocates[number] = name in ALLOCATORS
                callee = number
            elif line.startswith("calls="):
                allocations += int(line[6:].split()[0]) if allocates[callee] else 0
    return instructions, allocations


def an_event(mode: str, few: Path, many: Path, events: int, pipeline: Path | None = None) -> tuple:
    """What each event more costs, when a run has more of them: neither start nor end counts."""
    costs = zip(count(mode, many, pipeline), count(mode, few, pipeline))
    return tuple((more - less) / events for more, less in costs)


def generate(events: int, folder: Path) -> Path:
    batches = folder / f"{events}.lambda"
    subprocess.run([GENERATOR, str(events), "1", folder / f"{events}.ndjson", batches], check=True)
    return batches


def stages(folder: Path) -> None:
    few, many = generate(4_000, folder), generate(12_000, folder)
    print("| stage | instructions an event | allocations an event |\n| --- | ---: | ---: |")
    before = (0, 0)
    for mode, what in STAGES.items():
        total = an_event(mode, few, many, 8_000)
        print(f"| {what} | {total[0] - before[0]:,.0f} | {total[1] - before[1]:.3f} |")
        before = total
    print(f"| **one hop** | **{before[0]:,.0f}** | **{before[1]:.3f}** |")
    for mode, what in HOPS.items():
        instructions, allocations = an_event(mode, few, many, 8_000)
        print(f"| {what} | {instructions:,.0f} | {allocations:.3f} |")


def sized(lines: list, size: int, batches: Path) -> Path:
    """Events of about so many bytes, as batches: what is too much goes, and fields that nobody asks for fill them up."""
    dice = random.Random(1)
    with batches.open("w") as file:
        batch, filled = [], 0
        for number, line in enumerate([*lines, None]):
            if line is None or filled > 4 << 20:
                file.write(json.dumps({"Records": batch}, separators=(",", ":")) + "\n")
                batch, filled = [], 0
            if line is None:
                break
            event = json.loads(line)
            if size < 500:
                event = {name: event[name] for name in ("id", "eventType", "timestamp", "userId", "ip", "target") if name in event}
            extra = {}
            while len(json.dumps(event)) + len(json.dumps(extra)) < size:
                extra[f"field{len(extra)}"] = dice.choice(
                    [dice.randrange(10**6), dice.random(), "word " * dice.randrange(1, 12), None, [1, 2, 3], {"a": 1, "b": "two"}]
                )
            if extra:
                event["more"] = extra
            data = base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode()
            filled += len(data)
            batch.append({
                "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": f"{number:056}", "data": data,
                            "approximateArrivalTimestamp": 1795000000.25},
                "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000000:{number:056}",
                "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/raw",
            })  # fmt: skip
    return batches


def growth(folder: Path) -> None:
    generate(4_000, folder)
    lines = [line for line in (folder / "4000.ndjson").read_text().splitlines() if is_good(line)]
    sizes = {"200 B": 200, "2 KB": 2_000, "20 KB": 20_000}
    files = {
        name: (sized(lines[:200], size, folder / f"few-{size}"), sized(lines[:1_000], size, folder / f"many-{size}"))
        for name, size in sizes.items()
    }
    print(f"\n| steps | {' | '.join(sizes)} |\n| ---: |{' ---: |' * len(sizes)}")
    for steps in (0, 1, 5, 20):
        pipeline = folder / f"{steps}.toml"
        pipeline.write_text(HEAD + "".join(f"\n[[step]]\n{step}\n" for step in STEPS[:steps]))
        costs = [an_event("steps", *files[name], 800, pipeline)[0] for name in sizes]
        print(f"| {steps} | {' | '.join(f'{cost:,.0f}' for cost in costs)} |")


def is_good(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and all(isinstance(event.get(name), str) and event[name] for name in ("id", "eventType", "timestamp"))


def main() -> int:
    if not shutil.which("valgrind") or not DRIVER.exists():
        print("error: this needs valgrind (on Debian and Ubuntu, apt install valgrind), and `make bench` before", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            stages(Path(folder))
            growth(Path(folder))
    except Failed as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
