"""A stopwatch on the event loop's clock, which is monotonic and which tests can replace."""

from __future__ import annotations

import asyncio


class Stopwatch:
    """Counts from its creation, which must be inside a coroutine.

    Example:
        >>> async def work() -> bool:
        ...     return Stopwatch().elapsed_s >= 0
        >>> asyncio.run(work())
        True
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was created."""
        return self._clock() - self._started
