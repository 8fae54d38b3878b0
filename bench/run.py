"""Job T by Millrace, by hand and by its peers: runs them on one core in turn, checks that they agree, prints what they cost.

README.md says what the job is and what the figures mean. Needs Rust, Python 3.11 or newer with venv, and for one peer Node 18.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
TARGET = BENCH / "target"
DATA = TARGET / "data"
TOOLS = ROOT / ".tools" / "bench"
PYTHON = TOOLS / "bin" / "python"
PEERS = BENCH / "peers"
SEED = 1

JOBS = {
    "bulk": "bulk: file to Parquet",
    "lambda": "Lambda shape: batches to Parquet",
    "steps-bulk": "steps alone, bulk",
    "steps-lambda": "steps alone, Lambda shape",
    "lambda-ndjson": "Lambda shape: batches to NDJSON gzip",
    "two-hop": "Lambda shape, two hops: batches to frames to Parquet",
}
WRITES = {"bulk", "lambda", "lambda-ndjson", "two-hop"}


class Failed(Exception):
    """Something that a run needs does not work."""


@dataclass
class Peer:
    """Who does the job. `command` is followed by the mode, the input and the folder for the output."""

    name: str
    command: list
    jobs: dict  # job: mode
    columns: str | None = None
    cpu: dict = field(default_factory=dict)
    idle: dict = field(default_factory=dict)
    peak_mb: dict = field(default_factory=dict)
    batch_mb: dict = field(default_factory=dict)


def same(*jobs: str) -> dict:
    return {job: job for job in jobs}


def peers() -> list:
    bin = TARGET / "release"
    python = [PYTHON, "-B"]
    found = [
        Peer("reference", [bin / "bench-reference"], same("bulk", "lambda", "steps-bulk", "steps-lambda", "lambda-ndjson")),
        *millrace(),
        Peer("DuckDB", [*python, PEERS / "duckdb_job.py"], same("bulk", "lambda")),
        Peer("VRL", [bin / "bench-vrl"], same("bulk", "lambda", "steps-bulk", "steps-lambda")),
        Peer("Python", [*python, PEERS / "python_lambda.py"], same("lambda")),
        Peer("Powertools", [*python, PEERS / "powertools_lambda.py"], same("lambda")),
        Peer("Powertools parser", [*python, PEERS / "powertools_lambda.py"], {"lambda": "lambda-parser"}),
    ]
    node = shutil.which("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout if node else ""
    if version and int(version[1:].split(".")[0]) >= 18:
        found.append(Peer("Node", [node, PEERS / "node_job.mjs"], same("lambda-ndjson")))
    else:
        print("Node 18 or newer is not on PATH: left out")
    return found


# ---- Millrace ----


def millrace() -> list:
    """The driver takes `<mode> <in> <outdir>` as the reference does. The bulk job is the command line's own `run`."""
    release = TARGET / "millrace" / "release"
    driver, cli = release / "millrace-bench", release / "millrace"
    pipeline, key = BENCH / "pipeline.toml", DATA / "key.json"
    bulk = ["sh", "-c", 'exec "$0" run --pipeline "$1" --key "$2" --in "$4" --out "$5"', cli, pipeline, key]
    return [
        Peer("Millrace", [driver], same("lambda", "steps-lambda", "two-hop"), columns="millrace"),
        Peer("Millrace run", bulk, same("bulk"), columns="millrace"),
    ]


def build_millrace() -> None:
    # The key of the job is text for the command line.
    (DATA / "key.json").write_text(json.dumps({"id": "k1", "key": bytes(range(32)).decode()}))
    flags = {"x86_64": "-C target-cpu=x86-64-v3", "aarch64": "-C target-cpu=neoverse-n1"}.get(platform.machine(), "")
    environment = os.environ | {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(TARGET / "millrace")}
    command = ["cargo", "build", "--release", "--locked", "-p", "millrace-bench", "-p", "millrace-cli"]
    run(command, cwd=ROOT, env=environment)


# ---- What is needed ----


def run(command: list, **options) -> None:
    if subprocess.run(list(map(str, command)), **options).returncode:
        raise Failed(f"{' '.join(map(str, command))} failed")


def prepare(events: int, chosen: list) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    ready, wanted = TOOLS / "ready", BENCH / "requirements.txt"
    if not ready.exists() or ready.stat().st_mtime < wanted.stat().st_mtime:
        print("install the peers in Python")
        shutil.rmtree(TOOLS, ignore_errors=True)
        run([sys.executable, "-m", "venv", TOOLS])
        run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted])
        ready.touch()
    packages = ["bench-generator", "bench-reference"]
    packages += ["bench-vrl"] if any(peer.name == "VRL" for peer, _ in chosen) else []
    print("build", *packages)
    run(["cargo", "build", "--release", "--locked", *(word for name in packages for word in ("-p", name))], cwd=BENCH)
    if any(peer.columns == "millrace" for peer, _ in chosen):
        print("build Millrace")
        build_millrace()
    print(f"make {events:,} events")
    lines, batches = DATA / "in.ndjson", DATA / "in.lambda"
    run([TARGET / "release" / "bench-generator", events, SEED, lines, batches])
    (DATA / "empty").write_bytes(b"")
    with batches.open("rb") as file:
        (DATA / "one.lambda").write_bytes(file.readline())


# ---- Measure ----


