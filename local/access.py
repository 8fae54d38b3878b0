"""Every route with no, a wrong, an expired, another tenant's and a right credential, against the stack on this machine.

Deploys with Access=keys and makes its keys with `millrace keys`, then deploys the same stack with Access=jwt, where tokens come from the stack's
own Cognito pool and from an issuer that this plays. Who came in is looked up in RawStream: the tenant on each event. Exit code 0 only if
each answer is the one expected.
"""

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import secrets
import signal
import time
import urllib.parse

import answers
import chaos
import demo
import stack
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from stack import Failed, step

ORIGIN = "https://shop.example.com"
AUDIENCE = "millrace"
# What looks at no credential, whoever may come in: of webhooks the signature counts, and these have none.
OPEN = [("GET /v1/health", 200), ("POST /v1/webhooks/github", 401)]
NO_RAW_HERE = 502  # the local AWS has no integration with Kinesis: it let the request through

NUMBERS = itertools.count(1)


def main() -> int:
    with stack.by_itself():
        outputs = stack.up(Access="keys", RawRoute="false", CorsOrigins=ORIGIN)
        with step("write keys"):
            rows = keys(outputs)
        with step("deploy with Access=jwt"):
            outputs = stack.deploy(outputs["EndpointUrl"], Access="jwt", CorsOrigins=ORIGIN)
        with step("tokens"):
            rows += tokens(outputs)
        return show(rows)


def show(rows: list) -> int:
    demo.table(["access", "credential", "route", "answered", "expected"], rows)
    wrong = [row for row in rows if row[3] != row[4]]
    print(f"\n{len(rows) - len(wrong)} of {len(rows)} answers are as expected")
    return 1 if wrong else 0


# ---- Write keys ----


def keys(outputs: dict) -> list:
    """What is answered to each key."""
    made = {tenant: millrace(outputs, "create", "--tenant", tenant) for tenant in ("acme", "globex")}
    revoked = millrace(outputs, "create", "--tenant", "acme", "--note", "to be revoked")
    small = millrace(outputs, "create", "--tenant", "acme", "--quota", "2", "--days", "1")
    listed = millrace(outputs, "ls")
    if any(key in listed for key in (*made.values(), revoked, small)) or listed.count("acme") != 3:
        raise Failed(f"`millrace keys ls` shows:\n{listed}")
    bearer = lambda key: {"Authorization": f"Bearer {key}"}  # noqa: E731
    rows = [
        ask(outputs, "keys", who, route, headers, expected)
        for route, who, headers, expected in [
            *((route, "no key", {}, status) for route, status in OPEN),
            *((route, "a wrong key", bearer("wrong"), status) for route, status in OPEN),
            *((route, "the key of acme", bearer(made["acme"]), status) for route, status in OPEN),
            ("POST /v1/events", "no key", {}, 401),
            ("POST /v1/events", "a wrong key", bearer("wrong"), 401),
            ("POST /v1/events", "an unknown key", bearer(f"mw_{secrets.token_urlsafe(32)}"), 401),
            ("POST /v1/events", "an expired key", bearer(make_key(outputs, expires_at=int(time.time()) - 1)), 401),
            ("POST /v1/events", "the key of globex", bearer(made["globex"]), (202, "globex")),
            ("POST /v1/events", "the key of acme", bearer(made["acme"]), (202, "acme")),
            ("POST /v1/events", "x-write-key", {"X-Write-Key": made["acme"]}, (202, "acme")),
            ("POST /v1/events", "Basic", {"Authorization": f"Basic {encoded(made['acme'] + ':')}"}, (202, "acme")),
            (f"POST /v1/events?writeKey={made['acme']}", "the query", {}, (202, "acme")),
            ("POST /v1/events", "a key before it is revoked", bearer(revoked), (202, "acme")),
            ("POST /v1/events", "a quota of 2, first", bearer(small), (202, "acme")),
            ("POST /v1/events", "a quota of 2, second", bearer(small), (202, "acme")),
            ("POST /v1/events", "a quota of 2, third", bearer(small), 429),
        ]
    ]
    millrace(outputs, "revoke", hashlib.sha256(revoked.encode()).hexdigest()[:12])
    for pid in chaos.functions():  # a new instance knows of it at once, a warm one within a minute
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    rows.append(ask(outputs, "keys", "a revoked key", "POST /v1/events", bearer(revoked), 401))
    return rows + browsers(outputs, "keys", bearer(made["acme"]))


