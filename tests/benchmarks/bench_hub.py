"""A fast Hub for benchmarks, in a process of its own: ``python bench_hub.py [--capacity N]``.

It prints its URL, and serves until its standard input is closed. ``GET /stats`` returns how much it
has received, and ``GET /posts`` when each submission arrived, by the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image


def small_image() -> bytes:
    """Return a PNG of a few kilobytes: decoding is not what is measured."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).save(buffer, "png")
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        method: ``GET`` or another method.
        path: The path, with the query.
        headers: The headers, with names in lower case.
        body: The body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Response = tuple[int, str, bytes, str]
"""The status, the media type, the body, and further header lines."""


def json_response(body: Any, status: int = 200, more: str = "") -> Response:
    """Return a JSON response.

    Args:
        body: What to encode.
        status: The HTTP status.
        more: Further header lines, each with its line end.
    """
    return status, "application/json", json.dumps(body).encode(), more


class Hub(Protocol):
    """A server's answers.

    Attributes:
        url: Its URL, set before the first request.
    """

    url: str

    async def respond(self, request: Request) -> Response:
        """Answer a request."""


async def serve_until_closed(hub: Hub) -> None:
    """Set the URL of a Hub, print it, and serve until standard input is closed.

    Args:
        hub: The Hub.
    """
    server = await asyncio.start_server(
        lambda reader, writer: _answer_requests(reader, writer, hub.respond),
        *("127.0.0.1", 0),
        backlog=1024,
    )
    hub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(hub.url, flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _answer_requests(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    respond: Callable[[Request], Awaitable[Response]],
) -> None:
    """Answer the requests of one connection, until the client closes it."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            method, path, _ = first.split(" ", 2)
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(method, path, headers, body)
            status, media_type, body, more = await respond(request)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\n{more}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass
    finally:
        writer.close()


class BenchHub:
    """Accepts tasks that all take equally long, at most so many at a time.

    Args:
        task_s: How long a task takes, in seconds.
        capacity: How many tasks run at once; the rest is answered by 429.
        retry_after_s: The `Retry-After` of a 429, in seconds.
    """

    def __init__(self, task_s: float, capacity: int, retry_after_s: float) -> None:
        self._task_s, self._capacity, self._retry_after_s = task_s, capacity, retry_after_s
        self._ends: dict[str, float] = {}
        self._running = 0
        self._posted_at: list[float] = []
        self._counts: Counter[str] = Counter()
        self._image = small_image()
        self.url = ""

    async def respond(self, request: Request) -> Response:
        """Answer a request."""
        method, path = request.method, request.path
        now = asyncio.get_running_loop().time()
        if path.startswith("/images/"):
            self._counts["downloads"] += 1
            return 200, "image/png", self._image, ""
        if path == "/stats":
            return json_response(dict(self._counts))
        if path == "/posts":
            return json_response(self._posted_at)
        if path == "/reset":
            self._counts.clear()
            self._posted_at.clear()
            return json_response({})
        if method == "POST":
            return self._submit(now)
        self._counts["polls"] += 1
        task_id = path.rpartition("/")[2]
        end = self._ends.get(task_id)
        if end is None:
            return json_response({"message": "no such task"}, 404)
        if now < end:
            return json_response({"task_id": task_id, "status": "processing"})
        data = [{"url": f"{self.url}/images/{task_id}.png"}]
        output = {"images": data}
        elapsed_ms = round(self._task_s * 1000)
        return json_response(
            {"task_id": task_id, "status": "completed", "output": output, "elapsed_ms": elapsed_ms}
        )

    def _submit(self, now: float) -> Response:
        self._posted_at.append(now)
        if self._running >= self._capacity:
            self._counts["refused"] += 1
            return json_response(
                {"message": "busy"}, 429, f"Retry-After: {self._retry_after_s:g}\r\n"
            )
        self._counts["accepted"] += 1
        self._running += 1
        task_id = f"bench-{len(self._ends)}"
        self._ends[task_id] = now + self._task_s
        asyncio.get_running_loop().call_later(self._task_s, self._end)
        return json_response({"task_id": task_id, "status": "pending"})

    def _end(self) -> None:
        self._running -= 1


async def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task-s", type=float, default=2.0)
    parser.add_argument("--capacity", type=int, default=10**9)
    parser.add_argument("--retry-after-s", type=float, default=1.0)
    arguments = parser.parse_args()
    hub = BenchHub(arguments.task_s, arguments.capacity, arguments.retry_after_s)
    await serve_until_closed(hub)


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(main())
