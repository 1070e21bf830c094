"""Limits of the demo Hub over HTTP: it serves anyone, so memory and disk use must be bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from .submissions import RequestRejected

MAX_JSON_MARKS = 20_000
"""How many brackets and commas a body may have besides the prompt's: each becomes an object."""

MAX_ESCAPES = 1_000_000
"""How many backslashes a body may have: the JSON decoder makes a string for each."""

MAX_GAPS = 400_000
"""How many percent signs and blanks a data URI may have: decoding splits it there."""

MAX_URL_CHARS = 4096
"""The longest URL of an input image, except for data URIs."""

_BLANK = "% \t\r\n\v\f\0\u00a0\u2028\u2029\u200b\ufeff"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the demo Hub over HTTP accepts, stores and waits for at most.

    Attributes:
        body_bytes: The largest request body: four input images of 10 MB each, in base64.
        bodies_bytes: All bodies being read at once; further ones wait.
        free_bytes: Bodies up to this size never wait.
        body_s: How long a body may take to arrive, in seconds.
        turn_s: How long a submission waits for its turn before it is rejected, in seconds.
        image_s: How long a download waits for its image to be drawn, in seconds.
        prompt_chars: The longest prompt, in characters.
        open_tasks: Unfinished tasks of all clients.
        client_tasks: Unfinished tasks of one IP address, which may be a whole JupyterHub.
        stored_tasks: Stored tasks; beyond that the oldest finished ones are deleted.
        input_bytes: Stored files of input images.
        image_bytes: Stored files of drawn images; evicted ones are drawn again on demand.
        connections: Open connections.
        headers_s: How long a connection may be open without a complete request, in seconds.
        request_s: How long a request may take until the client has read the response, in seconds.

    Example:
        >>> Limits(open_tasks=2).open_tasks
        2
    """

    body_bytes: int = 56_000_000
    bodies_bytes: int = 64_000_000
    free_bytes: int = 64_000
    body_s: float = 25.0
    turn_s: float = 12.0
    image_s: float = 20.0
    prompt_chars: int = 20_000
    open_tasks: int = 400
    client_tasks: int = 300
    stored_tasks: int = 600
    input_bytes: int = 512_000_000
    image_bytes: int = 512_000_000
    connections: int = 400
    headers_s: float = 10.0
    request_s: float = 300.0

    def check_json(self, content: bytes) -> None:
        """Reject a body that is small as text but huge when parsed, before it is parsed.

        Args:
            content: The request body.

        Raises:
            RequestRejected: With status 413, if it has too many elements.

        Example:
            >>> Limits().check_json(b'{"model": "nano-banana"}')
        """
        marks = sum(content.count(mark) for mark in (b"[", b"{", b","))
        if marks > MAX_JSON_MARKS + self.prompt_chars or content.count(b"\\") > MAX_ESCAPES:
            raise RequestRejected(413, "The request body has too many JSON elements.")

    def check_input(self, given: Mapping[str, Any]) -> None:
        """Reject an input with a text that is too long, before it is validated.

        Args:
            given: The input of the request, not validated yet.

        Raises:
            RequestRejected: With status 422, if a text is too long.

        Example:
            >>> Limits().check_input({"prompt": "a dog"})
        """
        for name, value in given.items():
            if name == "prompt" or name not in ("image_urls", "mask_url"):
                if isinstance(value, str) and len(value) > self.prompt_chars:
                    raise RequestRejected(
                        422,
                        f"input.{name[:40]} may have at most {self.prompt_chars} characters.",
                    )
                continue
            for url in value if isinstance(value, list) else [value]:
                if isinstance(url, str) and len(url) > MAX_URL_CHARS:
                    is_data_uri = url.lstrip()[:5].lower() == "data:"
                    if not is_data_uri or sum(map(url.count, _BLANK)) > MAX_GAPS:
                        raise RequestRejected(422, f"{name}: the URL is too long.")


class WeightedSemaphore:
    """A semaphore of which each holder takes a given amount, first come, first served.

    Args:
        amount: How much can be held in total.

    Example:
        >>> async def read(semaphore: WeightedSemaphore) -> None:
        ...     async with semaphore.acquire(5_000_000, timeout_s=10):
        ...         ...
    """

    def __init__(self, amount: int) -> None:
        self._free = amount
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def acquire(self, amount: int, *, timeout_s: float) -> AsyncIterator[None]:
        """Hold an amount, once all earlier requests have theirs.

        Args:
            amount: How much.
            timeout_s: How long to wait for it, in seconds.

        Raises:
            RequestRejected: With status 429, if it was not available in time.
        """
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, granted)
        self._waiting.append(entry)
        self._grant()
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    await granted
            except TimeoutError:
                raise RequestRejected(
                    429, "Too many large submissions; try again in 3 s.", retry_after_s=3
                ) from None
            yield
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                self._free += amount
            self._grant()

    def _grant(self) -> None:
        """Grant requests in order, so that small ones do not starve a large one."""
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, granted = self._waiting.popleft()
            self._free -= amount
            if not granted.done():
                granted.set_result(None)
