"""A stopwatch on the event loop's own clock, which never jumps, and which tests can turn."""

from __future__ import annotations

import asyncio


class Stopwatch:
    """Counts from when it is made, inside a coroutine.

    Example:
        >>> async def work() -> bool:
        ...     return Stopwatch().elapsed_s >= 0
        >>> asyncio.run(work())
        True
    """

    def __init__(self) -> None:
        """Start at 0."""
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._started
