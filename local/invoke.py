"""Runs one function by itself, as Lambda would: `invoke.py transform [event.json]`.

Its bootstrap runs under AWS's Runtime Interface Emulator, which aws-sam-cli carries, against the local stack that is up,
with events/<function>.json as the event. Prints the answer, what the function logged, and the time that INIT took.
"""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import answers
import stack
from stack import Failed

SETTINGS = {
    "RAW_STREAM": "RawStream",
    "CLEAN_STREAM": "CleanStream",
    "SPILL_QUEUE_URL": "SpillQueueUrl",
    "SPILL_DLQ_URL": "SpillDlqUrl",
    "INBOX_DLQ_URL": "InboxDlqUrl",
    "QUEUE_FUNCTION": "QueueFunction",
    "INBOX_BUCKET": "InboxBucket",
    "LAKE_BUCKET": "LakeBucket",
    "QUARANTINE_BUCKET": "QuarantineBucket",
    "REVIEW_QUEUE_URL": "ReviewQueueUrl",
    "TOKEN_KEY_SECRET": "TokenKeySecret",
    "STATE_TABLE": "StateTable",
    "METRICS_TABLE": "MetricsTable",
    "WEBHOOK_SECRETS": "WebhookSecrets",
}
# What `pull` finds: a page that is the array of its items.
FEED = [{"id": "m1", "eventType": "mention", "timestamp": "2026-11-20T13:05:00Z", "text": "hello"}]
LETTERS = ["TransformDlqUrl", "LakeDlqUrl", "ChangesDlqUrl", "MetricsDlqUrl", "ReviewDlqUrl"]


def main() -> int:
    name, *rest = sys.argv[1:] or [""]
    if name not in stack.FUNCTIONS:
        raise Failed(f"usage: invoke.py {'|'.join(stack.FUNCTIONS)} [event.json]")
    event = Path(rest[0]) if rest else stack.ROOT / "events" / f"{name}.json"
    if not event.exists():
        raise Failed(f"{event} is not there")
    outputs = stack.outputs()
    emulator, url, log = start(name, outputs)
    try:
        answer = invoke(emulator, url, event.read_bytes())
        print(json.dumps(json.loads(answer), indent=2) if answer else "(no answer)")
        # The emulator may write its report after the answer.
        deadline = time.monotonic() + 2
        while b"REPORT RequestId" not in log_of(log) and time.monotonic() < deadline:
            time.sleep(0.02)
        text = log_of(log).decode(errors="replace")
        # The emulator's own lines bear "(rapid)"; the "Init Duration" of its REPORT is not that of INIT.
        print(*(line for line in text.splitlines() if "(rapid)" not in line), sep="\n", file=sys.stderr)
        init = re.search(r"INIT REPORT\(durationMs: ([\d.]+)", text)
        print(f"INIT: {float(init[1]):.1f} ms" if init else "INIT: not reported", file=sys.stderr)
    finally:
        os.killpg(emulator.pid, signal.SIGKILL)  # the bootstrap is its child
        emulator.wait()
    return 0


def start(name: str, outputs: dict) -> tuple:
    bootstrap = Path(os.environ.get("CARGO_TARGET_DIR", stack.ROOT / "target"), "lambda", name, "bootstrap").resolve()
    if not bootstrap.exists():
        raise Failed(f"{bootstrap} is not there: `make up` builds it")
    processor = "arm64" if stack.architecture() == "arm64" else platform.machine()
    rapid = next((stack.ROOT / ".tools" / "build").glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{processor}"))
    rapid.chmod(0o755)  # the package does not say that it is a program
    url = f"127.0.0.1:{stack.free_port()}"
    settings = {
        **stack.client_environment(outputs["EndpointUrl"]),
        **{variable: outputs[output] for variable, output in SETTINGS.items() if output in outputs},
        "TABLE_NAME": "orders",
        "DEDUPE_WINDOW_SECONDS": "3600",
        "STREAM_RETENTION_HOURS": "24",
        "QUARANTINE_DAYS": "30",
        "METRICS_DAYS": "400",
        "CHECK_URL": "http://127.0.0.1:9",  # nobody is there: what wants a check comes again
        "ACCESS": "open",
        "REQUEST_BYTES": "10485760",
        "DEAD_LETTER_QUEUE_URLS": " ".join(outputs[name] for name in LETTERS if name in outputs),
        "FEED_URL": answers.Server(lambda *_: (200, FEED)).url if name == "pull" else "",
        "AWS_REGION": outputs["Region"],
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    }
    log = tempfile.TemporaryFile()
    emulator = subprocess.Popen(
        [rapid, "--runtime-interface-emulator-address", url, "--runtime-api-address", f"127.0.0.1:{stack.free_port()}", bootstrap],
        env=stack.environment(settings), start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
    )
    return emulator, f"http://{url}/2015-03-31/functions/function/invocations", log


def invoke(emulator, url: str, event: bytes) -> bytes:
    """The answer; the emulator takes a moment until it listens."""
    for _ in range(100):
        try:
            with stack.LOCAL_HTTP.open(urllib.request.Request(url, event, method="POST"), timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as answer:  # a function that failed: its error is the answer
            return answer.read()
        except urllib.error.URLError:
            if emulator.poll() is not None:
                raise Failed("the emulator ended") from None
            time.sleep(0.02)
    raise Failed("the emulator does not listen")


def log_of(file) -> bytes:
    file.seek(0)
    return file.read()


if __name__ == "__main__":
    stack.main_guard(main)
