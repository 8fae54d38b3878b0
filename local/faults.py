"""Stands between the functions and the local AWS, and answers some requests as AWS does on a bad day."""

import asyncio
import collections
import json
import random
import threading

THROTTLED = {
    "kinesis": (400, "ProvisionedThroughputExceededException"),
    "dynamodb": (400, "ThrottlingException"),
    "sqs": (400, "ThrottlingException"),
    "secretsmanager": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
}

# Of a hundred requests. What is left goes through.
CHANCES = {
    "late": 8,  # up to LATE_S
    "error 500": 3,
    "error 503": 3,
    "throttled": 4,
    "reset before": 2,  # the request does not arrive
    "reset after": 3,  # the request was carried out, the answer is lost
    "partly": 8,  # of PutRecords: some records failed by the answer, though they were put
}
LATE_S = 0.4


class Faults:
    """A proxy. The same seed gives the same faults to the same requests in the same order."""

    def __init__(self, seed: int):
        self.dice = random.Random(seed)
        self.is_on = False
        self.is_down = False  # nothing of AWS can be reached
        self.counts = collections.Counter()
        self.port = None
        self.connections = set()  # the loop itself holds its tasks weakly
        self.loop = asyncio.new_event_loop()

    def before(self, port: int) -> str:
        """Begins to serve, in a thread of its own, before a server at this port of 127.0.0.1; returns the URL."""
        self.port = port
        ready = threading.Event()
        at = []

        async def serve():
            server = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=1 << 20)
            at.append(server.sockets[0].getsockname()[1])
            ready.set()
            await server.serve_forever()

        threading.Thread(target=lambda: self.loop.run_until_complete(serve()), daemon=True).start()
        ready.wait()
        return f"http://127.0.0.1:{at[0]}"

    async def connection(self, reader, writer) -> None:
        """One request, then the connection ends."""
        task = asyncio.current_task()
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = headers_of(head)
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if answer := await self.answer(head, headers, body):
                writer.write(answer)
                await writer.drain()
            else:
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the function was killed, or the server
        finally:
            writer.close()

    async def answer(self, head: bytes, headers: dict, body: bytes):
        """What the function gets; None for a reset."""
        if self.is_down:
            self.counts["down"] += 1
            return None
        service, operation = named(headers)
        fault = self.draw(operation)
        if fault != "none":
            self.counts[fault] += 1
        if fault == "reset before":
            return None
        if fault == "late":
            await asyncio.sleep(self.dice.random() * LATE_S)
        if fault == "throttled":
            return refusal(service, *THROTTLED.get(service, (503, "ServiceUnavailable")))
        if fault in ("error 500", "error 503"):
            status = int(fault[-3:])
            s3 = {500: "InternalError", 503: "ServiceUnavailable"}
            other = {500: "InternalFailure", 503: "ServiceUnavailable"}
            return refusal(service, status, (s3 if service == "s3" else other)[status])
        answer = await self.forward(head, body)
        if fault == "reset after":
            return None
        return self.partly(answer) if fault == "partly" else answer

    def draw(self, operation: str) -> str:
        if not self.is_on:
            return "none"
        left = self.dice.random() * 100
        for fault, chance in CHANCES.items():
            left -= chance
            if left < 0:
                return "none" if fault == "partly" and operation != "PutRecords" else fault
        return "none"

    async def forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = head[:-4].split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"expect:"))]
        writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    def partly(self, answer: bytes) -> bytes:
        """Some records of PutRecords failed, by the answer."""
        head, _, body = answer.partition(b"\r\n\r\n")
        try:
            told = json.loads(body)
            records = told["Records"]
        except (ValueError, KeyError, TypeError):
            return answer
        failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."}
        records = [dict(failed) if self.dice.random() < 0.3 else record for record in records]
        told = {**told, "Records": records, "FailedRecordCount": sum("ErrorCode" in record for record in records)}
        return response(200, "application/x-amz-json-1.1", json.dumps(told).encode())


def headers_of(head: bytes) -> dict:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def named(headers: dict) -> tuple:
    """The service and the operation of a request, as far as its headers tell."""
    target, _, operation = headers.get("x-amz-target", "").partition(".")
    for service in THROTTLED:
        if service in target.lower():
            return service, operation
    return "s3", ""


def refusal(service: str, status: int, code: str) -> bytes:
    if service == "s3":
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>a fault on purpose</Message></Error>'
        return response(status, "application/xml", body.encode())
    body = json.dumps({"__type": code, "message": "a fault on purpose"})
    return response(status, "application/x-amz-json-1.0", body.encode())


def response(status: int, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} \r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