def millrace(outputs: dict, command: str, *more: str) -> str:
    """What `millrace keys` says."""
    env = {**stack.client_environment(outputs["EndpointUrl"]), "AWS_REGION": outputs["Region"]}
    return stack.millrace("keys", command, "--table", outputs["KeysTable"], *more, env=env)


def make_key(outputs: dict, **more: int) -> str:
    """A key with a quota, as `millrace keys create` makes it, and with what that does not make."""
    key = f"mw_{secrets.token_urlsafe(32)}"
    item = {"id": {"S": f"key/{hashlib.sha256(key.encode()).hexdigest()}"}, "tenant": {"S": "acme"}, "enabled": {"BOOL": True}}
    numbers = {"created": int(time.time()), "quota": 1_000_000, **more}
    item |= {name: {"N": str(number)} for name, number in numbers.items()}
    stack.client(outputs["EndpointUrl"], "dynamodb").put_item(TableName=outputs["KeysTable"], Item=item)
    return key


# ---- Tokens ----


def tokens(outputs: dict) -> list:
    """What is answered to each token: of the stack's own pool, and then of an issuer that the authorizer is told to take."""
    pool = stack.client(outputs["EndpointUrl"], "cognito-idp")
    secret = pool.describe_user_pool_client(UserPoolId=outputs["UserPool"], ClientId=outputs["ClientId"])["UserPoolClient"]["ClientSecret"]
    right = cognito_token(outputs, outputs["ClientId"], secret)
    bearer = lambda token: {"Authorization": f"Bearer {token}"}  # noqa: E731
    head, claims, signature = right.split(".")
    forged = json.loads(decoded(claims)) | {"client_id": "globex"}
    wrong = ".".join([head, url_encoded(json.dumps(forged).encode()), signature])
    rows = [
        ask(outputs, "jwt", who, route, headers, expected)
        for route, who, headers, expected in [
            *((route, "no token", {}, status) for route, status in OPEN),
            *((route, "Cognito's token", bearer(right), status) for route, status in OPEN),
            ("POST /v1/events", "no token", {}, 401),
            ("POST /v1/events", "a forged token", bearer(wrong), 401),
            ("POST /v1/events", "Cognito's token", bearer(right), (202, outputs["ClientId"])),
            ("POST /v1/raw", "no token", {}, 401),
            ("POST /v1/raw", "Cognito's token for events", bearer(right), 403),
        ]
    ]
    rows += browsers(outputs, "jwt", bearer(right))
    with Issuer() as issuer:
        apis = stack.client(outputs["EndpointUrl"], "apigatewayv2")
        api = next(api["ApiId"] for api in apis.get_apis()["Items"] if outputs["ApiUrl"].split("//")[1].startswith(api["ApiId"]))
        authorizer = apis.get_authorizers(ApiId=api)["Items"][0]["AuthorizerId"]
        taken = {"Issuer": issuer.url, "Audience": [AUDIENCE]}
        apis.update_authorizer(ApiId=api, AuthorizerId=authorizer, JwtConfiguration=taken)
        now, events = int(time.time()), "millrace/events.write"
        token = lambda **claims: bearer(issuer.token({"exp": now + 600, "scope": events, "client_id": "acme", **claims}))  # noqa: E731
        rows += [
            ask(outputs, "jwt", who, route, headers, expected)
            for route, who, headers, expected in [
                ("POST /v1/events", "an expired token", token(exp=now - 600), 401),
                ("POST /v1/events", "a token for others", token(aud="another"), 401),
                ("POST /v1/events", "a token of others", token(iss="https://elsewhere.example.com"), 401),
                ("POST /v1/events", "a token without the scope", token(scope="millrace/raw.write"), 403),
                ("POST /v1/events", "a token that names no tenant", token(client_id="ann@example.com"), 403),
                ("POST /v1/events", "the token of globex", token(client_id="globex"), (202, "globex")),
                ("POST /v1/events", "the token of acme", token(), (202, "acme")),
                ("POST /v1/raw", "a token for events", token(), 403),
                ("POST /v1/raw", "a token for raw", token(scope="millrace/raw.write"), NO_RAW_HERE),
            ]
        ]
    return rows