def measure(peer: Peer, job: str, source: str, core: int) -> tuple:
    """CPU seconds, peak megabytes and counts of one run."""
    out = DATA / "out" / f"{peer.name} {job}".replace(" ", "-")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [*peer.command, peer.jobs[job], DATA / source, out]
    child = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    said, wrong = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Failed(f"{peer.name}, {job}: exit code {child.returncode}\n{wrong.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, counts_of(said), out


def counts_of(said: bytes) -> dict | None:
    """The last line, where it has the job's counts."""
    lines = said.decode().strip().splitlines()
    counts = json.loads(lines[-1]) if lines else {}
    if "steps" in counts:  # of `millrace run`, which has the malformed and the rejected among what it filters and quarantines
        bots = sum(step["dropped"] for step in counts["steps"] if step["step"] == "filter.bots")
        bad = counts["filtered"] - bots + counts["quarantined"]
        return {"in": counts["in"], "bad": bad, "bots": bots, "duplicates": counts["duplicates"], "rows": counts["out"]}
    names = ["in", "malformed", "rejected", "bots", "duplicates", "rows"]
    return {name: counts[name] for name in names} if set(names) <= set(counts) else None


def source_of(job: str) -> str:
    return "in.ndjson" if "bulk" in job else "in.lambda"


def measure_all(chosen: list, rounds: int, core: int) -> list:
    """Each in turn, in each round; the first round checks. Says what differed."""
    differ = []
    reference = peers_named(chosen, "reference")
    *_, expected, rows = measure(reference, "lambda", "in.lambda", core)
    kept = DATA / "out" / "expected"
    shutil.rmtree(kept, ignore_errors=True)
    rows.rename(kept)
    print(f"counts: {json.dumps(expected)}")
    for number in range(rounds):
        started = time.monotonic()
        # Every other round the other way round, so that nobody has always the same neighbour.
        for peer, job in chosen if number % 2 == 0 else reversed(chosen):
            idle, *_ = measure(peer, job, "empty", core)
            peer.idle.setdefault(job, []).append(idle)
            if number == 0 and source_of(job) == "in.lambda":
                _, peer.batch_mb[job], *_ = measure(peer, job, "one.lambda", core)
            cpu, peak_mb, counts, out = measure(peer, job, source_of(job), core)
            peer.cpu.setdefault(job, []).append(cpu)
            peer.peak_mb.setdefault(job, []).append(peak_mb)
            if number == 0:
                differ += check(peer, job, counts, expected, kept, out)
            shutil.rmtree(out)
        print(f"round {number + 1} of {rounds}: {time.monotonic() - started:.0f} s", flush=True)
    return differ


def peers_named(chosen: list, name: str) -> Peer:
    return next(peer for peer, _ in chosen if peer.name == name)


def check(peer: Peer, job: str, counts: dict, expected: dict, kept: Path, out: Path) -> list:
    said = []
    known = expected | {"bad": expected["malformed"] + expected["rejected"]}
    if counts is not None and any(known[name] != count for name, count in counts.items()):
        said.append(f"counts {json.dumps(counts)}")
    if job in WRITES:
        command = [PYTHON, "-B", BENCH / "check.py", kept, out, *(["--columns", peer.columns] if peer.columns else [])]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            said += (done.stdout or done.stderr).strip().splitlines()
    return [f"{peer.name}, {job}: {line}" for line in said]


# ---- Say ----


def table(chosen: list, events: int) -> list:
    lines, figures = [], []
    for job, title in JOBS.items():
        doers = [peer for peer, what in chosen if what == job]
        if not doers:
            continue
        costs = {
            peer.name: (statistics.median(peer.cpu[job]) - statistics.median(peer.idle[job])) / events * 1e6 for peer in doers
        }
        ours = next((peer.name for peer in doers if peer.columns == "millrace"), None)
        lines += [
            "",
            f"| {title} | CPU s a million | × reference | × Millrace | start-up s | peak MB | of one batch |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for peer in doers:
            cost = costs[peer.name]
            to_reference = f"{cost / costs['reference']:.2f}" if "reference" in costs else ""
            to_ours = f"{cost / costs[ours]:.2f}" if ours else ""
            idle, peak = statistics.median(peer.idle[job]), statistics.median(peer.peak_mb[job])
            batch = f"{peer.batch_mb[job]:.0f}" if job in peer.batch_mb else ""
            lines.append(f"| {peer.name} | {cost:.2f} | {to_reference} | {to_ours} | {idle:.2f} | {peak:.0f} | {batch} |")
            figures.append({"job": job, "peer": peer.name, "cpu_s": peer.cpu[job], "idle_s": peer.idle[job],
                            "peak_mb": peer.peak_mb[job], "batch_mb": peer.batch_mb.get(job)})
    (DATA / "figures.json").write_text(json.dumps({"events": events, "figures": figures}, indent=1))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians are of so many [default: 3]")
    parser.add_argument("--only", metavar="NAME,…", help="peers and jobs, by their names in the table: "
                        f"{', '.join(JOBS)}; the reference always runs")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), metavar="N", help="the core to run on")
    args = parser.parse_args()
    only = {name.strip().lower() for name in (args.only or "").split(",") if name.strip()}
    who, what = only - JOBS.keys(), only & JOBS.keys()
    everybody = peers()
    if unknown := who - {peer.name.lower() for peer in everybody}:
        parser.error(f"nobody is called {', '.join(sorted(unknown))}: {', '.join(peer.name for peer in everybody)}")
    chosen = [
        (peer, job)
        for peer in everybody
        for job in peer.jobs
        if (not who or peer.name.lower() in who or peer.name == "reference") and (not what or job in what)
    ]
    try:
        prepare(args.events, chosen)
        differ = measure_all(chosen, args.rounds, args.core)
    except Failed as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    print("\n".join(table(chosen, args.events)))
    print("\n" + ("\n".join(differ) if differ else "All agree with the reference: every count, every column of every row."))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
