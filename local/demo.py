"""The whole way once: a shop's clickstream goes in over HTTP and comes back from Athena.

Brings the stack up, sends events/clickstream.ndjson in small batches as browsers would, changes a few orders, drops a CSV
into the inbox, waits until
the counts balance, and shows the balance, the tables, the proof that no personal data of the input is in the lake, and how
long each stage took. Then it takes the stack down, also when it is interrupted. Exit code 0 only if balance and proof hold.
"""

import concurrent.futures
import decimal
import csv
import gzip
import http.client
import json
import random
import re
import threading
import time
import urllib.parse

import stack
from stack import Failed, step

CLICKSTREAM = stack.ROOT / "events" / "clickstream.ndjson"
PURCHASES = stack.ROOT / "events" / "purchases.csv"
LISTENER = "millrace-local-files-listener"
CONNECTIONS = 6
BALANCED_WITHIN_S = 180
DELIVERED_WITHIN_S = 30
RETRIES = 8
SEED = 20261120

ORDERS = [
    {"orderId": "o-1001", "userId": "user-order-1", "email": "ada.order@example.com", "status": "placed", "price": 129},
    {"orderId": "o-1002", "userId": "user-order-2", "email": "grace.order@example.org", "status": "placed", "price": 19},
    {"orderId": "o-1003", "userId": "user-order-3", "email": "alan.order@example.net", "status": "placed", "price": 75},
]


def main() -> int:
    with stack.by_itself():
        return demo(stack.up())


def demo(outputs: dict) -> int:
    lines = [line for line in CLICKSTREAM.read_bytes().splitlines() if line.strip()]
    with step(f"send {len(lines)} events"):
        answers = send(outputs, lines)
    changes = 0
    if "OrdersTable" in outputs:
        with step("change orders"):
            changes = change_orders(outputs)
    rows = []
    if "InboxBucket" in outputs:
        with step("drop a file"):
            rows = drop_file(outputs)
    with step("balance"):
        tally = wait_for_balance(outputs, answers, changes, len(rows))
    show_balance(len(lines), answers, tally)
    if rows:
        show_manifest(outputs)

    with step("query"):
        whole = whole_lake(outputs)
        show_tables(outputs)
    landed = tally["lake"]["landed"]
    if len(whole) != landed:
        raise Failed(f"the lake says it landed {landed} events, Athena counts {len(whole)}")
    if "DeliveryStream" in outputs:
        with step("firehose"):
            deliver(outputs)
    with step("privacy"):
        private = show_privacy(outputs, lines + rows, whole)

    print("\nHow long it took")
    table(["stage", "seconds"], [[what, f"{seconds:.1f}"] for what, seconds in stack.TIMES])
    return 0 if private else 1


# ---- send ----


def batches(lines: list):
    """The lines, in order, as requests: (content type, encoding, body, how many). Most as NDJSON, as a browser's beacon."""
    dice = random.Random(SEED)
    start = 0
    while start < len(lines):
        part = lines[start:start + dice.randint(1, 25)]
        start += len(part)
        kind = dice.random()
        if kind < 0.15 and all(map(is_json, part)):
            yield "application/json", None, b"[" + b",".join(part) + b"]", len(part)
        elif kind < 0.35:
            yield "application/x-ndjson", "gzip", gzip.compress(b"\n".join(part)), len(part)
        else:
            yield "application/x-ndjson", None, b"\n".join(part) + b"\n", len(part)


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def send(outputs: dict, lines: list) -> dict:
    """Posts all batches over a few connections, and adds up the answers."""
    connections = threading.local()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        jobs = [pool.submit(post, outputs["ApiUrl"], connections, *batch) for batch in batches(lines)]
        try:
            results = [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {"requests": len(results), "accepted": sum(a for a, _ in results), "rejected": sum(r for _, r in results)}


def post(api: str, connections, content_type: str, encoding, body: bytes, events: int) -> tuple:
    """(accepted, rejected) of one batch. What is asked to come again comes again, after the time it was told."""
    headers = {"Content-Type": content_type, "Host": urllib.parse.urlsplit(api).netloc}
    if encoding:
        headers["Content-Encoding"] = encoding
    for attempt in range(RETRIES):
        status, answer_headers, answer = request(api, connections, body, headers)
        if status == 202:
            tally = json.loads(answer)
            accepted, rejected = tally["accepted"], len(tally["rejected"])
            if accepted + rejected != events:
                raise Failed(f"{events} events sent, but the answer counts {accepted} accepted and {rejected} rejected")
            return accepted, rejected
        if status == 400:
            if not answer_headers.get("Content-Type", "").startswith("application/problem+json"):
                raise Failed(f"a 400 that is no problem document: {answer[:500]!r}")
            return 0, events
        if status not in (429, 503):
            raise Failed(f"POST /v1/events answered {status}: {answer[:500]!r}")
        time.sleep(float(answer_headers.get("Retry-After", 2**attempt / 10)))
    raise Failed(f"POST /v1/events still answers {status} after {RETRIES} attempts")


def request(api: str, connections, body: bytes, headers: dict) -> tuple:
    """One request over this thread's connection, which a server may have closed since the last one."""
    for fresh in (False, True):
        if fresh or not hasattr(connections, "http"):
            # By address: not every resolver knows that *.localhost is this machine. The Host header names the API.
            connections.http = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(api).port, timeout=60)
        try:
            connections.http.request("POST", "/v1/events", body, headers)
            answer = connections.http.getresponse()
            return answer.status, answer.headers, answer.read()
        except (http.client.HTTPException, OSError):
            if fresh:
                raise


