"""Takes each permission of each function away in turn, and sees that what needs it fails.

The stack is up as `make up` makes it, with IAM enforced, and its event source mappings and the inbox's rule stand still. Each function is called by
itself, in a new process, with an event that leads it to the call in question: first with all it may do, when it has to
succeed, then without the one action, when it has to fail. A permission whose loss nobody notices is one too many.

The stack reads files by the queue first, for what `files` may do only there, and then as everywhere else. A statement of template.yaml that
neither way deploys is an error.

What the local AWS does not ask IAM for is listed at the end, with the reason. Exit code 0 only if all others were shown.
"""

import base64
import contextlib
import copy
import itertools
import json
import os
import re
import signal
import time
from datetime import UTC, datetime

import access
import answers
import chaos
import demo
import feed
import stack
from stack import Failed, step

# By statement: whose call it is, if not the function's.
NOT_ASKED = {
    "Log": "the local AWS writes the logs itself",
    "Trace": "the local AWS has no X-Ray",
    "Gone": "the local AWS says 404 of an object that is gone to whoever may read it",
    "SpillRest": "the local AWS refuses no part of a call",
    "Part": "no record kills a function here",
    "DeadLetter": "the local AWS has no OnFailure destination of Kinesis",
    "Consume": "the local AWS reads for the event source mapping without the role",
}
ASKED = {("redrive", "Consume")}  # its own calls
# By resource: what a service may do, and who may send to a queue, a topic or a bucket.
NOT_FUNCTIONS = {
    "RawRouteRole": "the local AWS calls no stream from an HTTP API",
    "RestRole": "the local AWS calls no stream from a REST API",
    **dict.fromkeys(["DeviceRole", "FilesRuleRole", "FilesStateMachineRole", "DeliveryRole"], "the local AWS acts without the role"),
    **dict.fromkeys(["InboxQueuePolicy", "FilesQueuesPolicy", "FilesTopicPolicy"], "the local AWS delivers to whom it is told"),
    **dict.fromkeys(
        [f"{bucket}BucketPolicy" for bucket in ("Lake", "Delivery", "Quarantine", "Inbox", "AthenaResults")], "the local AWS speaks plain HTTP"
    ),
}
GONE_WITHIN_S = 10
TIMEOUT_S = 6  # what is denied is tried again until there is no time left
FREE_WITHIN_S = 25  # a lane that an attempt left behind: its time, and a grace


def main() -> int:
    with stack.by_itself():
        pages, told = feed.Feed([[]]), Told()
        outputs = stack.up(Access="keys", RawRoute="false", FilesMode="queue")
        with step("permissions of files by the queue"):
            stage = Stage(outputs, pages)
            stage.try_each(stage.ways_by_queue(), told)
        outputs = feed.deployed(outputs, pages.url, "rate(1 day)", Access="keys", RawRoute="false")
        with step("permissions"):
            stage = Stage(outputs, pages)
            stage.try_each(stage.ways(), told)
            stage.try_conditions(told)
        return told.show()


class Told:
    """What was found out."""

    def __init__(self):
        self.rows, self.wrong, self.not_asked = [], [], []
        self.seen, self.done = set(), set()

    def show(self) -> int:
        named = list(statements())
        self.wrong += [f"{function}, {action} ({sid}): no way leads there" for function, sid, action in sorted(self.seen - self.done)]
        deployed = {(f"{function.capitalize()}Role", sid) for function, sid, _ in self.seen}
        own = [(resource, sid) for resource, sid in named if resource not in NOT_FUNCTIONS]
        self.wrong += [f"{resource}, {sid}: nothing here deploys it" for resource, sid in own if (resource, sid) not in deployed]
        demo.table(["function", "action", "without it something fails"], self.rows)
        print("\nnot shown here:")
        others = [[resource, sid, NOT_FUNCTIONS[resource]] for resource, sid in named if resource in NOT_FUNCTIONS]
        demo.table(["who", "action or statement", "why"], [*self.not_asked, *others])
        print()
        for line in self.wrong:
            print(f"error: {line}")
        needed = sum(row[-1] == "needed" for row in self.rows)
        print(f"{needed} of {len(self.rows)} permissions are needed, each seen to fail without it; {len(self.not_asked)} of functions are not shown")
        return 1 if self.wrong else 0


