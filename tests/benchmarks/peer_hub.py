"""A server that speaks the protocols of the Hub and of its peers, in a process of its own.

``python peer_hub.py`` prints its URL, and serves until its standard input is closed. All protocols
have the same tasks: a task's id is a marker such as ``task-7-3142ms``, which the client puts into
the prompt, and which also says how long the task takes. ``GET /tasks`` returns, for each marker,
when the task was ready (by ``time.monotonic``, which is the same clock in all processes of a
machine), and the polls: all requests about it except its submission and the download of its image.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench_hub import Request, Response, json_response, serve_until_closed, small_image

MARKER = re.compile(r"task-\d+-(\d+)ms")


def marker(number: int, seconds: float) -> str:
    """Return the marker of a task.

    Args:
        number: A number that no other task has.
        seconds: How long the task takes.

    Example:
        >>> marker(7, 3.142)
        'task-7-3142ms'
    """
    return f"task-{number}-{round(1000 * seconds)}ms"


@dataclass(slots=True)
class Task:
    """A task.

    Attributes:
        id: Its marker.
        duration_s: How long it takes, in seconds.
        ready_at: When it is ready, by `time.monotonic`.
        polls: How many requests there were about it, except submission and download.
    """

    id: str
    duration_s: float
    ready_at: float
    polls: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether it is ready."""
        return time.monotonic() >= self.ready_at

    async def ready(self) -> None:
        """Wait until it is ready."""
        while not self.is_ready:
            await asyncio.sleep(self.ready_at - time.monotonic())


class PeerHub:
    """Tasks that only sleep, behind all protocols.

    Attributes:
        url: The URL at which it is reached.
    """

    def __init__(self) -> None:
        self.url = ""
        self._tasks: dict[str, Task] = {}
        self._image = small_image()

    async def respond(self, request: Request) -> Response:
        """Answer a request: the path says in which protocol."""
        if request.path == "/tasks":
            return json_response(
                {
                    task.id: {"ready_at": task.ready_at, "polls": task.polls}
                    for task in self._tasks.values()
                }
            )
        found = MARKER.search(request.path) or MARKER.search(request.body.decode("latin-1"))
        if found is None:
            return json_response({"message": f"no task in {request.path}"}, 404)
        task = self._tasks.get(found[0])
        if request.method == "POST":
            duration_s = int(found[1]) / 1000
            task = Task(found[0], duration_s, time.monotonic() + duration_s)
            self._tasks[task.id] = task
        elif task is None:
            return json_response({"message": "no such task"}, 404)
        elif request.path.startswith("/images/") or request.path.endswith("/content"):
            return 200, "image/png", self._image, ""
        else:
            task.polls += 1
        protocol = request.path.split("/")[1]
        if protocol == "hold" and request.method == "GET":
            await task.ready()
        if protocol == "v1":
            if request.headers.get("prefer", "").startswith("wait"):
                await task.ready()
            return json_response(self._replicate(task), 201 if request.method == "POST" else 200)
        if protocol == "fal":
            return self._fal(task, request)
        if protocol == "openai":
            return json_response(self._openai(task))
        return json_response(self._mountsea(task, reports_duration=protocol != "silent"))

    def _image_url(self, task: Task) -> str:
        return f"{self.url}/images/{task.id}.png"

    def _mountsea(self, task: Task, *, reports_duration: bool) -> dict[str, Any]:
        """The Hub's task; with how long it took, as the Hub documents, or without."""
        if not task.is_ready:
            return {"task_id": task.id, "status": "processing", "ready": False}
        body: dict[str, Any] = {"task_id": task.id, "status": "completed", "ready": True}
        body["data"] = {"images": [{"url": self._image_url(task)}]}
        if reports_duration:
            body["elapsed_ms"] = round(1000 * task.duration_s)
        return body

    def _fal(self, task: Task, request: Request) -> Response:
        """Fal's queue: a status, and the output at a URL of its own."""
        url = f"{self.url}/fal/bench/image/requests/{task.id}"
        path = request.path.partition("?")[0]
        if request.method == "GET" and not path.endswith("/status"):
            return json_response({"images": [{"url": self._image_url(task)}]})
        body: dict[str, Any] = {
            "status": "COMPLETED" if task.is_ready else "IN_PROGRESS",
            "request_id": task.id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "logs": None,
            "metrics": {},
        }
        return json_response(body, 200 if task.is_ready else 202)

    def _replicate(self, task: Task) -> dict[str, Any]:
        """A prediction."""
        return {
            "id": task.id,
            "model": "bench/image",
            "version": "1",
            "status": "succeeded" if task.is_ready else "processing",
            "input": {},
            "output": self._image_url(task) if task.is_ready else None,
            "logs": "",
            "error": None,
            "metrics": None,
            "created_at": None,
            "started_at": None,
            "completed_at": None,
            "urls": {},
        }

    def _openai(self, task: Task) -> dict[str, Any]:
        """A file of a vector store, since OpenAI's image endpoint has no tasks to poll."""
        return {
            "id": task.id,
            "object": "vector_store.file",
            "created_at": 0,
            "status": "completed" if task.is_ready else "in_progress",
            "last_error": None,
            "usage_bytes": 0,
            "vector_store_id": "bench",
        }


async def main() -> None:
    """Serve until standard input is closed."""
    await serve_until_closed(PeerHub())


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(main())