def change_orders(outputs: dict) -> int:
    """Places three orders, ships one and drops one: five changes."""
    orders = stack.client(outputs["EndpointUrl"], "dynamodb")
    name = outputs["OrdersTable"]
    for order in ORDERS:
        item = {key: {"N": str(value)} if isinstance(value, int) else {"S": value} for key, value in order.items()}
        orders.put_item(TableName=name, Item=item)
    orders.update_item(
        TableName=name, Key={"orderId": {"S": "o-1001"}}, UpdateExpression="SET #status = :shipped",
        ExpressionAttributeNames={"#status": "status"}, ExpressionAttributeValues={":shipped": {"S": "shipped"}},
    )
    orders.delete_item(TableName=name, Key={"orderId": {"S": "o-1002"}})
    return len(ORDERS) + 2


def deliver(outputs: dict) -> None:
    """Sends orders to the delivery stream, two in one record and one in a record with bad data, and looks for them in Athena."""
    firehose = stack.client(outputs["EndpointUrl"], "firehose")
    lines = [json.dumps({"id": f"d-{n}", "eventType": "order", "timestamp": 1795179900 + n, **order}).encode() for n, order in enumerate(ORDERS)]
    records = [{"Data": lines[0] + b"\n" + lines[1]}, {"Data": lines[2] + b"\nno event"}]
    answer = firehose.put_record_batch(DeliveryStreamName=outputs["DeliveryStream"], Records=records)
    if answer["FailedPutCount"]:
        raise Failed(f"the delivery stream takes no records: {answer}")
    deadline = time.monotonic() + DELIVERED_WITHIN_S
    while (rows := athena(outputs, "SELECT id, price, userid FROM delivered ORDER BY id")[1]) == [] and time.monotonic() < deadline:
        time.sleep(0.5)
    if [(row[0], float(row[1])) for row in rows] != [("d-0", 129.0), ("d-1", 19.0)] or not all(row[2].startswith("k1:") for row in rows):
        raise Failed(f"the delivery stream delivered {len(rows)} events, and not the two that it should have")


def drop_file(outputs: dict) -> list:
    """Drops a CSV into the inbox, as `aws s3 cp` would, and once more, which does nothing. Hands back its rows, as JSON."""
    listen(outputs)
    bucket = stack.client(outputs["EndpointUrl"], "s3")
    for _ in range(2):
        bucket.upload_file(str(PURCHASES), outputs["InboxBucket"], "inbox/purchases.csv")
    with PURCHASES.open(newline="") as file:
        return [json.dumps(row).encode() for row in csv.DictReader(file)]


def listen(outputs: dict) -> None:
    """Subscribes a queue to the topic of files, as somebody subscribes a mail address."""
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    sns = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [sns]})
    url = queues.create_queue(QueueName=LISTENER, Attributes={"Policy": policy})["QueueUrl"]
    queue = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics = stack.client(outputs["EndpointUrl"], "sns")
    topics.subscribe(TopicArn=outputs["FilesTopic"], Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})


