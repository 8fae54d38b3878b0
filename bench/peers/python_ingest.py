"""A Lambda in Python that does what ingest does with JSON: checks ids, stamps, packs by partition key, puts, answers."""

import base64
import gzip
import hashlib
import json
import os
from datetime import UTC, datetime

import boto3

STREAM = os.environ["RAW_STREAM"]
KEYS = ("userId", "sessionId", "id")
kinesis = boto3.client("kinesis")


def handler(request, _context):
    body = request.get("body") or ""
    body = base64.b64decode(body) if request.get("isBase64Encoded") else body.encode()
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    http = request["requestContext"]["http"]
    stamp = datetime.now(UTC).isoformat()
    records, rejected, accepted = {}, [], 0
    for index, event in enumerate(read(body)):
        if not isinstance(event, dict) or not isinstance(event.get("id"), (str, int)):
            rejected.append({"index": index, "reason": "no id"})
            continue
        event["receivedAt"] = stamp
        event.setdefault("ip", http["sourceIp"])
        event.setdefault("userAgent", http["userAgent"])
        key = next(str(event[name]) for name in KEYS if event.get(name) is not None)
        records.setdefault(hashlib.sha256(key.encode()).hexdigest()[:16], []).append(json.dumps(event, separators=(",", ":")))
        accepted += 1
    entries = [{"PartitionKey": key, "Data": "\n".join(lines).encode()} for key, lines in records.items()]
    answer = kinesis.put_records(StreamName=STREAM, Records=entries)
    status = 202 if answer["FailedRecordCount"] == 0 else 503
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps({"accepted": accepted, "rejected": rejected})}


def read(body: bytes) -> list:
    if body.lstrip()[:1] == b"[":
        return json.loads(body)
    return [json.loads(line) for line in body.splitlines() if line.strip()]
