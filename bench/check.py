"""Whether two outputs of job T have the same rows: check.py <expected> <actual> [--columns NAME]

Reads a folder of Parquet files in Hive partitions, or of NDJSON (`.ndjson`, `.ndjson.gz`). Sorts by event_id, compares every column
of every row, says what differs, and ends with 1 if anything does. `--columns` names a map in columns.toml for the actual output.
"""

import argparse
import gzip
import sys
import tomllib
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TEXTS = ["event_id", "event_type", "session_id", "browser", "target", "user_hash", "email_hash", "ip", "ua_family", "ua_os"]
TEXTS += ["host", "page", "utm_source", "utm_medium", "utm_campaign", "text"]
TYPES = {name: pa.string() for name in TEXTS}
TYPES |= {"ts": pa.int64(), "price": pa.float64(), "discount": pa.float64(), "x": pa.int64(), "y": pa.int64()}
SCHEMA = pa.schema(list(TYPES.items()))
HOUR_US = 3_600_000_000
SHOWN = 3


class Unreadable(Exception):
    """An output that is not of the form that the job asks for."""


def load(folder: Path, names: dict) -> pa.Table:
    """All rows of an output under the job's names, sorted by event_id."""
    tables = [parquet(file, names) for file in sorted(folder.rglob("*.parquet"))]
    tables += [ndjson(file, names) for file in sorted([*folder.rglob("*.ndjson"), *folder.rglob("*.ndjson.gz")])
               if not file.name.startswith("quarantine")]  # rejected and malformed
    table = pa.concat_tables(tables or [SCHEMA.empty_table()])
    return table.sort_by([("event_id", "ascending"), ("ts", "ascending")]).combine_chunks()


def parquet(file: Path, names: dict) -> pa.Table:
    found = pq.ParquetFile(file).read()
    table = conform(found, names, file)
    partition = dict(part.split("=", 1) for part in file.parts if "=" in part)
    if partition.keys() != {"event_date", "event_hour"} or set(partition) & set(found.column_names):
        raise Unreadable(f"{file}: not in a partition event_date=…/event_hour=…, or these are columns too")
    hours = pc.divide(table["ts"], HOUR_US).unique().to_pylist()
    days, hour = divmod(hours[0], 24) if len(hours) == 1 else (None, None)
    date = pa.scalar(days, pa.int32()).cast(pa.date32()).as_py()
    if partition != {"event_date": str(date), "event_hour": str(hour)}:
        raise Unreadable(f"{file}: holds rows of other hours")
    return table


def ndjson(file: Path, names: dict) -> pa.Table:
    data = file.read_bytes()
    rows = [orjson.loads(line) for line in (gzip.decompress(data) if file.suffix == ".gz" else data).splitlines()]
    present = {name: [row.get(source(name, names)[0]) for row in rows] for name in TYPES}
    arrays = {source(name, names)[0]: pa.array(column, TYPES[name]) for name, column in present.items()}
    return conform(pa.table(arrays), names, file)


def source(name: str, names: dict) -> tuple:
    """What a column of the job is called in the output, and what stands before each value."""
    theirs = names.get(name, name)
    return (theirs["column"], theirs["prefix"]) if isinstance(theirs, dict) else (theirs, "")


def conform(table: pa.Table, names: dict, file: Path) -> pa.Table:
    columns = []
    for name, kind in TYPES.items():
        theirs, prefix = source(name, names)
        if theirs not in table.column_names:
            raise Unreadable(f"{file}: has no column {theirs}")
        column = table[theirs]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz))
        column = column.cast(kind)
        if prefix:
            if not pc.all(pc.starts_with(column, prefix), min_count=0).as_py():
                raise Unreadable(f"{file}: {theirs} has values that do not begin with {prefix}")
            column = pc.utf8_slice_codeunits(column, len(prefix))
        columns.append(column)
    return pa.table(columns, schema=SCHEMA)


def compare(expected: pa.Table, actual: pa.Table) -> list:
    """What differs, a line each."""
    ids = {"expected": expected["event_id"], "actual": actual["event_id"]}
    said = [f"{which}: {len(column) - len(column.unique())} rows have the id of another" for which, column in ids.items()
            if len(column.unique()) != len(column)]
    for which, this, other in (("missing", expected, actual), ("too many", actual, expected)):
        alone = this.filter(pc.invert(pc.is_in(this["event_id"], other["event_id"])))
        if len(alone):
            said.append(f"{len(alone)} rows {which}: {alone['event_id'].to_pylist()[:SHOWN]}")
    if said:
        expected = expected.filter(pc.is_in(expected["event_id"], actual["event_id"]))
        actual = actual.filter(pc.is_in(actual["event_id"], expected["event_id"]))
        if len(expected) != len(actual):
            return said
    for name in TYPES:
        one, other = expected[name], actual[name]
        nulls = pc.not_equal(pc.is_null(one), pc.is_null(other))
        differ = pc.or_(nulls, pc.fill_null(pc.not_equal(one, other), False))
        count = pc.sum(differ, min_count=0).as_py()
        if count:
            rows = zip(*(column.filter(differ)[:SHOWN].to_pylist() for column in (expected["event_id"], one, other)))
            said.append(f"{name}: {count} rows differ; " + "; ".join(f"{i}: {a!r}, not {b!r}" for i, a, b in rows))
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether two outputs of job T have the same rows.")
    parser.add_argument("expected", type=Path)
    parser.add_argument("actual", type=Path)
    parser.add_argument("--columns", metavar="NAME", help="a map of columns.toml for the actual output")
    args = parser.parse_args()
    maps = tomllib.loads(Path(__file__).with_name("columns.toml").read_text())
    try:
        expected = load(args.expected, {})
        said = compare(expected, load(args.actual, maps[args.columns] if args.columns else {}))
    except Unreadable as why:
        said = [str(why)]
    print("\n".join(said) or f"the same {len(expected)} rows")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