def show_manifest(outputs: dict) -> None:
    """What is told of the file, beside the inbox and to who listens."""
    bucket, name = stack.client(outputs["EndpointUrl"], "s3"), outputs["InboxBucket"]
    deadline = time.monotonic() + BALANCED_WITHIN_S
    while not (found := bucket.list_objects_v2(Bucket=name, Prefix="manifests/").get("Contents")):
        if time.monotonic() > deadline:
            raise Failed(f"there is no manifest in {name}")
        time.sleep(0.2)
    manifest = json.load(bucket.get_object(Bucket=name, Key=found[0]["Key"])["Body"])
    print("\nThe file's manifest")
    table(["file", "state", *manifest["rows"]], [[manifest["key"], manifest["state"], *manifest["rows"].values()]])
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    url = queues.get_queue_url(QueueName=LISTENER)["QueueUrl"]
    told = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages", [])
    if len(told) != 1:
        raise Failed(f"the topic of files was told {len(told)} times of one file")
    print("\nWhat the topic of files was told, its beginning")
    print(f"  {' '.join(told[0]['Body'].split())[:120]}")


# ---- balance ----

STAGES = {
    "ingest": ["accepted", "rejected", "spilled"],
    "webhooks": ["accepted", "known", "refused", "spilled"],
    "drain": ["in", "out"],
    "transform": ["in", "out", "filtered", "duplicates", "quarantined"],
    "changes": ["in", "out", "filtered", "duplicates", "quarantined"],
    "metrics": ["in", "counted", "filtered", "bad", "repeated"],
    "files": ["in", "out", "filtered", "duplicates", "quarantined"],
    "lake": ["in", "landed", "skipped", "quarantined"],
    "review": ["in", "landed", "skipped", "quarantined", "asked", "approved", "held"],
}


def wait_for_balance(outputs: dict, answers: dict, changes: int, rows: int) -> dict:
    deadline = time.monotonic() + BALANCED_WITHIN_S
    while True:
        tally = count(outputs)
        missing = differences(answers, changes, rows, tally)
        if not missing:
            return tally
        if time.monotonic() > deadline:
            report_trouble(outputs, tally, missing)
            raise Failed(f"the counts do not balance after {BALANCED_WITHIN_S} s")
        time.sleep(0.5)


def count(outputs: dict) -> dict:
    """What the functions counted, by stage: each invocation writes one line of metrics to its log, and one for each step."""
    tally = {stage: dict.fromkeys(fields, 0) for stage, fields in STAGES.items()}
    for _, line in log_lines(outputs):
        if '"_aws"' not in line:
            continue
        try:
            metrics = json.loads(line)
        except ValueError:
            continue
        if "step" in metrics:
            continue
        for field in STAGES.get(metrics.get("stage"), []):
            tally[metrics["stage"]][field] += int(metrics.get(field, 0))
    tally["dead"] = {key.removesuffix("DlqUrl").lower(): depth for key, depth in depths(outputs).items() if key.endswith("DlqUrl")}
    return tally


def depths(outputs: dict) -> dict:
    """Messages in each queue, waiting or in work."""
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return {
        key: sum(map(int, queues.get_queue_attributes(QueueUrl=outputs[key], AttributeNames=names)["Attributes"].values()))
        for key in sorted(outputs)
        if key.endswith(("DlqUrl", "QueueUrl"))
    }


def log_lines(outputs: dict):
    """(stage, line) of all that the functions logged."""
    logs = stack.client(outputs["EndpointUrl"], "logs")
    for stage in STAGES:
        group = outputs.get(f"{stage.capitalize()}Logs")
        if group is None:
            continue
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                yield stage, event["message"].strip()


def differences(answers: dict, changes: int, rows: int, tally: dict) -> list:
    """What does not add up yet, in the order of the data."""
    ingest, transform, lake = tally["ingest"], tally["transform"], tally["lake"]
    table_changes, files = tally["changes"], tally["files"]
    came = ingest["accepted"] + table_changes["in"] + files["in"]
    went = lake["landed"] + sum(
        stage[field] for stage in (transform, table_changes, files, lake) for field in ("filtered", "duplicates", "quarantined") if field in stage
    )
    laws = [
        ("ingest accepted = accepted by the API's answers", ingest["accepted"], answers["accepted"]),
        ("ingest rejected = rejected by the API's answers", ingest["rejected"], answers["rejected"]),
        ("drain out = ingest spilled", tally["drain"]["out"], ingest["spilled"]),
        ("transform in = ingest accepted", transform["in"], ingest["accepted"]),
        ("changes in = changes of the orders table", table_changes["in"], changes),
        ("files in = rows of the file", files["in"], rows),
        ("metrics in = changes of the orders table", tally["metrics"]["in"], changes),
        ("lake in = transform out + changes out + files out", lake["in"], transform["out"] + table_changes["out"] + files["out"]),
        # A dead letter names positions in a stream, not events; where nothing fails there is none.
        ("dead letters", sum(tally["dead"].values()), 0),
        ("landed + filtered + duplicates + quarantined = accepted + changes + rows", went, came),
    ]
    return [f"{law}: {left} against {right}" for law, left, right in laws if left != right]


