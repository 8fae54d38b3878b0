"""Runs what in template.yaml makes a record of RawStream without a function, and what the local AWS cannot run.

The mapping templates of the REST API API Gateway runs as Velocity. Here airspeed does, with `$input`, `$util` and `$context` as API Gateway
documents them, and botocore says whether what comes out is a PutRecords request. Its model is JSON Schema, draft 4. The parameters of /v1/raw,
and the rule of the devices, are read as far as they go, and refused where they go further.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-reference.html
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
"""

import base64
import json
import re
import sys
from pathlib import Path

import airspeed
import botocore.session
import jsonschema
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


def behind(loader, _, node):
    if isinstance(node, yaml.ScalarNode):
        return node.value
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", behind)


def templates(resources: dict) -> tuple:
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


def check_model(definition: dict) -> None:
    """What the REST API lets in before its template runs: an array of 1 to 500 objects that are not empty."""
    post = definition["paths"]["/events"]["post"]
    assert definition["x-amazon-apigateway-request-validators"][post["x-amazon-apigateway-request-validator"]]["validateRequestBody"]
    assert post["requestBody"]["required"], "no body at all is one that nobody validates"
    # Another content type has neither a model nor a template, and no template is 415.
    assert list(post["requestBody"]["content"]) == ["application/json"]
    assert post["x-amazon-apigateway-integration"]["passthroughBehavior"] == "never"
    name = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    model = definition["components"]["schemas"][name]
    jsonschema.Draft4Validator.check_schema(model)
    takes = jsonschema.Draft4Validator(model).is_valid
    event = {"id": "e1"}
    for body in ([event], [event] * 500, [{"a": None}]):
        assert takes(body), len(body)
    for body in ([], [event] * 501, event, "text", 7, None, [event, 7], [event, None], [[event]], [{}], ["e1"]):
        assert not takes(body), body


def check_raw(integration: dict) -> None:
    """POST /v1/raw: a body of two texts becomes a PutRecord request, and one that lacks a text none."""
    assert integration["IntegrationType"] == "AWS_PROXY" and integration["IntegrationSubtype"] == "Kinesis-PutRecord", integration
    assert integration["PayloadFormatVersion"] == "1.0", "an integration with a service knows no other"
    parameters = integration["RequestParameters"]
    wanted, more = {"StreamName", "Data", "PartitionKey"}, {"SequenceNumberForOrdering", "ExplicitHashKey", "Region"}
    assert wanted <= parameters.keys() <= wanted | more, parameters.keys()

    def put(text: str) -> dict | None:
        """The request, or none: where a parameter that has to be there is not, API Gateway answers 400."""
        try:
            body = json.loads(text)
        except ValueError:
            return None
        request = {}
        for name, value in parameters.items():
            if path := re.fullmatch(r"\$request\.body\.(\w+)", value):
                value = body.get(path[1]) if isinstance(body, dict) else None
            assert not str(value).startswith("$"), f"{name} is mapped from {value}, which nobody reads here"
            if value is None:
                return None
            request[name] = value
        # Kinesis reads it as base64, and refuses what is none.
        try:
            request["Data"] = base64.b64decode(request["Data"], validate=True)
        except (TypeError, ValueError):
            return None
        report = ParamValidator().validate(request, KINESIS.operation_model("PutRecord").input_shape)
        return None if report.has_errors() else request

    event = b'{"id":"e1"}'
    good = {"key": "user-1", "data": base64.b64encode(event).decode()}
    assert put(json.dumps(good)) == {"StreamName": "RawStream", "PartitionKey": "user-1", "Data": event}
    assert put(json.dumps(good | {"StreamName": "another", "PartitionKey": "x"}))["StreamName"] == "RawStream"
    for body in ("", "{}", "[]", "null", "7", '"text"', "[" + json.dumps(good) + "]", "{"):
        assert put(body) is None, body
    for wrong in ({"key": ""}, {"key": None}, {"key": 7}, {"key": {}}, {"data": None}, {"data": 7}, {"data": "no base64!"}, {"data": "e30"}):
        assert put(json.dumps(good | wrong)) is None, wrong
    for lacking in good:
        assert put(json.dumps({name: text for name, text in good.items() if name != lacking})) is None, lacking


def check_devices(rule: dict, topics: str) -> None:
    """The rule of the devices: what it says of a message stands over what the message says, and orders by device."""
    payload = rule["TopicRulePayload"]
    assert payload["AwsIotSqlVersion"] == "2016-03-23" and payload["RuleDisabled"] is False
    message = {"topic": "a/b", "clientid": "th-1", "timestamp": 1795179907250}
    sql = payload["Sql"].replace("${DeviceTopics}", topics)
    parts = re.fullmatch(r"SELECT \*, (.+) FROM '([^']+)'", sql)
    assert parts and parts[2] == topics and "${" not in sql, sql

    def value(expression: str):
        call = re.fullmatch(r"(topic|clientid|timestamp)\(\)", expression)
        assert call or expression == "NULL", f"{expression} is none of the rule's functions"
        return message[call[1]] if call else None

    told = {name: value(expression) for expression, name in re.findall(r"(\S+) AS (\w+)", parts[1])}
    assert len(told) == parts[1].count(",") + 1, sql
    assert told == {"topic": "a/b", "clientId": "th-1", "receivedAt": 1795179907250, "webhook": None}, told
    _, kinesis, _ = payload["Actions"][0]
    key = re.fullmatch(r"\$\{(.+)\}", kinesis["Kinesis"]["PartitionKey"])
    assert key and value(key[1]) == "th-1", kinesis
    assert kinesis["Kinesis"]["StreamName"] == "RawStream"
    assert payload["ErrorAction"]["Sqs"] == {"QueueUrl": "InboxQueue", "RoleArn": "DeviceRole.Arn", "UseBase64": False}


def main() -> int:
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader)
    resources = template["Resources"]
    request, answers = templates(resources)
    check_request(request)
    check_answers(answers)
    check_model(resources["Rest"]["Properties"]["DefinitionBody"])
    check_raw(resources["RawIntegration"]["Properties"])
    check_devices(resources["DeviceRule"]["Properties"], template["Parameters"]["DeviceTopics"]["Default"])
    print("what comes without a function is what Kinesis takes: by the REST API, which answers of its own, by /v1/raw, and from devices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
