"""A network full of seeded faults around the demo Hub, and what faults are made of."""

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
"""What the demo Hub's image addresses are signed with: no log and no message may hold it."""

HOUR_S = 3600.0
FULL_DISK_BYTES = 40
"""On a full disk a file grows to this size, in bytes; every image is larger."""


def fill_disk(full: bool) -> None:
    """Let no file of this process grow any more, or all of them."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES if full else hard, hard))


@contextmanager
def own_disk() -> Iterator[None]:
    """Lift what `fill_disk` did for a while."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill_disk(False)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def paint_small(task: DemoTask, number: int) -> bytes:
    """Encode a few pixels, others for each seed and number."""
    return _painted(task.seed + number, str(task.input.get("output_format") or "png"))


@cache
def _painted(seed: int, kind: str) -> bytes:
    image = Image.new("RGB", (6, 4), (seed & 0xFF, seed >> 8 & 0xFF, seed >> 16 & 0xFF))
    image.putpixel((0, 0), (255, 0, seed >> 24 & 0xFF))
    buffer = io.BytesIO()
    image.save(buffer, kind.upper())
    return buffer.getvalue()


Fault = Callable[["FaultLayer", httpx.Request], Awaitable[httpx.Response]]
"""Does something to a request."""


class FaultLayer(httpx.AsyncBaseTransport):
    """Carries requests to a demo Hub, and breaks some of them.

    Attributes:
        rng: Draws the faults.
        calm: Whether all is well from now on.
        orders: What came of each POST, in order: ``unreached``, ``busy`` (429, but not for money),
            ``refused`` (for good), ``lost`` (the Hub has it or may have it, and this side was told
            nothing), ``told``, ``misled`` (told an id that is none).
        told: The ids of the tasks whose answer was handed over to its last byte.
        requests: How many requests there were.
        sins: What the client should never have sent.
        diary: What was done when, for whoever reads a failure.
        tasks: The Hub's own memory.
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
        """Break nothing yet.

        Args:
            rng: Draws the faults.
            folder: Where the Hub keeps its tasks.
            faults: What may happen to an ``order``, a look at a ``task``, a ``image``, by name.
            rates: The part of these that meet a fault, by the same names.
            seconds: How long a task takes, give or take a quarter, in seconds.
        """
        self.rng, self.calm, self._rates, self._faults = rng, False, rates, faults
        self.orders: list[str] = []
        self.told: list[str] = []
        self.sins: list[str] = []
        self.diary: list[str] = []
        self.requests = 0
        self._began, self._skew_s, self._latest = time.time(), 0.0, 0.0
        app = create_app(folder, seconds=seconds, key=KEY, clock=self._clock, painter=paint_small)
        self.tasks: TaskStore = app.state.tasks
        self._folder, self._hub = folder, httpx.ASGITransport(app)

    def taken(self) -> list[DemoTask]:
        """Return the tasks that the Hub has."""
        found = (self.tasks.get(path.stem) for path in self._folder.glob("hub-*.json"))
        return [task for task in found if task is not None]

    def settle(self) -> None:
        """End all faults, and let so much time pass at the Hub that every task is ended."""
        self.calm = True
        self._skew_s += max(0.0, self._latest - self._clock()) + HOUR_S

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request, or do to it what the dice say.

        Raises:
            httpx.RequestError: If the fault is one of the network's.
        """
        self.requests += 1
        place = _place(request)
        if place == "order":
            self.orders.append("lost")
        if place == "picture" and KEY in f"{request.headers.raw} {request.url}":
            self.sins.append(f"the key went to {request.url}")
        if self.calm:
            return self.delivered(request, await self.ask(request))
        await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.05, 0.4, 3.0)))
        if self.rng.random() < 0.02:
            self._skew_s += self.rng.choice((-3000.0, -30.0, 30.0, 700.0))
        fault = "nothing"
        if self.rng.random() < self._rates[place]:
            fault = self.rng.choice(list(self._faults[place]))
        self.note(f"{place}: {fault}")
        if fault == "nothing":
            return self.delivered(request, await self.ask(request))
        try:
            return await self._faults[place][fault](self, request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if place == "order":
                self.orders[-1] = "unreached"
            raise

    async def ask(self, request: httpx.Request) -> httpx.Response:
        """Let the Hub answer; its disk is not the user's."""
        with own_disk():
            response = await self._hub.handle_async_request(request)
            await response.aread()
        return response

    def delivered(
        self,
        request: httpx.Request,
        answer: httpx.Response,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        pauses_s: Sequence[float] = (0.0,),
        keep: int | None = None,
    ) -> httpx.Response:
        """Hand an answer over, and remember what it told as its last byte goes.

        Args:
            request: What it answers.
            answer: The answer.
            content: Another body in place of its own.
            headers: Other headers beside its own.
            pauses_s: The body comes in so many pieces, after pauses of so many seconds.
            keep: After so many bytes the connection breaks.
        """
        whole = answer.content if content is None else content
        kept = whole if keep is None else whole[:keep]

        async def pieces() -> AsyncGenerator[bytes, None]:
            size = -(-len(kept) // len(pauses_s))
            for number, pause_s in enumerate(pauses_s):
                await asyncio.sleep(pause_s)
                if number == len(pauses_s) - 1 and keep is None and request.method == "POST":
                    self._remember(answer.status_code, whole)
                yield kept[number * size : (number + 1) * size]
            if keep is not None:
                raise httpx.RemoteProtocolError(f"{request.url} sent an incomplete body")

        names = {"content-length", "content-encoding"}
        own = {k: v for k, v in answer.headers.items() if k not in names}
        return httpx.Response(
            answer.status_code, headers=own | dict(headers or {}), stream=_Body(pieces())
        )

    def note(self, what: str) -> None:
        """Write into the diary."""
        self.diary.append(f"{asyncio.get_running_loop().time():9.2f} s  {what}")

    def _remember(self, status: int, content: bytes) -> None:
        """What a careful reader of a whole answer knows."""
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
                known = self.tasks.get(task_id) is not None
                self.orders[-1] = "told" if known else "misled"
                self.told += [task_id] if known else []
        elif status == 429:
            money = b"<" not in content and (b"credit" in content or b"quota" in content)
            self.orders[-1] = "refused" if money else "busy"
        elif status < 500 and status != 408:
            self.orders[-1] = "refused"

    def _clock(self) -> float:
        now = self._began + asyncio.get_running_loop().time() + self._skew_s
        self._latest = max(self._latest, now)
        return now


class _Body(httpx.AsyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        await self._pieces.aclose()


def breaks(error: type[httpx.RequestError], *, reached: bool = False, wait: str = "") -> Fault:
    """Make a fault of the network, before or after the Hub has the request.

    Args:
        error: What the network says.
        reached: Whether the Hub has it.
        wait: Which of the request's own time-outs passes before.
    """

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        if reached:
            await layer.ask(request)
        if wait:
            await asyncio.sleep(request.extensions["timeout"][wait])
        raise error(f"{request.method} {request.url} failed")

    return fault


def says(
    status: int, body: Any = b"", headers: Mapping[str, str] | None = None, *, reached: bool = False
) -> Fault:
    """Make a fault that answers in the Hub's place, before or after it has the request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        if reached:
            await layer.ask(request)
        return layer.delivered(request, httpx.Response(status, content=content, headers=headers))

    return fault


def one_of(*faults: Fault) -> Fault:
    """Make a fault that is now one, now another."""

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        return await layer.rng.choice(faults)(layer, request)

    return fault


def bent(change: Callable[[random.Random, Any], Any]) -> Fault:
    """Make a fault that changes the JSON of a true answer, or puts another in its place."""

    async def fault(layer: FaultLayer, request: httpx.Request) -> httpx.Response:
        answer = await layer.ask(request)
        known = answer.headers.get("content-type") == "application/json"
        changed = change(layer.rng, answer.json() if known else {})
        content = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return layer.delivered(request, answer, content=content)

    return fault


def _place(request: httpx.Request) -> str:
    """Which part of the contract a request is about."""
    if request.method == "POST":
        return "order"
    return "task" if request.url.path.startswith("/hub/") else "picture"
