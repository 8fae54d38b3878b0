"""The whole stack on this machine: `stack.py up`, `stack.py down`.

`up` builds the functions, starts MiniStack (the AWS APIs in one process, IAM enforced) on a free port of 127.0.0.1,
deploys template.yaml to it as `sam deploy` deploys it to AWS, and writes target/local/outputs.json, one flat object of
strings. `down` ends what `up` started, and nothing else.

Each process that `up` starts carries MARK in its environment, and so do the children it leaves behind: MiniStack forgets
the functions that it spawned, `sam` its cargo. So no pid is kept that could by now be another process's.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "target" / "local"
OUTPUTS = STATE / "outputs.json"
SERVER = STATE / "server.json"
SERVER_PROGRAM = ROOT / "local" / "server.py"
SERVER_LOG = STATE / "ministack.log"
SCRATCH = STATE / "tmp"
BUILD_BIN = ROOT / ".tools" / "build" / "bin"
AWS_BIN = ROOT / ".tools" / "aws" / "bin"

FUNCTIONS = [
    "ingest", "webhooks", "drain", "queue", "pull", "transform", "changes", "metrics", "files", "lake", "review", "firehose", "redrive",
]
REGION = "us-east-1"
# MiniStack takes the key "test" for the account's root, who may do all; the functions get sessions of their roles.
ADMIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
MARK = f"MILLRACE_LOCAL={STATE}"

HEALTHY_WITHIN_S = 60
ENDS_WITHIN_S = 10


class Failed(Exception):
    """Said to the user as it is, without a traceback."""


@contextlib.contextmanager
def by_itself():
    """For a program that brings up a stack of its own: what is up goes down before, and what it brought up afterwards."""
    with alone():
        adopt_orphans()
        if down():
            print("a stack was up: it went down")
        try:
            yield
        finally:
            with step("down"):
                down()


# ---- up ----


def up(before=None, keeps: bool = False, **parameters) -> dict:
    """Builds, starts and deploys, and returns the outputs. What it started ends with it if it fails. `before` is told the
    port of the local AWS, and says by which URL the functions are to reach it. One that `keeps` what it holds can be
    restarted. `parameters` are the template's, over those of samconfig.toml."""
    was_up = endpoint() is not None
    try:
        with step("build"):
            build()
        with step("start"):
            url = endpoint() or start(before, keeps)
        with step("deploy"):
            outputs = deploy(url, **parameters)
    except BaseException:
        if not was_up:
            down()
        raise
    return outputs


def build() -> None:
    """All functions in one go: after it `sam build`, which asks for the same one by one, finds them fresh and copies."""
    os.environ["CARGO_PROFILE_RELEASE_LTO"] = "false"  # builds faster; they do the same
    arm = ["--arm64"] if architecture() == "arm64" else []
    run("cargo", "lambda", "build", "--release", *arm, *(word for name in FUNCTIONS for word in ("--bin", name)))
    sam("build", client_environment("http://127.0.0.1:1"))


def start(before=None, keeps: bool = False) -> str:
    """Starts MiniStack and waits until it answers."""
    down()  # what an `up` that was killed may have left
    SCRATCH.mkdir(parents=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        **ADMIN,
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": before(port) if before else url,  # what it hands to the functions
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",  # its MQTT listener would take a fixed port on every interface
        "TMPDIR": str(SCRATCH),
        "TZ": "UTC",  # in which its Athena shows times, as AWS does
    }
    if keeps:
        kept = {"STATE_DIR": str(SCRATCH / "state"), "S3_DATA_DIR": str(SCRATCH / "s3")}
        settings |= {"PERSIST_STATE": "1", "S3_PERSIST": "1", **kept}
    SERVER.write_text(json.dumps({"url": url, "settings": settings}))
    SERVER_LOG.unlink(missing_ok=True)
    serve()
    return url


def serve() -> None:
    """Starts the server that SERVER describes, and waits until it answers."""
    server = json.loads(SERVER.read_text())
    url, settings = server["url"], server["settings"]
    with SERVER_LOG.open("ab") as log:
        # A session of its own, so that Ctrl-C in a terminal reaches us and we decide.
        server = subprocess.Popen(
            [AWS_BIN / "python", SERVER_PROGRAM], env=environment(settings), cwd=SCRATCH, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(SERVER_LOG.read_text(errors="replace").splitlines()[-20:])
            raise Failed(f"the local AWS did not come up within {HEALTHY_WITHIN_S} s; the end of {SERVER_LOG}:\n{tail}")
        time.sleep(0.1)


def restart() -> None:
    """Ends the local AWS with all its functions, in mid-work, and starts it again with what it holds."""
    if not end():
        raise Failed(f"the local AWS did not end within {ENDS_WITHIN_S} s, and what it held is lost")
    serve()


def deploy(url: str, *options: str, **parameters) -> dict:
    """`sam deploy`, as to AWS, and the stack's outputs with what a client needs to reach it."""
    sam("deploy", client_environment(url), *options, **parameters)
    stacks = client(url, "cloudformation").describe_stacks(StackName="millrace-local")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}
    outputs |= {
        "EndpointUrl": url,
        "Region": REGION,
        "AccessKeyId": ADMIN["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": ADMIN["AWS_SECRET_ACCESS_KEY"],
    }
    OUTPUTS.write_text(json.dumps(outputs, indent=2, sort_keys=True) + "\n")
    return outputs


# ---- down ----


def down() -> bool:
    """Ends what `up` started, the functions' processes included, and removes its scratch space. True if there was any."""
    found = bool(processes())
    end()
    shutil.rmtree(SCRATCH, ignore_errors=True)
    for file in (OUTPUTS, SERVER):
        file.unlink(missing_ok=True)
    return found


def end() -> bool:
    """Ends all processes that `up` started. True if none had to be killed."""
    gently = not left_after(signal.SIGTERM)
    if left := left_after(signal.SIGKILL):
        raise Failed(f"processes that do not end: {left}")
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return gently


def left_after(kind: signal.Signals) -> list:
    """Sends all of them a signal, and hands back those that do not end by it."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := processes()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
        time.sleep(0.1)
    return left


def processes() -> list:
    """Those that carry the mark, other than the dead that nobody has collected yet."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if MARK.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def adopt_orphans() -> None:
    """Makes this process the parent of what its children leave behind, so that `down` can collect it: the first process of
    a container often does not."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


# ---- the server that runs ----


def endpoint():
    """Where the local AWS answers, or None."""
    try:
        url = json.loads(SERVER.read_text())["url"]
    except (OSError, ValueError, KeyError):
        return None
    return url if processes() and healthy(url) else None


def healthy(url: str) -> bool:
    try:
        with LOCAL_HTTP.open(f"{url}/_ministack/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def outputs() -> dict:
    """The outputs of the stack that is up."""
    if endpoint() is None:
        raise Failed("no local stack is up: `make up` first")
    return json.loads(OUTPUTS.read_text())


def client(url: str, service: str):
    """A boto3 client of the local AWS, with all rights."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id=ADMIN["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ADMIN["AWS_SECRET_ACCESS_KEY"], config=Config(proxies={}),
    )


