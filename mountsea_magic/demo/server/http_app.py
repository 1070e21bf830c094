"""The demo Hub's endpoints over HTTP: with limits, and images drawn in a worker pool."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .app import DemoHub
from .inputs import BadInput
from .limits import Limits
from .render import format_of
from .responses import error_response
from .submissions import RequestRejected, read_submission
from .tasks import DemoTask, TaskStore
from .worker import WorkerFailed
from .worker_pool import WorkerPool

_CHUNK = 3 * 16_384
"""Read size for files in bytes; a multiple of 3, so that base64 chunks concatenate."""

_EVICTED = RequestRejected(503, "The image was evicted from the cache; try again.", retry_after_s=1)
_DRAWING_FAILED = ("internal_error", "The demo Hub could not draw this task's images.")


class OpenTasks:
    """Counts unfinished tasks, in total and by client.

    Args:
        limits: How many may be open.

    Example:
        >>> open_tasks = OpenTasks(Limits(open_tasks=1))
        >>> with open_tasks.reserve("127.0.0.1") as accepted:
        ...     accepted.append(("hub-1", 10.0))
        >>> open_tasks.remove_finished(11.0, lambda task_id: False)
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entering: list[str] = []
        self._open: dict[str, tuple[str, float]] = {}

    @contextmanager
    def reserve(self, client: str) -> Iterator[list[tuple[str, float]]]:
        """Reserve a slot for a task while it is created.

        Args:
            client: The IP address of the client.

        Yields:
            A list to append the task's id and end time to, once the task is created.

        Raises:
            RequestRejected: With status 429, if too many tasks are open.
        """
        clients = [*self._entering, *(owner for owner, _ in self._open.values())]
        limits = self._limits
        full = len(clients) >= limits.open_tasks or clients.count(client) >= limits.client_tasks
        if full:
            raise RequestRejected(
                429, "Too many open tasks; wait until some have completed.", retry_after_s=5
            )
        accepted: list[tuple[str, float]] = []
        self._entering.append(client)
        try:
            yield accepted
        finally:
            self._entering.remove(client)
            self._open.update({task_id: (client, ends_at) for task_id, ends_at in accepted})

    def remove_finished(self, now: float, is_drawing: Callable[[str], bool]) -> None:
        """Stop counting tasks that have ended.

        Args:
            now: The time in seconds since 1970.
            is_drawing: Returns whether images of a task are still to be drawn.
        """
        finished = [
            task_id
            for task_id, (_, ends_at) in self._open.items()
            if ends_at <= now and not is_drawing(task_id)
        ]
        for task_id in finished:
            del self._open[task_id]


class HttpDemoHub(DemoHub):
    """The endpoints for clients of the HTTP server.

    Args:
        tasks: The task store.
        key: The only API key to accept; None accepts any key and none.
        pool: Draws the images.
        limits: The limits to enforce.

    Example:
        >>> from pathlib import Path
        >>> folder = Path("demo")
        >>> tasks = TaskStore(folder)
        >>> hub = HttpDemoHub(tasks, None, WorkerPool(tasks, folder), Limits())
    """

    def __init__(self, tasks: TaskStore, key: str | None, pool: WorkerPool, limits: Limits) -> None:
        super().__init__(tasks, key, lambda task, number: b"")
        self._pool, self._limits = pool, limits
        self._open = OpenTasks(limits)

    async def accept(self, request: Request) -> DemoTask:
        """Create a task from a submission that is within the limits."""
        content = await request.body()
        self._open.remove_finished(self.tasks.clock(), self._pool.is_drawing)
        with self._open.reserve(_client_ip(request)) as accepted:
            model, given = await asyncio.to_thread(self._read, content)
            inputs = None
            if "image_urls" in given or "mask_url" in given:
                try:
                    inputs = await self._pool.read_inputs(given, model)
                except (BadInput, WorkerFailed, MemoryError) as error:
                    is_bad = isinstance(error, BadInput)
                    message = str(error) if is_bad else "An input image is too complex to decode."
                    raise RequestRejected(422, message) from error
            task = await asyncio.to_thread(self.tasks.add, model, given, inputs)
            accepted.append((task.task_id, task.created_at + task.duration_s))
            return task

    def _read(self, content: bytes) -> tuple[str, dict[str, Any]]:
        """Parse and validate a body; runs in a thread, since 56 MB take a while."""
        self._limits.check_json(content)
        model, given = read_submission(content, self._limits.check_input)
        self.require_credits()
        return model, given

    def status_of(self, task: DemoTask, request: Request) -> str:
        """Return the status; a task is completed only if its images are drawn, or soon will be.

        Drawing starts at the first poll, so that a task that nobody polls costs nothing.
        """
        status = super().status_of(task, request)
        if task.final_status != "completed":
            return status
        try:
            drawn = self._pool.request_images(task, _client_ip(request))
        except RequestRejected as rejection:
            if rejection.status == 500:
                return "failed"
            drawn = False
        return "processing" if status == "completed" and not drawn else status

    async def image_response(self, task: DemoTask, number: int, request: Request) -> Response:
        """Stream the file, so that slow clients hold no memory."""
        try:
            path = await self._pool.image(task, number, _client_ip(request))
            file = path.open("rb")  # open, so it may now be evicted
            return StreamingResponse(
                _chunks(file),
                media_type=f"image/{format_of(task)}",
                headers={"Content-Length": str(os.fstat(file.fileno()).st_size)},
            )
        except FileNotFoundError:
            return error_response(_EVICTED)
        except RequestRejected as rejection:
            return error_response(rejection)

    async def data_uri(self, task: DemoTask, number: int) -> str:
        """Return a placeholder, which `task_response` replaces while streaming."""
        return f"<image {number}>"

    async def task_response(
        self, task: DemoTask, body: dict[str, Any], request: Request
    ) -> Response:
        """Return the response to a poll; the images of ``sync_mode`` are streamed."""
        if body["status"] == "failed" and task.final_status == "completed":
            code, message = _DRAWING_FAILED
            body |= {"error_code": code, "error_message": message, "ready": True}
        if body["data"] is None or not task.input.get("sync_mode"):
            return await super().task_response(task, body, request)
        try:
            files = [
                (await self._pool.image(task, number, _client_ip(request))).open("rb")
                for number in range(task.image_count)
            ]
        except FileNotFoundError:
            return error_response(_EVICTED)
        except RequestRejected as rejection:
            return error_response(rejection)
        return StreamingResponse(
            _fill_placeholders(json.dumps(body), files, format_of(task)),
            media_type="application/json",
        )


def _client_ip(request: Request) -> str:
    return request.client.host if request.client else ""


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Stream a file; it may be deleted meanwhile, as it stays open."""
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


async def _fill_placeholders(
    text: str, files: Sequence[BinaryIO], kind: str
) -> AsyncIterator[bytes]:
    """Stream a JSON text, with data URIs in place of the placeholders."""
    for number, part in enumerate(re.split(r"<image [0-9]+>", text)):
        if number:
            yield f"data:image/{kind};base64,".encode()
            async for chunk in _chunks(files[number - 1]):
                yield base64.b64encode(chunk)
        yield part.encode()
