"""The cookbook's price list, dropped as a CSV, and sent by two suppliers: part of `cookbook.py`.

The pipeline has one line more than in the cookbook: the lake is partitioned by tenant. The stack reads files by the queue (`FilesMode=queue`, no
state machine) and asks for write keys. cookbook/price-list/prices.csv is dropped, each supplier sends prices by a key of its own, and Athena
has to find each one's rows.
"""

import contextlib
import json
import time

import demo
import stack
from access import millrace, request
from stack import Failed, step

COOKBOOK = stack.ROOT / "cookbook" / "price-list"
FUNCTIONS = ["ingest", "transform", "files", "lake"]
FOUND_WITHIN_S = 60
# What a price list is for: sku, price, discount, net.
OF_FILE = [("L-100", 64.5, 6.45, 58.05), ("S-7", 12.0, None, 12.0)]
SUPPLIERS = {
    "acme": [("A-1", 80.0, 8.0, 72.0), ("A-2", 50.0, None, 50.0)],
    "globex": [("G-1", 100.0, 10.0, 90.0)],
}
TOO_CHEAP = {"sku": "A-3", "price": "10", "valid_from": "20.01.2026"}
NO_TENANT = "none"


def changed(pipeline: str) -> str:
    here, more = "[lake]\n", 'partition_by = "tenant"\n'
    if here not in pipeline:
        raise Failed("the cookbook's price list has no [lake] to partition")
    return pipeline.replace(here, here + more)


def play(url: str, template: str) -> None:
    with step("deploy"):
        outputs = stack.deploy(url, "--template-file", template, Access="keys", RawRoute="false", FilesMode="queue")
    with step("send"):
        send(outputs)
    with step("find"):
        found = find(outputs)
    bad = demo.athena(outputs, f'SELECT stage, reason, count(*) FROM "{outputs["QuarantineTable"]}" GROUP BY 1, 2 ORDER BY 1')[1]
    judge(bad)
    show(outputs, found, bad)


def send(outputs: dict) -> None:
    """The file, twice, which is once; and each supplier's prices."""
    demo.listen(outputs)
    bucket = stack.client(outputs["EndpointUrl"], "s3")
    for _ in range(2):
        bucket.upload_file(str(COOKBOOK / "prices.csv"), outputs["InboxBucket"], "inbox/prices.csv")
    for tenant, rows in SUPPLIERS.items():
        key = millrace(outputs, "create", "--tenant", tenant)
        prices = [{"sku": sku, "price": str(price), "valid_from": "20.01.2026", "tenant": "claimed"} for sku, price, *_ in rows]
        body = json.dumps([*prices, TOO_CHEAP]).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        status, answer = request(outputs["ApiUrl"], "POST", "/v1/events", body, headers)
        if status != 202 or json.loads(answer)["accepted"] != len(rows) + 1:
            raise Failed(f"POST /v1/events answers {status}: {answer!r}")


def find(outputs: dict) -> dict:
    """The rows of each tenant, by a query that names it, as soon as they are there."""
    wanted = {NO_TENANT: OF_FILE, **SUPPLIERS}
    deadline = time.monotonic() + FOUND_WITHIN_S
    while (found := {tenant: rows_of(outputs, tenant) for tenant in wanted}) != wanted:
        if time.monotonic() > deadline:
            demo.report_trouble(outputs, demo.count(outputs), [])
            raise Failed(f"after {FOUND_WITHIN_S} s the rows are {found}")
        time.sleep(0.5)
    return found


def rows_of(outputs: dict, tenant: str) -> list:
    """What Athena finds of a tenant, and that it lies where nobody else's does."""
    rows = []
    with contextlib.suppress(Failed):  # a place without a file is an error to the local one
        query = f"""SELECT sku, price, discount, net FROM "{outputs['Table']}" WHERE tenant = '{tenant}' ORDER BY sku"""
        rows = demo.athena(outputs, query)[1]
    objects = stack.client(outputs["EndpointUrl"], "s3").list_objects_v2(Bucket=outputs["LakeBucket"], Prefix=f"events/tenant={tenant}/event_date=")
    if rows and not objects.get("Contents"):
        raise Failed(f"nothing lies under the partition of {tenant}")
    return [(sku, *(None if cell is None else float(cell) for cell in cells)) for sku, *cells in rows]


def judge(bad: list) -> None:
    if [row[:2] for row in bad] != [["clean.cast", "cannot_cast"], ["file", "missing_columns"]]:
        raise Failed(f"in the quarantine is not what is bad in the list: {bad}")


def show(outputs: dict, found: dict, bad: list) -> None:
    demo.show_manifest(outputs)
    print("\nThe rows of each tenant")
    demo.table(["tenant", "sku", "price", "discount", "net"], [[tenant, *row] for tenant, rows in found.items() for row in rows])
    print("\nThe quarantine by reason")
    demo.table(["stage", "reason", "records"], bad)
