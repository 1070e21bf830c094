"""The endpoints of the demo Hub over HTTP: as in-process, but bounded, and drawn in turn."""

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
from .helper import HelperFailed
from .inputs import BadInput
from .limits import Limits
from .render import format_of
from .responses import refused
from .submissions import Refusal, read_submission
from .tasks import DemoTask, TaskStore
from .worker_pool import Workshop

_CHUNK = 3 * 16_384
"""How much of a file is in memory at once, in bytes; a multiple of 3, so that base64 joins."""

_GONE = Refusal(503, "The image has just made room for others: ask again.", retry_after_s=1)
_BROKEN = ("internal_error", "The demo Hub could not draw this task's images.")


class OpenTasks:
    """Counts the tasks that are not done, of all clients and of each.

    Example:
        >>> open_tasks = OpenTasks(Limits(open_tasks=1))
        >>> with open_tasks.admitted("127.0.0.1") as admit:
        ...     admit.append(("hub-1", 10.0))
        >>> open_tasks.forget_done(11.0, lambda task_id: False)
    """

    def __init__(self, limits: Limits) -> None:
        """Have none open."""
        self._limits = limits
        self._entering: list[str] = []
        self._open: dict[str, tuple[str, float]] = {}

    @contextmanager
    def admitted(self, client: str) -> Iterator[list[tuple[str, float]]]:
        """Keep a place for a task while it is made.

        Args:
            client: The IP address of who submits it.

        Yields:
            A list for the task's id and the time at which it ends, once it is accepted.

        Raises:
            Refusal: If too many are open, 429.
        """
        clients = [*self._entering, *(owner for owner, _ in self._open.values())]
        limits = self._limits
        full = len(clients) >= limits.open_tasks or clients.count(client) >= limits.client_tasks
        if full:
            raise Refusal(
                429, "Too many open tasks. Wait until some are completed.", retry_after_s=5
            )
        made: list[tuple[str, float]] = []
        self._entering.append(client)
        try:
            yield made
        finally:
            self._entering.remove(client)
            self._open.update({task_id: (client, ends_at) for task_id, ends_at in made})

    def forget_done(self, now: float, is_drawing: Callable[[str], bool]) -> None:
        """Count those no more that have ended.

        Args:
            now: Seconds since 1970.
            is_drawing: Says whether the images of a task are being drawn.
        """
        done = [
            task_id
            for task_id, (_, ends_at) in self._open.items()
            if ends_at <= now and not is_drawing(task_id)
        ]
        for task_id in done:
            del self._open[task_id]


class ServedHub(DemoHub):
    """The endpoints for whoever reaches the port.

    Example:
        >>> from pathlib import Path
        >>> folder = Path("demo")
        >>> tasks = TaskStore(folder)
        >>> hub = ServedHub(tasks, None, Workshop(tasks, folder), Limits())
    """

    def __init__(
        self, tasks: TaskStore, key: str | None, workshop: Workshop, limits: Limits
    ) -> None:
        """Touch nothing yet.

        Args:
            tasks: The store.
            key: The only key that is accepted; None accepts any and none.
            workshop: Draws the images.
            limits: What is accepted.
        """
        super().__init__(tasks, key, lambda task, number: b"")
        self._workshop, self._limits = workshop, limits
        self._open = OpenTasks(limits)

    async def accept(self, request: Request) -> DemoTask:
        """Make a task of a submission that is small enough, when there is room for it."""
        content = await request.body()
        self._open.forget_done(self.tasks.clock(), self._workshop.is_drawing)
        with self._open.admitted(_client(request)) as admit:
            model, given = await asyncio.to_thread(self._read, content)
            inputs = None
            if "image_urls" in given or "mask_url" in given:
                try:
                    inputs = await self._workshop.read_inputs(given, model)
                except (BadInput, HelperFailed, MemoryError) as error:
                    said = str(error) if isinstance(error, BadInput) else "An image is too complex."
                    raise Refusal(422, said) from error
            task = await asyncio.to_thread(self.tasks.add, model, given, inputs)
            admit.append((task.task_id, task.created_at + task.duration_s))
            return task

    def _read(self, content: bytes) -> tuple[str, dict[str, Any]]:
        """In a thread: a body of 56 MB takes a while, and polls go on."""
        self._limits.check_json(content)
        model, given = read_submission(content, self._limits.check_input)
        self.require_credits()
        return model, given

    def status_of(self, task: DemoTask, request: Request) -> str:
        """Tell that a task is completed when its images are there, or soon will be.

        They are drawn from the first poll on: a task that nobody asks about costs nothing.
        """
        status = super().status_of(task, request)
        if task.ending != "completed":
            return status
        try:
            drawn = self._workshop.want(task, _client(request))
        except Refusal as refusal:
            if refusal.status == 500:
                return "failed"
            drawn = False
        return "processing" if status == "completed" and not drawn else status

    async def image_response(self, task: DemoTask, number: int, request: Request) -> Response:
        """Send a file piece by piece: who reads slowly holds no memory."""
        try:
            path = await self._workshop.image(task, number, _client(request))
            file = path.open("rb")  # it can make room for others from now on
            return StreamingResponse(
                _pieces(file),
                media_type=f"image/{format_of(task)}",
                headers={"Content-Length": str(os.fstat(file.fileno()).st_size)},
            )
        except FileNotFoundError:
            return refused(_GONE)
        except Refusal as refusal:
            return refused(refusal)

    async def data_uri(self, task: DemoTask, number: int) -> str:
        """Mark the place of an image, which `task_response` fills as it sends."""
        return f"<image {number}>"

    async def task_response(
        self, task: DemoTask, body: dict[str, Any], request: Request
    ) -> Response:
        """Send the images of ``sync_mode`` piece by piece, too."""
        if body["status"] == "failed" and task.ending == "completed":
            code, message = _BROKEN
            body |= {"error_code": code, "error_message": message, "ready": True}
        if body["data"] is None or not task.input.get("sync_mode"):
            return await super().task_response(task, body, request)
        try:
            files = [
                (await self._workshop.image(task, number, _client(request))).open("rb")
                for number in range(task.image_count)
            ]
        except FileNotFoundError:
            return refused(_GONE)
        except Refusal as refusal:
            return refused(refusal)
        return StreamingResponse(
            _filled(json.dumps(body), files, format_of(task)), media_type="application/json"
        )


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """A file that makes room for others while it is sent stays open until then."""
    with file:
        while piece := file.read(_CHUNK):
            yield piece


async def _filled(text: str, files: Sequence[BinaryIO], kind: str) -> AsyncIterator[bytes]:
    """A JSON text with its images in their places."""
    for number, part in enumerate(re.split(r"<image [0-9]+>", text)):
        if number:
            yield f"data:image/{kind};base64,".encode()
            async for piece in _pieces(files[number - 1]):
                yield base64.b64encode(piece)
        yield part.encode()
