"""The cookbook's payments, checked: part of `cookbook.py`.

Stripe's library signs webhooks, which go over HTTP to the API, each twice. A server on this machine stands in for the check: at first it
answers 503, and says nothing to one question until who asks hangs up; nothing may be decided then. Once it is back it approves some payments and
refuses others, each in its own way. All have to be rows in the lake, and those that were refused in the queue of the held, once, whole, and
with the reason.
"""

import json
import secrets
import tempfile
import threading
import time
from datetime import UTC, datetime
from typing import NamedTuple

import answers
import demo
import stack
from sources import post, stripe_webhook
from stack import Failed, step

FUNCTIONS = ["webhooks", "transform", "lake", "review"]
# What this needs not is not deployed.
WITHOUT = {
    **dict.fromkeys(["Firehose", "SampleOrders", "Queues", "Devices", "RawRoute", "RestApi", "WarmUp"], "false"),
    "ProvisionedConcurrency": "0",
    "FilesMode": "off",
}
FOUND_WITHIN_S = 180  # an attempt at a check that is down lasts half a minute
SECRET = f"whsec_{secrets.token_hex(16)}"
EMAIL = "ann@example.com"

APPROVES = 200, {"decision": "approve"}


def holds(reason: str) -> tuple:
    return 200, {"decision": "hold", "reason": reason}


class Payment(NamedTuple):
    """A charge: its cents, how risky it is, what the check answers where it is to be asked, and for what reason it is held then."""

    id: str
    amount: object
    risk: str = "normal"
    answer: tuple | None = None
    reason: str | None = None
    livemode: bool = True


CHECKED = [
    Payment("evt_large", 250_000, answer=APPROVES),
    Payment("evt_new", 500_000, answer=holds("a new customer"), reason="a new customer"),
    Payment("evt_risky", 1_200, "highest", holds('ask "Zoë"\n€ 12'), 'ask "Zoë"\n€ 12'),
    Payment("evt_slow", 150_000, answer=APPROVES),
    Payment("evt_strange", 990_000, answer=(402, {"decision": "approve"}), reason="the check answers 402"),
    Payment("evt_unclear", 120_000, answer=(200, {"decision": "perhaps"}), reason="the check's answer has no decision"),
    Payment("evt_elevated", 900, "elevated", APPROVES),
    Payment("evt_larger", 260_000, answer=APPROVES),
]
HANGS = "evt_slow"
LANDING = [Payment("evt_small", 6_450), *CHECKED]
FILTERED = Payment("evt_test", 250_000, livemode=False)
BAD = Payment("evt_words", "64.50")
SENT = [*LANDING, FILTERED, BAD]


class Check:
    """The check: down, until it is told otherwise."""

    def __init__(self):
        self.lock = threading.Lock()
        self.is_down = True
        self.hung = False
        self.refused = 0
        self.questions = []  # id, idempotency key, event, and whether it was answered
        self.says = {payment.id: payment.answer for payment in CHECKED}
        self.url = answers.Server(self.answer).url + "/check"

    def answer(self, _path: str, headers, body: bytes):
        event = json.loads(body)
        with self.lock:
            hangs = event["id"] == HANGS and not self.hung
            self.hung |= hangs
            self.refused += self.is_down and not hangs
            self.questions.append((event["id"], headers.get("idempotency-key"), event, not (self.is_down or hangs)))
            if hangs:
                return None
            return (503, {"error": "down for maintenance"}) if self.is_down else self.says.get(event["id"], (404, {}))

    def times(self, id: str) -> tuple:
        """How often a payment was asked for, and how often that was answered."""
        answered = [is_answered for other, *_, is_answered in self.questions if other == id]
        return len(answered), sum(answered)


def play(url: str, template: str) -> None:
    check = Check()
    with step("deploy"):
        outputs = stack.deploy(url, "--template-file", template, Webhooks="true", PaymentCheckUrl=check.url, **WITHOUT)
    key = give_secrets(outputs)
    with step("send"):
        send(outputs)
    with step("while the check is down"):
        wait_for_refusals(outputs, check)
    check.is_down = False
    with step("find"):
        rows = wait_for_balance(outputs, check)
    held = held_by_now(outputs)
    judge(check, rows, held, key)
    show(outputs, check, rows, held)


