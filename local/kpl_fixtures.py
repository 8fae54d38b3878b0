"""Writes shared/core/tests/kpl/*.kpl, aggregates by AWS's own library, which the tests of the core take apart without it, and
events/transform-kpl.json with two of them; and takes apart with that library what the core wrote, clean.kpl. The same bytes come
out each time.

    make .tools/kpl/ready && .tools/kpl/bin/python local/kpl_fixtures.py
"""

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path

import aws_kinesis_agg
from aws_kinesis_agg.aggregator import RecordAggregator, messages_pb2  # by itself the second one cannot be imported
from aws_kinesis_agg.deaggregator import deaggregate_records

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "shared" / "core" / "tests" / "kpl"


def event(number: int, **more) -> bytes:
    return json.dumps({"id": f"k-{number}", "eventType": "view", "timestamp": 1573841100 + number, **more}).encode()


def aggregated(*records) -> bytes:
    """What the library makes of (partition key, data, explicit hash key or None)."""
    aggregator = RecordAggregator()
    for key, data, hash_key in records:
        assert aggregator.add_user_record(key, data, hash_key) is None, "they fit one aggregate"
    return aggregator.clear_and_get().get_contents()[2]


def sealed(message) -> bytes:
    """What the library does with its message, for such as it does not make."""
    body = message.SerializeToString()
    return aws_kinesis_agg.MAGIC + body + hashlib.md5(body).digest()


def tagged() -> bytes:
    """Tags, which nobody writes, and tables that the records do not share, as older producers have them."""
    message = messages_pb2.AggregatedRecord()
    for number in range(3):
        message.partition_key_table.append("same")
        message.explicit_hash_key_table.append("170141183460469231731687303715884105728")
        record = message.records.add(partition_key_index=number, explicit_hash_key_index=number, data=event(number))
        record.tags.add(key="colour", value="blue")
        record.tags.add(key="alone")
    return sealed(message)


def bad_place(**places) -> bytes:
    message = messages_pb2.AggregatedRecord(partition_key_table=["a", "b"], explicit_hash_key_table=["7"])
    message.records.add(partition_key_index=0, data=event(0))
    message.records.add(**{"partition_key_index": 1, "data": event(1), **places})
    message.records.add(partition_key_index=1, data=event(2))
    return sealed(message)


def payloads() -> bytes:
    """Each record is a payload as any: an event, lines, an array, gzip; some are bad."""
    lines = b"\n".join([event(1), b"oops", event(2)])
    return aggregated(
        ("a", event(0), None), ("b", lines, None), ("a", b"[" + event(3) + b", " + event(4) + b"]", None),
        ("c", gzip.compress(event(5) + b"\n" + event(6) + b"\n", mtime=0), None), ("a", b"", None), ("b", b"\x1f\x8bdamaged", None),
        ("b", b"no\nlines\nat all", None), ("c", event(7), None),
    )  # fmt: skip


def fixtures() -> dict:
    one_key = aggregated(*(("user-1", event(number), None) for number in range(3)))
    return {
        "one_key": one_key,
        "keys": aggregated(
            ("user-1", event(0, name="Zoë"), None), ("usér-2 🦀", event(1), "0"), ("user-1", event(2), "340282366920938463463374607431768211455"),
            ("k" * 256, event(3, text="x" * 300), "0"),
        ),
        "many": aggregated(*((f"user-{number % 7}", event(number), None) for number in range(300))),
        "tags": tagged(),
        "payloads": payloads(),
        "bad_md5": one_key[:-1] + bytes([one_key[-1] ^ 1]),
        "cut": one_key[:-20],
        "bad_partition_key": bad_place(partition_key_index=2),
        "bad_hash_key": bad_place(explicit_hash_key_index=1),
    }  # fmt: skip


def sample() -> dict:
    """An invocation of transform: an aggregate with a bad event in it, and one that is damaged."""
    at = 1795179907.25  # 2026-11-20T13:05:07.25Z
    user = {"userId": "user-1", "email": "ann@example.com", "ip": "203.0.113.77"}
    events = [
        {"id": f"e-{number}", "eventType": "view", "timestamp": "2026-11-20T13:05:00Z", "sessionId": "s-1", **user, "price": price}
        for number, price in [(2001, "80"), (2002, "25"), (2003, "a lot"), (2004, "5")]
    ]
    good = aggregated(*((f"user-{number % 2}", json.dumps(event), None) for number, event in enumerate(events)))
    return {"Records": [record(number, at, data) for number, data in enumerate([good, good[:-1] + b"!"], 1)]}


def record(number: int, at: float, data: bytes) -> dict:
    sequence = f"49668899999999999999999999999999999999999999999999999{number:03}"
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "a",
            "sequenceNumber": sequence,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": at,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/millrace",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/millrace-raw",
    }


def check_clean() -> None:
    """What the core wrote is read as the events that it was made of."""
    data = (FOLDER / "clean.kpl").read_bytes()
    record = {"kinesis": {"kinesisSchemaVersion": "1.0", "sequenceNumber": "1", "approximateArrivalTimestamp": 1.0, "data": base64.b64encode(data)}}
    found = [(each["kinesis"]["partitionKey"], base64.b64decode(each["kinesis"]["data"])) for each in deaggregate_records([record])]
    expected = [("raw/shardId-000000000000", line) for line in (FOLDER / "clean.ndjson").read_bytes().splitlines()]
    if found != expected or not expected:
        sys.exit(f"error: clean.kpl is read as {len(found)} records, which are not the {len(expected)} lines of clean.ndjson")
    print(f"clean.kpl: {len(found)} events, as in clean.ndjson")


if __name__ == "__main__":
    for name, data in fixtures().items():
        (FOLDER / f"{name}.kpl").write_bytes(data)
        print(f"{name}.kpl: {len(data)} bytes")
    (ROOT / "events" / "transform-kpl.json").write_text(json.dumps(sample(), indent=2) + "\n")
    check_clean()
