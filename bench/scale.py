"""How the memory stays over many batches, and what a second core is worth. Needs `make bench` to have run.

`millrace-bench warm` is fed 1,000 full batches, those of 100,000 events again and again: what `transform` and `lake` do, in one process,
without the network. Its resident memory is read on the way.
"""

import json
import os
import statistics
import shutil
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
RELEASE = BENCH / "target" / "millrace" / "release"
DATA = BENCH / "target" / "data"
GENERATOR = BENCH / "target" / "release" / "bench-generator"
BATCHES = 1_000
ROUNDS = 5


def memory_mb(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024


def memory(batches: list) -> None:
    command = [RELEASE / "millrace-bench", "warm", "/dev/stdin", DATA / "none"]
    child = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(f"a batch has {statistics.mean(map(len, batches)) / 2**20:.1f} MiB\n\n| batches | resident MB |\n| ---: | ---: |")
    for number in range(BATCHES):
        child.stdin.write(batches[number % len(batches)])
        child.stdin.flush()
        if number + 1 in (10, 50, 100, 200, 500, 1_000):
            print(f"| {number + 1:,} | {memory_mb(child.pid, 'VmRSS'):.0f} |", flush=True)
    peak = memory_mb(child.pid, "VmHWM")
    child.stdin.close()
    counts = json.loads(child.stdout.read())
    child.wait()
    print(f"\npeak {peak:.0f} MB, {counts['in']:,} events in, {counts['rows']:,} rows")


def elapsed(cores: int, source: Path) -> float:
    out = DATA / "out" / "scale"
    shutil.rmtree(out, ignore_errors=True)
    files = ["--pipeline", BENCH / "pipeline.toml", "--key", DATA / "key.json", "--in", source, "--out", out]
    started = time.monotonic()
    command = [RELEASE / "millrace", "run", "--threads", cores, *files]
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    subprocess.run(
        list(map(str, command)), check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, chosen)
    )
    return time.monotonic() - started


def second_core(source: Path) -> None:
    times = {1: [], 2: []}
    for _ in range(ROUNDS):
        for cores in times:
            times[cores].append(elapsed(cores, source))
    one, two = (statistics.median(times[cores]) for cores in (1, 2))
    ratios = ", ".join(f"{one / two:.2f}" for one, two in zip(times[1], times[2]))
    print(f"\n`millrace run`: {one:.2f} s on one core, {two:.2f} s on two: {one / two:.2f} times as fast (each round: {ratios})")


def main() -> int:
    if not (RELEASE / "millrace-bench").exists() or not GENERATOR.exists():
        print("error: this needs what `make bench` builds: run that before", file=sys.stderr)
        return 1
    lines, batches = DATA / "scale.ndjson", DATA / "scale.lambda"
    subprocess.run(list(map(str, [GENERATOR, 100_000, 1, lines, batches])), check=True)
    with batches.open("rb") as file:
        memory([line for line in file if len(line) > 5 << 20])
    if len(os.sched_getaffinity(0)) > 1:
        subprocess.run(list(map(str, [GENERATOR, 1_000_000, 1, lines, batches])), check=True)
        second_core(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
