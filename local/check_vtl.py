"""Runs the mapping templates of the REST API in template.yaml, which the local AWS cannot.

API Gateway runs them as Velocity. Here airspeed does, with `$input`, `$util` and `$context` as API Gateway documents them, and botocore says
whether what comes out is a PutRecords request.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

import base64
import json
import re
import sys
from pathlib import Path

import airspeed
import botocore.session
import yaml
from botocore.validate import ParamValidator

ROOT = Path(__file__).resolve().parent.parent
STREAM = "raw-stream"


# ---- What API Gateway gives a template ----


class Text(str):
    """A text with the methods of Java's that the templates call."""

    def length(self) -> int:
        return len(self)

    def substring(self, begin: int, end: int) -> "Text":
        return Text(self[begin:end])

    def replaceAll(self, pattern: str, new: str) -> "Text":  # noqa: N802
        pattern = pattern.replace("\\", "\\\\")  # airspeed takes two of these for one, Velocity for what they are
        return Text(re.sub(pattern, lambda _: new, self))

    def contains(self, part: str) -> bool:
        return part in self


class Listed(list):
    def size(self) -> int:
        return len(self)


class AsSent(dict):
    """An event that `$input.json` gives letter by letter."""

    def __init__(self, text: str):
        super().__init__(json.loads(text))
        self.text = text


class Input:
    def __init__(self, body, query: dict):
        self.body, self.query = body, query

    def at(self, path: str):
        """What a path of dots and one index finds. A path that finds nothing is null."""
        found = self.body
        for part in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path.removeprefix("$")):
            name, index = part
            try:
                found = found[int(index)] if index else found.get(name)
            except (AttributeError, IndexError, KeyError, TypeError):
                return None
        return found

    def path(self, path: str):
        found = self.at(path)
        return Listed(found) if isinstance(found, list) else Text(found) if isinstance(found, str) else found

    def json(self, path: str) -> Text:
        found = self.at(path)
        return Text(found.text if isinstance(found, AsSent) else json.dumps(found, ensure_ascii=False, separators=(",", ":")))

    def params(self, name: str) -> Text:
        return Text(self.query.get(name, ""))