def report_trouble(outputs: dict, tally: dict, missing: list) -> None:
    print("\nWhat does not balance", *missing, sep="\n  ")
    print("\nCounts by stage", *(f"{stage}: {counts}" for stage, counts in tally.items()), sep="\n  ")
    print("\nMessages in queues", *(f"{key}: {depth}" for key, depth in depths(outputs).items()), sep="\n  ")
    errors = [f"{stage}: {line[:400]}" for stage, line in log_lines(outputs) if re.search("error|panic|denied|timed out", line, re.IGNORECASE)]
    print("\nErrors in the functions' logs, the last ones", *errors[-20:] or ["none"], sep="\n  ")
    warnings = [line[:400] for line in stack.SERVER_LOG.read_text(errors="replace").splitlines() if re.search("ERROR|WARNING", line)]
    print(f"\nWarnings in {stack.SERVER_LOG}, the last ones", *warnings[-10:] or ["none"], sep="\n  ")


def show_balance(sent: int, answers: dict, tally: dict) -> None:
    print("\nThe balance")
    transform, changes, files, lake = tally["transform"], tally["changes"], tally["files"], tally["lake"]
    rows = [
        ["sent", sent, f"in {answers['requests']} requests"],
        ["  rejected", answers["rejected"], "answered with the reason"],
        ["  accepted", answers["accepted"], f"of them {tally['ingest']['spilled']} by way of the spill queue"],
        ["+ changes", changes["in"], "of the orders table"],
        ["+ rows", files["in"], "of a file"],
        ["= landed", lake["landed"], "rows in the lake"],
        ["+ filtered", transform["filtered"] + changes["filtered"] + files["filtered"], "as pipeline.toml says"],
        ["+ duplicates", transform["duplicates"] + changes["duplicates"] + files["duplicates"], ""],
        ["+ quarantined", transform["quarantined"] + changes["quarantined"] + files["quarantined"] + lake["quarantined"], "whole, with the reason"],
        ["+ dead-lettered", sum(tally["dead"].values()), "in all dead letter queues"],
    ]
    table(["", "events", ""], rows)


# ---- query ----


def show_tables(outputs: dict) -> None:
    events, quarantine = f'"{outputs["Table"]}"', f'"{outputs["QuarantineTable"]}"'
    for title, query in [
        (
            "Events by type",
            f"SELECT event_type, count(*) AS events, count(price) AS with_price, round(avg(price), 2) AS price_avg"
            f" FROM {events} GROUP BY event_type ORDER BY events DESC, event_type",
        ),
        (
            "Visitors by country (the addresses and countries are invented)",
            f"SELECT geo_country AS country, count(DISTINCT geo_city) AS cities, count(*) AS events, count(DISTINCT user_id) AS users"
            f" FROM {events} GROUP BY geo_country ORDER BY events DESC, country",
        ),
        (
            "Discount by hour",
            f"SELECT event_date, event_hour, count(*) AS discounted, round(sum(discount), 2) AS discount"
            f" FROM {events} WHERE discount IS NOT NULL GROUP BY event_date, event_hour ORDER BY event_date, event_hour LIMIT 48",
        ),
        (
            "The quarantine by reason",
            f"SELECT stage, reason, count(*) AS records FROM {quarantine} GROUP BY stage, reason ORDER BY records DESC, stage, reason",
        ),
    ]:
        print(f"\n{title}")
        table(*athena(outputs, query))
    if "MetricsTable" in outputs:
        print("\nOrders that were placed, by status, from the table of metrics")
        table(["status", "orders", "sum", "smallest", "largest"], orders_placed(outputs))


