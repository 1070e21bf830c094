"""The polling schedule: when to poll next, without a clock or I/O of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from .duration import DurationEstimate

_SHORT_WAIT_S = 6.2
"""Until then, in seconds, the cost of a poll is constant: a short delay is never noticed."""


class Schedule(Protocol):
    """Decides how long to wait until the next poll of a task."""

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Return the pause before the next poll.

        Args:
            waited_s: Seconds since the task was submitted.
            jitter: A random number from 0 up to 1.

        Returns:
            Seconds, more than 0.
        """


@dataclass(frozen=True, slots=True)
class LearnedSchedule:
    """Polls rarely before a task can be ready, often when it is due, and backs off afterwards.

    With polls at a rate r(t), the mean delay between ready and noticed is 1 / (2 r), and each poll
    has a cost for the Hub. Their sum is least where r is proportional to the square root of the
    hazard rate: the probability that the task ends now, given that it has not ended yet. The longer
    a task takes, the less a second of delay matters, so the cost of a poll grows with the time
    waited.

    Attributes:
        estimate: The estimated duration of the task.
        poll_cost: The cost of a poll, as a delay that is this fraction of the time waited: a lower
            cost means more polls.
        min_interval_s: The shortest interval, in seconds, before jitter.
        max_interval_s: The longest interval, in seconds, before jitter.
        jitter: The fraction by which an interval is at most shorter or longer.

    Example:
        >>> schedule = LearnedSchedule(DurationEstimate(12.0, 0.2))
        >>> schedule.interval_s(0.5, jitter=0.5) > 2 * schedule.interval_s(12.0, jitter=0.5)
        True
    """

    estimate: DurationEstimate
    poll_cost: float = 0.002
    min_interval_s: float = 0.1
    max_interval_s: float = 10.0
    jitter: float = 0.1

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Return the pause before the next poll, in seconds."""
        polls, pause_s, step_s = 0.0, 0.0, self.min_interval_s / 5
        while polls < 1 and pause_s < self.max_interval_s:
            step_s = max(step_s, pause_s / 20)
            now_s = waited_s + pause_s + step_s / 2
            cost_s = self.poll_cost * max(now_s, _SHORT_WAIT_S)
            polls += math.sqrt(self.estimate.hazard(now_s) / (2 * cost_s)) * step_s
            pause_s += step_s
        clamped_s = min(max(pause_s, self.min_interval_s), self.max_interval_s)
        return clamped_s * (1 + self.jitter * (2 * jitter - 1))


@dataclass(frozen=True, slots=True)
class SharedSchedule:
    """A learned schedule for one of many tasks, which share a limit of polls per second.

    With more polls than the limit, tasks would queue for their turns and be noticed late. A higher
    cost of a poll makes all of them poll more rarely, around the time when they are due: the rate
    of polls falls with the square root of their cost.

    Attributes:
        base: Returns the schedule of a task that is alone, as far as is known now.
        seconds_per_round: Returns how many seconds one poll of every running task takes at the
            limit.

    Example:
        >>> alone = LearnedSchedule(DurationEstimate(2.0, 0.12))
        >>> crowded = SharedSchedule(lambda: alone, lambda: 64 / 50)
        >>> crowded.interval_s(0.0, jitter=0.5) > alone.interval_s(0.0, jitter=0.5)
        True
    """

    base: Callable[[], LearnedSchedule]
    seconds_per_round: Callable[[], float]

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Return the pause before the next poll, in seconds."""
        base = self.base()
        overload = _polls_per_task(base) * self.seconds_per_round() / base.estimate.median_s
        cost = base.poll_cost * max(1.0, overload) ** 2
        return replace(base, poll_cost=cost).interval_s(waited_s, jitter=jitter)


@lru_cache(maxsize=32)
def _polls_per_task(schedule: LearnedSchedule) -> int:
    """How many polls a task of the median duration gets."""
    polls, waited_s = 0, 0.0
    while waited_s < schedule.estimate.median_s:
        waited_s += schedule.interval_s(waited_s, jitter=0.5)
        polls += 1
    return polls
