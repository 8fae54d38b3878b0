"""Writes signed_by_python.json: requests as Stripe, Slack and those who follow Standard Webhooks send them, signed by their own
libraries, and found right by them. The tests read the file and need no network.

    python3 -m venv venv && venv/bin/pip install stripe==16.1.0 slack_sdk==3.48.0 standardwebhooks==1.1.0
    venv/bin/python functions/ingest/tests/webhooks/sign.py
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import stripe
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks.webhooks import Webhook

HERE = Path(__file__).parent
AT = 1767225600  # 2026-01-01
SECRETS = {name: source["secrets"] for name, source in json.loads((HERE / "secrets.json").read_text()).items()}


def main() -> None:
    requests = [
        # Stripe sends its JSON on many lines, and while a secret is rotated signs with both.
        stripe_request("stripe", json.dumps(charge("evt_1"), indent=2, ensure_ascii=False), SECRETS["stripe"][:1]),
        stripe_request("stripe, rotating", json.dumps(charge("evt_2"), indent=2), SECRETS["stripe"]),
        stripe_request("stripe, the old secret", json.dumps(charge("evt_3"), indent=2), SECRETS["stripe"][1:]),
        slack_request("slack", slack_event()),
        slack_request("slack, challenge", {"token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "type": "url_verification"}),
        standard_request("standard"),
    ]
    (HERE / "signed_by_python.json").write_text(json.dumps(requests, indent=1, ensure_ascii=False) + "\n")


def charge(id: str) -> dict:
    charge = {"id": f"ch_{id}", "object": "charge", "amount": 6450, "currency": "eur", "description": "Café, Größe M", "status": "succeeded"}
    return {
        "id": id, "object": "event", "api_version": "2026-01-28", "created": AT - 2, "livemode": True, "type": "charge.succeeded",
        "data": {"object": charge},
    }


def stripe_request(name: str, body: str, secrets: list) -> dict:
    signed = f"{AT}.{body}"
    signatures = [stripe.WebhookSignature._compute_signature(signed, secret) for secret in secrets]
    header = ",".join([f"t={AT}", *(f"v1={signature}" for signature in signatures), "v0=" + "0" * 64])
    for secret in secrets:
        assert stripe.WebhookSignature.verify_header(body, header, secret)
    return request(name, "stripe", {"stripe-signature": header}, body)


def slack_event() -> dict:
    event = {"type": "app_mention", "user": "U02345678", "text": "<@U03456789> hello", "ts": f"{AT}.001500", "channel": "C04567890"}
    return {"team_id": "T01234567", "type": "event_callback", "event_id": "Ev08MFMKH6", "event_time": AT - 1, "event": event}


class At(Clock):
    def now(self) -> float:
        return AT


def slack_request(name: str, event: dict) -> dict:
    body = json.dumps(event)
    verifier = SignatureVerifier(SECRETS["slack"][0], clock=At())
    headers = {"x-slack-request-timestamp": str(AT), "x-slack-signature": verifier.generate_signature(timestamp=str(AT), body=body)}
    assert verifier.is_valid_request(body, headers)
    return request(name, "slack", headers, body)


def standard_request(name: str) -> dict:
    body = json.dumps({"type": "invoice.paid", "timestamp": "2025-12-31T23:59:58.5Z", "data": {"invoice": "in_1"}})
    webhook = Webhook(SECRETS["acme"][0])
    signature = webhook.sign("msg_1", datetime.fromtimestamp(AT, UTC), body)
    # Its own verification has a clock of its own, so the other half of the check is made by the tests.
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(AT), "webhook-signature": signature}
    return request(name, "acme", headers, body)


def request(name: str, source: str, headers: dict, body: str) -> dict:
    return {"name": name, "source": source, "at": AT, "headers": {"content-type": "application/json", **headers}, "body": body}


if __name__ == "__main__":
    main()
