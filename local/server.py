"""MiniStack, with two things set right that AWS does with a batch of a Kinesis stream, and one with an HTTP API.

It passes a batch by though the function reported a part of it as failed (`ReportBatchItemFailures`), where AWS sends the records
again from the first that failed; and it tries a batch for ever, where AWS gives it up after `MaximumRetryAttempts` and
writes its positions to the destination of failures. AWS also halves the batch meanwhile; this does not.
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html

What CloudFormation says of CORS it keeps under names with a capital, and looks for them without.
"""

import json
import os
import sys
from datetime import UTC, datetime

import stack
from ministack.app import main
from ministack.services import apigateway, lambda_svc


class Mappings:
    """Wraps the invocation of a function by the event source mappings of Kinesis."""

    def __init__(self, invoke):
        self.invoke = invoke
        self.failures = {}  # (mapping, shard): the first sequence number that failed, and how often

    def __call__(self, function: dict, event: dict) -> dict:
        result = self.invoke(function, event)
        records = event.get("Records") if isinstance(event, dict) else None
        if not records or records[0].get("eventSource") != "aws:kinesis":
            return result
        shard = records[0]["eventID"].partition(":")[0]
        mapping = mapping_of(function, records[0]["eventSourceARN"], shard)
        if mapping is None or event.get("redriven"):
            return result  # a caller's own event: the answer is the caller's
        failed = records if result.get("error") else records[first_failed(records, result.get("body")) :]
        at = mapping["UUID"], shard
        if not failed:
            self.failures.pop(at, None)
            return result
        first = failed[0]["kinesis"]["sequenceNumber"]
        before, times = self.failures.get(at, (first, 0))
        times = times + 1 if before == first else 1
        self.failures[at] = first, times
        passed = len(records) - len(failed)
        if 0 <= int(mapping.get("MaximumRetryAttempts", -1)) < times:  # CloudFormation leaves a text
            give_up(mapping, function, shard, failed, times)
            passed = len(records)
        # A batch that failed is sent again from the position, which is moved up to what failed.
        lambda_svc._kinesis_positions[mapping["UUID"]][shard] += passed
        reported = {"errorType": "BatchItemFailures", "errorMessage": f"the records from {first} on"}
        return result if result.get("error") else {"error": True, "body": reported, "log": result.get("log", "")}


def mapping_of(function: dict, stream: str, shard: str):
    for *_, mapping in lambda_svc._iter_all_esms():
        is_of_function = function["config"]["FunctionName"] in mapping["FunctionName"].split(":")
        if is_of_function and mapping["EventSourceArn"] == stream and shard in lambda_svc._kinesis_positions.get(mapping["UUID"], {}):
            return mapping
    return None


def first_failed(records: list, answer) -> int:
    """The place of the first record that an answer reports as failed; behind the last where it reports none."""
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    failed = {failure["itemIdentifier"] for failure in failures or []}
    sequences = [record["kinesis"]["sequenceNumber"] for record in records]
    return next((at for at, sequence in enumerate(sequences) if sequence in failed), len(records))


def give_up(mapping: dict, function: dict, shard: str, records: list, times: int) -> None:
    """The message that AWS writes when it gives up on a batch."""
    arrivals = [datetime.fromtimestamp(records[at]["kinesis"]["approximateArrivalTimestamp"], UTC).isoformat() for at in (0, -1)]
    letter = {
        "requestContext": {
            "requestId": records[0]["eventID"], "functionArn": function["config"]["FunctionArn"],
            "condition": "RetryAttemptsExhausted", "approximateInvokeCount": times,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(),
        "KinesisBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": records[0]["kinesis"]["sequenceNumber"],
            "endSequenceNumber": records[-1]["kinesis"]["sequenceNumber"],
            "approximateArrivalOfFirstRecord": arrivals[0],
            "approximateArrivalOfLastRecord": arrivals[1],
            "batchSize": len(records),
            "streamArn": mapping["EventSourceArn"],
        },
    }  # fmt: skip
    queues = stack.client(f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}", "sqs")
    name = mapping["DestinationConfig"]["OnFailure"]["Destination"].rpartition(":")[2]
    queues.send_message(QueueUrl=queues.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=json.dumps(letter))


def with_small_names(answer):
    """`answer`, told of CORS in the names that it looks for."""
    return lambda cors, origin: answer({name[:1].lower() + name[1:]: value for name, value in cors.items()}, origin)


if __name__ == "__main__":
    for name in ("_cors_response_headers", "_cors_preflight_response"):
        setattr(apigateway, name, with_small_names(getattr(apigateway, name)))
    lambda_svc._execute_function = Mappings(lambda_svc._execute_function)
    sys.exit(main())
