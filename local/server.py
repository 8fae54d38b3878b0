"""MiniStack, with one thing set right: it passes a batch of a Kinesis stream by, though the function reported a part of it
as failed (`ReportBatchItemFailures`). AWS sends the records again, from the first that failed.
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

import sys

from ministack.app import main
from ministack.services import lambda_svc


def again_from_the_first_failed(invoke):
    """Wraps the invocation: what was reported as failed is a batch that failed, the position moved up to it."""

    def invoke_and_look(function: dict, event: dict) -> dict:
        result = invoke(function, event)
        records = event.get("Records") if isinstance(event, dict) else None
        body = result.get("body")
        if not records or records[0].get("eventSource") != "aws:kinesis" or not isinstance(body, dict):
            return result
        failed = {failure["itemIdentifier"] for failure in body.get("batchItemFailures") or []}
        sequences = [record["kinesis"]["sequenceNumber"] for record in records]
        safe = next((at for at, sequence in enumerate(sequences) if sequence in failed), None)
        if safe is None:
            return result
        shard = records[0]["eventID"].partition(":")[0]
        for *_, mapping in lambda_svc._iter_all_esms():
            is_of_function = function["config"]["FunctionName"] in mapping["FunctionName"].split(":")
            positions = lambda_svc._kinesis_positions.get(mapping["UUID"], {})
            if is_of_function and mapping["EventSourceArn"] == records[0]["eventSourceARN"] and shard in positions:
                positions[shard] += safe
                break
        else:
            return result  # a caller's own event: the answer is the caller's
        reported = {"errorType": "BatchItemFailures", "errorMessage": f"the records from {sequences[safe]} on"}
        return {"error": True, "body": reported, "log": result.get("log", "")}

    return invoke_and_look


if __name__ == "__main__":
    lambda_svc._execute_function = again_from_the_first_failed(lambda_svc._execute_function)
    sys.exit(main())
