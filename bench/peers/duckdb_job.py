"""Job T in SQL: duckdb_job.py bulk|lambda <in> <outdir>. DuckDB with one thread.

Python plays Lambda's part alone: it reads the payload, decodes base64 and hands DuckDB an Arrow column of lines. It keeps the ids
of earlier batches, for SQL has no state between them that costs less than asking a table of all ids for each batch. `lower` takes more
than A-Z; the input has nothing else in hosts and addresses, and `translate` costs twenty times as much.
"""

import json
import sys
from base64 import b64decode
from pathlib import Path

import duckdb
import pyarrow as pa

KEY = bytes(range(32)).ljust(64, b"\0")
BOT = "bot|crawl|spider|slurp|curl/|wget/|python-requests|headlesschrome|facebookexternalhit"
TIME = r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
CARD = "[0-9](?:[ -]?[0-9]){12,18}"

# The place of each string in the list that one pass over the line extracts; types are in the same places of another list.
FIELDS = [
    "id",
    "eventType",
    "timestamp",
    "userAgent",
    "sessionId",
    "browser",
    "target",
    "userId",
    "email",
    "ip",
    "path",
    "data.text",
    "data.price",
    "data.x",
    "data.y",
]
PATHS = "[" + ", ".join(f"'$.{field}'" for field in FIELDS) + "]"


def value(field: str, *kinds: str) -> str:
    place = FIELDS.index(field) + 1
    types = ", ".join(f"'{kind}'" for kind in kinds or ["VARCHAR"])
    return f"CASE WHEN types[{place}] IN ({types}) THEN texts[{place}] END"


def blob(block: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in block) + "'::BLOB"


def token(text: str) -> str:
    """HMAC by its definition: DuckDB has SHA-256 alone."""
    inner, outer = (blob(bytes(byte ^ pad for byte in KEY)) for pad in (0x36, 0x5C))
    return f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"


def first(text: str, names: dict) -> str:
    cases = (
        f"WHEN {' OR '.join(f'contains({text}, {part!r})' for part in parts)} THEN '{name}'" for name, parts in names.items()
    )
    return f"CASE {' '.join(cases)} ELSE 'Other' END"


def parameter(name: str) -> str:
    """The first of its name: one that is empty counts, and gives null."""
    raw = f"regexp_extract(query, '[?&]{name}(?:=([^&]*))?(?:&|$)', 1)"
    return f"CASE WHEN contains(query, '{name}') THEN url_decode(replace(nullif({raw}, ''), '+', ' ')) END"


FAMILY = first(
    "agent",
    {
        "Edge": ["Edg/", "EdgA/", "EdgiOS/", "Edge/"],
        "Opera": ["OPR/", "Opera"],
        "Samsung Internet": ["SamsungBrowser/"],
        "Firefox": ["Firefox/", "FxiOS/"],
        "Chrome": ["CriOS/", "Chrome/"],
        "Safari": ["Safari/"],
        "IE": ["MSIE ", "Trident/"],
    },
)
SYSTEM = first(
    "agent",
    {
        "Windows": ["Windows"],
        "iOS": ["iPhone", "iPad", "iPod"],
        "Android": ["Android"],
        "ChromeOS": ["CrOS"],
        "macOS": ["Mac OS X", "Macintosh"],
        "Linux": ["Linux", "X11"],
    },
)

# Each digit from the right, every other one doubled, and of what has two digits then their sum.
LUHN = """list_sum(list_transform(
    list_reverse(regexp_extract_all(number, '[0-9]')),
    lambda digit, i: CASE WHEN i % 2 = 1 THEN digit::INT ELSE digit::INT * 2 - CASE WHEN digit >= '5' THEN 9 ELSE 0 END END
)) % 10 = 0"""

REDACT = f"""CASE WHEN regexp_matches(text, '{CARD}') THEN array_to_string(list_transform(
    list_zip(regexp_split_to_array(text, '{CARD}'), list_transform(
        regexp_extract_all(text, '{CARD}'), lambda number: CASE WHEN {LUHN} THEN '[card]' ELSE number END)),
    lambda pair: pair[1] || coalesce(pair[2], '')), '') ELSE text END"""

# What passes the rules 1 to 3, and what does not by the reason. `n` is the place of the line.
PARSED = f"""
SELECT n, strings.*, CASE
    WHEN types IS NULL THEN 'malformed'
    WHEN event_id IS NULL OR event_id = '' OR event_type IS NULL OR event_type = '' OR ts IS NULL THEN 'rejected'
    WHEN agent IS NOT NULL AND regexp_matches(agent, '{BOT}', 'i') THEN 'bots'
    END AS fate
FROM (
    SELECT n, types, texts,
        {value("id")} AS event_id,
        {value("eventType")} AS event_type,
        {value("timestamp")} AS time,
        CASE WHEN regexp_full_match(time, '{TIME}') THEN make_timestamp(epoch_us(try_cast(time AS TIMESTAMPTZ))) END AS ts,
        {value("userAgent")} AS agent
    FROM (
        SELECT n, json_type(object, {PATHS}) AS types, json_extract_string(object, {PATHS}) AS texts
        FROM (SELECT n, CASE WHEN json_valid(line) AND ltrim(line)[1] = '{{' THEN line END AS object FROM lines)
    )
) AS strings
"""

