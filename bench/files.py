"""What a file costs: `millrace run` on CSV and NDJSON beside DuckDB's readers, which do the same job. Needs `make bench` to have run.

A price list is made: rows without a price go, what costs over 10 stays, over 50 a tenth is off, and the rest becomes Parquet. Both work on
one core with one thread. Every column of every row of both results is compared; then come CPU seconds and peak memory, as the
system accounts for them.

    .tools/bench/bin/python bench/files.py [--mb 200] [--rounds 3] [--only csv,ndjson] [--millrace PATH]
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import duckdb

BENCH = Path(__file__).resolve().parent
DATA = BENCH / "target" / "data" / "files"
KEY = {"id": "k1", "key": "0123456789abcdef0123456789abcdef"}
COLUMNS = "id, at, sku, name, price, quantity, currency"
RESULT = "id, event_type, epoch_us(event_time) AS event_time, sku, name, price, discount, quantity, currency"


def rows(megabytes: int):
    dice = random.Random(1)
    size, number = 0, 0
    while size < megabytes * 1_000_000:
        name = dice.choice(["Paper lantern", "Soap dish", "Wool blanket, large", 'Shelf 5" deep', "Linen blanket"])
        price = dice.choice(["", "9.90", "12.50", "64.50", "89.00", "10.00", f"{dice.randint(100, 20_000) / 100:.2f}"])
        yield number, f"2026-11-20T13:{number // 60 % 60:02}:{number % 60:02}Z", f"S-{dice.randint(1, 99_999)}", name, price, dice.randint(1, 9), "EUR"
        number += 1
        size += 80


def generate(megabytes: int, kind: str) -> Path:
    path = DATA / f"{megabytes}.{kind}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        quoted = lambda text: '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text  # noqa: E731
        with path.with_suffix(".part").open("w") as file:
            if kind == "csv":
                file.write(COLUMNS.replace(" ", "") + "\n")
            for number, at, sku, name, price, quantity, currency in rows(megabytes):
                if kind == "csv":
                    file.write(f"r-{number},{at},{sku},{quoted(name)},{price},{quantity},{currency}\n")
                else:
                    line = {"id": f"r-{number}", "at": at, "sku": sku, "name": name, "price": price, "quantity": quantity, "currency": currency}
                    file.write(json.dumps(line, separators=(",", ":")) + "\n")
        path.with_suffix(".part").rename(path)
    return path


def query(path: Path, kind: str, out: Path) -> str:
    names = [name.strip() for name in COLUMNS.split(",")]
    types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in names) + "}"
    reader = {
        "csv": f"read_csv('{path}', header = true, delim = ',', quote = '\"', escape = '\"', columns = {types})",
        "ndjson": f"read_json('{path}', format = 'newline_delimited', columns = {types})",
    }[kind]
    return f"""COPY (
        SELECT id, 'price' AS event_type, "at"::TIMESTAMPTZ AT TIME ZONE 'UTC' AS event_time, sku, name, price::DOUBLE AS price,
            CASE WHEN price::DOUBLE > 50 THEN price::DOUBLE * 0.1 END AS discount, quantity::BIGINT AS quantity, currency
        FROM {reader} WHERE price <> '' AND price::DOUBLE > 10
    ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"""


def measured(command: list) -> tuple:
    """CPU seconds and peak memory, MB, of a process on one core."""
    core = sorted(os.sched_getaffinity(0))[0]
    child = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, [core])
    )
    told = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed: {told.decode(errors='replace')[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(millrace: Path, peer: Path) -> int:
    """How many rows both have; they must be the same, every column of every one."""
    both = duckdb.connect()
    ours = f"SELECT {RESULT} FROM read_parquet('{millrace}/**/*.parquet', hive_partitioning = false)"
    theirs = f"SELECT {RESULT} FROM read_parquet('{peer}')"
    for left, right in ((ours, theirs), (theirs, ours)):
        if odd := both.execute(f"SELECT * FROM ({left} EXCEPT ALL {right}) LIMIT 3").fetchall():
            sys.exit(f"the results differ: {odd}")
    return both.execute(f"SELECT count(*) FROM ({ours})").fetchone()[0]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--mb", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", default="csv,ndjson")
    arguments.add_argument("--millrace", default=BENCH / "target" / "millrace" / "release" / "millrace")
    args = arguments.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    key = DATA / "key.json"
    key.write_text(json.dumps(KEY))
    print("| | rows | CPU s | MB a CPU second | × Millrace | peak MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind in args.only.split(","):
        path = generate(args.mb, kind)
        size = path.stat().st_size / 1_000_000
        ours, theirs = DATA / "out", DATA / "duckdb.parquet"
        job = f"import duckdb; duckdb.connect(config={{'threads': 1}}).execute({query(path, kind, theirs)!r})"
        told = {"Millrace": [], "DuckDB": []}
        for _ in range(args.rounds):
            shutil.rmtree(ours, ignore_errors=True)
            theirs.unlink(missing_ok=True)
            run = [args.millrace, "run", "--threads", 1, "--pipeline", BENCH / "files.toml", "--key", key, "--in", path, "--out", ours]
            told["Millrace"].append(measured(run))
            told["DuckDB"].append(measured([sys.executable, "-c", job]))
        count = compare(ours, theirs)
        base = statistics.median(cpu for cpu, _ in told["Millrace"])
        for who, rounds in told.items():
            cpu, peak = statistics.median(cpu for cpu, _ in rounds), max(peak for _, peak in rounds)
            print(f"| {kind}, {size:.0f} MB: {who} | {count:,} | {cpu:.2f} | {size / cpu:.0f} | {cpu / base:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
