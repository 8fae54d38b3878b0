"""Job T in Python, as the handlers share it: orjson reads, the standard library works, pyarrow writes."""

import hmac
import json
import re
import sys
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_plus

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

# A copy of what has taken the key costs less than a new one, or than hmac.digest.
KEYED = hmac.new(bytes(range(32)), digestmod="sha256")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HOUR_US = 3_600_000_000

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch
BOT = re.compile(
    r"bot|crawl|spider|slurp|curl/|wget/|python-requests|headlesschrome|facebookexternalhit", re.ASCII | re.IGNORECASE
).search
IP = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.)\d{1,3}", re.ASCII).fullmatch
URL = re.compile(r"https?://([^/?#]*)([^?#]*)(\?[^#]*)?").match
PORT = re.compile(r":[0-9]*\Z")
CARD = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}")
ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

FAMILIES = [
    ("Edge", ["Edg/", "EdgA/", "EdgiOS/", "Edge/"]),
    ("Opera", ["OPR/", "Opera"]),
    ("Samsung Internet", ["SamsungBrowser/"]),
    ("Firefox", ["Firefox/", "FxiOS/"]),
    ("Chrome", ["CriOS/", "Chrome/"]),
    ("Safari", ["Safari/"]),
    ("IE", ["MSIE ", "Trident/"]),
]
SYSTEMS = [
    ("Windows", ["Windows"]),
    ("iOS", ["iPhone", "iPad", "iPod"]),
    ("Android", ["Android"]),
    ("ChromeOS", ["CrOS"]),
    ("macOS", ["Mac OS X", "Macintosh"]),
    ("Linux", ["Linux", "X11"]),
]

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_type", pa.string()),
        ("ts", pa.timestamp("us", "UTC")),
        ("session_id", pa.string()),
        ("browser", pa.string()),
        ("target", pa.string()),
        ("user_hash", pa.string()),
        ("email_hash", pa.string()),
        ("ip", pa.string()),
        ("ua_family", pa.string()),
        ("ua_os", pa.string()),
        ("host", pa.string()),
        ("page", pa.string()),
        ("utm_source", pa.string()),
        ("utm_medium", pa.string()),
        ("utm_campaign", pa.string()),
        ("price", pa.float64()),
        ("discount", pa.float64()),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("text", pa.string()),
    ]
)


class Job:
    """What a warm function keeps: the ids it saw and the counts. `add` takes events, `write` ends a batch."""

    def __init__(self):
        self.counts = dict.fromkeys(("in", "malformed", "rejected", "bots", "duplicates", "rows"), 0)
        self.seen = set()
        self.rows = {}

    def add(self, data: bytes) -> None:
        counts = self.counts
        counts["in"] += 1
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = None
        if type(event) is not dict:
            counts["malformed"] += 1
            return
        get = event.get
        event_id, event_type = get("id"), get("eventType")
        ts = micros(get("timestamp"))
        if ts is None or type(event_id) is not str or type(event_type) is not str or not event_id or not event_type:
            counts["rejected"] += 1
            return
        user_agent = get("userAgent")
        bot, family, system = agent(user_agent) if type(user_agent) is str else NO_AGENT
        if bot:
            counts["bots"] += 1
            return
        if event_id in self.seen:
            counts["duplicates"] += 1
            return
        self.seen.add(event_id)
        counts["rows"] += 1

        user_id, email, path, data = get("userId"), get("email"), get("path"), get("data")
        host, page, source, medium, campaign = url(path) if type(path) is str else NO_URL
        price = x = y = text = discount = None
        if type(data) is dict:
            price, x, y, text = data.get("price"), data.get("x"), data.get("y"), string(data.get("text"))
            if type(price) is not float:
                price = float(price) if type(price) is int else None
            if price is not None and price > 50:
                discount = price * 0.1
            x = x if type(x) is int else None
            y = y if type(y) is int else None
            if text:
                text = CARD.sub(redact, text)
        row = (
            event_id,
            event_type,
            ts,
            string(get("sessionId")),
            string(get("browser")),
            string(get("target")),
            token(user_id) if type(user_id) is str else None,
            token(lower(email)) if type(email) is str else None,
            network(get("ip")),
            family,
            system,
            host,
            page,
            source,
            medium,
            campaign,
            price,
            discount,
            x,
            y,
            text,
        )
        try:
            self.rows[ts // HOUR_US].append(row)
        except KeyError:
            self.rows[ts // HOUR_US] = [row]

    def write(self, out: Path, name: str) -> None:
        for hour, rows in self.rows.items():
            columns = [pa.array(column, kind) for column, kind in zip(zip(*rows), SCHEMA.types)]
            start = datetime.fromtimestamp(hour * 3600, timezone.utc)
            folder = out / f"event_date={start:%Y-%m-%d}" / f"event_hour={start.hour}"
            folder.mkdir(parents=True, exist_ok=True)
            table = pa.Table.from_arrays(columns, schema=SCHEMA)
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd", compression_level=3)
        self.rows.clear()


def micros(text) -> int | None:
    if type(text) is not str or not TIME(text):
        return None
    try:
        since = datetime.fromisoformat(text) - EPOCH
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


NO_AGENT = (False, "Other", "Other")


@lru_cache(maxsize=16_384)
def agent(text: str) -> tuple:
    return bool(BOT(text)), first(text, FAMILIES), first(text, SYSTEMS)


def first(text: str, names: list) -> str:
    return next((name for name, parts in names if any(part in text for part in parts)), "Other")


def string(value):
    return value if type(value) is str else None


def lower(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(ASCII_LOWER)


def token(text: str) -> str:
    mac = KEYED.copy()
    mac.update(text.encode())
    return mac.hexdigest()


def network(ip) -> str | None:
    match = IP(ip) if type(ip) is str else None
    return match[1] + "0" if match else None


NO_URL = (None,) * 5


def url(text: str) -> tuple:
    match = URL(text)
    if not match:
        return NO_URL
    host, page, query = match.groups()
    if ":" in host:
        host = PORT.sub("", host)
    utm = {}
    if query and "utm_" in query:
        for part in query[1:].split("&"):
            name, _, value = part.partition("=")
            utm.setdefault(name, value)
    values = (utm.get("utm_source"), utm.get("utm_medium"), utm.get("utm_campaign"))
    return lower(host), page or "/", *(unquote_plus(value) if value else None for value in values)


def redact(match) -> str:
    digits = [int(c) for c in match[0] if c not in " -"]
    total = sum(digits[-1::-2]) + sum(d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2])
    return match[0] if total % 10 else "[card]"


def run(handler, job: Job) -> None:
    """Plays Lambda: each line of the file is a payload, read with the `json` that Lambda's runtime for Python uses."""
    with open(sys.argv[2], "rb") as payloads:
        for payload in payloads:
            handler(json.loads(payload), None)
    print(json.dumps(job.counts))
