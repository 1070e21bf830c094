"""Clocks of event loops that tests move: what happens after a timeout needs no waiting for it."""

from __future__ import annotations

import asyncio


class AdvancingClock:
    """Moves the time of the running event loop forward, so that its timeouts pass at once.

    A busy machine then has as long as it needs for everything else, such as connecting.

    Example:
        >>> async def wait_an_hour() -> None:
        ...     clock = AdvancingClock()
        ...     hour = asyncio.ensure_future(asyncio.sleep(3600))
        ...     clock.advance(3600)
        ...     await hour
        >>> asyncio.run(wait_an_hour())
    """

    def __init__(self) -> None:
        loop, self._ahead_s = asyncio.get_running_loop(), 0.0
        real_time = loop.time
        setattr(loop, "time", lambda: real_time() + self._ahead_s)  # noqa: B010  # mypy forbids assigning to a method

    def advance(self, seconds: float) -> None:
        """Move the time forward.

        Args:
            seconds: By how many seconds.
        """
        self._ahead_s += seconds
