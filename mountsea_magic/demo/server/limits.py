"""The limits of the demo Hub over HTTP: it serves whoever asks, so nothing it keeps may grow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from .submissions import Refusal

MAX_JSON_MARKS = 20_000
"""How many brackets and commas a body may have beyond its prompt's: each is an object in memory."""

MAX_ESCAPES = 1_000_000
"""How many backslashes a body may have: JSON decodes each to a text of its own at first."""

MAX_GAPS = 400_000
"""How many percent signs and blanks a data URI may have: decoding cuts it there."""

MAX_URL_CHARS = 4096
"""The longest URL of an input image that is no data URI."""

_BLANK = "% \t\r\n\v\f\0\u00a0\u2028\u2029\u200b\ufeff"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the demo Hub over HTTP takes, keeps and waits for at most.

    Attributes:
        body_bytes: The largest body: four input images of 10 MB each, in base64.
        bodies_bytes: All bodies that are read at once; more wait for their turn.
        free_bytes: A body of at most this size waits for nobody.
        body_s: How long a body may take to arrive, in seconds.
        turn_s: How long a submission waits for its turn, in seconds, before it is refused.
        image_s: How long a download waits for its image to be drawn, in seconds.
        prompt_chars: The longest prompt, in characters.
        open_tasks: Tasks that are not done yet, of all clients.
        client_tasks: Those of one IP address, which may be a whole JupyterHub.
        kept_tasks: Tasks that are remembered; the oldest that are done make room.
        input_bytes: The files of input images that are kept.
        image_bytes: The files of drawn images that are kept; others are drawn anew.
        connections: How many connections are open at once.
        headers_s: How long a connection may be open without a whole request, in seconds.
        request_s: How long a request may take until its response has been read, in seconds.

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
    kept_tasks: int = 600
    input_bytes: int = 512_000_000
    image_bytes: int = 512_000_000
    connections: int = 400
    headers_s: float = 10.0
    request_s: float = 300.0

    def check_json(self, content: bytes) -> None:
        """Refuse a body that is small as text and huge as objects, before it is parsed.

        Args:
            content: The body.

        Raises:
            Refusal: If it has too many parts.

        Example:
            >>> Limits().check_json(b'{"model": "nano-banana"}')
        """
        marks = sum(content.count(mark) for mark in (b"[", b"{", b","))
        if marks > MAX_JSON_MARKS + self.prompt_chars or content.count(b"\\") > MAX_ESCAPES:
            raise Refusal(413, "The body has too many parts.")

    def check_input(self, given: Mapping[str, Any]) -> None:
        """Refuse an input with a text that would take much to read, before it is read.

        Args:
            given: The request's input, of any types.

        Raises:
            Refusal: If a text is too long.

        Example:
            >>> Limits().check_input({"prompt": "a dog"})
        """
        for name, value in given.items():
            if name == "prompt" or name not in ("image_urls", "mask_url"):
                if isinstance(value, str) and len(value) > self.prompt_chars:
                    raise Refusal(
                        422, f"input.{name[:40]} may have at most {self.prompt_chars} characters."
                    )
                continue
            for url in value if isinstance(value, list) else [value]:
                if isinstance(url, str) and len(url) > MAX_URL_CHARS:
                    inline = url.lstrip()[:5].lower() == "data:"
                    if not inline or sum(map(url.count, _BLANK)) > MAX_GAPS:
                        raise Refusal(422, f"{name}: no URL of an image is that long.")


class Budget:
    """An amount of which requests hold parts, in the order in which they came.

    Example:
        >>> async def read(budget: Budget) -> None:
        ...     async with budget.hold(5_000_000, patience_s=10):
        ...         ...
    """

    def __init__(self, amount: int) -> None:
        """Have the whole amount free."""
        self._free = amount
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, amount: int, *, patience_s: float) -> AsyncIterator[None]:
        """Hold a part, once all who came before have theirs.

        Args:
            amount: How much.
            patience_s: How long to wait for it, in seconds.

        Raises:
            Refusal: If it was not free in time.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        self._hand_out()
        try:
            try:
                async with asyncio.timeout(patience_s):
                    await turn
            except TimeoutError:
                raise Refusal(429, "Too many large submissions at once.", retry_after_s=3) from None
            yield
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                self._free += amount
            self._hand_out()

    def _hand_out(self) -> None:
        """A large part is not overtaken by small ones for ever."""
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            self._free -= amount
            if not turn.done():
                turn.set_result(None)