def give_secrets(outputs: dict) -> str:
    """Stripe's secret, and the key of what is encrypted, as docs/operate.md puts it beside the first one. Hands back the whole secret."""
    manager = stack.client(outputs["EndpointUrl"], "secretsmanager")
    sources = {"stripe": {"scheme": "stripe", "secrets": [SECRET]}}
    manager.put_secret_value(SecretId=outputs["WebhookSecrets"], SecretString=json.dumps(sources))
    key = json.loads(manager.get_secret_value(SecretId=outputs["TokenKeySecret"])["SecretString"])
    key = json.dumps(key | {"encryption_key": secrets.token_urlsafe(48)})
    manager.put_secret_value(SecretId=outputs["TokenKeySecret"], SecretString=key)
    return key


def send(outputs: dict) -> None:
    """Each payment twice. Transform reads them when all are there, so that the check is asked for them side by side."""
    functions = stack.client(outputs["EndpointUrl"], "lambda")
    mapping = functions.list_event_source_mappings(FunctionName=outputs["TransformFunction"])["EventSourceMappings"][0]["UUID"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    for payment in SENT:
        charge = {
            "amount": payment.amount, "customer": f"cus_{payment.id}", "receipt_email": EMAIL,
            "outcome": {"risk_level": payment.risk}, "billing_details": {"name": "Ann Example", "address": {"country": "DE"}},
        }  # fmt: skip
        webhook = stripe_webhook(payment.id, SECRET, datetime.now(UTC), payment.livemode, **charge)
        for expected in ({"accepted": 1, "rejected": []}, {"accepted": 0, "known": 1, "rejected": []}):
            if (answer := post(outputs, *webhook)) != expected:
                raise Failed(f"the webhook {payment.id} is answered {answer}, not {expected}")
    functions.update_event_source_mapping(UUID=mapping, Enabled=True)


def wait_for_refusals(outputs: dict, check: Check) -> None:
    """Until the check has hung, and has refused so much that the function leaves it alone; nothing is decided then."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while not (check.hung and breaker_opened(outputs)):
        if time.monotonic() > deadline:
            trouble(outputs, f"the check refused {check.refused} questions, and its circuit breaker did not open")
        time.sleep(0.5)
    counted = demo.count(outputs)["review"]
    if depth(outputs) or counted["asked"] or counted["approved"] or counted["held"]:
        raise Failed(f"something was decided while the check was down: {counted}, and {depth(outputs)} in the queue")


def breaker_opened(outputs: dict) -> bool:
    return any('"dependency":"check"' in line and '"open":1' in line for _, line in demo.log_lines(outputs))


def wait_for_balance(outputs: dict, check: Check) -> dict:
    """The rows of the lake by id, once all is through."""
    landing, held = len(LANDING), sum(payment.reason is not None for payment in CHECKED)
    wanted = {
        "webhooks": {"accepted": len(SENT), "known": len(SENT), "refused": 0, "spilled": 0},
        "transform": {"in": len(SENT), "out": landing, "filtered": 1, "duplicates": 0, "quarantined": 1},
        "lake": {"in": landing, "landed": landing, "skipped": 0, "quarantined": 0},
        "review": {
            "in": landing, "landed": landing, "skipped": 0, "quarantined": 0,
            "asked": len(CHECKED), "approved": len(CHECKED) - held, "held": held,
        },
    }  # fmt: skip
    deadline = time.monotonic() + FOUND_WITHIN_S
    while (found := {stage: counts for stage, counts in demo.count(outputs).items() if stage in wanted}) != wanted:
        if time.monotonic() > deadline:
            trouble(outputs, f"the counts are {found}, and not {wanted}")
        time.sleep(0.5)
    columns = "id, charge_id, amount, risk, review, charge_receipt_email"
    return {row[0]: row[1:] for row in demo.athena(outputs, f'SELECT {columns} FROM "{outputs["Table"]}"')[1]}


def held_by_now(outputs: dict) -> list:
    """All messages of the queue of what is held."""
    queues, held = stack.client(outputs["EndpointUrl"], "sqs"), []
    while page := queues.receive_message(QueueUrl=outputs["ReviewQueueUrl"], MaxNumberOfMessages=10).get("Messages"):
        held += [json.loads(message["Body"]) for message in page]
    return held


def judge(check: Check, rows: dict, held: list, key: str) -> None:
    wrong = []
    amounts = {id: float(amount) for id, (_, amount, *_) in rows.items()}
    if amounts != {payment.id: payment.amount / 100 for payment in LANDING}:
        wrong.append(f"in the lake are {amounts}")
    wanted = {payment.id: payment.reason for payment in CHECKED if payment.reason is not None}
    if sorted((each["event"]["id"], each["reason"]) for each in held) != sorted(wanted.items()):
        wrong.append(f"held are {[(each['event']['id'], each['reason']) for each in held]}")
    asked = {id: event for id, _, event, _ in check.questions}
    for each in held:
        if each["event"] != asked.get(each["event"]["id"]):
            wrong.append(f"{each['event']['id']} is not in the queue as the check saw it")
    for payment in CHECKED:
        keys = {key for id, key, *_ in check.questions if id == payment.id}
        others = {key for id, key, *_ in check.questions if id != payment.id}
        if len(keys) != 1 or None in keys or keys & others:
            wrong.append(f"the check is asked for {payment.id} under the keys {keys}")
        if check.times(payment.id)[1] != 1:
            wrong.append(f"the check decided {check.times(payment.id)[1]} times on {payment.id}")
        event = asked.get(payment.id, {})
        if (event.get("review"), event.get("amount"), event.get("country")) != (True, payment.amount / 100, "DE"):
            wrong.append(f"the check was not told what {payment.id} is")
    if strangers := asked.keys() - {payment.id for payment in CHECKED}:
        wrong.append(f"the check was asked for {sorted(strangers)}")
    if any(text in json.dumps([check.questions, rows, held]) for text in (EMAIL, "Ann Example")):
        wrong.append("the payer is named behind the pipeline")
    receipts = {decrypted(row[4], key) for row in list(rows.values())[:1]}
    if receipts != {EMAIL}:
        wrong.append(f"a receipt's address is decrypted to {receipts}")
    if wrong:
        raise Failed("\n".join(wrong))


def show(outputs: dict, check: Check, rows: dict, held: list) -> None:
    reasons = {each["event"]["id"]: each["reason"] for each in held}
    print("\nThe payments")
    demo.table(
        ["payment", "amount", "risk", "review", "asked", "decided", "held, and why"],
        [
            [each.id, *rows[each.id][1:4], *check.times(each.id), json.dumps(reasons[each.id], ensure_ascii=False) if each.id in reasons else ""]
            for each in LANDING
        ],
    )
    tally = demo.count(outputs)
    webhooks, transform, review = tally["webhooks"], tally["transform"], tally["review"]
    print("\nThe balance")
    demo.table(
        ["", "payments", ""],
        [
            ["sent", webhooks["accepted"] + webhooks["known"], "each twice"],
            ["  known", webhooks["known"], "answered 200"],
            ["  accepted", webhooks["accepted"], "answered 202"],
            ["= landed", tally["lake"]["landed"], "rows in the lake"],
            ["+ filtered", transform["filtered"], "a test payment"],
            ["+ quarantined", transform["quarantined"], "an amount in words"],
            ["asked for", review["asked"], f"by {len(check.questions)} questions: {check.refused} were refused, and one hung"],
            ["= approved", review["approved"], ""],
            ["+ held", review["held"], f"and {len(held)} in the queue"],
        ],
    )


def decrypted(text: str, key: str) -> str:
    """What `millrace decrypt` makes of a cell."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(key)
        file.flush()
        return json.loads(stack.millrace("decrypt", "--key", file.name, input=f"{text}\n"))


def depth(outputs: dict) -> int:
    return demo.depths(outputs)["ReviewQueueUrl"]


def trouble(outputs: dict, what: str) -> None:
    demo.report_trouble(outputs, demo.count(outputs), [what])
    raise Failed(what)