def orders_placed(outputs: dict) -> list:
    """A window's result is the sum of its rows; so is that of all windows."""
    found = {}
    for row in metric_rows(outputs):
        if row["metric"]["S"] == "orders":
            count, total, least, most = (decimal.Decimal(row[name]["N"]) for name in ("count", "sum", "min", "max"))
            before = found.get(row["key"]["S"], (0, 0, least, most))
            found[row["key"]["S"]] = (before[0] + count, before[1] + total, min(before[2], least), max(before[3], most))
    return [[key, *numbers] for key, numbers in sorted(found.items())]


def metric_rows(outputs: dict) -> list:
    pages = stack.client(outputs["EndpointUrl"], "dynamodb").get_paginator("scan").paginate(TableName=outputs["MetricsTable"])
    return [row for page in pages for row in page["Items"]]


def whole_lake(outputs: dict) -> list:
    return athena(outputs, f'SELECT * FROM "{outputs["Table"]}"')[1]


def athena(outputs: dict, query: str) -> tuple:
    """(column names, rows of text) of a query."""
    service = stack.client(outputs["EndpointUrl"], "athena")
    execution = service.start_query_execution(
        QueryString=query, WorkGroup=outputs["Workgroup"], QueryExecutionContext={"Database": outputs["Database"]}
    )["QueryExecutionId"]
    while (status := service.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"])["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.05)
    if status["State"] != "SUCCEEDED":
        raise Failed(f"Athena: {status.get('StateChangeReason')}\n{query}")
    rows = [
        [cell.get("VarCharValue") for cell in row["Data"]]
        for page in service.get_paginator("get_query_results").paginate(QueryExecutionId=execution)
        for row in page["ResultSet"]["Rows"]
    ]
    return rows[0], rows[1:]


# ---- privacy ----

PERSONAL = {"userid", "email", "ip"}
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def show_privacy(outputs: dict, lines: list, whole: list) -> bool:
    """Looks for each user id, e-mail and address of the input in all columns of the lake and in all logs."""
    planted = sorted(personal_values(lines))
    logs = "\n".join(line for _, line in log_lines(outputs))
    lake = "\n".join(cell for row in whole for cell in row if cell is not None)
    metrics = json.dumps(metric_rows(outputs)) if "MetricsTable" in outputs else ""
    leaks = 0
    for place, text in (("the lake", lake), ("the metrics", metrics), ("the logs", logs)):
        # As it stands and with %40 read as @: an address may hide in a URL.
        found = leaked(planted, f"{text}\n{urllib.parse.unquote_plus(text)}".lower())
        leaks += len(found)
        print(f"\nOf {len(planted)} user ids, e-mails and addresses in the input, {len(found)} are in {place} ({len(text)} characters)")
        for value in found[:10]:
            print(f"  leaked: {value}")
    return leaks == 0 and len(planted) > 0


def leaked(planted: list, text: str) -> list:
    """Whole words only: that 10.0.0.1 is part of 110.0.0.10 says nothing. So is a token the pipeline made."""
    words = set(re.findall(r"[\w.@:+%-]+", text))
    words |= {word.strip(".:+%-") for word in words}
    return [value for value in planted if value in words or (len(value) > 15 and value in text)]


def personal_values(lines: list) -> set:
    found = set()
    for line in lines:
        try:
            found |= set(personal(json.loads(line)))
        except (ValueError, RecursionError):
            # No JSON, so no keys: at least its e-mails.
            found |= set(EMAIL.findall(line.decode(errors="replace")))
    for order in ORDERS:
        found |= set(personal(order))
    return {value.lower() for value in found}


def personal(value, key: str = ""):
    """Values of the keys that hold personal data, at any depth, and what looks like an e-mail in any text."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from personal(inner, name.lower())
    elif isinstance(value, list):
        for inner in value:
            yield from personal(inner, key)
    elif isinstance(value, str):
        yield from EMAIL.findall(urllib.parse.unquote_plus(value))
        if key in PERSONAL and value.strip() and not is_network(value):
            yield value.strip()
    elif key == "userid" and isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def is_network(value: str) -> bool:
    """An address that is its own network already, which the pipeline has nothing to take from."""
    return value.endswith((".0", "::"))


# ---- print ----


def table(header: list, rows: list) -> None:
    """Columns as wide as they need to be, numbers to the right."""
    text = [["" if cell is None else str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in text) for column in range(len(header))]
    numeric = [all(re.fullmatch(r"-?[\d.]*", row[column]) for row in text[1:]) for column in range(len(header))]
    for number, row in enumerate(text):
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric)]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


if __name__ == "__main__":
    stack.main_guard(main)
