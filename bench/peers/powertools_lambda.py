"""Job T as a Python Lambda with Powertools' batch processor: powertools_lambda.py lambda|lambda-parser <batches> <outdir>

With `lambda-parser` the records go through Powertools' parser, which is pydantic, before the handler gets them.
"""

import sys
from pathlib import Path

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from python_job import Job, run

job = Job()
out = Path(sys.argv[3])

if sys.argv[1] == "lambda-parser":
    from aws_lambda_powertools.utilities.parser.models import KinesisDataStreamRecord

    processor = BatchProcessor(event_type=EventType.KinesisDataStreams, model=KinesisDataStreamRecord)

    def record_handler(record: KinesisDataStreamRecord):
        job.add(record.kinesis.data)

else:
    from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

    processor = BatchProcessor(event_type=EventType.KinesisDataStreams)

    def record_handler(record: KinesisStreamRecord):
        job.add(record.kinesis.data_as_bytes())


def handler(event, context):
    answer = process_partial_response(event, record_handler, processor, context)
    job.write(out, event["Records"][0]["kinesis"]["sequenceNumber"])
    return answer


if __name__ == "__main__":
    run(handler, job)
