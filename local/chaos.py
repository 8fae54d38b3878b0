"""The stack on a bad day: events go in over HTTP while functions are killed and AWS fails, and each is looked for afterwards.

Between the functions and the local AWS stands a proxy that answers some requests with errors, late, or not at all though
they were carried out (faults.py); processes of functions end by SIGKILL at any moment; for some seconds nothing of AWS can be
reached, and later all of the local AWS is restarted with what it holds. A client sends again what was not answered with 202.
The event source mappings give a batch up when it fails once, and redrive, which is killed like all others, brings back what
the dead letters point to. Then the faults end, what is in queues drains, and each event that was accepted must be in one place:
once in the lake, or in the quarantine if it is bad. Exit code 0 only if so.

`chaos.py [--seed N] [--seconds N]`. The same seed makes the same choices, but not the same order of processes.
"""

import argparse
import base64
import collections
import contextlib
import json
import os
import random
import signal
import threading
import time
from datetime import UTC, datetime

import demo
import stack
from botocore.exceptions import BotoCoreError, ClientError
from faults import Faults
from stack import Failed, step

CLIENTS = 4
BAD_EVERY = 9  # one of so many events has no time that can be read
KILL_AFTER_S = (0.1, 0.8)
DOWN_S = 4
PLACED_WITHIN_S = 300
ATTEMPTS = 60
RETRY_ATTEMPTS = 0
REDRIVE_EVERY_S = 5
LETTER_HIDDEN_S = 20  # by default as long as redrive may run, and who redrives and is killed leaves its letter for so long


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="so long events are sent [default: 60]")
    args = parser.parse_args()
    with stack.by_itself():
        faults = Faults(args.seed)
        outputs = stack.up(faults.before, keeps=True, RetryAttempts=RETRY_ATTEMPTS)
        return chaos(outputs, faults, args.seed, args.seconds)


def chaos(outputs: dict, faults: Faults, seed: int, seconds: int) -> int:
    accepted, answers, killed, redriven = [], collections.Counter(), collections.Counter(), collections.Counter()
    show_letters_again_soon(outputs)
    with step(f"send for {seconds} s, seed {seed}"):
        over = threading.Event()
        ends = time.monotonic() + seconds
        # Daemons, so that a restart that fails ends the run.
        killer = threading.Thread(target=kill, args=(random.Random(seed), over, killed), daemon=True)
        clients = [
            threading.Thread(target=client, args=(outputs, f"{seed}-{n}", ends, accepted, answers), daemon=True)
            for n in range(CLIENTS)
        ]
        redriver = threading.Thread(target=redrive, args=(outputs, over, redriven), daemon=True)
        faults.is_on = True
        for thread in (killer, redriver, *clients):
            thread.start()
        time.sleep(seconds / 4)
        faults.is_down = True
        time.sleep(DOWN_S)
        faults.is_down = False
        time.sleep(seconds / 4)
        with step("restart"):
            stack.restart()
        for thread in clients:
            thread.join()
        over.set()
        killer.join()
        redriver.join()
        faults.is_on = False
    with step("drain"):
        over.clear()
        redriver = threading.Thread(target=redrive, args=(outputs, over, redriven), daemon=True)
        redriver.start()
        places = wait_for_places(outputs, accepted)
        over.set()
        redriver.join()
    status = show(accepted, answers, faults.counts, killed, redriven, places, seed)
    # Who is killed counts nothing any more, so it may be less.
    rows, counted = sum(each.count("lake") for each in places.values()), demo.count(outputs)["lake"]["landed"]
    print(f"\nlake counted {counted:,} events as landed; {rows:,} are there")
    if counted > rows:
        raise Failed(f"lake counted more than there is: seed {seed}")
    return status


# ---- clients, and who kills ----


def client(outputs: dict, name: str, ends: float, accepted: list, answers: collections.Counter) -> None:
    """Sends events of its own until the time is over, each batch until it is accepted."""
    dice, connections, number = random.Random(name), threading.local(), 0
    headers = {"Content-Type": "application/x-ndjson", "Host": outputs["ApiUrl"].partition("://")[2].partition("/")[0]}
    while time.monotonic() < ends:
        batch = [event(name, number + at) for at in range(dice.randint(1, 25))]
        number += len(batch)
        body = "\n".join(map(json.dumps, batch)).encode()
        for _ in range(ATTEMPTS):
            try:
                status, _, answer = demo.request(outputs["ApiUrl"], connections, body, headers)
            except OSError:
                status, answer = 0, b""
            answers[status] += 1
            if status == 202 and json.loads(answer)["accepted"] == len(batch):
                accepted += [each["id"] for each in batch]
                break
            time.sleep(dice.random())


