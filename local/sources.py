"""What comes as webhooks, from a queue, a topic, an event bus, devices and a feed: from real clients to rows in the lake.

Brings the stack up, sends webhooks that the vendors' own libraries signed, sends with boto3 (SQS, SNS, EventBridge) and paho (MQTT over
WebSockets, signed), lets EventBridge Scheduler read a feed that stands on this machine, and looks for each event in Athena. What is bad has
to be in the quarantine, what is forged or replayed is refused, and what the function gave up on comes back by `redrive`. Then it takes
the stack down. Exit code 0 only if all is found.
"""

import json
import threading
import time
import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import demo
import feed
import slack_sdk.signature
import stack
import standardwebhooks
import stripe
from access import request
from stack import Failed, step

FOUND_WITHIN_S = 180
PAGES = [3, 3, 1]  # items of the feed's pages
# With the secrets of vendors, and requests that those libraries of theirs signed which are not Python.
WEBHOOKS = stack.ROOT / "functions" / "ingest" / "tests" / "webhooks"


class Sent(NamedTuple):
    """What went in at a door: by which client, which events have to land, how many are bad, and how many were refused."""

    client: str
    markers: list
    bad: int = 0
    refused: int = 0


def main() -> int:
    with stack.by_itself():
        pages = feed.Feed([[event(f"feed-{page}-{item}") for item in range(items)] for page, items in enumerate(PAGES)])
        outputs = stack.up()
        with step("deploy a feed"):
            outputs = feed.deployed(outputs, pages.url, "rate(1 minute)")
        return show(outputs)


def event(marker: str, **more) -> dict:
    """An event that is known by its session; one without a session by its id."""
    now = datetime.now(UTC).isoformat()
    return {"id": f"id-{marker}", "eventType": "view", "timestamp": now, "sessionId": marker, "price": 20, **more}


def nameless(marker: str, *without: str) -> dict:
    """An event that leaves to its envelope what that says."""
    return {key: value for key, value in event(marker).items() if key not in ("id", *without)}


def show(outputs: dict) -> int:
    sent = {}
    with step("send"):
        for door, send in [
            ("webhooks", webhooks), ("queue", queue), ("dead letters", dead), ("topic", topic), ("event bus", bus), ("devices", devices),
        ]:  # fmt: skip
            sent[door] = send(outputs)
        sent["feed"] = Sent("EventBridge Scheduler", [f"feed-{page}-{item}" for page, items in enumerate(PAGES) for item in range(items)])
    with step("find"):
        landed, bad = find(outputs, sent)
    rows = [
        [door, of.client, len(of.markers) + of.bad + of.refused, sum(landed[marker] for marker in of.markers), of.bad, of.refused]
        for door, of in sent.items()
    ]
    print()
    demo.table(["door", "client", "sent", "landed", "quarantined", "refused"], rows)
    print()
    demo.table(["reason", "in the quarantine"], [[reason, count] for reason, count in bad.items()])
    return 0


# ---- the doors, each by its client ----


def webhooks(outputs: dict) -> Sent:
    """One webhook of each vendor, each once more as a replay, and forged ones."""
    sources = (WEBHOOKS / "secrets.json").read_text()
    stack.client(outputs["EndpointUrl"], "secretsmanager").put_secret_value(SecretId=outputs["WebhookSecrets"], SecretString=sources)
    secrets = {name: source["secrets"][0] for name, source in json.loads(sources).items()}
    now = datetime.now(UTC)
    # GitHub and Shopify sign no time, so what was signed once is good for ever; neither has a library in Python.
    by_node = {each["name"]: each for each in json.loads((WEBHOOKS / "signed_by_node.json").read_text())}
    right = {
        "evt_1": stripe_webhook("evt_1", secrets["stripe"], now),
        "Ev1": slack_webhook("Ev1", secrets["slack"], now),
        "msg_1": standard_webhook("msg_1", secrets["acme"], now),
        **{
            by_node[name]["headers"][header]: (by_node[name]["source"], by_node[name]["headers"], by_node[name]["body"])
            for name, header in [("github", "x-github-delivery"), ("shopify", "x-shopify-webhook-id")]
        },
    }
    source, headers, body = stripe_webhook("evt_2", secrets["stripe"], now)
    forged = [
        ("another body", (source, headers, body.replace("6450", "1")), "wrong-signature"),
        ("another secret", slack_webhook("Ev2", "somebody else's secret", now), "wrong-signature"),
        ("no signature", ("acme", {}, body), "no-signature"),
        # Whoever recorded a request sends it again after its time.
        ("an old one", stripe_webhook("evt_3", secrets["stripe"], now - timedelta(minutes=6)), "wrong-time"),
        ("another source", ("paypal", headers, body), "no-source"),
    ]
    for id, webhook in right.items():
        for expected in ({"accepted": 1, "rejected": []}, {"accepted": 0, "known": 1, "rejected": []}):
            if (answer := post(outputs, *webhook)) != expected:
                raise Failed(f"the webhook {id} is answered {answer}, not {expected}")
    for what, webhook, expected in forged:
        if (answer := post(outputs, *webhook)).get("type") != f"urn:millrace:problem:{expected}":
            raise Failed(f"a webhook with {what} is answered {answer}, not {expected}")
    return Sent("stripe, slack_sdk, standardwebhooks, @octokit, @shopify", list(right), refused=len(right) + len(forged))