# A proxy has no business between two processes of one machine.
LOCAL_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- running tools ----


def sam(command: str, env: dict, *options: str, **parameters) -> None:
    """`options` and `parameters` are over those of samconfig.toml."""
    file = ROOT / "samconfig.toml"  # which it would look for beside the template
    config = file.read_text().partition(f"[local.{command}.parameters]")[2]
    ours = re.search(r'parameter_overrides = "(.*)"', config)[1]
    # On an Arm machine the local functions are Arm's, too.
    overrides = [*ours.replace("x86_64", architecture()).split(), *(f"{name}={value}" for name, value in parameters.items())]
    run("sam", command, "--config-file", str(file), "--config-env", "local", *options, "--parameter-overrides", *overrides, env=env)


def run(*command: str, env=None) -> None:
    """Runs a tool of the build environment; its output is for the eyes only if it fails or a terminal looks on."""
    log = STATE / f"{Path(command[0]).name}-{command[1]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        target = None if sys.stdout.isatty() else file
        code = subprocess.run(
            command, cwd=ROOT, env=environment(env or {}), stdin=subprocess.DEVNULL, stdout=target, stderr=target and subprocess.STDOUT,
        ).returncode
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise Failed(f"{tail}\n`{' '.join(command)}` failed with exit code {code}")


def millrace(*args: str, env=None, input: str | None = None) -> str:
    """What the command line says, which is built if MILLRACE does not name one."""
    built = ["cargo", "run", "--quiet", "--locked", "--package", "millrace-cli", "--features", "aws", "--"]
    call = [*([os.environ["MILLRACE"]] if "MILLRACE" in os.environ else built), *args]
    done = subprocess.run(call, cwd=ROOT, env=environment(env or {}), input=input, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"`millrace {' '.join(args)}`: {done.stderr}")
    return done.stdout.strip()


def client_environment(url: str) -> dict:
    """AWS clients find the local AWS and nothing else: no profile, no file of the user's can send them elsewhere."""
    return {
        **ADMIN,
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    }


@contextlib.contextmanager
def alone():
    """One `up` or `demo` at a time: they share a target directory, the scratch space and the mark."""
    if not sys.platform.startswith("linux"):
        raise Failed("the local stack runs on Linux, WSL included: its functions are Linux programs")
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed("another `make up` or `make demo` is at work here") from None
        yield


def environment(settings: dict) -> dict:
    """This process's environment, without its AWS settings, with the tools first on the path, the mark and `settings`."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    quiet = ",".join(filter(None, [mine.get("NO_PROXY") or mine.get("no_proxy"), "127.0.0.1", "localhost", ".localhost"]))
    name, _, value = MARK.partition("=")
    return {
        **mine,
        "PATH": f"{BUILD_BIN}{os.pathsep}{mine.get('PATH', os.defpath)}",
        "NO_PROXY": quiet,
        "no_proxy": quiet,
        name: value,
        **settings,
    }


def architecture() -> str:
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


# ---- the command line ----

TIMES = []  # (what, seconds), in order


@contextlib.contextmanager
def step(what: str):
    """Says what goes on and how long it took."""
    print(f"{what} ...", flush=True)
    began = time.monotonic()
    yield
    TIMES.append((what, time.monotonic() - began))
    print(f"{what}: {TIMES[-1][1]:.1f} s", flush=True)


def main_guard(main) -> None:
    """Runs `main`; a signal ends it as an exception, so that its `finally` runs."""
    def interrupted(number, _frame):
        # Once is enough: what follows is the cleaning up, which a second Ctrl-C must not cut short.
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, interrupted)
    try:
        sys.exit(main())
    except Failed as why:
        sys.exit(f"error: {why}")


def main() -> int:
    command = sys.argv[1:]
    if command == ["up"]:
        with alone():
            found = up()
        print(f"up: {found['ApiUrl']} (all outputs in {OUTPUTS.relative_to(ROOT)})")
    elif command == ["down"]:
        print("down" if down() else "nothing was up")
    else:
        raise Failed("usage: stack.py up|down")
    return 0


if __name__ == "__main__":
    main_guard(main)