def event(name: str, number: int) -> dict:
    when = datetime.now(UTC).isoformat() if number % BAD_EVERY else "soon"
    return {"id": f"chaos-{name}-{number}", "eventType": "view", "timestamp": when, "userId": f"user-{number % 50}", "price": 20}


def kill(dice: random.Random, over: threading.Event, killed: collections.Counter) -> None:
    """Ends processes of functions, one after the other."""
    while not over.wait(dice.uniform(*KILL_AFTER_S)):
        running = functions()
        if running:
            name = dice.choice(sorted(set(running.values())))
            pid = dice.choice(sorted(pid for pid, each in running.items() if each == name))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed[name] += 1


def show_letters_again_soon(outputs: dict) -> None:
    queues = stack.client(outputs["EndpointUrl"], "sqs")
    for name in outputs:
        if name.endswith("DlqUrl"):
            queues.set_queue_attributes(QueueUrl=outputs[name], Attributes={"VisibilityTimeout": str(LETTER_HIDDEN_S)})


def redrive(outputs: dict, over: threading.Event, redriven: collections.Counter) -> None:
    """Has dead letters brought back again and again, as the schedule would."""
    functions = stack.client(outputs["EndpointUrl"], "lambda")
    while not over.wait(REDRIVE_EVERY_S):
        try:
            answer = functions.invoke(FunctionName=outputs["RedriveFunction"], Payload=b"{}")
        except (BotoCoreError, ClientError):  # the local AWS is down
            continue
        if "FunctionError" not in answer:
            redriven.update(json.loads(answer["Payload"].read()))


def functions() -> dict:
    """The processes of functions, and of which."""
    found = {}
    for pid in stack.processes():
        with contextlib.suppress(OSError):
            settings = dict(line.partition("=")[::2] for line in open(f"/proc/{pid}/environ").read().split("\0"))
            if "AWS_LAMBDA_RUNTIME_API" in settings:
                found[pid] = settings.get("AWS_LAMBDA_FUNCTION_NAME", "").partition("Function")[0].rpartition("-")[2]
    return found


# ---- where the events are ----


def wait_for_places(outputs: dict, accepted: list) -> dict:
    """Where each event is, once none is missing and nothing is left to be worked on."""
    deadline = time.monotonic() + PLACED_WITHIN_S
    quiet = 0
    while True:
        found = places(outputs)
        missing = [each for each in accepted if each not in found]
        waiting = sum(demo.depths(outputs).values())
        quiet = 0 if missing or waiting else quiet + 1
        if quiet == 3 or time.monotonic() > deadline:
            return found
        time.sleep(2)


def places(outputs: dict) -> dict:
    """All places of each event, by its id."""
    found = collections.defaultdict(list)
    for (each,) in demo.athena(outputs, f'SELECT id FROM "{outputs["Table"]}"')[1]:
        found[each].append("lake")
    bad = demo.athena(outputs, f'SELECT encoding, payload FROM "{outputs["QuarantineTable"]}"')[1]
    for encoding, payload in bad:
        data = base64.b64decode(payload) if encoding == "base64" else payload.encode()
        for line in data.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                found[json.loads(line)["id"]].append("quarantine")
    return found


def show(accepted: list, answers, faults, killed, redriven, places: dict, seed: int) -> int:
    dead = [each for each in accepted if each not in places]
    twice = [each for each in accepted if places.get(each, []).count("lake") > 1]
    both = [each for each in accepted if len(set(places.get(each, []))) > 1]
    landed = sum(places.get(each) == ["lake"] for each in accepted)
    quarantined = sum(set(places.get(each, [])) == {"quarantine"} for each in accepted)
    said = {"no answer" if status == 0 else str(status): count for status, count in sorted(answers.items())}
    for title, what in (("Answers of the API", said), ("Faults", faults), ("Functions killed", killed), ("Dead letters", redriven)):
        print(f"\n{title}: {', '.join(f'{name} {count}' for name, count in what.items())}")
    print("\nThe balance")
    demo.table(
        ["", "events"],
        [
            ["accepted", len(accepted)], ["= landed once", landed], ["+ quarantined", quarantined],
            ["lost", len(dead)], ["landed twice", len(twice)], ["in two places", len(both)],
        ],
    )
    for what, ids in (("lost", dead), ("landed twice", twice), ("in two places", both)):
        if ids:
            print(f"\n{what}, the first of them: {', '.join(ids[:10])}")
    if not accepted or dead or twice or both:
        raise Failed(f"not each event is in one place: seed {seed}")
    return 0


if __name__ == "__main__":
    stack.main_guard(main)