ROWS = f"""
SELECT
    event_id, event_type, ts, session_id, browser, target,
    {token("user_id")} AS user_hash,
    {token("lower(email)")} AS email_hash,
    nullif(regexp_extract(ip, '^([0-9]{{1,3}}\\.[0-9]{{1,3}}\\.[0-9]{{1,3}}\\.)[0-9]{{1,3}}$', 1) || '0', '0') AS ip,
    {FAMILY} AS ua_family,
    {SYSTEM} AS ua_os,
    CASE WHEN is_url THEN lower(regexp_replace(url['host'], ':[0-9]*$', '')) END AS host,
    CASE WHEN is_url THEN coalesce(nullif(url['page'], ''), '/') END AS page,
    {parameter("utm_source")} AS utm_source,
    {parameter("utm_medium")} AS utm_medium,
    {parameter("utm_campaign")} AS utm_campaign,
    price,
    CASE WHEN price > 50 THEN price * 0.1::DOUBLE END AS discount,
    x, y,
    {REDACT} AS text,
    strftime(ts, '%Y-%m-%d') AS event_date, hour(ts) AS event_hour
FROM (
    SELECT *,
        {value("sessionId")} AS session_id,
        {value("browser")} AS browser,
        {value("target")} AS target,
        {value("userId")} AS user_id,
        {value("email")} AS email,
        {value("ip")} AS ip,
        {value("path")} AS path,
        regexp_matches(path, '^https?://') AS is_url,
        regexp_extract(path, '^https?://([^/?#]*)([^?#]*)(\\?[^#]*)?', ['host', 'page', 'query']) AS url,
        url['query'] AS query,
        {value("data.price", "DOUBLE", "BIGINT", "UBIGINT")}::DOUBLE AS price,
        {value("data.x", "BIGINT", "UBIGINT")}::BIGINT AS x,
        {value("data.y", "BIGINT", "UBIGINT")}::BIGINT AS y,
        {value("data.text")} AS text
    FROM kept
)
"""


class Job:
    def __init__(self, out: str):
        self.out = out
        self.counts = dict.fromkeys(("in", "malformed", "rejected", "bots", "duplicates", "rows"), 0)
        self.seen = set()
        self.duckdb = duckdb.connect(config={"threads": 1})

    def parse(self, lines: str) -> int:
        """How many lines passed the rules 1 to 3."""
        self.duckdb.execute(f"CREATE OR REPLACE TEMP TABLE parsed AS WITH lines AS ({lines}) {PARSED}")
        fates = dict(self.duckdb.execute("SELECT fate, count(*) FROM parsed GROUP BY fate").fetchall())
        self.counts["in"] += sum(fates.values())
        passed = fates.pop(None, 0)
        for fate, count in fates.items():
            self.counts[fate] += count
        return passed

    def write(self, passed: int, kept: str, name: str) -> None:
        rows = self.duckdb.execute(
            f"COPY (WITH kept AS ({kept}) {ROWS}) TO '{self.out}' (FORMAT parquet, PARTITION_BY (event_date, event_hour), "
            f"COMPRESSION zstd, COMPRESSION_LEVEL 3, FILENAME_PATTERN '{name}-{{i}}', OVERWRITE_OR_IGNORE)"
        ).fetchone()[0]
        self.counts["rows"] += rows
        self.counts["duplicates"] += passed - rows

    def bulk(self, path: str) -> None:
        # A CSV reader that knows no quotes and whose separator no text has reads lines.
        passed = self.parse(
            f"SELECT row_number() OVER () AS n, line FROM read_csv('{path}', columns = {{'line': 'VARCHAR'}}, "
            "delim = '\x01', quote = '', escape = '', header = false, auto_detect = false, max_line_size = 10000000)"
        )
        firsts = "SELECT min(n) AS n FROM parsed WHERE fate IS NULL GROUP BY event_id"
        self.write(passed, f"SELECT * FROM parsed SEMI JOIN ({firsts}) USING (n)", "part")

    def handler(self, event: dict, context: object) -> None:
        records = event["Records"]
        lines = pa.array([b64decode(record["kinesis"]["data"]) for record in records], pa.binary()).cast(pa.string())
        batch = pa.table({"line": lines})
        self.duckdb.register("batch", batch)
        passed = self.parse("SELECT row_number() OVER () AS n, line FROM batch")
        fresh = []
        ids = self.duckdb.execute("SELECT n, event_id FROM parsed WHERE fate IS NULL ORDER BY n")
        for n, event_id in ids.fetchall():
            if event_id not in self.seen:
                self.seen.add(event_id)
                fresh.append(n)
        self.duckdb.register("fresh", pa.table({"n": pa.array(fresh, pa.int64())}))
        self.write(passed, "SELECT * FROM parsed SEMI JOIN fresh USING (n)", records[0]["kinesis"]["sequenceNumber"])


def main() -> None:
    mode, path, out = sys.argv[1:]
    job = Job(out)
    Path(out).mkdir(parents=True, exist_ok=True)
    if mode == "bulk":
        if Path(path).stat().st_size:
            job.bulk(path)
    else:
        with open(path, "rb") as payloads:
            for payload in payloads:
                job.handler(json.loads(payload), None)
    print(json.dumps(job.counts))


if __name__ == "__main__":
    main()