def post(outputs: dict, source: str, headers: dict, body: str) -> dict:
    headers = {"content-type": "application/json", **headers}
    return json.loads(request(outputs["ApiUrl"], "POST", f"/v1/webhooks/{source}", body.encode(), headers)[1])


def stripe_webhook(id: str, secret: str, when: datetime, livemode: bool = True, **more) -> tuple:
    """A charge, with what `more` says of it."""
    charge = {"id": f"ch_{id}", "object": "charge", "amount": 6450, "currency": "eur", "status": "succeeded", **more}
    at = int(when.timestamp())
    webhook = {"id": id, "object": "event", "created": at, "type": "charge.succeeded", "livemode": livemode, "data": {"object": charge}}
    body = json.dumps(webhook)
    # The library verifies; of signing it has the half that its own tests use.
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{body}", secret)
    header = f"t={at},v1={signature}"
    stripe.WebhookSignature.verify_header(body, header, secret)
    return "stripe", {"stripe-signature": header}, body


def slack_webhook(id: str, secret: str, when: datetime) -> tuple:
    at = str(int(when.timestamp()))
    event = {"type": "app_mention", "user": "U02345678", "text": "hello", "channel": "C04567890"}
    body = json.dumps({"type": "event_callback", "event_id": id, "event_time": int(at), "event": event})
    signature = slack_sdk.signature.SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    return "slack", {"x-slack-request-timestamp": at, "x-slack-signature": signature}, body


def standard_webhook(id: str, secret: str, when: datetime) -> tuple:
    body = json.dumps({"type": "invoice.paid", "timestamp": when.isoformat(), "data": {"invoice": "in_1"}})
    signature = standardwebhooks.Webhook(secret).sign(id, when, body)
    return "acme", {"webhook-id": id, "webhook-timestamp": str(int(when.timestamp())), "webhook-signature": signature}, body


def queue(outputs: dict) -> Sent:
    """One event a message, an array, lines, one twice, one with an attribute; and a text that is no event."""
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    url = outputs["InboxQueueUrl"]
    lines = "\n".join(json.dumps(event(f"line-{n}")) for n in range(3))
    array = json.dumps([nameless(f"item-{n}") for n in range(3)])
    for body in (json.dumps(event("one")), json.dumps(event("one")), json.dumps(nameless("unnamed")), lines, array, "ann@example.com"):
        queues.send_message(QueueUrl=url, MessageBody=body)
    attributes = {"tenant": {"DataType": "String", "StringValue": "acme"}}
    queues.send_message(QueueUrl=url, MessageBody=json.dumps(event("attribute")), MessageAttributes=attributes)
    return Sent("boto3", ["one", "unnamed", "attribute", *(f"{kind}-{n}" for kind in ("line", "item") for n in range(3))], bad=1)


def dead(outputs: dict) -> Sent:
    """Messages that the function gave up on."""
    stack.client(outputs["EndpointUrl"], "sqs").send_message(QueueUrl=outputs["InboxDlqUrl"], MessageBody=json.dumps(nameless("dead")))
    stack.client(outputs["EndpointUrl"], "lambda").invoke(FunctionName=outputs["RedriveFunction"], Payload=b"{}")
    return Sent("redrive", ["dead"])


def topic(outputs: dict) -> Sent:
    topics = stack.client(outputs["EndpointUrl"], "sns")
    attributes = {"tenant": {"DataType": "String", "StringValue": "acme"}}
    topics.publish(TopicArn=outputs["InboxTopic"], Message=json.dumps(nameless("topic", "timestamp")), Subject="hello", MessageAttributes=attributes)
    topics.publish(TopicArn=outputs["InboxTopic"], Message="hello")
    return Sent("boto3", ["topic"], bad=1)


def bus(outputs: dict) -> Sent:
    buses = stack.client(outputs["EndpointUrl"], "events")
    detail = json.dumps(nameless("bus", "timestamp", "eventType"))
    entry = {"EventBusName": outputs["InboxBus"], "Source": "com.example.shop", "DetailType": "view", "Detail": detail}
    answer = buses.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise Failed(f"put_events: {answer}")
    return Sent("boto3", ["bus"])


def devices(outputs: dict) -> Sent:
    """Two readings over MQTT, as AWS takes it from who has no certificate: over WebSockets, signed."""
    publish(outputs, [("millrace/th-1/reading", json.dumps(event(f"device-{n}"))) for n in range(2)])
    return Sent("paho-mqtt", ["device-0", "device-1"])


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
    """How often each event is in the lake, and what is in the quarantine, by reason."""
    wanted = {marker for of in sent.values() for marker in of.markers}
    rejected = sum(of.bad for of in sent.values())
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        landed, bad = count(outputs, f'SELECT coalesce(session_id, id), count(*) FROM "{outputs["Table"]}" GROUP BY 1'), {}
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
