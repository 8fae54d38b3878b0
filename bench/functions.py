"""What a function's start costs, and a request to ingest, beside a Lambda in Python that does the same.

Each function's bootstrap runs by itself, on one core, against a stand-in for Lambda's runtime API and for the services that it calls, in this
process. A start is measured from the spawn to the first question for an event; CPU time is what the kernel counted for all threads of the
process. This is not Lambda: a sandbox has to be found, the code to be loaded into it, and with 512 MB there is a third of a core. Such
a start takes longer, by what these figures do not say; they say which part is ours.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import argparse
import http.server
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "local"))
import stack  # noqa: E402

STARTS = 11
WARM, REQUESTS = 200, 2_000
SIZES = (1, 10, 100)
SETTINGS = {
    "RAW_STREAM": "raw", "CLEAN_STREAM": "clean", "SPILL_QUEUE_URL": "http://127.0.0.1/spill", "SPILL_DLQ_URL": "http://127.0.0.1/spill-dlq",
    "DEAD_LETTER_QUEUE_URLS": "http://127.0.0.1/dlq", "LAKE_BUCKET": "lake", "QUARANTINE_BUCKET": "quarantine", "TOKEN_KEY_SECRET": "key",
    "STATE_TABLE": "state", "DEDUPE_WINDOW_SECONDS": "3600", "STREAM_RETENTION_HOURS": "24", "TABLE_NAME": "orders",
    "ACCESS": "open", "REQUEST_BYTES": "10485760", "WEBHOOK_SECRETS": "webhooks", "INBOX_BUCKET": "inbox", "METRICS_TABLE": "metrics",
    "METRICS_DAYS": "400", "FEED_URL": "http://127.0.0.1/feed", "CHECK_URL": "http://127.0.0.1/check", "REVIEW_QUEUE_URL": "http://127.0.0.1/review",
    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_LAMBDA_FUNCTION_NAME": "bench", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
}  # fmt: skip

# What AWS's runtime for Python does around a handler, and no more.
PYTHON = """
import http.client, json, os, sys
sys.path.insert(0, sys.argv[1])
from python_ingest import handler
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event, number = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    body = json.dumps(handler(event, None))
    api.request("POST", f"/2018-06-01/runtime/invocation/{number}/response", body)
    api.getresponse().read()
"""


class Lambda:
    """The runtime API of one process, and each service that a function calls at its start or for a request."""

    def __init__(self, command: list, core: int):
        self.events, self.answers, self.asked = queue.Queue(), queue.Queue(), threading.Event()
        outer = self

        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY: or each answer waits for the one before it

            def do_GET(self):
                outer.asked.set()
                self.answer(outer.events.get(), {"Lambda-Runtime-Aws-Request-Id": "r", "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 60_000)})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                target = self.headers.get("X-Amz-Target", "")
                if "/runtime/" in self.path:
                    outer.answers.put(body)
                    self.answer({"status": "OK"})
                elif target.endswith("PutRecords"):
                    done = {"SequenceNumber": "1", "ShardId": "shardId-000000000000"}
                    self.answer({"FailedRecordCount": 0, "Records": [done] * len(json.loads(body)["Records"])})
                else:  # the one secret that functions ask for when they start
                    key = {"id": "k1", "key": "0123456789abcdef0123456789abcdef"}
                    self.answer({"ARN": "key", "Name": "key", "SecretString": json.dumps(key)})

            def answer(self, body: dict, headers=None):
                body = json.dumps(body).encode()
                head = {"Content-Type": "application/x-amz-json-1.1", "Content-Length": str(len(body)), **(headers or {})}
                self.send_response_only(200)
                for name, value in head.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who is killed says no goodbye
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        settings = {**SETTINGS, "AWS_LAMBDA_RUNTIME_API": self.place, "AWS_ENDPOINT_URL": f"http://{self.place}", "PATH": os.environ["PATH"]}
        began = time.perf_counter()
        self.process = subprocess.Popen(["taskset", "-c", str(core), *command], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not self.asked.wait(0.5):
            if self.process.poll() is not None:
                sys.exit(f"{command[-1]} ended: {self.process.stderr.read().decode(errors='replace')[:2000]}")
        self.start_ms = (time.perf_counter() - began) * 1000

    def call(self, event: dict) -> dict:
        self.events.put(event)
        return json.loads(self.answers.get(timeout=60))

    def cpu_ms(self) -> float:
        """What the kernel counted for all threads of the process."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()


def starts(command: list, core: int) -> tuple:
    """Medians: milliseconds to the first question, and of CPU time."""
    walls, cpus = [], []
    for _ in range(STARTS):
        with Lambda(command, core) as function:
            walls.append(function.start_ms)
            cpus.append(function.cpu_ms())
    return statistics.median(walls), statistics.median(cpus)


def requests(command: list, core: int, events: int) -> float:
    """Microseconds of CPU time for a request of so many events."""
    request = json.loads((ROOT / "events" / "ingest.json").read_text())
    lines = (ROOT / "events" / "clickstream.ndjson").read_text().splitlines()
    good = [line for line in lines if is_good(line)]
    with Lambda(command, core) as function:
        for number in range(WARM + REQUESTS):
            if number == WARM:
                before = function.cpu_ms()
            at = number * events % (len(good) - events)
            answer = function.call({**request, "body": "\n".join(good[at : at + events])})
            assert json.loads(answer["body"])["accepted"] == events, answer
        return (function.cpu_ms() - before) * 1000 / REQUESTS


def is_good(line: str) -> bool:
    try:
        return isinstance(json.loads(line).get("id"), str)
    except (ValueError, AttributeError):
        return False


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--core", type=int, default=0, help="the core that functions run on; this process takes the others")
    core = options.parse_args().core
    others = os.sched_getaffinity(0) - {core}
    os.sched_setaffinity(0, others or {core})
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "lambda")
    bootstraps = {name: target / name / "bootstrap" for name in stack.FUNCTIONS}
    python = [sys.executable, "-c", PYTHON, str(ROOT / "bench" / "peers")]
    print("| start | binary, MB | to the first question, ms | CPU, ms |\n| --- | --- | --- | --- |")
    for name, bootstrap in bootstraps.items():
        if not bootstrap.exists():
            sys.exit(f"{bootstrap} is not there: `make build` or `make up` makes it")
        wall, cpu = starts([str(bootstrap)], core)
        print(f"| {name} | {bootstrap.stat().st_size / 1e6:.1f} | {wall:.1f} | {cpu:.1f} |", flush=True)
    wall, cpu = starts(python, core)
    print(f"| Python with boto3 | | {wall:.1f} | {cpu:.1f} |\n")
    print("| events in a request | ingest, µs of CPU | Python, µs of CPU | |\n| --- | --- | --- | --- |")
    for events in SIZES:
        ours = requests([str(bootstraps["ingest"])], core, events)
        theirs = requests(python, core, events)
        print(f"| {events} | {ours:.0f} | {theirs:.0f} | {theirs / ours:.1f} times |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
