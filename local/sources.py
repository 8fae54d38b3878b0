"""What comes from a queue, a topic, an event bus, devices and a feed: from real clients to rows in the lake.

Brings the stack up, sends with boto3 (SQS, SNS, EventBridge) and paho (MQTT over WebSockets, signed), lets EventBridge Scheduler read a
feed that stands on this machine, and looks for each event in Athena. What is bad has to be in the quarantine, and what the function
gave up on comes back by `redrive`. Then it takes the stack down. Exit code 0 only if all is found.
"""

import json
import threading
import time
import urllib.parse
from datetime import UTC, datetime

import demo
import feed
import stack
from stack import Failed, step

FOUND_WITHIN_S = 180
PAGES = [3, 3, 1]  # items of the feed's pages


def main() -> int:
    with stack.by_itself():
        pages = feed.Feed([[event(f"feed-{page}-{item}") for item in range(items)] for page, items in enumerate(PAGES)])
        outputs = stack.up()
        with step("deploy a feed"):
            outputs = feed.deployed(outputs, pages.url, "rate(1 minute)")
        return show(outputs)


def event(marker: str, **more) -> dict:
    """An event that is known by its session."""
    now = datetime.now(UTC).isoformat()
    return {"id": f"id-{marker}", "eventType": "view", "timestamp": now, "sessionId": marker, "price": 20, **more}


def nameless(marker: str, *without: str) -> dict:
    """An event that leaves to its envelope what that says."""
    return {key: value for key, value in event(marker).items() if key not in ("id", *without)}


def show(outputs: dict) -> int:
    sent = {}
    with step("send"):
        for door, send in [("queue", queue), ("dead letters", dead), ("topic", topic), ("event bus", bus), ("devices", devices)]:
            sent[door] = send(outputs)
        sent["feed"] = ("EventBridge Scheduler", [f"feed-{page}-{item}" for page, items in enumerate(PAGES) for item in range(items)], 0)
    with step("find"):
        landed, bad = find(outputs, sent)
    rows = [
        [door, client, len(markers) + rejected, sum(landed.get(marker, 0) for marker in markers), rejected]
        for door, (client, markers, rejected) in sent.items()
    ]
    print()
    demo.table(["door", "client", "sent", "landed", "quarantined"], rows)
    print()
    demo.table(["reason", "in the quarantine"], [[reason, count] for reason, count in bad.items()])
    return 0


# ---- the doors, each by its client ----


def queue(outputs: dict) -> tuple:
    """One event a message, an array, lines, one twice, one with an attribute; and a text that is no event."""
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    url = outputs["InboxQueueUrl"]
    lines = "\n".join(json.dumps(event(f"line-{n}")) for n in range(3))
    array = json.dumps([nameless(f"item-{n}") for n in range(3)])
    for body in (json.dumps(event("one")), json.dumps(event("one")), json.dumps(nameless("unnamed")), lines, array, "ann@example.com"):
        queues.send_message(QueueUrl=url, MessageBody=body)
    attributes = {"tenant": {"DataType": "String", "StringValue": "acme"}}
    queues.send_message(QueueUrl=url, MessageBody=json.dumps(event("attribute")), MessageAttributes=attributes)
    return "boto3", ["one", "unnamed", "attribute", *(f"{kind}-{n}" for kind in ("line", "item") for n in range(3))], 1


def dead(outputs: dict) -> tuple:
    """Messages that the function gave up on."""
    stack.client(outputs["EndpointUrl"], "sqs").send_message(QueueUrl=outputs["InboxDlqUrl"], MessageBody=json.dumps(nameless("dead")))
    stack.client(outputs["EndpointUrl"], "lambda").invoke(FunctionName=outputs["RedriveFunction"], Payload=b"{}")
    return "redrive", ["dead"], 0


def topic(outputs: dict) -> tuple:
    topics = stack.client(outputs["EndpointUrl"], "sns")
    attributes = {"tenant": {"DataType": "String", "StringValue": "acme"}}
    topics.publish(TopicArn=outputs["InboxTopic"], Message=json.dumps(nameless("topic", "timestamp")), Subject="hello", MessageAttributes=attributes)
    topics.publish(TopicArn=outputs["InboxTopic"], Message="hello")
    return "boto3", ["topic"], 1


def bus(outputs: dict) -> tuple:
    buses = stack.client(outputs["EndpointUrl"], "events")
    detail = json.dumps(nameless("bus", "timestamp", "eventType"))
    entry = {"EventBusName": outputs["InboxBus"], "Source": "com.example.shop", "DetailType": "view", "Detail": detail}
    answer = buses.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise Failed(f"put_events: {answer}")
    return "boto3", ["bus"], 0


def devices(outputs: dict) -> tuple:
    """Two readings over MQTT, as AWS takes it from who has no certificate: over WebSockets, signed."""
    publish(outputs, [("millrace/th-1/reading", json.dumps(event(f"device-{n}"))) for n in range(2)])
    return "paho-mqtt", ["device-0", "device-1"], 0


def publish(outputs: dict, messages: list) -> None:
    import paho.mqtt.client as mqtt
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    endpoint = stack.client(outputs["EndpointUrl"], "iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    host = endpoint.partition(":")[0]
    port = urllib.parse.urlsplit(outputs["EndpointUrl"]).port
    request = AWSRequest("GET", f"http://{host}:{port}/mqtt")
    credentials = Credentials(outputs["AccessKeyId"], outputs["SecretAccessKey"])
    SigV4QueryAuth(credentials, "iotdevicegateway", outputs["Region"]).add_auth(request)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="th-1", transport="websockets")
    path = urllib.parse.urlsplit(request.url)
    client.ws_set_options(path=f"{path.path}?{path.query}", headers={"Host": f"{host}:{port}"})
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        if not connected.wait(10):
            raise Failed("no MQTT connection within 10 s")
        for at, payload in messages:
            client.publish(at, payload, qos=1).wait_for_publish(10)
    finally:
        client.disconnect()
        client.loop_stop()


# ---- where they are ----


def find(outputs: dict, sent: dict) -> tuple:
    """How often each event is in the lake, by its session, and what is in the quarantine, by reason."""
    wanted = {marker for _, markers, _ in sent.values() for marker in markers}
    rejected = sum(count for *_, count in sent.values())
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        landed, bad = count(outputs, f'SELECT session_id, count(*) FROM "{outputs["Table"]}" GROUP BY session_id'), {}
        if wanted <= landed.keys():
            bad = count(outputs, f'SELECT reason, count(*) FROM "{outputs["QuarantineTable"]}" GROUP BY reason')
            if sum(bad.values()) >= rejected:
                break
        if time.monotonic() > deadline:
            raise Failed(f"not in the lake after {FOUND_WITHIN_S} s: {sorted(wanted - landed.keys())}; in the quarantine: {bad}")
        time.sleep(1)
    if twice := [marker for marker, times in landed.items() if times > 1]:
        raise Failed(f"in the lake more than once: {twice}")
    if strangers := landed.keys() - wanted:
        raise Failed(f"in the lake, and nobody sent them: {strangers}")
    return landed, bad


def count(outputs: dict, query: str) -> dict:
    try:
        return {key: int(times) for key, times in demo.athena(outputs, query)[1]}
    except Failed as why:
        # Its DuckDB calls a place without a file an error.
        if "No files found" in str(why):
            return {}
        raise


if __name__ == "__main__":
    stack.main_guard(main)