def cognito_token(outputs: dict, client: str, secret: str) -> str:
    body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "millrace/events.write"})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {encoded(f'{client}:{secret}')}"}
    # On AWS this is the output TokenUrl.
    status, answer = request(outputs["EndpointUrl"], "POST", "/oauth2/token", body.encode(), headers)
    if status != 200:
        raise Failed(f"the pool gives no token: {status} {answer[:300]!r}")
    return json.loads(answer)["access_token"]


class Issuer:
    """An issuer of tokens: its key, and where it is looked up."""

    def __enter__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.key.public_key().public_numbers()
        whole = lambda number: url_encoded(number.to_bytes((number.bit_length() + 7) // 8))  # noqa: E731
        jwks = {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k", "n": whole(numbers.n), "e": whole(numbers.e)}]}

        def answer(path: str, _headers, _body: bytes) -> tuple:
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"} if "openid-configuration" in path else jwks

        server = answers.Server(answer)
        self.server, self.url = server.server, server.url
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def token(self, claims: dict) -> str:
        claims = {"iss": self.url, "aud": AUDIENCE, "iat": int(time.time()) - 700, **claims}
        signed = ".".join(url_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k"}, claims))
        return f"{signed}.{url_encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


# ---- Requests ----


def ask(outputs: dict, access: str, who: str, route: str, headers: dict, expected) -> list:
    """A row: what a route answers, and with which tenant the event got into the stream."""
    number = f"access-{next(NUMBERS)}"
    method, path = route.split(" ")
    event = {"id": number, "eventType": "view", "timestamp": time.time(), "tenant": "claimed"}
    if path == "/v1/raw":
        event = {"data": encoded(json.dumps(event)), "key": number}
    body = json.dumps(event).encode() if method == "POST" else b""
    status, answer = request(outputs["ApiUrl"], method, path, body, {"Content-Type": "application/json", **headers})
    found = [event["tenant"] for event in raw_events(outputs) if event.get("id") == number]
    answered = (status, *found) if found else status
    shown = lambda told: " as ".join(map(str, told)) if isinstance(told, tuple) else str(told)  # noqa: E731
    if "@example.com" in answer.decode(errors="replace"):
        raise Failed(f"the answer repeats what was sent: {answer!r}")
    return [access, who, f"{method} {path.split('?')[0]}", shown(answered), shown(expected)]


def browsers(outputs: dict, access: str, headers: dict) -> list:
    """What a page of one origin may do, and one of another."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    rows = []
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://elsewhere.example.net", None)):
        for method, more in (("OPTIONS", asked), ("POST", headers)):
            event = json.dumps({"id": f"access-{next(NUMBERS)}"}).encode()
            found = request(outputs["ApiUrl"], method, "/v1/events", event, {"Origin": origin, **more}, answered="Access-Control-Allow-Origin")
            who = "a page of the origin" if allowed else "a page of another origin"
            rows.append([access, who, f"{method} /v1/events", f"allows {found}", f"allows {allowed}"])
    return rows


def request(url: str, method: str, path: str, body: bytes, headers: dict, answered: str | None = None):
    """Status and body of an answer, or one of its headers."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Host": place.netloc, **headers})
        answer = connection.getresponse()
        return answer.headers.get(answered) if answered else (answer.status, answer.read())


def raw_events(outputs: dict) -> list:
    kinesis = stack.client(outputs["EndpointUrl"], "kinesis")
    found = []
    for shard in kinesis.list_shards(StreamName=outputs["RawStream"])["Shards"]:
        begin = {"StreamName": outputs["RawStream"], "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        page = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**begin)["ShardIterator"])
        found += [json.loads(line) for record in page["Records"] for line in record["Data"].splitlines()]
    return found


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def url_encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    stack.main_guard(main)