def statements():
    """Each statement of template.yaml, by its resource and its name, whatever its condition."""
    resource = None
    for line in (stack.ROOT / "template.yaml").read_text().splitlines():
        if found := re.fullmatch(r"  (\w+):", line):
            resource = found[1]
        if found := re.search(r"\bSid: (\w+)", line):
            yield resource, found[1]


class Stage:
    """The stack that is up, and how each of its functions is led to each of its calls."""

    def __init__(self, outputs: dict, pages: feed.Feed):
        self.outputs = outputs
        self.feed = pages
        services = ("cloudformation", "dynamodb", "iam", "kinesis", "lambda", "s3", "sqs")
        self.aws = {service: stack.client(outputs["EndpointUrl"], service) for service in services}
        resources = self.aws["cloudformation"].describe_stack_resources(StackName="millrace-local")["StackResources"]
        self.names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        for mapping in self.aws["lambda"].list_event_source_mappings()["EventSourceMappings"]:
            self.aws["lambda"].update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        stack.client(outputs["EndpointUrl"], "events").disable_rule(Name=self.names["FilesRule"])
        for function in ("transform", "changes", "metrics", "files", "lake"):
            name = self.names[f"{function.capitalize()}Function"]
            self.aws["lambda"].update_function_configuration(FunctionName=name, Timeout=TIMEOUT_S)
        # `review` keeps a quarter of a minute for what was answered.
        review = self.names["ReviewFunction"]
        variables = self.aws["lambda"].get_function_configuration(FunctionName=review)["Environment"]["Variables"]
        environment = {"Variables": variables | {"CHECK_URL": holds_all()}}
        self.aws["lambda"].update_function_configuration(FunctionName=review, Timeout=TIMEOUT_S + 15, Environment=environment)
        self.numbers = itertools.count(1)
        self.key = access.make_key(outputs)

    # ---- Each permission ----

    def try_each(self, ways: dict, told: Told) -> None:
        """Takes away what these ways lead to."""
        for function in stack.FUNCTIONS:
            for sid, action in self.permissions(function):
                permission = function, sid, action
                is_new = permission not in told.seen
                told.seen.add(permission)
                if sid in NOT_ASKED and (function, sid) not in ASKED:
                    told.not_asked += [[function, action, NOT_ASKED[sid]]] if is_new else []
                    told.done.add(permission)
                elif way := ways.pop(permission, None):
                    why = self.try_without(*permission, *way)
                    told.rows.append([function, action, why or "needed"])
                    told.wrong += [f"{function}, {action} ({sid}): {why}"] if why else []
                    told.done.add(permission)
        told.wrong += [f"{way} is in no policy" for way in ways]

    def try_conditions(self, told: Told) -> None:
        for function, sid, drive in (
            ("ingest", "Ask", self.ingest), ("ingest", "Count", self.ingest), ("webhooks", "Remember", self.webhook_again),
            ("transform", "Remember", self.transform), ("files", "Remember", self.files), ("lake", "Remember", self.lake),
            ("review", "Remember", self.review), ("pull", "Remember", self.pull),
        ):  # fmt: skip
            condition = f"dynamodb:LeadingKeys ({sid})"
            if self.is_condition_asked(function, sid, drive):
                told.rows.append([function, condition, "needed"])
            else:
                told.not_asked.append([function, condition, "the local AWS does not know this condition"])

    def permissions(self, function: str) -> list:
        """None of one that is not deployed."""
        statements = self.policy(function)["Statement"] if f"{function.capitalize()}Role" in self.names else []
        return [(each["Sid"], action) for each in statements for action in listed(each["Action"])]

    def try_without(self, function: str, sid: str, action: str, drive, meanwhile=contextlib.nullcontext) -> str | None:
        """What is wrong, if it does not need the action."""
        with meanwhile():
            if told := self.fresh(drive):
                return f"fails with it, too: {told}"
            with self.without(function, sid, action):
                return None if self.fresh(drive) else "works without it"

    def is_condition_asked(self, function: str, sid: str, drive) -> bool:
        """Whether it matters which keys of a table a function may have to do with."""
        with self.changed(function, sid, Condition={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["another/*"]}}):
            return self.fresh(drive) is not None

    def fresh(self, drive) -> str | None:
        """Drives functions in new processes, which know no secret and no state of those before them."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while running := chaos.functions():
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Failed("processes of functions do not end")
            time.sleep(0.05)
        return drive()

    def without(self, function: str, sid: str, action: str):
        statement = next(each for each in self.policy(function)["Statement"] if each["Sid"] == sid)
        return self.changed(function, sid, Action=[other for other in listed(statement["Action"]) if other != action])

    @contextlib.contextmanager
    def changed(self, function: str, sid: str, **changes):
        """A statement of a function's policy is another one for a while; without actions it is none."""
        whole = self.policy(function)
        other = copy.deepcopy(whole)
        for statement in other["Statement"]:
            statement |= changes if statement["Sid"] == sid else {}
        other["Statement"] = [statement for statement in other["Statement"] if statement["Action"]]
        self.put_policy(function, other)
        try:
            yield
        finally:
            self.put_policy(function, whole)

    def policy(self, function: str) -> dict:
        role = self.names[f"{function.capitalize()}Role"]
        return self.aws["iam"].get_role_policy(RoleName=role, PolicyName=function)["PolicyDocument"]

    def put_policy(self, function: str, policy: dict) -> None:
        role = self.names[f"{function.capitalize()}Role"]
        self.aws["iam"].put_role_policy(RoleName=role, PolicyName=function, PolicyDocument=json.dumps(policy))

    # ---- What leads where ----

    def ways(self) -> dict:
        put = ("Put", "kinesis:PutRecords")
        ways = {
            ("ingest", *put): (self.ingest_unspilled,),
            ("ingest", "Spill", "sqs:SendMessage"): (self.ingest, lambda: self.without("ingest", *put)),
            ("webhooks", *put): (self.webhook_unspilled,),
            ("webhooks", "Spill", "sqs:SendMessage"): (self.webhook, lambda: self.without("webhooks", *put)),
            ("webhooks", "Secrets", "secretsmanager:GetSecretValue"): (self.webhook,),
            ("webhooks", "Remember", "dynamodb:Query"): (self.webhook_again,),
            ("webhooks", "Remember", "dynamodb:PutItem"): (self.webhook_again,),
            ("ingest", "Ask", "dynamodb:GetItem"): (self.ingest,),
            ("ingest", "Count", "dynamodb:UpdateItem"): (self.ingest,),
            ("drain", *put): (self.drain,),
            ("queue", *put): (self.queue,),
            ("pull", *put): (self.pull,),
            ("pull", "Remember", "dynamodb:Query"): (self.pull,),
            ("pull", "Remember", "dynamodb:PutItem"): (self.pull,),
            ("pull", "Token", "secretsmanager:GetSecretValue"): (self.pull,),
            ("transform", *put): (self.transform,),
            ("transform", "Quarantine", "s3:PutObject"): (self.transform_bad,),
            ("transform", "Key", "secretsmanager:GetSecretValue"): (self.transform,),
            ("transform", "Remember", "dynamodb:Query"): (self.transform,),
            ("transform", "Remember", "dynamodb:PutItem"): (self.transform,),
            ("changes", *put): (self.changes,),
            ("changes", "Quarantine", "s3:PutObject"): (self.changes_bad,),
            ("changes", "Key", "secretsmanager:GetSecretValue"): (self.changes,),
            ("metrics", "Put", "dynamodb:UpdateItem"): (self.metrics,),
            ("metrics", "Put", "dynamodb:Query"): (self.metrics_again,),
            ("metrics", "Key", "secretsmanager:GetSecretValue"): (self.metrics,),
            ("files", "Read", "s3:GetObject"): (self.files,),
            ("files", "Tell", "s3:PutObject"): (self.files,),
            ("files", *put): (self.files,),
            ("files", "Quarantine", "s3:PutObject"): (self.files_bad,),
            ("files", "Key", "secretsmanager:GetSecretValue"): (self.files,),
            ("files", "Remember", "dynamodb:Query"): (self.files,),
            ("files", "Remember", "dynamodb:PutItem"): (self.files,),
            ("lake", "Put", "s3:PutObject"): (self.lake,),
            ("lake", "Put", "s3:DeleteObject"): (self.lake_supersedes,),
            ("lake", "Remember", "dynamodb:Query"): (self.lake,),
            ("lake", "Remember", "dynamodb:PutItem"): (self.lake,),
            ("lake", "Quarantine", "s3:PutObject"): (self.lake_bad,),
            ("firehose", "Key", "secretsmanager:GetSecretValue"): (self.firehose,),
            ("review", "Hold", "sqs:SendMessage"): (self.review,),
            ("review", "Remember", "dynamodb:Query"): (self.review,),
            ("review", "Remember", "dynamodb:PutItem"): (self.review,),
            ("review", "Quarantine", "s3:PutObject"): (self.review_bad,),
            ("redrive", "SpillAgain", "sqs:SendMessage"): (self.redrive_spilled,),
            ("redrive", "Quarantine", "s3:PutObject"): (self.redrive_forgotten,),
            ("redrive", "Consume", "sqs:ChangeMessageVisibility"): (self.redrive_looks,),
        }
        for sid, action in [
            ("Consume", "sqs:ReceiveMessage"),
            ("Consume", "sqs:DeleteMessage"),
            ("ReadAgain", "kinesis:GetShardIterator"),
            ("ReadAgain", "kinesis:GetRecords"),
            ("Call", "lambda:InvokeFunction"),
        ]:
            ways["redrive", sid, action] = (self.redrive,)
        for action in ("dynamodb:GetShardIterator", "dynamodb:GetRecords"):
            # The local AWS does not see of which table a stream is, and takes any for `*`.
            anywhere = lambda: self.changed("redrive", "ReadTableAgain", Resource="*")  # noqa: E731
            ways["redrive", "ReadTableAgain", action] = (self.redrive_table, anywhere)
        return ways

    def ways_by_queue(self) -> dict:
        """What leads to the one call of `files` that the state machine makes needless."""
        return {("files", "GoOn", "sqs:SendMessage"): (self.files_by_queue,)}

    def invoke(self, function: str, event: dict):
        """What a function answers, or what it died of."""
        name = self.names[f"{function.capitalize()}Function"]
        answer = self.aws["lambda"].invoke(FunctionName=name, Payload=json.dumps(event).encode(), LogType="Tail")
        body = json.loads(answer["Payload"].read() or b"null")
        self.log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return {"died": body} if "FunctionError" in answer else body

    def batch(self, function: str, records: list, **more) -> str | None:
        """What is wrong with a batch of a stream or queue, if not all of it is safe."""
        answer = self.invoke(function, {"Records": records} | more)
        return None if answer == {"batchItemFailures": []} else f"{answer}"

    def ingest(self) -> str | None:
        event = sample("ingest")
        event["headers"]["x-write-key"] = self.key
        event["body"] = json.dumps(self.event())
        answer = self.invoke("ingest", event)
        return None if answer.get("statusCode") == 202 else f"{answer}"

    def ingest_unspilled(self) -> str | None:
        return self.unspilled(self.ingest)

    def unspilled(self, drive) -> str | None:
        before = self.depth("SpillQueue")
        told = drive()
        return told or ("it was spilled" if self.depth("SpillQueue") > before else None)

    def webhook(self, delivery: str | None = None, status: int = 202) -> str | None:
        event = sample("webhooks")
        event["headers"]["x-github-delivery"] = delivery or f"d-{time.time_ns()}"
        answer = self.invoke("webhooks", event)
        return None if answer.get("statusCode") == status else f"{answer}"

    def webhook_unspilled(self) -> str | None:
        return self.unspilled(self.webhook)

    def webhook_again(self) -> str | None:
        """What came before is known."""
        delivery = f"d-{time.time_ns()}"
        return self.webhook(delivery) or self.webhook(delivery, status=200)

    def drain(self) -> str | None:
        records = sample("drain")["Records"][:1]
        data = base64.b64encode(json.dumps(self.event()).encode()).decode()
        records[0]["body"] = json.dumps({"records": [{"partitionKey": "k", "data": data}]})
        return self.batch("drain", records)

    def queue(self) -> str | None:
        records = sample("queue")["Records"][:1]
        records[0]["body"] = json.dumps(self.event())
        return self.batch("queue", records)

    def pull(self) -> str | None:
        """A run in which the feed has something new."""
        self.feed.pages = [[self.event()]]
        answer = self.invoke("pull", {})
        return None if answer.get("out") == 1 else f"{answer}"

    def transform(self, data: bytes | None = None, shard: str | None = None) -> str | None:
        return self.batch("transform", [self.record("RawStream", data or json.dumps(self.event()).encode(), shard)])

    def transform_bad(self) -> str | None:
        return self.transform(b"no event")

    def changes(self, function: str = "changes", given_up: dict | None = None, **more) -> str | None:
        record = sample("changes")["Records"][0]
        number = next(self.numbers)
        record["eventID"] = f"{time.time_ns()}"
        record["dynamodb"] |= {"SequenceNumber": f"{time.time_ns()}{number:03}", "ApproximateCreationDateTime": int(time.time())}
        record["dynamodb"]["Keys"]["orderId"] = record["dynamodb"]["NewImage"]["orderId"] = {"S": f"o-{time.time_ns()}"}
        record["dynamodb"]["NewImage"] |= more
        return self.batch(function, [record], **({"givenUp": given_up} if given_up else {}))

    def changes_bad(self) -> str | None:
        return self.changes(price={"S": "dear"})

    def metrics(self) -> str | None:
        return self.changes("metrics")

    def metrics_again(self) -> str | None:
        """Hands a change over as redrive does."""
        return self.changes("metrics", given_up={"shard": "shardId-1", "last": str(time.time_ns())})

    def drop(self, **more) -> dict:
        """Puts a file into the inbox, and hands back the event of that."""
        key = f"inbox/p-{time.time_ns()}.ndjson"
        body = json.dumps(self.event() | more).encode()
        bucket = self.outputs["InboxBucket"]
        etag = self.aws["s3"].put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
        came = sample("files")["file"]
        came["time"] = datetime.now(UTC).isoformat()  # an event of later than it came has no time
        came["detail"] = {"bucket": {"name": bucket}, "object": {"key": key, "size": len(body), "etag": etag}}
        return came

    def files(self, **more) -> str | None:
        """Reads a file, task by task, as the state machine does."""
        came = self.drop(**more)
        for task in ("plan", "range", "finish"):
            answer = self.invoke("files", {"task": task, "run": "least-privilege", "file": came, "range": 0})
            if "died" in answer:
                return f"{task}: {answer}"
        return None

    def files_by_queue(self) -> str | None:
        """Reads a file as the queue brings it. There is never time for more than a batch here, so it goes on by a message of its own."""
        queue, records = self.names["FilesQueue"], sample("queue")["Records"][:1]
        self.aws["sqs"].purge_queue(QueueUrl=queue)
        records[0]["body"] = json.dumps(self.drop())
        if told := self.batch("files", records):
            return told
        messages = self.aws["sqs"].receive_message(QueueUrl=queue).get("Messages", [])
        if [message["Body"] for message in messages] != [records[0]["body"]]:
            return f"what goes on is {messages}"
        key = json.loads(records[0]["body"])["detail"]["object"]["key"].replace("inbox/", "manifests/", 1)
        told = self.batch("files", records)
        found = self.aws["s3"].list_objects_v2(Bucket=self.outputs["InboxBucket"], Prefix=key)["KeyCount"]
        return told or (None if found else "there is no manifest")

    def files_bad(self) -> str | None:
        return self.files(price="dear")

    def lake(self) -> str | None:
        return self.batch("lake", [self.frame()])

    def lake_bad(self) -> str | None:
        return self.batch("lake", [self.record("CleanStream", b"no frame")])

    def lake_supersedes(self) -> str | None:
        """A batch that is on its way when nothing can be put leaves its intent; another cut of the same records takes its place, and
        what the first one may have put is deleted."""
        shard = f"shardId-{next(self.numbers):012}"
        first, second = self.frame(shard), self.frame(shard)
        with self.without("lake", "Put", "s3:PutObject"):
            if self.batch("lake", [first]) is None:
                return "a batch is safe that was not put"
        deadline = time.monotonic() + FREE_WITHIN_S
        while (told := self.batch("lake", [first, second])) and time.monotonic() < deadline:
            time.sleep(1)
        return told

    def firehose(self) -> str | None:
        answer = self.invoke("firehose", sample("firehose"))
        results = [record["result"] for record in answer.get("records", [])]
        return None if results == ["Ok", "Dropped", "Ok", "ProcessingFailed"] else f"{answer}"

    def review(self) -> str | None:
        return self.batch("review", [self.frame(review=True)])

    def review_bad(self) -> str | None:
        return self.batch("review", [self.record("CleanStream", b"no frame")])

    def redrive(self) -> str | None:
        return self.redrive_letter(self.put_raw(), "TransformDlq", "KinesisBatchInfo", self.outputs["RawStream"], "Transform")

    def redrive_forgotten(self) -> str | None:
        shard, _, last = self.put_raw()
        return self.redrive_letter((shard, "1", last), "TransformDlq", "KinesisBatchInfo", self.outputs["RawStream"], "Transform")

    def redrive_letter(self, places: tuple, queue: str, kind: str, stream: str, function: str) -> str | None:
        shard, first, last = places
        arn = stream if stream.startswith("arn:") else self.aws["kinesis"].describe_stream(StreamName=stream)["StreamDescription"]["StreamARN"]
        called = self.aws["lambda"].get_function(FunctionName=self.names[f"{function}Function"])["Configuration"]["FunctionArn"]
        letter = {
            "requestContext": {"functionArn": called},
            kind: {"shardId": shard, "startSequenceNumber": first, "endSequenceNumber": last, "streamArn": arn},
        }
        return self.redrive_message(queue, letter)

    def redrive_message(self, queue: str, message: dict) -> str | None:
        url = self.names[queue]
        self.aws["sqs"].purge_queue(QueueUrl=url)
        self.aws["sqs"].send_message(QueueUrl=url, MessageBody=json.dumps(message))
        answer = self.invoke("redrive", {})
        left = self.depth(queue)
        return f"{left} dead letter is left: {answer}\n{self.log}" if left else None

    def redrive_looks(self) -> str | None:
        """A letter that was only looked at can be had at once."""
        url = self.names["TransformDlq"]
        self.aws["sqs"].purge_queue(QueueUrl=url)
        self.aws["sqs"].send_message(QueueUrl=url, MessageBody="no letter")
        answers = [self.invoke("redrive", {"dryRun": True}) for _ in range(2)]
        self.aws["sqs"].purge_queue(QueueUrl=url)
        return None if all(answer["letters"] == 1 for answer in answers) else f"letters: {answers}\n{self.log}"

    def redrive_spilled(self) -> str | None:
        data = base64.b64encode(json.dumps(self.event()).encode()).decode()
        return self.redrive_message("SpillDlq", {"records": [{"partitionKey": "k", "data": data}]})

    def redrive_table(self) -> str | None:
        table = self.outputs["OrdersTable"]
        self.aws["dynamodb"].put_item(TableName=table, Item={"orderId": {"S": f"o-{time.time_ns()}"}, "price": {"N": "7"}})
        stream = self.aws["dynamodb"].describe_table(TableName=table)["Table"]["LatestStreamArn"]
        streams = stack.client(self.outputs["EndpointUrl"], "dynamodbstreams")
        shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
        begin = streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        sequence = streams.get_records(ShardIterator=begin)["Records"][-1]["dynamodb"]["SequenceNumber"]
        return self.redrive_letter((shard, sequence, sequence), "ChangesDlq", "DDBStreamBatchInfo", stream, "Changes")

    # ---- Events and records ----

    def event(self) -> dict:
        return {
            "id": f"p-{time.time_ns()}-{next(self.numbers)}", "eventType": "view", "timestamp": datetime.now(UTC).isoformat(),
            "userId": "u1", "price": 20,
        }  # fmt: skip

    def record(self, stream: str, data: bytes, shard: str | None = None) -> dict:
        """A record of a shard that no function has seen, if none is named."""
        number = next(self.numbers)
        sequence = f"{time.time_ns()}{number:06}"
        shard = shard or f"shardId-{number:012}"
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": sequence,
                "data": base64.b64encode(data).decode(), "approximateArrivalTimestamp": time.time(),
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"{shard}:{sequence}", "eventName": "aws:kinesis:record",
            "awsRegion": stack.REGION, "eventSourceARN": f"arn:aws:kinesis:{stack.REGION}:000000000000:stream/{self.outputs[stream]}",
        }  # fmt: skip

    def frame(self, shard: str | None = None, **more) -> dict:
        """A record for a sink: what `transform` makes of an event of this shard."""
        if told := self.transform(json.dumps(self.event() | more).encode(), shard):
            raise Failed(f"transform makes no frame: {told}")
        newest = self.records(self.outputs["CleanStream"])[-1]
        return self.record("CleanStream", newest["Data"])

    def put_raw(self) -> tuple:
        """Puts an event into RawStream: its shard, and its sequence number as the first and the last."""
        data = json.dumps(self.event()).encode()
        put = self.aws["kinesis"].put_record(StreamName=self.outputs["RawStream"], PartitionKey="k", Data=data)
        return put["ShardId"], put["SequenceNumber"], put["SequenceNumber"]

    def records(self, stream: str) -> list:
        """What a stream holds, in the order of arrival."""
        kinesis = self.aws["kinesis"]
        found = []
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            begin = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            at = kinesis.get_shard_iterator(**begin)["ShardIterator"]
            while page := kinesis.get_records(ShardIterator=at):
                found += page["Records"]
                at = page.get("NextShardIterator")
                if not page["Records"] or at is None:
                    break
        return sorted(found, key=lambda record: record["ApproximateArrivalTimestamp"])

    def depth(self, queue: str) -> int:
        """How many messages a queue has, those that are worked on counting too."""
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws["sqs"].get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=wanted)["Attributes"]
        return sum(map(int, found.values()))


def holds_all() -> str:
    """The URL of a check that holds whatever it is asked for."""
    return answers.Server(lambda *_: (200, {"decision": "hold", "reason": "all are held"})).url


def listed(action) -> list:
    return action if isinstance(action, list) else [action]


def sample(function: str) -> dict:
    return json.loads((stack.ROOT / "events" / f"{function}.json").read_text())


if __name__ == "__main__":
    stack.main_guard(main)