class Util:
    def base64Encode(self, text) -> Text:  # noqa: N802
        return Text(base64.b64encode(str(text).encode()).decode())

    def escapeJavaScript(self, text) -> Text:  # noqa: N802
        """As Apache Commons does it, the apostrophe and the slash too, which are no letters that JSON escapes so or has to."""
        named = {"'": "\\'", '"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r"}
        out = ""
        for sign in str(text):
            units = sign.encode("utf-16-be")
            hexed = "".join(f"\\u{int.from_bytes(units[at : at + 2]):04X}" for at in range(0, len(units), 2))
            out += named.get(sign) or (sign if " " <= sign <= "~" else hexed)
        return Text(out)


def run(template: str, body, query=None, agent="curl/8.5.0") -> tuple:
    """The text that a template makes, and what it set of the answer."""
    override = {"header": {}}
    context = {
        "requestId": Text("request-1"), "requestTimeEpoch": 1795179907250,
        "identity": {"sourceIp": Text("203.0.113.77"), "userAgent": Text(agent), "apiKeyId": Text("a1b2c3d4e5")},
        "responseOverride": override,
    }  # fmt: skip
    template = template.replace("header.Retry-After", "header.RetryAfter")  # airspeed knows no hyphen in a name, Velocity does
    text = airspeed.Template(template).merge({"input": Input(body, query or {}), "util": Util(), "context": context})
    return text, override


# ---- The template ----


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what stands behind them."""


Loader.add_multi_constructor("!", lambda loader, _, node: node.value)


def templates() -> tuple:
    resources = yaml.load((ROOT / "template.yaml").read_text(), Loader)["Resources"]
    integration = resources["Rest"]["Properties"]["DefinitionBody"]["paths"]["/events"]["post"]["x-amazon-apigateway-integration"]
    request = integration["requestTemplates"]["application/json"]
    left = set(re.findall(r"\$\{[^}]*}", request)) - {"${RawStream}"}
    assert not left, f"CloudFormation would replace {left}"
    answers = {code: answer["responseTemplates"]["application/json"] for code, answer in integration["responses"].items()}
    return request.replace("${RawStream}", STREAM), answers


# ---- What has to hold ----

KINESIS = botocore.session.get_session().get_service_model("kinesis")


def put(template: str, events: list, **more) -> list:
    """The records of a request: (partition key, the event as the transform reads it)."""
    text, _ = run(template, events, **more)
    request = json.loads(text)
    for record in request["Records"]:
        record["Data"] = base64.b64decode(record["Data"], validate=True)
    report = ParamValidator().validate(request, KINESIS.operation_model("PutRecords").input_shape)
    assert not report.has_errors(), report.generate_report()
    assert request["StreamName"] == STREAM
    return [(record["PartitionKey"], json.loads(record["Data"])) for record in request["Records"]]


def check_request(template: str) -> None:
    stamped = {"ip": "203.0.113.77", "userAgent": "curl/8.5.0", "receivedAt": 1795179907250, "tenant": "a1b2c3d4e5", "webhook": None}
    for event, key in [
        ({"id": "e1", "price": 80}, "e1"),
        ({"id": 7}, "7"),
        ({"id": None, "n": [1, {"a": "}"}]}, "request-1"),
        ({"text": 'a "quoted" \\ one, ünïcödé 😀\n$input.json(1) #set($x = 1)'}, "request-1"),
        ({"id": "it's \"é\" \\"}, "it's \"é\" \\"),
    ]:
        assert put(template, [event]) == [(key, event | stamped)], event
    claimed = {"id": "e1", "tenant": "another", "receivedAt": "never", "ip": "198.51.100.1", "userAgent": "own"}
    [(_, event)] = put(template, [claimed])
    assert event == {**claimed, "tenant": stamped["tenant"], "receivedAt": stamped["receivedAt"], "webhook": None}, event
    # Nothing but a verified webhook is one, however the name is written, and whether API Gateway reads and writes the event or not.
    for claim in ['"webhook":{"source":"stripe"}', r'"\u0077ebhook":{"source":"stripe"}', r'"webhook":1,"\u0077ebhook":{"source":"stripe"},"webhook":[]']:
        for written in (json.loads, AsSent):
            [(_, event)] = put(template, [written('{"id":"e1",' + claim + "}")])
            assert event == {"id": "e1"} | stamped, event
    [(_, event)] = put(template, [{"id": "e1"}], agent='it\'s "Mozilla"\\5.0 (é)')
    assert event["userAgent"] == 'it\'s "Mozilla"\\5.0 (é)', event
    many = put(template, [{"id": f"e{n}"} for n in range(500)])
    assert [key for key, _ in many] == [f"e{n}" for n in range(500)]
    assert {key for key, _ in put(template, [{"id": "a"}, {"id": "b"}], query={"key": "it's me"})} == {"it's me"}


def check_answers(answers: dict) -> None:
    taken = {"SequenceNumber": "49543463076548007577105092703039560359975228518395012686", "ShardId": "shardId-000000000000"}
    throttled = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
    reason = "the stream is at its limit: send it again"
    for records, status, body in [
        ([taken], None, {"accepted": 1, "rejected": []}),
        ([taken, throttled, taken, throttled], None, {"accepted": 2, "rejected": [{"index": n, "reason": reason} for n in (1, 3)]}),
        ([throttled, throttled], 429, "urn:millrace:problem:busy"),
    ]:
        failed = sum("ErrorCode" in record for record in records)
        text, override = run(answers["default"], {"FailedRecordCount": failed, "EncryptionType": "KMS", "Records": records})
        answer = json.loads(text)
        assert (answer if status is None else answer["type"]) == body, answer
        assert override.get("status") == status and override["header"] == ({"RetryAfter": "2"} if status else {}), override
    for code, error, status, name in [
        (r"4\d{2}", {"__type": "ProvisionedThroughputExceededException", "message": "Rate exceeded"}, 429, "busy"),
        (r"4\d{2}", {"__type": "ValidationException", "message": "1 validation error: ann@example.com"}, None, "bad-body"),
        (r"4\d{2}", {}, None, "bad-body"),
        (r"5\d{2}", {"__type": "InternalFailure"}, None, "unavailable"),
    ]:
        text, override = run(answers[code], error)
        assert json.loads(text)["type"] == f"urn:millrace:problem:{name}", text
        assert override.get("status") == status and "ann@" not in text, override


def main() -> int:
    request, answers = templates()
    check_request(request)
    check_answers(answers)
    print("the REST API's templates make requests that Kinesis takes, and answers of its own")
    return 0


if __name__ == "__main__":
    sys.exit(main())
