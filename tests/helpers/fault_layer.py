"""A transport to the demo Hub with seeded random faults, and building blocks for faults."""

from __future__ import annotations

import asyncio
import io
import json
import random
import resource
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from mountsea_magic.demo.server.app import create_app
from mountsea_magic.demo.server.tasks import DemoTask, TaskStore

KEY = "sk-mountsea-fault-suite-0123456789"
HUB = "https://hub.example"
SIGNATURE = "expires=1"
"""The signature of the demo Hub's image URLs; no log and no message may contain it."""

HOUR_S = 3600.0
FULL_DISK_BYTES = 40
"""The largest file that fits on a full disk, in bytes; every image is larger."""


def fill_disk(full: bool) -> None:
    """Simulate a full disk by limiting the file size of this process, or lift that limit."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES if full else hard, hard))


@contextmanager
def unlimited_disk() -> Iterator[None]:
    """Lift the limit of `fill_disk` temporarily."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill_disk(False)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def paint_small(task: DemoTask, number: int) -> bytes:
    """Encode a tiny image that depends on seed and number."""
    return _encode_pixels(task.seed + number, str(task.input.get("output_format") or "png"))


@cache
def _encode_pixels(seed: int, kind: str) -> bytes:
    image = Image.new("RGB", (6, 4), (seed & 0xFF, seed >> 8 & 0xFF, seed >> 16 & 0xFF))
    image.putpixel((0, 0), (255, 0, seed >> 24 & 0xFF))
    buffer = io.BytesIO()
    image.save(buffer, kind.upper())
    return buffer.getvalue()


Fault = Callable[["FaultLayer", httpx.Request], Awaitable[httpx.Response]]
"""Handles a request with a fault."""


