"""The one progress line of many generations: how many have ended, and about how long is left."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection

from ..generation.duration import PRIOR_S
from ..generation.events import Completed, Downloading, Event, Notice, RetryScheduled, Waiting
from ..generation.handle import Generation
from ..hub.status import Status
from .progress import MAX_OVERRUN, FinalLine, fraction, seconds_text

MAX_LINES = 6
"""Up to so many generations have a line each; more have one for all."""

_LATEST = 50
"""From how many of the latest tasks the time left is estimated."""

_LEAST_SHARE = 0.15
"""The share of its expected time that a task which is late is thought to need still."""


def time_left(unsubmitted: int, running_s: Collection[float], task_s: float) -> float | None:
    """Estimate how long a batch still takes, in seconds.

    Args:
        unsubmitted: How many tasks have not been submitted yet.
        running_s: For how long each task that runs has been running, in seconds; the others are
            run as many at a time.
        task_s: How long a task takes, in seconds.

    Returns:
        The estimate, or None if nothing runs, or everything that runs is far too late.

    Example:
        >>> time_left(16, [2, 2, 2, 2], 10.0)
        48.0
        >>> time_left(0, [2, 7], 10.0)
        8.0
    """
    if not running_s or min(running_s) > MAX_OVERRUN * task_s:
        return None
    rest_s = [max(task_s - elapsed_s, _LEAST_SHARE * task_s) for elapsed_s in running_s]
    return max((unsubmitted * task_s + sum(rest_s)) / len(rest_s), *rest_s, 0.0)


class BatchLine:
    """The line of a batch, from the events of its generations.

    The loop thread writes it, the cell's thread reads it: each assignment is atomic. Whatever the
    size of the batch, reading it takes time only for the tasks that run.

    Attributes:
        label: What runs, such as ``24 requests · nano-banana``.
        total: How many generations there are, or None while they are drawn from an iterator.
        final: The line that stays, or None until the batch has ended.

    Args:
        label: What runs.
        total: How many generations there are, or None.
        pause_s: Returns for how many seconds nothing may be submitted.

    Example:
        >>> BatchLine("24 requests", total=24, pause_s=lambda: 0.0).text()
        '0 of 24'
    """

    def __init__(self, label: str, *, total: int | None, pause_s: Callable[[], float]) -> None:
        self.label = label
        self.total = total
        self.final: FinalLine | None = None
        self._pause_s = pause_s
        self._ended = self._failed = self._skipped = 0
        self._at_hub_since: dict[int, float] = {}
        self._downloading: set[int] = set()
        self._postponed: dict[int, str] = {}
        self._durations_s: deque[float] = deque(maxlen=_LATEST)

    def take(self, generation: Generation, event: Event) -> None:
        """Take an event of a generation.

        Args:
            generation: The generation.
            event: Its event.
        """
        who = id(generation)
        if isinstance(event, Notice):
            return
        if isinstance(event, RetryScheduled):
            self._at_hub_since.pop(who, None)
            self._postponed[who] = event.reason
            return
        self._postponed.pop(who, None)
        if not isinstance(event, Downloading | Completed):
            now = time.monotonic()
            # a task that is followed was submitted before
            seen = now - event.elapsed_s if isinstance(event, Waiting) else now
            self._at_hub_since[who] = min(seen, self._at_hub_since.get(who, seen))
            return
        since = self._at_hub_since.pop(who, None)
        from_journal = isinstance(event, Completed) and event.from_journal
        if since is not None and not from_journal:
            self._durations_s.append(time.monotonic() - since)
        self._downloading.add(who)

    def end(self, generation: Generation) -> None:
        """Take the end of a generation.

        Args:
            generation: The generation.
        """
        who = id(generation)
        self._at_hub_since.pop(who, None)
        self._postponed.pop(who, None)
        self._downloading.discard(who)
        self._ended += 1
        if generation.status == Status.SKIPPED:
            self._skipped += 1
        elif isinstance(generation.error, Exception):
            self._failed += 1

    def fraction(self) -> float:
        """Return the progress bar's value, from 0 to 1: tasks that run count in part."""
        if not self.total:
            return 0.0
        now, expected_s = time.monotonic(), self._expected_s() or PRIOR_S
        parts = [fraction(now - since, expected_s) for since in self._running_since()]
        done = self._ended + len(self._downloading) + sum(parts)
        return min(1.0, done / self.total)

    def text(self) -> str:
        """Return the line as plain text, such as ``12 of 24 · 4 running · about 40 s left``."""
        running, downloading, left_s = (
            len(self._at_hub_since),
            len(self._downloading),
            self._left_s(),
        )
        parts = [
            f"{self._ended} of {self.total}" if self.total is not None else f"{self._ended} ended",
            f"{running} running" if running else f"{downloading} downloading" * bool(downloading),
            f"{self._failed} failed" if self._failed else "",
            f"{self._skipped} skipped" if self._skipped else "",
            self._obstacle(),
            f"about {_rounded(left_s)} left" if left_s is not None else "",
        ]
        return " · ".join(filter(None, parts))

    def _obstacle(self) -> str:
        """Return why nothing is submitted at present, or an empty text."""
        pause_s = self._pause_s()
        if pause_s >= 1 and self._ended != self.total:
            return f"waiting {seconds_text(math.ceil(pause_s))}: the Hub is busy"
        reasons = set(self._postponed.copy().values())
        return min(reasons) if reasons and not self._at_hub_since else ""

    def _left_s(self) -> float | None:
        """Return how long the batch still takes, in seconds; None without two tasks to go by."""
        task_s, since = self._expected_s(), self._running_since()
        if task_s is None or self.total is None:
            return None
        under_way = self._ended + len(self._downloading) + len(since)
        now = time.monotonic()
        left_s = time_left(max(0, self.total - under_way), [now - each for each in since], task_s)
        return left_s + self._pause_s() if left_s is not None else None

    def _running_since(self) -> list[float]:
        """Return since when each task has been at the Hub; a copy, as the loop thread goes on."""
        return list(self._at_hub_since.copy().values())

    def _expected_s(self) -> float | None:
        """Return how long the latest tasks took, in seconds; None before two have ended."""
        durations_s = self._durations_s.copy()
        return sum(durations_s) / len(durations_s) if len(durations_s) >= 2 else None


def _rounded(seconds: float) -> str:
    """Format an estimate as exactly as it can be known: it must not look like a promise."""
    step = 1 if seconds < 20 else 5 if seconds < 120 else 30
    return seconds_text(max(1, round(seconds / step) * step))
