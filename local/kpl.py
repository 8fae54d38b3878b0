"""KPL aggregates in and out, with AWS's own library for Python on both ends.

Brings the stack up, sends aggregates to RawStream, some of them damaged, and counts rows in Athena and entries in the
quarantine. Then it deploys the stack with CleanEncoding=kpl, sends more, and takes apart what CleanStream carries. Exit code 0
only if each event came once, and what was damaged is in the quarantine whole. Then it takes the stack down.
"""

import base64
import gzip
import itertools
import json
import time
from datetime import UTC, datetime

import demo
import stack
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import iter_deaggregate_records
from stack import Failed, step

EVENTS = 1200  # more than Firehose, and so we, put into one aggregate
ARRIVED_WITHIN_S = 60
FIXTURES = stack.ROOT / "shared" / "core" / "tests" / "kpl"
BAD = ["bad_md5", "cut", "bad_partition_key", "bad_hash_key"]


def main() -> int:
    with stack.by_itself():
        return show(stack.up())


def show(outputs: dict) -> int:
    kinesis = stack.client(outputs["EndpointUrl"], "kinesis")
    first, second = make("kpl-in"), make("kpl-out")
    with step(f"{EVENTS} events in aggregates, and {len(BAD)} damaged ones"):
        send(kinesis, outputs["RawStream"], first)
        for name in BAD:
            kinesis.put_record(StreamName=outputs["RawStream"], PartitionKey="a", Data=(FIXTURES / f"{name}.kpl").read_bytes())
        ids = wait(lambda: rows(outputs), len(first))
        bad = wait(lambda: quarantined(outputs), len(BAD))
    if ids != sorted(event["id"] for event in first):
        raise Failed(f"{len(ids)} rows in Athena, which are not the {len(first)} events")
    if sorted(bad) != sorted((FIXTURES / f"{name}.kpl").read_bytes() for name in BAD):
        raise Failed("what is in the quarantine is not what was damaged")
    print(f"{len(ids)} rows in Athena, each event once; {len(bad)} damaged aggregates in the quarantine, whole")

    with step("deploy with CleanEncoding=kpl"):
        before = sum(1 for _ in records(kinesis, outputs["CleanStream"]))
        stack.deploy(outputs["EndpointUrl"], CleanEncoding="kpl")
    with step(f"{EVENTS} events out in aggregates"):
        send(kinesis, outputs["RawStream"], second)
        out = wait(lambda: read(itertools.islice(records(kinesis, outputs["CleanStream"]), before, None)), len(second))
    if sorted(event["id"] for _, event in out) != sorted(event["id"] for event in second):
        raise Failed(f"{len(out)} events in CleanStream, which are not the {len(second)}")
    if any("@" in json.dumps(event) for _, event in out):
        raise Failed("an address in CleanStream")
    aggregates = {number for number, _ in out}
    if len(aggregates) == len(out):
        raise Failed("nothing was aggregated")
    print(f"{len(out)} events in {len(aggregates)} records of CleanStream, each once and anonymized, taken apart by aws_kinesis_agg")
    return 0


def make(prefix: str) -> list:
    now = datetime.now(UTC).isoformat()
    return [
        {"id": f"{prefix}-{n}", "eventType": "view", "timestamp": now, "userId": f"u{n % 7}", "email": f"u{n}@example.com", "price": 20 + n}
        for n in range(EVENTS)
    ]


def send(kinesis, stream: str, events: list) -> None:
    """Some events alone, some as lines, some as lines with gzip."""
    aggregator = RecordAggregator(51_200)  # as large as the KPL makes them by default
    aggregator.on_record_complete(lambda aggregate: put(kinesis, stream, aggregate), execute_on_new_thread=False)
    rest = iter(events)
    for number in itertools.count():
        lines = [json.dumps(event).encode() for event in itertools.islice(rest, number % 3 + 1)]
        if not lines:
            break
        data = b"\n".join(lines)
        aggregator.add_user_record(f"u{number % 5}", gzip.compress(data) if number % 4 == 3 else data, str(number) if number % 2 else None)
    put(kinesis, stream, aggregator.clear_and_get())


def put(kinesis, stream: str, aggregate) -> None:
    key, hash_key, data = aggregate.get_contents()
    kinesis.put_record(StreamName=stream, PartitionKey=key, Data=data, **({"ExplicitHashKey": hash_key} if hash_key else {}))


def wait(look, count: int) -> list:
    """What there is, as soon as it is so much, or after a while."""
    deadline = time.monotonic() + ARRIVED_WITHIN_S
    while len(found := look()) < count and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def rows(outputs: dict) -> list:
    return sorted(row[0] for row in demo.athena(outputs, f"""SELECT id FROM "{outputs['Table']}" WHERE id LIKE 'kpl-%'""")[1])


def quarantined(outputs: dict) -> list:
    """The payloads of what is in the quarantine, which are no text."""
    s3 = stack.client(outputs["EndpointUrl"], "s3")
    found = s3.list_objects_v2(Bucket=outputs["QuarantineBucket"]).get("Contents", [])
    bodies = [s3.get_object(Bucket=outputs["QuarantineBucket"], Key=each["Key"])["Body"].read() for each in found]
    lines = [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]
    return [base64.b64decode(line["payload"]) for line in lines if line["reason"] == "bad_kpl"]


def records(kinesis, stream: str):
    """What a stream holds."""
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        begin = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        at = kinesis.get_shard_iterator(**begin)["ShardIterator"]
        while at and (page := kinesis.get_records(ShardIterator=at))["Records"]:
            yield from page["Records"]
            at = page.get("NextShardIterator")


def read(records) -> list:
    """(number of the record, event) of all events in these records."""
    return [
        (number, json.loads(each["kinesis"]["data"] if "subSequenceNumber" not in each["kinesis"] else base64.b64decode(each["kinesis"]["data"])))
        for number, record in enumerate(records)
        for each in iter_deaggregate_records([record], data_format="Boto3")
    ]


if __name__ == "__main__":
    stack.main_guard(main)
