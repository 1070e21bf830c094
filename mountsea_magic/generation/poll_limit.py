"""The poll limit of a batch: so many polls a second, the tasks that are due longest first."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count

DEFAULT_POLLS_PER_S = 50.0
"""How many polls a second the tasks of one batch may make together."""

MAX_LEAD_S = 5.0
"""By how many seconds an older task may go before one that has waited longer for its turn."""


class PollLimiter:
    """Spaces the polls of many tasks; of those that wait, the oldest task has its turn first.

    Args:
        per_second: The most polls a second.

    Example:
        >>> async def poll(limiter: PollLimiter = PollLimiter(2.0)) -> None:
        ...     await limiter.turn(waited_s=12.0)
    """

    def __init__(self, per_second: float = DEFAULT_POLLS_PER_S) -> None:
        self._interval_s = 1 / per_second
        self._next_turn = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def turn(self, waited_s: float) -> None:
        """Wait for the next turn; call it when a poll is due.

        Args:
            waited_s: Seconds since the task was submitted.
        """
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        rank_s = loop.time() - min(waited_s, MAX_LEAD_S)
        heappush(self._waiting, (rank_s, next(self._numbers), turn))
        if len(self._waiting) == 1:
            loop.call_at(max(loop.time(), self._next_turn), self._give_turn)
        await turn

    def _give_turn(self) -> None:
        """Give the turn to the oldest task that still waits, and come again if there are more."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                self._next_turn = loop.time() + self._interval_s
                break
        if self._waiting:
            loop.call_at(self._next_turn, self._give_turn)
