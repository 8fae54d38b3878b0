"""Job T as a Python Lambda behind a Kinesis stream: python_lambda.py lambda <batches> <outdir>"""

import sys
from base64 import b64decode
from pathlib import Path

from python_job import Job, run

job = Job()
out = Path(sys.argv[3])


def handler(event, context):
    records = event["Records"]
    for record in records:
        job.add(b64decode(record["kinesis"]["data"]))
    job.write(out, records[0]["kinesis"]["sequenceNumber"])
    return {"batchItemFailures": []}


if __name__ == "__main__":
    run(handler, job)