class FaultLayer(httpx.AsyncBaseTransport):
    """Sends requests to a demo Hub, and lets some of them fail.

    Args:
        rng: Chooses the faults.
        folder: Where the Hub stores its tasks.
        faults: The possible faults by name, for each kind of request (``submission``, ``poll``,
            ``download``).
        rates: The fraction of requests of each kind that fail.
        seconds: Duration of a task in seconds, varied by up to 25 %.

    Attributes:
        rng: Chooses the faults.
        faults_off: Whether requests no longer fail.
        outcomes: The outcome of each POST, in order: ``unreached``, ``busy`` (429, except about
            credits), ``refused`` (permanently), ``lost`` (there may be a task, but the client got
            no response), ``accepted`` (the client got the task id), ``misled`` (the client got a
            wrong task id).
        reported: The task ids in responses that were delivered completely.
        requests: How many requests were sent.
        violations: What the client must never send.
        log: The events with their times, to explain a failed test.
        tasks: The Hub's task store.
    """

    def __init__(
        self,
        rng: random.Random,
        folder: Path,
        faults: Mapping[str, Mapping[str, Fault]],
        *,
        rates: Mapping[str, float],
        seconds: float,
    ) -> None:
        self.rng, self.faults_off, self._rates, self._faults = rng, False, rates, faults
        self.outcomes: list[str] = []
        self.reported: list[str] = []
        self.violations: list[str] = []
        self.log: list[str] = []
        self.requests = 0
        self._began, self._skew_s, self._latest = time.time(), 0.0, 0.0
        app = create_app(folder, seconds=seconds, key=KEY, clock=self._clock, painter=paint_small)
        self.tasks: TaskStore = app.state.tasks
        self._folder, self._hub = folder, httpx.ASGITransport(app)

    def created_tasks(self) -> list[DemoTask]:
        """Return the tasks that the Hub has created."""
        tasks = (self.tasks.get(path.stem) for path in self._folder.glob("hub-*.json"))
        return [task for task in tasks if task is not None]

    def finish(self) -> None:
        """Turn the faults off, and advance the Hub's clock until every task has ended."""
        self.faults_off = True
        self._skew_s += max(0.0, self._latest - self._clock()) + HOUR_S

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, possibly with a random fault.

        Raises:
            httpx.RequestError: If the fault is a network error.
        """
        self.requests += 1
        kind = _kind_of(request)
        if kind == "submission":
            self.outcomes.append("lost")
        if kind == "download" and KEY in f"{request.headers.raw} {request.url}":
            self.violations.append(f"the key was sent to {request.url}")
        if self.faults_off:
            return self.deliver(request, await self.forward(request))
        await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.05, 0.4, 3.0)))
        if self.rng.random() < 0.02:
            self._skew_s += self.rng.choice((-3000.0, -30.0, 30.0, 700.0))
        fault = "nothing"
        if self.rng.random() < self._rates[kind]:
            fault = self.rng.choice(list(self._faults[kind]))
        self.note(f"{kind}: {fault}")
        if fault == "nothing":
            return self.deliver(request, await self.forward(request))
        try:
            return await self._faults[kind][fault](self, request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if kind == "submission":
                self.outcomes[-1] = "unreached"
            raise

    async def forward(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the Hub, whose disk is never full."""
        with unlimited_disk():
            response = await self._hub.handle_async_request(request)
            await response.aread()
        return response

    def deliver(
        self,
        request: httpx.Request,
        response: httpx.Response,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        pauses_s: Sequence[float] = (0.0,),
        keep: int | None = None,
    ) -> httpx.Response:
        """Deliver a response, and record the outcome of a submission with its last byte.

        Args:
            request: The request.
            response: The response.
            content: Replaces the body.
            headers: Added to the headers.
            pauses_s: The body is sent in as many chunks, each after a pause in seconds.
            keep: The connection breaks after this many bytes.
        """
        whole = response.content if content is None else content
        sent = whole if keep is None else whole[:keep]

        async def chunks() -> AsyncGenerator[bytes, None]:
            size = -(-len(sent) // len(pauses_s))
            for number, pause_s in enumerate(pauses_s):
                await asyncio.sleep(pause_s)
                if number == len(pauses_s) - 1 and keep is None and request.method == "POST":
                    self._record_outcome(response.status_code, whole)
                yield sent[number * size : (number + 1) * size]
            if keep is not None:
                raise httpx.RemoteProtocolError(f"{request.url} sent an incomplete body")

        names = {"content-length", "content-encoding"}
        own = {k: v for k, v in response.headers.items() if k not in names}
        return httpx.Response(
            response.status_code, headers=own | dict(headers or {}), stream=_Body(chunks())
        )

    def note(self, event: str) -> None:
        """Add an event to the log."""
        self.log.append(f"{asyncio.get_running_loop().time():9.2f} s  {event}")

    def _record_outcome(self, status: int, content: bytes) -> None:
        """Record what a complete response tells the client."""
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        names = (
            [body.get(name) for name in ("task_id", "taskId", "id")]
            if isinstance(body, dict)
            else []
        )
        task_id = next((name for name in names if isinstance(name, str) and name), None)
        if 200 <= status < 300:
            if task_id is not None:
                exists = self.tasks.get(task_id) is not None
                self.outcomes[-1] = "accepted" if exists else "misled"
                self.reported += [task_id] if exists else []
        elif status == 429:
            about_credits = b"<" not in content and (b"credit" in content or b"quota" in content)
            self.outcomes[-1] = "refused" if about_credits else "busy"
        elif status < 500 and status != 408:
            self.outcomes[-1] = "refused"

    def _clock(self) -> float:
        now = self._began + asyncio.get_running_loop().time() + self._skew_s
        self._latest = max(self._latest, now)
        return now


class _Body(httpx.AsyncByteStream):
    """A body that is sent in chunks."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        await self._chunks.aclose()


def breaks(error: type[httpx.RequestError], *, reached: bool = False, wait: str = "") -> Fault:
    """Create a network fault, before or after the request has reached the Hub.

    Args:
        error: The exception to raise.
        reached: Whether the request reaches the Hub.
        wait: Which time-out of the request to wait for first.
    """

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        if reached:
            await layer.forward(request)
        if wait:
            await asyncio.sleep(request.extensions["timeout"][wait])
        raise error(f"{request.method} {request.url} failed")

    return fault


def responds(
    status: int, body: Any = b"", headers: Mapping[str, str] | None = None, *, reached: bool = False
) -> Fault:
    """Create a fault that responds in place of the Hub, before or after it has the request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        if reached:
            await layer.forward(request)
        return layer.deliver(request, httpx.Response(status, content=content, headers=headers))

    return fault


def one_of(*faults: Fault) -> Fault:
    """Create a fault that is randomly one of several."""

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        return await layer.rng.choice(faults)(layer, request)

    return fault


def changes_json(change: Callable[[random.Random, Any], Any]) -> Fault:
    """Create a fault that changes or replaces the JSON of a response."""

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        response = await layer.forward(request)
        is_json = response.headers.get("content-type") == "application/json"
        changed = change(layer.rng, response.json() if is_json else {})
        content = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return layer.deliver(request, response, content=content)

    return fault


def _kind_of(request: httpx.Request) -> str:
    """Return which kind of endpoint a request is for."""
    if request.method == "POST":
        return "submission"
    return "poll" if request.url.path.startswith("/hub/") else "download"
