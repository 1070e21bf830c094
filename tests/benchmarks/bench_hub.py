"""A fast Hub for benchmarks, in a process of its own: ``python bench_hub.py [--capacity N]``.

It prints its URL, and serves until its standard input is closed. ``GET /stats`` returns what it
has received.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from PIL import Image


def small_image() -> bytes:
    """Return a PNG of a few kilobytes: decoding is not what is measured."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).save(buffer, "png")
    return buffer.getvalue()


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
        self._counts: Counter[str] = Counter()
        self._image = small_image()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                length = 0
                for line in head.split("\r\n")[1:]:
                    name, _, value = line.partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                await reader.readexactly(length)
                status, media_type, body, more = self._respond(method, path)
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

    def _respond(self, method: str, path: str) -> tuple[int, str, bytes, str]:
        now = asyncio.get_running_loop().time()
        if path.startswith("/images/"):
            self._counts["downloads"] += 1
            return 200, "image/png", self._image, ""
        if path == "/stats":
            return self._json(dict(self._counts))
        if path == "/reset":
            self._counts.clear()
            return self._json({})
        if method == "POST":
            return self._submit(now)
        self._counts["polls"] += 1
        task_id = path.rpartition("/")[2]
        end = self._ends.get(task_id)
        if end is None:
            return self._json({"message": "no such task"}, 404)
        if now < end:
            return self._json({"task_id": task_id, "status": "processing"})
        data = [{"url": f"{self.url}/images/{task_id}.png"}]
        output = {"images": data}
        elapsed_ms = round(self._task_s * 1000)
        return self._json(
            {"task_id": task_id, "status": "completed", "output": output, "elapsed_ms": elapsed_ms}
        )

    def _submit(self, now: float) -> tuple[int, str, bytes, str]:
        if self._running >= self._capacity:
            self._counts["refused"] += 1
            return self._json({"message": "busy"}, 429, f"Retry-After: {self._retry_after_s:g}\r\n")
        self._counts["accepted"] += 1
        self._running += 1
        task_id = f"bench-{len(self._ends)}"
        self._ends[task_id] = now + self._task_s
        asyncio.get_running_loop().call_later(self._task_s, self._end)
        return self._json({"task_id": task_id, "status": "pending"})

    def _end(self) -> None:
        self._running -= 1

    def _json(self, body: Any, status: int = 200, more: str = "") -> tuple[int, str, bytes, str]:
        return status, "application/json", json.dumps(body).encode(), more


async def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task-s", type=float, default=2.0)
    parser.add_argument("--capacity", type=int, default=10**9)
    parser.add_argument("--retry-after-s", type=float, default=1.0)
    arguments = parser.parse_args()
    hub = BenchHub(arguments.task_s, arguments.capacity, arguments.retry_after_s)
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, backlog=1024)
    hub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(hub.url, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(main())
